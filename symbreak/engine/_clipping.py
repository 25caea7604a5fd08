"""Bounds on the gradients of a step, one value a kind.

Clipping keeps ties: a norm scales all gradients by one number, and a bound on values is the same for every entry.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ._checks import as_positive

Array = np.ndarray[Any, np.dtype[Any]]


class AbstractClip(ABC):
    """A bound on gradients: subclass it to add a kind.

    The law: it treats all units alike. Equal slices of the gradients give equal slices of what comes out, to the bit.
    """

    @abstractmethod
    def __call__(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Give the clipped gradients of all parameters, by name; those that came are left as they were."""


@final
@dataclass(frozen=True)
class ClipNorm(AbstractClip):
    """Scale all gradients together, so that the norm over all of their entries is at most `limit`.

    Parameters
    ----------
    limit
        The largest norm, positive.

    Raises
    ------
    ValueError
        A limit that is not a positive number.

    References
    ----------
    Pascanu, Mikolov, Bengio. "On the difficulty of training recurrent neural networks". ICML 2013, algorithm 1.
    :arxiv:`1211.5063`

    Examples
    --------
    >>> import numpy as np
    >>> ClipNorm(1.0)({"weight": np.array([[3.0, 0.0]]), "bias": np.array([4.0])})
    {'weight': array([[0.6, 0. ]]), 'bias': array([0.8])}
    """

    limit: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", as_positive(self.limit, "the limit of a norm"))

    def __call__(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Give the gradients times ``min(1, limit / norm)``."""
        largest = max(float(abs(g).max()) for g in gradients.values())
        if not largest:
            return dict(gradients)
        # The entries are divided by the largest first: their squares could overflow, and clipping is for large ones.
        norm = math.sqrt(math.fsum(float(np.square(g / largest, dtype=np.float64).sum()) for g in gradients.values()))
        factor = min(1.0, self.limit / largest / norm)
        return {name: g * factor for name, g in gradients.items()}


@final
@dataclass(frozen=True)
class ClipValue(AbstractClip):
    """Bring every entry of the gradients between ``-limit`` and `limit`.

    Parameters
    ----------
    limit
        The largest entry, positive.

    Raises
    ------
    ValueError
        A limit that is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> ClipValue(1.0)({"weight": np.array([[3.0, -0.5]]), "bias": np.array([-4.0])})
    {'weight': array([[ 1. , -0.5]]), 'bias': array([-1.])}
    """

    limit: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", as_positive(self.limit, "the limit of a value"))

    def __call__(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Give the gradients, each entry at most `limit` from zero."""
        return {name: np.clip(g, -self.limit, self.limit) for name, g in gradients.items()}
