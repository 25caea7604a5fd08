"""Checkpoints of one run: told by their names, and how units that are equal in one come apart in the others."""

import json
import os
import re
import sys

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak._growth import spread_of
from symbreak._scan import Entry, _guard, find_runs, guarded, one_run, with_growth
from symbreak.checkpoints import save_safetensors
from symbreak.cli import main
from symbreak.findings import Finding
from symbreak.reports import Growth, Report, to_page

DRAW = np.random.default_rng(0).standard_normal
STEPS = (0, 20, 100, 300, 1000)  # as text in another order
FACTOR = 1.02


def named(*paths):
    return [(run.name, run.along, run.places) for run in find_runs([Entry(path) for path in paths])]


@pytest.mark.parametrize(
    ("paths", "run"),
    [
        (("r/step-100.pt", "r/step-20.pt"), ("r/step-*.pt", "step", (20, 100))),
        (("checkpoint-500/model.npz", "checkpoint-1000/model.npz"), ("checkpoint-*/model.npz", "step", (500, 1000))),
        (("m_epoch_01.pt", "m_epoch_10.pt"), ("m_epoch_*.pt", "epoch", (1, 10))),
        (("epoch=2-step=40.ckpt", "epoch=3-step=60.ckpt"), ("epoch=*-step=*.ckpt", "step", (40, 60))),
        (("epoch=2-step=40.ckpt", "epoch=2-step=60.ckpt"), ("epoch=*-step=*.ckpt", "step", (40, 60))),
        (("step=9-epoch=2.ckpt", "step=12-epoch=2.ckpt"), ("step=*-epoch=*.ckpt", "step", (9, 12))),
        (("Global_Step8.npz", "Global_Step16.npz"), ("Global_Step*.npz", "step", (8, 16))),
        (("iter_0000100/mp_rank_00/w.pt", "iter_0000200/mp_rank_00/w.pt"),
         ("iter_*/mp_rank_00/w.pt", "iteration", (100, 200))),
        (("step-10k.npz", "step-9500.npz"), ("step-*.npz", "step", (9500, 10_000))),
        (("tokens_2M.npz", "tokens_1B.npz"), ("tokens_*.npz", "token", (2_000_000, 1_000_000_000))),
    ],
)  # fmt: skip
def test_files_whose_names_differ_in_a_step_are_one_run(paths, run):
    assert named(*paths) == [run]


@pytest.mark.parametrize(
    "paths",
    [
        ("seed-1.npz", "seed-2.npz"),
        ("model-00001-of-00002.npz", "model-00002-of-00002.npz"),
        ("step-1.npz",),
        ("step-1.npz", "step-01.npz"),
        ("doorstep-1.npz", "doorstep-2.npz"),
        ("step-1a.npz", "step-2a.npz"),
        ("a/step-1.npz", "b/step-2.npz"),
        ("step.npz", "epoch.npz"),
    ],
)
def test_other_files_are_none(paths):
    assert named(*paths) == []


def test_runs_of_several_seeds_are_apart():
    paths = [f"seed-{seed}/step-{step}.npz" for step in (5, 10) for seed in (1, 2)]
    assert named(*paths) == [(f"seed-{seed}/step-*.npz", "step", (5, 10)) for seed in (1, 2)]


def test_what_could_not_be_found_is_in_no_run():
    assert find_runs([Entry("step-1.npz", fault=Report()), Entry("step-2.npz")]) == []
    assert one_run([Entry("a", fault=Report()), Entry("b")]) == []
    assert one_run([Entry("b"), Entry("a")])[0].places == (1, 2)


@pytest.fixture
def run(tmp_path):
    """Write a run whose six hidden units start equal and come apart by two in a hundred at every step."""
    base, away = DRAW(5), DRAW((6, 5))
    away -= away.mean(axis=0)
    folder = tmp_path / "run"
    folder.mkdir()
    arrays = {}
    for step in STEPS:
        size = 0 if step == 0 else 1e-8 * FACTOR**step
        arrays[step] = {"fc1.weight": base + size * away, "other.weight": DRAW((6, 5))}
        save_safetensors(folder / f"step-{step}.safetensors", arrays[step])
    return folder, arrays


def test_the_units_that_are_equal_in_the_first_file_are_followed_through_all(run):
    folder, arrays = run
    (growth,) = sb.diagnose(folder).growth
    assert (growth.where, growth.units, growth.classes, growth.along) == ("fc1.weight, axis 0", 6, 1, "step")
    assert growth.run == str(folder / "step-*.safetensors")
    assert growth.places == STEPS
    assert growth.files == tuple(str(folder / f"step-{step}.safetensors") for step in STEPS)
    assert growth.spread == tuple(spread_of(arrays[step]["fc1.weight"], [range(6)]) for step in STEPS)
    assert growth.factor == pytest.approx(FACTOR, rel=1e-4)
    assert growth.apart == 1000
    assert growth.source == f"{folder / 'step-0.safetensors'}: fc1.weight, axis 0"


def test_the_factor_is_the_one_that_stability_predicts(tmp_path):
    """Another way to the same number: the Hessian of a network at rest, and the files of its training."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4))
    y = np.sin(2 * x[:, :2])
    net = engine.mlp([4, 6, 2], activation="tanh", init=sb.Constant(0.3))
    optimizer = engine.SGD(0.3)
    engine.train(net, x, y, optimizer=optimizer, steps=1500)
    predicted = engine.stability(net, x, y, optimizer=optimizer)[0].growth
    save_safetensors(tmp_path / "step-0.safetensors", dict(net.parameters))
    for array in net.parameters.values():
        array += 1e-9 * rng.normal(size=array.shape)
    for step in range(100, 500, 50):
        engine.train(net, x, y, optimizer=optimizer, steps=100 if step == 100 else 50)
        save_safetensors(tmp_path / f"step-{step}.safetensors", dict(net.parameters))
    growths = {each.where: each for each in sb.diagnose(tmp_path).growth}
    assert set(growths) == {"layers.0.weight, axis 0", "layers.1.weight, axis 1"}
    for growth in growths.values():
        assert growth.factor == pytest.approx(predicted, abs=2e-3)
    assert predicted > 1.02


def test_nothing_is_read_again_of_a_run_in_which_no_units_are_equal(run, monkeypatch):
    folder, _ = run
    (folder / "step-0.safetensors").unlink()
    monkeypatch.setattr("symbreak._scan._follow.spread_of", None)
    assert sb.diagnose(folder).growth == ()


def test_near_units_are_followed_too(run):
    folder, _ = run
    (folder / "step-0.safetensors").unlink()
    (growth,) = sb.diagnose(folder, tolerance=0.01).growth
    assert growth.places == STEPS[1:]


def test_units_that_become_equal_are_followed_back(tmp_path):
    apart = DRAW((6, 5))
    for step in (1, 2, 3):
        weight = apart.copy()
        weight[[2, 4]] = weight[0] + (3 - step) * 1e-3 * np.array([[1], [-1]])
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"w": weight})
    weight[[2, 4]] = weight[0]
    (growth,) = sb.diagnose(tmp_path).growth
    assert growth.units == 3
    assert growth.spread[-1] == 0
    assert growth.spread[0] > growth.spread[1] > 0
    assert growth.verdict == "equal since step 3"


def test_the_first_file_with_equal_units_says_which(tmp_path):
    for step, equal in enumerate([[], [2, 4], [1, 2, 4]]):
        weight = DRAW((6, 5))
        weight[equal] = weight[equal[:1]] if equal else 0
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"w": weight})
    (growth,) = sb.diagnose(tmp_path).growth
    assert (growth.units, growth.spread[1:]) == (2, (0.0, 0.0))
    assert growth.source.endswith("step-1.safetensors: w, axis 0")


def test_of_classes_that_share_units_the_widest_is_followed(tmp_path):
    """Two units are equal, and a third is near: one class of three, each unit counted once."""
    weight = DRAW((6, 5))
    weight[3], weight[5] = weight[0], weight[0] * 1.001
    for step in (0, 1):
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"w": weight})
    report = sb.diagnose(tmp_path, tolerance=0.01)
    assert {"SB102", "SB103"} <= {finding.code for finding in report.findings}
    (growth,) = report.growth
    assert (growth.units, growth.classes) == (3, 1)
    assert growth.spread[0] == pytest.approx(spread_of(weight, [(0, 3, 5)]))


def test_a_weight_that_is_one_value_is_followed_along_each_axis(tmp_path):
    for step in (0, 1):
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"w": np.full((4, 3), 0.5) + step * np.arange(3)})
    growths = {each.where: each for each in sb.diagnose(tmp_path).growth}
    assert {where: (each.units, each.spread[0]) for where, each in growths.items()} == {
        "w, axis 0": (4, 0.0),
        "w, axis 1": (3, 0.0),
    }
    assert growths["w, axis 0"].spread[1] == 0
    assert growths["w, axis 1"].spread[1] == pytest.approx(spread_of((0.5 + np.arange(3))[:, None], [range(3)]))


def test_classes_are_measured_apart(tmp_path):
    """Far classes of equal units have no spread, though all units together have."""
    base = DRAW((3, 5))
    for step in (0, 1):
        weight = np.repeat(base, 2, axis=0)
        weight[1] += step * 1e-3
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"w": weight})
    (growth,) = sb.diagnose(tmp_path).growth
    assert (growth.units, growth.classes, growth.spread[0]) == (6, 3, 0.0)
    assert growth.spread[1] == pytest.approx(spread_of(weight, [(0, 1), (2, 3), (4, 5)]))
    assert 0 < growth.spread[1] < 1e-3


def test_a_weight_of_another_shape_or_that_is_gone_or_not_finite_has_no_look_there(tmp_path):
    equal = np.tile(DRAW(5), (4, 1))
    bad = equal.copy()
    bad[0, 0] = np.nan
    for step, array in enumerate([equal, equal[:2], None, bad, equal[:, 0], equal + 0]):
        arrays = {"x": DRAW((2, 3))} | ({} if array is None else {"w": array})
        save_safetensors(tmp_path / f"step-{step}.safetensors", arrays)
    (growth,) = [each for each in sb.diagnose(tmp_path).growth if each.where == "w, axis 0"]
    assert growth.places == (0, 5)


def test_a_weight_seen_in_one_file_alone_does_not_grow(tmp_path):
    save_safetensors(tmp_path / "step-0.safetensors", {"w": np.tile(DRAW(5), (4, 1))})
    save_safetensors(tmp_path / "step-1.safetensors", {"v": DRAW((4, 5))})
    assert sb.diagnose(tmp_path).growth == ()


def test_every_format_says_the_same_numbers(run, capsys):
    folder, _ = run
    assert main(["check", str(folder)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    main(["check", str(folder), "--format", "json"])
    (growth,) = json.loads(capsys.readouterr().out)["growth"]
    main(["check", str(folder), "--format", "html"])
    page = capsys.readouterr().out
    assert (
        f"growth along 5 files, {folder}/step-*.safetensors: fc1.weight, axis 0: 6 units: spread 0 at step 0," in text
    )
    last = f"{growth['spread'][-1]:.3g}"
    assert f"{last} at step 1,000, multiplied by {growth['factor']:.5g} a step; {growth['verdict']}" in text
    assert growth["verdict"] == "apart since step 1,000" == growth["verdict"]
    assert f"<td class=n>{last}</td><td class=n>{growth['factor']:.5g}</td><td>{growth['verdict']}</td>" in page
    assert "Growth from the tied state" in page
    (label,) = [each for each in page.split('aria-label="') if each.startswith("spread of units")]
    assert f"fc1.weight, axis 0: 0 at 0, {last} at 1000" in label


def test_run_takes_the_files_in_the_order_given(tmp_path, capsys):
    equal, apart = np.tile(DRAW(5), (4, 1)), DRAW((4, 5))
    paths = [str(tmp_path / name) for name in ("start.npz", "a.npz")]
    for path, array in zip(paths, (equal, apart), strict=True):
        np.savez(path, w=array)
    main(["check", *paths, "--format", "json"])
    assert "growth" not in json.loads(capsys.readouterr().out)
    main(["check", *paths, "--run", "--format", "json"])
    (growth,) = json.loads(capsys.readouterr().out)["growth"]
    assert (growth["along"], growth["places"], growth["files"]) == ("file", [1, 2], paths)
    main(["check", *paths, "--run"])
    assert "growth along 2 files, in the order given:" in capsys.readouterr().out


def test_growth_goes_with_the_finding_that_it_is_of(run, tmp_path, capsys):
    folder, _ = run
    main(["check", str(folder), "--ignore", "SB101", "--format", "json"])
    assert "growth" not in json.loads(capsys.readouterr().out)
    known = str(tmp_path / "known.json")
    main(["check", str(folder), "--write-baseline", known])
    capsys.readouterr()
    assert main(["check", str(folder), "--baseline", known, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "growth" not in found
    assert found["summary"]["known"] == 1


def test_growth_is_measured_where_resume_knew_the_arrays_and_pictures_are_not(run, tmp_path, capsys):
    """A picture is a sample of an array that was read; of one that was not, there is none, and the page is whole."""
    folder, _ = run
    main(["check", str(folder), "--resume", str(tmp_path / "kept"), "--format", "html"])
    first = capsys.readouterr().out
    main(["check", str(folder), "--resume", str(tmp_path / "kept"), "--format", "html"])
    again = capsys.readouterr().out
    pictures = [re.findall("<svg.*?</svg>", page) for page in (first, again)]
    growth, other = ([each for each in some if "spread of units" in each] for some in pictures)
    assert growth == other
    assert len(growth) == 1
    assert first.count('aria-label="weights of') == 1
    assert again.count('aria-label="weights of') == 0
    assert "1 more has no picture" not in again


def test_pictures_of_new_files_stand_beside_what_resume_knew(run, tmp_path, capsys):
    """One file is known and one is new: the picture is that of the new one, and says so."""
    folder, _ = run
    kept = str(tmp_path / "kept")
    main(["check", str(folder), "--resume", kept])
    equal = np.tile(DRAW(9), (4, 1))
    save_safetensors(folder / "step-2000.safetensors", {"new.weight": equal})
    capsys.readouterr()
    main(["check", str(folder), "--resume", kept, "--format", "html"])
    page = capsys.readouterr().out
    (label,) = [each.split('"')[0] for each in page.split('aria-label="') if each.startswith("weights of")]
    assert label == f"weights of {folder / 'step-2000.safetensors'}: new.weight, axis 0, SB101"


def test_a_file_that_is_gone_when_it_is_followed_is_reported(run):
    folder, _ = run
    report = sb.diagnose(folder)
    (folder / "step-300.safetensors").unlink()
    runs = find_runs([Entry(str(folder / f"step-{step}.safetensors")) for step in STEPS])
    again = with_growth(report, runs)
    assert [skipped.where for skipped in again.skipped] == [str(folder / "step-300.safetensors")]
    assert again.growth[0].places == (0, 20, 100, 1000)
    assert not again.ok


def test_a_file_that_could_not_be_read_is_reported_once(run):
    folder, _ = run
    (folder / "step-300.safetensors").write_bytes(b"\0" * 100)
    report = sb.diagnose(folder)
    assert [finding.code for finding in report.findings] == ["SB101", "SB301"]
    assert len(report.skipped) == 1
    assert report.growth[0].places == (0, 20, 100, 1000)


def test_nothing_is_run_to_read_again_where_no_units_are_equal(tmp_path):
    for step in STEPS:
        save_safetensors(tmp_path / f"step-{step}.safetensors", {"fc.weight": sb.HeNormal()((8, 5), rng=step)})
    report = sb.diagnose(tmp_path)
    runs = find_runs([Entry(str(tmp_path / f"step-{step}.safetensors")) for step in STEPS])
    assert len(runs) == 1

    def guard(entries, steps):
        raise AssertionError("it was run")

    assert with_growth(report, runs, guard).to_dict() == report.to_dict()


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_what_ends_the_reading_is_reported_and_the_other_files_are_followed(run, monkeypatch):
    folder, _ = run
    report = sb.diagnose(folder)
    measure, deadly = spread_of, report.growth[0].spread[1:3]

    def dying(units, groups):
        found = measure(units, groups)
        if found in deadly:
            os._exit(3)
        return found

    monkeypatch.setattr(_guard.threading, "active_count", lambda: 1)  # the test runner has more
    monkeypatch.setattr("symbreak._scan._follow.spread_of", dying)
    runs = find_runs([Entry(str(folder / f"step-{step}.safetensors")) for step in STEPS])
    again = with_growth(report, runs, guarded)
    assert [skipped.where for skipped in again.skipped] == [
        str(folder / f"step-{step}.safetensors") for step in STEPS if step in (20, 100)
    ]
    assert [skipped.reason for skipped in again.skipped] == ["the process that read it ended with code 3"] * 2
    assert again.growth[0].places == (0, 300, 1000)


def test_a_report_that_is_interrupted_while_it_follows_says_so(run, monkeypatch, capsys):
    folder, _ = run

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("symbreak._scan.with_growth", interrupted)
    assert main(["check", str(folder)]) == 2
    out = " ".join(capsys.readouterr().out.split())
    assert "interrupted when every file was judged, before it was seen how equal units come apart" in out
    assert "SB101" in out


def test_a_page_of_very_many_growths_is_small_and_counts_them():
    places = tuple(range(200))
    spread = tuple(10.0 ** (-9 + n / 40) for n in range(200))
    growth = tuple(Growth(f"w{n}, axis 0", 4, 1, places, spread, "step", "run-*") for n in range(2000))
    report = Report((Finding.of("SB101", "w", ""),), growth=growth, arrays=1)
    page = to_page(report)
    assert len(page) < 200_000
    assert "1992 more weights are not drawn" in page
    assert "2000 weights, the first 200 here" in page
    text = str(report)
    assert "... and 1980 more" in text
    assert len(text.splitlines()) < 80
    assert len(report.to_dict()["growth"]) == 2000
    assert report._repr_html_().count("<svg") == 1


def test_hostile_names_are_shown_as_text(tmp_path):
    name = 'a"><script>x</script>\x1b[31m\u202e: b, axis 0'
    for step in (0, 1):
        save_safetensors(tmp_path / f"step-{step}.safetensors", {name: np.tile(DRAW(5), (4, 1))})
    report = sb.diagnose(tmp_path)
    assert [each.where for each in report.growth] == [f"{name}, axis 0"]
    for written in (to_page(report), report._repr_html_(), str(report)):
        assert "\x1b" not in written
        assert "\u202e" not in written
    assert to_page(report).count("<script") == 1


def test_merged_reports_keep_their_growths():
    some = [Report(growth=(Growth(f"w{n}", 2, 1, (0, 1), (0.0, 0.1)),)) for n in range(2)]
    assert [each.where for each in Report.merged(some).growth] == ["w0", "w1"]
