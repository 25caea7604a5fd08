"""What one batch shows of the units of a model of JAX's, beside the certificate."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symbreak._api import diagnose as diagnose_arrays
from symbreak._probe import TOLERANCE, Probe, Recorder
from symbreak.checkpoints import Wired
from symbreak.graph import LayerGraph

from ._diagnose import callable_of, wired_with
from ._tree import values_of
from ._watch import Spot, find_spots, observed

ENDINGS = ("kernel", "weight", "embedding", "embeddings", "w")


def probe(
    model: Any,
    *batch: Any,
    loss: Callable[[Any], Any] | None = None,
    tolerance: float = TOLERANCE,
    config: Mapping[str, object] | None = None,
    **arguments: Any,
) -> Probe:
    """Say which units have the same activations and the same gradients on a batch, whatever the architecture.

    Parameters
    ----------
    model
        As for :func:`wire`. For a module of Equinox, which takes one sample, pass a function of it and of a batch:
        ``probe(lambda model, x: jax.vmap(model)(x), model, x, loss=...)``.
    batch
        What the model is called with, after its variables where it holds none; values count.
    loss
        A function from what the model gives out to a number. Without one the model must give a number out itself, as a
        function ``loss(params, batch)`` does.
    tolerance
        The relative distance within which activations, and gradients, count as near.
    config, arguments
        As for :func:`wire`.

    Returns
    -------
    Probe
        One space a weight that units are written by, named by its layer: what it gives out, with biases added, after
        the function that it is passed through if nothing else reads it before. The certificate's verdict is beside it.

    Raises
    ------
    TypeError, ValueError
        For a model without arrays, or where there is no number to take gradients of.

    Notes
    -----
    The model, its state and its random numbers are not changed. Compiled functions and loops are run step by step.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import symbreak as sb
    >>> def loss(params, x):
    ...     return (jnp.tanh(x @ params["up"]) @ params["down"]).sum()
    >>> params = {"up": jnp.full((2, 3), 0.5), "down": jnp.ones((3, 1))}
    >>> found = sb.jax.probe(loss, params, jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> [(space.name, space.units, space.distinct, space.verdict) for space in found.spaces]
    [('up', 3, 1, 'agrees'), ('down', 1, 1, 'agrees')]
    """
    read, function, inputs = callable_of(model, batch, arguments)
    values_of(read)
    names = [leaf.name for leaf in read.leaves]

    def flat(given: Sequence[Any], *rest: Any) -> Any:
        made = function(dict(zip(names, given, strict=True)), *rest)
        return made if loss is None else loss(made)

    leaves = [jnp.asarray(leaf.value) for leaf in read.leaves]
    closed = _closed(flat, leaves, inputs)
    shapes = [tuple(each.aval.shape) for each in closed.jaxpr.outvars]
    if shapes != [()] or not jnp.issubdtype(closed.jaxpr.outvars[0].aval.dtype, jnp.floating):
        raise ValueError(
            f"a loss is one number of a floating type; the model gives {shapes or 'nothing'}; pass loss=, a function "
            f"of what it gives"
        )
    origins = dict(zip(closed.jaxpr.invars, names, strict=False))
    spots, lost = find_spots(closed.jaxpr, origins)
    if not spots:
        raise ValueError("no array of the model is read as a weight, so there are no units to probe")
    args = [*leaves, *jax.tree.leaves(list(inputs))]
    value, seen, gradients = observed(closed, spots, args, lambda given: given[0])
    recorder, called = Recorder(tolerance), _called(spots)
    for spot, name in zip(spots, called, strict=True):
        recorder.activations(name, _units_last(seen[spot.variable], spot))
        recorder.gradients(name, _units_last(gradients[spot.variable], spot))
    wired, every, _ = wired_with(model, batch, arguments, config)
    certificate = diagnose_arrays(every, wiring=wired.wiring)
    reason = "it is used within a loop or a choice that can't be run step by step"
    left_out = {_layer(name): reason for name in lost if _layer(name) not in called}
    return recorder.probe(certificate, _named(wired, certificate.partition, spots), loss=value, left_out=left_out)


def _closed(function: Callable[..., Any], leaves: Sequence[Any], inputs: Sequence[Any]) -> Any:
    """Give the jaxpr of a function, with loops and compiled functions written out if that can be."""
    try:
        with jax.disable_jit():
            return jax.make_jaxpr(function)(leaves, *inputs)
    except Exception:  # a loop whose length depends on values
        return jax.make_jaxpr(function)(leaves, *inputs)


def _layer(tensor: str) -> str:
    """Give the name of the layer whose weight it is."""
    before, _, last = tensor.rpartition("/")
    return before if before and last in ENDINGS else tensor


def _called(spots: Sequence[Spot]) -> list[str]:
    """Name the spots by their layers; a weight that writes units of two kinds, as a tied table does, has two."""
    kinds: dict[str, list[int]] = {}
    found = []
    for spot in spots:
        name, units = _layer(spot.tensor), _units(spot)
        some = kinds.setdefault(name, [])
        if units not in some:
            some.append(units)
        place = some.index(units)
        found.append(name if not place else f"{name} ({place + 1})")
    return found


def _units(spot: Spot) -> int:
    return int(np.prod([spot.variable.aval.shape[n] for n in spot.axes], dtype=int))


def _units_last(array: Any, spot: Spot) -> np.ndarray[Any, np.dtype[Any]]:
    """Give values as (samples, units); units in heads one head after the other."""
    values = np.asarray(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)
    others = [n for n in range(values.ndim) if n not in spot.axes]
    return values.transpose([*others, *spot.axes]).reshape(-1, _units(spot))


def _named(wired: Wired, partition: Mapping[str, Any], spots: Sequence[Spot]) -> dict[str, str]:
    """Say what the certificate calls the space that a layer's weight writes."""
    found: dict[str, str] = {}
    graph = wired.graph if wired.graph is not None else LayerGraph((), ())
    for spot in spots:
        weights = [each for each in graph.connections if each.name.partition("[")[0] == spot.tensor]
        spaces = [axis.space for axis in weights[0].axes if axis.role == "out" and axis.space] if weights else []
        if len(spaces) == 1:
            keys = [key for key in partition if key == spaces[0] or key.startswith(f"{spaces[0]} of ")]
            found |= {_layer(spot.tensor): keys[0]} if len(keys) == 1 else {}
    return found
