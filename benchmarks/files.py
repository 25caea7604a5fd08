"""Checking saved files: against summing their values through a memory map, and from the start of a process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import symbreak as sb
from symbreak.checkpoints import save_safetensors

from ._measure import Result, Row, compiled, measure, seconds

LAYERS = {
    "q": (2048, 2048),
    "k": (2048, 2048),
    "v": (2048, 2048),
    "o": (2048, 2048),
    "up": (8192, 2048),
    "norm": (2048,),
}
SIZE = 2 << 30  # bytes
ANONYMOUS = "RssAnon:"


def results() -> Iterator[Result]:
    """Yield the results: large files side by side in this process, small ones as whole processes."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _large(Path(folder))
        yield from _small(Path(folder))


def _large(folder: Path) -> Iterator[Result]:
    path, tensors, size = folder / "large.safetensors", {}, 0
    while size < SIZE:
        for name, shape in LAYERS.items():
            weight = sb.Normal(std=0.02)(shape, sb.Key(0)[f"{len(tensors)}"])
            tensors[f"layers.{len(tensors)}.{name}.weight"] = weight
            size += weight.nbytes
    save_safetensors(path, tensors)
    del tensors
    begin = 8 + int.from_bytes(_head(path), "little")

    def add() -> object:
        return np.memmap(path, np.float32, "r", begin).sum()

    def check() -> None:
        if not sb.diagnose(path).ok:
            raise AssertionError("random weights are not tied")

    yield measure(Row(f"check {size / 1e9:.1f} GB", "memmap.sum()", check, add, 1 / 0.6, at_most=True))
    memory = _anonymous(path)
    yield Result(f"check {size / 1e9:.1f} GB, anonymous", "-", memory, 0, memory, 300.0, True, {}, "MB")
    path.unlink()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _anonymous(path: Path) -> float:
    """Measure the largest anonymous memory of a process that checks a file, in MB; it looks often."""
    process = subprocess.Popen([sys.executable, "-m", "symbreak", "check", path], stdout=subprocess.DEVNULL)
    largest = 0.0
    while process.poll() is None:
        largest = max(largest, sum(map(_anonymous_now, [process.pid, *_children(process.pid)])))
        time.sleep(0.002)
    return largest


def _children(process: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _anonymous_now(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(ANONYMOUS))


def _small(folder: Path) -> Iterator[Result]:
    random = np.random.default_rng(0)
    save_safetensors(folder / "one.safetensors", {"w": random.standard_normal((512, 512), np.float32)})
    shapes = {"weight": (32, 16), "bias": (32,), "conv": (8, 4, 3, 3)}
    many = {
        f"{i}.{name}": random.standard_normal(shape, np.float32) for i in range(1000) for name, shape in shapes.items()
    }
    save_safetensors(folder / "many.safetensors", many)
    for name, file, goal in (("start and check 1 MB", "one", 0.4), ("start and check 3,000 tensors", "many", 2.0)):
        with compiled() as environment:
            samples = [_process(folder / f"{file}.safetensors", environment) for _ in range(10)][1:]  # one compiles
        middle = sorted(samples)[len(samples) // 2]
        yield Result(name, "-", middle, 0, middle, goal, True, {"ours": samples})


def _process(path: Path, environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", "symbreak", "check", os.fspath(path)]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))
