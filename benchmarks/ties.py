"""Finding equal units of one weight against NumPy and pandas, and against reading the weight once."""

from collections.abc import Iterator

import numpy as np

import symbreak as sb
from symbreak.diagnosis import find_ties

from ._measure import Row, have

SHAPES = {(32000, 1024): (50.0, 2.0), (4096, 1024): (None, None), (30522, 384): (None, None)}
WORKERS = 2


def rows() -> Iterator[Row]:
    """Yield the rows of each shape; 2 % of the units are copies."""
    for shape, (unique_goal, sum_goal) in SHAPES.items():
        weight = sb.Normal()(shape, sb.Key(0)["w"])
        copies = len(weight) // 50
        weight[-copies:] = weight[:copies]
        name = f"ties {shape[0]} x {shape[1]}"
        ours = lambda weight=weight: find_ties(weight, workers=WORKERS)  # noqa: E731
        yield Row(name, "np.unique(axis=0)", ours, lambda w=weight: np.unique(w, axis=0), unique_goal, rounds=7)
        yield Row(name, "X.sum()", ours, lambda w=weight: w.sum(), sum_goal, at_most=True, rounds=21)
        if have("pandas"):
            import pandas as pd

            frame = pd.DataFrame(weight)
            yield Row(name, "pandas duplicated", ours, lambda frame=frame: frame.duplicated(), rounds=7)
