"""L-BFGS: a way down for all parameters at once, from one evaluation of the whole batch to the next.

It remembers the last few steps and the changes of the gradient along them, and makes of these the direction that
Newton's method would take if the loss were quadratic. How far to go it finds by trying. SciPy does both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ._checks import as_count, as_not_negative
from ._optimizers import show_settings

Array = np.ndarray[Any, np.dtype[Any]]

TRIES = 20  # evaluations of a line search, as SciPy has it by default
NO_LIMIT = 2**31 - 1  # evaluations: the steps are what is limited


@final
@dataclass(frozen=True, repr=False)
class LBFGS:
    """Limited-memory BFGS with a line search, through `scipy.optimize.minimize`; each step takes all rows.

    It has no learning rate. It stops before its steps are over where the gradient is as good as zero, or where rounding
    leaves no step that lowers the loss; `History.stopped` says which.

    Parameters
    ----------
    memory
        How many of the last steps it makes its directions of, 1 or more.
    tolerance
        It stops when no entry of the gradient is farther from zero than this; 0 or more.

    Raises
    ------
    ValueError
        A setting out of its range.

    Notes
    -----
    It treats all units alike: permuting them permutes its steps, up to rounding. So units that can be swapped without
    changing anything stay tied, up to rounding. Where their values are literally equal the first step, which goes along
    the gradient, keeps them equal to the bit. Later steps do as long as SciPy and its BLAS round every entry of a
    vector alike, wherever it stands, which they do not promise. Its line search compares losses that differ by little,
    so that it takes networks of float64 alone.

    References
    ----------
    Byrd, Lu, Nocedal, Zhu. "A limited memory algorithm for bound constrained optimization". SIAM Journal on Scientific
    Computing 16(5), 1995.

    Liu, Nocedal. "On the limited memory BFGS method for large scale optimization". Mathematical Programming 45, 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak import engine
    >>> net = engine.Network([engine.Dense(np.zeros((1, 2)), np.zeros(1))])
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> history = engine.train(net, x, x @ [2.0, -1.0] + 0.5, optimizer=engine.LBFGS(), steps=200)
    >>> net.parameters["layers.0.weight"].round(6), net.parameters["layers.0.bias"].round(6)
    (array([[ 2., -1.]]), array([0.5]))
    >>> len(history) < 20, history.stopped
    (True, 'no entry of the gradient is farther from zero than 1e-08')

    The least of a quadratic function of two variables:

    >>> a, b = np.diag([1.0, 10.0]), np.array([3.0, 5.0])
    >>> points = []
    >>> LBFGS().minimize(lambda x: (x @ a @ x / 2 - b @ x, a @ x - b), np.zeros(2), 50, points.append)
    >>> len(points) < 20, points[-1].round(6)
    (True, array([3. , 0.5]))
    """

    memory: int = 10
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_count(self.memory, "the memory of L-BFGS"))
        object.__setattr__(self, "tolerance", as_not_negative(self.tolerance, "`tolerance`"))

    def minimize(
        self, function: Callable[[Array], tuple[float, Array]], start: Array, steps: int, each: Callable[[Array], None]
    ) -> None:
        """Go down a function, for as many steps or until none goes farther.

        Parameters
        ----------
        function
            From a point, (n,), to a value there and the gradient, (n,).
        start
            The first point, float64.
        steps
            How many steps at most.
        each
            Called after every step with the point that it reached.
        """
        from scipy import optimize

        def stepped(xk: Array) -> None:  # SciPy goes by this name
            each(xk)

        optimize.minimize(
            function, start, jac=True, method="L-BFGS-B", callback=stepped,
            options={
                "maxcor": self.memory, "gtol": self.tolerance, "ftol": 0.0, "maxiter": steps, "maxls": TRIES,
                "maxfun": NO_LIMIT,
            },
        )  # fmt: skip

    def __repr__(self) -> str:
        return show_settings(self)
