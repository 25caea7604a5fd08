"""A table for notebooks."""

import html
from collections.abc import Sequence


def html_table(head: str, titles: Sequence[str], rows: Sequence[Sequence[str]], tail: str = "") -> str:
    """Write a line, a table and perhaps another line as an HTML fragment."""
    header = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    end = f"<p>{html.escape(tail)}</p>" if tail else ""
    table = f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div><p>{html.escape(head)}</p>{table}{end}</div>"
