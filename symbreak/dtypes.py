"""The floating types that a weight may have, by name: NumPy's own and those that ml_dtypes adds."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

DTypeLike: TypeAlias = npt.DTypeLike | str

NUMPY_FLOATS = ("float16", "float32", "float64")
EXTENSION_FLOATS = (
    "bfloat16",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
)


def as_float_dtype(dtype: DTypeLike | type[Any]) -> np.dtype[Any]:
    """Give the NumPy dtype of a floating type that weights are made in.

    Parameters
    ----------
    dtype
        A name such as ``"float32"`` or ``"bfloat16"``, a NumPy dtype, or a scalar type of NumPy or ml_dtypes.

    Returns
    -------
    numpy.dtype
        In native byte order.

    Raises
    ------
    TypeError
        For anything but the types in ``NUMPY_FLOATS`` and ``EXTENSION_FLOATS``.

    Examples
    --------
    >>> as_float_dtype("bfloat16").itemsize
    2
    """
    name = dtype if isinstance(dtype, str) else _name(dtype) if str(dtype).startswith("torch.") else None
    if name in NUMPY_FLOATS:
        return np.dtype(name)
    if name in EXTENSION_FLOATS:
        import ml_dtypes

        extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return extension
    found: np.dtype[Any] | None
    try:
        found = None if dtype is None else np.dtype(dtype)  # NumPy reads None as float64
    except (TypeError, ValueError, SyntaxError):  # NumPy parses a text with commas as Python
        found = None
    if found is None or found.name not in NUMPY_FLOATS + EXTENSION_FLOATS:
        allowed = ", ".join(NUMPY_FLOATS + EXTENSION_FLOATS)
        raise TypeError(f"weights can't be made as {dtype!r}; choose one of {allowed}")
    native: np.dtype[Any] = found.newbyteorder("=")
    return native


def is_float(dtype: Any) -> bool:
    """Tell whether weights can be of a dtype of any framework."""
    return _name(dtype) in NUMPY_FLOATS + EXTENSION_FLOATS


def as_numpy(value: Any) -> npt.NDArray[Any]:
    """Give an array of any framework as NumPy's: torch's are taken off their graph and their device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if _name(value.dtype) in EXTENSION_FLOATS:
            return np.asarray(value.float()).astype(as_float_dtype(_name(value.dtype)))
    return np.asarray(value)


def holds_values(value: Any) -> bool:
    """Tell an array of any framework from a shape, and from what stands for an array: torch's on the meta device."""
    if isinstance(value, np.ndarray | np.integer):
        return isinstance(value, np.ndarray)  # an integer of NumPy's is a size
    return hasattr(value, "__array__") and hasattr(value, "dtype") and not getattr(value, "is_meta", False)


def _name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the type in which values of `dtype` are computed before they are rounded once: float64 or float32."""
    return np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)
