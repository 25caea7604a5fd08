"""Layer-sequential unit variance: each weight scaled so that its layer's outputs have the variance that is asked for.

The network is a function that is called, so it may be written in anything; only arrays go in and come out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._table import html_table, table
from ._visible import visible
from .dtypes import EXTENSION_FLOATS, as_float_dtype, as_numpy, compute_dtype
from .initializers._validate import as_float, is_real

Array = npt.NDArray[Any]
Forward = Callable[[dict[str, Array]], Mapping[str, Any]]

STEEPEST, FLATTEST = 32.0, 1 / 16  # slopes that a step believes: powers of the weight that the outputs may go with
FARTHEST = math.log(1e12)  # what a weight may be scaled by


@final
@dataclass(frozen=True)
class LsuvLayer:
    """What was done to one weight.

    Attributes
    ----------
    name
        Of the weight.
    factor
        It was multiplied by this.
    steps
        How often it was scaled.
    before, after
        Standard deviation of the layer's outputs before anything was scaled, and when everything was.
    problem
        What could not be done, or None.
    """

    name: str
    factor: float
    steps: int
    before: float
    after: float
    problem: str | None


TITLES = ("weight", "factor", "steps", "std before", "after")


@final
@dataclass(frozen=True)
class LsuvResult:
    """Scaled weights, and what was done to each.

    Attributes
    ----------
    weights
        All that were given, as NumPy arrays: those of the layers scaled, the others as they were.
    layers
        One :class:`LsuvLayer` a scaled weight, in the order of the network.
    calls
        How often the network was run.
    """

    weights: dict[str, Array]
    layers: tuple[LsuvLayer, ...]
    calls: int

    @property
    def ok(self) -> bool:
        """True if every layer has the variance that was asked for."""
        return not any(layer.problem for layer in self.layers)

    def __str__(self) -> str:
        return "\n".join([table(TITLES, self._rows, right=(1, 2, 3, 4)), *self._problems])

    def _repr_html_(self) -> str:
        layers = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        return html_table(f"{layers}, {self.calls} calls", TITLES, self._rows, "; ".join(self._problems))

    @property
    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (visible(each.name), f"{each.factor:.4g}", str(each.steps), f"{each.before:.4g}", f"{each.after:.4g}")
            for each in self.layers
        ]

    @property
    def _problems(self) -> list[str]:
        return [f"{visible(each.name)}: {each.problem}" for each in self.layers if each.problem]


def lsuv(
    forward: Forward,
    weights: Mapping[str, Any],
    *,
    std: float = 1.0,
    tolerance: float = 0.1,
    steps: int = 10,
    sweeps: int = 3,
) -> LsuvResult:
    r"""Scale the weights of a network, one layer after another, until its outputs on a batch have unit variance.

    Start from orthogonal weights, as the paper does, or any others whose units differ.

    Parameters
    ----------
    forward
        The network on a batch: called with all weights by name (NumPy arrays of the shapes and dtypes that were given),
        it gives the outputs of each layer by the name of its weight, in the order in which they are computed. Outputs
        are arrays of any shape and any framework, before or after the activation; for a layer that is used several
        times, a list of them, whose variances are averaged. Weights that it doesn't name are left as they are.
    weights
        Arrays by name. They are not changed.
    std
        The standard deviation to reach, over the batch and all units.
    tolerance
        On the variance, relative: 0.1 as in the paper.
    steps
        Most scalings of a layer in one sweep.
    sweeps
        Most passes through the network: a layer that is used again further on may need a second one.

    Returns
    -------
    LsuvResult
        Its ``weights`` go into the network. Where everything was reached, a second run changes nothing.

    Raises
    ------
    TypeError, ValueError
        For arguments that make no sense, a forward that names a weight that is not there, or none, or others from one
        call to the next.

    See Also
    --------
    critical : Computed, not measured.
    gain : One layer.

    Notes
    -----
    A layer whose outputs are constant on the batch (a dead layer, a weight of zeros) or not finite can't be scaled: it
    is left as it came and named in the result, and those behind it are scaled all the same. Where outputs don't go with
    the weight (a bias as large as what is asked for), the nearest that was found is kept and named too.

    The first step multiplies by std over the outputs' own, which is exact for a layer without bias. Later ones follow
    the slope that was seen, within the bracket that was found, so that a layer used many times (whose outputs go with a
    power of its weight) does not run away.

    References
    ----------
    Mishkin, Matas. "All you need is a good init". ICLR 2016, algorithm 1. :arxiv:`1511.06422`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> weights = sb.initialize({"1": (64, 32), "2": (64, 64)}, {"*": sb.Orthogonal()}, rng=0)
    >>> batch = 3 * sb.Normal()((100, 32), rng=1)
    >>> def forward(weights):
    ...     one = batch @ weights["1"].T
    ...     return {"1": one, "2": np.maximum(one, 0) @ weights["2"].T}
    >>> result = sb.lsuv(forward, weights)
    >>> [round(float(outputs.std()), 3) for outputs in forward(result.weights).values()], result.ok
    ([1.0, 1.0], True)
    """
    network = _Network(forward, weights, std, tolerance)
    for name, count in (("steps", steps), ("sweeps", sweeps)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"lsuv: {name} is a positive integer; got {count!r}")
    for _ in range(sweeps):
        waiting = [name for name in network.stds if not network.reached(name) and name not in network.dead]
        if not waiting:
            break
        for name in network.stds:
            network.settle(name, steps)
    return network.result()


class _Network:
    """The weights as they are scaled by now, and the standard deviations of the outputs with them."""

    def __init__(self, forward: Any, weights: Any, std: Any, tolerance: Any) -> None:
        if not callable(forward):
            raise TypeError(f"lsuv: forward is a function of the weights; got {type(forward).__name__}")
        if not isinstance(weights, Mapping) or not weights:
            raise TypeError(f"lsuv: weights are arrays by name, one at least; got {weights!r:.80}")
        for name, value in (("std", std), ("tolerance", tolerance)):
            if not is_real(value) or not 1e-15 < as_float(value) < 1e15:
                raise ValueError(f"lsuv: {name} is a positive number; got {value!r}")
        if tolerance >= 1:
            raise ValueError(f"lsuv: tolerance is a share of the variance, below 1; got {tolerance!r}")
        self.forward = forward
        self.target, self.tolerance = float(std), float(tolerance)
        self.given = {name: _as_array(name, value) for name, value in weights.items()}
        self.weights = dict(self.given)
        self.logs = dict.fromkeys(self.given, 0.0)  # of the factors
        self.taken = dict.fromkeys(self.given, 0)
        self.dead: dict[str, str] = {}
        self.far: set[str] = set()  # what follows its weight, but not near enough
        self.calls = 0
        self.stds: dict[str, float] = {}
        self.stds = self.measure()
        self.before = dict(self.stds)

    def measure(self) -> dict[str, float]:
        """Run the network and give the standard deviation of each layer's outputs, in order."""
        self.calls += 1
        outputs = self.forward(dict(self.weights))
        if not isinstance(outputs, Mapping) or not outputs:
            raise TypeError(
                f"lsuv: forward gives the outputs of the layers by the name of their weight, one at least; got "
                f"{type(outputs).__name__}"
            )
        unknown = [name for name in outputs if name not in self.given]
        if unknown:
            known = ", ".join(map(repr, list(self.given)[:5])) + (", ..." if len(self.given) > 5 else "")
            raise ValueError(f"lsuv: forward gave the outputs of {unknown[0]!r}, but the weights are {known}")
        if self.stds and list(outputs) != list(self.stds):
            raise ValueError(
                f"lsuv: forward names the same layers in the same order at every call; it gave {list(outputs)!r:.80} "
                f"after {list(self.stds)!r:.80}"
            )
        return {name: _std(name, value) for name, value in outputs.items()}

    def reached(self, name: str) -> bool:
        """Say whether the outputs have the variance that is asked for."""
        return abs((self.stds[name] / self.target) ** 2 - 1) < self.tolerance

    def excess(self, name: str) -> float:
        """Give the logarithm of what the std is too large by, infinite where outputs vanish or overflow."""
        std = self.stds[name]
        return math.log(std / self.target) if 0 < std < math.inf else -math.inf if std == 0 else math.inf

    def scale(self, name: str, log: float) -> None:
        """Make the weight exp(log) times what was given, and run the network."""
        self.logs[name] = log
        given = self.given[name]
        kind = compute_dtype(as_float_dtype(given.dtype))
        with np.errstate(all="ignore"):
            self.weights[name] = (
                given if log == 0 else (given.astype(kind) * kind.type(math.exp(log))).astype(given.dtype)
            )
        self.stds = self.measure()

    def settle(self, name: str, steps: int) -> None:
        """Scale one weight until its layer has the variance, and keep the nearest that was found."""
        self.dead.pop(name, None)
        std = self.stds[name]
        if not 0 < std < math.inf:
            self.dead[name] = (
                "its outputs are constant on this batch, so no factor changes their variance"
                if std == 0
                else "its outputs are not finite"
            )
            return
        seen = [(self.logs[name], self.excess(name))]
        for _ in range(steps):
            if self.reached(name):
                return
            self.taken[name] += 1
            self.scale(name, _next(seen))
            seen.append((self.logs[name], self.excess(name)))
        nearest, excess = min(seen, key=lambda point: abs(point[1]))
        first, at_first = seen[0]
        if abs(nearest) == FARTHEST and nearest != first and (excess - at_first) / (nearest - first) > 0.5:
            self.far.add(name)
        if nearest != self.logs[name]:
            self.scale(name, nearest)

    def result(self) -> LsuvResult:
        """Tell what was done."""
        layers = []
        for name, after in self.stds.items():
            problem = self.dead.get(name)
            if problem is None and not self.reached(name):
                why = "they do not follow the weight, as with a large bias or a saturated activation"
                if name in self.far:
                    why = (
                        f"a weight is scaled by {math.exp(-FARTHEST):.0e} to {math.exp(FARTHEST):.0e}; start from "
                        f"weights, or a batch, nearer to one"
                    )
                problem = (
                    f"its outputs have the standard deviation {after:.4g} where {self.target:.4g} was asked for: {why}"
                )
            layers.append(
                LsuvLayer(name, math.exp(self.logs[name]), self.taken[name], self.before[name], after, problem)
            )
        return LsuvResult(self.weights, tuple(layers), self.calls)


def _next(seen: list[tuple[float, float]]) -> float:
    """Give the logarithm of the factor to try: a secant step, within the bracket if there is one."""
    x, y = seen[-1]
    finite = [point for point in seen[:-1] if math.isfinite(point[1])]
    if not math.isfinite(y):  # half of the way back
        return (x + min((point[0] for point in finite), key=lambda other: abs(other - x))) / 2
    slope = 1.0
    if finite:
        x0, y0 = min(finite, key=lambda point: abs(point[1]))
        if x != x0:
            slope = min(STEEPEST, max(FLATTEST, (y - y0) / (x - x0)))
    tried = x - y / slope
    below = [point[0] for point in seen if point[1] < 0]
    above = [point[0] for point in seen if point[1] > 0]
    if below and above and max(below) < min(above):
        low, high = max(below), min(above)
        margin = (high - low) / 50
        tried = tried if low + margin < tried < high - margin else (low + high) / 2
    return min(FARTHEST, max(-FARTHEST, tried))


def _std(name: str, outputs: Any) -> float:
    """Give the standard deviation of a layer's outputs; of several uses, from the mean of their variances."""
    uses = outputs if isinstance(outputs, list | tuple) else [outputs]
    if not uses:
        raise ValueError(f"lsuv: forward gave an empty list of outputs for {name!r}")
    variances = []
    for use in uses:
        array = as_numpy(use)
        if array.size < 2 or not (array.dtype.kind in "iuf" or array.dtype.name in EXTENSION_FLOATS):
            raise ValueError(
                f"lsuv: the outputs of {name!r} are an array of two numbers or more, or a list of such arrays; got "
                f"{array.size} of dtype {array.dtype}"
            )
        with np.errstate(all="ignore"):
            values = array.astype(np.float64)
            spread = float(values.max() - values.min())
            variances.append(float(values.var()) if spread > 0 or not math.isfinite(spread) else 0.0)
    return math.sqrt(sum(variances) / len(variances))


def _as_array(name: Any, value: Any) -> Array:
    if not isinstance(name, str):
        raise TypeError(f"lsuv: a weight's name is a string; got {name!r}")
    array = as_numpy(value)
    try:
        as_float_dtype(array.dtype)
    except TypeError:
        raise TypeError(f"lsuv: {name!r} is an array of floats; got {type(value).__name__} of {array.dtype}") from None
    return array
