"""Initial weights for a whole model of JAX's: planned by name and role, drawn for the devices that hold them."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import Sharding, SingleDeviceSharding

from symbreak._model import NamesLike, RulesLike, plan_model
from symbreak._turned import draw, draw_region
from symbreak._visible import visible
from symbreak.dtypes import DTypeLike
from symbreak.rules import Plan, Row
from symbreak.streams import Key, as_key

from ._keys import key_of, words_of
from ._parameters import parameters
from ._shards import Index, check_divides, place
from ._tree import Model, is_array, read_model, steps_of, values_of

if TYPE_CHECKING:
    from symbreak.recipes import AbstractRecipe


def plan(
    tree: Any,
    rules: RulesLike = None,
    *,
    recipe: "AbstractRecipe | str | None" = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
) -> Plan:
    """Plan the initial weights of a model: which rule each parameter gets, before a number is drawn.

    Parameters
    ----------
    tree
        A pytree of arrays, or of each a ``jax.ShapeDtypeStruct``: variables of Flax linen, parameters of Haiku, a
        module of Equinox; or a module of Flax nnx. Arrays of floats are parameters, running statistics too; what else
        there is stays as it is.
    rules
        Globs over names such as ``"params/*/kernel"``, or ``@`` and a role, to what :func:`symbreak.get` takes or a
        :class:`symbreak.Rule`; the first that matches wins. Parameters that none matches get what `recipe` says, or
        what their role starts as by default: He's normal for dense and convolutional kernels, LeCun's in attention,
        Glorot's and orthogonal kernels in recurrent cells, whose forget gates start open, ``Normal(0.02)`` for
        embeddings, ones for the scales of norms, zeros for biases.
    recipe
        A recipe of ``symbreak.recipes`` or its name.
    roles
        Globs to roles, before those that names and modules tell.
    names
        From a parameter's name to the name whose key it is drawn from, a mapping or a function: with one table of names
        a model starts the same in PyTorch, JAX and Keras.

    Returns
    -------
    Plan
        Print it to see each parameter's role, initializer, standard deviation and reason.

    Raises
    ------
    RuleError
        If there are no parameters, a rule hits none, or an initializer can't make one.
    TypeError, ValueError
        For a tree, rules, roles or names that make no sense.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import symbreak as sb
    >>> shapes = {
    ...     "Dense_0": {
    ...         "kernel": jax.ShapeDtypeStruct((32, 64), jnp.float32),
    ...         "bias": jax.ShapeDtypeStruct((64,), jnp.float32),
    ...     }
    ... }
    >>> print(sb.jax.plan(shapes))
    parameter       role    initializer     std  why
    Dense_0/bias    bias    Zeros()           0  starts at zero
    Dense_0/kernel  linear  HeNormal() io  0.25  keeps variance through ReLU
    2 parameters, 2,112 values
    """
    return _plan(read_model(tree), rules, recipe, roles, names)


def _plan(model: Model, rules: Any, recipe: Any, roles: Any, names: Any) -> Plan:
    found = plan_model(parameters(model.leaves), rules, recipe=recipe, roles=roles, names=names, model=model.kind)
    found._check()
    return found


def initialize(
    tree: Any,
    rules: RulesLike = None,
    rng: Any = 0,
    *,
    recipe: "AbstractRecipe | str | None" = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
    shardings: Any = None,
    dtype: DTypeLike | None = None,
    workers: int | None = None,
) -> Any:
    """Give every parameter of a model its initial weights, each from the key of its name.

    The weights of one name and seed are those of every framework, of any number of devices, and of
    ``symbreak.initialize`` for the same layer in PyTorch's order.

    Parameters
    ----------
    tree, rules, recipe, roles, names
        As for :func:`plan`.
    rng
        As for an initializer of symbreak's, or a key of JAX's.
    shardings
        One sharding for all parameters, or a tree of them like `tree`; by default each parameter goes where its array
        is, or where its ShapeDtypeStruct says. Each device's part is drawn alone, where the class allows it.
    dtype
        Of the parameters whose rule names none; by default each keeps its own.
    workers
        Threads that draw one parameter; they change the time, never the bits.

    Returns
    -------
    pytree or module
        Like `tree`, with arrays of JAX's. A module of Flax nnx is changed in place and given back.

    Raises
    ------
    RuleError, TypeError, ValueError
        As for :func:`plan`, or where a sharding doesn't divide a parameter.

    Examples
    --------
    >>> import jax
    >>> import symbreak as sb
    >>> shapes = {"Dense_0": {"kernel": jax.ShapeDtypeStruct((32, 64), "float32")}}
    >>> params = sb.jax.initialize(shapes, rng=0)
    >>> twin = sb.initialize({"Dense_0/kernel": (64, 32)}, {"*": "he_normal"}, rng=0)
    >>> bool((params["Dense_0"]["kernel"].T == twin["Dense_0/kernel"]).all())
    True
    """
    model = read_model(tree)
    found = _plan(model, rules, recipe, roles, names)
    where = _shardings(model, shardings)
    key = _as_key(rng)
    for leaf in model.leaves:
        sharding = where.get(leaf.name)
        if sharding is not None:
            check_divides(sharding, leaf.shape, f"the parameter {visible(leaf.name)}")
    rows = {row.name: row for row in found.rows}
    made = {
        leaf.name: _make(rows[leaf.name], key, _kind(found, rows[leaf.name], dtype), where.get(leaf.name), workers)
        for leaf in model.leaves
    }
    return model.rebuild(made)


def arrays(tree: Any) -> dict[str, npt.NDArray[Any]]:
    """Give the arrays of a model by name, as a plan names them: for its audit, or for :func:`symbreak.diagnose`.

    Parameters
    ----------
    tree
        As for :func:`plan`, with arrays.

    Returns
    -------
    dict of str to numpy.ndarray
        Parameters and running statistics, by paths joined with slashes.

    Raises
    ------
    TypeError, ValueError
        For a tree without arrays of floats, or with shapes alone.

    Examples
    --------
    >>> import jax
    >>> import symbreak as sb
    >>> shapes = {"Dense_0": {"kernel": jax.ShapeDtypeStruct((32, 64), "float32")}}
    >>> params = sb.jax.initialize(shapes, rng=0)
    >>> print(sb.jax.plan(shapes).audit(sb.jax.arrays(params)))
    as planned
    """
    return values_of(read_model(tree))


def _kind(found: Plan, row: Row, dtype: DTypeLike | None) -> np.dtype[Any]:
    wanted = row.initializer._as_dtype(found._dtype(row, dtype))
    return np.dtype(jax.dtypes.canonicalize_dtype(wanted))


def _make(row: Row, key: Key, dtype: np.dtype[Any], sharding: "Sharding | None", workers: int | None) -> Any:
    init, axes = row.initializer, row.axes
    named = key[row.name if row.key is None else row.key]
    if sharding is None:
        return jnp.asarray(draw(init, row.shape, named, dtype=dtype, axes=axes, workers=workers))
    if init.elementwise and dtype.kind != "c":
        region = partial(draw_region, init, row.shape, key=named, dtype=dtype, axes=axes, workers=workers)
        return place(row.shape, dtype, sharding, lambda index: region(index or ()))
    whole = draw(init, row.shape, named, dtype=dtype, axes=axes, workers=workers)

    def cut(index: Index) -> Any:
        return whole[index or ()]

    return place(row.shape, dtype, sharding, cut)


def _as_key(rng: Any) -> Key:
    if not isinstance(rng, jax.Array):
        return as_key(rng)
    words = words_of(rng)
    if isinstance(words, jax.core.Tracer):
        raise TypeError(
            "a whole model is drawn on the host, so `rng` can't be a key that is traced by jit or vmap; initialize "
            "outside of it, or use symbreak.jax.Initializer, which a trace may hold"
        )
    return key_of(np.asarray(words))


def _shardings(model: Model, given: Any) -> dict[str, Sharding]:
    """Give the sharding of each parameter that has one."""
    if isinstance(given, Sharding):
        return {leaf.name: given for leaf in model.leaves}
    if given is None:
        found = {leaf.name: getattr(leaf.value, "sharding", None) for leaf in model.leaves}
        return {
            leaf.name: cast("Sharding", found[leaf.name])
            for leaf in model.leaves
            if found[leaf.name] is not None and not _anywhere(leaf.value)
        }
    told = jax.tree_util.tree_flatten_with_path(given, is_leaf=lambda each: isinstance(each, Sharding))[0]
    by_name = {"/".join(steps_of(path)): each for path, each in told if isinstance(each, Sharding)}
    strange = [name for name in by_name if name not in {leaf.name for leaf in model.leaves}]
    if strange or not by_name:
        what = f"names {visible(strange[0])}, which is no parameter" if strange else f"is a {type(given).__name__}"
        raise ValueError(f"`shardings` is one sharding, or a tree of them like the model; it {what}")
    return by_name


def _anywhere(value: Any) -> bool:
    """Tell an array that lies on the default device because nothing was said."""
    return (
        is_array(value) and isinstance(value.sharding, SingleDeviceSharding) and not getattr(value, "committed", True)
    )
