"""Repairs of tied units: one unit for each class, the same function without classes, or the tied units drawn again."""

from ._merge import merge as merge
from ._reinit import reinit as reinit
from ._tensors import Change as Change
from ._tensors import rewrite as rewrite
from ._untie import untie as untie
