"""What a batch shows of the units of a Keras model: activations, gradients, and the certificate beside them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from .._api import diagnose as judge
from .._probe import TOLERANCE, Probe, Recorder
from ..reports import Report
from ._taps import Tap, find_taps, listening
from ._variables import check_model
from ._wire import wired_with

Array = npt.NDArray[Any]
Loss = Callable[[Any], Any]  # of the model's outputs


def probe(
    model: Any,
    batch: Any,
    loss: Any = None,
    *,
    training: bool = False,
    tolerance: float = TOLERANCE,
    certificate: Report | bool = True,
) -> Probe:
    """Say which units of each layer have identical activations and identical gradients on a batch.

    Parameters
    ----------
    model
        A Keras model or layer that is built, on JAX, PyTorch or TensorFlow. It is left as it was: weights, statistics
        of norms, and the states of random numbers.
    batch
        ``(x, y)``, or what the model is called with where `loss` needs no targets.
    loss
        What ``compile`` takes for a loss, called with targets and outputs; or for a batch without targets a function of
        the outputs alone, that gives a number. By default the loss that the model was compiled with.
    training
        Whether the model runs as in training: with dropout, and norms by the statistics of the batch.
    tolerance
        A relative distance within which activations, and gradients, count as near.
    certificate
        The report of the network, put beside the batch; True makes it, False leaves it out.

    Returns
    -------
    Probe
        A table when printed.

    Raises
    ------
    NotImplementedError
        On Keras' NumPy backend, which has no gradients.
    TypeError, ValueError
        For a model, batch or loss that makes no sense.

    Examples
    --------
    >>> import keras, numpy as np, symbreak as sb  # doctest: +SKIP
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])  # doctest: +SKIP
    >>> print(sb.keras.probe(model, (np.ones((2, 4)), np.ones((2, 1))), "mse"))  # doctest: +SKIP
    """
    check_model(model)
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise NotImplementedError(
            f"probe needs gradients, which Keras' backend {backend!r} has not; run with KERAS_BACKEND=jax, torch or "
            f"tensorflow"
        )
    inputs, of_outputs = _read(model, batch, loss)
    taps = find_taps(model)

    def run() -> Any:
        outputs = model(inputs, training=training)
        value = of_outputs(outputs)
        return value if len(getattr(value, "shape", ())) == 0 else keras.ops.mean(value)

    recorder = Recorder(tolerance)
    spaces = _spaces_of(model, batch) if certificate is True else None
    report = spaces[1] if spaces else (certificate if isinstance(certificate, Report) else None)
    named = dict(spaces[0]) if spaces else {}
    with keras.StatelessScope():
        value, heard = BACKENDS[backend](run, taps)
    origins: dict[int, str] = {}
    quiet: dict[str, str] = {}
    for tap, before, output, gradient in heard:
        origins[id(output)] = tap.name
        if tap.name not in named and id(before) in origins:  # a function of one number: the units that it was given
            source = origins[id(before)]
            named[tap.name] = named.get(source, source)
        if gradient is None:
            quiet[tap.name] = "no gradient comes to it"
            continue
        shown, axis = tap.units(output)
        recorder.activations(tap.name, _numpy(shown), axis)
        recorder.gradients(tap.name, _numpy(tap.units(gradient)[0]), axis)
    return recorder.probe(report, named, loss=value, left_out=quiet)


Heard = tuple[Tap, Any, Any, Any]  # what it read, gave, and the gradient of the loss at that


def _jax(run: Callable[[], Any], taps: Sequence[Tap]) -> tuple[float, list[Heard]]:
    import jax

    heard: list[tuple[Tap, Any, Any]] = []

    def keep(tap: Tap, before: Any, output: Any) -> Any:
        heard.append((tap, before, output))
        return output

    with listening(taps, keep):
        run()

    def moved(deltas: list[Any]) -> Any:
        left = iter(deltas)
        with listening(taps, lambda _, __, output: output + next(left)), keras.StatelessScope():
            return run()

    value, gradients = jax.value_and_grad(moved)([jax.numpy.zeros_like(output) for _, _, output in heard])
    return float(value), [(*each, gradient) for each, gradient in zip(heard, gradients, strict=True)]


def _torch(run: Callable[[], Any], taps: Sequence[Tap]) -> tuple[float, list[Heard]]:
    import torch

    heard: list[tuple[Tap, Any, Any]] = []

    def keep(tap: Tap, before: Any, output: Any) -> Any:
        found = output if output.requires_grad else output.detach().requires_grad_()
        heard.append((tap, before, found))
        return found

    with torch.enable_grad(), listening(taps, keep):
        value = run()
    number = float(value.detach())
    if not heard or not value.requires_grad:
        return number, [(*each, None) for each in heard]
    gradients = torch.autograd.grad(value, [output for _, _, output in heard], allow_unused=True)
    return number, [(*each, gradient) for each, gradient in zip(heard, gradients, strict=True)]


def _tensorflow(run: Callable[[], Any], taps: Sequence[Tap]) -> tuple[float, list[Heard]]:
    import tensorflow as tf

    heard: list[tuple[Tap, Any, Any]] = []
    with tf.GradientTape() as tape:

        def keep(tap: Tap, before: Any, output: Any) -> Any:
            tape.watch(output)
            heard.append((tap, before, output))
            return output

        with listening(taps, keep):
            value = run()
    gradients = tape.gradient(value, [output for _, _, output in heard])
    whole = [None if each is None else tf.convert_to_tensor(each) for each in gradients]
    return float(value), [(*each, gradient) for each, gradient in zip(heard, whole, strict=True)]


BACKENDS: dict[str, Callable[[Callable[[], Any], Sequence[Tap]], tuple[float, list[Heard]]]] = {
    "jax": _jax,
    "torch": _torch,
    "tensorflow": _tensorflow,
}


def _read(model: Any, batch: Any, loss: Any) -> tuple[Any, Loss]:
    """Give what the model is called with, and the loss as a function of its outputs."""
    pair = isinstance(batch, tuple) and len(batch) in (2, 3)
    inputs, targets = (batch[0], batch[1]) if pair else (batch, None)
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    if loss is None:
        if not pair or not getattr(model, "compiled", False):
            raise ValueError(
                "which loss? the model isn't compiled with one, or the batch has no targets: give `loss=`, a name such "
                "as 'mse' with batch=(x, y), or a function of the outputs"
            )
        return inputs, lambda outputs: model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=False)
    if pair:
        called = keras.losses.get(loss)
        return inputs, lambda outputs: called(targets, outputs)
    if not callable(loss):
        raise TypeError(f"the loss {loss!r} needs targets: give batch=(x, y), or a function of the outputs")
    return inputs, loss


def _spaces_of(model: Any, batch: Any) -> tuple[dict[str, str], Report]:
    """Give the space that each layer writes to, and the certificate of the network."""
    pair = isinstance(batch, tuple) and len(batch) in (2, 3)
    wired, _ = wired_with(model, keras.tree.map_structure(np.asarray, batch[0] if pair else batch))
    if wired.graph is None:
        return {}, Report()
    found: dict[str, str] = {}
    for weight in wired.graph.connections:
        for space in weight.spaces("out")[:1]:
            found.setdefault(weight.name.rpartition("/")[0], space)
    for each in wired.graph.per_unit:
        found.setdefault(each.name.rpartition("/")[0], each.space)
    for name in list(found):  # a recurrent layer is listened to as a whole
        outer = name.rpartition("/")[0]
        if name.endswith("_cell") and outer:
            found.setdefault(outer, found[name])
    return found, judge(wired.graph)


def _numpy(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
