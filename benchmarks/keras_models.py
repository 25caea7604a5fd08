"""Keras models: what the monitor takes of a training step, and initializing a whole model against Keras' initializers.

Runs on the backend that `KERAS_BACKEND` names; PyTorch's where it names none.
"""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import symbreak as sb

from ._measure import Row, have

WIDTH, DEPTH, BATCH, EVERY = 256, 4, 64, 100


def rows() -> Iterator[Row]:
    """Yield the rows, if Keras is installed."""
    if not have("keras"):
        return
    os.environ.setdefault("KERAS_BACKEND", "torch" if have("torch") else "numpy")
    import keras

    backend = keras.backend.backend()
    if backend != "numpy":
        yield _monitor(keras, backend)
    model = keras.applications.MobileNetV2(weights=None)
    inits = [(each, _initializer(keras, each)) for each in model.weights]

    def anew() -> None:
        for variable, init in inits:
            variable.assign(init(variable.shape, dtype=variable.dtype))

    name = f"initialize MobileNetV2, {model.count_params() / 1e6:.1f} million, on {backend}"
    yield Row(name, "keras.initializers, one by one", partial(sb.keras.initialize, model), anew, rounds=3)


def _initializer(keras: Any, variable: Any) -> Any:
    """Give what Keras starts a weight with by default."""
    ones = variable.name in ("gamma", "moving_variance")
    kernel = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(0))
    return kernel if len(variable.shape) > 1 else keras.initializers.Ones() if ones else keras.initializers.Zeros()


def _monitor(keras: Any, backend: str) -> Row:
    """As many steps as there are from look to look, against what the monitor does in them."""
    layers = [keras.layers.Dense(WIDTH, activation="relu") for _ in range(DEPTH)]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers, keras.layers.Dense(10)])
    model.compile("adam", "mse")
    x, y = np.ones((BATCH, WIDTH), np.float32), np.ones((BATCH, 10), np.float32)
    monitor = sb.keras.Monitor()
    monitor.set_model(model)

    def watch() -> None:
        for batch in range(EVERY):
            monitor.on_train_batch_end(batch)

    def train() -> None:
        for _ in range(EVERY):
            model.train_on_batch(x, y)

    return Row(f"monitor of {DEPTH} x {WIDTH} on {backend}", "its training steps", watch, train, 0.01, True, rounds=3)
