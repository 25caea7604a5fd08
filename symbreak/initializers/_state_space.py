"""State space models and linear recurrent units: how fast each state decays and turns, and how long a step is."""

import math
from dataclasses import field, replace
from functools import lru_cache
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ..streams import _elementary as elementary
from ..streams import _functions as functions
from ..streams._transforms import DOUBLE, SINGLE
from ._base import AbstractInitializer, Array, Moments
from ._moments import of_uniform
from ._registry import register
from ._validate import LARGEST, SMALLEST, as_float, check_finite, is_real
from ._wrapping import mix

INF = float("inf")
KINDS = ("real", "lin", "inv")


def _check_positive(instance: Any, *names: str) -> None:
    for name in names:
        value = getattr(instance, name)
        if not is_real(value) or not SMALLEST <= as_float(value) <= LARGEST:
            raise ValueError(f"{type(instance).__name__}: {name} is a positive number within float32; got {value!r}")
        object.__setattr__(instance, name, float(value))


@register("lru_nu_log")
@final
class LruNuLog(AbstractInitializer):
    r"""The decays of a linear recurrent unit: its eigenvalues lie uniformly on a ring of the unit disk.

    An eigenvalue is :math:`\lambda = \exp(-\exp(\nu) + i \exp(\theta))`; this gives :math:`\nu`, with
    :math:`|\lambda|^2` uniform on [inner**2, outer**2], which is uniform by area. :class:`LruThetaLog` gives
    :math:`\theta`, :func:`lru_gamma_log` what follows from :math:`\nu`.

    Parameters
    ----------
    inner, outer
        Radii of the ring, ``0 <= inner < outer <= 1``.

    Raises
    ------
    ValueError
        For radii that make no ring within the unit disk.

    References
    ----------
    Orvieto et al. "Resurrecting recurrent neural networks for long sequences". ICML 2023, lemma 3.2 and section 3.3.
    :arxiv:`2303.06349`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> size = np.exp(-np.exp(sb.LruNuLog(0.9, 0.999)(1000, rng=0)))
    >>> bool(0.9 <= size.min() and size.max() <= 0.999)
    True
    """

    inner: float = 0.0
    outer: float = 1.0

    def __post_init__(self) -> None:
        for name in ("inner", "outer"):
            if not is_real(getattr(self, name)):
                raise ValueError(f"LruNuLog: {name} is a radius, a number from 0 to 1; got {getattr(self, name)!r}")
            object.__setattr__(self, name, as_float(getattr(self, name)))
        if not 0 <= self.inner < self.outer <= 1:
            raise ValueError(
                f"LruNuLog: the ring lies within the unit disk, 0 <= inner < outer <= 1; got inner={self.inner!r}, "
                f"outer={self.outer!r}"
            )

    def _nu(self, u: Array, rest: Array) -> Array:
        """Give nu where the squared radius has gone the share `u` of its way, and `rest` is left."""
        width = self.outer**2 - self.inner**2
        square, beyond = self.inner**2 + u * width, 1 - self.outer**2 + rest * width
        # -ln(s) / 2; near s = 1 from 1 - s, of which s keeps little: -ln(1 - d) = 2 atanh(d / (2 - d)).
        ratio = beyond / (2 - beyond)
        near = ratio * (1 + ratio**2 * (1 / 3 + ratio**2 * (1 / 5 + ratio**2 / 7)))
        decay = np.where(beyond < 1e-3, near, -0.5 * elementary.log(np.maximum(square, 1e-300)))
        return elementary.log(decay)

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw squared radii, and take the logarithm of the decay."""
        return stream._draw("uniform", shape, functions.log_decay, self.inner, self.outer)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments, by quadrature, and the logarithms of the decays at both radii."""
        mean, std, kurtosis = of_uniform(self._nu)
        low = -INF if self.outer == 1 else math.log(-math.log(self.outer))
        high = INF if self.inner == 0 else math.log(-math.log(self.inner))
        return Moments(mean, std, low, high, kurtosis=kurtosis)


class _LogOfUniform(AbstractInitializer):
    """Base of the classes that give the logarithm of a uniform."""

    def _interval(self) -> tuple[float, float]:
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw uniforms and take their logarithm."""
        return stream._draw("uniform", shape, functions.log_of_uniform, *self._interval())

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments, by quadrature, and the logarithms of the bounds."""
        low, high = self._interval()
        mean, std, kurtosis = of_uniform(lambda u, _: np.log(low + u * (high - low)))
        return Moments(mean, std, math.log(low) if low else -INF, math.log(high), kurtosis=kurtosis)


@register("log_of_uniform")
@final
class LogOfUniform(_LogOfUniform):
    """Logarithms of uniforms on [low, high]: for parameters of which the exponential is taken.

    By default the ``A_log`` of Mamba-2.

    Parameters
    ----------
    low, high
        Bounds of the uniform, ``0 <= low < high``.

    Raises
    ------
    ValueError
        For bounds that are negative or not in order.

    References
    ----------
    Dao, Gu. "Transformers are SSMs". ICML 2024 (the decays of Mamba-2). :arxiv:`2405.21060`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> decay = np.exp(sb.LogOfUniform(1, 16)(1000, rng=0))
    >>> bool(1 <= decay.min() and decay.max() <= 16)
    True
    """

    low: float = 1.0
    high: float = 16.0

    def __post_init__(self) -> None:
        check_finite(self, "low", "high")
        if not 0 <= self.low < self.high or self.high < SMALLEST:
            raise ValueError(
                f"LogOfUniform: the uniform is positive, 0 <= low < high; got low={self.low!r}, high={self.high!r}"
            )

    def _interval(self) -> tuple[float, float]:
        return self.low, self.high


@register("lru_theta_log")
@final
class LruThetaLog(_LogOfUniform):
    r"""The angles of a linear recurrent unit: the logarithms of uniforms on [0, largest].

    Parameters
    ----------
    largest
        The largest angle, in radians; positive, a full turn by default. Small angles (pi/10) make long, slow patterns.

    Raises
    ------
    ValueError
        For an angle that is not positive.

    References
    ----------
    Orvieto et al. "Resurrecting recurrent neural networks for long sequences". ICML 2023, sections 3.3 and 3.4.
    :arxiv:`2303.06349`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> angle = np.exp(sb.LruThetaLog(np.pi / 10)(1000, rng=0))
    >>> bool(angle.max() <= np.pi / 10 * (1 + 1e-6))
    True
    """

    largest: float = 2 * math.pi

    def __post_init__(self) -> None:
        _check_positive(self, "largest")

    def _interval(self) -> tuple[float, float]:
        return 0.0, self.largest


def lru_gamma_log(nu_log: npt.ArrayLike) -> Array:
    r"""Give the logarithm of what a linear recurrent unit multiplies its inputs with, from its decays.

    :math:`\gamma = \sqrt{1 - |\lambda|^2}`, :math:`|\lambda| = \exp(-\exp(\nu))`: the states then have the variance of
    the inputs, however slowly they decay.

    Parameters
    ----------
    nu_log
        What :class:`LruNuLog` gave, of any shape.

    Returns
    -------
    numpy.ndarray
        Of the shape and, where it is a floating type, the dtype of `nu_log`.

    Raises
    ------
    ValueError
        For values that are not finite.

    References
    ----------
    Orvieto et al. "Resurrecting recurrent neural networks for long sequences". ICML 2023, equation 7 and section 3.4.
    :arxiv:`2303.06349`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.lru_gamma_log([0.0, -4.0]).round(4)
    array([-0.0727, -1.6626])
    """
    given = np.asarray(nu_log)
    nu = np.atleast_1d(given.astype(np.float64))
    if not np.isfinite(nu).all():
        raise ValueError("lru_gamma_log: `nu_log` has values that are not finite; pass what `LruNuLog` gave")
    # Beyond these a state forgets all at once, or nothing within 1e30 steps.
    twice = 2 * elementary.exp(np.clip(nu, -70.0, 5.0))
    gamma = 0.5 * elementary.log(-elementary.expm1(-twice))
    return gamma.reshape(given.shape).astype(given.dtype if given.dtype.kind not in "biu" else np.float64)


@register("mamba_dt_bias")
@final
class MambaDtBias(AbstractInitializer):
    """Biases of which the softplus, the step of a state space, is log-uniform.

    Parameters
    ----------
    low, high
        Bounds of the step, ``0 < low < high``.
    floor
        Steps below it are raised to it; 0 raises none.

    Raises
    ------
    ValueError
        For bounds that are not positive or not in order, or a floor at or above `high`.

    Notes
    -----
    The weight that this bias belongs to (``dt_proj``) starts at ``VarianceScaling(1 / 3, "in", "uniform")``: uniform on
    +- 1 / sqrt(rank).

    References
    ----------
    Gu, Dao. "Mamba: linear-time sequence modeling with selective state spaces". 2023, section 3.6 and appendix E.
    :arxiv:`2312.00752`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> step = np.logaddexp(0, sb.MambaDtBias()(1000, rng=0, dtype="float64"))
    >>> bool(0.001 <= step.min() and step.max() <= 0.1)
    True
    """

    low: float = 0.001
    high: float = 0.1
    floor: float = field(default=1e-4, kw_only=True)

    def __post_init__(self) -> None:
        _check_positive(self, "low", "high")
        check_finite(self, "floor")
        if not self.low < self.high <= 100:
            raise ValueError(
                f"MambaDtBias: a step lies between low and high, low < high <= 100; got low={self.low!r}, "
                f"high={self.high!r}"
            )
        if not 0 <= self.floor < self.high:
            raise ValueError(f"MambaDtBias: floor is a step below high, or 0; got {self.floor!r}")

    def _bias(self, u: Array) -> Array:
        low, high = elementary.log(np.array([self.low, self.high])).tolist()  # whose bits are the same everywhere
        step = np.clip(elementary.exp(low + u * (high - low)), max(self.low, self.floor), self.high)
        return step + elementary.log(-elementary.expm1(-step))  # softplus(b) = step, without overflow

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw steps, and take the inverse of the softplus."""
        fitted = _fit(self, stream.dtype == np.float64)
        if fitted is None:
            return elementary.each(lambda x: self._bias((1 + x) / 2), stream.uniform(shape))
        coefficients, least = fitted
        values = stream._draw("uniform", shape, functions.polynomial, coefficients)
        return values if least is None else np.maximum(values, stream.dtype.type(least), out=values)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments, by quadrature, and the biases at both bounds."""
        low = max(self.low, self.floor)
        cut = math.log(low / self.low) / math.log(self.high / self.low)  # the share of the steps that are raised
        ends = self._bias(np.array([cut, 1.0]))
        mean, std, kurtosis = of_uniform(lambda u, _: self._bias(cut + u * (1 - cut)))
        least, most = map(float, ends)
        drawn = Moments(mean, std, least, most, kurtosis=kurtosis)
        return mix([(cut, Moments(least, 0.0, least, least)), (1 - cut, drawn)])


@lru_cache(maxsize=256)
def _fit(init: MambaDtBias, double: bool) -> tuple[tuple[float, ...], float | None] | None:
    """Give the bias as a polynomial of a uniform on (-1, 1), and what it is raised to where the floor raises any."""
    without = replace(init, floor=0.0)  # and without its corner
    coefficients = functions.fit(lambda x: without._bias((1 + x) / 2), DOUBLE if double else SINGLE)
    if coefficients is None:
        return None
    return coefficients, init._bias(np.zeros(1)).item() if init.floor > init.low else None


class _OfStates(AbstractInitializer):
    """Base of the classes that give one number for each state, the same for every unit that has such states."""

    kind: str

    ties = "ties"
    elementwise = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{type(self).__name__}: kind is one of {', '.join(map(repr, KINDS))}; got {self.kind!r}")

    def _values(self, count: int) -> Array:
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the number of each state."""
        if len(shape) == 1:
            return self._values(shape[0])
        found = Axes.of(axes, shape)
        sizes = found._map_shape(shape)
        return found.from_matrices(np.broadcast_to(self._values(sizes[2]), sizes), shape)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the numbers of all states."""
        sizes = as_shape(shape)
        states = sizes[0] if len(sizes) == 1 else Axes.of(axes, sizes)._map_shape(sizes)[2]
        if not states:
            return Moments(0.0, 0.0, 0.0, 0.0)
        values = self._values(states)
        return Moments(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


@register("s4d_log_decay", "mamba_a_log")
@final
class S4dLogDecay(_OfStates):
    r"""The decays of a diagonal state space, :math:`\ln(-\operatorname{Re} \lambda_n)`, such as Mamba's ``A_log``.

    The states lie along the input axis of a (units, states) weight; every unit gets the same, on purpose, and its step
    and its inputs tell it from the others.

    Parameters
    ----------
    kind
        ``"real"``: :math:`\lambda_n = -(n + 1)`, Mamba's. ``"lin"`` and ``"inv"``: all decay as exp(-t/2), and
        :class:`S4dFrequency` tells them apart.

    Raises
    ------
    ValueError
        For another kind.

    References
    ----------
    Gu, Gupta, Goel, Ré. "On the parameterization and initialization of diagonal state space models". NeurIPS 2022,
    section 4. :arxiv:`2206.11893`

    Gu, Dao. "Mamba". 2023, section 3.6. :arxiv:`2312.00752`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> np.exp(sb.S4dLogDecay()((2, 4))).round(5)
    array([[1., 2., 3., 4.],
           [1., 2., 3., 4.]], dtype=float32)
    """

    kind: str = "real"

    def _values(self, count: int) -> Array:
        return elementary.log(np.arange(1.0, count + 1) if self.kind == "real" else np.full(count, 0.5))


@register("s4d_frequency")
@final
class S4dFrequency(_OfStates):
    r"""The frequencies of a diagonal state space, :math:`\operatorname{Im} \lambda_n`, n = 0 ... states - 1.

    The states lie along the input axis of a (units, states) weight, one of each conjugate pair; every unit gets the
    same, on purpose.

    Parameters
    ----------
    kind
        ``"lin"``: :math:`\pi n`. ``"inv"``: :math:`\frac{N}{\pi}\left(\frac{N}{2n + 1} - 1\right)`, where N counts
        both of each pair, twice the states of the weight. ``"real"``: zero.

    Raises
    ------
    ValueError
        For another kind.

    References
    ----------
    Gu, Gupta, Goel, Ré. "On the parameterization and initialization of diagonal state space models". NeurIPS 2022,
    section 4, S4D-Inv and S4D-Lin. :arxiv:`2206.11893`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.S4dFrequency("lin")((1, 4)).round(3)
    array([[0.   , 3.142, 6.283, 9.425]], dtype=float32)
    """

    kind: str = "lin"

    def _values(self, count: int) -> Array:
        n = np.arange(count, dtype=np.float64)
        if self.kind == "lin":
            return math.pi * n
        if self.kind == "real":
            return np.zeros(count)
        pairs = 2.0 * count
        return pairs / math.pi * (pairs / (2 * n + 1) - 1)


class _Legs(AbstractInitializer):
    """Base of the two parts of HiPPO-LegS, which draw nothing."""

    elementwise = False

    def _make(self, shape: tuple[int, ...], axes: AxesLike) -> Array:
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the closed form."""
        return self._make(shape, axes)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the entries, which are fixed."""
        values = self._make(as_shape(shape), axes)
        if not values.size:
            return Moments(0.0, 0.0, 0.0, 0.0)
        return Moments(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


@register("hippo_legs_a")
@final
class HippoLegsA(_Legs):
    r"""The transition of HiPPO-LegS, which keeps the whole past of a signal as coefficients of Legendre polynomials.

    :math:`A_{nk} = -\sqrt{(2n + 1)(2k + 1)}` for n > k, :math:`-(n + 1)` for n = k, else 0: the state c that obeys
    :math:`t \frac{dc}{dt} = A c + B f(t)` holds the coefficients of f on [0, t]. :class:`HippoLegsB` is its B.

    Raises
    ------
    ValueError
        When called, for a shape that is not square.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Ré. "HiPPO: recurrent memory with optimal polynomial projections". NeurIPS 2020, theorem 2.
    :arxiv:`2008.07669`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.HippoLegsA()((3, 3), dtype="float64").round(3)
    array([[-1.   ,  0.   ,  0.   ],
           [-1.732, -2.   ,  0.   ],
           [-2.236, -3.873, -3.   ]])
    """

    def _make(self, shape: tuple[int, ...], axes: AxesLike) -> Array:
        found = Axes.of(axes, shape)
        maps, states, incoming = found._map_shape(shape)
        if states != incoming or found.splits != 1:
            raise ValueError(
                f"HippoLegsA: the transition is square, (states, states), but `shape` {shape} has {states} states that "
                f"read {incoming}; for the input take `HippoLegsB()`"
            )
        root = np.sqrt(2.0 * np.arange(states) + 1)
        matrix = 0.0 - np.tril(np.outer(root, root), -1) - np.diag(np.arange(1.0, states + 1))
        return found.from_matrices(np.broadcast_to(matrix, (maps, states, states)), shape)


@register("hippo_legs_b")
@final
class HippoLegsB(_Legs):
    r"""The input of HiPPO-LegS, :math:`B_n = \sqrt{2n + 1}`, of shape (states,) or (states, 1).

    Raises
    ------
    ValueError
        When called, for a shape with more than one input.

    References
    ----------
    Gu, Dao, Ermon, Rudra, Ré. "HiPPO: recurrent memory with optimal polynomial projections". NeurIPS 2020, theorem 2.
    :arxiv:`2008.07669`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.HippoLegsB()(3, dtype="float64").round(3)
    array([1.   , 1.732, 2.236])
    """

    def _make(self, shape: tuple[int, ...], axes: AxesLike) -> Array:
        if len(shape) == 1:
            line: Array = np.sqrt(2.0 * np.arange(shape[0]) + 1)
            return line
        found = Axes.of(axes, shape)
        sizes = found._map_shape(shape)
        if sizes[2] > 1 or found.splits != 1:
            raise ValueError(
                f"HippoLegsB: each state reads one input, (states,) or (states, 1), but `shape` {shape} has {sizes[2]} "
                f"inputs; make the columns one by one"
            )
        column = np.sqrt(2.0 * np.arange(sizes[1]) + 1)[:, None]
        return found.from_matrices(np.broadcast_to(column, sizes), shape)
