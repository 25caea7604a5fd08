"""The one explicit way to tie two parameters of a model: one is the other."""

from dataclasses import field
from typing import Any, NoReturn, final

from ..axes import Axes, AxesLike
from ..streams import Stream
from ._base import AbstractInitializer, Array, Moments
from ._registry import register


@register("same_as")
@final
class SameAs(AbstractInitializer):
    """The values of another parameter of the same plan, such as an output layer that shares the embedding.

    It can be a rule of :func:`symbreak.plan` only, and alone: a single weight has no other to be like. The plan looks
    the parameter up, whatever their order; one that is not there, a circle, or shapes that don't meet are errors.

    Parameters
    ----------
    parameter
        Its name in the plan.
    transpose
        Take it with its axes in reverse order.

    Raises
    ------
    TypeError
        If `parameter` is no text, or `transpose` no bool.

    References
    ----------
    Press, Wolf. "Using the output embedding to improve language models". EACL 2017. :arxiv:`1608.05859`

    Examples
    --------
    >>> import symbreak as sb
    >>> params = sb.initialize(
    ...     {"embed": (50, 8), "head": (50, 8)}, {"embed": sb.Normal(0.02), "head": sb.SameAs("embed")}, rng=0
    ... )
    >>> params["head"] is params["embed"]
    True
    """

    parameter: str
    transpose: bool = field(default=False)

    ties = "ties"
    elementwise = False

    def __post_init__(self) -> None:
        if not isinstance(self.parameter, str):
            raise TypeError(f"SameAs: parameter is a name in the plan; got {self.parameter!r}")
        if not isinstance(self.transpose, bool):
            raise TypeError(f"SameAs: transpose is True or False; got {self.transpose!r}")

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Refuse: the values are those of another parameter."""
        self._refuse()

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """Refuse: the plan states the moments of the other parameter."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ValueError(f"{self!r} stands for another parameter; give it to `plan` as a rule by itself")
