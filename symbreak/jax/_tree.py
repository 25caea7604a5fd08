"""The arrays of a model, by the names of their paths: pytrees, modules of Flax nnx and of Equinox, parameters of Haiku.

A path is joined with slashes: ``params/Dense_0/kernel``, ``layers/0/weight``. What only boxes an array, such as a
``Partitioned`` of Flax or a variable of nnx, adds nothing to it.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from symbreak._visible import visible
from symbreak.dtypes import is_float

Array = np.ndarray[Any, np.dtype[Any]]

BOX = "value"  # the attribute under which boxes of Flax keep their array


@final
@dataclass(frozen=True)
class Leaf:
    """One array of a model, or what stands for one.

    Attributes
    ----------
    path
        The steps that lead to it.
    value
        An array of JAX's or NumPy's, or a ShapeDtypeStruct.
    owner
        The module that has it, where the model is made of modules; else None.
    """

    path: tuple[str, ...]
    value: Any
    owner: Any = None

    @property
    def name(self) -> str:
        """Its path, joined with slashes."""
        return "/".join(self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.value.shape)


@final
@dataclass(frozen=True)
class Model:
    """The arrays of a model, and how to give it others.

    Attributes
    ----------
    leaves
        In the model's order.
    others
        What isn't an array of floats, by name: counters, keys, functions.
    rebuild
        Gives the model with new arrays, by name; arrays without a name there are kept.
    kind
        What the model is, for messages.
    """

    leaves: tuple[Leaf, ...]
    others: Mapping[str, Any]
    rebuild: Callable[[Mapping[str, Any]], Any]
    kind: str

    def arrays(self) -> dict[str, Any]:
        """Give the arrays by name."""
        return {leaf.name: leaf.value for leaf in self.leaves}


def read_model(model: Any) -> Model:
    """Find the arrays of a model.

    Raises
    ------
    TypeError
        A module of Flax linen, which holds no arrays, or of Haiku; or an array alone, which has no name.
    ValueError
        Two arrays with one name.
    """
    found = _read(model)
    seen: set[str] = set()
    for leaf in found.leaves:
        if leaf.name in seen:
            raise ValueError(
                f"two arrays of {found.kind} are called {visible(leaf.name)}, as steps of a path are joined with "
                f"slashes; both would get the same weights: rename a step"
            )
        seen.add(leaf.name)
    return found


def _read(model: Any) -> Model:
    nnx, linen = sys.modules.get("flax.nnx"), sys.modules.get("flax.linen")
    if nnx is not None and isinstance(model, nnx.Module):
        return _read_nnx(nnx, model)
    if linen is not None and isinstance(model, linen.Module):
        raise TypeError(
            f"a module of flax.linen, {type(model).__name__}, holds no parameters; pass its variables: "
            f"jax.eval_shape(module.init, jax.random.key(0), x), or those that module.init made"
        )
    if callable(model) and jax.tree_util.all_leaves([model]):
        raise TypeError(f"{model!r} is a function, which holds no parameters; pass the tree of parameters")
    if is_array(model):
        raise TypeError(
            f"an array alone, of shape {tuple(model.shape)}, has no name to draw it by; pass a tree, such as a "
            f"dictionary, or use symbreak.jax.Initializer for one weight"
        )
    return _read_tree(model)


def values_of(model: Model) -> dict[str, Array]:
    """Give the arrays of a model as NumPy's.

    Raises
    ------
    ValueError
        Where there are none, or one stands for an array alone.
    """
    if not model.leaves:
        raise ValueError(f"{model.kind} has no arrays of numbers to judge")
    for leaf in model.leaves:
        if not hasattr(leaf.value, "__array__"):
            raise ValueError(
                f"{visible(leaf.name)} is a {type(leaf.value).__name__} without values; initialize the model first"
            )
    return {leaf.name: np.asarray(leaf.value) for leaf in model.leaves}


def is_array(value: Any) -> bool:
    """Tell an array, or what stands for one, from anything else."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_weight(value: Any) -> bool:
    """Tell an array of floats, be they complex, from keys, counters and what is no array."""
    return is_array(value) and (is_float(value.dtype) or jnp.issubdtype(value.dtype, jnp.complexfloating))


def _read_tree(tree: Any) -> Model:
    flat, structure = jax.tree_util.tree_flatten_with_path(tree)
    paths = [steps_of(path) for path, _ in flat]
    equinox = sys.modules.get("equinox")
    leaves = [
        Leaf(path, value, None if equinox is None else _owner(equinox, tree, keys))
        for path, (keys, value) in zip(paths, flat, strict=True)
        if is_weight(value)
    ]
    others = {"/".join(path): value for path, (_, value) in zip(paths, flat, strict=True) if not is_weight(value)}

    def rebuild(made: Mapping[str, Any]) -> Any:
        named = zip(("/".join(path) for path in paths), (value for _, value in flat), strict=True)
        every = [made.get(name, value) if is_weight(value) else value for name, value in named]
        return jax.tree_util.tree_unflatten(structure, every)

    return Model(tuple(leaves), others, rebuild, "the tree")


def _read_nnx(nnx: Any, model: Any) -> Model:
    owners = {tuple(map(str, path)): module for path, module in nnx.iter_graph(model) if isinstance(module, nnx.Module)}
    variables = {tuple(map(str, path)): variable for path, variable in nnx.to_flat_state(nnx.state(model))}
    leaves, others = [], {}
    for path, variable in variables.items():
        value = variable.get_value() if hasattr(variable, "get_value") else variable.value
        if is_weight(value):
            leaves.append(Leaf(path, value, owners.get(path[:-1])))
        else:
            others["/".join(path)] = value

    def rebuild(made: Mapping[str, Any]) -> Any:
        state = nnx.state(model)
        flat = [
            (path, variable.replace(made["/".join(map(str, path))]) if "/".join(map(str, path)) in made else variable)
            for path, variable in nnx.to_flat_state(state)
        ]
        nnx.update(model, nnx.from_flat_state(flat))
        return model

    return Model(tuple(leaves), others, rebuild, f"the module {type(model).__name__}")


def steps_of(path: Sequence[Any]) -> tuple[str, ...]:
    """Give the steps of a path, without the last one where that is a box's."""
    steps = tuple(word for each in path for word in str(_step(each)).split("/"))  # Haiku joins names itself
    boxed = len(path) > 1 and isinstance(path[-1], jax.tree_util.GetAttrKey) and steps[-1] == BOX
    return steps[:-1] if boxed else steps


def _step(key: Any) -> Any:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return key


def _owner(equinox: Any, tree: Any, path: Sequence[Any]) -> Any:
    """Give the innermost module of Equinox's that holds the array at the end of a path, if there is one."""
    at, found = tree, None
    for key in path:
        found = at if isinstance(at, equinox.Module) else found
        if _step(key) == BOX and not isinstance(at, equinox.Module):  # the box of another library, which may warn
            return found
        at = _child(at, key)
    return found


def _child(at: Any, key: Any) -> Any:
    """Go one step down a tree."""
    if isinstance(key, jax.tree_util.GetAttrKey):
        return getattr(at, key.name)
    if isinstance(at, Mapping | list | tuple):
        return at[_step(key)]
    below, _ = jax.tree_util.tree_flatten_with_path(at, is_leaf=lambda each: each is not at)
    return next(child for (step,), child in below if step == key)
