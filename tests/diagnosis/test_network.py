"""What the certificate says of a network: each code where it must appear, and where it must not."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.graph import LayerGraph, PerUnit, Space, Weight
from tests.engine.test_laws_optimizers import CIRCULANT, EQUITABLE, equitable_problem, orbit_problem

RNG = np.random.default_rng(0)
W1, W2, B1 = RNG.normal(size=(6, 3)), RNG.normal(size=(2, 6)), RNG.normal(size=6)


def codes(graph, **options):
    return [(finding.code, finding.where, finding.groups) for finding in sb.diagnose(graph, **options).findings]


def hidden(w1=W1, b1=B1, w2=W2, activation="tanh"):
    return sb.chain([(w1, b1), (w2, None)], activation)


def changed(array, **edits):
    """A copy with rows (or, below `columns`, columns) set: `{"rows": {0: values}}`."""
    array = array.copy()
    for unit, values in edits.get("rows", {}).items():
        array[unit] = values
    for unit, values in edits.get("columns", {}).items():
        array[:, unit] = values
    return array


COPY = {"rows": {4: W1[1]}}, {"rows": {4: B1[1]}}, {"columns": {4: W2[:, 1]}}
TIED = changed(W1, **COPY[0]), changed(B1, **COPY[1]), changed(W2, **COPY[2])


def test_units_that_read_hold_and_write_the_same_are_tied_for_good():
    report = sb.diagnose(hidden(*TIED))
    assert [(f.code, f.where, f.groups) for f in report.findings] == [("SB201", "space layers.0", ((1, 4),))]
    (found,) = report.classes
    assert (found.space, found.units, found.kind, found.places) == ("layers.0", (1, 4), "exchange", ((1,), (4,)))
    assert found.parameters == 3 + 1 + 2
    assert not report.ok
    assert report.arrays == 3
    assert report.partition["layers.0"].tolist() == [0, 1, 2, 3, 1, 4]
    assert "2 units form 1 class that gets the same update at every step: 1, 4 (exchange)" in report.findings[0].message
    assert (
        "the work of 5 units instead of 6, its effective width, and 6 parameters only repeat others"
        in report.findings[0].message
    )


def test_units_that_only_read_and_hold_the_same_are_redundant():
    graph = hidden(*TIED[:2])
    assert codes(graph) == [("SB202", "space layers.0", ((1, 4),))]
    report = sb.diagnose(graph)
    assert report.ok
    assert report.partition["layers.0"].tolist() == list(range(6))
    assert "2 units are equal for every input, but are read differently: 1, 4" in report.findings[0].message
    assert codes(hidden(TIED[0], B1, TIED[2])) == codes(hidden(W1, TIED[1], TIED[2])) == []


def test_what_is_redundant_separates_at_the_next_step_and_what_is_tied_does_not():
    x, y = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 2))
    for arrays, together in ((TIED, True), ((*TIED[:2], W2), False)):
        net = engine.Network([engine.Dense(*arrays[:2], "tanh"), engine.Dense(arrays[2])])
        engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=1)
        rows = net.parameters["layers.0.weight"]
        assert np.array_equal(rows[1], rows[4]) == together


@pytest.mark.parametrize(
    ("activation", "bias", "outgoing", "expected"),
    [
        ("tanh", 0.0, 0.0, ["SB203"]),
        ("identity", 0.0, 0.0, ["SB203"]),
        ("relu", 0.0, 0.0, ["SB203"]),
        ("tanh", 0.0, 1.0, []),  # it learns through its outgoing weights
        ("tanh", 0.5, 0.0, ["SB107"]),  # a constant that the next step reads
        ("sigmoid", 0.0, 0.0, ["SB107"]),  # 1/2 at 0
        ("relu", 0.0, 1.0, ["SB203"]),  # flat at and below 0
        ("relu", -0.5, 1.0, ["SB203"]),
        ("relu", 0.5, 1.0, []),
        ("leaky_relu", -0.5, 1.0, []),
    ],
)
def test_a_unit_that_reads_nothing_is_blocked_where_no_gradient_can_reach_it(activation, bias, outgoing, expected):
    graph = hidden(
        changed(W1, rows={2: 0}), changed(B1, rows={2: bias}), changed(W2, columns={2: outgoing * W2[:, 2]}), activation
    )
    assert codes(graph) == [(code, "space layers.0", ((2,),)) for code in expected]
    # The engine's gradients say the same: all of them are zero, to the bit, and stay so.
    net = engine.Network(
        [
            engine.Dense(graph.weights["layers.0.weight"].copy(), graph.arrays["layers.0.bias"].copy(), activation),
            engine.Dense(graph.weights["layers.1.weight"].copy()),
        ]
    )
    x, y = RNG.normal(size=(16, 3)), RNG.normal(size=(16, 2))
    before = [array.copy() for array in net.parameters.values()]
    engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=3)
    w1, b1, w2 = (now != then for now, then in zip(net.parameters.values(), before, strict=True))
    assert (w1[2].any() or b1[2] or w2[:, 2].any()) == ("SB203" not in expected)


def test_a_unit_is_blocked_though_some_that_read_it_see_it_through_another_activation():
    first, last = changed(W1, rows={2: 0}), changed(RNG.normal(size=(2, 12)), columns={2: 0, 8: 0})
    net = engine.Network(
        {
            "units": engine.Dense(first, changed(B1, rows={2: 0})),
            "through": (engine.Activate("relu"), "units"),
            "both": (engine.Concatenate(), "units", "through"),
            "out": (engine.Dense(last), "both"),
        }
    )
    assert " or " in net.graph.space("units").activation
    assert codes(net.graph) == [("SB203", "space units", ((2,),))]
    changes = moved(net, (16, 3))
    assert not changes["units.weight"][2].any()
    assert not changes["units.bias"][2]
    assert not changes["out.weight"][:, [2, 8]].any()


def moved(net, shape):
    """Which entries of each parameter of a network three steps change."""
    before = {name: array.copy() for name, array in net.parameters.items()}
    x = RNG.normal(size=shape)
    engine.train(net, x, RNG.normal(size=np.shape(net(x))), optimizer=engine.SGD(0.1), steps=3)
    return {name: array != before[name] for name, array in net.parameters.items()}


@pytest.mark.parametrize(
    "norm", [engine.LayerNorm(np.ones(6)), engine.LayerNorm(np.ones(6), np.zeros(6)), engine.LayerNorm(-np.ones(6))]
)
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_a_unit_that_reads_nothing_is_not_blocked_where_a_norm_takes_the_mean_of_all_units(norm, activation):
    w1 = changed(W1, rows={2: 0})
    layers = [engine.Dense(w1, np.where(np.arange(6) == 2, -0.5, 0)), norm, engine.Activate(activation)]
    w2 = W2 if activation == "relu" else changed(W2, columns={2: 0})
    net = engine.Network([*layers, engine.Dense(w2)])
    assert "SB203" not in {finding.code for finding in sb.diagnose(net.graph).findings}
    assert moved(net, (32, 3))["layers.0.weight"][2].all()


def test_units_of_other_functions_that_are_flat_at_zero_are_blocked():
    """A square and its slope are zero there; so is the state of an LSTM whose weights and biases are."""
    w1, w2, b1 = changed(W1, rows={2: 0}), changed(W2, columns={2: 0}), np.zeros(6)
    square = engine.Network([engine.Dense(w1, b1, "square"), engine.Dense(W2)])
    sin = engine.Network([engine.Dense(w1, b1, "sin"), engine.Dense(w2)])
    weight, recurrent = RNG.normal(size=(4, 6, 3)), RNG.normal(size=(4, 6, 6))
    weight[:, 2], recurrent[:, 2], recurrent[:, :, 2] = 0, 0, 0
    lstm = engine.Network([engine.LSTM(weight, recurrent, np.zeros((4, 6))), engine.Last(), engine.Dense(w2)])
    for net, shape in ((square, (9, 3)), (sin, (9, 3)), (lstm, (9, 4, 3))):
        assert codes(net.graph) == [("SB203", "space layers.0", ((2,),))]
        found = moved(net, shape)
        assert not found["layers.0.weight"].take(2, -2).any()
        assert not found[[*found][-1]][:, 2].any()


def low_rank(a, b):
    return LayerGraph(
        [Space("input", 4), Space("rank", 2), Space("output", 3)],
        [
            Weight("base", np.random.default_rng(1).normal(size=(3, 4)), [("out", "output"), ("in", "input")]),
            Weight("lora_A", a, [("out", "rank"), ("in", "input")]),
            Weight("lora_B", b, [("out", "output"), ("in", "rank")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )


def test_a_low_rank_pair_is_blocked_where_both_factors_are_zero_and_fine_where_one_is():
    a, b = RNG.normal(size=(2, 4)), RNG.normal(size=(3, 2))
    found = sb.diagnose(low_rank(np.zeros_like(a), np.zeros_like(b)))
    assert [(f.code, f.groups) for f in found.findings] == [("SB203", ((0, 1),))]
    assert "all 2 units can never learn: all that they read and all that is read" in found.findings[0].message
    assert codes(low_rank(a, np.zeros_like(b))) == codes(low_rank(np.zeros_like(a), b)) == codes(low_rank(a, b)) == []


def test_queries_and_keys_that_are_both_zero_are_blocked():
    def attention(query, key):
        rng = np.random.default_rng(2)
        parts = {"query": (2, 3, 4), "key": (2, 3, 4), "value": (2, 3, 4), "output": (4, 2, 3)}
        arrays = {part: rng.normal(size=shape) for part, shape in parts.items()}
        arrays["query"] *= query
        arrays["key"] *= key
        first, last = engine.Dense(rng.normal(size=(4, 3))), engine.Dense(rng.normal(size=(2, 4)))
        return engine.Network([first, engine.Attention(**arrays), last]).graph

    (found,) = sb.diagnose(attention(0, 0)).findings
    assert (found.code, found.where) == ("SB203", "space layers.1.query_key")
    assert "both factors of a product are zero" in found.message
    assert codes(attention(0, 1)) == codes(attention(1, 0)) == []


def test_units_that_nothing_reads_are_noted_but_not_the_zero_start_of_a_whole_branch():
    assert codes(hidden(w2=changed(W2, columns={0: 0, 3: 0}))) == [("SB107", "space layers.0", ((0, 3),))]
    assert codes(hidden(w2=np.zeros_like(W2))) == []


def test_what_starts_at_ones_and_zeros_on_purpose_is_no_finding():
    rng = np.random.default_rng(3)
    net = engine.Network(
        {
            "embed": engine.Dense(rng.normal(size=(5, 3)), np.zeros(5)),
            "norm": (engine.LayerNorm(np.ones(5), np.zeros(5)), "embed"),
            "up": (engine.Dense(rng.normal(size=(7, 5)), np.zeros(7), "gelu"), "norm"),
            "down": (engine.Dense(np.zeros((5, 7)), np.zeros(5)), "up"),
            "sum": (engine.Add(), "embed", "down"),
            "out": (engine.Dense(rng.normal(size=(2, 5))), "sum"),
        }
    )
    assert sb.diagnose(net.graph).ok
    assert codes(net.graph) == []


@pytest.mark.parametrize(
    ("middle", "problem", "kind"), [(CIRCULANT, orbit_problem, "orbit"), (EQUITABLE, equitable_problem, "equitable")]
)
def test_the_kind_of_a_class_is_that_of_the_law(middle, problem, kind):
    cycles = [[3], [3]]
    net = problem(cycles, 2, 2, "tanh", 1, middle / 4).net
    assert {(each.space, each.kind) for each in sb.diagnose(net.graph).classes} == {
        ("layers.0", kind),
        ("layers.1", kind),
    }


@pytest.mark.parametrize("seed", range(20))
def test_turned_cycles_are_orbits_and_blocks_of_equal_sums_are_not(seed):
    orbit = orbit_problem([[4, 2, 1], [4, 4]], 3, 2, "tanh", seed)
    report = sb.diagnose(orbit.net.graph)
    for name, label in orbit.classes.items():
        found = report.partition[name]
        assert all(len(set(found[label == each].tolist())) == 1 for each in set(label.tolist()))
    assert {each.kind for each in report.classes} == {"orbit"}
    sums = equitable_problem([[3, 2], [4, 1]], 3, 2, "tanh", seed)
    report = sb.diagnose(sums.net.graph)
    for name, label in sums.classes.items():
        found = report.partition[name]
        assert all(len(set(found[label == each].tolist())) == 1 for each in set(label.tolist()))


def test_two_copies_of_each_unit_of_a_cycle_are_an_orbit_whose_size_counts():
    """The units that can be swapped are taken once; a class of two copies and one of three are not brought together."""
    rows = np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]]) / 4
    pairs = np.repeat(np.repeat(rows, 2, axis=0), 2, axis=1)
    graph = sb.chain([(np.ones((6, 2)), None), (pairs, None), (np.ones((2, 6)), None)])
    assert {each.kind for each in sb.diagnose(graph).classes} == {"orbit"}
    uneven = [0, 0, 1, 1, 2, 2, 2]
    weights = (rows / np.bincount(uneven))[np.ix_(uneven, uneven)]
    graph = sb.chain([(np.ones((7, 2)), None), (weights, None), (np.ones((2, 7)), None)])
    assert "orbit" not in {each.kind for each in sb.diagnose(graph).classes}


def test_a_recurrent_weight_must_stay_the_same_after_the_swap_on_both_axes():
    def graph(recurrent):
        return LayerGraph(
            [Space("input", 2), Space("state", 3, "tanh"), Space("output", 1)],
            [
                Weight("read", np.ones((3, 2)), [("out", "state"), ("in", "input")]),
                Weight("recur", recurrent, [("out", "state"), ("in", "state")]),
                Weight("write", np.ones((1, 3)), [("out", "output"), ("in", "state")]),
            ],
            inputs=["input"],
            outputs=["output"],
        )

    a, b = 0.5, 0.25
    swappable = np.full((3, 3), b) + (a - b) * np.eye(3)
    assert [each.kind for each in sb.diagnose(graph(swappable)).classes] == ["exchange"]
    turned = np.array([[a, b, 0], [0, a, b], [b, 0, a]])
    assert [each.kind for each in sb.diagnose(graph(turned)).classes] == ["orbit"]


def test_parameters_are_counted_once_and_those_of_heads_with_them():
    """Of n x n recurrent weights k units of a class need (n - k + 1) squared."""
    recurrent = engine.Recurrent(np.ones((4, 3)), np.ones((4, 4)), np.ones(4))
    (found,) = sb.diagnose(engine.Network([recurrent, engine.Last(), engine.Dense(W2[:, :4] * 0 + 1)]).graph).classes
    assert found.parameters == (12 - 3) + (16 - 1) + (4 - 1) + (8 - 2)
    parts = {"query": (2, 3, 4), "key": (2, 3, 4), "value": (2, 2, 4), "output": (4, 2, 2)}
    arrays = {part: np.ones(shape) * np.arange(1, shape[-1] + 1) for part, shape in parts.items()}
    net = engine.Network([engine.Dense(RNG.normal(size=(4, 3))), engine.Attention(**arrays), engine.Dense(np.eye(4))])
    heads = next(each for each in sb.diagnose(net.graph).classes if each.space == "layers.1.heads")
    assert heads.parameters == sum(array.size for array in arrays.values()) / 2


def test_values_that_are_not_finite_stop_the_certificate():
    report = sb.diagnose(hidden(changed(W1, rows={1: np.nan}), np.full(6, np.inf)))
    found = [(finding.code, str(finding.level), finding.where) for finding in report.findings]
    assert found == [
        ("SB108", "error", "layers.0.weight, axis 0"),
        ("SB108", "error", "layers.0.bias"),
        ("SB302", "note", "the network"),
    ]
    assert "spread to all that is computed from them" in report.findings[-1].message
    assert report.findings[-1].message.endswith(": layers.0.weight, layers.0.bias")
    assert report.findings[-1].fix == "mend these values (SB108), then judge the network again"
    assert (report.skipped, dict(report.partition), report.classes, report.arrays) == ((), {}, (), 3)
    assert not report.ok


def test_of_many_arrays_that_are_not_finite_three_are_named():
    report = sb.diagnose(sb.chain([(np.full((2, 2), np.nan), None)] * 5))
    assert report.findings[-1].message.endswith(": layers.0.weight, layers.1.weight, layers.2.weight, ...")


def test_arrays_of_any_numbers_are_judged():
    import ml_dtypes

    for dtype in ("float16", "float32", ml_dtypes.bfloat16, "int8", "bool", "complex64", object):
        w1 = np.array([[1, 0], [1, 0], [0, 1]]).astype(dtype)
        graph = sb.chain([(w1, None), (np.ones((1, 3)).astype(dtype), None)])
        assert sb.diagnose(graph).partition["layers.0"].tolist() == [0, 0, 1], dtype


def test_names_are_shown_safely():
    graph = LayerGraph(
        [Space("in\x1b", 2), Space("mid\u202e", 2), Space("out", 1)],
        [
            Weight("a", np.ones((2, 2)), [("out", "mid\u202e"), ("in", "in\x1b")]),
            Weight("b", np.ones((1, 2)), [("out", "out"), ("in", "mid\u202e")]),
        ],
        inputs=["in\x1b"],
        outputs=["out"],
    )
    report = sb.diagnose(graph)
    assert report.findings[0].where == "space mid\\u202e"
    assert str(report).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sb.diagnose(hidden(), axes="oi"), TypeError, "`axes` is not for a network"),
        (lambda: sb.diagnose(hidden(), tolerance=0.1), TypeError, "`tolerance` is not for a network"),
        (lambda: sb.diagnose(hidden(), noise=["layer.0"]), ValueError, "no space is called 'layer.0'; did you mean"),
        (lambda: sb.diagnose(hidden(), noise="layers.0"), TypeError, r"a list of names of spaces: \['layers.0'\]"),
        (lambda: sb.diagnose(W1, noise=["layers.0"]), TypeError, "`noise` names spaces of a network"),
    ],
)
def test_options_that_make_no_sense_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_heads_that_nothing_connects_are_refused():
    spaces = [Space("stream", 3), Space("q", 2), Space("k", 2), Space("u", 2)]
    weights = [
        Weight("query", np.ones((2, 2, 3)), [("head", "q"), ("out", "u"), ("in", "stream")]),
        Weight("key", np.ones((2, 2, 3)), [("head", "k"), ("out", "u"), ("in", "stream")]),
    ]
    with pytest.raises(ValueError, match="the units of 'u' lie in 'q' and in 'k', and no weight says which goes with"):
        sb.diagnose(LayerGraph(spaces, weights, inputs=["stream"]))


def test_a_shared_array_with_heads_on_other_axes_is_refused():
    spaces = [Space("a", 2), Space("b", 2), Space("h", 2)]
    shared = Weight(
        "w",
        np.ones((2, 2, 2)),
        [("head", "h"), ("out", "a"), ("in", "b")],
        also=[[("out", "b"), ("head", "h"), ("in", "a")]],
    )
    with pytest.raises(ValueError, match="'w' is used twice, with heads or copies on different axes"):
        sb.diagnose(LayerGraph(spaces, [shared]))


def test_spaces_that_share_an_axis_but_lie_in_other_heads_are_refused():
    spaces = [Space("a", 2), Space("b", 2), Space("c", 3), Space("h", 4)]
    weights = [
        Weight("w", np.ones((2, 3)), [("out", "a"), ("in", "c")], also=[[("out", "b"), ("in", "c")]]),
        Weight("v", np.ones((4, 2, 3)), [("head", "h"), ("out", "b"), ("in", "c")]),
    ]
    graph = LayerGraph(spaces, weights, inputs=["c"])
    assert sb.diagnose(graph).partition["b"].shape == (2,)  # a space that is named once without heads lies in none


def test_a_report_of_a_network_is_written_and_merged():
    report = sb.diagnose(hidden(*TIED))
    assert report.to_dict()["classes"] == [
        {"space": "layers.0", "units": [1, 4], "kind": "exchange", "places": [[1], [4]], "parameters": 6}
    ]
    assert type(report).merged([report, report]).classes == report.classes * 2
    assert "SB201" in report._repr_html_()
    per_unit = PerUnit("noise", np.zeros(6), [("out", "layers.0")])
    assert per_unit.space in report.partition


def test_many_classes_are_cut_short_and_counted():
    first = np.repeat(np.arange(30.0).reshape(10, 3), 2, axis=0)
    tied = sb.diagnose(sb.chain([(first, None), (np.repeat(np.arange(20.0).reshape(2, 10), 2, axis=1), None)]))
    (found,) = tied.findings
    assert (
        "14, 15 (exchange); ... (10 classes in all); the space does the work of 10 units instead of 20" in found.message
    )
    assert "16, 17" not in found.message
    redundant = sb.diagnose(sb.chain([(first, None), (np.arange(40.0).reshape(2, 20), None)])).findings[0]
    assert redundant.message.endswith("14, 15; ... (10 classes in all)")
    assert len(redundant.groups) == 10


def test_a_message_gives_the_reasons_of_the_kinds_that_occur_and_no_others():
    (exchange,) = sb.diagnose(hidden(*TIED)).findings
    assert "any two can be swapped" in exchange.message
    assert "orbit" not in exchange.message
    assert "equitable" not in exchange.message
    (orbit, _) = sb.diagnose(sb.chain([(np.ones((3, 2)), None), (CIRCULANT, None), (np.ones((1, 3)), None)])).findings
    assert "a permutation of several spaces" in orbit.message
    assert "any two can be swapped" not in orbit.message


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, "; ... (9 classes in all)")])
def test_eight_classes_are_listed_whole(count, more):
    first = np.repeat(np.arange(2.0 * count).reshape(count, 2), 2, axis=0)
    redundant = sb.diagnose(sb.chain([(first, None), (np.arange(4.0 * count).reshape(2, -1) + 1, None)])).findings[0]
    assert redundant.message.endswith("; 14, 15" + more)
    tied = np.repeat(np.arange(2.0 * count).reshape(2, -1) + 1, 2, axis=1)
    message = sb.diagnose(sb.chain([(first, None), (tied, None)])).findings[0].message
    assert f"14, 15 (exchange){more}; the space does the work of {count} units instead of {2 * count}" in message
    assert f"{2 * count} units form {count} classes that get the same update" in message
    assert f", and {count * (2 + 2)} parameters only repeat others" in message


def test_three_arrays_that_are_not_finite_are_named_whole():
    report = sb.diagnose(sb.chain([(np.full((2, 2), np.nan), None)] * 3))
    assert report.findings[-1].message.endswith(": layers.0.weight, layers.1.weight, layers.2.weight")


@pytest.mark.parametrize(("size", "shown"), [(12, "1.10, 1.11"), (13, "1.10, 1.11, ... (13 in all)")])
def test_twelve_units_of_a_head_are_listed_whole(size, shown):
    rng = np.random.default_rng(0)
    value = rng.normal(size=(2, size, 3))
    value[1] = value[1, 0]
    attention = engine.Attention(*rng.normal(size=(2, 2, 2, 3)), value, rng.normal(size=(3, 2, size)))
    net = engine.Network([engine.Dense(rng.normal(size=(3, 2))), attention, engine.Dense(rng.normal(size=(2, 3)))])
    (found,) = sb.diagnose(net.graph).findings
    assert (found.code, found.where) == ("SB202", "space layers.1.value")
    assert found.message.endswith("are read differently: 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, " + shown)


def test_one_unit_that_is_left_is_a_unit_and_all_others_are_units():
    message = sb.diagnose(sb.chain([(np.ones((2, 3)), None), (np.ones((1, 2)), None)])).findings[0].message
    assert "does the work of 1 unit instead of 2" in message
    message = sb.diagnose(sb.chain([(np.ones((3, 1)) * [[1], [1], [2]], None), (np.ones((1, 3)), None)])).findings[0]
    assert "does the work of 2 units instead of 3" in message.message


def test_equal_sums_are_said_with_how_far_they_agree_and_equal_values_are_not():
    middle = np.array([[0, 2, 4], [3, 2, 1], [3, 2, 1]])
    graph = sb.chain([(np.ones((3, 2)), None), (middle / 10, None), (np.ones((1, 3)), None)])
    gap = abs((0.2 + 0.4) - (0.3 + 0.2 + 0.1))
    assert gap
    for finding in sb.diagnose(graph).findings:
        assert finding.message.endswith(f"; sums agree to {gap / 0.6:.1g} of their size")
    exact = sb.chain([(np.ones((3, 2)), None), (middle * 1.0, None), (np.ones((1, 3)), None)])
    assert "sums agree" not in str([each.message for each in sb.diagnose(exact).findings])
    assert "sums agree" not in sb.diagnose(hidden(*TIED)).findings[0].message


def with_a_table(slots, bias=None):
    """Grouped attention on a stream to which a table is added whose slots nothing writes to."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((4, 2, 3), (2, 2, 3), (2, 2, 3), (3, 4, 2))]
    layers = [engine.Dense(rng.normal(size=(3, 2))), engine.Attention(*arrays), engine.Dense(rng.normal(size=(2, 3)))]
    graph = engine.Network(layers).graph
    table = Weight("table", slots, [("out", "layers.0"), ("in", "slots")])
    own = [] if bias is None else [PerUnit("own", bias, [("out", "slots")])]
    return LayerGraph(
        [*graph.spaces, Space("slots", slots.shape[1])],
        [*graph.connections, table],
        [*graph.per_unit, *own],
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


@pytest.mark.parametrize("bias", [None, np.zeros(4)])
def test_of_units_that_nothing_writes_to_it_is_not_said_that_they_can_t_learn_or_are_redundant(bias):
    slots = np.random.default_rng(1).normal(size=(3, 4))
    slots[:, 2] = 0
    assert codes(with_a_table(slots, bias)) == []
    slots[:, 3] = slots[:, 1]
    assert codes(with_a_table(slots, bias)) == [("SB201", "space slots", ((1, 3),))]


def test_messages_count_the_units_that_can_t_learn_and_those_that_nothing_reads():
    dead = hidden(changed(W1, rows={2: 0, 5: 0}), changed(B1, rows={2: 0, 5: 0}), changed(W2, columns={2: 0, 5: 0}))
    (found,) = sb.diagnose(dead).findings
    assert found.message.startswith("2 of 6 units can never learn: all that they read")
    assert found.message.endswith(": 2, 5")
    (found,) = sb.diagnose(hidden(w2=changed(W2, columns={0: 0, 3: 0}))).findings
    assert found.message == "nothing reads 2 of 6 units: 0, 3"


@pytest.mark.parametrize("read", [False, True])
def test_units_that_read_nothing_are_redundant_only_where_they_do_not_start_from_zero_on_purpose(read):
    """As one factor of a low-rank pair does; with one unit that reads, the others are a class of zeros all the same."""
    w1 = changed(W1, rows={1: 0, 4: 0} if read else dict.fromkeys(range(6), 0))
    assert codes(hidden(w1, np.zeros(6))) == []
    assert codes(hidden(changed(W1, rows={1: 1, 4: 1}), np.zeros(6))) == [("SB202", "space layers.0", ((1, 4),))]


def test_units_of_heads_that_are_equal_or_can_t_learn_are_named_by_head_and_unit():
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 2, 3, 4))
    output = rng.normal(size=(4, 2, 3))
    value[1, 2] = output[:, 1, 2] = 0
    layers = [engine.Dense(rng.normal(size=(4, 2))), engine.Attention(query, key, value, output)]
    net = engine.Network([*layers, engine.Dense(rng.normal(size=(2, 4)))])
    (found,) = sb.diagnose(net.graph).findings
    assert (found.code, found.where, found.groups) == ("SB203", "space layers.1.value", ((5,),))
    assert found.message.startswith("1 of 6 units can never learn")
    assert found.message.endswith(": 1.2")
