"""Keras runs on the first backend that is installed, unless `KERAS_BACKEND` says which: PyTorch compiles nothing."""

import importlib.util
import os

if importlib.util.find_spec("keras") is not None:
    found = next((each for each in ("torch", "jax", "tensorflow") if importlib.util.find_spec(each)), "numpy")
    os.environ.setdefault("KERAS_BACKEND", found)


def pytest_collection_modifyitems(items):
    """Let pass what Keras' own code does with NumPy 2: `__array__` of its variables knows no `copy`."""
    import pytest

    for item in items:
        if "tests/keras/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"))
