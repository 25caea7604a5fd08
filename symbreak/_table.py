"""Tables, for terminals and for notebooks."""

import html
from collections.abc import Collection, Sequence

from symbreak._visible import visible

COLUMNS = 80
LEAST = 16  # characters of a name


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lay out rows under a header: columns as wide as their widest entry, two spaces between.

    Parameters
    ----------
    header
        One title a column.
    rows
        One text a column.
    right
        Columns that are aligned to the right.

    Returns
    -------
    str
        Lines without trailing spaces.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (
        "  ".join(
            text.rjust(width) if k in right else text.ljust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def named_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lay out rows that begin with a name from outside, which is made safe to show and cut to fit into 80 columns.

    Parameters
    ----------
    header, rows, right
        As for `table`.

    Examples
    --------
    >>> print(named_table(("space", "units"), [("encoder.", "4")], right={1}))
    space     units
    encoder.      4
    """
    used = [max(map(len, column)) for column in list(zip(header, *rows, strict=True))[1:]]
    room = max(LEAST, COLUMNS - sum(used) - 2 * len(used))
    return table(header, [(visible(visible(row[0]), room), *row[1:]) for row in rows], right)


def html_table(head: str, titles: Sequence[str], rows: Sequence[Sequence[str]], tail: str = "") -> str:
    """Write a line, a table and perhaps another line as an HTML fragment."""
    header = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    end = f"<p>{html.escape(tail)}</p>" if tail else ""
    whole = f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><p>{html.escape(head)}</p>{whole}{end}</div>"
