"""What a batch shows of units: which have identical activations and identical gradients, whatever the architecture.

A framework runs its model, and hands on the activations of each space and the loss's gradients at them. Two units of a
layer that agree in both get the same update from this batch; the certificate of the network, where there is one, says
of every batch which do. The two are put side by side.
"""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from ._table import LINE, html_table, named_table
from ._visible import visible
from .diagnosis import check_tolerance, find_near_ties, find_ties
from .diagnosis._labels import first_seen, joined
from .reports import Report, fold_units

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]

TOLERANCE = 1e-5  # some hundred roundings of float32: what sums in another order differ by
CLASSES = 4  # classes of a space in the text before they are cut short
TITLES = ("space", "units", "distinct", "near", "dead", "still", "certified", "verdict")

AGREES, MORE, FEWER, UNKNOWN = "agrees", "more", "fewer", "unknown"
MEANING = {
    MORE: "more: equal here, and not certified: on this batch alone, or blocked, or by what the wiring doesn't say",
    FEWER: "fewer: certified, and they differ here: by noise (dropout), by rounding, or the wiring is wrong",
}


@final
@dataclass(frozen=True, eq=False)
class ProbedSpace:
    """One space on a batch: what its units show, and what the certificate says of them.

    Attributes
    ----------
    name
        Of the space.
    units
        How many it has.
    samples
        How many values of each unit were compared, and as many of its gradient.
    labels
        (units,): the class of each unit; units of one class have the same activations and the same gradients, bit for
        bit. Numbered by first occurrence.
    near
        (units,): the same within the tolerance.
    dead
        Units whose activation was zero on every sample.
    still
        Units whose gradient was zero on every sample.
    certified
        (units,): the class of each unit by the certificate; None where it doesn't know the space.
    """

    name: str
    units: int
    samples: int
    labels: Indices
    near: Indices
    dead: tuple[int, ...]
    still: tuple[int, ...]
    certified: Indices | None

    @property
    def distinct(self) -> int:
        """How many units differ from each other, bit for bit."""
        return _count(self.labels)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Classes of two units and more that agree within the tolerance, in the order of their first units."""
        order = np.argsort(self.near, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(self.near))[:-1])
        return tuple(tuple(part.tolist()) for part in parts if len(part) > 1)

    @property
    def verdict(self) -> str:
        """The batch beside the certificate.

        ``"agrees"``: the same classes, within the tolerance. ``"more"``: the certificate's classes, and others too.
        ``"fewer"``: units that the certificate ties differ on the batch. ``"unknown"``: the certificate doesn't know
        the space.
        """
        if self.certified is None:
            return UNKNOWN
        joint = _count(joined(self.certified, self.near))
        if joint > _count(self.certified):
            return FEWER
        return AGREES if joint == _count(self.near) else MORE

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {
            "name": self.name,
            "units": self.units,
            "samples": self.samples,
            "distinct": self.distinct,
            "near": _count(self.near),
            "certified": None if self.certified is None else _count(self.certified),
            "verdict": self.verdict,
            "groups": [list(group) for group in self.groups],
            "dead": list(self.dead),
            "still": list(self.still),
        }


@final
@dataclass(frozen=True, eq=False)
class Probe:
    """What one batch shows of every space of a model.

    ``print(probe)`` writes it as a table, and a notebook shows it as one.

    Attributes
    ----------
    spaces
        One :class:`ProbedSpace` each, in the order in which the model computes them.
    tolerance
        The relative distance within which activations, and gradients, count as near.
    loss
        Of the batch; None where none was told.
    certificate
        The report of the network that the batch is put beside, or None.
    left_out
        What was not judged, by name, with the reason.
    """

    spaces: tuple[ProbedSpace, ...]
    tolerance: float
    loss: float | None
    certificate: Report | None
    left_out: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether no two units of a space agree within the tolerance."""
        return not any(space.groups for space in self.spaces)

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        some = sum(bool(space.groups) for space in self.spaces)
        every = f"{len(self.spaces)} space{'' if len(self.spaces) == 1 else 's'}"
        loss = "" if self.loss is None else f"; loss {self.loss:.6g}"
        if not self.spaces:
            return f"nothing to judge: no space was computed{loss}"
        if not some:
            return f"in {every} no two units agree in activations and gradients on this batch{loss}"
        return f"in {some} of {every} units agree in activations and gradients on this batch{loss}"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values, for JSON."""
        return {
            "ok": self.ok,
            "tolerance": self.tolerance,
            "loss": self.loss,
            "spaces": [space.to_dict() for space in self.spaces],
            "left_out": dict(self.left_out),
        }

    def __str__(self) -> str:
        rows = [_row(space) for space in self.spaces]
        lines = [named_table(TITLES, rows, right=range(1, 7))] if rows else []
        for space in self.spaces:
            if space.groups:
                lines += _wrapped(f"{visible(space.name)}: {_listed(space)}")
        for verdict, meaning in MEANING.items():
            if any(space.verdict == verdict for space in self.spaces):
                lines += _wrapped(meaning)
        for name, reason in self.left_out.items():
            lines += _wrapped(f"left out: {visible(name)}: {visible(reason)}")
        return "\n".join([*lines, *_wrapped(self.summary)])

    def _repr_html_(self) -> str:
        tail = "; ".join(f"left out: {visible(name)}: {visible(why)}" for name, why in self.left_out.items())
        return html_table(self.summary, TITLES, [(visible(row[0]), *row[1:]) for row in map(_row, self.spaces)], tail)


@final
class Recorder:
    """Takes activations and gradients as they come, and keeps of them only which units agree.

    A space may be recorded several times, as a layer that is used several times: units agree where they do each time.

    Parameters
    ----------
    tolerance
        A relative distance from 0 to 0.5: two units are near where the length of the difference of their activations is
        no more than this times the longer of the two, and likewise their gradients; and units that are near by way of
        others.

    Examples
    --------
    >>> import numpy as np
    >>> recorder = Recorder()
    >>> recorder.activations("hidden", np.array([[0.5, 0.5, 0.0], [2.0, 2.0, 0.0]]))  # (samples, units)
    >>> recorder.gradients("hidden", np.array([[0.1, 0.1, 0.3], [0.2, 0.2, 0.1]]))
    >>> print(recorder.probe())
    space   units  distinct  near  dead  still  certified  verdict
    hidden      3         2     2     1      0          -  unknown
    hidden: 0, 1
    in 1 of 1 space units agree in activations and gradients on this batch
    """

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        check_tolerance(tolerance)
        self.tolerance = float(tolerance)
        self._seen: dict[str, _Seen] = {}

    def activations(self, name: str, array: npt.ArrayLike, axis: int = -1) -> None:
        """Record what the units of a space gave: of any shape, the units along `axis`, and samples along all others.

        Raises
        ------
        ValueError
            The space had another number of units before.
        TypeError
            An array that holds no numbers.
        """
        seen = self._of(name, array, axis)
        seen.samples += np.size(array) // max(seen.units, 1)
        seen.dead &= self._take(seen, array, axis)
        seen.uses[0] += 1

    def gradients(self, name: str, array: npt.ArrayLike, axis: int = -1) -> None:
        """Record the gradients of the loss at what the units gave, as `activations` does."""
        seen = self._of(name, array, axis)
        seen.still &= self._take(seen, array, axis)
        seen.uses[1] += 1

    @property
    def units(self) -> dict[str, int]:
        """How many units each space has that was recorded, in order."""
        return {name: seen.units for name, seen in self._seen.items()}

    def probe(
        self,
        certificate: Report | None = None,
        named: Mapping[str, str] | None = None,
        *,
        loss: float | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> Probe:
        """Give what was found, beside a certificate.

        Parameters
        ----------
        certificate
            The report of the network.
        named
            What the certificate calls a space, where it has another name there.
        loss
            Of the batch.
        left_out
            What was not judged, with the reason. Spaces without activations or without gradients are added.
        """
        partition = {} if certificate is None else certificate.partition
        spaces, others = [], dict(left_out or {})
        for name, seen in self._seen.items():
            if 0 in seen.uses or not seen.samples or not seen.units:
                what = "nothing was computed" if not seen.uses[0] or not seen.samples else "no gradient came to it"
                others[name] = "it has no units" if not seen.units else what
                continue
            labels = partition.get((named or {}).get(name, name))
            certified = None if labels is None or labels.size != seen.units else first_seen(labels.reshape(-1))
            dead, still = (tuple(np.flatnonzero(each).tolist()) for each in (seen.dead, seen.still))
            spaces.append(ProbedSpace(name, seen.units, seen.samples, seen.labels, seen.near, dead, still, certified))
        return Probe(tuple(spaces), self.tolerance, loss, certificate, others)

    def _of(self, name: str, array: npt.ArrayLike, axis: int) -> "_Seen":
        shape = np.shape(array)
        if not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"{visible(name)}: an array of shape {shape} has no axis {axis} for the units to lie along"
            )
        seen = self._seen.setdefault(name, _Seen(shape[axis]))
        if seen.units != shape[axis]:
            raise ValueError(f"{visible(name)} had {seen.units} units before, and now has {shape[axis]}")
        return seen

    def _take(self, seen: "_Seen", array: npt.ArrayLike, axis: int) -> npt.NDArray[np.bool_]:
        """Keep the units apart that differ in an array; give those that are zero throughout."""
        values = np.asarray(array)
        ties = find_ties(values, axis)
        near = ties.labels
        if self.tolerance and values.size:
            near = find_near_ties(values, self.tolerance, axis).labels
        seen.labels, seen.near = (
            first_seen(joined(old, new)) for old, new in ((seen.labels, ties.labels), (seen.near, near))
        )
        zero = np.zeros(seen.units, bool)
        zero[ties.zero] = True
        return zero


@final
class _Seen:
    """What is kept of one space."""

    def __init__(self, units: int) -> None:
        self.units, self.samples, self.uses = units, 0, [0, 0]
        self.labels: Indices = np.zeros(units, np.intp)
        self.near: Indices = np.zeros(units, np.intp)
        self.dead = np.ones(units, bool)
        self.still = np.ones(units, bool)


def _count(labels: Indices) -> int:
    return len(np.unique(labels))


def _row(space: ProbedSpace) -> tuple[str, ...]:
    certified = "-" if space.certified is None else str(_count(space.certified))
    numbers = (space.units, space.distinct, _count(space.near), len(space.dead), len(space.still))
    return (space.name, *map(str, numbers), certified, space.verdict)


def _listed(space: ProbedSpace) -> str:
    groups = [fold_units(group) for group in space.groups]
    more = f"; ... ({len(groups)} classes in all)" if len(groups) > CLASSES else ""
    return "; ".join(groups[:CLASSES]) + more


def _wrapped(text: str) -> Iterable[str]:
    return textwrap.wrap(text, LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
