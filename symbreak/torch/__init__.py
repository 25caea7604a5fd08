"""symbreak in PyTorch: initializers in torch's form, whole models, and the diagnostic of a model as it computes."""

import importlib.util as _util
import typing as _typing

from .._lazy import names_from as _names_from
from ..errors import MissingExtra as _MissingExtra

if _util.find_spec("torch") is None:
    raise _MissingExtra("PyTorch", "torch", "symbreak.torch")

if _typing.TYPE_CHECKING:
    from . import init as init
    from ._callback import MonitorCallback as MonitorCallback
    from ._diagnose import diagnose as diagnose
    from ._initialize import initialize as initialize
    from ._initialize import plan as plan
    from ._monitor import Monitor as Monitor
    from ._probe import probe as probe
    from ._wire import wire as wire

# Loaded when they are first used.
_LATER = {
    "Monitor": "_monitor",
    "MonitorCallback": "_callback",
    "diagnose": "_diagnose",
    "initialize": "_initialize",
    "plan": "_initialize",
    "probe": "_probe",
    "wire": "_wire",
}
_MODULES = ("init",)

__all__ = [*_LATER, *_MODULES]  # noqa: PLE0604 - strings

if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, {**_LATER, **dict.fromkeys(_MODULES, "")})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
