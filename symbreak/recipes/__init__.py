"""Recipes: whole-model schemes, which give one initializer a parameter by its role, its depth and its width."""

from ._base import AbstractRecipe as AbstractRecipe
from ._base import Prescription as Prescription
from ._base import get as get
from ._base import names as names
from ._deepnorm import DeepNorm as DeepNorm
from ._fixup import Fixup as Fixup
from ._gpt2 import GPT2 as GPT2
from ._layer_scale import LayerScale as LayerScale
from ._mup import MuP as MuP
from ._parts import NAMES as NAMES
from ._parts import ROLES as ROLES
from ._parts import Part as Part
from ._parts import Role as Role
from ._parts import RolesLike as RolesLike
from ._parts import Tree as Tree
from ._parts import find_role as find_role
from ._parts import read_parts as read_parts
from ._rezero import ReZero as ReZero
from ._skip_init import SkipInit as SkipInit
from ._small_init import SmallInit as SmallInit
from ._spectral import Spectral as Spectral
from ._subln import SubLN as SubLN
from ._tfixup import TFixup as TFixup
