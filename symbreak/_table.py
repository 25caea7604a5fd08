"""Tables: as text, columns as wide as their widest entry and folded where lines are too long; and for notebooks."""

import html
import re
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from symbreak._visible import visible

LINE = 80  # characters that a terminal shows
WIDEST = 2000  # characters of a line in a notebook
LEAST = 10  # characters that a column is folded to
LEAST_NAME = 16  # characters of a name that is cut
PIECE = re.compile(r"(?:[^ ./,(_]|\.(?=\d))*(?:[ ./,(_]+|$)")  # lines are broken behind one; a number is not
INDENT = "  "  # of what continues an entry
NUMBER = re.compile(r"-|[-+]?(?:[\d,]*\.?\d+(?:e[-+]?\d+)?|inf|nan) ?%?|", re.IGNORECASE)  # or that there is none


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = (), fold: Collection[int] = ()
) -> str:
    """Lay out rows under a header.

    Parameters
    ----------
    header
        One title a column.
    rows
        One text a column.
    right
        Columns that are aligned to the right.
    fold
        Columns that may be folded so that lines have at most 80 characters.

    Returns
    -------
    str
        Lines without trailing spaces.
    """
    widths = _widths([list(column) for column in zip(header, *rows, strict=True)], fold)
    lines = []
    for row in (header, *rows):
        cells = [
            folded(text, width) if k in fold else [text]
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        for line in zip_longest(*cells, fillvalue=""):
            aligned = [
                text.rjust(width) if k in right else text.ljust(width)
                for k, (text, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def folded(text: str, width: int = LINE) -> list[str]:
    """Break a text into lines, behind spaces, dots and other marks where that is possible."""
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line.strip() and len(line) + len(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = INDENT
        line += piece
        while len(line.rstrip()) > width:
            lines.append(line[:width])
            line = INDENT + line[width:]
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _widths(columns: Sequence[Sequence[str]], fold: Collection[int]) -> list[int]:
    """Give the widths: a column is made narrower, step by step, where that takes the fewest lines."""
    lengths = np.array([[len(text) for text in column] for column in columns])  # (columns, rows)
    widths = lengths.max(axis=1)
    lines = np.ones_like(lengths)

    def narrower(k: int) -> Any:
        return -(-lengths[k] // (widths[k] - 1))

    while widths.sum() + 2 * (len(widths) - 1) > LINE:
        tried = []
        for k in fold:
            if widths[k] > max(LEAST, len(columns[k][0])):
                others = np.delete(lines, k, axis=0).max(axis=0, initial=1)
                tried.append((int(np.maximum(others, narrower(k)).sum()), -k))
        if not tried:
            break
        k = -min(tried)[1]  # of several the last, as a name is better whole than a reason
        lines[k] = narrower(k)
        widths[k] -= 1
    found: list[int] = widths.tolist()
    return found


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
    room = max(LEAST_NAME, LINE - sum(used) - 2 * len(used))
    return table(header, [(visible(visible(row[0]), room), *row[1:]) for row in rows], right)


def html_text(text: str) -> str:
    """Write text whose columns stand under each other as an HTML fragment.

    Examples
    --------
    >>> html_text("a < b")
    '<pre>a &lt; b</pre>'
    """
    lines = [visible(line, WIDEST) for line in text.split("\n")]
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def html_table(head: str, titles: Sequence[str], rows: Sequence[Sequence[str]], tail: str = "") -> str:
    """Write a line, a table and perhaps another line as an HTML fragment.

    Notebooks align all cells to the right, which is for numbers: columns of text are aligned to the left.
    """
    left = [not all(map(NUMBER.fullmatch, column)) for column in zip(*rows, strict=True)] or [True] * len(titles)
    header = html_cells("th", titles, left)
    body = "".join(f"<tr>{html_cells('td', row, left)}</tr>" for row in rows)
    end = f"<p>{html.escape(tail)}</p>" if tail else ""
    whole = f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><p>{html.escape(head)}</p>{whole}{end}</div>"


def html_cells(tag: str, texts: Sequence[str], left: Sequence[bool]) -> str:
    """Write the cells of a row, those of text aligned to the left."""
    styles = [" style='text-align:left'" if is_left else "" for is_left in left]
    return "".join(f"<{tag}{style}>{html.escape(text)}</{tag}>" for text, style in zip(texts, styles, strict=True))
