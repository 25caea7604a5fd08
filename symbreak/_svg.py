"""Drawings as inline SVG: named for readers that hear the page, in the colour of the text around them."""

import html
import math

from symbreak._visible import visible


def drawing(width: float, height: float, label: str, content: str) -> str:
    """Wrap what is drawn; `label` says in words what is to be seen.

    Examples
    --------
    >>> drawing(8, 4, "a <line>", '<path d="M0 2h8"/>')[:73]
    '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="a &lt;line'
    """
    named = html.escape(visible(label, 300))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{named}" viewBox="0 0 {px(width)} '
        f'{px(height)}" width="{px(width)}" height="{px(height)}" font-size="11" font-family="sans-serif" '
        f'fill="currentColor" shape-rendering="crispEdges" style="max-width:100%;height:auto">{content}</svg>'
    )


def px(value: float) -> str:
    """Write a length in tenths of a pixel.

    Examples
    --------
    >>> px(2.04), px(2.05)
    ('2', '2.1')
    """
    return f"{math.floor(value * 10 + 0.5) / 10:g}"
