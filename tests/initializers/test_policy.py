"""The tie policy that each class states, against the diagnostic, on every shape and dtype; and the memory of a fill."""

import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import symbreak as sb
from symbreak._audit import RARE
from symbreak.diagnosis import find_ties

from .test_promises import DEFAULT, FLOATS, MADE, each


@st.composite
def shapes_and_axes(draw, row):
    if row.layouts is not DEFAULT:
        return draw(st.sampled_from(row.layouts))
    layout = "".join(draw(st.permutations(draw(st.sampled_from(["oi", "oi", "boi", "oihw", "oiw"])))))
    return tuple(draw(st.integers(1, 24)) for _ in layout), layout


@each
@given(data=st.data(), dtype=st.sampled_from(FLOATS), seed=st.integers(0, 2**32))
def test_the_diagnostic_agrees_with_the_policy(row, data, dtype, seed):
    init = row.init
    shape, axes = data.draw(shapes_and_axes(row))
    plan = sb.plan({"w": shape}, {"w": sb.Rule(init, axes=axes)})
    try:
        params = plan.initialize(seed, dtype=dtype)
    except sb.errors.RuleError as error:
        if "ends at" not in str(error):
            raise
        return  # the dtype holds no such values
    audit = plan.audit(params)
    if init.ties == "breaks":
        assert not audit.tied
    assume(not audit.chance)
    if len(shape) < 2:  # never SB101, SB102 or SB106
        return
    codes = {finding.code for finding in sb.diagnose(params["w"], axes=axes).findings}
    if init.ties == "breaks":
        assert not codes & {"SB101", "SB102", "SB106"}
    elif sb.Axes.of(axes, shape).units(shape) > 1:
        assert codes & {"SB101", "SB102", "SB106", "SB202"}
        assert "SB101" in codes or np.ptp(params["w"].astype(np.float64))


def test_the_audit_warns_where_chance_ties_units():
    """The law's exception: one bfloat16 input a unit, and a thousand units."""
    plan = sb.plan({"w": (1024, 1)}, {"w": sb.HeNormal()})
    params = plan.initialize(0, dtype="bfloat16")
    ties = find_ties(params["w"])
    assert len(np.unique(ties.labels)) < 1024
    assert plan.audit(params).chance
    assert float(plan.audit(params).chance["w"].split("about ")[1].split()[0]) > RARE


NARROW = sb.Normal(0.25)
ONE_OF_TEN = np.arange(10) == np.arange(4000)[:, None, None] % 10


@pytest.mark.parametrize(
    ("init", "shape", "rounded"),
    [
        (NARROW, (4000, 1, 1), True),
        (sb.Scaled(sb.Blocks((NARROW, sb.Uniform(-0.4, 0.4)), axis="b"), 0.5), (4000, 1, 1), True),
        (sb.Masked(NARROW, ONE_OF_TEN), (4000, 1, 10), True),
        (sb.Sparse(2, std=0.02), (4000, 1, 100), True),
        (sb.Normal(1e-3), (1, 1, 1), True),  # the only one
        (sb.Normal(0.25), (4000, 1, 20), False),
        (sb.Normal(0.01, mean=1.0), (4000, 1, 1), False),
        (sb.Uniform(0.5, 1.0), (4000, 1, 1), False),
        (sb.Orthogonal(), (4000, 1, 1), False),
        (sb.Rademacher(0.25), (4000, 1, 1), False),
    ],
    ids=repr,
)
def test_the_audit_counts_units_that_are_rounded_to_zero(init, shape, rounded):
    """In a dtype whose smallest number is 1/64, one unit a copy, so that none is equal to another."""
    plan = sb.plan({"w": shape}, {"w": sb.Rule(init, axes="boi", dtype="float8_e3m4")})
    params = plan.initialize(0)
    zeros = int((~params["w"].any(axis=2)).sum())
    assert (zeros > 0) == rounded
    said = plan.audit(params).chance.get("w", "")
    count = "1 unit is" if zeros == 1 else f"{zeros} units are"
    assert said == (f"in float8_e3m4 {count} rounded to zero" if rounded else "")
    wide = sb.plan({"w": shape}, {"w": sb.Rule(init, axes="boi")})
    assert not wide.audit(wide.initialize(0)).chance


def test_units_that_chance_does_not_make_zero_or_equal_are_not_said_to_be():
    """A unit of many inputs that was set to zero; and a copy of another unit, beside one that is rounded to zero."""
    rule = sb.Rule(sb.Normal(0.03), dtype="float8_e3m4")
    plan = sb.plan({"w": (8, 40)}, {"w": rule})
    params = plan.initialize(0)
    params["w"][3] = 0
    assert not plan.audit(params).chance
    plan = sb.plan({"w": (8, 10)}, {"w": rule})
    params = plan.initialize(0)
    params["w"][1] = params["w"][0]
    params["w"][3] = 0
    audit = plan.audit(params)
    assert audit.tied["w"].startswith("1 unit equals another, although")
    assert audit.chance["w"] == "in float8_e3m4 1 unit is rounded to zero"


def test_a_zero_unit_beside_others_whose_squares_overflow_is_audited():
    plan = sb.plan({"w": (4, 3)}, {"w": sb.Normal()})
    params = {"w": np.full((4, 3), 1e200) * np.arange(4.0)[:, None]}
    assert not plan.audit(params).chance


def test_the_audit_knows_that_signs_and_sparse_units_coincide_more_often():
    """Sixteen patterns of four signs for forty units; one input of two for each of forty."""
    plan = sb.plan({"w": (40, 4)}, {"w": sb.Rademacher()})
    assert float(plan.audit(plan.initialize(0)).chance["w"].split("about ")[1].split()[0]) == pytest.approx(
        40 * 39 / 2 / 16, rel=0.01
    )
    assert sb.Sparse(2).coincidence((9, 5), None, 0.25) == 0.25**2 / 10
    assert sb.Scaled(sb.Rademacher(), 0.1).coincidence((9, 5), None, 0.25) == 0.5**5
    assert sb.LooksLinear("rademacher").coincidence((8, 6), None, 0.25) == 0.5**3
    assert sb.Masked("normal", "lower").coincidence((4, 4), None, 0.5) == (1 * 0.5**2 + 2 * 0.5**3 + 3 * 0.5**4) / 6
    assert sb.Blocks(("zeros", "normal"), axis="i").coincidence((4, 6), None, 0.5) == 0.5**3
    assert sb.Blocks(("zeros", "normal")).coincidence((4, 6), None, 0.5) == (2 + 3) * 0.5**6 / 6
    assert sb.DeltaOrthogonal().coincidence((9, 5, 3, 3), None, 0.25) == 0.25**5
    assert sb.Normal().coincidence((9, 5, 3), "bio", 0.25) == 0.25**5
    assert sb.Normal().coincidence((9, 5, 3, 2, 2, 2), None, 0.5) == 0.5**120


def test_the_audit_judges_fused_parts_apart():
    rule = sb.Rule(sb.Identity(), axes=sb.Axes("oi", splits=3))
    plan = sb.plan({"qkv": (24, 12)}, {"qkv": rule})
    params = plan.initialize(0)
    assert (params["qkv"][:8] == params["qkv"][8:16]).all()
    assert plan.audit(params).ok
    params["qkv"][1] = params["qkv"][0]
    assert plan.audit(params).tied


def beyond(init, out):
    """Measure the memory of a fill, in bytes, on a thread that keeps none from what it did before."""
    tracemalloc.start()
    try:
        filling = threading.Thread(target=init.fill, args=(out,), kwargs={"rng": 0, "workers": 2})
        filling.start()
        filling.join()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ELEMENTWISE = [row.init for row in MADE if row.init.elementwise and row.layouts is DEFAULT]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "init", [*ELEMENTWISE, sb.TruncatedNormal(low=-3.0), sb.TruncatedNormal(low=40, high=41)], ids=repr
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_fill_needs_at_most_sixteen_megabytes_beyond_its_output(init, dtype, order):
    out = init((8, 8), rng=0, dtype=dtype)  # what is loaded and made once
    # A copy of it in the dtype of the draw takes more than that.
    out = np.empty((3000, 1024 if dtype == "float64" else 2048), out.dtype, order=order)
    assert beyond(init, out) < 16 * 2**20


def test_a_fill_that_copies_its_output_is_caught():
    class Whole(sb.AbstractInitializer):
        elementwise = False

        def sample(self, shape, stream, axes):
            return stream.normal(shape) * 2.0

    out = np.empty((3000, 2048), np.float32)
    assert beyond(Whole(), out) > 16 * 2**20


DETERMINISTIC = [
    sb.Identity(), sb.Dirac(), sb.PaddedIdentity(), sb.ZerO(), sb.Fourier(part="real"), sb.Constant(np.arange(3000.0)),
    sb.PaddedIdentity(patches=True), sb.Constant(np.arange(1500.0)[:, None]),
]  # fmt: skip


@pytest.mark.parametrize("init", DETERMINISTIC, ids=[repr(init)[:25] for init in DETERMINISTIC])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_so_does_one_of_a_class_without_chance(init, dtype, order):
    init((1500, 3000), rng=0, dtype=dtype)  # what is loaded and made once
    out = np.empty((1500, 3000), sb.Zeros()(1, dtype=dtype).dtype, order=order)
    assert beyond(init, out) < 16 * 2**20


def test_a_triangular_mask_leaves_nothing_to_chance():
    plan = sb.plan({"w": (64, 64)}, {"w": sb.Masked("he_normal", "lower")})
    assert plan.audit(plan.initialize(0)).ok
