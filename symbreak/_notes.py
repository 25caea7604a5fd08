"""What there is to do in Python where it is not known how a model of a framework is connected (SB302)."""

from dataclasses import replace

from .findings import CODES, Finding
from .reports import Report

WIRING = "say how they are connected in a wiring file: symbreak.diagnose(arrays, wiring=FILE)"


def in_python(report: Report, call: str = "") -> Report:
    """Give a report whose notes say what to do with a model in memory, where the table speaks of files.

    Parameters
    ----------
    report
        Of a model.
    call
        How it is diagnosed with an example of its input, where it was not followed on one.

    Examples
    --------
    >>> report = Report((Finding.of("SB302", "the network", "no example was given"),))
    >>> print(in_python(report, "diagnose(model, x)"))
    note SB302 the network
        no example was given
        fix: pass an example that it can be called with, as in diagnose(model, x),
             or say how they are connected in a wiring file:
             symbreak.diagnose(arrays, wiring=FILE)
    1 note; read 0 arrays
    """
    fix = f"pass an example that it can be called with, as in {call}, or {WIRING}" if call else WIRING

    def told(finding: Finding) -> Finding:
        return replace(finding, fix=fix) if finding.code == "SB302" and finding.fix == CODES["SB302"].fix else finding

    return replace(report, findings=tuple(map(told, report.findings)))
