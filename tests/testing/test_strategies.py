"""The public strategies: what they draw is what they say, and all of it can be drawn."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import symbreak as sb
from symbreak.dtypes import as_float_dtype
from symbreak.testing import strategies
from tests.initializers.test_promises import TABLE

ONLY_DRAW = settings(max_examples=500, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def can_be(strategy, condition):
    try:
        find(strategy, condition, settings=ONLY_DRAW)
    except NoSuchExample:
        return False
    return True


@given(strategies.dtypes(), strategies.shapes(least_axes=1, most_axes=3, least=2, most=5))
def test_dtypes_and_shapes(dtype, shape):
    assert as_float_dtype(dtype).name == dtype
    assert 1 <= len(shape) <= 3
    assert all(2 <= size <= 5 for size in shape)


def test_every_dtype_is_drawn():
    assert can_be(strategies.dtypes(), lambda dtype: dtype == "float8_e5m2")
    assert not can_be(strategies.dtypes(coarse=False), lambda dtype: dtype not in ("float32", "float64"))


@given(strategies.keys())
def test_keys(key):
    assert isinstance(key, sb.Key)
    assert np.isfinite(sb.Normal()((3, 2), key)).all()


@given(strategies.layouts(most=12))
def test_layouts_fit_their_shapes(layout):
    shape, axes = layout
    found = sb.Axes.of(axes, shape)
    assert found.units(shape) >= 1
    assert sb.fans(shape, axes).fan_in >= 1


@pytest.mark.parametrize(
    "condition",
    [
        lambda shape, axes: axes is None and len(shape) == 4,
        lambda shape, axes: axes == "io",
        lambda shape, axes: isinstance(axes, str) and set(axes) == set("boihw"),
        lambda shape, axes: isinstance(axes, sb.Axes) and axes.groups > 2,
        lambda shape, axes: isinstance(axes, sb.Axes) and axes.splits not in (1, (1,)) and len(set(axes.splits)) > 1,
    ],
)
def test_every_kind_of_layout_is_drawn(condition):
    assert can_be(strategies.layouts(), lambda layout: condition(*layout))


NAMES = {row.init.to_config()["name"] for row in TABLE}


def test_every_class_of_the_shelf_is_drawn_with_parameters_that_it_takes():
    assert set(strategies._shelf()) >= NAMES
    for strategy in strategies._shelf().values():
        assert can_be(strategy, lambda init: isinstance(init, sb.AbstractInitializer))


@pytest.mark.parametrize("name", sorted(NAMES - {"same_as"}))  # which makes nothing alone
def test_every_class_makes_a_weight_of_those_that_are_drawn(name):
    usual = [((8, 8), None), ((12,), None), ((16, 8, 2, 2), None), *strategies.KERNELS]
    assert any(makes(row.init, *weight) for row in TABLE if row.init.to_config()["name"] == name for weight in usual)


def makes(init, shape, axes):
    try:
        return init(shape, 0, axes=axes).shape == shape
    except ValueError:
        return False


@given(strategies.requests(elementwise=True, most=9), st.data())
def test_requests_are_made_and_regions_are_part_of_them(request, data):
    init, shape, axes = request
    whole = init(shape, 3, axes=axes)
    assert init.elementwise
    index = tuple(data.draw(st.slices(size)) for size in shape)
    index = tuple(slice(each.start, each.stop, abs(each.step) if each.step else None) for each in index)
    assert init.region(shape, index, 3, axes=axes).tobytes() == whole[index].tobytes()


@pytest.mark.parametrize("ties", ["breaks", "ties", "zeroes"])
def test_few_are_drawn_in_vain(ties):
    """Hypothesis refuses a strategy that filters out fifty before ten are drawn."""

    @settings(max_examples=20, suppress_health_check=[], database=None)
    @given(strategies.initializers(ties=ties))
    def draw(init):
        assert init.ties == ties

    draw()


@pytest.mark.parametrize("ties", ["breaks", "ties", "zeroes"])
def test_a_policy_is_asked_for(ties):
    assert not can_be(strategies.initializers(ties=ties), lambda init: init.ties != ties)
    assert not can_be(strategies.initializers(elementwise=False), lambda init: init.elementwise)
    with pytest.raises(ValueError, match="ties is 'breaks', 'ties', 'zeroes' or None; got 'some'"):
        strategies.initializers(ties="some")
    with pytest.raises(ValueError, match="elementwise is True, False or None; got 'yes'"):
        strategies.initializers(elementwise="yes")


def test_a_plug_in_without_parameters_is_drawn():
    @sb.register("for_the_strategies")
    class Plugged(sb.AbstractInitializer):
        def sample(self, shape, stream, axes):
            return stream.sign(shape)

    assert can_be(strategies.initializers(), lambda init: isinstance(init, Plugged))


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None\nimport symbreak.testing\nimport symbreak.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "symbreak.testing.strategies needs Hypothesis" in done.stderr
    assert "pip install hypothesis" in done.stderr
