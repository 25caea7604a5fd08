"""Parameters that a plan makes the same: found in any order, refused where they can't be, audited."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import _same
from symbreak.errors import RuleError

SHAPES = {"head": (50, 8), "embed": (50, 8), "turned": (8, 50), "bias": (8,)}
RULES = {
    "head": sb.SameAs("embed"),
    "turned": sb.SameAs("head", transpose=True),
    "embed": sb.Rule(sb.HeNormal(), axes="oi"),
    "bias": "zeros",
}


def test_the_same_parameter_is_one_array_whatever_the_order():
    params = sb.initialize(SHAPES, RULES, rng=3)
    assert list(params) == list(SHAPES)
    assert np.array_equal(params["embed"], sb.HeNormal()((50, 8), sb.Key(3)["embed"]))
    assert params["head"] is params["embed"]
    assert np.shares_memory(params["turned"], params["embed"])
    assert np.array_equal(params["turned"], params["embed"].T)


def test_the_plan_states_the_moments_of_the_source():
    plan = sb.plan(SHAPES, RULES)
    rows = {row.name: row for row in plan.rows}
    assert [rows[name].source for name in SHAPES] == ["embed", None, "embed", None]
    assert [rows[name].expected.std for name in ("head", "turned")] == [0.5, 0.5]
    assert rows["turned"].initializer == sb.HeNormal()
    assert rows["turned"].axes == sb.Axes("io", grouped="o")
    assert "SameAs('embed')" in str(plan)


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_is_walked_once(order, monkeypatch):
    count, calls = 500, []
    names = [f"p{k}" for k in range(count)][::order]
    check = _same._check_same
    monkeypatch.setattr(_same, "_check_same", lambda *arguments: (calls.append(1), check(*arguments)))
    shapes = {name: (4, 3) if int(name[1:]) % 2 else (3, 4) for name in names}
    given = {f"p{k}": sb.SameAs(f"p{k - 1}", transpose=True) for k in range(1, count)} | {"p0": sb.HeNormal()}
    found = {row.name: row for row in sb.plan(shapes, given).rows}
    assert list(found) == names
    assert len(calls) == count - 1
    assert {found[f"p{k}"].source for k in range(1, count)} == {"p0"}
    assert [found[f"p{k}"].transposed for k in range(4)] == [False, True, False, True]
    assert found["p499"].expected == found["p0"].expected
    kept = sb.plan({**shapes, "p0": np.zeros((3, 4), np.int8)}, given).rows
    assert {(row.source, row.transposed, row.origin) for row in kept} == {("p0", True, None), ("p0", False, None)}


def test_pieces_are_those_of_the_source():
    plan = sb.plan(SHAPES, RULES)
    params = plan.initialize(3, dtype="bfloat16")
    for each in plan.pieces(3, dtype="bfloat16"):
        joined = np.concatenate(list(each.draw()))
        assert joined.tobytes() == np.ascontiguousarray(params[each.name]).tobytes()


def test_a_source_that_is_kept_is_taken():
    old = np.ones((50, 8), np.float32)
    plan = sb.plan({**SHAPES, "embed": old}, RULES, only_missing=True)
    params = plan.initialize(0)
    assert params["head"] is old
    assert np.array_equal(params["turned"], old.T)
    assert plan.audit(params).ok
    assert [each.shape for each in plan.pieces(0)] == [(50, 8), (50, 8), (8, 50), (8,)]


def test_the_audit_tells_what_should_be_the_same_and_is_not():
    plan = sb.plan(SHAPES, RULES)
    params = plan.initialize(0)
    assert plan.audit(params).ok
    assert plan.audit(params).shared == {"head": "embed", "turned": "embed"}
    params["turned"] = params["turned"] * np.float32(1.001)
    audit = plan.audit(params)
    assert audit.apart == {"turned": "differs from embed, which the plan makes it the same as"}
    del params["embed"]
    assert set(plan.audit(params).missing) == {"embed"}


def test_what_is_tied_may_be_given_under_its_first_name_alone():
    plan = sb.plan(SHAPES, RULES)
    params = plan.initialize(0)
    del params["head"], params["turned"]
    assert plan.audit(params).ok
    del params["embed"]
    assert set(plan.audit(params).missing) == {"embed", "head", "turned"}


def test_units_of_a_transpose_are_judged_along_its_own_axis():
    plan = sb.plan({"e": (6, 4), "t": (4, 6)}, {"e": "normal", "t": sb.SameAs("e", transpose=True)})
    params = plan.initialize(0)
    params["e"][2] = params["e"][4]
    assert set(plan.audit(params).tied) == {"e", "t"}  # the units of t lie along its second axis
    params["e"][:, 1] = params["e"][:, 3]
    assert plan.audit(params).parameters["t"].equal_units == 1


@pytest.mark.parametrize(
    ("shapes", "rules", "message"),
    [
        ({"a": (3, 3)}, {"a": sb.SameAs("a")}, "the rule 'a' makes 'a' the same as 'a', which is in a circle: a -> a"),
        (
            {"a": (3, 3), "b": (3, 3), "c": (3, 3)},
            {"a": sb.SameAs("b"), "b": sb.SameAs("c"), "c": sb.SameAs("b")},
            "the rule 'c' makes 'c' the same as 'b', which is in a circle: a -> b -> c -> b",
        ),
        (
            {"a": (3, 3), "embed": (3, 3)},
            {"a": sb.SameAs("embd"), "*": "ones"},
            "'a' the same as 'embd', which is no parameter; did you mean 'embed'?",
        ),
        ({"a": (3, 3)}, {"a": sb.SameAs("xyz")}, "'a' the same as 'xyz', which is no parameter$"),
        ({"a": (3, 3), "b": (3, 3)}, {"a": sb.SameAs("b")}, "'a' the same as 'b', which no rule hits"),
        (
            {"a": (3, 4), "b": (4, 3)},
            {"a": sb.SameAs("b"), "b": "ones"},
            r"but shape \(3, 4\) is not met by \(4, 3\); SameAs\('b', transpose=True\) would",
        ),
        (
            {"a": (3, 4), "b": (3, 4)},
            {"a": sb.SameAs("b", transpose=True), "b": "ones"},
            r"but shape \(3, 4\) is not met by \(3, 4\) transposed; SameAs\('b', transpose=False\) would",
        ),
        ({"a": (3, 4), "b": (5, 3)}, {"a": sb.SameAs("b"), "b": "ones"}, r"\(3, 4\) is not met by \(5, 3\)$"),
        (
            {"a": (3, 3), "b": (3, 3)},
            {"a": sb.Rule(sb.SameAs("b"), dtype="float16"), "b": sb.Rule("ones", dtype="bfloat16")},
            "which is bfloat16, so it can't be float16; give both one dtype",
        ),
        (
            {"a": np.zeros((3, 3), np.float16), "b": (3, 3)},
            {"a": sb.SameAs("b"), "b": "ones"},
            "which has no dtype of its own, so it can't be float16",
        ),
        (
            {"a": (3, 3), "b": (3, 3)},
            {"a": sb.Scaled(sb.SameAs("b"), 2), "b": "ones"},
            "which it can't make: SameAs.* stands for another parameter; give it to `plan` as a rule by itself",
        ),
    ],
)
def test_what_can_not_be_the_same_is_refused(shapes, rules, message):
    with pytest.raises(RuleError, match=message):
        sb.plan(shapes, rules)


@pytest.mark.parametrize("transpose", [False, True])
def test_a_large_transpose_is_drawn_in_pieces(transpose, monkeypatch):
    monkeypatch.setattr("symbreak.rules.BLOCK", 1 << 12)
    plan = sb.plan({"e": (300, 50), "t": (50, 300)}, {"e": "normal", "t": sb.SameAs("e", transpose=True)})
    params = plan.initialize(1)
    for each in plan.pieces(1):
        parts = [np.array(piece) for piece in each.draw()]
        assert len(parts) > 1
        assert max(map(len, parts)) <= 1 << 12
        assert np.array_equal(np.concatenate(parts).reshape(each.shape), params[each.name])
