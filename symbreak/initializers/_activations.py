"""The usual activations by name, for gains and critical scales: one row a function of an array.

Whoever trains through them takes those of the engine, which have derivatives; here are also the ones that it has not.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UnknownName
from ._base import Array

Function = Callable[[Any], Any]

# Klambauer et al. 2017, :arxiv:`1706.02515`: the fixed point of mean 0 and variance 1.
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x > 0, 1.0, e) / (1.0 + e))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))


def _below(x: Array, alpha: float) -> Array:
    return np.asarray(alpha * np.expm1(np.minimum(x, 0.0)))


def _erf(x: Array) -> Array:
    from scipy import special  # takes as long to import as all of symbreak

    return np.asarray(special.erf(x))


def _normal_cdf(x: Array) -> Array:
    from scipy import special

    return np.asarray(special.ndtr(x))


# fmt: off
ACTIVATIONS: dict[str, Function] = {
    "identity":     lambda x: x,
    "relu":         lambda x: np.maximum(x, 0.0),
    "leaky_relu":   lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6":        lambda x: np.clip(x, 0.0, 6.0),
    "relu_squared": lambda x: np.maximum(x, 0.0) ** 2,
    "elu":          lambda x: np.maximum(x, 0.0) + _below(x, 1.0),
    "celu":         lambda x: np.maximum(x, 0.0) + _below(x, 1.0),  # that of alpha 1 is ELU's
    "selu":         lambda x: SELU_SCALE * (np.maximum(x, 0.0) + _below(x, SELU_ALPHA)),
    "gelu":         lambda x: x * _normal_cdf(x),
    "gelu_tanh":    lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu":   lambda x: x * _sigmoid(1.702 * x),  # Hendrycks, Gimpel 2016, :arxiv:`1606.08415`
    "silu":         lambda x: x * _sigmoid(x),
    "mish":         lambda x: x * np.tanh(_softplus(x)),
    "softplus":     _softplus,
    "squareplus":   lambda x: (x + np.sqrt(x * x + 4.0)) / 2,  # Barron 2021, :arxiv:`2112.11687`, b = 4
    "sigmoid":      _sigmoid,
    "tanh":         np.tanh,
    "arctan":       np.arctan,
    "erf":          _erf,
    "softsign":     lambda x: x / (1.0 + np.abs(x)),
    "hard_tanh":    lambda x: np.clip(x, -1.0, 1.0),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),  # PyTorch's and JAX's
    "hard_swish":   lambda x: x * np.clip(x / 6 + 0.5, 0.0, 1.0),  # Howard et al. 2019, :arxiv:`1905.02244`
    "log_sigmoid":  lambda x: -_softplus(-x),
    "tanhshrink":   lambda x: x - np.tanh(x),
    "softshrink":   lambda x: x - np.clip(x, -0.5, 0.5),
    "sin":          np.sin,
    "cos":          np.cos,
    "gaussian":     lambda x: np.exp(-x * x),
    "exp":          np.exp,
    "square":       np.square,
}
# fmt: on
ALIASES = {
    "linear": "identity",
    "swish": "silu",
    "hardtanh": "hard_tanh",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "relu2": "relu_squared",
    "logsigmoid": "log_sigmoid",
    "sine": "sin",
    "atan": "arctan",
}


def canonical(name: str) -> str:
    """Give the name of the row that a name or alias means.

    Raises
    ------
    UnknownName
        If there is none; the message shows the nearest.
    """
    found = ALIASES.get(name, name)
    if found not in ACTIVATIONS:
        raise unknown(name, [*ACTIVATIONS, *ALIASES], "no activation")
    return found


def unknown(name: str, known: list[str], what: str) -> UnknownName:
    """Make the error for a name that a table does not have."""
    import difflib  # for errors only

    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known names: {', '.join(sorted(known))}"
    return UnknownName(f"{what} is known for {name!r}; {hint}; a function is taken too")
