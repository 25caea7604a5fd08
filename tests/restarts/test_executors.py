"""Whoever trains the batches, in whatever order they come, the result is the same; one who dies is told."""

import os
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import symbreak as sb

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


def run(**options):
    return sb.restarts([2, 4, 1], X, Y, **{"starts": 30, "steps": 20, "rng": 0, "batch": 7} | options)


def assert_same(a, b):
    for name in ("losses", "final_losses", "steps"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in a.parameters:
        np.testing.assert_array_equal(a.parameters[name], b.parameters[name])
        np.testing.assert_array_equal(a.final_parameters[name], b.final_parameters[name])


class Backwards(Executor):
    """Does the work here, the last that was submitted first, when somebody waits."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        self.waiting.append((future, function, args))
        if len(self.waiting) == 5:
            for each, work, given in reversed(self.waiting):
                each.set_result(work(*given))
        return future


def test_threads_change_nothing():
    with ThreadPoolExecutor(3) as executor:
        assert_same(run(executor=executor), run())
        assert_same(run(executor=executor, batch=None), run())


def test_processes_change_nothing():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert_same(run(executor=executor), run())


def test_the_order_in_which_batches_are_ready_changes_nothing():
    told = []
    assert_same(run(executor=Backwards(), progress=lambda done, of: told.append(done)), run())
    assert told[-1] == 30


class Dying(sb.Normal):
    """Ends its process when a worker draws it."""

    def sample(self, shape, stream, axes):
        if os.getpid() != PARENT:
            os._exit(3)
        return super().sample(shape, stream, axes)


PARENT = os.getpid()


def test_a_pool_whose_process_dies_is_told():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork" if os.name == "posix" else "spawn")) as executor,
        pytest.raises(RuntimeError, match=r"ProcessPoolExecutor, stopped with 0 of 5 batches trained: .*terminated"),
    ):
        run(executor=executor, init=Dying())


def test_an_executor_that_was_shut_down_is_told():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match=r"ThreadPoolExecutor, stopped with 0 of 5 .* after shutdown; start again"):
        run(executor=executor)


class Cancels(Executor):
    """Cancels all but the first two tasks, as a pool does that is shut down with `cancel_futures`."""

    def __init__(self):
        self.count = 0

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        self.count += 1
        if self.count <= 2:
            future.set_result(function(*args))
        else:
            future.cancel()
            future.set_running_or_notify_cancel()
        return future


def test_tasks_that_are_cancelled_are_told():
    with pytest.raises(RuntimeError, match=r"Cancels, stopped with \d of 5 batches trained: CancelledError"):
        run(executor=Cancels())


def test_an_error_of_a_worker_comes_through_and_the_rest_is_not_begun():
    begun = set()

    class Broken(sb.Normal):
        def sample(self, shape, stream, axes):
            begun.add(stream.key.path[0])
            if stream.key.path[0] == "8":
                raise ArithmeticError("no such number")
            return super().sample(shape, stream, axes)

    with ThreadPoolExecutor(1) as executor, pytest.raises(ArithmeticError, match="no such number"):
        run(executor=executor, init=Broken(), batch=1, starts=400)
    assert "7" in begun
    assert "399" not in begun
