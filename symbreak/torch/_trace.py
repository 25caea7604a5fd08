"""A model run once with its operators written down, as a graph of ONNX's operators.

It runs on tensors without values where it can, in the mode in which it trains, and what it leaves is put back. Numbers
of positions, masks and what is drawn at random are not followed: no unit has a part of them.
"""

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from symbreak._visible import visible

from ._arrays import as_array
from ._aten import EVEN, FILLED, OPERATORS, RANDOM, STRUCTURE, ZEROS

Array = np.ndarray[Any, np.dtype[Any]]
CUTS = ("select", "unbind", "slice", "narrow", "split", "split_with_sizes", "unsafe_split",
        "unsafe_split_with_sizes", "chunk", "unsafe_chunk")  # fmt: skip
LISTED = 64  # inputs among which names are compared
LARGEST_CONSTANT = 1 << 28  # bytes of a tensor that is no parameter and no buffer, and is kept for the network


def _like_first(one: torch.Tensor, *_: Any) -> torch.Tensor:
    return one.new_empty(one.shape)


def _like_both(one: torch.Tensor, other: Any, *_: Any) -> torch.Tensor | None:
    if not isinstance(other, torch.Tensor) or not other.is_meta or one.dtype != other.dtype:
        return None
    return one.new_empty(np.broadcast_shapes(tuple(one.shape), tuple(other.shape)))


def _like_product(_: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor | None:
    if one.shape[1] != other.shape[0]:  # PyTorch says what the matter is
        return None
    return one.new_empty((one.shape[0], other.shape[1]))


def _like_norm(one: torch.Tensor, over: Sequence[int], *_: Any) -> tuple[torch.Tensor, ...] | None:
    rank = one.ndim - len(over)
    if tuple(one.shape[rank:]) != tuple(over):
        return None
    return (one.new_empty(one.shape), *(one.new_empty((*one.shape[:rank], *[1] * len(over))) for _ in range(2)))


# Operators whose outputs' shapes are plain, and which PyTorch takes long to find them by; and one that asks there for
# bfloat16 without need.
FORMS: dict[str, Callable[..., Any]] = {
    "aten.addmm.default": _like_product,
    "aten.native_layer_norm.default": _like_norm,
    "aten._grouped_mm.default": lambda one, other, *_: one.new_empty((*one.shape[:-1], other.shape[-1])),
    **dict.fromkeys(("aten.add.Tensor", "aten.mul.Tensor", "aten.sub.Tensor", "aten.div.Tensor"), _like_both),
    **dict.fromkeys(("aten.gelu.default", "aten.relu.default", "aten.silu.default", "aten._safe_softmax.default",
                     "aten._softmax.default", "aten._log_softmax.default", "aten.tanh.default", "aten.mul.Scalar"),
                    _like_first),
}  # fmt: skip


class CannotTrace(Exception):  # noqa: N818 - says what the matter is
    """A model that could not be run with these inputs, with the reason."""


class Part(NamedTuple):
    """A part of a tensor that a model reads on its own: its name, and the places along one of its axes."""

    tensor: str
    axis: int
    begin: int
    end: int
    whole: bool = True  # whether the axis stays; else one place of it is taken

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join([':'] * self.axis + [self.places])}]"

    @property
    def places(self) -> str:
        """The places in Python's words."""
        return f"{self.begin}:{self.end}" if self.whole else str(self.begin)

    def of(self, array: Array) -> Array:
        """Give the part, a view."""
        at: tuple[slice | int, ...] = (slice(None),) * self.axis
        return array[(*at, slice(self.begin, self.end) if self.whole else self.begin)]

    def meets(self, other: "Part") -> bool:
        """Whether two parts are neither the same nor apart."""
        if self.axis != other.axis:
            return True
        return self != other and self.begin < other.end and other.begin < self.end


@final
@dataclass
class Trace:
    """What a run has shown.

    Parameters
    ----------
    graph
        As `graph_wiring` takes it.
    constants
        Tensors that are neither parameters nor buffers, by the names that the graph gives them.
    parts
        Parts of parameters and buffers that are read on their own, by the names that the graph gives them.
    how
        In a few words, for reports.
    """

    graph: dict[str, Any]
    constants: dict[str, Array] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    how: str = ""


@final
class Call:
    """One operator on its turn: its arguments by name, and what it gave."""

    def __init__(self, recorder: "Recorder", func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any):
        self.recorder, schema = recorder, func._schema
        self.arguments: dict[str, Any] = {each.name: each.default_value for each in schema.arguments}
        self.arguments |= dict(zip((each.name for each in schema.arguments), args, strict=False))
        self.arguments |= kwargs
        self.op = str(schema.name).removeprefix("aten::")
        self.outs = list(out) if isinstance(out, tuple | list) else [out]

    def __getitem__(self, name: str) -> Any:
        """Give an argument as it came."""
        return self.arguments.get(name)

    def value(self, name: str) -> str:
        """Give the name of the value that an argument is: of no units where it is a number, or left out."""
        found = self.recorder.name(self.arguments.get(name))
        # Each use is one of its own: units of two layers that meet one table of positions are not those of one space.
        return self.positions(self.shape(name)) if found in self.recorder.numbers else found

    def shape(self, name: str) -> list[int]:
        """Give the lengths of an argument."""
        given = self.arguments.get(name)
        return list(given.shape) if isinstance(given, torch.Tensor) else []

    def axis(self, name: str = "self", key: str = "dim") -> int:
        """Give the number of an axis of an argument, counted from the front."""
        rank = max(len(self.shape(name)), 1)
        return int(self.arguments[key]) % rank

    @property
    def made(self) -> list[int]:
        """The lengths of what it gave first."""
        return list(self.outs[0].shape)

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Write down a node, and give the names of its outputs."""
        return self.recorder.node(op, inputs, outputs, **attributes)

    def numbers(self, numbers: Sequence[int]) -> str:
        """Write down a list of whole numbers."""
        return self.node("Constant", [], value_ints=[int(each) for each in numbers])[0]

    def positions(self, shape: Sequence[int]) -> str:
        """Give a value that runs over positions alone."""
        return self.recorder.positions(shape)


@final
class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
    """Writes down what runs under it.

    Parameters
    ----------
    names
        The tensors of the model: for the identity of each the name by which its array is known.
    noise
        Whether noise of dropout tells units apart.
    meta
        Whether it runs on tensors without values.
    """

    def __init__(self, names: Mapping[int, str], *, noise: bool, meta: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.meta = meta
        self.shadows: dict[int, torch.Tensor] = {}  # values of tensors without any, as far as no parameter is in them
        self.known: dict[int, str] = dict(names)
        self.noise = noise
        self.kept: list[torch.Tensor] = []  # an identity is one only as long as its tensor lives
        self.inputs: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = [
            {"op_type": "Constant", "inputs": [], "outputs": [name], "attributes": {}} for name in (EVEN, ZEROS)
        ]
        self.roots = {name: name for name in names.values()}  # the array that a value is, perhaps turned
        self.makers: dict[str, dict[str, Any]] = {}
        self.constants: dict[str, Array] = {}
        self.held = frozenset(names.values())
        self.parts: dict[str, Part] = {}
        self.plain: set[str] = {EVEN, ZEROS}  # values that no unit has a part of
        self.numbers: set[str] = set()  # of them those that run over positions
        self.followed: set[str] = set(names.values())
        self.drawn: set[str] = set()  # values that were drawn at random, for dropout
        self.telling: list[str] = []  # values that nothing needs to read for units to be told apart by them
        self.views: dict[int, list[torch.Tensor]] = {}  # by the memory in which they lie
        self.stale: dict[int, str] = {}  # what was written to by way of another view, and what that is now

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and write it down."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default and id(args[0]) in self.shadows:
            return self.shadows[id(args[0])].item()
        if self.meta and not all(each.is_meta for each in _flat((args, *kwargs.values()))):
            args, kwargs = tree_map(self._as_meta, (args, kwargs))
        out = self._run(func, args, kwargs)
        self.record(Call(self, func, args, kwargs, out))
        return out

    def _as_meta(self, given: Any) -> Any:
        """Give what stands beside tensors without values: one without values too."""
        if not isinstance(given, torch.Tensor) or given.is_meta or not given.ndim:
            return given
        made = _without_values(given)
        self._bind(made, self.name(given))
        self.shadows[id(made)] = given
        return made

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run an operator: on values too where it is of lengths, places and masks, which may decide what is run."""
        known = FORMS.get(str(func)) if self.meta and args and id(args[0]) not in self.shadows else None
        if known is not None and not kwargs and (found := known(*args)) is not None:
            return found
        given = _flat((args, *kwargs.values()))
        if not self.meta or any(each.is_meta and id(each) not in self.shadows for each in given):
            return func(*args, **kwargs)
        place = kwargs.get("device")
        if not given and (place is None or torch.device(place).type != "meta"):
            return func(*args, **kwargs)
        flat, form = tree_flatten((args, kwargs))
        real = [self.shadows.get(id(each), each) if isinstance(each, torch.Tensor) else each for each in flat]
        args_, kwargs_ = tree_unflatten(real, form)
        found = func(*args_, **(kwargs_ if place is None else kwargs_ | {"device": "cpu"}))
        if func._schema.is_mutable or (not any(each.is_meta for each in given) and place is None):
            return func(*args, **kwargs) if any(each.is_meta for each in given) else found
        made, form = tree_flatten(found)
        out = [_without_values(each) for each in made]
        for meta, each in zip(out, made, strict=True):
            if isinstance(each, torch.Tensor):
                self.shadows[id(meta)] = each
                self.kept.append(meta)
        return tree_unflatten(out, form)

    def take(self, tensor: torch.Tensor, name: str, value: torch.Tensor) -> None:
        """Take in a tensor that the model holds or is given; of whole numbers and flags, with the values."""
        self._bind(tensor, name)
        if self.meta and not value.is_floating_point() and not value.is_meta:
            self.shadows[id(tensor)] = value.detach().cpu().clone()  # it may be written to

    def record(self, call: Call) -> None:
        outs = [each for each in call.outs if isinstance(each, torch.Tensor)]
        if not outs:
            return
        into = call["self"] if call.op.endswith("_") and not call.op.endswith("__") else None
        op = call.op.removesuffix("_") if into is not None else call.op
        given = [self.name(each) for each in _flat(call.arguments.values())]
        followed = [name for name in given if name in self.followed]
        if op in RANDOM or op in FILLED or (given and all(name in (EVEN, ZEROS, *self.drawn) for name in given)):
            names = self._even(op, call, given, outs)
        elif not followed:
            names = [self.positions(each.shape) for each in outs]
        else:
            names = self._follow(op, call, outs, followed)
        if into is not None:
            self._written(into, names[0])
            outs = [into, *outs[1:]]
        for tensor, name in zip(outs, names, strict=True):
            self._bind(tensor, name)

    def _even(self, op: str, call: Call, given: list[str], outs: list[torch.Tensor]) -> list[str]:
        """Give what has the same number everywhere, or is drawn at random."""
        if op in RANDOM or self.drawn & set(given):
            return [self._drawn(each.shape) for each in outs]
        zeros = "zero" in op or (op == "fill" and call["value"] == 0) or (op in STRUCTURE and set(given) == {ZEROS})
        if op == "copy":
            zeros = given[-1] == ZEROS
        name = ZEROS if zeros else EVEN
        return [name if each.is_floating_point() or op in FILLED else self.positions(each.shape) for each in outs]

    def _follow(self, op: str, call: Call, outs: list[torch.Tensor], followed: list[str]) -> list[str]:
        """Write down an operator that reads units."""
        parts = self._parts(op, call)
        if parts is not None:
            self.followed |= set(parts)
            return parts
        function = OPERATORS.get(op)
        made = function(call) if function is not None else None
        if made is None:
            made = self.node(f"aten::{op}", followed, len(outs))
        names = list(made)[: len(outs)]
        if len(names) < len(outs):
            names += self.node(f"aten::{op}", followed, len(outs) - len(names))
        for name, each in zip(names, outs, strict=True):
            self.say(name, each.shape)
        self.followed |= {name for name in names if name not in self.plain}
        return names

    def _parts(self, op: str, call: Call) -> list[str] | None:
        """Take parts of a tensor that the model holds for tensors of their own; None where it isn't that."""
        name = self.known.get(id(call["self"])) if op in CUTS else None
        if name is None or name not in self.held or call["self"].ndim < 1 or int(call["step"] or 1) != 1:
            return None
        axis, size = call.axis(), call.shape("self")[call.axis()]
        if op == "select":
            found = [Part(name, axis, int(call["index"]) % size, int(call["index"]) % size + 1, whole=False)]
        elif op == "unbind":
            found = [Part(name, axis, number, number + 1, whole=False) for number in range(size)]
        elif op in ("slice", "narrow"):
            begin = int(call["start"] or 0)
            begin, end, _ = slice(begin, begin + int(call["length"]) if op == "narrow" else call["end"]).indices(size)
            found = [Part(name, axis, begin, end)]
        else:
            ends = list(itertools.accumulate(int(each.shape[axis]) for each in call.outs))
            found = [Part(name, axis, begin, end) for begin, end in itertools.pairwise([0, *ends])]
        if any(part.whole and part.end - part.begin == size for part in found):
            return None
        self.parts |= {str(part): part for part in found}
        self.roots |= {str(part): str(part) for part in found}
        return [str(part) for part in found]

    def name(self, given: Any) -> str:
        """Give the name of a value."""
        if not isinstance(given, torch.Tensor):
            return EVEN
        found = self.stale.pop(id(given), None)
        if found is not None:
            (name,) = self.node("written by way of another view", [self.known[id(given)], found])
            self.say(name, given.shape)
            self.known[id(given)] = name
            self.followed.add(name)
        elif id(given) not in self.known:
            self._bind(given, self._constant(given))
        return self.known[id(given)]

    def _constant(self, tensor: torch.Tensor) -> str:
        """Take in a tensor that the model holds and has not registered, or makes of Python's numbers."""
        if tensor.numel() == 1 or not tensor.is_floating_point():
            return EVEN if tensor.numel() == 1 else self.positions(tensor.shape)
        if tensor.is_meta or tensor.nbytes > LARGEST_CONSTANT:
            return self.fresh(tensor.shape)
        name = f"(constant {len(self.constants)})"
        self.constants[name] = as_array(tensor.detach().clone(), name)
        self.followed.add(name)
        return name

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> list[str]:
        """Write down a node, and give the names of its outputs."""
        number = len(self.nodes)
        names = [f"({number}.{each})" for each in range(outputs)]
        root = next((self.roots[each] for each in inputs if each in self.roots), "")
        if root and op in ("Transpose", "Identity", "Expand", "Squeeze", "Unsqueeze", "Reshape"):
            self.roots |= dict.fromkeys(names, root)
        title = f"{op}_{number}" if not root else re.sub(r"[._]?weight$", "", root) or "weight"
        node = {"op_type": op, "name": title, "inputs": list(inputs), "outputs": names}
        self.nodes.append(node | {"attributes": attributes})
        self.makers |= dict.fromkeys(names, self.nodes[-1])
        return names

    def say(self, name: str, shape: Sequence[int]) -> None:
        """Say of what shape an output of a node is."""
        node = self.makers.get(name)
        if node is not None:
            node.setdefault("shapes", {})[name] = [int(each) for each in shape]

    def positions(self, shape: Sequence[int]) -> str:
        """Give a value that runs over positions alone."""
        if not len(shape):
            return EVEN
        name = self.fresh(shape)
        self.plain.add(name)
        self.numbers.add(name)
        return name

    def fresh(self, shape: Sequence[int], title: str = "") -> str:
        """Give a value of which nothing is known."""
        name = f"input.{title}" if title else f"positions {len(self.inputs)}"
        while name in self.roots or any(each["name"] == name for each in self.inputs[:LISTED]):
            name += "'"
        self.inputs.append({"name": name, "shape": [int(each) for each in shape]})
        return name

    def _drawn(self, shape: Sequence[int]) -> str:
        if not self.noise:
            return EVEN
        (name,) = self.node("Constant", [])
        self.drawn.add(name)
        self.plain.add(name)
        return name

    def _bind(self, tensor: torch.Tensor, name: str) -> None:
        if id(tensor) not in self.known:
            self.kept.append(tensor)
            with contextlib.suppress(RuntimeError, NotImplementedError):
                self.views.setdefault(tensor.untyped_storage()._cdata, []).append(tensor)
        self.known[id(tensor)] = name
        self.stale.pop(id(tensor), None)

    def _written(self, tensor: torch.Tensor, name: str) -> None:
        """Note that all other views of what a tensor lies in hold something else now."""
        with contextlib.suppress(RuntimeError, NotImplementedError):
            for other in self.views.get(tensor.untyped_storage()._cdata, ()):
                if other is not tensor and self.known[id(other)] in self.followed and _overlap(tensor, other):
                    self.stale[id(other)] = name


def trace(model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, noise: bool = False) -> Trace:
    """Run a model once and write down what it does.

    Parameters
    ----------
    model
        Left as it was.
    args, kwargs
        What it is called with.
    noise
        Whether dropout's noise tells units apart.

    Raises
    ------
    CannotTrace
        It could not be run in any way that is known.
    """
    faults: list[str] = []
    for meta, training in ((True, True), (True, False), (False, True), (False, False)):
        if not meta and any(each.is_meta for each in model.parameters()):
            continue
        try:
            found = _run(model, args, kwargs, meta=meta, training=training, noise=noise)
        except Exception as error:
            faults.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
            continue
        found.how = f"in {'training' if training else 'evaluation'} mode{'' if meta else ', with its values'}"
        return found
    raise CannotTrace(visible(faults[-1] if faults[0] == faults[-1] else f"{faults[0]}; then {faults[-1]}", 400))


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Give the parameters and buffers of a model, each once, under its first name."""
    found: dict[str, torch.Tensor] = dict(model.named_parameters())
    seen = {id(each) for each in found.values()}
    return found | {name: buffer for name, buffer in model.named_buffers() if id(buffer) not in seen}


def _tables(model: torch.nn.Module) -> set[str]:
    """Name the buffers that are not saved, of modules without parameters: tables of constants, such as frequencies.

    They number units as positions do. Followed as units, those of one table that all layers share would make one space
    of the units of every layer.
    """
    found = set()
    for path, module in model.named_modules():
        if next(module.parameters(), None) is None:
            found |= {f"{path}.{name}" if path else name for name in module._non_persistent_buffers_set}
    return found


def _run(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, meta: bool, training: bool, noise: bool
) -> Trace:
    held = tensors_of(model)
    real, parameters = (args, dict(kwargs)), {name for name, _ in model.named_parameters()}
    if meta:
        stand = {name: _without_values(each) for name, each in held.items()}
        args, kwargs = tree_map(_without_values, real)
    else:
        stand = {name: each.detach() if name in parameters else each.clone() for name, each in held.items()}
    followed = {name for name, each in held.items() if each.is_floating_point() or each.is_complex()}
    followed -= _tables(model)
    recorder = Recorder({id(each): name for name, each in stand.items() if name in followed}, noise=noise, meta=meta)
    recorder.kept += stand.values()
    for name in stand.keys() - followed:
        recorder.take(stand[name], recorder.positions(stand[name].shape), held[name])
    for (title, each), (_, value) in zip(_titled(model, args, kwargs), _titled(model, *real), strict=True):
        name = recorder.fresh(each.shape, title) if each.ndim else EVEN
        recorder.take(each, name, value)
        (recorder.followed if each.is_floating_point() and each.ndim else recorder.plain).add(name)
    with _mode(model, training), torch.no_grad(), _forked(), recorder:
        out = torch.func.functional_call(model, stand, args, dict(kwargs))
    outputs = _shown([recorder.name(each) for each in _tensors([out])], recorder.makers)
    nodes = _needed(recorder.nodes, [*outputs, *recorder.telling])
    read = {name for node in nodes for name in node["inputs"]}
    inputs = [each for each in recorder.inputs if each["name"] in read or each["name"] in outputs]
    graph = {"inputs": inputs, "nodes": nodes, "outputs": [{"name": name} for name in outputs]}
    parts = {name: part for name, part in recorder.parts.items() if name in read}
    for name, part in list(parts.items()):
        if part.tensor in read or any(part.tensor == each.tensor and part.meets(each) for each in parts.values()):
            shape = [int(each) for each in part.of(np.empty(tuple(held[part.tensor].shape), np.bool_)).shape]
            cut = {"op_type": "cut beside others", "name": name, "inputs": [part.tensor], "outputs": [name]}
            nodes.insert(0, cut | {"attributes": {}, "shapes": {name: shape}})
            del parts[name]
    constants = {name: array for name, array in recorder.constants.items() if name in read}
    return Trace(graph, constants, parts)


def _titled(model: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors that a model is called with, and the name of the argument that each is in."""
    try:
        every = dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        every = {"x": (args, dict(kwargs))}
    for title, value in every.items():
        for each in tree_flatten(value)[0]:
            if isinstance(each, torch.Tensor):
                yield title, each


def _shown(outputs: Sequence[str], makers: Mapping[str, dict[str, Any]]) -> list[str]:
    """Give the values that a model gives out: of those that it lays side by side, each."""
    found: dict[str, None] = {}
    waiting = list(outputs)[::-1]
    while waiting:
        name = waiting.pop()
        maker = makers.get(name)
        if maker is not None and maker["op_type"] in ("Concat", "Unsqueeze", "Identity"):
            waiting += [each for each in maker["inputs"] if maker["op_type"] == "Concat" or each == maker["inputs"][0]]
        else:
            found[name] = None
    return list(found)


def _needed(nodes: Sequence[dict[str, Any]], outputs: Sequence[str]) -> list[dict[str, Any]]:
    """Leave out the nodes from which none of these values comes."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node["outputs"]):
            wanted |= set(node["inputs"])
            found.append(node)
    return found[::-1]


def _without_values(given: Any) -> Any:
    """Give a tensor of the same form that holds nothing."""
    if not isinstance(given, torch.Tensor):
        return given
    if given.layout != torch.strided:
        return torch.empty(given.shape, dtype=given.dtype, device="meta")
    return torch.empty_strided(given.shape, given.stride(), dtype=given.dtype, device="meta")


@contextlib.contextmanager
def _mode(model: torch.nn.Module, training: bool) -> Iterator[None]:
    """Set the mode of every module, and put it back; without fused encoder layers, whose inside isn't seen."""
    modes = [(module, module.training) for module in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        model.train(training)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def _forked() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


def _flat(given: Iterable[Any]) -> list[torch.Tensor]:
    """List the tensors among arguments of an operator, which are at most in lists."""
    found: list[torch.Tensor] = []
    for each in given:
        if isinstance(each, torch.Tensor):
            found.append(each)
        elif isinstance(each, list | tuple):
            found += _flat(each)
    return found


def _tensors(given: Any) -> list[torch.Tensor]:
    """List the tensors in what may be nested, also in the attributes of objects that are no tree."""
    found = []
    for each in tree_flatten(list(given))[0]:
        if isinstance(each, torch.Tensor):
            found.append(each)
        elif isinstance(each, Mapping):
            found += _tensors(each.values())
    return found


def _overlap(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two views of one memory may have an element in common: pieces of one axis have none."""
    if one.stride() != other.stride():
        return True
    apart = abs(int(other.storage_offset()) - int(one.storage_offset()))
    for size, stride in sorted(zip(one.shape, one.stride(), strict=True), key=lambda each: -each[1]):
        if stride:
            if apart // stride >= size:
                return False
            apart %= stride
    return apart == 0
