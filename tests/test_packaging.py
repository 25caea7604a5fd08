"""What is installed: one version, types, metadata; and initializers that come with somebody else's package."""

import base64
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import symbreak

PACKAGE = Path(symbreak.__file__).parent

# Public names without an Examples section, and why.
WITHOUT_EXAMPLES = {
    "Code": "a row of the table of findings, which `symbreak explain` prints",
    "Audit": "`Plan.audit` gives it; the how-to shows it",
    "Plan": "`plan` gives it; the example is there",
    "Minima": "`Restarts.minima` gives it; the example is there",
    "Restarts": "`restarts` gives it; the example is there",
    "Solved": "`Restarts.solved` gives it; the example is there",
    "Moments": "a record that `expected` gives; the example is there",
    "AbstractVarianceScaling": "its classes have examples",
    "Judged": "a part of what `Plan.audit` gives; the how-to shows it",
    "LsuvLayer": "a row of what `lsuv` gives; the example is there",
    "LsuvResult": "`lsuv` gives it; the example is there",
    "WeightAndBias": "a pair that `nguyen_widrow` gives; the example is there",
}

PLUGIN = '''
import symbreak as sb

class Lattice(sb.AbstractInitializer):
    """Each weight is a multiple of `step`."""

    step: float = 0.25

    def sample(self, shape, stream, axes):
        return stream.sign(shape) * self.step
'''


def public_names() -> list[str]:
    return [
        name for name in dir(symbreak) if not name.startswith("_") and not inspect.ismodule(getattr(symbreak, name))
    ]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_described_and_shown(name):
    docstring = inspect.getdoc(getattr(symbreak, name)) or ""
    assert docstring.splitlines()[0].endswith(".")
    assert ("Examples\n--------" in docstring) != (name in WITHOUT_EXAMPLES), "an example, or the reason for none"


def test_the_allow_list_names_public_names_only():
    assert set(WITHOUT_EXAMPLES) - set(public_names()) == set()


def test_the_installed_version_is_the_one_in_the_source():
    assert metadata.version("symbreak") == symbreak.__version__


def requirements(extra: str | None = None) -> set[str]:
    """Give the packages that an extra brings, or those that are always there, in one spelling."""
    found = set()
    for line in metadata.requires("symbreak") or []:
        package, _, marker = line.partition(";")
        named = re.search("extra == ['\"](.+?)['\"]", marker)
        if (named[1] if named else None) == extra:
            found.add(re.match(r"[\w-]+", package)[0].replace("_", "-"))
    return found


def test_the_core_needs_three_packages():
    assert requirements() == {"ml-dtypes", "numpy", "scipy"}


def test_the_extra_all_brings_everything_but_frameworks_and_dask():
    extras = set(metadata.metadata("symbreak").get_all("Provides-Extra"))
    assert extras >= {"all", "cli", "dask", "docs", "files", "jax", "keras", "lint", "plot", "test", "torch"}
    brought = requirements("all")
    if brought != {"symbreak"}:  # where the build has not resolved the reference to symbreak's own extras
        assert brought == requirements("cli") | requirements("files") | requirements("plot")
    assert requirements("torch") == {"torch"}


def test_the_command_is_installed():
    (command,) = metadata.entry_points(group="console_scripts", name="symbreak")
    assert command.value == "symbreak.cli:main"


def test_no_line_is_hidden_from_the_coverage():
    """What is left out of account is what can't run; pyproject.toml names it."""
    assert [path.name for path in PACKAGE.rglob("*.py") if re.search(r"#\s*pragma", path.read_text("utf-8"))] == []


def test_the_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()


def write_wheel(folder: Path, name: str, entry_points: str, source: str) -> Path:
    """Write the smallest wheel that pip installs: one module, its metadata, its entry points, and their hashes."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: symbreak-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = [f"{path},{digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def digest(text: str) -> str:
    hashed = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def install(wheel: Path, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    command = [*pip, "install", "--no-index", "--no-deps", "--target", target, wheel]
    subprocess.run(command, check=True, capture_output=True, text=True)


def run_beside(target: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(target)])}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


def test_an_initializer_of_another_package_is_found_by_its_entry_point(tmp_path):
    entry_points = "[symbreak.initializers]\nlattice = symbreak_plugin:Lattice\n"
    install(write_wheel(tmp_path, "symbreak_plugin", entry_points, PLUGIN), tmp_path / "site")
    code = """
import json, sys
import symbreak as sb
early = "symbreak_plugin" in sys.modules
lattice = sb.get("lattice", step=0.5)
shape = (300, 1000)
print(json.dumps({
    "early": early,
    "listed": "lattice" in sb.names(),
    "repr": repr(lattice),
    "values": sorted(set(lattice(shape, rng=0).ravel().tolist())),
    "region": bool((lattice.region(shape, (slice(7, 9), slice(3, 5)), rng=0) == lattice(shape, rng=0)[7:9, 3:5]).all()),
    "config": lattice.to_config(),
    "back": sb.from_config(lattice.to_config()) == lattice,
}))
"""
    done = run_beside(tmp_path / "site", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "early": False,  # a plug-in costs nothing until a name is looked up that symbreak does not have
        "listed": True,
        "repr": "Lattice(step=0.5)",
        "values": [-0.5, 0.5],
        "region": True,
        "config": {"name": "lattice", "step": 0.5},
        "back": True,
    }


def test_without_the_package_the_name_is_unknown():
    with pytest.raises(symbreak.errors.UnknownName, match="no initializer is called 'lattice'"):
        symbreak.get("lattice")


def test_an_entry_point_that_is_no_initializer_is_an_error_that_names_the_package(tmp_path):
    entry_points = "[symbreak.initializers]\nwrong = symbreak_wrong:Wrong\n"
    install(write_wheel(tmp_path, "symbreak_wrong", entry_points, "class Wrong: ...\n"), tmp_path / "site")
    done = run_beside(tmp_path / "site", "import symbreak as sb; sb.names()")
    assert done.returncode == 1
    assert "the entry point 'wrong' of symbreak_wrong" in done.stderr
    assert "not a subclass of AbstractInitializer" in done.stderr


def test_listing_the_package_loads_no_framework():
    code = (
        "import inspect, sys, symbreak as sb; inspect.getmembers(sb); print({'torch', 'jax', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
