"""A model's tensors as NumPy arrays: the same memory wherever the two can share it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from symbreak._visible import visible

Array = np.ndarray[Any, np.dtype[Any]]

# Types that NumPy has not: read as whole numbers of their size, and viewed as what ml_dtypes calls them.
EXTENSIONS = {
    torch.bfloat16: (torch.int16, "bfloat16"),
    torch.float8_e4m3fn: (torch.uint8, "float8_e4m3fn"),
    torch.float8_e5m2: (torch.uint8, "float8_e5m2"),
    torch.float8_e4m3fnuz: (torch.uint8, "float8_e4m3fnuz"),
    torch.float8_e5m2fnuz: (torch.uint8, "float8_e5m2fnuz"),
}


def check_shaped(tensor: torch.Tensor, name: str) -> None:
    """Refuse a tensor of a lazy module.

    Raises
    ------
    ValueError
        It has no shape yet.
    """
    if torch.nn.parameter.is_lazy(tensor):
        raise ValueError(
            f"{visible(name)} has no shape yet: its module is lazy. Run the model once on an example, then it has one"
        )


def as_array(tensor: torch.Tensor, name: str) -> Array:
    """Give a tensor as an array, a view of its memory where that is the processor's.

    Raises
    ------
    ValueError
        A tensor of no values, or of no size yet.
    TypeError
        A tensor whose values are no plain array.
    """
    check_shaped(tensor, name)
    if tensor.is_meta:
        raise ValueError(
            f"{visible(name)} is on the meta device and holds no values: materialise the model first, as "
            f"symbreak.torch.initialize(model) does"
        )
    whole = getattr(tensor, "full_tensor", None)
    tensor = (whole() if callable(whole) else tensor).detach()  # of a sharded one: all ranks call this together
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"{visible(name)} is no plain tensor ({tensor.layout}, {tensor.dtype}), so it can't be judged")
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    if tensor.dtype in EXTENSIONS:
        import ml_dtypes

        stored, dtype = EXTENSIONS[tensor.dtype]
        viewed: Array = tensor.view(stored).numpy().view(np.dtype(getattr(ml_dtypes, dtype)))
        return viewed
    found: Array = tensor.numpy()
    return found


def as_arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Give tensors by name as arrays."""
    return {name: as_array(tensor, name) for name, tensor in tensors.items()}
