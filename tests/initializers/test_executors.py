"""Filling on the workers of any executor, and Dask arrays: the same bits, however the weight is cut and where."""

import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.initializers._executor import AHEAD, Mapped

KEY = sb.Key(7)["w"]
SHAPE = (2100, 1100)  # several parts


class Inline(Executor):
    """Runs at once, and counts what it is given."""

    def __init__(self):
        self.given = []

    def submit(self, fn, /, *args, **kwargs):
        self.given.append((fn, args))
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # as an executor does
            future.set_exception(error)
        return future


class Slow(sb.AbstractInitializer):
    """Fails on one part while others are in work."""

    started = threading.Event()

    def sample(self, shape, stream, axes):
        values = stream.normal(shape)
        if stream.window.starts[0] == 0:
            self.started.wait(10)
            raise RuntimeError("no first part")
        self.started.set()
        threading.Event().wait(0.2)
        return values


class Dies(sb.AbstractInitializer):
    """Takes its process down."""

    def sample(self, shape, stream, axes):
        os.kill(os.getpid(), signal.SIGKILL)
        return stream.normal(shape)


@pytest.fixture(scope="module")
def processes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(sb.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[2]}")
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            yield pool


def targets(folder, dtype=np.float32):
    yield np.zeros(SHAPE, dtype)
    yield np.zeros(SHAPE[::-1], dtype).T
    yield np.zeros((2 * SHAPE[0], SHAPE[1] + 5), dtype)[::-2, 5:]
    yield np.zeros(SHAPE, np.dtype(dtype).newbyteorder("S"))
    yield np.memmap(folder / "a.bin", dtype, "w+", 64, SHAPE)
    yield np.lib.format.open_memmap(folder / "a.npy", "w+", dtype, SHAPE, fortran_order=True)
    yield np.memmap(folder / "b.bin", dtype, "w+", 4096 + 12, (3, *SHAPE))[1]
    yield np.memmap(folder / "c.bin", dtype, "w+", 4, (SHAPE[0], 2 * SHAPE[1]))[::-1, ::2]


@pytest.mark.parametrize("initializer", [sb.HeNormal(), sb.TruncatedNormal(0.02), sb.Constant(2.0)], ids=repr)
def test_threads_and_processes_write_what_one_fill_writes(initializer, processes, tmp_path):
    whole = initializer(SHAPE, KEY)
    with ThreadPoolExecutor(3) as threads:
        for number, executor in enumerate((threads, processes, Inline())):
            folder = tmp_path / str(number)
            folder.mkdir()
            for out in targets(folder):
                assert initializer.fill(out, KEY, executor=executor) is out
                assert (out == whole).all()
    assert (np.memmap(tmp_path / "1" / "b.bin", np.float32, "r", 4096 + 12, (3, *SHAPE))[1] == whole).all()


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_every_dtype(dtype, processes, tmp_path):
    whole = sb.HeNormal()(SHAPE, KEY, dtype=dtype)
    out = np.memmap(tmp_path / "w.bin", whole.dtype, "w+", 0, SHAPE)
    sb.HeNormal().fill(out, KEY, executor=processes)
    assert out.tobytes() == whole.tobytes()


def test_layouts_go_to_the_workers():
    axes = sb.Axes("io", splits=(600, 500))
    out = np.empty(SHAPE, np.float32)
    sb.GlorotNormal().fill(out, KEY, axes=axes, executor=Inline())
    assert (out == sb.GlorotNormal()(SHAPE, KEY, axes=axes)).all()


def test_a_weight_whose_entries_depend_on_each_other_is_made_by_one_worker():
    executor, out = Inline(), np.empty((120, 90), np.float32)
    sb.Orthogonal().fill(out, KEY, executor=executor)
    assert (out == sb.Orthogonal()((120, 90), KEY)).all()
    assert len(executor.given) == 1


def test_workers_write_into_the_file_of_a_memory_map_and_send_nothing_back(tmp_path):
    executor, out = Inline(), np.memmap(tmp_path / "w.bin", np.float32, "w+", 0, SHAPE)
    sb.HeNormal().fill(out, KEY, executor=executor)
    assert len(executor.given) > 1
    assert all(fn(*args) is None for fn, args in executor.given)


def test_a_map_that_is_no_file_is_not_written_through_one(tmp_path):
    shared = np.memmap(tmp_path / "w.bin", np.float32, "w+", 0, (30, 20))
    assert Mapped.find(shared).open().shape == (30, 20)
    assert Mapped.find(np.memmap(tmp_path / "w.bin", np.float32, "c", 0, (30, 20))) is None
    assert Mapped.find(shared + 1) is None  # a copy, which is of the class all the same
    assert Mapped.find(shared[::-1]) is None
    assert Mapped.find(np.zeros(3)) is None


@pytest.mark.parametrize("shape", [(0, 5), (), (3,)])
def test_small_and_empty_arrays(shape):
    out = np.full(shape, 9, np.float32)
    sb.Normal().fill(out, KEY, executor=Inline())
    assert (out == sb.Normal()(shape, KEY)).all()


def test_a_few_parts_are_in_work_at_a_time():
    class Counting(ThreadPoolExecutor):
        most = waiting = 0

        def submit(self, fn, /, *args, **kwargs):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            future = super().submit(fn, *args, **kwargs)
            future.add_done_callback(lambda _: setattr(self, "waiting", self.waiting - 1))
            return future

    with Counting(1) as executor:
        out = np.empty((60, 1 << 20), np.float16)
        sb.Constant(0.5).fill(out, KEY, executor=executor)
    assert (out == 0.5).all()
    assert executor.most <= AHEAD + 1


def test_nobody_writes_any_more_once_an_error_is_told():
    out = np.zeros(SHAPE, np.float32)
    with ThreadPoolExecutor(2) as executor:
        with pytest.raises(RuntimeError, match="no first part"):
            Slow().fill(out, KEY, executor=executor)
        before = out.copy()
        assert executor.submit(int).result() == 0
    assert (out == before).all()


def test_workers_that_die_are_told():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(sb.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[2]}")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(BrokenProcessPool):
            Dies().fill(np.zeros(SHAPE, np.float32), KEY, executor=pool)


def test_what_is_no_executor_is_refused_before_anything_is_written():
    out = np.full((4, 3), 9.0)
    with pytest.raises(TypeError, match=r"executor is a concurrent.futures.Executor; got int"):
        sb.Normal().fill(out, KEY, executor=3)
    assert (out == 9).all()
