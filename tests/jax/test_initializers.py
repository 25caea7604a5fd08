"""Initializers in JAX's form: its names and distributions, the shelf, and the same bits however they are called."""

import inspect
import math

import numpy as np
import pytest

import symbreak as sb

jax = pytest.importorskip("jax")
jnp = jax.numpy

from jax import nn  # noqa: E402

from symbreak.jax import Initializer, initializers  # noqa: E402
from symbreak.jax._keys import NAME  # noqa: E402

KEY = jax.random.key(7)
FAMILY = ["he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform"]
THEIRS = sorted(name for name in dir(nn.initializers) if name[0] != "_" and name != "Initializer")
SHELF = sorted(name for name in dir(initializers) if name[0].isupper() and name != "Initializer")
MADE = [
    (initializers.uniform(), 1, 4, False),
    (initializers.normal(), 1, 4, True),
    *((getattr(initializers, name)(), 2, 4, True) for name in FAMILY),
    (initializers.orthogonal(), 2, 2, False),
    (initializers.truncated_normal(), 1, 4, False),
    (initializers.delta_orthogonal(), 4, 4, False),
    (initializers.variance_scaling(1, "fan_geo_avg", "normal"), 2, 4, False),
]
SHAPES = [(2,), (2, 2), (2, 3), (3, 2), (2, 3, 4), (4, 3, 2), (2, 3, 4, 5)]
CASES = [
    (init, shape, dtype)  # each shape, each dtype
    for init, least, most, complex_ in MADE
    for number, shape in enumerate(each for each in SHAPES if least <= len(each) <= most)
    for dtype in ((jnp.float32, jnp.bfloat16, jnp.float16, *([jnp.complex64] if complex_ else []))[number % 4 :][:1])
]


def same(a, b) -> bool:
    return a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()


def key_of(words) -> sb.Key:
    return sb.Key([int(word) for word in words])[NAME]


# What JAX asks of its own initializers.


@pytest.mark.parametrize(("init", "shape", "dtype"), CASES)
def test_shape_and_dtype_are_what_the_call_asks_for(init, shape, dtype):
    value = init(jax.random.PRNGKey(0), shape, dtype)
    assert isinstance(value, jax.Array)
    assert (value.shape, value.dtype) == (shape, dtype)
    assert np.isfinite(np.asarray(value).astype(complex)).all()


@pytest.mark.parametrize(("init", "shape", "dtype"), CASES)
def test_the_dtype_of_the_constructor_is_that_of_a_call_without_one(init, shape, dtype):
    made = Initializer(init.initializer, dtype=dtype)
    assert same(made(KEY, shape), init(KEY, shape, dtype))


def test_float64_is_float32_unless_it_is_switched_on():
    init = initializers.he_normal()
    assert same(init(KEY, (4, 3), jnp.float64), init(KEY, (4, 3)))
    with jax.enable_x64(True):
        assert init(KEY, (4, 3)).dtype == jnp.float64
        assert same(init(KEY, (4, 3)), jax.jit(init, static_argnums=1)(KEY, (4, 3)))


def test_several_axes_may_be_inputs_or_units_and_others_are_copies():
    shape = (2, 3, 40, 50)
    several = initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=(0, 1), out_axis=(-2, -1))
    assert several.initializer.std(shape) == math.sqrt(1 / 6)
    copies = initializers.variance_scaling(1.0, "fan_avg", "normal", in_axis=0, out_axis=(2, 3), batch_axis=1)
    assert copies.initializer.std(shape) == math.sqrt(1 / ((2 + 2000) / 2))
    assert several(KEY, shape).std() == pytest.approx(math.sqrt(1 / 6), rel=0.03)


@pytest.mark.parametrize("name", [*FAMILY, "variance_scaling"])
def test_a_shape_without_the_axes_is_refused(name):
    made = getattr(initializers, name)(*([1.0, "fan_avg", "normal"] if name == "variance_scaling" else []))
    with pytest.raises(ValueError, match=r"in_axis=-2 is no axis of a weight of shape \(5,\); say in_axis.*`zeros`"):
        made(KEY, (5,))


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_a_scale_that_is_an_array_does_not_change_the_dtype(name):
    made = getattr(initializers, name)(jnp.array(1.0, jnp.float32), jnp.bfloat16)
    assert made(KEY, (4, 4)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", THEIRS)
def test_every_name_of_jax_is_there_with_its_parameters(name):
    theirs, ours = (inspect.signature(getattr(module, name)) for module in (nn.initializers, initializers))
    kept = [[(each.name, each.default) for each in one.parameters.values()] for one in (theirs, ours)]
    assert kept[0] == kept[1]


# Distributions: JAX's own fans, and moments that are known in closed form.

AXES = [
    ((64, 32), {}, (64, 32)),
    ((3, 3, 16, 32), {}, (144, 288)),
    ((32, 4, 16), {"in_axis": 0, "out_axis": (1, 2)}, (32, 64)),
    ((4, 16, 32), {"in_axis": (0, 1), "out_axis": -1}, (64, 32)),
    ((8, 64, 32), {"batch_axis": 0}, (64, 32)),
    ((2, 3, 3, 16, 32), {"batch_axis": (0,)}, (144, 288)),
    ((2, 1, 2, 1, 8, 16), {}, (32, 64)),  # four axes of receptive field
    ((1000, 16), {"out_axis": 0}, (16, 16)),  # an embedding of Flax's: its rows are both inputs and units
]


@pytest.mark.parametrize(("shape", "axes", "fans"), AXES)
def test_fans_are_those_that_jax_counts(shape, axes, fans):
    means = {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": sum(fans) / 2, "fan_geo_avg": math.sqrt(math.prod(fans))}
    for mode, fan in means.items():
        bound = math.sqrt(3 * 2.0 / fan)
        drawn = np.abs(initializers.variance_scaling(2.0, mode, "uniform", **axes)(KEY, shape))
        assert bound * (1 - 60 / drawn.size) < drawn.max() <= bound * (1 + 1e-6)
    theirs = np.abs(nn.initializers.variance_scaling(2.0, "fan_geo_avg", "uniform", **axes)(KEY, shape))
    assert bound * (1 - 60 / theirs.size) < theirs.max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "std", "reach"),
    [
        ("he_normal", math.sqrt(2 / 200), 2 / 0.87962566),
        ("he_uniform", math.sqrt(2 / 200), math.sqrt(3)),
        ("glorot_normal", math.sqrt(2 / 500), 2 / 0.87962566),
        ("glorot_uniform", math.sqrt(2 / 500), math.sqrt(3)),
        ("lecun_normal", math.sqrt(1 / 200), 2 / 0.87962566),
        ("lecun_uniform", math.sqrt(1 / 200), math.sqrt(3)),
    ],
)
def test_families_are_truncated_or_uniform_with_the_variance_that_the_fans_call_for(name, std, reach):
    for module in (initializers, nn.initializers):
        drawn = np.asarray(getattr(module, name)()(KEY, (200, 300)), np.float64)
        assert abs(drawn.mean()) < 5 * std / math.sqrt(drawn.size)
        assert drawn.std() == pytest.approx(std, rel=0.02)
        assert 0.98 * reach * std < np.abs(drawn).max() <= reach * std * (1 + 1e-6)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_complex_weights_have_the_variance_in_both_parts(distribution):
    init = initializers.variance_scaling(2.0, "fan_in", distribution, dtype=jnp.complex64)
    drawn = np.asarray(init(KEY, (400, 500)))
    assert (np.abs(drawn) ** 2).mean() == pytest.approx(2 / 400, rel=0.01)
    assert drawn.real.std() == pytest.approx(math.sqrt(1 / 400), rel=0.01)
    assert drawn.imag.std() == pytest.approx(math.sqrt(1 / 400), rel=0.01)
    assert abs(np.corrcoef(drawn.real.ravel(), drawn.imag.ravel())[0, 1]) < 0.01
    most = {"normal": 99, "uniform": math.sqrt(2), "truncated_normal": 2 / math.sqrt(1 - 4 / math.expm1(4))}
    assert np.abs(drawn).max() / math.sqrt(2 / 400) <= most[distribution] * (1 + 1e-6)
    assert len(np.unique(drawn)) == drawn.size


def test_real_values_are_those_of_symbreaks_own_classes():
    key = key_of(jax.random.key_data(KEY))
    pairs = [
        (initializers.normal(0.02), sb.Normal(0.02), None),
        (initializers.uniform(0.3), sb.Uniform(0, 0.3), None),
        (initializers.truncated_normal(0.5, lower=-1, upper=3), sb.TruncatedNormal(0.5, low=-1, high=3), None),
        (initializers.he_normal(), sb.HeTruncatedNormal(), "io"),
        (initializers.glorot_uniform(), sb.GlorotUniform(), "io"),
        (initializers.orthogonal(2.0), sb.Orthogonal(gain=2.0), "io"),
        (initializers.orthogonal(2.0, column_axis=0), sb.Orthogonal(gain=2.0), "oi"),
        (initializers.HeNormal(), sb.HeNormal(), "io"),
    ]
    for ours, plain, axes in pairs:
        assert np.asarray(ours(KEY, (40, 60))).tobytes() == plain((40, 60), key, axes=axes).tobytes()


def test_orthogonal_columns_lie_along_their_axis():
    for column_axis in (-1, 0, 1):
        w = np.asarray(initializers.orthogonal(0.5, column_axis)(KEY, (5, 7, 4)), np.float64)
        columns = np.moveaxis(w, column_axis, -1).reshape(-1, w.shape[column_axis])
        np.testing.assert_allclose(columns.T @ columns, 0.25 * np.eye(columns.shape[1]), atol=1e-6)


def test_delta_orthogonal_kernels_are_orthogonal_in_the_middle_alone():
    w = np.asarray(initializers.delta_orthogonal(2.0)(KEY, (3, 5, 4, 6)), np.float64)
    np.testing.assert_allclose(w[1, 2] @ w[1, 2].T, 4 * np.eye(4), atol=1e-5)
    assert np.count_nonzero(w) == 24


def test_constants_are_of_any_dtype():
    assert initializers.zeros(KEY, (2, 3), jnp.int32).dtype == jnp.int32
    assert same(initializers.ones(KEY, (2, 3)), jnp.ones((2, 3)))
    assert same(initializers.constant(jnp.arange(3.0))(None, (2, 3)), jnp.tile(jnp.arange(3.0), (2, 1)))


# The shelf.

PARAMETERS = {
    "Blocks": ([sb.HeNormal(), sb.Zeros()],),
    "Chrono": (100,),
    "Constant": (0.5,),
    "Masked": (sb.HeNormal(), "lower"),
    "Perturbed": (sb.Constant(0.5),),
    "Scaled": (sb.HeNormal(), 0.5),
}
SIZES = {
    "Bilinear": (4, 4, 3, 3), "Dirac": (3, 3, 4, 8), "DeltaOrthogonal": (3, 3, 4, 8), "Henaff": (8, 8),
    "Chrono": (40,), "ForgetBias": (40,), "PriorBias": (40,), "MambaDtBias": (40,), "ICNR": (3, 3, 4, 8),
    "Cayley": (8, 8), "SpecialOrthogonal": (8, 8), "HippoLegsA": (8, 8), "HippoLegsB": (1, 8), "LruNuLog": (8,),
    "LruThetaLog": (8,), "S4dFrequency": (8,), "S4dLogDecay": (8,), "LogOfUniform": (8,),
}  # fmt: skip


@pytest.mark.parametrize("name", SHELF)
def test_every_class_of_the_shelf_is_a_callable_of_jaxs_form(name):
    init = getattr(initializers, name)(*PARAMETERS.get(name, ()))
    shape = SIZES.get(name, (16, 8))
    made = init(KEY, shape)
    assert isinstance(made, jax.Array)
    assert same(jax.jit(init, static_argnums=1)(KEY, shape), made)
    plain = getattr(sb, name)(*PARAMETERS.get(name, ()))
    expected = plain(shape, key_of(jax.random.key_data(KEY)), axes=init.layout(shape))
    assert np.asarray(made).tobytes() == expected.tobytes()


def test_the_shelf_holds_every_class_that_draws():
    drawing = {
        name for name in sb.__all__
        if inspect.isclass(cls := getattr(sb, name)) and issubclass(cls, sb.AbstractInitializer)
    }  # fmt: skip
    assert drawing - {"AbstractInitializer", "AbstractVarianceScaling", "SameAs"} == set(SHELF)
    with pytest.raises(AttributeError, match=r"symbreak\.jax\.initializers' has no attribute 'HeNorml'"):
        initializers.HeNorml  # noqa: B018 - to ask for it is the point


@pytest.mark.parametrize(
    ("axes", "shape", "layout"),
    [
        ({}, (64, 32), "io"),
        ({}, (3, 16, 32), "wio"),
        ({}, (3, 3, 16, 32), "hwio"),
        ({}, (3, 3, 3, 16, 32), "dhwio"),
        ({"in_axis": -1, "out_axis": -2}, (32, 64), "oi"),
        ({"in_axis": 1, "out_axis": 0}, (32, 16, 3, 3), "oihw"),
        ({"in_axis": 0, "out_axis": (1, 2)}, (32, 4, 16), "ioo"),
        ({"batch_axis": 0}, (8, 64, 32), "bio"),
        ({"axes": "boi"}, (8, 64, 32), "boi"),
    ],
)
def test_layouts_follow_the_axes(axes, shape, layout):
    init = Initializer(sb.HeNormal(), **axes)
    assert init.layout(shape) == sb.Axes(layout)
    assert init(KEY, shape).std() == pytest.approx(math.sqrt(2 / sb.fans(shape, layout).fan_in), rel=0.1)


def test_splits_and_groups_go_by_a_layout_of_symbreaks():
    init = initializers.Orthogonal(axes=sb.Axes("io", splits=3))
    for part in np.split(np.asarray(init(KEY, (32, 48)), np.float64), 3, axis=1):
        np.testing.assert_allclose(part.T @ part, np.eye(16), atol=1e-6)


# The same bits, eagerly and traced.

EACH = [initializers.he_normal(), initializers.orthogonal(), initializers.HeNormal(), initializers.normal(0.1)]


@pytest.mark.parametrize("init", EACH)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_bits_are_the_same_under_jit_and_for_both_forms_of_a_key(init, dtype):
    eager = init(KEY, (24, 16), dtype)
    assert same(jax.jit(lambda key: init(key, (24, 16), dtype))(KEY), eager)
    assert same(init(jax.random.PRNGKey(7), (24, 16), dtype), eager)
    assert same(jax.jit(lambda key: init(key, (24, 16), dtype))(jax.random.PRNGKey(7)), eager)
    assert not same(init(jax.random.key(8), (24, 16), dtype), eager)


@pytest.mark.parametrize("init", EACH)
def test_vmap_gives_each_key_its_own_weights(init):
    keys = jax.random.split(KEY, (2, 3))
    alone = np.stack([[np.asarray(init(key, (8, 4))) for key in row] for row in keys])
    nested = jax.vmap(jax.vmap(lambda key: init(key, (8, 4))))
    assert np.asarray(nested(keys)).tobytes() == alone.tobytes()
    assert np.asarray(jax.jit(nested)(keys)).tobytes() == alone.tobytes()
    assert len(np.unique(alone.reshape(6, -1), axis=0)) == 6


def test_other_keys_and_other_generators_give_other_weights():
    keys = [KEY, jax.random.fold_in(KEY, 1), jax.random.key(7, impl="rbg")]
    drawn = [np.asarray(initializers.he_normal()(key, (8, 4))).tobytes() for key in keys]
    assert len(set(drawn)) == len(keys)


def test_a_mesh_of_explicit_axes_takes_what_is_made_under_jit():
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x", None))
    init = initializers.he_normal()
    with jax.set_mesh(mesh):
        made = jax.jit(lambda key: init(key, (4, 6), out_sharding=sharding))(KEY)
    assert made.sharding == sharding
    assert np.asarray(made).tobytes() == np.asarray(init(KEY, (4, 6))).tobytes()


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (3, 0, 4, 8)])
def test_a_weight_without_values_is_made_for_any_fan(shape):
    for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg"):
        assert initializers.variance_scaling(2.0, mode, "uniform")(KEY, shape).shape == shape


def test_eval_shape_draws_nothing():
    made = jax.eval_shape(lambda key: initializers.he_normal()(key, (1 << 20, 1 << 20), jnp.bfloat16), KEY)
    assert (made.shape, made.dtype) == ((1 << 20, 1 << 20), jnp.bfloat16)


def test_weights_made_under_scan_and_grad_are_the_same():
    init, keys = initializers.he_normal(), jax.random.split(KEY, 3)
    _, stacked = jax.lax.scan(lambda carry, key: (carry, init(key, (4, 2))), None, keys)
    assert np.asarray(stacked).tobytes() == np.stack([init(key, (4, 2)) for key in keys]).tobytes()
    gradient = jax.grad(lambda x: (x @ init(KEY, (4, 2))).sum())(jnp.ones((3, 4)))
    np.testing.assert_allclose(gradient[0], init(KEY, (4, 2)).sum(1), rtol=1e-6)


def test_an_initializer_is_a_value():
    assert initializers.he_normal() == initializers.he_normal()
    assert hash(initializers.he_normal(in_axis=[0], out_axis=1)) == hash(
        initializers.he_normal(in_axis=(0,), out_axis=1)
    )
    assert initializers.he_normal() != initializers.he_uniform()


# In the libraries.


def test_flax_linen_takes_it_as_a_kernel_init():
    linen = pytest.importorskip("flax.linen")

    class Model(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Dense(8, kernel_init=initializers.he_normal(), bias_init=initializers.zeros)(x)
            x = linen.Dense(8, kernel_init=initializers.he_normal())(x)
            x = x[:, None, None, :]
            x = linen.Conv(6, (3, 3), kernel_init=initializers.DeltaOrthogonal())(x)
            return linen.MultiHeadDotProductAttention(2, kernel_init=initializers.glorot_normal())(x[:, 0])

    x = jnp.ones((2, 8))
    model = Model()
    eager, jitted = model.init(KEY, x), jax.jit(model.init)(KEY, x)
    assert jax.tree.all(jax.tree.map(same, eager, jitted))
    params = eager["params"]
    assert not same(params["Dense_0"]["kernel"], params["Dense_1"]["kernel"])
    assert np.count_nonzero(params["Conv_0"]["kernel"]) == 8 * 6
    kernel = params["MultiHeadDotProductAttention_0"]["query"]["kernel"]
    assert (kernel.shape, bool(kernel.std() > 0)) == ((6, 2, 3), True)
    shapes = jax.eval_shape(model.init, KEY, x)["params"]["Dense_0"]["kernel"]
    assert (shapes.shape, shapes.dtype) == ((8, 8), jnp.float32)


def test_flax_nnx_takes_it_as_a_kernel_init():
    nnx = pytest.importorskip("flax.nnx")
    rngs = nnx.Rngs(0)
    init = initializers.he_normal()
    layers = [nnx.Linear(8, 16, kernel_init=init, rngs=rngs), nnx.Linear(8, 16, kernel_init=init, rngs=rngs)]
    assert not same(layers[0].kernel[...], layers[1].kernel[...])
    assert nnx.Conv(4, 8, (3, 3), kernel_init=initializers.Orthogonal(), rngs=rngs).kernel.shape == (3, 3, 4, 8)

    @nnx.jit
    def make():
        return nnx.Linear(8, 16, kernel_init=init, rngs=nnx.Rngs(0))

    assert same(make().kernel[...], layers[0].kernel[...])


def test_haiku_takes_it_as_a_w_init():
    haiku = pytest.importorskip("haiku")

    def forward(x):
        x = haiku.Linear(16, w_init=initializers.he_normal())(x)
        return haiku.Linear(8, w_init=initializers.HeNormal())(x)

    params = haiku.transform(forward).init(KEY, jnp.ones((2, 16)))
    again = jax.jit(haiku.transform(forward).init)(KEY, jnp.ones((2, 16)))
    assert jax.tree.all(jax.tree.map(same, params, again))
    assert params["linear"]["w"].std() == pytest.approx(math.sqrt(2 / 16), rel=0.15)


def test_equinox_takes_what_it_makes():
    equinox = pytest.importorskip("equinox")
    linear = equinox.nn.Linear(16, 32, key=KEY)
    init = initializers.he_normal(in_axis=-1, out_axis=-2)
    linear = equinox.tree_at(lambda each: each.weight, linear, init(KEY, linear.weight.shape))
    assert linear(jnp.ones(16)).shape == (32,)
    assert linear.weight.std() == pytest.approx(math.sqrt(2 / 16), rel=0.15)


# Bad input.


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (0, r"takes a key of JAX's, such as jax\.random\.key\(0\); got 0"),
        (np.zeros(2, np.int64), r"got an array of shape \(2,\) and dtype int64"),
        (jnp.uint32(0), r"got an array of shape \(\) and dtype uint32"),
        (np.zeros((3, 2), np.uint32), r"one key; got an array of words of shape \(3, 2\); use jax\.vmap"),
    ],
)
def test_what_is_no_key_is_refused(key, message):
    with pytest.raises(TypeError, match=message):
        initializers.he_normal()(key, (2, 3))


def test_keys_are_refused_in_numbers():
    with pytest.raises(TypeError, match=r"one key; got an array of keys of shape \(3,\); use jax\.vmap"):
        initializers.he_normal()(jax.random.split(KEY, 3), (2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.normal(0.0), r"normal: stddev is a positive number; got 0\.0; for a constant .*`zeros`"),
        (lambda: initializers.normal("a"), "normal: stddev is a number; got 'a'"),
        (lambda: initializers.uniform(0), "uniform: scale is 0, which makes every weight zero; for that take `zeros`"),
        (lambda: initializers.uniform(math.inf), "uniform: scale is a finite number; got inf"),
        (lambda: initializers.truncated_normal(-1), "truncated_normal: stddev is a positive number; got -1"),
        (lambda: initializers.truncated_normal(1, lower=3, upper=2), "TruncatedNormal: low is below high"),
        (lambda: initializers.variance_scaling(1, "fan", "normal"), r"mode is one of 'fan_in', .*; got 'fan'"),
        (lambda: initializers.variance_scaling(1, "fan_in", "gauss"), r"distribution is one of .*; got 'gauss'"),
        (lambda: initializers.variance_scaling(-1, "fan_in", "normal"), "scale is a positive number; got -1"),
        (lambda: initializers.he_normal(in_axis="i"), "in_axis is an axis or a sequence of axes; got 'i'"),
        (lambda: initializers.orthogonal(0), "Orthogonal: gain is 0"),
        (lambda: initializers.orthogonal(column_axis=(0, 1)), r"column_axis is one axis; got \(0, 1\)"),
        (lambda: initializers.orthogonal()(KEY, (3,)), r"orthogonal makes weights of two axes or more; .*\(3,\)"),
        (lambda: initializers.orthogonal(column_axis=2)(KEY, (3, 3)), r"column_axis=2 is no axis of a weight"),
        (lambda: initializers.delta_orthogonal()(KEY, (3, 3)), r"three, four or five axes; got the shape \(3, 3\)"),
        (lambda: initializers.delta_orthogonal()(KEY, (3, 3, 2)), r"at least as many units .* \(3, 3, 2\)"),
        (lambda: initializers.HeNormal(out_axis=-2)(KEY, (3, 4)), r"axis 0 of a weight .* is named twice"),
        (lambda: initializers.HeNormal()(KEY, (2, 2, 2, 2, 3, 4)), "has 4 axes that .* don't name; .* at most 3"),
        (lambda: initializers.HeNormal()(KEY, (4,)), r"for a bias use `Zeros\(\)`"),
        (lambda: initializers.he_normal()(KEY, (2, -1)), "`shape` has a negative size"),
        (lambda: initializers.he_normal()(KEY, (2, 3), jnp.int32), "weights can't be made as"),
        (lambda: initializers.uniform()(KEY, (2, 3), jnp.complex64), "weights can't be made as"),
        (lambda: initializers.he_normal()(KEY, (2, 3), None, "x"), "out_sharding is a sharding of JAX's, .*; got 'x'"),
        (lambda: initializers.he_normal()(KEY, (2, 3), None, jax.P("x")), "names axes of a mesh, but none is set"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_shape_without_a_key_is_refused_outside_haiku(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "haiku", raising=False)
    with pytest.raises(TypeError, match=r"takes a key of JAX's before the shape; got \(2, 3\)"):
        initializers.he_normal()((2, 3), jnp.float32)


def _made_by(library, init):
    """Make a layer with an initializer."""
    if library == "linen":
        return pytest.importorskip("flax.linen").Dense(4, kernel_init=init).init(KEY, jnp.ones((2, 3)))
    if library == "nnx":
        nnx = pytest.importorskip("flax.nnx")
        return nnx.Linear(3, 4, kernel_init=init, rngs=nnx.Rngs(0))
    haiku = pytest.importorskip("haiku")
    return haiku.transform(lambda x: haiku.Linear(4, w_init=init)(x)).init(KEY, jnp.ones((2, 3)))  # noqa: PLW0108


@pytest.mark.parametrize("library", ["linen", "nnx", "haiku"])
def test_a_plain_initializer_that_is_handed_to_a_library_says_what_to_pass(library):
    """Its units lie along the first axis, so that it would be scaled by the wrong fan."""
    with pytest.raises(TypeError, match=r"pass `symbreak\.jax\.Initializer\(HeNormal\(\)\)`"):
        _made_by(library, sb.HeNormal())
    _made_by(library, Initializer(sb.HeNormal()))
