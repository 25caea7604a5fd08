"""Names and values from a file, made safe to show: a name is data, and a terminal obeys what it is sent.

Escape sequences, bidirectional overrides and invisible characters become visible escapes. Markup needs no care here: a
renderer that has a markup language escapes that itself.
"""

LONGEST = 200  # characters of one name in a message


def visible(text: object, limit: int = LONGEST) -> str:
    r"""Text with every character that does not print written as an escape, and cut in the middle when it is long.

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
    >>> print(visible("fc1\x1b[31m.weight\u202e"))
    fc1\x1b[31m.weight\u202e
    """
    whole = str(text)
    if len(whole) > limit:
        half = (limit - 5) // 2
        whole = f"{whole[:half]} ... {whole[-half:]}"
    shown = "".join(char if char.isprintable() else _escape(char) for char in whole)
    return shown if len(shown) <= 8 * limit else shown[: 8 * limit]


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(text: object) -> str:
    """Return the visible text between quotation marks."""
    return f"'{visible(text)}'"


def number(value: int) -> str:
    """Return an integer as text: one from a file can have thousands of digits, which Python may refuse to print."""
    return str(value) if abs(value) < 10**20 else f"an integer of {value.bit_length()} bits"
