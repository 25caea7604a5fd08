"""A network as data: which spaces of units there are, and which weights write to them and read from them.

This is what the parts of symbreak hand to each other: the engine and the checkpoint readers yield a `LayerGraph`,
the diagnosis and the repairs take one. It says how arrays are wired, which is what ties depend on, and nothing of how a
network is run.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from symbreak._table import INDENT, LINE, html_text, table
from symbreak._visible import visible

Array = np.ndarray[Any, np.dtype[Any]]

ROLES = {
    "out": "writes to a space, one slice a unit",
    "in": "reads from a space, one slice a unit",
    "stack": "stacked copies: experts, members",
    "head": "attention heads",
    "receptive": "positions of a kernel",
    "gate": "gate slices of one unit, such as the four of an LSTM",
}
SPACELESS = ("receptive", "gate")  # their indices are positions, each compared apart, and not units
LISTED = 8  # weights of a space that are printed

NORMS = ("layer", "rms", "batch", "group", "none")
OF_NORMS = ("scale", "shift", "mean", "variance")  # the kinds of their parameters

KINDS = ("bias", "scale", "shift", "mean", "variance", "slope", "constant", "label", "multiplicity")


class Axis(NamedTuple):
    """What one axis of an array stands for: a role, and the space that it runs over.

    Attributes
    ----------
    role
        A key of ``symbreak.graph.ROLES``: ``"out"`` for the units that are written, ``"in"`` for those that are read,
        ``"stack"``, ``"receptive"``, ``"gate"`` or ``"head"``.
    space
        The name of a space; None for an axis that runs over none.

    Examples
    --------
    >>> Axis("out", "hidden"), Axis("receptive")
    (Axis(role='out', space='hidden'), Axis(role='receptive', space=None))
    """

    role: str
    space: str | None = None


@final
@dataclass(frozen=True)
class Space:
    """A set of units that share one axis.

    Parameters
    ----------
    name
        Its name, unique in the graph.
    units
        How many units it has, at least 1.
    activation
        The function through which its units pass, by name; several with "or" between where some that read them see
        them through another, and with commas where they pass one after the other. It is recorded, not evaluated. A norm
        without parameters is among them: ``layer_norm``, ``rms_norm``, ``batch_norm`` or ``group_norm``.
    """

    name: str
    units: int
    activation: str = "identity"

    def __post_init__(self) -> None:
        _check_name(self.name, "a space")
        _check_name(self.activation, f"the activation of space {self.name!r}")
        if isinstance(self.units, bool) or not isinstance(self.units, int | np.integer) or self.units < 1:
            raise ValueError(f"space {self.name!r} needs a whole number of units, 1 or more, not {self.units!r}")

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that `activation` names, each once.

        Examples
        --------
        >>> Space("hidden", 4, "tanh, relu or tanh").functions
        ('tanh', 'relu')
        """
        passed = (name.strip() for reading in self.activation.split(" or ") for name in reading.split(","))
        return tuple(dict.fromkeys(passed))


@final
@dataclass(frozen=True, eq=False)
class Weight:
    """One array that reads from one space and writes to another, or to the same.

    Parameters
    ----------
    name
        Its name, unique in the graph.
    array
        Its values, of any dtype; held as a read-only view, not copied.
    axes
        One `Axis` (or pair of role and space) for each axis of the array, with at least one ``out`` and one ``in``.
    also
        Further uses of the same array, each a tuple of axes: an embedding that is also the output layer, or one layer
        that is applied several times.
    multiplies
        For a mask of zeros and ones, which training leaves as it is: the name of the weight that it multiplies, whose
        first use must have all of its axes; and they must be the same in the same order where some are alike, as those
        of a kernel. What the weight holds where the mask is 0 does not count.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.zeros((100, 16))
    >>> tied = Weight(
    ...     "embedding.weight",
    ...     table,
    ...     [("in", "tokens"), ("out", "stream")],
    ...     also=[[("out", "logits"), ("in", "stream")]],
    ... )
    >>> len(tied.uses)
    2
    """

    name: str
    array: Array
    axes: tuple[Axis, ...]
    also: tuple[tuple[Axis, ...], ...] = ()
    multiplies: str | None = None

    def __init__(
        self,
        name: str,
        array: Array,
        axes: Sequence[tuple[str, str | None]],
        also: Sequence[Sequence[tuple[str, str | None]]] = (),
        multiplies: str | None = None,
    ) -> None:
        _check_name(name, "a weight")
        _set(self, name=name, array=_read_only(array, name), axes=_axes(axes, name), multiplies=multiplies)
        if multiplies is not None:
            _check_mask(name, self.array, multiplies)
        _set(self, also=tuple(_axes(use, name) for use in also))
        for use in self.uses:
            _check_axis_count(self.array, use, name)
            for role, what in (("out", "writes to"), ("in", "reads from")):
                if role not in (axis.role for axis in use):
                    raise ValueError(
                        f"weight {name!r} has no {role!r} axis, so no space that it {what}: its axes are "
                        f"{_describe(use)}; what belongs to the units of one space goes into `per_unit`"
                    )

    @property
    def uses(self) -> tuple[tuple[Axis, ...], ...]:
        """The axes of each use of the array: `axes` first, then those of `also`."""
        return (self.axes, *self.also)

    def spaces(self, role: str) -> tuple[str, ...]:
        """Names of the spaces that the axes of one role run over, in all uses, each once."""
        return tuple(dict.fromkeys(axis.space for use in self.uses for axis in use if axis.role == role and axis.space))

    def __repr__(self) -> str:
        more = "".join(f"; also {_describe(use)}" for use in self.also)
        more += f"; multiplies {self.multiplies!r}" if self.multiplies else ""
        return f"Weight({self.name!r}, {self.array.shape} {self.array.dtype}: {_describe(self.axes)}{more})"


@final
@dataclass(frozen=True, eq=False)
class PerUnit:
    """An array with one value, or one of each gate, head or copy, for every unit of one space: a bias, a norm's scale.

    Parameters
    ----------
    name
        Its name, unique in the graph.
    array
        Its values; held as a read-only view, not copied.
    axes
        One `Axis` for each axis of the array. Exactly one is ``out``, the space whose units it belongs to, and none is
        ``in``.
    kind
        One of ``bias``, ``scale``, ``shift``, ``mean``, ``variance``, ``slope``, ``constant``, ``label``, a number that
        tells units apart and that nothing computes with, and ``multiplicity``: as how many units a norm over the space
        counts each one.
    norm
        For a scale, shift, mean or variance, the norm that it is of, if that is known: ``layer``, ``rms``, ``batch`` or
        ``group``. A layer norm whose mean is over the units of several spaces is left unnamed. ``none`` for what
        multiplies or adds to each unit by itself, such as a depthwise kernel.
    multiplies
        For a mask of zeros and ones: the name of the per-unit parameter that it multiplies, which has the same axes.
        What that holds where the mask is 0 does not count.
    """

    name: str
    array: Array
    axes: tuple[Axis, ...]
    kind: str = "bias"
    norm: str | None = None
    multiplies: str | None = None

    def __init__(
        self,
        name: str,
        array: Array,
        axes: Sequence[tuple[str, str | None]],
        kind: str = "bias",
        norm: str | None = None,
        multiplies: str | None = None,
    ) -> None:
        _check_name(name, "a per-unit parameter")
        _check_known(kind, KINDS, f"kind of per-unit parameter (for {name!r})")
        if norm is not None:
            _check_known(norm, NORMS, f"norm (for {name!r})")
            if kind not in OF_NORMS:
                raise ValueError(
                    f"per-unit parameter {name!r} has kind {kind!r}, which no norm has, but names the norm {norm!r}"
                )
        _set(self, name=name, array=_read_only(array, name), axes=_axes(axes, name), kind=kind, norm=norm)
        _set(self, multiplies=multiplies)
        if multiplies is not None:
            _check_mask(name, self.array, multiplies)
        _check_axis_count(self.array, self.axes, name)
        roles = [axis.role for axis in self.axes]
        if roles.count("out") != 1 or "in" in roles:
            raise ValueError(
                f"per-unit parameter {name!r} needs exactly one 'out' axis and no 'in' axis, for the one space whose "
                f"units it belongs to; its axes are {_describe(self.axes)}"
            )

    @property
    def space(self) -> str:
        """Name of the space whose units it belongs to."""
        return next(axis.space for axis in self.axes if axis.role == "out" and axis.space)

    def __repr__(self) -> str:
        kind = f"{self.kind} of {'no' if self.norm == 'none' else f'a {self.norm}'} norm" if self.norm else self.kind
        more = f"; multiplies {self.multiplies!r}" if self.multiplies else ""
        return f"PerUnit({self.name!r}, {self.array.shape} {self.array.dtype}: {kind}, {_describe(self.axes)}{more})"


@final
@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Spaces of units, the weights between them, and the parameters of their units.

    Parameters
    ----------
    spaces
        The spaces, in the order in which they are to be shown.
    connections
        The weights, in order. Several may write to one space (a residual stream), and one may read and write the same
        (a recurrent weight).
    per_unit
        The per-unit parameters, in order.
    inputs, outputs
        Names of the spaces that the world outside sees. Their units are told apart by what they mean, so they are never
        tied. A space may be both.

    Raises
    ------
    TypeError
        An array that is none, or that holds no numbers.
    ValueError
        Sizes that don't meet, a name used twice, or an axis that names no space of the graph.

    Examples
    --------
    >>> import numpy as np
    >>> graph = LayerGraph(
    ...     spaces=[Space("input", 3), Space("state", 5, "tanh"), Space("output", 2)],
    ...     connections=[
    ...         Weight("read", np.ones((5, 3)), [("out", "state"), ("in", "input")]),
    ...         Weight("recur", np.eye(5), [("out", "state"), ("in", "state")]),
    ...         Weight("write", np.ones((2, 5)), [("out", "output"), ("in", "state")]),
    ...     ],
    ...     per_unit=[PerUnit("bias", np.zeros(5), [("out", "state")])],
    ...     inputs=["input"],
    ...     outputs=["output"],
    ... )
    >>> graph.writers("state"), graph.readers("state")
    (('read', 'recur'), ('recur', 'write'))
    >>> print(graph)
    LayerGraph: 3 spaces, 3 weights, 1 per-unit parameter
      space   units  activation  written by   read by
      input       3  identity    (input)      read
      state       5  tanh        read, recur  recur, write
      output      2  identity    write        (output)
    """

    spaces: tuple[Space, ...]
    connections: tuple[Weight, ...]
    per_unit: tuple[PerUnit, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __init__(
        self,
        spaces: Iterable[Space],
        connections: Iterable[Weight],
        per_unit: Iterable[PerUnit] = (),
        *,
        inputs: Iterable[str] = (),
        outputs: Iterable[str] = (),
    ) -> None:
        for what, seen in (("inputs", inputs), ("outputs", outputs)):
            if isinstance(seen, str):
                raise TypeError(f"`{what}` takes a list of names: [{seen!r}], not {seen!r}")
        _set(self, spaces=_tuple_of(Space, spaces), connections=_tuple_of(Weight, connections))
        _set(self, per_unit=_tuple_of(PerUnit, per_unit), inputs=tuple(inputs), outputs=tuple(outputs))
        _check_unique([space.name for space in self.spaces], "spaces")
        names = [weight.name for weight in self.connections] + [each.name for each in self.per_unit]
        _check_unique(names, "weights or per-unit parameters")
        for name in (*self.inputs, *self.outputs):
            self.space(name)
        for weight in self.connections:
            for use in weight.uses:
                self._check_sizes(weight.name, weight.array, use)
        for each in self.per_unit:
            self._check_sizes(each.name, each.array, each.axes)
        self._check_masks()

    def _check_sizes(self, name: str, array: Array, axes: tuple[Axis, ...]) -> None:
        for number, (size, axis) in enumerate(zip(array.shape, axes, strict=True)):
            if axis.space is not None and (units := self.space(axis.space).units) != size:
                raise ValueError(
                    f"sizes don't meet: axis {number} ({axis.role!r}) of {name!r}, shape {array.shape}, has size {size}"
                    f", but space {axis.space!r} has {units} units"
                )

    def _check_masks(self) -> None:
        weights = {weight.name: weight for weight in self.connections}
        for mask in self.connections:
            if mask.multiplies is None:
                continue
            _check_known(mask.multiplies, weights, f"weight (that {mask.name!r} multiplies)")
            weight = weights[mask.multiplies]
            if weight.multiplies is not None:
                raise ValueError(f"{mask.name!r} multiplies {weight.name!r}, which is a mask itself")
            apart = all(mask.axes.count(axis) == weight.axes.count(axis) == 1 for axis in mask.axes)
            if mask.also or not (apart or mask.axes == weight.axes):
                raise ValueError(
                    f"{mask.name!r}, {_describe(mask.axes)}, multiplies {weight.name!r}, {_describe(weight.axes)}: "
                    f"a mask needs axes of the weight, each once, or all of them in the same order"
                )
        held = {each.name: each for each in self.per_unit}
        for each in self.per_unit:
            if each.multiplies is None:
                continue
            _check_known(each.multiplies, held, f"per-unit parameter (that {each.name!r} multiplies)")
            other = held[each.multiplies]
            if other.multiplies is not None:
                raise ValueError(f"{each.name!r} multiplies {other.name!r}, which is a mask itself")
            if each.axes != other.axes:
                raise ValueError(
                    f"{each.name!r}, {_describe(each.axes)}, multiplies {other.name!r}, {_describe(other.axes)}: "
                    f"the mask of a per-unit parameter needs its axes"
                )

    @property
    def weights(self) -> dict[str, Array]:
        """The array of each weight by name, in order, without the per-unit parameters; read-only views."""
        return {weight.name: weight.array for weight in self.connections}

    @property
    def arrays(self) -> dict[str, Array]:
        """The array of each weight, then of each per-unit parameter, by name; read-only views."""
        return self.weights | {each.name: each.array for each in self.per_unit}

    def space(self, name: str) -> Space:
        """Return the space of that name, or raise a ValueError with the nearest names."""
        if not isinstance(name, str) or name not in self._spaces:
            _check_known(name, self._spaces, "space")
        return self._spaces[name]

    @cached_property
    def _spaces(self) -> dict[str, Space]:
        return {space.name: space for space in self.spaces}

    @cached_property
    def _ends(self) -> dict[tuple[str, str], list[str]]:
        """The names of the weights with an axis of some role over some space, in order."""
        found: dict[tuple[str, str], list[str]] = {}
        for weight in self.connections:
            for role in ("out", "in"):
                for space in weight.spaces(role):
                    found.setdefault((role, space), []).append(weight.name)
        return found

    def writers(self, space: str) -> tuple[str, ...]:
        """Names of the weights that write to a space, in order."""
        return tuple(self._ends.get(("out", self.space(space).name), ()))

    def readers(self, space: str) -> tuple[str, ...]:
        """Names of the weights that read from a space, in order."""
        return tuple(self._ends.get(("in", self.space(space).name), ()))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{space.name}: {space.units}" for space in self.spaces)
        return f"LayerGraph({sizes}; {_count(len(self.connections), 'weight')})"

    def _repr_html_(self) -> str:
        return html_text(str(self))

    def __str__(self) -> str:
        counts = [
            (len(self.spaces), "space"),
            (len(self.connections), "weight"),
            (len(self.per_unit), "per-unit parameter"),
        ]
        lines = [
            "LayerGraph: " + ", ".join(_count(number, what) for number, what in counts if number or what == "space")
        ]
        rows = []
        for space in self.spaces:
            written = [*(["(input)"] if space.name in self.inputs else []), *self.writers(space.name)]
            read = [*(["(output)"] if space.name in self.outputs else []), *self.readers(space.name)]
            by = (_listed(written) or "nothing", _listed(read) or "nothing")
            rows.append((visible(space.name), str(space.units), visible(space.activation), *by))
        laid = table(("space", "units", "activation", "written by", "read by"), rows, right={1}).split("\n")
        if max(map(len, laid)) <= LINE - len(INDENT):
            return "\n".join([*lines, *(INDENT + line for line in laid)])
        for name, units, activation, written_by, read_by in rows:
            lines.append(f"{INDENT}{name}: {_count(int(units), 'unit')}, activation {activation}")
            lines += _wrapped(f"written by {written_by}") + _wrapped(f"read by {read_by}")
        return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    """Write the first names of many, and how many more there are."""
    more = len(names) - LISTED
    shown = ", ".join(map(visible, names[:LISTED] if more > 1 else names))
    return f"{shown}, and {more} more" if more > 1 else shown


def _wrapped(text: str) -> list[str]:
    """Break a text into indented lines, within names only where one is longer than a line."""
    return textwrap.wrap(text, LINE, initial_indent=2 * INDENT, subsequent_indent=3 * INDENT, break_on_hyphens=False)


def chain(layers: Sequence[tuple[Array, Array | None]], activation: str | Sequence[str] = "tanh") -> LayerGraph:
    """Wire dense layers one after the other.

    Parameters
    ----------
    layers
        Pairs of weight, (out, in), and bias, (out,) or None, first layer first.
    activation
        The activation of every hidden space; the outputs are then linear. Or one name a layer, that of the outputs
        included.

    Returns
    -------
    LayerGraph
        Layer ``n`` has the weight ``layers.n.weight`` and the bias ``layers.n.bias``, and writes to the space
        ``layers.n``, the last to ``output``. The first reads from ``input``.

    Raises
    ------
    TypeError
        A weight or bias that is not an array.
    ValueError
        No layers, a weight that has not two axes, or sizes that don't meet.

    See Also
    --------
    LayerGraph : Networks of any other shape.
    symbreak.engine.Network : Networks that can be trained.
    symbreak.checkpoints.wire : The network of a saved model.

    Examples
    --------
    >>> import numpy as np
    >>> print(chain([(np.ones((8, 2)), np.zeros(8)), (np.ones((1, 8)), None)]))
    LayerGraph: 3 spaces, 2 weights, 1 per-unit parameter
      space     units  activation  written by       read by
      input         2  identity    (input)          layers.0.weight
      layers.0      8  tanh        layers.0.weight  layers.1.weight
      output        1  identity    layers.1.weight  (output)
    """
    layers = list(layers)
    if not layers:
        raise ValueError("a chain needs at least one layer: [(weight, bias), ...]")
    for number, pair in enumerate(layers):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"layer {number} must be a pair (weight, bias), with None for no bias; got {_short(pair)}")
    names = [f"layers.{number}" for number in range(len(layers))]
    hidden = [activation] * (len(layers) - 1) + ["identity"] if isinstance(activation, str) else list(activation)
    if len(hidden) != len(layers):
        raise ValueError(
            f"{len(layers)} layers need {len(layers)} activations, one a layer, not {len(hidden)}: {hidden}"
        )

    for name, (weight, _) in zip(names, layers, strict=True):
        if _read_only(weight, f"{name}.weight").ndim != 2:
            raise ValueError(f"'{name}.weight' must have two axes, (out, in); its shape is {weight.shape}")
    for (below, (lower, _)), (name, (upper, _)) in pairwise(zip(names, layers, strict=True)):
        if lower.shape[0] != upper.shape[1]:
            raise ValueError(
                f"sizes don't meet: '{below}.weight' {lower.shape} writes {lower.shape[0]} units, "
                f"but '{name}.weight' {upper.shape} reads {upper.shape[1]}; weights are (out, in)"
            )
    spaces = [Space("input", layers[0][0].shape[1])]
    connections, per_unit = [], []
    for name, space, (weight, bias), function in zip(names, [*names[:-1], "output"], layers, hidden, strict=True):
        connections.append(Weight(f"{name}.weight", weight, [("out", space), ("in", spaces[-1].name)]))
        spaces.append(Space(space, weight.shape[0], function))
        if bias is not None:
            per_unit.append(PerUnit(f"{name}.bias", bias, [("out", space)]))
    return LayerGraph(spaces, connections, per_unit, inputs=["input"], outputs=["output"])


def _set(instance: object, **fields: object) -> None:
    for name, value in fields.items():
        object.__setattr__(instance, name, value)


def _tuple_of(kind: type, items: Iterable[Any]) -> tuple[Any, ...]:
    items = tuple(items)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"expected a {kind.__name__}, got {_short(item)}")
    return items


def _read_only(array: Array, name: str) -> Array:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name!r} must be a NumPy array, not {_short(array)}; use np.asarray")
    if array.dtype.kind in "SUMm" or array.dtype.names:
        raise TypeError(f"{name!r} must hold numbers; its dtype is {array.dtype}")
    view = array.view()
    view.flags.writeable = False
    return view


def _axes(axes: Sequence[tuple[str, str | None]], name: str) -> tuple[Axis, ...]:
    result = []
    for axis in axes:
        if not isinstance(axis, tuple | list) or not 1 <= len(axis) <= 2:
            raise TypeError(f"an axis of {name!r} must be a pair like ('out', 'hidden'), not {axis!r}")
        role, space = Axis(*axis)
        _check_known(role, ROLES, f"role of an axis (of {name!r})")
        if role in SPACELESS and space is not None:
            raise ValueError(f"an axis of {name!r} has role {role!r}, which runs over no space, but names {space!r}")
        if role not in SPACELESS and space is None:
            raise ValueError(f"an axis of {name!r} has role {role!r} and must name its space: ({role!r}, 'name')")
        result.append(Axis(role, space))
    return tuple(result)


def _check_axis_count(array: Array, axes: tuple[Axis, ...], name: str) -> None:
    if array.ndim != len(axes):
        raise ValueError(
            f"{name!r} has shape {array.shape}, {array.ndim} axes, but {len(axes)} are named: {_describe(axes)}"
        )


def _check_mask(name: str, array: Array, multiplies: str) -> None:
    _check_name(multiplies, f"what the mask {name!r} multiplies")
    if not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name!r} multiplies {multiplies!r}, so it is a mask, but it holds other values than 0 and 1")


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{what} needs a name, a string that is not empty; got {name!r}")


def _check_unique(names: list[str], what: str) -> None:
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"two {what} are called {twice[0]!r}; names must be unique")


def _check_known(name: object, known: Iterable[str], what: str) -> None:
    known = list(known)
    if name not in known:
        near = get_close_matches(str(name), known, n=3, cutoff=0.5) or known[:6]
        raise ValueError(
            f"no {what} is called {name!r}; did you mean {', '.join(map(repr, near)) or 'nothing: there is none'}?"
        )


def _describe(axes: tuple[Axis, ...]) -> str:
    return "(" + ", ".join(f"{axis.role} {axis.space}" if axis.space else axis.role for axis in axes) + ")"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _short(value: object) -> str:
    text = repr(value)
    return f"a {type(value).__name__}: {text if len(text) <= 60 else text[:57] + '...'}"
