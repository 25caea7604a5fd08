"""Layers' outputs as a model computes them: which layers are listened to, and along which axis their units lie."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import keras

from ._layouts import axes_of
from ._variables import inner_layers

L = keras.layers
CLOSED = (L.RNN, L.TimeDistributed, L.Bidirectional, L.Wrapper)  # what they hold runs in a loop of the backend's
FUNCTIONS = (L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.PReLU)
Hear = Callable[["Tap", Any, Any], Any]


@final
@dataclass(frozen=True, eq=False)
class Tap:
    """A layer that is listened to.

    Attributes
    ----------
    name
        Its path.
    layer
        Keras'.
    joined
        Over how many last axes of its output its units lie: two for a query of several heads.
    first
        Whether its units lie along axis 1, before positions.
    """

    name: str
    layer: Any
    joined: int = 1
    first: bool = False

    def units(self, output: Any) -> tuple[Any, int]:
        """Give an output with its units along one axis, and that axis."""
        if self.first and len(output.shape) > 2:
            return output, 1
        if self.joined > 1:
            shape = output.shape
            width = 1
            for size in shape[-self.joined :]:
                width *= int(size)
            return keras.ops.reshape(output, (*shape[: -self.joined], width)), -1
        return output, -1


def find_taps(model: Any) -> list[Tap]:
    """Find the layers whose outputs are spaces of units: those that have weights, and functions of one number."""
    found: dict[int, Tap] = {}
    for path, layer in _every(model, ()):
        inner = inner_layers(layer)
        deeper = {id(each) for part in inner for each in part.weights}
        own = any(id(each) not in deeper for each in layer.weights)
        if own or isinstance(layer, FUNCTIONS) or (isinstance(layer, CLOSED) and layer.weights):
            found.setdefault(id(layer), _tap("/".join(path), layer))
    return list(found.values())


def _every(layer: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for each in inner_layers(layer):
        yield (*path, each.name), each
        if not isinstance(each, CLOSED):
            yield from _every(each, (*path, each.name))


def _tap(name: str, layer: Any) -> Tap:
    joined = 1
    if isinstance(layer, L.EinsumDense):
        axes = axes_of(layer, "kernel", layer.kernel.shape)
        joined = max(1, axes.layout.count("o")) if axes is not None else 1
    return Tap(name, layer, joined, getattr(layer, "data_format", None) == "channels_first")


@contextmanager
def listening(taps: Sequence[Tap], hear: Hear) -> Iterator[None]:
    """Hand on every output of the layers: `hear(tap, input, output)` gives what takes the output's place."""
    before = [vars(tap.layer).get("call") for tap in taps]
    try:
        for tap in taps:
            object.__setattr__(tap.layer, "call", _heard(tap, tap.layer.call, hear))
        yield
    finally:
        for tap, call in zip(taps, before, strict=True):
            if call is None:
                object.__delattr__(tap.layer, "call")
            else:
                object.__setattr__(tap.layer, "call", call)


def _heard(tap: Tap, call: Callable[..., Any], hear: Hear) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        return hear(tap, args[0] if args else None, output) if is_plain(output) else output

    return wrapped


def is_plain(output: Any) -> bool:
    """Whether an output is one tensor of floats with samples and units."""
    return (
        keras.ops.is_tensor(output)
        and len(output.shape) > 1
        and "float" in str(keras.backend.standardize_dtype(output.dtype))
    )
