"""Check what a wheel and a source archive hold: python .ci/check_distributions.py FILE..."""

import fnmatch
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
IN_THE_SOURCES = {
    ".ci/run",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    ".pre-commit-hooks.yaml",
    "docs/conf.py",
    "pyproject.toml",
    "tests/conftest.py",
}
IN_THE_WHEEL = ("*.dist-info/entry_points.txt", "*.dist-info/licenses/LICENSE")


def members(path: Path) -> list[str]:
    """Give the files of an archive; of a source archive, without its top folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as archive:
        return [name.split("/", 1)[1] for name in archive.getnames() if "/" in name]


def faults(path: Path) -> list[str]:
    """List what is missing in an archive, and what should not be there."""
    held = set(members(path))
    package = {file.relative_to(ROOT).as_posix() for file in (ROOT / "symbreak").rglob("*") if file.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    wanted = package if path.suffix == ".whl" else package | IN_THE_SOURCES
    found = [f"{path.name} lacks {name}" for name in sorted(wanted - held)]
    if path.suffix == ".whl":
        found += [f"{path.name} lacks {glob}" for glob in IN_THE_WHEEL if not fnmatch.filter(held, glob)]
        strangers = {name for name in held if not name.startswith("symbreak/") and ".dist-info/" not in name}
        found += [f"{path.name} has {name}" for name in sorted(strangers)]
    found += [f"{path.name} has {name}" for name in sorted(held) if "__pycache__" in name or name.endswith(".pyc")]
    return found


def main(paths: list[str]) -> int:
    """Print the faults of all archives, and give the exit code."""
    found = [fault for path in paths for fault in faults(Path(path))]
    kinds = {Path(path).suffix for path in paths}
    if kinds != {".whl", ".gz"}:
        found.append(f"a wheel and a source archive were due; got {paths}")
    print("\n".join(found) or f"{len(paths)} distributions hold what they should")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
