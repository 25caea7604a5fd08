"""The diagnosis of a Keras model: its weights judged one by one, together, and as the network that they make up."""

from typing import Any

from .._api import diagnose as judge
from .._notes import in_python
from ..findings import Finding
from ..reports import Report
from ._wire import wired_with


def diagnose(model: Any, example: Any = None, *, tolerance: float | None = None, workers: int | None = None) -> Report:
    """Say which units of a model are tied, and whether training can ever separate them.

    Parameters
    ----------
    model, example
        As for :func:`wire`.
    tolerance, workers
        As for :func:`symbreak.diagnose`.

    Returns
    -------
    Report
        As of :func:`symbreak.diagnose` with a wiring. SB302 names what isn't known of it, and says where the names of
        weights had to do.

    Raises
    ------
    TypeError, ValueError
        `model` is none of Keras', isn't built, or has no weights.
    """
    wired, held = wired_with(model, example)
    floats = {name: array for name, array in held.items() if array.dtype.kind in "fV" or array.dtype.kind == "c"}
    if wired.graph is None:
        return _told(judge(floats, tolerance=tolerance, workers=workers), wired.rule)
    found = judge(held, tolerance=tolerance, workers=workers, wiring=wired.wiring)
    return _told(found, wired.rule) if ", as " in wired.rule else in_python(found)


def _told(report: Report, rule: str) -> Report:
    """Add the note that the model could not say itself how its weights are connected."""
    evidence, _, fault = rule.partition(", as ")
    alone = (
        "only the names of its weights connect them" if evidence != "nothing" else "its weights are judged one by one"
    )
    found = Report.merged([report, Report((Finding.of("SB302", "the network", f"{alone}, as {fault}"),))])
    return in_python(found, "diagnose(model, x)")
