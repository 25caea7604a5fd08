"""Work on several threads: every item once, and after an error nothing goes on."""

import threading
import time

import pytest

from symbreak._threads import share


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_every_item_is_done_once(threads, count):
    done = []
    share(done.append, iter(range(count)), threads)
    assert sorted(done) == list(range(count))


def test_threads_work_side_by_side_and_none_stays():
    both = threading.Barrier(3, timeout=30)
    share(lambda _: both.wait(), range(3), 3)
    assert not [thread for thread in threading.enumerate() if thread.name == "symbreak"]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_after_an_error_no_item_is_begun(threads, kind):
    begun = []

    def work(item):
        begun.append(item)
        if item == threads:
            raise kind(f"item {item}")
        time.sleep(0.01)

    with pytest.raises(kind, match=f"item {threads}"):
        share(work, range(500), threads)
    count = len(begun)
    assert count <= 3 * threads
    time.sleep(0.03)
    assert len(begun) == count
    assert not [thread for thread in threading.enumerate() if thread.name == "symbreak"]


def test_an_error_of_another_thread_is_raised_here():
    here, failed = threading.get_ident(), threading.Event()

    def work(_):
        if threading.get_ident() == here:
            assert failed.wait(30)
        else:
            failed.set()
            raise MemoryError("of the other")

    with pytest.raises(MemoryError, match="of the other"):
        share(work, range(2), 2)


def test_where_no_thread_is_to_be_had_those_that_began_are_waited_for(monkeypatch):
    start, done = threading.Thread.start, []

    def refuse(thread):
        if threading.active_count() > before:
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(item):
        time.sleep(0.02)
        done.append(item)

    before = threading.active_count()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        share(work, range(500), 3)
    count = len(done)
    time.sleep(0.05)
    assert len(done) == count <= 2


def test_an_interrupt_while_the_others_end_waits_for_them(monkeypatch):
    here, both, join, done = threading.get_ident(), threading.Barrier(2, timeout=30), threading.Thread.join, []

    def work(item):
        both.wait()  # so that each thread has one
        if threading.get_ident() != here:
            time.sleep(0.05)
            done.append(item)

    def interrupted(thread):
        monkeypatch.setattr(threading.Thread, "join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        share(work, range(2), 2)
    assert len(done) == 1


def test_the_error_of_this_thread_comes_before_that_of_another():
    here, both = threading.get_ident(), threading.Barrier(2, timeout=30)
    failed = threading.Event()

    def work(_):
        both.wait()
        if threading.get_ident() == here:
            assert failed.wait(30)
            raise KeyboardInterrupt
        failed.set()
        raise MemoryError("of the other")

    with pytest.raises(KeyboardInterrupt):
        share(work, range(2), 2)
