"""The peak memory of a fill beyond its output, in a fresh process, by the kernel's count of resident pages."""

import subprocess
import sys
from collections.abc import Iterator

from ._measure import Result

GOAL = 16 * 2**20  # bytes beyond the output
PROGRAM = """
import pathlib, sys
import numpy as np
import symbreak as sb

def status(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

init = eval(sys.argv[1], {name: getattr(sb, name) for name in dir(sb)})
init((4096, 64), 0)  # what is loaded and made once
out = np.zeros((8192, 4096), np.float32)
out.fill(1)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
before = status("VmRSS")
init.fill(out, 0, workers=2)
print(status("VmHWM") - before)
"""
CASES = ("Normal(0.02)", "Uniform()", "TruncatedNormal(0.02)", "TruncatedNormal(low=-3)")


def results() -> Iterator[Result]:
    """Yield one result an initializer; the ratio is the peak beyond the output, in MiB. Needs Linux's /proc."""
    if sys.platform != "linux":
        return
    for case in CASES:
        command = [sys.executable, "-c", PROGRAM, case]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        beyond = float(done.stdout) / 2**20
        name = f"memory beyond the output, {case}"
        yield Result(name, "MiB", beyond, 0.0, beyond, GOAL / 2**20, True, {"ours": [beyond]}, unit="MiB")
