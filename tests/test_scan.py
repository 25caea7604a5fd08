"""Scans: the result is the same whoever does the work, and whatever happens on the way is said."""

import faulthandler
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak import _scan
from symbreak._scan import Entry, Kept, Options, Step, _guard, _run, guarded, list_entries, scan
from symbreak.checkpoints import open_checkpoint, save_safetensors
from symbreak.cli import main
from symbreak.cli._progress import Account
from symbreak.reports import Report

ROOT = Path(sb.__file__).parent.parent
DATA = Path(__file__).parent / "data" / "checkpoints"


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of two sound files, one with findings, and a broken one, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "b").mkdir(parents=True)
    tensors = {f"layer.{number}.weight": random(12, 10, seed=number) for number in range(40)}
    save_safetensors("runs/a.safetensors", tensors)
    tied = dict(tensors)
    for number in (3, 17, 31):
        tied[f"layer.{number}.weight"] = np.repeat(random(6, 10, seed=number), 2, axis=0)
    tied["layer.5.weight"] = tied["layer.5.weight"].copy()
    tied["layer.5.weight"][2, 3] = np.nan
    save_safetensors("runs/b/tied.safetensors", tied)
    np.savez("runs/c.npz", w=random(5, 4), text=np.array(["a"]))
    Path("runs/d.npy").write_bytes(b"\x93NUMPY\1\0")
    return tmp_path


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(_run, "MOST", 3)
    monkeypatch.setattr(_run, "PARALLEL", 0)


def run(*arguments, **options):
    """Run the command as a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "symbreak", "check", *arguments],
        capture_output=True,
        env=environment,
        check=False,
        timeout=120,
        text=True,
        **options,
    )


# Who does the work.


def same(one, other):
    assert one.to_dict() == other.to_dict()
    assert {space: labels.tolist() for space, labels in one.partition.items()} == {
        space: labels.tolist() for space, labels in other.partition.items()
    }
    assert list(one.partition) == list(other.partition)


@pytest.mark.parametrize("workers", [2, 5, None])
def test_the_report_does_not_depend_on_threads(models, small_batches, workers):
    one = sb.diagnose("runs", workers=1)
    assert len(one.findings) == 6
    assert one.arrays == 81
    same(sb.diagnose("runs", workers=workers), one)
    with ThreadPoolExecutor(3) as executor:
        same(sb.diagnose("runs", executor=executor), one)


def test_the_report_does_not_depend_on_processes(models, small_batches):
    one = sb.diagnose("runs", workers=1, tolerance=0.01)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        same(sb.diagnose("runs", executor=executor, tolerance=0.01), one)


def test_the_report_does_not_depend_on_dask(models, small_batches):
    distributed = pytest.importorskip("distributed")
    one = sb.diagnose("runs", workers=1)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        same(sb.diagnose("runs", executor=client.get_executor()), one)


def test_batches_run_beside_each_other_and_come_in_order(models, small_batches, monkeypatch):
    threads = set()
    judge = _run.judge_tensor

    def slow(checkpoint, name, where, options):
        threads.add(__import__("threading").get_ident())
        time.sleep(0.02 if name.endswith(".0.weight") else 0.001)
        assert options.workers == 1
        return judge(checkpoint, name, where, options)

    monkeypatch.setattr(_run, "judge_tensor", slow)
    steps = list(scan([Entry("runs/a.safetensors")], Options(workers=4)))
    assert [name for step in steps for name, _ in step.judged] == [f"layer.{i}.weight" for i in range(40)]
    assert [step.done for step in steps][-1] == 40
    assert len(threads) > 1


# What shows only when arrays are compared.


@pytest.fixture
def copied():
    """A model with identical layers, repeating shards and one stream used twice: whole, and in two shards."""
    tensors = {f"layers.{number}.weight": random(12, 10, seed=number % 3) for number in range(20)}
    tensors |= {
        "fc.weight": np.tile(random(8, 20, seed=55), (3, 1)),
        "actor": random(9, 9, seed=77),
        "critic": random(7, 9, seed=77),
    }
    save_safetensors("whole.safetensors", tensors)
    names = list(tensors)
    parts = {"m-1.safetensors": names[::2], "m-2.safetensors": names[1::2]}
    for part, inside in parts.items():
        save_safetensors(part, {name: tensors[name] for name in inside})
    index = {"weight_map": {name: part for name in names for part, inside in parts.items() if name in inside}}
    Path("m.safetensors.index.json").write_text(json.dumps(index))
    return tensors


def found(report, path):
    return [(f.code, f.where.removeprefix(f"{path}: "), f.groups, f.message) for f in report.findings]


def test_arrays_of_a_sharded_model_are_judged_together_as_those_of_a_whole_one(models, copied):
    whole = found(sb.diagnose("whole.safetensors"), "whole.safetensors")
    assert [code for code, *_ in whole] == ["SB207", "SB204", "SB208"]
    assert found(sb.diagnose("m.safetensors.index.json"), "m.safetensors.index.json") == whole
    assert found(sb.diagnose(copied), "") == whole
    apart = [finding.code for part in ("m-1.safetensors", "m-2.safetensors") for finding in sb.diagnose(part).findings]
    assert "SB208" not in apart


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_found_together_does_not_depend_on_workers(models, copied, small_batches, workers):
    one = sb.diagnose("whole.safetensors", workers=1)
    same(sb.diagnose("whole.safetensors", workers=workers), one)
    with ThreadPoolExecutor(2) as executor:
        same(sb.diagnose("whole.safetensors", executor=executor), one)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        same(sb.diagnose("whole.safetensors", executor=executor), one)


def test_what_is_found_together_is_found_again_by_a_scan_that_goes_on(models, copied, small_batches):
    entries = list_entries(["whole.safetensors"])
    settings = {"version": "1"}
    one = Report.merged(step.report for step in scan(entries, Options(1)))
    with Kept("judged", settings) as kept:
        for count, step in enumerate(scan(entries, Options(1), kept=kept)):
            kept.add(entries[0].path, step.state, step.judged)
            if count == 4:  # it is interrupted
                break
    for _ in range(2):
        with Kept("judged", settings) as kept:
            steps = list(scan(entries, Options(1), kept=kept))
            for step in steps:
                kept.add(entries[0].path, step.state, step.judged)
        assert Report.merged(step.report for step in steps).to_dict() == one.to_dict()
    assert sum(len(step.judged) for step in steps) == 0


def test_arrays_that_cannot_be_read_do_not_end_the_comparison_of_the_others(models, copied):
    np.savez("mixed.npz", objects=np.array({}), **copied)
    report = sb.diagnose("mixed.npz")
    assert [finding.code for finding in report.findings] == ["SB207", "SB204", "SB208", "SB301"]
    np.savez_compressed("packed.npz", **copied)
    assert [finding.code for finding in sb.diagnose("packed.npz").findings] == ["SB207", "SB204", "SB208"]
    data = bytearray(Path("packed.npz").read_bytes())
    data[data.index(b"layers.7.weight.npy") + 450] ^= 0xFF
    Path("packed.npz").write_bytes(data)
    torn = sb.diagnose("packed.npz")
    assert [finding.code for finding in torn.findings] == ["SB301", "SB207", "SB204", "SB208"]
    assert ["layers.7.weight" in skipped.where for skipped in torn.skipped] == [True]


class Dying(Executor):
    """An executor whose workers die after a few batches."""

    def __init__(self, how):
        self.left, self.how = 3, how

    def submit(self, function, /, *arguments):
        future = Future()
        self.left -= 1
        if self.left >= 0:
            future.set_result(function(*arguments))
        elif self.how == "submit":
            raise BrokenProcessPool("all dead")
        elif self.how == "shut":
            raise RuntimeError("cannot schedule new futures after shutdown")
        elif self.how == "cancel":
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(BrokenProcessPool("all dead"))
        return future


@pytest.mark.parametrize("how", ["submit", "shut", "cancel", "result"])
def test_workers_that_die_are_reported_and_what_was_judged_stays(models, small_batches, how):
    report = sb.diagnose("runs/b/tied.safetensors", executor=Dying(how))
    assert report.arrays == 9
    assert len(report.skipped) == 31
    assert all("the executor's workers are gone" in skipped.reason for skipped in report.skipped)
    assert [each.code for each in report.findings][:3] == ["SB102", "SB108", "SB301"]


def test_faults_of_the_program_are_raised_on_any_worker(models, small_batches, monkeypatch):
    def broken(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr("symbreak._scan._judge.judge_array", broken)
    for workers in (1, 3):
        with pytest.raises(TypeError, match="a bug"):
            sb.diagnose("runs/a.safetensors", workers=workers)


# What paths stand for.


@pytest.mark.parametrize(
    ("paths", "files"),
    [
        (["runs/*.npz"], ["runs/c.npz"]),
        (["runs/**/*.safetensors"], ["runs/a.safetensors", "runs/b/tied.safetensors"]),
        (["runs/[ac].*"], ["runs/a.safetensors", "runs/c.npz"]),
        (["runs", "runs/*"], ["runs/a.safetensors", "runs/b/tied.safetensors", "runs/c.npz", "runs/d.npy"]),
        (["runs/c.npz", "./runs/c.npz", "runs/?.npz"], ["runs/c.npz"]),
    ],
)
def test_patterns_stand_for_files_each_once(models, paths, files):
    assert [entry.path for entry in list_entries(paths)] == files
    assert all(entry.size == Path(entry.path).stat().st_size for entry in list_entries(paths))


def test_a_name_with_the_signs_of_a_pattern_is_a_name_where_it_is_there(models):
    np.save("runs/[x]*.npy", random(3, 3))
    np.save("runs/x.npy", random(3, 3))
    assert [entry.path for entry in list_entries(["runs/[x]*.npy"])] == ["runs/[x]*.npy"]


def test_a_link_that_leads_nowhere_is_reported_and_the_rest_is_judged(models):
    """In a folder and by a pattern, also a link to what would be in the folder, and one to itself."""
    before = [entry.path for entry in list_entries(["runs"])]
    Path("runs/gone.npz").symlink_to("no.npz")
    Path("runs/loop.npz").symlink_to("loop.npz")
    for path in ("runs", "runs/**"):
        report = sb.diagnose(path)
        gone = [each.where for each in report.skipped if each.where not in before]
        assert sorted(gone) == ["runs/gone.npz", "runs/loop.npz"]
        assert set(before) <= set(report.files)


def test_a_pattern_of_nothing_is_reported(models, capsys):
    report = sb.diagnose("runs/*.pt")
    assert [(each.code, each.where, each.message) for each in report.findings] == [
        ("SB301", "runs/*.pt", "no file has a name of this pattern")
    ]
    assert main(["check", "runs/*.pt", "runs/a.safetensors"]) == 2
    assert "1 error, 1 not read; read 40 arrays of 1 file" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user may read everything")
def test_a_file_that_may_not_be_read_is_reported(models):
    Path("runs/c.npz").chmod(0)
    assert "Permission denied" in str(sb.diagnose("runs"))


# Files that change.


def test_a_model_that_was_saved_whole_is_one_error_with_the_way_out():
    report = sb.diagnose(DATA / "module.pt")
    (finding,) = [finding for finding in report.findings if finding.code == "SB301"]
    assert finding.fix == "save its state_dict() in place of it: torch.save(model.state_dict(), FILE)"
    report = sb.diagnose(DATA / "unread.pt")
    assert {finding.fix for finding in report.findings if finding.code == "SB301"} == {_run.PART}


@pytest.mark.parametrize("how", ["written", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_read_is_not_clean(models, how):
    steps = scan([Entry("runs/a.safetensors")], Options(workers=1))
    first = next(steps)
    second = next(steps)
    if how == "written":
        time.sleep(0.01)
        with Path("runs/a.safetensors").open("r+b") as file:
            file.seek(-4, 2)
            file.write(b"\0\0\0\0")
        os.utime("runs/a.safetensors", ns=(0, 1))
    elif how == "replaced":
        Path("runs/b/tied.safetensors").replace("runs/a.safetensors")
    else:
        Path("runs/a.safetensors").unlink()
    report = Report.merged(step.report for step in (first, second, *steps))
    assert report.arrays == 40
    assert [(each.where, each.reason) for each in report.skipped] == [
        ("runs/a.safetensors", "was changed while it was read")
    ]
    assert "check it again when nothing writes to it" in str(report)


def test_a_shard_that_changes_is_seen(tmp_path):
    save_safetensors(tmp_path / "m-00001-of-00001.safetensors", {"w": random(4, 4)})
    index = {"metadata": {}, "weight_map": {"w": "m-00001-of-00001.safetensors"}}
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps(index))
    with open_checkpoint(tmp_path / "m.safetensors.index.json") as checkpoint:
        assert [Path(path).name for path, _, _ in checkpoint.state] == [
            "m.safetensors.index.json", "m-00001-of-00001.safetensors"
        ]  # fmt: skip
        assert not checkpoint.changed()
        os.utime(tmp_path / "m-00001-of-00001.safetensors", ns=(0, 1))
        assert checkpoint.changed()


def test_a_worker_that_finds_another_file_says_so(models):
    with open_checkpoint("runs/a.safetensors") as checkpoint:
        state = checkpoint.state
    os.utime("runs/a.safetensors", ns=(0, 1))
    ((name, report),) = _run.judge_batch("runs/a.safetensors", state, ("layer.0.weight",), options=Options())
    assert name == "layer.0.weight"
    assert report.skipped[0].reason == "was changed while it was read"
    Path("runs/a.safetensors").unlink()
    ((_, report),) = _run.judge_batch("runs/a.safetensors", state, ("layer.0.weight",), options=Options())
    assert report.skipped[0].reason == "No such file or directory"


# A scan in a process of its own.

linux = pytest.mark.skipif(sys.platform != "linux", reason="the scan runs in a fork on Linux only")


@pytest.fixture
def alone(monkeypatch):
    """Let scans fork although the test runner has threads, and let them die quietly."""
    monkeypatch.setattr(_guard.threading, "active_count", lambda: 1)
    enabled = faulthandler.is_enabled()
    faulthandler.disable()
    yield
    if enabled:
        faulthandler.enable()


@linux
def test_a_fork_gives_the_same_steps(models, alone):
    entries = list_entries(["runs"])
    plain = list(scan(entries, Options(workers=1)))
    forked = list(guarded(entries, lambda begin: scan(entries, Options(workers=1), begin=begin)))
    same(Report.merged(step.report for step in forked), Report.merged(step.report for step in plain))
    assert [(step.entry, step.done, step.read, step.size) for step in forked] == [
        (step.entry, step.done, step.read, step.size) for step in plain
    ]


@linux
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (signal.SIGBUS, "was cut short while it was read"),
        (signal.SIGKILL, "the process that read it was ended by SIGKILL"),
        (signal.SIGSEGV, "the process that read it was ended by SIGSEGV"),
        ("exit", "the process that read it ended with code 7"),
    ],
)
def test_whatever_ends_a_scan_is_reported_and_the_other_files_are_judged(models, alone, end, reason):
    entries = list_entries(["runs/a.safetensors", "runs/b", "runs/c.npz"])

    def steps(begin):
        for step in scan(entries, Options(workers=1), begin=begin):
            yield step
            if step.entry == 1 and step.arrays:
                if end == "exit":
                    os._exit(7)
                os.kill(os.getpid(), end)

    report = Report.merged(step.report for step in guarded(entries, steps))
    assert [(each.where, each.reason) for each in report.skipped if "text" not in each.where] == [
        ("runs/b/tied.safetensors", reason)
    ]
    assert report.arrays == 81
    assert sum(each.code == "SB102" for each in report.findings) == 3
    assert report.files == ("runs/a.safetensors", "runs/b/tied.safetensors", "runs/c.npz")


@linux
def test_a_file_that_is_really_cut_short_is_reported(models, alone, monkeypatch):
    big = {f"w{number}": random(300, 300, seed=number) for number in range(4)}
    save_safetensors("big.safetensors", big)
    entries = list_entries(["big.safetensors", "runs/c.npz"])
    judge = _run.judge_tensor

    def cutting(checkpoint, name, where, options):
        if name == "w2":
            os.truncate("big.safetensors", 0)
        return judge(checkpoint, name, where, options)

    monkeypatch.setattr(_run, "judge_tensor", cutting)
    monkeypatch.setattr(_run, "MOST", 1)
    report = Report.merged(
        step.report for step in guarded(entries, lambda begin: scan(entries, Options(workers=1), begin=begin))
    )
    assert report.skipped[0].where == "big.safetensors"
    assert report.skipped[0].reason == "was cut short while it was read"
    assert report.arrays == 2 + 1


@linux
def test_a_fault_of_the_program_comes_through_a_fork_with_its_place(alone):
    def steps(begin):
        raise ZeroDivisionError("a bug")
        yield

    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        list(guarded([Entry("a")], steps))
    assert "in steps" in caught.value.__notes__[0]


@pytest.fixture
def interruptible():
    """Ctrl-C means what it does in a terminal; a shell that starts a job in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@linux
def test_a_scan_that_is_given_up_leaves_no_process(alone, interruptible, monkeypatch):
    def steps(begin):
        yield Step(0, Report(), done=os.getpid())
        time.sleep(60)

    monkeypatch.setattr(_guard, "PATIENCE", 60)
    scanning = guarded([Entry("a")], steps)
    child = next(scanning).done
    begin = time.monotonic()
    scanning.close()
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_where_there_are_threads_the_scan_runs_here(models, monkeypatch):
    monkeypatch.setattr(_guard.threading, "active_count", lambda: 2)
    entries = [Entry("a")]
    assert [step.report for step in guarded(entries, lambda begin: iter([Step(0, os.getpid())]))] == [os.getpid()]


# Interrupted.


@pytest.mark.parametrize("more", [0, 1, 2])
def test_an_interrupted_scan_reports_what_was_judged(models, monkeypatch, capsys, more):
    monkeypatch.setattr(_run, "MOST", 3)
    monkeypatch.setattr(_run, "PARALLEL", 1 << 40)
    real = _scan.scan

    def interrupted(*arguments, **options):
        for step in real(*arguments, **options):
            yield step
            if step.done == 6:
                raise KeyboardInterrupt

    monkeypatch.setattr(_scan, "scan", interrupted)
    monkeypatch.setattr(_guard.threading, "active_count", lambda: 2)
    others = ["runs/a.safetensors", "runs/c.npz"][:more]
    assert main(["check", "runs/b/tied.safetensors", *others, "--output", "out.txt"]) == 2
    text = " ".join(Path("out.txt").read_text().split())
    assert "warning SB102 runs/b/tied.safetensors: layer.3.weight, axis 0" in text
    rest = ["", ", and 1 more file was not read", ", and 2 more files were not read"][more]
    assert f"the scan was interrupted after 6 of its 40 arrays{rest} fix: check again; --resume FILE keeps" in text
    assert capsys.readouterr().err == "2 errors, 1 warning, 1 not read; read 6 arrays of 1 file\n"


@linux
def test_ctrl_c_ends_the_process_with_a_report(interruptible, tmp_path):
    save_safetensors(tmp_path / "a.safetensors", {"w": random(20_000, 300)})
    script = (
        "import sys, time, symbreak._scan._run as run\n"
        "from symbreak.cli import main\n"
        "judge = run.judge_tensor\n"
        "run.judge_tensor = lambda *a: (print('reading', file=sys.stderr, flush=True), time.sleep(60))\n"
        "sys.exit(main(['check', 'a.safetensors']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr.readline() == "reading\n"
    time.sleep(0.5)  # until what was written before has been read
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to both processes
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the scan was interrupted" in out
    assert out.endswith("1 error, 1 not read; read 0 arrays of 1 file\n")
    assert err == ""


# Kept, and gone on with.


def report_of(*arguments, capsys):
    code = main(["check", *arguments, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_is_kept_is_not_judged_again(models, small_batches, monkeypatch, capsys):
    monkeypatch.setattr(_guard.threading, "active_count", lambda: 2)
    code, plain = report_of("runs", capsys=capsys)
    judged = []
    judge = _run.judge_tensor
    monkeypatch.setattr(_run, "judge_tensor", lambda c, name, *rest: judged.append(name) or judge(c, name, *rest))
    assert report_of("runs", "--resume", "kept.jsonl", capsys=capsys) == (code, plain)
    assert len(judged) == 81
    judged.clear()
    assert report_of("runs", "--resume", "kept.jsonl", capsys=capsys) == (code, plain)
    assert judged == []
    os.utime("runs/c.npz", ns=(0, 1))
    assert report_of("runs", "--resume", "kept.jsonl", capsys=capsys) == (code, plain)
    assert judged == ["w"]


@pytest.mark.parametrize("cut", [1, 40, 700, 2000, 5000])
def test_a_scan_that_was_cut_off_anywhere_goes_on_to_the_same_report(models, small_batches, capsys, cut):
    code, plain = report_of("runs", "--resume", "kept.jsonl", capsys=capsys)
    whole = Path("kept.jsonl").read_bytes()
    Path("kept.jsonl").write_bytes(whole[:cut])
    assert report_of("runs", "--resume", "kept.jsonl", capsys=capsys) == (code, plain)
    assert sorted(Path("kept.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())


def test_what_could_not_be_read_is_tried_again(models, capsys, monkeypatch):
    monkeypatch.setattr(_guard.threading, "active_count", lambda: 2)
    judge = _run.judge_tensor
    failing = _scan.unread("runs/a.safetensors: layer.7.weight", "out of memory")
    monkeypatch.setattr(_run, "judge_tensor", lambda c, name, *rest: failing if "7" in name else judge(c, name, *rest))
    code, report = report_of("runs/a.safetensors", "--resume", "kept.jsonl", capsys=capsys)
    assert (code, len(report["skipped"])) == (2, 4)
    monkeypatch.setattr(_run, "judge_tensor", judge)
    code, report = report_of("runs/a.safetensors", "--resume", "kept.jsonl", capsys=capsys)
    assert (code, report["summary"]["arrays"]) == (0, 40)


def test_what_is_kept_of_the_middle_of_a_file_is_reported_in_its_place(models, capsys):
    tied = "runs/b/tied.safetensors"
    code, plain = report_of(tied, "--resume", "kept.jsonl", capsys=capsys)
    lines = Path("kept.jsonl").read_bytes().splitlines(keepends=True)
    Path("kept.jsonl").write_bytes(b"".join([lines[0], *lines[18:20], *lines[30:]]))
    assert report_of(tied, "--resume", "kept.jsonl", capsys=capsys) == (code, plain)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"PK\3\4 whatever", [], r"kept is no file that a scan keeps what it judged in (line 1); name another file"),
        (b"{}\n", [], "kept is no file that a scan keeps what it judged in (line 1)"),
        (b"[1]\n", [], "kept is no file that a scan keeps what it judged in (line 1)"),
        (b"[" * 100_000 + b"\n", [], "kept is no file that a scan keeps what it judged in (line 1)"),
        (b"HEAD{}\n", [], "kept is no file that a scan keeps what it judged in (line 2)"),
        (
            b"HEAD",
            ["--tolerance", "0.1"],
            "kept was made with no tolerance, and this scan has a tolerance of 0.1; name another",
        ),
    ],
    ids=["binary", "other JSON", "a list", "deep JSON", "a strange line", "other settings"],
)
def test_a_file_of_something_else_is_refused_and_left_alone(models, capsys, content, arguments, message):
    assert main(["check", "runs/a.safetensors", "--resume", "head"]) == 0
    content = content.replace(b"HEAD", Path("head").read_bytes().splitlines(keepends=True)[0])
    Path("kept").write_bytes(content)
    capsys.readouterr()
    assert main(["check", "runs/a.safetensors", "--resume", "kept", *arguments, "--output", "out"]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("symbreak: ")
    assert out == ""
    assert Path("kept").read_bytes() == content
    assert not Path("out").exists()


def test_another_version_judges_again(models):
    Kept("kept", {"version": "0.0.1", "tolerance": None}).close()
    with pytest.raises(
        ValueError, match=r"kept was made with version '0.0.1', and this scan has version '9'; name another file"
    ):
        Kept("kept", {"version": "9", "tolerance": None})


def test_a_place_that_cannot_be_written_is_said(models, capsys):
    assert main(["check", "runs/a.safetensors", "--resume", "nowhere/kept"]) == 2
    assert capsys.readouterr().err == "symbreak: cannot use nowhere/kept: there is no folder nowhere; make it first\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_stops_the_keeping_and_not_the_scan(models, capsys, monkeypatch):
    def full(self, *arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Kept, "add", full)
    assert main(["check", "runs/b/tied.safetensors", "--resume", "kept"]) == 2
    out, err = capsys.readouterr()
    assert err == "symbreak: cannot write to kept: No space left on device; going on without\n"
    assert out.count("warning SB102") == 3


# Progress.


def test_progress_counts_bytes_of_all_files():
    account = Account([1000, 500, 0])
    assert account.describe(1.0) == "file 1 of 3"
    account.add(Step(0, Report()))
    account.add(Step(0, Report(), 1, 4, 200, 800))
    assert (account.done, account.total) == (200, 1300)
    assert account.describe(2.0) == "file 1 of 3, 100 B/s, 0:00:11 left"
    account.add(Step(1, Report()))
    assert (account.done, account.total) == (800, 1300)
    account.add(Step(1, Report(), 1, 2, 100_000_000, 200_000_000))
    assert account.describe(10.0) == "file 2 of 3, 10 MB/s, 0:00:10 left"


@linux
def test_progress_is_shown_on_a_terminal_and_taken_away(models):
    pytest.importorskip("rich")
    import pty

    ours, theirs = pty.openpty()
    code = subprocess.run(
        [sys.executable, "-m", "symbreak", "check", "runs/a.safetensors"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"},
        check=False,
        timeout=120,
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    assert code.returncode == 0
    assert b"runs/a.safetensors" in shown
    assert b"file 1 of 1, " in shown
    assert b"/s, " in shown


# Two files and more.


def test_files_of_the_same_weights_are_one_finding(models, capsys):
    save_safetensors("x.safetensors", {"a.weight": random(6, 5), "a.bias": np.zeros(6), "n": np.ones((4, 4))})
    save_safetensors("y.safetensors", {"a.weight": random(6, 5), "a.bias": np.zeros(6), "n": np.ones((4, 4))})
    save_safetensors("z.safetensors", {"a.weight": random(6, 5, seed=1), "a.bias": np.zeros(6)})
    np.savez("w.npz", **{"a.weight": random(6, 5, seed=1), "b.weight": random(3, 3)})
    report = _scan.compare(["x.safetensors", "y.safetensors", "z.safetensors", "w.npz"])
    assert [(each.code, each.where, each.message) for each in report.findings] == [
        ("SB401", "x.safetensors, y.safetensors", "1 weight is the same in 2 files: a.weight"),
        ("SB401", "z.safetensors, w.npz", "1 weight is the same in 2 files: a.weight"),
    ]
    assert main(["check", "z.safetensors", "w.npz"]) == 0
    capsys.readouterr()
    assert main(["check", "z.safetensors", "w.npz", "--compare"]) == 1
    assert "warning SB401 z.safetensors, w.npz" in capsys.readouterr().out


def test_copies_of_a_whole_file_are_said_so_and_one_value_makes_the_difference(models):
    os.link("runs/a.safetensors", "link.safetensors")
    Path("copy.safetensors").write_bytes(Path("runs/a.safetensors").read_bytes())
    report = _scan.compare(["runs/a.safetensors", "copy.safetensors"])
    assert [each.message for each in report.findings] == [
        "all 40 weights are the same in 2 files: layer.0.weight, layer.1.weight, layer.2.weight, layer.3.weight, "
        "layer.4.weight, ..."
    ]
    data = bytearray(Path("copy.safetensors").read_bytes())
    data[-1] ^= 1
    Path("copy.safetensors").write_bytes(data)
    (finding,) = _scan.compare(["runs/a.safetensors", "copy.safetensors"]).findings
    assert finding.message.startswith("39 weights are the same in 2 files: layer.")


def test_what_every_start_has_is_no_sign_of_a_copy(tmp_path):
    every = {"ones": np.ones((3, 4)), "rows": np.tile(random(1, 4), (3, 1)), "columns": np.tile(random(3, 1), (1, 4))}
    every |= {"zeros": np.zeros((2, 2, 3, 3)), "bias": random(4), "one": random(1, 4)}
    np.savez(tmp_path / "a.npz", **every)
    np.savez(tmp_path / "b.npz", **every)
    assert _scan.compare([tmp_path / "a.npz", tmp_path / "b.npz"]).findings == ()


def test_the_order_of_bytes_makes_no_difference_and_dtype_and_shape_do(tmp_path):
    weight = random(6, 4)
    kinds = {"a": weight, "b": weight.astype(">f4"), "c": weight.astype("f8"), "d": weight.reshape(4, 6)}
    for name, array in {**kinds, "e": weight.T.copy().T}.items():
        np.savez(tmp_path / f"{name}.npz", w=array)
    report = _scan.compare([tmp_path / f"{name}.npz" for name in "abcde"])
    assert [[Path(file).stem for file in each.where.split(", ")] for each in report.findings] == [["a", "b", "e"]]


def test_what_cannot_be_compared_is_reported(models):
    report = _scan.compare(["runs/d.npy", "runs/c.npz"])
    assert [each.where for each in report.skipped] == ["runs/d.npy"]


# The command.


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_workers_are_counted_from_one(value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", "x", f"--workers={value}"])
    assert stop.value.code == 2
    assert "a positive number of threads is needed; got" in capsys.readouterr().err


def test_the_command_judges_on_as_many_threads_as_it_is_told(models):
    done = [run("runs", "--workers", workers, cwd=models) for workers in ("1", "3")]
    assert [each.returncode for each in done] == [2, 2]
    assert done[0].stdout == done[1].stdout
    assert done[0].stderr == ""


def test_steps_and_reports_can_be_sent_to_other_processes(models):
    for step in scan(list_entries(["runs"]), Options(workers=1)):
        again = pickle.loads(pickle.dumps(step))
        assert again.report.to_dict() == step.report.to_dict()
