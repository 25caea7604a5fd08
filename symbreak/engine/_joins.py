"""Where wires meet and where they pass through: sums, concatenations, and activations that stand alone.

The derivative of a sum is 1 for each of its terms, so that its gradient goes to every source as it is.
"""

from itertools import accumulate, pairwise
from typing import Any, final

import numpy as np

from ._activations import ACTIVATIONS
from ._checks import look_up
from ._layers import AbstractLayer, Array, Backward, Run, Shape, function_of
from ._wiring import Wire, Wiring


@final
class Add(AbstractLayer):
    """The sum of two sources or more, unit by unit: what closes a residual block.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> body = engine.Dense(np.ones((2, 2)), activation="relu")
    >>> net = engine.Network({"body": body, "sum": (engine.Add(), "input", "body")})
    >>> net(np.array([[1.0, 2.0]]))
    array([[4., 5.]])
    """

    inputs = units = None

    def __init__(self) -> None:
        self.parameters = {}

    def forward(self, x: tuple[Array, ...], run: Run) -> tuple[Array, Any]:
        """Compute the sum, the sources in their order; the memory is how many there are."""
        total = x[0] + x[1]
        for term in x[2:]:
            total = total + term
        return total, len(x)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Hand the gradient to every source."""
        return Backward((g,) * memory, g, {})

    def widths(self, *sizes: int | None) -> int | None:
        """Give the one size that all sources have."""
        _several(self, sizes)
        known = [size for size in sizes if size is not None]
        if len(set(known)) > 1:
            raise ValueError(f"adds sources of one size, not of {' and '.join(map(str, known))} units")
        return known[0] if known else None

    def shape(self, *shapes: Shape) -> Shape:
        """Give the one shape that all sources have."""
        if len(set(shapes)) > 1:
            raise ValueError(f"it adds arrays of one shape, not of {' and '.join(str(('batch', *s)) for s in shapes)}")
        return shapes[0]

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Make one space of its sources: what is summed unit by unit is one stream that several weights write to."""
        return wiring.merge(sources)

    def __repr__(self) -> str:
        return "Add()"


@final
class Concatenate(AbstractLayer):
    """The units of two sources or more, side by side: two heads, or features of several kinds.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> heads = {"left": engine.Dense(np.ones((1, 2))), "right": (engine.Dense(-np.ones((2, 2))), "input")}
    >>> net = engine.Network({**heads, "both": (engine.Concatenate(), "left", "right")})
    >>> net(np.array([[1.0, 2.0]]))
    array([[ 3., -3., -3.]])
    """

    inputs = units = None

    def __init__(self) -> None:
        self.parameters = {}

    def forward(self, x: tuple[Array, ...], run: Run) -> tuple[Array, Any]:
        """Put the sources side by side; the memory is where each one ends."""
        return np.concatenate(x, axis=-1), list(accumulate((source.shape[-1] for source in x), initial=0))

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Hand each source its part of the gradient."""
        return Backward(tuple(g[..., begin:end] for begin, end in pairwise(memory)), g, {})

    def widths(self, *sizes: int | None) -> int | None:
        """Give the sum of the sizes."""
        _several(self, sizes)
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def shape(self, *shapes: Shape) -> Shape:
        """Give the shape of the sources, with the sum of their units."""
        if len({shape[:-1] for shape in shapes}) > 1:
            raise ValueError(
                f"it puts side by side what has one shape but for the units, not "
                f"{' and '.join(str(('batch', *s)) for s in shapes)}"
            )
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Give a wire that runs over the spaces of all sources."""
        return wiring.concatenate(name, sources)

    def __repr__(self) -> str:
        return "Concatenate()"


@final
class Activate(AbstractLayer):
    """An activation that stands alone, after a norm or a sum.

    Parameters
    ----------
    activation
        As `Dense` takes it.

    Raises
    ------
    UnknownName
        An activation that is not in the table.
    TypeError
        When it runs, exact numbers whose activation is no polynomial.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.eye(2)), engine.Activate("relu")])
    >>> net(np.array([[1.0, -2.0]]))
    array([[1., 0.]])
    """

    inputs = units = None

    def __init__(self, activation: str) -> None:
        self.parameters = {}
        self.activation = activation
        self._function = look_up(ACTIVATIONS, activation, "activation")

    def forward(self, x: Array, run: Run) -> tuple[Array, Any]:
        """Apply the activation; the memory is (input, output)."""
        y = function_of(self.activation, x.dtype).forward(x)
        return y, (x, y)

    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Multiply by the slope."""
        x, y = memory
        error = self._function.backward(g, y, x)
        return Backward(error, error, {})

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Pass its source on: it goes unit by unit."""
        return wiring.through(sources[0], self.activation)

    def __repr__(self) -> str:
        return f"Activate({self.activation!r})"


def _several(layer: AbstractLayer, sizes: tuple[int | None, ...]) -> None:
    if len(sizes) < 2:
        raise ValueError(f"joins two sources or more; name them: ({layer!r}, 'first', 'second')")
