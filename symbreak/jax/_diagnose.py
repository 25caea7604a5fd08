"""The diagnostic of a model of JAX's: how its arrays are connected is read off what it computes."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from symbreak._api import diagnose as diagnose_arrays
from symbreak._notes import in_python
from symbreak._visible import visible
from symbreak.checkpoints import Wired
from symbreak.checkpoints import wire as wire_arrays
from symbreak.checkpoints.wiring import graph_wiring
from symbreak.findings import Finding
from symbreak.reports import Report

from ._trace import CannotTrace, Trace, trace
from ._tree import Model, is_weight, read_model, values_of

Array = np.ndarray[Any, np.dtype[Any]]
TRACED = "the model as it computes"


def wire(
    model: Any,
    *example: Any,
    config: Mapping[str, object] | None = None,
    noise: bool = False,
    **arguments: Any,
) -> Wired:
    """Find out how the arrays of a model are connected, from what it computes with an example of its input.

    Parameters
    ----------
    model
        A module of Flax nnx or of Equinox, and then `example` is what it is called with; or a module of Flax linen, or
        a function ``apply(params, *inputs)`` such as Haiku's, and then `example` begins with the variables. What a
        module of linen writes to its state is passed over, and its random numbers are from a fixed key, where
        `arguments` give no ``mutable`` and ``rngs``.
    example
        Arrays, or of each a ``jax.ShapeDtypeStruct``: only their shapes count. A module of Equinox takes one sample,
        the others a batch. Without an input the names of the arrays must say how they are connected.
    config
        For names: what they don't say, such as the number of heads, with the keys of a ``config.json``.
    noise
        Whether random numbers, such as dropout's, tell apart the units that they meet.
    arguments
        More of what the model is called with, by keyword.

    Returns
    -------
    Wired
        The graph, the evidence, and what is not known. ``print(wired)`` lists the spaces.

    Raises
    ------
    TypeError, ValueError
        For a model that has no arrays.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import symbreak as sb
    >>> def apply(params, x):
    ...     return jax.nn.relu(x @ params["up"]) @ params["down"]
    >>> params = {"up": jnp.ones((4, 8)), "down": jnp.ones((8, 3))}
    >>> print(sb.jax.wire(apply, params, jnp.ones((2, 4))))
    wired by: the model as it computes
    LayerGraph: 3 spaces, 2 weights
      space    units  activation  written by  read by
      input_0      4  identity    (input)     up
      up           8  relu        up          down
      down         3  identity    down        (output)
    """
    return wired_with(model, example, arguments, config, noise=noise)[0]


def diagnose(
    model: Any,
    *example: Any,
    config: Mapping[str, object] | None = None,
    noise: bool = False,
    tolerance: float | None = None,
    workers: int | None = None,
    **arguments: Any,
) -> Report:
    """Say which units of a model are tied, as what it computes connects them.

    Parameters
    ----------
    model, example, config, noise, arguments
        As for :func:`wire`.
    tolerance, workers
        As for :func:`symbreak.diagnose`.

    Returns
    -------
    Report
        As :func:`symbreak.diagnose` gives it for named arrays with a wiring. Where the model can't be traced, or the
        names of its arrays say more, they are what connects it, and a note (SB302) says so.

    Raises
    ------
    TypeError, ValueError
        For a model that has no arrays.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import symbreak as sb
    >>> def apply(params, x):
    ...     return jax.nn.relu(x @ params["up"]) @ params["down"]
    >>> params = {"up": jnp.full((4, 8), 0.5), "down": jnp.ones((8, 3))}
    >>> report = sb.jax.diagnose(apply, params, jnp.ones((2, 4)))
    >>> report.ok, report.partition["up"].tolist()
    (False, [0, 0, 0, 0, 0, 0, 0, 0])
    """
    wired, arrays, note = wired_with(model, example, arguments, config, noise=noise)
    report = diagnose_arrays(arrays, wiring=wired.wiring, tolerance=tolerance, workers=workers)
    followed = wired.rule == TRACED
    if note is None and not followed and callable(model) and understood(wired, arrays) < 1:
        note = _note("no example of the model's input was given, so the names of its arrays connect them")
    report = report if note is None else replace(report, findings=(*report.findings, note))
    return in_python(report, "" if followed else "diagnose(model, variables, x)")


def wired_with(
    model: Any,
    example: Sequence[Any],
    arguments: Mapping[str, Any],
    config: Mapping[str, object] | None,
    *,
    noise: bool = False,
) -> tuple[Wired, dict[str, Array], Finding | None]:
    """Wire a model; give its arrays too, and a note where what it computes could not be followed."""
    read, function, inputs = callable_of(model, example, arguments)
    arrays = values_of(read)
    if not inputs and not arguments and not _is_bound(model, example):
        found = wire_arrays(arrays, config=config)
        return replace(found, rule=f"{found.rule or 'nothing'}, without an example of the input"), arrays, None
    try:
        traced = trace(function, {leaf.name: leaf.value for leaf in read.leaves}, inputs, noise=noise)
    except CannotTrace as fault:
        found = wire_arrays(arrays, config=config)
        return found, arrays, _note(f"the model can't be traced ({fault}), so the names of its arrays connect them")
    every = _every(arrays, traced)
    graph = {"inputs": traced.inputs, "nodes": traced.nodes, "outputs": traced.given}
    shapes = {name: array.shape for name, array in every.items() if 0 not in array.shape}
    wired = wire_arrays(every, wiring=graph_wiring(graph, shapes, every.__getitem__, rule=TRACED))
    share = understood(wired, every)
    if share < 1:
        named = wire_arrays(arrays, config=config)
        if understood(named, arrays) > share:
            return named, arrays, _note("the names of its arrays say more than what the model computes")
    return wired, every, None


def callable_of(
    model: Any, example: Sequence[Any], arguments: Mapping[str, Any]
) -> tuple[Model, Callable[..., Any], Sequence[Any]]:
    """Give the arrays of a model, a function of arrays by name and of inputs, and the inputs.

    Raises
    ------
    TypeError
        A module or a function without its parameters.
    """
    nnx, linen = sys.modules.get("flax.nnx"), sys.modules.get("flax.linen")
    equinox = sys.modules.get("equinox")
    if nnx is not None and isinstance(model, nnx.Module):
        return read_model(model), _nnx_function(nnx, model, arguments), example
    if equinox is not None and isinstance(model, equinox.Module) and callable(model):
        read = read_model(model)

        def called(arrays: Mapping[str, Any], *inputs: Any) -> Any:
            return read.rebuild(arrays)(*inputs, **arguments)

        return read, called, example
    apply = _training(model, arguments) if linen is not None and isinstance(model, linen.Module) else model
    apply = getattr(apply, "apply", apply)  # what haiku.transform gives
    if not callable(apply):
        return read_model(model), _nothing, example
    if not example:
        raise TypeError(f"{type(model).__name__} holds no parameters: pass them after it, and then its inputs")
    if linen is not None and isinstance(model, linen.Module):
        _check_variables(model, example)
    read = read_model(example[0])

    def applied(arrays: Mapping[str, Any], *inputs: Any) -> Any:
        return apply(read.rebuild(arrays), *inputs, **arguments)

    return read, applied, example[1:]


def _check_variables(model: Any, example: Sequence[Any]) -> None:
    """Refuse parameters alone, which a module of linen can't be called with."""
    given = example[0]
    if len(example) > 1 and isinstance(given, Mapping) and "params" not in given:
        names = ", ".join(visible(str(name)) for name in list(given)[:3]) + (", ..." if len(given) > 3 else "")
        raise TypeError(
            f"{type(model).__name__} is called with its variables, and these have no 'params', but "
            f"{names or 'nothing'}: pass {{'params': params}}, and the other collections beside it"
        )


def _training(model: Any, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """Give the ``apply`` of a module of linen that may write its state and draw random numbers, as in training."""
    state = sys.modules["flax.core"].DenyList("params")  # all collections but that one
    own: dict[str, Any] = {} if "rngs" in arguments else {"rngs": {"params": jax.random.key(0)}}  # of any name

    def applied(*inputs: Any, **given: Any) -> Any:
        if "mutable" in given:
            return model.apply(*inputs, **own, **given)
        return model.apply(*inputs, mutable=state, **own, **given)[0]

    return applied


def understood(wired: Wired, arrays: Mapping[str, Array]) -> float:
    """Give the share of all values that are in arrays of which nothing is left open."""
    if wired.graph is None:
        return 0.0
    known = sum(array.size for name, array in arrays.items() if name not in wired.unknown)
    return known / max(sum(array.size for array in arrays.values()), 1)


def _nothing(*_: Any) -> Any:
    raise CannotTrace("it is no function")


def _nnx_function(nnx: Any, model: Any, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """Give what a module of nnx computes with other arrays; the module stays as it is."""
    structure, state = nnx.split(model)

    def called(arrays: Mapping[str, Any], *inputs: Any) -> Any:
        own = jax.tree.map(lambda each: each, state)  # variables of this trace, which may count in it
        new = []
        for path, variable in nnx.to_flat_state(own):
            name = "/".join(map(str, path))
            new.append((path, variable.replace(arrays[name]) if name in arrays else variable))
        return nnx.merge(structure, nnx.from_flat_state(new))(*inputs, **arguments)

    return called


def _is_bound(model: Any, example: Sequence[Any]) -> bool:
    """Tell a function of parameters alone from a model without inputs."""
    return callable(model) and len(example) == 1 and not hasattr(model, "apply") and not is_weight(example[0])


def _every(arrays: Mapping[str, Array], traced: Trace) -> dict[str, Array]:
    """Give the arrays that a graph reads: each row of a stack of layers alone, and constants."""
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        rows = traced.stacked.get(name)
        found |= {f"{name}[{row}]": array[row] for row in range(rows)} if rows else {name: array}
    return found | traced.constants


def _note(text: str) -> Finding:
    return Finding.of("SB302", "the network", text)
