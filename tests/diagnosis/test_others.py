"""Masks and optimizer state are told by every value and by the right part of a name; numberings of classes."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak.diagnosis._labels import first_seen, joined
from symbreak.diagnosis._others import FEW, SLAB, is_additive_mask, is_index, is_named_mask, is_optimizer_state

PLACES = [0, 1, FEW - 1, FEW, FEW + 1, FEW + SLAB - 1, FEW + SLAB, FEW + SLAB + 1, 2 * SLAB, -1]


@pytest.mark.parametrize("place", PLACES)
def test_one_other_value_anywhere_makes_a_mask_a_weight(place):
    mask = np.zeros((2, FEW // 2 + SLAB + 9), np.float32)
    mask[1, ::3] = 1
    assert is_named_mask("fc.mask", mask)
    mask.flat[place] = 0.5
    assert not is_named_mask("fc.mask", mask)


@pytest.mark.parametrize("place", PLACES)
def test_one_value_anywhere_decides_of_an_additive_mask(place):
    zeros = np.zeros((2, FEW // 2 + SLAB + 9), np.float32)
    lowest = np.full_like(zeros, -np.inf)
    for array, other in ((zeros, -np.inf), (lowest, 0)):
        assert not is_additive_mask(array)
        array.flat[place] = other
        assert is_additive_mask(array)
        array.flat[(place + 1) % array.size] = 1
        assert not is_additive_mask(array)


@pytest.mark.parametrize("count", [1, 2, FEW - 1, FEW, FEW + 1])
def test_short_masks_are_masks(count):
    values = np.arange(count) % 2
    assert is_named_mask("masks", values)
    assert is_named_mask("attn.causal_mask", values == 1)
    assert not is_named_mask("mask.weight", values)
    assert not is_named_mask("unmasked", values)
    assert is_additive_mask(np.where(values == 1, 0, -np.inf)) == (count > 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1, -1])
def test_an_additive_mask_holds_zero_and_minus_infinity_alone(value):
    assert is_additive_mask(np.array([0, -np.inf, -0.0]))
    assert not is_additive_mask(np.array([0, -np.inf, value]))
    assert not is_additive_mask(np.array([value, -np.inf]))
    assert not is_additive_mask(np.array([0, value]))


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64", ml_dtypes.float8_e4m3fn])
def test_types_without_minus_infinity_hold_no_additive_mask(dtype):
    assert not is_additive_mask(np.array([0, 1]).astype(dtype))


@pytest.mark.parametrize("dtype", ["int64", "uint64", ">i8"])
def test_only_64_bit_integers_are_indices(dtype):
    assert is_index(np.zeros(1, dtype))
    assert not any(is_index(np.zeros(1, other)) for other in ("int32", "uint8", "float64", "datetime64[s]"))


STATES = """exp_avg fc1.weight.momentum_buffer step row_var old_dirs.0 state.old_stps.3.1 state.1.d state.3.sum
optimizer_weights/a optimizer_weights/adam/a optimizer.vars.0 x/g_optimizer/vars/1 a/param_states/b opt_state/0/mu"""
WEIGHTS = """fc.sum states.1.d exp_avg.weight state.weight a/optimizer_weights/b optimizer_weights goptimizer/vars/1
vars/1 optimizer/fc/1 0.1 0"""


def test_state_of_an_optimizer_is_told_by_the_part_that_counts():
    assert [name for name in STATES.split() if not is_optimizer_state(name)] == []
    assert [name for name in WEIGHTS.split() if is_optimizer_state(name)] == []


LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)


@given(LABELS)
def test_two_numberings_are_joined_in_the_order_of_their_pairs(pairs):
    one, other = (np.array([pair[side] for pair in pairs], np.intp) for side in (0, 1))
    order = sorted(set(pairs))
    assert joined(one, other).tolist() == [order.index(pair) for pair in pairs]
    assert joined(one, other).dtype == np.intp


@given(st.lists(st.integers(0, 6), max_size=12))
def test_classes_are_numbered_by_first_occurrence(labels):
    order = list(dict.fromkeys(labels))
    found = first_seen(np.array(labels, np.intp))
    assert found.tolist() == [order.index(label) for label in labels]
    assert found.dtype == np.intp
