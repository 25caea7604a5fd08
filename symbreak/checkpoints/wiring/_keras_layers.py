"""The layers of Keras that units are followed through, and the function for each.

A function takes what is known of the inputs and gives what is known of the outputs; on the way it says what the axes of
the layer's tensors are. It raises `NotUnderstood` where units can't all be treated alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from symbreak.checkpoints.wiring._factors import (
    FIELD,
    ONE,
    Axis,
    NotUnderstood,
    Part,
    Value,
    has_units,
    length,
    out,
    read,
)
from symbreak.checkpoints.wiring._flow import Flow
from symbreak.checkpoints.wiring._keras_layer import Layer
from symbreak.checkpoints.wiring._values import meet, met, place, turned, without_units

Follow = Callable[[Flow, Layer, Sequence[Value]], Sequence[Value]]

TOGETHER = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Average": "Mean", "Maximum": "Max",
            "Minimum": "Min"}  # fmt: skip
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}  # slices of a unit
NORMS = {"BatchNormalization": "batch", "LayerNormalization": "layer", "RMSNormalization": "rms",
         "GroupNormalization": "group"}  # fmt: skip
HEADED = ("query", "key", "value")
# Functions of one number, as layers and as operations that a model calls.
FUNCTIONS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "PReLU": "prelu", "Relu": "relu", "Elu": "elu",
             "LeakyRelu": "leaky_relu", "Gelu": "gelu", "Silu": "silu", "Sigmoid": "sigmoid", "Tanh": "tanh",
             "Relu6": "unknown", "Selu": "unknown", "Softplus": "unknown", "Square": "unknown", "Absolute": "unknown",
             "Exp": "unknown", "Cast": "unknown"}  # fmt: skip


def along_either(follow: Follow) -> Follow:
    """Follow a layer whose units may lie along the first axis behind the batch, as ``channels_first`` has them."""

    def turned_round(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
        if layer.config.get("data_format") != "channels_first":
            return follow(flow, layer, inputs)
        found = follow(flow, layer, [_units_last(value) for value in inputs])
        return [
            Value((value.axes[0], *value.axes[-1:], *value.axes[1:-1]), value.passed) if len(value.axes) > 1 else value
            for value in found
        ]

    return turned_round


def _units_last(value: Value) -> Value:
    return Value((value.axes[0], *value.axes[2:], *value.axes[1:2]), value.passed)


def _last(value: Value, layer: Layer) -> int:
    """Give the axis of the units of what runs over positions."""
    if layer.config.get("data_format") not in (None, "channels_last", "channels_first"):
        raise NotUnderstood("where its units lie isn't known")
    without_units(value, range(1, len(value.axes) - 1))
    return len(value.axes) - 1


def dense(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a dense layer."""
    (value,) = inputs
    made = flow.space(layer.number("units"), layer.name)
    layer.say(flow, "kernel", [read(flow.consume(value, -1)), out(made)])
    layer.say(flow, "bias", [out(made)], "bias")
    return [layer.after((*value.axes[:-1], made))]


def convolve(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a convolution, plain, in groups, or transposed."""
    (value,) = inputs
    axis = _last(value, layer)
    source, many, groups = flow.consume(value, axis), layer.number("filters"), layer.number("groups", 1)
    made: Axis = flow.space(many, layer.name)
    few = length(source)
    field = [FIELD] * (axis - 1)
    if groups > 1:
        if few is None or few % groups or many % groups:
            raise NotUnderstood(f"{few} units don't make {groups} groups")
        inner = flow.reshape(Value((source,)), [groups, few // groups]).axes
        outer = flow.reshape(Value((made,)), [groups, many // groups]).axes
        flow.unify(inner[0], outer[0])
        made = (*inner[0], *outer[1])
        layer.say(flow, "kernel", [*field, read(inner[1]), out(made)])
    elif layer.kind.endswith("Transpose"):
        layer.say(flow, "kernel", [*field, out(made), read(source)])
    else:
        layer.say(flow, "kernel", [*field, read(source), out(made)])
    layer.say(flow, "bias", [out(made)], "bias")
    return [layer.after((value.axes[0], *_places(flow, layer, value), made))]


def depthwise(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a convolution that reads each unit alone, and one that dense layers follow at each position."""
    (value,) = inputs
    axis = _last(value, layer)
    source, times = flow.consume(value, axis), layer.number("depth_multiplier", 1)
    made: Axis = source if times == 1 else (*source, flow.var(times))
    field = [FIELD] * (axis - 1)
    kernel = "depthwise_kernel" if layer.kind.startswith("Separable") else "kernel"
    if kernel not in layer.tensors:
        raise NotUnderstood(f"the file has no {kernel} of it")
    layer.say(flow, kernel, [*field, out(source), ONE if times == 1 else FIELD], "scale", "none")
    if layer.kind.startswith("Separable"):
        whole = made
        made = flow.space(layer.number("filters"), layer.name)
        layer.say(flow, "pointwise_kernel", [*[ONE] * (axis - 1), read(whole), out(made)])
    layer.say(flow, "bias", [out(made)], "bias")
    passed = layer.passed() if layer.kind.startswith("Separable") else (*value.passed, *layer.passed())
    return [Value((value.axes[0], *_places(flow, layer, value), made), passed)]


def _places(flow: Flow, layer: Layer, value: Value) -> list[Axis]:
    """Give the axes of positions after a kernel went over them."""
    before = [length(axis) for axis in value.axes[1:-1]]
    pooled = layer.kind.endswith(("Pooling1D", "Pooling2D", "Pooling3D"))
    reach = layer.several("pool_size" if pooled else "kernel_size", len(before))
    steps = reach if layer.config.get("strides") is None else layer.several("strides", len(before))
    wide = layer.several("dilation_rate", len(before)) if not pooled else [1] * len(before)
    found: list[Axis] = []
    for size, kernel, step, dilation in zip(before, reach, steps, wide, strict=True):
        if size is None or (layer.kind.endswith("Transpose") and layer.config.get("output_padding") is not None):
            found.append((flow.var(None),))
        elif layer.kind.endswith("Transpose"):
            more = 0 if layer.config.get("padding") == "same" else max(dilation * (kernel - 1) + 1 - step, 0)
            found.append((flow.var(size * step + more),))
        elif layer.config.get("padding") in ("same", "causal"):
            found.append((flow.var(math.ceil(size / step)),))
        else:
            found.append((flow.var((size - dilation * (kernel - 1) - 1) // step + 1),))
    return found


def pool(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow pooling over positions."""
    (value,) = inputs
    _last(value, layer)
    if layer.kind.startswith("Global"):
        places: list[Axis] = [()] * (len(value.axes) - 2) if layer.config.get("keepdims") else []
    else:
        places = _places(flow, layer, value)
    return [Value((value.axes[0], *places, value.axes[-1]), value.passed)]


def positions(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Give more or fewer positions."""
    (value,) = inputs
    _last(value, layer)
    sizes = _stretched(layer, [length(axis) for axis in value.axes[1:-1]])
    return [Value((value.axes[0], *((flow.var(size),) for size in sizes), value.axes[-1]), value.passed)]


def _stretched(layer: Layer, before: Sequence[int | None]) -> list[int | None]:
    """Count the positions along each axis after some were put in or left out; None where that isn't known."""
    if layer.kind.startswith("UpSampling"):
        times = layer.several("size", len(before))
        return [None if size is None else size * each for size, each in zip(before, times, strict=True)]
    said = layer.config.get("padding" if layer.kind.startswith("ZeroPadding") else "cropping")
    pairs = [said] if len(before) == 1 else said
    if not isinstance(pairs, list | tuple) or len(pairs) != len(before):
        return [None] * len(before)
    sign = 1 if layer.kind.startswith("ZeroPadding") else -1
    ends = [sum(pair) if isinstance(pair, list | tuple) else 2 * pair for pair in pairs]
    return [None if size is None else size + sign * each for size, each in zip(before, ends, strict=True)]


def norm(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a norm: its parameters are those of the units of its axis."""
    value = inputs[0]
    said = layer.config.get("axis", -1)
    axes = [place(axis, len(value.axes)) for axis in (said if isinstance(said, list) else [said])]
    kept = list(value.axes)
    for axis in axes:
        kept[axis] = flow.units_of(kept[axis])
    if len([axis for axis in axes if length(kept[axis]) != 1]) > 1:
        raise NotUnderstood("it normalizes over several axes")
    made = kept[axes[-1]]
    if layer.kind == "GroupNormalization":
        groups, size = layer.number("groups", 32), length(made)
        if size is None or (groups > 0 and size % groups):
            raise NotUnderstood(f"{size} units don't make {groups} groups")
        if 1 < groups < size:
            flow.reshape(Value((made,)), [groups, size // groups])
    leaves = {"gamma": "scale", "beta": "shift", "moving_mean": "mean", "moving_variance": "variance", "scale": "scale",
              "mean": "mean", "variance": "variance"}  # fmt: skip
    # With `rms_scaling` a layer norm divides by a deviation from a mean that it doesn't take away.
    of = None if layer.config.get("rms_scaling") else NORMS.get(layer.kind)
    for leaf, kind in leaves.items():
        layer.say(flow, leaf, [out(made)], kind, of)
    for leaf in ("count", "seed_generator_state"):
        if leaf in layer.tensors:
            flow.ignore(layer.tensors[leaf], "a number that all units share")
    if not any(leaf in layer.tensors for leaf in leaves):
        return [Value(tuple(kept), (*value.passed, f"{of}_norm" if of else "unknown"))]
    return [Value(tuple(kept), value.passed)]


def embed(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Look up rows of a table."""
    (value,) = inputs
    if any(map(has_units, value.axes)):
        raise NotUnderstood("units are looked up")
    rows = flow.units_of((flow.var(layer.number("input_dim"), name=f"{layer.name}.rows"),))
    made = flow.space(layer.number("output_dim"), layer.name)
    layer.say(flow, "embeddings", [read(rows), out(made)])
    return [Value((*value.axes, made))]


def recurrent(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a recurrent layer: a unit has a slice a gate."""
    value, *states = inputs
    gates = GATES[layer.kind]
    made = flow.space(layer.number("units"), layer.name)
    write = Part((("gate", gates), ("out", made)) if gates > 1 else (("out", made),))
    by_leaf = {leaf.rpartition("/")[2]: name for leaf, name in layer.tensors.items()}
    inner = Layer(layer.kind, layer.config, by_leaf, layer.name)
    inner.say(flow, "kernel", [read(flow.consume(value, -1)), write])
    inner.say(flow, "recurrent_kernel", [read(made), write])
    reset = layer.kind == "GRU" and layer.config.get("reset_after", True)
    inner.say(flow, "bias", [Part((("gate", 2),)), write] if reset else [write], "bias")
    name = {"SimpleRNN": "rnn"}.get(layer.kind, layer.kind.lower())
    made[0].readings[name,] = None
    for each in states:
        flow.unify(each.axes[-1], made)
    last = Value((value.axes[0], made), (name,))
    whole = Value((value.axes[0], value.axes[1], made), (name,)) if layer.config.get("return_sequences") else last
    return [whole, *[last] * (2 if layer.kind == "LSTM" else 1)] if layer.config.get("return_state") else [whole]


def bidirectional(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a recurrent layer and its twin that goes backwards."""
    if len(inputs) > 1 or layer.config["layer"]["config"].get("return_state"):
        raise NotUnderstood("its states are read or given")
    found: list[Value] = []
    for way in ("forward", "backward"):
        said = layer.config.get(f"{way}_layer") or layer.config["layer"]
        if said["class_name"] not in GATES:
            raise NotUnderstood(f"no rule knows a {said['class_name']} in it")
        own = {leaf.partition("/")[2]: name for leaf, name in layer.tensors.items() if leaf.startswith(way)}
        found += recurrent(flow, Layer(said["class_name"], said["config"], own, f"{layer.name}.{way}"), inputs)
    mode = layer.config.get("merge_mode", "concat")
    if mode is None:
        return found
    if mode == "concat":
        axes = (*found[0].axes[:-1], flow.joined([each.axes[-1] for each in found]))
        return [Value(axes, found[0].passed)]
    return _joined(flow, {"sum": "Add", "mul": "Mul", "ave": "Mean"}[mode], found)


def attend(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow attention of several heads: a query, a value, and a key where that isn't the value."""
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value
    if any(len(each.axes) != 3 for each in (query, value, key)) or layer.config.get("use_gate"):
        raise NotUnderstood("it attends over several axes, or is gated")
    heads, size = layer.number("num_heads"), layer.number("key_dim")
    sizes = {"query": size, "key": size, "value": layer.config.get("value_dim") or size}
    rows: dict[str, tuple[Axis, Axis]] = {}
    for leaf, source in zip(HEADED, (query, key, value), strict=True):
        whole = flow.space(heads * sizes[leaf], f"{layer.name}.{leaf}")
        parts = flow.reshape(Value((whole,)), [heads, sizes[leaf]]).axes
        rows[leaf] = parts[0], parts[1]
        layer.say(flow, f"{leaf}/kernel", [read(flow.consume(source, -1)), out(parts[0]), out(parts[1])])
        layer.say(flow, f"{leaf}/bias", [out(parts[0]), out(parts[1])], "bias")
    flow.unify(rows["query"][1], rows["key"][1])
    for leaf in ("key", "value"):
        flow.unify(rows["query"][0], rows[leaf][0])
    said = layer.config.get("output_shape")
    if isinstance(said, list) and len(said) != 1:
        raise NotUnderstood("it gives out several axes")
    width = said[0] if isinstance(said, list) else said or length(query.axes[-1])
    if not isinstance(width, int):
        raise NotUnderstood("how many units it gives out isn't known")
    made = flow.space(width, layer.name)
    layer.say(flow, "attention_output/kernel", [read(rows["value"][0]), read(rows["value"][1]), out(made)])
    layer.say(flow, "attention_output/bias", [out(made)], "bias")
    return [Value((*query.axes[:-1], made))]


def einsum(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a dense layer that an equation describes: letters of the kernel alone are units that it writes."""
    (value,) = inputs
    left, _, result = str(layer.config["equation"]).replace(" ", "").partition("->")
    source, _, kernel = left.partition(",")
    if "." in left or len(source) != len(value.axes) or set(kernel) & set(source) & set(result):
        raise NotUnderstood("its equation has letters that aren't summed over, or stand for several axes")
    if len(set(source)) < len(source) or len(set(kernel)) < len(kernel):
        raise NotUnderstood("its equation has a letter twice")
    shape = layer.config["output_shape"]
    shape = [shape] if isinstance(shape, int) else list(shape)
    axes = dict(zip(source, value.axes, strict=True))
    new = [letter for letter in result if letter in kernel]
    sizes = dict(zip(result[-len(shape) :], shape, strict=True))
    if not all(isinstance(sizes.get(letter), int) for letter in new) or not 1 <= len(new) <= 2:
        raise NotUnderstood("how many units it writes isn't known")
    for letter in kernel:
        if letter in source:
            axes[letter] = flow.consume(value, source.index(letter))
    whole = flow.space(math.prod(sizes[letter] for letter in new), layer.name)
    parts = flow.reshape(Value((whole,)), [sizes[letter] for letter in new]).axes if len(new) > 1 else (whole,)
    axes |= dict(zip(new, parts, strict=True))
    layer.say(flow, "kernel", [read(axes[letter]) if letter in source else out(axes[letter]) for letter in kernel])
    biased = layer.config.get("bias_axes") or ""
    if biased and set(biased) - set(new):
        raise NotUnderstood("its bias runs over positions")
    layer.say(flow, "bias", [out(axes[letter]) for letter in result if letter in biased], "bias")
    return [layer.after([axes[letter] for letter in result])]


def together(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow values that meet unit by unit."""
    return _joined(flow, TOGETHER[layer.kind], inputs)


def _joined(flow: Flow, op: str, inputs: Sequence[Value]) -> Sequence[Value]:
    return [each for each in met(flow, op, inputs) if isinstance(each, Value)]


def concatenate(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Lay values end to end along one axis, and unit by unit along all others."""
    at = place(layer.number("axis", -1), len(inputs[0].axes))
    axes = list(inputs[0].axes)
    for each in inputs[1:]:
        for number, axis in enumerate(each.axes):
            if number != at:
                axes[number] = meet(flow, axes[number], axis)
    axes[at] = flow.joined([value.axes[at] for value in inputs])
    seen = list(dict.fromkeys(value.passed for value in inputs))
    return [Value(tuple(axes), seen[0] if len(seen) == 1 else ("unknown",))]


def flatten(_: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Make one axis of all but the batch, in which the units come last however they lay before."""
    (value,) = inputs
    if layer.config.get("data_format") == "channels_first":
        value = _units_last(value)
    return [Value((value.axes[0], tuple(var for axis in value.axes[1:] for var in axis)), value.passed)]


def reshape(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Split and join axes."""
    (value,) = inputs
    rest = flow.reshape(Value(value.axes[1:], value.passed), list(layer.config["target_shape"]))
    return [Value((value.axes[0], *rest.axes), value.passed)]


def permute(_: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Put axes in another order."""
    found = turned(inputs[0], [0, *layer.config["dims"]])
    return [found] if isinstance(found, Value) else []


def repeat(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Give the same at several positions."""
    (value,) = inputs
    return [Value((value.axes[0], (flow.var(layer.number("n")),), *value.axes[1:]), value.passed)]


def activate(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a function of one number, or a softmax."""
    value = inputs[0]
    if layer.kind == "Activation":
        return [Value(value.axes, (*value.passed, *layer.passed()))]
    if layer.kind == "PReLU":
        shared = layer.config.get("shared_axes") or []
        last = len(value.axes) - 1
        own = [n == last and n not in shared for n in range(len(value.axes))]
        axes = [flow.units_of(axis) if mine else axis for mine, axis in zip(own, value.axes, strict=True)]
        parts = [
            ONE if number in shared else out(axis) if has_units(axis) else FIELD
            for number, axis in enumerate(axes[1:], 1)
        ]
        layer.say(flow, "alpha", parts, "slope")
        value = Value(tuple(axes), value.passed)
    name = FUNCTIONS.get(layer.kind, "unknown")
    return [Value(value.axes, (*value.passed, name))]


def alike(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow what changes no axis; a state of random numbers is no unit's."""
    for name in layer.tensors.values():
        flow.ignore(name, "the state of random numbers")
    return [inputs[0]]


def layer_scale(flow: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow ConvNeXt's scale of a residual branch: one number a unit, whatever it is called."""
    (value,) = inputs
    if len(layer.tensors) != 1:
        raise NotUnderstood("it has not one scale")
    made = flow.units_of(value.axes[-1])
    layer.say(flow, next(iter(layer.tensors)), [out(made)], "scale")
    return [Value((*value.axes[:-1], made), value.passed)]


def reduce(_: Flow, layer: Layer, inputs: Sequence[Value]) -> Sequence[Value]:
    """Follow a mean or a sum over positions."""
    (value,) = inputs
    said = layer.config.get("axis")
    if said is None:
        raise NotUnderstood("it takes everything together")
    over = [place(axis, len(value.axes)) for axis in (said if isinstance(said, list) else [said])]
    without_units(value, over)
    kept = [() if number in over else axis for number, axis in enumerate(value.axes)]
    keep = bool(layer.config.get("keepdims"))
    return [Value(tuple(axis for number, axis in enumerate(kept) if keep or number not in over), value.passed)]


def _ranks(*names: str) -> list[str]:
    return [f"{name}{rank}D" for name in names for rank in (1, 2, 3)]


LAYERS: Mapping[str, Follow] = {
    "Dense": dense, "EinsumDense": einsum, "Embedding": embed, "MultiHeadAttention": attend,
    "Bidirectional": bidirectional, "Concatenate": concatenate, "Flatten": flatten, "Reshape": reshape,
    "Permute": permute, "RepeatVector": repeat,
    **dict.fromkeys(_ranks("Conv"), along_either(convolve)),
    **dict.fromkeys([f"{name}Transpose" for name in _ranks("Conv")], along_either(convolve)),
    **dict.fromkeys(_ranks("DepthwiseConv", "SeparableConv"), along_either(depthwise)),
    **dict.fromkeys(_ranks("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"),
                          along_either(pool)),
    **dict.fromkeys(_ranks("UpSampling", "ZeroPadding", "Cropping"), along_either(positions)),
    "Resizing": along_either(positions),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization",
                     "UnitNormalization", "Normalization"), norm),
    **dict.fromkeys(GATES, recurrent),
    **dict.fromkeys(TOGETHER, together),
    **dict.fromkeys(("Activation", "Softmax", *FUNCTIONS), activate),
    **dict.fromkeys(("Mean", "Sum"), reduce),
    "LayerScale": layer_scale,
    **dict.fromkeys(("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
                     "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "Rescaling", "Masking",
                     "RandomFlip", "RandomRotation", "RandomZoom"), alike),
}  # fmt: skip
