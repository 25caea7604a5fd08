"""What a diagnosis found, what it could not read, and the verdict that follows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from symbreak._growth import Growth
from symbreak._table import html_table
from symbreak._visible import to_ascii_json, visible
from symbreak.findings import Finding, Level

from ._html import to_html
from ._picture import Picture
from ._places import AXIS
from ._text import fold_units, to_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1


@final
@dataclass(frozen=True)
class Skipped:
    """Something that was not read, and why.

    Parameters
    ----------
    where
        The file, and the array in it if only that was skipped.
    reason
        Why it could not be read.
    """

    where: str
    reason: str


@final
@dataclass(frozen=True)
class TiedClass:
    """Units of one space of a network that get the same update at every step.

    Parameters
    ----------
    space
        The name of the space.
    units
        The units, numbered from 0; in a space that lies in heads or copies those of the first come first.
    kind
        ``"exchange"``, ``"orbit"`` or ``"equitable"``: see `symbreak explain SB201`.
    places
        For each unit (unit,), or (head, unit).
    parameters
        How many parameters all units of the class but one have.
    """

    space: str
    units: tuple[int, ...]
    kind: str
    places: tuple[tuple[int, ...], ...]
    parameters: int

    def _repr_html_(self) -> str:
        titles = ("space", "kind", "units", "parameters that repeat others")
        row = (visible(self.space), self.kind, fold_units(self.units), f"{self.parameters:,}")
        return html_table(f"{len(self.units)} tied units", titles, [row])


@final
class Space(NamedTuple):
    """How many units a space has, and how many of them differ from each other.

    Parameters
    ----------
    where
        The file, and the space of a network, or the array and the axis.
    units
        Its units.
    distinct
        Its classes of equal units: of units that get the same update at every step in a network, else of units with
        equal weights.
    network
        Whether it is a space of a network; those come in the order in which the network computes them.
    """

    where: str
    units: int
    distinct: int
    network: bool = False


@final
@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of a diagnosis.

    ``print(report)`` writes it as text, and a notebook shows it as a table.

    Parameters
    ----------
    findings
        What was found, in the order of the arrays.
    skipped
        What could not be read. The verdict does not cover it.
    partition
        For each space that was judged, the class of each unit: (units,), or (copies, units) for stacked copies.
    files
        The files that were read or tried.
    arrays
        How many arrays were read.
    unselected
        How many findings :meth:`only` left out. The verdict counts them.
    classes
        The classes of tied units of a network.
    spaces
        The spaces of networks, in order, and of those of single weights whose classes are not in `partition` the ones
        in which units repeat or something was found.
    sound
        How many spaces of single weights are in neither.
    known
        How many findings were left out because a baseline holds them. The verdict counts them.
    pictures
        Samples of the weights of some findings, to be drawn.
    evidence
        Where it is from how the arrays are connected; empty where nothing is said of it.
    growth
        How units that are equal in one checkpoint of a run come apart in the others.

    Examples
    --------
    >>> import numpy as np
    >>> import symbreak as sb
    >>> report = sb.diagnose(np.ones((3, 2)))
    >>> report.ok
    False
    >>> [finding.code for finding in report.findings]
    ['SB101']
    """

    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    partition: Mapping[str, npt.NDArray[np.intp]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    arrays: int = 0
    unselected: int = 0
    classes: tuple[TiedClass, ...] = ()
    spaces: tuple[Space, ...] = ()
    sound: int = 0
    known: int = 0
    pictures: tuple[Picture, ...] = ()
    evidence: str = ""
    growth: tuple[Growth, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was read, and nothing was found at the level of a warning or above."""
        return not self.skipped and not self.at_least(Level.WARNING)

    def at_least(self, level: Level) -> tuple[Finding, ...]:
        """Give the findings at `level` or above."""
        return tuple(finding for finding in self.findings if finding.level >= level)

    @classmethod
    def merged(cls, reports: Iterable["Report"]) -> "Report":
        """Join reports into one, in order."""
        every = tuple(reports)
        partition: dict[str, npt.NDArray[np.intp]] = {}
        for report in every:
            partition.update(report.partition)
        return cls(
            tuple(finding for report in every for finding in report.findings),
            tuple(skipped for report in every for skipped in report.skipped),
            partition,
            tuple(file for report in every for file in report.files),
            sum(report.arrays for report in every),
            sum(report.unselected for report in every),
            tuple(each for report in every for each in report.classes),
            tuple(each for report in every for each in report.spaces),
            sum(report.sound for report in every),
            sum(report.known for report in every),
            tuple(each for report in every for each in report.pictures),
            next((report.evidence for report in every if report.evidence), ""),
            tuple(each for report in every for each in report.growth),
        )

    def only(self, codes: Iterable[str]) -> "Report":
        """Keep the findings that have one of `codes`; what was skipped stays."""
        wanted = set(codes)
        return self.filtered(lambda finding: finding.code in wanted)

    def filtered(self, keep: Callable[[Finding], bool]) -> "Report":
        """Keep the findings for which `keep` is true; what was skipped stays, and the verdict counts what is left out.

        Examples
        --------
        >>> import numpy as np
        >>> import symbreak as sb
        >>> report = sb.diagnose({"fc1": np.ones((3, 2)), "fc2": np.zeros((2, 3))})
        >>> print(report.filtered(lambda finding: finding.where != "fc1").verdict)
        1 error, 1 finding not selected; read 2 arrays
        """
        kept = tuple(finding for finding in self.findings if keep(finding))
        places = {finding.where for finding in kept}
        return replace(
            self,
            findings=kept,
            unselected=self.unselected + len(self.findings) - len(kept),
            growth=tuple(each for each in self.growth if not each.source or each.source in places),
        )

    def counted(self) -> "Report":
        """Leave out the class of each unit, and keep how many units and distinct units there are.

        Of a million arrays the classes take more memory than all else.
        """
        spaces, sound = self.widths()
        return replace(self, partition={}, spaces=tuple(spaces), sound=sound)

    def widths(self) -> tuple[list[Space], int]:
        """Count the units of the spaces.

        Returns
        -------
        spaces
            Every space of a network in order, and after them the spaces of single weights in which units repeat, or
            in which something was found.
        sound
            How many other spaces of single weights there are.

        Examples
        --------
        >>> import numpy as np
        >>> import symbreak as sb
        >>> sb.diagnose({"fc1": np.repeat(np.eye(3), 2, axis=0)}).widths()
        ([Space(where='fc1, axis 0', units=6, distinct=3, network=False)], 1)
        """
        there = {space.where for space in self.spaces}
        named = {finding.where for finding in self.findings}
        marked = named | {AXIS.sub("", where) for where in named}
        found, sound = list(self.spaces), self.sound
        for where, labels in self.partition.items():
            if where not in there:
                rows = labels.reshape(-1, labels.shape[-1])  # of copies apart; classes are numbered from 0
                distinct = int((rows.max(axis=1, initial=-1) + 1).sum())
                if distinct < labels.size or where in marked or AXIS.sub("", where) in named:
                    found.append(Space(where, labels.size, distinct))
                else:
                    sound += 1
        return found, sound

    @property
    def summary(self) -> dict[str, int | bool]:
        """Count the arrays, the files, the findings by level, and what was skipped."""
        levels = [finding.level for finding in self.findings]
        return {
            "ok": self.ok,
            "files": len(self.files),
            "arrays": self.arrays,
            "errors": levels.count(Level.ERROR),
            "warnings": levels.count(Level.WARNING),
            "notes": levels.count(Level.NOTE),
            "skipped": len(self.skipped),
            **({"known": self.known} if self.known else {}),
        }

    @property
    def verdict(self) -> str:
        """The outcome in one line; "clean" is said only of what was read, and only when nothing was skipped."""
        found = [(Level.ERROR, "error"), (Level.WARNING, "warning"), (Level.NOTE, "note")]
        counts = [(sum(finding.level == level for finding in self.findings), word) for level, word in found]
        scope = _count(self.arrays, "array") + (f" of {_count(len(self.files), 'file')}" if self.files else "")
        parts = [_count(count, word) for count, word in counts if count]
        if self.skipped:
            parts.append(f"{len(self.skipped)} not read")
        if self.unselected:
            parts.append(f"{_count(self.unselected, 'finding')} not selected")
        if self.known:
            parts.append(f"{self.known} in the baseline")
        if parts:
            return f"{', '.join(parts)}; read {scope}"
        return f"clean: nothing found in {scope}" if self.arrays else f"nothing to judge: read {scope}"

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain lists, dictionaries, strings and numbers, ready for JSON."""
        network = {"classes": [_as_dict(each) for each in self.classes]} if self.classes else {}
        return {
            "schema_version": SCHEMA_VERSION,
            "files": list(self.files),
            "findings": [
                {
                    "code": finding.code,
                    "level": str(finding.level),
                    "where": finding.where,
                    "groups": [list(group) for group in finding.groups],
                    "message": finding.message,
                    "fix": finding.fix,
                }
                for finding in self.findings
            ],
            "skipped": [{"where": skipped.where, "reason": skipped.reason} for skipped in self.skipped],
            **network,
            **({"evidence": self.evidence} if self.evidence else {}),
            **({"growth": [each.to_dict() for each in self.growth]} if self.growth else {}),
            "summary": self.summary,
        }

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw how many units of each space are distinct.

        Of a network its hidden spaces, in the order in which it computes them; of single weights those in which units
        repeat. Of more than forty those in which units repeat come first, and the others are counted.

        Parameters
        ----------
        axes
            Where to draw; None makes a new figure with `matplotlib.pyplot`.

        Returns
        -------
        matplotlib.axes.Axes
            To be changed or saved: ``axes.figure.savefig("widths.png")``.

        Raises
        ------
        MissingExtra
            Matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np
        >>> import symbreak as sb
        >>> axes = sb.diagnose(sb.chain([(np.ones((4, 2)), None), (np.ones((1, 4)), None)])).plot()
        >>> [label.get_text() for label in axes.get_yticklabels()], axes.texts[0].get_text()
        (['layers.0'], ' 1 of 4')
        """
        from ._plot import plot_widths

        return plot_widths(self, axes)

    def to_json(self) -> str:
        """Give the report as JSON in ASCII, so that no name in it can act on a terminal or in the log of a workflow."""
        return to_ascii_json(self.to_dict())

    def __str__(self) -> str:
        return to_text(self)

    def _repr_html_(self) -> str:
        return to_html(self)


def _as_dict(each: TiedClass) -> dict[str, Any]:
    places = [list(place) for place in each.places]
    return {**vars(each), "units": list(each.units), "places": places}


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
