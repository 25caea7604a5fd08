"""What a layer is: parameters, and derivatives written by hand.

A layer holds its parameters and nothing of the batch: what its backward pass needs, its forward pass hands out. So one
layer may be used several times in one network, and its gradients are summed.

Units lie along the last axis everywhere: arrays are (batch, units), or (batch, positions, units) for what has places in
time or in an image.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from symbreak.streams import Key

from ._activations import ACTIVATIONS, POLYNOMIALS, Activation
from ._checks import look_up
from ._exact import as_exact, kind_of
from ._wiring import Wire, Wiring

Array = np.ndarray[Any, np.dtype[Any]]
Product: TypeAlias = Callable[[Array, Array], Array]  # (rows, k), (columns, k) -> (rows, columns)
Shape: TypeAlias = tuple[int, ...]

NOTHING: Mapping[str, Array] = MappingProxyType({})


class Run(NamedTuple):
    """How layers are run: what they need to know beside what they read.

    Attributes
    ----------
    product
        How sums of products are formed: (rows, k) and (columns, k) to (rows, columns).
    training
        Whether noise is drawn and the statistics are those of the batch, as while training; else nothing is dropped,
        and the statistics are those that training gathered.
    key
        What a layer's noise is drawn from; a network gives each layer a key of its own. None where nothing is drawn.
    first
        Whether the layer reads the network's input alone: nobody asks for the gradient there, so `Backward.x` may be
        None.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> run = engine.Run(lambda a, b: a @ b.T)
    >>> engine.Dense(np.ones((1, 2))).forward(np.ones((3, 2)), run)[0].shape
    (3, 1)
    """

    product: Product
    training: bool = True
    key: Key | None = None
    first: bool = False


class Backward(NamedTuple):
    """What a layer's backward pass gives.

    Attributes
    ----------
    x
        The gradient at what the layer reads, of its shape. A tuple, one a source, for a layer that reads several; None
        for one that reads indices, or where ``run.first`` says that nobody asks.
    error
        The gradient at its units' pre-activation, (batch, ..., units): the error signal.
    parameters
        The gradient of each parameter, of its shape.
    buffers
        What each of its buffers holds next, where a batch changes them.
    """

    x: Any
    error: Array
    parameters: dict[str, Array]
    buffers: Mapping[str, Array] = NOTHING


class AbstractLayer(ABC):
    """One layer: subclass it to add a kind.

    The law: where ``y, memory = forward(x, run)``, ``backward(g, memory, run)`` is the gradient of ``(g * y).sum()``.

    Attributes
    ----------
    parameters
        The arrays that training changes in place, by name.
    buffers
        Arrays that belong to the layer and have no gradient, by name: running statistics. Training changes them in
        place, once a step.
    inputs, units
        How many values it reads and writes at each position of each row of a batch. None for as many as there are.
    vocabulary
        For a layer that reads indices in place of numbers: how many there are. Else None.
    noisy
        Whether it draws noise while training, from ``run.key``.

    Examples
    --------
    A layer that doubles what it reads:

    >>> import numpy as np
    >>> from symbreak import engine
    >>> class Double(engine.AbstractLayer):
    ...     parameters = {}
    ...     inputs = units = None
    ...
    ...     def forward(self, x, run):
    ...         return 2 * x, None
    ...
    ...     def backward(self, g, memory, run):
    ...         return engine.Backward(2 * g, g, {})
    >>> net = engine.Network([engine.Dense(np.ones((3, 2))), Double()])
    >>> net(np.ones((1, 2)))
    array([[4., 4., 4.]])
    """

    parameters: dict[str, Array]
    buffers: Mapping[str, Array] = NOTHING
    inputs: int | None
    units: int | None
    vocabulary: int | None = None
    noisy: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Any, run: Run) -> tuple[Array, Any]:
        """Compute the outputs, (batch, ..., units), from x, (batch, ..., inputs), and what `backward` must remember."""

    @abstractmethod
    def backward(self, g: Array, memory: Any, run: Run) -> Backward:
        """Compute the gradients from g, the gradient at the outputs, (batch, ..., units)."""

    def __repr__(self) -> str:
        sizes = (
            "" if self.inputs is None and self.units is None else f"{self.inputs or 'any'} -> {self.units or 'same'}"
        )
        return f"{type(self).__name__}({sizes})"

    def widths(self, *sizes: int | None) -> int | None:
        """Give the number of units that it writes where its sources have `sizes`; None stands for one not yet known.

        Raises
        ------
        ValueError
            If the sizes don't meet.
        """
        size = only(sizes)
        if None not in (size, self.inputs) and size != self.inputs:
            raise ValueError(f"reads {self.inputs}")
        return size if self.units is None else self.units

    def shape(self, *shapes: Shape) -> Shape:
        """Give the shape of one row's output, where `shapes` are those of one row of its sources.

        Raises
        ------
        ValueError
            If it can't read them.
        """
        (shape,) = shapes
        if self.vocabulary is not None:
            return (*shape, self.units or 0)
        if not shape or (self.inputs is not None and shape[-1] != self.inputs):
            raise ValueError(f"it reads (batch, ..., {self.inputs or 'units'}), not {('batch', *shape)}")
        return (*shape[:-1], self.units or shape[-1])

    def wire(self, wiring: Wiring, name: str, *sources: Wire) -> Wire:
        """Add its spaces, weights and per-unit parameters to the graph of a network; return the wire that it writes.

        Parameters
        ----------
        wiring
            What gathers the graph.
        name
            Of this use of the layer.
        sources
            The wires that it reads.
        """
        raise NotImplementedError(
            f"no graph can be made of {self!r}: a layer says how it is wired in a method `wire(wiring, name, *sources)`"
        )


def only(sizes: tuple[int | None, ...]) -> int | None:
    """Return the size of the one source that there is, or raise."""
    if len(sizes) != 1:
        raise ValueError(f"reads one source, not {len(sizes)}")
    return sizes[0]


def project(x: Array, weight: Array, run: Run) -> Array:
    """Multiply each position of x, (batch, ..., inputs), by a weight, (units, inputs): (batch, ..., units)."""
    if x.ndim == 2:
        return run.product(x, weight)
    return run.product(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], len(weight))


def rows(values: Array) -> Array:
    """View (batch, ..., units) as (rows, units)."""
    return values if values.ndim == 2 else values.reshape(-1, values.shape[-1])


def summed(values: Array) -> Array:
    """Sum (batch, ..., units) over everything but the units, row after row, so that each unit has the same order."""
    total: Array = np.add.reduce(np.ascontiguousarray(rows(values)), axis=0)
    return total


def totals(values: Array, run: Run) -> Array:
    """Sum the last axis, every row in the same order: (..., n) to (..., 1)."""
    ones = np.ones((1, values.shape[-1]), values.dtype)
    return run.product(rows(values), ones).reshape(*values.shape[:-1], 1)


def own(array: Array | None, name: str) -> Array:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"a {name} must be a NumPy array, not a {type(array).__name__}; use np.asarray")
    if array.dtype == object:
        return array
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"a {name} must be float32 or float64, not {array.dtype}; use .astype(np.float64)")
    if not np.isfinite(array).all():
        raise ValueError(f"a {name} must be finite; {np.count_nonzero(~np.isfinite(array))} of its values are not")
    return np.array(array, order="C")


def as_parameters(
    arrays: Mapping[str, Array | None], called: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Array]:
    """Copy the arrays of a layer that are there, or raise if they are not of one dtype; fractions become exact.

    Biases and shifts may be None, and are then left out.
    `called` has what messages call those whose name alone says too little.
    """
    owned = {
        name: own(array, called.get(name, name))
        for name, array in arrays.items()
        if array is not None or not name.endswith(("bias", "shift"))
    }
    dtypes = {str(array.dtype): called.get(name, name) for name, array in owned.items()}
    if len(dtypes) > 1:
        (one, first), (other, second), *_ = dtypes.items()
        raise TypeError(f"the {first} is {one} and the {second} {other}; give both one dtype")
    if "object" in dtypes:
        kind = kind_of(next(iter(owned.values())))
        return {name: as_exact(array, kind, called.get(name, name)) for name, array in owned.items()}
    return owned


def check_fits(weight: Array, axes: str, what: str, array: Array | None, shape: Shape) -> None:
    """Raise if an array that goes with a weight has another shape; `axes` says what those of the weight are."""
    if array is not None and array.shape != shape:
        raise ValueError(
            f"a weight of shape {weight.shape}, {axes}, needs a {what} of shape {shape}, not {array.shape}"
        )


def function_of(activation: str, dtype: np.dtype[Any]) -> Activation:
    """Look an activation up, or raise; exact numbers have polynomials only."""
    found = look_up(ACTIVATIONS, activation, "activation")
    if dtype.kind == "O" and activation not in POLYNOMIALS:
        raise TypeError(
            f"a layer of exact numbers needs a polynomial for its activation, {' or '.join(sorted(POLYNOMIALS))}; "
            f"got {activation!r}"
        )
    return found
