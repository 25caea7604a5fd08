"""Starts of low-rank adapters, as functions of arrays: what the two factors are, and what is left of the weight.

An adapted layer computes W + s B A with W frozen, A of (rank, in), B of (out, rank). Some starts make B A zero, so that
nothing changes; others take B A out of the weight, so that the sum is what it was [1]_.

A convolution's weight, (out, in, height, width), is a matrix as ``weight.reshape(len(weight), -1)``. A, reshaped to
(rank, in, height, width), is then the kernel of a convolution like the layer's, and B, to (out, rank, 1, 1), that of
the pointwise one behind it, as in PEFT; the residual goes back to the weight's shape.

.. [1] Hu et al. "LoRA: low-rank adaptation of large language models". ICLR 2022. :arxiv:`2106.09685`
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dtypes import DTypeLike, as_float_dtype, compute_dtype
from .initializers import Normal, Orthogonal, VarianceScaling
from .initializers._validate import as_float, is_real
from .streams import Key, RngLike, as_key

__all__ = ["Adapter", "lora", "lora_ga", "olora", "pissa"]

Array = npt.NDArray[Any]

AXES = ("oi", "io")
STARTS = ("default", "gaussian", "orthogonal")
OVERSAMPLE = 10  # columns beyond the rank that a random subspace has: Halko, Martinsson, Tropp 2011, section 4.2


class Adapter(NamedTuple):
    """Two factors of low rank, and the weight that they are added to.

    Attributes
    ----------
    a, b
        (rank, in) and (out, rank); (in, rank) and (rank, out) where the weight is ``"io"``.
    residual
        The frozen weight, of the shape and dtype of the weight that was given.
    scale
        The s of W + s B A.
    axes
        ``"oi"`` or ``"io"``, as the weight.
    """

    a: Array
    b: Array
    residual: Array
    scale: float
    axes: str = "oi"

    @property
    def rank(self) -> int:
        """Columns of B, rows of A."""
        return int(self.a.shape[0 if self.axes == "oi" else 1])

    def delta(self) -> Array:
        """Give what the adapter adds, s B A, in float32 (float64 for float64)."""
        first, second = (self.b, self.a) if self.axes == "oi" else (self.a, self.b)
        kind = compute_dtype(np.result_type(first.dtype, second.dtype))
        return np.asarray(kind.type(self.scale) * (first.astype(kind) @ second.astype(kind)))

    def merged(self) -> Array:
        """Give the weight that the layer computes with, residual + s B A, in float32 (float64 for float64)."""
        delta = self.delta()
        return np.asarray(self.residual.astype(np.result_type(delta.dtype, compute_dtype(self.residual.dtype))) + delta)

    def energy(self) -> float:
        """Give the share of the weight's squared norm that the residual no longer has: 1 less the ratio of the two."""
        whole = float(np.sum(self.merged().astype(np.float64) ** 2))
        return 1 - float(np.sum(self.residual.astype(np.float64) ** 2)) / whole if whole else 0.0


def lora(
    weight: Array,
    rank: int,
    rng: RngLike = None,
    *,
    start: str = "default",
    scale: float = 1.0,
    dtype: DTypeLike | None = None,
    axes: str = "oi",
) -> Adapter:
    r"""Start an adapter that changes nothing: B A is zero.

    Parameters
    ----------
    weight
        (out, in), a floating array. It is looked at for its shape and dtype alone, and comes back as the residual.
    rank
        From 1 to the smaller side.
    rng
        As for an initializer.
    start
        ``"default"``: A uniform on :math:`\pm 1/\sqrt{in}`, B zero. ``"gaussian"``: A normal with standard deviation
        1 / rank, B zero. ``"orthogonal"``: neither is zero, but the columns of B and the rows of A lie in orthogonal
        halves of the space between them; an even rank.
    scale
        The s of W + s B A: in PEFT alpha / rank, with rank-stabilised LoRA alpha / sqrt(rank).
    dtype
        Of A and B; by default that of the weight.
    axes
        ``"oi"``, or ``"io"`` for weights of (in, out): Keras, Flax, GPT-2's Conv1D.

    Returns
    -------
    Adapter

    Raises
    ------
    TypeError, ValueError
        For a weight that is no matrix, or a rank, start, scale, dtype or axes that makes no sense.

    References
    ----------
    Hu et al. "LoRA". ICLR 2022, section 4.1. :arxiv:`2106.09685`

    The uniform is that of the authors' code, and PEFT's. "orthogonal" follows PEFT's start of that name.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> weight = sb.GlorotUniform()((64, 32), rng=0)
    >>> adapter = sb.adapters.lora(weight, 8, rng=sb.Key(0)["fc1"])
    >>> adapter.a.shape, adapter.b.shape, bool(adapter.delta().any())
    ((8, 32), (64, 8), False)
    """
    array = _matrix(weight, axes)
    kind = as_float_dtype(array.dtype if dtype is None else dtype)
    out, inputs = array.shape if axes == "oi" else array.shape[::-1]
    _check_rank(rank, out, inputs)
    _check_scale(scale)
    if start not in STARTS:
        raise ValueError(f"lora: start is one of {', '.join(map(repr, STARTS))}; got {start!r}")
    key = as_key(rng)
    if start == "orthogonal":
        a, b = _orthogonal(out, inputs, int(rank), key, compute_dtype(kind))
    else:
        init = VarianceScaling(1 / 3, "in", "uniform") if start == "default" else Normal(1 / rank)
        a, b = init((rank, inputs), key["a"], dtype=compute_dtype(kind)), np.zeros((out, rank), kind)
    return _adapter(a.astype(kind), b.astype(kind), array, scale, axes)


def _orthogonal(out: int, inputs: int, rank: int, key: Key, kind: np.dtype[Any]) -> tuple[Array, Array]:
    if rank % 2:
        raise ValueError(f"lora: the orthogonal start cuts the rank into two halves, so it is even; got {rank}")
    q = Orthogonal()((rank, rank), key["q"], dtype=kind)
    a = q[::2].T @ Normal(0.1)((rank // 2, inputs), key["a"], dtype=kind)
    b = Normal(0.1)((out, rank // 2), key["b"], dtype=kind) @ q[1::2]
    return a, b


def pissa(
    weight: Array,
    rank: int,
    rng: RngLike = 0,
    *,
    iterations: int | None = None,
    scale: float = 1.0,
    dtype: DTypeLike | None = None,
    axes: str = "oi",
) -> Adapter:
    r"""Start an adapter at the largest singular values of the weight, and leave the others in the residual.

    With W = U S V', :math:`B = U_r \sqrt{S_r / s}` and :math:`A = \sqrt{S_r / s}\, V_r'`; the residual is W - s B A.

    Parameters
    ----------
    weight
        (out, in), a floating array.
    rank
        From 1 to the smaller side.
    rng
        For the random start of the iterations. The same key, the same adapter.
    iterations
        None: the exact decomposition. A number, 2 to 4 for the weights of trained networks: that many steps of subspace
        iteration from a random start, in a time that grows with the rank and not with the smaller side.
    scale, dtype, axes
        As for :func:`lora`.

    Returns
    -------
    Adapter
        ``residual + scale * b @ a`` is the weight, up to one rounding of the residual to the weight's dtype: the
        factors are rounded first.

    Raises
    ------
    TypeError, ValueError
        As for :func:`lora`, or for a weight with values that are not finite.

    References
    ----------
    Meng, Wang, Zhang. "PiSSA: principal singular values and singular vectors adaptation". NeurIPS 2024, section 3.
    :arxiv:`2404.02948`

    Halko, Martinsson, Tropp. "Finding structure with randomness". SIAM Review 53 (2011), algorithm 4.4.

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> weight = sb.GlorotUniform()((64, 32), rng=0)
    >>> adapter = sb.adapters.pissa(weight, 8)
    >>> bool(np.allclose(adapter.merged(), weight, atol=1e-7)), round(adapter.energy(), 2)
    (True, 0.49)
    """
    array, units = _read(weight, rank, scale, axes)
    left, values, right = _decompose(units, int(rank), iterations, as_key(rng)["pissa"])
    root = np.sqrt(values / scale)
    return _split(root[:, None] * right, left * root, array, scale, dtype, axes)


def olora(weight: Array, rank: int, *, scale: float = 1.0, dtype: DTypeLike | None = None, axes: str = "oi") -> Adapter:
    """Start an adapter with orthonormal columns: the first `rank` of the QR decomposition of the weight.

    With W = Q R, B is the first columns of Q and A the first rows of R; the residual is W - s B A.

    Parameters
    ----------
    weight
        (out, in), a floating array.
    rank
        From 1 to the smaller side.
    scale, dtype, axes
        As for :func:`lora`.

    Returns
    -------
    Adapter
        ``residual + scale * b @ a`` is the weight, up to one rounding.

    Raises
    ------
    TypeError, ValueError
        As for :func:`pissa`.

    Notes
    -----
    Only the first columns are decomposed; the rows of R follow as Q' W.

    References
    ----------
    Büyükakyüz. "OLoRA: orthonormal low-rank adaptation of large language models". 2024, algorithm 1.
    :arxiv:`2406.01775`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> adapter = sb.adapters.olora(sb.GlorotUniform()((64, 32), rng=0), 8)
    >>> bool(np.allclose(adapter.b.T @ adapter.b, np.eye(8), atol=1e-6))
    True
    """
    array, units = _read(weight, rank, scale, axes)
    q, _ = np.linalg.qr(units[:, :rank])
    return _split(q.T @ units, q, array, scale, dtype, axes)


def lora_ga(
    weight: Array,
    gradient: Array,
    rank: int,
    rng: RngLike = 0,
    *,
    gamma: float = 16.0,
    iterations: int | None = None,
    scale: float = 1.0,
    dtype: DTypeLike | None = None,
    axes: str = "oi",
) -> Adapter:
    r"""Start an adapter whose first step goes where that of the whole weight would go.

    With the gradient G = U S V', A is the first `rank` rows of V', B the next `rank` columns of U, each times
    :math:`\sqrt[4]{out} / \sqrt\gamma`; the residual is W - s B A. A step of gradient descent on A and B then changes
    the weight along the best approximation of G of twice the rank.

    Parameters
    ----------
    weight
        (out, in), a floating array.
    gradient
        Of the loss, averaged over some batches, of the weight's shape.
    rank
        From 1 to half of the smaller side.
    rng
        For the random start of the iterations.
    gamma
        Positive. With s = alpha / sqrt(rank), what B A gives for inputs of variance 1 has the standard deviation
        alpha / gamma, whatever the sizes.
    iterations
        As for :func:`pissa`, for the gradient.
    scale, dtype, axes
        As for :func:`lora`.

    Returns
    -------
    Adapter
        ``residual + scale * b @ a`` is the weight, up to one rounding.

    Raises
    ------
    TypeError, ValueError
        As for :func:`pissa`, for a rank above half of the smaller side, or a gradient of another shape or zero.

    References
    ----------
    Wang, Yu, Li. "LoRA-GA: low-rank adaptation with gradient approximation". NeurIPS 2024, theorem 3.1, section 3.3 and
    algorithm 1. :arxiv:`2407.05000`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> weight, gradient = (sb.Normal(0.1)((64, 32), rng=sb.Key(0)[name]) for name in ("w", "g"))
    >>> adapter = sb.adapters.lora_ga(weight, gradient, 4)
    >>> bool(np.allclose(adapter.merged(), weight, atol=1e-6))
    True
    """
    array, units = _read(weight, rank, scale, axes)
    slope = _matrix(gradient, axes, "gradient")
    if slope.shape != array.shape:
        raise ValueError(f"lora_ga: the gradient has the shape of the weight, {array.shape}; got {slope.shape}")
    if 2 * rank > min(array.shape):
        raise ValueError(
            f"lora_ga: A and B take {rank} directions of the gradient each, but it has {min(array.shape)}; the rank "
            f"is {min(array.shape) // 2} at most"
        )
    if not is_real(gamma) or not 1e-30 < as_float(gamma) < 1e30:
        raise ValueError(f"lora_ga: gamma is a positive number; got {gamma!r}")
    turned = _computed(slope, axes, "gradient")
    if not turned.any():
        raise ValueError("lora_ga: the gradient is zero and has no directions; average it over other batches")
    left, _, right = _decompose(turned, 2 * int(rank), iterations, as_key(rng)["lora_ga"])
    size = left.dtype.type(len(units) ** 0.25 / math.sqrt(gamma))
    return _split(size * right[:rank], size * left[:, rank:], array, scale, dtype, axes)


def _decompose(matrix: Array, count: int, iterations: int | None, key: Key) -> tuple[Array, Array, Array]:
    """Give the first `count` left singular vectors (rows, count), values, and right vectors (count, columns)."""
    if iterations is None:
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        return left[:, :count], values[:count], right[:count]
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 0:
        raise ValueError(f"iterations is a number of steps, 0 or more, or None for the exact ones; got {iterations!r}")
    width = min(count + OVERSAMPLE, *matrix.shape)
    start = Normal()((matrix.shape[1], width), key, dtype=matrix.dtype)
    basis = np.linalg.qr(matrix @ start)[0]
    for _ in range(iterations):
        basis = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ basis)[0])[0]
    inner, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ inner[:, :count], values[:count], right[:count]


def _split(a: Array, b: Array, weight: Array, scale: float, dtype: DTypeLike | None, axes: str) -> Adapter:
    """Round the factors, and take what they then are out of the weight."""
    kind = as_float_dtype(weight.dtype if dtype is None else dtype)
    with np.errstate(all="ignore"):
        a, b = a.astype(kind), b.astype(kind)
        computed = compute_dtype(np.result_type(compute_dtype(weight.dtype), compute_dtype(kind)))
        product = b.astype(computed) @ a.astype(computed)
        product *= computed.type(-scale)
        product += (weight if axes == "oi" else weight.T).astype(computed)
        residual = product.astype(weight.dtype)
    return _adapter(a, b, residual if axes == "oi" else np.ascontiguousarray(residual.T), scale, axes)


def _adapter(a: Array, b: Array, residual: Array, scale: float, axes: str) -> Adapter:
    if axes == "io":
        a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    return Adapter(a, b, residual, float(scale), axes)


def _read(weight: Array, rank: int, scale: float, axes: str) -> tuple[Array, Array]:
    """Give the weight as an array, and as (out, in) in the type that it is computed in."""
    array = _matrix(weight, axes)
    _check_rank(rank, *array.shape)
    _check_scale(scale)
    return array, _computed(array, axes, "weight")


def _matrix(weight: Any, axes: str, name: str = "weight") -> Array:
    array = np.asarray(weight)
    if axes not in AXES:
        raise ValueError(f"axes is 'oi' (out, in) or 'io' (in, out); got {axes!r}")
    try:
        as_float_dtype(array.dtype)
    except TypeError:
        raise TypeError(f"the {name} is an array of floats; got {type(weight).__name__} of {array.dtype}") from None
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"the {name} is a matrix, (out, in), of one unit and one input at least; got the shape {array.shape}: a "
            f"convolution's is reshaped to (out, in * height * width), and `a` back to (rank, in, height, width)"
        )
    return array


def _computed(array: Array, axes: str, name: str) -> Array:
    units: Array = (array if axes == "oi" else array.T).astype(compute_dtype(as_float_dtype(array.dtype)))
    if not np.isfinite(units).all():
        raise ValueError(f"the {name} has values that are not finite; it can't be decomposed")
    return units


def _check_rank(rank: Any, out: int, inputs: int) -> None:
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or not 1 <= rank <= min(out, inputs):
        raise ValueError(
            f"rank is an integer from 1 to {min(out, inputs)}, the smaller side of a weight of {inputs} inputs and "
            f"{out} units; got {rank!r}"
        )


def _check_scale(scale: Any) -> None:
    if not is_real(scale) or not 1e-30 < as_float(scale) < 1e30:
        raise ValueError(f"scale is a positive number, alpha / rank in PEFT; got {scale!r}")
