"""What checkpoints hold beside weights: indices, masks and optimizer state, whose equal slices tie no units."""

import itertools
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from ._bits import bits_of
from ._names import parts, words

Array = npt.NDArray[Any]

SLAB = 1 << 18  # elements looked at together
FEW = 64

# What PyTorch 2.13 calls the tensors in an optimizer's state, `state[...]` in the modules of torch.optim: Adam, AdamW,
# NAdam, RAdam, Adamax, SGD, Muon, RMSprop, Adadelta, Adafactor, ASGD, Rprop and LBFGS.
MOMENTS = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "acc_delta", "grad_avg"}
    | {"row_var", "col_var", "step", "step_size", "mu_product", "prev_flat_grad", "old_dirs", "old_stps"}
)
# Adagrad, ASGD, Rprop and LBFGS also use words that a weight may bear: they count only below PyTorch's own "state".
BELOW_STATE = frozenset({"sum", "ax", "prev", "eta", "mu", "variance", "d", "t", "al", "ro"})

MASKS = frozenset({"mask", "masks"})

# Below these lies nothing else: the state of Optax in a TrainState of Flax's, and that of Flax's own older optimizers.
STATES = frozenset({"opt_state", "param_states"})


def is_optimizer_state(name: str) -> bool:
    """Whether a name is one that the optimizers of PyTorch, Flax or Keras give their state.

    With PyTorch it is the last component that tells, or the last but numbers; with Flax a component before it. Keras
    numbers the variables of an optimizer, `optimizer/vars/3`, and whole models of before have a group
    `optimizer_weights`.

    Examples
    --------
    >>> is_optimizer_state("optimizer.state.0.exp_avg"), is_optimizer_state("state.3.sum"), is_optimizer_state("fc.sum")
    (True, True, False)
    >>> is_optimizer_state("opt_state/0/mu/params/fc/kernel"), is_optimizer_state("params/fc/kernel")
    (True, False)
    >>> is_optimizer_state("optimizer/vars/3"), is_optimizer_state("optimizer_weights/adam/fc1_kernel_momentum")
    (True, True)
    """
    *parents, last = re.split(r"[./]", name)
    if parents[:1] == ["optimizer_weights"]:
        return True
    while last.isdecimal() and parents:  # an item of a list, such as old_dirs.0
        *parents, last = parents
    if last == "vars" and any(part == "optimizer" or part.endswith("_optimizer") for part in parents):
        return True
    return last in MOMENTS or (last in BELOW_STATE and "state" in parents) or not STATES.isdisjoint(parents)


def is_index(array: Array) -> bool:
    """Whether the elements are 64-bit integers: ids, positions, counters. Quantized weights have 32 bits or fewer."""
    return array.dtype.kind in "iu" and array.dtype.itemsize == 8


def is_named_mask(name: str, array: Array) -> bool:
    """Whether an array is called a mask and holds zeros and ones alone: which weights are pruned, who attends to whom.

    Examples
    --------
    >>> is_named_mask("fc1.weight_mask", np.ones((2, 3))), is_named_mask("fc1.weight", np.ones((2, 3)))
    (True, False)
    >>> is_named_mask("decoder.mask", np.full((2, 3), 0.5))
    False
    """
    if words(parts(name)[-1]).isdisjoint(MASKS):
        return False
    edges = [0, *range(min(FEW, array.size), array.size, SLAB), array.size]
    flats = (array.flat[low:high] for low, high in itertools.pairwise(edges))
    return all(bool(((flat == 0) | (flat == 1)).all()) for flat in flats)


def is_additive_mask(array: Array) -> bool:
    """Whether every value is 0 or -inf, with at least one of each: a mask that is added to scores.

    Examples
    --------
    >>> is_additive_mask(np.triu(np.full((3, 3), -np.inf), 1)), is_additive_mask(np.array([0, -np.inf, np.nan]))
    (True, False)
    """
    if array.dtype.kind == "c" or bits_of(array.dtype).always_finite:
        return False
    seen_zero = seen_infinite = False
    edges = [0, *range(min(FEW, array.size), array.size, SLAB), array.size]  # the first few values tell mostly
    with np.errstate(all="ignore"):
        for low, high in itertools.pairwise(edges):
            values = array.flat[low:high]
            zero, infinite = values == 0, np.isinf(values) & (values < 0)
            if not (zero | infinite).all():
                return False
            seen_zero, seen_infinite = seen_zero or bool(zero.any()), seen_infinite or bool(infinite.any())
    return seen_zero and seen_infinite
