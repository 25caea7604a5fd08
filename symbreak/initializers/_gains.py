"""Gains: the factor on a weight's standard deviation that keeps the second moment through an activation.

For a standard normal z, ``gain(f) = 1 / sqrt(E f(z)**2)``: behind ReLU half of the second moment is lost, so the gain
is sqrt(2). Named gains are constants, computed once with 30 digits, so that weights do not depend on a machine's exp.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ._activations import ACTIVATIONS, ALIASES, canonical, unknown
from ._base import Array
from ._validate import is_real

# 1 / sqrt(E f(z)**2) and 1 / sqrt(Var f(z)), by quadrature with mpmath at 30 digits; the tests compute them again.
GAINS: dict[str, tuple[float, float]] = {
    "identity": (1.0, 1.0),
    "relu": (1.4142135623730951, 1.7128585504496627),
    "leaky_relu": (1.4141428569978354, 1.7048316271773367),
    "relu6": (1.4142135650950736, 1.7128585549723954),
    "relu_squared": (0.816496580927726, 0.8944271909999159),
    "elu": (1.2451983007007066, 1.2708434178501964),
    "celu": (1.2451983007007066, 1.2708434178501964),
    "selu": (1.0, 1.0),
    "gelu": (1.5335304411955353, 1.7009262433633332),
    "gelu_tanh": (1.533580521666147, 1.7009165616954505),
    "quick_gelu": (1.5394587622988314, 1.7093585898912749),
    "silu": (1.676532470331091, 1.787187222100442),
    "mish": (1.486847581273208, 1.5920253810994462),
    "softplus": (1.0418668355353018, 1.9191259801076563),
    "squareplus": (0.816496580927726, 1.9264952203913375),
    "sigmoid": (1.8462285453386054, 4.801313372039962),
    "tanh": (1.5925374197228315, 1.5925374197228315),
    "arctan": (1.491207618134209, 1.491207618134209),
    "erf": (1.4671669504891387, 1.4671669504891387),
    "softsign": (2.3375333631085398, 2.3375333631085398),
    "hard_tanh": (1.3920361404483097, 1.3920361404483097),
    "hard_sigmoid": (1.897840424729559, 6.015034486637097),
    "hard_swish": (1.7366572127665416, 1.8138714738131827),
    "log_sigmoid": (1.0418668355353018, 1.9191259801076563),
    "tanhshrink": (2.3383675301021216, 2.3383675301021216),
    "softshrink": (1.5443605282801334, 1.5443605282801334),
    "sin": (1.5208666231788148, 1.5208666231788148),
    "cos": (1.327250600284575, 2.237252914212928),
    "gaussian": (1.4953487812212205, 2.9633010224029768),
    "exp": (0.36787944117144233, 0.46270645737647115),
    "square": (0.5773502691896257, 0.7071067811865476),
}
# What calculate_gain of PyTorch gives: no change for sigmoid, 5/3 for tanh and 3/4 for SELU are rules of thumb.
TORCH = {
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1 + 0.01**2)),
    "selu": 0.75,
}
# Activations with a number of their own: the function, and what is asked of the number.
PARAMETERS: dict[str, tuple[Callable[[Array, float], Any], str]] = {
    "leaky_relu": (lambda z, slope: np.where(z > 0, z, slope * z), "the slope below zero"),
    "elu": (lambda z, alpha: np.maximum(z, 0.0) + alpha * np.expm1(np.minimum(z, 0.0)), "alpha, a positive number"),
    "celu": (
        lambda z, alpha: np.maximum(z, 0.0) + alpha * np.expm1(np.minimum(z, 0.0) / alpha),
        "alpha, a positive number",
    ),
}

REACH = 11.0  # sigma: what lies beyond is no moment that counts


def gain(
    activation: str | Callable[[Any], Any],
    parameter: float | None = None,
    *,
    normalise: bool = False,
    convention: str = "theory",
) -> float:
    """Give the gain of an activation: 1 / sqrt(E f(z)**2) for a standard normal z.

    Parameters
    ----------
    activation
        A name, or a function that takes and gives an array.
    parameter
        Slope of ``"leaky_relu"`` (0.01 by default), alpha of ``"elu"`` and ``"celu"`` (1).
    normalise
        Give 1 / sqrt(Var f(z)) instead: what a weight takes whose mean over its inputs is zero (weight
        standardisation), so that the mean of the activation is lost, as in networks without norms [3]_.
    convention
        ``"theory"``, or ``"torch"``: what ``torch.nn.init.calculate_gain`` gives, to start as a model of PyTorch's
        does. They differ for sigmoid (1), tanh (5/3) and SELU (3/4), and PyTorch has no others but ReLU's and leaky
        ReLU's.

    Returns
    -------
    float
        Multiply a LeCun standard deviation by it; ``VarianceScaling(gain ** 2)``.

    Raises
    ------
    UnknownName
        For a name that is not in the table; the message shows the nearest.
    TypeError, ValueError
        For something that is neither, a parameter where there is none, or a function whose second moment (or variance)
        is zero or not finite, or comes from beyond 11 standard deviations.

    See Also
    --------
    critical : Weights and biases together, at any depth.
    VarianceScaling : What takes a gain, squared.

    Notes
    -----
    The names are ``identity``, ``relu``, ``leaky_relu``, ``relu6``, ``relu_squared``, ``elu``, ``celu``, ``selu``,
    ``gelu``, ``gelu_tanh``, ``quick_gelu``, ``silu``, ``mish``, ``softplus``, ``squareplus``, ``sigmoid``, ``tanh``,
    ``arctan``, ``erf``, ``softsign``, ``hard_tanh``, ``hard_sigmoid``, ``hard_swish``, ``log_sigmoid``,
    ``tanhshrink``, ``softshrink``, ``sin``, ``cos``, ``gaussian``, ``exp``, ``square``; also ``linear``, ``swish``,
    ``hardtanh``, ``hardsigmoid``, ``hardswish``, ``relu2``, ``logsigmoid``, ``sine``, ``atan``.

    For a function the expectation is a Gauss-Legendre sum on 96 panels of [-12, 12], good to ten digits for functions
    that are smooth but for corners at multiples of 1/4; it is rounded to ten digits.

    References
    ----------
    .. [1] He et al. "Delving deep into rectifiers". ICCV 2015 (ReLU, leaky ReLU). :arxiv:`1502.01852`
    .. [2] Poole et al. "Exponential expressivity in deep neural networks through transient chaos". NeurIPS 2016 (any
       activation). :arxiv:`1606.05340`
    .. [3] Brock, De, Smith. "Characterizing signal propagation to close the performance gap in unnormalized ResNets".
       ICLR 2021, section 4.2. :arxiv:`2101.08692`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> sb.gain("relu")
    1.4142135623730951
    >>> round(sb.gain(np.tanh), 6), round(sb.gain("tanh", convention="torch"), 6)
    (1.592537, 1.666667)
    >>> round(sb.gain("relu", normalise=True), 6)  # sqrt(2 / (1 - 1 / pi))
    1.712859
    """
    if not isinstance(normalise, bool):
        raise TypeError(f"normalise is True or False; got {normalise!r}")
    if convention not in ("theory", "torch"):
        raise ValueError(f"convention is 'theory' or 'torch'; got {convention!r}")
    if convention == "torch":
        return _torch(activation, parameter, normalise)
    if isinstance(activation, str):
        name = canonical(activation)
        if parameter is None:
            return GAINS[name][normalise]
        return _with_parameter(name, parameter, normalise)
    if not callable(activation):
        raise TypeError(f"gain takes a name or a function; got {activation!r}")
    if parameter is not None:
        raise TypeError(f"a parameter goes with {_named(PARAMETERS)}; write it into the function that you pass")
    return _of(activation, normalise)


def _torch(activation: Any, parameter: float | None, normalise: bool) -> float:
    name = ALIASES.get(activation, activation) if isinstance(activation, str) else None
    if normalise:
        raise ValueError("convention='torch' has no normalise; choose one of them")
    if name not in TORCH:
        if isinstance(activation, str):
            raise unknown(activation, [*TORCH, "linear"], "no gain of PyTorch's")
        raise TypeError(f"convention='torch' is a table of names: {_named(TORCH)}; got {activation!r}")
    if parameter is None:
        return TORCH[name]
    if name != "leaky_relu":
        raise TypeError(f"{activation!r} has no parameter; one goes with 'leaky_relu'")
    return math.sqrt(2.0 / (1 + _number(name, parameter) ** 2))


def _with_parameter(name: str, parameter: float, normalise: bool) -> float:
    if name not in PARAMETERS:
        raise TypeError(f"{name!r} has no parameter; one goes with {_named(PARAMETERS)}")
    value = _number(name, parameter)
    if name == "leaky_relu":  # E max(z, 0)**2 = 1/2, E max(z, 0) = 1 / sqrt(2 pi)
        lost = (1 - value) ** 2 / (2 * math.pi) if normalise else 0.0
        return 1 / math.sqrt((1 + value * value) / 2 - lost)
    function = PARAMETERS[name][0]
    return _of(lambda z: function(z, value), normalise)


def _number(name: str, value: Any) -> float:
    if not is_real(value) or not abs(value) < 1e6 or (name != "leaky_relu" and not value >= 1e-6):
        raise ValueError(f"the parameter of {name!r} is {PARAMETERS[name][1]} below 1e6; got {value!r}")
    return float(value)


def _named(names: Any) -> str:
    return ", ".join(map(repr, names))


def _of(function: Callable[[Any], Any], normalise: bool) -> float:
    first, second = moments(function)
    check_moment(function, second)
    moment = second - first * first if normalise else second
    lost = 1e-12 * second if normalise else 0.0  # what rounding leaves of the difference
    if not lost < moment < math.inf:
        what = "Var f(z)" if normalise else "E f(z)**2"
        raise ValueError(f"{what} of {function!r} is {moment!r}; a gain needs it positive and finite")
    return float(f"{1 / math.sqrt(moment):.10g}")


def check_moment(function: Callable[[Any], Any], second: float) -> None:
    """Refuse a function whose second moment is infinite: it comes from the ends, or grows with finer panels."""
    if not 0 < second < math.inf:
        return  # told already
    z, weights = normal_quadrature(1.0)
    finer, its = normal_quadrature(1.0, panels=192)
    with np.errstate(all="ignore"):
        ends = float(np.sum((apply(function, z) ** 2 * weights)[np.abs(z) > REACH]))
        again = float(np.sum(apply(function, finer) ** 2 * its))
    if ends > 1e-6 * second:
        raise ValueError(
            f"E f(z)**2 of {function!r} is infinite, or comes from beyond {REACH:g} standard deviations, where no "
            f"network will be: f grows too fast for a normal; pass one that grows slower than exp(z**2 / 4)"
        )
    if not abs(again - second) <= 0.02 * second:
        raise ValueError(
            f"E f(z)**2 of {function!r} is infinite, or f changes too fast to tell: finer panels give {again:.4g} "
            f"where {second:.4g} came before; pass a function without poles"
        )


def moments(function: Callable[[Any], Any]) -> tuple[float, float]:
    """Give E f(z) and E f(z)**2 for a standard normal z."""
    z, weights = normal_quadrature(1.0)
    with np.errstate(all="ignore"):
        values = apply(function, z)
        return float(np.sum(values * weights)), float(np.sum(values**2 * weights))


def apply(function: Callable[[Any], Any], z: Array) -> Array:
    """Call a function of an array, and refuse what is not of its shape."""
    values = np.asarray(function(z), dtype=np.float64)
    if values.shape != z.shape:
        raise ValueError(
            f"{function!r} gave shape {values.shape} for an array of shape {z.shape}; pass an entry-by-entry function"
        )
    return values


def normal_quadrature(std: float, panels: int = 96) -> tuple[Array, Array]:
    """Give nodes and weights of expectations over a normal of mean 0, by Gauss and Legendre on panels to 12 sigma.

    The panels end at multiples of 1/4 up to 16, as activations have their corners at whole numbers, and at multiples of
    a quarter of `std`.
    """
    edges = np.linspace(-12.0 * std, 12.0 * std, panels + 1)
    corners = np.linspace(-16.0, 16.0, 129)
    if std != 1.0:
        edges = np.union1d(edges, corners[np.abs(corners) < 12.0 * std])
        edges = edges[np.append(np.diff(edges) > 1e-9 * std, True)]
    nodes, weights = np.polynomial.legendre.leggauss(24)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    x = (middle[:, None] + half[:, None] * nodes).ravel()
    density = np.exp(-((x / std) ** 2) / 2) / (math.sqrt(2 * math.pi) * std)
    return x, density * (half[:, None] * weights).ravel()


def named_function(activation: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give the function that a name means; a function as it is."""
    if isinstance(activation, str):
        return ACTIVATIONS[canonical(activation)]
    if not callable(activation):
        raise TypeError(f"an activation is a name or a function; got {activation!r}")
    return activation
