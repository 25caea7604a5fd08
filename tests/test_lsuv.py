"""Layer-sequential unit variance: reached layer by layer, whatever the layers are, and said where it is not."""

import itertools
import math

import numpy as np
import pytest

import symbreak as sb

KEY = sb.Key(0)
BATCH = 5 * sb.Normal()((200, 24), KEY["batch"])
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def deep(widths=(24, 48, 48, 48, 10), init=None):
    shapes = {f"fc{k}": (out, into) for k, (into, out) in enumerate(itertools.pairwise(widths))}
    return sb.initialize(shapes, {"*": init or sb.Orthogonal()}, KEY)


def run(activation, before=True, batch=BATCH, names=None):
    """Give a forward that reads its layers before or after the activation."""

    def forward(weights):
        x, outputs = batch, {}
        for name in names or weights:
            read = x @ weights[name].astype(np.float32).T
            x = ACTIVATIONS[activation](read)
            outputs[name] = read if before else x
        return outputs

    return forward


def stds(forward, weights):
    return {name: float(np.std(outputs, dtype=np.float64)) for name, outputs in forward(weights).items()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("std", [1.0, 0.3])
def test_every_layer_has_the_variance_that_was_asked_for(activation, std):
    weights, forward = deep(), run(activation)
    result = sb.lsuv(forward, weights, std=std, tolerance=0.01)
    assert result.ok
    for found in stds(forward, result.weights).values():
        assert (found / std) ** 2 == pytest.approx(1, abs=0.01)
    for layer in result.layers:
        assert layer.before == pytest.approx(stds(forward, weights)[layer.name], rel=1e-9)
        assert layer.after == pytest.approx(std, rel=0.005)
        assert result.weights[layer.name] == pytest.approx(layer.factor * weights[layer.name], rel=1e-6)


def test_without_it_the_variances_are_elsewhere():
    found = stds(run("relu"), deep())
    assert all(abs(each**2 - 1) > 0.5 for each in found.values())


def test_a_layer_without_bias_takes_one_step():
    result = sb.lsuv(run("relu"), deep())
    assert [layer.steps for layer in result.layers] == [1, 1, 1, 1]
    assert result.calls == 5


def test_outputs_behind_the_activation_count_too():
    result = sb.lsuv(run("relu", before=False), deep(), tolerance=0.01)
    assert result.ok
    for found in stds(run("relu", before=False), result.weights).values():
        assert found**2 == pytest.approx(1, abs=0.01)
    bent = sb.lsuv(run("tanh", before=False), deep(), std=0.5, tolerance=0.01)  # takes some steps: tanh bends
    assert bent.ok
    assert max(layer.steps for layer in bent.layers) > 1


@pytest.mark.parametrize("before", [True, False])
def test_a_second_run_changes_nothing(before):
    forward = run("relu", before)
    once = sb.lsuv(forward, deep())
    twice = sb.lsuv(forward, once.weights)
    assert twice.calls == 1
    assert [(layer.factor, layer.steps) for layer in twice.layers] == [(1.0, 0)] * 4
    for name, weight in once.weights.items():
        assert twice.weights[name] is weight


def test_what_was_given_is_not_changed_and_what_is_not_named_is_left():
    weights = deep() | {"norm": np.full(4, 7.0)}
    kept = {name: weight.copy() for name, weight in weights.items()}
    result = sb.lsuv(run("relu", names=["fc0", "fc1"]), weights)
    assert list(result.weights) == list(weights)
    for name, weight in kept.items():
        assert (weights[name] == weight).all()
        assert (result.weights[name] == weight).all() == (name not in {"fc0", "fc1"})


@pytest.mark.parametrize("gain", [0.2, 3.0, 30.0])
def test_a_recurrent_weight_that_is_used_many_times_does_not_run_away(gain):
    """After t steps the outputs go with the weight to the power t; plain division by the std would diverge."""
    weights = {"in": sb.Orthogonal()((32, 24), KEY["in"]), "loop": gain * sb.Orthogonal()((32, 32), KEY["loop"])}

    def forward(weights):
        state, uses = BATCH @ weights["in"].T, []
        first = state
        for _ in range(12):
            state = state @ weights["loop"].T
            uses.append(state)
        return {"in": first, "loop": uses}

    result = sb.lsuv(forward, weights, tolerance=0.01)
    assert result.ok
    assert result.layers[1].steps <= 18  # doubling and halving: 12 powers lie between the uses
    variances = [use.var() for use in forward(result.weights)["loop"]]
    assert np.mean(variances) == pytest.approx(1, abs=0.01)


def test_a_weight_that_two_layers_share_is_settled_by_another_sweep():
    weights = {"a": sb.Orthogonal()((24, 24), KEY["a"]), "b": 4 * sb.HeNormal()((24, 24), KEY["b"])}

    def forward(weights):
        one = BATCH @ weights["a"].T
        two = np.maximum(one, 0) @ weights["b"].T
        return {"a": [one, np.maximum(two, 0) @ weights["a"].T], "b": two}

    result = sb.lsuv(forward, weights, tolerance=0.02, sweeps=6)
    assert result.ok
    again = sb.lsuv(forward, result.weights, tolerance=0.02)
    assert again.calls == 1
    assert not sb.lsuv(forward, weights, tolerance=0.02, sweeps=1).ok  # one sweep leaves `a` off


def test_residual_branches_and_convolutions():
    kernels = {
        "conv1": sb.Orthogonal()((8, 3, 3, 3), KEY["conv1"]),
        "conv2": sb.HeNormal()((3, 3, 8, 8), KEY["conv2"], axes="hwio"),
    }
    images = 7 * sb.Normal()((6, 3, 10, 10), KEY["images"])

    def convolve(x, kernel):
        patches = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
        return np.einsum("nihwab,oiab->nohw", patches, kernel)

    def forward(weights):
        one = convolve(images, weights["conv1"])
        branch = convolve(np.maximum(one, 0), weights["conv2"].transpose(3, 2, 0, 1))
        return {"conv1": one, "conv2": one + branch}

    result = sb.lsuv(lambda weights: {**forward(weights)}, kernels, std=1.4)
    assert result.ok
    assert forward(result.weights)["conv2"].std() == pytest.approx(1.4, rel=0.05)


def test_a_dead_layer_is_named_and_left_and_the_others_are_scaled():
    weights = deep() | {}
    weights["fc1"] = np.zeros_like(weights["fc1"])

    def forward(weights):
        first = BATCH @ weights["fc0"].T
        dead = np.maximum(first, 0) @ weights["fc1"].T
        other = first @ weights["fc2"].T
        return {"fc0": first, "fc1": dead, "fc2": other}

    result = sb.lsuv(forward, weights)
    assert not result.ok
    by_name = {layer.name: layer for layer in result.layers}
    assert by_name["fc1"].problem == "its outputs are constant on this batch, so no factor changes their variance"
    assert by_name["fc1"].factor == 1.0
    assert by_name["fc0"].problem is by_name["fc2"].problem is None
    assert by_name["fc2"].after == pytest.approx(1, rel=0.05)
    assert "fc1: its outputs are constant on this batch" in str(result)


def test_outputs_that_are_not_finite_are_named():
    weights = {"w": np.full((4, 24), np.inf)}
    with np.errstate(all="ignore"):
        result = sb.lsuv(lambda weights: {"w": BATCH @ weights["w"].T}, weights)
    assert result.layers[0].problem == "its outputs are not finite"


def test_a_bias_larger_than_what_is_asked_for_is_named_and_the_nearest_kept():
    bias = 3 * sb.Normal()(48, KEY["bias"])
    result = sb.lsuv(lambda weights: {"w": BATCH @ weights["w"].T + bias}, {"w": sb.HeNormal()((48, 24), KEY["w"])})
    [layer] = result.layers
    assert not result.ok
    assert layer.problem.startswith(f"its outputs have the standard deviation {layer.after:.4g} where 1 was asked for")
    assert layer.after < layer.before
    assert layer.after == pytest.approx(np.std(bias), rel=0.1)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_outputs_beyond_the_reach_of_a_factor_are_told_from_those_that_do_not_follow(size):
    weights = {"w": sb.HeNormal()((48, 24), KEY["w"], dtype="float64")}
    result = sb.lsuv(lambda weights: {"w": size * (BATCH @ weights["w"].T)}, weights)
    [layer] = result.layers
    assert layer.problem.startswith(f"its outputs have the standard deviation {layer.after:.4g} where 1 was asked for:")
    assert layer.problem.endswith("a weight is scaled by 1e-12 to 1e+12; start from weights, or a batch, nearer to one")
    assert max(layer.factor, 1 / layer.factor) == pytest.approx(1e12)
    assert layer.after == pytest.approx(layer.before * layer.factor)


def test_a_bias_takes_more_steps_along_the_slope_that_was_seen():
    """Where the bias makes 0.9 of the variance, division by the std leaves 0.9 of the error at every step."""
    bias = sb.Normal()(48, KEY["bias"])
    bias *= np.float32(math.sqrt(0.9)) / bias.std()
    weights = {"w": sb.HeNormal()((48, 24), KEY["w"])}
    result = sb.lsuv(lambda weights: {"w": BATCH @ weights["w"].T + bias}, weights, tolerance=1e-3)
    assert result.ok
    assert 1 < result.layers[0].steps <= 10


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_weights_keep_their_dtype_and_are_rounded_once(dtype):
    weights = {name: weight.astype(sb.Zeros()(1, dtype=dtype).dtype) for name, weight in deep().items()}
    result = sb.lsuv(run("relu"), weights)
    assert result.ok
    for layer in result.layers:
        kind = np.float64 if dtype == "float64" else np.float32
        scaled = weights[layer.name].astype(kind) * kind(layer.factor)
        assert result.weights[layer.name].tobytes() == scaled.astype(weights[layer.name].dtype).tobytes()


def test_a_network_in_torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8)).requires_grad_(True)
    batch = torch.from_numpy(BATCH)

    def forward(weights):
        outputs = {}
        hooks = [
            module.register_forward_hook(lambda module, read, made, name=name: outputs.update({f"{name}.weight": made}))
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
        ]
        torch.func.functional_call(model, {name: torch.from_numpy(w) for name, w in weights.items()}, (batch,))
        for hook in hooks:
            hook.remove()
        return outputs

    result = sb.lsuv(forward, model.state_dict())
    assert result.ok
    assert list(result.weights) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [layer.name for layer in result.layers] == ["0.weight", "2.weight"]
    named = sb.lsuv(forward, dict(model.named_parameters()))
    assert named.weights["0.weight"].dtype == np.float32
    coarse = {"w": torch.ones(3, 24, dtype=torch.bfloat16) * torch.arange(1, 4)[:, None]}
    assert sb.lsuv(lambda w: {"w": BATCH @ w["w"].astype("f4").T}, coarse).weights["w"].dtype.name == "bfloat16"


def test_a_network_in_jax():
    jnp = pytest.importorskip("jax.numpy")
    result = sb.lsuv(lambda weights: {"w": jnp.asarray(BATCH) @ jnp.asarray(weights["w"]).T}, {"w": jnp.ones((3, 24))})
    assert result.ok


def test_the_result_prints_as_a_table():
    text = str(sb.lsuv(run("relu"), deep()))
    assert text.splitlines()[0].split() == ["weight", "factor", "steps", "std", "before", "after"]
    assert len(text.splitlines()) == 5


def alternate():
    calls = []

    def forward(weights):
        calls.append(1)
        return {"fc0" if len(calls) % 2 else "fc1": BATCH}

    return forward


GOOD = {"fc0": np.ones((3, 24), np.float32), "fc1": np.ones((3, 3), np.float32)}


@pytest.mark.parametrize(
    ("forward", "arguments", "error", "message"),
    [
        (3, {}, TypeError, "lsuv: forward is a function of the weights; got int"),
        (run("relu"), {"weights": [1]}, TypeError, r"lsuv: weights are arrays by name, one at least; got \[1\]"),
        (run("relu"), {"weights": {}}, TypeError, "lsuv: weights are arrays by name, one at least"),
        (run("relu"), {"weights": {1: BATCH}}, TypeError, "lsuv: a weight's name is a string; got 1"),
        (
            run("relu"),
            {"weights": {"a": np.ones(3, int)}},
            TypeError,
            "lsuv: 'a' is an array of floats; got ndarray of int",
        ),
        (run("relu"), {"std": 0}, ValueError, "lsuv: std is a positive number; got 0"),
        (run("relu"), {"tolerance": -0.1}, ValueError, "lsuv: tolerance is a positive number; got -0.1"),
        (run("relu"), {"tolerance": 2}, ValueError, "lsuv: tolerance is a share of the variance, below 1; got 2"),
        (run("relu"), {"steps": 0}, ValueError, "lsuv: steps is a positive integer; got 0"),
        (run("relu"), {"sweeps": 1.5}, ValueError, "lsuv: sweeps is a positive integer; got 1.5"),
        (lambda w: BATCH, {}, TypeError, "forward gives the outputs of the layers by the name .* got ndarray"),
        (lambda w: {}, {}, TypeError, "forward gives the outputs of the layers by the name .* got dict"),
        (
            lambda w: {"fc7": BATCH},
            {},
            ValueError,
            "gave the outputs of 'fc7', but the weights are 'fc0', 'fc1'",
        ),
        (lambda w: {"fc0": []}, {}, ValueError, "lsuv: forward gave an empty list of outputs for 'fc0'"),
        (
            lambda w: {"fc0": np.ones(1)},
            {},
            ValueError,
            "outputs of 'fc0' are an array of two numbers or more, .* 1 of",
        ),
        (lambda w: {"fc0": np.array(["a", "b"])}, {}, ValueError, "the outputs of 'fc0' .* got 2 of dtype <U1"),
        (alternate(), {}, ValueError, "forward names the same layers in the same order at every call; it gave"),
    ],
)
def test_what_makes_no_sense_is_refused(forward, arguments, error, message):
    with pytest.raises(error, match=message):
        sb.lsuv(forward, **{"weights": GOOD, **arguments})


def test_factors_are_bounded():
    """A weight that is far too small is scaled at once; one whose outputs forget it is not scaled for ever."""
    tiny = {"w": np.full((3, 24), 1e-8, np.float32) * np.arange(1, 4, dtype=np.float32)[:, None]}
    assert sb.lsuv(lambda weights: {"w": BATCH @ weights["w"].T}, tiny).ok
    deaf = sb.lsuv(lambda weights: {"w": 3 * BATCH}, tiny)
    assert deaf.layers[0].factor == 1.0
    assert math.isclose(deaf.layers[0].after, deaf.layers[0].before)
    assert deaf.weights["w"] is tiny["w"]
