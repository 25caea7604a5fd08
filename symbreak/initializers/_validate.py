"""Checks that constructors share: what came, and what is allowed."""

import math
from typing import Any

import numpy as np

LARGEST = float(np.finfo(np.float32).max)  # values are computed in float32
SMALLEST = float(np.finfo(np.float32).tiny)  # below it float32 keeps few bits of a factor, and at last none


def check_finite(instance: Any, *names: str) -> None:
    """Make the named fields plain floats; a number that is not finite in float32 is an error."""
    for name in names:
        value = getattr(instance, name)
        if not is_real(value) or not abs(as_float(value)) <= LARGEST:
            raise ValueError(f"{type(instance).__name__}: {name} is a finite number within float32; got {value!r}")
        object.__setattr__(instance, name, float(value))


def check_std(instance: Any) -> None:
    """Make `std` a positive plain float."""
    check_finite(instance, "std")
    has_mean = hasattr(instance, "mean")
    if instance.std == 0:
        order = ". The order of the parameters is (std, *, mean): torch's normal_(w, 0, 0.02) is `Normal(0.02)`"
        raise ValueError(
            f"{type(instance).__name__}: std is 0, which makes every weight equal; for that use "
            f"`Constant({getattr(instance, 'mean', 0.0)!r})`{order if has_mean else ''}"
        )
    if instance.std < 0:
        raise ValueError(f"{type(instance).__name__}: std is positive; got {instance.std!r}")
    check_scale(instance, "std", instance.std, SMALLEST)
    if has_mean:
        check_finite(instance, "mean")


def check_reach(instance: Any, sigma: float) -> None:
    """Refuse a normal whose values `sigma` from the mean are not finite in float32."""
    if abs(instance.mean) + sigma * instance.std > LARGEST:
        raise ValueError(
            f"{type(instance).__name__}: values up to {sigma:.3g} sigma from the mean are within float32; got "
            f"std={instance.std!r}, mean={instance.mean!r}"
        )


def check_scale(instance: Any, name: str, value: float, smallest: float) -> None:
    """Refuse a factor so small that float32 would lose it."""
    if abs(value) < smallest:
        raise ValueError(
            f"{type(instance).__name__}: {name} is at least {smallest:.2g}, where float32 begins to lose it; "
            f"got {value!r}"
        )


def check_gain(instance: Any) -> None:
    """Make `gain` a plain float; zero is an error."""
    name = type(instance).__name__
    check_finite(instance, "gain")
    if instance.gain == 0:
        raise ValueError(f"{name}: gain is 0, which makes every weight zero; for that use `Zeros()`")
    check_scale(instance, "gain", instance.gain, SMALLEST)


def as_float(value: Any) -> float:
    """Make a real number a float: infinite where an integer is too large."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_real(value: Any) -> bool:
    """Say whether `value` is a real number: Python's or NumPy's, not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(value == value)  # NaN isn't
