"""Malformed files, made by code, one fault each: a module a format.

Each has one function, ``files() -> Iterator[tuple[str, bytes | dict[str, bytes], str]]``: the fault's name, the
content (or several files by relative name, of which the first is the one that is opened), and a regular expression that
the error's message must match. `test_malformed` takes every module that is here.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

FILE = "weights.ckpt"  # content tells the format; a folder's listing never passes over a file that is called so


@dataclass(frozen=True, slots=True)
class Fault:
    """One malformed file, with what lies beside it."""

    format: str
    name: str
    files: dict[str, bytes]
    message: str

    def write(self, folder: Path) -> Path:
        """Write it to a folder, and return the path to open."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / next(iter(self.files))


def corpus() -> list[Fault]:
    """Make all of them, in the order of the formats."""
    faults = []
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for name, content, message in importlib.import_module(f"{__name__}.{module}").files():
            files = content if isinstance(content, dict) else {FILE: content}
            faults.append(Fault(module, name, files, message))
    return faults
