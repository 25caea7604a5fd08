"""symbreak in Keras 3: initializers, whole models, their diagnosis, and a monitor for training."""

import importlib.util as _util
import typing as _typing

from .._lazy import names_from as _names_from
from ..errors import MissingExtra as _MissingExtra

if _util.find_spec("keras") is None:
    raise _MissingExtra("Keras", "keras", "symbreak.keras")

try:
    import keras as _keras
except ModuleNotFoundError as _fault:
    _missing = (_fault.name or "").partition(".")[0]
    if _missing not in ("tensorflow", "torch", "jax", "openvino"):
        raise
    raise ImportError(
        f"Keras can't be loaded, as its backend, {_missing}, is not installed: install it, or name one that is before "
        f"Keras is first imported, as in os.environ['KERAS_BACKEND'] = 'jax' (or 'torch', 'numpy')"
    ) from _fault

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
