"""The wiring of a model of torch's is from what it does: renumbering the units of any space changes no output.

All but the last digits: models are run in double precision, with every value moved to where the graph says it goes.
"""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

import symbreak as sb  # noqa: E402
import symbreak.torch as sbt  # noqa: E402
from symbreak.checkpoints import save_wiring  # noqa: E402
from symbreak.torch._wire import understood, wired_with  # noqa: E402
from tests.checkpoints.wiring._permute import axes_over, moved  # noqa: E402
from tests.checkpoints.wiring._planted import plantable  # noqa: E402
from tests.torch._renumbered import Renumbered  # noqa: E402

SAME = 1e-12


class Call(nn.Module):
    """A function of parts, as a module."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args):
        return self.function(self, *args)


class Stack(nn.Module):
    """A weight of three axes."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))


def recurrent(kind, **options):
    last = 12 if options.get("bidirectional") else options.get("proj_size", 6)
    return Call(lambda m, x: m.head(m.layer(m.table(x))[0].mean(0)), table=nn.Embedding(11, 8),
                layer=kind(8, 6, **options),
                head=nn.Linear(last, 4))  # fmt: skip


def _attend(m, x):
    """Write attention with an einsum for each product."""
    q, k, v = (layer(x).reshape(*x.shape[:2], 2, 8) for layer in (m.q, m.k, m.v))
    weights = (torch.einsum("bihd,bjhd->bhij", q, k) / 8**0.5).softmax(-1)
    return m.o(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))


def _grouped(m, x):
    """Let four heads share two of keys and values."""
    q = m.q(x).unflatten(-1, (4, 4)).transpose(1, 2)
    k, v = (layer(x).unflatten(-1, (2, 4)).transpose(1, 2) for layer in (m.k, m.v))
    out = nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    return m.o(out.transpose(1, 2).flatten(2))


def _experts(m, x):
    """Mix experts whose weights are stacked in two arrays."""
    shares = m.router(x).softmax(-1)
    return sum(
        shares[..., n : n + 1] * ((x @ m.up.weight[n]).relu() @ m.down.weight[n].transpose(0, 1)) for n in range(3)
    )


def _bent(m, x):
    """Go through operators of every kind that cut, join and reorder."""
    first, second = m.a(x).chunk(2, dim=-1)
    both = torch.cat([first * second.sigmoid(), nn.functional.gelu(second, approximate="tanh")], dim=-1)
    stacked = torch.stack([m.b(both), m.c(both)], dim=1)
    return m.d(nn.functional.layer_norm(stacked, (6,)).mean(1) + stacked.unbind(1)[0].relu_())


def _written(m, x):
    """Write into a part of a value, which is read as a whole."""
    h = m.a(x)
    h[:, :3] = h[:, :3].relu()
    return m.b(h)


def _tied(m, x):
    """Read the table that was looked up as the output layer."""
    return m.mix(m.table(x)).tanh() @ m.table.weight.T


MODELS = {  # name: (model, example, spaces that nothing outside sees)
    "dense": (lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2)), (4, 3), 1),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=8),
            nn.GroupNorm(2, 8), nn.MaxPool2d(2), nn.Conv2d(8, 12, 1, groups=2), nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(12, 6, 2, stride=2), nn.InstanceNorm2d(6), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(24, 5), nn.LogSoftmax(-1)), (2, 3, 16, 16), 4),
    "one dimension": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.PReLU(8), nn.AvgPool1d(2), nn.Conv1d(8, 4, 3)),
        (2, 3, 20), 1),
    "encoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2),
                (2, 5, 16), 8),
    "encoder and decoder": (
        lambda: Call(lambda m, x: m.net(x, x[:, :3]), net=nn.Transformer(16, 2, 1, 1, 32, batch_first=True)),
        (2, 5, 16), 11),
    "einsum": (lambda: Call(_attend, **{key: nn.Linear(16, 16) for key in "qkvo"}), (2, 5, 16), 3),
    "grouped queries": (
        lambda: Call(_grouped, q=nn.Linear(8, 16), k=nn.Linear(8, 8), v=nn.Linear(8, 8), o=nn.Linear(16, 3)), (2, 5, 8),
        4),
    "bent": (lambda: Call(_bent, a=nn.Linear(4, 12), b=nn.Linear(12, 6), c=nn.Linear(12, 6), d=nn.Linear(6, 2)), (3, 4),
             2),
    "stacked experts": (
        lambda: Call(_experts, router=nn.Linear(4, 3), up=Stack(3, 4, 6), down=Stack(3, 2, 6)), (5, 4), 3),
    "lstm": (lambda: recurrent(nn.LSTM, num_layers=2, bidirectional=True), "words", 5),
    "projected lstm": (lambda: recurrent(nn.LSTM, proj_size=3), "words", 3),
    "gru": (lambda: recurrent(nn.GRU), "words", 2),
    "rnn": (lambda: recurrent(nn.RNN, nonlinearity="relu"), "words", 2),
    "tied table": (lambda: Call(_tied, table=nn.Embedding(11, 8), mix=nn.Linear(8, 8)), "words", 2),
    "bag": (lambda: nn.Sequential(nn.EmbeddingBag(11, 8), nn.ReLU(), nn.Linear(8, 2)), "words", 1),
}  # fmt: skip


def made(name):
    make, shape, spaces = MODELS[name]
    torch.manual_seed(0)
    example = torch.randint(0, 11, (3, 4)) if shape == "words" else torch.randn(shape)
    return make().eval(), (example,), spaces


@pytest.mark.parametrize("name", MODELS)
def test_renumbering_the_units_of_any_space_changes_no_output(name):
    model, example, spaces = made(name)
    run = Renumbered(model, example)
    assert understood(run.wired, wired_with(model, example, {}).arrays) == 1.0, run.wired
    assert len(run.closed()) == spaces, run.wired
    assert run.worst()[0] < SAME, run.worst()


@pytest.mark.parametrize("name", ["dense", "encoder", "lstm", "bent", "grouped queries"])
def test_renumbering_on_all_axes_but_one_changes_the_outputs(name):
    """Each axis that the graph names matters: there is none too many."""
    model, example, _ = made(name)
    run = Renumbered(model, example)
    before = run(run.values)
    for space in run.closed():
        for array, number in axes_over(run.graph, space):
            if array.endswith("in_proj_bias[1]") or array == "k.bias":
                continue  # a softmax doesn't see the biases of keys
            after = run(run.values[moved(run.graph, space, run.total, without=(array, number))])
            assert np.abs(after - before).max() > 1e-9 * np.abs(before).max(), (space, array, number)


@pytest.mark.parametrize(
    "name",
    ["dense", "convolutions", "encoder", "lstm", "gru", "bent", "tied table", "stacked experts", "encoder and decoder"],
)
def test_a_tie_in_any_space_is_found_and_none_where_there_is_none(name):
    model, example, _ = made(name)
    run = Renumbered(model, example)
    kept = {key: each.clone() for key, each in model.state_dict().items()}
    assert not [each for each in sbt.diagnose(model, *example).findings if each.code == "SB201"]
    for space in plantable(run.graph):
        run.plant(space)
        found = [each.code for each in sbt.diagnose(model, *example).findings]
        assert {"SB201", "SB205"} & set(found), space
        model.load_state_dict(kept)


def test_what_is_written_by_way_of_a_part_is_not_taken_for_the_whole():
    model = Call(_written, a=nn.Linear(4, 6), b=nn.Linear(6, 2))
    found = sbt.wire(model, torch.randn(3, 4))
    assert any("written by way of another view" in reason for reason in found.unknown.values())
    with torch.no_grad():
        model.a.weight[4], model.a.bias[4], model.b.weight[:, 4] = (
            model.a.weight[1],
            model.a.bias[1],
            model.b.weight[:, 1],
        )
    assert "SB201" not in [each.code for each in sbt.diagnose(model, torch.randn(3, 4)).findings]


def test_a_parameter_under_two_names_is_one():
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    model[2].weight = model[0].weight
    found = sbt.wire(model, torch.randn(3, 6))
    (weight,) = [each for each in found.graph.connections if each.name == "0.weight"]
    assert len(weight.uses) == 2
    assert "2.weight" not in found.graph.arrays
    two = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    two[2].weight.data = two[0].weight.data  # two parameters, one memory
    (weight,) = [each for each in sbt.wire(two, torch.randn(3, 6)).graph.connections if each.name == "0.weight"]
    assert len(weight.uses) == 2


def test_a_saved_wiring_knows_every_name_of_a_shared_parameter(tmp_path):
    """A state dict has an embedding that is the output layer too under both names; the second parted the units."""
    model = nn.Sequential(nn.Embedding(9, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 9, bias=False))
    model[4].weight = model[0].weight
    with torch.no_grad():
        model[0].weight[:, 5] = model[0].weight[:, 2]
        model[2].weight[:, 5] = model[2].weight[:, 2]
        model[2].weight[5], model[2].bias[5] = model[2].weight[2], model[2].bias[2]
    found = sbt.wire(model, torch.zeros(3, dtype=torch.long))
    assert found.wiring.ignored == {"4.weight": "the same tensor as 0.weight"}
    save_wiring(found, tmp_path / "wiring.toml")
    state = {name: each.numpy() for name, each in model.state_dict().items()}
    report = sb.diagnose(state, wiring=tmp_path / "wiring.toml")
    codes = [finding.code for finding in report.findings]
    assert "SB302" not in codes
    assert "SB201" in codes


def test_frozen_parameters_and_buffers_count_as_they_are():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.arange(40.0).reshape(5, 8).sin())
            self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 2)
            self.first.weight.requires_grad_(requires_grad=False)

        def forward(self, x):
            return self.second((self.first(x) + self.table).relu())

    model = Positions()
    with torch.no_grad():
        model.first.weight[3], model.first.bias[3] = model.first.weight[1], model.first.bias[1]
        model.second.weight[:, 3] = model.second.weight[:, 1]
    report = sbt.diagnose(model, torch.randn(2, 5, 3))
    assert "SB201" not in [each.code for each in report.findings]  # the table tells the units apart
    model.table[:, 3] = model.table[:, 1]
    assert "SB201" in [each.code for each in sbt.diagnose(model, torch.randn(2, 5, 3)).findings]


class Frequencies(nn.Module):
    """Those that all layers share, as transformers has them."""

    def __init__(self, size):
        super().__init__()
        self.register_buffer("frequencies", 100.0 ** -(torch.arange(0, size, 2) / size), persistent=False)

    def forward(self, length):
        angles = torch.outer(torch.arange(length), self.frequencies)
        whole = torch.cat([angles, angles], -1)
        return whole.cos(), whole.sin()


class Turning(nn.Module):
    """A layer of two heads whose queries and keys are turned by their positions."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x, cos, sin):
        q, k, v = (each.reshape(*x.shape[:2], 2, 4).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
        q, k = (each * cos + torch.cat([-each[..., 2:], each[..., :2]], -1) * sin for each in (q, k))
        seen = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return x + self.out(seen.transpose(1, 2).reshape(x.shape))


class Rotated(nn.Module):
    def __init__(self):
        super().__init__()
        self.rotary, self.layers = Frequencies(4), nn.ModuleList([Turning(), Turning()])
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        x, turn = self.first(x), self.rotary(x.shape[1])
        for layer in self.layers:
            x = layer(x, *turn)
        return self.last(x)


def test_layers_that_share_a_table_of_frequencies_keep_spaces_of_their_own():
    torch.manual_seed(0)
    model = Rotated()
    x = torch.linspace(-1, 1, 42).reshape(2, 7, 3)
    report = sbt.diagnose(model, x)
    assert report.evidence == "the model as it runs, in training mode"
    assert not report.findings
    with torch.no_grad():  # queries and keys of one head that are equal but turned apart
        for begin in (0, 8):
            model.layers[1].qkv.weight[begin + 1] = model.layers[1].qkv.weight[begin]
            model.layers[1].qkv.bias[begin + 1] = model.layers[1].qkv.bias[begin]
    assert {finding.code for finding in sbt.diagnose(model, x).findings} == {"SB102"}
    with torch.no_grad():  # values of one head, which are turned by nothing
        model.layers[1].qkv.weight[17], model.layers[1].qkv.bias[17] = (
            model.layers[1].qkv.weight[16],
            model.layers[1].qkv.bias[16],
        )
        model.layers[1].out.weight[:, 1] = model.layers[1].out.weight[:, 0]
    assert "SB201" in {finding.code for finding in sbt.diagnose(model, x).findings}


def test_a_tensor_that_is_no_buffer_counts_too():
    constant = torch.arange(40.0).reshape(5, 8).sin()
    model = Call(lambda m, x: m.b((m.a(x) + constant).relu()), a=nn.Linear(3, 8), b=nn.Linear(8, 2))
    found = sbt.wire(model, torch.randn(2, 5, 3))
    assert "(constant 0)" in found.graph.arrays
    with torch.no_grad():
        model.a.weight[3], model.a.bias[3], model.b.weight[:, 3] = (
            model.a.weight[1],
            model.a.bias[1],
            model.b.weight[:, 1],
        )
    assert "SB201" not in [each.code for each in sbt.diagnose(model, torch.randn(2, 5, 3)).findings]
    constant[:, 3] = constant[:, 1]
    assert "SB201" in [each.code for each in sbt.diagnose(model, torch.randn(2, 5, 3)).findings]


def test_parametrized_weights_are_followed_or_said_not_to_be():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
    found = sbt.wire(model, torch.randn(3, 4))
    assert "0.parametrizations.weight.original1" in found.unknown
    assert found.graph is not None
    assert "2.weight" in found.graph.arrays


def test_a_model_is_left_as_it_was():
    model, example, _ = made("convolutions")
    model[1].eval()
    model[2].train()
    modes = [each.training for each in model.modules()]
    values = {key: each.clone() for key, each in model.state_dict().items()}
    state, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    sbt.diagnose(model, *example)
    assert [each.training for each in model.modules()] == modes
    assert all((each == values[key]).all() for key, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert (torch.get_rng_state() == state).all()
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert not any(each._forward_hooks for each in model.modules())


def test_what_is_run_may_depend_on_lengths_and_masks_but_not_on_what_is_computed():
    by_mask = Call(lambda m, x, mask: m.b(m.a(x) if mask.all() else m.a(x) * 2), a=nn.Linear(3, 4), b=nn.Linear(4, 1))
    found = sbt.wire(by_mask, torch.randn(2, 3), torch.ones(2, dtype=torch.bool))
    assert found.rule == "the model as it runs, in training mode"
    by_value = Call(lambda m, x: m.b(m.a(x)) if m.a(x).sum() > -1e9 else x, a=nn.Linear(3, 4), b=nn.Linear(4, 1))
    assert sbt.wire(by_value, torch.randn(2, 3)).rule == "the model as it runs, in training mode, with its values"


def test_noise_of_dropout_tells_units_apart_when_it_is_asked_for():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1], model[3].weight[:, 1] = (
            model[0].weight[0], model[0].bias[0], model[3].weight[:, 0],
        )  # fmt: skip
    assert "SB201" in [each.code for each in sbt.diagnose(model, torch.randn(4, 3)).findings]
    assert "SB201" not in [each.code for each in sbt.diagnose(model, torch.randn(4, 3), noise=True).findings]


class Shared(nn.Module):
    """Layers of attention that share the angles by which queries and keys are turned, as layers of Llama do."""

    def __init__(self, width=16, heads=4, layers=2):
        super().__init__()
        self.heads, self.emb, self.out = heads, nn.Embedding(9, width), nn.Linear(width, 9)
        self.layers = nn.ModuleList(
            [nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in "qkvo"}) for _ in range(layers)]
        )
        self.register_buffer("freq", 0.1 ** torch.arange(0.0, 1.0, 2 * heads / width))

    def forward(self, ids):
        angle = (torch.arange(ids.shape[1])[:, None] * self.freq).repeat(1, 2)
        cos, sin, x = angle.cos(), angle.sin(), self.emb(ids)

        def turned(t):
            first, second = t.chunk(2, dim=-1)
            return t * cos + torch.cat([-second, first], dim=-1) * sin

        for layer in self.layers:
            q, k, v = (layer[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in "qkv")
            mixed = nn.functional.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True)
            x = x + layer["o"](mixed.transpose(1, 2).flatten(2))
        return self.out(x)


def test_layers_that_share_rotary_positions_are_judged_as_they_run():
    torch.manual_seed(0)
    model, x = Shared(), torch.zeros(2, 5, dtype=torch.long)
    clean = sbt.diagnose(model, x)
    assert (clean.findings, clean.evidence) == ((), "the model as it runs, in training mode")
    head, other = slice(0, 4), slice(8, 12)
    with torch.no_grad():
        for name in "qkv":
            model.layers[1][name].weight[other] = model.layers[1][name].weight[head]
        model.layers[1]["o"].weight[:, other] = model.layers[1]["o"].weight[:, head]
        for name in "qk":  # two units of each head of the first layer, turned at their own speeds, and so no tie
            halves = model.layers[0][name].weight.view(4, 2, 2, 16)
            halves[:, :, 1] = halves[:, :, 0]
    tied = [each for each in sbt.diagnose(model, x).findings if each.code == "SB201"]
    assert [(each.where, each.groups) for each in tied if "heads" in each.where] == [
        ("space layers.1.q.heads", ((0, 2),))
    ]
    assert not [each for each in tied if "layers.0" in each.where]


class Interleaved(nn.Module):
    """Four heads of which a part is turned, every other unit with the next, as GPT-J does."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(20, 32), nn.Linear(32, 20)
        self.q, self.k, self.v, self.o = (nn.Linear(32, 32, bias=False) for _ in "qkvo")
        self.up, self.down = nn.Linear(32, 48), nn.Linear(48, 32)
        self.register_buffer("angles", torch.outer(torch.arange(1.0, 9.0), torch.tensor([1.0, 0.3])), persistent=False)

    def turned(self, x):
        angles = self.angles[: x.shape[-2]].repeat_interleave(2, -1)
        some, rest = x[..., :4], x[..., 4:]
        across = torch.stack((-some[..., 1::2], some[..., ::2]), -1).flatten(-2)
        return torch.cat([some * angles.cos() + across * angles.sin(), rest], -1)

    def forward(self, ids):
        x = self.embed(ids)
        q, k, v = (each(x).unflatten(-1, (4, 8)).transpose(1, 2) for each in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).flatten(2)) + self.down(nn.functional.gelu(self.up(x)))
        return self.out(x)


def test_units_of_a_part_of_a_head_that_is_turned_in_pairs_are_judged_with_the_rest():
    torch.manual_seed(0)
    model, x = Interleaved(), torch.zeros(2, 5, dtype=torch.long)
    clean = sbt.diagnose(model, x)
    assert [each.code for each in clean.findings if each.code != "SB302"] == []
    assert clean.evidence == "the model as it runs, in training mode"
    with torch.no_grad():
        model.up.weight[3], model.up.bias[3] = model.up.weight[2], model.up.bias[2]
        model.down.weight[:, 3] = model.down.weight[:, 2]
    report = sbt.diagnose(model, x)
    assert [(each.where, each.groups) for each in report.findings if each.code == "SB201"] == [("space up", ((2, 3),))]


def test_without_an_example_inputs_that_fit_are_tried():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert sbt.wire(model).rule == (
        "the model as it runs, in training mode, on an input of shape (2, 3, 64, 64), by its first layer"
    )


def _with(model, **told):
    for name, value in told.items():
        setattr(model, name, value)
    return model


FITTING = {  # models without an example, and what they are run on
    "a sequence's convolution": (
        lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Conv1d(8, 2, 3)), "an input of shape (2, 3, 64)",
    ),
    "a volume's convolution": (
        lambda: nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 2, 3)),
        "an input of shape (2, 1, 32, 32, 32)",
    ),
    "words": (lambda: nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 2)), "an input of shape (2, 8)"),
    "a recurrent layer": (
        lambda: Call(lambda m, x: m.head(m.layer(x)[0]), layer=nn.LSTM(3, 8), head=nn.Linear(8, 2)),
        "an input of shape (3, 2, 3)",
    ),
    "a recurrent cell": (
        lambda: Call(
            lambda m, x: m.head(m.layer(x, x[:, :1].expand(2, 8))), layer=nn.RNNCell(3, 8), head=nn.Linear(8, 2)
        ),
        "an input of shape (2, 3)",
    ),
    "attention": (lambda: nn.MultiheadAttention(8, 2), "three inputs of shape (3, 2, 8)"),
    "a decoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 1), "two inputs of shape (3, 2, 8)",
    ),
    "a dense layer over positions": (
        lambda: Call(lambda m, x: m.b(m.a(x).relu().transpose(1, 2).mean(2)), a=nn.Linear(3, 8), b=nn.Linear(8, 2)),
        "an input of shape (2, 8, 3)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FITTING)
def test_inputs_are_tried_that_fit_the_first_layer(name):
    make, told = FITTING[name]
    model = make()
    found = sbt.wire(model)
    assert found.rule == f"the model as it runs, in training mode, on {told}, by its first layer"
    assert dict(found.unknown) == {}


def test_a_model_may_say_itself_what_it_reads():
    def model():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))

    run = "the model as it runs, in training mode, on "
    timm = _with(model(), default_cfg={"input_size": (3, 20, 20)})
    assert sbt.wire(timm).rule == f"{run}an input of shape (2, 3, 20, 20), by its configuration"
    own = _with(model(), dummy_inputs={"input": torch.zeros(2, 3, 9, 9)})
    assert sbt.wire(own).rule == f"{run}its own dummy inputs"
    assert (
        str(sbt.wire(timm).graph) == str(sbt.wire(own).graph) == str(sbt.wire(model(), torch.zeros(2, 3, 9, 9)).graph)
    )


class Products(nn.Module):
    """Arrays alone, of which none is that of a layer."""

    def __init__(self, first="a", second="b"):
        super().__init__()
        self.names = first, second
        self.register_parameter(first, nn.Parameter(torch.randn(3, 4)))
        self.register_parameter(second, nn.Parameter(torch.randn(4, 2)))

    def forward(self, x):
        first, second = (self._parameters[name] for name in self.names)
        return (x @ first).relu() @ second


def test_a_model_for_which_no_input_fits_is_told_so():
    notes = [each.message for each in sbt.diagnose(Products()).findings if each.code == "SB302"]
    assert any(
        "could not be run: no example of its input was given, and none that was tried fits" in each for each in notes
    )


def test_names_that_no_rule_can_say_are_left_open():
    found = sbt.wire(Products("a{0}", "b*"), torch.randn(5, 3))
    assert set(found.unknown) == {"a{0}", "b*"}
    assert found.graph is None
    assert dict(sbt.wire(Products("a0", "b"), torch.randn(5, 3)).unknown) == {}


def test_names_that_say_more_than_a_run_are_taken_with_what_the_modules_say():
    class Mixed(nn.TransformerEncoder):
        def forward(self, x):
            return self.layers[1](torch.fft.fft(self.layers[0](x)).real)

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    report = sbt.diagnose(Mixed(layer, 2, enable_nested_tensor=False), torch.randn(2, 5, 8))
    assert report.evidence == "torch Transformer"
    (note,) = [each.message for each in report.findings if "doesn't show all that names do" in each.message]
    assert "the graph's aten::_fft" in note
    heads = [name for name in report.partition if "heads" in name]
    assert heads
    assert all(len(report.partition[name]) == 2 for name in heads if name.endswith("heads"))


def test_a_run_that_makes_no_graph_leaves_the_names_and_the_report_says_so(monkeypatch):
    from symbreak.torch import _diagnose

    model, judge = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)), _diagnose._judge

    def strict(model, found, *options):
        if not found.by_names or not names:
            raise ValueError("a space is its own parent")
        return judge(model, found, *options)

    monkeypatch.setattr(_diagnose, "_judge", strict)
    names = True
    report = sbt.diagnose(model, torch.randn(4, 3))
    (note,) = [each.message for each in report.findings if each.code == "SB302"]
    assert note.endswith("as what it does makes no graph: a space is its own parent")
    assert report.evidence == "numbered layers"
    names = False
    with pytest.raises(ValueError, match="a space is its own parent"):
        sbt.diagnose(Call(lambda m, x: 1 / 0, fc1=nn.Linear(3, 8)), torch.randn(4, 3))


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collection_of_garbage_goes_on_as_it_was(enabled):
    import gc

    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        sbt.wire(nn.Linear(3, 2), torch.zeros(2, 3))
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (nn.Linear(4, 2), r"mat1 and mat2 shapes cannot be multiplied \(2x5 and 4x2\)"),
        (nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), r"Given normalized_shape=\[4\]"),
    ],
)
def test_an_example_that_the_model_cannot_take_is_told(model, complaint):
    found = [each for each in sbt.diagnose(model, torch.zeros(2, 5)).findings if "could not be run" in each.message]
    assert len(found) == 1
    assert re.search(complaint, found[0].message)


def test_a_model_that_fails_in_two_ways_is_told_with_both():
    def fail(m, x):
        raise RuntimeError("no values" if x.is_meta else "no such thing")

    report = sbt.diagnose(Call(fail, fc1=nn.Linear(3, 8), fc2=nn.Linear(8, 2)), torch.randn(2, 3))
    (note,) = [each for each in report.findings if each.code == "SB302"]
    assert "the model could not be run: RuntimeError: no values; then RuntimeError: no such thing" in note.message


def test_a_model_that_does_not_run_is_wired_by_names_and_the_report_says_so():
    def fail(m, x):
        raise RuntimeError("no such thing")

    model = Call(fail, fc1=nn.Linear(3, 8), fc2=nn.Linear(8, 2))
    report = sbt.diagnose(model, torch.randn(2, 3))
    (note,) = [each for each in report.findings if each.code == "SB302"]
    assert "the model could not be run: RuntimeError: no such thing" in note.message
    assert note.fix.startswith("pass an example that it can be called with, as in diagnose(model, x), or say how")
    assert report.evidence == "numbered layers"
    assert "wired by: numbered layers" in str(report)
    assert "wired by: numbered layers" in report._repr_html_()
    assert report.to_dict()["evidence"] == "numbered layers"


@pytest.mark.parametrize(
    ("model", "error", "complaint"),
    [
        (
            lambda: {"a": torch.ones(2)},
            TypeError,
            r"a torch.nn.Module is diagnosed here, got a dict; for arrays by name",
        ),
        (nn.ReLU, ValueError, "ReLU has no parameters, so there is nothing to judge"),
        (lambda: nn.LazyLinear(3), ValueError, "weight has no shape yet: its module is lazy"),
        (lambda: nn.Linear(2, 3, device="meta"), ValueError, "weight is on the meta device and holds no values"),
        (lambda: Call(None, w=nn.Parameter(torch.eye(3).to_sparse())), TypeError, "w is no plain tensor"),
    ],
)
def test_what_can_not_be_judged_is_refused(model, error, complaint):
    with pytest.raises(error, match=complaint):
        sbt.diagnose(model())


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_wrapped_models_are_judged_as_what_they_wrap(wrap):
    plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.fill_(0.5)
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    model = wrap(plain)
    assert sbt.diagnose(model, x).to_dict() == sbt.diagnose(plain, x).to_dict()
    assert str(sbt.wire(model, x)) == str(sbt.wire(plain, x))
    assert sbt.probe(model, x, torch.sum).to_dict() == sbt.probe(plain, x, torch.sum).to_dict()
    assert str(sbt.Monitor(model)) == str(sbt.Monitor(plain))
    assert [*sbt.Monitor(model).look()] == [*sbt.Monitor(plain).look()]


@pytest.mark.parametrize("look", [sbt.Monitor, lambda model: sbt.probe(model, torch.ones(2, 3), torch.sum)])
def test_a_lazy_model_is_refused_and_stays_lazy(look):
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"0\.weight has no shape yet: its module is lazy"):
        look(model)
    assert torch.nn.parameter.is_lazy(model[0].weight)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "float8_e4m3fn", "float8_e5m2"])
def test_arrays_of_every_dtype_share_the_memory_of_the_model(dtype):
    from symbreak.torch._arrays import as_array

    tensor = torch.randn(4, 3).to(getattr(torch, dtype))
    array = as_array(tensor, "w")
    assert array.dtype.name == dtype
    assert (array.astype("f8") == tensor.double().numpy()).all()
    assert array.__array_interface__["data"][0] == tensor.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_a_cuda_device_is_judged_as_on_the_cpu():
    model, example, _ = made("encoder")
    here = sbt.diagnose(model, *example)
    there = sbt.diagnose(model.cuda(), example[0].cuda())
    assert there.findings == here.findings


def test_parts_of_an_array_that_is_read_whole_too_are_told_apart():
    model = Call(
        lambda m, x: m.b((x @ m.a.weight.T).relu()) + x @ m.a.weight[:2].T, a=nn.Linear(3, 8), b=nn.Linear(8, 2)
    )
    with torch.no_grad():
        model.a.weight[5], model.b.weight[:, 5] = model.a.weight[4], model.b.weight[:, 4]
    found = sbt.wire(model, torch.randn(4, 3))
    assert "a.weight" in found.unknown
    assert "SB201" not in [each.code for each in sbt.diagnose(model, torch.randn(4, 3)).findings]
