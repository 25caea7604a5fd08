"""A reader in a child process: what goes wrong there becomes one sentence here, and nothing stays behind."""

import os
import re
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
