"""The callback that counts distinct and dead units while a Keras model trains."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import symbreak as sb  # noqa: E402
from tests.keras._arrays import array  # noqa: E402
from tests.keras._models import transformer  # noqa: E402

L = keras.layers
pytestmark = pytest.mark.skipif(
    keras.backend.backend() not in ("jax", "torch", "tensorflow"), reason="the backend does not train"
)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 5)).astype("float32"), RNG.normal(size=(32, 2)).astype("float32")


def tied():
    model = keras.Sequential([keras.Input((5,)), L.Dense(8, activation="tanh", name="hidden"), L.Dense(2, name="last")])
    sb.keras.initialize(model)
    kernel, last = array(model.layers[0].kernel).copy(), array(model.layers[1].kernel).copy()
    kernel[:, 3], last[3] = kernel[:, 1], last[1]
    kernel[:, 5] = 0
    model.layers[0].kernel.assign(kernel)
    model.layers[1].kernel.assign(last)
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    return model


def test_distinct_and_dead_units_are_counted_every_so_many_steps():
    monitor, said = sb.keras.Monitor(every=3), []
    monitor = sb.keras.Monitor(every=3, log=lambda step, values: said.append((step, values)))
    tied().fit(X, Y, batch_size=4, epochs=1, callbacks=[monitor], verbose=0)
    assert monitor.steps == 8
    assert [step for step, _ in said] == [3, 6]
    row = monitor.latest["hidden/kernel"]
    assert (row.units, row.distinct, row.dead, row.step) == (8, 7, 1, 3)
    assert monitor.latest["last/kernel"].distinct == 2
    assert said[0][1]["distinct/hidden/kernel"] == 7
    assert len(monitor.rows) == 2
    assert "hidden/kernel" in str(monitor)
    assert "looked 2 times in 8 steps" in monitor._repr_html_()
    assert monitor.to_dict()["steps"] == 8
    (growth,) = monitor.growth  # of the units that are equal; the dead one is left out
    assert (growth.where, growth.units, growth.places, growth.spread) == ("hidden/kernel", 2, (3, 6), (0.0, 0.0))
    assert said[0][1]["spread/hidden/kernel"] == 0


def test_weights_are_read_as_training_has_them():
    """On JAX the variables are behind while `fit` runs."""
    seen = []
    model = keras.Sequential([keras.Input((5,)), L.Dense(2, name="last")])
    sb.keras.initialize(model, {"*": "zeros"})
    model.compile("sgd", "mse")
    monitor = sb.keras.Monitor(every=1, log=lambda step, values: seen.append(values["dead/last/kernel"]))
    model.fit(X, Y, batch_size=16, epochs=1, callbacks=[monitor], verbose=0)
    assert seen == [0, 0]  # the first step has moved the zeros


def test_units_of_several_heads_are_units_of_one_axis():
    model = transformer()
    kernel = array(model.blocks[0].attention.query_dense.kernel).copy()
    kernel[:, 1] = kernel[:, 0]
    model.blocks[0].attention.query_dense.kernel.assign(kernel)
    monitor = sb.keras.Monitor()
    monitor.set_model(model)
    found = monitor.look()["block_0/attention/query/kernel"]
    assert (found.units, found.distinct) == (8, 4)


def test_a_weight_whose_units_lie_along_no_one_axis_is_passed_over():
    model = keras.Sequential([
        keras.Input((4, 4)),
        L.Conv1D(4, 1, groups=2, name="groups"),
        L.EinsumDense("abc,dce->abde", (None, 3, 2), name="apart"),
        L.EinsumDense("abde,def->abf", (None, 5), name="joined"),
    ])  # fmt: skip
    monitor = sb.keras.Monitor(every=1)
    monitor.set_model(model)
    monitor.on_train_batch_end(0)
    assert {name: row.units for name, row in monitor.latest.items()} == {"joined/kernel": 5}


def test_a_model_that_is_built_between_two_steps_is_looked_at():
    model = keras.Sequential([L.Dense(2, name="last")])
    monitor = sb.keras.Monitor(every=1)
    monitor.set_model(model)
    model.build((None, 5))
    monitor.on_train_batch_end(0)
    assert monitor.latest["last/kernel"].units == 2


def test_a_model_that_fit_builds_is_looked_at():
    model = keras.Sequential([L.Dense(4, name="first"), L.Dense(2, name="last")])
    model.compile("sgd", "mse")
    monitor = sb.keras.Monitor(every=2)
    model.fit(X, Y, batch_size=16, epochs=1, callbacks=[monitor], verbose=0)
    assert set(monitor.latest) == {"first/kernel", "last/kernel"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [({"every": 0}, ValueError, "`every` is a whole number of steps"), ({"log": 3}, TypeError, "`log` is called with")],
)
def test_options_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        sb.keras.Monitor(**options)
