"""Optimizers that divide each entry's step by the size of its past gradients: RMSProp, Adam and AdamW.

They go entry by entry, with operations that IEEE 754 rounds correctly: entries with equal values, gradients and states
get equal steps, to the bit.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from ._checks import as_not_negative, as_positive, as_share
from ._optimizers import AbstractOptimizer, check_settings, decayed
from ._schedules import Rate

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, repr=False)
class RMSProp(AbstractOptimizer):
    """Divide by the root of a running mean of squares: ``parameter -= learning_rate * g / (sqrt(mean) + eps)``.

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    decay
        What is kept of the mean at each step, 0 or more and below 1: ``mean = decay * mean + (1 - decay) * g**2``. The
        mean starts at zero, so that the first steps are larger.
    eps
        Added to the root, positive.

    Raises
    ------
    ValueError
        A setting out of its range.

    References
    ----------
    Tieleman, Hinton. "Lecture 6.5: rmsprop". Coursera, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.zeros(2)
    >>> optimizer = RMSProp(0.1, decay=0.75)
    >>> mean = optimizer.step(weight, np.array([4.0, -0.5]), optimizer.start(weight))
    >>> weight.round(6), mean
    (array([-0.2,  0.2]), array([4.    , 0.0625]))
    """

    learning_rate: Rate
    decay: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_settings(self, decay=as_share, eps=as_positive)

    def start(self, parameter: Array) -> Array:
        """Make the mean of squares: zero."""
        return np.zeros_like(parameter)

    def step(self, parameter: Array, gradient: Array, state: Array) -> Array:
        """Go down the gradient, each entry at its own scale."""
        mean = self.decay * state + (1 - self.decay) * (gradient * gradient)
        parameter -= self._rate * (gradient / (np.sqrt(mean) + self.eps))
        return mean


class Moments(NamedTuple):
    """What Adam remembers of a parameter's gradients."""

    steps: int
    mean: Array  # running mean of the gradients
    square: Array  # running mean of their squares


@dataclass(frozen=True, repr=False)
class AbstractAdam(AbstractOptimizer):
    """Settings, state and direction of Adam, to which the two kinds of weight decay are added."""

    learning_rate: Rate
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, beta1=as_share, beta2=as_share, eps=as_positive, weight_decay=as_not_negative)

    def start(self, parameter: Array) -> Moments:
        """Make the two means: zero."""
        return Moments(0, np.zeros_like(parameter), np.zeros_like(parameter))

    def _direction(self, gradient: Array, state: Moments) -> tuple[Array, Moments]:
        """Compute where a step goes, and the next state."""
        steps = state.steps + 1
        mean = self.beta1 * state.mean + (1 - self.beta1) * gradient
        square = self.beta2 * state.square + (1 - self.beta2) * (gradient * gradient)
        root = np.sqrt(square / (1 - self.beta2**steps))
        return mean / (1 - self.beta1**steps) / (root + self.eps), Moments(steps, mean, square)


@final
@dataclass(frozen=True, repr=False)
class Adam(AbstractAdam):
    r"""Divide a running mean of the gradients by the root of one of their squares, both freed of their start at zero.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
        \theta_t = \theta_{t-1} - \alpha \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    beta1, beta2
        What is kept of the two means at each step, 0 or more and below 1.
    eps
        Added to the root, positive.
    weight_decay
        How much of the parameter is added to its gradient (L2), 0 or more; `AdamW` decays apart from the gradient.

    Raises
    ------
    ValueError
        A setting out of its range.

    References
    ----------
    Kingma, Ba. "Adam: a method for stochastic optimization". ICLR 2015, algorithm 1. :arxiv:`1412.6980`

    Examples
    --------
    The first step has the size of the learning rate, whatever that of the gradient:

    >>> import numpy as np
    >>> weight = np.zeros(2)
    >>> optimizer = Adam(0.1)
    >>> moments = optimizer.step(weight, np.array([1000.0, -0.01]), optimizer.start(weight))
    >>> weight.round(6)
    array([-0.1,  0.1])
    """

    def step(self, parameter: Array, gradient: Array, state: Moments) -> Moments:
        """Go along the mean of the gradients, each entry at its own scale."""
        gradient = decayed(gradient, parameter, self.weight_decay)
        direction, moments = self._direction(gradient, state)
        parameter -= self._rate * direction
        return moments


@final
@dataclass(frozen=True, repr=False)
class AdamW(AbstractAdam):
    """Adam with decoupled decay: ``parameter *= 1 - learning_rate * weight_decay``, and then Adam's step.

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    beta1, beta2
        What is kept of the two means at each step, 0 or more and below 1.
    eps
        Added to the root, positive.
    weight_decay
        Times the learning rate, the share of each parameter that a step takes away; 0 or more.

    Raises
    ------
    ValueError
        A setting out of its range.

    References
    ----------
    Loshchilov, Hutter. "Decoupled weight decay regularization". ICLR 2019, algorithm 2, with the learning rate as its
    schedule multiplier. :arxiv:`1711.05101`

    Examples
    --------
    Where the gradient is zero, the weight decays all the same:

    >>> import numpy as np
    >>> weight = np.array([8.0])
    >>> optimizer = AdamW(0.5, weight_decay=0.5)
    >>> moments = optimizer.step(weight, np.zeros(1), optimizer.start(weight))
    >>> weight
    array([6.])
    """

    weight_decay: float = 0.01

    def step(self, parameter: Array, gradient: Array, state: Moments) -> Moments:
        """Decay, and go along the mean of the gradients, each entry at its own scale."""
        direction, moments = self._direction(gradient, state)
        parameter *= 1 - self._rate * self.weight_decay
        parameter -= self._rate * direction
        return moments
