"""The operators of ONNX graphs that units are followed through, and the function for each.

A function takes a `Step` and gives what is known of the outputs; on the way it says what the axes of the arrays are
that the node reads. It raises `NotUnderstood` where units can't all be treated alike.
"""

from collections.abc import Callable, Mapping, Sequence

from symbreak.checkpoints.wiring._onnx_axes import (
    concatenate,
    cut,
    expand_,
    flatten,
    pad,
    pick,
    pool,
    reduce,
    reshape,
    resize,
    split,
    squeeze,
    transpose,
)
from symbreak.checkpoints.wiring._onnx_einsum import einsum
from symbreak.checkpoints.wiring._onnx_places import places, put, put_each, take
from symbreak.checkpoints.wiring._onnx_traced import begin, end, move
from symbreak.checkpoints.wiring._onnx_values import (
    FUNCTIONS,
    Step,
    alike,
    constant,
    even,
    functional,
    look_up,
    positions,
    softmax,
    together,
)
from symbreak.checkpoints.wiring._onnx_weights import (
    GATES,
    batch_norm,
    convolve,
    experts,
    gather,
    gemm,
    group_norm,
    layer_norm,
    multiply,
    recurrent,
)
from symbreak.checkpoints.wiring._values import TOGETHER, Known

Operator = Callable[[Step], Sequence[Known]]

REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum",
              "ReduceMax", "ReduceMin", "ReduceProd")  # fmt: skip

OPERATORS: Mapping[str, Operator] = {
    **dict.fromkeys(FUNCTIONS, functional),
    **dict.fromkeys(TOGETHER, together),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), pool),
    **dict.fromkeys(REDUCTIONS, reduce),
    **dict.fromkeys(("ArgMax", "ArgMin", "TopK"), pick),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LpNormalization"), softmax),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), batch_norm),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), layer_norm),
    **dict.fromkeys(("Conv", "ConvTranspose"), convolve),
    **dict.fromkeys(("Resize", "Upsample"), resize),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), squeeze),
    **dict.fromkeys(GATES, recurrent),
    **dict.fromkeys(("Shape", "Size", "ConstantOfShape"), even),
    **dict.fromkeys(("Dropout", "Trilu", "CumSum"), alike),
    "Constant": constant, "Range": positions, "GatherElements": look_up,
    "MatMul": multiply, "Einsum": einsum, "Gemm": gemm, "GroupNormalization": group_norm,
    "NonZero": places, "OneHot": places, "GatherND": take, "ScatterND": put, "ScatterElements": put_each,
    "GroupedMatMul": experts,  # not the standard's: rows of a value, each times one of stacked matrices
    "Pad": pad, "Reshape": reshape, "Flatten": flatten, "Transpose": transpose, "Expand": expand_,
    "Concat": concatenate, "Split": split, "Slice": cut, "Gather": gather,
    "LoopBegin": begin, "LoopEnd": end, "Positions": move,
}  # fmt: skip
