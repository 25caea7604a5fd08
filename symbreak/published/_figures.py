"""The figures by name: one row each."""

from collections.abc import Callable

from ._blas import blas_escape
from ._collapse import stochastic_collapse
from ._comparison import Comparison
from ._critical import critical_lines
from ._dropout import dropout
from ._plateau import symmetric_plateau
from ._scale import scale_of_start
from ._symmetry import symmetry_network
from ._widening import widening

# fmt: off
FIGURES: dict[str, Callable[[], Comparison]] = {
    "symmetry": symmetry_network,
    "plateau":  symmetric_plateau,
    "critical": critical_lines,
    "collapse": stochastic_collapse,
    "blas":     blas_escape,
    "widening": widening,
    "scale":    scale_of_start,
    "dropout":  dropout,
}
# fmt: on
