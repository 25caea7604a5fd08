"""Critical scales: the weights and biases with which a deep, wide network neither forgets its input nor scrambles it.

Behind a layer with weights of variance W / fan_in and biases of variance B, the variance q of the units and the
correlation of two inputs go on as q -> W E f(sqrt(q) z)**2 + B and, near one, 1 - c -> chi (1 - c), with
chi = W E f'(sqrt(q) z)**2 [1]_. Critical means a fixed point q with chi = 1 [2]_: every q belongs to one pair,
W = 1 / E f'**2 and B = q - W E f**2, and the one with the biases that are asked for is found along that line.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._base import Array
from ._gains import apply, check_moment, moments, named_function, normal_quadrature
from ._validate import is_real

GRID = np.geomspace(1e-6, 1e4, 201)  # of variances, where the line is looked at first


class Critical(NamedTuple):
    """Scales on the edge of chaos, and the variance that the units keep there.

    Attributes
    ----------
    weight_std
        The standard deviation of the weights, times sqrt(fan_in).
    bias_std
        That of the biases.
    variance
        That of the units before the activation, which every layer keeps.
    slope
        That of the map of variances at its fixed point: below one it attracts.

    Examples
    --------
    >>> import symbreak as sb
    >>> found = sb.critical("relu")
    >>> round(found.weight_std**2, 6), found.bias_std
    (2.0, 0.0)
    >>> init = sb.VarianceScaling(found.weight_std**2)
    """

    weight_std: float
    bias_std: float
    variance: float
    slope: float


def critical(activation: str | Callable[[Any], Any], *, bias_std: float = 0.0) -> Critical:
    """Give the scale of weights, for biases of a given scale, at which signals and gradients reach any depth.

    Parameters
    ----------
    activation
        A name that :func:`gain` knows, or a function that takes and gives an array.
    bias_std
        Standard deviation of the biases, zero or more.

    Returns
    -------
    Critical
        ``weight_std``, to be divided by sqrt(fan_in): ``VarianceScaling(weight_std ** 2)``; ``bias_std``; and
        ``variance``, the fixed point of the variance of the units before the activation; ``slope``, that of the map of
        variances there: below one the fixed point attracts, above one (square, exp) only what starts there stays. A
        variance of zero, without biases, means that it falls towards zero slowly, like one over the depth; for ReLU
        and its leaky relatives every variance is a fixed point, and 1 is given. Good to eight digits.

    Raises
    ------
    UnknownName
        For a name that is not in the table.
    TypeError, ValueError
        For something that is neither, a `bias_std` that is no such number, or where no weights are critical: the
        message says with what biases there are some.

    See Also
    --------
    gain : The first layer alone, and no biases.
    lsuv : Measured on data.

    Notes
    -----
    Where several pairs are critical, the one of the smallest variance is given. The derivative is a difference of five
    points.

    References
    ----------
    .. [1] Poole et al. "Exponential expressivity in deep neural networks through transient chaos". NeurIPS 2016,
       equations 3 and 5. :arxiv:`1606.05340`
    .. [2] Schoenholz et al. "Deep information propagation". ICLR 2017, section 3. :arxiv:`1611.01232`

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.critical("relu")
    Critical(weight_std=1.414213562, bias_std=0.0, variance=1.0, slope=1.0)
    >>> found = sb.critical("tanh", bias_std=0.05)
    >>> round(found.weight_std, 4), round(found.variance, 4)
    (1.1225, 0.1537)
    """
    function = named_function(activation)
    if not is_real(bias_std) or not 0 <= bias_std < 100:
        raise ValueError(f"bias_std is a number from 0 to 100; got {bias_std!r}")
    wanted = float(bias_std) ** 2
    if not isinstance(activation, str):
        _check_slope(function)
        with np.errstate(all="ignore"):
            check_moment(function, moments(function)[1])
    line = _Line(function)
    biases = np.array([line.bias_variance(q) for q in GRID])
    if not np.isfinite(biases).any():
        raise ValueError(f"{activation!r} has no slope, or no finite moments; no weights are critical for it")
    biases[np.abs(biases) <= 1e-8 * GRID] = 0.0  # the rounding of a difference
    if wanted == 0 and not biases.any():
        return _rounded(line, 0.0, 1.0)
    if wanted == 0 and line.starts_at_zero:
        return _rounded(line, 0.0, 0.0)
    if wanted < biases[0] and line.starts_at_zero:  # a bias this small is critical at a variance below the grid
        return _rounded(line, bias_std, _root(line, wanted, wanted, float(GRID[0])))
    above = biases - wanted
    with np.errstate(invalid="ignore"):
        crossings = np.flatnonzero((above[:-1] * above[1:] <= 0) & (above[:-1] != 0))
    if not len(crossings):
        most = math.sqrt(max(float(np.nanmax(biases)), 0.0))
        remedy = f"take biases up to {most:.3g}" if line.starts_at_zero else "take others"
        raise ValueError(f"no weights are critical for {activation!r} with bias_std={bias_std!r}; {remedy}")
    at = int(crossings[0])
    return _rounded(line, bias_std, _root(line, wanted, float(GRID[at]), float(GRID[at + 1])))


def _check_slope(function: Callable[[Any], Any]) -> None:
    """Refuse a function that jumps, as it changes otherwise than its slope says, or is infinitely steep at zero."""
    edges = np.linspace(-4.0, 4.0, 33)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    x = (edges[:-1, None] + edges[1:, None]) / 2 + nodes / 8  # (panels, nodes), for panels 1/4 wide
    h = 2e-3 / 8
    with np.errstate(all="ignore"):
        changes = np.diff(apply(function, edges))
        slope = (apply(function, x + h) - apply(function, x - h)) / (2 * h)
        missing = np.abs(changes - slope @ weights / 8)
        largest = np.abs(changes).max()
    if not missing.max() <= 0.2 * largest and largest > 0:
        at = int(np.argmax(np.nan_to_num(missing, nan=np.inf)))
        raise ValueError(
            f"{function!r} jumps between {edges[at]:g} and {edges[at + 1]:g}: it has no slope there for gradients "
            f"to go by, and no weights are critical for it; pass a continuous function, such as a steep sigmoid"
        )
    with np.errstate(all="ignore"):
        near, nearer = (np.abs(np.diff(apply(function, np.array([-h, 0.0, h])))).max() / h for h in (1e-5, 1e-7))
    if nearer > 10 and nearer > 2 * near:
        raise ValueError(
            f"{function!r} has no finite slope at 0, where it rises by {nearer:.3g} a unit and, looked at more "
            f"closely, by ever more; no weights are critical for it"
        )


class _Line:
    """The critical pairs of an activation, by the variance that is their fixed point."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        with np.errstate(all="ignore"):
            h = 1e-6
            at = apply(function, np.array([-2 * h, -h, 0.0, h, 2 * h]))
            slopes = (4 * at[3] - at[4] - 3 * at[2]) / (2 * h), (3 * at[2] + at[0] - 4 * at[1]) / (2 * h)
        self.slope_at_zero = math.sqrt((slopes[0] ** 2 + slopes[1] ** 2) / 2)
        self.starts_at_zero = bool(at[2] == 0 and self.slope_at_zero > 1e-5)

    def weight_variance(self, q: float) -> float:
        if q == 0:
            return 1 / self.slope_at_zero**2
        return self._moments(q)[0]

    def bias_variance(self, q: float) -> float:
        weights, second = self._moments(q)
        return q - weights * second

    def second(self, q: float) -> float:
        return self._moments(q)[1]

    def _moments(self, q: float) -> tuple[float, float]:
        """Give 1 / E f'(x)**2 and E f(x)**2 for x of variance q."""
        std = math.sqrt(q)
        x, weights = normal_quadrature(std)
        h = 2e-3 * np.repeat(_halves(x), 24)  # inside the panel: its outermost node is 5e-3 from the edge
        with np.errstate(all="ignore"):
            f = self.function
            slope = (8 * (apply(f, x + h) - apply(f, x - h)) - (apply(f, x + 2 * h) - apply(f, x - 2 * h))) / (12 * h)
            second = float(np.sum(apply(f, x) ** 2 * weights))
            steepness = float(np.sum(slope**2 * weights))
        return (1 / steepness if steepness > 0 else math.nan), second


def _halves(x: Array) -> Array:
    """Give half the width of each panel of 24 nodes."""
    panels = x.reshape(-1, 24)
    return np.asarray((panels[:, -1] - panels[:, 0]) / 2)


def _root(line: _Line, wanted: float, low: float, high: float) -> float:
    """Find the variance between two whose critical biases have the variance that is wanted, by bisection."""
    rising = line.bias_variance(high) > wanted
    for _ in range(60):
        middle = math.sqrt(low * high)
        if (line.bias_variance(middle) > wanted) == rising:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


def _rounded(line: _Line, bias_std: float, q: float) -> Critical:
    weights = line.weight_variance(q)
    step = 1e-4 * q
    slope = weights * (line.second(q + step) - line.second(q - step)) / (2 * step) if q else 1.0
    return Critical(float(f"{math.sqrt(weights):.10g}"), float(bias_std), float(f"{q:.10g}"), float(f"{slope:.6g}"))
