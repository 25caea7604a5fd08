"""Mutants change one thing each, leave text alone, and are judged by what their tests say."""

import ast
import re
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.mutation import _run
from tests.mutation.__main__ import interval, main, table
from tests.mutation._map import Map, measure
from tests.mutation._mutants import mutants
from tests.mutation._run import KILLED, NO_TESTS, SURVIVED, TIMED_OUT, apply


def changes(text):
    """What each mutant of a text has in place of a line of it."""
    before = text.splitlines()
    return [[line.strip() for line in each.source.splitlines() if line not in before] for each in mutants("m.py", text)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a is not b", ["x = a is b"]),
        ("x = a not  in b", ["x = a in b"]),
        ("x = a < b == c", ["x = a <= b == c", "x = a < b != c"]),
        ("x = (a) + (b)", ["x = (a) - (b)"]),
        ("x = a // b", ["x = a / b"]),
        ("x = a ** b", ["x = a * b"]),
        ("x = a and b and c", ["x = a or b and c", "x = a and b or c"]),
        ("x = not a", ["x = (a)"]),
        ("x = -a", ["x = +(a)"]),
        ("x = 2", ["x = 3"]),
        ("x = 0.5", ["x = 1.5"]),
        ("x = 1e300", []),
        ("x = True", ["x = False"]),
        ("x += a", ["x -= a"]),
        ("f(a)", ["pass"]),
        ("x = f(a, b=c)", ["x = f(a)"]),
        ("x = f(**a)", []),
        ("x = a if b else c", ["x = a if (not (b)) else c"]),
        ("x = [a for a in b if c]", ["x = [a for a in b if (not (c))]"]),
        ("return a", ["return None"]),
        ("return None", []),
        ("return True", ["return False"]),
        ("x = zip(a, b, strict=True)", []),
        ("x = a.reshape(-1, 2)", ["x = a.reshape(-1, 3)"]),
        ("for a in b: break", ["for a in (): break", "for a in b: continue"]),
        ("while a: continue", ["while (not (a)): continue", "while a: break"]),
        ("x: a[1] = b", []),
        ("x = f'{a + 1}'", []),
        ("raise E(a + 1)", []),
        ("assert a < b", []),
        ("x = 'é' + a", ["x = 'é' - a"]),
    ],
)
def test_a_line_has_these_mutants(line, wanted):
    found = changes(f"def f(a, b, c, x):\n    {line}\n")
    assert Counter(each for (each,) in found) == Counter(wanted)


def test_functions_methods_defaults_and_constants_have_mutants_and_the_rest_has_none():
    text = """
LIMIT = 3

@cache(maxsize=1)
def f(a: "int" = 5) -> int:
    "Doc 1."
    return a

class A(B, flag=True):
    size: int = 7

    def g(self, *, b=8):
        pass

    def __repr__(self):
        return 9

if LIMIT:
    x = 10
"""
    found = mutants("m.py", text)
    assert [(each.line, each.scope, each.name, each.kind) for each in found] == [
        (2, "", "LIMIT", "number"),
        (5, "f", "", "number"),
        (7, "f", "", "return"),
        (12, "A.g", "", "number"),
    ]
    assert found[1].runs == (5, 7)
    assert found[2].runs == (7, 7)


def test_the_lines_of_a_mutant_are_those_of_its_statement_and_not_of_what_is_under_it():
    text = "def f(a):\n    if (a and\n        a):\n        x = 1\n    return x\n"
    assert [each.runs for each in mutants("m.py", text)] == [(2, 3), (4, 4), (5, 5)]


def test_a_mutant_shows_itself_as_a_diff():
    text = "def f(a):\n    return a < 1\n"
    found = {each.kind: each for each in mutants("m.py", text)}
    assert found["Lt"].diff(text) == (
        "--- m.py\n+++ m.py:2 Lt\n@@ -1,2 +1,2 @@\n def f(a):\n-    return a < 1\n+    return a <= 1\n"
    )


def test_every_mutant_of_this_package_is_python():
    text = Path(_run.__file__).read_text()
    found = mutants("m.py", text)
    assert len({each.source for each in found}) == len(found) > 50
    for each in found:
        ast.parse(each.source)


MODULE = """
from functools import cached_property, lru_cache
LIMIT = 3
HALF = LIMIT / 2
@lru_cache
def cached(a):
    return a + 1
class A:
    @property
    def one(self):
        return 1
    @staticmethod
    def two(a=2):
        return a
    @cached_property
    def four(self):
        return 4
"""


@pytest.fixture
def module(monkeypatch):
    """A module of the package, and another one that has its constant."""
    made, other = types.ModuleType("symbreak._made"), types.ModuleType("symbreak._other")
    made.__file__ = "symbreak/_made.py"
    monkeypatch.setitem(sys.modules, "symbreak._made", made)
    monkeypatch.setitem(sys.modules, "symbreak._other", other)
    exec(compile(MODULE, made.__file__, "exec"), vars(made))
    other.LIMIT = made.LIMIT
    return made, other


@pytest.mark.parametrize(
    ("line", "kind", "value"),
    [
        (3, "number", lambda made, other: (made.LIMIT, made.HALF, other.LIMIT) == (4, 2.0, 4)),
        (4, "Div", lambda made, other: made.HALF == 6),
        (7, "Add", lambda made, other: made.cached(1) == 0),
        (11, "number", lambda made, other: made.A().one == 2),
        (13, "number", lambda made, other: made.A.two() == 3),
        (17, "return", lambda made, other: made.A().four is None),
    ],
)
def test_a_mutant_changes_what_is_imported_already(module, line, kind, value):
    made, other = module
    assert made.cached(1) == 2  # kept by its cache, which the change must empty
    assert not value(made, other)
    (mutant,) = (each for each in mutants(made.__file__, MODULE) if (each.line, each.kind) == (line, kind))
    function = made.cached
    apply(mutant)
    assert value(made, other)
    assert made.cached is function


def test_tests_are_those_that_run_the_line_killers_first_then_the_fastest():
    text = "def f(a):\n    x = 1\n    return x\n"
    first = mutants("m.py", text)[0]
    seconds = {"slow": 3.0, "fast": 0.5, "killer": 1.0, "other": 0.1}
    ways = Map(seconds, {"m.py": {2: ["slow", "fast", "killer"], 3: ["other"]}})
    assert ways.tests(first, Counter(), 10) == ["fast", "killer", "slow"]
    assert ways.tests(first, Counter({("m.pyf", "killer"): 1}), 10) == ["killer", "fast", "slow"]
    assert ways.tests(first, Counter(), 1) == ["fast", "killer"]


def test_one_case_of_each_test_comes_before_a_second_and_those_of_the_module_s_name_come_first():
    first = mutants("package/_m.py", "def f():\n    return 1\n")[0]
    seconds = {"test_m.py::a[0]": 0.3, "test_m.py::a[1]": 0.2, "test_m.py::b": 0.6, "test_n.py::a[0]": 0.1}
    ways = Map(seconds, {"package/_m.py": {2: list(seconds)}})
    assert ways.tests(first, Counter(), 10) == [
        "test_m.py::a[1]", "test_m.py::b", "test_n.py::a[0]", "test_m.py::a[0]",
    ]  # fmt: skip


def test_a_constant_has_the_tests_of_the_lines_that_name_it(tmp_path):
    path = str(tmp_path / "m.py")
    text = "LIMIT = 1\nLIMITS = 2\ndef f():\n    return LIMIT\ndef g():\n    return LIMITS\n"
    (tmp_path / "m.py").write_text(text)
    ways = Map({"of f": 1.0, "of g": 1.0}, {path: {4: ["of f"], 6: ["of g"]}})
    assert ways.tests(mutants(path, text)[0], Counter(), 10) == ["of f"]


def test_the_lines_that_each_test_runs_are_measured(module, tmp_path, monkeypatch):
    pytest.importorskip("coverage")
    made, _ = module
    path = tmp_path / "made.py"
    path.write_text(MODULE)
    exec(compile(MODULE, str(path), "exec"), vars(made))
    ways = {
        "cached": lambda: made.cached(1),
        "both": lambda: made.A().one + made.A.two(),
        "fails": lambda: made.A().four,
    }
    session = types.SimpleNamespace(items=[types.SimpleNamespace(nodeid=name) for name in ways])

    def run(item, following):
        ways[item.nodeid]()
        return item.nodeid != "fails"

    found = measure(session, [path], run)
    assert found.seconds.keys() == {"cached", "both"}
    assert found.lines[str(path)] == {7: ["cached"], 11: ["both"], 14: ["both"], 17: []}


def test_a_test_is_measured_as_if_it_were_the_first(module):
    """What a test before it left in a cache would hide the lines that fill it."""
    made, _ = module
    kept = []
    item = types.SimpleNamespace(ihook=types.SimpleNamespace())
    item.ihook.pytest_runtest_protocol = lambda item, nextitem: kept.append(made.cached.cache_info().currsize)
    runner = _run.Runner([], Path("map.json"), "brief", 1, [], print)
    for run in (runner.run, runner.run_afresh):
        made.cached(1)
        assert run(item)
    assert kept == [1, 0]


def test_a_map_is_kept(tmp_path):
    ways = Map({"a": 1.5}, {"m.py": {2: ["a"]}})
    ways.save(tmp_path / "new" / "map.json")
    assert Map.load(tmp_path / "new" / "map.json") == ways


@pytest.mark.skipif(not hasattr(_run.os, "pidfd_open"), reason="needs Linux")
@pytest.mark.parametrize(
    ("work", "verdict", "text"),
    [
        (lambda out: None, SURVIVED, ""),
        (lambda out: (_run.os.write(out, b"the test"), _run.os._exit(1)), KILLED, "the test"),
        (lambda out: 1 / 0, KILLED, "exit 3"),
        (lambda out: _run.os.kill(_run.os.getpid(), 9), KILLED, "exit -9"),
        (lambda out: np.ones(1 << 40), KILLED, "exit 3"),
    ],
)
def test_what_became_of_a_fork_is_told(work, verdict, text):
    assert _run._forked(work, 5) == (verdict, text)


@pytest.mark.skipif(not hasattr(_run.os, "pidfd_open"), reason="needs Linux")
def test_a_fork_that_does_not_end_is_ended():
    def spin(out):
        while True:
            pass

    assert _run._forked(spin, 0.1)[0] == TIMED_OUT


@pytest.mark.parametrize(("part", "whole"), [(0, 10), (7, 10), (255, 300), (300, 300)])
def test_the_interval_is_wilsons(part, whole):
    wanted = binomtest(part, whole).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(interval(part, whole), (wanted.low, wanted.high), rtol=1e-4, atol=1e-9)


def test_the_table_counts_by_file_and_says_the_share():
    (mutant,) = mutants("symbreak/m.py", "LIMIT = 1\n")
    verdicts = [(mutant, each) for each in (KILLED, KILLED, TIMED_OUT, SURVIVED, NO_TESTS)]
    lines = table(verdicts, 40).splitlines()
    assert lines[0].split() == ["killed", "timed", "out", "survived", "no", "tests"]
    assert lines[1].split() == ["symbreak/m.py", "2", "1", "1", "1"]
    assert lines[2].split() == ["all", "2", "1", "1", "1"]
    assert lines[-1] == "3 of 5 mutants killed, of 40 that there are: 60.0% (23.1% to 88.2% at 95 %)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["engine"], r"invalid choice: 'engine' \(choose from .*diagnosis"),
        (["repair", "--only", "nowhere"], r"no mutant is named like 'nowhere'; names are like 'symbreak/repair"),
        (["repair", "--again", "--output", "no.diff"], r"--again reads no.diff, which is not there: run without it"),
        (["streams"], r"symbreak/streams is not here; run this in the folder that holds pyproject.toml"),
    ],
)
def test_a_wrong_command_is_told(arguments, message, tmp_path, monkeypatch, capsys):
    source = tmp_path / "symbreak" / "repair" / "_made.py"
    source.parent.mkdir(parents=True)
    source.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)
