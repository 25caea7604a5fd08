"""A glance at the first values of a small array says at most that there is nothing to find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from symbreak.diagnosis import _weights, judge_array

VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, 5.0, -1.0, np.nan, np.inf, -np.inf, 3e38])
SHAPES = st.one_of(npst.array_shapes(min_dims=1, max_dims=4, max_side=4), st.just((2, 3, 17)), st.just((3, 1, 20)))
NAMES = st.sampled_from(["a", "fc1.weight", "experts.w", "fc1.bias", "attn_mask", "wte.weight", "q_proj.weight"])


@given(npst.arrays("float32", SHAPES, elements=VALUES), NAMES)
def test_the_report_is_the_same_without_the_glance(array, name):
    with np.errstate(all="ignore"):
        report = judge_array(array, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weights, "_differs", lambda *_: False)
        long = judge_array(array, name)
    assert report.to_dict() == long.to_dict()
    assert {key: labels.tolist() for key, labels in report.partition.items()} == {
        key: labels.tolist() for key, labels in long.partition.items()
    }


DRAWN = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (DRAWN, True),
        (DRAWN.astype("float16"), True),
        (np.where(np.arange(9)[:, None] == 5, 0, DRAWN), False),
        (np.where(np.arange(36).reshape(9, 4) == 30, np.nan, DRAWN), False),
        (np.where(np.arange(36).reshape(9, 4) == 30, np.inf, DRAWN), False),
        (DRAWN[[0, 1, 2, 3, 1]], False),
        (DRAWN[:, [0, 1, 0]], False),
        (DRAWN.astype(complex), False),
        (np.arange(36).reshape(9, 4), False),
        (np.random.default_rng(0).normal(size=(100, 100)), False),
    ],
)
def test_what_it_tells(array, told):
    assert _weights._differs(array, (0, 1)) == told
