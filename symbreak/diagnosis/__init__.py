"""Looking closely at weights: which units are tied, and what that means.

Examples
--------
>>> import numpy as np
>>> from symbreak.diagnosis import find_ties
>>> find_ties(np.ones((3, 2))).labels
array([0, 0, 0])
"""

from ._ties import Ties as Ties
from ._ties import find_ties as find_ties

__all__ = ["Ties", "find_ties"]
