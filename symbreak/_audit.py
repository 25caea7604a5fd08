"""The audit: parameters compared with the plan that they should come from."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._table import html_table, html_text
from ._visible import visible
from .axes import Axes, Fans, units_first
from .diagnosis import find_ties
from .dtypes import EXTENSION_FLOATS, as_numpy
from .initializers import AbstractInitializer, AbstractVarianceScaling, Moments
from .rules import Plan, Row

Array = npt.NDArray[Any]

SIGMAS = 6.0  # a healthy parameter is called off its moments once in 1e9
RARE = 1e-6  # expected chance ties below which a tie is no accident of rounding
COMPUTED = 2.0**-19  # relative: a value computed in float32, through BLAS for some, before it is rounded
# Two draws of one value: about 0.2 of the spacing of floats near 1; float32 values have 24 bits.
MANTISSA_BITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}


KINDS = (
    "unused", "untouched", "missing", "unexpected", "not_finite", "off", "tied", "chance", "apart", "equal",
)  # fmt: skip


@final
@dataclass(frozen=True)
class Judged:
    """One parameter of a plan beside what was found.

    Attributes
    ----------
    rule, initializer, role
        The pattern that hit it, what makes it, and its role where the plan was told.
    shape, dtype, fans
        Of the array; None without fans.
    expected
        What the initializer states of each entry, None where it states nothing.
    mean, std, low, high
        Of the values; None where they are not finite or there are none.
    finite
        How many values are finite.
    ties
        The policy of the initializer.
    equal_units
        How many units equal another, by the diagnostic; None for a vector, or where values are not finite.
    same_as
        The parameter that the plan ties it to.
    """

    rule: str
    initializer: str
    role: str | None
    shape: tuple[int, ...]
    dtype: str
    fans: Fans | None
    expected: Moments | None
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    finite: int
    ties: str
    equal_units: int | None
    same_as: str | None

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON: a bound that is infinite is null."""
        found = asdict(self) | {"shape": list(self.shape), "fans": self.fans and self.fans._asdict()}
        if self.expected is not None:
            stated = asdict(self.expected)
            bounds = {name: stated[name] if math.isfinite(stated[name]) else None for name in ("low", "high")}
            spectrum = stated["singular_values"]
            found["expected"] = stated | bounds | {"singular_values": spectrum and list(spectrum)}
        return found


@final
@dataclass(frozen=True)
class Audit:
    """What is wrong with a set of parameters, by the plan: names to sentences; and each parameter in numbers.

    Attributes
    ----------
    unused
        Patterns that hit no parameter.
    untouched
        Parameters that no rule hits.
    missing
        Parameters of the plan that were not given, nor the ones that the plan makes them the same as.
    unexpected
        Parameters that the plan does not know, whose shape is another, or that hold no real numbers.
    not_finite
        Parameters with NaN or infinite values.
    off
        Parameters whose mean, standard deviation or range is not what the initializer states.
    tied
        Weights with equal units although the initializer breaks ties.
    chance
        Weights so narrow, in a dtype so coarse, that units can be equal by chance, or that some are rounded to zero.
    apart
        Parameters that differ from the one that the plan makes them the same as.
    equal
        Parameters that are equal to another although the plan draws them apart.
    parameters
        What was found of each parameter: :class:`~symbreak.Judged` by name.
    """

    unused: dict[str, str]
    untouched: dict[str, str]
    missing: dict[str, str]
    unexpected: dict[str, str]
    not_finite: dict[str, str]
    off: dict[str, str]
    tied: dict[str, str]
    chance: dict[str, str]
    apart: dict[str, str]
    equal: dict[str, str]
    parameters: dict[str, Judged] = field(repr=False)

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not any(getattr(self, kind) for kind in KINDS)

    @property
    def shared(self) -> dict[str, str]:
        """Parameters that the plan makes the same as another, and which."""
        return {name: each.same_as for name, each in self.parameters.items() if each.same_as is not None}

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {
            "ok": self.ok,
            **{kind: dict(getattr(self, kind)) for kind in KINDS},
            "shared": self.shared,
            "parameters": {name: each.to_dict() for name, each in self.parameters.items()},
        }

    def __str__(self) -> str:
        lines = [
            f"{kind.replace('_', ' ')}: {visible(name)}: {sentence}"
            for kind in KINDS
            for name, sentence in getattr(self, kind).items()
        ]
        return "\n".join([*lines, "as planned" if self.ok else f"{len(lines)} not as planned"])

    def _repr_html_(self) -> str:
        rows = [
            (kind.replace("_", " "), visible(name), sentence)
            for kind in KINDS
            for name, sentence in getattr(self, kind).items()
        ]
        if not rows:
            return html_text("as planned")
        return html_table(f"{len(rows)} not as planned", ("what", "parameter", "how"), rows)


def audit(plan: Plan, params: Any) -> Audit:
    """Compare `params` with `plan`; see :meth:`symbreak.Plan.audit`."""
    if not isinstance(params, Mapping) and not hasattr(params, "tensors"):
        raise TypeError(f"the audit takes arrays by name, a dict or an open checkpoint; got {type(params).__name__}")
    given = params if isinstance(params, Mapping) else {}
    nested = next((name for name, value in given.items() if isinstance(value, Mapping)), None)
    if nested is not None:
        raise TypeError(
            f"the audit takes arrays by name, and {visible(str(nested))!r} holds others: for a tree of JAX's pass "
            f"symbreak.jax.arrays(tree)"
        )
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    found["unused"] = dict.fromkeys(plan.unused, "this rule hits no parameter")
    found["untouched"] = dict.fromkeys(plan.untouched, "no rule hits this parameter")
    known = {row.name for row in plan.rows} | set(plan.untouched) | set(plan.kept)
    found["unexpected"] = {name: "not in the plan" for name in params if name not in known}
    judged: dict[str, Judged] = {}
    seen: dict[tuple[Any, ...], Row] = {}
    for row in plan.rows:
        if row.name not in params:
            if row.source is None or row.source not in params:  # what is tied may stand under its first name alone
                found["missing"][row.name] = "in the plan, but not among the parameters"
            continue
        array = as_numpy(params[row.name])
        if array.shape != row.shape:
            found["unexpected"][row.name] = f"has shape {array.shape} where the plan has {row.shape}"
            continue
        if not _is_real(array.dtype) and not (array.dtype.kind == "c" and _makes_complex(row.initializer)):
            found["unexpected"][row.name] = f"has dtype {array.dtype}, which holds no real numbers"
            continue
        judged[row.name], wrongs = _judge(row, array)
        wrongs += _apart(row, array, params) if row.source is not None else _equal(row, array, seen)
        for kind, sentence in wrongs:
            found[kind][row.name] = sentence
    for name in plan.kept:
        if name not in params:
            found["missing"][name] = "in the plan, but not among the parameters"
    return Audit(**found, parameters=judged)


def _apart(row: Row, array: Array, params: Any) -> list[tuple[str, str]]:
    """Compare a parameter with the one that it should be the same as."""
    if row.source not in params:
        return []
    other = as_numpy(params[row.source])
    other = other.T if row.transposed else other
    if other.shape == array.shape and np.array_equal(array, other, equal_nan=_is_real(other.dtype)):
        return []
    return [("apart", f"differs from {visible(row.source)}, which the plan makes it the same as")]


def _equal(row: Row, array: Array, seen: dict[tuple[Any, ...], Row]) -> list[tuple[str, str]]:
    """Find an earlier parameter that has the same values, although chance would not make them so."""
    if row.initializer.ties != "breaks" or array.ndim < 2 or not array.size:
        return []
    digest = hashlib.blake2b(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, digest_size=16).digest()
    first = seen.setdefault((array.shape, array.dtype.name, digest), row)
    if first is row or first.source is not None or not _is_drawn(row) or _one(row, array) ** array.size > RARE:
        return []
    return [("equal", f"equals {visible(first.name)}, although the plan draws each from a key of its own")]


def _is_drawn(row: Row) -> bool:
    """Say whether two keys give two weights; a fixed scheme such as an identity is equal everywhere."""
    one, two = (row.initializer(row.shape, seed, axes=row.axes) for seed in (0, 1))
    return not np.array_equal(one, two)


def _is_real(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" or dtype.name in EXTENSION_FLOATS


def _makes_complex(initializer: AbstractInitializer) -> bool:
    return type(initializer).sample_complex is not AbstractInitializer.sample_complex


def _judge(row: Row, array: Array) -> tuple[Judged, list[tuple[str, str]]]:
    """Give the numbers of a parameter, and what is wrong with it."""
    policy = row.initializer.ties
    judged = Judged(
        row.pattern, repr(row.initializer), row.role, row.shape, array.dtype.name, row.fans, row.expected,
        None, None, None, None, array.size, policy, None, row.source,
    )  # fmt: skip
    if array.size == 0:
        return judged, []
    kind, spread = np.dtype(array.real.dtype), 1.0
    if array.dtype.kind == "c":  # real and imaginary parts, which share the variance
        values, spread = np.stack([array.real, array.imag], axis=-1).astype(np.float64), math.sqrt(2.0)
    else:
        values = array.astype(np.float64)
    finite = np.isfinite(values) if spread == 1 else np.isfinite(values).all(axis=-1)
    wrong = array.size - int(np.count_nonzero(finite))
    if wrong:
        return replace(judged, finite=array.size - wrong), [
            ("not_finite", f"{wrong} of {array.size} values are not finite")
        ]
    found = []
    with np.errstate(all="ignore"):  # a moment that overflows is off
        wrongs = [
            _compare(part, replace(expected, std=expected.std / spread), kind) for part, expected in _parts(row, values)
        ]
    if any(wrongs):
        found.append(("off", next(sentence for sentence in wrongs if sentence)))
    with np.errstate(all="ignore"):
        mean, std = _known(values.mean()), _known(values.std() * spread)
    judged = replace(judged, mean=mean, std=std, low=float(values.min()), high=float(values.max()))
    if array.ndim < 2:
        return judged, found
    ties = _count_ties(units_first(array, row.axes), _slices(row))
    if policy == "breaks":
        chance, zeros = _chance(row, array), _zeros(row, array, values)
        said = [f"about {chance:.2g} pairs of units are equal by chance; {_count(ties)}"] if chance > RARE else []
        if zeros:
            said.append(f"{zeros} {'unit is' if zeros == 1 else 'units are'} rounded to zero")
        if said:
            found.append(("chance", f"in {array.dtype} {'; '.join(said)}"))
        if ties and chance <= RARE:
            found.append(("tied", f"{_count(ties)}, although {row.initializer!r} breaks ties"))
    return replace(judged, equal_units=ties), found


def _known(moment: float) -> float | None:
    return float(moment) if math.isfinite(moment) else None


def _parts(row: Row, values: Array) -> Iterator[tuple[Array, Moments]]:
    """Give what has one distribution, with its moments: the parts that axes split a weight into are scaled apart."""
    axes, initializer = row.axes, row.initializer
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
    spread = math.sqrt((expected.kurtosis - 1) / 4 / values.size)
    if not abs(std / expected.std - 1) <= SIGMAS * uneven * spread + step:
        return f"standard deviation {std:.6g} where {expected.std:.6g} is expected"
    return None


def _chance(row: Row, array: Array) -> float:
    """Give the number of pairs of units that are expected to be equal by chance."""
    maps, units, _ = units_first(array, row.axes).shape
    return float(maps * units * (units - 1) / 2) * row.initializer.coincidence(row.shape, row.axes, _one(row, array))


def _zeros(row: Row, array: Array, values: Array) -> int:
    """Count the units that are zero, if chance may round as many entries as a unit has to zero in the dtype.

    An entry is with a probability of up to 0.8 of the smallest number over the size of the others: twice that of a
    normal. A unit has as many as the one with the fewest that are not zero.
    """
    units = units_first(array, row.axes)
    filled = np.count_nonzero(units, axis=2)
    zeros = int(np.count_nonzero(filled == 0))
    if not zeros:
        return 0
    few, size = units.shape[2], row.expected.std if row.expected else 0.0
    if filled.any():
        with np.errstate(over="ignore"):  # of which none is rounded to zero
            few, size = int(filled[filled > 0].min()), math.sqrt(float(np.sum(values**2)) / int(filled.sum()))
    likely = min(1.0, 0.8 * _smallest(np.dtype(array.real.dtype)) / size) if size > 0 else 0.0
    return zeros if filled.size * likely**few > RARE else 0


def _one(row: Row, array: Array) -> float:
    """Give the chance that two entries are equal; of complex ones, at most: that their real parts are."""
    kind = np.dtype(array.real.dtype)
    step = 2.0 ** -MANTISSA_BITS.get(kind.name, 2)
    one = max(0.2 * step, 2.0**-24 if kind != np.float64 else 0.0)
    if row.expected and row.expected.std > 0:  # around a mean, and near zero, floats are equally spaced
        spacing = max(step * abs(row.expected.mean), _smallest(kind))
        one = min(1.0, max(one, 0.29 * spacing / row.expected.std))  # 1 / sqrt(12) uniforms, 1 / sqrt(4 pi) normals
    return one


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
    axes = row.axes
    return axes.parts(row.shape) if isinstance(axes, Axes) and axes.splits != 1 else (slice(None),)


def _count_ties(maps: Array, parts: tuple[slice, ...]) -> int:
    count = 0
    for units in maps:
        for part in parts:
            labels = find_ties(units[part]).labels
            count += len(labels) - len(np.unique(labels))
    return count
