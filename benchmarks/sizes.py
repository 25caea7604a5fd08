"""What fills, scans and certificates cost against the size of the weights, and the machine's own limits beside them.

Curves, not ratios: `python -m benchmarks sizes` adds them to the file, for the picture on the page of benchmarks.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import symbreak as sb
from symbreak.diagnosis import find_ties

from ._measure import Action, have, seconds

WORKERS = 2
SIDES = (64, 128, 256, 512, 1024, 2048, 4096)  # of square float32 weights: 16 KiB to 64 MiB
LAYERS = 4  # of a certificate, together as large as one weight of the side
LEAST = 0.02  # seconds that a sample takes, in calls repeated for small sizes


@dataclass(frozen=True)
class Curve:
    """Seconds against bytes, in the order of the sizes."""

    name: str
    group: str  # "fills", "scans", "certificates": which of the pictures
    limit: bool  # what the machine can do, not what is done
    bytes: list[int]
    seconds: list[float]


def curves(rounds: int = 5, sides: tuple[int, ...] = SIDES) -> Iterator[Curve]:
    """Yield the curves: medians of some rounds, each of at least a few milliseconds of calls."""
    for group, cases in (("fills", fills()), ("scans", scans()), ("certificates", certificates())):
        for name, (limit, make) in cases.items():
            taken = [timed(make(side), rounds) for side in sides]
            yield Curve(name, group, limit, [4 * side * side for side in sides], taken)


def timed(action: Action, rounds: int) -> float:
    """Give the median time of a call, after one to warm up."""
    action()
    calls = max(1, round(LEAST / max(seconds(action), 1e-9)))

    def sample() -> float:
        return seconds(lambda: [action() for _ in range(calls)]) / calls

    return statistics.median(sample() for _ in range(rounds))


Cases = dict[str, tuple[bool, Callable[[int], Action]]]


def fills() -> Cases:
    """Give what fills an array that exists, and writing it once: the limit of memory."""

    def ours(init: sb.AbstractInitializer) -> Callable[[int], Action]:
        def make(side: int) -> Action:
            out, key = np.ones((side, side), np.float32), sb.Key(0)["w"]
            return lambda: init.fill(out, key, workers=WORKERS)

        return make

    def write(side: int) -> Action:
        out = np.ones((side, side), np.float32)
        return lambda: out.fill(0.5)

    def numpy(side: int) -> Action:
        out, generator = np.ones((side, side), np.float32), np.random.default_rng(0)
        return lambda: generator.standard_normal(dtype=np.float32, out=out)

    found: Cases = {
        "normal": (False, ours(sb.Normal(0.02))),
        "uniform": (False, ours(sb.Uniform())),
        "truncated normal": (False, ours(sb.TruncatedNormal(0.02))),
        "orthogonal": (False, ours(sb.Orthogonal())),
        "normal, NumPy's Generator": (False, numpy),
        "writing once (memory)": (True, write),
        "4/3 n³ flops at the rate of sgemm": (True, flops),
    }
    if have("torch"):
        import torch

        torch.set_num_threads(WORKERS)

        def theirs(side: int) -> Action:
            tensor = torch.ones((side, side))
            return lambda: torch.nn.init.normal_(tensor, 0, 0.02)

        found["normal, torch.nn.init"] = (False, theirs)
    return found


def flops(side: int) -> Action:
    """Multiply n x n matrices, of a third of the columns: the 4/3 n^3 flops that an orthogonal weight takes."""
    left, right = np.ones((side, side), np.float32), np.ones((side, round(side * 2 / 3)), np.float32)
    out = np.empty((side, round(side * 2 / 3)), np.float32)
    return lambda: np.matmul(left, right, out=out)


def scans() -> Cases:
    """Give what looks for equal units of one weight, and reading it once: the limit of memory."""

    def weight(side: int) -> np.ndarray:
        return sb.Normal()((side, side), sb.Key(0)["w"])

    def unique(side: int) -> Action:
        w = weight(side)
        return lambda: np.unique(w, axis=0)

    def ours(side: int) -> Action:
        w = weight(side)
        return lambda: find_ties(w, workers=WORKERS)

    def judged(side: int) -> Action:
        w = weight(side)
        return lambda: sb.diagnose(w)

    def read(side: int) -> Action:
        w = weight(side)
        return w.sum

    return {
        "find_ties": (False, ours),
        "diagnose of one weight": (False, judged),
        "np.unique(axis=0)": (False, unique),
        "reading once (memory)": (True, read),
    }


def certificates() -> Cases:
    """Give the certificate of a chain of layers, without ties and all tied, and reading its weights once."""

    def weights(side: int) -> list[np.ndarray]:
        return [sb.HeNormal()((side // 2, side // 2), sb.Key(0)[f"layers.{n}"]) for n in range(LAYERS)]

    def ours(tied: bool) -> Callable[[int], Action]:
        def make(side: int) -> Action:
            arrays = [np.full_like(w, 0.5) if tied else w for w in weights(side)]
            net = sb.chain([(w, np.zeros(len(w), np.float32)) for w in arrays])
            return lambda: sb.diagnose(net, workers=WORKERS)

        return make

    def read(side: int) -> Action:
        arrays = weights(side)
        return lambda: [w.sum() for w in arrays]

    return {
        "no ties": (False, ours(tied=False)),
        "all units tied": (False, ours(tied=True)),
        "reading once (memory)": (True, read),
    }
