"""Initialize a whole torch model in place: each parameter from the key of its name, by what it is for."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._model import NamesLike, RulesLike, plan_model
from .._visible import quoted
from ..dtypes import as_numpy
from ..errors import RuleError
from ..initializers._base import run_tasks
from ..rules import Plan, Row
from ._buffers import restore_buffers
from ._generator import TorchRng, as_torch_key
from ._memory import holds_values, write_tasks
from ._parameters import Entry, read_entries, set_apart, unwrap, with_lengths

if TYPE_CHECKING:
    from ..recipes import AbstractRecipe


def plan(
    model: nn.Module,
    rules: RulesLike = None,
    *,
    recipe: "AbstractRecipe | str | None" = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
) -> Plan:
    """Find what each parameter of a model shall start as, before a number is drawn.

    Parameters
    ----------
    model
        A module, on any device, the meta device too. Data parallel and compiled models are looked into.
    rules, recipe, roles, names
        As for :func:`initialize`.

    Returns
    -------
    Plan
        Print it for a table of parameters, roles, initializers, standard deviations and reasons. ``audit`` takes
        ``dict(model.named_parameters())``.

    Raises
    ------
    RuleError, TypeError, ValueError
        As :func:`initialize`; a rule that hits nothing is listed in ``unused``.

    Examples
    --------
    >>> import torch
    >>> import symbreak as sb
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.ConvTranspose1d(16, 4, 3))
    >>> print(sb.torch.plan(model))
    parameter  role    initializer        std  why
    0.weight   linear  HeNormal()         0.5  keeps variance through ReLU
    0.bias     bias    Zeros()              0  starts at zero
    1.weight   norm    Ones()               0  starts at one
    1.bias     bias    Zeros()              0  starts at zero
    2.weight   conv    HeNormal() iow  0.2041  keeps variance through ReLU
    2.bias     bias    Zeros()              0  starts at zero
    6 parameters, 372 values
    """
    inner = unwrap(model)
    entries, kept = read_entries(inner)
    return _plan(entries, kept, rules, recipe, roles, names, inner)[0]


def _plan(
    entries: list[Entry],
    kept: Mapping[str, torch.Tensor],
    rules: RulesLike,
    recipe: "AbstractRecipe | str | None",
    roles: Mapping[str, str] | None,
    names: NamesLike | None,
    model: nn.Module,
) -> tuple[Plan, list[Entry]]:
    options: dict[str, Any] = {"recipe": recipe, "roles": roles, "names": names, "model": type(model).__name__}
    made = plan_model([entry.parameter for entry in entries], rules, **options)
    if any(entry.length_of is not None for entry in entries):
        drawn = {row.name: row.initializer for row in made.rows}
        keys = {row.name: row.key for row in made.rows if row.key is not None}
        entries = with_lengths(entries, drawn, keys)
        made = plan_model([entry.parameter for entry in entries], rules, **options)
    if kept:
        values = {name: as_numpy(tensor) for name, tensor in kept.items() if holds_values(tensor)}
        made = replace(made, kept=values, names=(*made.names, *values))
    return made, entries


def initialize(
    model: nn.Module,
    rules: RulesLike = None,
    rng: TorchRng = 0,
    *,
    recipe: "AbstractRecipe | str | None" = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
    apart: Sequence[str] = (),
    device: "torch.device | str | None" = None,
    workers: int | None = None,
) -> Plan:
    """Initialize every parameter of a model, in place.

    Roles, layouts and fans come from the modules: transposed and grouped convolutions, fused queries, keys and values,
    gates, experts, embeddings. Each parameter is drawn from the key of its name, straight into its memory, so nothing
    is tied that the model doesn't tie; on another device, sharded or not, on any number of threads the weights are the
    same.

    Parameters
    ----------
    model
        A module. Data parallel and compiled models are looked into.
    rules
        Globs over names, or ``@`` and a role, to what :func:`symbreak.get` takes or a :class:`~symbreak.Rule`; the
        first that matches wins. What none matches gets what `recipe` says, or the default of its role. A recipe may
        stand in their place.
    rng
        What initializers take, or a torch.Generator.
    recipe
        One of ``symbreak.recipes``, or its name.
    roles
        Globs to roles, before those that the modules tell.
    names
        From the name of a parameter to the name whose key it is drawn from, a mapping or a function: with one table of
        names a model starts the same in every framework.
    apart
        Globs over names of parameters that shall not be tied to an earlier one: a module that is used twice is copied,
        so that each place has weights of its own, as ``[layer] * n`` was meant.
    device
        Where parameters on the meta device are made. They become new parameters, tied ones still tied.
    workers
        Threads; by default as many as there are cores, up to four.

    Returns
    -------
    Plan
        What was done. Its ``initialize(rng)`` gives the same weights as arrays.

    Raises
    ------
    RuleError
        If a rule hits no parameter, or an initializer can't make one; or the model has none.
    ValueError
        For a parameter without a shape (a lazy module), parameters that share a part of their memory, a sharding that
        can't be drawn, or meta parameters without a `device`.
    TypeError
        For what is no module, or arguments that make no sense.

    Warns
    -----
    UserWarning
        If buffers stay on the meta device, because nothing says what they hold.

    Notes
    -----
    A weight is drawn units first and turned into the layout of its module. Where it lies so already, as in all of
    torch's layers but transposed convolutions, it equals ``symbreak.initialize({name: shape}, rules, rng)[name]`` bit
    for bit.

    Running statistics, position numbers and rotary frequencies are written too. Parameters that are frozen are drawn
    like others; integers are kept.

    Examples
    --------
    >>> import torch
    >>> import symbreak as sb
    >>> layer = torch.nn.TransformerEncoderLayer(16, 2, 32)
    >>> model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)  # two copies of one layer
    >>> plan = sb.torch.initialize(model, {"*.linear2.weight": sb.Normal(0.01)}, rng=0)
    >>> torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)
    False
    >>> plan.audit(dict(model.named_parameters())).ok
    True
    """
    inner = unwrap(model)
    entries, kept = read_entries(inner)
    if apart:
        set_apart(inner, entries, apart)
        entries, kept = read_entries(inner)
    made, entries = _plan(entries, kept, rules, recipe, roles, names, inner)
    made._check()
    key = as_torch_key(rng)
    _check_dtypes(made, entries)
    place = None if device is None else torch.device(device)
    entries = _materialize(entries, place)
    tensors = {entry.name: entry.tensor for entry in entries}
    rows = [row for row in made.rows if row.source is None]
    run_tasks([*_tasks(rows, tensors, key)], workers)
    _copy_same(made, entries)
    for row in rows:
        tensor = tensors[row.name]
        if not tensor.is_inference():
            torch.autograd.graph.increment_version(tensor)
    lost = restore_buffers(inner, place)
    if lost:
        some = ", ".join(map(quoted, lost[:5])) + (" ..." if len(lost) > 5 else "")
        warnings.warn(
            f"{len(lost)} buffers stay on the meta device, for nothing says what they hold: {some}; assign them, or "
            f"build the model on a real device",
            stacklevel=2,
        )
    return made


def _tasks(rows: list[Row], tensors: Mapping[str, torch.Tensor], key: Any) -> Iterator[Any]:
    """Give the tasks of all parameters, large ones first, so that threads end together."""
    for row in sorted(rows, key=lambda each: -tensors[each.name].numel()):
        named = key[row.name if row.key is None else row.key]
        try:
            yield from write_tasks(tensors[row.name], row.initializer, named, axes=row.axes, units_first=True)
        except (TypeError, ValueError, RuntimeError) as error:
            raise type(error)(f"{quoted(row.name)}: {error}") from None


def _copy_same(made: Plan, entries: list[Entry]) -> None:
    """Copy what a rule makes the same as another parameter, without being tied to it."""
    every = {entry.name: entry for entry in entries}
    for row in made.rows:
        entry = every[row.name]
        if row.source is None or entry.parameter.same_as is not None or not holds_values(entry.tensor):
            continue
        source = every[row.source].tensor.detach()
        with torch.no_grad():
            entry.tensor.copy_(source.t() if row.transposed else source)


def _check_dtypes(made: Plan, entries: list[Entry]) -> None:
    """Refuse a rule that asks for another dtype than the parameter has: it can't be written into its memory."""
    have = {entry.name: entry.parameter.dtype for entry in entries}
    for row in made.rows:
        if row.source is None and row.rule.dtype is not None:
            asked = row.initializer._as_dtype(row.rule.dtype).name
            if asked != have[row.name]:
                raise RuleError(
                    f"the rule {quoted(row.pattern)} asks for {asked}, but {quoted(row.name)} is {have[row.name]}; a "
                    f"model is initialized in its own dtype: convert it with model.to(torch.{asked})"
                )


def _materialize(entries: list[Entry], device: "torch.device | None") -> list[Entry]:
    """Give parameters on the meta device memory on a real one; tied ones stay one."""
    absent = [entry for entry in entries if not holds_values(entry.tensor)]
    if not absent:
        return entries
    if device is None or device.type == "meta":
        raise ValueError(
            f"{quoted(absent[0].name)} is on the meta device ({len(absent)} of {len(entries)} parameters); say where "
            f"it shall be: initialize(model, ..., device='cpu')"
        )
    made: dict[int, nn.Parameter] = {}
    found = []
    for entry in entries:
        if holds_values(entry.tensor):
            found.append(entry)
            continue
        old = entry.tensor
        if id(old) not in made:
            new = nn.Parameter(torch.empty_like(old, device=device).detach(), requires_grad=old.requires_grad)
            for name, value in vars(old).items():
                setattr(new, name, value)
            made[id(old)] = new
        entry.owner._parameters[entry.local] = made[id(old)]
        found.append(replace(entry, tensor=made[id(old)]))
    return found
