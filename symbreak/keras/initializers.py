"""Initializers with the names, parameters and distributions of ``keras.initializers``.

What a Keras name stands for is Keras': ``he_normal`` is truncated, and the fans of dense layers and plain convolutions
are counted as Keras counts them [1]. Other are the seeds (`_seeds`), and the fans where a layer says what its shape
can't (`_layouts`): depthwise, grouped and transposed convolutions, and einsums.

[1] https://github.com/keras-team/keras, keras/src/initializers/random_initializers.py
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from .. import initializers as shelf
from ..axes import Axes, Fans, fans
from ..initializers import AbstractInitializer
from ._initializer import PACKAGE, AbstractRandom

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class RandomNormal(AbstractRandom):
    """Independent normals, with the parameters of ``keras.initializers.RandomNormal``.

    Parameters
    ----------
    mean, stddev
        Of an entry; `stddev` positive.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        self._of = shelf.Normal(stddev, mean=mean)
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        return self._of(shape, self.next_key(), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(AbstractRandom):
    """Independent normals cut at two standard deviations, as ``keras.initializers.TruncatedNormal``.

    Parameters
    ----------
    mean, stddev
        Of the normal before it is cut; `stddev` positive. What is left has 0.8796 of it.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev = mean, stddev
        self._of = shelf.TruncatedNormal(stddev, mean=mean)
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        return self._of(shape, self.next_key(), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class RandomUniform(AbstractRandom):
    """Independent uniforms on [minval, maxval], with the parameters of ``keras.initializers.RandomUniform``.

    Parameters
    ----------
    minval, maxval
        Bounds, in order.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval = minval, maxval
        self._of = shelf.Uniform(minval, maxval)
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        return self._of(shape, self.next_key(), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class VarianceScaling(AbstractRandom):
    """Mean 0 and variance ``scale / fan``, with the parameters of ``keras.initializers.VarianceScaling``.

    Parameters
    ----------
    scale
        Positive.
    mode
        ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``.
    distribution
        ``"truncated_normal"`` (``"normal"`` is the same), ``"untruncated_normal"`` or ``"uniform"``.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        Axes of the weight over which the fans are counted; by default the layer's, or the last two axes and the
        receptive field before them.

    Raises
    ------
    ValueError
        If a parameter is none of these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"{type(self).__name__}: scale is positive; got {scale!r}")
        if mode not in MODES:
            raise ValueError(f"{type(self).__name__}: mode is one of {', '.join(map(repr, MODES))}; got {mode!r}")
        found = str(distribution).lower()
        found = "truncated_normal" if found == "normal" else found
        if found not in DISTRIBUTIONS:
            allowed = ", ".join(map(repr, DISTRIBUTIONS))
            raise ValueError(f"{type(self).__name__}: distribution is one of {allowed}; got {distribution!r}")
        self.scale, self.mode, self.distribution = scale, mode, found
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        fan_in, fan_out = self._fans(shape, axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        std = math.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            drawn: AbstractInitializer = shelf.Uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std)
        elif self.distribution == "untruncated_normal":
            drawn = shelf.Normal(std)
        else:
            drawn = shelf.TruncatedNormal(std, corrected=True)
        return drawn(shape, self.next_key(), dtype=dtype)

    def _fans(self, shape: tuple[int, ...], axes: Axes | None) -> Fans:
        if self.input_axes is not None and self.output_axes is not None:
            return Fans(*(math.prod(shape[axis] for axis in each) for each in (self.input_axes, self.output_axes)))
        if axes is not None:
            return fans(shape, replace(axes, splits=1))  # Keras counts the gates of a recurrent layer as one
        if len(shape) < 2:
            return Fans(shape[0], shape[0]) if shape else Fans(1, 1)
        field = math.prod(shape[:-2])
        return Fans(shape[-2] * field, shape[-1] * field)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        own = {"scale": self.scale, "mode": self.mode, "distribution": self.distribution}
        return {**own, **super().get_config(), "input_axes": self.input_axes, "output_axes": self.output_axes}


class AbstractFamily(VarianceScaling):
    """A member of a family: its scale, mode and distribution are the class's."""

    family: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.family, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        return {
            key: value for key, value in super().get_config().items() if key not in ("scale", "mode", "distribution")
        }


class GlorotNormal(AbstractFamily):
    r"""Normal cut at two sigma, with variance :math:`2 / (\text{fan}_\text{in} + \text{fan}_\text{out})` after the cut.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, eq. 12.
    """

    family = (1.0, "fan_avg", "truncated_normal")


class GlorotUniform(AbstractFamily):
    r"""Uniform with variance :math:`2 / (\text{fan}_\text{in} + \text{fan}_\text{out})`.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010, eq. 16.
    """

    family = (1.0, "fan_avg", "uniform")


class LecunNormal(AbstractFamily):
    r"""Normal cut at two sigma, with variance :math:`1 / \text{fan}_\text{in}` after the cut.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    LeCun, Bottou, Orr, Müller. "Efficient BackProp". 1998, equation 16.
    """

    family = (1.0, "fan_in", "truncated_normal")


class LecunUniform(AbstractFamily):
    r"""Uniform with variance :math:`1 / \text{fan}_\text{in}`.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    LeCun, Bottou, Orr, Müller. "Efficient BackProp". 1998, equation 16.
    """

    family = (1.0, "fan_in", "uniform")


class HeNormal(AbstractFamily):
    r"""Normal cut at two sigma, with variance :math:`2 / \text{fan}_\text{in}` after the cut.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015, equation 10. :arxiv:`1502.01852`
    """

    family = (2.0, "fan_in", "truncated_normal")


class HeUniform(AbstractFamily):
    r"""Uniform with variance :math:`2 / \text{fan}_\text{in}`.

    Parameters
    ----------
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.
    input_axes, output_axes
        As for :class:`VarianceScaling`.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015, equation 10. :arxiv:`1502.01852`
    """

    family = (2.0, "fan_in", "uniform")


class Orthogonal(AbstractRandom):
    """Orthonormal rows or columns times `gain`, distributed uniformly, as ``keras.initializers.Orthogonal``.

    Parameters
    ----------
    gain
        Not zero.
    seed
        None, an integer, or a ``keras.random.SeedGenerator``; see :class:`symbreak.keras.Initializer`.

    Notes
    -----
    A weight of more than two axes is a matrix with one column a unit. Where a layer asks, it says which axes are units:
    each channel of a depthwise convolution and each group is a matrix of its own, and the units of a query are those of
    all heads.

    References
    ----------
    Saxe, McClelland, Ganguli. "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    ICLR 2014. :arxiv:`1312.6120`
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        self._of = shelf.Orthogonal(gain=gain)
        super().__init__(seed)

    def _array(self, shape: tuple[int, ...], dtype: str, axes: Axes | None) -> Any:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: a weight has two axes or more; got the shape {shape}")
        found = Axes("i" * (len(shape) - 1) + "o") if axes is None else replace(axes, splits=1)
        return self._of(shape, self.next_key(), dtype=dtype, axes=found)

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor takes."""
        return {"gain": self.gain, **super().get_config()}


# They draw nothing: Keras' own will do.
Constant = keras.initializers.Constant
Identity = keras.initializers.Identity
Ones = keras.initializers.Ones
Zeros = keras.initializers.Zeros
STFT = getattr(keras.initializers, "STFT", None)  # since Keras 3.7

# The names that Keras has for them beside.
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
he_normal = HeNormal
he_uniform = HeUniform
orthogonal = OrthogonalInitializer = Orthogonal
constant = Constant
identity = IdentityInitializer = Identity
ones = Ones
zeros = Zeros
stft = STFTInitializer = STFT

RANDOM = (RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, GlorotNormal, GlorotUniform, LecunNormal,
          LecunUniform, HeNormal, HeUniform, Orthogonal)  # fmt: skip
for _each in RANDOM:
    keras.saving.register_keras_serializable(PACKAGE)(_each)
