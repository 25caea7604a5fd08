"""What there is to say about units that are nearly equal: SB103, and up to a factor or a sign SB104 and SB105."""

from typing import Any

import numpy as np
import numpy.typing as npt

from symbreak.findings import Finding
from symbreak.reports import fold_units

from ._near import NearTies, find_near_ties
from ._ties import find_ties

CLASSES = 8  # classes in a message before it is cut short

Array = npt.NDArray[Any]


def judge_near(
    where: str,
    units: Array,
    tolerance: float,
    weights: str,
    bias: Array | None = None,
    first: int = 0,
    workers: int | None = None,
) -> list[Finding]:
    """Judge the units of one part, (units, ...), numbered from `first`; what is equal bit for bit is left to others."""
    if len(units) < 2 or not units.size or not find_ties(units, workers=workers).labels.any():
        return []
    near = find_near_ties(units, tolerance, workers=workers)
    findings = _found("SB103", where, near, tolerance, f"nearly equal {weights}", first)
    for code, symmetry, what in (
        ("SB104", "scale", f"{weights} that are equal up to a positive factor"),
        ("SB105", "sign", f"{weights} that are equal up to sign"),
    ):
        other = find_near_ties(units, tolerance, symmetry=symmetry, bias=bias, workers=workers)
        findings += _found(code, where, _beyond(other, near), tolerance, what, first)
    return findings


def _beyond(found: NearTies, near: NearTies) -> NearTies:
    """Leave out the classes whose units are nearly equal as they are."""
    kept = {}
    for label, diameter in found.diameters.items():
        members = np.flatnonzero(found.labels == label)
        if len(np.unique(near.labels[members])) > 1:
            kept[label] = diameter
    return NearTies(found.labels, kept)


def _found(code: str, where: str, near: NearTies, tolerance: float, what: str, first: int) -> list[Finding]:
    groups = tuple(tuple(first + unit for unit in group) for group in near.groups)
    if not groups:
        return []
    diameters = [near.diameters[label] for label in sorted(near.diameters)]
    count = sum(len(group) for group in groups)
    listed = "; ".join(
        f"{fold_units(group)} (at most {_shown(diameter)} apart)"
        for group, diameter in zip(groups[:CLASSES], diameters, strict=False)
    )
    rest = "; ..." if len(groups) > CLASSES else ""
    form = "have" if len(groups) == 1 else f"form {len(groups)} classes with"
    return [Finding.of(code, where, f"{count} units {form} {what}, within {tolerance:g}: {listed}{rest}", groups)]


def _shown(diameter: float) -> str:
    """Write a distance so that it is not rounded down."""
    return f"{np.nextafter(diameter * (1 + 5e-3), np.inf):.2g}" if diameter else "0"
