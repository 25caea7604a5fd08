"""`assert_no_ties`: what it takes, what fails, and what the message shows."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import symbreak as sb
from symbreak import engine
from symbreak.testing import assert_no_ties

KEY = sb.Key(0)


def sound(*shape, name="w"):
    return sb.HeNormal()(shape, rng=KEY[name])


def test_sound_weights_pass_and_give_their_report():
    report = assert_no_ties({"a": sound(6, 5), "b": sound(5, 4, name="b")})
    assert report.ok
    assert report.arrays == 2


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (np.ones((3, 2)), "SB101"),
        ({"fc": np.ones((3, 2))}, "SB101"),
        ({"params": {"fc": {"kernel": np.ones((3, 2))}, "heads": [np.ones(2), np.ones((4, 3))]}}, "SB101"),
        (sb.chain([(np.full((4, 2), 0.5), np.zeros(4)), (np.ones((1, 4)), None)]), "SB201"),
        (engine.mlp([2, 3, 1], init=sb.Constant(0.5), rng=0), "SB201"),
    ],
)
def test_ties_fail_with_the_report_as_message(model, code):
    with pytest.raises(AssertionError, match=code) as failed:
        assert_no_ties(model)
    lines = str(failed.value).splitlines()
    assert lines[0] == lines[-1]
    assert "fix: " in str(failed.value)


def test_nested_names_are_joined():
    with pytest.raises(AssertionError, match=r"params\.fc\.kernel"):
        assert_no_ties({"params": {"fc": {"kernel": np.ones((3, 2))}}})
    with pytest.raises(AssertionError, match=r"layers\.1\.kernel"):
        assert_no_ties({"layers": [{"kernel": sound(3, 4)}, {"kernel": np.ones((3, 2))}, None]})


def test_a_file_is_read_and_what_cannot_be_read_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", fc=np.ones((3, 2)))
    with pytest.raises(AssertionError, match=r"SB101 m\.npz: fc"):
        assert_no_ties(Path("m.npz"))
    with pytest.raises(AssertionError, match="1 not read"):
        assert_no_ties("gone.npz", fail_on="error", ignore="SB301")


def test_codes_and_levels_say_what_fails():
    tied = sound(6, 5).copy()
    tied[3] = tied[1]
    with pytest.raises(AssertionError, match="SB102"):
        assert_no_ties(tied)
    assert assert_no_ties(tied, fail_on="error").findings[0].code == "SB102"
    assert assert_no_ties(tied, ignore=["SB102"]).unselected == 1
    assert assert_no_ties(tied, select="SB2").unselected == 1
    both = {"a": tied, "b": np.ones((3, 2))}
    with pytest.raises(AssertionError) as failed:
        assert_no_ties(both, fail_on="error")
    assert "SB102" not in str(failed.value)
    assert "1 finding not selected" in str(failed.value)
    assert assert_no_ties({"w": np.zeros((3, 2))}, select="SB2").ok


def test_options_are_those_of_diagnose():
    close = sound(6, 5).copy()
    close[3] = close[1] * np.float32(1.0001)
    assert assert_no_ties(close).ok
    with pytest.raises(AssertionError, match="SB103"):
        assert_no_ties(close, tolerance=0.01)


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="`fail_on` is one of note, warning, error; got 'fatal'"):
        assert_no_ties(np.ones((2, 2)), fail_on="fatal")
    with pytest.raises(ValueError, match="no code begins with 'SB999'"):
        assert_no_ties(np.ones((2, 2)), select="SB999")
    with pytest.raises(TypeError, match=r"a model is needed: arrays, a path, .* got int"):
        assert_no_ties(3)
    with pytest.raises(TypeError, match=r"a model is needed, not its class: make one, Net\(\.\.\.\)"):
        assert_no_ties(type("Net", (), {"state_dict": dict}))
    with pytest.raises(ValueError, match=r"`fail_on` is one of .* got \['note'\]"):
        assert_no_ties(np.ones((2, 2)), fail_on=["note"])
    for codes in (None, [1]):
        with pytest.raises(TypeError, match=r"`ignore` is codes or their beginnings, .* got"):
            assert_no_ties(np.ones((2, 2)), ignore=codes)


def test_what_judges_nothing_does_not_pass():
    """A test that looks at nothing would pass for ever."""
    for empty in ({}, {"layers": [], "params": {}}, {"fc": None}, types.SimpleNamespace(state_dict=dict)):
        with pytest.raises(ValueError, match=r"(dict|SimpleNamespace) holds no arrays, so there is nothing to judge"):
            assert_no_ties(empty)
    with pytest.raises(ValueError, match=r"`ignore` leaves none of the codes of `select`: leave one"):
        assert_no_ties(np.ones((2, 2)), select="SB101", ignore=["SB1"])


@pytest.mark.parametrize(
    "tree", [{"a": {"b": np.ones((3, 2))}, "a.b": sound(3, 2)}, {0: np.ones((3, 2)), "0": sound(3, 2)}]
)
def test_no_array_hides_behind_another_of_its_joined_name(tree):
    with pytest.raises(
        ValueError, match=r"two arrays are called '(a\.b|0)' when names are joined by points; rename one"
    ):
        assert_no_ties(tree)


def test_numbers_in_lists_are_an_array():
    with pytest.raises(AssertionError, match="SB101 fc"):
        assert_no_ties({"fc": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]})
    assert assert_no_ties({"biases": [[0.0, 0.0], [0.0, 0.0, 0.0]]}).arrays == 2


def test_a_state_dict_is_enough_and_is_wired_by_its_names():
    first = sound(6, 4).copy()
    first[3] = first[1]
    state = {"0.weight": first, "0.bias": np.zeros(6), "2.weight": sound(2, 6, name="2"), "2.bias": np.zeros(2)}
    model = types.SimpleNamespace(state_dict=lambda: state)
    assert {each.code for each in assert_no_ties(model).findings} == {"SB102", "SB202"}  # its network tells them apart
    state["2.weight"][:, 3] = state["2.weight"][:, 1]
    with pytest.raises(AssertionError, match="SB201"):
        assert_no_ties(model)


def test_a_framework_whose_part_is_there_judges_its_own_models(monkeypatch):
    """By the classes above a model: its framework is not imported here."""
    part = types.ModuleType("symbreak.torch")
    part.diagnose = lambda model, **options: sb.diagnose(model.weight, **options)
    monkeypatch.setitem(sys.modules, "symbreak.torch", part)
    base = type("Module", (), {"__module__": "torch.nn.modules.module"})
    model = type("Mine", (base,), {"weight": np.ones((3, 2))})()
    with pytest.raises(AssertionError, match="SB101 weight"):
        assert_no_ties(model)


def test_what_a_model_is_called_with_goes_to_the_part_of_its_framework(monkeypatch):
    told = []
    part = types.ModuleType("symbreak.torch")
    part.diagnose = lambda model, *example, **options: told.append((example, options)) or sb.diagnose(np.eye(3))
    monkeypatch.setitem(sys.modules, "symbreak.torch", part)
    base = type("Module", (), {"__module__": "torch.nn.modules.module"})
    assert_no_ties(base(), 1, 2, noise=True)
    assert told == [((1, 2), {"noise": True})]
    with pytest.raises(TypeError, match="dict is not called, so there are no examples"):
        assert_no_ties({"w": np.eye(3)}, np.ones(3))


def test_without_a_part_for_its_framework_the_state_of_a_model_is_judged(monkeypatch):
    monkeypatch.setitem(sys.modules, "symbreak.torch", None)  # importing it is an ImportError
    base = type("Module", (), {"__module__": "torch.nn.modules.module"})
    model = type("Mine", (base,), {"state_dict": lambda self: {"w": np.ones((3, 2))}})()
    with pytest.raises(AssertionError, match="SB101 w"):
        assert_no_ties(model)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_tensor_of_pytorch_that_is_trained(dtype):
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(3, 2, dtype=getattr(torch, dtype)))
    with pytest.raises(AssertionError, match="SB101"):
        assert_no_ties(weight)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_module_of_pytorch(dtype):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)).to(
        getattr(torch, dtype)
    )
    assert_no_ties(model)
    with torch.no_grad():
        model[0].weight[:] = 0.5
        model[0].bias[:] = 0
    with pytest.raises(AssertionError, match=r"SB101|SB102"):
        assert_no_ties(model, select="SB1", fail_on="note")


def test_pytest_shows_the_report_and_not_our_lines(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import numpy as np\n"
        "from symbreak.testing import assert_no_ties\n"
        "def test_model():\n"
        "    assert_no_ties({'fc1.weight': np.full((4, 3), 0.5)})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    done = subprocess.run([*command, "test_it.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "E       AssertionError: 1 error; read 1 array" in done.stdout
    assert "E       error SB101 fc1.weight" in done.stdout
    assert "__tracebackhide__" not in done.stdout
    assert "only(codes)" not in done.stdout
