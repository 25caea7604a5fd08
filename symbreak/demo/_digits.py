"""The digits: 1,797 images of 8 x 8 pixels that come with the package, and how they are split.

E. Alpaydin, C. Kaynak. "Optical Recognition of Handwritten Digits". UCI Machine Learning Repository, 1998.
https://doi.org/10.24432/C50P49, CC BY 4.0.
"""

import importlib.resources
from dataclasses import dataclass
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

EVERY = 4  # of four images in the order of the file the last one is a test image: 1,348 to train on, 449 to test on
FULL = 16  # the value of a pixel that is all ink


@final
@dataclass(frozen=True, eq=False)
class Digits:
    """Images of handwritten digits, and which of them are kept for testing.

    Parameters
    ----------
    images
        (images, 8, 8), uint8: the ink in each pixel, 0 to 16.
    labels
        (images,), uint8: the digit, 0 to 9.
    """

    images: Array
    labels: Array

    @property
    def is_test(self) -> Array:
        """(images,), bool: True for images 3, 7, 11, ..., which are never trained on."""
        is_test: Array = np.arange(len(self.labels)) % EVERY == EVERY - 1
        return is_test

    @property
    def blank(self) -> Array:
        """The pixels, numbered from 0 row by row, that hold no ink in any image."""
        return np.flatnonzero(~self.images.any(axis=0))

    @property
    def train(self) -> tuple[Array, Array]:
        """Inputs (1348, 64), float32, and labels (1348,) of the images to train on."""
        return self.inputs()[~self.is_test], self.labels[~self.is_test]

    @property
    def test(self) -> tuple[Array, Array]:
        """Inputs (449, 64), float32, and labels (449,) of the images to test on."""
        return self.inputs()[self.is_test], self.labels[self.is_test]

    def inputs(self) -> Array:
        """Give every image as a row: each pixel less its mean over the training images, as a share of full ink."""
        pixels = self.images.reshape(len(self.images), -1).astype(np.float64)
        inputs: Array = ((pixels - pixels[~self.is_test].mean(axis=0)) / FULL).astype(np.float32)
        return inputs


def load_digits() -> Digits:
    """Load the digits that come with the package.

    Returns
    -------
    Digits

    Examples
    --------
    >>> digits = load_digits()
    >>> digits.images.shape, digits.train[0].shape, digits.test[0].shape
    ((1797, 8, 8), (1348, 64), (449, 64))
    """
    resource = importlib.resources.files("symbreak").joinpath("data", "optdigits.npz")
    with importlib.resources.as_file(resource) as path, np.load(path, allow_pickle=False) as arrays:
        return Digits(arrays["images"], arrays["labels"])
