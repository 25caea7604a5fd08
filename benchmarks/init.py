"""`symbreak init` of a model of 2 GB against filling its arrays and writing them, and its anonymous memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import symbreak as sb
from symbreak.cli import main

from ._measure import Result, Row, measure

WIDTH, LAYERS = 2048, 10  # 10 * 12 * 2048**2 values of 4 bytes: 2.01 GB
MOST = 200 * 10**6  # bytes of anonymous memory
PROGRAM = """
import pathlib, sys, threading, time
from symbreak.cli import main

def anonymous():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, anonymous())

thread = threading.Thread(target=watch)
thread.start()
main(sys.argv[1:])
done.set()
thread.join()
print(peak)
"""


def shapes() -> dict[str, tuple[int, int]]:
    """Give a transformer's matrices."""
    inner = {"qkv": (3, 1), "out": (1, 1), "up": (4, 1), "down": (1, 4)}
    return {f"{k}.{name}": (WIDTH * o, WIDTH * i) for k in range(LAYERS) for name, (o, i) in inner.items()}


def results() -> Iterator[Result]:
    """Yield the time, and the peak of anonymous memory in MB where Linux's /proc counts it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shapes.json").write_text(json.dumps(shapes()))
        (folder / "rules.json").write_text('{"rules": {"*": {"name": "normal", "std": 0.02}}}')
        out, plain = folder / "model.safetensors", folder / "plain"
        call = ["init", "--shapes", str(folder / "shapes.json"), "--rules", str(folder / "rules.json"), "-o", str(out)]

        def make_room() -> None:  # on a virtual disk, blocks that were written before cost half of new ones
            out.unlink(missing_ok=True)
            plain.unlink(missing_ok=True)

        def fill_and_write() -> None:
            make_room()
            key = sb.Key(0)
            with plain.open("wb") as file:
                for name, shape in shapes().items():
                    sb.Normal(0.02)(shape, key[name]).tofile(file)
                file.flush()
                os.fsync(file.fileno())

        def ours() -> None:
            make_room()
            main(call)

        yield measure(Row("symbreak init, 2 GB", "fill, write", ours, fill_and_write, 1.3, at_most=True, rounds=5))
        if sys.platform == "linux":
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, *call], check=True, capture_output=True, text=True
            ).stdout.split()
            peak = float(done[-1]) / 10**6
            name = "anonymous memory of symbreak init, 2 GB"
            yield Result(name, "MB", peak, 0.0, peak, MOST / 10**6, True, {"ours": [peak]}, unit="MB")
