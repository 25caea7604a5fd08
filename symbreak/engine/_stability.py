"""Whether tied units can separate, and how fast: the tied state as an equilibrium, stable or not."""

import html
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from symbreak._curves import MOST, Curve, curves_svg
from symbreak._growth import APART
from symbreak._table import html_table, table

from ._checks import as_positive, look_up
from ._classes import TiedClass, find_classes, read_classes
from ._entries import number_entries
from ._growth import growth_of
from ._losses import LOSSES
from ._network import Network, gradients
from ._optimizers import AbstractOptimizer
from ._transverse import Block

Array = np.ndarray[Any, np.dtype[Any]]

LINE = 80  # characters
AT_REST = 1e-5  # norm of the gradient: below it a network hardly moves, and what holds here goes on holding
WIDEST = 20  # characters of a class's name in the table, so that a row fits into a line
START = 1e-16  # of a difference: what rounding leaves
FLOOR = 1e-18  # below which the picture follows no difference
SPAN = 100.0  # steps in a picture of classes none of which separates


@final
@dataclass(frozen=True, eq=False)
class ClassStability:
    """What becomes of a small difference between the units of one tied class.

    Attributes
    ----------
    space
        The space of the units, which is the name of their layer.
    units
        The tied units, two or more.
    whole
        Whether they are all the units of the space.
    eigenvalues
        Eigenvalues of the Hessian along differences of two units, ascending: all of them up to 200, beyond that the six
        lowest and the largest. Each is there once; with m units the Hessian has it m - 1 times.
    directions
        In how many directions two units can differ: the entries of what one reads, holds and writes.
    resolution
        Eigenvalues nearer to zero than this can't be told from zero, and are given as 0.
    growth
        What a difference is multiplied by per step in the direction in which it grows most, or decays least; nan where
        `reason` says why there is no such number.
    eigenvalue
        The eigenvalue of that direction; where there is no growth, the lowest.
    gradient
        The norm of the loss's gradient over all parameters: about 0 where the network is at rest. Elsewhere it moves
        on, its units still tied, and the growth with it.
    reason
        Why there is no growth, or None.
    """

    space: str
    units: tuple[int, ...]
    whole: bool
    eigenvalues: Array
    directions: int
    resolution: float
    growth: float
    eigenvalue: float
    gradient: float
    reason: str | None = None

    def steps_to_separate(self, perturbation: float = 1e-16, distance: float = 0.1) -> float:
        """Estimate after how many steps two units are some way apart.

        Parameters
        ----------
        perturbation
            How far they are apart now, along the direction that grows most: about 1e-16 where rounding is all there is.
        distance
            How far they are to be apart, over all of what they read, hold and write.

        Returns
        -------
        float
            A whole number of steps, at the growth of this point; inf where the difference does not grow; nan where no
            growth is known.

        Raises
        ------
        ValueError
            What is not a positive number.
        """
        far = math.log(as_positive(distance, "the distance") / as_positive(perturbation, "the perturbation"))
        if far <= 0:
            return 0.0
        if math.isnan(self.growth):
            return math.nan
        return float(math.ceil(far / math.log(self.growth))) if self.growth > 1 else math.inf

    @property
    def verdict(self) -> str:
        """A sentence: whether the units separate, and in about how many steps from a perturbation of 1e-16."""
        who = f"{len(self.units)} tied units of {self.space}"
        if self.reason is not None:
            return f"{who}: not known. {self.reason}"
        if self.growth <= 1:
            told = f"A difference is multiplied by {self.growth:.6g} a step at most"
            if self.growth == 1:
                return f"{who}: flat here. {told}, to first order, which tells nothing of higher ones."
            if self.gradient > AT_REST:
                return f"{who}: not from here. {told}, and the network still moves: ask again where it is at rest."
            return f"{who}: never. {told}."
        how = "" if self.eigenvalue < 0 else ", as the steps are too large for a curvature so high"
        return (
            f"{who}: separate from a perturbation of 1e-16 to 0.1 in about {_count(self.steps_to_separate())} steps. "
            f"A difference is multiplied by {self.growth:.6g} a step (eigenvalue {self.eigenvalue:.4g}){how}."
        )

    def __str__(self) -> str:
        return textwrap.fill(self.verdict, LINE)

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.verdict)}</p>{_drawn([self])}"

    def __repr__(self) -> str:
        return f"ClassStability({self._name}, {len(self.units)} units, growth={self.growth:.6g})"

    @property
    def _name(self) -> str:
        name = self.space if self.whole else f"{self.space} [{', '.join(map(str, self.units))}]"
        return name if len(name) <= WIDEST else f"{name[: WIDEST - 3]}..."


TITLES = ("class", "units", "lowest", "largest", "growth a step", "separates")


@final
@dataclass(frozen=True, eq=False)
class Stability:
    """The tied classes of a network at one point, each a `ClassStability`: iterate, index, or print it.

    Attributes
    ----------
    classes
        One for each tied class, in the order of the graph's spaces.
    optimizer
        The optimizer, as it was given.
    loss
        The name of the loss.
    step
        The step whose learning rate was taken.
    """

    classes: tuple[ClassStability, ...]
    optimizer: AbstractOptimizer
    loss: str
    step: int

    def __iter__(self) -> Iterator[ClassStability]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, number: int) -> ClassStability:
        return self.classes[number]

    def __repr__(self) -> str:
        return f"Stability({list(self.classes)}, {self.optimizer}, {self.loss!r}, step {self.step})"

    def __str__(self) -> str:
        if not self.classes:
            return "no tied class: no two units read, hold and write the same"
        above = textwrap.fill(self._above, LINE)
        notes = (textwrap.fill(note, LINE) for note in self._notes)
        return "\n".join([above, table(TITLES, self._rows, right=(1, 2, 3, 4)), *notes])

    def _repr_html_(self) -> str:
        if not self.classes:
            return f"<p>{html.escape(str(self))}</p>"
        return html_table(self._above, TITLES, self._rows, "; ".join(self._notes)) + _drawn(self.classes)

    @property
    def _above(self) -> str:
        return f"{self.optimizer}, {self.loss}, at step {self.step}"

    @property
    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                each._name,
                str(len(each.units)),
                f"{each.eigenvalues[0]:.3g}",
                f"{each.eigenvalues[-1]:.3g}",
                "-" if each.reason else f"{each.growth:.6g}",
                _when(each),
            )
            for each in self
        ]

    @property
    def _notes(self) -> list[str]:
        notes = ["lowest, largest: eigenvalues along differences; separates: from 1e-16 to 0.1"]
        if (moving := max(each.gradient for each in self)) > AT_REST:
            notes.append(f"not at rest: the gradient's norm is {moving:.2g}, and the growth will change")
        return [*notes, *dict.fromkeys(each.reason for each in self if each.reason)]


def stability(
    net: Network,
    x: Any,
    y: Any,
    *,
    optimizer: AbstractOptimizer,
    loss: str = "mse",
    step: int = 0,
    classes: Mapping[str, Any] | None = None,
) -> Stability:
    r"""Say of every tied class whether its units can separate, and how fast a difference grows.

    Units are tied here when swapping any two of a class changes no array of the network. Such a class is an equilibrium
    of what training does to the differences of its units: zero stays zero. To first order, a difference along an
    eigenvector of the Hessian with eigenvalue :math:`\lambda` is multiplied at each step by
    :math:`|1 - \eta\lambda|` under gradient descent with learning rate :math:`\eta`, and under momentum by the largest
    absolute eigenvalue of a 2 x 2 matrix. Where one of them is above 1, the smallest difference, rounding too, grows
    until the units are apart. Where none is, they stay together.

    Parameters
    ----------
    net
        The network; it is not changed. The point is that of its parameters now.
    x, y
        One batch, as `gradients` takes it. The Hessian is that of its loss: give all the data of full-batch training.
    optimizer
        Its learning rate, momentum and weight decay decide the growth. `SGD`, `Momentum` and `Nesterov` have one, and
        so has any other whose step is linear in the gradient and in one array of state; of the others, such as `Adam`,
        the eigenvalues are given and the growth is nan: how far they go depends on the past gradients in their state.
    loss
        ``"mse"``, ``"cross_entropy"`` or ``"logistic"``.
    step
        The step, from 0, at which a schedule gives the learning rate.
    classes
        Labels of the units by space, such as ``{"layers.0": [0, 0, 1]}``: these classes alone are judged. None finds
        all of them.

    Returns
    -------
    Stability
        One `ClassStability` for each class; none where no two units are tied.

    Raises
    ------
    ValueError
        Classes whose units are not tied, data that don't fit, a point where the loss or its gradient is not finite, or
        noise drawn for each unit, which separates them at once.
    TypeError
        What is no optimizer, or a network of exact numbers.
    NotImplementedError
        A network whose graph does not have all parameters as they are.
    UnknownName
        A loss that is not in the table.

    See Also
    --------
    symbreak.diagnose : Which units are tied.
    symbreak.untie : Separate them at once.

    Notes
    -----
    The growth is that of this point. Where the network is not at rest it moves on, its units still tied, and the growth
    with it; the steps to separate take the growth of now for all of them. They also need a difference to start from:
    BLAS rounds one in at some widths, while the engine's tie-preserving product, its default, leaves none.

    The Hessian is not formed. It commutes with the swap of two units, so that its eigenvectors are either the same
    after a swap or change sign; those that change sign have a block of their own, of as many rows as a unit has
    weights. Its products with vectors are central differences of the hand-written gradients, good to about nine digits
    in float64 and four in float32. Directions that separate units of two classes at once are in the blocks of both.
    Where relu or leaky relu has its corner there is no second derivative: it is taken as zero, the corner never within
    the difference's step, about 1e-6 over the length of the inputs.

    Clipping is not looked at.

    References
    ----------
    Fukumizu, Amari. "Local minima and plateaus in hierarchical structures of multilayer perceptrons". Neural Networks
    13, 2000, theorem 3 (the eigenvalues).

    Polyak. "Some methods of speeding up the convergence of iteration methods". 1964 (the 2 x 2 matrix).

    Examples
    --------
    >>> import symbreak as sb
    >>> from symbreak import engine
    >>> net = engine.mlp([2, 4, 1], init=sb.Constant(0.5))
    >>> x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    >>> found = engine.stability(net, x, y, optimizer=engine.SGD(0.5))
    >>> print(found)
    SGD(learning_rate=0.5), mse, at step 0
    class     units  lowest  largest  growth a step  separates
    layers.0      4  -0.944     0.25        1.47205  in 90 steps
    lowest, largest: eigenvalues along differences; separates: from 1e-16 to 0.1
    not at rest: the gradient's norm is 1.4, and the growth will change
    >>> found[0].eigenvalues.round(4)
    array([-0.9441,  0.0041,  0.0138,  0.2505])
    >>> found[0].steps_to_separate(perturbation=1e-8)
    42.0
    """
    look_up(LOSSES, loss, "loss")
    if not isinstance(net, Network):
        raise TypeError(f"the network must be an engine.Network; got {net!r}")
    if net.dtype == object:
        raise TypeError("a network of exact numbers has no eigenvalues to compute; make its arrays float64")
    if not isinstance(optimizer, AbstractOptimizer):
        raise TypeError(f"the optimizer must be one such as engine.SGD(0.1); got {optimizer!r}")
    if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
        raise ValueError(f"the step must be a whole number, 0 or more; got {step!r}")
    now = optimizer.at(int(step))
    norm = _gradient_norm(net, x, y, loss)
    graph = net.graph
    entries = number_entries(net, graph)
    tied = find_classes(graph) if classes is None else read_classes(graph, classes)
    judged = (
        _judge(
            each,
            len(each.units) == graph.space(each.space).units,
            Block(net, graph, entries, each, x, y, loss),
            now,
            norm,
        )
        for each in tied
    )
    return Stability(tuple(judged), optimizer, loss, int(step))


def _judge(tied: TiedClass, whole: bool, block: Block, optimizer: AbstractOptimizer, gradient: float) -> ClassStability:
    spectrum = block.spectrum()
    eigenvalues = spectrum.eigenvalues
    growths = np.array([growth_of(optimizer, float(each)) for each in eigenvalues])
    unknown = bool(np.isnan(growths).any())
    most = 0 if unknown else int(growths.argmax())
    reason = (
        f"A step of {type(optimizer).__name__} is not linear in the gradient: how far it goes depends on its state, so "
        f"that no growth follows from the eigenvalues."
    )
    return ClassStability(
        space=tied.space,
        units=tied.units,
        whole=whole,
        eigenvalues=eigenvalues,
        directions=spectrum.directions,
        resolution=spectrum.resolution,
        growth=float(growths[most]),
        eigenvalue=float(eigenvalues[most]),
        gradient=gradient,
        reason=reason if unknown else None,
    )


def _gradient_norm(net: Network, x: Any, y: Any, loss: str) -> float:
    """Give the norm of the gradient, or raise if it or the loss is not finite."""
    with np.errstate(all="ignore"):  # what is not finite is told below
        found = gradients(net, x, y, loss=loss, rng=0)
    if not np.isfinite(found.loss):
        raise ValueError(f"the loss at this point is {found.loss}: there is no Hessian to look at")
    for name, gradient in found.parameters.items():
        if not np.isfinite(gradient).all():
            raise ValueError(f"the gradient of {name!r} at this point is not finite: there is no Hessian to look at")
    return math.hypot(*(float(np.linalg.norm(gradient)) for gradient in found.parameters.values()))


def _drawn(classes: Sequence[ClassStability]) -> str:
    """Draw what becomes of a difference of 1e-16 in each class whose growth is known; nothing where it is of none."""
    known = [each for each in classes if not math.isnan(each.growth)][:MOST]
    if not known:
        return ""
    span = max((steps for each in known if math.isfinite(steps := each.steps_to_separate())), default=SPAN)
    curves = [Curve(f"{each._name}: {_when(each)}", _course(each.growth, span)) for each in known]
    told = "; ".join(f"{each.space}, {len(each.units)} units, times {each.growth:.6g} a step" for each in known)
    label = f"a difference of 1e-16 between tied units, step by step at the growth of this point: {told}"
    drawn = curves_svg(curves, "step", label)
    more = f" {len(classes) - len(known)} of {len(classes)} classes are not drawn." if len(known) < len(classes) else ""
    text = f"A difference of 1e-16 along the direction that grows most, at the growth of this point.{more}"
    return f"<figure>{drawn}<figcaption>{text}</figcaption></figure>"


def _course(growth: float, span: float) -> tuple[tuple[float, float], ...]:
    """Give a difference at the start, and where it is apart, is lost, or the picture ends.

    Examples
    --------
    >>> _course(10.0, 15.0), _course(1.0, 90.0), _course(0.1, 90.0)
    (((0.0, 1e-16), (15.0, 0.1)), ((0.0, 1e-16), (90.0, 1e-16)), ((0.0, 1e-16), (2.0, 1e-18)))
    """
    if growth == 1:
        return (0.0, START), (span, START)
    goal = APART if growth > 1 else FLOOR
    steps = math.log(goal / START) / math.log(growth) if growth > 0 else 0.0
    if steps <= span:
        return (0.0, START), (round(steps, 9), goal)
    return (0.0, START), (span, START * growth**span)


def _when(each: ClassStability) -> str:
    steps = each.steps_to_separate()
    if math.isnan(steps):
        return "not known"
    if not math.isinf(steps):
        return f"in {_count(steps)} steps"
    return "flat here" if each.growth == 1 else "not from here" if each.gradient > AT_REST else "never"


def _count(steps: float) -> str:
    return f"{steps:,.0f}" if steps < 1e9 else f"{steps:.2g}"
