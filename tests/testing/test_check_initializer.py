"""What `check_initializer` asks, each promise with a class that breaks it."""

import itertools
import math
import os

import numpy as np
import pytest

import symbreak as sb
from symbreak.testing import check_initializer
from tests.initializers.test_promises import MADE

SMALL = [((24, 32), None)]


class Good(sb.AbstractInitializer):
    """Normals, as they should be."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape)

    def expected(self, shape, axes=None):
        return sb.Moments(0.0, 1.0, -math.inf, math.inf)


class Logarithm(Good):
    """Says that its bits are the same everywhere, but the logarithm's are not."""

    def sample(self, shape, stream, axes):
        return np.log(stream.uniform(shape) + stream.dtype.type(1.5)) * np.exp(stream.normal(shape))

    def expected(self, shape, axes=None):
        raise NotImplementedError


class Forgetful(Good):
    """Comes back from a pickle without its parameter."""

    std: float = 1.0

    def __reduce__(self):
        return Forgetful, ()

    def sample(self, shape, stream, axes):
        return stream.normal(shape) * stream.dtype.type(self.std)

    def expected(self, shape, axes=None):
        return sb.Moments(0.0, self.std, -math.inf, math.inf)


class Choosy(Good):
    """Works on this processor alone."""

    def sample(self, shape, stream, axes):
        if "NPY_DISABLE_CPU_FEATURES" in os.environ:
            raise RuntimeError("no vector instructions")
        return stream.normal(shape)


def broken(initializer, layouts=SMALL, **others):
    with pytest.raises(AssertionError) as caught:
        check_initializer(initializer, layouts=layouts, **others)
    return str(caught.value)


@pytest.mark.exhaustive
@pytest.mark.parametrize("row", MADE, ids=[repr(row.init) for row in MADE])
def test_the_shelf_keeps_every_promise(row):
    check_initializer(row.init, layouts=row.layouts)


def test_a_good_one_is_let_pass_on_the_usual_weights():
    check_initializer(Good())


def test_what_is_no_value():
    class Loose(Good):
        def __setattr__(self, name, value):
            object.__setattr__(self, name, value)

        def __hash__(self):
            raise TypeError("no hash")

    message = broken(Loose())
    assert "Loose() breaks 1 of 11 promises:\n  value: it can't be hashed: no hash\n" in message
    assert "value: the attribute 'an_attribute' can be assigned to" in message


def test_a_pickle_that_is_not_the_same():
    assert "value: pickled and back it is Forgetful()" in broken(Forgetful(2.0))

    class Local(Good):
        """Of a function: nobody can pickle it."""

    check_initializer(Local(), layouts=SMALL)


def test_a_configuration_that_makes_another_instance():
    @sb.register("doubling_for_a_test")
    class Doubling(Good):
        std: float = 1.0

        def __post_init__(self):
            object.__setattr__(self, "std", 2 * self.std)

        def sample(self, shape, stream, axes):
            return stream.normal(shape) * self.std

        def expected(self, shape, axes=None):
            return sb.Moments(0.0, self.std, -math.inf, math.inf)

    assert "value: its configuration through JSON makes Doubling(std=4.0)" in broken(Doubling())


def test_a_state():
    calls = itertools.count()

    class Counting(Good):
        def sample(self, shape, stream, axes):
            return stream.normal(shape) * stream.dtype.type(1 + next(calls) * 1e-3)

    message = broken(Counting())
    assert (
        "state: for shape (24, 32) the same key gave other bits the second time: 768 of 768 entries, by up" in message
    )


def test_half_precision_that_is_rounded_twice_and_values_that_are_not_finite():
    class Twice(Good):
        def __call__(self, shape, rng=None, *, dtype="float32", **others):
            first = "bfloat16" if dtype == "float16" else dtype
            return super().__call__(shape, rng, dtype=first, **others).astype(dtype)

    message = broken(Twice())
    assert "dtypes: for shape (24, 32) float16 is not the float32 weight rounded once: 6" in message

    class Infinite(Good):
        def sample(self, shape, stream, axes):
            values = stream.normal(shape)
            values[values > 3] = np.inf
            return values

        def expected(self, shape, axes=None):
            raise NotImplementedError

    assert "dtypes: for shape (96, 160) 2" in broken(Infinite(), [((96, 160), None)])
    assert "values in float32 are not finite" in broken(Infinite(), [((96, 160), None)])


def test_a_dtype_may_be_refused_where_it_does_not_hold_the_values_alone():
    check_initializer(sb.Normal(1e6), layouts=SMALL)  # beyond float16, as its error says

    class Single(Good):
        def __call__(self, shape, rng=None, *, dtype="float32", **others):
            if dtype == "float16":
                raise ValueError("no half precision here")
            return super().__call__(shape, rng, dtype=dtype, **others)

    assert "dtypes: raised ValueError: no half precision here" in broken(Single())


def test_an_entry_that_depends_on_the_others():
    class Centred(Good):
        def sample(self, shape, stream, axes):
            values = stream.normal(shape)
            return values - values.mean()

        def expected(self, shape, axes=None):
            raise NotImplementedError

    message = broken(Centred())
    assert "region: region((24, 32), [8:20, 10:26]) is not that part of the whole: 192 of 192 entries" in message
    assert "threads: with 2 threads a weight of shape (1030, 1100) has other bits" in message


def test_a_fill_that_is_not_the_call():
    class Fills(Good):
        def fill(self, out, rng=None, **others):
            if out.flags.c_contiguous:
                return super().fill(out, rng, **others)
            out[...] = 0
            return out

    message = broken(Fills())
    assert "fill: filling an array in Fortran order of shape (24, 32) differs from calling: 768 of 768" in message
    assert "fill: filling every other entry" in message


def test_a_region_that_takes_the_memory_of_much_more():
    class Greedy(Good):
        def sample(self, shape, stream, axes):
            np.ones(12 << 20)
            return stream.normal(shape)

    assert "memory: one entry of a weight of shape (65536, 4096) takes 96 MB; at most 32 are due" in broken(Greedy())


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            sb.Moments(0.0, 1.01, -math.inf, math.inf),
            r"the standard deviation is (0.99\d+|1.00\d+), but .* states 1.01",
        ),
        (sb.Moments(0.02, 1.0, -math.inf, math.inf), r"the mean is -?0.00\d+, but `expected` states 0.02"),
        (sb.Moments(0.0, 1.0, -3.0, 3.0), r"the values go from -[45].\d+ to [45].\d+, but `expected` states -3 to 3"),
        (
            sb.Moments(0.0, 1.0, -math.inf, math.inf, singular_values=(1.0, 20.0)),
            r"the singular values go from 3.\d+ to 2\d.\d+, but `expected` states 1 to 20",
        ),
    ],
)
def test_moments_that_are_not_the_stated_ones(stated, message):
    class Stating(Good):
        def expected(self, shape, axes=None):
            return stated

    with pytest.raises(AssertionError, match=rf"moments: for shape \(96, 160\) {message}"):
        check_initializer(Stating(), layouts=[((96, 160), None)])


def test_a_policy_that_the_units_don_t_show():
    class Pairs(Good):
        elementwise = False

        def sample(self, shape, stream, axes):
            values = stream.normal(shape)
            values[1] = values[0]
            values[2] = 0
            return values

        def expected(self, shape, axes=None):
            raise NotImplementedError

    assert "`ties` is 'breaks', but for shape (24, 32) in float32 1 of 24 units equal others and 1 are zero" in broken(
        Pairs()
    )

    class Tying(Good):
        ties = "ties"

    assert "ties: `ties` is 'ties', but no two units are equal for (24, 32)" in broken(Tying())

    class Zeroing(Good):
        ties = "zeroes"

    message = broken(Zeroing())
    assert "ties: `ties` is 'zeroes', but for shape (24, 32) in float32 24 of 24 units are not" in message


def test_an_axis_of_size_zero_that_is_not_taken():
    class Dividing(Good):
        def __call__(self, shape, rng=None, **others):
            size = 1 // len(range(*slice(0, shape[0]).indices(shape[0])))
            return super().__call__(shape, rng, **others) + np.float32(size * 0)

    message = broken(Dividing())
    assert "empty: shape (0, 32) raised ZeroDivisionError: integer" in message


def test_an_empty_weight_of_another_shape():
    class Emptied(Good):
        def __call__(self, shape, rng=None, **others):
            return super().__call__((0,) * len(shape) if 0 in shape else shape, rng, **others)

    assert "empty: shape (0, 32) gave shape (0, 0)" in broken(Emptied())


def test_a_region_of_another_shape():
    class Flattened(Good):
        def region(self, *given, **named):
            return super().region(*given, **named).ravel()

    message = broken(Flattened())
    assert (
        "region: region((24, 32), [8:20, 10:26]) is not that part of the whole: shape (192,) where (12, 16)" in message
    )


def test_a_fresh_process_that_fails():
    assert "portable: a fresh process failed: RuntimeError: no vector instructions" in broken(Choosy())


def test_bits_that_depend_on_the_processor():
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not any(feature in found for feature in ("X86_V4", "AVX512F", "AVX512_SKX")):
        pytest.skip("NumPy's log and exp are the same here with and without vector instructions")
    message = broken(Logarithm(), [((96, 160), None)])
    assert "portable: without the processor's vector instructions a weight of shape (96, 160) has other bits" in message

    class Honest(Logarithm):
        portable = False

    check_initializer(Honest(), layouts=SMALL)


def test_an_error_of_the_class_is_told_beside_the_rest():
    class Fails(Good):
        ties = "zeroes"

        def expected(self, shape, axes=None):
            raise RuntimeError("no moments today")

    message = broken(Fails())
    assert "breaks 2 of 11 promises" in message
    assert "moments: raised RuntimeError: no moments today" in message
    assert "ties: `ties` is 'zeroes'" in message


def test_what_can_not_be_asked_is_refused():
    with pytest.raises(TypeError, match=r"got <class '.*Normal'>: make an instance of it: Name\(\)"):
        check_initializer(sb.Normal)
    with pytest.raises(TypeError, match="got 3: subclass AbstractInitializer"):
        check_initializer(3)
    with pytest.raises(TypeError, match=r"got 'he_normal': take symbreak.get\('he_normal'\)"):
        check_initializer("he_normal")
    with pytest.raises(ValueError, match="layouts are pairs of a shape and axes, one at least; got none"):
        check_initializer(sb.Normal(), layouts=[])
    with pytest.raises(TypeError, match=r"layouts are pairs of a shape and axes, such as \(\(8, 8\), None\)"):
        check_initializer(sb.Normal(), layouts=[(8, 8, 8)])

    class Square(Good):
        def sample(self, shape, stream, axes):
            if shape != (80, 80):
                raise ValueError("makes 80 x 80 only")
            return stream.normal(shape)

    refused = r"makes none of the shapes that are tried, and says of \(96, 160\): makes 80 x 80 only; name shapes that"
    with pytest.raises(ValueError, match=refused):
        check_initializer(Square())
    with pytest.raises(ValueError, match="makes 80 x 80 only"):
        check_initializer(Square(), layouts=[((80, 80), None), ((9, 9), None)])
    check_initializer(Square(), layouts=[((80, 80), None)])


@pytest.mark.parametrize(
    "init",
    [sb.Fourier(), sb.Fourier(part="real"), sb.PriorBias(), sb.PriorBias((0.9, 0.09, 0.01)), sb.Henaff("skew"),
     sb.HippoLegsB(), sb.Bilinear(), sb.Constant([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])],
    ids=repr,
)  # fmt: skip
def test_shapes_are_found_for_what_is_particular_about_them(init):
    check_initializer(init)


def test_what_is_wrong_is_found_on_a_shape_that_was_found():
    class Untied(sb.AbstractInitializer):
        ties = "ties"

        def sample(self, shape, stream, axes):
            if len(shape) != 1:
                raise ValueError("is a bias")
            return stream.normal(shape)

    with pytest.raises(AssertionError, match=r"`ties` is 'ties', but no two units are equal for \(128,\), \(96,\)"):
        check_initializer(Untied())
