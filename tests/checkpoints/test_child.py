"""A reader in a child process: what goes wrong there becomes one sentence here, and nothing stays behind."""

import io
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from symbreak.checkpoints import _child
from symbreak.checkpoints._child import Child
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint

MODULE = "tests.checkpoints._served"
CONTENT = bytes(range(256)) * 10


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    with Source(path) as opened:
        yield opened


@pytest.fixture
def child(source):
    made = []

    def make(what="bytes", **options):
        made.append(Child(source, MODULE, options={"what": what}, **options))
        return made[-1]

    yield make
    for child in made:
        child.close()


def test_what_the_child_reads_is_the_file(child):
    assert b"".join(child().read("all")) == CONTENT


@pytest.mark.parametrize(("begin", "size"), [(0, 10), (100, 1000), (2550, 10), (2560, 0)])
def test_the_child_is_given_a_part_of_the_file(child, begin, size):
    part = child(begin=begin, size=size)
    assert part.describe()["size"] == size
    assert b"".join(part.read("all")) == CONTENT[begin : begin + size]


def test_a_part_beyond_the_file_is_refused_before_a_process_starts(child):
    with pytest.raises(BadCheckpoint, match="should take 2,561 bytes"):
        child(begin=0, size=2561)


FAULTS = {
    "crash": "the process that reads it was ended by SIGSEGV; it is damaged or made to do harm",
    "exit": "the process that reads it ended with code 3",
    "open": r"Too many open files",
    "write": r"Too many open files|File too large|SIGXFSZ",
    "start": r"Too many open files|Resource temporarily unavailable",
    "fill": "reading it takes more than 1,073,741,824 bytes of memory",
    "refuse": r"the library's \\x1b\[31mreason",
    "tell": "KeyError: 'the key that is not there'",
    "babble": "the process that reads it answered with nonsense",
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_in_the_child_is_one_sentence(child, source, what):
    with pytest.raises(BadCheckpoint, match=FAULTS[what]) as caught:
        child(what, memory=1 << 30).describe()
    assert str(caught.value).startswith(source.path)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_library_prints_is_no_answer(child):
    assert child("say").describe()["answer"] == "quiet"


def test_a_child_that_does_nothing_is_given_up(child, monkeypatch):
    monkeypatch.setattr(_child, "PATIENCE", 1.0)
    start = time.monotonic()
    with pytest.raises(BadCheckpoint, match="reading it came to nothing for 1 seconds"):
        child("hang").describe()
    assert time.monotonic() - start < 60


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there is no such limit")
def test_a_child_that_describes_without_end_uses_up_its_processor_time(child, monkeypatch):
    monkeypatch.setattr(_child, "DESCRIBING", 1)
    with pytest.raises(BadCheckpoint, match="the process that reads it used up its processor time; it is damaged"):
        child("spin").describe()
    assert b"".join(child("work a second").read("all")) == CONTENT  # values may take longer


def test_a_crash_halfway_is_an_error_and_not_a_short_answer(child):
    with pytest.raises(BadCheckpoint, match="SIGSEGV"):
        list(child().read("crash halfway"))


def test_after_a_crash_the_next_request_is_answered(child):
    part = child()
    with pytest.raises(BadCheckpoint):
        list(part.read("crash halfway"))
    assert b"".join(part.read("all")) == CONTENT


def test_one_process_answers_one_request_after_the_other(child):
    part = child()
    for _ in range(3):
        list(part.read("all"))
    assert len(part._idle) == 1


def test_two_requests_at_once_do_not_mix(child):
    part = child()
    pairs = list(zip(part.read("a"), part.read("b"), strict=True))
    assert b"".join(first for first, _ in pairs) == b"".join(second for _, second in pairs) == CONTENT


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="there, handles are not doubled")
def test_reading_a_part_does_not_move_the_place_of_the_handle(source):
    """A file that was unpacked has no path, so its handle is doubled, and its readers must not move one another."""
    with open(source.path, "rb", buffering=0) as file:  # noqa: PTH123 - as it is handed over
        part = _child.Window(file, 100, 50)
        assert part.read(20) + part.read() == CONTENT[100:150]
        assert (part.tell(), file.tell()) == (50, 0)


def test_a_handle_of_another_file_may_be_given(child, tmp_path):
    (tmp_path / "other").write_bytes(b"other")
    part = child(opened=lambda: os.open(tmp_path / "other", os.O_RDONLY), size=5)
    assert b"".join(part.read("a")) == b"other"


def test_threads_may_ask_at_once(child):
    part = child()
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda name: b"".join(part.read(name)), "abcdefgh" * 5)
    assert set(answers) == {CONTENT}


def test_a_thread_that_finds_the_idle_process_taken_starts_another(child):
    class Taken(list):
        def __bool__(self):
            return True

    part = child()
    part._idle = Taken()  # it looks as if one were idle, and none is
    assert b"".join(part.read("a")) == CONTENT
    part._idle = list(part._idle)


def test_an_answer_that_is_dropped_ends_its_process(child):
    part = child()
    endless = part.read("endless")
    next(endless)
    endless.close()
    assert part._idle == []
    assert b"".join(part.read("all")) == CONTENT


def test_closing_leaves_no_process(child):
    part = child()
    part.describe()
    (process,) = part._idle
    part.close()
    assert process.poll() is not None


def test_a_file_that_was_replaced_is_refused(child, source):
    _other(source.path).replace(source.path)
    with pytest.raises(BadCheckpoint, match="was replaced while it was read; try again when nothing writes to it"):
        child().describe()


def test_a_file_that_became_shorter_is_refused(child, source):
    os.truncate(source.path, 100)
    with pytest.raises(BadCheckpoint, match="was replaced while it was read"):
        child().describe()


def _other(path):
    other = Path(path + ".new")
    other.write_bytes(CONTENT)
    return other


def test_a_module_in_the_current_folder_is_not_run(child, tmp_path, monkeypatch):
    for name in ("json", "numpy", "symbreak", "select"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(7)")
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch("bytes", child().describe()["answer"])


# What follows runs the child's half without its limits.

UNLIMITED = f"""
import sys
sys.path[:] = {sys.path!r}
from symbreak.checkpoints import _child
_child._limit = _child._allow = lambda asked: None
_child.MOST_PIECE = 100
_child.main()
"""


@pytest.fixture
def unlimited(source):
    """Start the child's half alone, on bytes 10 to 1,010 of the file."""
    started = []

    def start(what="bytes"):
        order = json.dumps([[], MODULE, [10, 1000], {"what": what}, 1 << 30, 1])
        with open(source.path, "rb") as file:  # noqa: PTH123 - as it is handed over
            command = [sys.executable, "-c", UNLIMITED, order, str(file.fileno())]
            pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
            started.append(subprocess.Popen(command, **pipes, pass_fds=(file.fileno(),)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _frames(answer):
    found = []
    while answer:
        kind, size = _child.FRAME.unpack_from(answer)
        found.append((kind, answer[_child.FRAME.size : _child.FRAME.size + size]))
        answer = answer[_child.FRAME.size + size :]
    return found


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a handle can't be passed on")
def test_one_child_answers_all_requests_and_goes_on_after_what_fails(unlimited):
    requests = ["all", None, "too large", "no such", "all"]
    answer, _ = unlimited().communicate("".join(json.dumps(each) + "\n" for each in requests).encode())
    content = CONTENT[10:1010]
    read = [*((_child.PIECE, content[low : low + 100]) for low in range(0, 1000, 100)), (_child.END, b"")]
    assert _frames(answer) == [
        *read,
        (_child.DESCRIPTION, b'{"answer": "bytes", "size": 1000}'),
        (_child.END, b""),
        (_child.FAULT, b"reading it takes more than 1,073,741,824 bytes of memory"),
        (_child.FAULT, b"KeyError: 'no such'"),
        *read,
    ]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a handle can't be passed on")
def test_a_child_that_nobody_listens_to_any_more_ends_in_peace(unlimited):
    process = unlimited()
    process.stdout.close()
    process.stdin.write(b'"endless"\n')
    process.stdin.flush()
    assert process.wait(60) == 0


@pytest.mark.parametrize(
    "wrote",
    [lambda size: min(size, 3), lambda size: size, lambda size: None if size % 2 else 1],
    ids=["three at a time", "at once", "a full pipe now and then"],
)
def test_what_is_sent_arrives_whole_however_little_is_taken_at_once(wrote):
    class Narrow(io.RawIOBase):
        taken, calls = b"", 0

        def write(self, data):
            self.calls += 1
            some = wrote(self.calls) if wrote(2) == 1 else wrote(len(data))
            self.taken += bytes(data[: some or 0])
            return some

    answers = Narrow()
    _child._send(answers, _child.PIECE, memoryview(b"what a reader gives"))
    _child._send(answers, _child.END, b"")
    assert _frames(answers.taken) == [(_child.PIECE, b"what a reader gives"), (_child.END, b"")]


@pytest.mark.parametrize("least", [True, False], ids=["with preadv", "without"])
def test_a_part_of_a_file_is_read_as_a_file_of_its_own(source, monkeypatch, least):
    if not least:
        monkeypatch.delattr(os, "preadv", raising=False)
    whole = io.BytesIO(CONTENT[100:150])
    with open(source.path, "rb", buffering=0) as file:  # noqa: PTH123 - as it is handed over
        part = _child.Window(file, 100, 50)
        assert (part.readable(), part.seekable(), part.writable()) == (True, True, False)
        for offset, whence, size in [
            (0, 0, 20),
            (5, 1, 10),
            (-7, 2, 20),
            (45, 0, 100),
            (70, 0, 9),
            (-1, 1, 9),
            (0, 0, -1),
        ]:
            got, wanted = [], []
            for one, found in ((part, got), (whole, wanted)):
                found += [one.seek(offset, whence), one.read(size), one.tell()]
            assert got == wanted
        with pytest.raises(OSError, match="a place before the file's first byte"):
            part.seek(-1)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there are no such limits")
def test_the_limits_are_asked_for_and_none_is_raised(monkeypatch):
    """A limit that the system refuses is left as it is, and the others are set all the same."""
    import resource

    given = {resource.RLIMIT_NOFILE: 100, resource.RLIMIT_CPU: 50}
    asked = {}

    def setrlimit(kind, limits):
        if kind == resource.RLIMIT_CORE:
            raise ValueError("not allowed to raise maximum limit")
        asked[kind] = limits

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, given.get(kind, resource.RLIM_INFINITY)))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    _child._limit(1 << 20)
    memory = asked.pop(resource.RLIMIT_AS, None)
    assert asked == {
        resource.RLIMIT_NOFILE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CPU: (50, 50),
        resource.RLIMIT_NPROC: (0, 0),
    }
    if Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        assert memory[0] == memory[1] == pytest.approx(pages * resource.getpagesize() + (1 << 20), rel=0.5)
