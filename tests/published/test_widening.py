"""Widening keeps the function; without noise the copies stay copies, and with noise they separate."""

import numpy as np
import pytest

from symbreak import engine
from symbreak.initializers import HeNormal
from symbreak.published import widening
from symbreak.published._widening import NEW, OLD, count_units, least_distance, widen


@pytest.fixture(scope="module")
def found():
    return widening()


def test_without_noise_the_function_is_preserved(found):
    assert found["largest change of an output, without noise"].ours < 1e-15


def test_noise_changes_it_a_little(found):
    assert 1e-5 < found["largest change of an output, with noise"].ours < 0.01


def test_copies_without_noise_are_equal_to_the_last_bit_for_ever(found):
    assert (found.curves["distance without noise"] == 0).all()
    assert found["different units, without noise"].ours == OLD


def test_copies_with_noise_separate(found):
    distances = found.curves["distance with noise"]
    assert found["different units, with noise"].ours == NEW
    assert distances[-1] > 20 * distances[0]


def test_the_wider_network_learns_more_only_with_noise(found):
    old, copied, free = (found[what].ours for what in ("loss before", "loss, without noise", "loss, with noise"))
    assert free < old / 4
    assert copied > old / 2


def test_copies_share_the_outgoing_weights_of_their_unit():
    net = engine.mlp([2, OLD, 1], init=HeNormal(), rng=0)
    wide = widen(net, 0.0).parameters
    for name in ("layers.0.weight", "layers.0.bias"):
        np.testing.assert_array_equal(wide[name][:OLD], wide[name][OLD:])
    outgoing = wide["layers.1.weight"]
    np.testing.assert_array_equal(outgoing[:, :OLD] + outgoing[:, OLD:], net.parameters["layers.1.weight"])


def test_noise_is_on_the_copies_only():
    net = engine.mlp([2, OLD, 1], init=HeNormal(), rng=0)
    wide = widen(net, 0.5)
    np.testing.assert_array_equal(wide.parameters["layers.0.weight"][:OLD], net.parameters["layers.0.weight"])
    assert count_units(wide) == NEW
    assert least_distance(widen(net, 0.0)) == 0.0
