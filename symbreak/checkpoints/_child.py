"""Readers that rest on a C library run in a process of their own, with limits, and are not trusted.

A malformed file can crash such a library, make it hang, or fill the memory. So a child process reads the file: what
goes wrong there ends the child, and here it becomes one sentence. The child is given the open file; once its modules
are loaded it may open no other, write none, start no process, and use only so much memory and time. What it answers is
checked as if a stranger had sent it.

The child is a module with one function, ``serve(file, options)``, which returns an object with ``describe()``, a JSON
object, and ``read(name)``, the values' bytes in C order, piece by piece.
"""

import importlib
import json
import math
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from io import SEEK_CUR, SEEK_END, SEEK_SET, FileIO, RawIOBase
from pathlib import Path
from types import ModuleType
from typing import Protocol, final

from symbreak._visible import visible
from symbreak.checkpoints._json import LARGEST, parse_object
from symbreak.checkpoints._source import TRUNCATED, Source

FRAME = struct.Struct("<cQ")  # kind, bytes that follow
DESCRIPTION, PIECE, END, FAULT = b"D", b"P", b"E", b"F"
MOST_PIECE = 1 << 26  # bytes of one piece; what the child's reader gives is cut into such
MOST_FAULT = 1 << 16  # bytes of an error's text
PATIENCE = 60.0  # seconds without a byte from the child before it is given up
MEMORY = 2 << 30  # bytes that the child may ask for beyond what it has when its modules are loaded
PROCESSOR = 600  # seconds of processor time,
DESCRIBING = 8  # and as many of them for saying what the file holds
OUTDATED = "it is damaged or made to do harm: save it again with the library that wrote it"


class Served(Protocol):
    """What a child's module serves."""

    def describe(self) -> Mapping[str, object]:
        """Return what the file holds, ready for JSON."""

    def read(self, name: str) -> Iterable[bytes | memoryview]:
        """Yield the bytes of one tensor, in C order."""


@final
class Child:
    """A file as a child process reads it.

    Parameters
    ----------
    source
        The file.
    module
        The child's module.
    begin, size
        The part of the file that the child is given; all of it by default.
    options
        What its `serve` is told besides, ready for JSON.
    memory
        Bytes that it may ask for.
    opened
        Gives a handle of the file that the child is given, if it is not that of `source`.
    """

    def __init__(
        self,
        source: Source,
        module: str,
        *,
        begin: int = 0,
        size: int | None = None,
        options: Mapping[str, object] | None = None,
        memory: int = MEMORY,
        opened: Callable[[], int] | None = None,
    ) -> None:
        self._source = source
        self._reopen = opened or source.reopen
        window = [begin, source.size - begin if size is None else size]
        if opened is None:
            source.check(window[0], window[1], "the part to be read")
        self._order = json.dumps([sys.path, module, window, dict(options or {}), memory, DESCRIBING])
        self._idle: list[subprocess.Popen[bytes]] = []  # each serves one request at a time
        self._closed = False

    def describe(self) -> dict[str, object]:
        """Return what the child says that the file holds.

        Raises
        ------
        BadCheckpoint
            The file is malformed, or reading it crashed, took too long or too much memory.
        """
        (text,) = self._ask(None)
        return parse_object(self._source, text, "what was read of the file")

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of one tensor as the child sends them.

        Raises
        ------
        BadCheckpoint
            As for `describe`.
        """
        return self._ask(name)

    def close(self) -> None:
        """End the child."""
        self._closed = True
        while self._idle:
            _end(self._idle.pop())

    def _ask(self, name: str | None) -> Iterator[bytes]:
        try:
            process = self._idle.pop()
        except IndexError:  # none is idle, or another thread was first
            process = self._start()
        whole = False
        try:
            with suppress(BrokenPipeError):  # it has ended; its answer, or none, says why
                assert process.stdin is not None  # noqa: S101 - it is a pipe
                process.stdin.write(json.dumps(name).encode() + b"\n")
                process.stdin.flush()
            yield from self._answer(process, DESCRIPTION if name is None else PIECE)
            whole = not self._closed
        finally:
            if whole:
                self._idle.append(process)
            else:
                _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        handle = self._reopen()
        given = str(handle) if os.name == "posix" else self._source.path  # elsewhere a handle can't be passed on
        # -P and the paths of this process: a module that lies in the current folder is not taken for one of ours.
        start = "import json, sys; sys.path[:] = json.loads(sys.argv[1])[0]; from symbreak.checkpoints import _child; "
        command = [sys.executable, "-P", "-c", start + "_child.main()", self._order, given]
        try:
            return subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(handle,) if os.name == "posix" else (),
                start_new_session=True,  # Ctrl-C is for the parent, which ends its children
            )
        finally:
            os.close(handle)

    def _answer(self, process: subprocess.Popen[bytes], wanted: bytes) -> Iterator[bytes]:
        """Yield the frames of one answer; each is checked before it is waited for."""
        while True:
            kind, size = FRAME.unpack(self._take(process, FRAME.size))
            most = {PIECE: MOST_PIECE, DESCRIPTION: LARGEST, FAULT: MOST_FAULT, END: 0}.get(kind, -1)
            if size > most or kind not in (wanted, END, FAULT):
                raise self._source.bad("the process that reads it answered with nonsense", OUTDATED)
            if kind == END:
                return
            data = self._take(process, size)
            if kind == FAULT:
                problem = visible(data.decode("utf-8", "replace"), 500)
                raise self._source.bad(problem, *([TRUNCATED] if "truncated" in problem else []))
            yield data

    def _take(self, process: subprocess.Popen[bytes], size: int) -> bytes:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        out = bytearray()
        while len(out) < size:
            if os.name == "posix" and not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise self._source.bad(f"reading it came to nothing for {PATIENCE:g} seconds", OUTDATED)
            data = os.read(process.stdout.fileno(), min(size - len(out), 1 << 20))
            if not data:
                raise self._source.bad(f"the process that reads it {_how(process)}", OUTDATED)
            out += data
        return bytes(out)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    process.wait()


def _how(process: subprocess.Popen[bytes]) -> str:
    """Say how a child ended."""
    code = process.wait()
    if code >= 0:
        return f"ended with code {code}"
    import signal

    try:
        name = signal.Signals(-code).name
        return "used up its processor time" if name == "SIGXCPU" else f"was ended by {name}"
    except ValueError:
        return f"was ended by signal {-code}"


# What follows runs in the child.


def main() -> None:
    """Serve one file: the paths, module, window, options and limits, and the open file, are in the arguments."""
    _, name, (begin, size), options, memory, describing = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    file = FileIO(int(sys.argv[2]) if os.name == "posix" else sys.argv[2])
    module = importlib.import_module(name)
    served: Served | None = None
    limited = False
    for line in sys.stdin.buffer:
        try:
            if not limited:
                _limit(memory)
                limited = True
            if served is None:
                _allow(describing)  # opening the file is a part of it
                served = _serve(module, Window(file, begin, size), options)
            wanted = json.loads(line)
            _allow(describing if wanted is None else PROCESSOR)
            if wanted is None:
                _send(answers, DESCRIPTION, json.dumps(served.describe()).encode())
            else:
                for piece in served.read(wanted):
                    flat = memoryview(piece).cast("B")
                    for low in range(0, len(flat), MOST_PIECE):
                        _send(answers, PIECE, flat[low : low + MOST_PIECE])
            _send(answers, END, b"")
        except MemoryError:
            _send(answers, FAULT, f"reading it takes more than {memory:,} bytes of memory".encode())
        except BrokenPipeError:
            return
        except Exception as error:
            _send(answers, FAULT, _text(error).encode("utf-8", "replace")[:MOST_FAULT])


def _serve(module: ModuleType, file: "Window", options: Mapping[str, object]) -> Served:
    served: Served = module.serve(file, options)
    return served


def _text(error: Exception) -> str:
    text = str(error).strip()
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _send(answers: RawIOBase, kind: bytes, data: bytes | memoryview) -> None:
    rest = memoryview(FRAME.pack(kind, len(data)))
    for part in (rest, memoryview(data)):
        while part:
            part = part[answers.write(part) or 0 :]


def _limit(memory: int) -> None:
    """Set the limits, where the system has them: no further file, nothing written, so much memory and time."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: PROCESSOR,
        resource.RLIMIT_NPROC: 0,
    }
    with suppress(OSError, ValueError):  # elsewhere than on Linux
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory
    for kind, limit in limits.items():
        with suppress(OSError, ValueError):
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (limit, limit) if hard == resource.RLIM_INFINITY else (min(limit, hard),) * 2)


def _allow(seconds: float) -> None:
    """Allow so much processor time from now on, within the limit: a loop in a library ends with it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    end = math.ceil(time.process_time() + seconds)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))


@final
class Window(RawIOBase):
    """A part of an open file, as a file that can only be read."""

    def __init__(self, file: FileIO, begin: int, size: int) -> None:
        self._file, self._begin, self._size, self._at = file, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        at = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence] + offset
        if at < 0:
            raise OSError(22, "a place before the file's first byte")
        self._at = at
        return at

    def readinto(self, buffer: object) -> int:
        """Fill the buffer as far as the part reaches, and return how many bytes that were."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        view = view[: max(0, self._size - self._at)]
        if hasattr(os, "preadv"):  # handles of one file share their place
            got = os.preadv(self._file.fileno(), [view], self._begin + self._at) if view else 0
        else:
            self._file.seek(self._begin + self._at)
            got = self._file.readinto(view) or 0
        self._at += got
        return got
