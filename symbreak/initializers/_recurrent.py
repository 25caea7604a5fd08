"""Gated recurrent units, gate by gate: the open forget gate, memories of a range of lengths, or any other scheme.

The gates of a layer lie one after another along one axis, in an order that differs between frameworks; it is written
with one letter a gate, as in the framework's documentation.
"""

import math
from dataclasses import field, replace
from typing import Any, final

import numpy as np

from ..axes import Axes, AxesLike, as_shape
from ..streams import Stream
from ..streams import _elementary as elementary
from ._base import AbstractInitializer, Array, Moments
from ._blocks import Blocks
from ._moments import of_uniform
from ._registry import get, register
from ._validate import as_float, check_finite, is_real
from ._wrapping import mix


def per_gate(order: str, others: Any = "zeros", **gates: Any) -> Blocks:
    """Give each gate of a recurrent unit an initializer of its own.

    Parameters
    ----------
    order
        One letter a gate, as they lie along the units: ``"ifgo"`` for PyTorch's LSTM, ``"ifco"`` for Keras', ``"rzn"``
        and ``"zrh"`` for their GRUs.
    others
        For the gates that are not named; as :func:`symbreak.get` takes it.
    **gates
        Letters to initializers, as :func:`symbreak.get` takes them.

    Returns
    -------
    Blocks
        For biases, and for weights of any layout whose units are all gates of one layer: each gate has the fans of its
        own shape.

    Raises
    ------
    UnknownName, TypeError
        As :func:`symbreak.get`.
    ValueError
        For an order with a letter twice, or gates that it does not have.

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.per_gate("ifgo", f=sb.Constant(1.0))(8, rng=0)
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    >>> w = sb.per_gate("ifgo", sb.Orthogonal(), g=sb.GlorotUniform())((4 * 16, 16), rng=0)
    >>> w.shape
    (64, 16)
    """
    _check_order("per_gate", order)
    unknown = [letter for letter in gates if letter not in order or len(letter) != 1]
    if unknown:
        raise ValueError(f"per_gate: the gates are those of order {order!r}; got {unknown[0]!r}")
    return Blocks(tuple(get(gates.get(letter, others)) for letter in order))


def _check_order(who: str, order: Any) -> None:
    if not isinstance(order, str) or not order or len(set(order)) != len(order):
        raise ValueError(
            f"{who}: order has one letter a gate, each once, such as 'ifgo' (PyTorch's LSTM; Keras writes 'ifco'); "
            f"got {order!r}"
        )


def _check_gates(instance: "ForgetBias | Chrono", **letters: str) -> None:
    who, order = type(instance).__name__, instance.order
    _check_order(who, order)
    for name, letter in letters.items():
        if not isinstance(letter, str) or len(letter) != 1 or letter not in order:
            raise ValueError(f"{who}: {name} is one letter of order {order!r}; got {letter!r}")
    if isinstance(instance.axis, bool) or not isinstance(instance.axis, int | np.integer):
        raise ValueError(f"{who}: axis is an integer, the one that the gates lie along; got {instance.axis!r}")
    object.__setattr__(instance, "axis", int(instance.axis))


def _gates(instance: "ForgetBias | Chrono", shape: tuple[int, ...]) -> tuple[int, int]:
    """Give the axis that the gates lie along, and the units of one gate."""
    who, count = type(instance).__name__, len(instance.order)
    if not -len(shape) <= instance.axis < len(shape):
        raise ValueError(f"{who}: `shape` {shape} has no axis {instance.axis} for the gates to lie along")
    axis = instance.axis % len(shape)
    if shape[axis] % count:
        raise ValueError(
            f"{who}: the {count} gates of {instance.order!r} lie one after another along axis {axis}, but `shape` "
            f"{shape} has {shape[axis]} entries there, which {count} does not divide"
        )
    return axis, shape[axis] // count


def _gate(instance: "ForgetBias | Chrono", letter: str, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Give the index of one gate's entries."""
    axis, units = _gates(instance, shape)
    begin = instance.order.index(letter) * units
    return (*(slice(None),) * axis, slice(begin, begin + units))


@register("forget_bias")
@final
class ForgetBias(AbstractInitializer):
    """Zero, but `value` in the forget gate: a memory cell begins with an open gate and remembers.

    Parameters
    ----------
    value
        In the forget gate; the cell keeps sigmoid(value) of itself a step, 0.73 for 1.
    order
        One letter a gate, as they lie along the axis: ``"ifgo"`` for PyTorch, ``"ifco"`` for Keras and MXNet,
        ``"icfo"`` for TensorFlow 1 and Haiku.
    gate
        The letter of the forget gate.
    axis
        The axis that the gates lie along; -1 where a stack of biases is (layers, gates * units).

    Raises
    ------
    ValueError
        For an order without the gate, or a value that is not finite; when called, for a shape that the gates don't
        divide.

    See Also
    --------
    Chrono : For dependencies of a known length.

    Notes
    -----
    PyTorch adds two biases, ``bias_ih`` and ``bias_hh``: give one of them `value` and the other ``Zeros()``. Flax has a
    parameter for each gate: there the forget gate's is ``Constant(value)``.

    References
    ----------
    Gers, Schmidhuber, Cummins. "Learning to forget: continual prediction with LSTM". Neural Computation 12 (2000).

    Jozefowicz, Zaremba, Sutskever. "An empirical exploration of recurrent network architectures". ICML 2015 (the 1).

    Examples
    --------
    >>> import symbreak as sb
    >>> sb.ForgetBias()(8)
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """

    value: float = 1.0
    order: str = field(default="ifgo", kw_only=True)
    gate: str = field(default="f", kw_only=True)
    axis: int = field(default=0, kw_only=True)

    ties = "ties"
    elementwise = False

    def __post_init__(self) -> None:
        check_finite(self, "value")
        _check_gates(self, gate=self.gate)

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Write the value where the gate lies."""
        out = np.zeros(shape, stream.dtype)
        out[_gate(self, self.gate, shape)] = self.value
        return out

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments of one entry in ``len(order)`` that is `value`, and the others zero."""
        _gates(self, as_shape(shape))
        share = 1 / len(self.order)
        std = abs(self.value) * math.sqrt(share * (1 - share))
        return Moments(self.value * share, std, min(0.0, self.value), max(0.0, self.value))


@register("chrono")
@final
class Chrono(AbstractInitializer):
    r"""Biases that spread the memories of the units over every length up to `longest`.

    The forget gate of each unit gets :math:`b_f = \ln u` with u uniform on [1, longest - 1], its input gate
    :math:`b_i = -b_f`, the other gates zero. At its bias, a gate forgets :math:`1 - \sigma(b_f)` a step: the memory of
    the unit is :math:`1 + u` steps long, uniform on [2, longest].

    Parameters
    ----------
    longest
        The longest dependence in the data, in steps; more than 2.
    order
        One letter a gate, as for :class:`ForgetBias`. For a GRU ``"rzn"`` (PyTorch) or ``"zrh"`` (Keras), whose gate z
        keeps the state: ``Chrono(longest, order="rzn", keep="z", write=None)``.
    keep
        The letter of the gate that keeps the state.
    write
        The letter of the gate that writes to it, or None where one gate does both.
    axis
        The axis that the gates lie along.

    Raises
    ------
    ValueError
        For a longest memory that is not more than 2 or letters that are not in the order; when called, for a shape that
        the gates don't divide.

    See Also
    --------
    ForgetBias : One number for all units.

    Notes
    -----
    PyTorch adds two biases: give one of them this and the other ``Zeros()``.

    References
    ----------
    Tallec, Ollivier. "Can recurrent neural networks warp time?". ICLR 2018, section 4 and equation 16.
    :arxiv:`1804.11188`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> i, f, g, o = sb.Chrono(100)(400, rng=0).reshape(4, 100)
    >>> memory = 1 + np.exp(f)  # steps
    >>> bool(2 <= memory.min() and memory.max() <= 100), bool((i == -f).all()), bool(g.any() or o.any())
    (True, True, False)
    """

    longest: float
    order: str = field(default="ifgo", kw_only=True)
    keep: str = field(default="f", kw_only=True)
    write: str | None = field(default="i", kw_only=True)
    axis: int = field(default=0, kw_only=True)

    ties = "ties"  # the gates that are zero
    elementwise = False

    def __post_init__(self) -> None:
        if not is_real(self.longest) or not 2 < as_float(self.longest) < 1e30:
            raise ValueError(f"Chrono: longest is a number of steps, more than 2; got {self.longest!r}")
        object.__setattr__(self, "longest", float(self.longest))
        _check_gates(self, keep=self.keep, **({} if self.write is None else {"write": self.write}))
        if self.write == self.keep:
            raise ValueError(f"Chrono: keep and write are two gates, or write is None; got {self.write!r} for both")

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Array:
        """Draw a memory for each unit, and write it to both gates."""
        kept = _gate(self, self.keep, shape)
        out = np.zeros(shape, np.float64)
        u = stream.uniform(out[kept].shape).astype(np.float64)
        out[kept] = elementary.log(1 + (u + 1) / 2 * (self.longest - 2))
        if self.write is not None:
            out[_gate(self, self.write, shape)] = -out[kept]
        return out

    def expected(self, shape: Any, axes: AxesLike = None) -> Moments:
        """State the moments over all gates, from those of ln u."""
        _gates(self, as_shape(shape))
        mean, std, kurtosis = of_uniform(lambda u, _: np.log1p(u * (self.longest - 2)))
        share, high = 1 / len(self.order), math.log(self.longest - 1)
        kinds = [(share, Moments(mean, std, 0.0, high, kurtosis=kurtosis))]
        if self.write is not None:
            kinds.append((share, Moments(-mean, std, -high, 0.0, kurtosis=kurtosis)))
        both = mix([*kinds, (1 - share * len(kinds), Moments(0.0, 0.0, 0.0, 0.0))])
        # Two gates share their numbers, so that a bias tells the standard deviation as one of half its size would.
        return replace(both, kurtosis=2 * both.kurtosis)
