"""Dropout leads a constant start to the map that its regularizer says, and all units are used alike in it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from symbreak.published import dropout
from symbreak.published._dropout import RATE, SINGULAR, UNITS, data, shrunk


@pytest.fixture(scope="module")
def found():
    return dropout()


@pytest.mark.parametrize(
    ("what", "published"),
    [
        ("singular value 1", 3.0),
        ("singular value 2", 0.0),
        ("singular value 3", 0.0),
        ("|u_i| |v_i|, least", 0.5),
        ("|u_i| |v_i|, largest", 0.5),
        ("classes of units", 1),
    ],
)
def test_without_dropout_the_tie_holds_a_constant_start_at_the_best_map_of_rank_1(found, what, published):
    row = found[f"without dropout: {what}"]
    assert row.published == published
    assert row.ours == pytest.approx(published, abs=1e-6)


def test_without_dropout_there_is_one_direction_at_every_step(found):
    assert found.curves["without dropout"].shape == (2000, 3)
    assert found.curves["without dropout"][:, 1:].max() < 1e-15


@pytest.mark.parametrize(
    ("what", "published"),
    [
        ("singular value 1", 2.6),
        ("singular value 2", 1.6),
        ("singular value 3", 0.6),
        ("|u_i| |v_i|, least", 0.8),
        ("|u_i| |v_i|, largest", 0.8),
    ],
)
def test_dropout_leads_tied_units_to_the_optimum_in_which_all_paths_are_equal(found, what, published):
    """Within 0.03: of dropout's noise the learning rate's decay leaves little."""
    row = found[f"with dropout: {what}"]
    assert row.published == pytest.approx(published)
    assert row.ours == pytest.approx(published, abs=0.03)


def test_with_dropout_no_two_units_stay_equal(found):
    row = found["with dropout: classes of units"]
    assert (row.published, row.ours) == (UNITS, UNITS)


def test_what_is_learned_has_inputs_of_covariance_1_and_the_singular_values_of_the_figure():
    x, y = data()
    np.testing.assert_allclose(x.T @ x / len(x), np.eye(3), atol=1e-15)
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.svd(fitted, compute_uv=False), SINGULAR, rtol=1e-12)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("singular", [(3.0, 2.0, 1.0), (4.0, 1.0, 0.1), (1.0, 1.0, 1.0)])
def test_the_shrunken_singular_values_are_the_least_of_the_loss_with_dropout_averaged(singular, rate):
    """The minimum that SciPy finds over both weights of the squared loss and the regularizer of the paper."""
    weight = rate / (1 - rate)

    def averaged(p):
        u, v = p.reshape(2, UNITS, 3)
        return ((v.T @ u - np.diag(singular)) ** 2).sum() + weight * ((u**2).sum(axis=1) * (v**2).sum(axis=1)).sum()

    starts = np.random.default_rng(0).normal(size=(4, 2 * UNITS * 3))
    best = min((minimize(averaged, start, options={"gtol": 1e-8}) for start in starts), key=lambda each: each.fun)
    u, v = best.x.reshape(2, UNITS, 3)
    shrunken = shrunk(singular, UNITS, rate)
    np.testing.assert_allclose(np.linalg.svd(v.T @ u, compute_uv=False), shrunken, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1), sum(shrunken) / UNITS, atol=1e-3)


def test_the_regularizer_is_what_dropout_adds_to_the_mean_squared_loss():
    """By all 2^6 ways to drop units, each with its probability."""
    u, v = np.random.default_rng(0).normal(size=(2, UNITS, 3))
    kept = (np.arange(2**UNITS)[:, np.newaxis] >> np.arange(UNITS)) & 1
    probability = np.prod(np.where(kept, 1 - RATE, RATE), axis=1)
    wanted = np.diag(SINGULAR)
    maps = np.einsum("nr,ro,ri->noi", kept / (1 - RATE), v, u)  # inputs of covariance 1: the loss is that of the maps
    averaged = probability @ ((maps - wanted) ** 2).sum(axis=(1, 2))
    added = RATE / (1 - RATE) * ((u**2).sum(axis=1) * (v**2).sum(axis=1)).sum()
    assert averaged == pytest.approx(((v.T @ u - wanted) ** 2).sum() + added, rel=1e-12)


def test_where_all_would_be_lowered_below_zero_nothing_is_left():
    assert shrunk((0.0, 0.0), 2, 0.5) == [0.0, 0.0]
    assert shrunk((5.0, 0.1), 2, 0.8) == pytest.approx([5 / 3, 0.0])
