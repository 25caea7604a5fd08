"""Formulas as MathML, made when the pages are built: no script is fetched to read them.

The converter comes with docutils. What it gets wrong is mended here, or refused with a warning that ends the build.
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

# What TeX reads in one way and the converter in another: what to write instead.
MISREAD = {
    r"\\[td]?frac(?!\s*\{)": r"the fraction needs braces: \frac{1}{2}",
    r"\\(?:d?dot|hat|bar|tilde|vec|overline)\s*(?:\{[^{}]*\}|\\[a-z]+|\w)\s*[_^]": (
        r"the index would lie below what bears an accent: \frac{dx_i}{dt}"
    ),
}
SPACE = '<mspace width="0.1667em"></mspace>'
APPLIED = "<mo>&ApplyFunction;</mo>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}


def inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(formula(node))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math-block">{formula(node, as_block=True)}</div>')
    raise nodes.SkipNode


def formula(node: nodes.math | nodes.math_block, as_block: bool = False) -> str:
    for reason in misread(node.astext()):
        LOGGER.warning("%s, in %s", reason, node.astext(), location=node)
    return spaced(tex2mathml(node.astext(), as_block=as_block))


def misread(tex: str) -> list[str]:
    """Say what the converter would make something else of."""
    return [reason for pattern, reason in MISREAD.items() if re.search(pattern, tex)]


def spaced(mathml: str) -> str:
    r"""Set names of functions apart from what they stand beside: `o \tanh(c)`, `\ln 2`."""
    mathml = re.sub(rf"{APPLIED}(?!\s*(?:<mspace|<mo[^>]*>[(\[|]))", APPLIED + SPACE, mathml)
    return re.sub(rf"(?<=</)(m\w+>)(?<!mo>)(?<!mspace>)(?=\s*<mi[^>]*>\w+</mi>\s*{APPLIED})", rf"\1{SPACE}", mathml)
