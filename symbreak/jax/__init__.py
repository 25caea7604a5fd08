"""symbreak in JAX: initializers in JAX's form, for whole models, and the diagnostic of a model as it computes."""

import importlib.util as _util
import typing as _typing

from .._lazy import names_from as _names_from
from ..errors import MissingExtra as _MissingExtra

if _util.find_spec("jax") is None:
    raise _MissingExtra("JAX", "jax", "symbreak.jax")

if _typing.TYPE_CHECKING:
    from . import initializers as initializers
    from ._diagnose import diagnose as diagnose
    from ._diagnose import wire as wire
    from ._initialize import arrays as arrays
    from ._initialize import initialize as initialize
    from ._initialize import plan as plan
    from ._initializer import Initializer as Initializer
    from ._monitor import Monitor as Monitor
    from ._probe import probe as probe

# Loaded when they are first used.
_LATER = {
    "Initializer": "_initializer",
    "Monitor": "_monitor",
    "arrays": "_initialize",
    "diagnose": "_diagnose",
    "initialize": "_initialize",
    "plan": "_initialize",
    "probe": "_probe",
    "wire": "_diagnose",
}

__all__ = [*_LATER, "initializers"]  # noqa: PLE0604 - strings

if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, {**_LATER, "initializers": ""})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
