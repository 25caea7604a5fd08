"""What many starts came to: their losses, their weights, and how many solved it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from symbreak._table import html_table, table
from symbreak._visible import counted
from symbreak.engine import Dense, Network

from ._minima import Minima, find_minima
from ._plot import plot_losses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True)
class Solved:
    """How many starts reached a loss.

    Attributes
    ----------
    count
        How many.
    fraction
        Their share of all starts, 0 to 1.
    """

    count: int
    fraction: float


@final
@dataclass(frozen=True, eq=False, repr=False)
class Restarts:
    """The starts of one call of `restarts`, in order: entry or row k belongs to start k.

    Attributes
    ----------
    losses
        (starts,), float64: the lowest loss that each start had, over all rows; inf where it never had a finite one.
    final_losses
        (starts,), float64: the loss after the last update; inf or nan where the start diverged.
    steps
        (starts,), int64: how many updates it made, fewer than asked for where it stopped early or diverged.
    parameters
        The parameters at the lowest loss by name, such as ``layers.0.weight``, with the starts on the first axis.
    final_parameters
        The same after the last update.
    activation, loss
        The names of the hidden units' activation and of the loss.
    """

    losses: Array
    final_losses: Array
    steps: Array
    parameters: Mapping[str, Array]
    final_parameters: Mapping[str, Array]
    activation: str
    loss: str

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def diverged(self) -> Array:
        """(starts,), bool: True where the last loss is not finite."""
        return ~np.isfinite(self.final_losses)

    @property
    def best(self) -> Network:
        """The network of the start with the lowest loss, the first of equals."""
        return self.network(int(np.argmin(self.losses)))

    def network(self, start: int, *, final: bool = False) -> Network:
        """Make the network of one start.

        Parameters
        ----------
        start
            Its number, from 0.
        final
            True for the weights after the last update instead of those of the lowest loss.

        Returns
        -------
        Network
            With copies of the weights.

        Raises
        ------
        IndexError
            No start has that number.
        ValueError
            The final weights of a start that diverged are not finite.

        Examples
        --------
        >>> import symbreak as sb
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> sb.restarts([2, 3, 1], x, y, starts=2, steps=10, rng=0).network(1)
        Network([Dense(2 -> 3, tanh), Dense(3 -> 1, identity)], float32, product='tie_preserving')
        """
        if isinstance(start, bool) or not isinstance(start, int | np.integer) or not 0 <= start < len(self):
            raise IndexError(f"there are starts 0 to {len(self) - 1}; got {start!r}")
        if final and self.diverged[start]:
            raise ValueError(
                f"start {start} diverged: its loss was {self.final_losses[start]} after {self.steps[start]} steps; "
                f"leave out `final` for the weights of its lowest loss"
            )
        parameters = self.final_parameters if final else self.parameters
        names = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
        layers = []
        for number, name in enumerate(names):
            bias = parameters.get(f"{name}.bias")
            function = self.activation if number < len(names) - 1 else "identity"
            layers.append(Dense(parameters[f"{name}.weight"][start], None if bias is None else bias[start], function))
        return Network(layers)

    def solved(self, threshold: float) -> Solved:
        """Count the starts whose lowest loss is `threshold` or less.

        Parameters
        ----------
        threshold
            A loss.

        Returns
        -------
        Solved
            Their count, and their fraction of all.

        Raises
        ------
        ValueError
            A threshold that is no number.

        Examples
        --------
        >>> import symbreak as sb
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> result = sb.restarts([2, 3, 1], x, y, starts=4, steps=1, rng=0)
        >>> result.solved(1e9)
        Solved(count=4, fraction=1.0)
        """
        if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or math.isnan(threshold):
            raise ValueError(f"a threshold is a loss, a number such as 0.01; got {threshold!r}")
        count = int(np.count_nonzero(self.losses <= threshold))
        return Solved(count, count / len(self))

    def expected_starts(self, threshold: float) -> float:
        """Estimate how many starts it takes on average until one reaches a loss.

        Starts are independent, so the number until the first that does is geometric, with mean 1 / p. The estimate of p
        is the share of these starts that did.

        Parameters
        ----------
        threshold
            A loss.

        Returns
        -------
        float
            1 or more; inf where none of these did.

        Raises
        ------
        ValueError
            A threshold that is no number.

        Examples
        --------
        >>> import symbreak as sb
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> sb.restarts([2, 3, 1], x, y, starts=4, steps=1, rng=0).expected_starts(-1.0)
        inf
        """
        fraction = self.solved(threshold).fraction
        return 1 / fraction if fraction else math.inf

    def minima(self, tolerance: float = 1e-3, *, threshold: float = math.inf) -> Minima:
        """Count the distinct minima that the starts came to, up to the symmetries of a dense network.

        Starts are taken in the order of their lowest loss, with the weights of that loss. Each joins the first minimum
        from whose first start it is no further than `tolerance` times the longer of the two weight vectors, and else is
        a minimum of its own. The distance is measured

        - under an activation with f(cx) = c f(x) for c > 0, such as relu, after each hidden unit's incoming weights and
          bias are divided by their length, the first layer's first, and its outgoing weights multiplied by it;
        - under the identity, between the maps from inputs to outputs;
        - after the hidden units are matched: permuted, and under an odd activation such as tanh given signs, so that
          the squared distance is least. For one hidden layer that is exact. With more of them a match can be missed,
          and a minimum be counted twice.

        Weights that give one function in other ways, such as units that nothing reads, count as different. So do the
        points of a valley: where more weights than data leave a continuum of minima, most starts have one of their own.

        Parameters
        ----------
        tolerance
            A relative distance, above 0. Starts that have not converged need more.
        threshold
            Starts whose lowest loss is above it are left out.

        Returns
        -------
        Minima

        Raises
        ------
        ValueError
            A tolerance or threshold that makes no sense.

        References
        ----------
        Sussmann. "Uniqueness of the weights for minimal feedforward nets with a given input-output map". Neural
        Networks 5, 1992.

        Phuong, Lampert. "Functional vs. parametric equivalence of ReLU networks". ICLR 2020.

        Examples
        --------
        A line through four points has one best fit, which every start reaches:

        >>> import symbreak as sb
        >>> from symbreak import engine
        >>> x, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 1.0, 2.0]
        >>> result = sb.restarts([1, 1], x, y, starts=8, steps=500, optimizer=engine.SGD(0.1), rng=0)
        >>> len(result.minima())
        1
        """
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number) or not tolerance > 0:
            raise ValueError(f"the tolerance is a relative distance above 0, such as 1e-3; got {tolerance!r}")
        self.solved(threshold)  # raises where it is no loss
        return find_minima(self.parameters, self.losses, self.activation, float(tolerance), float(threshold))

    def plot(self, threshold: float | None = None, *, tolerance: float = 1e-3, axes: "Axes | None" = None) -> "Axes":
        """Plot the lowest loss of every start, the best first, coloured by the minimum that it came to.

        The minima that most starts share have a colour each; the others, and those of one start, are grey.

        Parameters
        ----------
        threshold
            A loss that is marked, and how many starts reached it.
        tolerance
            As for `minima`.
        axes
            Where to draw; None makes a new figure with `matplotlib.pyplot`, which a notebook shows.

        Returns
        -------
        matplotlib.axes.Axes
            To be changed or saved: ``axes.figure.savefig("starts.png")``.

        Raises
        ------
        MissingExtra
            Matplotlib is not installed.
        ValueError
            A threshold or tolerance that makes no sense.

        Examples
        --------
        >>> import symbreak as sb
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> axes = sb.restarts([2, 2, 1], x, y, starts=20, steps=500, rng=0).plot(0.01)
        >>> axes.get_ylabel()
        'lowest loss (mse)'
        """
        if threshold is not None:
            self.solved(threshold)  # raises where it is no loss
        return plot_losses(self.losses, self.loss, self.minima(tolerance), threshold, axes)

    def __repr__(self) -> str:
        return f"Restarts({len(self)} starts, {self.loss} {self.losses.min():.6g} to {self.losses.max():.6g})"

    def __str__(self) -> str:
        return f"{self._head}\n{table(self._titles, self._rows, right=(1, 2))}"

    def _repr_html_(self) -> str:
        return html_table(self._head, self._titles, self._rows)

    @property
    def _head(self) -> str:
        diverged = int(self.diverged.sum())
        told = f", {diverged} diverged" if diverged else ""
        low, high = self.steps.min(), self.steps.max()
        steps = f"{low} to {high} steps" if low < high else counted(int(high), "step")
        return f"{counted(len(self), 'start')}, {steps}, the best is start {self.losses.argmin()}{told}"

    @property
    def _titles(self) -> tuple[str, str, str]:
        return "", self.loss, "starts at or below"

    @property
    def _rows(self) -> list[tuple[str, str, str]]:
        ends = np.quantile(self.losses, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1], method="inverted_cdf")
        names = ("lowest", "10 %", "25 %", "median", "75 %", "90 %", "highest")
        return [(name, f"{loss:.6g}", str(self.solved(loss).count)) for name, loss in zip(names, ends, strict=True)]
