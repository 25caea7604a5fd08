"""Rules: which initializer each parameter of a model gets, planned, looked at, carried out and audited."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from ._patterns import ROLE, Patterns, read_roles
from ._plan_table import plan_html, plan_table
from ._same import find_same
from ._table import folded
from ._turned import draw, find_turn
from ._visible import counted, quoted, visible
from .axes import DEFAULTS, Axes, AxesLike, Fans, as_shape, fans
from .dtypes import DTypeLike, as_float_dtype, as_numpy, holds_values, is_float
from .errors import RuleError
from .initializers import AbstractInitializer, Moments, SameAs, get
from .streams import Key, RngLike, as_key

if TYPE_CHECKING:
    from ._audit import Audit

Array = npt.NDArray[Any]
RuleLike: TypeAlias = "Rule | AbstractInitializer | str | type[AbstractInitializer] | Mapping[str, Any]"
Shapes: TypeAlias = "Mapping[str, Sequence[int] | int | Array]"

BLOCK = 1 << 22  # values that `pieces` gives at a time; a multiple of the stream's block, which is not drawn twice


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
    why
        The reason, for the table that a plan prints.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.Rule("he_normal", axes="hwio")
    Rule(initializer=HeNormal(), axes='hwio', dtype=None)
    """

    initializer: AbstractInitializer
    axes: AxesLike = None
    dtype: DTypeLike | None = None
    why: str | None = field(default=None, repr=False)

    def __init__(
        self, initializer: Any, axes: AxesLike = None, dtype: DTypeLike | None = None, why: str | None = None
    ) -> None:
        object.__setattr__(self, "initializer", get(initializer))
        object.__setattr__(self, "axes", axes if axes is None or isinstance(axes, Axes) else Axes(axes).layout)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "why", why)
        if dtype is not None:
            self.initializer._as_dtype(dtype)


@final
@dataclass(frozen=True)
class Row:
    """One parameter of a plan: the rule that hits it, its fans and the moments to expect.

    Attributes
    ----------
    name, shape
        Of the parameter.
    pattern, rule
        What hits it.
    fans
        None for a parameter without them, such as a bias.
    expected
        None where the initializer states none.
    role
        What the parameter is for, where the plan was told.
    dtype
        That of the array that was given, None for a shape.
    source
        The parameter that it is the same as, found through any number of :class:`~symbreak.SameAs`.
    key
        The name whose key it is drawn from, where that is not its own.
    units_first
        Whether it is drawn units first and turned into its layout, as the parameters of a framework's model are.
    """

    name: str
    shape: tuple[int, ...]
    pattern: str
    rule: Rule
    fans: Fans | None
    expected: Moments | None
    role: str | None = None
    dtype: np.dtype[Any] | None = None
    source: str | None = None
    origin: "Row | None" = field(default=None, repr=False)  # the row of `source`, unless that is kept
    transposed: bool = field(default=False, repr=False)  # to the source
    key: str | None = None
    units_first: bool = field(default=False, repr=False)

    def make(self, key: Key, *, dtype: DTypeLike, workers: int | None = None) -> Array:
        """Make the parameter, from the key of the model."""
        drawn = draw if self.units_first else _as_it_lies
        named = key[self.name if self.key is None else self.key]
        return drawn(self.initializer, self.shape, named, dtype=dtype, axes=self.axes, workers=workers)

    @property
    def initializer(self) -> AbstractInitializer:
        """What makes the values: for a parameter that is the same as another, the other's."""
        return (self.origin or self).rule.initializer

    @property
    def axes(self) -> AxesLike:
        """The layout: the rule's, or as that of the parameter that it is the same as; None for the usual one."""
        if self.rule.axes is not None or self.origin is None:
            return _fitting(self.rule.axes, self.shape)
        axes = self.origin.axes
        return _reversed(axes, self.origin.shape) if self.transposed else axes


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
    kept
        Arrays that stay as they are: those of a type that no initializer makes, such as counters, and with
        ``only_missing`` all that are finite.
    """

    rows: tuple[Row, ...]
    unused: tuple[str, ...]
    untouched: tuple[str, ...]
    kept: Mapping[str, Array] = field(default_factory=dict, repr=False, compare=False)
    names: tuple[str, ...] = field(default=(), repr=False)  # of all parameters, in the order of the shapes

    def initialize(
        self, rng: RngLike = None, *, dtype: DTypeLike | None = None, workers: int | None = None
    ) -> dict[str, Array]:
        """Make every parameter, each from the key of its name.

        Parameters
        ----------
        rng
            As for an initializer; parameter `name` is drawn from ``Key(rng)[name]``.
        dtype
            Of the parameters whose rule names none; by default that of the array that was given in place of a shape,
            or float32.
        workers
            Threads; they change the time, never the bits.

        Returns
        -------
        dict of str to numpy.ndarray
            In the order of the shapes. A parameter that is the same as another is the other's array, or its transpose;
            an array that is kept is given back itself.

        Raises
        ------
        RuleError
            If a rule hits nothing, a parameter is hit by no rule, or a dtype does not hold a parameter's values.
        """
        self._check(dtype)
        key = as_key(rng)
        made: dict[str, Array] = dict(self.kept)
        for row in self.rows:
            if row.source is None:
                made[row.name] = row.make(key, dtype=self._dtype(row, dtype), workers=workers)
        for row in self.rows:
            if row.source is not None:
                made[row.name] = made[row.source].T if row.transposed else made[row.source]
        return {name: made[name] for name in self.names}

    def pieces(
        self, rng: RngLike = None, *, dtype: DTypeLike | None = None, workers: int | None = None
    ) -> Iterator["Pieces"]:
        """Make every parameter piece by piece, to write a model that is larger than memory.

        Parameters
        ----------
        rng, dtype, workers
            As for :meth:`initialize`.

        Yields
        ------
        symbreak.rules.Pieces
            One a parameter, in the order of the shapes. Joined, its pieces are what :meth:`initialize` gives, bit for
            bit; those of a parameter that is not elementwise are cut from the whole, which is made when they are asked
            for.

        Raises
        ------
        RuleError
            As for :meth:`initialize`.

        Examples
        --------
        >>> import symbreak as sb
        >>> plan = sb.plan({"w": (64, 32)}, {"w": "he_normal"})
        >>> [(each.name, each.shape, sum(len(piece) for piece in each.draw())) for each in plan.pieces(rng=0)]
        [('w', (64, 32), 2048)]
        """
        self._check(dtype)
        return self._pieces(as_key(rng), dtype, workers)

    def _pieces(self, key: Key, dtype: DTypeLike | None, workers: int | None) -> Iterator["Pieces"]:
        rows = {row.name: row for row in self.rows}
        for name in self.names:
            row = rows.get(name)
            kept = self.kept.get(name if row is None or row.source is None else row.source)
            if kept is not None:
                array = kept.T if row is not None and row.transposed else kept
                yield Pieces(name, array.shape, array.dtype, _Flat(array))
            elif row is not None:
                made = row.origin or row
                kind = made.initializer._as_dtype(self._dtype(made, dtype))
                yield Pieces(name, row.shape, kind, _Drawn(made, row.transposed, key, kind, workers))

    def _check(self, dtype: DTypeLike | None = None) -> None:
        if self.untouched:
            names = ", ".join(map(quoted, self.untouched[:5])) + (" ..." if len(self.untouched) > 5 else "")
            raise RuleError(
                f"no rule hits {names} ({len(self.untouched)} of {len(self.names)} parameters); "
                f"add a rule for each, or '*' as the last one"
            )
        if self.unused:
            patterns = ", ".join(map(quoted, self.unused))
            raise RuleError(
                f"the rule {patterns} hits no parameter; correct or remove it (rules are globs, first match wins)"
                f"{self._nearest(self.unused[0])}"
            )
        for row in self.rows:
            if row.source is None:
                axes = None if row.axes is None else Axes.of(row.axes, row.shape)
                try:
                    row.initializer._check_fits(row.shape, axes, row.initializer._as_dtype(self._dtype(row, dtype)))
                except ValueError as error:
                    raise RuleError(f"{row.name!r}: {error}") from None

    def _nearest(self, pattern: str) -> str:
        """Name the parameter, or the role, that a pattern comes nearest to."""
        import difflib  # for errors only

        roles = {f"{ROLE}{row.role}" for row in self.rows if row.role}
        known = sorted(roles) if pattern.startswith(ROLE) else list(self.names)
        near = difflib.get_close_matches(pattern, known, n=1, cutoff=0.5)
        return f"; the nearest is {quoted(near[0])}" if near else ""

    @staticmethod
    def _dtype(row: Row, dtype: DTypeLike | None) -> DTypeLike:
        return next((kind for kind in (row.rule.dtype, dtype, row.dtype) if kind is not None), "float32")

    def audit(self, params: Mapping[str, Array]) -> "Audit":
        """Compare parameters with what the plan promises.

        Parameters
        ----------
        params
            Arrays by name: from :meth:`initialize`, from a file, or after some steps of training.

        Returns
        -------
        Audit
            Unused rules, parameters untouched, missing or not in the plan, values not finite, moments off, units tied,
            parameters that are the same and should not be, or the other way round; and for each its rule, fans, moments
            expected and realised.
        """
        from ._audit import audit

        return audit(self, params)

    def __str__(self) -> str:
        lines = [plan_table(self.rows)]
        count = sum(math.prod(row.shape) for row in self.rows)
        lines.append(f"{counted(len(self.rows), 'parameter')}, {counted(count, 'value')}")
        if self.kept:
            lines.append(f"{len(self.kept)} kept as they are")
        for name in self.untouched:
            lines += folded(f"no rule hits: {visible(name)}")
        for pattern in self.unused:
            lines += folded(f"hits nothing: {visible(pattern)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        count = sum(math.prod(row.shape) for row in self.rows)
        kept = f", {len(self.kept)} kept as they are" if self.kept else ""
        notes = [f"no rule hits: {visible(name)}" for name in self.untouched]
        notes += [f"hits nothing: {visible(pattern)}" for pattern in self.unused]
        head = f"{counted(len(self.rows), 'parameter')}, {counted(count, 'value')}{kept}"
        return plan_html(head, self.rows, "; ".join(notes))


@final
@dataclass(frozen=True)
class Pieces:
    """One parameter that is made when it is asked for.

    Attributes
    ----------
    name, shape, dtype
        Of the parameter.
    draw
        Call it for an iterator of flat arrays, in C order. Each is valid until the next but one is asked
        for, so that it can be written while the next is made.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    draw: Callable[[], Iterator[Array]] = field(repr=False)


@dataclass(frozen=True)
class _Flat:
    """The values of an array, a block at a time."""

    array: Array

    def __call__(self) -> Iterator[Array]:
        rows = max(1, BLOCK * max(len(self.array), 1) // max(self.array.size, 1)) if self.array.ndim else 1
        if self.array.ndim == 0:
            yield self.array.reshape(1)
            return
        for begin in range(0, len(self.array), rows):
            yield np.ascontiguousarray(self.array[begin : begin + rows]).reshape(-1)


@dataclass(frozen=True)
class _Drawn:
    """The values of a parameter that is drawn."""

    row: Row
    transposed: bool
    key: Key  # of the model
    dtype: np.dtype[Any]
    workers: int | None

    def __call__(self) -> Iterator[Array]:
        init, row = self.row.initializer, self.row
        options: dict[str, Any] = {"dtype": self.dtype, "axes": row.axes, "workers": self.workers}
        key = self.key[row.name if row.key is None else row.key]
        turned = row.units_first and find_turn(row.shape, row.axes) is not None
        if not self.transposed and not turned:
            yield from init.pieces(row.shape, key, size=BLOCK, **options)
        elif turned or not init.elementwise or math.prod(row.shape) <= BLOCK:
            made = row.make(self.key, dtype=self.dtype, workers=self.workers)
            yield from _Flat(made.T if self.transposed else made)()
        else:  # rows of the transpose are slices of the last axis
            step = max(1, BLOCK * row.shape[-1] // math.prod(row.shape))
            for begin in range(0, row.shape[-1], step):
                part = init.region(row.shape, np.s_[..., begin : begin + step], key, **options)
                yield np.ascontiguousarray(part.T).reshape(-1)


def plan(
    shapes: Shapes,
    rules: Mapping[str, RuleLike],
    *,
    roles: Mapping[str, str] | None = None,
    only_missing: bool = False,
) -> Plan:
    """Find the rule of each parameter.

    Parameters
    ----------
    shapes
        Parameter names to shapes, or to arrays, whose shapes and floating dtypes are taken; JAX's and PyTorch's too.
        Arrays of other types, such as counters, are kept as they are, as NumPy's.
    rules
        Globs (``*``, ``?``, ``[abc]``; ``*`` crosses dots), or ``@`` and a role, to what :func:`get` takes, or to a
        :class:`Rule` with axes and dtype. The first that matches a parameter wins. :class:`SameAs` ties a parameter to
        another.
    roles
        Globs to roles, words of your own such as ``"embedding"``. The first that matches a name wins.
    only_missing
        Keep every array that is given and holds finite values only. What is given as a shape, or holds a value that is
        not finite, is initialised, as a whole.

    Returns
    -------
    Plan
        Print it to see each parameter's rule, fans and standard deviation, in lines of at most 80 characters.

    Raises
    ------
    RuleError
        If an initializer can't make a parameter's shape, or parameters that shall be the same can't be; parameter and
        rule are named.
    TypeError, ValueError
        For a shape, a rule or a role that makes no sense.

    See Also
    --------
    initialize : Draw at once.
    symbreak.recipes.GPT2 : A recipe: rules for a whole architecture.
    diagnose : Look for ties without a plan.

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
    read = {pattern: read_rule(pattern, rule) for pattern, rule in rules.items()}
    role_of = read_roles(roles)
    find = Patterns(read)
    rows: dict[str, Row] = {}
    used, untouched, kept = set(), [], {}
    for name, shape in shapes.items():
        if not isinstance(name, str):
            raise TypeError(f"a parameter's name is a string; got {name!r}")
        given = role_of.first(name)
        role = None if given is None or roles is None else roles[given]
        pattern = find.first(name, role)
        if pattern is not None:
            used.add(pattern)
        array = _kept(shape, only_missing)
        if array is not None:
            kept[name] = array
        elif pattern is None:
            untouched.append(name)
        else:
            rows[name] = make_row(name, shape, pattern, read[pattern], role)
    tied = find_same(rows, kept, untouched)
    unused = tuple(glob for glob in read if glob not in used)
    return Plan(tuple(tied.values()), unused, tuple(untouched), kept, tuple(shapes))


def initialize(
    shapes: Shapes,
    rules: Mapping[str, RuleLike],
    rng: RngLike = None,
    *,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
    roles: Mapping[str, str] | None = None,
    only_missing: bool = False,
) -> dict[str, Array]:
    """Make every parameter of a model, each from the key of its name: ``plan(shapes, rules).initialize(rng)``.

    Parameters
    ----------
    shapes, rules, roles, only_missing
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

    See Also
    --------
    plan : Look before it is drawn, and audit afterwards.
    symbreak.recipes.GPT2 : A recipe: rules for a whole architecture.

    Examples
    --------
    >>> import symbreak as sb
    >>> params = sb.initialize({"w": (64, 32), "b": (64,)}, {"b": "zeros", "*": "he_normal"}, rng=0)
    >>> params["w"].shape
    (64, 32)
    """
    return plan(shapes, rules, roles=roles, only_missing=only_missing).initialize(rng, dtype=dtype, workers=workers)


def read_rule(pattern: Any, rule: Any) -> Rule:
    """Read one rule."""
    if not isinstance(pattern, str):
        raise TypeError(f"a rule's pattern is a string; got {pattern!r}")
    return rule if isinstance(rule, Rule) else Rule(rule)


def _kept(given: Any, only_missing: bool) -> Array | None:
    """Give the array that was given if it is one to keep."""
    if not holds_values(given) or (is_float(given.dtype) and not only_missing):
        return None
    array = as_numpy(given)
    return array if not is_float(given.dtype) or _finite(array) else None


def _finite(array: Array) -> bool:
    if array.size <= BLOCK or array.ndim == 0:
        return bool(np.isfinite(array).all())
    return all(_finite(part) for part in array)


def make_row(name: str, shape: Any, pattern: str, rule: Rule, role: str | None) -> Row:
    """Make the row of one parameter."""
    sizes = _read_shape(name, shape)
    axes = _fitting(rule.axes, sizes)
    tied = isinstance(rule.initializer, SameAs)
    try:
        found = fans(sizes, axes) if axes is not None or len(sizes) in DEFAULTS else None
        expected = None if tied else _expected(rule.initializer, sizes, axes)
    except ValueError as error:
        raise RuleError(
            f"the rule {pattern!r} gives {rule.initializer!r} to {name!r}, which it can't make: {error}"
        ) from None
    return Row(name, sizes, pattern, rule, found, expected, role, _dtype_of(shape))


def _dtype_of(shape: Any) -> np.dtype[Any] | None:
    """Give the floating dtype of an array, or of what stands for one."""
    dtype = getattr(shape, "dtype", None)
    return None if dtype is None or not has_shape(shape) else as_float_dtype(dtype)


def has_shape(given: Any) -> bool:
    """Tell an array, or what stands for one, from a shape, which may be one integer of NumPy's."""
    return hasattr(given, "shape") and not isinstance(given, np.integer)


def _read_shape(name: str, shape: Any) -> tuple[int, ...]:
    if isinstance(shape, Mapping):
        inner = next(iter(shape), "weight")
        raise TypeError(f"{name!r} holds names itself; flatten them: {f'{name}.{inner}'!r}")
    try:
        return as_shape(shape.shape if has_shape(shape) else shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name!r}: {error}") from None


def _expected(initializer: AbstractInitializer, shape: tuple[int, ...], axes: AxesLike) -> Moments | None:
    try:
        return initializer.expected(shape, axes)
    except NotImplementedError:
        return None


def _reversed(axes: AxesLike, shape: tuple[int, ...]) -> AxesLike:
    """Give the layout of a transpose."""
    if axes is None and len(shape) not in DEFAULTS:
        return None
    found = Axes.of(axes, shape)
    return replace(found, layout=found.layout[::-1], grouped=found._grouped_axis)


def _as_it_lies(init: AbstractInitializer, shape: tuple[int, ...], key: Key, **options: Any) -> Array:
    return init(shape, key, **options)


def _fitting(axes: AxesLike, shape: tuple[int, ...]) -> AxesLike:
    """Give the rule's axes, or None for a parameter that has no axes to name, such as a bias hit by the same rule."""
    return None if len(shape) < 2 else axes
