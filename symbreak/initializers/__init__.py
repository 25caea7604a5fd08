"""Initializers: small frozen values that make weights, and the registry that knows them by name."""

from ._base import AbstractInitializer as AbstractInitializer
from ._base import Moments as Moments
from ._constant import Constant as Constant
from ._constant import Ones as Ones
from ._constant import Zeros as Zeros
from ._distributions import Normal as Normal
from ._distributions import Rademacher as Rademacher
from ._distributions import TruncatedNormal as TruncatedNormal
from ._distributions import Uniform as Uniform
from ._gains import gain as gain
from ._orthogonal import Orthogonal as Orthogonal
from ._registry import from_config as from_config
from ._registry import get as get
from ._registry import names as names
from ._registry import register as register
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
