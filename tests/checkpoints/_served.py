"""What a child process serves in the tests: the file's own bytes, or the fault that its options name."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path


def serve(file, options):
    return Served(file, options.get("what", "bytes"))


class Served:
    def __init__(self, file, what):
        self.file, self.what = file, what

    def describe(self):
        fault = FAULTS.get(self.what)
        return {"answer": fault() if fault else self.what, "size": self.file.seek(0, os.SEEK_END)}

    def read(self, name):
        if name == "endless":
            while True:
                yield bytes(1 << 20)
        if self.what == "work a second":
            while time.process_time() < 2:
                pass
        if name == "too large":
            raise MemoryError
        if name == "no such":
            raise KeyError(name)
        self.file.seek(0)
        while piece := self.file.read(300):
            yield piece
            if name == "crash halfway":
                os.kill(os.getpid(), signal.SIGSEGV)


def spin():
    while True:
        pass


def fill():
    return len(bytearray(8 << 30))


def refuse():
    raise ValueError("the library's \x1b[31mreason")


def tell():
    raise KeyError("the key that is not there")


def say():
    print("a library talks to stdout")
    os.write(1, b"and to the descriptor")
    return "quiet"


def babble():
    """Send frames of our own making to where the answers go."""
    answers = next(fd for fd in range(3, 64) if fd != int(sys.argv[2]) and _is_pipe(fd))
    os.write(answers, b"?" * 100)
    time.sleep(600)


def _is_pipe(fd):
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


FAULTS = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": lambda: os._exit(3),
    "open": lambda: Path("/etc/hostname").read_text(),
    "write": lambda: os.write(os.memfd_create("x"), bytes(10)),
    "start": lambda: subprocess.run(["true"], check=True),
    "spin": spin,
    "hang": lambda: time.sleep(600),
    "fill": fill,
    "refuse": refuse,
    "tell": tell,
    "say": say,
    "babble": babble,
}
