"""muP: the scales and rates of its authors' package, and activations that move alike at every width."""

import numpy as np
import pytest

import symbreak as sb
from symbreak import recipes

from ._models import gpt2, mlp_blocks, relu

ROLES = {"first.*": "input", "second.*": "hidden", "head.*": "readout"}


def shapes(width):
    return {
        "first.weight": (width, 10),
        "first.bias": (width,),
        "second.weight": (width, width),
        "head.weight": (4, width),
    }


@pytest.mark.parametrize("growth", [1, 4, 16])
def test_the_scales_and_factors_of_the_table(growth):
    """Table 8 of the paper, for Adam; the rates of SGD are those of MuSGD."""
    base, wide = gpt2(2, 16), gpt2(2, 16 * growth)
    found = recipes.MuP(base, recipes.GPT2(std=0.1))(wide)
    plan = found.plan()
    out = 0.1 / 4**0.5
    for row in plan.rows:
        name = row.name
        if "c_proj" in name:
            assert row.expected.std == pytest.approx(out * growth**-0.5)
        elif ".c_" in name and "weight" in name:
            assert row.expected.std == pytest.approx(0.1 * growth**-0.5)
        elif name.endswith(("wte.weight", "wpe.weight", "lm_head.weight")):
            assert row.expected.std == pytest.approx(0.1)
        else:
            assert row.expected.std == 0
    assert found.multipliers == {"the outputs of lm_head.weight": 1 / growth}
    if growth == 1:
        assert found.rates == {}
        return
    for name, rates in found.rates.items():
        matrix = ".c_" in name and "weight" in name
        assert rates == ({"adam": 1 / growth, "sgd": 1} if matrix else {"adam": 1, "sgd": growth})
    assert set(found.rates) == set(wide)


def test_a_readout_of_zero_and_the_factors_of_the_base():
    found = recipes.MuP(gpt2(2, 16), recipes.DeepNorm(), zero_readout=True)(gpt2(2, 64))
    assert not found.plan().initialize(0)["lm_head.weight"].any()
    assert found.multipliers == {
        "the residual stream": pytest.approx(4**0.25),
        "the outputs of lm_head.weight": 0.25,
    }
    fused = found.plan().rows[4]
    assert fused.name.endswith("c_attn.weight")
    assert fused.expected.std == pytest.approx(recipes.DeepNorm()(gpt2(2, 16)).plan().rows[4].expected.std / 2)


def test_what_the_base_starts_at_zero_stays_at_zero():
    """The last layer of a block of Fixup's: no width has a standard deviation to carry over."""
    found = recipes.MuP(mlp_blocks(2, 4, gain=(1,)), recipes.Fixup())(mlp_blocks(2, 16, gain=(1,)))
    made = {row.name: row.initializer for row in found.plan().rows}
    assert made["h.0.fc2.weight"] == sb.Zeros()
    assert made["h.0.fc1.weight"].expected((16, 16)).std > 0


def test_the_recipe_of_the_base_may_be_named():
    assert recipes.MuP({}, "gpt2") == recipes.MuP({}, recipes.GPT2())
    assert recipes.get("mup", base={}, recipe={"name": "gpt2", "std": 0.1}) == recipes.MuP({}, recipes.GPT2(std=0.1))
    with pytest.raises(ValueError, match="no recipe is called 'gpt3'"):
        recipes.MuP({}, "gpt3")
    with pytest.raises(TypeError, match="MuP: recipe is another recipe"):
        recipes.MuP({}, recipes.MuP({}))


def test_the_authors_package_gives_the_same():
    mup = pytest.importorskip("mup")
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.first = torch.nn.Linear(10, width)
            self.second = torch.nn.Linear(width, width, bias=False)
            self.head = mup.MuReadout(width, 4, bias=False)

    growth = 16
    net, base, delta = Net(64 * growth), Net(64), Net(128)
    mup.set_base_shapes(net, base, delta=delta)
    found = recipes.MuP(shapes(64), recipes.GPT2(std=0.3))(shapes(64 * growth), roles=ROLES)
    rows = {row.name: row for row in found.plan().rows}
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            continue
        mup.init.normal_(parameter, std=0.3)
        assert parameter.std().item() == pytest.approx(rows[name].expected.std, rel=0.1)
    assert found.multipliers["the outputs of head.weight"] == pytest.approx(1 / net.head.width_mult())
    for kind, make in (("adam", mup.MuAdam), ("sgd", mup.MuSGD)):
        optimizer = make(net.parameters(), lr=1.0)
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = names[id(parameter)]
                assert found.rates.get(name, {kind: 1.0})[kind] == pytest.approx(group["lr"]), (kind, name)


def moves(width, steps, parametrized):
    """Train by Adam, and give how far the activations of each layer move, root mean square."""
    base = shapes(16)
    if parametrized:
        found = recipes.MuP(base, recipes.GPT2(std=0.25))(shapes(width), roles=ROLES)
        multiplier, rates = found.multipliers["the outputs of head.weight"], found.rates
        made = found.plan().initialize(0)
    else:  # the usual start: every weight by its own inputs, and one rate
        multiplier, rates = 1.0, {}
        made = sb.initialize(shapes(width), {"*.weight": "lecun_normal", "*": "zeros"}, 0)
    w = {name: array.astype(float) for name, array in made.items()}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 10)), rng.normal(size=(16, 4))
    m, v = ({name: np.zeros_like(array) for name, array in w.items()} for _ in range(2))

    def forward():
        a = relu(x @ w["first.weight"].T + w["first.bias"])
        b = relu(a @ w["second.weight"].T)
        return a, b, multiplier * b @ w["head.weight"].T

    start = forward()
    for step in range(1, steps + 1):
        a, b, out = forward()
        g = multiplier * (out - y) / len(x)
        gb = g @ w["head.weight"] * (b > 0)
        ga = gb @ w["second.weight"] * (a > 0)
        grads = {"head.weight": g.T @ b, "second.weight": gb.T @ a, "first.weight": ga.T @ x, "first.bias": ga.sum(0)}
        for name, each in grads.items():
            m[name] = 0.9 * m[name] + 0.1 * each
            v[name] = 0.99 * v[name] + 0.01 * each**2
            rate = 0.01 * rates.get(name, {}).get("adam", 1.0)
            scale = np.sqrt(v[name] / (1 - 0.99**step)) + 1e-12
            w[name] -= rate * m[name] / (1 - 0.9**step) / scale
    return np.array([np.sqrt(np.mean((now - then) ** 2)) for now, then in zip(forward(), start, strict=True)])


def test_the_coordinate_check_is_flat_in_width():
    """Over a factor of 32 in width, what three steps move is the same in muP; at one rate for all it grows."""
    narrow, wide = moves(32, 3, True), moves(1024, 3, True)
    assert (np.maximum(wide / narrow, narrow / wide) < 1.2).all()
    usual = moves(1024, 3, False) / moves(32, 3, False)
    assert usual[1] > 4
    assert usual[2] > 8
