"""Real models, run: the axes that a graph names over a space are all that there are, and none is there too many.

Where torch and the library of a model are installed; elsewhere these are passed over.
"""

import numpy as np
import pytest

from symbreak.checkpoints import wire
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places
from tests.data.make_wirings import MODELS, config_of, saved, tolerate

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

NEEDS = {"hf": "transformers", "vision": "timm", "built": "torchvision", "adapted": "peft", "decomposed": "peft"}
SAME = 1e-5  # of the largest output; transformers computes norms in float32
SEEN = 1e-6  # of the largest output, in models that compute all in float64
EXACT = ("transformers mobilenet v1",)  # whose norms are PyTorch's; it has 27 layers, and what changes is small
OPEN = ("spectral norm",)  # its vectors are random, and tell all units apart
INVARIANT = ("key.bias", "k_proj.bias", "k_lin.bias", "k_norm.bias", "bias[key]")  # a softmax doesn't see them

pytestmark = pytest.mark.filterwarnings("ignore")


def library(name):
    return NEEDS.get(MODELS[name].build.__qualname__.partition(".")[0], "torch")


def draw(arrays, tensors, total):
    """Values of an ordinary size that differ wherever they can: those of a new model are often all ones or zeros."""
    generator = torch.Generator().manual_seed(1)
    values = np.zeros(total)
    for name, tensor in tensors.items():
        drawn = tensor.double()
        if tensor.is_floating_point():
            drawn = 0.4 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            if "var" in name or "original0" in name:
                drawn = drawn.abs() + 0.5
            elif tensor.ndim == 1 and name.endswith("weight"):
                drawn = drawn + 1
            elif tensor.ndim > 1:
                drawn = drawn * (1.5 / max(1, tensor[0].numel() ** 0.5)) ** 0.5
        values[arrays[name].ravel()] = drawn.numpy().ravel()
    return values


def numbers(output):
    """The outputs that a model is for, without what it shows of its inside."""
    if torch.is_tensor(output):
        return output.ravel()
    named = (
        "logits",
        "logits_per_image",
        "text_embeds",
        "image_embeds",
        "prediction_logits",
        "seq_relationship_logits",
    )
    found = [output[name] for name in named if isinstance(output, dict) and name in output]
    if not found and isinstance(output, dict):
        found = [output["last_hidden_state"]]
    return torch.cat([each.ravel() for each in found or output[:1]])


class Runner:
    """A model that is run with the values of its tensors in one row."""

    def __init__(self, name):
        torch.manual_seed(0)
        row = MODELS[name]
        self.model = row.build().double().eval()
        self.tensors = saved(self.model)
        self.arrays, self.total = places({key: tuple(tensor.shape) for key, tensor in self.tensors.items()})
        self.wired = wire(self.arrays, config=config_of(row, self.model))
        self.inputs = {key: x.double() if x.is_floating_point() else x for key, x in row.inputs().items()}
        self.values = draw(self.arrays, self.tensors, self.total)

    def __call__(self, values):
        state = {key: torch.tensor(values[self.arrays[key]]).to(tensor.dtype) for key, tensor in self.tensors.items()}
        self.model.load_state_dict(state, strict=False)
        if hasattr(self.model, "tie_weights"):
            self.model.tie_weights()
        self.model.eval()
        with torch.no_grad():
            return numbers(self.model(**self.inputs)).numpy()


@pytest.mark.parametrize("name", MODELS)
def test_renumbering_the_units_of_a_space_on_all_its_axes_changes_nothing_and_on_all_but_one_does(name):
    tolerate()
    pytest.importorskip(library(name), exc_type=ImportError)
    run = Runner(name)
    graph = run.wired.graph
    before = run(run.values)
    scale = np.abs(before).max()
    seen = (SAME if library(name) == "transformers" and name not in EXACT else SEEN) * scale
    assert np.isfinite(scale)
    spaces = closed(graph)
    assert spaces or name in OPEN
    for space in spaces:
        after = run(run.values[moved(graph, space, run.total)])
        assert np.abs(after - before).max() < SAME * scale, space
        for name_, number in axes_over(graph, space):
            if name_.endswith(INVARIANT):
                continue
            after = run(run.values[moved(graph, space, run.total, without=(name_, number))])
            assert np.abs(after - before).max() > seen, (space, name_, number)
