"""Operators of graphs that are traced from a program, for which the standard has no node of its own."""

from collections.abc import Sequence

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Value
from symbreak.checkpoints.wiring._onnx_values import Step, one
from symbreak.checkpoints.wiring._values import Known, meet, without_units


def move(step: Step) -> Sequence[Known]:
    """Give other positions along some axes, as many as `sizes` says, whatever is taken or moved there."""
    value = one(step.inputs, step.flow)
    axes, sizes = step.node.numbers("axes") or [], step.node.numbers("sizes") or []
    without_units(value, axes)
    new = dict(zip(axes, sizes, strict=True))
    return [Value(tuple((step.flow.var(new[n]),) if n in new else axis for n, axis in enumerate(value.axes)),
                  value.passed)]  # fmt: skip


def begin(step: Step) -> Sequence[Known]:
    """Give the state from which a loop starts, of which nothing is known but its shape: its last axis is of units."""
    sizes = step.node.numbers("sizes") or []
    axes: list[Axis] = [(step.flow.var(size),) if size > 1 else () for size in sizes[:-1]]
    return [Value((*axes, step.flow.space(sizes[-1], "")))]


def end(step: Step) -> Sequence[Known]:
    """Say that a loop begins its next round with what it ended this one with: the units are the same."""
    before, after = (one(step.inputs, step.flow, number) for number in (0, 1))
    if len(before.axes) != len(after.axes):
        raise NotUnderstood("a loop ends with other axes than it began")
    axes = [meet(step.flow, *both) for both in zip(before.axes, after.axes, strict=True)]
    return [Value(tuple(axes), after.passed)]
