"""What a pickle's opcodes build here: descriptions, which can do nothing.

No value has a class from the file. A dict is a list of pairs, so that keys from a file are never hashed: keys chosen to
collide would take a dict hours, and hashing a tuple nested a million deep ends the process.
"""

from dataclasses import dataclass, field
from typing import final

import numpy as np


@final
@dataclass(frozen=True, slots=True)
class Global:
    """The name of something in a module; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@final
@dataclass(slots=True, eq=False)
class Pairs:
    """A dict: its keys and values in order, and the attributes that a subclass was given."""

    pairs: list[tuple[object, object]] = field(default_factory=list)
    state: object = None


@final
@dataclass(slots=True, eq=False)
class Opaque:
    """An object that is not rebuilt: what it would be made of, and with."""

    maker: Global
    args: tuple[object, ...]
    known: bool  # a harmless thing of a known kind, such as a path or a date
    state: object = None
    items: list[object] = field(default_factory=list)
    pairs: list[tuple[object, object]] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """Something that holds values, and that is not read, for a reason."""

    reason: str
    attributes: Opaque | None = None  # what was set on it in Python, in which more tensors can lie


@final
@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of elements in one record of the file."""

    kind: Global  # torch.FloatStorage
    key: str  # of the record
    numel: int  # elements; bytes for an untyped storage
    begin: int = 0  # element of the record at which it begins


@final
@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    attributes: Opaque | None = None  # what was set on it in Python, in which more tensors can lie


def kind_of(value: object) -> str:
    """How a value is called in a message; the value itself is not shown, for it can be of any size."""
    names: dict[type, str] = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a text",
        bytes: "bytes",
        tuple: "a tuple",
        list: "a list",
        Pairs: "a dict",
        Global: "a name",
        Storage: "a storage",
        Tensor: "a tensor",
    }
    return names.get(type(value), "nothing" if value is None else "an object")
