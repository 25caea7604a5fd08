"""Signatures that a reader can take in: the names of the type aliases, not the unions that they stand for."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from docutils import nodes
from sphinx.addnodes import desc_parameterlist, desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.util.inspect import signature as signature_of
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

from symbreak.axes import Axes, AxesLike
from symbreak.dtypes import DTypeLike
from symbreak.rules import RuleLike, Shapes
from symbreak.streams import Key, RngLike

# What stands in a signature once Python has evaluated it, and what to write instead.
ALIASES = [
    (RngLike, "~symbreak.streams.RngLike"),
    (  # the same where its names have been looked up
        Key | int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None,
        "~symbreak.streams.RngLike",
    ),
    (AxesLike, "~symbreak.axes.AxesLike"),
    (Axes | str | None, "~symbreak.axes.AxesLike"),
    (DTypeLike, "~symbreak.dtypes.DTypeLike"),
    (RuleLike, "~symbreak.rules.RuleLike"),
    (Shapes, "~symbreak.rules.Shapes"),
    (npt.DTypeLike, "~numpy.typing.DTypeLike"),
    (npt.ArrayLike, "~numpy.typing.ArrayLike"),
    (npt.NDArray[Any], "~numpy.ndarray"),
    (npt.NDArray[np.int64], "~numpy.ndarray"),
    (npt.NDArray[np.intp], "~numpy.ndarray"),
    (np.ndarray[Any, np.dtype[Any]], "~numpy.ndarray"),
    (np.random.BitGenerator, "~numpy.random.BitGenerator"),  # NumPy defines these in private modules
    (np.random.Generator, "~numpy.random.Generator"),
    (np.random.PCG64DXSM, "~numpy.random.PCG64DXSM"),
    (np.random.SeedSequence, "~numpy.random.SeedSequence"),
]
# The same for annotations that are strings, because what they name is imported late or would import in a circle.
STRINGS = [
    ("Mapping[str, Array]", "~collections.abc.Mapping[str, ~numpy.ndarray]"),
    (" Wiring | Mapping", " ~symbreak.checkpoints.Wiring | ~collections.abc.Mapping"),
    ("<factory>", "..."),
]
CONSTANT = r"(?<= = )[A-Z][A-Z_]+\b"  # a default that bears a name


def setup(app: Sphinx) -> dict[str, bool]:
    written = [(stringify_annotation(alias, "smart"), name) for alias, name in ALIASES] + STRINGS
    longest_first = sorted(written, key=lambda pair: -len(pair[0]))

    def shorten(
        app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
    ) -> tuple[str | None, str | None]:
        if what == "class" and getattr(obj, "__sphinx_mock__", False):  # a framework's class is its base
            own = signature_of(obj.__init__, bound_method=True)
            signature = stringify_signature(own, show_return_annotation=False, unqualified_typehints=True)
        for text, short in longest_first:
            signature = signature and signature.replace(text, short)
            returns = returns and returns.replace(text, short)
        return signature and re.sub(CONSTANT, lambda found: value(found, obj), signature), returns

    def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
        generated = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")  # of a named tuple
        return True if generated else None

    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip)
    app.connect("doctree-read", plain)
    return {"parallel_read_safe": True}


def value(found: re.Match[str], obj: Any) -> str:
    """Give what a constant of the module stands for, which a reader can't look up."""
    known = vars(sys.modules[obj.__module__])
    return repr(known[found[0]]) if found[0] in known else found[0]


def plain(app: Sphinx, doctree: nodes.document) -> None:
    """Write `ndarray` and `dtype` without parameters, which autodoc leaves at properties and overloads.

    What then fits on a line stands on one.
    """
    for signature in doctree.findall(desc_signature):
        for named in list(signature.findall(pending_xref)):
            if named.get("reftarget") in {"numpy.ndarray", "numpy.dtype"} and named in named.parent.children:
                leave_out(named.parent, named.parent.index(named) + 1)
        for parameters in signature.findall(desc_parameterlist):  # counted with the names of modules until here
            if len(signature.astext()) <= app.config.python_maximum_signature_line_length:
                parameters["multi_line_parameter_list"] = False


def leave_out(parent: nodes.Element, place: int) -> None:
    """Remove what stands in brackets from a place on."""
    depth = 0
    while place < len(parent.children):
        text = parent[place].astext()
        depth += (text == "[") - (text == "]")
        if not depth and text != "]":
            return
        del parent[place]
        if not depth:
            return
