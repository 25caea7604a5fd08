"""Looking closely at weights: which units are tied, and what that means.

Examples
--------
>>> import numpy as np
>>> from symbreak.diagnosis import find_ties
>>> find_ties(np.ones((3, 2))).labels
array([0, 0, 0])
"""

import typing as _typing

from symbreak._lazy import names_from as _names_from

from ._bits import NotNumbers as NotNumbers
from ._near import NearTies as NearTies
from ._near import check_tolerance as check_tolerance
from ._near import find_near_ties as find_near_ties
from ._sketch import Source as Source
from ._sketch import in_memory as in_memory
from ._ties import Ties as Ties
from ._ties import find_ties as find_ties
from ._ties import processors as processors
from ._ties import remembering as remembering
from ._together import judge_together as judge_together
from ._units import unit_axes as unit_axes
from ._weights import judge_array as judge_array
from ._weights import judge_weight as judge_weight

if _typing.TYPE_CHECKING:
    from ._network import judge_network as judge_network

__all__ = [
    "NearTies",
    "NotNumbers",
    "Source",
    "Ties",
    "check_tolerance",
    "find_near_ties",
    "find_ties",
    "in_memory",
    "judge_array",
    "judge_network",
    "judge_together",
    "judge_weight",
    "processors",
    "remembering",
    "unit_axes",
]


if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    # The certificate's parts: most checks of files need none of them.
    __getattr__ = _names_from(__name__, {"judge_network": "_network"})
