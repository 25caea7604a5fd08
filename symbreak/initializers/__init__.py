"""Initializers: small frozen values that make weights, and the registry that knows them by name."""

import typing as _typing

from symbreak._lazy import names_from as _names_from

if _typing.TYPE_CHECKING:
    from ._base import AbstractInitializer as AbstractInitializer
    from ._base import Moments as Moments
    from ._blocks import Blocks as Blocks
    from ._constant import Constant as Constant
    from ._constant import Ones as Ones
    from ._constant import Zeros as Zeros
    from ._critical import Critical as Critical
    from ._critical import critical as critical
    from ._delta_orthogonal import DeltaOrthogonal as DeltaOrthogonal
    from ._distributions import Normal as Normal
    from ._distributions import Rademacher as Rademacher
    from ._distributions import TruncatedNormal as TruncatedNormal
    from ._distributions import Uniform as Uniform
    from ._fourier import Fourier as Fourier
    from ._gains import gain as gain
    from ._identity import Dirac as Dirac
    from ._identity import Identity as Identity
    from ._identity import PaddedIdentity as PaddedIdentity
    from ._identity import ZerO as ZerO
    from ._looks_linear import LooksLinear as LooksLinear
    from ._masked import Masked as Masked
    from ._nguyen_widrow import WeightAndBias as WeightAndBias
    from ._nguyen_widrow import nguyen_widrow as nguyen_widrow
    from ._orthogonal import Orthogonal as Orthogonal
    from ._periodic import Siren as Siren
    from ._perturbed import Perturbed as Perturbed
    from ._prior import PriorBias as PriorBias
    from ._recurrent import Chrono as Chrono
    from ._recurrent import ForgetBias as ForgetBias
    from ._recurrent import per_gate as per_gate
    from ._registry import from_config as from_config
    from ._registry import get as get
    from ._registry import names as names
    from ._registry import register as register
    from ._rotations import Cayley as Cayley
    from ._rotations import Henaff as Henaff
    from ._rotations import SpecialOrthogonal as SpecialOrthogonal
    from ._same_as import SameAs as SameAs
    from ._scaled import Scaled as Scaled
    from ._sparse import Sparse as Sparse
    from ._state_space import HippoLegsA as HippoLegsA
    from ._state_space import HippoLegsB as HippoLegsB
    from ._state_space import LogOfUniform as LogOfUniform
    from ._state_space import LruNuLog as LruNuLog
    from ._state_space import LruThetaLog as LruThetaLog
    from ._state_space import MambaDtBias as MambaDtBias
    from ._state_space import S4dFrequency as S4dFrequency
    from ._state_space import S4dLogDecay as S4dLogDecay
    from ._state_space import lru_gamma_log as lru_gamma_log
    from ._upsampling import ICNR as ICNR
    from ._upsampling import Bilinear as Bilinear
    from ._variance_scaling import AbstractVarianceScaling as AbstractVarianceScaling
    from ._variance_scaling import GlorotNormal as GlorotNormal
    from ._variance_scaling import GlorotTruncatedNormal as GlorotTruncatedNormal
    from ._variance_scaling import GlorotUniform as GlorotUniform
    from ._variance_scaling import HeNormal as HeNormal
    from ._variance_scaling import HeTruncatedNormal as HeTruncatedNormal
    from ._variance_scaling import HeUniform as HeUniform
    from ._variance_scaling import LecunNormal as LecunNormal
    from ._variance_scaling import LecunTruncatedNormal as LecunTruncatedNormal
    from ._variance_scaling import LecunUniform as LecunUniform
    from ._variance_scaling import VarianceScaling as VarianceScaling

# The family that holds each name. A family is loaded when one of its names is first used, or all are asked for.
FAMILIES = {
    "AbstractInitializer": "_base",
    "AbstractVarianceScaling": "_variance_scaling",
    "Bilinear": "_upsampling",
    "Blocks": "_blocks",
    "Cayley": "_rotations",
    "Chrono": "_recurrent",
    "Constant": "_constant",
    "Critical": "_critical",
    "critical": "_critical",
    "DeltaOrthogonal": "_delta_orthogonal",
    "Dirac": "_identity",
    "ForgetBias": "_recurrent",
    "Fourier": "_fourier",
    "from_config": "_registry",
    "gain": "_gains",
    "get": "_registry",
    "GlorotNormal": "_variance_scaling",
    "GlorotTruncatedNormal": "_variance_scaling",
    "GlorotUniform": "_variance_scaling",
    "Henaff": "_rotations",
    "HeNormal": "_variance_scaling",
    "HeTruncatedNormal": "_variance_scaling",
    "HeUniform": "_variance_scaling",
    "HippoLegsA": "_state_space",
    "HippoLegsB": "_state_space",
    "ICNR": "_upsampling",
    "Identity": "_identity",
    "LecunNormal": "_variance_scaling",
    "LecunTruncatedNormal": "_variance_scaling",
    "LecunUniform": "_variance_scaling",
    "LogOfUniform": "_state_space",
    "LooksLinear": "_looks_linear",
    "lru_gamma_log": "_state_space",
    "LruNuLog": "_state_space",
    "LruThetaLog": "_state_space",
    "MambaDtBias": "_state_space",
    "Masked": "_masked",
    "Moments": "_base",
    "names": "_registry",
    "nguyen_widrow": "_nguyen_widrow",
    "Normal": "_distributions",
    "Ones": "_constant",
    "Orthogonal": "_orthogonal",
    "PaddedIdentity": "_identity",
    "per_gate": "_recurrent",
    "Perturbed": "_perturbed",
    "PriorBias": "_prior",
    "Rademacher": "_distributions",
    "register": "_registry",
    "S4dFrequency": "_state_space",
    "S4dLogDecay": "_state_space",
    "SameAs": "_same_as",
    "Scaled": "_scaled",
    "Siren": "_periodic",
    "Sparse": "_sparse",
    "SpecialOrthogonal": "_rotations",
    "TruncatedNormal": "_distributions",
    "Uniform": "_distributions",
    "VarianceScaling": "_variance_scaling",
    "WeightAndBias": "_nguyen_widrow",
    "ZerO": "_identity",
    "Zeros": "_constant",
}

__all__ = list(FAMILIES)


if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, FAMILIES)


def __dir__() -> list[str]:
    return sorted({*globals(), *FAMILIES})
