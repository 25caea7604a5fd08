"""Rules: which initializer hits what, what is refused, and what the audit sees."""

import json
import math

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak._audit import KINDS, RARE
from symbreak.checkpoints import open_checkpoint, save_safetensors
from symbreak.errors import RuleError

SHAPES = {
    "enc.0.weight": (64, 32),
    "enc.0.bias": (64,),
    "enc.1.weight": (48, 64),
    "enc.1.bias": (48,),
    "norm.scale": (48,),
}
RULES = {"*.bias": sb.Zeros(), "norm.*": "ones", "enc.1.weight": sb.GlorotUniform(), "*.weight": sb.HeNormal()}


def test_the_first_rule_that_matches_wins():
    plan = sb.plan(SHAPES, RULES)
    hits = {row.name: (row.pattern, row.rule.initializer) for row in plan.rows}
    assert hits == {
        "enc.0.weight": ("*.weight", sb.HeNormal()),
        "enc.0.bias": ("*.bias", sb.Zeros()),
        "enc.1.weight": ("enc.1.weight", sb.GlorotUniform()),
        "enc.1.bias": ("*.bias", sb.Zeros()),
        "norm.scale": ("norm.*", sb.Ones()),
    }
    swapped = sb.plan(SHAPES, {"enc.*.weight": "ones", **RULES})
    assert swapped.unused == ("enc.1.weight", "*.weight")


def test_each_parameter_is_drawn_from_the_key_of_its_name():
    params = sb.initialize(SHAPES, RULES, rng=7)
    assert list(params) == list(SHAPES)
    key = sb.Key(7)
    assert (params["enc.0.weight"] == sb.HeNormal()((64, 32), key["enc.0.weight"])).all()
    assert (params["enc.1.weight"] == sb.GlorotUniform()((48, 64), key["enc.1.weight"])).all()
    alone = sb.initialize({"enc.0.weight": (64, 32)}, {"*": "he_normal"}, rng=7)
    assert (alone["enc.0.weight"] == params["enc.0.weight"]).all()


def test_one_instance_used_twice_ties_nothing():
    params = sb.initialize({"a": (32, 32), "b": (32, 32)}, {"*": sb.HeNormal()}, rng=0)
    assert not (params["a"] == params["b"]).any()


def test_axes_and_dtype_of_a_rule_are_used():
    rules = {"conv": sb.Rule("he_normal", axes="hwio", dtype="float16"), "*": sb.Rule("glorot_normal", axes="io")}
    shapes = {"conv": (3, 3, 16, 32), "dense": np.empty((100, 50)), "bias": (50,)}
    with pytest.raises(
        RuleError, match=r"the rule '\*' gives GlorotNormal\(\) to 'bias', which it can't make: a weight needs"
    ):
        sb.plan(shapes, rules)
    plan = sb.plan(shapes, {"bias": "zeros", **rules})
    params = plan.initialize(0, dtype="bfloat16")
    assert plan.rows[0].fans == (144, 288)
    assert plan.rows[1].fans == (100, 50)
    assert [params[name].dtype.name for name in shapes] == ["float16", "bfloat16", "bfloat16"]
    assert float(params["conv"].std(dtype=np.float64)) == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    assert plan.audit(params).ok


def test_one_of_a_kind_is_no_plural():
    one = sb.plan({"a": (1,)}, {"a": "zeros"})
    assert str(one).splitlines()[-1] == "1 parameter, 1 value"
    assert "<p>1 parameter, 1 value</p>" in one._repr_html_()


def test_the_plan_prints_as_a_table_within_80_columns():
    text = str(sb.plan({**SHAPES, "lost": (3,)}, {**RULES, "nope.*": "ones"}))
    assert text.splitlines() == [
        "parameter     shape  rule          initializer      fan in  fan out     std",
        "enc.0.weight  64x32  *.weight      HeNormal()           32       64    0.25",
        "enc.0.bias    64     *.bias        Zeros()               -        -       0",
        "enc.1.weight  48x64  enc.1.weight  GlorotUniform()      64       48  0.1336",
        "enc.1.bias    48     *.bias        Zeros()               -        -       0",
        "norm.scale    48     norm.*        Ones()                -        -       0",
        "5 parameters, 5,280 values",
        "no rule hits: lost",
        "hits nothing: nope.*",
    ]


@pytest.mark.parametrize(
    ("shapes", "rules", "error", "message"),
    [
        ({"a": (3, 3), "b": (2,)}, {"a": "ones"}, RuleError, "no rule hits 'b' .1 of 2 parameters.; add a rule"),
        (
            {"a": (3, 3)},
            {"*": "ones", "b.*": "ones"},
            RuleError,
            r"the rule 'b\.\*' hits no parameter; correct or remove",
        ),
        ({"a": (3,)}, {"*": "he_normal"}, RuleError, r"the rule '\*' gives HeNormal\(\) to 'a', which it can't make"),
        ({"a": (3, -3)}, {"*": "ones"}, ValueError, "'a': `shape` has a negative size"),
        ({"a": "big"}, {"*": "ones"}, TypeError, "'a': `shape` is an integer or a sequence"),
        ({"a": {"kernel": (3, 3)}}, {"*": "ones"}, TypeError, "'a' holds names itself; flatten them: 'a.kernel'"),
        ({3: (3, 3)}, {"*": "ones"}, TypeError, "a parameter's name is a string; got 3"),
        ({"a": (3, 3)}, {3: "ones"}, TypeError, "a rule's pattern is a string; got 3"),
        ({"a": (3, 3)}, {"*": "onez"}, ValueError, "no initializer is called 'onez'; did you mean"),
        ({"a": (3, 3)}, {"*": 0.5}, TypeError, "an initializer is given by name, class, instance or configuration"),
        ([(3, 3)], {"*": "ones"}, TypeError, "`shapes` maps parameter names to shapes; got list"),
        ({"a": (3, 3)}, ["ones"], TypeError, "`rules` maps globs to initializers; got list"),
        ({"a": (3, 3)}, {"*": sb.Rule("he_normal", axes="oihw")}, RuleError, "names 4 axes"),
        ({"a": (3, 3)}, {"*": sb.Rule("zeros", axes="oihw")}, RuleError, r"'\*' gives Zeros\(\) to 'a'.* names 4 axes"),
    ],
)
def test_rules_and_parameters_that_do_not_meet_are_refused(shapes, rules, error, message):
    with pytest.raises(error, match=message):
        sb.initialize(shapes, rules, rng=0)


def test_many_untouched_parameters_are_counted():
    with pytest.raises(RuleError, match=r"no rule hits 'p0', 'p1', 'p2', 'p3', 'p4' ... .9 of 9"):
        sb.initialize({f"p{k}": (2,) for k in range(9)}, {}, rng=0)


def test_a_rule_validates_at_once():
    with pytest.raises(ValueError, match="the layout 'xx'"):
        sb.Rule("ones", axes="xx")
    with pytest.raises(TypeError, match=r"a layout is a string with one letter an axis.*got 3"):
        sb.Rule("ones", axes=3)
    with pytest.raises(TypeError, match="weights can't be made as 'int8'"):
        sb.Rule("ones", dtype="int8")
    assert sb.Rule(sb.HeNormal()) == sb.Rule("kaiming_normal")


PLAN = sb.plan(SHAPES, RULES)


def healthy():
    return PLAN.initialize(3)


def test_a_healthy_set_of_parameters_is_as_planned():
    audit = PLAN.audit(healthy())
    assert audit.ok
    assert str(audit) == "as planned"
    assert json.loads(json.dumps(audit.to_dict()))["ok"] is True


def spoil(change):
    params = healthy()
    change(params)
    return PLAN.audit(params)


def tie(params):
    params["enc.0.weight"][5] = params["enc.0.weight"][9]


def scale(params):
    params["enc.0.weight"] *= 1.2


def shift(params):
    params["enc.0.weight"] += 0.04


def reach(params):
    params["enc.1.weight"][0, 0] = 0.9


def poison(params):
    params["enc.1.weight"][:2, 0] = [np.nan, np.inf]


def wrong_constant(params):
    params["norm.scale"][3] = 1.5


def lose(params):
    del params["enc.0.bias"]


def add(params):
    params["extra"] = np.zeros(3)


def reshape(params):
    params["enc.1.bias"] = np.zeros(7)


@pytest.mark.parametrize(
    ("change", "kind", "name", "sentence"),
    [
        (tie, "tied", "enc.0.weight", "1 unit equals another, although HeNormal() breaks ties"),
        (scale, "off", "enc.0.weight", "standard deviation 0.29"),
        (shift, "off", "enc.0.weight", "where 0 is expected"),
        (reach, "off", "enc.1.weight", "beyond the bounds -0.231455 and 0.231455"),
        (poison, "not_finite", "enc.1.weight", "2 of 3072 values are not finite"),
        (wrong_constant, "off", "norm.scale", "values from 1 to 1.5, beyond the bounds 1 and 1"),
        (lose, "missing", "enc.0.bias", "in the plan, but not among the parameters"),
        (add, "unexpected", "extra", "not in the plan"),
        (reshape, "unexpected", "enc.1.bias", "has shape (7,) where the plan has (48,)"),
    ],
)
def test_the_audit_names_what_is_wrong_and_nothing_else(change, kind, name, sentence):
    audit = spoil(change)
    found = {field: getattr(audit, field) for field in KINDS if getattr(audit, field)}
    assert list(found) == [kind]
    assert list(found[kind]) == [name]
    assert sentence in found[kind][name]
    assert not audit.ok
    assert name in str(audit)
    assert str(audit).endswith("1 not as planned")


@pytest.mark.parametrize("params", ["model.npz", 5, [np.zeros(3)], np.zeros((3, 3)), None])
def test_the_audit_takes_arrays_by_name_only(params):
    with pytest.raises(TypeError, match="the audit takes arrays by name, a dict or an open checkpoint; got"):
        PLAN.audit(params)


def test_the_audit_takes_an_open_checkpoint(tmp_path):
    save_safetensors(tmp_path / "healthy.safetensors", healthy())
    with open_checkpoint(tmp_path / "healthy.safetensors") as checkpoint:
        assert PLAN.audit(checkpoint).ok


def test_the_audit_lists_unused_and_untouched():
    plan = sb.plan({"a": (3, 3), "b": (2,)}, {"a": "he_normal", "c": "ones"})
    audit = plan.audit({"a": sb.HeNormal()((3, 3), 0), "b": np.zeros(2)})
    assert set(audit.unused) == {"c"}
    assert set(audit.untouched) == {"b"}
    assert not audit.unexpected


def test_units_that_a_coarse_dtype_ties_by_chance_are_told_as_such():
    plan = sb.plan({"w": (1024, 1)}, {"*": "he_normal"})
    audit = plan.audit(plan.initialize(0, dtype="bfloat16"))
    assert not audit.tied
    assert "in bfloat16 about" in audit.chance["w"]
    assert not plan.audit(plan.initialize(0, dtype="float64")).chance


@pytest.mark.parametrize("init", [sb.Normal(), sb.Uniform(), sb.TruncatedNormal()])
@pytest.mark.parametrize(("dtype", "bits"), [("float32", 23), ("float16", 10), ("bfloat16", 7), ("float8_e5m2", 2)])
def test_chance_ties_are_as_frequent_as_the_audit_assumes(init, dtype, bits):
    """Equal pairs among n values of one input: the estimate is within a factor of six, on the safe side or near it."""
    n = {"float32": 1 << 17}.get(dtype, 4096)
    values = init((n, 1), 0, dtype=dtype).astype(np.float64).ravel()
    _, counts = np.unique(values, return_counts=True)
    pairs = float(np.sum(counts * (counts - 1.0) / 2))
    plan = sb.plan({"w": (n, 1)}, {"*": init})
    said = float(plan.audit({"w": init((n, 1), 0, dtype=dtype)}).chance["w"].split("about ")[1].split()[0])
    assert said > RARE
    assert pairs / 6 <= said <= 6 * pairs + 10


def test_healthy_parameters_of_every_kind_pass_over_many_seeds():
    shapes = {f"{k}": shape for k, shape in enumerate([(1, 1), (2, 3), (5, 1), (30, 20), (8, 4, 3, 3)])}
    for name in ("he_normal", "glorot_uniform", "lecun_truncated_normal", "orthogonal"):
        plan = sb.plan(shapes, {"*": name})
        for seed in range(40):
            audit = plan.audit(plan.initialize(seed))
            assert not audit.off, (name, seed, str(audit))
            assert not audit.tied


def test_a_weight_of_more_axes_than_have_a_usual_order_is_audited():
    plan = sb.plan({"w": (8, 2, 2, 2, 2, 2)}, {"*": "normal"})
    params = plan.initialize(0)
    assert plan.audit(params).ok
    params["w"][3] = params["w"][5]
    assert plan.audit(params).tied["w"].startswith("1 unit equals another")


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "M8[s]", "V4"])
def test_an_array_without_real_numbers_is_unexpected_and_the_rest_is_judged(dtype):
    params = {**healthy(), "enc.0.weight": np.zeros((64, 32), dtype), "extra": np.zeros(3)}
    audit = PLAN.audit(params)
    assert list(audit.unexpected) == ["extra", "enc.0.weight"]
    assert audit.unexpected["enc.0.weight"] == f"has dtype {np.dtype(dtype)}, which holds no real numbers"
    assert not audit.off


@pytest.mark.parametrize(
    ("init", "dtype"),
    [
        (sb.Normal(0.02, mean=1.0), "bfloat16"),
        (sb.Uniform(0.9, 1.1), "bfloat16"),
        (sb.Normal(0.001, mean=-1.0), "float16"),
        (sb.Normal(1e-5, mean=1.0), "float32"),
        (sb.Normal(1e-6), "float16"),
        (sb.Normal(0.02), "float8_e3m4"),
    ],
)
def test_chance_ties_are_foreseen_where_floats_are_equally_spaced(init, dtype):
    plan = sb.plan({"w": (512, 1)}, {"*": init})
    params = plan.initialize(0, dtype=dtype)
    audit = plan.audit(params)
    _, counts = np.unique(params["w"].astype(np.float64), return_counts=True)
    pairs = float(np.sum(counts * (counts - 1.0) / 2))
    said = float(audit.chance["w"].split("about ")[1].split()[0])
    assert pairs / 6 <= said <= 6 * pairs + 10
    assert not audit.tied


def test_parts_that_are_scaled_apart_are_judged_apart():
    axes = sb.Axes("io", splits=(1, 400))
    plan = sb.plan({"w": (20, 401)}, {"*": sb.Rule(sb.VarianceScaling(1, "out"), axes=axes)})
    for seed in range(20):
        assert plan.audit(plan.initialize(seed)).ok
    params = plan.initialize(0)
    params["w"] = np.roll(params["w"], 7, axis=1)  # the moments of the whole are the same
    assert "standard deviation" in plan.audit(params).off["w"]


@pytest.mark.parametrize("init", [sb.TruncatedNormal(low=5, high=np.inf), sb.TruncatedNormal(low=-9, high=-5)])
def test_the_tail_of_a_normal_passes_over_many_seeds(init):
    plan = sb.plan({"w": (60, 50)}, {"*": init})
    assert not [seed for seed in range(960, 1010) if not plan.audit(plan.initialize(seed, workers=1)).ok]
    params = plan.initialize(0)
    params["w"] = params["w"] * 1.25 - 0.25 * params["w"].mean()
    assert plan.audit(params).off


@pytest.mark.parametrize(("size", "sentence"), [(1e200, "standard deviation inf"), (1e-200, "standard deviation")])
def test_moments_that_overflow_or_vanish_are_off_and_nothing_else(size, sentence):
    values = np.where(np.arange(600) % 2, 1, -1).reshape(30, 20) * sb.Uniform(0.9, 1.1)((30, 1), 0) * np.float64(size)
    with np.errstate(all="raise"):
        audit = sb.plan({"w": (30, 20)}, {"*": "normal"}).audit({"w": values})
    assert sentence in audit.off["w"]
    assert list(audit.off) == ["w"]


def test_names_that_act_on_a_terminal_are_shown_as_escapes():
    plan = sb.plan({"a\x1b[31m": (2, 2), "b\u202e": (2,)}, {"a*": "he_normal", "c\n": "ones"})
    shown = str(plan) + str(plan.audit({"a\x1b[31m": np.ones((2, 2))}))
    assert "a\\x1b[31m" in shown
    assert shown.replace("\n", "").isprintable()


ROLES = {"enc.*.weight": "hidden", "*.bias": "bias", "*": "norm"}


def test_a_rule_may_name_a_role():
    plan = sb.plan(SHAPES, {"enc.1.*": "ones", "@hidden": "he_normal", "@bias": "zeros", "@norm": "ones"}, roles=ROLES)
    assert {row.name: (row.role, row.pattern) for row in plan.rows} == {
        "enc.0.weight": ("hidden", "@hidden"),
        "enc.0.bias": ("bias", "@bias"),
        "enc.1.weight": ("hidden", "enc.1.*"),
        "enc.1.bias": ("bias", "enc.1.*"),
        "norm.scale": ("norm", "@norm"),
    }
    assert sb.plan(SHAPES, {"@hiden": "ones", "*": "zeros"}, roles=ROLES).unused == ("@hiden",)
    assert sb.plan({"@bias": (3,)}, {"@bias": "zeros"}).rows[0].pattern == "@bias"  # a name is always a name


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (["norm"], "`roles` maps globs to roles; got list"),
        ({"*": 3}, r"`roles` maps globs to roles, both strings; got '\*': 3"),
        ({3: "norm"}, "`roles` maps globs to roles, both strings; got 3: 'norm'"),
    ],
)
def test_roles_that_make_no_sense_are_refused(roles, message):
    with pytest.raises(TypeError, match=message):
        sb.plan(SHAPES, RULES, roles=roles)


def test_a_plain_name_after_a_glob_does_not_win():
    rules = {"enc.[0-9].weight": "ones", "enc.0.weight": "zeros", "*": "zeros", "norm.scale": "ones"}
    plan = sb.plan(SHAPES, rules)
    assert [row.pattern for row in plan.rows] == ["enc.[0-9].weight", "*", "enc.[0-9].weight", "*", "*"]
    assert plan.unused == ("enc.0.weight", "norm.scale")


def test_arrays_keep_their_dtype_unless_told():
    given = {
        "a": np.zeros((3, 3), np.float16),
        "b": np.zeros((3, 3), ml_dtypes.bfloat16),
        "c": (3, 3),
        "d": np.zeros(3),
    }
    rules = {"d": sb.Rule("ones", dtype="float32"), "*": "normal"}
    made = sb.initialize(given, rules, rng=0)
    assert [made[name].dtype.name for name in given] == ["float16", "bfloat16", "float32", "float32"]
    made = sb.initialize(given, rules, rng=0, dtype="float64")
    assert [made[name].dtype.name for name in given] == ["float64", "float64", "float64", "float32"]


def test_an_array_that_no_initializer_makes_is_kept():
    steps = np.array([7])
    plan = sb.plan({"w": (3, 3), "steps": steps}, {"w": "normal"})
    assert plan.initialize(0)["steps"] is steps
    assert str(plan).splitlines()[-1] == "1 kept as they are"
    assert plan.audit(plan.initialize(0)).ok
    assert set(plan.audit({"w": np.zeros((3, 3))}).missing) == {"steps"}


def test_only_what_is_missing_or_not_finite_is_made():
    fine, broken = np.full((3, 4), 0.5, np.float32), np.full((3, 4), 0.5, np.float16)
    broken[1, 2] = np.nan
    given = {"fine": fine, "broken": broken, "lost": (3, 4), "other": np.ones(2)}
    rules = {"other": "zeros", "*": "he_normal"}
    plan = sb.plan(given, rules, only_missing=True)
    made = plan.initialize(5)
    assert list(made) == list(given)
    assert made["fine"] is fine
    assert (made["other"] == 1).all()
    assert [row.name for row in plan.rows] == ["broken", "lost"]
    everything = sb.initialize(given, rules, 5)
    assert made["broken"].dtype == np.float16
    for name in ("broken", "lost"):
        assert np.array_equal(made[name], everything[name])  # as if all were made
    assert plan.unused == ()  # what keeps an array is not wrong
    assert np.array_equal(sb.initialize(given, rules, 5, only_missing=True)["lost"], made["lost"])


def test_what_is_kept_needs_no_rule():
    assert sb.initialize({"a": np.ones(3), "b": (3,)}, {"b": "zeros"}, only_missing=True)["a"].all()
    with pytest.raises(RuleError, match="no rule hits 'a'"):
        sb.initialize({"a": np.full(3, np.inf), "b": (3,)}, {"b": "zeros"}, only_missing=True)


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
def test_pieces_joined_are_what_a_plan_makes(dtype, monkeypatch):
    monkeypatch.setattr("symbreak.rules.BLOCK", 1 << 10)
    shapes = {
        "w": (70, 40),
        "q": (40, 40),
        "s": (),
        "e": (0, 3),
        "n": np.arange(3000).reshape(2, 1500),
        "h": np.zeros(5, "f2"),
        "c": np.array(7),
    }
    rules = {"q": "orthogonal", "s": "ones", "*": "uniform"}
    plan = sb.plan(shapes, rules)
    made = plan.initialize(2, dtype=dtype)
    found = list(plan.pieces(2, dtype=dtype))
    assert [each.name for each in found] == list(shapes)
    for each in found:
        parts = [np.array(part) for part in each.draw()]
        whole = np.concatenate([np.empty(0, each.dtype), *parts])
        assert (each.shape, each.dtype) == (made[each.name].shape, made[each.name].dtype)
        assert whole.tobytes() == made[each.name].tobytes()
        assert all(part.ndim == 1 and len(part) <= 1500 for part in parts)
        again = [np.array(part) for part in each.draw()]
        assert np.concatenate([np.empty(0, each.dtype), *again]).tobytes() == whole.tobytes()


@pytest.mark.parametrize("place", [0, 2999, None])
def test_values_are_looked_for_in_all_of_a_large_array(place, monkeypatch):
    monkeypatch.setattr("symbreak.rules.BLOCK", 1 << 10)
    array = np.ones((2, 1500))
    if place is not None:
        array.reshape(-1)[place] = np.nan
    plan = sb.plan({"w": array}, {"w": "zeros"}, only_missing=True)
    assert list(plan.kept) == (["w"] if place is None else [])


def test_pieces_without_a_seed_are_drawn_once():
    plan = sb.plan({"w": (70, 40)}, {"*": "uniform"})
    (each,) = plan.pieces()
    first, second = (np.concatenate([np.array(part) for part in each.draw()]) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_piece_is_as_it_was_when_the_next_is_made():
    before = None
    for piece in sb.Normal().pieces((70, 100), 0, size=1500):
        if before is not None:
            assert before[0].tobytes() == before[1]
        before = piece, piece.tobytes()


def test_pieces_refuse_before_they_are_asked_for():
    with pytest.raises(RuleError, match="no rule hits 'b'"):
        sb.plan({"b": (3,)}, {}).pieces(0)
    for size in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=f"size is a positive number of elements; got {size}"):
            next(sb.Normal().pieces((3, 3), 0, size=size))


def test_a_reason_makes_a_table_of_reasons():
    rules = {"*.weight": sb.Rule("he_normal", why="relu follows"), "*": "zeros"}
    plan = sb.plan({"a.weight": (4, 2), "a.bias": (4,)}, rules, roles={"*.weight": "hidden"})
    assert str(plan).splitlines() == [
        "parameter  role    initializer  std  why",
        "a.weight   hidden  HeNormal()     1  relu follows",
        "a.bias     -       Zeros()        0  -",
        "2 parameters, 12 values",
    ]


def test_the_audit_gives_each_parameter_in_numbers():
    params = healthy()
    params["enc.0.weight"][3] = params["enc.0.weight"][5]
    params["enc.1.bias"][0] = np.nan
    audit = PLAN.audit(params)
    found = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    w = found["parameters"]["enc.0.weight"]
    values = params["enc.0.weight"].astype(np.float64)
    assert w["mean"] == pytest.approx(values.mean())
    assert w["std"] == pytest.approx(values.std())
    assert (w["low"], w["high"]) == (values.min(), values.max())
    assert w["expected"] == {
        "mean": 0.0, "std": 0.25, "low": None, "high": None, "singular_values": None, "kurtosis": 3.0,
    }  # fmt: skip
    del w["mean"], w["std"], w["low"], w["high"], w["expected"]
    assert w == {
        "rule": "*.weight",
        "initializer": "HeNormal()",
        "role": None,
        "shape": [64, 32],
        "dtype": "float32",
        "fans": {"fan_in": 32, "fan_out": 64},
        "finite": 2048,
        "ties": "breaks",
        "equal_units": 1,
        "same_as": None,
    }
    bias = found["parameters"]["enc.1.bias"]
    assert (bias["finite"], bias["mean"], bias["equal_units"], bias["ties"]) == (47, None, None, "zeroes")
    assert found["parameters"]["norm.scale"]["mean"] == 1
    assert found["not_finite"] == {"enc.1.bias": "1 of 48 values are not finite"}


def test_two_parameters_of_one_stream_are_told():
    shapes = {"a": (8, 8), "b": (8, 8), "c": (8, 8), "i": (3,)}
    plan = sb.plan(shapes, {"i": "ones", "*": "he_normal"})
    params = plan.initialize(0)
    params["c"] = params["a"].copy()
    audit = plan.audit(params)
    assert audit.equal == {"c": "equals a, although the plan draws each from a key of its own"}
    assert not audit.ok
    same = {name: sb.HeNormal()((8, 8), rng=0) for name in "abc"} | {"i": np.ones(3)}  # one plain seed
    assert list(plan.audit(same).equal) == ["b", "c"]
    narrow = sb.plan({"a": (1, 1), "b": (1, 1)}, {"*": "he_normal"})
    assert not narrow.audit({name: np.ones((1, 1), ml_dtypes.bfloat16) for name in "ab"}).equal  # by chance


class Eye(sb.AbstractInitializer):
    """Draws nothing, and ties nothing."""

    elementwise = False

    def sample(self, shape, stream, axes):
        return np.eye(*shape, dtype=np.float32)


def test_a_scheme_without_random_numbers_may_be_equal_everywhere():
    plan = sb.plan({"a": (8, 8), "b": (8, 8)}, {"*": Eye()})
    assert plan.audit(plan.initialize(0)).ok


@pytest.mark.parametrize("init", [sb.Masked("normal", "lower"), sb.Masked("uniform", "blocks:4"),
                                  sb.Blocks(("normal", "zeros"), (16, -1), "i")], ids=repr)  # fmt: skip
def test_weights_with_fixed_entries_pass_over_many_seeds(init):
    plan = sb.plan({"w": (48, 32)}, {"w": init})
    for seed in range(60):
        audit = plan.audit(plan.initialize(seed))
        assert not audit.off, (seed, str(audit))
        assert not audit.tied
    params = plan.initialize(0)
    params["w"] = params["w"] * np.float32(1.4)
    assert plan.audit(params).off


def test_the_moments_of_a_weight_with_few_entries_are_judged_by_its_tails():
    """One of 32 inputs is drawn: standard deviations stray seven times as far as those of a normal."""
    plan = sb.plan({"w": (48, 32)}, {"w": sb.Blocks(("normal", "zeros"), (1, -1), "i")})
    assert not [seed for seed in range(60) if plan.audit(plan.initialize(seed)).off]
    params = plan.initialize(0)
    params["w"] = params["w"] * np.float32(3)
    assert plan.audit(params).off


def test_a_dead_pair_is_tied_though_few_entries_are_drawn():
    plan = sb.plan({"w": (48, 32)}, {"w": sb.Masked("normal", "lower")})
    params = plan.initialize(0)
    params["w"][[20, 30]] = 0
    assert plan.audit(params).chance or plan.audit(params).tied
    params = plan.initialize(0, dtype="float64")
    params["w"][[20, 30]] = 0
    assert plan.audit(params).tied


def test_tensors_of_torch_are_arrays_like_others():
    torch = pytest.importorskip("torch")
    layer = torch.nn.BatchNorm1d(3)
    given = {
        "norm": layer.weight,
        "count": layer.num_batches_tracked,
        "w": torch.full((4, 3), math.nan, dtype=torch.bfloat16),
        "meta": torch.empty(4, 3, device="meta"),
    }
    rules = {"norm": "ones", "*": "he_normal"}
    plan = sb.plan(given, rules)
    assert list(plan.kept) == ["count"]
    made = plan.initialize(0)
    assert [made[name].dtype.name for name in given] == ["float32", "int64", "bfloat16", "float32"]
    assert plan.audit({**made, "w": torch.from_numpy(made["w"].astype("f4")).requires_grad_(True)}).ok
    assert list(sb.plan(given, {"*": "he_normal"}, only_missing=True).kept) == ["norm", "count"]
    assert [
        part.name for part in sb.recipes.read_parts({"head.weight": given["w"], "count": given["count"]}).parts
    ] == ["head.weight"]


def test_arrays_of_jax_are_kept_where_nothing_is_missing():
    jax = pytest.importorskip("jax")
    given = {"a": jax.numpy.ones((4, 3)), "b": jax.numpy.full((4, 3), math.nan, "bfloat16")}
    plan = sb.plan(given, {"*": "he_normal"}, only_missing=True)
    assert list(plan.kept) == ["a"]
    assert plan.initialize(0)["b"].dtype.name == "bfloat16"
    assert [row.name for row in sb.plan(given, {"*": "he_normal"}).rows] == ["a", "b"]


def test_an_integer_of_numpy_is_a_size():
    assert sb.plan({"b": np.int64(5)}, {"*": "zeros"}).rows[0].shape == (5,)
    assert sb.recipes.read_parts({"b": np.int64(5)}).parts[0].shape == (5,)
    assert sb.plan({"t": np.float32(2)}, {"*": "ones"}, only_missing=True).kept == {"t": 2}


@pytest.mark.parametrize(
    ("init", "shown"),
    [
        (sb.HeNormal(), "HeNormal()"),
        (sb.Normal(0.02 / math.sqrt(48)), "Normal(0.002887)"),
        (sb.Normal(mean=0.5), "Normal(mean=0.5)"),
        (sb.Uniform(high=2.0), "Uniform(high=2)"),
        (sb.TruncatedNormal(0.02, low=-3.0), "TruncatedNormal(0.02, low=-3)"),
        (sb.Scaled("glorot_normal", 1 / 3), "Scaled(GlorotNormal(), 0.3333)"),
        (sb.Blocks(("zeros", sb.Scaled("ones", 0.5)), (-1, 4)), "Blocks((Zeros(), Scaled(Ones(), 0.5)), (-1, 4))"),
        (sb.Blocks(("zeros",)), "Blocks((Zeros(),))"),
        (sb.Constant(0.1), "Constant(0.1)"),
    ],
    ids=str,
)
def test_the_plan_shows_initializers_as_one_writes_them(init, shown):
    header, *lines = str(sb.plan({"w": (8, 8)}, {"w": init})).splitlines()[:-1]
    begin, end = header.index("initializer"), header.index("fan in")
    assert " ".join(line[begin:end].strip() for line in lines) == shown
