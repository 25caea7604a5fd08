"""Small models with the names of real families, started as these start: nothing at warning or above is found.

`healthy_models.py` builds the families themselves, at 30 million parameters and more, and wrote the names used here.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak.findings import Level

FAMILIES = [json.loads(line) for line in (Path(__file__).parent / "healthy.jsonl").read_text().splitlines()]
LONGEST = 24  # units of an axis that was longer


def build(family, seed=0):
    arrays = {}
    for name, shape, start in family["arrays"]:
        shape = tuple(min(length, LONGEST) for length in shape)
        if start == "drawn":
            array = (
                sb.HeNormal()(shape, sb.Key(seed)[name]) if len(shape) > 1 else sb.Normal()(shape, sb.Key(seed)[name])
            )
        elif "same" in start:
            array = arrays[start["same"]]
        elif "value" in start:
            array = np.full(shape, start["value"], np.float32)
        elif "zero" in start:
            array = sb.HeNormal()(shape, sb.Key(seed)[name])
            array[start["zero"] % shape[0]] = 0
        else:
            array = np.tile(np.log(np.arange(1, shape[1] + 1, dtype=np.float32)), (shape[0], 1))
        arrays[name] = array
    return arrays


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family["model"])
def test_of_a_healthy_model_nothing_is_found(family):
    report = sb.diagnose(build(family))
    assert report.arrays == len(family["arrays"])
    assert [(finding.code, finding.where) for finding in report.at_least(Level.WARNING)] == []


# In these the first layer has arrays of its own, such as a shortcut: that it is copied is found weight by weight.
OF_THEIR_OWN = {"t5", "rwkv", "torchvision-resnet101", "timm-nfnet_f0"}
LAYERED = [family for family in FAMILIES if any(".1." in name for name, *_ in family["arrays"])]


@pytest.mark.parametrize("family", LAYERED, ids=lambda family: family["model"])
def test_in_the_same_models_layers_that_are_copied_are_found(family):
    arrays = build(family)
    for name in arrays:
        first = name.replace(".1.", ".0.", 1)
        if first in arrays and arrays[first].shape == arrays[name].shape:
            arrays[name] = arrays[first]
    found = {finding.code for finding in sb.diagnose(arrays).findings}
    assert found & ({"SB208"} if family["model"] in OF_THEIR_OWN else {"SB204", "SB206"})
