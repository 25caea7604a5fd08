"""Initializers made of others: what each makes, entry by entry, of what the others make."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.diagnosis import find_ties


class Kept(sb.AbstractInitializer):
    """Gives a view of an array that it keeps: what wraps it must not write there."""

    table = np.arange(1.0, 13.0, dtype=np.float32).reshape(1, 12)

    def sample(self, shape, stream, axes):
        return self.table[0] if stream.window else self.table[0].reshape(shape)


class Columns(sb.AbstractInitializer):
    """Makes its weights in Fortran order, whole."""

    elementwise = False

    def sample(self, shape, stream, axes):
        return np.asfortranarray(stream.normal(shape))

    def expected(self, shape, axes=None):
        return sb.Moments(0, 1, -math.inf, math.inf)


PARTS = [sb.HeNormal(), sb.Orthogonal(), sb.Uniform(-1, 3), Columns()]


@pytest.mark.parametrize("init", PARTS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scaled_is_the_other_times_the_factor(init, dtype):
    made = sb.Scaled(init, -0.3)((12, 20), rng=1, dtype=dtype)
    assert np.array_equal(made, init((12, 20), rng=1, dtype=dtype) * np.dtype(dtype).type(-0.3))


def test_scaled_states_the_spectrum_and_flips_the_bounds():
    assert sb.Scaled(sb.Orthogonal(gain=2), -0.5).expected((8, 4)).singular_values == (1, 1)
    assert sb.Scaled(sb.Uniform(-1, 3), -2).expected((8, 4)) == sb.Moments(
        -2, 2 * sb.Uniform(-1, 3).expected((8, 4)).std, -6, 2
    )


def test_what_a_wrapped_class_keeps_is_not_written_to():
    before = Kept.table.copy()
    for init in (sb.Scaled(Kept(), 2), sb.Masked(Kept(), np.eye(3, 4, dtype=bool)), sb.Blocks((Kept(),))):
        init((3, 4), rng=0)
    assert np.array_equal(Kept.table, before)


@pytest.mark.parametrize(
    "init",
    [
        sb.Scaled(sb.Orthogonal(), 2),
        sb.Perturbed(sb.Orthogonal()),
        sb.Masked(sb.Orthogonal(), "lower"),
        sb.Blocks((sb.HeNormal(), sb.Orthogonal())),
    ],
)
def test_elementwise_and_portable_follow_from_the_parts(init):
    assert (init.elementwise, init.portable) == (False, False)
    assert sb.Scaled(Columns(), 2).portable
    assert sb.Blocks((sb.HeNormal(), sb.Zeros())).elementwise
    assert sb.AbstractInitializer.elementwise  # the class's own is as it was


RULES = {
    "lower": lambda o, i, units, inputs: i <= o,
    "upper": lambda o, i, units, inputs: i >= o,
    "diagonal": lambda o, i, units, inputs: i == o,
    "blocks:3": lambda o, i, units, inputs: math.floor(3 * o / units) == math.floor(3 * i / inputs),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("shape", "layout"),
    [((9, 12), "oi"), ((12, 9), "io"), ((2, 6, 6, 3), "hoiw"), ((2, 6, 7), "boi"), ((2, 3, 7), "ooi")],
)
def test_a_rule_keeps_the_entries_that_a_slow_loop_keeps(rule, shape, layout):
    base = sb.Normal(mean=9)
    made, whole = (init(shape, rng=2, axes=layout) for init in (sb.Masked(base, rule), base))
    units, inputs = (math.prod(size for size, name in zip(shape, layout, strict=True) if name == c) for c in "oi")
    kept = 0
    for index in np.ndindex(shape):
        o = i = 0
        for at, size, name in zip(index, shape, layout, strict=True):
            o, i = (o * size + at, i) if name == "o" else (o, i * size + at) if name == "i" else (o, i)
        keep = RULES[rule](o, i, units, inputs)
        kept += keep
        assert made[index] == (whole[index] if keep else 0)
    share = kept / made.size
    stated = sb.Masked(base, rule).expected(shape, layout)
    assert stated.mean == pytest.approx(9 * share)
    assert stated.std**2 == pytest.approx(82 * share - (9 * share) ** 2)
    assert np.signbit(made[made == 0]).sum() == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_keeps_its_entries_bit_for_bit(dtype):
    mask = np.random.default_rng(0).random((40, 30)) < 0.5
    made = sb.Masked(sb.Normal(), mask)((40, 30), rng=3, dtype=dtype)
    assert np.array_equal(made, np.where(mask, sb.Normal()((40, 30), rng=3, dtype=dtype), 0))
    assert sb.Masked(sb.Normal(), mask).expected((40, 30)).std == pytest.approx(math.sqrt(mask.mean()))


def test_a_mask_is_copied_and_locked():
    mask = np.ones((2, 2), bool)
    init = sb.Masked(sb.Ones(), mask)
    mask[0] = False
    assert init((2, 2)).all()
    with pytest.raises(ValueError, match="read-only"):
        init.mask[0, 0] = False
    assert init != sb.Masked(sb.Ones(), mask)
    assert init != sb.Masked(sb.Ones(), "lower")
    assert "<1,000 of 1,000 kept, shape (10, 100)>" in repr(sb.Masked(sb.Ones(), np.ones((10, 100), bool)))


@pytest.mark.parametrize("axes", [None, "io"])
def test_dead_units_are_those_that_the_diagnostic_finds_tied_at_zero(axes):
    mask = np.random.default_rng(5).random((12, 12)) < 0.08
    init = sb.Masked(sb.HeNormal(), mask)
    made = init((12, 12), rng=0, axes=axes)
    units = made if axes is None else made.T
    dead = init.dead((12, 12), axes)
    assert len(dead) > 1
    assert dead == tuple(np.flatnonzero(~units.any(axis=1)))
    labels = find_ties(units).labels
    assert len(set(labels[list(dead)])) == 1
    assert init.ties == "ties"


@pytest.mark.parametrize(
    ("mask", "ties"),
    [
        ([[True, True], [False, True]], "breaks"),
        ([[True, True], [False, False]], "breaks"),  # one dead unit has nobody to be equal to
        ([[True, True], [False, False], [False, False]], "ties"),
        ([[True, False, False], [True, False, False]], "ties"),  # by the other axis: the layout is not known yet
        ([[False, False]], "zeroes"),
    ],
)
def test_the_policy_of_a_mask_is_read_off_its_slices(mask, ties):
    assert sb.Masked(sb.HeNormal(), mask).ties == ties
    assert sb.Masked(sb.Ones(), [[True]]).ties == "ties"
    assert sb.Masked(sb.HeNormal(), "lower").ties == "breaks"


@pytest.mark.parametrize("rule", ["lower", "upper", "diagonal", "blocks:2"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((12, 4, 3), sb.Axes("oiw", groups=3)),
        ((3, 3, 4, 12), sb.Axes("hwio", groups=3)),
        ((12, 4, 2), sb.Axes("iow", groups=3)),
        ((2, 12, 5), sb.Axes("boi", groups=3)),
    ],
)
def test_a_rule_counts_units_and_inputs_of_each_group_apart(rule, shape, axes):
    init = sb.Masked(sb.Normal(0.5, mean=9.0), rule)
    made, whole = init(shape, rng=3, axes=axes), init.init(shape, rng=3, axes=axes)
    groups = axes.matrices(made)  # (copies and groups, units, inputs and receptive field)
    _, units, incoming = groups.shape
    taps = math.prod(size for size, letter in zip(shape, axes.layout, strict=True) if letter in "hw")
    alone = sb.Masked(sb.Ones(), rule)((units, incoming // taps))
    assert np.array_equal(groups != 0, np.broadcast_to(np.repeat(alone != 0, taps, axis=1), groups.shape))
    assert np.array_equal(made[made != 0], whole[made != 0])
    share = np.count_nonzero(made) / made.size
    assert init.expected(shape, axes).mean == pytest.approx(9 * share)
    index = np.s_[1:, ..., ::-1]
    assert np.array_equal(init.region(shape, index, rng=3, axes=axes), made[index])
    assert init.dead(shape, axes) == tuple(np.flatnonzero(~(groups != 0).any(axis=2).ravel()))


@pytest.mark.parametrize(
    ("rule", "shape"), [("lower", (9, 5)), ("upper", (5, 9)), ("diagonal", (5, 6)), ("blocks:3", (9, 4))]
)
def test_a_rule_that_is_taken_leaves_no_unit_without_an_input(rule, shape):
    init = sb.Masked(sb.HeNormal(), rule)
    assert init.dead(shape) == ()
    assert (init(shape, rng=0) != 0).any(axis=1).all()


@pytest.mark.parametrize("rule", ["upper", "diagonal", "blocks:7"])
def test_a_rule_that_would_tie_units_is_refused(rule):
    init = sb.Masked(sb.HeNormal(), rule)
    assert len(init.dead((9, 4))) > 1
    message = f"Masked: '{rule}' leaves {len(init.dead((9, 4)))} of 9 units without any of 4 inputs"
    for call in (init, init.expected):
        with pytest.raises(ValueError, match=message):
            call((9, 4))


AXES = st.sampled_from([("o", 0, 0), ("i", 1, 1), (-1, 2, 2), (0, 0, 0)])


class Halves(sb.AbstractInitializer):
    """Plus or minus one half, in memory of its own."""

    def sample(self, shape, stream, axes):
        return stream.sign(shape) * 0.5


class First(sb.AbstractInitializer):
    """The first value of all, against the rules."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape)[:1]


@pytest.mark.parametrize("others", [(), (sb.HeNormal(),), (sb.Orthogonal(),)], ids=repr)
@pytest.mark.parametrize("axis", ["o", "i"])
def test_a_part_that_gives_another_shape_is_refused(others, axis):
    """One value would be written to every place."""
    init = sb.Blocks((First(), *others), axis=axis)
    for make in (lambda: init((6, 8), 0), lambda: init.region((6, 8), np.s_[:3, 1:3], 0)):
        with pytest.raises(ValueError, match=r"First\.sample gave ndarray of shape"):
            make()


@given(shape=st.tuples(*[st.integers(1, 9)] * 3), axis=AXES, data=st.data(), workers=st.integers(1, 2))
def test_each_part_of_blocks_is_what_its_initializer_makes_of_it(shape, axis, data, workers):
    name, dim, _ = axis
    parts = data.draw(st.integers(1, 3))
    cuts = sorted(data.draw(st.lists(st.integers(0, shape[dim]), min_size=parts - 1, max_size=parts - 1)))
    edges = [0, *cuts, shape[dim]]
    sizes = [b - a for a, b in pairwise(edges)]
    inits = data.draw(st.permutations([sb.HeNormal(), sb.Uniform(0, 2), sb.Constant(0.5), Halves()]))[:parts]
    key = sb.Key(3)["w"]
    made = sb.Blocks(inits, sizes, name)(shape, rng=key, workers=workers)
    whole = []
    for k, (init, size) in enumerate(zip(inits, sizes, strict=True)):
        part = (*shape[:dim], size, *shape[dim + 1 :])
        whole.append(init(part, rng=key[str(k)]))
    assert np.array_equal(made, np.concatenate(whole, axis=dim))


@given(data=st.data(), axis=st.sampled_from([0, 1, 2]), seed=st.integers(0, 99))
def test_regions_of_blocks_and_masks_are_cut_from_the_whole(data, axis, seed):
    shape = (7, 40, 30)
    index = tuple(
        slice(*sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size)))), data.draw(st.integers(1, 3)))
        for size in shape
    )
    for init in (
        sb.Blocks((sb.Normal(), sb.Uniform(), sb.Ones()), sizes=(2, -1, 3), axis=axis),
        sb.Masked(sb.Normal(), np.random.default_rng(0).random(shape) < 0.5),
        sb.Masked(sb.Normal(), "lower"),
        sb.Perturbed(sb.Blocks((sb.Scaled(sb.Normal(), 2), sb.Ones()), sizes=(-1, 2), axis=axis)),
    ):
        assert np.array_equal(init.region(shape, index, rng=seed, axes="boi"), init(shape, seed, axes="boi")[index])


def test_large_weights_are_drawn_in_pieces_with_the_same_bits():
    """More than two pieces of the stream, cut across parts and rows."""
    shape = (1111, 1201)
    for init in (
        sb.Blocks((sb.Normal(), sb.Uniform()), sizes=(-1, 400), axis="i"),
        sb.Masked(sb.Uniform(), "lower"),
        sb.Perturbed(sb.Uniform(), 0.1),
    ):
        made = init(shape, rng=4, workers=1)
        assert np.array_equal(init(shape, rng=4, workers=3), made)
        if isinstance(init, sb.Blocks):
            assert np.array_equal(made[:, 801:], sb.Uniform()((1111, 400), rng=sb.Key(4)["1"]))
        if isinstance(init, sb.Masked):
            assert np.array_equal(made, np.tril(sb.Uniform()(shape, rng=4)))


def test_a_part_has_fans_of_its_own():
    """Fused query, key and value: the value apart, with the fans of its own matrix."""
    init = sb.Blocks((sb.GlorotNormal(), sb.GlorotNormal(), sb.Scaled(sb.GlorotNormal(), 0.25)))
    made = init((192, 64), rng=1)
    for part, std in zip(np.split(made, 3), (0.125, 0.125, 0.125 / 4), strict=True):
        assert part.std() == pytest.approx(std, rel=6.5 / math.sqrt(2 * 4096))


def test_parts_that_are_made_whole_have_streams_of_their_own():
    key = sb.Key(5)["w"]
    made = sb.Blocks((sb.Orthogonal(), sb.HeNormal(), sb.Orthogonal()), (8, 8, -1))((24, 8), rng=key)
    for k, init in enumerate((sb.Orthogonal(), sb.HeNormal(), sb.Orthogonal())):
        assert np.array_equal(made[8 * k : 8 * k + 8], init((8, 8), rng=key[str(k)]))


def test_blocks_keep_the_layout_along_other_axes():
    axes = sb.Axes("oi", splits=2)
    made = sb.Blocks((sb.Orthogonal(), sb.Zeros()), sizes=(5, -1), axis="i")((20, 8), rng=0, axes=axes)
    for gate in np.split(made[:, :5], 2):
        assert np.allclose(gate.T @ gate, np.eye(5), atol=1e-5)


@pytest.mark.parametrize(
    ("inits", "sizes", "axis", "ties"),
    [
        ((sb.Normal(), sb.HeNormal()), None, "o", "breaks"),
        ((sb.Normal(), sb.Zeros()), None, "o", "ties"),
        ((sb.Normal(), sb.Zeros()), (-1, 1), "o", "breaks"),  # one unit has nobody to be equal to
        ((sb.Normal(), sb.Zeros(), sb.Ones()), (-1, 1, 1), "o", "ties"),
        ((sb.Normal(), sb.Zeros()), None, "i", "breaks"),
        ((sb.Normal(), sb.Zeros()), (-1, 1), 1, "ties"),  # what axis 1 is, is not known yet
        ((sb.Ones(), sb.Zeros()), None, "i", "ties"),
        ((sb.Zeros(), sb.Zeros()), None, "o", "zeroes"),
    ],
)
def test_the_policy_of_blocks_follows_from_the_parts(inits, sizes, axis, ties):
    assert sb.Blocks(inits, sizes, axis).ties == ties


@pytest.mark.parametrize(
    "init", [sb.Constant(0.5), sb.Ones(), sb.Masked(sb.Ones(), "lower"), sb.Uniform(1, 3)], ids=repr
)
def test_noise_is_uniform_and_relative_to_the_root_mean_square(init):
    noise = sb.Perturbed(init, 0.01)((60, 50), rng=1, dtype="float64") - init((60, 50), rng=1, dtype="float64")
    stated = init.expected((60, 50))
    size = math.sqrt(stated.mean**2 + stated.std**2)
    assert noise.std() == pytest.approx(0.01 * size, rel=6.5 / math.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 6.5 * 0.01 * size / math.sqrt(noise.size)
    assert np.abs(noise).max() == pytest.approx(0.01 * size * math.sqrt(3), rel=0.01)
    perturbed = sb.Perturbed(init, 0.01).expected((60, 50))
    assert perturbed.low == pytest.approx(stated.low - 0.01 * size * math.sqrt(3))
    assert perturbed.high == pytest.approx(stated.high + 0.01 * size * math.sqrt(3))


def test_noise_breaks_every_tie():
    for init in (sb.Constant(0.5), sb.Blocks((sb.Zeros(), sb.Ones()))):
        plain, noisy = (each((32, 8), rng=0) for each in (init, sb.Perturbed(init)))
        assert len(np.unique(find_ties(plain).labels)) < 32
        assert len(np.unique(find_ties(noisy).labels)) == 32


def test_a_nested_configuration_goes_through_json():
    init = sb.Blocks(
        (sb.Scaled("he_normal", 0.5), sb.Perturbed(sb.Masked("ones", [[True, False]]), 0.1)), sizes=(-1, 1)
    )
    text = json.dumps(init.to_config())
    assert sb.from_config(json.loads(text)) == init
    assert json.loads(text)["inits"][1] == {
        "name": "perturbed",
        "init": {"name": "masked", "init": {"name": "ones"}, "mask": [[True, False]]},
        "noise": 0.1,
    }


class Silent(sb.AbstractInitializer):
    """States no moments."""

    def sample(self, shape, stream, axes):
        return stream.normal(shape)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sb.Scaled(3, 0.5), TypeError, "Scaled: init: an initializer is given by name.*got 3"),
        (lambda: sb.Scaled("ones", 0), ValueError, r"Scaled: factor is 0.*use `Zeros\(\)`"),
        (lambda: sb.Scaled("ones", math.inf), ValueError, "Scaled: factor is a finite number"),
        (lambda: sb.Scaled("ones", 1e-40), ValueError, "Scaled: factor is at least"),
        (lambda: sb.Masked("ones", "middle"), ValueError, "Masked: mask is an array of bools, 'lower'.*got 'middle'"),
        (lambda: sb.Masked("ones", "blocks:0"), ValueError, "Masked: mask is an array.*got 'blocks:0'"),
        (lambda: sb.Masked("ones", [1.0, 0.0]), ValueError, r"Masked: mask is an array.*got \[1.0, 0.0\]"),
        (lambda: sb.Masked("ones", True), ValueError, "Masked: mask is an array.*got True"),
        (lambda: sb.Masked("onez", "lower"), ValueError, "no initializer is called 'onez'"),
        (lambda: sb.Masked("ones", [[True]])((2, 2)), ValueError, r"has shape \(1, 1\), and the weight \(2, 2\)"),
        (
            lambda: sb.Masked("ones", "diagonal")((6, 2), axes=sb.Axes("oi", groups=2)),
            ValueError,
            "Masked: 'diagonal' leaves 2 of 6 units without any of 2 inputs, and they would be tied; give the mask as",
        ),
        (lambda: sb.Masked("ones", "lower")(4), ValueError, "a weight needs an output and an input axis"),
        (lambda: sb.Blocks(()), ValueError, r"Blocks: inits is a tuple of initializers, one a part; got \(\)"),
        (lambda: sb.Blocks("ones"), ValueError, "Blocks: inits is a tuple of initializers, one a part; got 'ones'"),
        (lambda: sb.Scaled([], 0.5), TypeError, r"Scaled: init: an initializer is given by name.*got \[\]"),
        (lambda: sb.Perturbed(("normal", "zeros")), TypeError, r"Perturbed: init: an initializer.*got \('normal', 'z"),
        (lambda: sb.Masked([], "lower"), TypeError, r"Masked: init: an initializer is given by name.*got \[\]"),
        (lambda: sb.LooksLinear([]), TypeError, r"LooksLinear: init: an initializer is given by name.*got \[\]"),
        (lambda: sb.ICNR(["normal"]), TypeError, r"ICNR: init: an initializer is given by name.*got \['normal'\]"),
        (lambda: sb.Blocks((3,)), TypeError, "Blocks: inits: an initializer is given by name"),
        (lambda: sb.Blocks(("ones",), axis="z"), ValueError, "Blocks: axis is 'o', 'i', 'b' or the number.*got 'z'"),
        (lambda: sb.Blocks(("ones",), axis=True), ValueError, "Blocks: axis is 'o', 'i', 'b' or the number.*got True"),
        (lambda: sb.Blocks(("ones",), 3), TypeError, "Blocks: sizes are integers, one a part; got 3"),
        (lambda: sb.Blocks(("ones",), (1.5,)), TypeError, "Blocks: sizes are integers, one a part; got"),
        (lambda: sb.Blocks(("ones",), (1, 2)), ValueError, "Blocks: sizes has one size a part, 1 in all"),
        (lambda: sb.Blocks(("ones",) * 2, (-1, -1)), ValueError, "Blocks: sizes has one size a part, 2 in all"),
        (lambda: sb.Blocks(("ones",) * 2)((3, 2)), ValueError, r"of `shape` \(3, 2\) has size 3, which can't be cut"),
        (lambda: sb.Blocks(("ones",) * 2, (1, 1))((3, 2)), ValueError, r"sizes \(1, 1\) don't add up to axis 0 of"),
        (lambda: sb.Blocks(("ones",) * 2, (4, -1))((3, 2)), ValueError, r"sizes \(4, -1\) don't add up to axis 0 of"),
        (lambda: sb.Blocks(("ones",), axis=2)((3, 2)), ValueError, r"Blocks: `shape` \(3, 2\) has no axis 2"),
        (lambda: sb.Blocks(("ones",), axis="b")((3, 2)), ValueError, "axes 'oi' have 0 axes 'b'; name one by"),
        (
            lambda: sb.Blocks(("ones",))((4, 2), axes=sb.Axes("oi", splits=2)),
            ValueError,
            "Blocks: axes 'oi' split or group axis 0 already; give one of the two",
        ),
        (lambda: sb.Perturbed("ones", 0), ValueError, r"Perturbed: noise is from 3.8e-06 to 1.*got 0"),
        (lambda: sb.Perturbed("ones", 1.5), ValueError, r"Perturbed: noise is from 3.8e-06 to 1.*got 1.5"),
        (lambda: sb.Perturbed("zeros")((2, 2)), ValueError, r"Zeros\(\) makes every weight zero.*`Normal\(std\)`"),
        (lambda: sb.Perturbed(Silent())((2, 2)), NotImplementedError, "Silent does not state its moments"),
        (lambda: sb.Scaled(Silent(), 2).to_config(), TypeError, "Silent is not registered"),
        (lambda: sb.SameAs(3), TypeError, "SameAs: parameter is a name in the plan; got 3"),
        (lambda: sb.SameAs("w", transpose=1), TypeError, "SameAs: transpose is True or False; got 1"),
        (lambda: sb.SameAs("w")((2, 2)), ValueError, r"\(parameter='w'\) stands for another.*give it to `plan`"),
        (lambda: sb.SameAs("w").expected((2, 2)), ValueError, "stands for another parameter"),
        (lambda: sb.Scaled(sb.SameAs("w"), 2)((2, 2)), ValueError, "stands for another parameter"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
