"""Every function of ``symbreak.torch.init``: what torch's own tests ask of them, and what torch's don't do."""

import inspect
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import symbreak as sb

torch = pytest.importorskip("torch")

from symbreak.torch import init  # noqa: E402
from symbreak.torch._generator import key_of  # noqa: E402
from symbreak.torch._memory import find_shard, write_tasks  # noqa: E402

RANDOM = {
    "uniform_": {}, "normal_": {}, "trunc_normal_": {}, "xavier_uniform_": {}, "xavier_normal_": {},
    "kaiming_uniform_": {}, "kaiming_normal_": {}, "orthogonal_": {}, "sparse_": {"sparsity": 0.3},
}  # fmt: skip
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def as_float64(tensor):
    return tensor.detach().double().numpy().ravel()


# What is there


def test_every_name_of_torch_is_there_with_its_parameters():
    names = set(torch.nn.init.__all__)
    assert names <= set(init.__all__)
    for name in (each for each in names if each.endswith("_")):
        theirs, ours = (inspect.signature(getattr(module, name)).parameters for module in (torch.nn.init, init))
        assert [*theirs] == [*ours]
        assert [each.default for each in theirs.values()] == [each.default for each in ours.values()]


@pytest.mark.parametrize("name", [each for each in torch.nn.init.__all__ if each + "_" in torch.nn.init.__all__])
def test_old_names_warn_and_work(name):
    given = {"eye": ((3, 3), ()), "dirac": ((3, 3, 3), ()), "sparse": ((4, 4), (0.5,)), "constant": ((3,), (2.0,))}
    shape, rest = given.get(name, ((3, 3), ()))
    tensor = torch.empty(shape)
    with pytest.warns(FutureWarning, match=rf"`init.{name}` is an old name of `init.{name}_`") as record:
        assert getattr(init, name)(tensor, *rest) is tensor
    assert record[0].filename == __file__
    assert getattr(init, name).__name__ == name


# Gains and fans


@pytest.mark.parametrize("name", [*init.LINEAR, "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_torch_s(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize("slope", [0, 1, -1, 0.1, 10.5])
def test_the_gain_of_a_leaky_relu_follows_its_slope(slope):
    assert init.calculate_gain("leaky_relu", slope) == math.sqrt(2 / (1 + slope**2))


@pytest.mark.parametrize("slope", [True, "0.1", [0.1], object()])
def test_a_slope_is_a_number(slope):
    with pytest.raises(ValueError, match="the negative slope of a leaky ReLU is a number; got"):
        init.calculate_gain("leaky_relu", slope)


def test_a_nonlinearity_that_torch_has_not_is_refused():
    with pytest.raises(ValueError, match=r"no gain for the nonlinearity 'gelu'.*symbreak.gain\('gelu'\) computes"):
        init.calculate_gain("gelu")


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 7), (3, 5, 7, 2), (4, 3, 2, 2, 2)])
def test_fans_are_torch_s(shape):
    tensor = torch.empty(shape)
    expected = torch.nn.init._calculate_fan_in_and_fan_out(tensor)
    assert init._calculate_fan_in_and_fan_out(tensor) == expected
    assert init._calculate_correct_fan(tensor, "FAN_IN") == expected[0]
    assert init._calculate_correct_fan(tensor, "fan_out") == expected[1]


# Distributions


@pytest.mark.parametrize("shape", [(6000,), (60, 100), (20, 15, 20), (10, 10, 6, 10)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_is_uniform(shape, dtype):
    values = init.uniform_(torch.empty(shape, dtype=dtype), -3, 5, generator=seeded())
    assert stats.kstest(as_float64(values), "uniform", (-3, 8)).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(6000,), (60, 100), (10, 10, 6, 10)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normal_is_normal(shape, dtype):
    values = init.normal_(torch.empty(shape, dtype=dtype), 3, 0.5, generator=seeded())
    assert stats.kstest(as_float64(values), "norm", (3, 0.5)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 2, -1, 2), (0, 0.02, -2, 2), (0, 1, 3, 5), (-4, 0.5, 1, 2)]
)
def test_a_truncated_normal_is_one_in_its_tails_too(mean, std, a, b):
    values = as_float64(init.trunc_normal_(torch.empty(6000), mean, std, a, b, generator=seeded()))
    assert values.min() >= np.float32(a)
    assert values.max() <= np.float32(b)
    assert stats.kstest(values, "truncnorm", ((a - mean) / std, (b - mean) / std, mean, std)).pvalue > 1e-4


def test_a_small_truncated_normal_in_half_precision_has_no_outliers():
    for dtype in (torch.float16, torch.bfloat16):
        values = init.trunc_normal_(torch.empty(200_000, dtype=dtype), std=0.02, generator=seeded()).float()
        assert values.abs().max() < 0.12
        assert abs(values.std() / 0.02 - 1) < 0.02


@pytest.mark.parametrize("shape", [(80, 60), (30, 20, 8), (16, 12, 5, 5), (8, 12, 3, 4, 4)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_glorot_has_torch_s_variance(shape, gain):
    fan_in, fan_out = shape[1] * math.prod(shape[2:]), shape[0] * math.prod(shape[2:])
    std = gain * math.sqrt(2 / (fan_in + fan_out))
    normal = init.xavier_normal_(torch.empty(shape), gain, generator=seeded())
    uniform = init.xavier_uniform_(torch.empty(shape), gain, generator=seeded(1))
    assert stats.kstest(as_float64(normal), "norm", (0, std)).pvalue > 1e-4
    bound = math.sqrt(3) * std
    assert stats.kstest(as_float64(uniform), "uniform", (-bound, 2 * bound)).pvalue > 1e-4


@pytest.mark.parametrize("shape", [(80, 60), (30, 20, 8), (16, 12, 5, 5)])
@pytest.mark.parametrize(("a", "mode", "nonlinearity"), [
    (0, "fan_in", "leaky_relu"), (0.3, "fan_out", "leaky_relu"), (0, "fan_in", "relu"), (0, "fan_out", "linear"),
    (math.sqrt(5), "fan_in", "leaky_relu"), (0, "fan_in", "selu"),
])  # fmt: skip
def test_he_has_torch_s_variance_and_is_not_truncated(shape, a, mode, nonlinearity):
    fan = (shape[1] if mode == "fan_in" else shape[0]) * math.prod(shape[2:])
    std = torch.nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan)
    normal = as_float64(init.kaiming_normal_(torch.empty(shape), a, mode, nonlinearity, generator=seeded()))
    assert stats.kstest(normal, "norm", (0, std)).pvalue > 1e-4
    assert abs(normal).max() > 2.3 * std
    uniform = as_float64(init.kaiming_uniform_(torch.empty(shape), a, mode, nonlinearity, generator=seeded(1)))
    bound = math.sqrt(3) * std
    assert stats.kstest(uniform, "uniform", (-bound, 2 * bound)).pvalue > 1e-4


@pytest.mark.parametrize(
    "shape", [(4, 4), (5, 3), (3, 5), (20, 7), (4, 3, 2), (3, 4, 2, 2), (2, 3, 2, 2, 2), (3, 2, 1, 2, 1, 2)]
)
@pytest.mark.parametrize("gain", [1.0, -2.0, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_orthogonal_is_orthogonal(shape, gain, dtype):
    matrix = init.orthogonal_(torch.empty(shape, dtype=dtype), gain=gain, generator=seeded()).flatten(1)
    product = matrix @ matrix.mH if shape[0] <= matrix.shape[1] else matrix.mH @ matrix
    torch.testing.assert_close(product, gain**2 * torch.eye(len(product), dtype=dtype), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_orthogonal_in_half_precision_is_the_float32_one_rounded_once(dtype):
    half = init.orthogonal_(torch.empty(40, 30, dtype=dtype), generator=seeded())
    single = init.orthogonal_(torch.empty(40, 30), generator=seeded())
    assert torch.equal(half, single.to(dtype))


@pytest.mark.parametrize(("rows", "sparsity"), [(50, 0.3), (50, 0.0), (50, 1.0), (7, 0.5), (200, 0.01)])
def test_sparse_has_so_many_zeros_a_column(rows, sparsity):
    values = init.sparse_(torch.empty(rows, 40), sparsity, std=0.2, generator=seeded())
    assert ((values == 0).sum(0) == math.ceil(sparsity * rows)).all()
    others = as_float64(values[values != 0])
    assert len(others) == 0 or stats.kstest(others, "norm", (0, 0.2)).pvalue > 1e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_"])
def test_every_dtype_is_the_float32_weight_rounded_once(name, dtype):
    function = getattr(init, name)
    weight = function(torch.empty(100, 50, dtype=dtype), generator=seeded())
    single = function(torch.empty(100, 50), generator=seeded())
    if dtype == torch.float64:
        assert weight.unique().numel() == weight.numel()
        assert not torch.equal(weight, weight.float().double())  # 53 bits, not 24
    else:
        assert torch.equal(weight, single.to(dtype))


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128])
def test_both_parts_of_a_complex_weight_are_drawn_as_torch_does(dtype):
    normal = init.normal_(torch.empty(200, 100, dtype=dtype), 1.0, 2.0, generator=seeded()).to(torch.complex128)
    for part in (normal.real, normal.imag):
        assert stats.kstest(as_float64(part), "norm", (1, math.sqrt(2))).pvalue > 1e-4 or dtype == torch.complex32
        assert abs(part.std() / math.sqrt(2) - 1) < 0.03
    assert abs(np.corrcoef(as_float64(normal.real), as_float64(normal.imag))[0, 1]) < 0.03
    uniform = init.uniform_(torch.empty(200, 100, dtype=dtype), 2, 3, generator=seeded()).to(torch.complex128)
    assert 2 <= uniform.real.min() <= uniform.imag.max() <= 3


# Fixed weights


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int32, torch.complex64, torch.bool])
def test_constants_are_written_in_any_dtype(dtype):
    assert (init.ones_(torch.empty(3, 4, dtype=dtype)) == 1).all()
    assert (init.zeros_(torch.empty(3, 4, dtype=dtype)) == 0).all()
    assert (init.constant_(torch.empty(3, 4, dtype=dtype), 1) == 1).all()
    assert torch.equal(init.eye_(torch.empty(3, 4, dtype=dtype)), torch.eye(3, 4).to(dtype))


@pytest.mark.parametrize("shape", [(6, 4, 3), (4, 6, 4), (6, 2, 3, 2), (6, 2, 5, 5), (4, 4, 2, 3, 4)])
@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_is_torch_s(shape, groups):
    assert torch.equal(init.dirac_(torch.empty(shape), groups), torch.nn.init.dirac_(torch.empty(shape), groups))


def test_dirac_passes_the_inputs_on():
    x = torch.randn(2, 8, 5, 6)
    weight = init.dirac_(torch.empty(8, 8, 3, 3))
    assert torch.equal(torch.nn.functional.conv2d(x, weight, padding=1), x)


# Generators


@pytest.mark.parametrize("name", RANDOM)
def test_the_state_of_a_generator_decides_and_goes_on(name):
    function, generator = getattr(init, name), seeded(3)
    state = generator.get_state()
    first = function(torch.empty(20, 20), **RANDOM[name], generator=generator)
    second = function(torch.empty(20, 20), **RANDOM[name], generator=generator)
    generator.set_state(state)
    again = function(torch.empty(20, 20), **RANDOM[name], generator=generator)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_generator_manual_seed_decides_and_a_generator_leaves_the_global_one_alone(name):
    function = getattr(init, name)
    torch.manual_seed(5)
    first = function(torch.empty(20, 20), **RANDOM[name])
    state = torch.get_rng_state()
    explicit = function(torch.empty(20, 20), **RANDOM[name], generator=seeded(5))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(first, function(torch.empty(20, 20), **RANDOM[name]))
    assert torch.equal(first, explicit)


def test_two_functions_and_one_state_draw_from_one_key():
    key = key_of(seeded(1))
    drawn = init.kaiming_normal_(torch.empty(64, 32), generator=seeded(1))
    np.testing.assert_array_equal(drawn.numpy(), sb.HeNormal()((64, 32), key))


# Tensors


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_that_is_not_contiguous_gets_the_same_values(name, dtype):
    function = getattr(init, name)
    whole = torch.zeros(21, 2, 26, dtype=dtype)
    strided = whole[:, 1, ::2].t()
    assert function(strided, **RANDOM[name], generator=seeded()) is strided
    plain = function(torch.empty(13, 21, dtype=dtype), **RANDOM[name], generator=seeded())
    assert torch.equal(strided, plain)
    assert (whole[:, 0] == 0).all()
    assert (whole[:, :, 1::2] == 0).all()


@pytest.mark.parametrize("name", [*RANDOM, "ones_", "zeros_", "eye_", "constant_"])
def test_a_parameter_is_filled_without_a_graph_and_its_version_goes_up(name):
    given = {**RANDOM, "constant_": {"val": 2.0}}.get(name, {})
    parameter = torch.nn.Parameter(torch.empty(6, 6))
    version = parameter._version
    assert getattr(init, name)(parameter, **given) is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad_fn is None
    assert parameter._version > version


def test_a_weight_changed_after_it_was_used_is_noticed_by_autograd():
    weight = torch.nn.Parameter(torch.ones(3, 3))
    x = torch.ones(3, requires_grad=True)
    y = (weight @ x).sum()
    init.normal_(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize("name", [*RANDOM, "ones_", "zeros_", "eye_"])
def test_meta_and_fake_tensors_are_left_alone(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    state = torch.get_rng_state()
    meta = torch.empty(4, 4, device="meta")
    assert getattr(init, name)(meta, **RANDOM.get(name, {})) is meta
    assert meta.is_meta
    with FakeTensorMode():
        fake = torch.empty(4, 4)
        assert getattr(init, name)(fake, **RANDOM.get(name, {})) is fake
    assert torch.equal(state, torch.get_rng_state())
    assert init.dirac_(torch.empty(4, 4, 3, device="meta")).is_meta


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_he_warns_of_a_tensor_without_elements(name):
    tensor = torch.empty(0, 3)
    with pytest.warns(UserWarning, match="a tensor without elements has nothing to initialize") as record:
        assert getattr(init, name)(tensor) is tensor
    assert record[0].filename == __file__


@pytest.mark.parametrize("name", [each for each in RANDOM if "kaiming" not in each])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_the_others_leave_a_tensor_without_elements_alone_silently(name, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert getattr(init, name)(torch.empty(shape), **RANDOM[name]).numel() == 0


def test_a_subclass_may_override():
    seen = []

    class Mine(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            seen.append(getattr(function, "__name__", None))
            return super().__torch_function__(function, types, args, kwargs)

    tensor = torch.empty(3, 4).as_subclass(Mine)
    init.normal_(tensor, generator=seeded())
    assert "normal_" in seen
    assert torch.equal(tensor.as_subclass(torch.Tensor), init.normal_(torch.empty(3, 4), generator=seeded()))


def test_threads_don_t_change_a_large_weight():
    large = init.normal_(torch.empty(1500, 1000), generator=seeded())
    np.testing.assert_array_equal(large.numpy(), sb.Normal()((1500, 1000), key_of(seeded()), workers=1))


# The shelf


@pytest.mark.parametrize("name", sb.names())
def test_every_initializer_of_the_shelf_can_be_applied(name):
    shapes = {
        "bilinear": (3, 3, 4, 4), "delta_orthogonal": (6, 4, 3, 3), "icnr": (8, 4, 3, 3), "forget_bias": (16,),
        "chrono": (16,), "mamba_dt_bias": (8,), "prior_bias": (8,), "s4d_log_decay": (4, 8), "identity": (6, 6),
    }  # fmt: skip
    try:
        made = sb.get(name)
    except TypeError:
        pytest.skip("it needs parameters")
    shape = shapes.get(name, (8, 8))
    try:
        expected = made(shape, sb.Key(0)["w"])
    except ValueError:
        pytest.skip("another shape")
    tensor = torch.zeros(shape)
    assert init.apply_(tensor, made, rng=sb.Key(0)["w"]) is tensor
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert init.apply_(torch.zeros(shape, dtype=torch.bfloat16), name, generator=seeded()).dtype == torch.bfloat16


def test_axes_say_how_the_weight_lies():
    conv = torch.nn.ConvTranspose2d(64, 16, 4)
    init.apply_(conv.weight, "he_normal", rng=0, axes="iohw")
    assert abs(conv.weight.std().item() / math.sqrt(2 / (64 * 16)) - 1) < 0.02
    expected = sb.HeNormal()((64, 16, 4, 4), 0, axes="iohw")
    np.testing.assert_array_equal(conv.weight.detach().numpy(), expected)


def test_apply_takes_symbreak_s_sources_and_torch_s():
    first = init.apply_(torch.empty(4, 4), "he_normal", generator=seeded(2))
    assert torch.equal(first, init.apply_(torch.empty(4, 4), "he_normal", rng=seeded(2)))
    torch.manual_seed(2)
    assert torch.equal(first, init.apply_(torch.empty(4, 4), "he_normal"))
    numpy = init.apply_(torch.empty(4, 4), "he_normal", rng=7).numpy()
    np.testing.assert_array_equal(numpy, sb.HeNormal()((4, 4), 7))


def test_units_of_a_narrow_bfloat16_weight_are_as_different_as_the_dtype_allows():
    """torch rounds to 8 bits after sampling in them in places; 896 of 1024 units were equal in JAX's."""
    weight = init.kaiming_normal_(torch.empty(1024, 4, dtype=torch.bfloat16), generator=seeded())
    assert weight.float().unique(dim=0).shape[0] == 1024


# What is refused


@pytest.mark.parametrize("name", RANDOM)
def test_integers_are_refused_by_what_draws_real_numbers(name):
    with pytest.raises(TypeError, match=rf"{name} draws real numbers, and the tensor is of torch.int64"):
        getattr(init, name)(torch.zeros(3, 3, dtype=torch.int64), **RANDOM[name])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.normal_(torch.empty(3), std=-1), RuntimeError, "not negative; got std=-1"),
        (lambda: init.uniform_(torch.empty(3), 2, 1), RuntimeError, "a=2.0 is above b=1.0"),
        (lambda: init.normal_(torch.empty(1, 3).expand(2, 3)), RuntimeError, "refers to one place in memory; clone"),
        (lambda: init.trunc_normal_(torch.empty(3), std=0), ValueError, "std is 0"),
        (lambda: init.trunc_normal_(torch.empty(3), a=2, b=1), ValueError, "low is below high"),
        (lambda: init.trunc_normal_(torch.empty(3, dtype=torch.complex64)), TypeError, "trunc_normal_ draws real"),
        (lambda: init.eye_(torch.empty(3)), ValueError, r"an identity has two dimensions; .* shape \(3,\)"),
        (lambda: init.dirac_(torch.empty(3, 3)), ValueError, r"a convolution has 3 to 5 dimensions; .*\(3, 3\)"),
        (lambda: init.dirac_(torch.empty(5, 3, 3), 2), ValueError, "2 groups don't divide the 5 units"),
        (lambda: init.xavier_uniform_(torch.empty(3)), ValueError, "two dimensions or more; .* For a bias use zeros_"),
        (lambda: init.xavier_normal_(torch.empty(())), ValueError, "two dimensions or more"),
        (lambda: init.kaiming_normal_(torch.empty(3)), ValueError, "two dimensions or more"),
        (lambda: init.kaiming_uniform_(torch.empty(3)), ValueError, "two dimensions or more"),
        (lambda: init.kaiming_normal_(torch.empty(3, 3), mode="fan"), ValueError, "mode is 'fan_in' or 'fan_out'; got"),
        (lambda: init.orthogonal_(torch.empty(3)), ValueError, "two dimensions or more"),
        (lambda: init.sparse_(torch.empty(3), 0.5), ValueError, "sparse_ fills a matrix"),
        (lambda: init.sparse_(torch.empty(3, 3), 1.5), ValueError, "a share from 0 to 1; got 1.5"),
        (lambda: init.sparse_(torch.empty(3, 3), 0.5, -1), ValueError, "not negative; got std=-1"),
        (lambda: init.normal_(np.empty(3)), TypeError, "normal_ writes into a torch.Tensor; got ndarray"),
        (lambda: init.apply_([1.0], "zeros"), TypeError, "apply_ writes into a torch.Tensor; got list"),
        (lambda: init.apply_(torch.empty(3), "zeross"), ValueError, "no initializer is called 'zeross'"),
        (lambda: init.apply_(torch.empty(3, 3), "zeros", axes="hwio"), ValueError, "axes 'hwio' names 4 axes"),
        (lambda: init.apply_(torch.zeros(3, dtype=torch.int8), "zeros"), TypeError, "weights can't be made as 'int8'"),
        (
            lambda: init.apply_(torch.empty(3), "zeros", rng=0, generator=seeded()), TypeError,
            "takes `rng` or `generator`, not both",
        ),
        (lambda: init.apply_(torch.empty(3, 3), "he_normal", rng="x"), TypeError, "rng takes a Key, None"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_std_of_zero_and_bounds_that_meet_give_a_constant_as_in_torch():
    assert (init.normal_(torch.empty(3), 5, 0) == 5).all()
    assert (init.uniform_(torch.empty(3), 1, 1) == 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cuda_tensor_gets_the_bits_of_a_cpu_one(name, dtype):
    function = getattr(init, name)
    there = function(torch.empty(64, 48, dtype=dtype, device="cuda"), **RANDOM[name], generator=seeded())
    assert torch.equal(there.cpu(), function(torch.empty(64, 48, dtype=dtype), **RANDOM[name], generator=seeded()))


def test_tensors_without_a_version_are_filled_too():
    with torch.inference_mode():
        weight = torch.empty(6, 5)
    assert weight.is_inference()
    init.apply_(weight, sb.HeNormal(), rng=3)
    assert (weight.numpy() == sb.HeNormal()((6, 5), 3)).all()


def test_apply_leaves_tensors_without_values_alone():
    weight = torch.empty(6, 5, device="meta")
    assert init.apply_(weight, sb.HeNormal(), rng=3) is weight
    assert weight.is_meta


def test_memory_that_numpy_can_not_see_gets_the_same_values():
    """Of a complex tensor's conjugate the imaginary parts lie with the other sign."""
    whole = torch.zeros(6, 5, dtype=torch.complex64)
    turned = torch.imag(whole.conj())
    assert turned.is_neg()
    init.apply_(turned, sb.HeNormal(), rng=3)
    assert (-whole.imag.numpy() == sb.HeNormal()((6, 5), 3)).all()


def test_without_torch_distributed_no_tensor_is_sharded(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    weight = init.apply_(torch.empty(6, 5), sb.HeNormal(), rng=3)
    assert (weight.numpy() == sb.HeNormal()((6, 5), 3)).all()


def made_up_shard(local, coordinate, shape=(6, 5), count=2):
    """Stand for a DTensor whose first axis is cut in so many pieces."""
    from torch.distributed.tensor import Shard

    mesh = SimpleNamespace(get_coordinate=lambda: coordinate, size=lambda _: count)
    return SimpleNamespace(shape=shape, to_local=lambda: local, device_mesh=mesh, placements=(Shard(0),))


def test_a_process_that_is_not_in_the_mesh_has_nothing_of_a_sharded_tensor():
    nothing = torch.empty(0)
    assert find_shard(made_up_shard(nothing, None)) == (nothing, [[slice(0, 0)], [slice(0, 0)]])
    local = torch.empty(3, 5)
    assert find_shard(made_up_shard(local, [1])) == (local, [[slice(3, 6)], [slice(0, 5)]])


def test_a_tensor_that_is_cut_in_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match=r"has \(2, 5\) here where \(3, 5\) was expected; symbreak does not know"):
        find_shard(made_up_shard(torch.empty(2, 5), [1]))


@pytest.mark.parametrize("tensor", [torch.empty(6, 5, device="meta"), torch.empty(0, 5)])
def test_there_is_nothing_to_write_into_a_tensor_without_values(tensor):
    assert list(write_tasks(tensor, sb.HeNormal(), sb.Key(0))) == []
