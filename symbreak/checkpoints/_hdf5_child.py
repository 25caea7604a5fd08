"""HDF5 as the child process reads it: every object once, no link followed out of the file, values in pieces.

HDF5's own calls follow whatever a path leads to, also into other files. So a path is never handed to them: each of its
components is looked up as a link first, and only hard links, and soft links to hard ones, are opened. Groups are walked
by a stack, once each, whatever circles their links make.

The format is described in the "HDF5 File Format Specification", version 4, of The HDF Group.
"""

import codecs
from collections.abc import Iterator, Mapping
from io import SEEK_END, RawIOBase
from math import prod
from types import SimpleNamespace
from typing import Any, final

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t

from symbreak._visible import number, quoted, visible
from symbreak.checkpoints._hdf5_values import OTHERS, Unread, Value, blocks, check_storage, shape_of, value_of

MOST_OBJECTS = 50_000  # links; h5py looks at 12,000 a second
DEEPEST = 500  # groups in groups
MOST_CHARACTERS = 32 << 20  # of all paths, and of all attributes
MOST_HOPS = 64  # soft links on the way to one object
MOST_REFERENCES = 1_000_000
FREE = 256 << 20  # bytes that one dataset may claim whatever it stores,
FREE_IN_ALL = 4 << 30  # and all of them together;
EXPANSION = 1000  # times the bytes that are stored may be claimed beyond that

# Attributes that readers need: Keras' lists of names, in numbered parts when they are long, and MATLAB's types.
LISTS = ("layer_names", "weight_names")
WANTED = ("name", "dtype", "MATLAB_class", "MATLAB_empty", "MATLAB_sparse", "MATLAB_object_decode")

for encoding in ("ascii", "utf-8"):
    codecs.lookup(encoding)  # Python loads them when they are first used, which is too late for the child

FAULTS = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
)  # what h5py raises where a file is damaged


def serve(file: RawIOBase, options: Mapping[str, Any]) -> "File":
    """Open the file; the option ``matlab`` says that MATLAB wrote it."""
    return File(file, matlab=bool(options.get("matlab")))


@final
class File:
    """An open HDF5 file."""

    def __init__(self, file: RawIOBase, *, matlab: bool = False) -> None:
        self._size = file.seek(0, SEEK_END)
        self._matlab = matlab
        try:
            self._file = h5py.File(file, "r")
            self._root = h5g.open(self._file.id, b"/")
        except FAULTS as error:
            raise ValueError(f"its HDF5 can't be read: {_reason(error)}") from None

    def describe(self) -> dict[str, object]:
        """Return the datasets in the order of their headers in the file, what is not read, and attributes."""
        walk = _Walk(self._root, self._size, matlab=self._matlab)
        walk.hard_links()
        walk.soft_links()
        return walk.found()

    def read(self, name: str) -> Iterator[memoryview]:
        """Yield the values of a dataset in C order."""
        try:
            dataset = self._root
            for part in name.encode("utf-8", "surrogateescape").split(b"/"):
                dataset = _follow(self._root, dataset, part)
            value = _value(dataset, self._matlab)
            yield from blocks(dataset, value)
        except Unread as fault:
            raise ValueError(f"{quoted(name)} can't be read: {fault}") from None
        except FAULTS as error:
            raise ValueError(f"{quoted(name)} is damaged: {_reason(error)}") from None


class _Walk:
    """Everything in a file, each object looked at once, within the budgets."""

    def __init__(self, root: Any, size: int, *, matlab: bool) -> None:
        self.root, self.size, self.matlab = root, size, matlab
        self.datasets: list[tuple[str, tuple[int, ...], str, int | None, int]] = []
        self.skipped: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, list[tuple[str, object]]]] = []
        self.cells: list[tuple[bytes, tuple[int, ...], list[int]]] = []
        self.seen: dict[int, bytes] = {}  # address: the first path that led to it
        self.soft: list[tuple[Any, bytes, bytes]] = []
        self.links = self.characters = self.noted = self.claimed = self.repeated = self.references = 0

    def found(self) -> dict[str, object]:
        cells = []
        for path, shape, addresses in self.cells:
            targets = (self.seen.get(address) for address in addresses)
            cells.append((_text(path), shape, [None if target is None else _text(target) for target in targets]))
        self.datasets.sort(key=lambda row: row[-1])
        return {
            "datasets": self.datasets,
            "skipped": self.skipped,
            "attributes": self.attributes,
            "cells": cells,
        }

    def hard_links(self) -> None:
        self.seen[_address(self.root, b"")] = b""
        self.note_attributes(self.root, b"")
        waiting = [(self.root, b"", self.listed(self.root, b""))]
        while waiting:
            group, above, links = waiting[-1]
            for name, kind in links:
                path = above + b"/" + name if above else name
                self.characters += len(path)
                if self.characters > MOST_CHARACTERS:
                    raise ValueError(f"the paths of its parts have more than {MOST_CHARACTERS:,} characters")
                if kind == h5l.TYPE_SOFT:
                    self.soft.append((group, name, path))
                elif kind != h5l.TYPE_HARD:
                    self.skip(path, _elsewhere(kind))
                elif (inner := self.enter(group, name, path)) is not None:
                    if len(waiting) == DEEPEST:
                        raise ValueError(f"its groups are nested more than {DEEPEST} deep")
                    waiting.append((inner, path, self.listed(inner, path)))
                    break
            else:
                waiting.pop()

    def soft_links(self) -> None:
        """Look at what soft links lead to: another name of a dataset, or of a group that has been walked already."""
        for group, name, path in self.soft:
            try:
                found = _follow(self.root, group, name)
            except Unread as fault:
                self.skip(path, str(fault))
                continue
            except FAULTS as error:
                raise _damaged(path, error) from None
            if isinstance(found, h5d.DatasetID):
                self.note(found, _address(found, path), path)

    def listed(self, group: Any, path: bytes) -> Iterator[tuple[bytes, int]]:
        """Return the links of a group: names, and kinds."""
        found: list[tuple[bytes, int]] = []

        def note(name: bytes, info: Any) -> bool | None:
            found.append((bytes(name), info.type))
            self.links += 1
            return self.links > MOST_OBJECTS or None

        try:
            group.links.iterate(note, info=True)
        except FAULTS as error:
            raise _damaged(path, error) from None
        if self.links > MOST_OBJECTS:
            raise ValueError(f"it holds more than {MOST_OBJECTS:,} groups and datasets")
        for name, _ in found:
            if name in (b"", b".", b"..") or b"/" in name:
                raise ValueError(f"a part of it is called {quoted(_text(name))}, which is no name in HDF5")
        return iter(found)

    def enter(self, group: Any, name: bytes, path: bytes) -> Any:
        """Look at what a hard link leads to; return it if it is a group that is to be walked."""
        try:
            found = h5o.open(group, name)
        except FAULTS as error:
            raise _damaged(path, error) from None
        address = _address(found, path)
        if isinstance(found, h5d.DatasetID):
            self.note(found, address, path)
            return None
        if not isinstance(found, h5g.GroupID) or address in self.seen:
            return None
        self.seen[address] = path
        if "MATLAB_sparse" in self.note_attributes(found, path) and self.matlab:
            self.skip(path, "a sparse matrix")
            return None
        return found

    def note(self, dataset: Any, address: int, path: bytes) -> None:
        again = address in self.seen
        self.seen.setdefault(address, path)
        try:
            facts = self.note_attributes(dataset, path)
            if self.matlab and facts.get("MATLAB_class") == "canonical empty":
                return  # what empty cells refer to
            if self.matlab and dataset.get_type().get_class() == h5t.REFERENCE and "MATLAB_empty" not in facts:
                if not again:
                    self.note_references(dataset, path)
                return
            value = _value(dataset, self.matlab)
            self.check_budgets(value, again)
        except Unread as fault:
            self.skip(path, str(fault))
        except FAULTS as error:
            raise _damaged(path, error) from None
        else:
            self.datasets.append((_text(path), value.shape, value.code, value.offset, address))

    def note_references(self, dataset: Any, path: bytes) -> None:
        """Read where the elements of a cell array lie."""
        check_storage(dataset)
        shape, described = shape_of(dataset), dataset.get_type()
        self.references += prod(shape)
        if self.references > MOST_REFERENCES:
            raise Unread(f"with it, the file holds more than {MOST_REFERENCES:,} references")
        if not described.equal(h5t.STD_REF_OBJ):
            raise Unread(f"it holds {OTHERS[h5t.REFERENCE]}")
        found = np.zeros(prod(shape), "<u8")  # an object reference is the address of the object's header
        if found.size:
            dataset.read(h5s.ALL, h5s.ALL, found, mtype=described)
        self.cells.append((path, shape, found.tolist()))

    def note_attributes(self, found: Any, path: bytes) -> dict[str, object]:
        try:
            facts = _attributes(found, everything=not path)
        except FAULTS as error:
            raise _damaged(path, error) from None
        if facts:
            self.noted += sum(len(str(value)) for value in facts.values())
            if self.noted > MOST_CHARACTERS:
                raise ValueError(f"its attributes have more than {MOST_CHARACTERS:,} characters")
            self.attributes.append((_text(path), list(facts.items())))
        return facts

    def check_budgets(self, value: Value, again: bool) -> None:
        """Hold what a dataset claims against what the file stores."""
        if again:
            self.repeated += value.size
            if self.repeated > FREE + 4 * self.size:
                raise Unread("it is one more name of a dataset, and with it they claim many times what the file stores")
        if value.offset is not None:
            return
        stored = min(value.stored, self.size)
        if value.size > FREE and value.size > EXPANSION * stored:
            raise Unread(f"it claims {number(value.size)} bytes and stores {stored:,}")
        self.claimed += value.size
        if self.claimed > FREE_IN_ALL and self.claimed > EXPANSION * self.size:
            raise Unread(f"with it, datasets claim {number(self.claimed)} bytes, and the file has {self.size:,}")

    def skip(self, path: bytes, reason: str) -> None:
        self.skipped.append((_text(path), reason))


def _follow(root: Any, group: Any, name: bytes) -> Any:
    """Open what a link leads to within the file, looking at every link on the way."""
    waiting, hops = [name], 0
    while waiting:
        part = waiting.pop()
        if not isinstance(group, h5g.GroupID) or not group.links.exists(part):
            raise Unread("it is a link that leads nowhere")
        kind = group.links.get_info(part).type
        if kind == h5l.TYPE_HARD:
            group = h5o.open(group, part)
            continue
        if kind != h5l.TYPE_SOFT:
            raise Unread(_elsewhere(kind))
        hops += 1
        target = bytes(group.links.get_val(part))
        if target.startswith(b"/"):
            group = root
        waiting += [each for each in reversed(target.split(b"/")) if each not in (b"", b".")]
        if hops > MOST_HOPS or len(waiting) > MOST_HOPS * DEEPEST:
            raise Unread("it is a soft link that leads in circles")
    return group


def _elsewhere(kind: int) -> str:
    if kind == h5l.TYPE_EXTERNAL:
        return "it is a link to another file, which is not opened"
    return f"it is a link of the kind {kind}, which only a plug-in could follow"


def _value(dataset: Any, matlab: bool) -> Value:
    if not isinstance(dataset, h5d.DatasetID):
        raise Unread("it is no dataset")
    facts = _attributes(dataset)
    if not matlab:
        return value_of(dataset, facts.get("dtype"))
    if "MATLAB_object_decode" in facts:
        raise Unread(f"it holds an object of the class {visible(facts.get('MATLAB_class'))}")
    if facts.get("MATLAB_class") == "char":
        raise Unread(f"it holds {OTHERS[h5t.STRING]}")
    if "MATLAB_empty" in facts:
        return _empty(dataset, str(facts.get("MATLAB_class")))
    value = value_of(dataset, None)
    return value._replace(code="|b1") if facts.get("MATLAB_class") == "logical" and value.code == "|u1" else value


def _empty(dataset: Any, kind: str) -> Value:
    """Say what an empty array of MATLAB holds: its dataset has the lengths of the axes in place of values."""
    code = {"double": "<f8", "single": "<f4", "logical": "|b1"}.get(kind)
    if code is None and kind.startswith(("int", "uint")) and kind.lstrip("uint") in ("8", "16", "32", "64"):
        code = np.dtype(kind).str
    if code is None:
        raise Unread(f"it is empty, and of the class {visible(kind)}")
    lengths = b"".join(blocks(dataset, value_of(dataset, None)._replace(offset=None)))
    shape = np.frombuffer(lengths, dataset.dtype).tolist() if dataset.dtype.kind == "u" and len(lengths) < 1024 else []
    if 0 not in shape:
        raise ValueError(f"an empty array of the shape {shape}")
    return Value(tuple(reversed(shape)), code, 0)


def _attributes(found: Any, *, everything: bool = False) -> dict[str, object]:
    """Return the attributes that readers need, or all, which are a text, an integer, or a list of texts."""
    if not h5a.get_num_attrs(found):
        return {}
    listed = h5py.AttributeManager(SimpleNamespace(id=found))
    facts: dict[str, object] = {}
    for name in listed:
        if not everything and name not in WANTED and name.rstrip("0123456789") not in LISTS:
            continue
        opened = listed.get_id(name)
        if prod(opened.shape) * opened.get_type().get_size() <= MOST_CHARACTERS:
            kept = _plain(listed[name])
            if kept is not None:
                facts[name] = kept
    return facts


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and all(isinstance(item, str | bytes) for item in value.tolist()):
            return [_plain(item) for item in value.tolist()]
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str | int) else None


def _address(found: Any, path: bytes) -> int:
    try:
        return int(h5o.get_info(found).addr)
    except FAULTS as error:
        raise _damaged(path, error) from None


def _damaged(path: bytes, error: Exception) -> ValueError:
    return ValueError(f"{quoted(_text(path) or '/')} is damaged: {_reason(error)}")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    """Return why HDF5 failed, which h5py puts in brackets behind what it did."""
    text = str(error) if isinstance(error, OSError) or not error.args else str(error.args[0])
    text = text or type(error).__name__
    what, bracket, why = text.partition(" (")
    return why.removesuffix(")") if bracket and what.startswith(("Unable", "Can't")) else text
