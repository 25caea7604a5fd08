"""The activations and their derivatives, one row a function, in the textbook's letters.

`x` goes in, `y` comes out, and `g` is the gradient of the loss at `y`; `backward` gives the gradient at `x`. Each is
applied entry by entry, so that units with equal `x` have equal `y`, and equal gradients where their `g` are equal.
"""

# ruff: noqa: ARG005 - every row takes g, y and x, and uses those it needs

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Activation(NamedTuple):
    """A function of one variable, and what its derivative makes of a gradient."""

    forward: Callable[[Array], Array]  # x -> y
    backward: Callable[[Array, Array, Array], Array]  # g, y, x -> gradient at x


# fmt: off
ACTIVATIONS = {
    "identity": Activation(lambda x: x,                lambda g, y, x: g),
    "relu":     Activation(lambda x: np.maximum(x, 0), lambda g, y, x: g * (x > 0)),  # at 0, take 0
    "tanh":     Activation(np.tanh,                    lambda g, y, x: g * (1 - y * y)),
}
# fmt: on
