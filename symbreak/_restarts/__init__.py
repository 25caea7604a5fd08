"""Training from many starts at once: one start can end in a poor minimum."""

from ._minima import Minima as Minima
from ._result import Restarts as Restarts
from ._result import Solved as Solved
from ._run import restarts as restarts
