"""The monitor: exact counts from few values, a record of what changed, and logs of any kind."""

import html

import numpy as np
import pytest

import symbreak as sb
from symbreak._growth import spread_of
from symbreak._monitor import Monitor, MonitorRow, Watched, near_classes, part_of
from symbreak.diagnosis import find_ties

KEY = sb.Key(0)


class Store:
    """Weights that count how many of their values were read."""

    def __init__(self, **weights):
        self.weights, self.values = weights, 0

    def read(self, name, index):
        part = self.weights[name][index]
        self.values += part.size
        return part

    def monitor(self, axis=0, **options):
        return Monitor([Watched(name, array.shape, axis) for name, array in self.weights.items()], self.read, **options)


def counted(array, axis):
    """Count another way: the whole array, unit by unit."""
    units = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return len({row.tobytes() for row in units + 0.0}), int((units == 0).all(axis=1).sum())


SHAPES = [((6, 4), 0), ((40, 200), 0), ((200, 40), 1), ((16, 8, 3, 3), 0), ((3, 3, 8, 16), 3), ((5, 12, 40), 1)]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("case", ["free", "copied", "same first values", "one zero", "zero", "constant"])
def test_counts_are_those_of_all_values(shape, axis, case):
    weight = sb.HeNormal()(shape, KEY["w"]).copy()
    units = np.moveaxis(weight, axis, 0)
    if case == "copied":
        units[3] = units[4] = units[0]
    elif case == "same first values":  # what is read first agrees, and the rest doesn't
        units[3], units[4] = units[0], 0
        units[3].flat[-1] += 1
        units[4].flat[-1] = 1
        units[2] = 0
    elif case == "one zero":
        units[2] = 0
    elif case == "zero":
        units[1:3] = 0
    elif case == "constant":
        units[:] = 0.5
    (row,) = Store(w=weight).monitor(axis).look().values()
    assert (row.distinct, row.dead) == counted(weight, axis)
    assert row.units == shape[axis]


def test_a_healthy_weight_is_read_in_a_few_values_of_each_unit():
    store = Store(w=sb.HeNormal()((512, 512), KEY["w"]))
    store.monitor().look()
    assert store.values == 512 * 32


def test_whole_units_are_read_only_where_their_first_values_agree():
    weight = sb.HeNormal()((512, 512), KEY["w"]).copy()
    weight[7] = weight[3]
    store = Store(w=weight)
    assert store.monitor().look()["w"].distinct == 511
    assert store.values == 512 * 32 + 2 * 512 + 2 * 512  # to count them, and to follow them


def test_it_looks_every_so_many_steps_and_keeps_what_changed():
    weight = np.arange(8.0).reshape(4, 2)
    monitor = Store(w=weight).monitor(every=3)
    looked = []
    for step in range(1, 13):
        weight[1] = weight[0] if step == 5 else weight[1]
        looked.append(monitor.step())
    assert looked == [False, False, True] * 4
    assert monitor.rows == (MonitorRow(3, "w", 4, 4, 0), MonitorRow(6, "w", 4, 3, 0))
    assert monitor.latest == {"w": MonitorRow(6, "w", 4, 3, 0)}
    assert monitor.steps == 12
    assert monitor.to_dict()["rows"][0] == {"step": 3, "name": "w", "units": 4, "distinct": 4, "dead": 0}
    assert monitor.to_dict()["looks"] == 4


def test_activations_of_the_step_that_is_looked_at_count():
    monitor = Monitor((), Store().read, every=2)
    values = np.array([[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 0.0, 0.0]])
    assert not monitor.due
    monitor.step()
    assert monitor.due
    monitor.observe("relu", values)
    monitor.observe("relu", values[:, [0, 1, 2, 2]] + [0, 0, 0, 1])
    monitor.step()
    assert monitor.rows == (MonitorRow(2, "relu", 4, 3, 1),)
    monitor.step()
    monitor.step()
    assert monitor.look() == {}  # what was seen at the last look is not seen again
    with pytest.raises(ValueError, match="relu had 4 units before, and now has 3"):
        monitor.observe("relu", values), monitor.observe("relu", values[:, :3])


def test_a_function_is_called_after_each_look():
    calls = []
    monitor = Store(w=np.ones((3, 2))).monitor(every=2, log=lambda step, values: calls.append((step, values)))
    for _ in range(4):
        monitor.step()
    assert calls == [(step, {"distinct/w": 1.0, "dead/w": 0.0, "spread/w": 0.0}) for step in (2, 4)]
    calls.clear()
    Store(w=sb.HeNormal()((8, 9), KEY["w"])).monitor(every=1, log=lambda *call: calls.append(call)).step()
    assert calls == [(1, {"distinct/w": 8.0, "dead/w": 0.0})]  # nothing is followed


def test_a_writer_of_tensorboards_is_written_to():
    class Writer:
        def __init__(self):
            self.scalars = []

        def add_scalar(self, tag, value, step):
            self.scalars.append((tag, value, step))

    writer = Writer()
    Store(w=np.zeros((3, 2))).monitor(every=1, log=writer).step()
    assert writer.scalars == [("distinct/w", 1.0, 1), ("dead/w", 3.0, 1)]


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "10"])
def test_an_interval_that_is_none_is_refused(every):
    with pytest.raises(ValueError, match="`every` is a whole number of steps, 1 or more; got "):
        Monitor((), Store().read, every=every)


def test_a_log_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"`log` is called with a step and a dictionary of numbers.*got a str"):
        Monitor((), Store().read, log="runs")


def test_the_table_has_80_columns_and_shows_names_safely():
    name = "\x1b[31m" + "layers.0." * 20 + "<b>"
    monitor = Monitor([Watched(name, (3, 2))], lambda name, index: np.ones((3, 2))[index], every=1)
    assert str(monitor) == "looked 0 times in 0 steps, every 1"
    monitor.step()
    assert max(map(len, str(monitor).splitlines())) <= 80
    assert "\x1b" not in str(monitor)
    assert "<b>" not in monitor._repr_html_()
    assert str(monitor).endswith("looked 1 time in 1 step, every 1")


# Growth: units that are near at the first look


def parting(shape=(12, 40), axis=0, factor=1.02, start=1e-6, step=10, times=9, members=(2, 5, 6)):
    """Give the looks at a weight of which some units come apart by a factor a step."""
    draw = np.random.default_rng(0).standard_normal
    base, away = np.moveaxis(draw(shape), axis, 0).copy(), np.moveaxis(draw(shape), axis, 0)
    for look in range(times):
        weight = base.copy()
        weight[list(members)] = base[members[0]] + start * factor ** (step * look) * away[list(members)]
        yield np.ascontiguousarray(np.moveaxis(weight, 0, axis)), weight


@pytest.mark.parametrize(("shape", "axis"), [((12, 40), 0), ((40, 12), 1), ((12, 6, 3, 3), 0), ((3, 3, 6, 12), 3)])
def test_units_that_are_near_at_the_first_look_are_followed(shape, axis):
    store = Store()
    monitor = Monitor([Watched("w", shape, axis)], store.read, every=10)
    expected = []
    for whole, units in parting(shape, axis):
        store.weights["w"] = whole
        expected.append(spread_of(units, [(2, 5, 6)]))
        for _ in range(10):
            monitor.step()
    (growth,) = monitor.growth
    assert (growth.where, growth.units, growth.classes, growth.along) == ("w", 3, 1, "step")
    assert growth.places == tuple(range(10, 100, 10))
    assert growth.spread == pytest.approx(expected, rel=1e-12)
    assert growth.factor == pytest.approx(1.02, rel=1e-6)
    assert monitor.to_dict()["growth"] == [growth.to_dict()]
    assert monitor.latest["w"].distinct == 12


def test_nothing_is_followed_where_no_units_are_near():
    weight = sb.HeNormal()((512, 512), KEY["w"])
    store = Store(w=weight)
    monitor = store.monitor(every=1)
    monitor.step()
    assert monitor.growth == ()
    assert monitor.to_dict()["growth"] == []
    assert "<svg" not in monitor._repr_html_()
    store.weights["w"] = np.ones((512, 512))
    monitor.step()
    assert monitor.growth == ()  # the first look says which


def test_units_that_agree_in_their_first_values_alone_are_not_followed():
    """As the units of an identity do, whose first values are zeros; and of those that agree the others are."""
    weight = sb.HeNormal()((20, 100), KEY["w"]).copy()
    weight[:8, :40] = weight[0, :40]
    weight[[3, 6]] = weight[1]
    monitor = Store(w=weight).monitor(every=1)
    monitor.step()
    (growth,) = monitor.growth
    assert (growth.units, growth.classes, growth.spread) == (3, 1, (0.0,))
    monitor = Store(w=np.eye(100)).monitor(every=1)
    monitor.step()
    assert monitor.growth == ()


def test_few_units_are_read_whole_at_a_look_however_many_are_near():
    weight = np.full((1000, 500), 0.5) + 1e-5 * sb.HeNormal()((1000, 500), KEY["w"])
    store = Store(w=weight)
    monitor = store.monitor(every=1)
    monitor.step()
    first = store.values
    assert first == 1000 * 32 + 16 * 500
    monitor.step()
    assert store.values - first == 1000 * 32 + 16 * 500
    assert monitor.growth[0].units == 16


def test_units_of_few_values_must_be_nearer():
    """Of a thousand units with one input many are near by chance, and equal ones are none the less."""
    weight = np.sort(sb.HeNormal()((1000, 1), KEY["w"]), axis=0)
    monitor = Store(w=weight).monitor(every=1)
    monitor.step()
    assert monitor.growth == ()
    weight[5] = weight[4]
    monitor = Store(w=weight).monitor(every=1)
    monitor.step()
    assert monitor.growth[0].units == 2


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_dead_units_and_those_that_are_not_finite_are_not_followed(value):
    weight = sb.HeNormal()((8, 40), KEY["w"]).copy()
    weight[[1, 4, 5]] = value
    monitor = Store(w=weight).monitor(every=1)
    monitor.step()
    assert monitor.growth == ()


def test_classes_are_found_as_a_slow_search_finds_them():
    draw = np.random.default_rng(0).standard_normal
    for _ in range(20):
        rows = draw((6, 10))
        labels = np.random.default_rng(_).integers(0, 6, 30)
        units = rows[labels] * (1 + 1e-4 * draw((30, 1)))
        found = {tuple(each.tolist()) for each in near_classes(units)}
        groups = {tuple(np.flatnonzero(labels == label).tolist()) for label in range(6)}
        assert found == {group for group in groups if len(group) > 1}


def test_of_very_many_looks_some_are_kept_and_the_last_is_among_them():
    store = Store(w=np.ones((3, 9)))
    monitor = store.monitor(every=1)
    for step in range(2500):
        store.weights["w"] = np.ones((3, 9)) + 1e-9 * step * np.arange(3)[:, None]
        monitor.step()
    (growth,) = monitor.growth
    assert 500 <= len(growth.places) <= 1000
    assert growth.places[-1] == 2500
    assert growth.places == tuple(sorted(growth.places))


def test_a_look_before_the_first_step_shows_the_start():
    store = Store(w=np.ones((3, 9)))
    monitor = store.monitor(every=1)
    monitor.look()
    store.weights["w"] = np.ones((3, 9)) + 0.5 * np.eye(3, 9)
    monitor.step()
    assert monitor.growth[0].places == (0, 1)
    assert monitor.growth[0].apart == 1


def test_the_growth_is_told_and_drawn():
    store = Store()
    monitor = Monitor([Watched("<b>w\x1b", (12, 40))], lambda _, index: store.weights["w"][index], every=10)
    for whole, _ in parting():
        store.weights["w"] = whole
        for _ in range(10):
            monitor.step()
    (growth,) = monitor.growth
    text = str(monitor)
    assert growth.sentence in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    shown = monitor._repr_html_()
    assert shown.count("<svg") == 1
    assert "<b>" not in shown
    assert "\x1b" not in shown
    assert html.escape(growth.sentence) in shown
    assert "spread of units that were equal, by step" in shown


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_a_part_has_all_units_and_no_more_values_than_asked(shape, axis):
    part = np.ones(shape)[part_of(shape, axis, 20)]
    assert part.shape[axis] == shape[axis]
    assert part.size <= 20 * shape[axis]
    assert len(find_ties(part, axis).labels) == shape[axis]
