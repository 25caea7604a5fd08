"""One operator of torch's after another between two dense layers: which units can be renumbered behind it.

Where a space is said to be closed, its units are renumbered in the model on all axes that the graph names, which may
change nothing, and on all but one, which must.
"""

from collections import UserDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812 - as everyone calls it

import symbreak.torch as sbt  # noqa: E402
from symbreak.torch import _trace  # noqa: E402
from symbreak.torch._wire import understood  # noqa: E402
from tests.checkpoints.wiring._permute import axes_over, moved  # noqa: E402
from tests.torch._renumbered import Renumbered  # noqa: E402

SAME = 1e-12
PARTS = {
    "k": lambda: nn.Parameter(torch.randn(8)), "m": lambda: nn.Parameter(torch.randn(8, 8)),
    "stack": lambda: nn.Parameter(torch.randn(2, 8, 8)),
    "q": lambda: nn.Linear(8, 8), "keys": lambda: nn.Linear(8, 8), "values": lambda: nn.Linear(8, 8),
    "few_keys": lambda: nn.Linear(8, 4), "few_values": lambda: nn.Linear(8, 4),
}  # fmt: skip
AT = torch.tensor([0, 1, 1])


class Between(nn.Module):
    """A function between two dense layers."""

    def __init__(self, function, names=""):
        super().__init__()
        torch.manual_seed(0)
        self.up, self.down, self.function = nn.Linear(3, 8), nn.Linear(8, 2), function
        for name in names.split():
            setattr(self, name, PARTS[name]())

    def forward(self, x):
        return self.down(self.function(self, self.up(x)))


def x():
    return torch.linspace(-1, 1, 15).reshape(5, 3).sin()


def whole(function):
    """Run a function where operators come as they are called, not as those that they are made of."""

    def run(m, h):
        with torch.inference_mode():
            return function(m, h)

    return run


def attend(m, h, keys, values, **options):
    """Attend with heads of two units; what it runs depends on a value, so that it runs with values."""
    assert h.sum() > -1e9
    q, k, v = (part(h).reshape(1, 5, -1, 2).transpose(1, 2) for part in (m.q, keys, values))
    return F.scaled_dot_product_attention(q, k, v, **options).transpose(1, 2).reshape(5, 8)


# name: the parts that are used, the closed spaces, the function of the hidden values
FOLLOWED = {
    "attention with values": (
        "q keys values", ["up", "q.heads", "q.units", "values.units"], lambda m, h: attend(m, h, m.keys, m.values),
    ),
    "masked attention with values": (
        "q keys values", ["up", "q.heads", "q.units", "values.units"],
        lambda m, h: attend(m, h, m.keys, m.values, attn_mask=torch.arange(25.0).reshape(5, 5)),
    ),
    "grouped attention with values": (
        "q few_keys few_values", ["up", "q.heads", "q.units", "few_keys.heads", "few_values.units"],
        lambda m, h: attend(m, h, m.few_keys, m.few_values, enable_gqa=True),
    ),
    # axes
    "an axis elsewhere": ("", ["up"], whole(lambda m, h: h[None].movedim(0, -1)[..., 0])),
    "two axes elsewhere": ("", ["up"], whole(lambda m, h: h[None].movedim((0, 1), (1, 0))[:, 0])),
    "a vector turned": ("k", ["up"], lambda m, h: h + m.k.t()),
    "no axis to leave out": ("", ["up"], lambda m, h: h.squeeze(1)),
    "a bias for each position": ("k", ["up"], lambda m, h: h + m.k.repeat(5, 1)),
    "a wide bias for each position": ("k", ["up"], lambda m, h: h + m.k[None].repeat(5, 1)),
    "positions twice": ("", ["up"], lambda m, h: h.repeat(2, 1)),
    "all positions": ("", ["up"], lambda m, h: h[0:5]),
    "one value end to end": ("", ["up"], lambda m, h: torch.cat([h])),
    "one value after nothing": ("", ["up"], lambda m, h: torch.cat([torch.empty(0), h])),
    # positions
    "positions moved on": ("", ["up"], lambda m, h: h.roll(2, 0)),
    "positions moved on to where they were": ("", ["up"], lambda m, h: h.roll((5, 1), (0, 0))),
    "units moved on": ("", ["up.0"], lambda m, h: h.roll(1, 1)),
    "more positions": ("", ["up"], lambda m, h: F.pad(h, (0, 0, 1, 2))),
    "positions in a mirror": ("", ["up"], lambda m, h: F.pad(h.t(), (1, 1), mode="reflect").t()),
    "some positions": ("", ["up"], lambda m, h: h[AT]),
    "some positions of some samples": ("", ["up"], lambda m, h: h[None].repeat(2, 1, 1)[AT, AT]),
    # arrays of the model, whole and in parts
    "all rows of a kernel": ("m", ["up", "m"], lambda m, h: h @ m.m[0:8]),
    "kernels that are stacked": (
        "stack", ["up", "stack[0]", "stack[1]"], lambda m, h: h @ m.stack.unbind(0)[0] @ m.stack.unbind(0)[1],
    ),
    # values
    "two outputs of which one is read": ("", ["up"], lambda m, h: F.logsigmoid(h)),
    "numbers that are copied": ("", ["up"], lambda m, h: h + torch.empty(5, 8).copy_(torch.ones(5, 8))),
    "a state of zeros that is copied": (
        "m", ["up", "m"], lambda m, h: h @ m.m + h.new_empty(5, 8).copy_(h.new_zeros(5, 8)) @ m.m,
    ),
    "the larger of two": ("k", ["up"], whole(lambda m, h: torch.max(h, m.k))),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_units_can_be_renumbered_behind_it(name):
    names, spaces, function = FOLLOWED[name]
    run = Renumbered(Between(function, names), (x(),))
    assert understood(run.wired, {name: np.empty(shape) for name, shape in run.shapes.items()}) == 1.0, run.wired
    assert run.closed() == spaces
    assert run.worst()[0] < SAME, run.worst()
    before = run(run.values)
    for space in spaces:
        for array, number in axes_over(run.graph, space):
            if not array.endswith("keys.bias"):  # a softmax doesn't see it
                after = run(run.values[moved(run.graph, space, run.total, without=(array, number))])
                assert np.abs(after - before).max() > 1e-9 * np.abs(before).max(), (space, array, number)


PICKED = {
    "the place of the largest": lambda m, h: h * h.argmax(1, keepdim=True),
    "the place of the least of all": lambda m, h: h * h.argmin(),
    "the places of the largest two": lambda m, h: h * h.topk(2)[1].sum(-1, keepdim=True),
    "the largest": lambda m, h: h * h.max(1, keepdim=True)[0],
    "where the largest is": lambda m, h: h * h.max(1, keepdim=True)[1],
    "the middle": lambda m, h: h * h.median(1, keepdim=True)[0],
    "where the middle is": lambda m, h: h * h.median(1, keepdim=True)[1],
}


@pytest.mark.parametrize("name", PICKED)
def test_units_that_are_picked_by_their_values_are_told_apart(name):
    run = Renumbered(Between(PICKED[name]), (x(),))
    assert dict(run.wired.unknown) == {}
    assert run.closed() == []
    if "where" in name or "place" in name:
        assert run.worst(["up"])[0] > SAME  # and rightly so


REFUSED = {
    "units pooled": ("Resize", "takes units for positions", lambda m, h: h + F.avg_pool1d(h, 2).mean()),
    "axes in the place of samples": (
        "aten::_adaptive_avg_pool2d", "no rule",
        lambda m, h: F.adaptive_avg_pool2d(h.t()[:, :, None], (2, 1))[..., 0].t(),
    ),
    "a norm of groups without a weight": ("aten::native_group_norm", "no rule", lambda m, h: F.group_norm(h, 2)),
    "all moved on": ("aten::roll", "no rule", lambda m, h: h + h.roll(2).mean()),
    "places that values say": ("aten::index", "no rule", lambda m, h: h * h[h > 0].mean()),
    "axes that are apart": ("aten::index", "no rule", lambda m, h: h + h.reshape(5, 2, 4)[AT, :, AT].mean()),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_named_and_no_space_that_it_touches_is_closed(name):
    op, reason, function = REFUSED[name]
    run = Renumbered(Between(function), (x(),))
    for array in ("up.weight", "up.bias"):
        assert f"the graph's {op} '{op}_" in run.wired.unknown[array]
        assert reason in run.wired.unknown[array]
    assert run.closed() == []


# What a model holds, is given and gives out.


def test_parts_of_an_array_along_two_axes_are_told_apart():
    """Rows and columns meet, so that neither is an array of its own."""
    model = Between(lambda m, h: h @ m.m[:, :4].repeat(1, 2) + h[:, :2] @ m.m[:2], "m")
    wired = sbt.wire(model, x())
    assert "m" not in {each.name for each in wired.graph.connections}
    assert Renumbered(model, (x(),)).closed() == []
    apart = Between(lambda m, h: h @ m.m[:, :4] @ m.m[:, 4:].t(), "m")
    run = Renumbered(apart, (x(),))
    assert run.closed() == ["up", "m[:,_0:4]", "m[:,_4:8]"]
    assert run.worst()[0] < SAME


def test_a_tensor_without_values_or_too_large_to_keep_is_of_positions(monkeypatch):
    def closed(constant):
        return Renumbered(Between(lambda m, h: h * constant), (x(),)).closed()

    constant = torch.linspace(1, 2, 8)
    assert Between(lambda m, h: h * constant)(x()).shape == (5, 2)
    held = sbt.wire(Between(lambda m, h: h * constant), x())
    assert "(constant 0)" in held.graph.arrays
    monkeypatch.setattr(_trace, "LARGEST_CONSTANT", 31)
    assert "(constant 0)" not in sbt.wire(Between(lambda m, h: h * constant), x()).graph.arrays
    assert closed(constant) == []
    assert closed(torch.ones(8, device="meta")) == []


def test_a_model_without_values_is_run_without_them_alone():
    model = nn.Linear(3, 8, device="meta")
    assert _trace.trace(model, (x(),), {}).how == "in training mode"
    with pytest.raises(_trace.CannotTrace) as told:
        _trace.trace(model, (torch.zeros(5, 4),), {})
    assert "got [5, 4] X [3, 8]" in str(told.value)
    assert "; then" not in str(told.value)


VIEWS = {  # two views of a row of 40 numbers, as (shape, strides, offset)
    "pieces of one axis": (((5, 4), (8, 1), 0), ((5, 4), (8, 1), 4)),
    "rows": (((2, 8), (8, 1), 0), ((2, 8), (8, 1), 16)),
    "rows of which one is common": (((2, 8), (8, 1), 0), ((2, 8), (8, 1), 8)),
    "one row that is repeated": (((3, 8), (0, 1), 0), ((3, 8), (0, 1), 8)),
    "one row that is repeated in part": (((3, 8), (0, 1), 0), ((3, 8), (0, 1), 4)),
    "columns": (((5,), (8,), 0), ((5,), (8,), 3)),
    "the same": (((5, 8), (8, 1), 0), ((5, 8), (8, 1), 0)),
    "a row and a column": (((8,), (1,), 0), ((5,), (8,), 0)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_two_views_overlap_where_they_have_a_place_in_common(name):
    numbers = torch.arange(40)
    one, other = (numbers.as_strided(*each) for each in VIEWS[name])
    assert _trace._overlap(one, other) == bool(set(one.flatten().tolist()) & set(other.flatten().tolist()))


@pytest.mark.parametrize("join", [torch.cat, torch.stack, lambda both: torch.cat(both, -1)])
def test_values_that_are_given_out_side_by_side_are_each_an_output(join):
    """Their units are not those of one space, as those of values that go on side by side are."""

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.mean, self.scale = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 2)

        def forward(self, x):
            h = self.body(x).tanh()
            return join([self.mean(h), self.scale(h)])

    graph = sbt.wire(Heads(), x()).graph
    assert set(graph.outputs) == {"mean", "scale"}


def test_a_mapping_that_is_no_tree_and_what_is_no_tensor_may_be_given_out():
    class Named(Between):
        def forward(self, x):
            return UserDict(logits=super().forward(x), steps=3, more=None)

    graph = sbt.wire(Named(lambda m, h: h.relu()), x()).graph
    assert graph.outputs == ("down",)
    assert {space.name for space in graph.spaces} >= {"up", "down"}


def test_a_sparse_input_is_read_as_a_dense_one():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    assert str(sbt.wire(model, x().to_sparse()).graph) == str(sbt.wire(model, x()).graph)
