"""Weights that begin further on in one stream, or lie transposed (SB208): found as promised, and never by chance."""

import itertools
import time
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak.diagnosis import _later, in_memory, judge_together
from symbreak.diagnosis._later import DENSE, EVERY, LIMIT, find_later
from symbreak.diagnosis._one_stream import find_streams
from symbreak.diagnosis._sketch import Source, sketches


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def later(arrays):
    """The pairs that are found, each as {name: (begin, by columns)}."""
    source = in_memory(arrays)
    found = find_later(source, sketches(source), {})
    return [{place.name: (place.begin, place.turned) for place in (each.one, each.other)} for each in found]


def test_a_weight_that_begins_in_the_middle_of_another_one_is_found():
    """Of two layers each, from one seed: the first layers begin alike, the second do with what is left."""
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    arrays = {"a1": one.standard_normal((64, 100)), "a2": one.standard_normal((90, 80))}
    arrays |= {"b1": 0.1 * other.standard_normal((30, 70)), "b2": -other.standard_normal((40, 60)).astype(np.float32)}
    source = in_memory(arrays)
    assert find_streams(source, sketches(source)) == [["a1", "b1"]]
    assert {"a1": (2100, False), "b2": (0, False)} in later(arrays)
    assert {name for pair in later(arrays) for name in pair} == {"a1", "b1", "b2"}
    del arrays["a1"], arrays["b1"]
    arrays["b3"] = other.standard_normal((70, 70))
    assert later(arrays) == [{"a2": (0, False), "b3": (1900, False)}]


@pytest.mark.parametrize("seed", range(40))
def test_every_distance_is_found_at_any_scale(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(128, 400))
    stream = draw(DENSE, seed=seed)
    begin = int(rng.integers(0, DENSE - size)) if seed else 0
    part = (np.float32(10.0 ** rng.integers(-20, 20)) * (-1) ** seed * stream[begin : begin + size]).reshape(1, -1)
    arrays = {"long": stream.reshape(256, -1), "short": np.concatenate([part[:, : size // 2 * 2]]).reshape(2, -1)}
    arrays |= {f"other{k}": draw(20, 30, seed=1000 + k) for k in range(5)}
    assert later(arrays) == [{"long": (begin, False), "short": (0, False)}]


@pytest.mark.parametrize("begin", [DENSE - 1, DENSE, DENSE + 1, DENSE + EVERY - 1, 123_457, 199_999])
def test_far_distances_are_found_for_weights_of_2112_values(begin):
    stream = draw(300_000)
    part = stream[begin : begin + 2112].reshape(66, 32)
    for shape in ((300, 1000), (2, 150_000), (100_000, 3)):
        assert later({"long": stream.reshape(shape), "short": part}) == [{"long": (begin, False), "short": (0, False)}]


@pytest.mark.parametrize("size", [DENSE + 2112, DENSE + 2114, DENSE + EVERY + 2112, 70_000, 150_000])
@pytest.mark.parametrize("left", [0, 1, 64, 1000, 2047])
def test_far_distances_are_found_up_to_the_end(size, left):
    stream = draw(size)
    begin = size - left - 2112
    arrays = {"long": stream[: size - size % 2].reshape(2, -1), "short": stream[begin:][:2112].reshape(66, 32)}
    assert later(arrays) == [{"long": (begin, False), "short": (0, False)}]


@pytest.mark.parametrize("begin", [LIMIT - EVERY - 1, LIMIT - EVERY])
def test_the_first_million_values_are_looked_at(begin):
    stream = draw(LIMIT + 2112)
    arrays = {"long": stream.reshape(4, -1), "short": stream[begin : begin + 2112].reshape(66, 32)}
    assert later(arrays) == [{"long": (begin, False), "short": (0, False)}]


@pytest.mark.parametrize("begin", [0, 1, 63, 64, DENSE - 128, DENSE - 65, DENSE - 64, DENSE - 1])
@pytest.mark.parametrize("size", [DENSE + 128, 100_000])
def test_128_values_are_enough_among_the_first(begin, size):
    stream = draw(size)
    arrays = {"long": stream.reshape(-1, 16), "short": stream[begin : begin + 128].reshape(2, 64)}
    assert later(arrays) == [{"long": (begin, False), "short": (0, False)}]


def test_what_is_beyond_the_limit_is_not_read(monkeypatch):
    monkeypatch.setattr(_later, "LIMIT", 100_000)
    stream = draw(300_000)
    for begin, count in ((90_000, 1), (120_000, 0)):
        arrays = {"long": stream.reshape(300, -1), "short": stream[begin : begin + 2112].reshape(66, 32)}
        assert len(later(arrays)) == count
    arrays = {"long": stream.reshape(4, -1), "short": stream[120_000:122_112].reshape(66, 32)}
    assert later(arrays) == []  # in a piece of which the beginning is read
    assert LIMIT == 1 << 20


@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_of_a_larger_array_a_million_values_are_read_and_no_more(dtype):
    read = []

    def pieces(name, size):
        while True:
            read.append(size // np.dtype(dtype).itemsize)
            yield np.zeros((1, read[-1]), dtype)

    source = Source({"w": ((100, 100_000), np.dtype(dtype))}, pieces)
    for turned in (False, True):
        read.clear()
        _later._read(source, "w", 2112, turned=turned)
        assert sum(read) == 1 << 20


@pytest.mark.parametrize(("count", "size", "starts", "turned"), [
    (2, 400, 2048, True),
    (1024, 400, 2048, True),
    (1025, 400, 2046, True),
    (8192, 400, 256, True),
    (8193, 400, 255, False),
    (32_768, 400, 64, False),
    (32_769, 400, 64, False),
    (2, 256, 512, True),
    (4096, 256, 512, True),
    (4097, 256, 511, True),
])  # fmt: skip
def test_of_many_weights_fewer_starts_and_at_last_no_columns_are_looked_up(count, size, starts, turned, monkeypatch):
    asked = set()

    def read(source, name, values, *, turned):
        asked.add((values, turned))
        return [], np.empty(0, np.uint64)

    monkeypatch.setattr(_later, "_read", read)
    monkeypatch.setattr(_later, "_matches", lambda _, windows, starts, __: asked.add((len(windows), starts)) or {})
    (sketch,) = sketches(in_memory({"w": draw(size, 256)})).values()
    many = {str(number): replace(sketch, name=str(number)) for number in range(count)}
    assert find_later(Source(dict.fromkeys(many, ((size, 256), np.dtype("f4"))), read), many, {}) == []
    assert asked == {(max(starts + 64, 1024), turned), (count, starts)}


@pytest.mark.parametrize(("dtype", "every"), [("float32", 2048), ("int8", 256)])
def test_the_windows_stand_where_they_are_said_to_whatever_the_pieces(dtype, every):
    """Against windows that are taken one by one."""
    stream = (40 * draw(200_000)).astype(dtype)
    source = in_memory({"w": stream.reshape(-1, 2)})
    for size in (280, 1000, 5000, 60_000, 300_000, 1 << 22):
        cut = Source(source.arrays, lambda name, _, size=size: source.pieces(name, size))
        _, codes = _later._read(cut, "w", 2112, turned=True)
        windows = _later._Windows(0, codes, DENSE // 64, every)
        for number in (0, 1, 1023, 1024, 1025, len(codes) - 1):
            begin = windows.position(number)
            rises = stream[begin + 1 : begin + 65] > stream[begin : begin + 64]
            if rises[0]:
                rises = ~rises
            assert int(codes[number]) == sum(int(bit) << place for place, bit in enumerate(rises)), (size, number)
        assert windows.position(len(codes) - 1) + 65 <= 200_000 < windows.position(len(codes)) + 65


@pytest.mark.parametrize("shape", [(200, 30), (30, 90), (128, 9), (700, 2)])
@pytest.mark.parametrize("both", [False, True])
def test_a_matrix_that_lies_transposed_is_found(shape, both):
    long, short = draw(150, 100), draw(*shape)
    arrays = {"one": long.T.copy() if both else long, "other": (3 * short).T.copy()}
    assert later(arrays) == [{"one": (0, both), "other": (0, True)}]
    further = draw(15_000)[1234 : 1234 + 100 * 50].reshape(100, 50).T.copy()
    if not both:
        assert later({"one": long, "other": further}) == [{"one": (1234, False), "other": (0, True)}]


@pytest.mark.parametrize("levels", [2, 7, 100])
def test_a_quantized_matrix_that_lies_transposed_is_found(levels):
    """Many neighbours are equal there."""
    whole = np.round(levels * draw(200, 30) / 2).astype(np.int8)
    assert len(later({"one": whole, "other": whole.T.copy()})) == (levels > 2)


@pytest.mark.parametrize("begin", [4321, 100_000, 147_888])
@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_a_part_of_the_same_rounded_values_is_found_though_neighbours_are_equal(begin, kind):
    long = np.round(4 * draw(150_000)).astype(kind)
    arrays = {"long": long.reshape(150, -1), "short": long[begin : begin + 2112].reshape(66, 32)}
    assert later(arrays) == [{"long": (begin, False), "short": (0, False)}]


def test_a_beginning_that_was_overwritten_is_passed_by():
    """An embedding whose first row is that of the padding."""
    table = draw(300, 20)
    table[0] = 0
    assert later({"fc": 2 * draw(300, 20), "table": table}) == [{"fc": (64, False), "table": (64, False)}]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
def test_coarse_types_are_found_among_the_first_values_and_mostly_beyond(dtype):
    """Every second window changes in 8 bits: sixteen are looked at nearby, eight far away, one of coarse floats."""
    kind, near, far, both = np.dtype(getattr(ml_dtypes, dtype, dtype)), 0, 0, 0
    for seed in range(20):
        stream = draw(150_000, seed=seed)
        for begin in (4321, 100_000):
            part = stream[begin : begin + 2500].reshape(50, 50).astype(kind)
            found = later({"long": stream.reshape(150, -1), "short": part})
            near, far = near + (begin == 4321) * len(found), far + (begin > 4321) * len(found)
        long = stream.astype(kind).reshape(150, -1)
        both += len(later({"long": long, "short": stream[100_000:102_500].reshape(50, 50)}))
    assert near >= (20 if dtype != "float8_e4m3fn" else 17)
    assert far >= {"float16": 18, "bfloat16": 17, "float8_e4m3fn": 2}[dtype]
    assert both >= {"float16": 18, "bfloat16": 17, "float8_e4m3fn": 17}[dtype]


SHAPES = [(3, 900), (900, 3), (70, 70), (2, 64), (2, 63), (2500, 2), (1, 500), (500, 1), (9, 8, 7)]


@pytest.mark.parametrize("size", [1000, 40, 7000, 60_000, 1 << 22])
def test_beginnings_are_read_by_rows_and_of_matrices_by_columns(size):
    for shape, count in itertools.product(SHAPES, (128, 2112)):
        w = draw(*shape)
        source = in_memory({"w": w})
        cut = Source(source.arrays, lambda name, _, source=source: source.pieces(name, size))
        rows, *columns = _later._read(cut, "w", count, turned=True)[0]
        assert (rows.turned, rows.values.tolist()) == (False, w.reshape(-1)[:count].tolist())
        matrix = len(shape) == 2 and min(shape) > 1 and w.size >= 128
        assert [each.turned for each in columns] == [True] * matrix
        assert all(each.values.tolist() == w.T.reshape(-1)[:count].tolist() for each in columns)
        assert len(_later._read(cut, "w", count, turned=False)[0]) == 1


def test_of_a_matrix_that_is_read_in_part_the_first_column_is_taken(monkeypatch):
    monkeypatch.setattr(_later, "LIMIT", 2000)
    w = draw(2100, 3)
    _, columns = _later._read(in_memory({"w": w}), "w", 2112, turned=True)[0]
    assert 600 < len(columns.values) < 2100
    assert columns.values.tolist() == w[: len(columns.values), 0].tolist()


def test_a_stretch_is_read_from_any_place():
    w = draw(5000)
    source = in_memory({"w": w.reshape(50, 100)})
    for size in (400, 1999, 8000, 1 << 22):
        cut = Source(source.arrays, lambda name, _, size=size: source.pieces(name, size))
        for known in (128, 1024, 2112):
            of = _later._Beginning("w", False, w[:known])
            for begin in (0, 1, 1088, 1089, 2000, 3976, 3977, 4990):
                found = _later._stretch(cut, of, begin)
                assert (found.dtype, found.tolist()) == (np.float64, w[begin : begin + 1024].tolist())
            columns = _later._Beginning("w", True, w[:known])
            assert _later._stretch(cut, columns, 100).tolist() == w[100:known][:1024].tolist()


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", ">f4", ">f8", "f2", "bfloat16", "i1", "i4", ">i8", "c8", ">c16", "longdouble"]
)
def test_values_are_compared_as_floats_of_this_machine(dtype):
    """Without a copy where they are such floats and lie in order."""
    values = np.arange(-6, 6).astype(getattr(ml_dtypes, dtype, dtype)).reshape(3, 4)
    for some in (values, values[:, ::2]):
        found = _later._numbers(some)
        assert found.dtype == ("f4" if dtype in ("f4", "c8") else "f8")
        assert (found.flags.c_contiguous, found.tolist()) == (True, some.real.astype("f8").tolist())
        assert np.shares_memory(found, values) == (dtype in ("f4", "f8") and some is values)


def slow_code(values):
    """The comparisons of 65 values as bits, turned around if the first is a rise."""
    rises = [after > before for before, after in itertools.pairwise(values)]
    bits = [rise != rises[0] for rise in rises]
    return sum(bit << place for place, bit in enumerate(bits)), 12 <= sum(rises) <= 52


@pytest.mark.parametrize(("rows", "together"), [(16, 1 << 16), (1, 1), (3, 7)])
def test_windows_are_looked_up_at_every_start_as_in_a_slow_search(rows, together, monkeypatch):
    monkeypatch.setattr(_later, "ROWS", rows)
    monkeypatch.setattr(_later, "TOGETHER", together)
    stream, starts = draw(3000), 300
    arrays = {f"w{k}": draw(int(size), seed=k) for k, size in enumerate((65, 66, 130, 500, 700))}
    arrays |= {"a": stream[:700], "b": -stream[101:400], "c": stream[635:1400], "d": stream[350:415], "e": stream[199:]}
    arrays["f"] = np.sort(draw(300, seed=9))  # windows that say nothing
    arrays |= {"g": np.tile(stream[1500:1570], 6), "h": np.tile(stream[1500:1570], 5)}  # which are there many times
    arrays = {name: array.reshape(1, -1) for name, array in arrays.items()}
    source = in_memory(arrays)
    read = [_later._read(source, name, starts + 64, turned=False) for name in arrays]
    beginnings = [each for (each,), _ in read]
    windows = [_later._Windows(number, codes, DENSE // 64, EVERY) for number, (_, codes) in enumerate(read)]
    groups = list(_later._in_groups(windows))
    assert [place for places, _ in groups for place in places] == list(range(len(windows)))
    assert np.concatenate([codes for _, codes in groups]).tolist() == [code for _, codes in read for code in codes]
    assert all(len(codes) - len(windows[places[-1]].codes) < together for places, codes in groups)
    at = {}
    for number, each in enumerate(beginnings):
        if each.name != "e":
            for begin in range(min(starts, len(each.values) - 64)):
                at.setdefault(slow_code(each.values[begin : begin + 65].tolist()), []).append((number, begin))
    expected = {}
    for number, array in enumerate(arrays.values()):
        for begin in range(0, array.size - 64, 64):
            code = slow_code(array[0, begin : begin + 65].tolist())
            for other, start in at.get(code, []) if code[1] else []:
                if other != number:
                    expected.setdefault((number, other), []).append((begin, start))
    found = _later._matches(beginnings, windows, starts, {"e"})
    assert {pair: places[:4] for pair, places in expected.items()} == found
    assert len(found) > 6


@pytest.mark.parametrize("starts", [1, 5, 136, 137, 300])
def test_the_codes_at_the_first_starts_are_those_of_the_windows_there(starts):
    rises = draw(3, 200) > 0
    expected = [_later._codes(rises[:, start : start + 64]) for start in range(min(starts, 200 - 63))]
    assert np.array_equal(_later._rolling(rises, starts), np.stack(expected, axis=1))


@pytest.mark.parametrize("rises", [10, 11, 12, 13, 51, 52, 53, 54])
def test_twelve_rises_and_twelve_falls_say_enough(rises):
    codes = _later._codes((np.arange(64) >= 64 - rises)[np.newaxis])
    assert _later._tells(codes).tolist() == [12 <= rises <= 52]


def pieces_of(arrays, gone):
    def pieces(name, size):
        if gone(name, size):
            raise OSError("gone")
        yield from in_memory(arrays).pieces(name, size)

    return Source(in_memory(arrays).arrays, pieces, (OSError,))


@pytest.mark.parametrize("gone", ["a", "b", "x"])
@pytest.mark.parametrize("again", [False, True])
def test_what_cannot_be_read_is_passed_by_and_the_others_are_found(gone, again):
    """At once, or only where the stretch is compared."""
    one, two = draw(9000), draw(9000, seed=1)
    arrays = {"a": one[:4000], "b": one[2500:], "x": two[:4000], "y": two[2500:]}
    arrays = {name: array.reshape(-1, 50) for name, array in arrays.items()}
    drawn, asked = sketches(in_memory(arrays)), []

    def is_gone(name, _):
        asked.append(name)
        return name == gone and asked.count(name) > again

    found = find_later(pieces_of(arrays, is_gone), drawn, {})
    pairs = [("a", "b")] * (gone == "x") + [("x", "y")] * (gone != "x")
    assert [(each.one.name, each.other.name) for each in found] == pairs


def test_of_weights_that_begin_alike_the_longest_stands_for_all():
    stream = draw(9000)
    arrays = {"a": stream[1000:1200], "b": stream[1000:8000], "c": stream[1000:1400], "late": stream[5000:5400]}
    arrays |= {"early": stream[300:2000]}
    arrays = {name: array.reshape(-1, 50) for name, array in arrays.items()}
    source = in_memory(arrays)
    found = find_later(source, sketches(source), {"a": 0, "b": 0, "c": 0})
    places = [{place.name: place.begin for place in (each.one, each.other)} for each in found]
    assert sorted(places, key=lambda each: each["b"]) == [{"b": 0, "early": 700}, {"b": 4000, "late": 0}]
    assert all(each.correlation == pytest.approx(1) for each in found)
    assert sorted(each.count for each in found) == [400, 1000]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_parts_of_one_stream_are_joined_by_one_pair_less_than_they_are(count):
    stream = draw(9000)
    arrays = {f"w{k}": stream[k * 100 :][: 2000 + 50 * k].reshape(-1, 50) for k in range(count)}
    pairs = [tuple(pair) for pair in later(arrays)]
    assert len(pairs) == count - 1
    assert {name for pair in pairs for name in pair} == set(arrays)


@pytest.mark.parametrize("length", [20, 60_000])
@pytest.mark.parametrize("changed", ["short", "long"])
def test_up_to_400_values_of_a_beginning_may_be_overwritten(length, changed):
    stream = draw(1100 + 20 * length)
    arrays = {"long": stream[: 1000 + 20 * length].copy(), "short": 3 * stream[100:900]}
    arrays[changed][:400] = draw(400, seed=1)
    (pair,) = later({name: array.reshape(-1, 20) for name, array in arrays.items()})
    assert pair["long"][0] - pair["short"][0] == 100


def test_many_weights_are_looked_up_each():
    arrays = {f"w{k:02}": draw(2000, seed=k % 20)[(k // 20) * 300 :].reshape(-1, 20) for k in range(40)}
    assert later(arrays) == [{f"w{k:02}": (300, False), f"w{k + 20}": (0, False)} for k in range(20)]


# What is not found, and what is said.


def test_independent_weights_share_nothing():
    """Eight million pairs of windows a weight, and draws that are alike in what is not random: scale, sign, zeros."""
    rng = np.random.default_rng(0)
    arrays = {f"w{k}": rng.standard_normal((100, 200), dtype=np.float32) for k in range(150)}
    arrays |= {f"u{k}": rng.uniform(-1, 1, (64, 64)).astype(np.float16) for k in range(100)}
    arrays |= {f"q{k}": rng.integers(-7, 8, (64, 64)).astype(np.int8) for k in range(100)}
    arrays |= {f"sparse{k}": rng.standard_normal((64, 64)) * (rng.random((64, 64)) < 0.05) for k in range(50)}
    assert later(arrays) == []


def collision(comparisons, grid=300):
    """The probability that two independent sequences rise and fall alike, on a grid of values."""
    density = np.ones((grid, grid))

    def below(values):
        for axis in (0, 1):
            values = (np.cumsum(values, axis) - values / 2) / grid
        return values

    for _ in range(comparisons):
        density = below(density) + below(density[::-1, ::-1])[::-1, ::-1]
    return density.mean()


def test_windows_agree_by_chance_as_rarely_as_is_stated():
    rng = np.random.default_rng(1)
    one, other = np.diff(rng.random((2, 100_000, 9))) > 0
    assert (one == other).all(axis=1).mean() == pytest.approx(collision(8), rel=0.1)
    assert collision(2) == pytest.approx(5 / 18, rel=1e-4)  # of six orders of three values, 1, 2, 2 and 1 rise alike
    assert 2 * collision(64) == pytest.approx(6e-17, rel=0.1)


def test_values_that_only_rise_alike_are_not_one_stream():
    """Nor do windows that rise alike by chance decide, or few values among zeros."""
    rises = np.diff(draw(5000), prepend=0) > 0
    first, second = (np.cumsum(np.abs(draw(5000, seed=seed)) * np.where(rises, 1, -1)) for seed in (2, 3))
    arrays = {"a": first.reshape(50, 100), "b": second.reshape(50, 100)}
    source = in_memory(arrays)
    drawn = {name: replace(sketch, drawn=True) for name, sketch in sketches(source).items()}
    beginnings, read = zip(*(_later._read(source, name, 2112, turned=False) for name in arrays), strict=True)
    read = [_later._Windows(number, codes, DENSE // 64, EVERY) for number, codes in enumerate(read)]
    assert _later._matches([each for (each,) in beginnings], read, 2048)
    assert find_later(source, drawn, {}) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_no_draws(value):
    stream = draw(10_000)
    short = stream[1000:4000].copy()
    short[500:] = value
    assert later({"long": stream.reshape(100, 100), "short": short.reshape(60, 50)}) == []
    short[400:] = stream[1400:4000]
    short[2900] = value  # beyond what is compared
    assert len(later({"long": stream.reshape(100, 100), "short": short.reshape(60, 50)})) == 1


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<c8", "longdouble", "bfloat16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_and_order_of_memory_is_read_alike(dtype, order):
    stream = draw(80_000)
    long = np.asarray(stream.reshape(800, 100).astype(getattr(ml_dtypes, dtype, dtype)), order=order)
    found = later({"long": long, "short": stream[70_000:73_000].reshape(60, 50)})
    assert found == [{"long": (70_000, False), "short": (0, False)}]


def test_a_nan_that_signals_is_read_without_a_warning():
    """Of the other byte order it is converted, which is where it would be heard."""
    stream = draw(80_000)
    long = stream.astype(">f4")
    long.view(">u4")[[2000, 77_000]] = 0x7F800001
    found = later({"long": long.reshape(800, 100), "short": stream[70_000:73_000].reshape(60, 50)})
    assert found == [{"long": (70_000, False), "short": (0, False)}]


def test_windows_of_which_few_values_rise_say_nothing():
    """One value among zeros rises and falls as one among other zeros does."""
    values = np.zeros((4, 65))
    values[0, 10], values[1, 10] = 2.0, -3.0
    values[2, ::3] = 1.0
    values[3] = draw(65)
    codes = _later._codes(values[:, 1:] > values[:, :-1])
    assert _later._tells(codes).tolist() == [False, False, True, True]
    rolled = _later._rolling(values[:, 1:] > values[:, :-1], 5)
    assert np.array_equal(rolled, codes[:, np.newaxis])


def test_tables_and_symmetric_matrices_are_not_their_own_other():
    square = draw(60, 60)
    steps = np.sin(np.outer(np.arange(1, 90), 0.3 ** np.arange(30)))
    assert later({"symmetric": square + square.T, "positions": steps, "again": steps[5:]}) == []


def test_the_finding_names_both_places_and_pairs_of_the_same_two_networks_are_one():
    arrays = {}
    for layer in range(2):
        stream = draw(20_000, seed=layer)
        arrays[f"actor.{layer}.weight"] = stream[:10_000].reshape(100, 100)
        arrays[f"critic.{layer}.weight"] = 0.5 * stream[700:3200].reshape(50, 50).T.copy()
    (found,) = judge_together(in_memory(arrays)).findings
    assert (found.code, found.where) == ("SB208", "actor.0.weight")
    assert found.message == (
        "2 weights hold the same draws, up to a factor or a function (of 1,024 values that correlate to 1.000000): "
        "actor.0.weight (100, 100) from value 700 on and critic.0.weight (50, 50) from value 0 on, taken by columns; "
        "likewise 1 more pair of weights"
    )
    names = {"wte.weight": draw(30, 40), "lm_head.weight": draw(30, 40).T.copy(), "ema.fc.weight": draw(30, 40)[3:]}
    assert judge_together(in_memory(names)).findings == ()


def test_time_is_a_part_of_that_of_the_diagnosis():
    weights = {f"w{k}": draw(1024, 1024, seed=k) for k in range(8)}
    source = in_memory(weights)
    drawn = sketches(source)
    best = [np.inf, np.inf]
    for _ in range(5):
        for number, call in enumerate((lambda: find_later(source, drawn, {}), lambda: sb.diagnose(weights))):
            begin = time.process_time()
            call()
            best[number] = min(best[number], time.process_time() - begin)
    assert best[0] < 0.6 * best[1]  # 0.1 to 0.2
