"""Scales far from what the fans call for, over depth (SB109)."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis import Source, in_memory, judge_together


def network(std, widths=(64,) * 6, name="fc{}.weight"):
    """Make a dense network; `std` of a fan-in, or a number."""
    rng = np.random.default_rng(0)
    scale = std if callable(std) else lambda fan: std
    return {
        name.format(k): (scale(i) * rng.standard_normal((o, i))).astype(np.float32)
        for k, (i, o) in enumerate(itertools.pairwise(widths))
    }


def scales(arrays):
    return [finding for finding in judge_together(in_memory(arrays)).findings if finding.code == "SB109"]


@pytest.mark.parametrize("width", [16, 64, 512])
@pytest.mark.parametrize(
    "std",
    [
        lambda fan: np.sqrt(2 / fan),
        lambda fan: np.sqrt(1 / fan),
        lambda fan: np.sqrt(1 / (3 * fan)),
        lambda fan: np.sqrt(2 / fan) / 30,
        0.02,
        0.05,
        0.1,
    ],
    ids=["He", "LeCun", "torch.nn.Linear", "SIREN", "GPT-2", "Keras RandomNormal", "0.1"],
)
def test_starts_in_use_are_passed_over(std, width):
    assert scales(network(std, (width,) * 8)) == []


@pytest.mark.parametrize(("std", "word"), [(0.001, "vanish"), (1e-6, "vanish"), (2.0, "explode"), (100.0, "explode")])
@pytest.mark.parametrize("width", [64, 512])
def test_starts_far_off_are_found_with_the_side(std, word, width):
    (finding,) = scales(network(std, (width,) * 6))
    assert f"signals {word}" in finding.message
    assert "through 5 weights in a row, fc0.weight to fc4.weight" in finding.message
    assert finding.where == "fc0.weight"


def test_the_factor_in_all_is_the_product():
    (finding,) = scales(network(0.001, (256,) * 5))
    assert (
        "square roots of their fans are 0.016 where about 1 is called for, a factor of 1e-7 in all" in finding.message
    )


@pytest.mark.parametrize("factor", [1.05, 0.95])
@pytest.mark.parametrize("limit", [1 / 32, 10 * 2**0.5])
def test_the_limits_are_those_that_are_documented(limit, factor):
    far = (factor > 1) == (limit > 1)
    assert bool(scales(network(lambda fan: limit * factor / np.sqrt(fan), (400,) * 4))) == far


def test_the_fan_that_is_nearer_counts():
    """Of a weight from 10,000 to 4 units neither layout may be far off, whichever it has."""
    rng = np.random.default_rng(0)
    small = {f"fc{k}": (1e-3 * rng.standard_normal((4, 10_000))).astype(np.float32) for k in range(4)}
    large = {f"fc{k}": rng.standard_normal((4, 10_000)).astype(np.float32) for k in range(4)}
    assert scales(small) == scales(large) == []


def test_convolutions_count_with_their_receptive_field():
    rng = np.random.default_rng(0)
    for shape in ((32, 32, 3, 3), (3, 3, 32, 32)):
        assert scales({f"conv{k}": 1e-3 * rng.standard_normal(shape) for k in range(4)}) != []
        assert scales({f"conv{k}": 2e-3 * rng.standard_normal(shape) for k in range(4)}) == []


def test_two_weights_and_a_minority_are_no_run():
    assert scales(network(1e-4, (64,) * 3)) == []
    assert scales(network(1e-4, (64,) * 4)) != []
    mixed = network(1e-4, (64,) * 4) | network(lambda fan: fan**-0.5, (64,) * 5, "out{}.weight")
    assert scales(mixed) == []


@pytest.mark.parametrize(
    "norm", ["norm.weight", "layers.0.ln_1.bias", "bn1.running_var", "LayerNorm_0/scale", "batch_normalization/gamma"]
)
def test_behind_norms_nothing_is_said(norm):
    assert scales(network(1e-4) | {norm: np.ones(64)}) == []


@pytest.mark.parametrize(
    "name",
    ["fc{}.weight_v", "fc{}.parametrizations.weight.original1", "lora.{}", "synthesis.b{}", "embed.{}", "ema.{}"],
)
def test_factors_that_are_kept_elsewhere_are_respected(name):
    assert scales(network(1e-4, name=name)) == []


def test_quantized_weights_have_scales_of_their_own():
    arrays = {k: np.round(100 * v).astype(np.int8) for k, v in network(1.0).items()}
    assert scales(arrays) == []


def test_every_value_counts_and_not_the_first_alone():
    arrays = network(lambda fan: fan**-0.5, (128,) * 6)
    for array in arrays.values():
        array[:8] *= 1e-4  # more than is looked at first
    assert scales(arrays) == []


def test_a_weight_that_cannot_be_read_whole_ends_the_judgement():
    arrays = network(1e-4)

    def pieces(name, size):
        if size > 100_000:
            raise OSError("gone")
        yield from in_memory(arrays).pieces(name, size)

    report = judge_together(Source(in_memory(arrays).arrays, pieces, (OSError,)))
    assert report.findings == ()


def test_the_finding_is_a_warning_of_diagnose():
    report = sb.diagnose(network(1e-4))
    assert not report.ok
    assert [finding.code for finding in report.findings] == ["SB109"]


def slow_gains(arrays, side):
    """The deviations times the roots of the fans that are nearer to what is called for, weight by weight."""
    return [array.astype(float).std() * (max if side < 0 else min)(array.shape) ** 0.5 for array in arrays.values()]


@pytest.mark.parametrize(("std", "side"), [(1e-3, -1), (1e-6, -1), (3.0, 1), (50.0, 1)])
def test_the_factors_are_those_of_a_slow_loop_whatever_the_pieces_and_the_mean(std, side):
    arrays = network(std, (64, 200, 80, 150, 64))
    arrays = {name: array + np.float32(30 * std) for name, array in arrays.items()}
    gains = slow_gains(arrays, side)
    text = f"{min(gains):.2g} to {max(gains):.2g} where about 1 is called for, "
    text += f"a factor of 1e{np.log10(gains).sum():{'+' if side > 0 else ''}.0f} in all"
    for size in (1, 1000, 30_000, 1 << 22):
        cut = Source(in_memory(arrays).arrays, lambda name, _, size=size: in_memory(arrays).pieces(name, size))
        (finding,) = judge_together(cut).findings
        assert finding.code == "SB109"
        assert finding.message.endswith(text)


def test_a_run_is_broken_by_a_weight_of_the_other_side_or_of_none():
    healthy = np.random.default_rng(1).standard_normal((64, 64)) / 8
    for between in (healthy, 100 * healthy):
        arrays = list(network(1e-4, (64,) * 5).values())
        broken = {f"fc{k}": array for k, array in enumerate([*arrays[:2], between, *arrays[2:]])}
        whole = {f"fc{k}": array for k, array in enumerate([*arrays, between])}
        assert scales(broken) == []
        assert "through 4 weights in a row, fc0 to fc3, signals vanish" in scales(whole)[0].message
    up, down = network(3.0, (64,) * 4, "up{}"), network(1e-4, (64,) * 4, "down{}")
    assert [finding.where for finding in scales(up | down)] == ["up0", "down0"]


def test_half_of_the_weights_are_enough_and_fewer_are_not():
    small, other = network(1e-4, (64,) * 4), list(network(0.1, (64,) * 5, "o{}").items())
    assert len(scales(small | dict(other[:3]))) == 1
    assert scales(small | dict(other)) == []


@pytest.mark.parametrize("what", ["float16", "bfloat16", "float64", "complex64", "vectors", "constant", "lookup"])
def test_what_counts_is_drawn_in_a_type_of_floats_with_two_axes_of_units(what):
    arrays = network(1e-3)
    if what in ("float16", "bfloat16", "float64", "complex64"):
        arrays = {name: array.astype(getattr(ml_dtypes, what, what)) for name, array in arrays.items()}
    elif what == "vectors":
        arrays = {name: np.moveaxis(np.tile(array, (20, 20, 1, 1)), 0, -1) for name, array in arrays.items()}
    else:
        row = 1e-3 if what == "constant" else 1e-3 * np.arange(64) / 64
        arrays = {name: np.full_like(array, 1) * row for name, array in arrays.items()}
    assert bool(scales(arrays)) == (what in ("float16", "bfloat16", "float64"))
