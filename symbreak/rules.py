"""Rules: which initializer each parameter of a model gets, planned, looked at, carried out and audited."""

import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from ._table import table
from ._visible import visible
from .axes import DEFAULTS, Axes, AxesLike, Fans, as_shape, fans
from .dtypes import DTypeLike
from .errors import RuleError
from .initializers import AbstractInitializer, Moments, get
from .streams import RngLike, as_key

if TYPE_CHECKING:
    from ._audit import Audit

Array = npt.NDArray[Any]
RuleLike: TypeAlias = "Rule | AbstractInitializer | str | type[AbstractInitializer] | Mapping[str, Any]"
Shapes: TypeAlias = "Mapping[str, Sequence[int] | int | Array]"


@final
@dataclass(frozen=True)
class Rule:
    """What a parameter gets: an initializer, and the layout and dtype where they are not the usual ones.

    Parameters
    ----------
    initializer
        What :func:`symbreak.get` takes.
    axes
        The layout of the weights that the rule hits; None for PyTorch's order.
    dtype
        Their dtype; None for what ``initialize`` is told.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Rule("he_normal", axes="hwio")
    Rule(initializer=HeNormal(), axes='hwio', dtype=None)
    """

    initializer: AbstractInitializer
    axes: AxesLike = None
    dtype: DTypeLike | None = None

    def __init__(self, initializer: Any, axes: AxesLike = None, dtype: DTypeLike | None = None) -> None:
        object.__setattr__(self, "initializer", get(initializer))
        object.__setattr__(self, "axes", axes if axes is None or isinstance(axes, Axes) else Axes(axes).layout)
        object.__setattr__(self, "dtype", dtype)
        if dtype is not None:
            self.initializer._as_dtype(dtype)


@final
@dataclass(frozen=True)
class Row:
    """One parameter of a plan: the rule that hits it, its fans and the moments to expect."""

    name: str
    shape: tuple[int, ...]
    pattern: str
    rule: Rule
    fans: Fans | None  # None for a parameter without them, such as a bias
    expected: Moments | None  # None where the initializer states none


@final
@dataclass(frozen=True)
class Plan:
    """Which rule hits which parameter, before a number is drawn.

    Attributes
    ----------
    rows
        One :class:`~symbreak.rules.Row` a parameter, in order.
    unused
        Patterns that hit no parameter.
    untouched
        Parameters that no rule hits.
    """

    rows: tuple[Row, ...]
    unused: tuple[str, ...]
    untouched: tuple[str, ...]

    def initialize(
        self, rng: RngLike = None, *, dtype: DTypeLike = "float32", workers: int | None = None
    ) -> dict[str, Array]:
        """Make every parameter, each from the key of its name.

        Parameters
        ----------
        rng
            As for an initializer; parameter `name` is drawn from ``Key(rng)[name]``.
        dtype
            Of the parameters whose rule names none.
        workers
            Threads; they change the time, never the bits.

        Returns
        -------
        dict of str to numpy.ndarray
            In the order of the shapes.

        Raises
        ------
        RuleError
            If a rule hits nothing or a parameter is hit by no rule.
        """
        if self.untouched:
            names = ", ".join(map(repr, self.untouched[:5])) + (" ..." if len(self.untouched) > 5 else "")
            raise RuleError(
                f"no rule hits {names} ({len(self.untouched)} of {len(self.rows) + len(self.untouched)} parameters); "
                f"add a rule for each, or '*' as the last one"
            )
        if self.unused:
            patterns = ", ".join(map(repr, self.unused))
            raise RuleError(
                f"the rule {patterns} hits no parameter; correct or remove it (rules are globs, first match wins)"
            )
        key = as_key(rng)
        return {
            row.name: row.rule.initializer(
                row.shape, key[row.name], dtype=row.rule.dtype or dtype, axes=_axes_of(row), workers=workers
            )
            for row in self.rows
        }

    def audit(self, params: Mapping[str, Array]) -> "Audit":
        """Compare parameters with what the plan promises.

        Parameters
        ----------
        params
            Arrays by name: from :meth:`initialize`, from a file, or after some steps of training.

        Returns
        -------
        Audit
            Unused rules, parameters untouched, missing or not in the plan, values not finite, moments off, units tied.
        """
        from ._audit import audit

        return audit(self, params)

    def __str__(self) -> str:
        rows = [
            (
                visible(row.name),
                "x".join(map(str, row.shape)) or "scalar",
                visible(row.pattern),
                _describe(row.rule),
                *((str(row.fans.fan_in), str(row.fans.fan_out)) if row.fans else ("-", "-")),
                "-" if row.expected is None else f"{row.expected.std:.4g}",
            )
            for row in self.rows
        ]
        lines = [
            table(("parameter", "shape", "rule", "initializer", "fan in", "fan out", "std"), rows, right=(4, 5, 6))
        ]
        count = sum(math.prod(row.shape) for row in self.rows)
        lines.append(f"{len(self.rows)} parameters, {count:,} values")
        lines += [f"no rule hits: {visible(name)}" for name in self.untouched]
        lines += [f"hits nothing: {visible(pattern)}" for pattern in self.unused]
        return "\n".join(lines)


def plan(shapes: Shapes, rules: Mapping[str, RuleLike]) -> Plan:
    """Find the rule of each parameter.

    Parameters
    ----------
    shapes
        Parameter names to shapes, or to arrays whose shapes are taken.
    rules
        Globs (``*``, ``?``, ``[abc]``; ``*`` crosses dots) to what :func:`get` takes, or to a :class:`Rule` with
        axes and dtype. The first that matches a name wins.

    Returns
    -------
    Plan
        Print it to see each parameter's rule, fans and standard deviation.

    Raises
    ------
    RuleError
        If an initializer can't make a parameter's shape; parameter and rule are named.
    TypeError, ValueError
        For a shape or a rule that makes no sense.

    Examples
    --------
    >>> import symbreak as sb
    >>> plan = sb.plan(
    ...     {"fc1.weight": (64, 32), "fc1.bias": (64,)}, {"*.bias": sb.Zeros(), "*.weight": sb.HeNormal()}
    ... )
    >>> print(plan)
    parameter   shape  rule      initializer  fan in  fan out   std
    fc1.weight  64x32  *.weight  HeNormal()       32       64  0.25
    fc1.bias    64     *.bias    Zeros()           -        -     0
    2 parameters, 2,112 values
    """
    if not isinstance(shapes, Mapping):
        raise TypeError(f"`shapes` maps parameter names to shapes; got {type(shapes).__name__}")
    if not isinstance(rules, Mapping):
        raise TypeError(f"`rules` maps globs to initializers; got {type(rules).__name__}")
    read = {pattern: _read_rule(pattern, rule) for pattern, rule in rules.items()}
    rows, used, untouched = [], set(), []
    for name, shape in shapes.items():
        if not isinstance(name, str):
            raise TypeError(f"a parameter's name is a string; got {name!r}")
        pattern = next((glob for glob in read if glob == name or fnmatch.fnmatchcase(name, glob)), None)
        if pattern is None:
            untouched.append(name)
            continue
        used.add(pattern)
        rows.append(_row(name, shape, pattern, read[pattern]))
    return Plan(tuple(rows), tuple(glob for glob in read if glob not in used), tuple(untouched))


def initialize(
    shapes: Shapes,
    rules: Mapping[str, RuleLike],
    rng: RngLike = None,
    *,
    dtype: DTypeLike = "float32",
    workers: int | None = None,
) -> dict[str, Array]:
    """Make every parameter of a model, each from the key of its name: ``plan(shapes, rules).initialize(rng)``.

    Parameters
    ----------
    shapes, rules
        As for :func:`plan`.
    rng, dtype, workers
        As for :meth:`Plan.initialize`.

    Returns
    -------
    dict of str to numpy.ndarray
        A plain dict, in the order of the shapes.

    Raises
    ------
    RuleError
        If a rule hits nothing, a parameter is hit by no rule, or an initializer can't make a shape.

    Examples
    --------
    >>> import symbreak as sb
    >>> params = sb.initialize({"w": (64, 32), "b": (64,)}, {"b": "zeros", "*": "he_normal"}, rng=0)
    >>> params["w"].shape
    (64, 32)
    """
    return plan(shapes, rules).initialize(rng, dtype=dtype, workers=workers)


def _read_rule(pattern: Any, rule: Any) -> Rule:
    if not isinstance(pattern, str):
        raise TypeError(f"a rule's pattern is a string; got {pattern!r}")
    return rule if isinstance(rule, Rule) else Rule(rule)


def _row(name: str, shape: Any, pattern: str, rule: Rule) -> Row:
    sizes = _read_shape(name, shape)
    axes = _fitting(rule.axes, sizes)
    try:
        found = fans(sizes, axes) if axes is not None or len(sizes) in DEFAULTS else None
        expected = _expected(rule.initializer, sizes, axes)
    except ValueError as error:
        raise RuleError(
            f"the rule {pattern!r} gives {rule.initializer!r} to {name!r}, which it can't make: {error}"
        ) from None
    return Row(name, sizes, pattern, rule, found, expected)


def _read_shape(name: str, shape: Any) -> tuple[int, ...]:
    if isinstance(shape, Mapping):
        inner = next(iter(shape), "weight")
        raise TypeError(f"{name!r} holds names itself; flatten them: {f'{name}.{inner}'!r}")
    try:
        return as_shape(shape.shape if hasattr(shape, "shape") else shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name!r}: {error}") from None


def _expected(initializer: AbstractInitializer, shape: tuple[int, ...], axes: AxesLike) -> Moments | None:
    try:
        return initializer.expected(shape, axes)
    except NotImplementedError:
        return None


def _describe(rule: Rule) -> str:
    """Give the initializer, and what the rule says of layout and dtype."""
    axes = rule.axes.layout if isinstance(rule.axes, Axes) else rule.axes
    dtype = None if rule.dtype is None else rule.initializer._as_dtype(rule.dtype).name
    return " ".join([repr(rule.initializer), *filter(None, (axes, dtype))])


def _axes_of(row: Row) -> AxesLike:
    return _fitting(row.rule.axes, row.shape)


def _fitting(axes: AxesLike, shape: tuple[int, ...]) -> AxesLike:
    """Give the rule's axes, or None for a parameter that has no axes to name, such as a bias hit by the same rule."""
    return None if len(shape) < 2 else axes


def units_first(array: Array, axes: AxesLike) -> Array:
    """Show a weight as (maps, units, incoming): one map a stacked copy and group."""
    if axes is None and array.ndim not in DEFAULTS:  # no order is usual: units along the first axis
        return np.asarray(array).reshape(1, len(array), -1)
    return Axes.of(axes, array.shape).matrices(np.asarray(array))
