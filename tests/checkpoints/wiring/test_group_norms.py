"""Behind a convolution, group norms have the names and shapes of batch norms that keep no statistics.

Their groups tell units apart, so that no tie may be claimed across them. Where nothing says how many there are, none is
claimed at all.
"""

import json

import numpy as np
import pytest

import symbreak as sb
from symbreak.checkpoints import save_wiring, wire
from tests.checkpoints._make import DATA
from tests.checkpoints.wiring._permute import places
from tests.checkpoints.wiring._planted import found, plantable, planted

ROWS = {row["model"]: row for row in map(json.loads, (DATA.parent / "wirings.jsonl").read_text("utf-8").splitlines())}
MODELS = [name for name in ROWS if any(word in name for word in ("resn", "mobilenet", "efficientnet"))]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
WHY = "a norm without statistics after a convolution may be one of groups, whose number no shape shows"


def bare(name):
    """Shapes of a model whose norms keep no statistics."""
    return {key: tuple(shape) for key, shape in ROWS[name]["tensors"].items() if not key.endswith(STATISTICS)}


def drawn(shapes):
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", MODELS)
def test_without_statistics_units_behind_a_convolution_are_told_apart_and_that_is_said(name):
    shapes, config = bare(name), ROWS[name]["config"]
    assert shapes.keys() < ROWS[name]["tensors"].keys()
    norms = {
        key
        for key in shapes
        if len(shapes[key]) == 1 and f"{key.rpartition('.')[0]}.running_mean" in ROWS[name]["tensors"]
    }
    wired = wire(drawn(shapes), config=config)
    assert dict(wired.unknown) == dict.fromkeys(norms, WHY)
    held = {each.space for each in wired.graph.per_unit if each.name in norms}
    assert {f"{space}.apart" for space in held} <= {each.name for each in wired.graph.per_unit}
    constant = {key: np.full(shape, 0.5) for key, shape in shapes.items()}
    assert not held & found(wire(constant, config=config).graph).keys()


@pytest.mark.parametrize("name", MODELS)
def test_where_the_configuration_says_the_groups_a_tie_is_found_within_one_and_none_between_two(name):
    shapes, config = bare(name), {**ROWS[name]["config"], "num_groups": 2}
    at, total = places(shapes)
    graph = wire(at, config=config).graph
    values = np.random.default_rng(0).normal(size=total)
    assert {each.norm for each in graph.per_unit if each.kind == "shift"} == {"group"}
    for space in plantable(graph):
        tied = values[planted(graph, space, total)]
        units = graph.space(space).units
        arrays = {key: tied[place] for key, place in at.items()}
        again = found(wire(arrays, config=config).graph)
        numbered = f"{space}.norm_groups" in {each.name for each in graph.per_unit}
        assert (space in again) == (units > 3 or not numbered), space
    same = {key: np.full(shape, 0.5) for key, shape in shapes.items()}
    classes = found(wire(same, config=config).graph)
    numbers = {each.name.removesuffix(".norm_groups"): each.array.ravel() for each in graph.per_unit}
    halves = {space: some for space, some in classes.items() if space in numbers}
    assert halves
    assert all(len(set(numbers[space][list(each)])) == 1 for space, some in halves.items() for each in some)
    assert any(len(each) == len(numbers[space]) // 2 for space, some in halves.items() for each in some)


def test_a_number_of_groups_that_does_not_fit_is_not_believed():
    shapes = bare("resnet")
    wired = wire(drawn(shapes), config={"num_groups": 7})
    assert set(wired.unknown.values()) == {WHY}


def test_a_wiring_file_says_how_many_groups_a_norm_has(tmp_path):
    arrays = {key: np.full(shape, 0.5) for key, shape in bare("resnet").items()}
    wired = wire(arrays, config={"num_groups": 2})
    save_wiring(wired, tmp_path / "wiring.toml")
    assert "norm_groups = 2" in (tmp_path / "wiring.toml").read_text()
    assert found(wire(arrays, wiring=tmp_path / "wiring.toml").graph) == found(wired.graph)


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        (3, r"8 units of 'h' don't make 3 groups of a norm"),
        (0, "`norm_groups` is a number of groups, 1 or more, not 0"),
    ],
)
def test_a_number_of_groups_in_a_wiring_file_that_does_not_fit_is_an_error(groups, error):
    wiring = {
        "version": 1,
        "tensors": {"up": ["out h", "in x"], "down": ["out y", "in h"]},
        "spaces": {"h": {"norm_groups": groups}},
    }
    with pytest.raises(ValueError, match=error):
        wire({"up": np.ones((8, 3)), "down": np.ones((2, 8))}, wiring=wiring)


@pytest.mark.parametrize(("pair", "stays"), [((0, 1), True), ((0, 7), False)])
def test_in_a_network_with_group_norms_units_stay_tied_within_a_group_and_not_between_two(pair, stays):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    parts = {
        "conv1": torch.nn.Conv2d(3, 8, 3),
        "bn1": torch.nn.GroupNorm(2, 8),
        "layer1.0.conv1": torch.nn.Conv2d(8, 8, 1, bias=False),
        "layer1.0.bn1": torch.nn.GroupNorm(2, 8),
        "layer1.0.conv2": torch.nn.Conv2d(8, 8, 1, bias=False),
        "layer1.0.bn2": torch.nn.GroupNorm(2, 8),
        "fc": torch.nn.Linear(8, 3),
    }
    parts["conv1"].bias = None
    one, other = pair
    with torch.no_grad():
        parts["layer1.0.conv1"].weight[other] = parts["layer1.0.conv1"].weight[one]
        parts["layer1.0.conv2"].weight[:, other] = parts["layer1.0.conv2"].weight[:, one]
    arrays = {
        f"{name}.{key}": value.detach().numpy()
        for name, part in parts.items()
        for key, value in part.named_parameters()
    }
    report = sb.diagnose(wire(arrays, config={"num_groups": 2}).graph)
    labels = report.partition["layer1.0.conv1"]
    assert (labels[one] == labels[other]) == stays
    x = torch.randn(4, 3, 6, 6)
    y = torch.relu(parts["bn1"](parts["conv1"](x)))
    z = torch.relu(parts["layer1.0.bn1"](parts["layer1.0.conv1"](y)))
    y = torch.relu(y + parts["layer1.0.bn2"](parts["layer1.0.conv2"](z)))
    (parts["fc"](y.mean((2, 3))) ** 3).sum().backward()
    gradient = parts["layer1.0.conv1"].weight.grad
    apart = (gradient[one] - gradient[other]).abs().max() / gradient.abs().max()
    assert (float(apart) < 1e-5) == stays
