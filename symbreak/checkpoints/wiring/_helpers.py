"""What wrappers put beside a weight: lengths of weight norm, vectors of spectral norm, factors of adapters, masks.

They run over the spaces of the weight that they belong to, so nothing has to be said of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symbreak.checkpoints.wiring._names import MASK, Helper, Names
from symbreak.checkpoints.wiring._spec import WEIGHT
from symbreak.checkpoints.wiring._terms import Axes, Cut, Factors, Term, flat_terms

if TYPE_CHECKING:
    from symbreak.checkpoints.wiring._build import Said

LENGTHS = "length of the rows"  # the kind of an array that is computed: weight norm divides by it
ROWS = "which rows are equal"  # so is this: DoRA divides by the length of a sum, which equal rows have in common
MADE = {LENGTHS: ".length", ROWS: ".rows"}  # what such an array is called, after the weight
ALONE = (Term("one", size=1),)


def helper_statements(said: "Sequence[Said]", names: Names) -> "list[Said]":
    """Say what the helpers of the weights that are known run over, and adapters whose weights are in another file."""
    found: list[Said] = []
    first: dict[str, Said] = {}
    held: dict[str, list[Said]] = {}
    for each in said:
        if each.kind == WEIGHT:
            first.setdefault(each.name, each)
        held.setdefault(each.name, []).append(each)
    for owner, helpers in names.helpers.items():
        base = first.get(owner)
        for helper in helpers:
            if helper.what == MASK:
                found += _mask(held.get(owner, []), helper, names)
            elif base is not None:
                found += _statements(base, owner, helper, names)
            elif owner not in names.shapes and helper.what.startswith("lora") and not said:
                found += _adapter(owner, helper, names)
    return found


def lengths(array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Compute the lengths over the axes that `shape` has one of, in float64."""
    over = tuple(number for number, length in enumerate(shape) if length == 1)
    return np.asarray(np.sqrt(np.sum(np.square(array, dtype=np.float64), axis=over, keepdims=True)))


def labels(array: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Give numbers to the rows along the axis that `shape` has more than one of, the same to equal ones."""
    axis = next((number for number, length in enumerate(shape) if length > 1), 0)
    rows = np.ascontiguousarray(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1))
    bits = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.asarray(np.unique(bits, return_inverse=True)[1]).reshape(shape)


def _statements(base: "Said", owner: str, helper: Helper, names: Names) -> "list[Said]":
    """Say one helper of a weight, if its shape is what it must be."""
    shape = names.helper_shapes[helper.name]
    if helper.what == "length" and len(shape) == len(base.shape) and sum(length != 1 for length in shape) <= 1:
        axes = tuple(
            _written(factors) if length == full else ALONE
            for length, full, factors in zip(shape, base.shape, base.axes, strict=True)
        )
        scale = base._replace(file=helper.name, shape=shape, axes=axes, kind="scale")
        return [scale, base._replace(shape=shape, axes=axes, kind=LENGTHS)]
    if helper.what == "left" and len(shape) == 1:
        return [base._replace(file=helper.name, shape=shape, axes=(_written(base.axes[0]),), kind="constant")]
    if helper.what == "right" and len(shape) == 1:
        rest = tuple(factor for factors in base.axes[1:] for factor in _written(factors))
        sized = (
            tuple(
                each._replace(size=length) if isinstance(each, Term) and each.role == "receptive" else each
                for each, length in zip(rest, base.shape[1:], strict=False)
            )
            if len(rest) == len(base.shape) - 1
            else rest
        )
        return [base._replace(file=helper.name, shape=shape, axes=(sized,), kind="constant")]
    if helper.what.startswith("magnitude"):
        return _magnitude(base, helper, shape)
    if helper.what.startswith("lora") and len(base.shape) == 2:
        rank = _rank(owner, helper)
        sides = {_role(factors): factors for factors in base.axes}
        if set(sides) == {"out", "in"}:
            axes = (
                ((Term("out", rank),), sides["in"])
                if helper.what.startswith("lora_A")
                else (sides["out"], (Term("in", rank),))
            )
            return [base._replace(file=helper.name, shape=shape, axes=axes)]
    return []


def _mask(uses: "list[Said]", helper: Helper, names: Names) -> "list[Said]":
    """Say what of a weight, or of a parameter of units, was pruned; that of a parameter once for each of its spaces."""
    shape = names.helper_shapes[helper.name]
    if not uses or any(shape != each.shape for each in uses):
        return []
    first = [each for each in uses if each.kind == WEIGHT][:1] or uses
    kind = WEIGHT if first[0].kind == WEIGHT else "constant"
    return [each._replace(file=helper.name, kind=kind, norm=None, multiplies=each.file) for each in first]


def _magnitude(base: "Said", helper: Helper, shape: tuple[int, ...]) -> "list[Said]":
    """Say the lengths that DoRA gives the units that a weight writes, and which rows of the weight are equal."""
    at = next((number for number, factors in enumerate(base.axes) if _role(factors) == "out"), None)
    if at is None or sum(length != 1 for length in shape) > 1 or base.shape[at] not in shape:
        return []
    own = tuple(_written(base.axes[at]) if length == base.shape[at] else ALONE for length in shape)
    scale = base._replace(file=helper.name, shape=shape, axes=own, kind="scale")
    rows = tuple(base.shape[at] if number == at else 1 for number in range(len(base.shape)))
    axes = tuple(_written(factors) if number == at else ALONE for number, factors in enumerate(base.axes))
    return [scale, base._replace(shape=rows, axes=axes, kind=ROWS)]


def _adapter(owner: str, helper: Helper, names: Names) -> "list[Said]":
    """Say a factor whose weight is in another file: what it reads or writes beside the rank is not known."""
    from symbreak.checkpoints.wiring._build import Said  # the two know each other

    rank, module = _rank(owner, helper), owner.removesuffix(".weight")
    axes: Axes = (
        ((Term("out", rank),), (Term("in", f"{module}.in"),))
        if helper.what.startswith("lora_A")
        else ((Term("out", f"{module}.out"),), (Term("in", rank),))
    )
    return [Said(owner, helper.name, names.helper_shapes[helper.name], axes, WEIGHT, ())]


def _rank(owner: str, helper: Helper) -> str:
    adapter = helper.what.partition(" ")[2]
    return f"{owner.removesuffix('.weight')}.rank" + (f".{adapter}" if adapter else "")


def _role(factors: Factors) -> str:
    """Whether an axis is one that is written or one that is read; empty where it is both or neither."""
    roles = {term.role for term in flat_terms(factors)} & {"out", "in"}
    return roles.pop() if len(roles) == 1 else ""


def _written(factors: Factors) -> Factors:
    """Give the factors of a per-unit parameter over the space that an axis runs over."""
    return tuple(
        (each._replace(role="out") if each.role == "in" else each)
        if isinstance(each, Term)
        else Cut(tuple((name, _written(inner)) for name, inner in each.parts), each.whole)
        for each in factors
    )
