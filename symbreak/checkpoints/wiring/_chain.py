"""Plain rows of layers: `Sequential` by its numbers, ``fc1, fc2, ...``, Keras's and Flax's names, or shapes.

Numbers order the layers, and then every layer must read what the one before it writes; a single one that doesn't, and
the whole is not known, as something else may be read as well. That a layer adds its input to its output is not seen in
names or shapes: such a network needs a wiring file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

from symbreak.checkpoints.wiring._blocks import GROUP_NORM
from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names, natural
from symbreak.checkpoints.wiring._patterns import LONGEST
from symbreak.checkpoints.wiring._spec import NORM_LEAVES, Wiring

VARS = {  # Keras numbers the variables of a layer in its files
    "dense": ("kernel", "bias"),
    "conv": ("kernel", "bias"),
    "batch": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer": ("gamma", "beta"),
    "lstm": ("kernel", "recurrent_kernel", "bias"),
    "gru": ("kernel", "recurrent_kernel", "bias"),
    "simple": ("kernel", "recurrent_kernel", "bias"),
}
STATISTICS = {"running_mean", "running_var", "moving_mean", "moving_variance", "mean", "var"}
RANKS = ("conv", "recurrent", "dense")  # layers of different words: convolutions come before dense layers
PLAIN = re.compile(  # names that frameworks and people give to the layers of a row; others may be anything: q1, q2
    r"conv(?:[123]d)?(?:_?transpose)?|deconv|depthwise_conv2d|dense|fc|lin|linear|layers?|hidden|h|l|lstm|gru|simple_rnn"
    r"|bn|ln|norm|(?:batch|layer)_?norm(?:alization)?(?:[12]d)?",
    re.IGNORECASE,
)
TRANSPOSED = re.compile(r"transpose|deconv", re.IGNORECASE)
PAIRS = (("features", "classifier"),)  # containers that follow each other
UNDERSCORED = re.compile(  # MATLAB's variables, whose names have no dots
    r"(.+?)_(weight|bias|kernel|gamma|beta|(?:running|moving)_(?:mean|var|variance))"
)


@final
@dataclass
class _Module:
    """One layer: the names of its tensors by what they are, and their shapes."""

    name: str
    leaves: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def last(self) -> bool:
        """Whether its units lie along the last axis, as in Keras and Flax."""
        return "kernel" in self.leaves

    @property
    def kind(self) -> str:
        """What it is: dense, conv, recurrent or norm; empty if none of these."""
        main = self.shapes.get("weight", self.shapes.get("kernel", ()))
        if "recurrent_kernel" in self.leaves:
            return "recurrent" if set(self.leaves) <= {"kernel", "recurrent_kernel", "bias"} else ""
        if len(main) >= 2:
            known = set(self.leaves) <= {"weight", "kernel", "bias"} and len(main) <= 5
            return ("dense" if len(main) == 2 else "conv") if known else ""
        single = all(len(shape) == 1 for shape in self.shapes.values())
        return "norm" if single and set(self.leaves) <= set(NORM_LEAVES) and self.leaves else ""


class _Broken(Exception):  # noqa: N818 - says what the row is
    """A layer that doesn't read what the one before it writes."""


def chain_wiring(names: Names, config: Config) -> Wiring:
    """Wire a plain row of layers, or say nothing where the tensors are none, or none for certain."""
    modules = _modules(names)
    wiring = Wiring()
    if modules is None or not (modules := _turned(modules)) or not all(each.kind for each in modules):
        return wiring
    ordered = _by_numbers(modules)
    try:
        if ordered is not None:
            return _row(ordered, config, "numbered layers")
        ordered = _by_shapes(modules)
        if ordered is not None:
            return _row(ordered, config, "shapes")
    except _Broken as error:
        for name in names.shapes:
            wiring.doubt(name, f"the layers are no plain row: {error}")
    return wiring


def _modules(names: Names) -> list[_Module] | None:
    """Gather the tensors of each layer; None if there is anything that no plain layer has."""
    found: dict[str, _Module] = {}
    for name, shape in names.shapes.items():
        if len(name) > LONGEST or re.search(r"[{}*]", name):
            return None
        module, leaf = _split(name)
        if leaf == "num_batches_tracked" or not shape:
            continue
        each = found.setdefault(module, _Module(module))
        if leaf in each.leaves:
            return None
        each.leaves[leaf], each.shapes[leaf] = name, shape
    return list(found.values())


def _turned(modules: list[_Module]) -> list[_Module]:
    """Find the layout of bare matrices, ``W1``, ``W2``: the one in which the layers and their biases meet."""
    if not any("matrix" in each.leaves for each in modules):
        return modules
    fitting = []
    for leaf in ("weight", "kernel"):
        named = {"matrix": leaf}
        turned = [
            _Module(
                each.name,
                {named.get(key, key): name for key, name in each.leaves.items()},
                {named.get(key, key): shape for key, shape in each.shapes.items()},
            )
            for each in sorted(modules, key=lambda each: natural(each.name))
        ]
        if any(each.kind != "dense" for each in turned):
            return []
        biases = all(_vector(each.shapes.get("bias", (_out_in(each)[0],))) == (_out_in(each)[0],) for each in turned)
        if biases and all(_out_in(below)[0] == _out_in(above)[1] for below, above in pairwise(turned)):
            fitting.append(turned)
    return fitting[0] if len(fitting) == 1 else []


def _split(name: str) -> tuple[str, str]:
    """Give the layer and what a tensor is of it."""
    path = re.split(r"[./]", name)
    if len(path) == 1 and (underscored := UNDERSCORED.fullmatch(name)):
        return underscored[1], underscored[2]
    if path[0] in ("params", "batch_stats"):
        path = path[1:]
    if len(path) > 2 and path[-2] == "vars" and path[-1].isdecimal():
        layer = [piece for piece in path[:-2] if piece not in ("layers", "cell", "_layer_checkpoint_dependencies")]
        words = VARS.get(re.split(r"[^a-z]", layer[-1] if layer else "")[0].removesuffix("d"), ())
        place = int(path[-1])
        return "/".join(layer), words[place] if place < len(words) else path[-1]
    bare = re.fullmatch(r"(?:w|weight)_?([0-9]*)|(?:b|bias)_?([0-9]*)", path[-1], re.IGNORECASE)
    if len(path) == 1 and bare:  # W1, b1 of a few lines of NumPy
        number = bare[1] if bare[1] is not None else bare[2]
        return number or "0", "matrix" if bare[1] is not None else "bias"
    if re.search(r"_cell(_[0-9]+)?$", path[-2] if len(path) > 1 else ""):
        path = [*path[:-2], path[-1]]
    return ".".join(path[:-1]), path[-1]


def _by_numbers(modules: list[_Module]) -> list[_Module] | None:
    """Order layers by the numbers in their names, where all names have the same form."""
    heads = [re.fullmatch(r"(?:(.*)\.)?([0-9]+)", module.name) for module in modules]
    if all(heads):
        containers = list(dict.fromkeys(head[1] or "" for head in heads if head))
        last = tuple(container.rpartition(".")[2] for container in containers)
        if (
            len(containers) == 1
            or tuple(sorted(last, key=natural)) in PAIRS
            or tuple(last) in PAIRS
            or last[::-1] in PAIRS
        ):
            order = {container: place for place, container in enumerate(sorted(containers, key=_container_rank))}
            return sorted(modules, key=lambda each: (order[_container(each.name)], natural(each.name)))
        return None
    form = r"(?:(.*)\.)?([A-Za-z][A-Za-z0-9_]*?[A-Za-z]|[A-Za-z])_?([0-9]*)"
    words = [word for module in modules if (word := re.fullmatch(form, module.name))]
    if len(words) < len(modules) or len({word[1] for word in words}) > 1:
        return None
    by_word: dict[str, list[_Module]] = {}
    for word, module in zip(words, modules, strict=True):
        by_word.setdefault(word[2], []).append(module)
    kinds: dict[str, str] = {}
    for word_, some in by_word.items():
        kind = {module.kind for module in some}
        if len(kind) > 1 or kind & set(kinds.values()):
            return None  # two words of one kind: their order isn't known
        if len({_number(each) for each in some}) < len(some):
            return None
        kinds[word_] = kind.pop()
    if not all(PLAIN.fullmatch(word_) for word_ in by_word):
        return None
    return _interleave({kinds[word_]: sorted(some, key=_number) for word_, some in by_word.items()})


def _number(module: _Module) -> int:
    found = re.search(r"([0-9]+)$", module.name)
    return int(found[1]) if found else -1  # Keras calls the first `dense`, the second `dense_1`


def _container(name: str) -> str:
    return name.rpartition(".")[0]


def _container_rank(container: str) -> int:
    return 1 if container.rpartition(".")[2] == "classifier" else 0


def _interleave(by_kind: dict[str, list[_Module]]) -> list[_Module] | None:
    """Put convolutions before dense layers, and norms after the layers with which they share a number."""
    layers = [module for kind in RANKS for module in by_kind.get(kind, [])]
    norms = by_kind.get("norm", [])
    if not norms:
        return layers
    before = by_kind.get("conv") or layers
    for candidates in (before, layers, layers[:-1]):
        if len(candidates) == len(norms):
            found: list[_Module] = []
            pairs = dict(zip((each.name for each in candidates), norms, strict=True))
            for layer in layers:
                found += [layer, *([pairs[layer.name]] if layer.name in pairs else [])]
            return found
    return None


def _by_shapes(modules: list[_Module]) -> list[_Module] | None:
    """Order dense layers by their sizes, where only one order is possible."""
    if any(module.kind != "dense" for module in modules) or len({module.last for module in modules}) > 1:
        return None
    sizes = [_out_in(module) for module in modules]
    above = [[j for j, (_, source) in enumerate(sizes) if source == out and j != i] for i, (out, _) in enumerate(sizes)]
    below = [[j for j, (out, _) in enumerate(sizes) if out == source and j != i] for i, (_, source) in enumerate(sizes)]
    starts = [i for i, found in enumerate(below) if not found]
    if len(starts) != 1 or any(len(found) > 1 for found in (*above, *below)):
        return None
    order = [starts[0]]
    while above[order[-1]]:
        order.append(above[order[-1]][0])  # never one again: each is above one alone, and the first above none
    return [modules[i] for i in order] if len(order) == len(modules) and len(modules) > 1 else None


def _out_in(module: _Module) -> tuple[int, int]:
    shape = module.shapes.get("weight", module.shapes.get("kernel", ()))
    return (shape[-1], shape[-2]) if module.last else (shape[0], shape[1])


@final
@dataclass
class _Space:
    """What the layer before wrote: its name, its units, and whether it has positions that a dense layer may take in."""

    name: str
    units: int
    positions: bool = False


def _row(modules: Sequence[_Module], config: Config, rule: str) -> Wiring:
    """Wire layers one after the other, each reading what the one before it writes."""
    wiring = Wiring(rule)
    last = (
        max(number for number, module in enumerate(modules) if module.kind != "norm")
        if any(module.kind != "norm" for module in modules)
        else -1
    )
    present: _Space | None = None
    before = modules[0]
    turned = any(_is_turned(module, below) for below, module in pairwise(modules))
    for number, module in enumerate(modules):
        target = "output" if number == last else module.name
        if module.kind == "norm":
            present = _norm(wiring, module, present, before)
            continue
        present = LAYERS[module.kind](wiring, module, target, present, turned)
        wiring.space(present.name, activation="identity" if number == last else config.activation)
        before = module
    if present is not None:
        wiring.space(present.name, output=True)
    return wiring


def _is_turned(module: _Module, below: _Module) -> bool:
    """Whether a convolution is certainly a transposed one: (in, out, ...)."""
    if module.kind != "conv" or module.last or below.kind not in ("conv", "dense"):
        return False
    out, source = module.shapes["weight"][:2]
    written = below.shapes.get("weight", (0,))[:2]
    return out in written and source not in written


def _source(wiring: Wiring, module: _Module, units: int, present: _Space | None) -> object:
    """Give the axis along which a layer reads."""
    if present is None:
        wiring.space("input", input=True)
        return "in input"
    if present.units == units:
        return f"in {present.name}"
    if present.positions and units % present.units == 0:
        flat = [f"in {present.name}", "receptive"]
        return flat[::-1] if module.last else flat
    raise _Broken(f"{module.name} reads {units} units, and the layer before it writes {present.units}")


def _bias(wiring: Wiring, module: _Module, axis: object) -> None:
    if "bias" in module.leaves:
        shape = module.shapes["bias"]
        along = shape.index(max(shape))
        wiring.tensor(module.leaves["bias"], [axis if n == along else "one" for n in range(len(shape))], "bias")


def _vector(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape of a row or a column as that of a vector, for MATLAB has no vectors."""
    return (max(shape),) if len(shape) == 2 and 1 in shape else shape


def _dense(wiring: Wiring, module: _Module, target: str, present: _Space | None, _: bool) -> _Space:
    out, source = _out_in(module)
    read = _source(wiring, module, source, present)
    axes = [f"out {target}", read]
    wiring.tensor(module.leaves["kernel" if module.last else "weight"], axes[::-1] if module.last else axes)
    _bias(wiring, module, f"out {target}")
    return _Space(target, out)


def _conv(wiring: Wiring, module: _Module, target: str, present: _Space | None, turned: bool) -> _Space:
    shape = module.shapes["kernel" if module.last else "weight"]
    name = module.leaves["kernel" if module.last else "weight"]
    field = ["receptive"] * (len(shape) - 2)
    pair = shape[-2:] if module.last else shape[:2]
    if "depthwise" in module.name and module.last:
        if pair[1] != 1:
            raise _Broken(f"{module.name} makes {pair[1]} units of each")
        pair = pair[::-1]
        if present is None:
            wiring.space("input", input=True)
            present = _Space("input", pair[1], positions=True)
    if present is not None and present.positions and _is_depthwise(pair, module, present):
        # a unit reads itself alone: a parameter of the units, and no other space
        axes: list[object] = (
            [*field, f"out {present.name}", "one"]
            if module.last and "depthwise" in module.name
            else ([*field, "one", f"out {present.name}"] if module.last else [f"out {present.name}", "one", *field])
        )
        wiring.tensor(name, axes, "scale", norm="none")
        _bias(wiring, module, f"out {present.name}")
        return present
    if module.last:  # Keras's transposed convolution has (..., out, in), Flax's (..., in, out) as all others
        keras = bool(TRANSPOSED.search(module.name)) and "/" in name
        source, out = pair[::-1] if keras else pair
        read = _source(wiring, module, source, present)
        ends: list[object] = [f"out {target}", read] if keras else [read, f"out {target}"]
        axes = [*field, *ends]
    else:
        out, source = pair
        first = present is not None and out == present.units
        ordinary = present is None or source == present.units
        named = bool(TRANSPOSED.search(module.name))
        if first and not ordinary and not named and module.shapes.get("bias") != (source,):
            raise _Broken(f"{module.name} is transposed or in groups, and no bias says which")
        if (first and not ordinary) or named:
            out, source = source, out
            read = _source(wiring, module, source, present)
            axes = [read, f"out {target}", *field]
        else:
            if first and ordinary and turned:
                raise _Broken(f"{module.name} is square, and others are transposed: which axis it reads isn't known")
            read = _source(wiring, module, source, present)
            axes = [f"out {target}", read, *field]
    wiring.tensor(name, axes)
    _bias(wiring, module, f"out {target}")
    return _Space(target, out, positions=True)


def _is_depthwise(pair: tuple[int, ...], module: _Module, present: _Space) -> bool:
    ends = pair if module.last else pair[::-1]
    return ends == (1, present.units) and present.units > 1


def _recurrent(wiring: Wiring, module: _Module, target: str, present: _Space | None, _: bool) -> _Space:
    (source, rows), (units, again) = module.shapes["kernel"], module.shapes["recurrent_kernel"]
    gates = rows // units if units and rows % units == 0 else 0
    if gates not in (1, 3, 4) or again != rows:
        raise _Broken(f"{module.name} has {rows} slices of {units} units, which is no recurrent layer that is known")
    read = _source(wiring, module, source, present)
    write: object = [f"gate {gates}", f"out {target}"] if gates > 1 else f"out {target}"
    wiring.tensor(module.leaves["kernel"], [read, write])
    wiring.tensor(module.leaves["recurrent_kernel"], [f"in {target}", write])
    if "bias" in module.leaves:
        axes = [write] if len(module.shapes["bias"]) == 1 else ["gate 2", write]
        wiring.tensor(module.leaves["bias"], axes, "bias")
    return _Space(target, units)


def _norm(wiring: Wiring, module: _Module, present: _Space | None, before: _Module) -> _Space:
    size = next(iter(module.shapes.values()))[0]
    if any(shape != (size,) for shape in module.shapes.values()):
        raise _Broken(f"{module.name} has vectors of several lengths")
    if size == 1 and list(module.leaves) == ["weight"] and present is not None:
        wiring.ignore(module.leaves["weight"], "a slope that all units share")
        return present
    if present is None:
        wiring.space("input", input=True)
        present = _Space("input", size)
    axis: object = f"out {present.name}"
    if size != present.units:
        if not present.positions or size % present.units:
            raise _Broken(f"{module.name} normalizes {size} units, and the layer before it writes {present.units}")
        axis = [f"out {present.name}", "receptive"]
        axis = axis[::-1] if before.last else axis
    for leaf, name in module.leaves.items():
        kind = "slope" if list(module.leaves) == ["weight"] else NORM_LEAVES[leaf]
        wiring.tensor(name, [axis], kind, norm=_which_norm(module) if kind != "slope" else None)
    if before.kind == "conv" and not STATISTICS & set(module.leaves) and list(module.leaves) != ["weight"]:
        wiring.space(present.name, input=True, output=True)
        for name in module.leaves.values():
            wiring.doubt(name, GROUP_NORM)
    return present


def _which_norm(module: _Module) -> str | None:
    """Say which norm a module is: by its statistics, else by what it is called."""
    if len(STATISTICS & set(module.leaves)) == 2:
        return "batch"
    word = re.sub(r"[^a-z]", "", module.name.rpartition(".")[2].rpartition("/")[2].lower())
    return next((norm for norm in ("batch", "layer") if word.startswith(f"{norm}norm")), None)


LAYERS = {"dense": _dense, "conv": _conv, "recurrent": _recurrent}
