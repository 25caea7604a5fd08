"""How a gradient changes a parameter, one class an optimizer: gradient descent, with momentum or without."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from ._checks import as_not_negative, as_share
from ._exact import exactly
from ._schedules import Rate, as_rate, rate_at

Array = np.ndarray[Any, np.dtype[Any]]


class AbstractOptimizer(ABC):
    """A rule of descent, as a value: subclass it to add one.

    It holds its settings only. What it remembers from step to step belongs to one parameter of one run, and is handed
    in and out, so that one optimizer serves any number of runs.

    The law: a step treats all units alike. Units whose slices of the parameter, its gradient and its state are equal
    have equal slices of what comes out, to the bit, wherever they stand. Permuting the units permutes what comes out,
    and changes nothing else: to the bit where a step goes entry by entry, up to rounding where it sums over units.

    Attributes
    ----------
    polynomial
        Whether a step only adds and multiplies, so that it can be taken in fractions and residues.
    """

    polynomial: ClassVar[bool] = False

    @abstractmethod
    def start(self, parameter: Array) -> Any:
        """Make the state of one parameter before the first step."""

    @abstractmethod
    def step(self, parameter: Array, gradient: Array, state: Any) -> Any:
        """Change the parameter in place, and return its next state."""

    def at(self, step: int) -> Self:
        """Give the optimizer of one step, counted from 0: one whose learning rate is a number.

        It is the optimizer itself, unless its field ``learning_rate`` is a schedule.
        """
        rate = getattr(self, "learning_rate", None)
        return with_settings(self, learning_rate=rate_at(rate, step)) if callable(rate) else self

    @property
    def _rate(self) -> float:
        """The learning rate as a number, which a step needs."""
        rate: Rate = getattr(self, "learning_rate")  # noqa: B009 - a field of those subclasses that use this
        if callable(rate):
            raise TypeError(
                f"the learning rate of {self!r} is a schedule: call `at(step)`, and the step of what it gives"
            )
        return rate

    def __repr__(self) -> str:
        """Show the settings that are not the defaults."""
        return show_settings(self) if is_dataclass(self) else super().__repr__()


def show_settings(value: Any) -> str:
    """Write the settings of a dataclass that are not the defaults, as it is called with them."""
    settings = [(field, getattr(value, field.name)) for field in fields(value)]
    shown = [f"{field.name}={each!r}" for field, each in settings if field.default is MISSING or each != field.default]
    return f"{type(value).__name__}({', '.join(shown)})"


def with_settings(optimizer: Any, **settings: Any) -> Any:
    """Return a copy of a frozen optimizer with other settings, unchecked: a scheduled rate may be 0."""
    other = copy(optimizer)
    for name, value in settings.items():
        object.__setattr__(other, name, value)
    return other


def check_settings(optimizer: Any, **checks: Callable[[Any, str], float]) -> None:
    """Check the learning rate and the other settings, and keep them as Python floats."""
    object.__setattr__(optimizer, "learning_rate", as_rate(optimizer.learning_rate))
    for name, check in checks.items():
        object.__setattr__(optimizer, name, check(getattr(optimizer, name), f"`{name}`"))


@final
@dataclass(frozen=True, repr=False)
class SGD(AbstractOptimizer):
    """Gradient descent: ``parameter -= learning_rate * (gradient + weight_decay * parameter)``.

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    weight_decay
        How much of the parameter is added to its gradient, 0 or more. It decays every parameter, biases too.

    Raises
    ------
    ValueError
        A learning rate that is not a positive number, or a negative weight decay.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([1.0, 2.0])
    >>> SGD(0.5).step(weight, np.array([2.0, 0.0]), state=None)
    >>> weight
    array([0., 2.])
    """

    polynomial: ClassVar[bool] = True
    learning_rate: Rate
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, weight_decay=as_not_negative)

    def start(self, parameter: Array) -> None:
        """Make the state: there is none."""

    def step(self, parameter: Array, gradient: Array, state: None) -> None:
        """Go down the gradient."""
        parameter -= exactly(self._rate, parameter) * decayed(gradient, parameter, self.weight_decay)


@dataclass(frozen=True, repr=False)
class AbstractVelocity(AbstractOptimizer):
    """Settings and state of the optimizers that keep a velocity."""

    polynomial: ClassVar[bool] = True
    learning_rate: Rate
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, momentum=as_share, weight_decay=as_not_negative)

    def start(self, parameter: Array) -> Array:
        """Make the velocity: zero."""
        return np.zeros_like(parameter)


@final
@dataclass(frozen=True, repr=False)
class Momentum(AbstractVelocity):
    """Gradient descent with a heavy ball: ``v = momentum * v + gradient; parameter -= learning_rate * v``.

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule. It multiplies the whole velocity, so that a new rate is felt at once.
    momentum
        What is kept of the velocity, 0 or more and below 1.
    weight_decay
        How much of the parameter is added to its gradient, 0 or more.

    Raises
    ------
    ValueError
        A setting out of its range.

    References
    ----------
    Polyak. "Some methods of speeding up the convergence of iteration methods". 1964, equation 9.

    Examples
    --------
    >>> import numpy as np
    >>> weight, gradient = np.zeros(1), np.ones(1)
    >>> optimizer = Momentum(1.0, momentum=0.5)
    >>> velocity = optimizer.step(weight, gradient, optimizer.start(weight))
    >>> velocity = optimizer.step(weight, gradient, velocity)
    >>> weight, velocity
    (array([-2.5]), array([1.5]))
    """

    def step(self, parameter: Array, gradient: Array, state: Array) -> Array:
        """Go along the velocity."""
        momentum, rate = exactly(self.momentum, parameter), exactly(self._rate, parameter)
        velocity: Array = momentum * state + decayed(gradient, parameter, self.weight_decay)
        parameter -= rate * velocity
        return velocity


@final
@dataclass(frozen=True, repr=False)
class Nesterov(AbstractVelocity):
    """Momentum that looks ahead: ``v = momentum * v + g; parameter -= learning_rate * (g + momentum * v)``.

    This is Nesterov's method in the variable at which it takes the gradient, as Bengio et al. write it.

    Parameters
    ----------
    learning_rate
        Positive and finite, or a schedule.
    momentum
        What is kept of the velocity, 0 or more and below 1.
    weight_decay
        How much of the parameter is added to its gradient, 0 or more.

    Raises
    ------
    ValueError
        A setting out of its range.

    References
    ----------
    Sutskever, Martens, Dahl, Hinton. "On the importance of initialization and momentum in deep learning". ICML 2013,
    equations 3 and 4.

    Bengio, Boulanger-Lewandowski, Pascanu. "Advances in optimizing recurrent networks". 2012, equations 6 and 7.
    :arxiv:`1212.0901`

    Examples
    --------
    >>> import numpy as np
    >>> weight, gradient = np.zeros(1), np.ones(1)
    >>> optimizer = Nesterov(1.0, momentum=0.5)
    >>> velocity = optimizer.step(weight, gradient, optimizer.start(weight))
    >>> weight, velocity
    (array([-1.5]), array([1.]))
    """

    def step(self, parameter: Array, gradient: Array, state: Array) -> Array:
        """Go along the gradient and the velocity that it makes."""
        gradient = decayed(gradient, parameter, self.weight_decay)
        momentum, rate = exactly(self.momentum, parameter), exactly(self._rate, parameter)
        velocity: Array = momentum * state + gradient
        parameter -= rate * (gradient + momentum * velocity)
        return velocity


def decayed(gradient: Array, parameter: Array, weight_decay: float) -> Array:
    """Add the gradient of half the squared parameter, times the weight decay."""
    return gradient + exactly(weight_decay, parameter) * parameter if weight_decay else gradient
