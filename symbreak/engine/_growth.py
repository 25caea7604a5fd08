"""How fast an optimizer makes a small difference grow, from an eigenvalue of the Hessian.

Along an eigenvector the gradient of a small difference d is its eigenvalue times d. An optimizer that only adds and
multiplies takes d and its own state v to a linear function of both, a matrix of at most 2 x 2, whose largest absolute
eigenvalue is the growth per step.
"""

from typing import Any

import numpy as np

from ._optimizers import AbstractOptimizer

Array = np.ndarray[Any, np.dtype[Any]]


def step_matrix(optimizer: AbstractOptimizer, eigenvalue: float) -> Array | None:
    """Give the matrix that takes (difference, state) to the next, or None where the step is no linear map of them.

    It is found by taking the optimizer's own steps, so that its weight decay is in it. With learning rate a, eigenvalue
    l (weight decay added) and momentum m, it is ``1 - a l`` for SGD, ``[[1 - a l, -a m], [l, m]]`` for Momentum, and
    ``[[1 - a l (1 + m), -a m**2], [l, m]]`` for Nesterov.
    """
    if not optimizer.polynomial:
        return None
    state = optimizer.start(np.zeros(1))
    if state is not None and (not isinstance(state, np.ndarray) or state.shape != (1,)):
        return None
    size = 1 if state is None else 2

    def after(given: Array) -> Array:
        parameter = given[:1].copy()
        new = optimizer.step(parameter, eigenvalue * parameter, None if state is None else given[1:].copy())
        return parameter if new is None else np.concatenate([parameter, new])

    matrix = np.stack([after(column) for column in np.eye(size)], axis=1)
    for probe in (np.zeros(size), np.full(size, -3.0)):  # a constant, or a power, would show
        if not np.allclose(after(probe), matrix @ probe, rtol=1e-9, atol=1e-12):
            return None
    return matrix


def growth_of(optimizer: AbstractOptimizer, eigenvalue: float) -> float:
    """Give the growth per step along an eigenvector, or nan where the step is not linear."""
    matrix = step_matrix(optimizer, eigenvalue)
    return float("nan") if matrix is None else float(abs(np.linalg.eigvals(matrix)).max())
