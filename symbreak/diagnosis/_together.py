"""What there is to say about named arrays together: SB109, SB202 to SB206 and SB208."""

from collections.abc import Callable
from dataclasses import replace

from symbreak.findings import Finding
from symbreak.reports import Report

from ._identical import find_identical, judge_blocks
from ._one_stream import judge_streams
from ._scale import judge_scale
from ._sketch import Source, sketches
from ._zeros import judge_zeros


def judge_together(source: Source, place: Callable[[str], str] = str) -> Report:
    """Judge what shows only when arrays are compared: identical layers, one stream used twice, scales over depth.

    Parameters
    ----------
    source
        The arrays. Of each the first million values are read in one pass, and more only of those that begin alike.
    place
        Makes what a finding calls its place of an array's or a container's name.

    Returns
    -------
    Report
        Of findings alone; who judges the arrays one by one counts them. It depends on the arrays and the order of their
        names alone.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak.diagnosis import in_memory
    >>> draw = np.random.default_rng(0).standard_normal
    >>> w = draw((8, 8))
    >>> report = judge_together(in_memory({"layers.0.weight": w, "layers.1.weight": w, "head.weight": draw((8, 8))}))
    >>> print(report.findings[0].code, report.findings[0].message)
    SB204 2 blocks are identical, value for value (1 array each): layers.0, layers.1
    """
    found = sketches(source)
    classes = find_identical(source, found)
    findings: list[Finding] = []
    blocks, explained = judge_blocks(source, found, classes)
    findings += blocks
    others = {name: sketch for name, sketch in found.items() if name not in explained}
    findings += judge_streams(source, others, classes)
    findings += judge_zeros(source, found)
    findings += judge_scale(source, found)
    return Report(tuple(replace(finding, where=place(finding.where)) for finding in findings))
