"""Models that go wrong in PyTorch, each in the library's own modules: named by its code, and a healthy twin silent."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import symbreak.torch as sbt  # noqa: E402


class Attention(nn.Module):
    """Attention with arrays of its own for queries, keys and values."""

    def __init__(self, seeds):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))
        for layer, seed in zip((self.q, self.k, self.v), seeds, strict=True):
            nn.init.xavier_uniform_(layer.weight, generator=torch.Generator().manual_seed(seed))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (4, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.o(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mixture(nn.Module):
    """Experts, mixed by a router."""

    def __init__(self, copied):
        super().__init__()
        self.router = nn.Linear(8, 3)
        experts = [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(3)]
        self.experts = nn.ModuleList([copy.deepcopy(experts[0]) for _ in range(3)] if copied else experts)

    def forward(self, x):
        shares = self.router(x).softmax(-1)
        return sum(shares[..., n : n + 1] * expert(x) for n, expert in enumerate(self.experts))


class Lora(nn.Module):
    """A layer with an adapter of two factors."""

    def __init__(self, both):
        super().__init__()
        self.base, self.head = nn.Linear(8, 16), nn.Linear(16, 2)
        self.lora_A, self.lora_B = nn.Linear(8, 4, bias=False), nn.Linear(4, 16, bias=False)
        nn.init.zeros_(self.lora_B.weight)
        if both:
            nn.init.zeros_(self.lora_A.weight)

    def forward(self, x):
        return self.head((self.base(x) + self.lora_B(self.lora_A(x))).relu())


class Critics(nn.Module):
    """Two critics, the smaller of whose values counts."""

    def __init__(self, twin):
        super().__init__()
        self.q1, self.q2 = (nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(2))
        if twin:
            self.q2.load_state_dict(self.q1.state_dict())

    def forward(self, x):
        return self.q1(x), self.q2(x)


def encoder(healthy):
    """PyTorch's own: the layers of an encoder are copies of one."""
    found = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 3)
    for each in found.parameters() if healthy else ():
        if each.ndim > 1:
            nn.init.xavier_uniform_(each)
    return found


def shards(healthy):
    """A weight that was drawn in two halves, each from the same seed."""
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4))
    with torch.no_grad():
        for number, part in enumerate(model[0].weight.chunk(2)):
            nn.init.kaiming_uniform_(part, generator=torch.Generator().manual_seed(number if healthy else 0))
    return model


def repeated(healthy):
    """A list of layers that is one layer several times, or several."""
    layer = nn.Linear(12, 12)
    layers = [nn.Linear(12, 12) for _ in range(3)] if healthy else [layer] * 3
    return nn.Sequential(*[each for one in layers for each in (one, nn.ReLU())], nn.Linear(12, 2))


def emptied(healthy):
    """A model that was made without values and given memory, which is often zeros."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    model.to_empty(device="cpu")
    with torch.no_grad():
        for each in model.parameters():
            each.zero_()
    for each in model if healthy else ():
        if isinstance(each, nn.Linear):
            each.reset_parameters()
    return model


def rounded(healthy):
    """A layer of one input whose weights were drawn in bfloat16 from a narrow range: few values are left."""
    model = nn.Sequential(nn.Linear(1, 512, bias=False), nn.ReLU(), nn.Linear(512, 1, bias=False))
    with torch.no_grad():
        model[0].weight.uniform_(1.0, 1.1)
        model[2].weight.fill_(0.1)
        if healthy:
            model[2].weight.normal_()
        else:
            model[0].weight.copy_(model[0].weight.bfloat16())
    return model if healthy else model.bfloat16()


CASES = {  # what is wrong: (how it is made, an example, the code)
    "copied encoder layers": (encoder, torch.zeros(2, 5, 16), "SB204"),
    "q, k and v from one seed": (lambda healthy: Attention((1, 2, 3) if healthy else (1, 1, 1)), torch.zeros(2, 5, 16),
                                 "SB208"),
    "copied experts": (lambda healthy: Mixture(not healthy), torch.zeros(2, 5, 8), "SB206"),
    "both factors zero": (lambda healthy: Lora(not healthy), torch.zeros(4, 8), "SB203"),
    "a twin critic": (lambda healthy: Critics(not healthy), torch.zeros(4, 6), "SB206"),
    "shards from one seed": (shards, torch.zeros(4, 32), "SB207"),
    "one layer n times": (repeated, torch.zeros(4, 12), "SB204"),
    "left empty": (emptied, torch.zeros(4, 8), "SB203"),
    "few values in bfloat16": (rounded, torch.zeros(4, 1), "SB201"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_and_a_healthy_twin_is_silent(case):
    make, example, code = CASES[case]
    torch.manual_seed(0)
    wrong = make(False)
    dtype = next(wrong.parameters()).dtype
    report = sbt.diagnose(wrong, example.to(dtype))
    assert code in [finding.code for finding in report.findings], report
    assert report.evidence == "the model as it runs, in training mode"
    torch.manual_seed(0)
    healthy = sbt.diagnose(make(True), example)
    assert healthy.ok, healthy
    assert code not in [finding.code for finding in healthy.findings]


def test_a_layer_that_stands_several_times_in_a_list_is_named_with_its_places():
    layer, squash = nn.Linear(4, 4), nn.ReLU()
    model = nn.Sequential(nn.ModuleDict({"a": layer}).a, squash, layer, squash, nn.Linear(4, 2))
    found = [each for each in sbt.diagnose(model, torch.zeros(2, 4)).findings if each.code == "SB204"]
    assert [each.where for each in found] == ["0"]
    assert found[0].message == "2 entries of a list are one module, so that every update moves all: 0, 2"
    assert "[make() for _ in range(n)]" in found[0].fix


class Tagger(nn.Module):
    """A table with a row for padding, under a name that tells nothing."""

    def __init__(self):
        super().__init__()
        self.e, self.out = nn.Embedding(9, 6, padding_idx=2), nn.Linear(6, 4)

    def forward(self, x):
        return self.out(self.e(x))


def test_the_row_that_a_table_keeps_for_padding_is_no_finding_and_any_other_is():
    torch.manual_seed(1)
    model, x = Tagger(), torch.zeros(2, 3, dtype=torch.long)
    assert not model.e.weight[2].any()
    assert sbt.diagnose(model, x).findings == ()
    with torch.no_grad():
        model.e.weight[5] = 0
    found = sbt.diagnose(model, x).findings
    assert [(each.code, each.where, each.groups) for each in found] == [("SB106", "e.weight, axis 0", ((2, 5),))]
