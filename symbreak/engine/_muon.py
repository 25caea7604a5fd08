"""Muon: momentum whose singular values are all brought near 1, which takes matrix products."""

import math
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np

from ._adaptive import AdamW
from ._checks import as_not_negative, as_share, look_up
from ._layers import Product
from ._optimizers import AbstractOptimizer, check_settings, with_settings
from ._products import PRODUCTS
from ._schedules import Rate

Array = np.ndarray[Any, np.dtype[Any]]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan et al.: the steepest at 0 whose iterates stay within 0.7 to 1.2
ROUNDS = 5
OTHERS = AdamW(0.001)
SMALLEST = 1e-7  # norm. A matrix below it is divided by this instead, so that zero stays zero.


@final
@dataclass(frozen=True, repr=False)
class Muon(AbstractOptimizer):
    r"""Go along the momentum's nearest orthogonal matrix, about: Newton-Schulz takes its singular values near 1.

    .. math::
        B_t = \mu B_{t-1} + G_t, \quad O_t = \operatorname{NS}(G_t + \mu B_t), \quad
        \theta_t = (1 - \alpha \lambda) \theta_{t-1} - \alpha \sqrt{\max(1, m / n)} \, O_t

    for a weight of shape (m, n). NS divides by the Frobenius norm and takes five times
    :math:`X \gets a X + b (X X^T) X + c (X X^T)^2 X` with (a, b, c) = (3.4445, -4.7750, 2.0315).

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    momentum
        :math:`\mu`, 0 or more and below 1.
    weight_decay
        :math:`\lambda`, decoupled as in `AdamW`, 0 or more.
    others
        The optimizer of parameters that are not matrices, such as biases.
    product
        How the products of the Newton-Schulz iteration are formed, as in `Network`.

    Raises
    ------
    ValueError
        A setting out of its range.
    TypeError
        What is no optimizer for `others`.
    UnknownName
        A product that is not in the table.

    Notes
    -----
    A step mixes the units of a weight. In real numbers it commutes with any permutation of them, so that units that are
    swapped without changing anything stay tied. In floating point they do so to the bit only because the products are
    ``"tie_preserving"``: equal rows and equal columns go through each of them as equal. With ``"blas"`` tied units
    separate, even in a network whose own products preserve ties. Every weight with two axes is taken as a matrix,
    those of the first and the last layer too; Jordan et al. leave these to AdamW.

    References
    ----------
    Jordan et al. "Muon: an optimizer for hidden layers in neural networks". 2024.
    https://kellerjordan.github.io/posts/muon

    Liu et al. "Muon is scalable for LLM training". 2025 (the weight decay). :arxiv:`2502.16982`

    Examples
    --------
    The singular values of a step are alike, those of its gradient were not:

    >>> import numpy as np
    >>> weight, gradient = np.zeros((2, 2)), np.diag([5.0, 0.5])
    >>> optimizer = Muon(1.0)
    >>> momentum = optimizer.step(weight, gradient, optimizer.start(weight))
    >>> weight.round(2)
    array([[-0.7 ,  0.  ],
           [ 0.  , -0.71]])
    """

    learning_rate: Rate
    momentum: float = 0.95
    weight_decay: float = 0.0
    others: AbstractOptimizer = OTHERS
    product: str = "tie_preserving"

    def __post_init__(self) -> None:
        check_settings(self, momentum=as_share, weight_decay=as_not_negative)
        look_up(PRODUCTS, self.product, "product")
        if not isinstance(self.others, AbstractOptimizer):
            raise TypeError(f"`others` must be an optimizer such as engine.AdamW(0.001); got {self.others!r}")

    def at(self, step: int) -> Self:
        """Give the optimizer of one step, counted from 0; `others` is that of the step, too."""
        now: Self = with_settings(super().at(step), others=self.others.at(step))
        return now

    def start(self, parameter: Array) -> Any:
        """Make the momentum: zero; that of `others` for what is no matrix."""
        return np.zeros_like(parameter) if parameter.ndim == 2 else self.others.start(parameter)

    def step(self, parameter: Array, gradient: Array, state: Any) -> Any:
        """Go along the orthogonalised momentum."""
        if parameter.ndim != 2:
            return self.others.step(parameter, gradient, state)
        momentum = self.momentum * state + gradient
        direction = orthogonalise(gradient + self.momentum * momentum, PRODUCTS[self.product])
        rows, columns = parameter.shape
        if self.weight_decay:
            parameter *= 1 - self._rate * self.weight_decay
        parameter -= self._rate * math.sqrt(max(1, rows / columns)) * direction
        return momentum


def orthogonalise(matrix: Array, product: Product) -> Array:
    """Take the singular values near 1 by Newton-Schulz; the smaller of X X^T and X^T X is formed."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / max(float(np.sqrt(np.square(x).sum())), SMALLEST)
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        gram = product(x, x)
        x = a * x + product(b * gram + c * product(gram, gram.T), x.T)
    return x if wide else x.T
