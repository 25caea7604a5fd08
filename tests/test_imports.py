"""Who imports whom: a light start, one direction, and no module that hides a public function."""

import ast
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import symbreak

PACKAGE = Path(symbreak.__file__).parent

# What every part may import: exceptions, dtype names, figures, growth and its curves, names loaded late, drawings,
# tables, threads, names made safe.
GROUND = {"errors", "dtypes", "_curves", "_figure", "_growth", "_lazy", "_svg", "_table", "_threads", "_visible"}

# What the parts that import a framework may import beside it.
FRAMEWORK_PARTS = {
    "_model", "rules", "recipes", "diagnosis", "graph", "initializers",
    "checkpoints", "_api", "_probe", "_monitor", "_notes",
}  # fmt: skip

# part: the parts that it may import, and with them what those may.
MAY_IMPORT = {
    "errors": set(),
    "dtypes": set(),
    "_curves": set(),
    "_figure": set(),
    "_growth": set(),
    "_lazy": set(),
    "_svg": set(),
    "_table": set(),
    "_threads": set(),
    "_visible": set(),
    "axes": set(),
    "streams": set(),
    "findings": set(),
    "graph": {"axes"},
    "reports": {"findings"},
    "initializers": {"axes", "streams"},
    "_lsuv": {"initializers"},
    "adapters": {"axes", "initializers", "streams"},
    "attention": {"initializers", "streams"},
    "engine": {"graph", "streams", "initializers"},
    "diagnosis": {"graph", "axes", "findings", "reports"},
    "rules": {"initializers", "diagnosis"},
    "recipes": {"initializers", "rules"},
    "_model": {"rules", "recipes"},
    "repair": {"diagnosis", "graph", "streams", "initializers"},
    "_restarts": {"engine", "initializers"},
    "published": {"engine", "initializers", "streams", "graph", "_restarts"},
    "checkpoints": {"graph", "axes"},
    "_scan": {"diagnosis", "checkpoints"},
    "_api": {"diagnosis", "_scan"},
    "_probe": {"diagnosis", "reports"},
    "_monitor": {"diagnosis"},
    "_notes": {"reports"},
    "demo": {"engine", "initializers", "checkpoints", "reports", "_api"},
    "testing": {"initializers", "engine", "_api"},
    "torch": FRAMEWORK_PARTS,
    "jax": FRAMEWORK_PARTS,
    "keras": FRAMEWORK_PARTS,
    "dask": {"rules", "initializers", "streams"},
}
FRAMEWORKS = {"torch", "jax", "keras", "dask"}
RUNS_ON = {"keras": {"torch", "jax"}}  # where gradients are the backend's affair
MAY_IMPORT["cli"] = set(MAY_IMPORT) - FRAMEWORKS
BELONGS_TO = {
    "_audit": "rules",
    "_patterns": "rules",
    "_plan_table": "rules",
    "_same": "rules",
    "_turned": "rules",
    "__main__": "cli",
}

HEAVY = (
    "torch", "jax", "dask", "keras", "tensorflow", "h5py", "onnx", "msgpack", "rich", "matplotlib", "hypothesis",
    "scipy", "ml_dtypes", "pandas", "pytest", "safetensors", "gguf",
)  # fmt: skip


def reachable(part: str) -> set[str]:
    """Give every part that `part` may import, through any number of arrows."""
    found: set[str] = set()
    waiting = [part]
    while waiting:
        for each in MAY_IMPORT[waiting.pop()] - found:
            found.add(each)
            waiting.append(each)
    return found


def part_of(name: str) -> str:
    return BELONGS_TO.get(name, name)


def imported_modules(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the absolute name of everything that a module imports, wherever in it the import stands."""
    inside = (root.name, *path.relative_to(root).with_suffix("").parts)
    package = inside[:-1]  # also for a package's own __init__
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *(node.module.split(".") if node.module else ())))
            if base == root.name:  # `from .. import streams`: the names are parts, or the package's own names
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def wrong_arrows(root: Path) -> list[str]:
    """List the imports of a tree that the table does not allow."""
    found = []
    for path in sorted(root.rglob("*.py")):
        first = path.relative_to(root).parts[0].removesuffix(".py")
        if first == "__init__":
            continue  # the public names: it may import every part
        part = part_of(first)
        where = path.relative_to(root.parent)
        if part not in MAY_IMPORT:
            found.append(f"{where}: the part {part!r} is not in the table")
            continue
        allowed = reachable(part) | GROUND | {part}
        for line, name in imported_modules(path, root):
            words = name.split(".")
            if words[0] in FRAMEWORKS - RUNS_ON.get(part, set()) and part != words[0]:
                found.append(f"{where}:{line}: {part} imports the framework {words[0]}")
            if words[0] != root.name:
                continue
            target = part_of(words[1]) if len(words) > 1 else root.name
            if target not in MAY_IMPORT:
                target = root.name  # `from symbreak import HeNormal`, `import symbreak`
            if target not in allowed and not (part == "cli" and target == root.name):
                found.append(f"{where}:{line}: {part} imports {target}")
    return found


def test_every_import_points_the_way_of_the_table():
    assert wrong_arrows(PACKAGE) == []


def test_the_table_has_no_circle():
    assert [part for part in MAY_IMPORT if part in reachable(part)] == []


def test_the_table_knows_every_part_of_the_package():
    entries = [entry for entry in PACKAGE.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()]
    parts = {part_of(entry.name.removesuffix(".py")) for entry in entries} - {"__init__"}
    assert parts <= set(MAY_IMPORT)
    assert parts >= {"errors", "axes", "streams", "initializers", "rules"}  # the walk found the package


@pytest.mark.parametrize(
    ("where", "line", "complaint"),
    [
        ("streams/_bad.py", "from ..engine import train", "streams imports engine"),
        ("streams/_bad.py", "from .. import engine", "streams imports engine"),
        ("streams/_bad.py", "from symbreak import engine", "streams imports engine"),
        ("streams/_bad.py", "import symbreak.engine._train", "streams imports engine"),
        ("streams/_bad.py", "def f():\n    from ..initializers._base import Array", "streams imports initializers"),
        ("streams/_bad.py", "from .. import HeNormal", "streams imports symbreak"),
        ("streams/_bad.py", "import symbreak", "streams imports symbreak"),
        ("streams/deep/_bad.py", "from ...rules import plan", "streams imports rules"),
        ("axes.py", "from .streams import Key", "axes imports streams"),
        ("initializers/_bad.py", "from .._audit import audit", "initializers imports rules"),
        ("checkpoints/_bad.py", "from ..diagnosis import find_ties", "checkpoints imports diagnosis"),
        ("diagnosis/_bad.py", "import torch.nn", "diagnosis imports the framework torch"),
        ("cli/_bad.py", "from ..torch import initialize_module", "cli imports torch"),
        ("helpers/_new.py", "", "the part 'helpers' is not in the table"),
    ],
)
def test_an_arrow_back_is_seen(tmp_path, where, line, complaint):
    planted = tmp_path / "symbreak" / where
    planted.parent.mkdir(parents=True)
    planted.write_text(line)
    assert [found.split(": ", 1)[1] for found in wrong_arrows(tmp_path / "symbreak")] == [complaint]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("streams/_good.py", "from ._key import Key\nfrom ..errors import SymbreakError\nimport numpy"),
        ("engine/_good.py", "from ..axes import fans\nfrom ..streams import Key"),
        ("_audit.py", "from .diagnosis import find_ties\nfrom .rules import Plan"),
        ("cli/_good.py", "from .. import __version__\nfrom ..engine import mlp"),
        ("torch/__init__.py", "import torch"),
    ],
)
def test_an_arrow_forward_is_allowed(tmp_path, where, line):
    planted = tmp_path / "symbreak" / where
    planted.parent.mkdir(parents=True)
    planted.write_text(line)
    assert wrong_arrows(tmp_path / "symbreak") == []


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys; {statement}; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_symbreak_loads_nothing_heavy():
    assert "numpy" not in loaded_by("import symbreak")
    loaded = loaded_by("from symbreak import HeNormal")
    assert "numpy" in loaded
    assert sorted(loaded & set(HEAVY)) == []


def test_everything_public_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from symbreak import *", names)
    assert {"HeNormal", "Key", "diagnose", "restarts", "LayerGraph"} <= set(names)
    assert names["HeNormal"] is symbreak.HeNormal


def test_a_heavy_import_would_be_seen():
    assert "scipy" in loaded_by("import symbreak, scipy")


@pytest.mark.parametrize("statement", ["symbreak.HeNormal()((8, 4), rng=0)", "symbreak.get('glorot_uniform')"])
def test_drawing_a_weight_loads_neither_scipy_nor_ml_dtypes(statement):
    assert sorted(loaded_by(f"import symbreak; {statement}") & {"scipy", "ml_dtypes"}) == []


def packages() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "symbreak.") if module.ispkg]
    return ["symbreak", *(name for name in found if name.split(".")[1] not in FRAMEWORKS)]


@pytest.mark.parametrize("name", packages())
def test_no_module_bears_the_name_of_a_public_function(name):
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    functions = {each for each, value in vars(package).items() if inspect.isfunction(value)}
    assert modules & functions == set()


def test_parts_are_there_by_attribute_and_are_loaded_when_they_are_asked_for():
    program = (
        "import sys, symbreak as sb; print('symbreak.engine' in sys.modules, sb.engine.__name__, sb.testing.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "symbreak.engine", "symbreak.testing"]
    with pytest.raises(AttributeError, match="module 'symbreak' has no attribute 'engin'"):
        symbreak.engin  # noqa: B018 - to ask for it is the point
