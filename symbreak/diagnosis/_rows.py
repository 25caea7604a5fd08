"""Units as rows of float64, a few at a time: as stored, with their bias, or as directions without their length."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]

BLOCK = 1 << 21  # elements that are held in float64 at a time: 16 MiB


@final
class Rows:
    """The units of one weight, scaled by powers of two so that no square overflows or vanishes.

    Parameters
    ----------
    units
        (units, ...), of any dtype of numbers; complex ones count as pairs.
    bias
        (units,): one more entry of each row; or None.
    directions
        Whether rows are divided by their lengths.
    """

    def __init__(self, units: Array, bias: Array | None, *, directions: bool) -> None:
        self._units = units
        self._bias, self.directions = bias, directions
        self.width = max(1, int(np.prod(units.shape[1:]))) * (2 if np.iscomplexobj(units) else 1) + (bias is not None)
        self.step = max(1, BLOCK // self.width)
        self.lengths = np.ones(len(units))  # while lengths are measured, no row is divided
        self._powers = np.zeros(len(units), np.intp)

    def measure(self, some: Indices) -> None:
        """Measure the rows that are asked for later: their lengths, in units of a power of two that `powers` gives."""
        for low in range(0, len(some), self.step):
            part = some[low : low + self.step]
            rows = self._plain(part)
            powers = np.frexp(np.abs(rows).max(axis=1, initial=0))[1]
            self._powers[part] = powers
            self.lengths[part] = np.sqrt(np.einsum("ij,ij->i", *(2 * [np.ldexp(rows, -powers[:, np.newaxis])])))

    def log_lengths(self, some: Indices) -> Array:
        """Return the logarithms to base two of the lengths of what `take` gives; directions have length one."""
        if self.directions:
            return np.zeros(len(some))
        return np.asarray(np.log2(self.lengths[some]) + self._powers[some])

    def take(self, some: Indices, power: int) -> Array:
        """Return (rows, width) in float64, divided by two to a power, or as directions."""
        rows = self._plain(some)
        if self.directions:
            rows = np.ldexp(rows, -self._powers[some][:, np.newaxis])
            rows /= self.lengths[some][:, np.newaxis]
            return rows
        return np.ldexp(rows, -power) if power else rows

    def _plain(self, some: Indices) -> Array:
        rows = np.ascontiguousarray(self._units[some]).reshape(len(some), int(np.prod(self._units.shape[1:])))
        if np.iscomplexobj(rows):
            rows = rows.astype(np.complex128).view(np.float64)
        rows = rows.astype(np.float64)
        if self._bias is None:
            return rows
        return np.concatenate([rows, self._bias[some].astype(np.float64)[:, np.newaxis]], axis=1)
