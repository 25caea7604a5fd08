"""A Dask cluster trains the same starts to the same bits, also when it loses a worker."""

import os
import signal
from pathlib import Path

import pytest

import symbreak as sb
from tests.restarts.test_executors import assert_same

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.cluster

X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]


def run(**options):
    return sb.restarts([2, 4, 1], X, Y, **{"starts": 60, "steps": 20, "rng": 0, "batch": 7} | options)


@pytest.fixture(scope="module")
def client():
    """Two worker processes on this machine, which find the same symbreak."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(sb.__file__).parents[1]))
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=60
            ) as cluster,
            distributed.Client(cluster) as found,
        ):
            yield found


def test_a_cluster_changes_nothing(client):
    told = []
    with client.get_executor() as executor:
        assert_same(run(executor=executor, progress=lambda done, of: told.append(done)), run())
        assert_same(run(executor=executor, batch=None), run())
    assert len(told) == 9
    assert told == sorted(told)
    assert told[-1] == 60


def test_a_worker_that_is_killed_changes_nothing(client):
    options = {"starts": 80, "steps": 800}
    before = set(client.run(os.getpid).values())
    killed = []

    def kill(done, of):
        if not killed:
            busy = {address: tasks for address, tasks in client.processing().items() if tasks}
            killed.append(client.run(os.getpid, workers=[next(iter(busy))]).popitem()[1])
            os.kill(killed[0], signal.SIGKILL)

    with client.get_executor() as executor:
        result = run(executor=executor, progress=kill, batch=6, **options)
    assert_same(result, run(batch=None, **options))
    client.wait_for_workers(2, timeout=60)
    after = set(client.run(os.getpid).values())
    assert len(before - after) == 1
    assert before - after == set(killed)


def test_a_cluster_that_is_gone_is_told(client):
    executor = client.get_executor()
    executor.shutdown()
    with pytest.raises(RuntimeError, match=r"ClientExecutor, stopped with 0 of 9 batches trained: .*; start again"):
        run(executor=executor)
