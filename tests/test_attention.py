"""Mimetic attention: the products that the paper asks for, by head and by layer."""

import math

import numpy as np
import pytest

import symbreak as sb
from symbreak.attention import mimetic

WIDTH, HEADS = 64, 4


def cut(matrix, rank):
    left, values, right = np.linalg.svd(matrix)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def products(layer, heads=HEADS):
    """Give query-key products (heads, width, width) and the value-output product."""
    queries, keys = (each.reshape(heads, -1, each.shape[1]) for each in layer[:2])
    return np.swapaxes(queries, 1, 2) @ keys, layer.output @ layer.value


def test_the_value_output_product_is_noise_minus_the_identity():
    _, product = products(mimetic(WIDTH, HEADS, rng=0, dtype="float64"))
    noise = (product + 0.4 * np.eye(WIDTH)) / 0.4 * math.sqrt(WIDTH)
    assert noise.mean() == pytest.approx(0, abs=6.5 / WIDTH)
    assert noise.std() == pytest.approx(1, rel=6.5 / math.sqrt(2) / WIDTH)
    assert np.diag(product).mean() == pytest.approx(-0.4, abs=6.5 * 0.4 / WIDTH)


def test_a_head_keeps_the_largest_singular_values_of_noise_plus_the_identity():
    whole, _ = products(mimetic(WIDTH, HEADS, rng=0, head_size=WIDTH, dtype="float64"))
    for product in whole:
        noise = (product - 0.7 * np.eye(WIDTH)) / 0.7 * math.sqrt(WIDTH)
        assert noise.mean() == pytest.approx(0, abs=6.5 / WIDTH)
        assert noise.std() == pytest.approx(1, rel=6.5 / math.sqrt(2) / WIDTH)
    heads, _ = products(mimetic(WIDTH, HEADS, rng=0, dtype="float64"))
    for product, full in zip(heads, whole, strict=True):
        assert product == pytest.approx(cut(full, WIDTH // HEADS), abs=1e-12)
        assert np.linalg.matrix_rank(product) == WIDTH // HEADS
        assert np.diag(product).mean() > 10 * abs(product[~np.eye(WIDTH, dtype=bool)].mean())


def test_a_default_start_has_no_diagonal():
    """What the scheme is measured against: products of independent Glorot weights."""
    w = [sb.GlorotUniform()((WIDTH, WIDTH), rng=sb.Key(0)[name], dtype="float64") for name in "qk"]
    assert abs(np.diag(w[0].T @ w[1]).mean()) < 0.1


def test_both_factors_have_the_same_size():
    layer = mimetic(WIDTH, HEADS, rng=0, dtype="float64")
    assert layer.output.T @ layer.output == pytest.approx(layer.value @ layer.value.T, abs=1e-12)


def test_without_noise_the_product_is_the_identity():
    layer = mimetic(12, 3, rng=0, query_key=(0, 0.5), value_output=(0, -2), head_size=12, dtype="float64")
    keys, values = products(layer, 3)
    assert keys == pytest.approx(np.tile(0.5 * np.eye(12), (3, 1, 1)), abs=1e-12)
    assert values == pytest.approx(2 * np.eye(12), abs=1e-12)


def test_heads_and_keys_differ_and_the_same_key_does_not():
    layer = mimetic(WIDTH, HEADS, rng=0)
    assert layer.query.dtype == np.float32
    for one, two in zip(layer, mimetic(WIDTH, HEADS, rng=0), strict=True):
        assert (one == two).all()
    assert not (layer.query == mimetic(WIDTH, HEADS, rng=1).query).any()
    heads, _ = products(layer)
    assert np.abs(heads[0] - heads[1]).max() > 0.1
    assert sb.diagnose(layer._asdict()).ok


def test_layouts_and_dtypes():
    layer, turned = mimetic(24, 2, rng=0, head_size=5), mimetic(24, 2, rng=0, head_size=5, axes="io")
    assert layer.query.shape == layer.key.shape == (10, 24)
    for one, two in zip(layer, turned, strict=True):
        assert (one == two.T).all()
    half = mimetic(24, 2, rng=0, head_size=5, dtype="bfloat16")
    for one, two in zip(layer, half, strict=True):
        assert one.astype(two.dtype).tobytes() == two.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "mimetic: width is a positive integer; got 0"),
        ({"heads": 2.0}, "mimetic: heads is a positive integer; got 2.0"),
        ({"head_size": -1}, "mimetic: head_size is a positive integer; got -1"),
        ({"heads": 5}, "mimetic: 5 heads don't divide a width of 24; give head_size"),
        ({"head_size": 25}, "mimetic: a head's product has rank 24 at most; got a head_size of 25"),
        ({"axes": "boi"}, r"mimetic: axes is 'oi' \(out, in\) or 'io' \(in, out\); got 'boi'"),
        ({"query_key": 0.7}, "mimetic: query_key is two numbers, of the noise and of the diagonal; got 0.7"),
        ({"value_output": (0, 0)}, r"mimetic: value_output is two finite numbers, not both zero; got \(0, 0\)"),
        ({"value_output": (math.nan, 1)}, "mimetic: value_output is two finite numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mimetic(**{"width": 24, "heads": 2, "rng": 0, **arguments})
