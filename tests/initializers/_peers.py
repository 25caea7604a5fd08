"""Where the initializers of other libraries go wrong, each as a measurement of theirs and of ours.

Run as a program it measures with the libraries that are installed and prints the table of `docs/explanation/peers.md`:
``python -m tests.initializers._peers``.
"""

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import symbreak as sb

N = 1 << 22


PEERS = {"torch": "PyTorch", "jax": "JAX", "keras": "Keras"}


class Claim(NamedTuple):
    """One thing that should hold, what a peer gives instead, and what symbreak gives."""

    peer: str
    what: str
    right: str
    measure: Callable[[Any], tuple[Any, Any]]  # the module -> theirs, ours
    holds: Callable[[Any], bool]  # what is true of ours and not of theirs


def refusal(call: Callable[[], Any]) -> str | None:
    """Name the error that a call raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except Exception as error:
        return type(error).__name__
    return None


def near(value: float, relative: float = 0.05) -> Callable[[Any], bool]:
    return lambda got: isinstance(got, int | float) and abs(got / value - 1) <= relative


def worst(stack: np.ndarray) -> float:
    """How far the slices of a stack are from orthogonal."""
    stack = stack.astype(np.float64)
    return float(np.abs(stack @ stack.transpose(0, 2, 1) - np.eye(stack.shape[1])).max())


# --- PyTorch


def depthwise(torch: Any) -> tuple[Any, Any]:
    shape = (64, 1, 3, 3)
    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))[1]
    return theirs, sb.fans(shape, axes=sb.Axes("oihw", groups=64)).fan_out


def transposed(torch: Any) -> tuple[Any, Any]:
    """The variance behind a LeCun-scaled transposed convolution, away from its edges."""
    layer = torch.nn.ConvTranspose2d(64, 16, 4, bias=False)
    x = torch.from_numpy(sb.Normal()((20, 64, 12, 12), rng=0))
    found = []
    for weight in (None, sb.LecunNormal()((64, 16, 4, 4), rng=0, axes="iohw")):
        with torch.no_grad():
            if weight is None:
                torch.manual_seed(0)
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            else:
                layer.weight.copy_(torch.from_numpy(weight))
            found.append(round(float(layer(x)[..., 3:-3, 3:-3].var()), 2))
    return found[0], found[1]


def fused(torch: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    packed = torch.nn.MultiheadAttention(512, 8).in_proj_weight.detach().numpy()
    ours = sb.GlorotUniform()((1536, 512), rng=0, axes=sb.Axes("oi", splits=3))
    return round(float(packed.std()), 4), round(float(ours.std()), 4)


def selu(torch: Any) -> tuple[Any, Any]:
    """The second moment behind a layer with the gain: one, where it keeps it."""
    z = sb.Normal()(N, rng=0, dtype="float64")
    value = 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z))
    moment = float(np.mean(value**2))
    return (round(g**2 * moment, 3) for g in (torch.nn.init.calculate_gain("selu"), sb.gain("selu")))


def tanh(torch: Any) -> tuple[Any, Any]:
    moment = float(np.mean(np.tanh(sb.Normal()(N, rng=0, dtype="float64")) ** 2))
    return (round(g**2 * moment, 3) for g in (torch.nn.init.calculate_gain("tanh"), sb.gain("tanh")))


def torch_half(torch: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: torch.nn.init.orthogonal_(torch.empty(64, 64, dtype=torch.bfloat16)))
    return theirs or "made", worst(sb.Orthogonal()((1, 64, 64), rng=0, axes="boi", dtype="bfloat16")) < 0.02 and "made"


def torch_complex(torch: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: torch.nn.init.orthogonal_(torch.empty(64, 64, dtype=torch.complex64)))
    made = sb.Orthogonal()((64, 64), rng=0, dtype="complex64")
    return theirs or "made", np.abs(made @ made.conj().T - np.eye(64)).max() < 1e-5 and "made"


def torch_stack(torch: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.init.orthogonal_(torch.empty(8, 64, 64)).numpy()
    return float(f"{worst(theirs):.2g}"), float(f"{worst(sb.Orthogonal()((8, 64, 64), rng=0, axes='boi')):.1g}")


def dead(torch: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.init.sparse_(torch.empty(256, 256), 0.99).numpy()
    ours = sb.Sparse(0.01)((256, 256), rng=0)
    return int((~theirs.any(axis=1)).sum()), int((~ours.any(axis=1)).sum())


def again(torch: Any) -> tuple[Any, Any]:
    """Whether one seed gives the same sparse weight twice."""
    make = lambda: torch.nn.init.sparse_(torch.empty(64, 64), 0.9, generator=torch.Generator().manual_seed(0))  # noqa: E731
    ours = lambda: sb.Sparse(0.1)((64, 64), rng=0)  # noqa: E731
    return bool((make() == make()).all()), bool((ours() == ours()).all())


def half_infinite(torch: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: torch.nn.init.trunc_normal_(torch.empty(1000), a=2.0, b=math.inf))
    values = sb.TruncatedNormal(low=2, high=math.inf)(1000, rng=0)
    return theirs or "made", values.min() >= 2 and "made"


def truncated(torch: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    theirs = torch.nn.init.trunc_normal_(torch.empty(N), std=0.02, a=-0.04, b=0.04).numpy()
    ours = sb.TruncatedNormal(0.02, corrected=True)(N, rng=0)
    return round(float(theirs.std()), 4), round(float(ours.std()), 4)


def even(torch: Any) -> tuple[Any, Any]:
    """The largest change that an identity convolution of even size makes to an image."""
    image = torch.from_numpy(sb.Normal()((1, 3, 8, 8), rng=0))
    found = []
    for kernel in (torch.nn.init.dirac_(torch.empty(3, 3, 4, 4)), torch.from_numpy(sb.Dirac()((3, 3, 4, 4)))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            through = torch.nn.functional.conv2d(image, kernel, padding="same")
        found.append(round(float((through - image).abs().max()), 1))
    return found[0], found[1]


def precision(torch: Any) -> tuple[Any, Any]:
    made = [torch.empty(1000, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    for tensor in made:
        torch.nn.init.normal_(tensor, generator=torch.Generator().manual_seed(0))
    theirs = float((made[0] - made[1].float()).abs().max())
    ours = np.abs(sb.Normal()(1000, rng=0) - sb.Normal()(1000, rng=0, dtype="bfloat16").astype(np.float32)).max()
    return round(theirs, 3), round(float(ours), 3)


# --- JAX


@lru_cache(maxsize=1)
def halves(jax: Any) -> tuple[np.ndarray, np.ndarray]:
    """Four million normals in bfloat16, of JAX and of symbreak."""
    theirs = np.asarray(jax.nn.initializers.normal(1.0)(jax.random.key(0), (N,), "bfloat16"))
    return theirs.astype(np.float64), sb.Normal()(N, rng=0, dtype="bfloat16").astype(np.float64)


def distinct(jax: Any) -> tuple[Any, Any]:
    theirs, ours = halves(jax)
    return len(np.unique(theirs)), len(np.unique(ours))


def reach(jax: Any) -> tuple[Any, Any]:
    theirs, ours = halves(jax)
    return round(float(theirs.max()), 2), round(float(ours.max()), 2)


def mean(jax: Any) -> tuple[Any, Any]:
    theirs, ours = halves(jax)
    return tuple(round(abs(float(values.mean())) * math.sqrt(N), 1) for values in (theirs, ours))


def vanished(jax: Any) -> tuple[Any, Any]:
    shape = (1, 1 << 25)
    init = jax.nn.initializers.lecun_normal(in_axis=1, out_axis=0)
    theirs = np.asarray(init(jax.random.key(0), shape, "float16"))
    ours = sb.LecunNormal()(shape, rng=0, dtype="float16")
    return round(float(np.mean(theirs == 0)), 3), round(float(np.mean(ours == 0)), 3)


def jax_half(jax: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: jax.nn.initializers.orthogonal()(jax.random.key(0), (64, 64), "bfloat16"))
    return theirs or "made", worst(sb.Orthogonal()((1, 64, 64), rng=0, axes="boi", dtype="bfloat16")) < 0.02 and "made"


def jax_stack(jax: Any) -> tuple[Any, Any]:
    theirs = np.asarray(jax.nn.initializers.orthogonal()(jax.random.key(0), (8, 64, 64)))
    return float(f"{worst(theirs):.2g}"), float(f"{worst(sb.Orthogonal()((8, 64, 64), rng=0, axes='boi')):.1g}")


def narrowing(jax: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: jax.nn.initializers.delta_orthogonal()(jax.random.key(0), (3, 3, 8, 4)))
    return theirs or "made", sb.DeltaOrthogonal()((3, 3, 8, 4), rng=0, axes="hwio").any() and "made"


def far(jax: Any) -> tuple[Any, Any]:
    """The mean excess over the bound of normals beyond eight sigma, 0.1213 by the formula."""
    theirs = np.asarray(jax.nn.initializers.truncated_normal(1.0, lower=8.0, upper=2000.0)(jax.random.key(0), (N,)))
    with np.errstate(all="ignore"):
        excess = float(np.mean(theirs.astype(np.float64) - 8))
    return round(excess, 4), round(float(sb.TruncatedNormal(low=8, high=2000)(N, rng=0, dtype="float64").mean() - 8), 4)


def negative(jax: Any) -> tuple[Any, Any]:
    init = jax.nn.initializers.variance_scaling(-1.0, "fan_in", "normal")
    values = np.asarray(init(jax.random.key(0), (8, 8)))
    return "all NaN" if np.isnan(values).all() else "values", refusal(lambda: sb.VarianceScaling(-1.0))


def empty(jax: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: jax.nn.initializers.he_normal()(jax.random.key(0), (0, 4)))
    return theirs or "made", sb.HeNormal()((0, 4), rng=0).shape == (0, 4) and "made"


# --- Keras


def keras_depthwise(keras: Any) -> tuple[Any, Any]:
    """The standard deviation over that of He's formula, sqrt(2 / 9)."""
    layer = keras.layers.DepthwiseConv2D(3, depthwise_initializer=keras.initializers.HeNormal(seed=0))
    layer.build((None, 8, 8, 256))
    ours = sb.HeTruncatedNormal()((3, 3, 256, 1), rng=0, axes=sb.Axes("hwio", groups=256, grouped="i"))
    return tuple(round(float(np.std(w)) / math.sqrt(2 / 9), 3) for w in (np.asarray(layer.kernel), ours))


def keras_transposed(keras: Any) -> tuple[Any, Any]:
    layer = keras.layers.Conv2DTranspose(16, 4, kernel_initializer=keras.initializers.HeNormal(seed=0))
    layer.build((None, 8, 8, 64))
    ours = sb.HeTruncatedNormal()((4, 4, 16, 64), rng=0, axes="hwoi")
    return tuple(round(float(np.std(w)) / math.sqrt(2 / 1024), 3) for w in (np.asarray(layer.kernel), ours))


def keras_attention(keras: Any) -> tuple[Any, Any]:
    layer = keras.layers.MultiHeadAttention(2, 8, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    layer.build((None, 4, 16), (None, 4, 16))
    kernels = {weight.path.split("/")[-2]: np.asarray(weight) for weight in layer.weights if "kernel" in weight.path}
    shapes = dict.fromkeys(("query", "key"), (16, 2, 8))
    ours = sb.initialize(shapes, {"*": sb.Rule(sb.GlorotUniform(), axes="ioo")}, rng=1)
    return bool((kernels["query"] == kernels["key"]).all()), bool((ours["query"] == ours["key"]).all())


def keras_gates(keras: Any) -> tuple[Any, Any]:
    layer = keras.layers.LSTM(32, recurrent_initializer=keras.initializers.Orthogonal(seed=0))
    layer.build((None, 4, 8))
    ours = sb.Orthogonal()((32, 128), rng=0, axes=sb.Axes("io", splits=4))
    both = (np.asarray(layer.cell.recurrent_kernel), ours)
    theirs, own = (worst(np.stack(np.split(kernel, 4, axis=1))) for kernel in both)
    return float(f"{theirs:.2g}"), float(f"{own:.1g}")


def keras_half(keras: Any) -> tuple[Any, Any]:
    theirs = refusal(lambda: keras.initializers.Orthogonal()((64, 64), dtype="bfloat16"))
    return theirs or "made", worst(sb.Orthogonal()((1, 64, 64), rng=0, axes="boi", dtype="bfloat16")) < 0.02 and "made"


CLAIMS = [
    Claim("torch", "fan_out of a depthwise kernel (64, 1, 3, 3)", "9", depthwise, near(9)),
    Claim("torch", "variance behind a LeCun-scaled transposed convolution", "1", transposed, near(1, 0.15)),
    Claim("torch", "std of packed query, key, value in 512 dimensions", "0.0442", fused, near(512**-0.5, 0.01)),
    Claim("torch", "second moment behind SELU times its gain", "1", selu, near(1, 0.01)),
    Claim("torch", "second moment behind tanh times its gain", "1", tanh, near(1, 0.01)),
    Claim("torch", "std of a normal asked for 0.02, cut at two sigma", "0.02", truncated, near(0.02, 0.01)),
    Claim("torch", "normals above two sigma (no upper bound)", "made", half_infinite, "made".__eq__),
    Claim("torch", "orthogonal in bfloat16", "made", torch_half, "made".__eq__),
    Claim("torch", "unitary in complex64", "made", torch_complex, "made".__eq__),
    Claim("torch", "eight stacked 64 x 64 weights: error of orthogonality", "0", torch_stack, lambda got: got < 1e-5),
    Claim("torch", "sparse, 256 units, 1 % of the inputs: units without any", "0", dead, lambda got: got == 0),
    Claim("torch", "sparse from one generator seed, twice: the same", "True", again, True.__eq__),
    Claim("torch", "identity kernel 4 x 4 under padding 'same': change of the image", "0", even, lambda got: got == 0),
    Claim(
        "torch",
        "one seed in float32 and bfloat16: largest difference",
        "0.02 at most",
        precision,
        lambda got: got < 0.02,
    ),
    Claim("jax", "4 million normals in bfloat16: distinct values", "thousands", distinct, lambda got: got > 1000),
    Claim("jax", "their largest, which should be near 5", "about 5", reach, lambda got: got > 4.5),
    Claim("jax", "their mean, in standard errors", "below 4", mean, lambda got: got < 4),
    Claim(
        "jax",
        "LeCun normal in float16 with 2**25 inputs: share of zeros",
        "under 0.001",
        vanished,
        lambda got: got < 0.01,
    ),
    Claim("jax", "normals beyond eight sigma: mean excess", "0.1213", far, near(0.1213, 0.01)),
    Claim("jax", "orthogonal in bfloat16", "made", jax_half, "made".__eq__),
    Claim("jax", "eight stacked 64 x 64 weights: error of orthogonality", "0", jax_stack, lambda got: got < 1e-5),
    Claim("jax", "delta-orthogonal from 8 to 4 channels", "made", narrowing, "made".__eq__),
    Claim("jax", "a scale of -1", "refused", negative, "ValueError".__eq__),
    Claim("jax", "He normal of shape (0, 4)", "made", empty, "made".__eq__),
    Claim("keras", "He normal of a depthwise kernel: its std over sqrt(2 / 9)", "1", keras_depthwise, near(1)),
    Claim("keras", "He normal of a transposed kernel: its std over sqrt(2 / 1024)", "1", keras_transposed, near(1)),
    Claim("keras", "attention with one seed: query and key are equal", "False", keras_attention, False.__eq__),
    Claim("keras", "LSTM, orthogonal: error of each gate", "0", keras_gates, lambda got: got < 1e-5),
    Claim("keras", "orthogonal in bfloat16", "made", keras_half, "made".__eq__),
]


def main() -> None:
    """Measure, and print the table in Markdown."""
    import importlib
    from importlib import metadata

    for peer, title in PEERS.items():
        module = importlib.import_module(peer)
        print(f"## {title} {metadata.version(peer).partition('+')[0]}\n")
        print(f"| what | right | {title} | symbreak |\n|---|---|---|---|")
        for claim in (each for each in CLAIMS if each.peer == peer):
            theirs, ours = claim.measure(module)
            print(f"| {claim.what} | {claim.right} | {theirs} | {ours} |")
        print()


if __name__ == "__main__":
    main()
