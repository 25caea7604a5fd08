"""Calls and loops in a jaxpr: functions that are inlined or known by name, and scans, written once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._lax_axes import reshaped
from ._symbols import Symbol, number
from ._trace import LONGEST_STACK, Trace

# Activations by the name of the function that computes them, each a function of one number.
ACTIVATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}), "gelu": ("Gelu", {}), "silu": ("Swish", {}), "swish": ("Swish", {}), "elu": ("Elu", {}),
    "selu": ("Selu", {}), "celu": ("Celu", {}), "leaky_relu": ("LeakyRelu", {}), "softplus": ("Softplus", {}),
    "soft_sign": ("Softsign", {}), "sigmoid": ("Sigmoid", {}), "hard_sigmoid": ("HardSigmoid", {}),
    "hard_silu": ("HardSwish", {}), "hard_swish": ("HardSwish", {}), "mish": ("Mish", {}),
    "relu6": ("Clip", {"min": 0.0, "max": 6.0}),
}  # fmt: skip
BY_NUMBER = {
    "add", "sub", "mul", "div", "max", "min", "pow", "exp", "expm1", "log", "log1p", "tanh", "logistic", "erf", "erfc",
    "neg", "abs", "sqrt", "square", "integer_pow", "select_n", "lt", "le", "gt", "ge", "eq", "ne", "is_finite",
    "convert_element_type", "clamp", "stop_gradient", "broadcast_in_dim", "copy", "sign", "and", "or", "not",
}  # fmt: skip


def inner(equation: Any) -> tuple[Any, Sequence[Any]]:
    """Give the jaxpr that an equation calls, and its constants."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = equation.params.get(key)
        if found is not None:
            return (found.jaxpr, found.consts) if hasattr(found, "consts") else (found, ())
    return None, ()


def activation(equation: Any, inputs: Sequence[Symbol]) -> Symbol | None:
    """Give the value that a function of one number is of, None where the call is no such function."""
    moving = [each for each in inputs if not each.even]
    if len(moving) != 1 or len(equation.outvars) != 1 or moving[0].tensor:
        return None
    place = next(n for n, each in enumerate(inputs) if not each.even)
    if equation.invars[place].aval.shape != equation.outvars[0].aval.shape:
        return None
    return moving[0] if _is_by_number(inner(equation)[0]) else None


def _is_by_number(jaxpr: Any) -> bool:
    """Whether all that a jaxpr does is done number by number."""
    if jaxpr is None:
        return False
    for equation in jaxpr.eqns:
        called = inner(equation)[0]
        if not (_is_by_number(called) if called is not None else equation.primitive.name in BY_NUMBER):
            return False
    return True


def loop(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> Sequence[Symbol]:
    """Translate a scan: its body once, or for each row of the arrays that it runs over."""
    params = equation.params
    jaxpr, consts = inner(equation)
    fixed, carried = params["num_consts"], params["num_carry"]
    shapes = [tuple(each.aval.shape) for each in equation.invars]
    start, rows = list(inputs[fixed : fixed + carried]), inputs[fixed + carried :]
    held = [trace.constant(each) for each in consts]
    stacks = [each for each in rows if _is_stack(each, params["length"])]
    unused = all(type(each).__name__ == "DropVar" for each in equation.outvars[carried:])
    own = all(each.plain and trace.origins.get(each.name) == each.name for each in stacks)
    whole = own and unused and params["length"] <= LONGEST_STACK
    if stacks and not whole:
        return _not_understood(trace, equation, inputs)
    if stacks:
        state = start
        for turn in range(params["length"]):
            given = [
                _row(trace, each, shape, turn) for each, shape in zip(rows, shapes[fixed + carried :], strict=True)
            ]
            state = trace.run(jaxpr, held, [*inputs[:fixed], *state, *given])[:carried]
        return [*state, *(number(None, len(each.aval.shape)) for each in equation.outvars[carried:])]
    states = jaxpr.invars[fixed : fixed + carried]
    begun = [_begin(trace, each, variable) for each, variable in zip(start, states, strict=True)]
    given = [_row(trace, each, shape, 0) for each, shape in zip(rows, shapes[fixed + carried :], strict=True)]
    found = trace.run(jaxpr, held, [*inputs[:fixed], *begun, *given])
    ends = []
    for before, after in zip(begun, found[:carried], strict=True):
        if before.even or after.even:
            ends.append(after if not after.even else before)
            continue
        ends.append(trace.emit("LoopEnd", [trace.name(before), trace.name(after)], after.shape))
    made = []
    for each, variable in zip(found[carried:], equation.outvars[carried:], strict=True):
        full = tuple(variable.aval.shape)
        made.append(replace(each, shape=(1,) * len(full)) if each.even else _stack(trace, each))
    return [*ends, *made]


def _is_stack(value: Symbol, length: int) -> bool:
    """Whether each round of a loop reads a row of its own of an array of the model."""
    return value.tensor and value.shape[0] == length


def _begin(trace: Trace, start: Symbol, variable: Any) -> Symbol:
    """Give the state in a round of a loop: numbers may have become anything by then."""
    shape = tuple(variable.aval.shape)
    if not start.even:
        return start
    if not shape or variable.aval.dtype.kind not in "fV":
        return number(None, len(shape))
    return trace.emit("LoopBegin", [], shape, sizes=list(shape))


def _row(trace: Trace, value: Symbol, shape: tuple[int, ...], turn: int) -> Symbol:
    """Give what a loop has of an array in one round."""
    if value.even:
        return replace(value, shape=value.shape[1:])
    if _is_stack(value, shape[0]):
        trace.stacked[value.name] = shape[0]
        return trace.array(f"{value.name}[{turn}]", shape[1:])
    if value.shape[0] == 1:
        return reshaped(trace, value, value.shape, value.shape[1:])
    return trace.emit("ReduceSum", [trace.name(value)], value.shape[1:], axes=[0], keepdims=0)


def _stack(trace: Trace, value: Symbol) -> Symbol:
    """Give what a loop gives out in every round an axis of rounds."""
    return replace(reshaped(trace, value, value.shape, (1, *value.shape)), tensor=False)


def _not_understood(trace: Trace, equation: Any, inputs: Sequence[Symbol]) -> list[Symbol]:
    names = [trace.name(each) for each in inputs if not each.even]
    trace.emit("scan", names, (), outputs=max(len(equation.outvars), 1))
    return [
        Symbol(tuple(variable.aval.shape), name)
        for variable, name in zip(equation.outvars, trace.outputs(), strict=True)
    ]
