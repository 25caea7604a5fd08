"""Ties that are put into real models are found through the wiring, each with its units, and no others.

The normal tests take the shapes of some models, and numbers drawn at random. Those marked slow take every model, and
each as its library starts it, with norms of ones and biases of zeros.
"""

import json

import numpy as np
import pytest

from symbreak.checkpoints import wire
from tests.checkpoints._make import DATA
from tests.checkpoints.wiring._permute import places
from tests.checkpoints.wiring._planted import expected, found, plantable, planted
from tests.data.make_wirings import MODELS, config_of, saved, tolerate

ROWS = {row["model"]: row for row in map(json.loads, (DATA.parent / "wirings.jsonl").read_text("utf-8").splitlines())}
SOME = ["gpt2", "t5", "mixtral", "deepseek v3", "resnext", "mobilenet v3", "convnext", "swin v2", "decomposed adapters"]
NEEDS = {"hf": "transformers", "vision": "timm", "built": "torchvision", "adapted": "peft", "decomposed": "peft"}


def check(shapes, config, values, most):
    """Plant a tie in each of `most` spaces, and compare what is found with what was planted."""
    at, total = places(shapes)
    graph = wire(at, config=config).graph

    def judged(values):
        return found(wire({name: np.asarray(values[place]) for name, place in at.items()}, config=config).graph)

    drawn = np.zeros(total)
    for name, place in at.items():
        drawn[place.ravel()] = values[name].ravel()
    before = judged(drawn)
    spaces = plantable(graph)
    assert spaces
    for space in spaces[:: max(1, len(spaces) // most)]:
        assert judged(drawn[planted(graph, space, total)]) == before | expected(graph, space), space
    return before


def drawn(shapes):
    rng = np.random.default_rng(0)
    return {name: np.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in SOME else [pytest.mark.slow]) for n in ROWS])
def test_a_tie_that_is_planted_in_a_model_is_found_and_no_other(name):
    if name == "spectral norm":
        pytest.skip("its vectors tell all units apart")
    shapes = {key: tuple(shape) for key, shape in ROWS[name]["tensors"].items()}
    assert check(shapes, ROWS[name]["config"], drawn(shapes), 4 if name in SOME else 1000) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_tie_that_is_planted_in_a_model_as_its_library_starts_it_is_found_and_no_other(name):
    torch = pytest.importorskip("torch")
    library = NEEDS.get(MODELS[name].build.__qualname__.partition(".")[0], "torch")
    tolerate()
    pytest.importorskip(library, exc_type=ImportError)
    if name == "spectral norm":
        pytest.skip("its vectors tell all units apart")
    torch.manual_seed(0)
    model = MODELS[name].build()
    values = {key: tensor.double().numpy() for key, tensor in saved(model).items()}
    shapes = {key: array.shape for key, array in values.items()}
    check(shapes, config_of(MODELS[name], model), values, 1000)
