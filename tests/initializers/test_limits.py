"""Values that a dtype does not hold are refused when the weight is asked for, with the value, the dtype and its end."""

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak.dtypes import EXTENSION_FLOATS, NUMPY_FLOATS, as_float_dtype
from symbreak.errors import RuleError

CASES = [
    (
        sb.Scaled(sb.Normal(1e30), 1e30),
        (2, 3),
        "float32",
        r"reaches 6.8e\+60 for `shape` \(2, 3\), but float32 ends at",
    ),
    (
        sb.Scaled(sb.Constant(3e38), -2),
        (2, 3),
        "bfloat16",
        r"reaches -6e\+38 .* but bfloat16 ends at 3.38953e\+38; take",
    ),
    (
        sb.Perturbed(sb.Scaled("ones", 3e38), 1.0),
        (2, 3),
        "float32",
        r"Perturbed\(.*reaches 8.19615e\+38 .* float32 ends",
    ),
    (sb.Blocks((sb.Ones(), sb.Scaled(sb.Uniform(0, 1e38), 10))), (2, 3), "float32", r"Blocks\(.*reaches 1e\+39 "),
    (
        sb.Constant(7e4),
        (3,),
        "float16",
        r"^Constant\(70000.0\) reaches 70000 .* float16 ends at 65504; take a wider dtype",
    ),
    (sb.Constant([1.0, -1e5]), (2,), "float16", "reaches -100000 for .* but float16 ends at 65504"),
    (sb.Normal(1e4), (4, 4), "float16", "reaches 68000 for .* but float16 ends at 65504"),
    (sb.S4dFrequency(), (2, 100_000), "float16", r"S4dFrequency\(\) reaches 314156 .* but float16 ends at 65504"),
    (sb.S4dFrequency("inv"), (2, 64), "float8_e4m3fn", "reaches .* but float8_e4m3fn ends at 448"),
    (sb.HippoLegsB(), (400,), "float8_e3m4", r"HippoLegsB\(\) reaches 28.2666 .* but float8_e3m4 ends at 15.5"),
    (sb.HippoLegsA(), (40, 40), "float8_e4m3b11fnuz", "reaches -7.* but float8_e4m3b11fnuz ends at 30; take a wider"),
]


@pytest.mark.parametrize(("init", "shape", "dtype", "message"), CASES, ids=[repr(case[0]) for case in CASES])
def test_values_beyond_the_end_of_a_dtype_are_refused_by_every_way_of_asking(init, shape, dtype, message):
    out = np.ones(shape, as_float_dtype(dtype))
    for ask in (
        lambda: init(shape, 0, dtype=dtype),
        lambda: init.fill(out, 0),
        lambda: init.region(shape, np.s_[:1], 0, dtype=dtype),
        lambda: init.pieces(shape, 0, dtype=dtype),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
    assert (out == 1).all()
    assert init.region(shape, np.s_[:0], 0, dtype=dtype).size == 0
    empty = (0,) * len(shape)
    assert init(empty, 0, dtype=dtype).shape == empty


@pytest.mark.parametrize("dtype", NUMPY_FLOATS + EXTENSION_FLOATS)
def test_the_last_value_of_a_dtype_is_made_and_the_one_that_rounds_away_is_not(dtype):
    kind = as_float_dtype(dtype)
    largest = float(ml_dtypes.finfo(kind).max)
    if largest > 1e38:
        return  # the constructor's limit
    assert sb.Constant(largest)(2, dtype=dtype).tolist() == [largest, largest]
    step = largest - float(np.nextafter(kind.type(largest), kind.type(0)))
    below, above = largest + 0.49 * step, largest + 0.51 * step
    assert sb.Constant(-below)(2, dtype=dtype).tolist() == [-largest, -largest]
    with pytest.raises(ValueError, match=f"but {dtype} ends at {largest:.6g}; take a wider dtype, or smaller values"):
        sb.Constant(-above)(2, dtype=dtype)


def test_a_wider_dtype_takes_the_same_values():
    assert np.isfinite(sb.Scaled(sb.Normal(1e30), 1e30)((2, 3), 0, dtype="float64")).all()
    assert sb.Constant(7e4)(3, dtype="bfloat16").astype(float).tolist() == [70144.0] * 3


def test_a_plan_names_the_parameter_before_anything_is_made():
    plan = sb.plan({"a": (4, 4), "big": (3,)}, {"a": "he_normal", "big": sb.Constant(7e4)})
    for ask in (plan.initialize, plan.pieces):
        with pytest.raises(RuleError, match=r"^'big': Constant\(70000.0\) reaches 70000 .* float16 ends at 65504"):
            ask(0, dtype="float16")
    assert plan.initialize(0)["big"].tolist() == [7e4] * 3


def test_what_states_no_moments_is_rounded_as_it_is():
    class Silent(sb.AbstractInitializer):
        def sample(self, shape, stream, axes):
            return stream.full(shape, 1e6)

    assert np.isinf(Silent()(2, dtype="float16")).all()
