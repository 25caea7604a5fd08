"""Samples of weights that go with findings: small, true to the weights, and bounded whatever the scan."""

import pickle

import ml_dtypes
import numpy as np
import pytest

import symbreak as sb
from symbreak._scan import Options, bounded, list_entries, scan
from symbreak._scan._pictures import COLUMNS, EACH, ROWS, SIDE, _incoming
from symbreak.axes import Axes
from symbreak.checkpoints import save_safetensors
from symbreak.findings import Finding
from symbreak.reports import DISTANCES, WEIGHTS, Picture, to_page

DRAW = np.random.default_rng(0).standard_normal


def tied(shape=(40, 30), groups=((1, 5, 9), (2, 20))):
    weight = DRAW(shape).astype(np.float32)
    for group in groups:
        weight[list(group)] = weight[group[0]]
    return weight


def by_kind(report):
    return {(picture.code, picture.kind): picture for picture in report.pictures}


def test_the_weights_of_each_class_stand_together_and_a_few_others_beside_them():
    weight = tied()
    picture = by_kind(sb.diagnose({"w": weight}))["SB102", WEIGHTS]
    assert picture.where == "w, axis 0"
    assert picture.rows == (1, 5, 9, 2, 20, 0, 3, 4, 6)
    assert picture.classes == (0, 0, 0, 1, 1, -1, -1, -1, -1)
    assert np.array_equal(picture.values, weight[list(picture.rows), :COLUMNS])
    assert (picture.units, picture.width) == (40, 30)
    assert picture.values.dtype == np.float32


def test_distances_are_those_of_the_units_relative_to_the_longest_and_zero_only_where_they_are_equal():
    weight = tied()
    picture = by_kind(sb.diagnose({"w": weight}))["SB102", DISTANCES]
    rows = weight[list(picture.rows)].astype(float)
    expected = np.linalg.norm(rows[:, None] - rows[None], axis=2) / np.linalg.norm(rows, axis=1).max()
    assert np.allclose(picture.values, expected, rtol=1e-6, atol=0)
    labels = np.array(picture.classes)
    same = (labels[:, None] == labels[None]) & (labels[:, None] >= 0) | np.eye(len(labels), dtype=bool)
    assert np.array_equal(picture.values == 0, same)


def test_units_along_another_axis_are_sampled_along_it():
    weight = np.ascontiguousarray(tied().T)
    picture = by_kind(sb.diagnose({"w": weight}))["SB102", WEIGHTS]
    assert picture.where == "w, axis 1"
    assert np.array_equal(picture.values, weight.T[list(picture.rows), :COLUMNS])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.int8, np.complex64, ">f4"])
def test_every_dtype_is_drawn(dtype):
    weight = (tied() * 20).astype(dtype)
    for picture in sb.diagnose(weight, axes="oi").pictures:
        assert picture.svg().startswith("<svg")
        assert np.isfinite(picture.values).all()


def test_values_that_are_not_finite_are_grey_and_have_no_distance():
    weight = tied()
    weight[3, 4] = np.nan
    weight[7, 0] = np.inf
    report = sb.diagnose({"w": weight})
    assert "#8a8a8a" in by_kind(report)["SB108", WEIGHTS].svg()
    assert by_kind(report)["SB108", WEIGHTS].caption.endswith("Grey: not finite.")
    assert all("nan" not in picture.svg() for picture in report.pictures)


def test_a_picture_is_small_whatever_the_weight():
    weight = np.repeat(DRAW((300, 8, 5, 5)).astype(np.float32), 4, axis=0)
    report = sb.diagnose({"conv.weight": weight})
    for picture in report.pictures:
        assert len(picture.rows) <= max(ROWS, SIDE)
        assert picture.values.size <= max(ROWS * COLUMNS, SIDE * SIDE)
        assert len(picture.svg()) < 30_000
        assert len(pickle.dumps(picture)) < 10_000


def test_a_constant_is_not_drawn():
    report = sb.diagnose({"a": np.full((6, 5), 0.5), "b": np.tile(DRAW(5), (6, 1))})
    assert [(picture.where, picture.kind) for picture in report.pictures] == [("b, axis 0", WEIGHTS)]


def test_no_more_than_a_few_pictures_of_each_code_are_kept_of_a_scan(tmp_path):
    arrays = {f"w{n}": tied((8, 6), ((1, 5),)) for n in range(3 * EACH)}
    save_safetensors(tmp_path / "m.safetensors", arrays)
    report = sb.diagnose(tmp_path / "m.safetensors")
    assert len(report.findings) == 3 * EACH
    assert [picture.kind for picture in report.pictures].count(WEIGHTS) == EACH
    steps = list(bounded(scan(list_entries([tmp_path]), Options(1))))
    assert sum(len(each.pictures) for step in steps for _, each in step.judged) == 0
    none = list(scan(list_entries([tmp_path]), Options(1, pictures=False)))
    assert sum(len(step.report.pictures) for step in none) == 0
    assert len(sb.diagnose(arrays).pictures) == 2 * EACH


def test_of_very_many_weights_in_memory_few_pictures_are_held():
    from symbreak._api import _one_by_one

    arrays = {f"w{n}": tied((8, 6), ((1, 5),)) for n in range(3 * EACH)}
    steps = _one_by_one(arrays, Options(1))
    assert sum(len(step.report.pictures) for step in steps) == 2 * EACH
    assert sum(len(report.pictures) for step in steps for _, report in step.judged) == 0


def test_a_picture_costs_a_clean_weight_nothing():
    assert sb.diagnose({"w": DRAW((8, 6))}).pictures == ()


def test_the_spaces_of_a_network_are_drawn_by_what_writes_to_them():
    weight = np.repeat(DRAW((6, 8)), 2, axis=0)
    graph = sb.chain([(DRAW((8, 4)), None), (weight, None), (np.ones((3, 12)), None)])
    report = sb.diagnose(graph)
    picture = by_kind(report)["SB201", WEIGHTS]
    assert picture.where == "space layers.1"
    assert np.array_equal(picture.values, weight[list(picture.rows)].astype(np.float32))
    assert [(space.where, space.units, space.distinct) for space in report.spaces] == [
        ("layers.0", 8, 8),
        ("layers.1", 12, 6),
    ]
    assert all(space.network for space in report.spaces)


def nested(role, first, second):
    """Make a network whose hidden space lies in heads, or in copies."""
    from symbreak.graph import Space, Weight

    return sb.LayerGraph(
        spaces=[Space("input", 4), Space("heads", len(first)), Space("value", first.shape[1]), Space("output", 2)],
        connections=[
            Weight("v", first, [(role, "heads"), ("out", "value"), ("in", "input")]),
            Weight("o", second, [("out", "output"), (role, "heads"), ("in", "value")]),
        ],
        inputs=["input"],
        outputs=["output"],
    )


@pytest.mark.parametrize("role", ["head", "stack"])
def test_a_space_in_heads_or_copies_is_drawn_with_the_units_that_the_finding_names(role):
    """Units are numbered through the heads: 1.2 is unit 5 of two heads of three."""
    first, second = DRAW((2, 3, 4)), DRAW((2, 2, 3))
    first[1, 2], second[:, 1, 2] = first[1, 0], second[:, 1, 0]
    graph = nested(role, first, second)
    report = sb.diagnose(graph)
    (finding,) = [each for each in report.findings if each.code == "SB201"]
    assert finding.groups == ((3, 5),)
    picture = by_kind(report)["SB201", WEIGHTS]
    assert (picture.where, picture.units, picture.width) == ("space value", 6, 4)
    assert picture.rows[:2] == (3, 5)
    assert picture.classes[:2] == (0, 0)
    expected = np.stack([first[row // 3, row % 3] for row in picture.rows]).astype(np.float32)
    assert np.array_equal(picture.values, expected)
    assert (by_kind(report)["SB201", DISTANCES].values[:2, :2] == 0).all()


def test_heads_that_are_equal_are_drawn_unit_beside_unit_and_the_heads_themselves_are_not():
    first, second = DRAW((2, 3, 4)), DRAW((2, 2, 3))
    first[1], second[:, 1] = first[0], second[:, 0]
    report = sb.diagnose(nested("head", first, second))
    assert {space.where for space in report.spaces} == {"heads", "value"}
    assert {picture.where for picture in report.pictures} == {"space value"}
    picture = by_kind(report)["SB201", WEIGHTS]
    assert (picture.rows, picture.classes) == ((0, 3, 1, 4, 2, 5), (0, 0, 1, 1, 2, 2))
    assert np.array_equal(picture.values[::2], picture.values[1::2])
    assert to_page(report).count('aria-label="weights of space value, SB201"') == 1


def test_a_space_that_no_weight_writes_to_whole_has_no_picture():
    graph = nested("head", np.ones((2, 3, 4)), DRAW((2, 2, 3)))
    assert _incoming(graph, "value", (2, 3)).shape == (6, 4)
    assert _incoming(graph, "value", (3, 2)) is None
    assert _incoming(graph, "value", (3,)) is None
    assert _incoming(graph, "input", (4,)) is None


@pytest.mark.parametrize(
    ("axes", "shape", "units"),
    [
        ("boi", (3, 8, 5), lambda w, place: w[int(place[-1])]),
        ("bio", (3, 5, 8), lambda w, place: w[int(place[-1])].T),
        ("ooi", (2, 4, 5), lambda w, _: w.reshape(8, 5)),
        ("ioo", (5, 2, 4), lambda w, _: w.reshape(5, 8).T),
        ("boihw", (2, 6, 4, 3, 3), lambda w, place: w[int(place[-1])].reshape(6, -1)),
    ],
)
def test_units_within_copies_and_along_several_axes_are_those_of_the_finding(axes, shape, units):
    weight = DRAW(shape)
    places = ["copy 1"] if axes.startswith("b") else [""]
    whole = units(weight, places[0])
    whole = whole if np.shares_memory(whole, weight) else None
    assert whole is not None
    whole[[2, 5]] = whole[1]
    report = sb.diagnose({"w": weight}, axes={"w": axes})
    (finding,) = report.findings
    assert finding.groups == ((1, 2, 5),)
    picture = by_kind(report)["SB102", WEIGHTS]
    assert picture.where == finding.where
    assert picture.rows[:3] == (1, 2, 5)
    assert np.array_equal(picture.values, units(weight, finding.where)[list(picture.rows), :COLUMNS].astype(np.float32))
    assert sb.diagnose(weight, axes=axes).pictures[0].rows == picture.rows


@pytest.mark.parametrize("layout", [Axes("iohw", groups=2), Axes("oihw", groups=2), Axes("oihw", splits=2)])
def test_units_that_are_compared_in_parts_have_their_own_picture_or_none(layout):
    weight = DRAW((8, 4, 3, 3))
    if layout.layout == "iohw":
        weight[:4, 2] = weight[:4, 1]
    else:
        weight[5] = weight[4]
    report = sb.diagnose({"w": weight}, axes={"w": layout})
    (finding,) = report.findings
    if layout.layout == "iohw":  # each index stands for a unit of every group
        assert report.pictures == ()
    else:
        picture = by_kind(report)["SB102", WEIGHTS]
        assert picture.rows[:2] == finding.groups[0] == (4, 5)
        assert np.array_equal(picture.values, weight.reshape(8, -1)[list(picture.rows), :COLUMNS].astype(np.float32))


def test_what_is_copied_along_an_axis_without_units_has_no_picture():
    weight = DRAW((6, 5, 4))
    weight[4] = weight[0]
    report = sb.diagnose({"experts.w": weight}, axes={"experts.w": "boi"})
    assert [finding.code for finding in report.findings] == ["SB206"]
    assert report.pictures == ()
    assert "<figure>" not in to_page(report)


def test_pictures_and_widths_carry_the_name_of_their_file(tmp_path):
    arrays = {
        "0.weight": DRAW((8, 4)), "0.bias": np.zeros(8), "2.weight": np.repeat(DRAW((6, 8)), 2, axis=0),
        "2.bias": np.zeros(12), "4.weight": np.ones((3, 12)), "4.bias": np.zeros(3),
    }  # fmt: skip
    path = tmp_path / "m.npz"
    np.savez(path, **arrays)
    report = sb.diagnose(path, wiring=True)
    assert (
        by_kind(report)["SB201", WEIGHTS].where == f"{path}: space {report.spaces[1].where.removeprefix(f'{path}: ')}"
    )
    assert [(space.units, space.distinct) for space in report.spaces] == [(8, 8), (12, 6)]
    page = to_page(report)
    assert "Distinct units along depth" in page
    assert "6 of 12" in page


def test_a_finding_with_units_that_the_weight_has_not_is_not_drawn():
    from symbreak._scan._pictures import _pictures

    assert _pictures(Finding.of("SB102", "w, axis 0", "", ((0, 9),)), np.eye(4)) == []


def test_a_caption_says_how_much_is_shown():
    shown = {"code": "SB102", "where": "w", "rows": (0, 1), "classes": (0, 0)}
    few = Picture(**shown, kind=WEIGHTS, values=np.zeros((2, 3)), units=9, width=7)
    assert few.caption.startswith("2 of 9 units, one a line, the first 3 of 7 weights of each.")
    every = Picture(**shown, kind=WEIGHTS, values=np.zeros((2, 3)), units=2, width=3)
    assert every.caption.startswith("All 2 units, one a line, all 3 weights of each.")
    assert "2 of 9 units" in Picture(**shown, kind=DISTANCES, values=np.zeros((2, 2)), units=9, width=7).caption


def test_a_drawing_has_a_cell_for_each_value_in_its_colour():
    """Read back: every cell of the picture, from the paths."""
    import re

    from symbreak.reports._picture import CELL, DIVERGING, LABELS

    values = np.array([[-1, -0.5, 0, 0], [0.5, 1, 1, 0.24]], np.float32)
    svg = Picture("SB102", "w", WEIGHTS, (0, 1), (0, 0), values, 2, 4).svg()
    cells = {}
    for path, colour in re.findall(r'<path d="([^"]*)" stroke="([^"]*)"', svg):
        for left, middle, width in re.findall(r"M(\d+) (\d+)h(\d+)", path):
            for step in range(int(width) // CELL):
                cells[int(middle) // CELL, (int(left) - LABELS) // CELL + step] = DIVERGING.index(colour)
    assert len(cells) == values.size
    for (row, column), level in cells.items():
        assert level == 4 + round(float(values[row, column]) * 4)
