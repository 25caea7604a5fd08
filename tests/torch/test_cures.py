"""Real cases in torch: each is found sick by the diagnostic, `initialize` cures it, and a healthy twin stays silent."""

import copy

import pytest

import symbreak as sb

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

WIDTH = 32


class Attention(nn.Module):
    """Queries, keys and values apart."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(WIDTH, WIDTH)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.o_proj = nn.Linear(WIDTH, WIDTH)


class Critics(nn.Module):
    """Two critics, of which the smaller value counts."""

    def __init__(self):
        super().__init__()
        self.q1 = nn.Sequential(nn.Linear(12, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
        self.q2 = nn.Sequential(nn.Linear(12, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))


class Mixture(nn.Module):
    """Experts as one array."""

    def __init__(self):
        super().__init__()
        self.num_experts = 4
        self.router = nn.Linear(WIDTH, 4, bias=False)
        self.experts_up_proj = nn.Parameter(torch.randn(4, 2 * WIDTH, WIDTH) / WIDTH**0.5)


def copied_layers():
    """Build a TransformerEncoder, which deep-copies the layer that it is given (pytorch#72253, #86274)."""
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)


def copied_by_hand():
    layer = nn.Linear(WIDTH, WIDTH)
    return nn.ModuleDict({"layers": nn.ModuleList([copy.deepcopy(layer) for _ in range(3)])})


def one_seed_for_q_k_and_v():
    model = Attention()
    for layer in (model.q_proj, model.k_proj, model.v_proj):
        torch.manual_seed(0)
        nn.init.xavier_uniform_(layer.weight)
    return model


def twin_critics():
    model = Critics()
    model.q2.load_state_dict(model.q1.state_dict())
    return model


def copied_experts():
    model = Mixture()
    with torch.no_grad():
        model.experts_up_proj.copy_(model.experts_up_proj[:1].expand_as(model.experts_up_proj))
    return model


def left_as_to_empty():
    """Build on the meta device and take memory as it comes: here it came with zeros."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(12, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def constant():
    model = nn.Sequential(nn.Linear(12, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.01)
    return model


def shards_of_one_seed():
    """Fill the parts of a weight that was sharded, each rank after the same seed (torchtitan#3106)."""
    model = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, 3))
    for shard in model[0].weight.chunk(4):
        torch.manual_seed(0)
        nn.init.kaiming_uniform_(shard)
    return model


def few_values_in_bfloat16():
    """Sample in a few bits and round after: units are equal by chance."""
    model = nn.Sequential(nn.Linear(6, 1024), nn.ReLU(), nn.Linear(1024, 3)).to(torch.bfloat16)
    with torch.no_grad():
        model[0].weight.copy_((torch.rand(1024, 6) * 4).floor() / 4 - 0.375)
    return model


CASES = {
    # name: (the model, the code that names what is wrong)
    "copied layers": (copied_layers, "SB204"),
    "copied by hand": (copied_by_hand, "SB204"),
    "one seed for q, k and v": (one_seed_for_q_k_and_v, "SB208"),
    "twin critics": (twin_critics, "SB206"),
    "copied experts": (copied_experts, "SB206"),
    "left as to_empty": (left_as_to_empty, "SB101"),
    "constant": (constant, "SB101"),
    "shards of one seed": (shards_of_one_seed, "SB207"),
    "few values in bfloat16": (few_values_in_bfloat16, "SB102"),
}


def findings(model):
    """Give the codes that the diagnostic has for a model's arrays at warning or above."""
    arrays = {name: each.detach().float().numpy() for name, each in model.named_parameters()}
    report = sb.diagnose(arrays)
    return {finding.code for finding in report.findings if finding.level != "note"}


@pytest.mark.parametrize("name", CASES)
def test_it_is_found_sick(name):
    torch.manual_seed(1)
    build, code = CASES[name]
    assert code in findings(build())


@pytest.mark.parametrize("name", CASES)
def test_initialize_cures_it(name):
    torch.manual_seed(1)
    model = CASES[name][0]()
    plan = sb.torch.initialize(model, rng=0)
    assert findings(model) == set()
    assert plan.audit(dict(model.named_parameters())).ok


def test_a_healthy_model_stays_silent_and_keeps_its_weights_until_it_is_initialized():
    torch.manual_seed(1)
    for build in (Attention, Critics, Mixture):
        assert findings(build()) == set()


def test_a_repeated_layer_is_told_and_set_apart():
    layer = nn.Linear(WIDTH, WIDTH)
    model = nn.ModuleDict({"layers": nn.ModuleList([layer] * 3)})
    plan = sb.torch.initialize(model, rng=0)
    assert [row.source for row in plan.rows if "weight" in row.name] == [None, "layers.0.weight", "layers.0.weight"]
    sb.torch.initialize(model, rng=0, apart=["layers.*"])
    assert len(list(model.parameters())) == 6
    assert findings(model) == set()
