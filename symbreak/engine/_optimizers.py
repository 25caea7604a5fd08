"""How a gradient changes a parameter, one class an optimizer."""

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class AbstractOptimizer(ABC):
    """A rule of descent, as a value: subclass it to add one.

    It holds its settings only. What it remembers from step to step belongs to one parameter of one run, and is handed
    in and out, so that one optimizer serves any number of runs.

    The law: a step treats all units alike. Permuting the units of a parameter, its gradient and its state permutes what
    comes out and changes nothing else, to the bit.
    """

    @abstractmethod
    def start(self, parameter: Array) -> Any:
        """Make the state of one parameter before the first step."""

    @abstractmethod
    def step(self, parameter: Array, gradient: Array, state: Any) -> Any:
        """Change the parameter in place, and return its next state."""


@final
@dataclass(frozen=True)
class SGD(AbstractOptimizer):
    """Gradient descent: ``parameter -= learning_rate * gradient``.

    Parameters
    ----------
    learning_rate
        Positive and finite.

    Raises
    ------
    ValueError
        A learning rate that is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([1.0, 2.0])
    >>> SGD(0.5).step(weight, np.array([2.0, 0.0]), state=None)
    >>> weight
    array([0., 2.])
    """

    learning_rate: float

    def __post_init__(self) -> None:
        rate = self.learning_rate
        real = isinstance(rate, int | float | np.integer | np.floating) and not isinstance(rate, bool)
        if not real or not 0 < rate < math.inf or (isinstance(rate, int) and rate > sys.float_info.max):
            raise ValueError(f"a learning rate must be a positive number; got {rate!r}")
        object.__setattr__(self, "learning_rate", float(rate))  # a NumPy float64 would widen float32 weights

    def start(self, parameter: Array) -> None:
        """Make the state: there is none."""

    def step(self, parameter: Array, gradient: Array, state: None) -> None:
        """Go down the gradient."""
        parameter -= self.learning_rate * gradient
