"""How the tensors of a model are connected: from the model itself, as it runs; else from their names."""

import contextlib
import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from symbreak.checkpoints import Wired
from symbreak.checkpoints import wire as wire_arrays
from symbreak.checkpoints.wiring import graph_wiring

from ._arrays import as_arrays, check_shaped
from ._examples import examples_of
from ._parameters import unwrap
from ._trace import CannotTrace, Part, Trace, tensors_of, trace

Array = np.ndarray[Any, np.dtype[Any]]
TRACED = "the model as it runs"
CHAINS = ("numbered layers", "shapes")  # rules that take layers for a chain by numbers or shapes: weaker than any run
UNUSED = "the model did not use it when it ran"


def wire(
    model: torch.nn.Module,
    *example: Any,
    kwargs: Mapping[str, Any] | None = None,
    noise: bool = False,
) -> Wired:
    """Find out how the parameters and buffers of a model are connected, from what it does on an example.

    Parameters
    ----------
    model
        Left as it was: its mode, its values and statistics, and the state of random numbers.
    example
        What it is called with; values don't count, as long as it runs. A batch of two and more is best. Without any,
        the model's own ``dummy_inputs`` are taken, or inputs that fit its first layer are tried.
    kwargs
        Further arguments by name.
    noise
        Whether dropout tells apart the units that it acts on, as it does in training.

    Returns
    -------
    Wired
        Printable: the graph, the evidence, and what is not known. ``rule`` says ``the model as it runs``; where it
        could not be run, which rules know the names of its parameters.

    Raises
    ------
    TypeError, ValueError
        No module, one without parameters, one that is lazy, or whose parameters hold no values.

    Examples
    --------
    >>> import torch
    >>> import symbreak.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> print(symbreak.torch.wire(model, torch.zeros(4, 2)))
    wired by: the model as it runs, in training mode
    LayerGraph: 3 spaces, 2 weights, 1 per-unit parameter
      space        units  activation  written by  read by
      0                8  relu        0.weight    2.weight
      input.input      2  identity    (input)     0.weight
      2                1  identity    2.weight    (output)
    """
    return wired_with(opened(model), example, kwargs or {}, noise=noise).wired


class Found(NamedTuple):
    """How a model is wired, its arrays, why that is from names where it is, and the parts that are read alone."""

    wired: Wired
    arrays: dict[str, Array]
    by_names: str = ""
    parts: Mapping[str, Part] = {}


def wired_with(
    model: torch.nn.Module, example: Sequence[Any], kwargs: Mapping[str, Any], *, noise: bool = False
) -> Found:
    """Wire a model by what it does, or by names where it can't be run or they say more."""
    arrays = as_arrays(checked(model))
    with _without_collections():
        return _wired(model, arrays, example, kwargs, noise=noise)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Hold off Python's collections of garbage, which go through all objects of PyTorch's again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _wired(
    model: torch.nn.Module,
    arrays: dict[str, Array],
    example: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    noise: bool,
) -> Found:
    try:
        found = _traced(model, example, kwargs, noise=noise)
    except CannotTrace as fault:
        return Found(by_names(model, arrays), arrays, f"the model could not be run: {fault}")
    every = {**arrays, **found.constants}
    for name, part in found.parts.items():
        every[name] = part.of(arrays[part.tensor])
    for part in found.parts.values():
        every.pop(part.tensor, None)  # it is read in parts alone
    shapes = {name: array.shape for name, array in every.items() if 0 not in array.shape}
    wiring = graph_wiring(found.graph, shapes, every.__getitem__, rule=f"{TRACED}, {found.how}")
    parameters = {name for name, _ in model.named_parameters()}
    read = {name for node in found.graph["nodes"] for name in node["inputs"]}
    read |= {part.tensor for part in found.parts.values()}
    for name, array in arrays.items():
        if re.search(r"[{}*]", name):
            continue
        if array.dtype.kind in "iub":
            wiring.ignore(name, "whole numbers: lengths, places or counts")
        elif name not in read:
            wiring.ignore(name, UNUSED)
            if name in parameters:
                wiring.doubt(name, UNUSED)
    wired = wire_arrays(every, wiring=wiring)
    if understood(wired, arrays) < 1:
        named = by_names(model, arrays)
        known = named.rule not in CHAINS and understood(named, arrays) > understood(wired, arrays)
        if known:
            left = ", ".join(f"{name} ({reason})" for name, reason in list(wired.unknown.items())[:1])
            return Found(named, arrays, f"{TRACED} doesn't show all that names do: {left}")
    for name, first in _other_names(model, arrays).items():
        wired.wiring.ignore(name, f"the same tensor as {first}")
    return Found(wired, arrays, parts=found.parts)


def _other_names(model: torch.nn.Module, arrays: Mapping[str, Array]) -> dict[str, str]:
    """Give the further names of parameters, which a state dict holds too: {name: the first}."""
    first = {id(each): name for name, each in model.named_parameters()}
    return {
        name: first[id(each)]
        for name, each in model.named_parameters(remove_duplicate=False)
        if name not in arrays and not re.search(r"[{}*]", name)
    }


def opened(model: object) -> torch.nn.Module:
    """Give what a data parallel or compiled model wraps, whose names and run are plain, and refuse what is no module.

    Raises
    ------
    TypeError
        It is none.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"a torch.nn.Module is diagnosed here, got a {type(model).__name__}; for arrays by name, or a file, call "
            f"symbreak.diagnose"
        )
    return unwrap(model)


def checked(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give the parameters and buffers of a module.

    Raises
    ------
    ValueError
        It has no parameters, or some have no shape yet.
    """
    held = tensors_of(model)
    for name, each in held.items():
        check_shaped(each, name)
    if not any(True for _ in model.parameters()):
        raise ValueError(f"{type(model).__name__} has no parameters, so there is nothing to judge")
    return held


def by_names(model: torch.nn.Module, arrays: Mapping[str, Array]) -> Wired:
    """Wire a model by the names of its arrays, and by what its configuration and modules say."""
    return wire_arrays(dict(arrays), config=config_of(model))


def config_of(model: torch.nn.Module) -> dict[str, object]:
    """Give what a model says of itself, with the keys of a ``config.json``."""
    config = getattr(model, "config", None)
    told = getattr(config, "to_dict", None)
    found: dict[str, object] = dict(told()) if callable(told) else dict(config) if isinstance(config, Mapping) else {}
    heads = {each.num_heads for each in model.modules() if isinstance(each, torch.nn.MultiheadAttention)}
    if len(heads) == 1:
        found.setdefault("num_attention_heads", heads.pop())
    return found


def understood(wired: Wired, arrays: Mapping[str, Array]) -> float:
    """Give the share of values, of 0 to 1, in arrays that are in the graph and of which nothing is left open."""
    if wired.graph is None:
        return 0.0
    unknown = {name.partition("[")[0] if name not in arrays else name for name in wired.unknown}
    known = sum(array.size for name, array in arrays.items() if name not in unknown)
    return known / max(sum(array.size for array in arrays.values()), 1)


def _traced(model: torch.nn.Module, example: Sequence[Any], kwargs: Mapping[str, Any], *, noise: bool) -> Trace:
    """Run a model on what was given, or on what may fit."""
    if example or kwargs:
        return trace(model, tuple(example), kwargs, noise=noise)
    fault = CannotTrace("no example of its input was given, and none that was tried fits")
    for args, named, said in examples_of(model):
        try:
            found = trace(model, args, named, noise=noise)
        except CannotTrace as error:
            fault = error
            continue
        found.how += f", on {said}"
        return found
    raise fault
