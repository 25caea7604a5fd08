"""Weights whose scale is far from what their fans call for, layer after layer (SB109).

Behind a layer whose weights have standard deviation s, a signal is about s sqrt(fan_in) times as large. Every start in
use keeps that factor near one: 0.58 for PyTorch's linear layers, 1 for LeCun's and Glorot's, 1.41 for He's, 0.55 and up
for GPT-2's 0.02 at widths from 768 on. A rule must leave alone what works for another reason:

- behind a norm the scale of a weight does not reach the next layer, so files with the scale or the statistics of a norm
  are not judged;
- SIREN [1] starts its layers at 1.41 / 30, because its sines multiply by 30;
- names say where a factor is kept elsewhere: weight normalization, low-rank pairs, the equalized rates of StyleGAN;
- integers and 8-bit floats have scales of their own;
- a single small weight is a start of its own kind: the last layer of a policy, a residual branch.

So a weight counts as far off below 1/32 or above 14.1 (ten times He's), by whichever of its fans is nearer to that; and
it is reported when at least three weights in a row do, on one side, and they are half of all weights or more. Then a
signal is changed by a factor of 30,000 or 2,800 at least.

[1] Sitzmann et al. "Implicit neural representations with periodic activation functions". :arxiv:`2006.09661`, section
3.2.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from symbreak.findings import Finding
from symbreak.reports import visible

from ._names import is_copy, is_norm, parts, words
from ._sketch import PIECE, Sketch, Source
from ._units import unit_axes

SMALL, LARGE = 1 / 32, 10 * 2**0.5
RUN = 3  # weights in a row
ELSEWHERE = ("weight_v", "weight_g", "original0", "original1", "weight_orig")  # the last parts of names
EMBEDDINGS = frozenset({"embed", "embedding", "embeddings", "emb", "wte", "wpe"})
NAMES = EMBEDDINGS | frozenset({"lora", "loha", "lokr", "style", "synthesis", "mapping", "torgb", "noise", "equalized"})
FLOATS = ("float16", "float32", "float64", "bfloat16")


def judge_scale(source: Source, sketches: Mapping[str, Sketch]) -> list[Finding]:
    """Report runs of weights through which signals vanish or explode."""
    if any(is_norm(name) for name in source.arrays):
        return []
    factors: dict[str, tuple[float, float]] = {}
    for name, sketch in sketches.items():
        if (found := _fans(name, sketch)) is not None:
            factors[name] = found
    sides = {name: _side(sketches[name].std, *fans) for name, fans in factors.items()}
    findings = []
    for side, run in itertools.groupby(sides, sides.__getitem__):
        names = list(run)
        if side and len(names) >= RUN and 2 * len(names) >= len(sides):
            findings += _verified(source, names, side, factors)
    return findings


def _fans(name: str, sketch: Sketch) -> tuple[float, float] | None:
    """Give the square roots of the smaller and the larger fan of a weight; None if it doesn't count."""
    shape = sketch.shape
    axes = unit_axes(shape)
    if len(axes) != 2 or sketch.dtype not in FLOATS or not sketch.drawn:
        return None
    every = words(name)
    if is_copy(name) or parts(name)[-1] in ELSEWHERE or not every.isdisjoint(NAMES):
        return None
    size = float(np.prod(shape))
    low, high = sorted((size / shape[axis]) ** 0.5 for axis in axes)
    return low, high


def _side(std: float, low: float, high: float) -> int:
    return -1 if std * high < SMALL else 1 if std * low > LARGE else 0


def _verified(source: Source, names: list[str], side: int, factors: Mapping[str, tuple[float, float]]) -> list[Finding]:
    """Look at every value of a run of weights whose first values are far off."""
    stds = {}
    for name in names:
        try:
            stds[name] = _std(source, name)
        except source.errors:
            return []
    if any(_side(std, *factors[name]) != side for name, std in stds.items()):
        return []
    nearest = 1 if side < 0 else 0
    gains = [std * factors[name][nearest] for name, std in stds.items()]
    low, high = (f"{each:.2g}" for each in (min(gains), max(gains)))
    each = low if low == high else f"{low} to {high}"
    powers = float(np.log10(gains).sum())
    verb, sign = ("vanish", "") if side < 0 else ("explode", "+")
    text = (
        f"through {len(names)} weights in a row, {visible(names[0])} to {visible(names[-1])}, signals {verb}: their "
        f"standard deviations times the square roots of their fans are {each} where about 1 is called for, "
        f"a factor of 1e{sign}{powers:.0f} in all"
    )
    return [Finding.of("SB109", names[0], text)]


def _std(source: Source, name: str) -> float:
    count, total, squares = 0, 0.0, 0.0
    for piece in source.pieces(name, PIECE):
        values = np.asarray(piece, np.float64)
        count, total, squares = count + values.size, total + float(values.sum()), squares + float((values**2).sum())
    mean = total / count
    return float(np.sqrt(max(squares / count - mean * mean, 0.0)))
