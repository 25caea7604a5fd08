"""The primitives of JAX that units are followed through, and the function that translates each.

A function takes the trace, the equation and what is known of its inputs, and gives what is known of its outputs. What
isn't in the table becomes a node of its own name, whose inputs the flow tells apart and names.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._lax_axes import (
    broadcast,
    concatenate,
    dynamic_slice,
    dynamic_update,
    pad,
    reduce,
    reshape,
    reshaped,
    slice_,
    split,
    squeeze,
    sum_,
    transpose,
    unfolded,
    window,
)
from ._lax_calls import ACTIVATIONS, activation, inner, loop
from ._lax_weights import convolve, gather, multiply
from ._symbols import Symbol, number, together
from ._trace import Trace

Rule = Callable[[Trace, Any, Sequence[Symbol]], Sequence[Symbol]]

UNARY: Mapping[str, str] = {
    "tanh": "Tanh", "logistic": "Sigmoid", "exp": "Exp", "exp2": "Exp", "expm1": "Exp", "log": "Log", "log1p": "Log",
    "neg": "Neg", "sqrt": "Sqrt", "rsqrt": "Sqrt", "cbrt": "Sqrt", "abs": "Abs", "sin": "Sin", "cos": "Cos",
    "tan": "Sin", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "round": "Round", "erf": "Erf", "erfc": "Erf",
    "erf_inv": "Erf", "is_finite": "IsInf", "not": "Not", "integer_pow": "Abs", "square": "Abs", "sinh": "Exp",
    "cosh": "Exp", "atan": "Erf", "asin": "Erf", "acos": "Erf", "asinh": "Erf", "acosh": "Erf", "atanh": "Erf",
    "lgamma": "Exp", "digamma": "Exp", "real": "Identity", "imag": "Abs", "conj": "Identity", "clz": "Abs",
    "population_count": "Abs",
}  # fmt: skip
SAME = (
    "convert_element_type", "copy", "copy_p", "stop_gradient", "reduce_precision", "sharding_constraint", "mesh_cast",
    "reshard", "pvary", "name", "bitcast_convert_type",
)  # fmt: skip
BINARY: Mapping[str, str] = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow",
    "rem": "Mod", "atan2": "Pow", "nextafter": "Pow", "eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual",
    "gt": "Greater", "ge": "GreaterOrEqual", "and": "And", "or": "Or", "xor": "Xor", "shift_left": "Pow",
    "shift_right_logical": "Pow", "shift_right_arithmetic": "Pow",
}  # fmt: skip
FOLDED: Mapping[str, Callable[[float, float], float | bool]] = {
    "add": operator.add, "add_any": operator.add, "sub": operator.sub, "mul": operator.mul, "max": max, "min": min,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "div": lambda a, b: a / b if b else math.nan,
}  # fmt: skip
ZERO = ("Tanh", "Neg", "Sqrt", "Abs", "Sin", "Sign", "Floor", "Ceil", "Round", "Erf", "Relu", "Identity")  # of 0
RANDOM = (
    "random_bits", "random_seed", "random_wrap", "random_unwrap", "random_fold_in", "random_split", "random_gamma",
    "random_clone", "threefry2x32", "rng_bit_generator", "rng_uniform",
)  # fmt: skip
NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}  # the second factor that changes nothing
CALLS = (
    "jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "custom_lin", "xla_call", "run_state",
)  # fmt: skip


# What follows numbers that are the same everywhere.
EVEN = {
    "select_n", "reshape", "broadcast_in_dim", "squeeze", "expand_dims", "transpose", "slice", "concatenate", *UNARY,
    *BINARY, *SAME,
}  # fmt: skip


def follow(trace: Trace, equation: Any, jaxpr: Any) -> Sequence[Symbol]:
    """Translate one equation of a jaxpr; give what is known of its outputs."""
    op = equation.primitive.name
    inputs = [trace.read(atom) for atom in equation.invars]
    if op in CALLS:
        return _call(trace, equation, inputs)
    if op in RANDOM:
        return [_noise(trace, each, op) for each in equation.outvars]
    if op == "iota":
        dims, shape = equation.params["dimension"], equation.params["shape"]
        return [trace.enter(tuple(n if axis == dims else 1 for axis, n in enumerate(shape)), "iota")]
    if op == "optimization_barrier":
        return inputs
    rule = RULES.get(op, unknown)
    if op in ("reduce_max", "reduce_min") and _is_shift(equation, jaxpr):
        rule = sum_  # what it gives is subtracted again, whichever it picks
    if inputs and all(each.even for each in inputs) and op not in EVEN:
        return [replace(number(None), shape=(1,) * len(each.aval.shape)) for each in equation.outvars]
    return rule(trace, equation, inputs)


def unknown(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Write a node that the flow doesn't know: the units that it reads are told apart."""
    names = [trace.name(each) for each in inputs if not each.even]
    found = trace.emit(equation.primitive.name, names, (), outputs=max(len(equation.outvars), 1))
    outputs = trace.outputs()
    return [
        Symbol(tuple(variable.aval.shape), name or found.name)
        for variable, name in zip(equation.outvars, outputs, strict=True)
    ]


def unary(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a function of one number."""
    return [_unary(trace, UNARY[equation.primitive.name], inputs[0])]


def _unary(trace: Trace, op: str, first: Symbol, **attributes: Any) -> Symbol:
    if first.even:
        return replace(first, number=0.0 if first.number == 0 and op in ZERO else None)
    if first.parts:
        return replace(first, parts=tuple(_unary(trace, op, part, **attributes) for part in first.parts))
    if first.inner is not None and not first.later:
        return replace(first, inner=_unary(trace, op, first.inner, **attributes))
    made = trace.emit(op, [trace.name(first)], first.shape, **attributes)
    return replace(made, tensor=first.tensor and not first.later)


def same(_: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Leave a value as it is."""
    return [inputs[0]] * len(equation.outvars)


def binary(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a function of two numbers."""
    name = equation.primitive.name
    a, b = inputs
    if a.even and b.even:
        fold = FOLDED.get(name)
        known = a.number is not None and b.number is not None and fold is not None
        return [number(float(fold(a.number, b.number)) if known else None, max(len(a.shape), len(b.shape)))]  # type: ignore[misc,arg-type]
    rank = len(equation.outvars[0].aval.shape)
    a, b = (replace(each, shape=(1,) * rank) if each.even else each for each in (a, b))
    return [meet(trace, BINARY[name], a, b)]


def meet(trace: Trace, op: str, a: Symbol, b: Symbol) -> Symbol:
    """Let two values meet value by value, one of them perhaps a number."""
    shape = together(a.shape, b.shape)
    if a.even or b.even:
        return _with_number(trace, op, a, b)
    if a.parts or b.parts:
        return _by_parts(trace, op, a, b, shape)
    if a.tensor and b.tensor:
        return _kept(op, a, b, shape)
    grown = op in ("Mul", "Div")
    for value, array, first in ((a, b, True), (b, a, False)):
        if (
            grown
            and array.tensor
            and not value.tensor
            and (first or op == "Mul")
            and (shape != value.shape or value.inner is not None)
        ):
            return replace(value, shape=shape, later=(*value.later, (op, array)))  # until it meets the units
    for value, kept in ((a, b), (b, a)):
        if kept.later and (kept.tensor or op == "Mul"):
            found = meet(trace, op, value, kept.bare) if value is a else meet(trace, op, kept.bare, value)
            for then, array in kept.later:
                found = meet(trace, then if op == "Mul" else op, found, array)
            return replace(found, shape=shape)
    if a.inner is not None or b.inner is not None:
        return _by_groups(trace, op, a, b, shape)
    return trace.emit(op, [trace.name(a), trace.name(b)], shape)


def _by_groups(trace: Trace, op: str, a: Symbol, b: Symbol, shape: tuple[int, ...]) -> Symbol:
    """Let a value that repeats what it has of groups meet another: group by group."""
    lead = a if a.inner is not None else b
    inner = []
    for each in (a, b):
        if each.inner is not None and (each.axis, each.sizes) == (lead.axis, lead.sizes):
            inner.append(each.inner)
        else:
            inner.append(unfolded(trace, each, lead))
    met = meet(trace, op, *inner)
    at = lead.axis
    if met.shape[at : at + 2] != lead.sizes:
        return Symbol(shape, axis=at, inner=met, sizes=lead.sizes)
    return reshaped(trace, met, met.shape, shape)


def _kept(op: str, a: Symbol, b: Symbol, shape: tuple[int, ...]) -> Symbol:
    """Keep two arrays of the model together: what each of them does to units is told one after the other."""
    if a.shape != shape and b.shape == shape:
        a, b = b, a
    return replace(a, shape=shape, later=(*a.later, (op, b.bare), *b.later))


def _with_number(trace: Trace, op: str, a: Symbol, b: Symbol) -> Symbol:
    value, other = (b, a) if a.even else (a, b)
    if op in ("Max", "Min") and other.number is not None:
        if math.isinf(other.number):
            return value
        if op == "Max" and other.number == 0:
            return _unary(trace, "Relu", value)
    if op == "Mul" and other.number == 0:
        return number(0.0, len(value.shape))
    if other.number is not None and NEUTRAL.get(op) == other.number and (value is a or op in ("Add", "Mul")):
        return value
    if op in ("Mul", "Div") and (value is a or op == "Mul"):
        return value  # a factor that all units share
    if value.inner is not None and not value.later:
        rank = len(value.inner.shape)
        pair = _ordered(value.inner, replace(other, shape=(1,) * rank), a)
        return replace(value, inner=_with_number(trace, op, *pair))
    if value.parts:
        return replace(value, parts=tuple(_with_number(trace, op, *_ordered(part, other, a)) for part in value.parts))
    if value.tensor and not value.later:
        return replace(_unary(trace, "Identity", value), tensor=True)
    names = [trace.name(a), trace.name(b)]
    return trace.emit(op, names, value.shape)


def _ordered(part: Symbol, other: Symbol, a: Symbol) -> tuple[Symbol, Symbol]:
    return (other, part) if a.even else (part, other)


def _by_parts(trace: Trace, op: str, a: Symbol, b: Symbol, shape: tuple[int, ...]) -> Symbol:
    """Let values of parts meet part by part."""
    lead = a if a.parts else b
    axis = lead.axis
    sizes = [part.shape[axis] for part in lead.parts]
    rows = []
    for each in (a, b):
        if each.parts and each.axis == axis and [part.shape[axis] for part in each.parts] == sizes:
            rows.append(each.parts)
        elif not each.parts and each.shape[axis] == 1:
            rows.append((each,) * len(sizes))
        elif not each.parts and not each.tensor:
            rows.append(tuple(cut(trace, each, axis, sizes)))
        else:
            return trace.emit(op, [trace.name(a), trace.name(b)], shape)
    parts = tuple(meet(trace, op, *both) for both in zip(*rows, strict=True))
    return Symbol(shape, parts=parts, axis=axis)


def cut(trace: Trace, value: Symbol, axis: int, sizes: Sequence[int]) -> list[Symbol]:
    """Cut a value along an axis."""
    from ._lax_axes import cut as cut_

    return cut_(trace, value, axis, sizes)


def select(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a choice between values, number by number."""
    which, *cases = inputs
    if which.even and which.number is not None and 0 <= which.number < len(cases):
        return [cases[int(which.number)]]
    rank = len(equation.outvars[0].aval.shape)
    values = [replace(each, shape=(1,) * rank) if each.even else each for each in cases]
    moving = [each for each in values if not each.even]
    if which.even:
        if not moving:
            return [number(None, rank)]
        found = moving[0]
        for each in moving[1:]:
            found = meet(trace, "Where", found, each)
        return [found]
    which = which if len(which.shape) == rank else replace(which, shape=(1,) * rank)
    shape = together(which.shape, *(each.shape for each in values))
    return [trace.emit("Where", [trace.name(which), *map(trace.name, values)], shape)]


def clamp(trace: Trace, _: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a value between two bounds."""
    low, value, high = inputs
    if low.even and high.even:
        bounds = {k: v for k, v in (("min", low.number), ("max", high.number)) if v is not None}
        return [_unary(trace, "Clip", value, **bounds)]
    return [meet(trace, "Min", meet(trace, "Max", value, low), high)]


def pick(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate what gives the place of the largest value, or the largest ones."""
    params, first = equation.params, trace.full(inputs[0], tuple(equation.invars[0].aval.shape))
    shapes = [tuple(each.aval.shape) for each in equation.outvars]
    if equation.primitive.name == "top_k":
        axis = params.get("axis", -1) % len(first.shape)
        trace.emit("TopK", [trace.name(first)], shapes[0], outputs=2, axis=axis)
        return [Symbol(shape, name) for shape, name in zip(shapes, trace.outputs(), strict=True)]
    op = "ArgMax" if equation.primitive.name == "argmax" else "ArgMin"
    return [trace.emit(op, [trace.name(first)], shapes[0], axis=params["axes"][0], keepdims=0)]


def _noise(trace: Trace, variable: Any, op: str) -> Symbol:
    shape = tuple(variable.aval.shape)
    if trace.noise and op == "random_bits" and math.prod(shape) > 1:
        return trace.enter(shape, "noise")
    return number(None, len(shape))


def _call(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Inline what is called, or name the activation that it is."""
    name = str(equation.params.get("name", ""))
    op = ACTIVATIONS.get(name.lstrip("_"))
    if op is not None:
        found = activation(equation, inputs)
        if found is not None:
            return [_unary(trace, op[0], found, **op[1])]
    jaxpr, consts = inner(equation)
    if jaxpr is None:
        return unknown(trace, equation, inputs)
    count = len(jaxpr.invars)
    return trace.run(jaxpr, [trace.constant(each) for each in consts], inputs[len(inputs) - count :])


def _is_shift(equation: Any, jaxpr: Any) -> bool:
    """Whether what a reduction gives is only subtracted behind a stop of the gradient, as in a softmax, or unread."""
    waiting, seen = list(equation.outvars), 0
    while waiting:
        variable = waiting.pop()
        seen += 1
        users = [each for each in jaxpr.eqns if any(atom is variable for atom in each.invars)]
        if any(atom is variable for atom in jaxpr.outvars) or seen > 8:
            return False
        for user in users:
            if user.primitive.name == "stop_gradient":
                continue
            if user.primitive.name not in ("max", "broadcast_in_dim", "reshape", "squeeze", "select_n", "is_finite",
                                           "convert_element_type", "jit", "pjit"):  # fmt: skip
                return False
            waiting += user.outvars
    return True


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(BINARY, binary),
    **dict.fromkeys(("argmax", "argmin", "top_k"), pick),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or",
                     "reduce_xor"), reduce),
    "select_n": select, "clamp": clamp, "reshape": reshape, "broadcast_in_dim": broadcast, "transpose": transpose,
    "squeeze": squeeze, "expand_dims": reshape, "concatenate": concatenate, "slice": slice_, "split": split,
    "dynamic_slice": dynamic_slice, "pad": pad, "dot_general": multiply, "conv_general_dilated": convolve,
    "gather": gather, "scan": loop, "dynamic_update_slice": dynamic_update,
    **dict.fromkeys(("reduce_window_max", "reduce_window_min", "reduce_window_sum", "reduce_window", "cumsum",
                     "cumprod", "cummax", "cummin", "cumlogsumexp", "rev"), window),
}  # fmt: skip
