"""Without rounding every tie holds with ==, also the ties of units that only equal sums make."""

import functools
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbreak import engine
from symbreak.engine._exact import PRIME, Residue, exact

integers = st.integers(-(2**70), 2**70)
fractions = st.fractions(max_denominator=10**6)
KINDS = {"fractions": Fraction, "residues": Residue}
OPTIMIZERS = {
    "SGD": engine.SGD(0.25),
    "SGD with decay": engine.SGD(0.25, weight_decay=0.5),
    "Momentum": engine.Momentum(0.25, momentum=0.5, weight_decay=0.5),
    "Nesterov": engine.Nesterov(engine.StepDecay(0.25, every=2, factor=0.5), momentum=0.5),
}


@given(a=integers, b=integers)
def test_residues_compute_as_the_integers_do(a, b):
    x, y = Residue(a), Residue(b)
    results = {
        a + b: [x + y, x + b, a + y],
        a - b: [x - y, x - b, a - y],
        a * b: [x * y, x * b, a * y],
        -a: [-x],
    }
    for integer, residues in results.items():
        assert all(residue == Residue(integer) and residue.value == integer % PRIME for residue in residues)
    if b % PRIME:
        assert x / y * y == x
        assert x / b == x / y
        assert (x == y) == ((a - b) % PRIME == 0)


@given(a=fractions, b=fractions)
def test_residues_compute_as_the_fractions_do(a, b):
    assert Residue(a) + Residue(b) == Residue(a) + b == a + Residue(b) == Residue(a + b)
    assert Residue(a) * Residue(b) == Residue(a) * b == a * Residue(b) == Residue(a * b)
    assert Residue(a) - Residue(b) == Residue(a) - b == a - Residue(b) == Residue(a - b)


def test_a_residue_says_what_it_is():
    assert repr(Residue(PRIME + 5)) == "Residue(5)"
    assert float(Residue(-1)) == PRIME - 1
    assert Residue(0.5) * 2 == Residue(1)
    assert len({Residue(1), Residue(1 + PRIME), Residue(2)}) == 2
    assert Residue(1) != 1


@pytest.mark.parametrize("number", [PRIME, Fraction(1, PRIME)])
def test_what_has_no_inverse_is_refused(number):
    with pytest.raises(ZeroDivisionError, match=f"{PRIME} has no inverse modulo {PRIME}|0 has no inverse"):
        Residue(1) / number if number == PRIME else Residue(number)


@pytest.mark.parametrize("kind", KINDS)
def test_the_product_is_that_of_a_loop(kind):
    rng = np.random.default_rng(0)
    a, b = (exactly(rng.integers(-9, 9, shape), kind) for shape in ((3, 4), (2, 4)))
    found = exact(a, b)
    assert found.shape == (3, 2)
    for i, j in np.ndindex(3, 2):
        assert found[i, j] == functools.reduce(lambda total, k: total + a[i, k] * b[j, k], range(4), KINDS[kind](0))


def exactly(values, kind="fractions"):
    array = np.empty(np.shape(values), object)
    for index in np.ndindex(array.shape):
        array[index] = KINDS[kind](np.asarray(values)[index].item())
    return array


def network(arrays, kind, activation="square"):
    """Layers of these weights and biases, the last one linear; exact, or of float64 where the kind is None."""
    make = (lambda values: np.asarray(values, float)) if kind is None else (lambda values: exactly(values, kind))
    layers = []
    for number, (weight, bias) in enumerate(arrays):
        layers.append(engine.Dense(make(weight), make(bias), activation if number < len(arrays) - 1 else "identity"))
    return engine.Network(layers, product="tie_preserving" if kind is None else "exact")


def random_arrays(sizes, seed):
    rng = np.random.default_rng(seed)
    return [(rng.integers(-4, 5, (m, n)) / 8, rng.integers(-4, 5, m) / 8) for n, m in pairwise(sizes)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("activation", ["identity", "square"])
def test_fractions_train_as_floats_do_but_for_rounding(optimizer, activation):
    arrays = random_arrays([2, 3, 2], 0)
    x, y = [[0.5, 1], [-1, 0.25]], [[1, 0], [0.5, -1]]
    nets = [network(arrays, kind, activation) for kind in ("fractions", None)]
    histories = [engine.train(net, x, y, optimizer=OPTIMIZERS[optimizer], steps=4) for net in nets]
    np.testing.assert_allclose(histories[0].losses, histories[1].losses, rtol=1e-12)
    for name, array in nets[0].parameters.items():
        assert {type(value) for value in array.flat} == {Fraction}
        np.testing.assert_allclose(array.astype(float), nets[1].parameters[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_residues_train_as_the_residues_of_the_fractions(optimizer):
    nets = [network(random_arrays([2, 3, 1], 1), kind) for kind in KINDS]
    for net in nets:
        engine.train(net, [[1, 2], [-1, 3]], [1, 0], optimizer=OPTIMIZERS[optimizer], steps=3)
    for one, other in zip(*(net.parameters.values() for net in nets), strict=True):
        assert {type(value) for value in other.flat} == {Residue}
        np.testing.assert_array_equal([Residue(value) for value in one.flat], other.ravel())


# Classes of units in which not the weights are equal but their sums: those over each class that is read, for each unit
# that reads, and those over each class that reads, for each unit that is read.


def equitable_block(rows, columns, rng):
    """A block whose rows have one sum and whose columns have one, but whose entries differ."""
    block = np.full((rows, columns), rng.integers(-3, 4))
    for _ in range(4 if min(rows, columns) > 1 else 0):
        (i, j), (k, m) = rng.choice(rows, 2, replace=False), rng.choice(columns, 2, replace=False)
        change = rng.integers(1, 4)
        block[[i, j], [k, m]] += change
        block[[i, j], [m, k]] -= change
    return block


def equitable_arrays(inputs, classes, outputs, seed):
    """Weights and biases of layers whose units are of classes of these sizes; inputs and outputs are alone."""
    rng = np.random.default_rng(seed)
    sizes = [[1] * inputs, *classes, [1] * outputs]
    arrays = []
    for below, above in pairwise(sizes):
        weight = np.block([[equitable_block(m, n, rng) for n in below] for m in above])
        arrays.append((weight, np.repeat(rng.integers(-3, 4, len(above)), above)))
    return arrays, {f"layers.{n}": np.repeat(np.arange(len(each)), each) for n, each in enumerate(classes)}


def broken(net, classes, found):
    """What is unequal within a class: an empty list where the partition is equitable."""
    names = list(net.layers)
    wrong = []
    for name, above in pairwise(names):
        labels = classes[name]
        units = {
            "activations": found.activations[name].T,
            "error signals": found.error_signals[name].T,
            "bias": net.parameters[f"{name}.bias"][:, np.newaxis],
            "sums of the incoming weights": sums(net.parameters[f"{name}.weight"], classes.get(before(names, name))),
            "sums of the outgoing weights": sums(net.parameters[f"{above}.weight"].T, classes.get(above)),
        }
        for what, each in units.items():
            if any((each[labels == label] != each[labels == label][:1]).any() for label in np.unique(labels)):
                wrong.append(f"{what} of {name}")
    return wrong


def before(names, name):
    return names[names.index(name) - 1] if names.index(name) else None


def sums(weight, labels):
    """The sum over each class of the columns; without classes every column is one."""
    if labels is None:
        return weight
    return np.array([weight[:, labels == label].sum(axis=1) for label in np.unique(labels)]).T


def unequal_units(net):
    """Whether some middle weight has rows that differ, and columns: its units are not tied by being equal."""
    weight = net.parameters["layers.1.weight"]
    return (weight != weight[:1]).any() and (weight != weight[:, :1]).any()


def check_equitable(net, classes, x, y, optimizer, steps):
    seen = []

    def check(step):
        seen.append(step.number)
        wrong = broken(net, classes, step.gradients)
        assert not wrong, f"at step {step.number} units of one class differ in: {', '.join(wrong)}"

    engine.train(net, x, y, optimizer=optimizer, steps=steps, callback=check)
    assert seen == list(range(steps))


THREE = [(np.full((3, 2), [1, 2]), [1, 1, 1]), ([[0, 2, 4], [3, 2, 1], [3, 2, 1]], [2, 2, 2]), ([[5, 5, 5]], [1])]
ONE_CLASS = {"layers.0": np.zeros(3, int), "layers.1": np.zeros(3, int)}


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum"])
def test_equal_sums_keep_units_tied_for_a_thousand_steps_modulo_a_prime(optimizer):
    net = network(THREE, "residues")
    assert unequal_units(net)
    check_equitable(net, ONE_CLASS, [[1, 2], [3, -1]], [1, 4], OPTIMIZERS[optimizer], 1000)
    assert unequal_units(net)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(
    sizes=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2), min_size=2, max_size=3),
    inputs=st.integers(1, 2), outputs=st.integers(1, 2), seed=st.integers(0, 2**32), kind=st.sampled_from([*KINDS]),
)  # fmt: skip
def test_equal_sums_keep_units_tied_at_every_step(optimizer, sizes, inputs, outputs, seed, kind):
    arrays, classes = equitable_arrays(inputs, sizes, outputs, seed)
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-3, 4, (2, inputs)), rng.integers(-3, 4, (2, outputs))
    activation = "square"
    if kind == "fractions":  # their digits grow: no squares, small weights, and few steps
        activation, arrays = "identity", [(weight / 16, bias / 16) for weight, bias in arrays]
    check_equitable(
        network(arrays, kind, activation), classes, x, y, OPTIMIZERS[optimizer], 12 if kind == "residues" else 3
    )


def test_equal_sums_keep_units_tied_in_fractions_for_a_few_steps():
    scaled = [(np.array(weight) / 8, np.array(bias) / 8) for weight, bias in THREE]
    net = network(scaled, "fractions")
    check_equitable(net, ONE_CLASS, [[0.5, 1], [1, -0.5]], [1, 0], engine.SGD(0.25), 3)
    assert unequal_units(net)


def test_fractions_that_run_away_are_told():
    net = network([(np.array([[1e200]]), np.zeros(1))], "fractions")
    with pytest.raises(engine.Diverged, match="the loss became inf at step 0"):
        engine.train(net, [[1]], [1], optimizer=OPTIMIZERS["SGD"], steps=1)


@pytest.mark.parametrize(("layer", "index"), [(0, (1, 0)), (1, (1, 0)), (2, (0, 2))])
@pytest.mark.parametrize("kind", KINDS)
def test_one_weight_that_spoils_a_sum_is_seen(layer, index, kind):
    arrays = [(np.array(weight), np.array(bias)) for weight, bias in THREE]
    arrays[layer][0][index] += 1
    with pytest.raises(AssertionError, match="at step 0 units of one class differ in"):
        check_equitable(network(arrays, kind), ONE_CLASS, [[1, 2], [3, -1]], [1, 4], OPTIMIZERS["SGD"], 1)


ONES = exactly(np.ones((1, 1)))
MOD = exactly(np.ones((1, 1)), "residues")
TEXT = np.array([["a"]], object)
REFUSED = {
    "a tanh": (lambda: engine.Dense(ONES, None, "tanh"), "needs a polynomial .* identity or square; got 'tanh'"),
    "text": (lambda: engine.Dense(TEXT), r"the weight .* a Fraction can be made from; at \[0, 0\] there is 'a'"),
    "nan": (lambda: engine.Dense(ONES * np.nan), r"the weight .* at \[0, 0\] there is nan"),
    "inf": (lambda: engine.Dense(ONES * np.inf), r"the weight .* at \[0, 0\] there is inf"),
    "a rounded product": (lambda: engine.Network([engine.Dense(ONES)]), "got object .* product 'tie_preserving'"),
    "rounded weights": (
        lambda: engine.Network([engine.Dense(np.ones((1, 1)))], product="exact"),
        "'exact' is for parameters that are Fraction or Residue, and they for it; got float64",
    ),
    "two kinds": (
        lambda: engine.Network([engine.Dense(ONES), engine.Dense(MOD)], product="exact"),
        "must all be Fraction or all be Residue",
    ),
    "inputs of text": (lambda: NET(TEXT), "the inputs of an exact network must be .* there is 'a'"),
    "targets of text": (lambda: train(y=TEXT), "the targets of an exact network must be .* there is 'a'"),
    "a root": (lambda: train(optimizer=engine.Adam(0.1)), r"SGD, Momentum or Nesterov, .* got Adam\("),
    "a clip": (lambda: train(clip=engine.ClipValue(1)), r"without clipping; got .* ClipValue\("),
    "a logarithm": (lambda: train(loss="logistic"), "no other loss than 'mse'"),
}
NET = engine.Network([engine.Dense(ONES)], product="exact")


def train(y=((1,),), optimizer=OPTIMIZERS["SGD"], **options):
    engine.train(NET, [[1]], y, optimizer=optimizer, steps=1, **options)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_exact_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(TypeError, match=message):
        call()


def test_numbers_are_taken_as_they_are():
    third, big = Fraction(1, 3), np.int64(2**62 + 1)
    net = engine.Network([engine.Dense(np.array([[third, 3]], object))], product="exact")
    assert net([[1, third]]).tolist() == [[Fraction(4, 3)]]
    y = net(np.array([[big, big]]))  # in 64 bits three times as much overflows
    assert y.tolist() == [[(2**62 + 1) * Fraction(10, 3)]]
    mod = engine.Network([engine.Dense(np.array([[Residue(third), 3]], object))], product="exact")
    assert mod(np.array([[big, big]])).tolist() == [[Residue((2**62 + 1) * Fraction(10, 3))]]


@pytest.mark.parametrize("kind", KINDS)
def test_where_no_gradient_comes_there_is_a_zero_of_the_kind_of_the_others(kind):
    kind = KINDS[kind]
    table = np.array([[kind(1)], [kind(2)]], object)
    weight = np.array([[[kind(3)]]], object)  # sees the first of two positions
    net = engine.Network([engine.Embedding(table), engine.Conv1d(weight, stride=2)], product="exact")
    found = engine.gradients(net, [[0, 0]], [[[0]]])
    assert found["layers.0.weight"].tolist() == [[kind(18)], [kind(0)]]
    assert found.error_signals["layers.0"].tolist() == [[[kind(18)], [kind(0)]]]
    assert {type(each) for each in found["layers.0.weight"].flat} == {kind}
    assert {type(each) for each in found.error_signals["layers.0"].flat} == {kind}
