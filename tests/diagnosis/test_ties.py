"""Exact ties in one weight, against a dictionary of tuples of values."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symbreak.diagnosis import _bits, _search, _ties, _tiles, find_ties, judge_array

FLOATS = ["float16", "float32", "float64", "longdouble", ">f2", ">f4", ">f8", "bfloat16", "float8_e5m2"]
FLOATS += ["float8_e3m4", "float8_e4m3", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz"]
OTHERS = ["complex64", "complex128", "clongdouble", ">c8", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
OTHERS += ["float8_e8m0fnu", "int4", "uint4", "int2", "uint2", "bool", "int8", "uint8", ">i2", "int32", ">u4", "int64"]
OTHERS += ["uint64", "complex64"]


def as_dtype(name):
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def slow_ties(array, axis):
    """The definition: units are equal if all their values are."""
    if array.dtype.kind == "V" or array.dtype.name.startswith("float8"):
        array = array.astype(np.float64)
    first, labels, zero, not_finite = {}, [], [], []
    for number, unit in enumerate(np.moveaxis(array, axis, 0)):
        values = tuple(unit.ravel().tolist()) if array.dtype.itemsize < 16 else tuple(unit.ravel())
        label = object() if any(value != value for value in values) else values
        labels.append(first.setdefault(label, len(first)))
        if all(value == 0 for value in values):
            zero.append(number)
        with np.errstate(all="ignore"):
            if not np.isfinite(unit).all():
                not_finite.append(number)
    return labels, zero, not_finite


def assert_same(array, axis=0, workers=1):
    ties = find_ties(array, axis, workers)
    assert (ties.labels.tolist(), ties.zero.tolist(), ties.not_finite.tolist()) == slow_ties(array, axis)


@st.composite
def weights(draw):
    """Arrays of any dtype, shape, strides and order, with equal units, both zeros, NaNs and infinities in them."""
    dtype = as_dtype(draw(st.sampled_from(FLOATS + OTHERS)))
    shape = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = draw(st.integers(0, 40))
    seed = draw(st.integers(0, 2**32))
    values = np.random.default_rng(seed).integers(0, draw(st.sampled_from([2, 3, 200])), shape).astype(np.float64)
    array = values.astype(np.float32).astype(dtype)
    units = np.moveaxis(array, axis, 0)
    with np.errstate(all="ignore"):
        special = [-0.0, 0.0, np.nan, np.inf, -np.inf] if dtype.name in FLOATS or dtype.kind in "fc" else [0]
        for _ in range(draw(st.integers(0, 4)) if array.size else 0):
            spot = tuple(draw(st.integers(0, n - 1)) for n in array.shape)
            array[spot] = np.float32(draw(st.sampled_from(special)))
    for _ in range(draw(st.integers(0, 4)) if len(units) else 0):
        units[draw(st.integers(0, len(units) - 1))] = units[draw(st.integers(0, len(units) - 1))]
    for _ in range(draw(st.integers(0, 2)) if len(units) else 0):
        units[draw(st.integers(0, len(units) - 1))] = np.zeros((), dtype)
    layout = draw(st.sampled_from(["C", "F", "step", "reverse", "transpose"]))
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "step":
        room = np.zeros([2 * n for n in array.shape], dtype)
        room[tuple(slice(None, None, 2) for _ in array.shape)] = array
        array = room[tuple(slice(None, None, 2) for _ in array.shape)]
    elif layout == "reverse":
        array = array[tuple(slice(None, None, -1) for _ in array.shape)]
    elif layout == "transpose":
        return array.T, array.ndim - 1 - axis % array.ndim
    return array, axis


@settings(max_examples=max(300, settings().max_examples))
@given(
    weight=weights(),
    workers=st.integers(1, 3),
    tile=st.sampled_from([64, 1024, 1 << 20]),
    head=st.sampled_from([1, 3, 32]),
    small=st.sampled_from([0, 1 << 13]),
)
def test_ties_are_those_of_the_definition(weight, workers, tile, head, small):
    array, axis = weight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tiles, "TILE", tile)
        patch.setattr(_tiles, "ROW", max(32, tile // 16))
        patch.setattr(_tiles, "ACROSS", max(2, tile // 128))
        patch.setattr(_tiles, "HEAD", head)
        patch.setattr(_search, "FLAT", 5 * head)
        patch.setattr(_search, "SHARE", 1)
        patch.setattr(_search, "LONG", head)
        patch.setattr(_ties, "SMALL", small)
        assert_same(array, axis, workers)


@given(weight=weights())
def test_hashes_that_all_collide_change_nothing(weight):
    array, axis = weight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_ties, "SMALL", 0)
        patch.setattr(_search, "_multipliers", lambda count: np.zeros(count, np.uint64))
        assert_same(array, axis)


class _Collides:
    """A digest that is the same for whatever it is fed."""

    def update(self, data):
        pass

    def digest(self):
        return b"same"


def test_digests_that_all_collide_too_change_nothing(monkeypatch):
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_search, "_multipliers", lambda count: np.zeros(count, np.uint64))
    monkeypatch.setattr(_search, "_digest", lambda salt: _Collides())
    assert_same(np.random.default_rng(0).integers(0, 2, (40, 3)))


@pytest.mark.parametrize("shape", [(7,), (3, 5), (5, 3), (2, 3, 4), (4, 2, 7), (3, 1, 2, 5)])
@pytest.mark.parametrize("limit", [1, 4, 6, 1000])
def test_features_are_cut_into_blocks_that_hold_each_once_and_in_order(shape, limit):
    numbers = np.arange(np.prod(shape)).reshape(shape)
    blocks = [numbers[block].ravel() for block in _tiles._feature_blocks(shape, limit)]
    assert max(map(len, blocks)) <= limit
    assert np.array_equal(np.concatenate(blocks), numbers.ravel())


@given(count=st.integers(1, 60), keys=st.integers(1, 40), top=st.sampled_from([0, 40, 63]), seed=st.integers(0, 2**32))
def test_repeated_keys_are_those_of_a_dictionary(count, keys, top, seed):
    random = np.random.default_rng(seed)
    values = random.integers(0, keys, count).astype(np.uint64) << np.uint64(top)
    values ^= random.integers(0, 2, count).astype(np.uint64) << np.uint64(50)
    units = np.sort(random.permutation(1000)[:count])
    first, expected = {}, []
    for unit, value in zip(units.tolist(), values.tolist(), strict=True):
        if first.setdefault(value, unit) != unit:
            expected.append((unit, first[value]))
    later, firsts = _search._repeated(units, values)
    assert list(zip(later.tolist(), firsts.tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_units_written_as_a_slice_are_the_same_units(units):
    assert np.arange(20)[_search._as_slice(np.array(units))].tolist() == units


def test_colliding_hashes_take_few_comparisons(monkeypatch):
    """An adversary who makes all hashes collide gets a fixed number of passes, not one for each pair."""
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_search, "_multipliers", lambda count: np.zeros(count, np.uint64))
    passes = []

    def counted(owner, name):
        call = getattr(owner, name)

        def count(*args):
            passes.append(name)
            assert len(passes) < 12
            return call(*args)

        monkeypatch.setattr(owner, name, count)

    counted(_tiles.Tiles, "load")
    counted(_search, "_repeated")
    array = np.random.default_rng(0).standard_normal((3000, 2))
    assert find_ties(array).labels.tolist() == list(range(3000))
    assert {"load", "_repeated"} == set(passes)


def test_units_with_a_nan_equal_none_whatever_its_payload():
    codes = np.array([0x7FC00000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800001], np.uint32)  # two of them signalling
    ties = find_ties(np.stack([codes.view(np.float32)] * 2, axis=1))
    assert ties.labels.tolist() == [0, 1, 2, 3, 4]
    assert ties.not_finite.tolist() == [0, 1, 2, 3, 4]
    assert ties.groups == ()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_nan_that_signals_behind_zeros_warns_of_nothing(axis):
    array = np.zeros((90, 100), np.float32)
    array[7, 80:].view(np.uint32)[:] = 0x7F800001
    array[8:, 50] = np.arange(82)
    ties = find_ties(array if axis == 0 else np.ascontiguousarray(array.T), axis)
    assert (ties.not_finite.tolist(), ties.zero.tolist()) == ([7], [*range(7), 8])


@pytest.mark.parametrize("name", FLOATS[:9])
def test_infinities_compare_as_values_do(name):
    rows = np.array([[1, np.inf], [1, -np.inf], [1, np.inf], [1, 2]], np.float32).astype(as_dtype(name))
    ties = find_ties(rows)
    assert ties.labels.tolist() == [0, 1, 0, 2]
    assert ties.not_finite.tolist() == [0, 1, 2]


def test_sums_that_overflow_are_not_taken_for_values_that_are_not_finite():
    ties = find_ties(np.full((3, 4), np.finfo(np.float32).max, np.float32))
    assert ties.not_finite.tolist() == []
    assert ties.labels.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", sorted(_bits._SMALL))
def test_every_code_of_a_small_type_is_judged_by_its_value(name):
    dtype = as_dtype(name)
    # What the unused bits of the narrowest floats mean is not specified.
    count = _bits._SMALL[name].keep + 1 if name.startswith(("float4", "float6")) else 256**dtype.itemsize
    codes = np.arange(count, dtype=f"u{dtype.itemsize}").view(dtype)
    with np.errstate(all="ignore"):
        wide = codes.astype(np.float32)
    for column, axis in ((codes[:, None], 0), (codes[None], 1)):
        ties = find_ties(column, axis)
        assert ties.not_finite.tolist() == np.flatnonzero(~np.isfinite(wide)).tolist()
        assert ties.zero.tolist() == np.flatnonzero(wide == 0).tolist()
        _, expected = np.unique(wide[~np.isnan(wide)], return_inverse=True)
        found = ties.labels[~np.isnan(wide)]
        assert len(set(zip(found.tolist(), expected.tolist(), strict=True))) == len(set(expected)) == len(set(found))


@pytest.mark.parametrize("name", sorted(_bits._SMALL))
def test_the_outermost_codes_that_are_not_finite_are_seen_alone(name):
    dtype = as_dtype(name)
    codes = np.arange(256**dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(codes.astype(np.float32))
    edges = np.flatnonzero(bad & ~(np.roll(bad, 1) & np.roll(bad, -1)))
    assert len(edges) or not bad.any()
    for code in edges:
        assert find_ties(np.array([[codes[0], codes[code]]])).not_finite.tolist() == [0]


def test_the_table_of_small_types_is_that_of_their_values():
    for name, row in _bits._SMALL.items():
        dtype, bits = as_dtype(name), _bits.Bits(as_dtype(name))
        count = row.keep + 1 if name.startswith(("float4", "float6")) else 256**dtype.itemsize
        codes = np.arange(count, dtype=f"u{dtype.itemsize}").view(dtype)
        with np.errstate(all="ignore"):
            wide = codes.astype(np.float32)
        loaded = np.empty_like(codes)
        bits.load(codes, loaded)
        found = loaded.view(f"u{dtype.itemsize}")
        _, expected = np.unique(wide[~np.isnan(wide)], return_inverse=True)
        _, classes = np.unique(found[~np.isnan(wide)], return_inverse=True)
        assert len(np.unique(classes * 65536 + expected)) == len(np.unique(classes)) == len(np.unique(expected)), name
        bad = ~np.isfinite(wide)
        assert (bits.always_finite, bits.has_zero) == (not bad.any(), bool((wide == 0).any())), name
        assert not found[wide == 0].any(), name
        assert not bits.suspicious(loaded[~bad][np.newaxis]), name
        edges = np.flatnonzero(bad & ~(np.roll(bad, 1) & np.roll(bad, -1)))
        assert all(bits.suspicious(loaded[np.newaxis, edge : edge + 1]) for edge in edges), name
        with np.errstate(all="ignore"):
            marks = bits.not_finite(loaded[:, np.newaxis])
        not_finite, nan = marks or (np.zeros(count, bool), np.zeros(count, bool))
        assert np.array_equal(not_finite, bad), name
        assert np.array_equal(nan, np.isnan(wide)), name


@pytest.mark.parametrize("name", ["float4_e2m1fn", "float6_e3m2fn", "uint1", "int4", "bool", "int8", ">u2", "int64"])
def test_what_can_only_be_finite_is_not_looked_at_closely(name):
    bits = _bits.Bits(as_dtype(name))
    assert bits.always_finite
    assert bits.not_finite(np.ones((2, 3), bits.dtype)) is None


@st.composite
def numbered(draw):
    """Arrays of numbers that differ, of any shape, order and strides, and an axis."""
    dtype = np.dtype(draw(st.sampled_from(["u2", ">u2", "f4", ">f4", "f8", "c8", "c16"])))
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    room = np.zeros([2 * length + 1 for length in shape], dtype)
    steps = [draw(st.sampled_from([slice(0, n), slice(0, 2 * n, 2), slice(n - 1, None, -1)])) for n in shape]
    array = room[tuple(steps)]
    if draw(st.booleans()):
        array = np.empty(shape, dtype, order=draw(st.sampled_from("CF")))
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    array[...] = np.arange(1, array.size + 1).reshape(array.shape)
    return np.moveaxis(array, draw(st.integers(0, array.ndim - 1)), 0)


@given(units=numbered(), tile=st.sampled_from([64, 256, 1 << 20]), head=st.sampled_from([1, 3, 32]))
def test_tiles_hold_each_value_of_each_unit_once(units, tile, head):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tiles, "TILE", tile)
        patch.setattr(_tiles, "ROW", 32)
        patch.setattr(_tiles, "ACROSS", 3)
        patch.setattr(_tiles, "HEAD", head)
        tiles = _tiles.Tiles(units)
        buffer = tiles.buffer()
        found, rows = [], np.sort(units.reshape(len(units), -1), axis=1)
        for some in tiles.ranges(0, len(units)):
            loaded = [tiles.load(some, block, buffer) for block in tiles.blocks[:1]]
            assert max(codes.shape[1] for codes, _ in loaded) <= tiles.width
            found.append(np.concatenate([tiles.load(some, block, buffer)[1].copy() for block in tiles.blocks], axis=1))
        assert np.array_equal(np.sort(np.concatenate(found), axis=1), rows)
        assert tiles.unit_bytes == rows[0].nbytes
        first = tiles.view[(slice(None), *tiles.head)].reshape(len(units), -1)
        assert first.shape[1] <= head
        assert tiles.flat is None or np.array_equal(np.sort(tiles.flat), np.sort(rows, axis=None))
        assert tiles.rows is None or tiles.rows.shape == rows.shape


@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [
        ("float64", (1024, 1008, 1024, 8, 16)),
        ("complex64", (1024, 1008, 1024, 8, 16)),
        ("float32", (1024, 1024, 512, 16, 16)),
        ("int8", (1024, 1024, 128, 64, 16)),
        ("complex128", (1024, 1008, 1024, 4, 4)),
    ],
)
def test_a_tile_is_of_the_size_of_the_cache_and_the_order_of_the_memory(dtype, sizes, monkeypatch):
    """By rows, by short rows, and across, where values of up to eight bytes lie side by side with those of others."""
    for name, size in (("TILE", 1024), ("ROW", 64), ("ACROSS", 8)):
        monkeypatch.setattr(_tiles, name, size)
    rows, short = (_tiles.Tiles(np.zeros(shape, dtype)) for shape in ((90, 100), (900, 3)))
    across = _tiles.Tiles(np.zeros((100, 90), dtype).T)
    assert tuple(each.buffer().nbytes for each in (rows, short, across)) == sizes[:3]
    assert (rows.blocks[0][0].stop, across.blocks[0][0].stop) == sizes[3:]
    assert (rows.across, short.across, across.across) == (False, False, dtype != "complex128")
    assert not _tiles.Tiles(np.zeros((30, 1), dtype)).across
    assert next(rows.ranges(2, 90, 2)) == slice(2, 2 + 2 * rows.height)


@pytest.fixture
def small_tiles(monkeypatch):
    """Cut even small arrays into many tiles, of few units and few features."""
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_tiles, "TILE", 256)
    monkeypatch.setattr(_tiles, "ROW", 32)
    monkeypatch.setattr(_tiles, "ACROSS", 4)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", sorted(set(FLOATS + OTHERS)))
def test_every_dtype_is_judged_along_every_axis(name, order, axis, small_tiles):
    values = np.random.default_rng(3).integers(0, 2, (9, 9, 9))
    units = np.moveaxis(values, axis, 0)
    units[7], units[5], units[2] = units[1], units[1], 0
    assert_same(np.asarray(values.astype(np.float32).astype(as_dtype(name)), order=order), axis)


@pytest.mark.parametrize("axis", [0, 1])
def test_what_one_tile_shows_is_kept_when_the_next_shows_nothing(axis, small_tiles):
    array = np.ones((8, 40))
    array[0, 0] = array[1, 39] = array[3, 20] = np.nan
    array[2, 0] = array[4, 39] = np.inf
    assert_same(array if axis == 0 else array.T.copy(), axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("feature", [0, 20, 39])
def test_a_difference_in_any_tile_is_a_difference(axis, feature, small_tiles, monkeypatch):
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_search, "_multipliers", lambda count: np.zeros(count, np.uint64))
    array = np.ones((8, 40))
    array[5, feature] = 2
    assert_same(array if axis == 0 else array.T.copy(), axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "complex64"])
@pytest.mark.parametrize("head", ["equal", "zero", "equal for a few"])
def test_units_that_begin_alike_are_told_apart_by_what_follows(head, dtype, axis):
    random = np.random.default_rng(0)
    array = random.integers(1, 100, (300, 200)).astype(np.float32).astype(as_dtype(dtype))
    array[250] = array[3]
    alike = slice(10, 20) if head == "equal for a few" else slice(None)
    array[alike, :64] = 0 if head == "zero" else 7
    array[[5, 299]] = 0
    assert_same(array if axis == 0 else np.ascontiguousarray(array.T), axis)


def test_of_units_that_begin_differently_only_the_beginning_is_hashed(monkeypatch):
    hashed = []
    signless = _search.Search._signless
    monkeypatch.setattr(_search.Search, "_signless", lambda self, v: hashed.append(v.size) or signless(self, v))
    array = np.random.default_rng(0).normal(size=(2000, 3000)).astype(np.float32)
    array[1999] = array[7]
    for weight, axis in ((array, 0), (array.T.copy(), 1)):
        hashed.clear()
        assert find_ties(weight, axis, workers=1).groups == ((7, 1999),)
        assert sum(hashed) < array.size / 50


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("kind", ["half are zero", "all are equal"])
def test_units_of_zeros_and_of_a_weight_of_equal_units_are_not_hashed_whole(kind, dtype, axis, monkeypatch):
    hashed = []
    for name in ("_signless", "_sum"):
        hash_ = getattr(_search.Search, name)
        monkeypatch.setattr(_search.Search, name, lambda self, v, hash_=hash_: hashed.append(v.size) or hash_(self, v))
    array = (1000 * np.random.default_rng(0).normal(size=(600, 500))).astype(dtype)
    tied = range(300 if kind == "half are zero" else 0, 600)
    array[tied] = 0 if kind == "half are zero" else array[0]
    assert find_ties(array if axis == 0 else array.T.copy(), axis).groups == (tuple(tied),)
    assert 0 < sum(hashed) < array.size / 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 12, 5999])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", ">f4", "complex128", "float8_e4m3fnuz"])
def test_one_value_that_is_not_finite_is_seen_wherever_it_lies(dtype, place, value, monkeypatch):
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_search, "FLAT", 1000)
    array = np.random.default_rng(0).integers(1, 5, 6000).astype(np.float32)
    array[place] = value
    with np.errstate(all="ignore"):
        array = array.astype(as_dtype(dtype)).reshape(60, 100)
    for weight, axis, unit in ((array, 0, place // 100), (array, 1, place % 100), (array[::-1], 0, 59 - place // 100)):
        assert find_ties(weight, axis).not_finite.tolist() == [unit]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_a_weight_that_is_finite_is_looked_at_once_and_not_row_by_row(dtype, axis, monkeypatch):
    looks = []
    suspicious = _bits.Bits.suspicious
    monkeypatch.setattr(_bits.Bits, "suspicious", lambda self, tile: looks.append(tile.size) or suspicious(self, tile))
    monkeypatch.delattr(_bits.Bits, "not_finite")
    monkeypatch.setattr(_search, "FLAT", 1000)
    array = np.random.default_rng(0).normal(size=(90, 100)).astype(as_dtype(dtype))
    array[70] = array[7]
    assert find_ties(array if axis == 0 else np.ascontiguousarray(array.T), axis).groups == ((7, 70),)
    assert sum(looks) == array.size


def test_what_is_finite_along_one_axis_is_not_looked_at_again(monkeypatch):
    looks = []
    suspicious = _bits.Bits.suspicious
    monkeypatch.setattr(_bits.Bits, "suspicious", lambda self, tile: looks.append(1) or suspicious(self, tile))
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr("symbreak.diagnosis._weights.SMALL", 0)
    array = np.random.default_rng(0).normal(size=(30, 40))
    assert judge_array(array, "a").ok
    assert len(looks) == 1
    stack = np.random.default_rng(0).normal(size=(4, 30, 40))
    stack[3] = stack[1]
    assert [each.groups for each in judge_array(stack, "a").findings] == [((1, 3),)]
    assert len(looks) == 2
    array[3, 4] = np.inf
    findings = judge_array(array, "a").findings
    assert [(each.code, each.where, each.groups) for each in findings] == [("SB108", "a, axis 0", ((3,),))]


def test_what_is_not_finite_along_one_axis_is_looked_at_along_the_others(monkeypatch):
    monkeypatch.setattr(_ties, "SMALL", 0)
    array = np.random.default_rng(0).normal(size=(6, 5)).astype(as_dtype("bfloat16"))
    array[:, 3] = array[:, 1]
    assert judge_array(array, "a").partition["a, axis 1"].tolist() == [0, 1, 2, 1, 3]
    array[2, [1, 3]] = np.nan
    assert judge_array(array, "a").partition["a, axis 1"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,), (0, 0), (1, 4), (1, 0), (2, 0, 5)])
def test_empty_and_single_are_no_special_case(shape):
    assert_same(np.zeros(shape))


@pytest.mark.parametrize("name", sorted({*_bits._SMALL, "float32", "int8"}))
def test_no_values_and_one_are_loaded_as_many_are(name):
    bits = _bits.Bits(as_dtype(name))
    for count in (0, 1, 2):
        loaded = np.ones(count, bits.dtype)
        bits.load(np.full(count, -0.0, np.float32).astype(bits.dtype), loaded)
        assert loaded.view(np.uint8).any() == (count > 0 and not bits.has_zero)


def test_units_without_values_are_equal_and_zero():
    ties = find_ties(np.zeros((3, 0)))
    assert ties.labels.tolist() == [0, 0, 0]
    assert ties.zero.tolist() == [0, 1, 2]


@pytest.mark.parametrize("columns", [1, 3, 7, 8, 9, 300])
@pytest.mark.parametrize("name", ["uint8", "float16", "float32", "bool"])
def test_a_difference_in_the_last_byte_is_seen(name, columns):
    array = np.zeros((3, columns), name)
    array[1, -1] = 1
    assert find_ties(array).labels.tolist() == [0, 1, 0]
    assert find_ties(np.ascontiguousarray(array.T), axis=1).labels.tolist() == [0, 1, 0]


def test_small_integers_stored_as_floats_are_told_apart_without_digests(monkeypatch):
    """Their low bits are all zero, which leaves the first hash few bits; the second makes up for it."""
    monkeypatch.delattr(_search, "_digest")
    array = np.array(list(itertools.product([0.0, 1.0], repeat=12)))
    again = np.concatenate([array, array[::-1]])
    assert find_ties(again).labels.tolist() == [*range(4096), *range(4095, -1, -1)]


def test_large_weights_are_searched_in_parallel_with_the_same_result(monkeypatch):
    monkeypatch.setattr(_search, "SHARE", 1)
    array = np.random.default_rng(0).standard_normal((3000, 700)).astype(np.float32)
    array[2999], array[1500:1600], array[7, 3] = array[0], array[1], np.nan
    expected = find_ties(array, workers=1)
    for workers in (2, 3, 50, None):
        for weight, axis in ((array, 0), (array.T.copy(), 1)):
            ties = find_ties(weight, axis, workers)
            assert ties.labels.tolist() == expected.labels.tolist()
            assert ties.not_finite.tolist() == [7]
    assert expected.groups == ((0, 2999), (1, *range(1500, 1600)))


@pytest.mark.parametrize(("count", "workers", "size", "ranges"), [
    (0, 5, None, 0),  # nothing to do
    (3, 5, None, 3),  # a worker has a unit at least
    (20, 5, None, 5),
    (20, 1, None, 1),
    (9, 5, 100, 4),  # each has 200 bytes at least
    (3, 5, 100, 1),
    (1, 5, 100, 1),
    (1000, None, None, 7),  # all that there are
])  # fmt: skip
def test_work_is_shared_among_those_that_have_enough_of_it(count, workers, size, ranges, monkeypatch):
    """One range for each of them, of as many units as the next or one more."""
    monkeypatch.setattr(_search, "SHARE", 200)
    search = _search.Search(_tiles.Tiles(np.zeros((1000, 50), np.float32)), 7)
    done = []
    search._share(lambda low, high: done.append((low, high)), count, workers, size)
    assert len(done) == ranges
    assert [unit for low, high in sorted(done) for unit in range(low, high)] == list(range(count))
    assert len({(high - low) * ranges // count for low, high in done} - {0, 1}) == 0


def test_a_memory_map_is_read_tile_by_tile(tmp_path):
    array = np.random.default_rng(0).standard_normal((50, 60)).astype(np.float32)
    array[49] = array[3]
    np.save(tmp_path / "w.npy", array)
    assert find_ties(np.load(tmp_path / "w.npy", mmap_mode="r")).groups == ((3, 49),)


@pytest.mark.parametrize("axis", [0, 1])
def test_little_memory_is_used_beside_the_array(axis):
    import tracemalloc

    array = np.ones((4000, 4000), np.float32)
    array[:, 0] = np.arange(4000)
    array[0, :] = np.arange(4000)
    array[3999], array[:, 3999] = array[1], array[:, 1]
    tracemalloc.start()
    try:
        assert find_ties(array, axis, workers=1).groups == ((1, 3999),)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("small", [0, 1 << 13])
def test_a_broadcast_array_is_one_class(small, monkeypatch):
    monkeypatch.setattr(_ties, "SMALL", small)
    assert find_ties(np.broadcast_to(np.arange(3.0), (5, 3))).groups == ((0, 1, 2, 3, 4),)
    assert find_ties(np.broadcast_to(2.0, (5, 3))).groups == ((0, 1, 2, 3, 4),)
    assert find_ties(np.broadcast_to(np.array([[1.0], [2], [1]]), (3, 4))).groups == ((0, 2),)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.zeros(3, "V2"), np.zeros(2, "M8[s]")])
def test_what_is_no_number_is_refused(array):
    with pytest.raises(TypeError, match=r"weights are numbers; got an array of dtype .*: convert it") as error:
        find_ties(array)
    assert ("(the bytes of a type that NumPy does not know?)" in str(error.value)) == (array.dtype.kind == "V")
    with pytest.raises(TypeError, match="weights are numbers"):
        find_ties(array[:0])


@pytest.mark.parametrize(("array", "axis"), [(np.ones((2, 2)), 2), (np.ones((2, 2)), -3), (np.float32(1), 0)])
def test_an_axis_that_is_not_there_is_refused(array, axis):
    with pytest.raises(ValueError, match=rf"an array of {np.ndim(array)} dimensions has no axis {axis}"):
        find_ties(array, axis)


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_workers_are_counted_from_one(workers):
    with pytest.raises(ValueError, match="workers is a positive integer or None; got"):
        find_ties(np.ones((2, 2)), workers=workers)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("unit", [0, 4999])
def test_one_minus_zero_among_many_tiles_is_equal_to_zero(dtype, axis, unit):
    """Floats are hashed where they lie, and 0.0 and -0.0 lie there as different bits."""
    array = np.random.default_rng(0).normal(size=(5000, 512)).astype(dtype)
    array[unit, 2:4] = 0.0
    array[2500] = array[unit]
    array[2500, 2:4] = -array[unit, 2:4]
    assert np.signbit(array.view(array.real.dtype)).any()
    weight = array if axis == 0 else np.ascontiguousarray(array.T)
    assert find_ties(weight, axis).groups == (tuple(sorted((unit, 2500))),)


@pytest.mark.parametrize("axis", [0, 1])
def test_units_and_their_negatives_are_told_apart_without_another_hash(axis, monkeypatch):
    """They share the hash that takes no notice of signs, and so does a unit with one value negated."""
    monkeypatch.delattr(_search, "_digest")
    half = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    half[499] = half[498]
    half[499, 63] *= -1
    array = np.concatenate([half, -half, half])
    weight = array if axis == 0 else np.ascontiguousarray(array.T)
    assert find_ties(weight, axis).groups == tuple((unit, unit + 1000) for unit in range(500))


@pytest.mark.parametrize("keep", [0xFFFF0000, 0xFF800000])
def test_floats_whose_last_bits_are_zero_are_told_apart(keep):
    """The first is bfloat16 kept in float32, the second powers of two; short hashes of them would collide."""
    array = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    array = (array.view(np.uint32) & np.uint32(keep)).view(np.float32)
    array[2999] = array[7]
    search = _search.Search(_tiles.Tiles(array), 1)
    heads = np.zeros(len(array), np.uint64)
    search._begin(heads, signless=True, look=False)
    assert not _search._tell(heads)
    assert find_ties(array).groups == ((7, 2999),)


# What is remembered, and shown.


def test_while_it_is_remembered_an_array_is_searched_once_along_each_axis():
    array = np.random.default_rng(0).integers(0, 2, (6, 6)).astype(np.float32)
    with _ties.remembering():
        first = find_ties(array)
        assert find_ties(array) is find_ties(array, -2) is find_ties(array.T, 1) is first
        assert find_ties(array, 1) is find_ties(array.T) is not first
        assert find_ties(array.copy()) is not first
    assert find_ties(array) is not first
    with _ties.remembering():
        assert find_ties(array) is not first


@pytest.mark.parametrize(
    "other",
    [
        lambda a: a[:4],
        lambda a: a[:, :3],
        lambda a: a[:, :, np.newaxis],
        lambda a: a[::2],
        lambda a: a.T,
        lambda a: a.view(np.int64),
        lambda a: a.view(">f8"),
        lambda a: a[1:],
    ],
    ids=["shorter", "narrower", "of three axes", "strides", "turned", "integers", "byte order", "further on"],
)
def test_arrays_that_share_memory_are_remembered_apart(other):
    array = np.array([[0.0, 1, 0, 1], [-0.0, 1, 0, 1], [0.0, 1, 0, 1], [2, 1, 0, 1], [0, 1, 0, 2], [2, 1, 0, 1]])
    with _ties.remembering():
        expected = find_ties(other(array.copy()))
        whole = find_ties(array)
        found = find_ties(other(array))
        assert find_ties(array) is whole is not found
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.zero.tolist() == expected.zero.tolist()


def test_what_is_remembered_is_held_so_that_no_other_array_takes_its_place():
    with _ties.remembering():
        labels = [find_ties(np.array([[1.0], [float(number)]])).labels.tolist() for number in range(1, 9)]
    assert labels == [[0, 0]] + [[0, 1]] * 7


@pytest.mark.parametrize("classes", [1, 20, 21, 24])
def test_a_notebook_shows_twenty_classes_and_counts_the_others(classes):
    shown = find_ties(np.repeat(np.arange(1.0, classes + 1), 2)[:, np.newaxis])._repr_html_()
    assert f"{2 * classes} units in {classes} class{'es' if classes > 1 else ''}" in shown
    assert shown.count("class of 2") == min(classes, 20)
    assert ("more classes" in shown) == (classes > 20)
    assert classes <= 20 or f"and {classes - 20} more classes" in shown
    assert "all zero" not in shown
    assert "not finite" not in shown


def test_a_notebook_shows_units_that_are_zero_or_not_finite():
    shown = find_ties(np.array([[1.0], [0.0], [np.inf], [0.0], [np.nan]]))._repr_html_()
    assert "5 units in 4 classes" in shown
    for name, units in (("class of 2", "1, 3"), ("all zero", "1, 3"), ("not finite", "2, 4")):
        assert f"{name}</" in shown
        assert f"{units}</" in shown.split(name)[1]


# What keeps a search fast.


@pytest.mark.parametrize(
    ("dtype", "axis"), [("float32", 0), ("float32", 1), ("float64", 0), ("float64", 1), ("complex64", 0)]
)
def test_hashes_without_signs_tell_drawn_floats_apart(dtype, axis):
    array = np.random.default_rng(0).normal(size=(900, 40)).astype(dtype)
    other = np.where(np.random.default_rng(1).random(array.shape) < 0.5, array, -array)
    heads = np.zeros((2, len(array)), np.uint64)
    for found, values in zip(heads, (array, other), strict=True):
        weight = values if axis == 0 else np.ascontiguousarray(values.T).T
        _search.Search(_tiles.Tiles(weight), 1)._begin(found, signless=True, look=False)
    assert _search._tell(heads[0])
    assert len(np.unique(heads[0])) == len(array)
    assert len(np.unique(heads[0] >> np.uint64(40))) > 0.99 * len(array)
    assert np.array_equal(heads[0], heads[1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_units_that_differ_in_one_value_never_share_a_hash(order, small_tiles):
    """However little is left of a difference in the highest bit, in any block."""
    array = np.zeros((41, 40), np.int64, order=order)
    array[np.arange(1, 41), np.arange(40)] = np.iinfo(np.int64).min
    tiles = _tiles.Tiles(array)
    assert len(tiles.blocks) > 2
    hashes = _search.Search(tiles, 1)._whole(np.arange(41), signless=False)
    assert (hashes[1:] != hashes[0]).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("turned", [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)])
def test_features_that_lie_together_are_one_axis_and_are_compared_where_they_lie(order, turned):
    array = np.asarray(np.random.default_rng(0).normal(size=(4, 3, 5, 2)), order=order).transpose(turned)
    tiles = _tiles.Tiles(array)
    assert tiles.view.shape == (4, 30)
    assert tiles.in_place
    assert tiles.across == (order == "F")
    assert np.shares_memory(tiles.flat, array)
    assert (tiles.rows is None) == (order == "F")
    assert _tiles.Tiles(array[::2]).flat is None
    assert not _tiles.Tiles(array.astype(">f8")).in_place


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bfloat16"])
@pytest.mark.parametrize("axis", [0, 1])
def test_units_that_begin_alike_are_told_apart_by_one_hash_of_the_whole(dtype, axis, monkeypatch):
    """Also where one has the blocks of another in another order."""
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_tiles, "TILE", 1 << 10)
    monkeypatch.setattr(_tiles, "ROW", 64)
    monkeypatch.setattr(_tiles, "ACROSS", 4)
    again = []
    folded = _search.Search._folded
    monkeypatch.setattr(_search.Search, "_folded", lambda self, units: again.append(units) or folded(self, units))
    array = 1000 * np.random.default_rng(0).normal(size=(30, 256))
    array[:, :64] = 7
    array[11] = np.roll(array[12], 128)
    array[11, :64] = 7
    array[11, 128:192], array[12, 128:192] = 7, 7
    array[20] = array[3]
    array = array.astype(as_dtype(dtype))
    assert find_ties(array if axis == 0 else np.ascontiguousarray(array.T), axis).groups == ((3, 20),)
    assert not any(len(units) for units in again)


def test_processors_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", {0: {2, 3, 7}}.__getitem__, raising=False)
    assert _ties.processors() == 3


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_processors_are_counted_where_nothing_says_which_may_be_used(counted, expected, monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: counted)
    assert _ties.processors() == expected
