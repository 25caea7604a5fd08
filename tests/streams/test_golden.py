"""The bits that a stream gives are fixed: by golden hashes, here and with the machine's features switched off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from . import _golden

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def test_the_first_values_of_every_distribution_and_dtype_are_what_they_have_always_been():
    assert _golden.compute() == GOLDEN


def test_the_hash_sees_a_change_in_the_last_bit():
    values = np.ones(10, np.float32)
    changed = values.copy()
    changed[-1] = np.nextafter(changed[-1], np.float32(2))
    assert _golden.digest(values) != _golden.digest(changed)


def features():
    """Give the CPU features that NumPy found and can be told to leave unused."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(found)


SETTINGS = {
    "no SIMD beyond the baseline": {"NPY_DISABLE_CPU_FEATURES": features()},
    "an old BLAS kernel": {"OPENBLAS_CORETYPE": "Nehalem"},
    "one BLAS thread": {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "another libm": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"},
    "hash randomisation": {"PYTHONHASHSEED": "123"},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_bits_are_the_same_in_a_process_with(setting):
    if setting == {"NPY_DISABLE_CPU_FEATURES": ""}:
        pytest.skip("NumPy uses no SIMD feature here that can be switched off")
    environment = {**os.environ, **setting}
    done = subprocess.run(
        [sys.executable, "-m", _golden.__name__],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == GOLDEN
