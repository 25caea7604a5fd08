"""Every name of ``torch.nn.init``, drawn from symbreak's streams; and symbreak's own initializers, in place.

To use it, import it where ``torch.nn.init`` was: ``from symbreak.torch import init``. Signatures, distributions and
what comes back are torch's; the numbers are others. What differs is what torch doesn't do: orthogonal weights in half
precision and complex, exact tails of truncated normals in every dtype, and the same bits on every device and at every
number of threads.

A generator gives its state: the same state gives the same weights, and goes on. Without one it is torch's global
generator of the CPU, whatever the device, so ``torch.manual_seed`` decides.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch

from ..axes import Axes, AxesLike
from ..initializers import (
    AbstractInitializer,
    Constant,
    Normal,
    Orthogonal,
    Sparse,
    TruncatedNormal,
    Uniform,
    Zeros,
    get,
)
from ..streams import Key, Stream
from ._generator import TorchRng, as_torch_key, key_of
from ._memory import check_overlap, holds_values, is_sharded, write_tasks

__all__ = [
    "apply_",
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

Tensor = torch.Tensor
Generator = torch.Generator
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

LINEAR = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid",
)  # fmt: skip


def _overridable(function: F) -> F:
    """Let subclasses of Tensor that override torch's functions override this one too."""

    @functools.wraps(function)
    def outer(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{function.__name__} writes into a torch.Tensor; got {type(tensor).__name__}")
        if torch.overrides.has_torch_function_unary(tensor):
            return torch.overrides.handle_torch_function(outer, (tensor,), tensor, *args, **kwargs)
        return function(tensor, *args, **kwargs)

    return cast("F", outer)


def _draw(tensor: Tensor, init: AbstractInitializer, key: Key, axes: AxesLike = None) -> Tensor:
    """Write a weight into a tensor; complex ones as two real ones."""
    target = torch.view_as_real(tensor.detach()) if _splits(tensor, init) else tensor
    for task in _threaded(target, init, key, axes):
        task()
    _touch(tensor)
    return tensor


def _splits(tensor: Tensor, init: AbstractInitializer) -> bool:
    complexes = type(init).sample_complex is not AbstractInitializer.sample_complex
    return tensor.is_complex() and not complexes and init.elementwise


def _threaded(tensor: Tensor, init: AbstractInitializer, key: Key, axes: AxesLike) -> Any:
    """Give one task that uses threads where the memory allows it, else as many as there are."""
    from ._memory import as_array

    if holds_values(tensor) and not is_sharded(tensor) and tensor.numel():
        check_overlap(tensor)
        array = as_array(tensor)
        if array is not None and array.flags.c_contiguous:
            return [functools.partial(init.fill, array, key, axes=axes)]
    return write_tasks(tensor, init, key, axes=axes)


def _touch(tensor: Tensor) -> None:
    """Tell autograd that a tensor was written to."""
    if holds_values(tensor) and not tensor.is_inference():
        torch.autograd.graph.increment_version(tensor)


def _check_float(name: str, tensor: Tensor) -> None:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise TypeError(
            f"{name} draws real numbers, and the tensor is of {tensor.dtype}; use a floating or complex dtype"
        )


def _idle(tensor: Tensor) -> bool:
    """Tell whether there is nothing to write: no values, or none that are real."""
    return tensor.numel() == 0 or not holds_values(tensor)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    r"""Give torch's gain of a nonlinearity.

    Parameters
    ----------
    nonlinearity
        ``"linear"``, ``"conv1d"`` to ``"conv_transpose3d"``, ``"sigmoid"`` (1), ``"tanh"`` (5/3), ``"relu"``
        (:math:`\sqrt 2`), ``"leaky_relu"`` or ``"selu"`` (3/4).
    param
        The negative slope of a leaky ReLU; 0.01 by default.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For a nonlinearity that torch has no gain for, or a slope that is no number.

    See Also
    --------
    symbreak.gain : Gains of any activation, computed; those of tanh, sigmoid and SELU differ from torch's.

    Examples
    --------
    >>> from symbreak.torch import init
    >>> init.calculate_gain("leaky_relu", 0.2)
    1.3867504905630728
    """
    if nonlinearity in LINEAR:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "selu":
        return 3.0 / 4
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"the negative slope of a leaky ReLU is a number; got {param!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    raise ValueError(
        f"torch has no gain for the nonlinearity {nonlinearity!r}; it has linear, conv1d ... conv_transpose3d, "
        f"sigmoid, tanh, relu, leaky_relu and selu. symbreak.gain({nonlinearity!r}) computes others"
    )


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Give torch's fans: those of units along axis 0, whatever the layer."""
    if tensor.dim() < 2:
        raise ValueError(
            f"fan in and fan out are those of a tensor with two dimensions or more; this one has shape "
            f"{tuple(tensor.shape)}. For a bias use zeros_"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.size(1) * receptive, tensor.size(0) * receptive


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    found = mode.lower()
    if found not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out'; got {mode!r}")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if found == "fan_in" else fan_out


@_overridable
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: "Generator | None" = None) -> Tensor:
    """Fill a tensor with uniforms from `a` to `b`.

    Parameters
    ----------
    tensor
        Of any shape and strides; of a complex one both parts are drawn.
    a, b
        Bounds, ``a <= b``.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    RuntimeError
        For bounds that are not in order, or a tensor of which two elements are one.
    TypeError
        For a tensor that holds no real numbers.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> _ = torch.manual_seed(0)
    >>> init.uniform_(torch.empty(2, 2), -1, 1).abs().max() <= 1
    tensor(True)
    """
    _check_float("uniform_", tensor)
    a, b = float(a), float(b)
    if a > b:
        raise RuntimeError(f"uniform_ draws from a to b, and a={a!r} is above b={b!r}")
    return _uniform(tensor, a, b, generator)


def _uniform(tensor: Tensor, a: float, b: float, generator: "Generator | None") -> Tensor:
    if _idle(tensor):
        return tensor
    key = key_of(generator)
    if a == b:
        return _draw(tensor, Constant(a), key)
    return _draw(tensor, Uniform(a, b), key)


@_overridable
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: "Generator | None" = None) -> Tensor:
    """Fill a tensor with normals.

    Parameters
    ----------
    tensor
        Of any shape and strides. Of a complex one each part has the mean, and half of the variance.
    mean, std
        Of the normal; with a std of 0 every value is the mean.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    RuntimeError
        For a negative std, or a tensor of which two elements are one.
    TypeError
        For a tensor that holds no real numbers.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> w = torch.empty(3, 5, dtype=torch.bfloat16)
    >>> init.normal_(w, std=0.02) is w
    True
    """
    _check_float("normal_", tensor)
    mean, std = float(mean), float(std)
    if std < 0:
        raise RuntimeError(f"a standard deviation is not negative; got std={std!r}")
    return _normal(tensor, mean, std, generator)


def _normal(tensor: Tensor, mean: float, std: float, generator: "Generator | None") -> Tensor:
    if _idle(tensor):
        return tensor
    key = key_of(generator)
    if std == 0:
        return _draw(tensor, Constant(mean), key)
    return _draw(tensor, Normal(std / math.sqrt(2.0) if tensor.is_complex() else std, mean=mean), key)


@_overridable
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: "Generator | None" = None,
) -> Tensor:
    """Fill a tensor with normals cut to [a, b].

    As in torch the bounds are absolute, not in standard deviations, and `std` is that of the normal before the cut. The
    distribution is the right one wherever the bounds lie, so torch's warning for bounds far from the mean is not given.

    Parameters
    ----------
    tensor
        Of any shape and strides.
    mean, std
        Of the normal that is cut.
    a, b
        Bounds, ``a < b``.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        If std is not positive, or the bounds are not in order or too far from the mean.
    TypeError
        For a tensor that holds no real numbers.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> w = init.trunc_normal_(torch.empty(100, 100), std=0.02, a=-0.04, b=0.04)
    >>> bool(w.abs().max() <= 0.04)
    True
    """
    _check_real("trunc_normal_", tensor)
    cut = TruncatedNormal(float(std), mean=float(mean), low=float(a), high=float(b), bounds="absolute")
    return tensor if _idle(tensor) else _draw(tensor, cut, key_of(generator))


def _check_real(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"{name} draws real numbers, and the tensor is of {tensor.dtype}; use a floating dtype")


@_overridable
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill a tensor with one value, on purpose: all units start equal.

    Parameters
    ----------
    tensor
        Of any dtype.
    val
        The value.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.constant_(torch.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    with torch.no_grad():
        return tensor.fill_(val)


@_overridable
def ones_(tensor: Tensor) -> Tensor:
    """Fill a tensor of any dtype with ones.

    Parameters
    ----------
    tensor
        Of any dtype.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.ones_(torch.empty(2))
    tensor([1., 1.])
    """
    with torch.no_grad():
        return tensor.fill_(1)


@_overridable
def zeros_(tensor: Tensor) -> Tensor:
    """Fill a tensor of any dtype with zeros.

    Parameters
    ----------
    tensor
        Of any dtype.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.zeros_(torch.empty(2))
    tensor([0., 0.])
    """
    with torch.no_grad():
        return tensor.zero_()


@_overridable
def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity, with zeros in what rows or columns it has beyond the square.

    Parameters
    ----------
    tensor
        With two dimensions, of any dtype.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For any other number of dimensions.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.eye_(torch.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.dim() != 2:
        raise ValueError(f"an identity has two dimensions; the tensor has shape {tuple(tensor.shape)}")
    if is_sharded(tensor):
        return _draw(tensor, _Eye(), Key(0))
    with torch.no_grad():
        tensor.zero_()
        tensor.diagonal().fill_(1)
    return tensor


class _Eye(AbstractInitializer):
    """The identity of any shape, cut off."""

    ties = "ties"
    elementwise = False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Any:
        """Make it whole."""
        return np.eye(*shape, dtype=stream.dtype)


@_overridable
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution pass its inputs on, each channel of each group to the unit of the same number.

    The tap is the one at ``size // 2``, as in torch. :class:`symbreak.Identity` uses ``(size - 1) // 2``, which padding
    "same" centres for even sizes too.

    Parameters
    ----------
    tensor
        With three to five dimensions, of any dtype.
    groups
        Of the convolution; they divide the units.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For another number of dimensions, or groups that don't divide the units.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.dirac_(torch.empty(2, 2, 3))[:, :, 1]
    tensor([[1., 0.],
            [0., 1.]])
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError(f"a convolution has 3 to 5 dimensions; the tensor has shape {tuple(tensor.shape)}")
    if tensor.size(0) % groups:
        raise ValueError(f"{groups} groups don't divide the {tensor.size(0)} units of shape {tuple(tensor.shape)}")
    if is_sharded(tensor):
        return _draw(tensor, _Taps(groups), Key(0))
    with torch.no_grad():
        tensor.zero_()
        if not _idle(tensor):
            tensor[_taps(tuple(tensor.shape), groups)] = 1
    return tensor


def _taps(shape: tuple[int, ...], groups: int) -> tuple[Any, ...]:
    units = shape[0] // groups
    inputs = np.arange(min(units, shape[1]))
    rows = (np.arange(groups)[:, None] * units + inputs).ravel()
    return (rows.tolist(), np.tile(inputs, groups).tolist(), *(size // 2 for size in shape[2:]))


class _Taps(AbstractInitializer):
    """A Dirac with torch's centre."""

    groups: int

    ties = "ties"
    elementwise = False

    def sample(self, shape: tuple[int, ...], stream: Stream, axes: Axes | None) -> Any:
        """Make it whole."""
        out = np.zeros(shape, stream.dtype)
        out[_taps(shape, self.groups)] = 1
        return out


def _glorot_std(tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return float(gain) * math.sqrt(2.0 / max(1, fan_in + fan_out))


@_overridable
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: "Generator | None" = None) -> Tensor:
    r"""Fill a tensor with Glorot's uniforms, of variance :math:`2 \, \text{gain}^2 / (\text{fan in} + \text{fan out})`.

    Fans are torch's: units along axis 0, inputs along axis 1, whatever the layer. Those of transposed and grouped
    convolutions and of fused projections are right in :func:`apply_` with axes, and in
    :func:`symbreak.torch.initialize`.

    Parameters
    ----------
    tensor
        With two dimensions or more.
    gain
        A factor.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For fewer than two dimensions.
    TypeError
        For a tensor that holds no real numbers.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.xavier_uniform_(torch.empty(3, 5)).shape
    torch.Size([3, 5])
    """
    _check_float("xavier_uniform_", tensor)
    bound = abs(math.sqrt(3.0) * _glorot_std(tensor, gain))
    return _uniform(tensor, -bound, bound, generator)


@_overridable
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: "Generator | None" = None) -> Tensor:
    r"""Fill a tensor with Glorot's normals, of variance :math:`2 \, \text{gain}^2 / (\text{fan in} + \text{fan out})`.

    Parameters
    ----------
    tensor, gain, generator
        As for :func:`xavier_uniform_`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`xavier_uniform_`.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks". AISTATS 2010.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.xavier_normal_(torch.empty(3, 5)).shape
    torch.Size([3, 5])
    """
    _check_float("xavier_normal_", tensor)
    return _normal(tensor, 0.0, abs(_glorot_std(tensor, gain)), generator)


def _he_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """Give the standard deviation, or None with torch's warning where there is nothing to fill."""
    if 0 in tensor.shape:
        warnings.warn("a tensor without elements has nothing to initialize; it is left alone", stacklevel=4)
        return None
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


@_overridable
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: "Generator | None" = None,
) -> Tensor:
    r"""Fill a tensor with uniforms of variance :math:`\text{gain}^2 / \text{fan}`.

    Parameters
    ----------
    tensor
        With two dimensions or more. One without elements is left alone, with a warning.
    a
        The negative slope of the leaky ReLU.
    mode
        ``"fan_in"`` or ``"fan_out"``, torch's fans: units along axis 0, inputs along axis 1.
    nonlinearity
        What :func:`calculate_gain` takes.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For fewer than two dimensions, a mode or a nonlinearity that there isn't.
    TypeError
        For a tensor that holds no real numbers.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015. :arxiv:`1502.01852`

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> w = init.kaiming_uniform_(torch.empty(3, 6), nonlinearity="relu")
    >>> bool(w.abs().max() <= 1)
    True
    """
    _check_float("kaiming_uniform_", tensor)
    std = _he_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return _uniform(tensor, -bound, bound, generator)


@_overridable
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: "Generator | None" = None,
) -> Tensor:
    r"""Fill a tensor with plain normals of variance :math:`\text{gain}^2 / \text{fan}`, as torch does: not truncated.

    Parameters
    ----------
    tensor, a, mode, nonlinearity, generator
        As for :func:`kaiming_uniform_`.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`kaiming_uniform_`.

    References
    ----------
    He, Zhang, Ren, Sun. "Delving deep into rectifiers". ICCV 2015. :arxiv:`1502.01852`

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> init.kaiming_normal_(torch.empty(64, 3, 7, 7), mode="fan_out", nonlinearity="relu").shape
    torch.Size([64, 3, 7, 7])
    """
    _check_float("kaiming_normal_", tensor)
    std = _he_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else _normal(tensor, 0.0, std, generator)


@_overridable
def orthogonal_(tensor: Tensor, gain: float = 1, generator: "Generator | None" = None) -> Tensor:
    """Make a matrix (units, everything else) orthogonal: rows or columns orthonormal, whichever are fewer.

    Half precision is computed in float32 and rounded once, and complex tensors become unitary.

    Parameters
    ----------
    tensor
        With two dimensions or more.
    gain
        A factor.
    generator
        torch's, by default the CPU's global one.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For fewer than two dimensions.
    TypeError
        For a tensor that holds no real numbers.

    References
    ----------
    Saxe, McClelland, Ganguli. "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    ICLR 2014. :arxiv:`1312.6120`

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> w = init.orthogonal_(torch.empty(3, 5))
    >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)
    True
    """
    if tensor.dim() < 2:
        raise ValueError(f"an orthogonal weight has two dimensions or more; the tensor has shape {tuple(tensor.shape)}")
    _check_float("orthogonal_", tensor)
    if _idle(tensor):
        return tensor
    key = key_of(generator)
    if gain == 0:
        return _draw(tensor, Zeros(), key)
    return _draw(tensor, Orthogonal(gain=float(gain)), key, axes="o" + "i" * (tensor.dim() - 1))


@_overridable
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: "Generator | None" = None) -> Tensor:
    """Fill a matrix with normals, and set a share of every column to zero.

    As in torch a column has ``ceil(sparsity * rows)`` zeros: they are counted for each input of a linear layer, and a
    unit may be left without any weight. :class:`symbreak.Sparse` counts for each unit; use it with :func:`apply_`.

    Parameters
    ----------
    tensor
        With two dimensions.
    sparsity
        The share of zeros, from 0 to 1.
    std
        Of the weights that are not zero.
    generator
        torch's, by default the CPU's global one. The places are drawn from it too.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    ValueError
        For another number of dimensions, a share outside of 0 to 1, or a std that is negative.
    TypeError
        For a tensor that holds no real numbers.

    References
    ----------
    Martens. "Deep learning via Hessian-free optimization". ICML 2010.

    Examples
    --------
    >>> import torch
    >>> from symbreak.torch import init
    >>> (init.sparse_(torch.empty(10, 4), 0.3) == 0).sum(0)
    tensor([3, 3, 3, 3])
    """
    if tensor.dim() != 2:
        raise ValueError(f"sparse_ fills a matrix; the tensor has shape {tuple(tensor.shape)}")
    _check_real("sparse_", tensor)
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity is a share from 0 to 1; got {sparsity!r}")
    if std < 0:
        raise ValueError(f"a standard deviation is not negative; got std={std!r}")
    if _idle(tensor):
        return tensor
    kept = tensor.size(0) - math.ceil(sparsity * tensor.size(0))
    key = key_of(generator)
    if kept == 0 or std == 0:
        return _draw(tensor, Zeros(), key)
    return _draw(tensor, Sparse(kept, std=float(std)), key, axes="io")


def apply_(
    tensor: Tensor,
    initializer: Any,
    *,
    rng: TorchRng = None,
    axes: AxesLike = None,
    generator: "Generator | None" = None,
) -> Tensor:
    """Fill a tensor with any initializer of symbreak: the shelf's, or one of your own.

    Parameters
    ----------
    tensor
        On any device, of any strides; of a DTensor each process draws its own part. One on the meta device is left
        alone.
    initializer
        What :func:`symbreak.get` takes: ``sb.HeNormal()``, ``"glorot_uniform"``, ...
    rng
        What initializers take, or torch's generator; by default the CPU's global one. The weight is then
        ``initializer(shape, rng)``, bit for bit.
    axes
        The layout, such as ``"iohw"`` for a transposed convolution; by default PyTorch's of a linear layer or a
        convolution.
    generator
        The same as a generator in `rng`, for who writes it as for torch's own functions.

    Returns
    -------
    torch.Tensor
        `tensor`.

    Raises
    ------
    TypeError, ValueError
        For an initializer, dtype, axes or source that makes no sense.
    RuntimeError
        For a tensor of which two elements are one.

    Examples
    --------
    >>> import torch, symbreak as sb
    >>> from symbreak.torch import init
    >>> w = init.apply_(torch.empty(64, 32), sb.HeNormal(), rng=sb.Key(0)["fc1.weight"])
    >>> bool((w.numpy() == sb.HeNormal()((64, 32), sb.Key(0)["fc1.weight"])).all())
    True
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"apply_ writes into a torch.Tensor; got {type(tensor).__name__}")
    if rng is not None and generator is not None:
        raise TypeError("apply_ takes `rng` or `generator`, not both")
    found = get(initializer)
    found._as_dtype(str(tensor.dtype).removeprefix("torch."))
    if axes is not None:
        Axes.of(axes, tuple(tensor.shape))
    if _idle(tensor):
        return tensor
    key = key_of(generator) if rng is None else as_torch_key(rng)
    return _draw(tensor, found, key, axes)


def _deprecated(function: Callable[P, R]) -> Callable[P, R]:
    """Give the function under its old name, which says that it is old."""
    name = function.__name__
    old = name.removesuffix("_")

    @functools.wraps(function)
    def outer(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.warn(f"`init.{old}` is an old name of `init.{name}`; use the new one", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    outer.__name__ = outer.__qualname__ = old
    outer.__doc__ = f"Old name of :func:`{name}`; using it gives a FutureWarning."
    return outer


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
