"""What Keras calls the variables that its HDF5 files number.

Keras 3 stores variable `i` of an object as `<path>/vars/<i>`. The path is made of attributes, such as `cell`, and, for
the layers of a model, of `layers/<automatic name>`: the class in snake case, with a number from the second on. The
layer's own name is an attribute of `vars` in newer files, and is in the model's configuration, which is read as data.
Which variable is the kernel follows from the layer's class, from what its configuration switches off, and from shapes;
where these leave a choice, the number stays [1].

Whole models of before list their layers and weights in attributes [2].

[1] https://github.com/keras-team/keras, keras/src/saving/saving_lib.py
[2] the same, keras/src/legacy/saving/legacy_h5_format.py
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from symbreak._visible import quoted
from symbreak.checkpoints._hdf5_file import Dataset, Hdf5File
from symbreak.checkpoints._reader import Skipped

VARS = "vars"
LAYERS = ("layers", "_layer_checkpoint_dependencies")  # the second is that of TensorFlow 2.12 and 2.13
LEGACY = ("model_weights", "")  # the group of the weights in a whole model, and in a file of weights
LEGACY_OPTIMIZER = "optimizer_weights"
TOP = "top_level_model_weights"
DEEPEST = 100  # models in models, as they are looked for in a configuration
NOTHING: Mapping[str, object] = MappingProxyType({})

# The variables of each class in the order in which they are saved. Behind a name stands what switches it off: a key of
# the configuration, or "?" where no single key does.
BIASED = ("kernel", "bias:use_bias")
RECURRENT = ("kernel", "recurrent_kernel", "bias:use_bias")
SEPARABLE = ("depthwise_kernel", "pointwise_kernel", "bias:use_bias")
NORM = ("gamma:scale", "beta:center")
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "Dense": BIASED,
    "EinsumDense": ("kernel", "bias:bias_axes"),
    "Embedding": ("embeddings",),
    "ReversibleEmbedding": ("embeddings", "reverse_embeddings:?"),
    **dict.fromkeys((f"Conv{n}D{kind}" for n in (1, 2, 3) for kind in ("", "Transpose")), BIASED),
    **dict.fromkeys((f"DepthwiseConv{n}D" for n in (1, 2)), BIASED),
    **dict.fromkeys((f"SeparableConv{n}D" for n in (1, 2)), SEPARABLE),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"), RECURRENT),
    "BatchNormalization": (*NORM, "moving_mean", "moving_variance"),
    "LayerNormalization": NORM,
    "GroupNormalization": NORM,
    "RMSNormalization": ("scale",),
    "Normalization": ("mean", "variance", "count"),
    "PReLU": ("alpha",),
    "SeedGenerator": ("seed_generator_state",),
}
AXES = {"Dense": 2, "Embedding": 2, "Conv1D": 3, "Conv2D": 4, "Conv3D": 5}  # of the first variable

# Objects inside of layers, by the attribute that holds them: what they are called, and their class.
DENSE = "EinsumDense"
HEADS = {
    "query_dense": ("query", DENSE),
    "key_dense": ("key", DENSE),
    "value_dense": ("value", DENSE),
    "output_dense": ("attention_output", DENSE),
}
CELL = {kind: {"cell": (f"{to}_cell", f"{kind}Cell")} for kind, to in
        [("LSTM", "lstm"), ("GRU", "gru"), ("SimpleRNN", "simple_rnn")]}  # fmt: skip
CONV_CELL = {f"ConvLSTM{n}D": {"cell": ("conv_lstm_cell", "ConvLSTMCell")} for n in (1, 2, 3)}
INSIDE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    **CELL,
    **CONV_CELL,
    "MultiHeadAttention": HEADS,
    "GroupedQueryAttention": HEADS,
    "GroupQueryAttention": HEADS,
}


@final
@dataclass(frozen=True, slots=True)
class _Object:
    """A model or a layer on the way to a variable, as far as it is known."""

    kind: str = ""  # its class; empty where nothing says it for certain
    config: Mapping[str, object] | None = None  # what its configuration says of it
    name: str | None = None  # what its configuration calls it


def snake_case(name: str) -> str:
    """Write a class as Keras does in automatic names.

    Examples
    --------
    >>> [snake_case(name) for name in ("Dense", "MultiHeadAttention", "Conv2DTranspose", "PReLU", "LSTMCell")]
    ['dense', 'multi_head_attention', 'conv2d_transpose', 'p_re_lu', 'lstm_cell']
    """
    name = re.sub(r"\W", "", name)
    name = re.sub(r"(?<=.)(?=[A-Z][a-z])", "_", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


SNAKES = {snake_case(kind): kind for kind in (*VARIABLES, *INSIDE)}


def holds_variables(file: Hdf5File) -> bool:
    """Whether any dataset lies where Keras 3 puts a variable."""
    return any(_split(path) is not None for path in file.datasets)


def variable_names(file: Hdf5File, config: Mapping[str, object]) -> dict[str, str]:
    """Return {path: name} of the variables; `config` is that of the model, or empty."""
    names = _Names(file, _described(config))
    return {path: names.name(path) for path in file.datasets}


def is_legacy(file: Hdf5File) -> bool:
    """Whether the file lists its layers as whole models of before do."""
    return any(_listed(file.attributes.get(group, {}), "layer_names") is not None for group in LEGACY)


def legacy_names(file: Hdf5File) -> tuple[dict[str, str], list[Skipped]]:
    """Return {path: name} of the weights as the file lists them, and those that it lists but does not have."""
    group = next(each for each in LEGACY if _listed(file.attributes.get(each, {}), "layer_names") is not None)
    found: dict[str, tuple[str, str]] = {}
    missing = []
    unread = {path for path, _ in file.skipped}
    for layer in dict.fromkeys([*(_listed(file.attributes.get(group, {}), "layer_names") or []), TOP]):
        above = f"{group}/{layer}" if group else layer
        for weight in _listed(file.attributes.get(above, {}), "weight_names") or []:
            path, name = f"{above}/{weight}", weight.removesuffix(":0")  # an output of an operation, in TensorFlow
            if path in file.datasets:
                found[path] = layer, name
            elif path not in unread:
                missing.append(Skipped(name, f"the file lists it in the layer {quoted(layer)}, but does not hold it"))
    count = Counter(name for _, name in found.values())  # a layer in two places has its weights in both
    return {path: name if count[name] == 1 else f"{layer}/{name}" for path, (layer, name) in found.items()}, missing


class _Names:
    def __init__(self, file: Hdf5File, model: _Object) -> None:
        self.model = model
        self.attributes = file.attributes
        self.inside: dict[int, dict[str, _Object]] = {}
        self.variables: dict[str, dict[int, Dataset]] = {}
        for path, dataset in file.datasets.items():
            if (place := _split(path)) is not None:
                self.variables.setdefault(place[0], {})[place[1]] = dataset
        self.known: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def name(self, path: str) -> str:
        place = _split(path)
        if place is None:
            return path
        above, index = place
        if above not in self.known:
            self.known[above] = self.owner(above)
        owner, own = self.known[above]
        last = f"{VARS}/{index}" if own is None else own[index]
        return f"{owner}/{last}" if owner else last

    def owner(self, above: str) -> tuple[str, tuple[str, ...] | None]:
        """Return what the object is called whose variables lie below a path, and what these are, if that is certain."""
        parts = above.split("/") if above else []
        if any(is_optimizer(part) for part in parts):
            return above, None
        shown: list[str] = []
        here, at = self.model, 0
        while at < len(parts):
            part = parts[at]
            at += 1
            model = part in LAYERS and at < len(parts)
            if model:
                part = parts[at]
                at += 1
            prefix = "/".join(parts[:at])
            here = self.item(here, part) if model else self.child(here, part)
            stored = self.attributes.get(f"{prefix}/{VARS}", {}).get("name")
            name = stored if isinstance(stored, str) and stored else here.name or part
            if not here.kind and here.config is None:
                here = _Object(SNAKES.get(re.sub(r"_\d+\Z", "", part if model else name), ""))
            shown.append(name)
        return "/".join(shown), _own(here, self.variables[above])

    def item(self, model: _Object, name: str) -> _Object:
        """Return a layer of a model, by its automatic name."""
        config = model.config
        if config is None:
            return _Object()
        if id(config) not in self.inside:
            self.inside[id(config)] = _items(config.get("layers"))
        return self.inside[id(config)].get(name, _Object())

    def child(self, parent: _Object, attribute: str) -> _Object:
        """Return an object inside of a layer, by the attribute that holds it."""
        plain = attribute.lstrip("_")
        name, kind = INSIDE.get(parent.kind, {}).get(plain, (None, ""))
        if kind:
            own = parent.config if plain == "cell" else None
            return _Object(kind, own, name)
        if plain == "seed_generator":
            return _Object("SeedGenerator", None, None)
        config = parent.config or NOTHING
        if parent.kind == "Bidirectional" and plain in ("forward_layer", "backward_layer"):
            found = _described(config.get(plain, config.get("layer")))
            direction = plain.removesuffix("layer")
            bare = (found.name or "").removeprefix("forward_").removeprefix("backward_")
            return _Object(found.kind, found.config, f"{direction}{bare}" if bare else None)
        found = _described(config.get(plain))
        if found.config is None and plain == "cell":
            return _Object("Cell")
        return found


def is_optimizer(part: str) -> bool:
    """Whether a part of a path is the attribute of an optimizer, whose state is no weight."""
    return part in ("optimizer", LEGACY_OPTIMIZER) or part.endswith("_optimizer")


def _described(value: object) -> _Object:
    """Return what a configuration says of one object: its class where Keras brings it, and its name."""
    if not isinstance(value, Mapping):
        return _Object()
    kind, config, module = value.get("class_name"), value.get("config"), value.get("module")
    certain = isinstance(kind, str) and isinstance(module, str) and re.match(r"keras(\.|\Z)", module)
    if not isinstance(config, Mapping):
        return _Object(str(kind) if certain else "")
    name = config.get("name")
    return _Object(str(kind) if certain else "", config, name if isinstance(name, str) else None)


def _items(layers: object) -> dict[str, _Object]:
    """Return {automatic name: layer} of a model's layers, which are counted by class in their order."""
    found: dict[str, _Object] = {}
    count: dict[str, int] = {}
    for layer in layers if isinstance(layers, list) else []:
        if not isinstance(layer, Mapping) or not isinstance(layer.get("class_name"), str):
            continue
        module = layer.get("module")
        if isinstance(module, str) and module.startswith("keras.src.ops"):
            continue  # an operation among the layers of a functional model, which has no variables
        snake = snake_case(layer["class_name"])
        number = count[snake] = count.get(snake, -1) + 1
        found[f"{snake}_{number}" if number else snake] = _described(layer)
    return found


def _own(owner: _Object, variables: Mapping[int, Dataset]) -> tuple[str, ...] | None:
    """Return the names of an object's variables in their order, or None where they are not certain."""
    count = len(variables)
    if sorted(variables) != list(range(count)):
        return None
    own = [variables[i] for i in range(count)]
    kind = "LSTMCell" if owner.kind == "Cell" else owner.kind
    rows = [row.partition(":") for row in VARIABLES.get(kind, ())]
    if not rows or (own[0].dtype.kind in "iu" and kind not in ("SeedGenerator", "Normalization")):
        return None  # a quantized kernel has scales beside it
    if owner.config is not None and not any(key == "?" for _, _, key in rows):
        names = [name for name, _, key in rows if not key or owner.config.get(key, True)]
    else:
        optional = sum(bool(key) for _, _, key in rows)
        least = len(rows) - optional
        names = [name for name, _, key in rows if count > least or not key]
    if len(names) != count:
        return None
    return tuple(names) if _fits(kind, names, own) else None


def _fits(kind: str, names: Sequence[str], own: Sequence[Dataset]) -> bool:
    """Whether the shapes are such that the names can be right."""
    first = own[0].shape
    if len(first) != AXES.get(kind, len(first)):
        return False
    shapes = dict(zip(names, (dataset.shape for dataset in own), strict=True))
    bias = shapes.get("bias")
    if "recurrent_kernel" in shapes:
        recurrent = shapes["recurrent_kernel"]
        return len(first) > 1 and len(recurrent) == len(first) and first[-1:] == recurrent[-1:] and (
            bias is None or bias[-1:] == first[-1:]
        )  # fmt: skip
    if kind == "Dense" or (kind.startswith("Conv") and not kind.endswith("Transpose")):
        return bias is None or bias == first[-1:]
    if {"gamma", "beta"} <= shapes.keys():
        return shapes["gamma"] == shapes["beta"]
    return True


def _split(path: str) -> tuple[str, int] | None:
    """Return the path of the object and the number, if a path is that of a variable."""
    parts = path.split("/")
    if len(parts) < 2 or parts[-2] != VARS or not re.fullmatch(r"[0-9]{1,9}", parts[-1]):
        return None
    return "/".join(parts[:-2]), int(parts[-1])


def _listed(attributes: Mapping[str, object], name: str) -> list[str] | None:
    """Return a list of texts from an attribute, or from its numbered parts; None where there is none."""
    whole = attributes.get(name)
    parts: list[object] = []
    if isinstance(whole, list):
        parts = [whole]
    elif f"{name}0" in attributes:
        while (part := attributes.get(f"{name}{len(parts)}")) is not None:
            parts.append(part)
    elif whole is None:
        return None
    found = [item for part in parts if isinstance(part, list) for item in part]
    return found if all(isinstance(item, str) for item in found) else []
