"""How a network's weights start, and whether its units can ever become different."""

import typing as _typing

from ._lazy import names_from as _names_from

if _typing.TYPE_CHECKING:
    from . import errors as errors
    from ._api import diagnose as diagnose
    from ._audit import Audit as Audit
    from ._audit import Judged as Judged
    from ._lsuv import LsuvLayer as LsuvLayer
    from ._lsuv import LsuvResult as LsuvResult
    from ._lsuv import lsuv as lsuv
    from ._restarts import Minima as Minima
    from ._restarts import Restarts as Restarts
    from ._restarts import Solved as Solved
    from ._restarts import restarts as restarts
    from .axes import Axes as Axes
    from .axes import Fans as Fans
    from .axes import fans as fans
    from .findings import Code as Code
    from .findings import Finding as Finding
    from .graph import LayerGraph as LayerGraph
    from .graph import chain as chain
    from .initializers import ICNR as ICNR
    from .initializers import AbstractInitializer as AbstractInitializer
    from .initializers import AbstractVarianceScaling as AbstractVarianceScaling
    from .initializers import Bilinear as Bilinear
    from .initializers import Blocks as Blocks
    from .initializers import Cayley as Cayley
    from .initializers import Chrono as Chrono
    from .initializers import Constant as Constant
    from .initializers import Critical as Critical
    from .initializers import DeltaOrthogonal as DeltaOrthogonal
    from .initializers import Dirac as Dirac
    from .initializers import ForgetBias as ForgetBias
    from .initializers import Fourier as Fourier
    from .initializers import GlorotNormal as GlorotNormal
    from .initializers import GlorotTruncatedNormal as GlorotTruncatedNormal
    from .initializers import GlorotUniform as GlorotUniform
    from .initializers import Henaff as Henaff
    from .initializers import HeNormal as HeNormal
    from .initializers import HeTruncatedNormal as HeTruncatedNormal
    from .initializers import HeUniform as HeUniform
    from .initializers import HippoLegsA as HippoLegsA
    from .initializers import HippoLegsB as HippoLegsB
    from .initializers import Identity as Identity
    from .initializers import LecunNormal as LecunNormal
    from .initializers import LecunTruncatedNormal as LecunTruncatedNormal
    from .initializers import LecunUniform as LecunUniform
    from .initializers import LogOfUniform as LogOfUniform
    from .initializers import LooksLinear as LooksLinear
    from .initializers import LruNuLog as LruNuLog
    from .initializers import LruThetaLog as LruThetaLog
    from .initializers import MambaDtBias as MambaDtBias
    from .initializers import Masked as Masked
    from .initializers import Moments as Moments
    from .initializers import Normal as Normal
    from .initializers import Ones as Ones
    from .initializers import Orthogonal as Orthogonal
    from .initializers import PaddedIdentity as PaddedIdentity
    from .initializers import Perturbed as Perturbed
    from .initializers import PriorBias as PriorBias
    from .initializers import Rademacher as Rademacher
    from .initializers import S4dFrequency as S4dFrequency
    from .initializers import S4dLogDecay as S4dLogDecay
    from .initializers import SameAs as SameAs
    from .initializers import Scaled as Scaled
    from .initializers import Siren as Siren
    from .initializers import Sparse as Sparse
    from .initializers import SpecialOrthogonal as SpecialOrthogonal
    from .initializers import TruncatedNormal as TruncatedNormal
    from .initializers import Uniform as Uniform
    from .initializers import VarianceScaling as VarianceScaling
    from .initializers import WeightAndBias as WeightAndBias
    from .initializers import ZerO as ZerO
    from .initializers import Zeros as Zeros
    from .initializers import critical as critical
    from .initializers import from_config as from_config
    from .initializers import gain as gain
    from .initializers import get as get
    from .initializers import lru_gamma_log as lru_gamma_log
    from .initializers import names as names
    from .initializers import nguyen_widrow as nguyen_widrow
    from .initializers import per_gate as per_gate
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

__version__ = "0.1.0"

# Loaded when they are first used: somebody who imports an initializer should not wait for the diagnostic, nor a check
# of a file for the initializers.
_LATER = {
    "Axes": "axes",
    "Fans": "axes",
    "fans": "axes",
    "AbstractInitializer": "initializers",
    "AbstractVarianceScaling": "initializers",
    "Bilinear": "initializers",
    "Blocks": "initializers",
    "Cayley": "initializers",
    "Chrono": "initializers",
    "Constant": "initializers",
    "Critical": "initializers",
    "DeltaOrthogonal": "initializers",
    "Dirac": "initializers",
    "ForgetBias": "initializers",
    "Fourier": "initializers",
    "GlorotNormal": "initializers",
    "GlorotTruncatedNormal": "initializers",
    "GlorotUniform": "initializers",
    "HeNormal": "initializers",
    "HeTruncatedNormal": "initializers",
    "HeUniform": "initializers",
    "Henaff": "initializers",
    "HippoLegsA": "initializers",
    "HippoLegsB": "initializers",
    "ICNR": "initializers",
    "Identity": "initializers",
    "LecunNormal": "initializers",
    "LecunTruncatedNormal": "initializers",
    "LecunUniform": "initializers",
    "LogOfUniform": "initializers",
    "LooksLinear": "initializers",
    "LruNuLog": "initializers",
    "LruThetaLog": "initializers",
    "MambaDtBias": "initializers",
    "Masked": "initializers",
    "Moments": "initializers",
    "Normal": "initializers",
    "Ones": "initializers",
    "Orthogonal": "initializers",
    "PaddedIdentity": "initializers",
    "Perturbed": "initializers",
    "PriorBias": "initializers",
    "Rademacher": "initializers",
    "S4dFrequency": "initializers",
    "S4dLogDecay": "initializers",
    "SameAs": "initializers",
    "Scaled": "initializers",
    "Siren": "initializers",
    "Sparse": "initializers",
    "SpecialOrthogonal": "initializers",
    "TruncatedNormal": "initializers",
    "Uniform": "initializers",
    "VarianceScaling": "initializers",
    "WeightAndBias": "initializers",
    "ZerO": "initializers",
    "Zeros": "initializers",
    "critical": "initializers",
    "from_config": "initializers",
    "gain": "initializers",
    "get": "initializers",
    "lru_gamma_log": "initializers",
    "names": "initializers",
    "nguyen_widrow": "initializers",
    "per_gate": "initializers",
    "register": "initializers",
    "Key": "streams",
    "Stream": "streams",
    "diagnose": "_api",
    "Audit": "_audit",
    "Judged": "_audit",
    "Code": "findings",
    "Finding": "findings",
    "lsuv": "_lsuv",
    "LsuvLayer": "_lsuv",
    "LsuvResult": "_lsuv",
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
    "Minima": "_restarts",
    "Restarts": "_restarts",
    "Solved": "_restarts",
    "restarts": "_restarts",
}


__all__ = list(_LATER)

_MODULES = (
    "adapters",
    "attention",
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
_FRAMEWORKS = ("jax", "keras", "torch")  # where they are installed; who lists names should load none


if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, {**_LATER, **dict.fromkeys((*_MODULES, *_FRAMEWORKS), "")})


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_MODULES})
