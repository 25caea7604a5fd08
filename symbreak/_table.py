"""Plain text tables: columns as wide as their widest entry, two spaces between."""

from collections.abc import Collection, Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lay out rows under a header.

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
