"""PyTorch's format of before version 1.6, read without PyTorch: five pickles in a row, and the storages behind them.

The pickles are a magic number, the format's version, facts about the machine that wrote the file, the object, and the
keys of the storages in their order. A storage is the number of its elements, in eight bytes, and their bytes,
little-endian whatever the machine was [1]. The pickles are interpreted by `_opcodes`, in which nothing can be called.

[1] PyTorch, torch/serialization.py, _legacy_save, and torch/csrc/serialization.cpp.
"""

import re
from dataclasses import replace
from typing import final

import numpy as np

from symbreak._visible import number, quoted, visible
from symbreak.checkpoints._callables import LARGEST, UNTYPED, storage
from symbreak.checkpoints._dtypes import TORCH_STORAGES, element_type
from symbreak.checkpoints._inert import Global, Pairs, Storage, Tensor
from symbreak.checkpoints._opcodes import Machine
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._torch_views import find_tensors, view_of

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
OPENING = re.compile(rb"\x80[\x02-\x05](\x95.{8})?\x8a\x0a" + re.escape(MAGIC.to_bytes(10, "little")), re.DOTALL)
COUNT = 8  # bytes of a storage's number of elements
# Bytes of an element of storages that NumPy has no type for: their tensors are not read, but those behind them are.
WIDTHS = {"QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1, "QUInt2x4Storage": 1}


def looks_like_torch_legacy(source: Source) -> bool:
    """Whether the file begins with a pickle of the magic number, of protocol 2 to 5."""
    return OPENING.match(source.data[:32]) is not None


@final
class TorchLegacy(Checkpoint):
    """One file of torch.save, version 0.1.10 to 1.5."""

    def __init__(self, source: Source) -> None:
        self._claims: dict[str, Storage] = {}  # by key, as the pickle describes them
        at = 0
        for expected, what in ((MAGIC, "magic number"), (VERSION, "version of the format")):
            at, value = self._value(source, at)
            if value != expected:
                raise source.bad(f"its {what} is not {expected}", "PyTorch did not write it so")
        at, facts = self._value(source, at)
        if not isinstance(facts, Pairs):
            raise source.bad("its third pickle is no dict of facts about the machine that wrote it")
        self._at: dict[str, Tensor] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped: list[Skipped] = []
        machine = Machine(source, source.data, at, self._describe)
        for found in find_tensors(source, machine):
            if isinstance(found, Skipped):
                skipped.append(found)
                continue
            name, tensor = found
            self._at[name] = tensor
            tensors[name] = TensorInfo(name, tensor.shape, tensor.dtype)
        at, keys = self._value(source, machine.at)
        self._records = self._storages(source, at, keys)
        super().__init__(source, "torch-legacy", tensors, tuple(skipped))

    def _value(self, source: Source, begin: int) -> tuple[int, object]:
        """Return where a pickle of something other than tensors ends, and its value."""
        machine = Machine(source, source.data, begin)
        value = machine.run()
        return machine.at, value

    def _describe(self, source: Source, identity: object) -> Storage | Global:
        """Return what a persistent id is: ('storage', class, key, device, elements, view), or a module's class.

        A view is None, or (key, first element, elements) of a storage that is a part of another one. A module's class
        comes with its source, ('module', class, file, text), which is not looked at.
        """
        if not isinstance(identity, tuple):
            raise source.bad("its pickle refers to something other than a storage")
        if len(identity) == 4 and identity[0] == "module" and isinstance(identity[1], Global):
            return identity[1]
        if len(identity) != 6:
            raise source.bad("its pickle refers to something other than a storage")
        found, view = storage(source, identity[:5]), identity[5]
        known = self._claims.setdefault(found.key, found)
        if (known.kind, known.numel) != (found.kind, found.numel):
            raise source.bad(f"its pickle describes the storage {quoted(found.key)} in two ways")
        if view is None:
            return found
        if not isinstance(view, tuple) or len(view) != 3 or not _naturals(view[1:]) or view[1] + view[2] > found.numel:
            raise source.bad("its pickle describes a part of a storage that makes no sense")
        return replace(found, begin=view[1], numel=view[2])

    def _storages(self, source: Source, at: int, keys: object) -> dict[str, tuple[int, int]]:
        """Return where each storage's bytes begin, and how many there are: they fill the file to its end."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise source.bad("its last pickle is no list of keys of storages")
        found: dict[str, tuple[int, int]] = {}
        for key in keys:
            what, claim = f"the storage {quoted(key)}", self._claims.get(key)
            if claim is None or key in found:
                raise source.bad(f"{what} is listed twice" if key in found else f"{what} is of no tensor")
            width = _width(source, claim)
            numel = int.from_bytes(source.take(at, COUNT, f"the size of {what}"), "little")
            if numel != claim.numel:
                raise source.bad(f"{what} claims {number(claim.numel)} elements, but has {number(numel)}")
            at += COUNT
            source.check(at, numel * width, what)
            found[key] = at, numel * width
            at += numel * width
        missing = next((key for key in self._claims if key not in found), None)
        if missing is not None:
            raise source.bad(f"the storage {quoted(missing)} of its tensors is not in the file")
        if at != source.size:
            raise source.bad(f"{source.size - at:,} bytes after its last storage belong to none", "save it alone")
        return found

    def _read(self, info: TensorInfo) -> np.ndarray:
        tensor = self._at[info.name]
        begin, size = self._records[tensor.storage.key]
        return view_of(self._source, info, tensor, self._source.view(begin, size, quoted(info.name)))


def _width(source: Source, claim: Storage) -> int:
    """Return the bytes of an element."""
    if claim.kind in UNTYPED:
        return 1
    name = claim.kind.name if claim.kind.module in ("torch", "torch.storage") else ""
    if name in TORCH_STORAGES:
        return element_type(TORCH_STORAGES[name]).itemsize
    if name not in WIDTHS:
        raise source.bad(f"the elements of a {visible(claim.kind)} have no known size, so what follows can't be found")
    return WIDTHS[name]


def _naturals(values: tuple[object, ...]) -> bool:
    return all(type(value) is int and 0 <= value < LARGEST for value in values)
