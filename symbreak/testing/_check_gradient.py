"""A hand-written gradient held against the function that it should be the gradient of."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Point = Array | Mapping[str, Array]


def check_gradient(
    function: Callable[[Any], Any],
    gradient: Callable[[Any], Any] | Point,
    point: Point,
    *,
    rng: int | np.random.Generator = 0,
    directions: int = 3,
    step: float = 1e-3,
    tolerance: float = 1e-6,
    rounding: float | None = None,
) -> None:
    r"""Assert that a gradient is the slope of its function, along random directions.

    The slope along a direction :math:`d` of length 1 is measured as the central difference of fourth order,

    .. math:: \frac{8 (f(p + hd) - f(p - hd)) - (f(p + 2hd) - f(p - 2hd))}{12 h},

    and compared with the inner product of the gradient and :math:`d`.

    Parameters
    ----------
    function
        Takes an array, or a dict of arrays, shaped as `point`, and returns a number. It gets float64 copies.
    gradient
        The gradient, shaped as `point`; or a function that takes a point and returns it.
    point
        Where to compare. The function must be smooth within ``2 * step`` of it: keep away from the kink of a relu.
    rng
        What the directions are drawn from, as `numpy.random.default_rng` takes it.
    directions
        How many to try. One sees almost any error; an error in one of very many entries needs more.
    step
        The distance :math:`h`, in the units of the point. The error of the difference is of order :math:`h^4`.
    tolerance
        The largest difference of the two slopes that is let pass, beside what rounding may cause: relative to the
        larger of them, or to the root mean square of the slopes along all directions, :math:`|g| / \sqrt n` of n
        values. A slope that is small by chance, as its direction runs nearly across the gradient, is not measured more
        finely than the others.
    rounding
        How far rounding may take a value of the function, by default 16 units in its last place. More is needed where
        the function is a small difference of large numbers. The slopes may differ by this over `step`.

    Raises
    ------
    AssertionError
        The slopes differ; the message has both numbers.
    ValueError
        A gradient whose names or shapes are not those of the point.

    Examples
    --------
    >>> import numpy as np
    >>> check_gradient(lambda p: (p**3).sum(), lambda p: 3 * p**2, np.array([1.0, 2.0]))
    >>> check_gradient(lambda p: (p**3).sum(), lambda p: p**2, np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: the gradient says that the slope along direction 0 is -2.20..., but the function's slope is -6.62...
    """
    where = _as_dict(point, "point")
    single = not isinstance(point, Mapping)

    def rebuild(parts: dict[str, Array]) -> Any:
        return parts[""].copy() if single else {name: part.copy() for name, part in parts.items()}

    found = _as_dict(gradient(rebuild(where)) if callable(gradient) else gradient, "gradient")
    shapes = {name: part.shape for name, part in where.items()}
    if (got := {name: part.shape for name, part in found.items()}) != shapes:
        raise ValueError(f"the gradient must be shaped as the point: {_shown(shapes)}, not {_shown(got)}")

    usual = np.sqrt(_inner(found, found) / sum(part.size for part in found.values()))
    generator = np.random.default_rng(rng)
    for number in range(directions):
        direction = {name: np.asarray(generator.standard_normal(part.shape)) for name, part in where.items()}
        length = np.sqrt(_inner(direction, direction))

        def at(distance: float, direction: dict[str, Array] = direction, length: float = length) -> float:
            moved = {name: part + distance / length * direction[name] for name, part in where.items()}
            return float(function(rebuild(moved)))

        near, far = (at(step), at(-step)), (at(2 * step), at(-2 * step))
        measured = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)
        claimed = _inner(found, direction) / length
        noise = 16 * np.spacing(max(map(abs, near + far))) if rounding is None else rounding
        allowed = tolerance * max(abs(claimed), abs(measured), usual) + noise / step
        # Not `difference > allowed`, which a NaN would pass.
        if not abs(claimed - measured) <= allowed < np.inf:
            raise AssertionError(
                f"the gradient says that the slope along direction {number} is {claimed:.12g}, but the function's "
                f"slope is {measured:.12g} (difference {claimed - measured:.3g}, tolerance {tolerance:g})"
            )


def _as_dict(value: Any, what: str) -> dict[str, Array]:
    parts = value if isinstance(value, Mapping) else {"": value}
    arrays = {name: np.asarray(part) for name, part in parts.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"the {what}{f' {name!r}' if name else ''} must hold real numbers, not {array.dtype}")
    if not sum(array.size for array in arrays.values()):
        raise ValueError(f"the {what} is empty: there is nothing to compare")
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def _inner(one: dict[str, Array], other: dict[str, Array]) -> float:
    return float(sum(float((one[name] * other[name]).sum()) for name in one))


def _shown(shapes: dict[str, tuple[int, ...]]) -> object:
    return shapes.get("", shapes)
