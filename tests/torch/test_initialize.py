"""Whole torch models: every parameter drawn from the key of its name, by what its module says that it is for."""

import copy
import warnings

import numpy as np
import pytest

import symbreak as sb
from symbreak.errors import RuleError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402


class Stack(nn.Module):
    """Experts as one array, as in a mixture."""

    def __init__(self, transposed=False):
        super().__init__()
        self.num_experts = 3
        self.is_transposed = transposed
        self.gate_up_proj = nn.Parameter(torch.empty((3, 4, 16) if transposed else (3, 16, 4)))
        self.gate_up_proj_bias = nn.Parameter(torch.empty(3, 16))


class Conv1D(nn.Module):
    """A linear layer whose weight lies inputs first, by the name that transformers gives it."""

    def __init__(self, units, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, units))
        self.bias = nn.Parameter(torch.empty(units))


class Other(nn.Module):
    """A module that is not known, and parameters of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(6))
        self.bias = nn.Parameter(torch.empty(6))
        self.matrix = nn.Parameter(torch.empty(6, 5))
        self.stack = nn.Parameter(torch.empty(2, 6, 5))
        self.kernel = nn.Parameter(torch.empty(4, 3, 3, 3))
        self.sixth = nn.Parameter(torch.empty(2, 3, 1, 2, 1, 2))
        self.cls_token = nn.Parameter(torch.empty(1, 1, 6))
        self.pos_embed = nn.Parameter(torch.empty(1, 9, 6))
        self.layer_scale = nn.Parameter(torch.empty(6, 1, 1))
        self.temperature = nn.Parameter(torch.empty(()))
        self.logit_scale = nn.Parameter(torch.empty(()))


def lengths(matrix, parts):
    """Say whether each part of a matrix is orthogonal."""
    return all(
        torch.allclose(part @ part.T, torch.eye(len(part)), atol=1e-5)
        or torch.allclose(part.T @ part, torch.eye(part.shape[1]), atol=1e-5)
        for part in matrix.detach().chunk(parts)
    )


MODULES = {
    # name: (a module, {parameter: (role, fan in)}); fans are counted by hand: inputs that one unit reads
    "linear": (lambda: nn.Linear(6, 8), {"weight": ("linear", 6), "bias": ("bias", None)}),
    "conv1d": (lambda: nn.Conv1d(4, 8, 3), {"weight": ("conv", 12), "bias": ("bias", None)}),
    "conv2d": (lambda: nn.Conv2d(4, 8, (3, 5)), {"weight": ("conv", 60), "bias": ("bias", None)}),
    "conv3d": (lambda: nn.Conv3d(4, 8, 2), {"weight": ("conv", 32), "bias": ("bias", None)}),
    "grouped": (lambda: nn.Conv2d(4, 8, 3, groups=2), {"weight": ("conv", 18), "bias": ("bias", None)}),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4), {"weight": ("conv", 9), "bias": ("bias", None)}),
    "transposed": (lambda: nn.ConvTranspose2d(4, 8, 3), {"weight": ("conv", 36), "bias": ("bias", None)}),
    "transposed, grouped": (
        lambda: nn.ConvTranspose1d(4, 8, 3, groups=2), {"weight": ("conv", 6), "bias": ("bias", None)},
    ),
    "embedding": (lambda: nn.Embedding(50, 8), {"weight": ("embedding", 8)}),
    "bag": (lambda: nn.EmbeddingBag(50, 8), {"weight": ("embedding", 8)}),
    "bilinear": (lambda: nn.Bilinear(3, 4, 8), {"weight": ("linear", 12), "bias": ("bias", None)}),
    "batch norm": (lambda: nn.BatchNorm2d(4), {"weight": ("norm", None), "bias": ("bias", None)}),
    "layer norm": (lambda: nn.LayerNorm((4, 5)), {"weight": ("norm", 5), "bias": ("bias", 5)}),
    "group norm": (lambda: nn.GroupNorm(2, 4), {"weight": ("norm", None), "bias": ("bias", None)}),
    "rms norm": (lambda: nn.RMSNorm(4), {"weight": ("norm", None)}),
    "instance norm": (lambda: nn.InstanceNorm1d(4, affine=True), {"weight": ("norm", None), "bias": ("bias", None)}),
    "slope": (lambda: nn.PReLU(3), {"weight": ("slope", None)}),
    "attention": (
        lambda: nn.MultiheadAttention(8, 2),
        {"in_proj_weight": ("qkv", 8), "in_proj_bias": ("bias", None), "out_proj.weight": ("attention_out", 8),
         "out_proj.bias": ("bias", None)},
    ),
    "attention in parts": (
        lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=6, bias=False, add_bias_kv=True),
        {"q_proj_weight": ("query", 8), "k_proj_weight": ("key", 4), "v_proj_weight": ("value", 6),
         "bias_k": ("token", 8), "bias_v": ("token", 8), "out_proj.weight": ("attention_out", 8)},
    ),
    "lstm": (
        lambda: nn.LSTM(3, 5, proj_size=2),
        {"weight_ih_l0": ("recurrent_in", 3), "weight_hh_l0": ("recurrent", 2), "bias_ih_l0": ("forget_bias", None),
         "bias_hh_l0": ("bias", None), "weight_hr_l0": ("recurrent", 5)},
    ),
    "gru": (
        lambda: nn.GRU(3, 5),
        {"weight_ih_l0": ("recurrent_in", 3), "weight_hh_l0": ("recurrent", 5), "bias_ih_l0": ("bias", None),
         "bias_hh_l0": ("bias", None)},
    ),
    "rnn": (
        lambda: nn.RNN(3, 5, bias=False), {"weight_ih_l0": ("recurrent_in", 3), "weight_hh_l0": ("recurrent", 5)},
    ),
    "lstm cell": (
        lambda: nn.LSTMCell(3, 5),
        {"weight_ih": ("recurrent_in", 3), "weight_hh": ("recurrent", 5), "bias_ih": ("forget_bias", None),
         "bias_hh": ("bias", None)},
    ),
    "gru cell": (
        lambda: nn.GRUCell(3, 5, bias=False), {"weight_ih": ("recurrent_in", 3), "weight_hh": ("recurrent", 5)},
    ),
    "inputs first": (lambda: Conv1D(8, 6), {"weight": ("linear", 6), "bias": ("bias", None)}),
    "fused, inputs first": (lambda: Conv1D(18, 6), {"weight": ("qkv", 6), "bias": ("bias", None)}),
    "experts": (Stack, {"gate_up_proj": ("expert", 4), "gate_up_proj_bias": ("bias", 16)}),
    "experts, inputs first": (
        lambda: Stack(transposed=True), {"gate_up_proj": ("expert", 4), "gate_up_proj_bias": ("bias", 16)},
    ),
    "other": (
        Other,
        {"weight": ("norm", None), "bias": ("bias", None), "matrix": ("unknown_weight", 5),
         "stack": ("unknown_weight", 5), "kernel": ("unknown_weight", 27), "sixth": ("unknown_weight", 12),
         "cls_token": ("token", 6), "pos_embed": ("position", 54), "layer_scale": ("residual_gain", 1),
         "temperature": ("unknown_vector", None), "logit_scale": ("multiplier", None)},
    ),
}  # fmt: skip


def ruined(module):
    """Fill every parameter with NaN, so that one that is left out is seen."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(float("nan"))
    return module


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_its_parameters_are_for_and_how_they_lie(name):
    build, expected = MODULES[name]
    module = ruined(build())
    plan = sb.torch.initialize(module, rng=3)
    assert {row.name: (row.role, row.fans and row.fans.fan_in) for row in plan.rows} == expected
    weights = dict(module.named_parameters())
    assert plan.audit(weights).ok
    for key, array in plan.initialize(3).items():
        np.testing.assert_array_equal(weights[key].detach().numpy(), array)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_dtype_is_written_in_place(name, dtype):
    module = ruined(MODULES[name][0]().to(dtype))
    pointers = {key: each.data_ptr() for key, each in module.named_parameters()}
    plan = sb.torch.initialize(module, rng=3)
    for key, array in plan.initialize(3).items():
        parameter = dict(module.named_parameters())[key]
        assert parameter.data_ptr() == pointers[key]
        assert parameter.dtype == dtype
        np.testing.assert_array_equal(parameter.detach().double().numpy(), array.astype(np.float64))


def test_what_lies_units_first_is_bit_for_bit_that_of_a_plain_initialize():
    model = nn.Sequential(nn.Linear(6, 8), nn.Conv2d(8, 4, 3), nn.LayerNorm(4), nn.Embedding(9, 4))
    rules = {"*bias": "zeros", "2.weight": "ones", "3.*": sb.Normal(0.02), "*": "he_normal"}
    sb.torch.initialize(model, rules, rng=8)
    plain = sb.initialize({name: tuple(each.shape) for name, each in model.named_parameters()}, rules, rng=8)
    for name, each in model.named_parameters():
        np.testing.assert_array_equal(each.detach().numpy(), plain[name])


def test_transposed_layers_are_the_units_first_weight_turned():
    model = nn.Sequential(nn.ConvTranspose2d(4, 6, (3, 5)), Conv1D(8, 6))
    sb.torch.initialize(model, rng=8)
    units_first = sb.initialize({"0.weight": (6, 4, 3, 5), "1.weight": (8, 6)}, {"*": "he_normal"}, rng=8)
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), units_first["0.weight"].transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(model[1].weight.detach().numpy(), units_first["1.weight"].T)


def test_gates_and_fused_projections_are_weights_of_their_own():
    lstm = nn.LSTM(6, 6)
    sb.torch.initialize(lstm, rng=0)
    assert lengths(lstm.weight_hh_l0, 4)
    assert not torch.allclose(lstm.weight_hh_l0[:6], lstm.weight_hh_l0[6:12])
    assert lstm.bias_ih_l0.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
    assert (lstm.bias_hh_l0 == 0).all()
    bound = (6 / (6 + 6)) ** 0.5
    assert 0.9 * bound < lstm.weight_ih_l0.abs().max() <= bound  # of one gate, not of four together
    attention = nn.MultiheadAttention(8, 2)
    sb.torch.initialize(attention, {"in_proj_weight": "orthogonal"}, rng=0)
    assert lengths(attention.in_proj_weight, 3)
    experts = Stack()
    sb.torch.initialize(experts, {"gate_up_proj": "orthogonal"}, rng=0)
    assert all(lengths(each, 2) for each in experts.gate_up_proj)


def test_padding_stays_zero_whatever_the_rule():
    for module in (nn.Embedding(10, 4, padding_idx=3), nn.EmbeddingBag(10, 4, padding_idx=-2)):
        for rules in (None, {"weight": "he_uniform"}, {"weight": sb.Orthogonal()}):
            plan = sb.torch.initialize(module, rules, rng=0)
            zero = (module.weight == 0).all(1)
            assert zero.nonzero().tolist() == [[3 if isinstance(module, nn.Embedding) else 8]]
            assert plan.audit({"weight": module.weight}).ok or rules is not None
    large = nn.Embedding(1000, 700, padding_idx=999)  # more than one task
    sb.torch.initialize(large, rng=0)
    twin = sb.Normal(0.02)((1000, 700), sb.Key(0)["weight"])
    np.testing.assert_array_equal(large.weight.detach().numpy()[:999], twin[:999])
    assert (large.weight[999] == 0).all()


def test_running_statistics_and_counters_begin_anew():
    norm = nn.BatchNorm1d(3)
    norm(torch.randn(8, 3) + 5)
    sb.torch.initialize(norm)
    assert norm.running_mean.tolist() == [0.0] * 3
    assert norm.running_var.tolist() == [1.0] * 3
    assert norm.num_batches_tracked.item() == 0


# Ties


def test_tied_parameters_are_drawn_once_and_the_plan_names_them():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    plan = sb.torch.initialize(model, rng=0)
    assert model[1].weight is model[0].weight
    assert {row.name: row.source for row in plan.rows} == {"0.weight": None, "1.weight": "0.weight"}
    assert "tied to 0.weight" in str(plan)
    assert plan.audit(dict(model.named_parameters())).ok  # which gives the first name alone
    assert plan.audit(model.state_dict()).ok
    assert abs(model[1].weight.std().item() / 0.02 - 1) < 0.4


def test_a_module_used_twice_is_one():
    layer = nn.Linear(4, 4)
    plan = sb.torch.initialize(nn.Sequential(layer, nn.ReLU(), layer), rng=0)
    assert {row.name: row.source for row in plan.rows} == {
        "0.weight": None, "0.bias": None, "2.weight": "0.weight", "2.bias": "0.bias",
    }  # fmt: skip


def test_two_views_of_one_memory_are_tied_straight_or_transposed():
    model = nn.ModuleDict({name: nn.Linear(4, 4, bias=False) for name in "abc"})
    model["b"].weight = nn.Parameter(model["a"].weight.data)
    model["c"].weight = nn.Parameter(model["a"].weight.data.t())
    plan = sb.torch.initialize(model, rng=0)
    assert {row.name: (row.source, row.transposed) for row in plan.rows} == {
        "a.weight": (None, False), "b.weight": ("a.weight", False), "c.weight": ("a.weight", True),
    }  # fmt: skip
    assert torch.equal(model["c"].weight, model["a"].weight.t())
    assert plan.audit(dict(model.named_parameters())).ok


def test_parameters_that_share_a_part_of_their_memory_are_refused():
    whole = torch.zeros(10, 4)
    model = nn.ParameterDict({"first": nn.Parameter(whole[:6]), "second": nn.Parameter(whole[4:])})
    with pytest.raises(ValueError, match="'first' and 'second' share a part of their memory"):
        sb.torch.initialize(model)
    apart = nn.ParameterDict({"first": nn.Parameter(whole[:4]), "second": nn.Parameter(whole[4:])})
    sb.torch.initialize(apart)


def test_columns_of_one_memory_may_lie_side_by_side_but_not_meet():
    whole = torch.zeros(10, 6)
    cut = {
        "first": nn.Parameter(whole[:, :3]),
        "second": nn.Parameter(whole[:, 3:5]),
        "third": nn.Parameter(whole[:, 5]),
    }
    sb.torch.initialize(nn.ParameterDict(cut), rng=0)
    twin = sb.torch.plan(nn.ParameterDict(cut)).initialize(0)
    for name, parameter in cut.items():
        assert (parameter.detach().numpy() == twin[name]).all()
    meeting = {
        "first": nn.Parameter(whole[:, :3]),
        "inside": nn.Parameter(whole[:, 5]),
        "third": nn.Parameter(whole[:, 2:4]),
    }
    with pytest.raises(ValueError, match="'first' and 'third' share a part of their memory"):
        sb.torch.initialize(nn.ParameterDict(meeting))


@pytest.mark.parametrize("names", [("0",), ("*",)])
def test_a_layer_repeated_by_the_list_can_be_set_apart(names):
    layer = nn.Linear(4, 4)
    model = nn.Sequential(*[layer] * 3)
    plan = sb.torch.initialize(model, rng=0, apart=["1*", "2*"] if names == ("0",) else names)
    assert all(row.source is None for row in plan.rows)
    assert len({each.weight.data_ptr() for each in model}) == 3
    assert not torch.equal(model[0].weight, model[1].weight)


def test_a_tied_parameter_can_be_set_apart():
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    plan = sb.torch.initialize(model, rng=0, apart=["1.weight"])
    assert [row.source for row in plan.rows] == [None, None]
    assert model[1].weight is not model[0].weight
    assert [row.role for row in plan.rows] == ["embedding", "linear"]


def test_a_rule_may_make_one_weight_the_same_as_another():
    model = nn.ModuleDict({"a": nn.Linear(4, 6), "b": nn.Linear(6, 4)})
    plan = sb.torch.initialize(model, {"b.weight": sb.SameAs("a.weight", transpose=True)}, rng=0)
    assert torch.equal(model["b"].weight, model["a"].weight.t())
    assert model["b"].weight.data_ptr() != model["a"].weight.data_ptr()
    assert plan.audit(dict(model.named_parameters())).ok


# Parametrizations


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_starts_at_the_weight_that_was_drawn(dim):
    modern = torch.nn.utils.parametrizations.weight_norm(nn.Linear(5, 7), dim=dim)
    plan = sb.torch.initialize(modern, rng=0)
    directions = modern.parametrizations.weight.original1
    assert torch.allclose(modern.weight, directions, atol=1e-6)
    twin = sb.HeNormal()((7, 5), sb.Key(0)["parametrizations.weight.original1"])
    np.testing.assert_array_equal(directions.detach().numpy(), twin)
    assert plan.audit(dict(modern.named_parameters())).ok


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_old_weight_norm_too_by_any_rule():
    old = torch.nn.utils.weight_norm(nn.ConvTranspose1d(4, 6, 3))
    sb.torch.initialize(old, {"weight_v": "orthogonal"}, rng=0)
    weight = torch._weight_norm(old.weight_v, old.weight_g, 0)
    assert torch.allclose(weight, old.weight_v, atol=1e-6)


def test_the_original_of_a_parametrization_has_the_role_of_the_weight():
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 8, 3, groups=2))
    plan = sb.torch.plan(layer)
    assert {row.name: (row.role, row.fans and row.fans.fan_in) for row in plan.rows} == {
        "bias": ("bias", None), "parametrizations.weight.original": ("conv", 18),
    }  # fmt: skip
    pruned = prune.l1_unstructured(nn.Linear(5, 4), "weight", amount=0.5)
    assert {row.name: row.role for row in sb.torch.plan(pruned).rows} == {"bias": "bias", "weight_orig": "linear"}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_spectral_norm_knows_the_singular_value_of_the_weight_that_was_drawn(device):
    with torch.device(device):
        model = nn.Sequential(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(20, 30)))
    sb.torch.initialize(model, rng=0, device="cpu")
    largest = torch.linalg.svdvals(model.eval()[0].weight)[0].item()
    assert abs(largest - 1) < 0.02


# Devices


def test_a_meta_model_is_made_on_a_device_with_its_ties_flags_and_buffers():
    def build():
        model = nn.Sequential(nn.Embedding(9, 4), nn.BatchNorm1d(4), nn.Linear(4, 9, bias=False), nn.LSTM(9, 4))
        model[2].weight = model[0].weight
        model[3].weight_hh_l0.requires_grad_(False)
        model[0].weight.mark = "kept"
        return model

    with torch.device("meta"):
        meta = build()
    with pytest.raises(ValueError, match=r"'0.weight' is on the meta device \(8 of 8 parameters\).*device='cpu'"):
        sb.torch.initialize(meta, rng=1)
    sb.torch.initialize(meta, rng=1, device="cpu")
    plain = build()
    sb.torch.initialize(plain, rng=1)
    for (name, made), (_, other) in zip(meta.state_dict().items(), plain.state_dict().items(), strict=True):
        assert torch.equal(made, other), name
    assert meta[2].weight is meta[0].weight
    assert meta[0].weight.mark == "kept"
    assert isinstance(meta[0].weight, nn.Parameter)
    assert not meta[3].weight_hh_l0.requires_grad
    x = torch.arange(6).reshape(2, 3)
    assert torch.equal(meta[3](meta[2](meta[0](x)))[0], plain[3](plain[2](plain[0](x)))[0])


def test_a_buffer_that_nothing_restores_is_named_and_stays_on_the_meta_device():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)
            self.register_buffer("mask", torch.empty(3, 3))
            self.register_buffer("position_ids", torch.empty(1, 5, dtype=torch.int64))

    with torch.device("meta"):
        model = Masked()
    with pytest.warns(UserWarning, match="1 buffers stay on the meta device, .*: 'mask'; assign them") as record:
        sb.torch.initialize(model, device="cpu")
    assert record[0].filename == __file__
    assert model.mask.is_meta
    assert model.position_ids.tolist() == [[0, 1, 2, 3, 4]]


def test_a_model_that_is_partly_on_the_meta_device_is_made_whole():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2, device="meta"))
    before, twin = model[0].weight, nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    sb.torch.initialize(model, rng=1, device="cpu")
    sb.torch.initialize(twin, rng=1)
    assert model[0].weight is before
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_buffer_that_modules_share_stays_one():
    def build():
        first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
        second.running_mean = first.running_mean
        return nn.Sequential(first, second)

    with torch.device("meta"):
        model = build()
    sb.torch.initialize(model, device="cpu")
    assert model[0].running_mean is model[1].running_mean
    assert model[0].running_mean.tolist() == [0.0] * 3


class MadeRotaryEmbedding(nn.Module):
    """A table of frequencies, as transformers has them, that its configuration makes or doesn't."""

    def __init__(self, config=None, size=4):
        super().__init__()
        self.config = config
        self.register_buffer("inv_freq", 1.0 / torch.arange(1.0, 1 + (config or size)), persistent=False)


@pytest.mark.parametrize(("config", "cut", "kept"), [(4, 4, True), (None, 4, False), (4, 2, False)])
def test_frequencies_are_made_again_where_the_configuration_makes_them_so(config, cut, kept):
    with torch.device("meta"):
        table = MadeRotaryEmbedding(config)
        table.inv_freq = table.inv_freq[:cut]
        model = nn.Sequential(nn.Linear(2, 2), table)
    if kept:
        sb.torch.initialize(model, device="cpu")
        assert model[1].inv_freq.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
        return
    with pytest.warns(UserWarning, match=r"1 buffers stay on the meta device, .*: '1\.inv_freq'"):
        sb.torch.initialize(model, device="cpu")
    assert model[1].inv_freq.is_meta


def test_a_module_that_can_make_its_own_buffers_is_asked_to():
    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("grid", torch.empty(3), persistent=False)

        def init_non_persistent_buffers(self):
            self.grid = torch.arange(3.0)

    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), Grid())
    sb.torch.initialize(model, device="cpu")
    assert model[1].grid.tolist() == [0.0, 1.0, 2.0]


def test_a_model_made_for_inference_alone_gets_the_same_weights():
    with torch.inference_mode():
        model = nn.Linear(4, 3)
        sb.torch.initialize(model, rng=1)
    twin = nn.Linear(4, 3)
    sb.torch.initialize(twin, rng=1)
    assert torch.equal(model.weight, twin.weight)


def test_a_rule_may_ask_for_the_dtype_that_a_parameter_has():
    plan = sb.torch.initialize(nn.Linear(4, 3), {"weight": sb.Rule("he_normal", dtype="float32")}, rng=1)
    assert plan.rows[0].dtype == "float32"


def test_parameters_in_one_row_of_fsdp1_are_refused():
    class FlatParameter(nn.Parameter):
        pass

    model = nn.Module()
    model.flat = FlatParameter(torch.zeros(9))
    with pytest.raises(ValueError, match="'flat' holds many parameters in one row, as FSDP1 makes them"):
        sb.torch.initialize(model)


@pytest.mark.parametrize("twice", [True, False])
def test_a_layer_used_twice_of_which_one_array_is_set_apart_shares_the_other(twice):
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight, second.bias = first.weight, first.bias
    model = nn.Sequential(first, first if twice else second)
    plan = sb.torch.initialize(model, rng=0, apart=["1.weight"])
    assert {row.name: row.source for row in plan.rows} == {
        "0.weight": None, "0.bias": None, "1.weight": None, "1.bias": "0.bias",
    }  # fmt: skip
    assert model[1].bias is model[0].bias is first.bias
    assert model[0].weight is first.weight
    assert not torch.equal(model[1].weight, model[0].weight)


def test_vectors_are_known_by_their_names_and_others_are_left_open():
    model = nn.LSTM(3, 4)
    for name in ("scale", "peephole"):
        model.register_parameter(name, nn.Parameter(torch.ones(4)))
    holder = nn.ParameterDict({"scale": nn.Parameter(torch.ones(4)), "other": nn.Parameter(torch.ones(4))})
    roles = {row.name: row.role for row in sb.torch.plan(nn.ModuleDict({"cell": model, "held": holder})).rows}
    assert (roles["held.scale"], roles["held.other"]) == ("multiplier", "unknown_vector")
    assert (roles["cell.weight_hh_l0"], roles["cell.peephole"]) == ("recurrent", "unknown_vector")


class Thirds(nn.Module):
    """A weight as the sum of three."""

    def forward(self, *parts):
        return sum(parts)

    def right_inverse(self, weight):
        return weight / 3, weight / 3, weight / 3


def test_originals_that_are_no_weight_have_roles_of_their_own():
    model = nn.Linear(4, 3)
    nn.utils.parametrize.register_parametrization(model, "weight", Thirds())
    rows = {row.name: row.role for row in sb.torch.plan(model).rows}
    assert {f"parametrizations.weight.original{number}" for number in range(3)} < set(rows)
    assert rows["parametrizations.weight.original2"] == "unknown_weight"


def test_a_model_left_as_to_empty_is_cured_with_its_buffers():
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU())
    model = model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(float("nan")) if tensor.is_floating_point() else tensor.fill_(-7)
    plan = sb.torch.initialize(model)
    assert plan.audit(dict(model.named_parameters())).ok
    assert all(bool(torch.isfinite(each).all()) for each in model.buffers())


def test_a_model_that_lies_in_channels_last_or_in_slices_gets_the_same_weights():
    plain, last = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    sliced = nn.Conv2d(4, 8, 3)
    sliced.weight = nn.Parameter(torch.zeros(8, 8, 3, 3)[:, ::2])
    for each in (plain, last, sliced):
        sb.torch.initialize(each, rng=0)
        assert torch.equal(each.weight, plain.weight)
    assert not last.weight.is_contiguous()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_gets_the_bits_of_the_cpu(dtype):
    def build():
        return nn.Sequential(nn.Embedding(9, 8, padding_idx=0), nn.Linear(8, 300), nn.LSTM(300, 8), nn.BatchNorm1d(8))

    here, there = build().to(dtype), build().to("cuda", dtype)
    sb.torch.initialize(here, rng=0)
    sb.torch.initialize(there, rng=0)
    for mine, theirs in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs.cpu())


# Rules, names, sources


def test_rules_go_by_names_roles_and_recipes():
    attention = nn.ModuleDict({"c_attn": nn.Linear(8, 24), "c_proj": nn.Linear(8, 8)})
    block = nn.ModuleDict({"attn": attention, "ln_1": nn.LayerNorm(8)})
    model = nn.ModuleDict({"wte": nn.Embedding(20, 8), "h": nn.ModuleList([block])})
    stds = {row.name: row.expected.std for row in sb.torch.plan(model, recipe="gpt2").rows}
    assert stds["h.0.attn.c_attn.weight"] == 0.02
    assert stds["h.0.attn.c_proj.weight"] == 0.02  # one branch
    assert stds["h.0.ln_1.weight"] == 0
    plan = sb.torch.initialize(model, {"@linear": sb.Normal(0.5), "wte.*": "glorot_normal"}, rng=0)
    assert {row.rule.why for row in plan.rows if row.role == "linear"} == {"the rule '@linear'"}
    assert abs(model["h"][0]["attn"]["c_attn"].weight.std() / 0.5 - 1) < 0.2
    assert sb.torch.plan(model, roles={"wte.weight": "position"}).rows[0].role == "position"


def test_names_and_sources_say_which_weights():
    a, b = nn.Linear(6, 4), nn.Linear(6, 4)
    sb.torch.initialize(a, rng=sb.Key(5)["model"], names={"weight": "fc.kernel"})
    np.testing.assert_array_equal(a.weight.detach().numpy(), sb.HeNormal()((4, 6), sb.Key(5)["model"]["fc.kernel"]))
    sb.torch.initialize(a, rng=torch.Generator().manual_seed(1))
    sb.torch.initialize(b, rng=torch.Generator().manual_seed(1))
    assert torch.equal(a.weight, b.weight)
    sb.torch.initialize(b, rng=torch.Generator().manual_seed(2))
    assert not torch.equal(a.weight, b.weight)
    with pytest.raises(TypeError, match="rng takes a Key"):
        sb.torch.initialize(a, rng="seed")


def test_threads_change_nothing():
    one, two = nn.Linear(1000, 1500), nn.Linear(1000, 1500)
    sb.torch.initialize(one, rng=0, workers=1)
    sb.torch.initialize(two, rng=0, workers=3)
    assert torch.equal(one.weight, two.weight)
    with pytest.raises(ValueError, match="workers is a positive number"):
        sb.torch.initialize(one, workers=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_wrapped_models_get_the_weights_of_what_they_wrap():
    plain = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    sb.torch.initialize(plain, rng=0)
    for wrap in (nn.DataParallel, torch.compile):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        sb.torch.initialize(wrap(model), rng=0)
        assert torch.equal(model[0].weight, plain[0].weight)
    inner = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    inner[1] = torch.compile(inner[1])
    plan = sb.torch.initialize(inner, rng=0)
    assert "1.weight" in {row.name for row in plan.rows}
    assert torch.equal(inner[1].weight, plain[1].weight)


def test_integers_are_kept_and_the_plan_says_so():
    model = nn.Linear(3, 4)
    model.codes = nn.Parameter(torch.arange(4, dtype=torch.int8), requires_grad=False)
    plan = sb.torch.initialize(model)
    assert model.codes.tolist() == [0, 1, 2, 3]
    assert "1 kept as they are" in str(plan)
    assert list(plan.kept) == ["codes"]


def test_a_weight_used_in_a_graph_is_noticed_by_autograd():
    layer = nn.Linear(3, 3)
    x = torch.ones(3, requires_grad=True)
    y = layer(x).sum()
    sb.torch.initialize(layer)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.torch.initialize([1, 2]), TypeError, "a model is a torch.nn.Module; got list"),
        (lambda: sb.torch.initialize(nn.Dropout()), RuleError, "Dropout has no parameters to initialize"),
        (
            lambda: sb.torch.initialize(nn.Sequential(nn.LazyLinear(3))), ValueError,
            "'0.weight' has no shape yet: it is of a lazy module. Run one batch",
        ),
        (
            lambda: sb.torch.initialize(nn.Linear(2, 2), {"wieght": "zeros"}), RuleError,
            "'wieght' hits no parameter.*the nearest is 'weight'",
        ),
        (
            lambda: sb.torch.initialize(nn.Linear(2, 2), {"weight": sb.Rule("zeros", dtype="float16")}), RuleError,
            r"asks for float16, but 'weight' is float32; .* model.to\(torch.float16\)",
        ),
        (
            lambda: sb.torch.initialize(nn.Linear(2, 2), {"*": "he_normal"}), RuleError,
            "gives HeNormal.* to 'bias', which it can't make",
        ),
        (
            lambda: sb.torch.initialize(nn.Linear(2, 2, dtype=torch.complex64)), RuleError,
            r"'weight' is complex64, which HeNormal\(\) does not make",
        ),
        (
            lambda: sb.torch.initialize(nn.Linear(2, 2), apart=["x*"]), ValueError,
            r"`apart` has 'x\*', which hits no parameter that is tied",
        ),
        (
            lambda: sb.torch.initialize(nn.ParameterList([nn.Parameter(torch.zeros(1, 4).expand(3, 4))])), RuntimeError,
            "'0': more than one element of this tensor refers to one place in memory",
        ),
        (
            lambda: sb.torch.initialize(nn.ParameterList([nn.Parameter(torch.eye(3).to_sparse())])), TypeError,
            "'0': weights are drawn into dense tensors, and this one's layout is torch.sparse_coo; draw a dense one",
        ),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_refusal_writes_nothing():
    model = nn.Sequential(ruined(nn.Linear(2, 2)), nn.LazyLinear(3))
    with pytest.raises(ValueError, match="lazy"):
        sb.torch.initialize(model)
    assert torch.isnan(model[0].weight).all()


def test_unitary_weights_of_a_complex_layer_are_drawn():
    layer = nn.Linear(4, 4, bias=False, dtype=torch.complex64)
    sb.torch.initialize(layer, {"weight": "orthogonal"}, rng=0)
    assert torch.allclose(layer.weight @ layer.weight.mH, torch.eye(4, dtype=torch.complex64), atol=1e-5)


def test_a_copy_of_a_model_starts_the_same_and_a_plan_draws_nothing():
    model = nn.TransformerEncoderLayer(8, 2, 16)
    twin = copy.deepcopy(model)
    before = {name: each.clone() for name, each in model.named_parameters()}
    sb.torch.plan(model)
    assert all(torch.equal(each, before[name]) for name, each in model.named_parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb.torch.initialize(model)
        sb.torch.initialize(twin)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
