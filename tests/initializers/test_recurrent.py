"""Recurrent starts: gates where each framework has them, memories of every length, rotations with determinant +1."""

import math

import numpy as np
import pytest
from scipy import linalg, stats

import symbreak as sb

# Kolmogorov-Smirnov statistics pass this for n values once in 1e9 draws: 2 exp(-2 n d**2).
FALSE_ALARM = 1e-9


def ks_limit(n):
    return math.sqrt(math.log(2 / FALSE_ALARM) / (2 * n))


def test_the_forget_gate_is_open_in_torch_where_it_is_said_to_be():
    torch = pytest.importorskip("torch")
    cell = torch.nn.LSTMCell(3, 5)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias_ih.copy_(torch.from_numpy(sb.ForgetBias(2.0)(20)))
        cell.bias_hh.copy_(torch.from_numpy(sb.Zeros()(20)))
        before = torch.ones(1, 5)
        _, after = cell(torch.zeros(1, 3), (torch.zeros(1, 5), before))
    assert after.numpy() == pytest.approx(np.full((1, 5), 1 / (1 + math.exp(-2))), rel=1e-6)


def test_the_cell_of_the_engine_keeps_what_its_memory_says():
    """A cell that reads nothing forgets 1 / memory a step: after `memory` steps 1/e is left, up to discrete steps."""
    from symbreak import engine

    units = 64
    bias = sb.Chrono(200)((4, units), rng=0, dtype="float64")
    bias[0] = -50  # the input gate is shut, so that the state only decays
    layer = engine.LSTM(np.zeros((4, units, 1)), np.zeros((4, units, units)), bias)
    kept = 1 / (1 + np.exp(-bias[1]))
    memory = 1 / (1 - kept)
    assert memory == pytest.approx(1 + np.exp(bias[1]), rel=1e-9)
    assert (memory >= 2).all()
    assert (memory <= 200).all()
    assert engine.Network([layer])(np.zeros((1, 3, 1))).shape == (1, 3, units)
    assert kept**memory == pytest.approx(np.exp(memory * np.log1p(-1 / memory)), rel=1e-9)


@pytest.mark.parametrize("longest", [2.5, 30, 1000])
def test_memories_are_uniform_up_to_the_longest(longest):
    f = np.split(sb.Chrono(longest)(40_000, rng=0, dtype="float64"), 4)[1]
    memory = 1 + np.exp(f)
    assert memory.min() >= 2 - 1e-12
    assert memory.max() <= longest * (1 + 1e-12)
    distance = stats.kstest(memory, stats.uniform(2, longest - 2).cdf).statistic
    assert distance < ks_limit(10_000)


def test_a_memory_range_a_fifth_too_short_is_caught():
    f = np.split(sb.Chrono(80)(40_000, rng=0, dtype="float64"), 4)[1]
    assert stats.kstest(1 + np.exp(f), stats.uniform(2, 98).cdf).statistic > ks_limit(10_000)


@pytest.mark.parametrize(
    ("init", "letters"),
    [
        (sb.Chrono(50), "ifgo"),
        (sb.Chrono(50, order="ifco"), "ifco"),
        (sb.Chrono(50, order="icfo"), "icfo"),
        (sb.Chrono(50, order="ofi"), "ofi"),
    ],
)
def test_the_input_gate_is_opposite_and_the_others_are_zero(init, letters):
    gates = dict(zip(letters, np.split(init(30 * len(letters), rng=3), len(letters)), strict=True))
    assert (gates["i"] == -gates["f"]).all()
    assert (gates["f"] >= 0).all()
    assert not any(gates[letter].any() for letter in letters if letter not in "if")
    assert (gates["f"] == np.split(sb.Chrono(50)(120, rng=3), 4)[1]).all()


def test_a_gru_has_one_gate_for_both():
    init = sb.Chrono(50, order="rzn", keep="z", write=None)
    r, z, n = np.split(init(600, rng=0, dtype="float64"), 3)
    assert not r.any()
    assert not n.any()
    stated = init.expected(600)
    assert (stated.low, stated.high) == (0.0, math.log(49))
    whole = np.concatenate([r, z, n])
    assert whole.mean() == pytest.approx(stated.mean, rel=0.05)
    assert whole.std() == pytest.approx(stated.std, rel=0.05)
    assert 1 + np.exp(z).max() <= 50 * (1 + 1e-12)


def test_each_gate_may_have_an_initializer_of_its_own():
    bias = sb.per_gate("ifgo", f=sb.Constant(1.0))
    assert (bias(400) == sb.ForgetBias()(400)).all()
    weight = sb.per_gate("rzn", "orthogonal", n=sb.GlorotUniform())
    r, z, n = np.split(weight((96, 32), rng=0, dtype="float64"), 3)
    assert r @ r.T == pytest.approx(np.eye(32), abs=1e-12)
    assert z @ z.T == pytest.approx(np.eye(32), abs=1e-12)
    assert np.abs(r - z).max() > 0.1
    assert np.abs(n).max() <= math.sqrt(6 / 64)
    turned = weight((32, 96), rng=0, axes="io", dtype="float64")
    assert turned.T[:32] @ turned.T[:32].T == pytest.approx(np.eye(32), abs=1e-12)
    assert sb.from_config(weight.to_config()) == weight


def test_gates_lie_along_the_axis_that_is_named():
    assert (sb.ForgetBias()((4, 3)) == [[0] * 3, [1] * 3, [0] * 3, [0] * 3]).all()
    stacked = sb.ForgetBias(axis=-1)((2, 8))
    assert (stacked == [[0, 0, 1, 1, 0, 0, 0, 0]] * 2).all()
    assert (sb.ForgetBias(axis=-1).region((2, 8), np.s_[1, 1:4]) == [0, 1, 1]).all()
    chrono = sb.Chrono(20, axis=1)((3, 8), rng=0)
    assert (chrono[:, :2] == -chrono[:, 2:4]).all()
    assert len(np.unique(chrono[:, 2:4])) == 6  # every layer of the stack draws its own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.ForgetBias(math.inf), "ForgetBias: value is a finite number within float32; got inf"),
        (lambda: sb.ForgetBias(order="iffo"), "ForgetBias: order has one letter a gate, each once, .* got 'iffo'"),
        (lambda: sb.ForgetBias(order="rzn"), "ForgetBias: gate is one letter of order 'rzn'; got 'f'"),
        (lambda: sb.ForgetBias(axis=0.5), "ForgetBias: axis is an integer, .* got 0.5"),
        (lambda: sb.ForgetBias()(10), r"the 4 gates of 'ifgo' lie one after .* \(10,\) has 10 entries there"),
        (lambda: sb.ForgetBias(axis=1)(8), r"ForgetBias: `shape` \(8,\) has no axis 1 for the gates"),
        (lambda: sb.ForgetBias().expected(10), "ForgetBias: the 4 gates of 'ifgo'"),
        (lambda: sb.per_gate("iffo"), "per_gate: order has one letter a gate, each once, .* got 'iffo'"),
        (lambda: sb.per_gate("rzn", f="ones"), "per_gate: the gates are those of order 'rzn'; got 'f'"),
        (lambda: sb.Chrono(2), "Chrono: longest is a number of steps, more than 2; got 2"),
        (lambda: sb.Chrono("long"), "Chrono: longest is a number of steps, more than 2; got 'long'"),
        (lambda: sb.Chrono(10, keep="z"), "Chrono: keep is one letter of order 'ifgo'; got 'z'"),
        (lambda: sb.Chrono(10, write="ff"), "Chrono: write is one letter of order 'ifgo'; got 'ff'"),
        (lambda: sb.Chrono(10, write="f"), "Chrono: keep and write are two gates, or write is None; got 'f' for both"),
        (lambda: sb.Chrono(10)((6, 2), rng=0), "Chrono: the 4 gates of 'ifgo' lie one after another along axis 0"),
        (lambda: sb.Henaff("polar"), "Henaff: form is 'rotation' or 'skew'; got 'polar'"),
        (
            lambda: sb.Henaff()((4, 6), rng=0),
            r"Henaff: a rotation takes as many units as it reads, but `shape` \(4, 6\) ",
        ),
        (lambda: sb.Cayley().expected((4, 6)), r"Cayley: a rotation .* has 4 units that read 6; use `Orthogonal\(\)`"),
        (lambda: sb.SpecialOrthogonal()((6, 4), rng=0), "SpecialOrthogonal: a rotation takes as many units"),
        (
            lambda: sb.SpecialOrthogonal()((8, 8), rng=0, axes=sb.Axes("oi", splits=2)),
            "SpecialOrthogonal: rotations are square; make the 2 parts that the axes split off one by one",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


ROTATIONS = [sb.Henaff(), sb.Cayley(), sb.SpecialOrthogonal()]


@pytest.mark.parametrize("n", [1, 2, 5, 8, 33])
@pytest.mark.parametrize("init", ROTATIONS, ids=repr)
def test_rotations_are_orthogonal_with_determinant_one(init, n):
    w = init((n, n), rng=n, dtype="float64")
    assert np.abs(w @ w.T - np.eye(n)).max() < 1e-13
    assert np.linalg.det(w) == pytest.approx(1, rel=1e-12)
    assert init.expected((n, n)).mean == pytest.approx(w.mean(), abs=6.5 * init.expected((n, n)).std / n + 1e-12)
    half = init((n, n), rng=n, dtype="bfloat16")
    assert half.tobytes() == init((n, n), rng=n).astype(half.dtype).tobytes()


@pytest.mark.parametrize("n", [2, 6, 9])
def test_the_generators_lead_to_the_rotations(n):
    skew = sb.Henaff("skew")((n, n), rng=1, dtype="float64")
    assert (skew == -skew.T).all()
    assert linalg.expm(skew) == pytest.approx(sb.Henaff()((n, n), rng=1, dtype="float64"), abs=1e-13)
    a = sb.Cayley("skew")((n, n), rng=1, dtype="float64")
    assert (a == -a.T).all()
    transform = np.linalg.solve(np.eye(n) + a, np.eye(n) - a)
    assert transform == pytest.approx(sb.Cayley()((n, n), rng=1, dtype="float64"), abs=1e-13)


@pytest.mark.parametrize("n", [40, 41])
@pytest.mark.parametrize("init", [sb.Henaff("skew"), sb.Cayley("skew")], ids=repr)
def test_generators_have_the_stated_moments(init, n):
    stated = init.expected((n, n))
    drawn = np.stack([init((n, n), rng=seed, dtype="float64") for seed in range(100)])
    assert abs(drawn.mean()) < 1e-15
    assert drawn.std() == pytest.approx(stated.std, rel=6.5 / math.sqrt(100 * n))
    assert drawn.max() <= stated.high
    assert stated.low == -stated.high


def test_an_angle_that_is_rounded_to_zero_is_called_chance():
    plan = sb.plan({"w": (48, 48)}, {"w": sb.Cayley("skew")})
    audit = plan.audit(plan.initialize(0, dtype="float8_e3m4"))
    assert not audit.tied
    assert "1 unit equals another" in audit.chance["w"]
    fine = plan.audit(plan.initialize(0, dtype="float64"))
    assert fine.ok


def angles(init, n=2, count=20_000):
    return np.angle(np.linalg.eigvals(init((count, n, n), rng=0, axes="boi", dtype="float64")))


def test_eigen_angles_are_uniform_where_the_schemes_say():
    henaff = np.abs(angles(sb.Henaff())[:, 0])  # they come in pairs
    assert stats.kstest(henaff, stats.uniform(0, np.pi).cdf).statistic < ks_limit(20_000)
    cayley = np.abs(angles(sb.Cayley())[:, 0])
    assert stats.kstest(cayley, stats.uniform(0, np.pi / 2).cdf).statistic < ks_limit(20_000)
    turns = np.abs(angles(sb.SpecialOrthogonal(), count=4000)[:, 0])
    assert stats.kstest(turns, stats.uniform(0, np.pi).cdf).statistic < ks_limit(4000)


def test_angles_off_by_a_twentieth_are_caught():
    henaff = np.abs(angles(sb.Henaff())[:, 0])
    assert stats.kstest(henaff * 0.95, stats.uniform(0, np.pi).cdf).statistic > ks_limit(20_000)


def trace_moments_pass(matrices):
    """On SO(n), n >= 5 (Pastur, Vasilchuk 2004): E tr(Q) = 0, E tr(Q)**2 = 1, E tr(Q)**4 = 3, E tr(Q**2) = 1."""
    t = np.trace(matrices, axis1=1, axis2=2)
    t2 = np.trace(matrices @ matrices, axis1=1, axis2=2)
    checks = [(t, 0, 1), (t**2, 1, math.sqrt(2)), (t**4, 3, math.sqrt(96)), (t2, 1, math.sqrt(2))]
    return all(abs(got.mean() - wanted) < 6 * spread / math.sqrt(len(t)) for got, wanted, spread in checks)


def test_special_orthogonal_is_haar_and_its_half_with_reflections_is_not():
    matrices = sb.SpecialOrthogonal()((4000, 5, 5), rng=0, axes="boi", dtype="float64")
    assert trace_moments_pass(matrices)
    for i, j in ((0, 0), (0, 3), (4, 4)):
        assert stats.kstest(matrices[:, i, j] ** 2, stats.beta(0.5, 2).cdf).statistic < ks_limit(4000)
    gaussians = np.random.default_rng(0).normal(size=(4000, 5, 5))
    assert not trace_moments_pass(np.linalg.qr(gaussians)[0])


def test_a_rotation_keeps_gradients_for_ever_and_a_normal_weight_does_not():
    """The theorem of unitary recurrence: the Jacobian of a linear recurrence over t steps is W**t."""
    for init in ROTATIONS:
        power = np.linalg.matrix_power(init((32, 32), rng=0, dtype="float64"), 1000)
        assert np.linalg.svd(power, compute_uv=False) == pytest.approx(np.ones(32), rel=1e-9)
    shrunk = np.linalg.matrix_power(0.9 * sb.Orthogonal()((32, 32), rng=0, dtype="float64"), 1000)
    assert np.linalg.norm(shrunk) < 1e-40


@pytest.mark.filterwarnings("ignore")
def test_keras_opens_the_same_gate(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    cell = keras.layers.LSTMCell(5, unit_forget_bias=True)
    cell.build((None, 3))
    assert np.asarray(cell.bias).tolist() == sb.ForgetBias(order="ifco")(20).tolist()
