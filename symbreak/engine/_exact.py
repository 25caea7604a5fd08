"""Numbers without rounding: fractions, and the integers modulo a prime, for networks of polynomials.

In them a tie that holds in real numbers holds with `==`. The digits of fractions grow several times over with each step
of training, so that a handful of steps is all there is. Residues never grow: a run can go on, and what holds for
polynomials in the fractions holds for those in the residues.
"""

import numbers
from fractions import Fraction
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PRIME = 2**31 - 1  # a Mersenne prime: two different small fractions are hardly ever the same residue


@final
class Residue:
    """An integer modulo the prime 2**31 - 1, or the quotient of two.

    It adds, subtracts, multiplies and divides, with other residues, integers and fractions; there is no order, and no
    size.

    Parameters
    ----------
    number
        An integer, a `fractions.Fraction`, a finite float, or a residue.

    Raises
    ------
    ZeroDivisionError
        A fraction, or a quotient, whose denominator is a multiple of the prime.

    Examples
    --------
    >>> Residue(-1)
    Residue(2147483646)
    >>> Residue(1) / 3 * 3
    Residue(1)
    """

    __slots__ = ("value",)

    def __init__(self, number: Any) -> None:
        if isinstance(number, Residue):
            self.value: int = number.value
        elif isinstance(number, numbers.Integral):
            self.value = int(number) % PRIME
        else:
            fraction = Fraction(number)
            self.value = fraction.numerator * _inverse(fraction.denominator) % PRIME

    def __add__(self, other: Any) -> "Residue":
        return Residue(self.value + Residue(other).value)

    def __mul__(self, other: Any) -> "Residue":
        return Residue(self.value * Residue(other).value)

    def __sub__(self, other: Any) -> "Residue":
        return Residue(self.value - Residue(other).value)

    def __rsub__(self, other: Any) -> "Residue":
        return Residue(Residue(other).value - self.value)

    def __truediv__(self, other: Any) -> "Residue":
        return Residue(self.value * _inverse(Residue(other).value))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> "Residue":
        return Residue(-self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Residue) and self.value == other.value

    def __hash__(self) -> int:
        return hash((Residue, self.value))

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"Residue({self.value})"


def _inverse(number: int) -> int:
    if number % PRIME == 0:
        raise ZeroDivisionError(f"{number} has no inverse modulo {PRIME}")
    return pow(number, -1, PRIME)


def exact(a: Array, b: Array) -> Array:
    """Multiply rows by rows without rounding: entry [i, j] is the inner product of row i of `a` and row j of `b`."""
    return np.asarray((a[:, np.newaxis] * b).sum(axis=-1))


def kind_of(values: Array) -> type[Fraction] | type[Residue]:
    """Return what the numbers of an exact array are taken for."""
    return Residue if any(isinstance(value, Residue) for value in values.flat) else Fraction


def as_exact(values: Array, kind: type[Fraction] | type[Residue], what: str) -> Array:
    """Return the values as exact numbers of one kind, or raise."""
    array = np.empty(values.shape, object)
    for index in np.ndindex(values.shape):
        value: Any = values[index]
        try:
            array[index] = kind(value.item() if isinstance(value, np.generic) else value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(
                f"the {what} of an exact network must be numbers that a {kind.__name__} can be made from; at "
                f"{list(index)} there is {value!r}"
            ) from None
    return array


def as_float(number: Any) -> float:
    """Return a float near a number, inf where it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return np.inf


def exactly(number: float, like: Array) -> Any:
    """Return a setting as an exact number where the array is exact, so that no float enters the sum."""
    return Fraction(number) if like.dtype.kind == "O" else number


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the kind of number that an array holds; a residue equals no integer."""
    if like.dtype != object:
        return np.zeros(shape, like.dtype)
    return np.full(shape, like.flat[0] * 0, object)
