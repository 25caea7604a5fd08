"""Variables and tensors of Keras as arrays."""

from typing import Any

import numpy as np


def array(value: Any) -> np.ndarray:
    """Give the values; a variable's own `__array__` warns in NumPy 2."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(value.value if isinstance(value, keras.Variable) else value))
