"""Windows: any part of a stream is that part of the whole, at a cost in proportion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symbreak as sb
from symbreak.streams import Stream, Window
from symbreak.streams import _window as window_module
from symbreak.streams import _words as words_module
from symbreak.streams._transforms import BLOCK
from symbreak.streams._window import region

LONG = Stream(5).normal(600_000)


@st.composite
def shapes_and_indices(draw):
    shape = tuple(draw(st.lists(st.integers(0, 40), min_size=1, max_size=4)))
    entries = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(["int", "slice", "slice", "none"]))
        if kind == "int" and size:
            entries.append(draw(st.integers(-size, size - 1)))
        elif kind == "none":
            entries += [None, slice(None)]
        else:
            bounds = st.none() | st.integers(-size - 2, size + 2)
            step = draw(st.none() | st.integers(-5, 5).filter(bool))
            entries.append(slice(draw(bounds), draw(bounds), step))
    if draw(st.booleans()) and len(entries) < len(shape):
        entries.insert(draw(st.integers(0, len(entries))), Ellipsis)
        # An Ellipsis moves what follows to the last axes, whose integers may then be out of bounds.
        entries = [entry if not isinstance(entry, int) else slice(entry, None) for entry in entries]
    return shape, tuple(entries)


@pytest.mark.parametrize(
    "initializer",
    [sb.Normal(0.3), sb.Uniform(0.1, 0.4), sb.TruncatedNormal(), sb.TruncatedNormal(low=-3.0), sb.Constant(2)],
)
@given(case=shapes_and_indices(), dtype=st.sampled_from(["float32", "float64", "bfloat16"]), seed=st.integers(0, 99))
def test_a_region_is_that_part_of_the_whole_bit_for_bit(initializer, case, dtype, seed):
    shape, index = case
    whole = initializer(shape, rng=seed, dtype=dtype)
    part = initializer.region(shape, index, rng=seed, dtype=dtype)
    expected = whole[index]
    assert part.shape == expected.shape
    assert part.dtype == expected.dtype
    assert part.tobytes() == expected.tobytes()
    assert part.flags.c_contiguous


@given(cut=st.integers(0, 600_000), length=st.integers(0, 300_000))
def test_any_run_of_a_long_stream_is_that_part_of_it(cut, length):
    length = min(length, 600_000 - cut)
    window = Window(600_000, np.array([cut]), length)
    assert (Stream(5, window=window).normal(600_000) == LONG[cut : cut + length]).all()


@given(
    starts=st.lists(st.integers(0, 599_000), min_size=1, max_size=60, unique=True).map(sorted),
    length=st.integers(1, 900),
)
def test_any_ascending_runs_are_those_parts(starts, length):
    starts = [start for k, start in enumerate(starts) if k == 0 or start - starts[k - 1] >= length]
    window = Window(600_000, np.array(starts), length)
    expected = np.concatenate([LONG[start : start + length] for start in starts])
    assert (Stream(5, window=window).normal(600_000) == expected).all()


@pytest.fixture
def words_drawn(monkeypatch):
    """Count the words that bit generators hand out."""
    counts = []
    make = sb.Key.bit_generator

    class Counting:
        def __init__(self, inner):
            self.inner = inner

        state = property(lambda self: self.inner.state, lambda self, value: setattr(self.inner, "state", value))

        def advance(self, delta):
            self.inner.advance(delta)

        def random_raw(self, size):
            counts.append(size)
            return self.inner.random_raw(size)

    monkeypatch.setattr(sb.Key, "bit_generator", lambda self, lane: Counting(make(self, lane)))
    monkeypatch.setattr(words_module, "_kept", words_module._Kept())  # no generator from before
    return counts


@pytest.mark.parametrize(
    ("index", "share"),
    [
        (np.s_[:256], 1 / 8),
        (np.s_[1000:1256], 1 / 8),
        (np.s_[:, :256], 1 / 8),
        (np.s_[5], 1 / 2048),
        (np.s_[::64], 1 / 64),
        (np.s_[7:9, 100:110], 20 / 2048**2),
    ],
)
def test_the_words_drawn_are_in_proportion_to_the_region(words_drawn, index, share):
    initializer, shape = sb.HeNormal(), (2048, 2048)
    part = initializer.region(shape, index, rng=0)
    runs = part.size // part.shape[-1]
    whole = 2048 * 2048 // 2
    # Blocks are drawn whole, and gaps of up to 8 blocks, which are cheaper than a jump, are drawn through.
    assert 0 < sum(words_drawn) <= min(whole, whole * share + 2 * 256 * runs + window_module.GAP * 256 * (runs - 1))
    assert part.size == pytest.approx(2048**2 * share)


def test_far_positions_cost_no_more_than_near_ones(words_drawn):
    sb.Normal().region((10**12, 4096), np.s_[10**12 - 1, 4000:], rng=0)
    assert 0 < sum(words_drawn) <= 512


def test_a_plug_in_gets_regions_threads_and_dtypes_from_the_base_class():
    class Doubled(sb.AbstractInitializer):
        """A normal times a sign, scaled by unit."""

        def sample(self, shape, stream, axes):
            scale = stream.along(np.arange(shape[0]) + 1.0, shape, 0)
            return stream.normal(shape) * stream["flip"].sign(shape) * scale

    whole = Doubled()((700, 900), rng=3)
    assert (Doubled()((700, 900), rng=3, workers=2) == whole).all()
    assert (Doubled().region((700, 900), np.s_[5:600:3, 17:40], rng=3) == whole[5:600:3, 17:40]).all()
    assert (np.abs(whole).mean(axis=1) > 0.5 * (np.arange(700) + 1) * 0.7).all()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.s_[5, 0], r"index 5 is out of bounds for axis 0 of shape \(5, 4\)"),
        (np.s_[0, 0, 0], r"3 indices for an array of shape \(5, 4\)"),
        (np.s_[..., ...], "at most one Ellipsis"),
        ([0, 1], r"a region is cut by integers, slices, Ellipsis and None; got \[0, 1\]"),
        (True, "a region is cut by integers"),
        (1.0, "a region is cut by integers.*got 1.0"),
    ],
)
def test_other_indices_are_refused(index, message):
    with pytest.raises(IndexError, match=message):
        sb.Normal().region((5, 4), index, rng=0)


@pytest.mark.parametrize(
    ("starts", "length"),
    [
        ([0], 10_000),
        ([700], 10_000),
        ([100, 9000], 5000),
        (range(0, 25_000, 250), 100),
        (range(7, 9000, 3), 1),
        ([], 0),
    ],
)
@pytest.mark.parametrize("shares", [1, 3])
def test_the_pieces_of_a_window_are_all_of_it_in_order(starts, length, shares, monkeypatch):
    monkeypatch.setattr(window_module, "PIECE", 2048)
    window = Window(30_000, np.array(starts, np.int64), length)
    whole = (window.starts[:, None] + np.arange(length)).ravel()
    done = 0
    for piece, begin, end in window.pieces(4, shares):
        assert (begin, piece.size, piece.total) == (done, end - begin, 30_000)
        positions = (piece.starts[:, None] + np.arange(piece.length)).ravel()
        assert np.array_equal(positions, whole[begin:end])
        if len(starts) == 1 and begin:
            assert whole[begin] % BLOCK == 0  # so that no block is drawn for two pieces
        assert piece.size <= 2048 + BLOCK
        done = end
    assert done == window.size


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_numbers_along_an_axis_are_those_of_each_position(axis):
    shape = (3, 4, 5)
    values = np.arange(10.0, 10 + shape[axis])
    found = Stream(0).along(values, shape, axis)
    whole = np.moveaxis(np.broadcast_to(values, (*np.delete(shape, axis), shape[axis])), -1, axis)
    assert np.array_equal(np.broadcast_to(found, shape), whole)
    window, _, _ = region(shape, np.s_[1:, 2, ::2])
    assert np.array_equal(Stream(0, window=window).along(values, shape, axis), whole[1:, 2, ::2].ravel())


def test_a_window_counts_its_positions():
    window, shape, _ = region((6, 8), np.s_[1:3, 2:5])
    assert (window.starts.tolist(), window.length, window.size, shape) == ([10, 18], 3, 6, (2, 3))
    window, _, _ = region((6, 8), np.s_[2:4])
    assert (window.starts.tolist(), window.length) == ([16], 16)


@pytest.mark.parametrize("index", [np.s_[2**39, 5], np.s_[2**39 : 2**39 + 2, :3], np.s_[0, 0]])
def test_positions_beyond_64_bits_are_refused_not_wrapped(index):
    with pytest.raises(ValueError, match=r"fewer than 2\*\*63 elements; got `shape` \(1099511627776, 1099511627776\)"):
        sb.Normal().region((2**40, 2**40), index, rng=0)
    with pytest.raises(ValueError, match=r"fewer than 2\*\*63 elements"):
        sb.Normal().region((2**40, 2**23), index, rng=0)
    assert sb.Normal().region((2**40, 2**22), np.s_[2**40 - 1, -2:], rng=0).shape == (2,)


WHOLE = Stream(sb.Key(3)).normal((40, 40))
KEPT = np.arange(1600, dtype=np.float32).reshape(40, 40)


class Drawn(sb.AbstractInitializer):
    elementwise = False

    def sample(self, shape, stream, axes):
        return stream.normal(shape)


class Turned(Drawn):
    def sample(self, shape, stream, axes):
        return stream.normal(shape).T


class Written(Drawn):
    def sample(self, shape, stream, axes):
        values, other = stream.empty(shape), stream.empty(shape)
        other[...] = 0
        values[...] = Stream(stream.key).normal(shape)
        return values


class Kept(Drawn):
    def sample(self, shape, stream, axes):
        return KEPT


@pytest.mark.parametrize(
    ("initializer", "values"), [(Drawn(), WHOLE), (Turned(), WHOLE.T), (Written(), WHOLE), (Kept(), KEPT)], ids=repr
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_whole_weight_made_in_its_own_memory_or_elsewhere_is_the_same(initializer, values, order):
    out = np.empty((40, 40), np.float32, order=order)
    assert (initializer.fill(out, 3) == values).all()
    made = initializer((40, 40), 3)
    assert (made == values).all()
    made[...] = 0  # is nobody else's
    assert (initializer((40, 40), 3, dtype="float16") == values.astype(np.float16)).all()


def test_an_empty_result_is_the_memory_that_is_filled_once():
    out = np.empty(1600, np.float32)
    stream = Stream(0, out=out)
    first, second = stream.empty((40, 40)), stream.empty((40, 40))
    assert np.shares_memory(first, out)
    assert not np.shares_memory(second, out)
    assert Stream(0, window=Window(90, np.array([4]), 30)).empty((9, 10)).shape == (30,)
