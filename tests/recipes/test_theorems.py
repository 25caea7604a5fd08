"""What the papers prove of their starts, on small networks: how signals, gradients and first steps go with depth."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import recipes

from ._models import mlp_blocks, relu


def draw(recipe, shapes, seed=0, **options):
    found = recipe(shapes, **options)
    return found, found.plan().initialize(seed, dtype="float64")


def rms(x):
    return np.sqrt(np.mean(x**2))


def normed(x):
    """Layer norm without parameters."""
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True))


# GPT-2


def stream_variance(recipe, layers, d=48, seed=0):
    """Give the variance of a residual stream after its blocks, over that at its start."""
    _, w = draw(recipe, mlp_blocks(layers, d), seed)
    x = np.random.default_rng(1).normal(size=(64, d))
    start = np.mean(x**2)
    for k in range(layers):
        x = x + relu(normed(x) @ w[f"h.{k}.fc1.weight"].T) @ w[f"h.{k}.fc2.weight"].T
    return np.mean(x**2) / start


def test_the_variance_of_the_stream_of_gpt2_is_flat_in_depth():
    """With branches of the size of the stream. Without the scale it grows in proportion to depth."""
    found = {layers: stream_variance(recipes.GPT2(std=48**-0.5), layers) for layers in (4, 16, 64, 256)}
    assert max(found.values()) / min(found.values()) < 1.15
    assert 1.3 < found[64] < 1.7  # one stream, and half of one: relu halves the variance of n branches of 1 / n
    unscaled = [_unscaled(layers) for layers in (4, 64)]
    assert unscaled[1] / unscaled[0] > 8


def _unscaled(layers, d=48):
    w = sb.initialize(mlp_blocks(layers, d), {"*": sb.Normal(d**-0.5)}, 0)
    x = np.random.default_rng(1).normal(size=(64, d))
    start = np.mean(x**2)
    for k in range(layers):
        x = x + relu(normed(x) @ w[f"h.{k}.fc1.weight"].T) @ w[f"h.{k}.fc2.weight"].T
    return np.mean(x**2) / start


def test_by_the_layer_each_branch_is_scaled_by_its_own_depth():
    """The variance is that of a harmonic sum: relu halves what a branch of 1 / 2 (l + 1) adds."""
    for layers in (4, 32):
        recipe = recipes.GPT2(std=48**-0.5, per_layer=True)
        found = np.mean([stream_variance(recipe, layers, seed=seed) for seed in range(8)])
        assert found == pytest.approx(1 + 0.25 * sum(1 / (k + 1) for k in range(layers)), rel=0.07)


# Fixup: x + W_m relu(... relu(W_1 x)), the last one zero at the start


def fixup_step(layers, names, scaled=True, rate=0.01, d=16):
    """Give how far one step of gradient descent on the blocks moves the outputs, root mean square."""
    shapes = mlp_blocks(layers, d, names=names)
    roles = {f"*.{names[-1]}.*": "branch_out", "*": "branch"}
    if scaled:
        _, w = draw(recipes.Fixup(), shapes, roles=roles)
    else:
        w = sb.initialize(shapes, {f"*.{names[-1]}.*": "zeros", "*": "he_normal"}, 0, dtype="float64")
    rng = np.random.default_rng(2)
    x, target = rng.normal(size=(2, 16, d))
    outputs, caches = _forward(x, w, layers, names)
    assert np.array_equal(outputs, x)  # every block is the identity
    g = (outputs - target) / len(x)
    grads = {}
    for k in reversed(range(layers)):
        inner = caches[k]
        back = g
        for n in reversed(range(len(names))):
            name = f"h.{k}.{names[n]}.weight"
            grads[name] = back.T @ inner[n]
            back = back @ w[name]
            if n:
                back = back * (inner[n] > 0)
        g = g + back
    stepped = {name: array - rate * grads[name] for name, array in w.items()}
    return rms(_forward(x, stepped, layers, names)[0] - outputs)


def _forward(x, w, layers, names):
    caches = []
    for k in range(layers):
        inner = [x]
        for name in names[:-1]:
            inner.append(relu(inner[-1] @ w[f"h.{k}.{name}.weight"].T))
        caches.append(inner)
        x = x + inner[-1] @ w[f"h.{k}.{names[-1]}.weight"].T
    return x, caches


@pytest.mark.parametrize(
    ("names", "depths"),
    [(("a", "b"), (10, 100, 1000)), (("a", "b", "c"), (10, 100)), (("a", "b", "c", "d"), (10, 100))],
)
def test_the_first_step_of_fixup_does_not_depend_on_depth(names, depths):
    """For branches of two, three and four layers. With He's start alone it grows in proportion to depth."""
    found = [fixup_step(layers, names) for layers in depths]
    assert max(found) / min(found) < 1.25
    grown = [fixup_step(layers, names, scaled=False, rate=1e-4) for layers in (10, 100)]
    assert grown[1] / grown[0] > 7


def test_the_first_step_of_fixup_is_in_proportion_to_the_rate():
    assert fixup_step(50, ("a", "b"), rate=0.002) == pytest.approx(0.1 * fixup_step(50, ("a", "b"), rate=0.02), rel=0.1)


# ReZero, SkipInit, LayerScale: x + alpha F(x)


@pytest.mark.parametrize(("recipe", "gain"), [(recipes.ReZero(), (1,)), (recipes.SkipInit(), ())])
def test_blocks_are_the_identity_and_their_gains_can_move(recipe, gain):
    layers, d = 30, 12
    _, w = draw(recipe, mlp_blocks(layers, d, gain=gain))
    rng = np.random.default_rng(3)
    x, target = rng.normal(size=(2, 16, d))
    y = x
    branches = []
    for k in range(layers):
        branches.append(relu(y @ w[f"h.{k}.fc1.weight"].T) @ w[f"h.{k}.fc2.weight"].T)
        y = y + w[f"h.{k}.resweight"] * branches[-1]
    assert np.array_equal(y, x)
    gradients = [np.sum((y - target) * branch) for branch in branches]
    assert min(map(abs, gradients)) > 0.05  # of the gains, at the first step
    assert all(np.any(w[f"h.{k}.fc{n}.weight"]) for k in range(layers) for n in (1, 2))  # the second moves these


def test_layer_scale_starts_near_the_identity():
    _, w = draw(recipes.LayerScale(), mlp_blocks(24, 12, gain=(12,)))
    x = np.random.default_rng(4).normal(size=(16, 12))
    y = x
    for k in range(24):
        y = y + w[f"h.{k}.resweight"] * (relu(y @ w[f"h.{k}.fc1.weight"].T) @ w[f"h.{k}.fc2.weight"].T)
    assert 0 < rms(y - x) < 1e-5


# DeepNorm: LN(alpha x + F(x)); SubLN: x + W_2 LN(relu(W_1 LN(x)))


def post_norm_step(layers, deep, rate=0.02, d=24):
    """Give how far one step moves the outputs of a post-norm network, root mean square."""
    shapes = mlp_blocks(layers, d)
    if deep:
        found, w = draw(recipes.DeepNorm(), shapes)
        alpha = found.multipliers["the residual stream"]
    else:
        alpha, w = 1.0, sb.initialize(shapes, {"*": "glorot_normal"}, 0, dtype="float64")
    rng = np.random.default_rng(5)
    x, target = rng.normal(size=(2, 16, d))
    x, target = normed(x), normed(target)

    def forward(w):
        y, caches = x, []
        for k in range(layers):
            h = relu(y @ w[f"h.{k}.fc1.weight"].T)
            z = alpha * y + h @ w[f"h.{k}.fc2.weight"].T
            caches.append((y, h, z))
            y = normed(z)
        return y, caches

    outputs, caches = forward(w)
    g, grads = (outputs - target) / len(x), {}
    for k in reversed(range(layers)):
        y, h, z = caches[k]
        scale = np.sqrt(np.mean((z - z.mean(axis=1, keepdims=True)) ** 2, axis=1, keepdims=True))
        n = normed(z)
        g = (g - g.mean(axis=1, keepdims=True) - n * np.mean(g * n, axis=1, keepdims=True)) / scale
        grads[f"h.{k}.fc2.weight"] = g.T @ h
        back = g @ w[f"h.{k}.fc2.weight"] * (h > 0)
        grads[f"h.{k}.fc1.weight"] = back.T @ y
        g = alpha * g + back @ w[f"h.{k}.fc1.weight"]
    _check_one(forward, w, grads, target, len(x))
    stepped = {name: array - rate * grads[name] for name, array in w.items()}
    return rms(forward(stepped)[0] - outputs)


def _check_one(forward, w, grads, target, n):
    """Check one entry of the gradient by a difference."""
    name, step = "h.0.fc1.weight", 1e-6
    losses = []
    for sign in (1, -1):
        moved = {**w, name: w[name].copy()}
        moved[name][3, 2] += sign * step
        losses.append(np.sum((forward(moved)[0] - target) ** 2) / (2 * n))
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(grads[name][3, 2], rel=1e-3, abs=1e-7)


def test_the_first_step_of_deepnorm_is_bounded_in_depth():
    """A step moves 128 layers no more than 8; without alpha and beta it moves them further."""
    deep = {layers: post_norm_step(layers, True) for layers in (8, 32, 128)}
    assert max(deep.values()) < 1.3 * deep[8]
    plain = {layers: post_norm_step(layers, False) for layers in (8, 128)}
    assert plain[128] > 2 * plain[8]
    assert plain[128] > 4 * deep[128]


def sub_norm_step(layers, rate=0.02, d=24):
    _, w = draw(recipes.SubLN(), mlp_blocks(layers, d))
    rng = np.random.default_rng(6)
    x = rng.normal(size=(16, d))
    g = rng.normal(size=x.shape) / np.sqrt(x.size)

    def forward(w):
        y, inner = x, []
        for k in range(layers):
            inner.append(normed(relu(normed(y) @ w[f"h.{k}.fc1.weight"].T)))
            y = y + inner[-1] @ w[f"h.{k}.fc2.weight"].T
        return normed(y), inner, rms(y)

    outputs, inner, size = forward(w)
    # The gradient of what reads the stream, by the last layers of the branches: the stream passes it on as it is.
    stepped = {
        name: array - rate * ((g / size).T @ inner[int(name.split(".")[1])] if "fc2" in name else 0)
        for name, array in w.items()
    }
    return rms(forward(stepped)[0] - outputs)


def test_the_first_step_of_subln_is_bounded_in_depth(monkeypatch):
    """The gain makes the stream grow with depth, so that a step moves the outputs no more; without it, it does."""
    found = [sub_norm_step(layers) for layers in (8, 32, 128)]
    assert max(found) == found[0]
    monkeypatch.setattr(recipes.SubLN, "gain", lambda *_: 1.0)
    plain = [sub_norm_step(layers) for layers in (8, 128)]
    assert plain[1] > 1.4 * plain[0]


# T-Fixup


def test_gradients_of_tfixup_are_flat_over_layers():
    """In an encoder of MLPs, from the first to the last block; with Glorot's start alone they explode with depth."""

    def norms(w, layers=48, d=24):
        rng = np.random.default_rng(7)
        x, g = rng.normal(size=(2, 16, d))
        caches = []
        for k in range(layers):
            h = relu(x @ w[f"h.{k}.fc1.weight"].T)
            caches.append((x, h))
            x = x + h @ w[f"h.{k}.fc2.weight"].T
        found = []
        for k in reversed(range(layers)):
            y, h = caches[k]
            back = g @ w[f"h.{k}.fc2.weight"] * (h > 0)
            found.append(np.linalg.norm(g.T @ h) + np.linalg.norm(back.T @ y))
            g = g + back @ w[f"h.{k}.fc1.weight"]
        return np.array(found), rms(x)

    shapes = mlp_blocks(48, 24)
    _, w = draw(recipes.TFixup(), shapes)
    found, size = norms(w)
    assert found.max() / found.min() < 1.6
    assert size < 1.5
    plain, large = norms(sb.initialize(shapes, {"*": "glorot_uniform"}, 0, dtype="float64"))
    assert plain.max() / plain.min() > 1e3 or large > 1e3
