"""The bias of an output layer that knows how often each class occurs."""

import math
from collections.abc import Iterable
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ..streams import _elementary as elementary
from ._base import AbstractInitializer, Array, Moments
from ._registry import register
from ._validate import as_float, is_real

HEADS = ("sigmoid", "softmax")


@register("prior_bias")
@final
class PriorBias(AbstractInitializer):
    r"""The bias with which an untrained network predicts the classes as often as they occur.

    For a sigmoid :math:`b = -\ln((1 - p) / p)`, so that :math:`\sigma(b) = p`; for a softmax :math:`b_k = \ln p_k` with
    the frequencies scaled to sum to one. Without it, the many easy negatives of a rare class rule the first steps.

    Parameters
    ----------
    prior
        The frequency of one class, or of each: numbers between 0 and 1. A softmax takes counts too.
    head
        ``"sigmoid"`` or ``"softmax"``, which takes two frequencies or more.

    Raises
    ------
    ValueError
        For frequencies out of range or another head; when called, for a shape that is no bias, or whose size is no
        multiple of the number of frequencies.

    Notes
    -----
    A bias with several outputs a class (the anchors of a detector, one after another, each with all classes) repeats
    the frequencies.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár. "Focal loss for dense object detection". ICCV 2017, sections 3.3 and 4.1.
    :arxiv:`1708.02002`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> sb.PriorBias(0.01)(3, dtype="float64").round(4)
    array([-4.5951, -4.5951, -4.5951])
    >>> b = sb.PriorBias((900, 90, 10), head="softmax")(3, dtype="float64")
    >>> (np.exp(b) / np.exp(b).sum()).round(12)
    array([0.9 , 0.09, 0.01])
    """

    prior: float | tuple[float, ...] = 0.01
    head: str = field(default="sigmoid", kw_only=True)

    ties = "ties"
    elementwise = False

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"PriorBias: head is 'sigmoid' or 'softmax'; got {self.head!r}")
        given: Any = self.prior
        many = isinstance(given, Iterable) and not isinstance(given, str)
        entries = tuple(given) if many else (given,)
        highest = 1.0 if self.head == "sigmoid" else 1e30
        wrong = [p for p in entries if not is_real(p) or not 1e-30 <= as_float(p) < highest]
        if wrong:
            allowed = "frequencies between 0 and 1" if self.head == "sigmoid" else "positive frequencies or counts"
            raise ValueError(f"PriorBias: prior is {allowed}, one or one a class; got {wrong[0]!r}")
        if len(entries) < (2 if self.head == "softmax" else 1):
            raise ValueError(f"PriorBias: a {self.head} takes the frequency of each class; got {len(entries)} of them")
        object.__setattr__(self, "prior", tuple(map(float, entries)) if many else float(entries[0]))

    def _values(self, shape: tuple[int, ...]) -> Array:
        p = np.atleast_1d(np.array(self.prior, np.float64))
        if len(shape) != 1 or shape[0] % len(p):
            raise ValueError(
                f"PriorBias: a bias has one axis whose size is a multiple of the {len(p)} frequencies; got `shape` "
                f"{shape}"
            )
        one = elementary.log(p / (1 - p)) if self.head == "sigmoid" else elementary.log(p / math.fsum(p))
        return np.tile(one, shape[0] // len(p))

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the logarithms of the odds, or of the frequencies."""
        return self._values(shape)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the values, which are fixed."""
        values = self._values(as_shape(shape))
        if not values.size:
            return Moments(0.0, 0.0, 0.0, 0.0)
        std = float(values.std()) if isinstance(self.prior, tuple) else 0.0
        return Moments(float(values.mean()), std, float(values.min()), float(values.max()))
