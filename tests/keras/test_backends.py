"""Every backend that is installed, in a process of its own: the same bits, and all that its gradients allow."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("keras")

PROGRAM = """
import hashlib, json, os, sys, warnings
warnings.simplefilter("ignore")
import keras, numpy as np
import symbreak as sb
from symbreak.keras import Initializer, initializers

L, out = keras.layers, {"backend": keras.backend.backend()}

def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()

init = initializers.HeNormal(seed=3)
given = keras.Input((4, 6))
x = L.MultiHeadAttention(2, 3, kernel_initializer=init, name="attention")(given, given)
x = L.Flatten()(x)
x = L.Dense(5, kernel_initializer=Initializer("he_normal", seed=1))(x)
x = L.Dense(5, kernel_initializer=initializers.Orthogonal(seed=1))(x)
model = keras.Model(given, L.Dense(2, kernel_initializer=init, name="last")(x))
out["drawn"] = digest(sb.keras.arrays(model).values())
model.save(sys.argv[1])
again = keras.saving.load_model(sys.argv[1])
out["loaded"] = digest(sb.keras.arrays(again).values())
plan = sb.keras.initialize(model, rng=0)
out["initialized"] = digest(sb.keras.arrays(model).values())
out["audit"] = plan.audit(sb.keras.arrays(model)).ok
out["clean"] = sb.keras.diagnose(model).ok
batch = np.ones((3, 4, 6), "float32"), np.ones((3, 2), "float32")
batch[0][...] = np.random.default_rng(0).normal(size=(3, 4, 6))
try:
    probe = sb.keras.probe(model, batch, "mse")
    out["probe"] = [probe.ok, round(probe.loss, 3), sorted({each.verdict for each in probe.spaces})]
    model.compile("sgd", "mse")
    monitor = sb.keras.Monitor(every=1)
    model.fit(*batch, verbose=0, callbacks=[monitor])
    out["monitor"] = [monitor.steps, monitor.latest["attention/query/kernel"].distinct]
except NotImplementedError as error:
    out["probe"] = str(error)
print(json.dumps(out))
"""


def run(backend, tmp_path):
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / f"{backend}.keras")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# A backend, and what it needs: Keras asks JAX for the shapes of NumPy's.
NEEDS = {"numpy": "jax", "torch": "torch", "jax": "jax", "tensorflow": "tensorflow"}
INSTALLED = [backend for backend, package in NEEDS.items() if importlib.util.find_spec(package) is not None]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backends")
    return {backend: run(backend, folder) for backend in INSTALLED}


def test_every_backend_has_the_same_bits(found):
    for name in ("drawn", "loaded", "initialized"):
        assert len({each[name] for each in found.values()}) == 1, name
    for backend, each in found.items():
        assert each["backend"] == backend
        assert each["loaded"] == each["drawn"]
        assert each["audit"]
        assert each["clean"]


def test_backends_with_gradients_probe_and_train_and_numpy_says_what_it_has_not(found):
    for backend, each in found.items():
        if backend == "numpy":
            assert each["probe"].startswith(
                "probe needs gradients, which Keras' backend 'numpy' has not; run with KERAS_"
            )
        else:
            assert each["probe"] == [True, each["probe"][1], ["agrees"]]
            assert each["monitor"] == [1, 6]


def test_without_keras_the_extra_is_named():
    program = "import sys; sys.modules['keras'] = None; import symbreak as sb; sb.keras"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'symbreak[keras]'" in done.stderr
    assert "ImportError" in done.stderr or "MissingExtra" in done.stderr
    old = "import sys, types; m = types.ModuleType('keras'); m.__version__ = '2.15.0'; m.__spec__ = object()"
    program = f"{old}; sys.modules['keras'] = m; import symbreak as sb; sb.keras"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "symbreak.keras needs Keras 3, and this is Keras 2.15.0: pip install 'symbreak[keras]'" in done.stderr


def test_without_its_backend_keras_cannot_be_loaded_and_the_error_says_how_to_name_another():
    program = "import sys; sys.modules['tensorflow'] = None; import symbreak as sb; sb.keras"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert "ImportError: Keras can't be loaded, as its backend, tensorflow, is not installed: install it" in done.stderr
    assert "os.environ['KERAS_BACKEND'] = 'jax' (or 'torch', 'numpy')" in done.stderr
