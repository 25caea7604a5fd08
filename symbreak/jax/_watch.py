"""The values of a model's units, and a loss's gradients at them, wherever in the model they are computed.

A jaxpr is run equation by equation. What a weight gives out, with the biases that are added to it and the function that
it is passed through where nothing else reads it before, is recorded, and something that is zero is added to it: the
gradient at that is the gradient at the units.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp

from ._lax import CALLS
from ._lax_calls import BY_NUMBER, inner

KEEPS = {
    "convert_element_type", "copy", "transpose", "reshape", "squeeze", "broadcast_in_dim", "expand_dims", "neg", "mul",
    "add", "sub", "div", "concatenate", "slice", "split", "rsqrt", "sqrt", "stop_gradient", "exp", "dynamic_slice",
}  # fmt: skip
READS = ("dot_general", "conv_general_dilated", "gather")


@final
@dataclass(frozen=True)
class Spot:
    """Where the values of units are.

    Attributes
    ----------
    tensor
        The weight that writes them.
    variable
        That has them in its jaxpr.
    axes
        Along which the units lie, heads before what is in them.
    """

    tensor: str
    variable: Any
    axes: tuple[int, ...]


def find_spots(jaxpr: Any, origins: Mapping[Any, str]) -> tuple[list[Spot], list[str]]:
    """List the spots of a jaxpr, and the weights that are used where no spot can be.

    Parameters
    ----------
    jaxpr
        Of the model.
    origins
        The arrays of the model, by their variables.
    """
    spots: list[Spot] = []
    lost: list[str] = []
    _find(jaxpr, dict(origins), spots, lost)
    return spots, lost


def _find(jaxpr: Any, origins: dict[Any, str], spots: list[Spot], lost: list[str]) -> None:
    for equation in jaxpr.eqns:
        given = _given(equation, origins)
        own = [name for name in given if name is not None]
        called, _ = inner(equation)
        if equation.primitive.name in CALLS and called is not None:
            rest = given[len(given) - len(called.invars) :]
            within = {var: name for var, name in zip(called.invars, rest, strict=True) if name is not None}
            _find(called, within, spots, lost)
            for outer, inside in zip(equation.outvars, called.outvars, strict=True):
                if _is_variable(inside) and inside in within:
                    origins[outer] = within[inside]
        elif own and equation.primitive.name in KEEPS and _is_own(equation, given):
            origins |= dict.fromkeys(equation.outvars, own[0])
        elif own and _runs_others(equation):
            lost += own
    for equation in jaxpr.eqns:  # by now it is known which values are biases
        given = _given(equation, origins)
        own = [name for name in given if name is not None]
        if equation.primitive.name in READS and len(own) == 1:
            axes = _axes(equation, given.index(own[0]))
            if axes:
                spots.append(Spot(own[0], *_followed(jaxpr, equation.outvars[0], origins, axes)))


def _runs_others(equation: Any) -> bool:
    """Whether an equation runs jaxprs of its own, as a loop or a choice does."""
    params = [each for value in equation.params.values() for each in (value if isinstance(value, tuple) else [value])]
    return any(hasattr(each, "eqns") or hasattr(each, "jaxpr") for each in params)


def _given(equation: Any, origins: Mapping[Any, str]) -> list[str | None]:
    return [origins.get(atom) if _is_variable(atom) else None for atom in equation.invars]


def _is_variable(atom: Any) -> bool:
    return not hasattr(atom, "val")


def _is_own(equation: Any, given: Sequence[str | None]) -> bool:
    """Whether all that an equation reads are arrays of the model, and numbers."""
    pairs = zip(given, equation.invars, strict=True)
    return all(name is not None or not _is_variable(atom) or not atom.aval.shape for name, atom in pairs)


def _axes(equation: Any, place: int) -> tuple[int, ...]:
    """Give the axes of what a weight gives out along which the units lie."""
    if equation.primitive.name == "conv_general_dilated":
        return (int(equation.params["dimension_numbers"].out_spec[1]),) if place == 1 else ()
    if equation.primitive.name == "gather":
        return tuple(map(int, equation.params["dimension_numbers"].offset_dims)) if place == 0 else ()
    (contracted, batch) = equation.params["dimension_numbers"]
    free = [len(atom.aval.shape) - len(contracted[n]) - len(batch[n]) for n, atom in enumerate(equation.invars)]
    begin = len(batch[0]) + (free[0] if place else 0)
    return tuple(range(begin, begin + free[place]))


def _followed(
    jaxpr: Any, variable: Any, origins: Mapping[Any, str], axes: tuple[int, ...]
) -> tuple[Any, tuple[int, ...]]:
    """Go on to where biases were added and a function was passed, as long as nothing else reads the values."""
    shape = variable.aval.shape
    while True:
        users = [each for each in jaxpr.eqns if any(atom is variable for atom in each.invars)]
        if len(users) != 1 or any(atom is variable for atom in jaxpr.outvars) or len(users[0].outvars) != 1:
            return variable, axes
        (user,) = users
        others = [atom for atom in user.invars if atom is not variable]
        biased = user.primitive.name == "add" and len(others) == 1 and _is_variable(others[0]) and others[0] in origins
        alone = not [atom for atom in others if _is_variable(atom)] and _by_number(user)
        if user.outvars[0].aval.shape != shape or not (biased or alone):
            return variable, axes
        variable = user.outvars[0]


def _by_number(equation: Any) -> bool:
    called, _ = inner(equation)
    if called is None:
        return equation.primitive.name in BY_NUMBER
    return all(_by_number(each) for each in called.eqns)


def run(
    jaxpr: Any,
    consts: Sequence[Any],
    args: Sequence[Any],
    add: Mapping[Any, Any],
    spots: Mapping[Any, Any],
) -> tuple[list[Any], dict[Any, Any]]:
    """Run a jaxpr with something added at its spots; give what it gives out, and the values there."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    seen: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return values[atom] if _is_variable(atom) else atom.val

    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        called, held = inner(equation)
        if equation.primitive.name in CALLS and called is not None and _has(called, spots):
            results, more = run(called, held, given[len(given) - len(called.invars) :], add, spots)
            seen |= more
        else:
            made = equation.primitive.get_bind_params(equation.params)
            functions, params = made if isinstance(made, tuple) else ((), made)  # before JAX 0.7 a pair
            found = equation.primitive.bind(*functions, *given, **params)
            results = found if equation.primitive.multiple_results else [found]
        for variable, value in zip(equation.outvars, results, strict=True):
            if variable in spots:
                value = value + add[variable]
                seen[variable] = value
            values[variable] = value
    return [read(atom) for atom in jaxpr.outvars], seen


def _has(jaxpr: Any, spots: Mapping[Any, Any]) -> bool:
    for equation in jaxpr.eqns:
        called, _ = inner(equation)
        if any(variable in spots for variable in equation.outvars) or (called is not None and _has(called, spots)):
            return True
    return False


def observed(
    closed: Any, spots: Sequence[Spot], args: Sequence[Any], loss: Callable[[list[Any]], Any]
) -> tuple[float, dict[Any, Any], dict[Any, Any]]:
    """Give the loss, and the values and the gradients at each spot, by variable."""
    marked = {spot.variable: spot for spot in spots}
    zeros = {n: jnp.zeros(spot.variable.aval.shape, spot.variable.aval.dtype) for n, spot in enumerate(marked.values())}

    def whole(extra: dict[int, Any]) -> tuple[Any, list[Any]]:
        add = dict(zip(marked, extra.values(), strict=True))
        given, seen = run(closed.jaxpr, closed.consts, args, add, marked)
        return loss(given), [seen.get(variable) for variable in marked]

    (value, seen), gradients = jax.jit(jax.value_and_grad(whole, has_aux=True))(zeros)
    return float(value), dict(zip(marked, seen, strict=True)), dict(zip(marked, gradients.values(), strict=True))
