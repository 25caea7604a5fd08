"""Kernels of the short-time Fourier transform: a convolution that starts as a spectrogram."""

import math
from dataclasses import field
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from . import _places as place
from ._base import AbstractInitializer, Array, Moments
from ._registry import register

# Periodic windows of n samples, as sums of a_j cos(2 pi j t / n).
WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, -0.5),
    "hamming": (0.54, -0.46),
    "blackman": (0.42, -0.5, 0.08),
}
PARTS = ("both", "real", "imaginary")


@register("fourier", "stft")
@final
class Fourier(AbstractInitializer):
    r"""Unit f is frequency f of the signal under a window: :math:`w_t \cos(2 \pi f t / n)`, and minus the sine.

    A one-dimensional convolution of one channel, or a dense layer, whose n inputs are the samples of a frame. The
    outputs are those of a real FFT of the windowed frame, frequencies 0 to n / 2.

    Parameters
    ----------
    window
        ``"hann"``, ``"hamming"``, ``"blackman"`` or ``"boxcar"`` (none), periodic.
    part
        ``"real"``, ``"imaginary"``, or ``"both"``: real parts in the first half of the units, imaginary in the second.

    Raises
    ------
    ValueError
        For another window or part; when called, if a unit reads several channels, or there are more units than
        frequencies (``n // 2 + 1`` a part), or an odd number for both.

    Notes
    -----
    The sine of frequency 0, and of n / 2, is zero: with imaginary parts the policy is ``"ties"``, without ``"breaks"``.
    Cosines are rounded by the machine's library, so that the last bit may differ (``portable = False``).

    References
    ----------
    Allen, Rabiner. "A unified approach to short-time Fourier analysis and synthesis". Proc. IEEE 65 (1977), equation 1.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> kernel = sb.Fourier("hann")((18, 1, 16), dtype="float64")
    >>> frame = np.arange(16.0)
    >>> spectrum = np.fft.rfft(frame * np.hanning(17)[:-1])
    >>> bool(np.allclose(kernel[:, 0] @ frame, [*spectrum.real, *spectrum.imag]))
    True
    """

    window: str = "hann"
    part: str = field(default="both", kw_only=True)

    ties = "ties"
    portable = False

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise ValueError(f"Fourier: window is one of {', '.join(map(repr, WINDOWS))}; got {self.window!r}")
        if self.part not in PARTS:
            raise ValueError(f"Fourier: part is one of {', '.join(map(repr, PARTS))}; got {self.part!r}")
        if self.part == "real":
            object.__setattr__(self, "ties", "breaks")

    def _tables(self, n: int, units: int, dtype: Any) -> tuple[Array, Array, Array]:
        """Give the window at each sample, one turn in n steps (of cosine, then of sine), and where each unit starts."""
        t = np.arange(n)
        weights = sum(a * np.cos(2 * math.pi * j * t / n) for j, a in enumerate(WINDOWS[self.window]))
        if n == 1:
            weights = np.ones(1)
        turn = np.concatenate([np.cos(2 * math.pi * t / n), -np.sin(2 * math.pi * t / n)])
        turn[n] = 0.0
        if n % 2 == 0:
            turn[n + n // 2] = 0.0  # the sine of pi, exactly
        kinds = {"real": np.zeros(units), "imaginary": np.ones(units), "both": np.arange(units) >= units // 2}
        return np.asarray(weights), turn, np.asarray(kinds[self.part], np.int64)

    def _read(self, axes: Axes, shape: tuple[int, ...]) -> tuple[int, int]:
        """Give units and samples of a frame, where they make sense."""
        _, units, n = axes._map_shape(shape)
        channels = n // max(1, math.prod(place.field(axes, shape)))
        if channels > 1 and place.field(axes, shape):
            raise ValueError(
                f"Fourier: a unit reads one channel, but `shape` {shape} has {channels}; give each a group of its own"
            )
        if len(place.field(axes, shape)) > 1:
            raise ValueError(f"Fourier: a frame has one axis, but `shape` {shape} has {len(place.field(axes, shape))}")
        most = (n // 2 + 1) * (2 if self.part == "both" else 1)
        if units > most or (self.part == "both" and units % 2):
            even = ", an even number" if self.part == "both" else ""
            raise ValueError(
                f"Fourier: a frame of {n} samples has {n // 2 + 1} frequencies, so part {self.part!r} takes up to "
                f"{most} units{even}; `shape` {shape} has {units}"
            )
        return units, n

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Look the entries up in one turn of cosine and sine."""
        found = Axes.of(axes, shape)
        units, n = self._read(found, shape)
        window, turn, kind = self._tables(n, units, stream.dtype)
        frequency = np.arange(units) - kind * (units // 2 if self.part == "both" else 0)
        small = n < 1 << 15  # so that products fit 32 bits, whose remainders are faster
        frequency, start = (each.astype(np.uint32 if small else np.int64) for each in (frequency, n * kind))

        def entries(at: place.Coordinates) -> Array:
            t = np.asarray(at.tap if place.field(found, shape) else at.input)
            step = frequency[at.unit] * t.astype(frequency.dtype)
            step %= frequency.dtype.type(n)
            step += start[at.unit]
            values = turn[step]
            values *= window[t]
            return np.asarray(values)

        return place.evaluate(stream, shape, found, entries)

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of the entries."""
        sizes = as_shape(shape)
        found = Axes.of(axes, sizes)
        if not math.prod(sizes):
            return Moments(0.0, 0.0, 0.0, 0.0)
        units, n = self._read(found, sizes)
        window, turn, kind = self._tables(n, units, np.float64)
        t, total, square = np.arange(n), 0.0, 0.0
        for unit in range(units):
            f = unit - kind[unit] * (units // 2 if self.part == "both" else 0)
            values = turn[f * t % n + n * kind[unit]] * window
            total, square = total + values.sum(), square + (values**2).sum()
        mean = float(total) / (units * n)
        high = float(np.abs(window).max())
        return Moments(mean, math.sqrt(max(0.0, float(square) / (units * n) - mean**2)), -high, high)

    def coincidence(self, shape: tuple[int, ...], axes: AxesLike, one: float) -> float:
        """State that nothing is left to chance."""
        return 0.0
