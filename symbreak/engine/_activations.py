"""The activations and their derivatives, one row a function, in the textbook's letters.

`x` goes in, `y` comes out, and `g` is the gradient of the loss at `y`; `backward` gives the gradient at `x`. Each is
applied entry by entry, so that units with equal `x` have equal `y`, and equal gradients where their `g` are equal.
"""

# ruff: noqa: ARG005 - every row takes g, y and x, and uses those it needs

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

POLYNOMIALS = {"identity", "square"}  # what can be computed of fractions and of residues
LEAK = 0.01  # of leaky relu, below zero. Maas, Hannun, Ng. "Rectifier nonlinearities". ICML workshop 2013.


class Activation(NamedTuple):
    """A function of one variable, and what its derivative makes of a gradient."""

    forward: Callable[[Array], Array]  # x -> y
    backward: Callable[[Array, Array, Array], Array]  # g, y, x -> gradient at x

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a row of the table by its name, as its functions have none of their own."""
        name = next((name for name, row in ACTIVATIONS.items() if row is self), None)
        return (Activation, tuple(self)) if name is None else (_row, (name,))


def _row(name: str) -> Activation:
    return ACTIVATIONS[name]


def sigmoid(x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)) through exp(-|x|), which can't overflow, and without a difference of near equals."""
    e = np.exp(-abs(x))
    return np.asarray(np.where(x > 0, 1, e) / (1 + e))


def softplus(x: Array) -> Array:
    """Compute log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|))."""
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-abs(x))))


def _tanh_slope(g: Array, y: Array) -> Array:
    slope = y * y
    np.subtract(1, slope, out=slope)
    slope *= g
    return np.asarray(slope)


def _leaky(g: Array, x: Array) -> Array:
    return np.where(x > 0, g, LEAK * g)


def _silu_slope(x: Array) -> Array:
    return np.asarray(sigmoid(x) * (1 + x * sigmoid(-x)))


def _erf(x: Array) -> Array:
    from scipy import special

    return np.asarray(special.erf(x))


def _erf_slope(x: Array) -> Array:
    return np.asarray(np.exp(-x * x) * (2 / math.sqrt(math.pi)))


def _normal_cdf(x: Array) -> Array:
    from scipy import special

    return np.asarray(special.ndtr(x))  # (1 + erf(x / sqrt(2))) / 2 would be 0 below -8


def _gelu_slope(x: Array) -> Array:
    return np.asarray(_normal_cdf(x) + x * np.exp(-x * x / 2) * (1 / math.sqrt(2 * math.pi)))


# The derivative of sigmoid is sigmoid(x) * sigmoid(-x): 1 - sigmoid(x) would be 0 where x is large. GELU is x * Phi(x),
# the form with erf, not that with tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415).
# fmt: off
ACTIVATIONS = {
    "identity":   Activation(lambda x: x,                  lambda g, y, x: g),
    "relu":       Activation(lambda x: np.maximum(x, 0),   lambda g, y, x: g * (x > 0)),   # at 0, take 0
    "leaky_relu": Activation(lambda x: _leaky(x, x),       lambda g, y, x: _leaky(g, x)),  # at 0, take LEAK
    "tanh":       Activation(np.tanh,                      lambda g, y, x: _tanh_slope(g, y)),
    "sigmoid":    Activation(sigmoid,                      lambda g, y, x: g * (y * sigmoid(-x))),
    "softplus":   Activation(softplus,                     lambda g, y, x: g * sigmoid(x)),
    "silu":       Activation(lambda x: x * sigmoid(x),     lambda g, y, x: g * _silu_slope(x)),
    "gelu":       Activation(lambda x: x * _normal_cdf(x), lambda g, y, x: g * _gelu_slope(x)),
    "erf":        Activation(_erf,                         lambda g, y, x: g * _erf_slope(x)),
    "sin":        Activation(np.sin,                       lambda g, y, x: g * np.cos(x)),
    "square":     Activation(lambda x: x * x,              lambda g, y, x: g * (2 * x)),
}
# fmt: on
