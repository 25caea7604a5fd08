"""Initial weights for a whole Keras model: planned by name and role, and written into its variables."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy.typing as npt

from .._model import NamesLike, RulesLike, plan_model
from .._visible import quoted
from ..recipes import AbstractRecipe
from ..rules import Plan
from ..streams import RngLike, as_key
from ._parameters import split
from ._variables import Found, find_variables, numpy_of


def plan(
    model: Any,
    rules: RulesLike = None,
    *,
    recipe: AbstractRecipe | str | None = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
) -> Plan:
    """Plan the initial weights of a model: which rule each gets, before a number is drawn.

    Parameters
    ----------
    model
        A Keras model or layer that is built.
    rules
        Globs over names such as ``"*/kernel"``, or ``@`` and a role, to what :func:`symbreak.get` takes or a
        :class:`symbreak.Rule`; the first that matches wins. Weights that none matches get what `recipe` says, or what
        their role starts as by default: He's normal for dense and convolutional kernels, LeCun's in attention, Glorot's
        and orthogonal kernels in recurrent cells, whose forget gates start open, ``Normal(0.02)`` for embeddings, ones
        for the scales of norms and running variances, zeros for biases and running means.
    recipe
        A recipe of ``symbreak.recipes``, or its name.
    roles
        Globs to roles, before those that the layers tell.
    names
        From a weight's name to the name whose key it is drawn from, a mapping or a function: with one table of names a
        model starts the same in PyTorch, JAX and Keras. By default it is the weight's own, with automatic names
        (``dense_7``) numbered within the model, so that a model that is made again gets the same weights.

    Returns
    -------
    Plan
        Print it to see each weight's role, initializer, standard deviation and reason. Counters, and what the ``adapt``
        of a layer has measured, are kept as they are.

    Raises
    ------
    RuleError
        If there are no weights, a rule hits none, or an initializer can't make one.
    TypeError, ValueError
        For a model that is none of Keras' or isn't built, or rules, roles or names that make no sense.

    Examples
    --------
    >>> import keras, symbreak as sb  # doctest: +SKIP
    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64)])  # doctest: +SKIP
    >>> print(sb.keras.plan(model))  # doctest: +SKIP
    parameter     role    initializer    std   why
    dense/kernel  linear  HeNormal() io  0.25  keeps the variance through a rectifier
    dense/bias    bias    Zeros()          0   starts at zero
    2 parameters, 2,112 values
    """
    return _plan(find_variables(model), model, rules, recipe, roles, names)


def _plan(found: list[Found], model: Any, rules: Any, recipe: Any, roles: Any, names: Any) -> Plan:
    parameters, kept = split(found)
    table = {each.name: each.key for each in found if each not in kept}
    if isinstance(names, Mapping):
        for name in names:
            if name in table:
                table[name] = names[name]
            else:
                table[name] = name  # which the error names
    made = plan_model(
        parameters,
        rules,
        recipe=recipe,
        roles=roles,
        names=table if names is None or isinstance(names, Mapping) else names,
        model=f"the model {quoted(model.name)}",
    )
    made._check()
    if not kept:
        return made
    return replace(
        made, kept={each.name: numpy_of(each.variable) for each in kept}, names=tuple(each.name for each in found)
    )


def initialize(
    model: Any,
    rules: RulesLike = None,
    rng: RngLike = 0,
    *,
    recipe: AbstractRecipe | str | None = None,
    roles: Mapping[str, str] | None = None,
    names: NamesLike | None = None,
    workers: int | None = None,
) -> Plan:
    """Give every weight of a model its initial values, each from the key of its name.

    The weights of one name and seed are those of every framework, and of :func:`symbreak.initialize` for the same layer
    in PyTorch's order.

    Parameters
    ----------
    model
        A Keras model or layer that is built; its variables are written.
    rules, recipe, roles, names
        As for :func:`plan`.
    rng
        As for an initializer of symbreak's.
    workers
        Threads that draw one weight; they change the time, never the bits.

    Returns
    -------
    Plan
        What was carried out; ``plan.audit(symbreak.keras.arrays(model))`` compares the model with it.

    Raises
    ------
    RuleError, TypeError, ValueError
        As for :func:`plan`, before anything is written.

    Notes
    -----
    The state of an optimizer is not touched: compile the model anew if it has one.

    Examples
    --------
    >>> import keras, numpy as np, symbreak as sb  # doctest: +SKIP
    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64)])  # doctest: +SKIP
    >>> _ = sb.keras.initialize(model, rng=0)  # doctest: +SKIP
    >>> twin = sb.initialize({"dense/kernel": (64, 32)}, {"*": "he_normal"}, rng=0)  # doctest: +SKIP
    >>> bool((sb.keras.arrays(model)["dense/kernel"].T == twin["dense/kernel"]).all())  # doctest: +SKIP
    True
    """
    found = find_variables(model)
    made = _plan(found, model, rules, recipe, roles, names)
    key, variables = as_key(rng), {each.name: each for each in found}
    for row in made.rows:
        if row.source is None:
            each = variables[row.name]
            _assign(each, row.make(key, dtype=made._dtype(row, None), workers=workers))
    return made


def _assign(each: Found, values: npt.NDArray[Any]) -> None:
    each.variable.assign(keras.ops.convert_to_tensor(values, dtype=each.dtype))
