"""`diagnose`: a weight, named arrays, files and folders; whatever can't be read is reported, and the rest is judged."""

import json
import re
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from symbreak import Axes, chain, graph
from symbreak._api import diagnose
from symbreak.diagnosis import _near, _pairs, _search, _sums, _ties, _weights
from symbreak.reports import Skipped


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def codes(report):
    return [(finding.code, finding.where) for finding in report.findings]


def test_one_weight_has_its_units_along_axis_0_or_as_told():
    weight = np.tile(random(5, 1), (1, 4))
    assert codes(diagnose(weight)) == []
    assert codes(diagnose(weight, axes="io")) == [("SB101", "weight, axis 1")]
    assert codes(diagnose(weight, axes=Axes("io"))) == [("SB101", "weight, axis 1")]
    assert diagnose(weight).partition["weight"].tolist() == [0, 1, 2, 3, 4]


def test_a_bare_array_is_judged_along_one_axis_and_a_named_one_along_all_and_both_say_so():
    weight = random(6, 5)
    weight[4], weight[:, 3] = weight[1], weight[:, 2]
    assert codes(diagnose(weight)) == [("SB102", "weight, axis 0")]
    assert codes(diagnose({"a": weight})) == [("SB102", "a, axis 0"), ("SB102", "a, axis 1")]
    weight[2, 0] = np.inf
    assert codes(diagnose(weight.T)) == [("SB108", "weight, axis 0"), ("SB102", "weight, axis 0")]
    assert list(diagnose(weight).partition) == ["weight"]


def test_as_many_threads_are_used_as_are_asked_for(monkeypatch):
    """Wherever equal and near units are searched for: in one weight, along every axis, and in networks."""
    asked = []

    class Search(_search.Search):
        def __init__(self, tiles, workers):
            asked.append(workers)
            super().__init__(tiles, workers)

    class Window(_pairs.Window):
        def _by_tree(self, classes):
            asked.append(self._workers)
            return super()._by_tree(classes)

    class Asks:
        def __init__(self, points):
            self.tree = cKDTree(points)

        def query_ball_point(self, *arguments, workers=1, **options):
            asked.append(workers)
            return self.tree.query_ball_point(*arguments, workers=workers, **options)

    monkeypatch.setattr(_ties, "Search", Search)
    monkeypatch.setattr(_near, "Window", Window)
    monkeypatch.setattr("scipy.spatial.cKDTree", Asks)
    for module in (_ties, _weights):
        monkeypatch.setattr(module, "SMALL", 0)
    for module, name in ((_pairs, "FEW"), (_sums, "COPIED")):
        monkeypatch.setattr(module, name, 0)
    weight, apart = random(12, 7), random(3, 4, 5)
    weight[5], weight[6] = weight[2], weight[3] * (1 + 1e-5)
    value = graph.Weight("value", apart, [("head", "heads"), ("in", "x"), ("out", "v")])
    output = graph.Weight("output", random(6, 3, 5), [("out", "y"), ("head", "heads"), ("in", "v")])
    spaces = [graph.Space("x", 4), graph.Space("heads", 3), graph.Space("v", 5), graph.Space("y", 6)]
    network = graph.LayerGraph(spaces, [value, output], inputs=["x"], outputs=["y"])
    broken = chain([(np.where(np.eye(12, 7), np.nan, weight), None)])
    for weights, tolerance in ((weight, 1e-3), ({"fc.weight": weight}, 1e-3), (network, None), (broken, None)):
        asked.clear()
        diagnose(weights, workers=5, tolerance=tolerance)
        assert len(asked) > 1
        assert set(asked) == {5}


@pytest.mark.parametrize("workers", [1, 2, None])
def test_the_report_does_not_depend_on_the_workers(workers, monkeypatch):
    monkeypatch.setattr(_search, "SHARE", 1)
    weight = random(300, 50)
    weight[200:] = weight[:100]
    assert diagnose(weight, workers=workers).to_dict() == diagnose(weight).to_dict()


def test_named_arrays_are_judged_and_named_along_both_axes():
    tied = random(6, 5)
    tied[:, 4] = tied[:, 0]
    report = diagnose(OrderedDict([("fc2", np.ones((3, 6))), ("fc1", tied), ("fc1.bias", np.zeros(6))]))
    assert codes(report) == [("SB101", "fc2"), ("SB102", "fc1, axis 1")]
    assert list(report.partition) == ["fc2, axis 0", "fc2, axis 1", "fc1, axis 0", "fc1, axis 1"]
    assert report.arrays == 3
    assert report.files == ()


def test_a_layout_settles_the_axis_of_a_named_array():
    kernel = np.tile(random(5, 1), (1, 4))
    assert codes(diagnose({"a": kernel, "b": kernel}, axes={"a": "io"})) == [
        ("SB101", "a, axis 1"),
        ("SB101", "b, axis 1"),
    ]
    assert codes(diagnose({"a": kernel}, axes={"a": "oi"})) == []


OPTIMIZERS = {
    "Adadelta": {"lr": 0.1},
    "Adagrad": {},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "Adafactor": {},
    "ASGD": {},
    "LBFGS": {},
    "Muon": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "SGD": {"lr": 0.1, "momentum": 0.9},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_state_is_not_judged_for_ties(tmp_path, name):
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.zeros(6, 5))
    optimizer = getattr(torch.optim, name)([weight], **OPTIMIZERS[name])
    for _ in range(2):  # LBFGS has a history from the second step on

        def loss():
            optimizer.zero_grad()
            value = ((weight - 1) ** 2).sum()
            value.backward()
            return value

        optimizer.step(loss)
    torch.save({"optimizer": optimizer.state_dict()}, tmp_path / "o.pt")
    report = diagnose(tmp_path / "o.pt")
    assert report.arrays > 0
    assert (codes(report), dict(report.partition), report.skipped) == ([], {}, ())


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("exp_avg", True),
        ("state.fc1.weight.exp_avg_sq", True),
        ("optimizer/momentum_buffer", True),
        ("opt_state/0/mu/Dense_0/kernel", True),
        ("optimizer/state/param_states/kernel/grad_ema", True),
        ("params/opt_state", False),
        ("params/mu/kernel", False),
        ("state.0.sum", True),
        ("old_dirs.3", True),
        ("optimizer/vars/3", True),
        ("g_optimizer/vars/3", True),
        ("optimizer/inner_optimizer/vars/0", True),
        ("optimizer_weights/adam/fc1_kernel_momentum", True),
        ("layers/vars/3", False),
        ("optimizers/vars/3", False),
        ("fc1/optimizer_weights/kernel", False),
        ("fc.sum", False),
        ("exp_avg.weight", False),
        ("fc1.weight_exp_avg", False),
        ("state.weight", False),
        ("3", False),
    ],
)
def test_optimizer_state_goes_by_its_name(name, state):
    ones = np.ones((6, 5))
    assert codes(diagnose({name: ones})) == ([] if state else [("SB101", name)])
    ones[2, 3] = np.nan
    assert codes(diagnose({name: ones}))[0] == ("SB108", name if state else f"{name}, axis 0")
    assert codes(diagnose({name: np.ones((6, 5))}, axes={name: "oi"})) == [("SB101", f"{name}, axis 0")]


def test_arrays_of_other_libraries_are_taken_by_their_array_method():
    torch = pytest.importorskip("torch")
    assert codes(diagnose(torch.ones(3, 2))) == [("SB101", "weight, axis 0")]
    assert codes(diagnose({"a": torch.ones(3, 2)})) == [("SB101", "a")]


@pytest.mark.parametrize(
    ("weights", "axes", "message"),
    [
        (3, None, "neither an array, nor a mapping from names to arrays, nor a path to a file or folder; got int"),
        ([[1.0]], None, "`weights` is neither an array.* got list"),
        (None, None, "got NoneType"),
        ({"a": [1.0]}, None, "the array 'a' is neither an array.* got list"),
        ({1: np.ones(2)}, None, "the names of arrays are strings; got 1"),
        ({"a": np.array(["x"])}, None, "a: weights are numbers; got an array of dtype <U1"),
        (
            SimpleNamespace(weights={}),
            None,
            r"a SimpleNamespace is not judged as a whole: .*diagnose\(graph\.weights\)",
        ),
        (np.ones((2, 2)), {"a": "io"}, "for one weight `axes` is one layout, such as 'io'; got a mapping of 1"),
        ({"a": np.ones((2, 2))}, "io", "for named arrays and files `axes` maps names to layouts.*got 'io'"),
        ("no such file", "io", "for named arrays and files `axes` maps names to layouts.*got 'io'"),
    ],
)
def test_what_is_of_no_use_is_refused_with_what_is_taken(weights, axes, message):
    with pytest.raises(TypeError, match=message):
        diagnose(weights, axes=axes)


@pytest.mark.parametrize(
    ("package", "base", "part"),
    [
        ("torch.nn.modules.module", "Module", "torch"),
        ("keras.src.models.model", "Model", "keras"),
        ("flax.linen.module", "Module", "jax"),
        ("equinox._module", "Module", "jax"),
        ("torch.optim.optimizer", "Optimizer", None),
        ("torchvision", "Module", None),
    ],
)
def test_a_model_is_sent_to_the_part_for_its_framework(package, base, part):
    above = type(base, (), {"__module__": package})
    model = type("Net", (above,), {"__module__": "project"})()
    wanted = f"a Net is a model of a framework: call symbreak.{part}.diagnose(model)" if part else "neither an array"
    with pytest.raises(TypeError, match=re.escape(wanted)):
        diagnose(model)


def test_a_layout_for_an_array_that_is_not_there_is_refused(tmp_path):
    message = r"`axes` names 'fc1\.wieght', which is not among the arrays; nearest: \['fc1\.weight'"
    with pytest.raises(ValueError, match=message):
        diagnose({"fc1.weight": random(3, 2)}, axes={"fc1.wieght": "io"})
    np.savez(tmp_path / "m.npz", **{"fc1.weight": random(3, 2)})
    with pytest.raises(ValueError, match=message):
        diagnose(tmp_path, axes={"fc1.wieght": "io"})


def test_a_layout_that_does_not_fit_names_the_array():
    with pytest.raises(ValueError, match=r"fc1: axes 'oihw' names 4 axes, but `shape` is \(3, 2\)"):
        diagnose({"fc1": random(3, 2)}, axes={"fc1": "oihw"})


@pytest.fixture
def models(tmp_path):
    """A folder with a sound file, a tied one and one that is cut off."""
    np.savez(tmp_path / "a.npz", fc1=random(6, 5))
    np.savez(tmp_path / "b.npz", fc1=np.ones((6, 5), np.float32), fc2=random(3, 6))
    (tmp_path / "c.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:200])
    return tmp_path


def test_a_file_is_judged_like_named_arrays(models):
    path = models / "b.npz"
    for given in (path, str(path)):
        report = diagnose(given)
        assert codes(report) == [("SB101", f"{path}: fc1")]
        assert report.files == (str(path),)
        assert report.arrays == 2
    assert diagnose(models / "a.npz").ok


def test_a_file_that_cannot_be_read_is_reported_and_the_others_are_judged(models):
    report = diagnose(models)
    assert codes(report) == [("SB101", f"{models / 'b.npz'}: fc1"), ("SB301", f"{models / 'c.npz'}")]
    assert report.skipped == (Skipped(str(models / "c.npz"), report.findings[1].message),)
    assert not report.ok
    assert report.files == tuple(str(models / name) for name in ("a.npz", "b.npz", "c.npz"))
    assert report.arrays == 3


def test_a_file_is_judged_by_the_layout_of_its_arrays(models):
    np.savez(models / "a.npz", fc1=np.tile(random(5, 1), (1, 4)))
    assert codes(diagnose(models / "a.npz", axes={"fc1": "oi"})) == []
    assert codes(diagnose(models / "a.npz", axes={"fc1": "io"})) == [("SB101", f"{models / 'a.npz'}: fc1, axis 1")]


@pytest.mark.parametrize("name", ["missing.npz", "missing\x1b[31m.npz", "nul\0.npz"])
def test_a_path_that_is_not_there_is_reported(tmp_path, name):
    path = str(tmp_path / name)
    report = diagnose(path)
    assert codes(report) == [("SB301", path)]
    assert report.skipped[0].where == path
    assert "clean" not in str(report)


def test_a_folder_without_checkpoints_is_not_clean(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    report = diagnose(tmp_path)
    assert codes(report) == [("SB301", str(tmp_path))]
    assert not report.ok


def test_an_array_that_cannot_be_read_is_reported_and_the_others_are_judged(tmp_path):
    np.savez(tmp_path / "m.npz", names=np.array(["x", "y"]), objects=np.array([{}, 1], object), w=np.ones((3, 2)))
    report = diagnose(tmp_path / "m.npz")
    found = codes(report)
    assert ("SB101", f"{tmp_path / 'm.npz'}: w") in found
    assert ("SB301", f"{tmp_path / 'm.npz'}: objects") in found
    assert ("SB303", str(tmp_path / "m.npz")) in found  # text is no weight
    assert len(report.skipped) == 1
    json.dumps(report.to_dict())


def test_faults_of_the_program_are_not_taken_for_faults_of_a_file(models, monkeypatch):
    def broken(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr("symbreak._scan._judge.judge_array", broken)
    with pytest.raises(TypeError, match="a bug"):
        diagnose(models / "a.npz")


def test_a_layout_for_what_could_not_be_read_does_not_hide_the_reason(tmp_path):
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\1\0")
    assert codes(diagnose(tmp_path / "cut.npy", axes={"array": "io"})) == [("SB301", str(tmp_path / "cut.npy"))]
    np.savez(tmp_path / "m.npz", sound=random(3, 2), objects=np.array([{}], object))
    assert codes(diagnose(tmp_path / "m.npz", axes={"objects": "io"})) == [("SB301", f"{tmp_path / 'm.npz'}: objects")]


def test_nested_names_are_refused_with_the_way_out():
    with pytest.raises(
        TypeError, match=r"the array 'fc1' holds names itself, and nesting isn't read: flatten them.*kernel'"
    ):
        diagnose({"fc1": {"kernel": np.eye(2)}})


def test_memory_that_was_never_written_may_hold_a_nan_that_signals_and_warns_of_nothing():
    weight = np.random.default_rng(0).standard_normal((12, 16)).astype(np.float32)
    weight.view(np.uint32)[1, 3] = 0x7F800001
    weight.view(np.uint32)[2] = 0xFF800001
    weight[5] = weight[6]
    findings = diagnose({"w": weight}).findings
    assert [(each.code, each.groups) for each in findings if each.where == "w, axis 0"] == [
        ("SB108", ((1, 2),)),
        ("SB102", ((5, 6),)),
    ]
