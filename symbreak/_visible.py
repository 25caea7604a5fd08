"""Names and values from a file, made safe to show: a name is data, and a terminal obeys what it is sent.

Escape sequences, bidirectional overrides and invisible characters become visible escapes, and so does what GitHub's
workflows would obey in a log. Markup needs no care here: a renderer that has a markup language escapes that itself.

References
----------
GitHub. actions/runner, `ActionCommand.cs`: `::command ...::` is obeyed after the spaces that begin a line, and
`##[command]` anywhere.
"""

import json
import re

LONGEST = 200  # characters of one name in a message
COMMANDS = (
    "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "internal-set-repo-path",
    "notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
)  # fmt: skip
COMMAND = re.compile(rf"::(?=(?:{'|'.join(COMMANDS)})(?:\s|::|$))|##\[", re.IGNORECASE)


def visible(text: object, limit: int = LONGEST) -> str:
    r"""Write what does not print as escapes, on one line, and cut a long text in the middle.

    Control characters act on a terminal, and format characters can turn the direction of a text around, so that a name
    reads as another one.

    Parameters
    ----------
    text
        A name, a path or any other text from outside; ``os.fspath`` has been applied to paths.
    limit
        The most characters that come back, at least 16.

    Returns
    -------
    str
        One line of printable characters.

    Examples
    --------
    >>> from symbreak._visible import visible
    >>> print(visible("fc1\x1b[31m.weight\u202e\n"))
    fc1\x1b[31m.weight\u202e\n
    >>> visible("layers." * 100, limit=30)
    'layers.layer ... yers.layers.'
    >>> print(visible("::error::fc1"))
    \x3a:error::fc1
    """
    whole = str(text)
    if len(whole) > limit:
        half = (limit - 5) // 2
        whole = f"{whole[:half]} ... {whole[-half:]}"
    if ":" in whole or "#" in whole:
        whole = COMMAND.sub(lambda found: rf"\x{ord(found[0][0]):02x}{found[0][1:]}", whole)
    if whole.isprintable():
        return whole
    shown = "".join(char if char.isprintable() else _escape(char) for char in whole)
    return shown if len(shown) <= 8 * limit else shown[: 8 * limit]


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def to_ascii_json(value: object) -> str:
    r"""Write JSON whose strings act on nothing where they are shown: in ASCII, and without what a workflow obeys.

    Examples
    --------
    >>> print(to_ascii_json(["\x9b", "##[error]"]))
    ["\u009b", "\u0023#[error]"]
    """
    return json.dumps(value, ensure_ascii=True).replace("##[", r"\u0023#[")


def columns(text: str) -> int:
    """Count the columns that a text takes on a terminal: two for a wide character, none for a mark on the one before.

    References
    ----------
    Unicode Standard Annex #11, "East Asian Width".

    Examples
    --------
    >>> columns("fc1"), columns("\u5c42.1"), columns("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    import unicodedata

    marks = sum(unicodedata.category(char) in ("Mn", "Me") for char in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def quoted(text: object) -> str:
    """Return the visible text between quotation marks."""
    return f"'{visible(text)}'"


def is_text(data: bytes) -> bool:
    r"""Whether bytes, but for NULs that pad them, are UTF-8 without control characters.

    Examples
    --------
    >>> is_text(b"cat\0\0dog\0\0"), is_text(b"\x80\x03cnumpy")
    (True, False)
    """
    try:
        text = data.replace(b"\0", b"").decode()
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in text)


def number(value: int) -> str:
    """Return an integer as text: one from a file can have thousands of digits, which Python may refuse to print."""
    return str(value) if abs(value) < 10**20 else f"an integer of {value.bit_length()} bits"


def counted(count: int, noun: str) -> str:
    """Write a number and what is counted.

    Examples
    --------
    >>> from symbreak._visible import counted
    >>> counted(1, "value"), counted(1200, "value")
    ('1 value', '1,200 values')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
