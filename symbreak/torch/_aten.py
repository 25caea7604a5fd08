"""PyTorch's operators (ATen) in terms of ONNX's: one small function each, and tables of those that are alike.

A function takes the call and gives the names of what it makes, or None where it can't say what the operator does. What
is in no table is such an operator.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from ._trace import Call

Made = Sequence[str] | None
EVEN, ZEROS = "(even)", "(zeros)"  # the same number everywhere

# What is the same number everywhere, and what is drawn at random.
FILLED = frozenset(
    {"zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones"}
    | {"new_full", "new_empty", "empty_strided", "new_empty_strided", "scalar_tensor", "zero", "fill"}
)
STRUCTURE = frozenset(
    {"view", "reshape", "_unsafe_view", "select", "slice", "expand", "unsqueeze", "squeeze", "clone", "t", "transpose"}
    | {"permute", "unbind", "split", "split_with_sizes", "unsafe_split", "detach", "alias", "_to_copy", "cat", "stack"}
)
RANDOM = frozenset(
    {"rand", "randn", "rand_like", "randn_like", "bernoulli", "normal", "uniform", "exponential", "randint", "randperm"}
    | {"randint_like", "multinomial", "log_normal", "cauchy", "geometric"}
)

# Functions of one number.
FUNCTIONS: Mapping[str, str] = {
    "relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "Gelu", "elu": "Elu", "celu": "Celu", "selu": "Selu",
    "leaky_relu": "LeakyRelu", "softplus": "Softplus", "mish": "Mish", "silu": "Swish", "hardsigmoid": "HardSigmoid",
    "hardswish": "HardSwish", "neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "rsqrt": "Sqrt",
    "reciprocal": "Reciprocal", "sin": "Sin", "cos": "Cos", "erf": "Erf", "sign": "Sign", "floor": "Floor",
    "ceil": "Ceil", "round": "Round", "log_sigmoid": "Log", "log1p": "Log", "expm1": "Exp", "exp2": "Exp",
    "log2": "Log", "isnan": "IsNaN", "isinf": "IsInf", "logical_not": "Not", "bitwise_not": "Not",
    "nan_to_num": "Abs", "threshold": "ThresholdedRelu", "softsign": "Softsign", "log_sigmoid_forward": "Log",
    "hardshrink": "Shrink", "softshrink": "Shrink", "asinh": "Abs", "atan": "Abs", "square": "Abs",
    **dict.fromkeys(("clone", "detach", "alias", "_to_copy", "lift_fresh", "lift_fresh_copy", "contiguous", "lift",
                     "_conj", "resolve_conj", "resolve_neg", "positive", "to", "type_as", "view_as"), "Identity"),
}  # fmt: skip

# Functions of two numbers, the second of which may be one number for all.
TOGETHER: Mapping[str, str] = {
    "add": "Add", "sub": "Sub", "rsub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "bitwise_and": "And",
    "bitwise_or": "Or", "__and__": "And", "__or__": "Or", "remainder": "Mod", "fmod": "Mod", "atan2": "Pow",
    "floor_divide": "Div", "_prelu_kernel": "PRelu", "copysign": "Pow", "hypot": "Pow",
}  # fmt: skip

REDUCTIONS: Mapping[str, str] = {
    "mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd",
    "logsumexp": "ReduceLogSumExp", "linalg_vector_norm": "ReduceL2", "norm": "ReduceL2", "var": "ReduceMean",
    "std": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin",
}  # fmt: skip

POOLS = ("max_pool2d_with_indices", "avg_pool2d", "avg_pool1d", "avg_pool3d", "max_pool3d_with_indices",
         "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "adaptive_max_pool2d",
         "adaptive_max_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_avg_pool2d",
         "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_linear1d",
         "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
         "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
         "fractional_max_pool2d")  # fmt: skip

ATTENTIONS = ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
              "_scaled_dot_product_flash_attention", "_scaled_dot_product_cudnn_attention",
              "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_attention_math",
              "_scaled_dot_product_attention_math_for_mps", "scaled_dot_product_attention")  # fmt: skip

BATCH_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
               "_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm",
               "batch_norm")  # fmt: skip


def functional(call: "Call") -> Made:
    """Follow a function of one number."""
    return call.node(FUNCTIONS[_base(call)], [call.value("self")])


def together(call: "Call") -> Made:
    """Follow a function of two numbers; what noise multiplies is noisy."""
    left = call.value("self")
    right = next((call.value(key) for key in ("other", "exponent", "weight") if key in call.arguments), "")
    drawn = call.recorder.drawn
    if left in drawn or right in drawn:
        kept = [name for name in (left, right) if name not in drawn]
        return [*call.node("Dropout", [kept[0]], noise=1)] if kept else None
    return call.node(TOGETHER[_base(call)], [left, right])


def accumulate(call: "Call") -> Made:
    """Follow `a + value * b * c`, and the like with a division."""
    (inner,) = call.node("Mul" if _base(call) == "addcmul" else "Div", [call.value("tensor1"), call.value("tensor2")])
    return call.node("Add", [call.value("self"), inner])


def mixed(call: "Call") -> Made:
    """Follow a linear mixture of two values."""
    (change,) = call.node("Sub", [call.value("end"), call.value("self")])
    (scaled,) = call.node("Mul", [change, call.value("weight")])
    return call.node("Add", [call.value("self"), scaled])


def clip(call: "Call") -> Made:
    """Follow a function that is constant beyond two numbers."""
    low, high = (call[key] if key in call.arguments else call[f"{key}_val"] for key in ("min", "max"))
    bounds: dict[str, Any] = {
        key: value for key, value in (("min", low), ("max", high)) if isinstance(value, int | float)
    }
    return call.node("Clip", [call.value("self")], **bounds)


def where(call: "Call") -> Made:
    """Follow a choice."""
    return call.node("Where", [call.value("condition"), call.value("self"), call.value("other")])


def masked(call: "Call") -> Made:
    """Follow a value that is a number where a mask says so."""
    return call.node("Where", [call.value("mask"), call.value("value"), call.value("self")])


def copied(call: "Call") -> Made:
    """Follow a value that takes the place of another."""
    return _expanded(call, call.value("src"), call.shape("src"), call.shape("self"))


def multiply(call: "Call") -> Made:
    """Follow a product of matrices."""
    return _product(call, call.value("self"), call.value("mat2" if "mat2" in call.arguments else "other"))


def vector(call: "Call") -> Made:
    """Follow a product of a matrix and a vector."""
    (column,) = call.node("Unsqueeze", [call.value("vec"), call.numbers([1])])
    (found,) = call.node("MatMul", [call.value("self"), column])
    return call.node("Squeeze", [found, call.numbers([1])])


def multiply_add(call: "Call") -> Made:
    """Follow a product of matrices and a sum."""
    first, second = ("batch1", "batch2") if "batch1" in call.arguments else ("mat1", "mat2")
    (found,) = _product(call, call.value(first), call.value(second))
    if found == ZEROS:
        return _expanded(call, call.value("self"), call.shape("self"), call.made)
    return call.node("Add", [found, call.value("self")])


def _product(call: "Call", left: str, right: str) -> list[str]:
    """Multiply matrices; by zeros, as of a state before the first step, is nothing."""
    return [ZEROS] if ZEROS in (left, right) else call.node("MatMul", [left, right])


def dense(call: "Call") -> Made:
    """Follow a dense layer."""
    (turned,) = call.node("Transpose", [call.value("weight")], perm=[1, 0])
    found = call.node("MatMul", [call.value("input"), turned])
    return found if call["bias"] is None else call.node("Add", [*found, call.value("bias")])


def attend(call: "Call") -> Made:
    """Follow scaled dot-product attention: two products with a softmax between them."""
    rank = len(call.shape("key"))
    order = [*range(rank - 2), rank - 1, rank - 2]
    query, key, value = (call.value(each) for each in ("query", "key", "value"))
    groups = call.shape("query")[-3] // max(call.shape("key")[-3], 1) if rank > 2 else 1
    if groups > 1:
        key, value = (
            _repeated(call, name, call.shape(each), groups) for name, each in ((key, "key"), (value, "value"))
        )
    (turned,) = call.node("Transpose", [key], perm=order)
    (scores,) = call.node("MatMul", [query, turned])
    if call["attn_mask"] is not None or call["attn_bias"] is not None:
        (scores,) = call.node(
            "Add", [scores, call.value("attn_mask" if call["attn_mask"] is not None else "attn_bias")]
        )
    (weights,) = call.node("Softmax", [scores])
    return [*call.node("MatMul", [weights, value]), *(call.positions(each.shape) for each in _others(call))]


def _repeated(call: "Call", name: str, shape: Sequence[int], times: int) -> str:
    """Let each of the heads of a value serve several, one after the other."""
    at = len(shape) - 3
    (wide,) = call.node("Unsqueeze", [name, call.numbers([at + 1])])
    (found,) = call.node("Expand", [wide, call.numbers([*shape[: at + 1], times, *shape[at + 1 :]])])
    return call.node("Reshape", [found, call.numbers([*shape[:at], shape[at] * times, *shape[at + 1 :]])])[0]


def grouped(call: "Call") -> Made:
    """Follow products of each position with one of several stacked matrices."""
    return call.node("GroupedMatMul", [call.value("self"), call.value("mat2")])


def convolve(call: "Call") -> Made:
    """Follow a convolution, and a transposed one."""
    padding = list(call["padding"]) * (len(call.shape("weight")) - 2 if len(call["padding"]) == 1 else 1)
    attributes: dict[str, Any] = {
        "group": int(call["groups"]),
        "strides": _each(call, "stride"),
        "dilations": _each(call, "dilation"),
        "pads": [int(each) for each in padding] * 2,
    }
    op = "ConvTranspose" if call["transposed"] else "Conv"
    if call["transposed"]:
        attributes["output_padding"] = _each(call, "output_padding")
    inputs = [call.value("input"), call.value("weight"), *([call.value("bias")] if call["bias"] is not None else [])]
    return call.node(op, inputs, **attributes)


def _each(call: "Call", key: str) -> list[int]:
    given = [int(each) for each in call[key]]
    return given * (len(call.shape("weight")) - 2) if len(given) == 1 else given


def pool(call: "Call") -> Made:
    """Follow what gives other positions: pooling, and the change of a picture's size."""
    shape = call.made
    rank = len(call.shape("self"))
    if rank < 3 or call.shape("self")[:2] != shape[:2]:
        return None
    found = call.node("Resize", [call.value("self"), "", "", call.numbers(shape)])
    return [*found, *(call.positions(each.shape) for each in _others(call))]


def layer_norm(call: "Call") -> Made:
    """Follow a norm over the last axes."""
    over = len(call["normalized_shape"])
    (found,) = call.node(
        "LayerNormalization", [call.value("input"), call.value("weight"), call.value("bias")], axis=-over
    )
    return [found, *(call.positions(each.shape) for each in _others(call))]


def rms_norm(call: "Call") -> Made:
    """Follow a norm by the root of the mean square."""
    (found,) = call.node("RMSNormalization", [call.value("input"), call.value("weight")])
    return [found, *(call.positions(each.shape) for each in _others(call))]


def group_norm(call: "Call") -> Made:
    """Follow a norm over groups of units."""
    if call["weight"] is None:
        return None
    inputs = [call.value(key) for key in ("input", "weight", "bias") if call[key] is not None]
    (found,) = call.node("GroupNormalization", inputs, num_groups=int(call["group" if call["group"] else "num_groups"]))
    return [found, *(call.positions(each.shape) for each in _others(call))]


def batch_norm(call: "Call") -> Made:
    """Follow a batch norm, in training or not."""
    keys = ("input", "weight", "bias", "running_mean", "running_var")
    (found,) = call.node("BatchNormalization", [call.value(key) for key in keys])
    return [found, *(call.positions(each.shape) for each in _others(call))]


def softmax(call: "Call") -> Made:
    """Follow a softmax."""
    return call.node("Softmax", [call.value("self")], axis=call.axis())


def reduce(call: "Call") -> Made:
    """Follow a sum over axes, or another symmetric function."""
    rank = len(call.shape("self"))
    if _base(call) in ("max", "min") and call["other"] is not None:
        return call.node("Max", [call.value("self"), call.value("other")])
    over = call["dim"]
    over = list(range(rank)) if over is None or over == [] else [over] if isinstance(over, int) else list(over)
    (found,) = call.node(
        REDUCTIONS[_base(call)], [call.value("self"), call.numbers([each % rank for each in over])],
        keepdims=int(bool(call["keepdim"])),
    )  # fmt: skip
    call.recorder.telling += [found] if _others(call) else []  # places of the largest
    return [found, *(call.positions(each.shape) for each in _others(call))]


def moments(call: "Call") -> Made:
    """Follow a variance and a mean."""
    return [reduce_by(call, "ReduceMean") for _ in range(2)]


def reduce_by(call: "Call", op: str) -> str:
    rank = len(call.shape("self"))
    over = [each % rank for each in (call["dim"] or range(rank))]
    return call.node(op, [call.value("self"), call.numbers(over)], keepdims=int(bool(call["keepdim"])))[0]


def pick(call: "Call") -> Made:
    """Follow what picks units by their values, which tells them apart."""
    if _base(call) in ("argmax", "argmin"):
        over = range(len(call.shape("self"))) if call["dim"] is None else [call.axis()]
        for axis in over:
            call.recorder.telling += call.node("ArgMax", [call.value("self")], axis=axis)
        return [call.positions(call.made)]
    found, _ = call.node("TopK", [call.value("self")], 2, axis=call.axis() if call["dim"] is not None else 0)
    call.recorder.telling.append(found)  # even if only the places are read
    return [found, *(call.positions(each.shape) for each in _others(call))]


def reshape(call: "Call") -> Made:
    """Split and join axes."""
    if call.shape("self") == call.made:
        return call.node("Identity", [call.value("self")])
    return call.node("Reshape", [call.value("self"), call.numbers(call.made)], allowzero=1)


def strided(call: "Call") -> Made:
    """Follow a view of the same shape; of another one nothing is known."""
    same = call.shape("self") == call.made and not call["storage_offset"]
    return call.node("Identity", [call.value("self")]) if same else None


def permute(call: "Call") -> Made:
    """Put axes in another order."""
    rank = len(call.shape("self"))
    op = _base(call)
    if op in ("t", "numpy_T", "mT") and rank < 2:
        return call.node("Identity", [call.value("self")])
    if op == "permute":
        order = [int(each) % rank for each in call["dims"]]
    else:
        order = list(range(rank))
        one, other = (0, 1) if op == "t" else (int(call["dim0"]) % rank, int(call["dim1"]) % rank)
        order[one], order[other] = order[other], order[one]
    return call.node("Transpose", [call.value("self")], perm=order)


def movement(call: "Call") -> Made:
    """Put axes at other places."""
    rank = len(call.shape("self"))
    source, goal = ([int(each) % rank for each in _list(call[key])] for key in ("source", "destination"))
    order: list[int] = [-1] * rank
    for one, other in zip(source, goal, strict=True):
        order[other] = one
    rest = iter(each for each in range(rank) if each not in source)
    return call.node("Transpose", [call.value("self")], perm=[next(rest) if each < 0 else each for each in order])


def _list(given: Any) -> list[int]:
    return [given] if isinstance(given, int) else list(given)


def squeeze(call: "Call") -> Made:
    """Leave out axes of length 1."""
    shape = call.shape("self")
    over = range(len(shape)) if call["dim"] is None else _list(call["dim"])
    gone = [each % len(shape) for each in over if shape[each] == 1]
    if not gone:
        return call.node("Identity", [call.value("self")])
    return call.node("Squeeze", [call.value("self"), call.numbers(gone)])


def unsqueeze(call: "Call") -> Made:
    """Put in an axis of length 1."""
    return call.node(
        "Unsqueeze", [call.value("self"), call.numbers([int(call["dim"]) % (len(call.shape("self")) + 1)])]
    )


def expand(call: "Call") -> Made:
    """Make axes of length 1 longer."""
    return _expanded(call, call.value("self"), call.shape("self"), call.made)


def _expanded(call: "Call", name: str, shape: Sequence[int], wanted: Sequence[int]) -> Made:
    if list(shape) == list(wanted):
        return call.node("Identity", [name])
    return call.node("Expand", [name, call.numbers(wanted)])


def repeat(call: "Call") -> Made:
    """Lay a value end to end with itself."""
    shape, times = call.shape("self"), [int(each) for each in call["repeats"]]
    name, shape = call.value("self"), [1] * (len(times) - len(shape)) + shape
    if len(shape) > len(call.shape("self")):
        (name,) = call.node("Reshape", [name, call.numbers(shape)], allowzero=1)
    alone = [count if size == 1 else size for size, count in zip(shape, times, strict=True)]
    if alone != shape:
        (name,) = call.node("Expand", [name, call.numbers(alone)])
    for axis, (size, count) in enumerate(zip(shape, times, strict=True)):
        if size > 1 and count > 1:
            (name,) = call.node("Concat", [name] * count, axis=axis)
    return [name]


def cut(call: "Call") -> Made:
    """Cut a stretch out of an axis."""
    size, step = call.shape("self")[call.axis()], int(call["step"] or 1)
    begin, end, _ = slice(call["start"], call["end"]).indices(size)
    if (begin, end, step) == (0, size, 1):
        return call.node("Identity", [call.value("self")])
    attributes: dict[str, Any] = {"steps": [step]} if step != 1 else {}
    return call.node("Slice", [call.value("self")], starts=[begin], ends=[end], axes=[call.axis()], **attributes)


def narrow(call: "Call") -> Made:
    """Cut a stretch of some length out of an axis."""
    begin = int(call["start"])
    return call.node(
        "Slice", [call.value("self")], starts=[begin], ends=[begin + int(call["length"])], axes=[call.axis()]
    )


def flip(call: "Call") -> Made:
    """Turn axes of positions around."""
    rank = len(call.shape("self"))
    axes = [int(each) % rank for each in call["dims"]]
    sizes = [call.shape("self")[axis] for axis in axes]
    return call.node(
        "Slice", [call.value("self")], starts=[0] * len(axes), ends=sizes, axes=axes, steps=[-1] * len(axes)
    )


def roll(call: "Call") -> Made:
    """Move what an axis runs over, what leaves at one end coming in at the other."""
    name, shape = call.value("self"), call.shape("self")
    if not call["dims"]:
        return None
    for shift, dim in zip(call["shifts"], call["dims"], strict=True):
        axis = dim % len(shape)
        at = -int(shift) % max(shape[axis], 1)
        if at:
            ends = ((at, shape[axis]), (0, at))
            parts = [call.node("Slice", [name], starts=[a], ends=[b], axes=[axis])[0] for a, b in ends]
            (name,) = call.node("Concat", parts, axis=axis)
    return [name]


def split(call: "Call") -> Made:
    """Cut an axis into pieces."""
    axis = call.axis()
    sizes = [int(each.shape[axis]) for each in call.outs]
    return call.node("Split", [call.value("self"), call.numbers(sizes)], len(sizes), axis=axis)


def unbind(call: "Call") -> Made:
    """Take every index of an axis."""
    return [_member(call, number)[0] for number in range(len(call.outs))]


def select(call: "Call") -> Made:
    """Take one index of an axis."""
    return _member(call, int(call["index"]))


def _member(call: "Call", index: int) -> list[str]:
    axis = call.axis()
    index %= call.shape("self")[axis]
    (number,) = call.node("Constant", [], value_int=index)
    return call.node("Gather", [call.value("self"), number], axis=axis)


def join(call: "Call") -> Made:
    """Lay values end to end."""
    given = [each for each in call["tensors"] if each.numel() or each.ndim > 1]
    axis = int(call["dim"] or 0) % given[0].ndim
    if len(given) == 1:
        return call.node("Identity", [call.recorder.name(given[0])])
    return call.node("Concat", [call.recorder.name(each) for each in given], axis=axis)


def stack(call: "Call") -> Made:
    """Lay values beside each other along an axis of its own."""
    axis = int(call["dim"] or 0) % (call["tensors"][0].ndim + 1)
    wide = [call.node("Unsqueeze", [call.recorder.name(each), call.numbers([axis])])[0] for each in call["tensors"]]
    return wide if len(wide) == 1 else call.node("Concat", wide, axis=axis)


def pad(call: "Call") -> Made:
    """Give more positions at the ends of axes, or fewer."""
    given, rank = [int(each) for each in call["pad" if call["pad"] is not None else "padding"]], len(call.shape("self"))
    pads = [0] * (2 * rank)
    for number in range(len(given) // 2):
        pads[rank - 1 - number], pads[2 * rank - 1 - number] = given[2 * number], given[2 * number + 1]
    return call.node("Pad", [call.value("self")], pads=pads)


def embed(call: "Call") -> Made:
    """Look up rows of a table."""
    return call.node("Gather", [call.value("weight"), call.value("indices")], axis=0)


def embed_bag(call: "Call") -> Made:
    """Look up rows of a table, and sum those of a bag."""
    (rows,) = call.node("Gather", [call.value("weight"), call.value("indices")], axis=0)
    (found,) = call.node("Gather", [rows, call.positions(call.made[:1])], axis=0)
    return [found, *(call.positions(each.shape) for each in _others(call))]


def index(call: "Call") -> Made:
    """Look up positions along one axis, or along several that are side by side."""
    given = [number for number, each in enumerate(call["indices"]) if each is not None]
    tensors = [call["indices"][number] for number in given]
    if any(call.recorder.name(each) in call.recorder.followed for each in tensors):
        return None
    shape, name, first = call.shape("self"), call.value("self"), given[0]
    if given != list(range(first, first + len(given))) or any(each.dtype == torch.bool for each in tensors):
        return None
    if len(given) > 1:  # one number for all of them
        joined = [*shape[:first], -1, *shape[first + len(given) :]]
        (name,) = call.node("Reshape", [name, call.numbers(joined)], allowzero=1)
        wide = np.broadcast_shapes(*(tuple(each.shape) for each in tensors))
        return call.node("Gather", [name, call.positions(wide)], axis=first)
    return call.node("Gather", [name, _places(call, tensors[0])], axis=first)


def _places(call: "Call", numbers: Any) -> str:
    """Give numbers of positions; of a single one, in a value of its own."""
    return call.recorder.name(numbers) if numbers.numel() > 1 else call.recorder.fresh(numbers.shape)


def index_select(call: "Call") -> Made:
    """Look up positions along one axis."""
    return call.node("Gather", [call.value("self"), _places(call, call["index"])], axis=call.axis())


def index_add(call: "Call") -> Made:
    """Add values to those at some positions."""
    axis = call.axis()
    (spread,) = call.node(
        "Gather", [call.value("source"), call.positions(call.shape("self")[axis : axis + 1])], axis=axis
    )
    return call.node("Add", [call.value("self"), spread])


def gated(call: "Call") -> Made:
    """Follow half of an axis times a function of the other."""
    axis, half = call.axis(), call.made[call.axis()]
    first, second = call.node("Split", [call.value("self"), call.numbers([half, half])], 2, axis=axis)
    return call.node("Mul", [first, *call.node("Sigmoid", [second])])


def dropped(call: "Call") -> Made:
    """Follow dropout."""
    noise = {"noise": 1} if call.recorder.noise else {}
    return [
        *call.node("Dropout", [call.value("input")], **noise),
        *(call.positions(each.shape) for each in _others(call)),
    ]


def triangle(call: "Call") -> Made:
    """Follow what keeps one side of the diagonal."""
    return call.node("Trilu", [call.value("self")])


def running(call: "Call") -> Made:
    """Follow a running sum over positions."""
    return call.node("CumSum", [call.value("self"), call.numbers([call.axis()])])


def _others(call: "Call") -> list[Any]:
    return [each for each in call.outs[1:] if isinstance(each, torch.Tensor)]


def _base(call: "Call") -> str:
    return call.op.removesuffix("_") if not call.op.endswith("__") else call.op


OPERATORS: Mapping[str, Callable[["Call"], Made]] = {
    **dict.fromkeys(FUNCTIONS, functional),
    **dict.fromkeys(TOGETHER, together),
    **dict.fromkeys(REDUCTIONS, reduce),
    **dict.fromkeys(POOLS, pool),
    **dict.fromkeys(ATTENTIONS, attend),
    **dict.fromkeys(BATCH_NORMS, batch_norm),
    **dict.fromkeys(("mm", "bmm", "matmul"), multiply),
    **dict.fromkeys(("addmm", "baddbmm"), multiply_add),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax"), softmax),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten"), reshape),
    **dict.fromkeys(("t", "transpose", "permute", "swapaxes"), permute),
    **dict.fromkeys(("argmax", "argmin", "topk", "sort", "median", "kthvalue"), pick),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk",
                     "split_with_sizes_copy"), split),
    **dict.fromkeys(("clamp", "hardtanh", "clamp_min", "clamp_max"), clip),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
                     "replication_pad2d", "replication_pad3d"), pad),
    **dict.fromkeys(("addcmul", "addcdiv"), accumulate),
    **dict.fromkeys(("tril", "triu"), triangle),
    **dict.fromkeys(("cumsum", "logcumsumexp"), running),
    **dict.fromkeys(("native_dropout",), dropped),
    **dict.fromkeys(("native_layer_norm", "layer_norm"), layer_norm),
    **dict.fromkeys(("_fused_rms_norm", "rms_norm"), rms_norm),
    **dict.fromkeys(("native_group_norm", "group_norm"), group_norm),
    **dict.fromkeys(("expand", "broadcast_to"), expand),
    "lerp": mixed, "where": where, "masked_fill": masked, "copy": copied, "mv": vector, "linear": dense,
    "convolution": convolve, "var_mean": moments, "std_mean": moments, "movedim": movement, "squeeze": squeeze,
    "unsqueeze": unsqueeze, "repeat": repeat, "slice": cut, "narrow": narrow, "flip": flip, "roll": roll,
    "unbind": unbind, "select": select, "cat": join, "stack": stack, "embedding": embed, "_embedding_bag": embed_bag,
    "_embedding_bag_forward_only": embed_bag,
    "index": index, "index_select": index_select, "index_add": index_add, "glu": gated,
    "as_strided": strided, "_grouped_mm": grouped,
}  # fmt: skip
