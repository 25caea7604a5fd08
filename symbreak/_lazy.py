"""Names of a package that are loaded when they are first used, so that importing it stays light."""

import importlib
import sys
from collections.abc import Callable, Mapping


def names_from(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package.

    Parameters
    ----------
    package
        Its name.
    homes
        For each name the module below the package that has it, "" for a module of the package itself.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{homes[name] or name}")
        value: object = getattr(module, name) if homes[name] else module
        setattr(sys.modules[package], name, value)
        return value

    return load
