"""What a unit reads from each class: random forms, bounds and comparisons of the sums, against slow and exact loops."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from symbreak.diagnosis import _bits, _sums, _ties
from symbreak.diagnosis._nodes import Node, Side, System, View
from symbreak.diagnosis._sums import close, defects, forms, slice_ties, units_first


def system(view, shapes):
    """A system of one array, whose nodes have these shapes."""
    nodes = (Node((f"n{number}",), shape, (), apart=False) for number, shape in enumerate(shapes))
    return System(tuple(nodes), (view,), ())


def viewed(array, *axes, over=()):
    """An array whose sides lie along some axes, the first of them written."""
    sides = (Side(node, each, written=node == 0, read=node != 0) for node, each in enumerate(axes))
    view = View("w", array, tuple(sides), over)
    return view, system(view, [tuple(array.shape[axis] for axis in each) for each in axes])


RNG = np.random.default_rng(0)
A = RNG.integers(-4, 5, (3, 4)).astype(float)
KERNEL = RNG.integers(-4, 5, (2, 3, 4)).astype(float)
HEADS = RNG.integers(-4, 5, (4, 2, 3)).astype(float)

# The array, the axes of each side, and the classes of each; other axes are positions.
VIEWS = {
    "matrix": (A, [(0,), (1,)], [[0, 0, 0], [0, 1, 0, 1]]),
    "turned": (A.T, [(1,), (0,)], [[0, 0, 0], [0, 1, 0, 1]]),
    "kernel": (KERNEL, [(2,), (1,)], [[0, 0, 0, 0], [0, 1, 1]]),
    "kernel of classes": (KERNEL, [(2,), (1,)], [[0, 1, 2, 1], [0, 1, 1]]),
    "bias of gates": (A, [(1,)], [[0, 0, 0, 0]]),
    "complex": (A + 1j * A[::-1], [(0,), (1,)], [[0, 0, 0], [1, 0, 0, 0]]),
    "heads": (HEADS, [(1, 0), (2,)], [[0] * 8, [0, 1, 0]]),
    "from heads": (HEADS, [(2,), (0, 1)], [[0, 0, 0], [0, 1, 0, 2, 1, 1, 0, 2]]),
    "within heads": (HEADS, [(0, 1), (0, 2)], [[0] * 8, [0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0]]),
    "three": (KERNEL, [(0,), (1,), (2,)], [[0, 0], [0, 1, 2], [0, 0, 1, 1]]),
}


def given(name, number=0):
    array, axes, labels = VIEWS[name]
    view, net = viewed(array, *axes)
    return view, view.sides[number], net, [np.array(each) for each in labels]


SIDES = [(name, number) for name, (_, axes, _) in VIEWS.items() for number in range(len(axes))]


def slow_sums(view, side, net, labels):
    """For each unit of a side {(classes, positions and part of a complex number): exact sum}, and {...: size}."""
    shape = net.nodes[side.node].shape
    sums = [{} for _ in range(net.nodes[side.node].size)]
    sizes = [{} for _ in sums]
    for index in np.ndindex(view.array.shape):
        unit = int(np.ravel_multi_index([index[axis] for axis in side.axes], shape))
        classes = tuple(
            int(labels[other.node].reshape(net.nodes[other.node].shape)[tuple(index[axis] for axis in other.axes)])
            for other in view.sides
            if other.axes != side.axes
        )
        for part, value in enumerate([view.array[index].real, view.array[index].imag]):
            place = (classes, tuple(index[axis] for axis in view.positions), part)
            sums[unit][place] = sums[unit].get(place, 0) + Fraction(float(value))
            sizes[unit][place] = sizes[unit].get(place, 0) + abs(Fraction(float(value)))
    return sums, sizes


@pytest.mark.parametrize(("name", "number"), SIDES)
@pytest.mark.parametrize("chunk", [1 << 20, 3])
def test_a_form_has_one_factor_for_each_class_and_position(name, number, chunk, monkeypatch):
    """The forms of an array with a single one are the factor of its place: zero for all other units."""
    monkeypatch.setattr(_sums, "CHUNK", chunk)
    view, side, net, labels = given(name, number)
    known = {}
    whole, bound = forms(view, side, net, labels, 7, known)
    total, factors = np.zeros_like(whole), {}
    parts = (1, 1j) if view.array.dtype.kind == "c" else (1,)
    for index in np.ndindex(view.array.shape):
        unit = int(np.ravel_multi_index([index[axis] for axis in side.axes], net.nodes[side.node].shape))
        for part in parts:
            single = np.zeros_like(view.array)
            single[index] = part
            one = View("w", single, view.sides, view.over)
            values, _ = forms(one, side, net, labels, 7, known)
            assert not values[np.arange(len(values)) != unit].any()
            total += values * (view.array[index].imag if part == 1j else view.array[index].real)
            (place,) = [place for place, sum_ in slow_sums(one, side, net, labels)[0][unit].items() if sum_]
            assert np.array_equal(factors.setdefault(place, values[unit]), values[unit])
    assert (np.abs(whole - total) <= bound[:, np.newaxis]).all()
    assert all(np.ptp(each) > 0 for each in factors.values())  # the forms are different ones
    for one, other in itertools.combinations(factors.values(), 2):
        assert not (one == other).any()
    assert (bound > 0).all()
    assert (bound < 1e-12 * np.abs(view.array).sum()).all()


@pytest.mark.parametrize(("name", "number"), SIDES)
def test_the_bound_of_a_form_is_more_than_its_rounding_and_little_more(name, number):
    view, side, net, labels = given(name, number)
    values = RNG.normal(size=view.array.shape) * 2.0 ** RNG.integers(-3, 4, view.array.shape)
    view = View("w", (values + 1j * values[::-1]) if view.array.dtype.kind == "c" else values, view.sides, view.over)
    known = {}
    whole, bound = forms(view, side, net, labels, 3, known)
    exact = [[Fraction(0)] * whole.shape[1] for _ in whole]
    size = np.zeros(whole.shape)
    for index in np.ndindex(view.array.shape):
        for part in (1, 1j) if view.array.dtype.kind == "c" else (1,):
            single = np.zeros_like(view.array)
            single[index] = part
            found, _ = forms(View("w", single, view.sides, view.over), side, net, labels, 3, known)
            value = float(view.array[index].imag if part == 1j else view.array[index].real)
            for unit, form in zip(*np.nonzero(found), strict=True):
                exact[unit][form] += Fraction(value) * Fraction(float(found[unit, form]))
                size[unit, form] += abs(value * found[unit, form])
    for unit, form in np.ndindex(whole.shape):
        assert abs(Fraction(float(whole[unit, form])) - exact[unit][form]) <= Fraction(float(bound[unit]))
    terms = view.array.size // len(whole) * (2 if view.array.dtype.kind == "c" else 1)
    assert (bound[:, np.newaxis] <= 16 * (terms + 8) * 2.0**-53 * size).all()


@pytest.mark.parametrize("shape", [(2, 300), (2, 20, 15)])
@pytest.mark.parametrize("dtype", [float, complex])
def test_the_bound_of_a_form_allows_a_rounding_at_each_of_its_terms(shape, dtype):
    """Which can be off by that much: Higham, "Accuracy and stability of numerical algorithms", 2002, section 4.2.

    Of ones in one class the form is the sum of its terms' sizes, or so it is for one sign of the imaginary parts.
    """
    labels, terms = [np.zeros(length, int) for length in shape], 300 * np.dtype(dtype).itemsize // 8
    for seed in range(20):
        sizes = []
        for part in (1, 1j, -1j) if dtype is complex else (0,):
            view, net = viewed(np.full(shape, 1 + part, dtype), *[(axis,) for axis in range(len(shape))])
            values, bound = forms(view, view.sides[0], net, labels, seed)
            sizes.append(np.abs(values).max(axis=1))
        assert (bound >= terms * 2.0**-53 * np.max(sizes, axis=0)).all()


@pytest.mark.parametrize(("name", "number"), SIDES)
@pytest.mark.parametrize(("chunk", "scale"), [(1 << 20, 1.0), (2, 2.0**890)])
def test_what_two_units_differ_by_is_the_largest_difference_of_their_sums(name, number, chunk, scale, monkeypatch):
    monkeypatch.setattr(_sums, "CHUNK", chunk)
    view, side, net, labels = given(name, number)
    view = View("w", view.array * scale, view.sides, view.over)
    count = net.nodes[side.node].size
    units, first = np.array([*range(1, count), 0]), np.array([*[0] * (count - 1), count - 1])
    worst, excess, size = defects(view, side, net, labels, units, first)
    sums, sizes = slow_sums(view, side, net, labels)
    for place, (unit, other) in enumerate(zip(units.tolist(), first.tolist(), strict=True)):
        gap = max(abs(sums[unit].get(key, 0) - sums[other].get(key, 0)) for key in {**sums[unit], **sums[other]})
        most = max([*sizes[unit].values(), *sizes[other].values()])
        assert (worst[place], size[place]) == (gap, most)
        assert (excess[place] <= 0) == (gap == 0)


@pytest.mark.parametrize("scale", [1.0, 2.0**1020, 2.0**-1060])
def test_sums_differ_where_rounding_does_not_explain_it(scale):
    """Of three thirds and one, in either order; a last bit more is seen where it is more than three roundings."""
    third = 1 / 3
    row = np.array([third, third, third, 1.0])
    more = row + np.array([0, 0, 0, 8 * 2.0**-53])
    array = np.array([row, row[::-1], more, 2 * row]) * scale
    view, net = viewed(array, (0,), (1,))
    labels = [np.zeros(4, int), np.zeros(4, int)]
    worst, excess, size = defects(view, view.sides[0], net, labels, np.array([1, 2, 3]), np.zeros(3, int))
    assert (excess <= 0).tolist() == [True, True, False]
    assert np.isfinite(worst).all()
    assert np.isfinite(size).all()
    view, net = viewed(array, (0,))  # a value is no sum, and any difference counts
    _, excess, _ = defects(view, view.sides[0], net, labels[:1], np.array([1, 2, 3]), np.zeros(3, int))
    assert (excess <= 0).tolist() == [False, scale < 1, False]
    view, net = viewed(np.array([[1.0], [1 + 2.0**-52], [1.0]]) * min(scale, 1.0), (0,), (1,))
    _, excess, _ = defects(view, view.sides[0], net, [labels[0][:3], labels[1][:1]], np.array([1, 2]), np.zeros(2, int))
    assert (excess <= 0).tolist() == [scale < 1, True]


def test_small_differences_beside_large_sums_are_what_they_are():
    """Nothing is scaled that need not be."""
    array = np.array([[1e20, 1e-305], [1e20, 3e-305]])
    view, net = viewed(array, (0,), (1,))
    worst, excess, scale = defects(view, view.sides[0], net, [np.zeros(2, int), np.arange(2)], *np.array([[1], [0]]))
    assert (worst.tolist(), scale.tolist()) == ([3e-305 - 1e-305], [1e20])
    assert excess > 0


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("unit", [1.0, 1j])
def test_what_is_far_smaller_in_one_class_than_in_another_is_told_apart_by_forms_too(number, unit):
    """The sums over each class are brought to one magnitude, whatever zeros and whatever single value stand beside."""
    array = np.array([[1.0, 2, 0, 3 * 2.0**-450], [1, 2, 0, 4 * 2.0**-450], [2, 1, 2.0**-450, 2 * 2.0**-450]]) * unit
    view, net = viewed(array if number == 0 else array.T, (number,), (1 - number,))
    labels = [np.zeros(3, int), np.array([0, 0, 1, 1])]
    values, bound = forms(view, view.sides[0], net, labels, 0)
    assert same(close(values, bound), [0, 1, 0])
    assert np.array_equal(values, forms(view, view.sides[0], net, labels, 0, {})[0])


def test_units_that_are_far_smaller_than_others_are_told_apart_by_forms_too():
    array = np.array([[1.0, 1], [3, 1], [3 * 2.0**-700, 0], [2.0**-698, 0], [3 * 2.0**-700, 0]])
    view, net = viewed(array, (0,), (1,))
    values, bound = forms(view, view.sides[0], net, [np.zeros(5, int), np.zeros(2, int)], 0)
    assert same(close(values, bound), [0, 1, 2, 3, 2])


@pytest.mark.parametrize(("name", "number"), SIDES)
@pytest.mark.parametrize("chunk", [1 << 20, 3])
def test_each_class_is_brought_to_the_magnitude_of_one_by_a_power_of_two(name, number, chunk, monkeypatch):
    """By the exponents of what is not zero, taken one by one."""
    monkeypatch.setattr(_sums, "CHUNK", chunk)
    view, side, net, labels = given(name, number)
    view = View("w", view.array * 2.0 ** RNG.integers(-40, 90, view.array.shape), view.sides, view.over)
    exponents = [[] for _ in range(net.nodes[side.node].size)]
    for index in np.ndindex(view.array.shape):
        unit = int(np.ravel_multi_index([index[axis] for axis in side.axes], net.nodes[side.node].shape))
        size = max(abs(view.array[index].real), abs(view.array[index].imag))
        exponents[unit] += [np.frexp(size)[1]] if size else []
    total, count, largest = _sums._magnitudes(view, side)
    assert total.tolist() == list(map(sum, exponents))
    assert count.tolist() == list(map(len, exponents))
    assert largest.tolist() == [max(each, default=-1100) for each in exponents]
    for place, scale in enumerate(_sums._scales(total, count, largest, labels[side.node])):
        found = [each for unit in np.flatnonzero(labels[side.node] == place) for each in exponents[unit]]
        half, power = np.frexp(scale)
        assert half == 0.5
        assert abs(np.mean(found or [0]) + power - 1) <= 0.5


def test_a_class_of_one_value_is_brought_to_its_magnitude_and_one_of_zeros_stays():
    view, _ = viewed(np.array([[2.0**60, 0], [0, 0]]), (0,), (1,))
    assert _sums._scales(*_sums._magnitudes(view, view.sides[1]), np.array([0, 1])).tolist() == [2.0**-61, 1]


def test_coefficients_are_of_size_half_to_one_and_of_either_sign_and_begin_the_same():
    few, many = (_sums._coefficients(np.random.Generator(np.random.PCG64DXSM(5)), count) for count in (10, 1000))
    assert np.array_equal(few, many[:, :10])
    assert (np.abs(many) >= 0.5).all()
    assert (np.abs(many) <= 1).all()
    assert 0.45 < (many > 0).mean() < 0.55
    assert len(np.unique(np.abs(many))) == many.size == 3000


def test_one_value_at_the_end_of_what_floats_hold_leaves_all_forms_finite():
    """Beside many that are far smaller, by which the magnitude of their class is told otherwise."""
    array = np.full((4, 60), 2.0**-1000)
    array[1, 7], array[2, 7] = 2.0**1000, 2.0**999
    view, net = viewed(array, (0,), (1,))
    for labels in (np.zeros(60, int), np.arange(60)):
        with np.errstate(over="raise", invalid="raise"):
            values, bound = forms(view, view.sides[0], net, [np.zeros(4, int), labels], 0)
        assert np.isfinite(values).all()
        assert np.isfinite(bound).all()
        assert same(close(values, bound), [0, 1, 2, 0])


def same(found, expected):
    return len({*zip(found.tolist(), expected, strict=True)}) == len(set(expected)) == len(set(found.tolist()))


# Chains


def slow_chains(values, bound):
    """The sets that chains of pairs within their bounds make, form by form, joining until nothing changes."""
    groups = [set(range(len(values)))]
    for form in values.T:
        parted = []
        for group in groups:
            parts = [{unit} for unit in group]
            while True:
                near = [
                    (one, other)
                    for one, other in itertools.combinations(parts, 2)
                    if any(abs(form[a] - form[b]) <= bound[a] + bound[b] for a in one for b in other)
                ]
                if not near:
                    break
                one, other = near[0]
                parts = [part for part in parts if part not in (one, other)] + [one | other]
            parted += parts
        groups = parted
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("seed", range(30))
def test_units_are_one_where_a_chain_of_gaps_joins_them_in_any_order(seed):
    """A unit of a wide bound joins others over the head of one between."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 30, (12, 1 + seed % 3)) / 4
    bound = rng.choice([0, 0.125, 0.25, 1.0], 12, p=[0.5, 0.2, 0.2, 0.1])
    found = close(values, bound)
    sets = {frozenset(np.flatnonzero(found == each).tolist()) for each in np.unique(found)}
    assert sets == slow_chains(values, bound)
    order = rng.permutation(12)
    assert np.array_equal(close(values[order], bound[order]), found[order])
    assert sorted(set(found.tolist())) == list(range(found.max() + 1))


# Equal slices


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 2), (3, 1, 2), (2, 2, 2), (2, 1, 1, 3)])
def test_units_are_one_axis_where_numpy_needs_no_copy_for_it(shape, monkeypatch):
    """Of axes in any order, and of arrays that are cut from others."""
    monkeypatch.setattr(_sums, "COPIED", 0)
    joined = []
    for cut, order, count in itertools.product((0, 1, 2), "CF", (1, 2, len(shape))):
        room = np.zeros([length + (axis == cut) for axis, length in enumerate(shape)], order=order)
        array = room[tuple(map(slice, shape))]
        for axes in itertools.permutations(range(len(shape)), count):
            view, _ = viewed(array, axes)
            moved = np.moveaxis(array, axes, range(count))
            expected = moved.reshape(-1, *moved.shape[count:])
            found = units_first(view, view.sides[0])
            assert (found is not None) == np.shares_memory(expected, room)
            assert found is None or found.shape == expected.shape
            joined.append(found is not None)
    assert 0.2 < np.mean(joined) < 0.9


NAN, INF = np.nan, np.inf
ROWS = {
    "floats": np.array([[0, 1], [0, 1], [-0.0, 0], [INF, 1], [NAN, 1], [NAN, 1], [INF, 1], [0, 0]]),
    "complex": np.array([[0, 1j], [0, 1j], [0, 0], [INF, 1], [1j, 1], [1, 1j], [INF, 1], [0, 0]]),
    "float16": np.array([[0, 1], [0, 1], [-0.0, 0], [INF, 1], [NAN, 1], [NAN, 1], [INF, 1], [0, 0]], np.float16),
    "objects": np.array(
        [[0, 1], [Fraction(0), 1], [0, 0], [Fraction(1, 3), 1], [Fraction(1, 3), 1], [1 / 3, 1], [INF, 1], [0.0, 0]],
        object,
    ),
}


def slow_ties(rows):
    seen, labels = [], []
    for row in rows:
        same = [number for number, other in enumerate(seen) if all(a == b for a, b in zip(row, other, strict=True))]
        labels.append(same[0] if same else len(seen))
        if not same:
            seen.append(row)
    zero = [unit for unit, row in enumerate(rows) if all(value == 0 for value in row)]
    infinite = [unit for unit, row in enumerate(rows) if not all(np.isfinite(complex(value)) for value in row)]
    return labels, zero, infinite


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize(
    "form", ["plain", "turned", "in heads", "in heads of copies", "apart in heads", "apart in heads of copies"]
)
@pytest.mark.parametrize("copied", [1 << 20, 4])
def test_slices_are_equal_zero_and_not_finite_as_a_slow_loop_has_it(kind, form, copied, monkeypatch):
    """Units of several heads too, where they lie apart in an array that is too large to be copied."""
    monkeypatch.setattr(_sums, "COPIED", copied)
    rows = ROWS[kind]
    array, axes = {
        "plain": (rows, (0,)),
        "turned": (rows.reshape(4, 2, 2).transpose(1, 2, 0), (2, 0)),
        "in heads": (rows.reshape(4, 2, 2), (0, 1)),
        "in heads of copies": (rows.reshape(2, 2, 2, 2), (0, 1, 2)),
        "apart in heads": (np.ascontiguousarray(rows.reshape(4, 2, 2).transpose(0, 2, 1)), (0, 2)),
        "apart in heads of copies": (np.ascontiguousarray(rows.reshape(2, 2, 2, 2).transpose(0, 1, 3, 2)), (0, 1, 3)),
    }[form]
    for chunk in (1 << 20, 2):
        monkeypatch.setattr(_sums, "CHUNK", chunk)
        view, _ = viewed(array, axes)
        found = slice_ties(view, view.sides[0])
        labels, zero, infinite = slow_ties(rows)
        assert (found.zero.tolist(), found.not_finite.tolist()) == (zero, infinite)
        # The class of a unit that holds a NaN is not used: there is no certificate then.
        known = [unit for unit, row in enumerate(rows) if all(value == value for value in row)]
        assert same(found.labels[known], [labels[unit] for unit in known])


@pytest.mark.parametrize(("form", "copied"), [("plain", 4), ("apart in heads", 1 << 20), ("apart in heads", 4)])
def test_what_is_known_to_be_finite_is_not_looked_at(form, copied, monkeypatch):
    looks = []
    monkeypatch.setattr(_bits.Bits, "suspicious", lambda self, tile: looks.append(tile))
    monkeypatch.setattr(_ties, "SMALL", 0)
    monkeypatch.setattr(_sums, "COPIED", copied)
    array, axes = RNG.normal(size=(4, 5, 6)), (0, 2)[: 1 + (form != "plain")]
    view, _ = viewed(array, axes)
    for finite in (True, False):
        assert not slice_ties(view, view.sides[0], finite=finite).groups
        assert bool(looks) != finite


@pytest.mark.parametrize(("length", "shown"), [(58, repr("x" * 58)), (59, repr("x" * 59)[:57] + "...")])
def test_an_object_that_is_no_number_is_shown_up_to_sixty_letters(length, shown):
    with pytest.raises(TypeError) as error:
        _sums.check_numbers(np.array([["x" * length]], object), "w")
    assert str(error.value) == f"'w' holds objects that are no real numbers: {shown}"
