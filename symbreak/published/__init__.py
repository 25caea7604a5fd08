"""Published figures on ties and starts, computed again: each gives the published numbers, ours, and the differences."""

from ._blas import blas_escape as blas_escape
from ._collapse import stochastic_collapse as stochastic_collapse
from ._comparison import Comparison as Comparison
from ._comparison import Row as Row
from ._critical import critical_lines as critical_lines
from ._dropout import dropout as dropout
from ._figures import FIGURES as FIGURES
from ._plateau import symmetric_plateau as symmetric_plateau
from ._scale import scale_of_start as scale_of_start
from ._symmetry import symmetry_network as symmetry_network
from ._widening import widening as widening
