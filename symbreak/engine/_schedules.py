"""Learning rates that change from step to step, one value a schedule.

A schedule is any function of the step, counted from 0, that gives the rate of that step. Those here are frozen, so that
an optimizer that holds one can be compared, printed and used for any number of runs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from ._checks import as_count, as_not_negative, as_positive

Rate: TypeAlias = float | Callable[[int], float]  # one for all steps, or a function of the step


class AbstractSchedule(ABC):
    """A learning rate as a function of the step: subclass it to add one.

    The law: it is a function of the step alone. All units see the same rate, so that no schedule breaks a tie.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Give the rate of a step, counted from 0: a finite number, 0 or more."""


@final
@dataclass(frozen=True)
class LinearWarmup(AbstractSchedule):
    """Rise to a rate in equal parts: ``rate * (step + 1) / steps`` for the first steps, and then the rate.

    Parameters
    ----------
    rate
        The rate to rise to. Or a schedule, which begins when the rise is over.
    steps
        How many steps the rise takes: the last of them has the full rate.

    Raises
    ------
    ValueError
        A rate that is not a positive number, or a number of steps below 1.

    References
    ----------
    Goyal et al. "Accurate, large minibatch SGD". 2017, section 2.2. :arxiv:`1706.02677`

    Examples
    --------
    >>> warmup = LinearWarmup(CosineDecay(1.0, steps=4), steps=2)
    >>> [round(warmup(step), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    rate: Rate
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_rate(self.rate))
        object.__setattr__(self, "steps", as_count(self.steps, "the number of steps of a warm-up"))

    def __call__(self, step: int) -> float:
        """Give the rate of a step."""
        if step < self.steps:
            return rate_at(self.rate, 0) * (step + 1) / self.steps
        return rate_at(self.rate, step - self.steps)


@final
@dataclass(frozen=True)
class CosineDecay(AbstractSchedule):
    r"""Fall from one rate to another along half a cosine, and stay there.

    .. math:: r_t = r_\text{last} + \tfrac{1}{2} (r - r_\text{last}) (1 + \cos(\pi \min(t, T) / T))

    Parameters
    ----------
    rate
        The rate of step 0.
    steps
        How many steps the fall takes: step `steps` is the first at the last rate.
    last
        The rate at the end, 0 or more.

    Raises
    ------
    ValueError
        Rates or a number of steps out of range.

    References
    ----------
    Loshchilov, Hutter. "SGDR: Stochastic gradient descent with warm restarts". ICLR 2017, equation 5.
    :arxiv:`1608.03983`

    Examples
    --------
    >>> decay = CosineDecay(0.1, steps=4)
    >>> [round(decay(step), 4) for step in range(6)]
    [0.1, 0.0854, 0.05, 0.0146, 0.0, 0.0]
    """

    rate: float
    steps: int
    last: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_positive(self.rate, "the rate of a cosine decay"))
        object.__setattr__(self, "steps", as_count(self.steps, "the number of steps of a cosine decay"))
        object.__setattr__(self, "last", as_not_negative(self.last, "the last rate of a cosine decay"))

    def __call__(self, step: int) -> float:
        """Give the rate of a step."""
        if step >= self.steps:
            return self.last
        return self.last + (self.rate - self.last) * (1 + math.cos(math.pi * step / self.steps)) / 2


@final
@dataclass(frozen=True)
class StepDecay(AbstractSchedule):
    """Multiply the rate by a factor every so many steps: ``rate * factor ** (step // every)``.

    Parameters
    ----------
    rate
        The rate of step 0.
    every
        How many steps have one rate.
    factor
        What the rate is multiplied by, positive.

    Raises
    ------
    ValueError
        A rate, a factor or a number of steps out of range.

    Examples
    --------
    >>> decay = StepDecay(1.0, every=2, factor=0.5)
    >>> [decay(step) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_positive(self.rate, "the rate of a step decay"))
        object.__setattr__(self, "every", as_count(self.every, "the number of steps between two decays"))
        object.__setattr__(self, "factor", as_positive(self.factor, "the factor of a step decay"))

    def __call__(self, step: int) -> float:
        """Give the rate of a step."""
        return self.rate * self.factor ** (step // self.every)


def as_rate(rate: Any) -> Rate:
    """Return a learning rate, a positive number or a schedule, or raise."""
    if callable(rate) and not isinstance(rate, type):
        return rate  # type: ignore[no-any-return] # what it gives is checked at each step
    return as_positive(rate, "a learning rate")


def rate_at(rate: Rate, step: int) -> float:
    """Return the rate of a step, or raise if the schedule gives none."""
    return as_not_negative(rate(step), f"the learning rate that {rate!r} gives step {step}") if callable(rate) else rate
