"""symbreak in Keras 3: initializers, whole models, their diagnosis, and a monitor for training."""

import importlib.util as _util
import typing as _typing

from .._lazy import names_from as _names_from
from ..errors import MissingExtra as _MissingExtra

if _util.find_spec("keras") is None:
    raise _MissingExtra("Keras", "keras", "symbreak.keras")

import keras as _keras

if not hasattr(_keras, "ops"):
    raise ImportError(
        f"symbreak.keras needs Keras 3, and this is Keras {_keras.__version__}: pip install 'symbreak[keras]'"
    )

from . import initializers as initializers
from ._initializer import Initializer as Initializer

if _typing.TYPE_CHECKING:
    from ._diagnose import diagnose as diagnose
    from ._initialize import initialize as initialize
    from ._initialize import plan as plan
    from ._monitor import Monitor as Monitor
    from ._probe import probe as probe
    from ._variables import arrays as arrays
    from ._wire import wire as wire

# Loaded when they are first used; the initializers are not, as Keras finds them by name when it loads a model.
_LATER = {
    "Monitor": "_monitor",
    "arrays": "_variables",
    "diagnose": "_diagnose",
    "initialize": "_initialize",
    "plan": "_initialize",
    "probe": "_probe",
    "wire": "_wire",
}

__all__ = ["Initializer", "initializers", *_LATER]  # noqa: PLE0604 - strings

if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
