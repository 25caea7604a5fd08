"""The audit: parameters compared with the plan that they should come from."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._visible import visible
from .axes import Axes
from .diagnosis import find_ties
from .dtypes import EXTENSION_FLOATS
from .initializers import AbstractVarianceScaling, Moments
from .rules import Plan, Row, units_first

Array = npt.NDArray[Any]

SIGMAS = 6.0  # a healthy parameter is called off its moments once in 1e9
RARE = 1e-6  # expected chance ties below which a tie is no accident of rounding
COMPUTED = 2.0**-19  # relative: a value computed in float32, through BLAS for some, before it is rounded
# Two draws of one value: about 0.2 of the spacing of floats near 1; float32 values have 24 bits.
MANTISSA_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}


@final
@dataclass(frozen=True)
class Audit:
    """What is wrong with a set of parameters, by the plan: names to sentences.

    Attributes
    ----------
    unused
        Patterns that hit no parameter.
    untouched
        Parameters that no rule hits.
    missing
        Parameters of the plan that were not given.
    unexpected
        Parameters that the plan does not know, whose shape is another, or that hold no real numbers.
    not_finite
        Parameters with NaN or infinite values.
    off
        Parameters whose mean, standard deviation or range is not what the initializer states.
    tied
        Weights with equal units although the initializer breaks ties.
    chance
        Weights so narrow, in a dtype so coarse, that units can be equal by chance.
    """

    unused: dict[str, str]
    untouched: dict[str, str]
    missing: dict[str, str]
    unexpected: dict[str, str]
    not_finite: dict[str, str]
    off: dict[str, str]
    tied: dict[str, str]
    chance: dict[str, str]

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not any(getattr(self, field.name) for field in fields(self))

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {"ok": self.ok, **{field.name: dict(getattr(self, field.name)) for field in fields(self)}}

    def __str__(self) -> str:
        lines = [
            f"{field.name.replace('_', ' ')}: {visible(name)}: {sentence}"
            for field in fields(self)
            for name, sentence in getattr(self, field.name).items()
        ]
        return "\n".join([*lines, "as planned" if self.ok else f"{len(lines)} not as planned"])


def audit(plan: Plan, params: Any) -> Audit:
    """Compare `params` with `plan`; see :meth:`symbreak.Plan.audit`."""
    if not isinstance(params, Mapping) and not hasattr(params, "tensors"):
        raise TypeError(f"the audit takes arrays by name, a dict or an open checkpoint; got {type(params).__name__}")
    found: dict[str, dict[str, str]] = {field.name: {} for field in fields(Audit)}
    found["unused"] = dict.fromkeys(plan.unused, "this rule hits no parameter")
    found["untouched"] = dict.fromkeys(plan.untouched, "no rule hits this parameter")
    known = {row.name for row in plan.rows} | set(plan.untouched)
    found["unexpected"] = {name: "not in the plan" for name in params if name not in known}
    for row in plan.rows:
        if row.name not in params:
            found["missing"][row.name] = "in the plan, but not among the parameters"
            continue
        array = np.asarray(params[row.name])
        if array.shape != row.shape:
            found["unexpected"][row.name] = f"has shape {array.shape} where the plan has {row.shape}"
            continue
        if not _is_real(array.dtype):
            found["unexpected"][row.name] = f"has dtype {array.dtype}, which holds no real numbers"
            continue
        for kind, sentence in _judge(row, array):
            found[kind][row.name] = sentence
    return Audit(**found)


def _is_real(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" or dtype.name in EXTENSION_FLOATS


def _judge(row: Row, array: Array) -> list[tuple[str, str]]:
    if array.size == 0:
        return []
    values = array.astype(np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        return [("not_finite", f"{wrong} of {array.size} values are not finite")]
    found = []
    with np.errstate(all="ignore"):  # a moment that overflows is off
        wrongs = [_compare(part, expected, array.dtype) for part, expected in _parts(row, values)]
    if any(wrongs):
        found.append(("off", next(sentence for sentence in wrongs if sentence)))
    if row.rule.initializer.ties == "breaks" and array.ndim >= 2:
        chance = _chance(row, array)
        ties = _count_ties(units_first(array, row.rule.axes), _slices(row))
        if chance > RARE:
            found.append(
                ("chance", f"in {array.dtype} about {chance:.2g} pairs of units are equal by chance; {_count(ties)}")
            )
        elif ties:
            found.append(("tied", f"{_count(ties)}, although {row.rule.initializer!r} breaks ties"))
    return found


def _parts(row: Row, values: Array) -> Iterator[tuple[Array, Moments]]:
    """Give what has one distribution, with its moments: the parts that axes split a weight into are scaled apart."""
    axes, initializer = row.rule.axes, row.rule.initializer
    if row.expected is None:
        return
    if values.ndim < 2 or not isinstance(axes, Axes) or not isinstance(initializer, AbstractVarianceScaling):
        yield values, row.expected
        return
    dim = axes.dims("o")[0]
    for part in axes.parts(row.shape) if axes.splits != 1 else (slice(None),):
        piece = values[(slice(None),) * dim + (part,)]
        yield piece, initializer.expected(piece.shape, replace(axes, splits=1))


def _compare(values: Array, expected: Moments, dtype: np.dtype[Any]) -> str | None:
    """Say how the values differ from the moments, where chance and one rounding don't explain it."""
    step = 2.0 ** -MANTISSA_BITS.get(dtype.name, 2)
    size = max(abs(bound) for bound in (expected.low, expected.high, expected.mean) if math.isfinite(bound))
    slack = (step + COMPUTED) * size
    low, high = float(values.min()), float(values.max())
    if low < expected.low - slack or high > expected.high + slack:
        return f"values from {low:.6g} to {high:.6g}, beyond the bounds {expected.low:.6g} and {expected.high:.6g}"
    if expected.std == 0:
        return None
    error = expected.std / math.sqrt(values.size)
    mean = float(values.mean())
    if not abs(mean - expected.mean) <= SIGMAS * error + step * abs(expected.mean) + step * error:
        return f"mean {mean:.6g} where {expected.mean:.6g} is expected"
    std = math.sqrt(float(np.mean((values - expected.mean) ** 2)))
    # The error of a variance goes with the fourth moment: 3 for a normal, less where both ends are cut alike, and up
    # to the 9 of an exponential where one is, as in the tail of a normal.
    uneven = 1.0 if expected.mean - expected.low == expected.high - expected.mean else 2.0
    if not abs(std / expected.std - 1) <= SIGMAS * uneven / math.sqrt(2 * values.size) + step:
        return f"standard deviation {std:.6g} where {expected.std:.6g} is expected"
    return None


def _chance(row: Row, array: Array) -> float:
    maps, units, _ = units_first(array, row.rule.axes).shape
    step = 2.0 ** -MANTISSA_BITS.get(array.dtype.name, 2)
    one = max(0.2 * step, 2.0**-24 if array.dtype != np.float64 else 0.0)
    if row.expected and row.expected.std > 0:  # around a mean, and near zero, floats are equally spaced
        spacing = max(step * abs(row.expected.mean), _smallest(array.dtype))
        one = min(1.0, max(one, 0.29 * spacing / row.expected.std))  # 1 / sqrt(12) uniforms, 1 / sqrt(4 pi) normals
    return float(maps * units * (units - 1) / 2 * row.rule.initializer.coincidence(row.shape, row.rule.axes, one))


def _smallest(dtype: np.dtype[Any]) -> float:
    """Give the smallest positive number of a dtype."""
    if dtype.kind in "biu":
        return 1.0
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).smallest_subnormal)  # type: ignore[no-untyped-call]


def _count(units: int) -> str:
    return "1 unit equals another" if units == 1 else f"{units} units equal others"


def _slices(row: Row) -> tuple[slice, ...]:
    """Give the parts of the units that the axes split off, each a weight of its own."""
    axes = row.rule.axes
    return axes.parts(row.shape) if isinstance(axes, Axes) and axes.splits != 1 else (slice(None),)


def _count_ties(maps: Array, parts: tuple[slice, ...]) -> int:
    count = 0
    for units in maps:
        for part in parts:
            labels = find_ties(units[part]).labels
            count += len(labels) - len(np.unique(labels))
    return count
