"""Networks with random weights for the engine's tests, drawn with NumPy so that nothing of symbreak's is trusted."""

from itertools import pairwise

import numpy as np

from symbreak import engine


def random_network(sizes, activation="tanh", *, seed=0, bias=True, dtype="float64", product="tie_preserving"):
    """Dense layers of these sizes; all but the last have the activation."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (inputs, units) in enumerate(pairwise(sizes)):
        weight = rng.normal(size=(units, inputs)).astype(dtype)
        offset = rng.normal(size=units).astype(dtype) if bias else None
        layers.append(engine.Dense(weight, offset, activation if number < len(sizes) - 2 else "identity"))
    return engine.Network(layers, product=product)


def random_data(batch, inputs, outputs, loss, *, seed=0):
    """Inputs and targets that fit the loss."""
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=(batch, inputs))
    if loss == "cross_entropy":
        return x, rng.integers(outputs, size=batch)
    return x, rng.integers(2, size=(batch, outputs)) if loss == "logistic" else rng.normal(size=(batch, outputs))


def with_parameters(net, parameters):
    """A network like `net`, with other parameters."""
    layers = []
    for name, layer in net.layers.items():
        layers.append(engine.Dense(parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), layer.activation))
    return engine.Network(layers, product=net.product)


def loss_in_torch(loss):
    """The loss of this name as torch has it, of outputs and targets."""
    from torch.nn import functional

    if loss == "logistic":
        return lambda y, t: functional.binary_cross_entropy_with_logits(y, t.to(y.dtype))
    return {"mse": functional.mse_loss, "cross_entropy": functional.cross_entropy}[loss]


def in_torch(activation):
    """The activation of this name as torch has it."""
    import torch

    functions = {
        "identity": lambda x: x * 1.0,
        "leaky_relu": torch.nn.functional.leaky_relu,
        "softplus": lambda x: torch.nn.functional.softplus(x, threshold=500),  # of exp; beyond it torch gives x itself
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
    }
    return functions[activation] if activation in functions else getattr(torch, activation)
