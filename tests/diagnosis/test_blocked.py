"""Units that can never learn, behind and before norms: training says the same, to the bit, in both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak import engine
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.engine._units import residual_network

UNIT = 2
NORMS = {
    "layer": engine.LayerNorm,
    "layer without shift": lambda scale, shift: engine.LayerNorm(scale),
    "rms": lambda scale, shift: engine.RMSNorm(scale),
    "batch": engine.BatchNorm,
}


def normed(norm, *, seed=0, dead=(), closed=(), read=(), activation="tanh", bias=True, before=False):
    """A dense layer, a norm, an activation and a dense layer; `dead` units read nothing, `closed` are scaled by 0.

    Both hold nothing and are read with weights of zero, but for those of `read`. The
    activation is behind the norm or `before` it.
    """
    rng = np.random.default_rng(seed)
    w1, w2 = rng.normal(size=(6, 3)), rng.normal(size=(2, 6))
    offset, scale = rng.normal(size=6), rng.normal(size=6)
    shift = np.abs(rng.normal(size=6))
    w1[list(dead)] = 0
    for units in (dead, closed):
        offset[list(units)] = shift[list(units)] = 0
        w2[:, [unit for unit in units if unit not in read]] = 0
    scale[list(closed)] = 0
    middle = [NORMS[norm](scale, shift), engine.Activate(activation)]
    middle = middle[::-1] if before else middle
    return engine.Network([engine.Dense(w1, offset if bias else None), *middle, engine.Dense(w2)])


def blocked(graph):
    """The units of each space of which SB203 is said."""
    return {f.where.removeprefix("space "): set(f.groups[0]) for f in sb.diagnose(graph).findings if f.code == "SB203"}


def moves(net, unit=None, steps=40):
    """Which parameters of a unit of the first layer, or of each, ever have a gradient that is not exactly zero."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(24, 3))
    y = rng.normal(size=np.shape(net(x)))
    last = f"layers.{len(net.layers) - 1}.weight"
    found = [set() for _ in range(6)]
    for _ in range(steps):
        for name, gradient in engine.gradients(net, x, y).parameters.items():
            rows = gradient.T if name == last else gradient
            for number in np.flatnonzero(rows.reshape(len(rows), -1).any(axis=1)).tolist():
                found[number].add(name)
        engine.train(net, x, y, optimizer=engine.SGD(0.05), steps=1)
    return found if unit is None else found[unit]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ["identity", "tanh", "relu"])
def test_a_unit_that_is_dead_on_both_sides_is_blocked_where_the_norm_leaves_a_unit_of_zeros_alone(norm, activation):
    net = normed(norm, dead=[UNIT], activation=activation)
    never = norm in ("rms", "batch")
    assert blocked(net.graph) == ({"layers.0": {UNIT}} if never else {})
    assert (moves(net, UNIT) == set()) == never
    assert moves(net, UNIT - 1, steps=1)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("norm", ["rms", "batch"])
def test_behind_a_norm_that_adds_nothing_a_relu_at_zero_is_flat_whatever_reads_it(norm, before):
    """Behind the activation the shift of a batch norm moves; where the norm stands is not in a graph."""
    bias = norm == "batch"
    net = normed(norm, dead=[UNIT], read=[UNIT], activation="relu", bias=bias, before=before)
    found = sb.diagnose(net.graph).findings
    assert [(each.code, each.groups) for each in found] == ([("SB203", ((UNIT,),))] if norm == "rms" else [])
    if found:
        assert "they read with weights zero, and their activation is flat where they are" in found[0].message
    assert (moves(net, UNIT) == set()) == (norm == "rms" or not before)
    other = normed(norm, dead=[UNIT], read=[UNIT], activation="tanh", bias=bias, before=before)
    assert blocked(other.graph) == {}
    assert moves(other, UNIT, steps=2)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ["identity", "tanh", "relu"])
def test_a_unit_that_a_norm_multiplies_by_zero_is_blocked_where_it_is_read_with_zero(norm, activation):
    """What it reads with may move, for the sake of the others: its output and all behind it stay at zero."""
    net = normed(norm, closed=[UNIT], activation=activation)
    (found,) = sb.diagnose(net.graph).findings
    assert (found.code, found.groups) == ("SB203", ((UNIT,),))
    assert "a norm multiplies them by zero, and they are read with weights zero" in found.message
    assert moves(net, UNIT) <= {"layers.0.weight", "layers.0.bias"}
    assert blocked(normed(norm, closed=[UNIT], read=[UNIT], activation=activation).graph) == {}


def test_units_that_are_blocked_in_two_ways_are_one_finding():
    (found,) = sb.diagnose(normed("rms", dead=[0], closed=[4]).graph).findings
    assert (found.code, found.groups) == ("SB203", ((0, 4),))
    assert "what they read with, are multiplied by, or are read with is zero" in found.message


@pytest.mark.parametrize("norm", NORMS)
def test_a_space_that_is_dead_as_a_whole_is_blocked_behind_every_norm(norm):
    net = normed(norm, dead=range(6))
    assert blocked(net.graph) == {"layers.0": set(range(6))}
    assert moves(net) == [set()] * 6


def test_of_a_layer_norm_over_two_spaces_a_dead_one_is_not_blocked():
    rng = np.random.default_rng(0)
    net = engine.Network(
        {
            "dead": engine.Dense(np.zeros((2, 3)), np.zeros(2)),
            "alive": (engine.Dense(rng.normal(size=(4, 3))), "input"),
            "both": (engine.Concatenate(), "dead", "alive"),
            "norm": (engine.LayerNorm(np.ones(6)), "both"),
            "out": (engine.Dense(np.concatenate([np.zeros((2, 2)), rng.normal(size=(2, 4))], axis=1)), "norm"),
        }
    )
    assert {each.norm for each in net.graph.per_unit if each.kind == "scale"} == {None}
    assert blocked(net.graph) == {}
    x = rng.normal(size=(16, 3))
    assert engine.gradients(net, x, rng.normal(size=(16, 2))).parameters["dead.weight"].all()


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_a_dead_unit_of_a_residual_stream_is_blocked_between_rms_norms(kind):
    norm = {
        "layer": lambda arrays: engine.LayerNorm(arrays["scale"], arrays["shift"] * (np.arange(5) != UNIT)),
        "rms": lambda arrays: engine.RMSNorm(arrays["scale"]),
    }[kind]
    net = residual_network("pre", norm, (3, 5, 4, 2))
    for name, array in net.parameters.items():
        if name in ("embed.weight", "embed.bias", "down.weight", "down.bias"):
            array[UNIT] = 0
        if name in ("up.weight", "head.weight"):
            array[:, UNIT] = 0
    assert blocked(net.graph) == ({"embed": {UNIT}} if kind == "rms" else {})
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 2))
    still = True
    for _ in range(40):
        found = engine.gradients(net, x, y).parameters
        rows = [found[name][UNIT] for name in ("embed.weight", "embed.bias", "down.weight", "down.bias", "norm.scale")]
        still &= not any(np.any(each) for each in [*rows, found["up.weight"][:, UNIT], found["head.weight"][:, UNIT]])
        engine.train(net, x, y, optimizer=engine.Adam(0.01), steps=1)
    assert still == (kind == "rms")


@st.composite
def networks(draw):
    norm = draw(st.sampled_from([*NORMS]))
    units = st.lists(st.sampled_from(range(6)), unique=True)
    whole = draw(st.integers(0, 4)) == 0
    dead, closed, read = (range(6) if whole else draw(units)), draw(units), draw(units)
    bias = norm not in ("rms", "layer without shift")  # without a shift it isn't known whether a bias is behind it
    activation = draw(st.sampled_from(["identity", "tanh", "relu"]))
    if activation == "relu":
        read = []  # what moves depends on where the norm stands
    options = {"dead": dead, "closed": closed, "read": read, "bias": bias, "before": draw(st.booleans())}
    return options | {"norm": norm, "seed": draw(st.integers(0, 99)), "activation": activation}


@given(options=networks())
def test_a_unit_is_blocked_exactly_where_training_never_moves_what_it_gives(options):
    net = normed(**options)
    said = blocked(net.graph).get("layers.0", set())
    for unit, found in enumerate(moves(net, steps=4)):
        assert found <= {"layers.0.weight", "layers.0.bias"} if unit in said else found, unit


def hand_made(kind="scale", norm=None, **more):
    """A dead unit under a norm, as a graph that is written down."""
    w1, w2 = np.arange(1.0, 13).reshape(4, 3), np.arange(1.0, 9).reshape(2, 4)
    w1[UNIT], w2[:, UNIT] = 0, 0
    return LayerGraph(
        [Space("input", 3), Space("hidden", 4, "tanh"), Space("output", 2)],
        [
            Weight("in", w1, [("out", "hidden"), ("in", "input")]),
            Weight("out", w2, [("out", "output"), ("in", "hidden")]),
        ],
        [PerUnit("norm", np.arange(1.0, 5), [("out", "hidden")], kind, norm)],
        inputs=["input"],
        outputs=["output"],
    )


@pytest.mark.parametrize(
    ("norm", "said"), [("rms", True), ("batch", True), ("layer", False), ("group", False), (None, False)]
)
def test_of_a_norm_that_is_not_named_nothing_is_said(norm, said):
    assert (blocked(hand_made(norm=norm)) == {"hidden": {UNIT}}) == said


def test_norms_are_named_in_words_that_are_known():
    assert repr(hand_made(norm="rms").per_unit[0]) == "PerUnit('norm', (4,) float64: scale of a rms norm, (out hidden))"
    with pytest.raises(ValueError, match=r"no norm \(for 'norm'\) is called 'rmsnorm'; did you mean 'rms'"):
        hand_made(norm="rmsnorm")
    with pytest.raises(ValueError, match="'norm' has kind 'bias', which no norm has, but names the norm 'layer'"):
        hand_made("bias", "layer")
    assert sb.untie(sb.reinit(hand_made(norm="rms"), rng=0), rng=0).per_unit[0].norm == "rms"


@pytest.mark.parametrize(("query_bias", "key_bias"), [(0, 0), (0, 1), (1, 0)])
def test_queries_and_keys_of_unequal_heads_are_blocked_only_where_both_are_zero_with_their_biases(query_bias, key_bias):
    rng = np.random.default_rng(0)
    arrays = {"query": np.zeros((4, 3, 5)), "key": np.zeros((2, 3, 5)), "value": rng.normal(size=(2, 3, 5))}
    biases = {"query_bias": query_bias * rng.normal(size=(4, 3)), "key_bias": key_bias * rng.normal(size=(2, 3))}
    attention = engine.Attention(**arrays, output=rng.normal(size=(5, 4, 3)), **biases)
    first, last = engine.Dense(rng.normal(size=(5, 3))), engine.Dense(rng.normal(size=(2, 5)))
    net = engine.Network([first, attention, last])
    x = rng.normal(size=(4, 6, 3))
    before = {name: array.copy() for name, array in net.parameters.items()}
    engine.train(net, x, rng.normal(size=(4, 6, 2)), optimizer=engine.SGD(0.1), steps=3)
    moved = any((net.parameters[f"layers.1.{part}"] != before[f"layers.1.{part}"]).any() for part in ("query", "key"))
    for name, array in before.items():
        net.parameters[name][...] = array
    said = [where for where in blocked(net.graph) if where.startswith("layers.1.query_key")]
    assert bool(said) == (not moved) == (not (query_bias or key_bias))


def by_hand(*per_unit, activation="tanh", read=(), closed=True, more=(), also=()):
    """Four units of which one reads nothing, or, where it is not `closed`, only is read with zero."""
    w1, w2 = np.arange(1.0, 13).reshape(4, 3), np.arange(1.0, 9).reshape(2, 4)
    if closed:
        w1[UNIT] = 0
    if UNIT not in read:
        w2[:, UNIT] = 0
    arrays = [
        PerUnit(f"own{number}", np.where(np.arange(4) == UNIT, value, 1.5), [("out", "hidden")], *kind)
        for number, (value, *kind) in enumerate(per_unit)
    ]
    weights = [
        Weight("in", w1, [("out", "hidden"), ("in", "input")]),
        Weight("out", w2, [("out", "output"), ("in", "hidden")], also=also),
    ]
    spaces = [Space("input", 3), Space("hidden", 4, activation), Space("output", 2), Space("more", 2)]
    return LayerGraph(spaces, [*weights, *more], arrays, inputs=["input"], outputs=["output", "more"])


RMS, BATCH, NONE, LAYER = ((1.0, "scale", norm) for norm in ("rms", "batch", "none", "layer"))
SHUT = (0.0, "scale", "batch")


@pytest.mark.parametrize(
    ("per_unit", "never"),
    [
        ([RMS, BATCH, NONE], True),
        ([RMS, BATCH, NONE, LAYER], False),
        ([RMS, RMS], True),
        ([(1.0, "scale")], False),  # it may be a layer norm's
        ([(1.0, "scale"), (0.0, "mean"), (1.0, "variance")], True),  # it is a batch norm's
        ([(1.0, "scale"), (0.0, "mean")], False),
        ([(1.0, "scale"), (1.0, "variance")], False),
        ([(1.0, "scale"), (1.0, "scale"), (0.0, "mean"), (1.0, "variance")], False),  # one of two
        ([(1.0, "scale"), RMS, (0.0, "mean"), (0.0, "mean"), (1.0, "variance"), (1.0, "variance")], True),
        ([(0.0, "bias")], True),
        ([(0.5, "bias")], False),
        ([(0.0, "bias"), (0.5, "bias")], False),
        ([(0.0, "shift")], True),
        ([(0.5, "shift")], False),
        ([(0.5, "constant")], False),
        ([(0.0, "constant")], True),
        ([(0.5, "mean"), (1.0, "variance"), BATCH], False),
    ],
)
def test_a_unit_of_zeros_is_blocked_where_what_it_holds_adds_nothing_and_no_mean_is_taken(per_unit, never):
    assert blocked(by_hand(*per_unit)) == ({"hidden": {UNIT}} if never else {})


@pytest.mark.parametrize(
    ("per_unit", "never"),
    [
        ([SHUT], True),
        ([SHUT, (0.0, "shift")], True),
        ([SHUT, (0.5, "shift")], False),
        ([SHUT, (0.5, "bias")], False),  # it may be the norm's
        ([SHUT, (0.5, "bias"), (0.0, "shift")], True),  # before the norm
        ([SHUT, (0.0, "bias")], True),
        ([SHUT, (0.5, "constant")], False),
        ([SHUT, (0.5, "mean"), (1.0, "variance")], True),
        ([SHUT, RMS], False),  # which of two the readers see isn't known
        ([BATCH], False),
        ([], False),
    ],
)
def test_a_unit_that_is_multiplied_by_zero_is_blocked_where_nothing_is_added_behind(per_unit, never):
    assert blocked(by_hand(*per_unit, closed=False)) == ({"hidden": {UNIT}} if never else {})
    assert blocked(by_hand(*per_unit, closed=False, read=[UNIT])) == {}


@pytest.mark.parametrize("activation", ["sigmoid", "cos", "lstm", "layer_norm, tanh", "group_norm"])
def test_a_scale_of_zero_says_nothing_where_what_is_behind_it_is_not_zero(activation):
    assert blocked(by_hand(SHUT, closed=False, activation=activation)) == {}
    assert blocked(by_hand(SHUT, closed=False, activation="rms_norm, tanh")) == {"hidden": {UNIT}}


def test_a_scale_of_zero_says_nothing_where_some_weights_may_go_round_it():
    zero = np.zeros((2, 4))
    second = Weight("second", zero, [("out", "more"), ("in", "hidden")])
    assert blocked(by_hand(SHUT, closed=False, more=[second])) == {}
    shared = [[("out", "more"), ("in", "hidden")]]
    assert blocked(by_hand(SHUT, closed=False, also=shared)) == {}
    assert blocked(by_hand(SHUT, more=[second])) == blocked(by_hand(SHUT, also=shared)) == {"hidden": {UNIT}}
    third = Weight("third", np.ones((4, 3)), [("out", "hidden"), ("in", "input")])
    assert blocked(by_hand(SHUT, closed=False, more=[third])) == {}


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize(
    ("per_unit", "never"),
    [
        ([], True),
        ([(0.0, "bias")], True),
        ([(-0.5, "bias")], True),
        ([(0.5, "bias")], False),
        ([(-0.5, "bias"), (0.5, "bias")], False),
        ([(-0.5, "bias"), (-0.5, "bias")], True),
        ([(-0.5, "bias"), RMS], False),
        ([(-0.5, "bias"), (0.5, "shift")], False),
        ([(-0.5, "bias"), (0.5, "constant")], False),
        ([(-0.5, "bias"), (-0.5, "mean")], False),
        ([RMS], True),
        ([RMS, (0.0, "shift")], False),  # it moves where the norm is behind the activation
        ([LAYER], False),
    ],
)
def test_a_relu_that_reads_nothing_is_blocked_where_it_is_nowhere_above_zero(per_unit, never, activation):
    graph = by_hand(*per_unit, activation=activation, read=[UNIT])
    assert blocked(graph) == ({"hidden": {UNIT}} if never else {})
    if never:
        assert "they read with weights zero, and their activation is flat" in sb.diagnose(graph).findings[0].message
    assert blocked(by_hand(*per_unit, activation=f"{activation}, tanh", read=[UNIT])) == {}


@pytest.mark.parametrize(
    ("activation", "never"),
    [("tanh", True), ("square", True), ("gelu, tanh", True), ("sigmoid", False), ("tanh, sigmoid", False), ("", True)],
)
def test_a_unit_of_zeros_is_blocked_behind_functions_that_are_zero_at_zero(activation, never):
    assert blocked(by_hand(activation=activation or "identity")) == ({"hidden": {UNIT}} if never else {})


@pytest.mark.parametrize(
    ("per_unit", "never"),
    [([SHUT], True), ([SHUT, (0.0, "shift")], False), ([SHUT, (0.0, "bias")], False), ([RMS], False)],
)
def test_a_unit_of_zeros_that_is_multiplied_by_zero_is_blocked_whatever_reads_it(per_unit, never):
    """Neither the scale nor what it reads with has a gradient; a shift has."""
    assert blocked(by_hand(*per_unit, read=[UNIT])) == ({"hidden": {UNIT}} if never else {})


def grouped(**zeros):
    """Four heads that share keys and values two by two; of some arrays parts are zero."""
    rng = np.random.default_rng(0)
    shapes = {"query": (4, 2, 3), "key": (2, 2, 3), "value": (2, 2, 3), "output": (3, 4, 2)}
    arrays = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    for name, index in zeros.items():
        arrays[name][index] = 0
    first, last = engine.Dense(rng.normal(size=(3, 3))), engine.Dense(rng.normal(size=(2, 3)))
    return engine.Network([first, engine.Attention(**arrays), last])


def changed_by_training(net, steps=4):
    rng = np.random.default_rng(1)
    before = {name: array.copy() for name, array in net.parameters.items()}
    x = rng.normal(size=(4, 5, 3))
    engine.train(net, x, rng.normal(size=(4, 5, 2)), optimizer=engine.SGD(0.1), steps=steps)
    return {name.rpartition(".")[2]: array != before[name] for name, array in net.parameters.items()}


@pytest.mark.parametrize(("heads", "never"), [([], False), ([0], False), ([1], False), ([2, 3], False), ([0, 1], True)])
def test_a_value_that_heads_share_is_blocked_where_none_of_them_reads_it(heads, never):
    """Where one does, the value moves for its sake, and then what the other reads it with."""
    net = grouped(value=(0, 1), output=(slice(None), heads, 1))
    expected = {"layers.1.value of layers.1.groups": {1}, "layers.1.value of layers.1.heads": {1, 3}}
    assert blocked(net.graph) == (expected if never else {})
    moved = changed_by_training(net)
    assert moved["value"][0, 1].any() == moved["output"][:, 0, 1].any() == moved["output"][:, 1, 1].any() == (not never)


@pytest.mark.parametrize(("heads", "never"), [([], False), ([0], False), ([1], False), ([2, 3], False), ([0, 1], True)])
def test_a_key_that_heads_share_is_blocked_where_none_of_them_asks_for_it(heads, never):
    net = grouped(key=(0, 1), query=(heads, 1))
    expected = {"layers.1.query_key of layers.1.groups": {1}, "layers.1.query_key of layers.1.heads": {1, 3}}
    assert blocked(net.graph) == (expected if never else {})
    moved = changed_by_training(net)
    assert moved["key"][0, 1].any() == moved["query"][0, 1].any() == moved["query"][1, 1].any() == (not never)
