"""Sharded models: each process draws its own part, and together they are the model that is not sharded."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
    pytest.skip("torch has no gloo here", allow_module_level=True)

ROOT = Path(__file__).parents[2]
CASES = (
    "shard_0", "shard_1", "shard_2", "replicate", "two_dims", "one_dim_twice", "bfloat16", "fsdp2", "fsdp2_from_meta",
    "fsdp2_over_tensor_parallel", "training_goes_on", "init_functions", "partial_is_refused",
)  # fmt: skip


@functools.cache
def found() -> list[dict[str, list[str]]]:
    """Run all cases once, on four processes."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.torch._sharded"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index("[{") :])


@pytest.mark.parametrize("case", CASES)
def test_on_every_rank(case):
    assert [rank[case] for rank in found()] == [[]] * 4


def test_no_case_is_left_out():
    assert set(found()[0]) == set(CASES)
