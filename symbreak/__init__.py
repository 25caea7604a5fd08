"""How a network's weights start, and whether its units can ever become different."""

import typing as _typing

if _typing.TYPE_CHECKING:
    from . import errors as errors
    from ._api import diagnose as diagnose
    from ._audit import Audit as Audit
    from ._audit import Judged as Judged
    from ._restarts import Restarts as Restarts
    from ._restarts import restarts as restarts
    from .axes import Axes as Axes
    from .axes import Fans as Fans
    from .axes import fans as fans
    from .findings import Code as Code
    from .findings import Finding as Finding
    from .graph import LayerGraph as LayerGraph
    from .graph import chain as chain
    from .initializers import AbstractInitializer as AbstractInitializer
    from .initializers import AbstractVarianceScaling as AbstractVarianceScaling
    from .initializers import Blocks as Blocks
    from .initializers import Constant as Constant
    from .initializers import GlorotNormal as GlorotNormal
    from .initializers import GlorotTruncatedNormal as GlorotTruncatedNormal
    from .initializers import GlorotUniform as GlorotUniform
    from .initializers import HeNormal as HeNormal
    from .initializers import HeTruncatedNormal as HeTruncatedNormal
    from .initializers import HeUniform as HeUniform
    from .initializers import LecunNormal as LecunNormal
    from .initializers import LecunTruncatedNormal as LecunTruncatedNormal
    from .initializers import LecunUniform as LecunUniform
    from .initializers import Masked as Masked
    from .initializers import Moments as Moments
    from .initializers import Normal as Normal
    from .initializers import Ones as Ones
    from .initializers import Orthogonal as Orthogonal
    from .initializers import Perturbed as Perturbed
    from .initializers import SameAs as SameAs
    from .initializers import Scaled as Scaled
    from .initializers import TruncatedNormal as TruncatedNormal
    from .initializers import Uniform as Uniform
    from .initializers import VarianceScaling as VarianceScaling
    from .initializers import Zeros as Zeros
    from .initializers import from_config as from_config
    from .initializers import gain as gain
    from .initializers import get as get
    from .initializers import names as names
    from .initializers import register as register
    from .repair import merge as merge
    from .repair import reinit as reinit
    from .repair import untie as untie
    from .reports import Report as Report
    from .rules import Plan as Plan
    from .rules import Rule as Rule
    from .rules import initialize as initialize
    from .rules import plan as plan
    from .streams import Key as Key
    from .streams import Stream as Stream

__version__ = "0.0.1"

# Loaded when they are first used: somebody who imports an initializer should not wait for the diagnostic, nor a check
# of a file for the initializers.
_LATER = {
    "Axes": "axes",
    "Fans": "axes",
    "fans": "axes",
    "AbstractInitializer": "initializers",
    "AbstractVarianceScaling": "initializers",
    "Blocks": "initializers",
    "Constant": "initializers",
    "GlorotNormal": "initializers",
    "GlorotTruncatedNormal": "initializers",
    "GlorotUniform": "initializers",
    "HeNormal": "initializers",
    "HeTruncatedNormal": "initializers",
    "HeUniform": "initializers",
    "LecunNormal": "initializers",
    "LecunTruncatedNormal": "initializers",
    "LecunUniform": "initializers",
    "Masked": "initializers",
    "Moments": "initializers",
    "Normal": "initializers",
    "Ones": "initializers",
    "Orthogonal": "initializers",
    "Perturbed": "initializers",
    "SameAs": "initializers",
    "Scaled": "initializers",
    "TruncatedNormal": "initializers",
    "Uniform": "initializers",
    "VarianceScaling": "initializers",
    "Zeros": "initializers",
    "from_config": "initializers",
    "gain": "initializers",
    "get": "initializers",
    "names": "initializers",
    "register": "initializers",
    "Key": "streams",
    "Stream": "streams",
    "diagnose": "_api",
    "Audit": "_audit",
    "Judged": "_audit",
    "Code": "findings",
    "Finding": "findings",
    "chain": "graph",
    "LayerGraph": "graph",
    "merge": "repair",
    "reinit": "repair",
    "untie": "repair",
    "Report": "reports",
    "initialize": "rules",
    "Plan": "rules",
    "plan": "rules",
    "Rule": "rules",
    "Restarts": "_restarts",
    "restarts": "_restarts",
}


__all__ = list(_LATER)

_MODULES = (
    "axes",
    "checkpoints",
    "diagnosis",
    "engine",
    "errors",
    "initializers",
    "published",
    "recipes",
    "repair",
    "streams",
    "testing",
)


def _load(name: str) -> object:
    if name not in _LATER and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"{__name__}.{_LATER.get(name, name)}")
    value: object = getattr(module, name) if name in _LATER else module
    globals()[name] = value
    return value


if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
