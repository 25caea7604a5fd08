"""The digits: the published data, unchanged, and a split that never moves."""

import hashlib
import importlib.resources

import numpy as np
import pytest

from symbreak.demo import load_digits


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_the_images_are_the_published_ones(digits):
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == digits.labels.dtype == np.uint8
    assert (digits.images.min(), digits.images.max(), digits.images.sum()) == (0, 16, 561718)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    hashes = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in (digits.images, digits.labels)]
    assert hashes == ["8f26b2bd9d135c25", "8ba4f891220f5e4c"]


def test_the_images_are_those_of_scikit_learn(digits):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    np.testing.assert_array_equal(digits.images, theirs.images)
    np.testing.assert_array_equal(digits.labels, theirs.target)


def test_the_licence_and_the_authors_are_beside_the_data():
    text = importlib.resources.files("symbreak").joinpath("data", "optdigits.LICENSE.txt").read_text("utf-8")
    for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "Creative Commons Attribution 4.0", "Changes:"):
        assert words in text


def test_every_fourth_image_is_a_test_image_and_no_other(digits):
    assert np.flatnonzero(digits.is_test).tolist() == list(range(3, 1797, 4))
    (x, labels), (x_test, labels_test) = digits.train, digits.test
    assert (x.shape, labels.shape, x_test.shape, labels_test.shape) == ((1348, 64), (1348,), (449, 64), (449,))
    assert labels_test.tolist() == digits.labels[3::4].tolist()
    assert labels[:6].tolist() == digits.labels[[0, 1, 2, 4, 5, 6]].tolist()


def test_the_inputs_are_centred_on_the_training_images_alone(digits):
    training = [image for number, image in enumerate(digits.images) if number % 4 != 3]
    mean = np.mean(np.array(training, float), axis=0)
    np.testing.assert_allclose(digits.inputs()[5].reshape(8, 8), (digits.images[5] - mean) / 16, rtol=0, atol=1e-7)
    assert digits.inputs().dtype == np.float32
    assert np.abs(digits.train[0].mean(axis=0, dtype=float)).max() < 1e-7
    assert np.abs(digits.test[0].mean(axis=0, dtype=float)).max() > 1e-3


def test_blank_pixels_hold_no_ink_in_any_image(digits):
    ink = digits.images.reshape(-1, 64).sum(axis=0)
    assert digits.blank.tolist() == [pixel for pixel in range(64) if ink[pixel] == 0]
    assert len(digits.blank)
