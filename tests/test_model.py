"""Models of frameworks: roles, defaults, ties, tables of names, and weights drawn units first and turned."""

import numpy as np
import pytest

import symbreak as sb
from symbreak._model import DEFAULTS, Parameter, plan_model
from symbreak._turned import draw_region, fill_tasks, find_turn
from symbreak.dtypes import as_float_dtype
from symbreak.errors import RuleError

MODEL = [
    Parameter("emb.weight", (50, 16), role="embedding"),
    Parameter("conv.kernel", (3, 3, 8, 16), "hwio", "conv"),
    Parameter("conv.bias", (16,), role="bias"),
    Parameter("fc.kernel", (16, 24), "io", "linear"),
    Parameter("norm.scale", (24,), role="norm"),
    Parameter("head.weight", (50, 16), role="linear", same_as="emb.weight"),
    Parameter("odd", (5,)),
]

# framework's shape, layout -> the shape and the layout of the units-first twin
LAYOUTS = {
    "dense": ((16, 24), "io", (24, 16), "oi"),
    "conv": ((3, 5, 8, 16), "hwio", (16, 8, 3, 5), "oihw"),
    "conv1d": ((3, 8, 16), "wio", (16, 8, 3), "oiw"),
    "conv3d": ((2, 3, 5, 8, 16), "dhwio", (16, 8, 2, 3, 5), "oidhw"),
    "transposed": ((8, 16, 3, 5), "iohw", (16, 8, 3, 5), "oihw"),
    "keras transposed": ((3, 5, 16, 8), "hwoi", (16, 8, 3, 5), "oihw"),
    "heads in": ((16, 4, 6), "ioo", (4, 6, 16), "ooi"),
    "heads out": ((4, 6, 16), "iio", (16, 4, 6), "oii"),
    "experts": ((4, 16, 24), "bio", (4, 24, 16), "boi"),
    "grouped": ((3, 5, 2, 16), sb.Axes("hwio", groups=4), (16, 2, 3, 5), sb.Axes("oihw", groups=4)),
    "gates": ((16, 32), sb.Axes("io", splits=4), (32, 16), sb.Axes("oi", splits=4)),
    "depthwise": (
        (3, 5, 8, 2), sb.Axes("hwio", groups=8, grouped="i"), (16, 1, 3, 5), sb.Axes("oihw", groups=8, grouped="o"),
    ),
    "transposed, grouped": ((8, 6, 3, 5), sb.Axes("iohw", groups=2), (12, 4, 3, 5), sb.Axes("oihw", groups=2)),
}  # fmt: skip


def turned_by_hand(case: str, drawn: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if case == "depthwise":
        return drawn.reshape(8, 2, 3, 5).transpose(2, 3, 0, 1)
    if case == "transposed, grouped":
        return drawn.reshape(2, 6, 4, 3, 5).transpose(0, 2, 1, 3, 4).reshape(shape)
    back = {
        "dense": (1, 0), "gates": (1, 0), "conv": (2, 3, 1, 0), "grouped": (2, 3, 1, 0), "conv1d": (2, 1, 0),
        "conv3d": (2, 3, 4, 1, 0), "transposed": (1, 0, 2, 3), "keras transposed": (2, 3, 0, 1),
        "heads in": (2, 0, 1), "heads out": (1, 2, 0), "experts": (0, 2, 1),
    }  # fmt: skip
    return drawn.transpose(back[case])


@pytest.mark.parametrize("init", [sb.HeNormal(), sb.GlorotUniform(), sb.Orthogonal()], ids=repr)
@pytest.mark.parametrize("case", LAYOUTS)
def test_a_weight_is_that_of_its_units_first_twin_turned(case, init):
    shape, axes, first, order = LAYOUTS[case]
    plan = plan_model([Parameter("w", shape, axes, "linear")], {"w": init})
    made = plan.initialize(3)["w"]
    twin = sb.initialize({"w": first}, {"w": sb.Rule(init, axes=order)}, 3)["w"]
    assert made.shape == shape
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, turned_by_hand(case, twin, shape))
    assert find_turn(shape, axes).shape == first
    assert sb.fans(shape, axes) == sb.fans(first, order)
    assert plan.audit({"w": made}).ok


@pytest.mark.parametrize("case", LAYOUTS)
def test_regions_tasks_and_pieces_of_a_turned_weight_are_those_of_the_whole(case):
    shape, axes, *_ = LAYOUTS[case]
    init, key = sb.HeNormal(), sb.Key(3)["w"]
    plan = plan_model([Parameter("w", shape, axes, "linear")], {"w": init})
    whole = plan.initialize(3)["w"]
    for index in (np.s_[1:, ...], np.s_[..., :5], np.s_[0:2, 1:3]):
        box = tuple(slice(*each.indices(size)) for each, size in zip(full(index, len(shape)), shape, strict=True))
        part = draw_region(init, shape, box, key, dtype="float32", axes=axes)
        np.testing.assert_array_equal(part, whole[box])
    strided = np.zeros((*shape[:-1], shape[-1] * 2), np.float32)[..., ::2]
    for task in fill_tasks(init, strided, key, axes=axes):
        task()
    np.testing.assert_array_equal(strided, whole)
    (pieces,) = plan.pieces(3)
    np.testing.assert_array_equal(np.concatenate([*pieces.draw()]), whole.ravel())


def full(index, rank):
    given = index if isinstance(index, tuple) else (index,)
    if Ellipsis in given:
        at = given.index(Ellipsis)
        return (*given[:at], *[slice(None)] * (rank - len(given) + 1), *given[at + 1 :])
    return (*given, *[slice(None)] * (rank - len(given)))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1100, 1000), "io"), ((1100, 1000), None), ((3, 3, 400, 300), "hwio"), ((700_000,), None),
        ((3, 3, 50_000, 2), sb.Axes("hwio", groups=50_000, grouped="i")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_large_weight_is_written_in_many_tasks(shape, axes, dtype):
    init = sb.Normal(0.5)
    out = np.zeros(shape, as_float_dtype(dtype))
    tasks = [*fill_tasks(init, out, sb.Key(0)["w"], axes=axes)]
    assert len(tasks) > 1
    for task in reversed(tasks):
        task()
    whole = plan_model([Parameter("w", shape, axes, "linear")], {"w": init}).initialize(0, dtype=dtype)["w"]
    np.testing.assert_array_equal(out.astype(np.float32), whole.astype(np.float32))


def test_what_lies_units_first_is_not_turned_and_equals_a_plain_initialize():
    assert find_turn((24, 16), "oi") is None
    assert find_turn((24, 16), None) is None
    assert find_turn((4, 24, 16), "boi") is None
    shapes = {"a.weight": (24, 16), "b.weight": (24, 16, 3, 3), "c.bias": (24,)}
    rules = {"*.bias": "zeros", "*": "he_normal"}
    ours = plan_model([Parameter(name, shape) for name, shape in shapes.items()], rules).initialize(5)
    plain = sb.initialize(shapes, rules, 5)
    assert all(np.array_equal(ours[name], plain[name]) for name in shapes)


def test_a_role_has_one_default_and_the_plan_says_why():
    plan = plan_model(MODEL)
    got = {row.name: (row.role, row.initializer) for row in plan.rows}
    assert got == {
        "emb.weight": ("embedding", sb.Normal(0.02)),
        "conv.kernel": ("conv", sb.HeNormal()),
        "conv.bias": ("bias", sb.Zeros()),
        "fc.kernel": ("linear", sb.HeNormal()),
        "norm.scale": ("norm", sb.Ones()),
        "head.weight": ("linear", sb.Normal(0.02)),
        "odd": ("unknown_vector", sb.Zeros()),
    }
    text = " ".join(str(plan).split())  # lines are folded
    assert "unknown: by shape, a bias" in text
    assert "tied to emb.weight" in text
    assert all(row.rule.why for row in plan.rows)


@pytest.mark.parametrize("role", DEFAULTS)
def test_every_default_can_be_made_and_audits_clean(role):
    shape = (64,) if role in ("norm", "centred_norm", "slope", "residual_gain") or "bias" in role else (64, 32)
    shape = (64,) if role in ("running_mean", "running_var", "unknown_vector") else shape
    plan = plan_model([Parameter("w", shape, role=role)])
    assert plan.audit(plan.initialize(0)).ok


def test_a_tied_parameter_is_drawn_once_under_the_first_name():
    plan = plan_model(MODEL)
    made = plan.initialize(0)
    assert made["head.weight"] is made["emb.weight"]
    assert {row.name: row.source for row in plan.rows if row.source} == {"head.weight": "emb.weight"}
    turned = [
        Parameter("a", (6, 4), role="embedding"),
        Parameter("b", (4, 6), "io", "linear", same_as="a", transposed=True),
    ]
    made = plan_model(turned).initialize(0)
    np.testing.assert_array_equal(made["b"], made["a"].T)


def test_rules_go_before_defaults_and_leave_the_layout_to_the_framework():
    plan = plan_model(MODEL, {"conv.kernel": "glorot_uniform", "@linear": sb.Rule("lecun_normal", dtype="float16")})
    rows = {row.name: row for row in plan.rows}
    assert rows["conv.kernel"].initializer == sb.GlorotUniform()
    assert rows["conv.kernel"].fans == (72, 144)
    assert rows["fc.kernel"].fans == (16, 24)
    assert rows["fc.kernel"].rule.why == "the rule '@linear'"
    assert plan.initialize(0)["fc.kernel"].dtype == np.float16
    other = plan_model(MODEL, {"fc.kernel": sb.Rule("lecun_normal", axes="oi")})
    assert {row.name: row.fans for row in other.rows}["fc.kernel"] == (24, 16)


def test_roles_of_the_caller_go_before_those_of_the_framework():
    plan = plan_model(MODEL, roles={"odd": "norm"})
    assert plan.initialize(0)["odd"].tolist() == [1.0] * 5


def test_names_say_which_key_a_parameter_is_drawn_from():
    named = plan_model(MODEL, names={"conv.kernel": "conv.weight"})
    plain = plan_model(MODEL)
    twin = plan_model([Parameter("conv.weight", (16, 8, 3, 3), role="conv")]).initialize(0)["conv.weight"]
    np.testing.assert_array_equal(named.initialize(0)["conv.kernel"], twin.transpose(2, 3, 1, 0))
    assert not np.array_equal(named.initialize(0)["conv.kernel"], plain.initialize(0)["conv.kernel"])
    by_function = plan_model(MODEL, names=lambda name: name.replace("kernel", "weight"))
    np.testing.assert_array_equal(by_function.initialize(0)["conv.kernel"], named.initialize(0)["conv.kernel"])
    (piece,) = (each for each in named.pieces(0) if each.name == "conv.kernel")
    np.testing.assert_array_equal(np.concatenate([*piece.draw()]), named.initialize(0)["conv.kernel"].ravel())


BLOCKS = [
    Parameter("wte.weight", (100, 16), role="embedding"),
    Parameter("h.0.mlp.c_fc.weight", (64, 16), role="linear"),
    Parameter("h.0.mlp.c_fc.bias", (64,), role="bias"),
    Parameter("h.0.mlp.c_proj.weight", (64, 16), "io", role="linear"),
    Parameter("h.0.odd_norm", (16,), role="norm"),
]


@pytest.mark.parametrize("given", [{"rules": sb.recipes.GPT2()}, {"recipe": "gpt2"}, {"recipe": sb.recipes.GPT2()}])
def test_a_recipe_gives_the_rules(given):
    stds = {row.name: row.expected.std for row in plan_model(BLOCKS, **given).rows}
    assert stds == {
        "wte.weight": 0.02, "h.0.mlp.c_fc.weight": 0.02, "h.0.mlp.c_fc.bias": 0, "h.0.mlp.c_proj.weight": 0.02,
        "h.0.odd_norm": 0,
    }  # fmt: skip


def test_rules_go_before_a_recipe():
    plan = plan_model(BLOCKS, {"wte.*": sb.Normal(0.5)}, recipe="gpt2")
    assert {row.name: row.expected.std for row in plan.rows}["wte.weight"] == 0.5
    assert {row.name: row.fans for row in plan.rows}["h.0.mlp.c_proj.weight"] == (64, 16)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"rules": {"fc.kernal": "zeros"}}, RuleError, r"'fc.kernal' hits no parameter.*the nearest is 'fc.kernel'"),
        ({"rules": {"@lineer": "zeros"}}, RuleError, r"'@lineer' hits no parameter.*the nearest is '@linear'"),
        (
            {"rules": {"head.*": "zeros"}}, RuleError,
            r"'head\.\*' hits 'head.weight', which is tied to 'emb.weight' and is drawn under that name",
        ),
        ({"rules": {"fc.kernel": sb.Rule("zeros", axes="hwio")}}, RuleError, r"gives Zeros\(\) to 'fc.kernel'"),
        ({"rules": "he_normal"}, TypeError, "`rules` maps globs to initializers, or is a recipe; got str"),
        ({"roles": {"odd": "sprout"}}, RuleError, r"the role 'sprout' of 'odd' has no default; .* linear, conv"),
        ({"roles": {"od": "norm"}}, RuleError, "`roles` has 'od', which hits no parameter; the nearest is 'odd'"),
        ({"recipe": "gtp2"}, ValueError, "no recipe is called 'gtp2'"),
        ({"recipe": 3}, TypeError, "`recipe` is one of symbreak.recipes, or its name; got int"),
        ({"rules": sb.recipes.GPT2(), "recipe": "gpt2"}, TypeError, "a recipe was given as `rules` and as `recipe`"),
        ({"names": {"od": "x"}}, ValueError, "`names` has 'od', which is no parameter; the nearest is 'odd'"),
        ({"names": lambda name: "x"}, ValueError, "'emb.weight' and 'conv.kernel' one key, 'x': they would be drawn"),
        ({"names": lambda name: 3}, TypeError, "`names` gives 'emb.weight' the key 3, which is no string"),
        ({"names": 3}, TypeError, "`names` is a mapping from parameter to key, or a function; got int"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        plan_model(MODEL, **given).initialize(0)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(RuleError, match="Dropout has no parameters to initialize"):
        plan_model([], model="Dropout")
