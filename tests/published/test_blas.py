"""Through BLAS tied units escape at the rate that the Hessian gives; the tie-preserving product keeps them."""

import numpy as np
import pytest

from symbreak.published import _blas, blas_escape


@pytest.fixture(scope="module")
def found():
    return blas_escape()


@pytest.fixture(scope="module")
def broken(found):
    if not found["width"].ours:
        pytest.skip(f"BLAS breaks no tie at {_blas.INPUTS} inputs and {_blas.WIDTHS} units here")
    return found


def test_the_tie_preserving_product_keeps_units_equal_to_the_last_bit(found):
    assert (found.curves["distance tie_preserving"] == 0).all()


def test_the_distance_begins_with_rounding(broken):
    distances = broken.curves["distance blas"]
    assert 0 < distances[distances > 0][0] < 1e-15


def test_the_distance_grows_as_the_hessian_across_the_tie_says(broken):
    """Within 5 %: the plateau still moves a little while the distance grows."""
    row = broken["growth a step, ln"]
    assert row.ours == pytest.approx(row.published, rel=0.05)
    assert row.ours > 0.01


def test_the_factor_is_steady(broken):
    """From 1e-11 to 1e-7 ln(distance) lies on a line: no step of the window is 5 % of its height away."""
    distances = broken.curves["distance blas"]
    height = np.log(distances[(distances > _blas.SMALL) & (distances < _blas.LARGE)])
    steps = np.arange(len(height))
    line = np.polynomial.Polynomial.fit(steps, height, 1)
    assert abs(height - line(steps)).max() < 0.05 * np.ptp(height)


def test_the_loss_waits_on_the_plateau_and_then_leaves_it(broken):
    through, kept = broken.curves["loss blas"], broken.curves["loss tie_preserving"]
    together = broken.curves["distance blas"] < 1e-6
    np.testing.assert_allclose(through[together], kept[together], rtol=1e-9)
    assert through[-1] < 0.9 * kept[-1]
    assert broken.curves["distance blas"][-1] > 0.1


def test_sizes_are_tried_until_blas_breaks_a_tie(monkeypatch):
    tried = []

    def run(inputs, width, product, steps):
        tried.append((inputs, width, product))
        return None, np.array([0.0, 1e-18 * ((inputs, width) == (33, 17))]), None

    monkeypatch.setattr(_blas, "run", run)
    assert _blas.breaking_size() == (33, 17)
    assert tried == [(20, width, "blas") for width in _blas.WIDTHS] + [(33, 17, "blas")]
    monkeypatch.setattr(_blas, "INPUTS", (20,))
    assert _blas.breaking_size() == (20, 0)


@pytest.mark.parametrize(("inputs", "width"), [(20, 33), (20, 200), (33, 81), (100, 17), (100, 49), (100, 200)])
def test_training_is_stable_at_every_size_that_may_be_taken(inputs, width):
    losses, distances, _ = _blas.run(inputs, width, "tie_preserving", 300)
    assert losses[-1] < losses[0]
    assert not distances.any()


def test_where_no_size_breaks_a_tie_the_figure_says_so(monkeypatch):
    monkeypatch.setattr(_blas, "WIDTHS", (2,))
    monkeypatch.setattr(_blas, "breaking_size", lambda: (20, 0))
    found = blas_escape(steps=5)
    assert found["width"].ours == 0
    assert [row.what for row in found.rows if row.what.startswith("BLAS")] == []
    assert sorted(found.curves) == ["distance tie_preserving", "loss tie_preserving"]
