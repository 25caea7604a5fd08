"""Starts of attention, as functions of arrays: weights whose products look like those of trained networks."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .dtypes import DTypeLike, as_float_dtype
from .initializers import Normal
from .streams import Key, RngLike, as_key

__all__ = ["Attention", "mimetic"]

Array = npt.NDArray[Any]


class Attention(NamedTuple):
    """The four weights of an attention layer.

    Attributes
    ----------
    query, key
        (heads * head size, width): one head after another.
    value
        (width, width): one head after another.
    output
        (width, width), (out, in) as all of them; with ``axes="io"`` all are turned.
    """

    query: Array
    key: Array
    value: Array
    output: Array


def mimetic(
    width: int,
    heads: int,
    rng: RngLike = None,
    *,
    head_size: int | None = None,
    query_key: Sequence[float] = (0.7, 0.7),
    value_output: Sequence[float] = (0.4, 0.4),
    dtype: DTypeLike = "float32",
    axes: str = "oi",
) -> Attention:
    r"""Make the weights of an attention layer so that their products look like those of a trained one.

    In each head :math:`W_q' W_k \approx \alpha_1 Z + \beta_1 I`, so that a position attends to those like it, and
    :math:`W_o W_v = \alpha_2 Z - \beta_2 I`, with Z normal of variance 1 / width: the two factors are the singular
    vectors, each with the root of the values. A head keeps as many of the largest as it has units, which makes the
    first product approximate; the second is exact.

    Parameters
    ----------
    width
        Of the residual stream.
    heads
        Number of heads.
    rng
        As for an initializer. Every head draws a Z of its own.
    head_size
        Units of the query and key of a head; by default width / heads.
    query_key
        :math:`\alpha_1, \beta_1`; see the notes.
    value_output
        :math:`\alpha_2, \beta_2`; likewise.
    dtype
        Of the weights; they are computed in float64.
    axes
        ``"oi"``, or ``"io"`` for weights of (in, out).

    Returns
    -------
    Attention
        For one fused weight, ``np.concatenate([query, key, value])``.

    Raises
    ------
    TypeError, ValueError
        For sizes that are not positive integers, a width that the heads don't divide, more units in a head than the
        width has, or numbers that are not finite, or zero both.

    Notes
    -----
    The two forms, and that the second is near the negative identity, are the paper's. The numbers by default are those
    with which others have implemented it for vision transformers; they could not be compared with the paper's text.

    The scores of attention divide the first product by the root of the head size, as always. The factors go through
    LAPACK: they agree from one machine to another up to rounding, and the signs of singular vectors; the products do up
    to rounding.

    References
    ----------
    Trockman, Kolter. "Mimetic initialization of self-attention layers". ICML 2023, section 4. :arxiv:`2305.09828`

    Examples
    --------
    >>> import numpy as np, symbreak as sb
    >>> layer = sb.attention.mimetic(64, 4, rng=0)
    >>> product = layer.output @ layer.value
    >>> round(float(np.diag(product).mean()), 1), layer.query.shape
    (-0.4, (64, 64))
    """
    for name, size in (("width", width), ("heads", heads), ("head_size", 1 if head_size is None else head_size)):
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"mimetic: {name} is a positive integer; got {size!r}")
    if head_size is None and width % heads:
        raise ValueError(f"mimetic: {heads} heads don't divide a width of {width}; give head_size")
    units = width // heads if head_size is None else int(head_size)
    if units > width:
        raise ValueError(f"mimetic: a head's product has rank {width} at most; got a head_size of {units}")
    if axes not in ("oi", "io"):
        raise ValueError(f"mimetic: axes is 'oi' (out, in) or 'io' (in, out); got {axes!r}")
    first, second = _read_pair("query_key", query_key), _read_pair("value_output", value_output)
    kind, key = as_float_dtype(dtype), as_key(rng)

    queries, keys = [], []
    for head in range(heads):
        left, right = _factors(width, first[0], first[1], key[f"head {head}"], units)
        queries.append(left.T)
        keys.append(right)
    output, value = _factors(width, second[0], -second[1], key["value output"], width)
    weights = (np.concatenate(queries), np.concatenate(keys), value, output)
    single = np.float64 if kind == np.float64 else np.float32
    turned = (each if axes == "oi" else each.T for each in weights)
    return Attention(*(np.ascontiguousarray(each.astype(single).astype(kind)) for each in turned))


def _factors(width: int, alpha: float, beta: float, key: Key, rank: int) -> tuple[Array, Array]:
    """Give (width, rank) and (rank, width), whose product is alpha Z + beta I cut to its largest singular values."""
    matrix = beta * np.eye(width)
    if alpha:
        matrix += alpha / math.sqrt(width) * Normal()((width, width), key, dtype="float64")
    left, values, right = np.linalg.svd(matrix)
    root = np.sqrt(values[:rank])
    return left[:, :rank] * root, root[:, None] * right[:rank]


def _read_pair(name: str, pair: Any) -> tuple[float, float]:
    try:
        alpha, beta = map(float, pair)
    except (TypeError, ValueError):
        raise ValueError(f"mimetic: {name} is two numbers, of the noise and of the diagonal; got {pair!r}") from None
    if not (abs(alpha) < 1e15 and abs(beta) < 1e15) or alpha == beta == 0:
        raise ValueError(f"mimetic: {name} is two finite numbers, not both zero; got {pair!r}")
    return alpha, beta
