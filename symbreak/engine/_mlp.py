"""Building a network of dense layers from sizes and an initializer."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from symbreak.initializers import AbstractInitializer, Zeros, get
from symbreak.streams import RngLike, as_key

from ._checks import as_count
from ._dense import Dense
from ._network import Network

InitializerLike = AbstractInitializer | type[AbstractInitializer] | str | Mapping[str, Any]

ZEROS = Zeros()


def mlp(
    sizes: Sequence[int],
    *,
    init: InitializerLike,
    activation: str = "tanh",
    bias_init: InitializerLike | None = ZEROS,
    rng: RngLike = None,
    dtype: str = "float64",
    product: str = "tie_preserving",
) -> Network:
    """Build a network of dense layers.

    Parameters
    ----------
    sizes
        How many inputs, hidden units of each layer, and outputs: ``[2, 8, 1]`` has one hidden layer of 8.
    init
        The initializer of the weights, (units, inputs), or anything that `symbreak.get` takes.
    activation
        That of the hidden units, as `Dense` takes it. The outputs are linear.
    bias_init
        The initializer of the biases, zero by default. None for no biases.
    rng
        Anything that `symbreak.Key` can be made from. Each parameter is drawn from the key of its name, such as
        ``key["layers.0.weight"]``. None draws other numbers at every call.
    dtype
        ``"float64"`` or ``"float32"``.
    product
        ``"tie_preserving"`` or ``"blas"``, as in `Network`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        Fewer than two sizes, or one that is not a whole number of 1 or more.
    TypeError
        Another dtype, or what is no initializer.
    UnknownName
        An activation, product or initializer that isn't known.

    See Also
    --------
    Network : Layers of any kind.
    train : Train it.

    Examples
    --------
    >>> import symbreak as sb
    >>> from symbreak import engine
    >>> net = engine.mlp([2, 8, 1], init=sb.Constant(0.5), rng=0)
    >>> net
    Network([Dense(2 -> 8, tanh), Dense(8 -> 1, identity)], float64, product='tie_preserving')
    >>> net([[1.0, -1.0]])
    array([[0.]])
    """
    if not isinstance(sizes, list | tuple) or len(sizes) < 2:
        raise ValueError(
            f"the sizes of a network are those of its inputs, hidden layers and outputs, such as [2, 8, 1]; "
            f"got {sizes!r}"
        )
    sizes = [as_count(size, "a size") for size in sizes]
    draw = get(init)
    draw_bias = None if bias_init is None else get(bias_init)
    key = as_key(rng)
    layers = []
    for number, (inputs, units) in enumerate(pairwise(sizes)):
        weight = draw((units, inputs), rng=key[f"layers.{number}.weight"], dtype=dtype)
        bias = None if draw_bias is None else draw_bias((units,), rng=key[f"layers.{number}.bias"], dtype=dtype)
        layers.append(Dense(weight, bias, "identity" if number == len(sizes) - 2 else activation))
    return Network(layers, product=product)
