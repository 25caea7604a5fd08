"""Gains: the factor on a weight's standard deviation that keeps the second moment through an activation.

For a standard normal z, ``gain(f) = 1 / sqrt(E f(z)**2)``: behind ReLU half of the second moment is lost, so the gain
is sqrt(2). Named gains are constants, computed once with 30 digits, so that weights do not depend on a machine's exp.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UnknownName

# 1 / sqrt(E f(z)**2), by quadrature with mpmath at 30 digits; the tests compute them again.
GAINS: dict[str, float] = {
    "identity": 1.0,
    "linear": 1.0,
    "relu": 1.4142135623730951,
    "leaky_relu": 1.4141428569978354,
    "tanh": 1.5925374197228315,
    "sigmoid": 1.8462285453386054,
    "softplus": 1.0418668355353018,
    "gelu": 1.5335304411955353,
    "gelu_tanh": 1.533580521666147,
    "silu": 1.676532470331091,
    "swish": 1.676532470331091,
    "elu": 1.2451983007007066,
    "selu": 1.0,
    "mish": 1.486847581273208,
    "erf": 1.4671669504891387,
    "sin": 1.5208666231788148,
    "relu6": 1.4142135650950736,
    "relu_squared": 0.816496580927726,
    "hard_tanh": 1.3920361404483097,
    "square": 0.5773502691896257,
}


def gain(activation: str | Callable[[Any], Any]) -> float:
    """Give the gain of an activation: 1 / sqrt(E f(z)**2) for a standard normal z.

    Parameters
    ----------
    activation
        A name, or a function that takes and gives an array.

    Returns
    -------
    float
        Multiply a LeCun standard deviation by it; ``VarianceScaling(gain ** 2)``.

    Raises
    ------
    UnknownName
        For a name that is not in the table; the message shows the nearest.
    TypeError, ValueError
        For something that is neither, or a function whose second moment is zero or not finite.

    Notes
    -----
    For a function the expectation is a Gauss-Legendre sum on 96 panels of [-12, 12], good to ten digits for functions
    that are smooth but for corners at multiples of 1/4; it is rounded to ten digits.

    References
    ----------
    He et al. "Delving deep into rectifiers". ICCV 2015 (ReLU). :arxiv:`1502.01852` Poole et al. "Exponential
    expressivity in deep neural networks through transient chaos". NeurIPS 2016 (any activation). :arxiv:`1606.05340`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> sb.gain("relu")
    1.4142135623730951
    >>> round(sb.gain(np.tanh), 6)
    1.592537
    """
    if isinstance(activation, str):
        if activation not in GAINS:
            import difflib  # for errors only

            near = difflib.get_close_matches(activation, GAINS, n=3)
            hint = (
                f"did you mean {' or '.join(map(repr, near))}?" if near else f"known names: {', '.join(sorted(GAINS))}"
            )
            raise UnknownName(f"no gain is known for {activation!r}; {hint}; a function is taken too")
        return GAINS[activation]
    if not callable(activation):
        raise TypeError(f"gain takes a name or a function; got {activation!r}")
    moment = _second_moment(activation)
    if not 0 < moment < math.inf:
        raise ValueError(f"E f(z)**2 of {activation!r} is {moment!r}; a gain needs it positive and finite")
    return float(f"{1 / math.sqrt(moment):.10g}")


def _second_moment(function: Callable[[Any], Any]) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.linspace(-12.0, 12.0, 97)  # quarters: activations have their corners at whole numbers
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    z = (middle[:, None] + half[:, None] * nodes).ravel()
    with np.errstate(all="ignore"):
        values = np.asarray(function(z), dtype=np.float64)
        squares = values**2
    if values.shape != z.shape:
        raise ValueError(
            f"{function!r} gave shape {values.shape} for an array of shape {z.shape}; pass an entry-by-entry function"
        )
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(np.sum(squares * density * (half[:, None] * weights).ravel()))
