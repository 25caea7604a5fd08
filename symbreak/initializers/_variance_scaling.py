"""Weights whose variance is a scale over a fan: the LeCun, Glorot and He families, and any other."""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar, final

from ..axes import Axes, AxesLike, Fans, as_shape
from ..streams import Stream, truncated_moments
from ._base import AbstractInitializer, Array, Moments, as_written
from ._registry import register
from ._validate import as_float, check_scale, is_real

INF = float("inf")
NORMAL, UNIFORM, TRUNCATED = "normal", "uniform", "truncated_normal"
DISTRIBUTIONS = (NORMAL, UNIFORM, TRUNCATED)
CUT = 2.0  # sigma, where the truncated families end
# A normal cut at two standard deviations has variance 1 - 4 phi(2) / (2 Phi(2) - 1), that is a std of 0.8796.
CUT_STD = truncated_moments(-CUT, CUT).std

FANS: dict[str, Callable[[Fans], float]] = {
    "in": lambda fans: float(fans.fan_in),
    "out": lambda fans: float(fans.fan_out),
    "average": lambda fans: (fans.fan_in + fans.fan_out) / 2,
    "geometric": lambda fans: math.sqrt(fans.fan_in * fans.fan_out),
}


class AbstractVarianceScaling(AbstractInitializer):
    """Base of the classes whose entries have mean 0 and variance ``scale / fan``.

    Attributes
    ----------
    scale
        Positive.
    fan
        ``"in"``, ``"out"``, ``"average"`` or ``"geometric"``.
    distribution
        ``"normal"``, ``"uniform"`` on +- sqrt(3 scale / fan), or ``"truncated_normal"``: cut at two of its own standard
        deviations, and wide enough that the variance after the cut is the one stated.
    """

    @property
    @abc.abstractmethod
    def _family(self) -> tuple[float, str, str]: ...

    def _stds(self, shape: tuple[int, ...], axes: AxesLike) -> list[float]:
        """Give the standard deviation of each part that the axes split the units into."""
        scale, fan, _ = self._family
        parts: tuple[Fans, ...] = Axes.of(axes, shape).part_fans(shape)
        counts = [FANS[fan](fans) for fans in parts]
        return [math.sqrt(scale / count) if count else 0.0 for count in counts]  # a fan of 0 is that of an empty weight

    @as_written(lambda self, shape, axes: len(set(self._stds(shape, axes))) == 1)
    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw with the standard deviation that the fans call for, part by part."""
        stds = self._stds(shape, axes)
        if len(set(stds)) == 1:
            return self._draw(shape, stream, stds[0])
        found = Axes.of(axes, shape)
        of_unit = [
            std for std, part in zip(stds, found.parts(shape), strict=True) for _ in range(part.start, part.stop)
        ]
        values = self._draw(shape, stream, 1.0)
        values *= stream.along(of_unit, shape, found.dims("o")[0])
        return values

    def _draw(self, shape: tuple[int, ...], stream: Stream, std: float) -> Array:
        distribution = self._family[2]
        if distribution == NORMAL:
            return stream.normal(shape, std=std)
        if distribution == UNIFORM:
            limit = math.sqrt(3.0) * std
            return stream.uniform(shape, -limit, limit)
        return stream.truncated_normal(shape, std=std / CUT_STD, low=-CUT, high=CUT)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State mean 0, the standard deviation that the fans call for, and the bounds of the distribution."""
        sizes = as_shape(shape)
        stds, parts = self._stds(sizes, axes), Axes.of(axes, sizes).parts(sizes)
        units = max(1, sum(part.stop - part.start for part in parts))
        variance = sum(std**2 * (part.stop - part.start) / units for std, part in zip(stds, parts, strict=True))
        std = stds[0] if len(set(stds)) == 1 else math.sqrt(variance)
        reach = {NORMAL: INF, UNIFORM: math.sqrt(3.0), TRUNCATED: CUT / CUT_STD}[self._family[2]]
        return Moments(0.0, std, -reach * max(stds), reach * max(stds))


class _Family(AbstractVarianceScaling):
    """A member that is three class attributes and prose."""

    scale: ClassVar[float]
    fan: ClassVar[str]
    distribution: ClassVar[str]

    @property
    def _family(self) -> tuple[float, str, str]:
        return self.scale, self.fan, self.distribution


@register("variance_scaling")
@final
class VarianceScaling(AbstractVarianceScaling):
    """Mean 0 and variance ``scale / fan``.

    Parameters
    ----------
    scale
        Positive; 1 for LeCun's and Glorot's families, 2 for He's, ``sb.gain(f) ** 2`` for other activations.
    fan
        ``"in"``, ``"out"``, ``"average"`` or ``"geometric"`` (the root of their product).
    distribution
        ``"normal"``, ``"uniform"`` or ``"truncated_normal"`` (cut at two sigma, variance corrected).

    Raises
    ------
    ValueError
        If a parameter is none of these.

    See Also
    --------
    gain : The scale for any activation: ``VarianceScaling(gain(function) ** 2)``.
    critical : The scale for any depth.
    fans : The numbers that the variance is divided by.

    References
    ----------
    He et al. "Delving deep into rectifiers". ICCV 2015, equations 10 and 14. :arxiv:`1502.01852`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.VarianceScaling(1.0, "out", "uniform").expected((64, 32)).std
    0.125
    """

    scale: float = 1.0
    fan: str = "in"
    distribution: str = NORMAL

    def __post_init__(self) -> None:
        if not is_real(self.scale) or not 0 < as_float(self.scale) < 1e30:
            raise ValueError(f"VarianceScaling: scale is a positive number; got {self.scale!r}")
        object.__setattr__(self, "scale", float(self.scale))
        check_scale(self, "scale", self.scale, 1e-30)  # over a fan of 1e20 it is still a normal number of float32
        if self.fan not in FANS:
            raise ValueError(f"VarianceScaling: fan is one of {', '.join(map(repr, FANS))}; got {self.fan!r}")
        if self.distribution not in DISTRIBUTIONS:
            allowed = ", ".join(map(repr, DISTRIBUTIONS))
            raise ValueError(f"VarianceScaling: distribution is one of {allowed}; got {self.distribution!r}")

    @property
    def _family(self) -> tuple[float, str, str]:
        return self.scale, self.fan, self.distribution


@register("lecun_normal")
@final
class LecunNormal(_Family):
    r"""Normal with variance :math:`1 / \text{fan}_\text{in}`, for SELU, tanh and linear layers.

    See Also
    --------
    LecunUniform, LecunTruncatedNormal : The same variance from other distributions.
    gain : What to multiply by, for any activation.

    References
    ----------
    LeCun, Bottou, Orr, Müller. "Efficient BackProp". 1998, equation 16.

    Klambauer et al. "Self-normalizing neural networks". NeurIPS 2017. :arxiv:`1706.02515`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.LecunNormal().expected((64, 16)).std
    0.25
    """

    scale, fan, distribution = 1.0, "in", NORMAL


@register("lecun_uniform")
@final
class LecunUniform(_Family):
    r"""Uniform with variance :math:`1 / \text{fan}_\text{in}`.

    See Also
    --------
    LecunNormal, LecunTruncatedNormal : The same variance from other distributions.

    References
    ----------
    LeCun, Bottou, Orr, Müller. "Efficient BackProp". 1998, equation 16.

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.LecunUniform().expected((64, 16)).high, 6)
    0.433013
    """

    scale, fan, distribution = 1.0, "in", UNIFORM


@register("lecun_truncated_normal")
@final
class LecunTruncatedNormal(_Family):
    r"""Normal cut at two sigma, with variance :math:`1 / \text{fan}_\text{in}` after the cut.

    JAX and Keras call this one ``lecun_normal``.

    See Also
    --------
    LecunNormal, LecunUniform : The same variance from other distributions.

    References
    ----------
    LeCun, Bottou, Orr, Müller. "Efficient BackProp". 1998, equation 16.

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.LecunTruncatedNormal().expected((64, 16)).high, 6)
    0.568424
    """

    scale, fan, distribution = 1.0, "in", TRUNCATED


@register("glorot_normal", "xavier_normal")
@final
class GlorotNormal(_Family):
    r"""Normal with variance :math:`2 / (\text{fan}_\text{in} + \text{fan}_\text{out})`.

    See Also
    --------
    GlorotUniform, GlorotTruncatedNormal : The same variance from other distributions.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, eq. 12.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.GlorotNormal().expected((24, 8)).std
    0.25
    """

    scale, fan, distribution = 1.0, "average", NORMAL


@register("glorot_uniform", "xavier_uniform")
@final
class GlorotUniform(_Family):
    r"""Uniform with variance :math:`2 / (\text{fan}_\text{in} + \text{fan}_\text{out})`.

    See Also
    --------
    GlorotNormal, GlorotTruncatedNormal : The same variance from other distributions.
    HeNormal : For layers followed by ReLU.
    critical : The scale that keeps signals alive at any depth.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, eq. 16.

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.GlorotUniform().expected((24, 8)).high, 6)
    0.433013
    """

    scale, fan, distribution = 1.0, "average", UNIFORM


@register("glorot_truncated_normal", "xavier_truncated_normal")
@final
class GlorotTruncatedNormal(_Family):
    r"""Normal cut at two sigma, with variance :math:`2 / (\text{fan}_\text{in} + \text{fan}_\text{out})` after the cut.

    JAX and Keras call this one ``glorot_normal``.

    See Also
    --------
    GlorotNormal, GlorotUniform : The same variance from other distributions.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, eq. 12.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.GlorotTruncatedNormal().expected((24, 8)).std
    0.25
    """

    scale, fan, distribution = 1.0, "average", TRUNCATED


@register("he_normal", "kaiming_normal")
@final
class HeNormal(_Family):
    r"""Normal with variance :math:`2 / \text{fan}_\text{in}`, for layers followed by ReLU.

    See Also
    --------
    HeUniform, HeTruncatedNormal : The same variance from other distributions.
    GlorotUniform : Behind tanh, or for no activation.
    critical : The scale that keeps signals alive at any depth.
    Orthogonal : For deep stacks.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015, equation 10. :arxiv:`1502.01852`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.HeNormal().expected((64, 32)).std
    0.25
    """

    scale, fan, distribution = 2.0, "in", NORMAL


@register("he_uniform", "kaiming_uniform")
@final
class HeUniform(_Family):
    r"""Uniform with variance :math:`2 / \text{fan}_\text{in}`, for layers followed by ReLU.

    See Also
    --------
    HeNormal, HeTruncatedNormal : The same variance from other distributions.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015, equation 10. :arxiv:`1502.01852`

    Examples
    --------
    >>> import symbreak as sb
    >>> round(sb.HeUniform().expected((64, 32)).high, 6)
    0.433013
    """

    scale, fan, distribution = 2.0, "in", UNIFORM


@register("he_truncated_normal", "kaiming_truncated_normal")
@final
class HeTruncatedNormal(_Family):
    r"""Normal cut at two sigma, with variance :math:`2 / \text{fan}_\text{in}` after the cut.

    JAX and Keras call this one ``he_normal``.

    See Also
    --------
    HeNormal, HeUniform : The same variance from other distributions.
    TruncatedNormal : A standard deviation and bounds of your own.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015, equation 10. :arxiv:`1502.01852`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.HeTruncatedNormal().expected((64, 32)).std
    0.25
    """

    scale, fan, distribution = 2.0, "in", TRUNCATED
