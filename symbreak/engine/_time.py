"""What layers over time share: the shape of what they read."""

from ._layers import Shape


def shape_in_time(shape: Shape, inputs: int, units: int) -> Shape:
    """Give the shape of one row's output, (time, units), or raise if its source is not (time, inputs)."""
    if len(shape) != 2 or shape[1] != inputs:
        raise ValueError(f"it reads (batch, time, {inputs}), not {('batch', *shape)}")
    return (shape[0], units)
