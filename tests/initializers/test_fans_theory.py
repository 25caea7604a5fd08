"""Fans, by what they are for: variance through real layers, forward and back, for every kind of convolution."""

import math

import numpy as np
import pytest

import symbreak as sb

torch = pytest.importorskip("torch")
F = torch.nn.functional

KEY = sb.Key(3)
LAYERS = {  # shape and axes of the weight; channels in; the layer on (n, channels, 9, 9), without padding
    "convolution": ((48, 32, 3, 3), None, 32, F.conv2d),
    "depthwise": ((64, 1, 3, 3), sb.Axes("oihw", groups=64), 64, lambda x, w: F.conv2d(x, w, groups=64)),
    "depthwise, multiplier 2": ((128, 1, 3, 3), sb.Axes("oihw", groups=64), 64, lambda x, w: F.conv2d(x, w, groups=64)),
    "grouped": ((64, 8, 3, 3), sb.Axes("oihw", groups=4), 32, lambda x, w: F.conv2d(x, w, groups=4)),
    "transposed": ((48, 24, 4, 4), "iohw", 48, F.conv_transpose2d),
    "transposed, grouped": (
        (48, 8, 4, 4), sb.Axes("iohw", groups=4), 48, lambda x, w: F.conv_transpose2d(x, w, groups=4),
    ),
    "Keras": ((3, 3, 32, 48), "hwio", 32, lambda x, w: F.conv2d(x, w.permute(3, 2, 0, 1))),
    "Keras, transposed": ((4, 4, 24, 48), "hwoi", 48, lambda x, w: F.conv_transpose2d(x, w.permute(3, 2, 0, 1))),
    "Keras, depthwise": (
        (3, 3, 64, 2), sb.Axes("hwio", groups=64, grouped="i"), 64,
        lambda x, w: F.conv2d(x, w.permute(2, 3, 0, 1).reshape(128, 1, 3, 3), groups=64),
    ),
}  # fmt: skip
each = pytest.mark.parametrize("name", LAYERS)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Layers this small wait for threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inner(x):
    """Leave out the edges of a transposed convolution, where fewer inputs arrive."""
    return x[..., 3:-3, 3:-3] if x.shape[-1] > 9 else x


def through(name, init):
    """Variance behind the layer of inputs of variance one, and of the gradient at its inputs for one of outputs."""
    shape, axes, channels, layer = LAYERS[name]
    w = torch.from_numpy(init(shape, KEY[name], axes=axes))
    x = torch.from_numpy(sb.Normal()((6, channels, 9, 9), KEY["x"])).requires_grad_()
    y = layer(x, w)
    back = torch.from_numpy(sb.Normal()(tuple(y.shape), KEY["g"]))
    (gradient,) = torch.autograd.grad(y, x, back)
    middle = slice(2, -2) if y.shape[-1] < 9 else slice(None)
    return float(inner(y.detach()).var()), float(gradient[..., middle, middle].var())


@each
def test_fan_in_keeps_the_variance_of_signals_and_fan_out_that_of_gradients(name):
    """Within a sixth: the smallest layer has 576 weights, whose variance varies by six percent."""
    forward, _ = through(name, sb.VarianceScaling(1.0, "in"))
    _, backward = through(name, sb.VarianceScaling(1.0, "out"))
    assert forward == pytest.approx(1.0, rel=0.17)
    assert backward == pytest.approx(1.0, rel=0.17)
    fans = sb.fans(LAYERS[name][0], axes=LAYERS[name][1])
    between, _ = through(name, sb.VarianceScaling(1.0, "geometric"))
    assert between == pytest.approx(math.sqrt(fans.fan_in / fans.fan_out), rel=0.17)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("depthwise", (9, 576)), ("grouped", (72, 576)), ("transposed", (384, 768))],
)
def test_torch_counts_other_fans_there(name, theirs):
    """PyTorch's count leaves groups out of fan_out, and takes a transposed convolution the other way round."""
    shape, axes, *_ = LAYERS[name]
    assert torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape)) == theirs
    assert sb.fans(shape, axes=axes) != theirs
    wrong = sb.Normal(1 / math.sqrt(theirs[1]))
    assert through(name, wrong)[1] != pytest.approx(1.0, rel=0.3)


def test_fused_projections_have_the_fans_of_one():
    """PyTorch starts the packed query, key and value as one weight of three times the units."""
    axes = sb.Axes("oi", splits=3)
    assert sb.fans((192, 64), axes=axes) == (64, 64)
    module = torch.nn.MultiheadAttention(64, 4)
    theirs = float(module.in_proj_weight.detach().std())
    assert theirs == pytest.approx(math.sqrt(2 / (64 + 192)), rel=0.05)
    ours = sb.GlorotUniform()((192, 64), rng=0, axes=axes).std()
    assert ours == pytest.approx(math.sqrt(2 / (64 + 64)), rel=0.05)


def test_a_stride_leaves_fewer_inputs_for_each_output_of_a_transposed_convolution():
    """The fans are those of stride one; at stride s an output reads fan_in / s**2 on average, and the gain makes up."""
    shape = (48, 24, 4, 4)
    w = torch.from_numpy(sb.VarianceScaling(2.0**2, "in")(shape, KEY["w"], axes="iohw"))
    x = torch.from_numpy(sb.Normal()((10, 48, 9, 9), KEY["x"]))
    y = F.conv_transpose2d(x, w, stride=2)[..., 4:-4, 4:-4]
    assert float(np.var(y.numpy())) == pytest.approx(1.0, rel=0.1)
