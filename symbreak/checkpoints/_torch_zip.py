"""PyTorch's zip format, read without PyTorch: a pickle that describes the tensors, and one record for each storage.

Members are `<name>/data.pkl`, `<name>/byteorder` and `<name>/data/<key>`. The pickle is interpreted by `_opcodes`, in
which nothing can be called; here its claims meet the records.
"""

from typing import final

import numpy as np

from symbreak._visible import number, quoted
from symbreak.checkpoints._callables import UNTYPED
from symbreak.checkpoints._dtypes import in_order
from symbreak.checkpoints._inert import Tensor
from symbreak.checkpoints._opcodes import MOST_BYTES, Machine
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._torch_views import find_tensors, view_of
from symbreak.checkpoints._zip import USUAL_EXPANSION, Archive, Member

PICKLE = "data.pkl"
NOTES = {"byteorder", "version", ".format_version", ".storage_alignment", ".data/serialization_id"}
ORDERS = {b"little": "<", b"big": ">"}


@final
class TorchZip(Checkpoint):
    """One file of torch.save, version 1.6 or later."""

    def __init__(self, source: Source) -> None:
        self._archive = Archive(source)
        roots = [name for name in self._archive.members if name.count("/") == 1 and name.endswith("/" + PICKLE)]
        if len(roots) != 1:
            raise source.bad(f"it has {len(roots)} pickles named {PICKLE} in a folder, where a checkpoint has one")
        self._prefix = roots[0].removesuffix(PICKLE)
        self._order = self._byte_order(source)
        self._at: dict[str, tuple[Tensor, Member]] = {}
        super().__init__(source, "torch", *self._found(source, roots[0]))

    def _byte_order(self, source: Source) -> str:
        member = self._archive.members.get(self._prefix + "byteorder")
        if member is None:
            return "<"
        text = self._archive.opening(member, 16)
        if text not in ORDERS:
            raise source.bad(f"its byteorder is {quoted(text)}", "it should be little or big")
        return ORDERS[text]

    def _found(self, source: Source, pickle: str) -> tuple[dict[str, TensorInfo], tuple[Skipped, ...]]:
        member = self._archive.members[pickle]
        if member.size > MOST_BYTES:
            raise source.bad(f"its pickle has {member.size:,} bytes", "save tensors, not text or lists")
        if member.size > USUAL_EXPANSION * member.packed:  # each byte of it is an object here, of 100 bytes and more
            raise source.bad(f"its pickle would unpack from {member.packed:,} to {member.size:,} bytes", "store it")
        machine = Machine(source, self._archive.data(member, crc_optional=True))
        tensors: dict[str, TensorInfo] = {}
        skipped: list[Skipped] = []
        for found in find_tensors(source, machine):
            if isinstance(found, Skipped):
                skipped.append(found)
                continue
            name, tensor = found
            self._at[name] = tensor, self._record(source, name, tensor)
            tensors[name] = TensorInfo(name, tensor.shape, in_order(tensor.dtype, self._order))
        known = {self._prefix + name for name in [PICKLE, *NOTES, *(f"data/{key}" for key in machine.storages)]}
        for name, record in self._archive.members.items():
            if name not in known and not (name.endswith("/") and not record.size):
                skipped.append(Skipped(name, "a record of the file that its pickle does not mention"))
        return tensors, tuple(skipped)

    def _record(self, source: Source, name: str, tensor: Tensor) -> Member:
        """Return the member that holds a tensor's storage; its size must be the one that the pickle claims."""
        key = f"{self._prefix}data/{tensor.storage.key}"
        record = self._archive.members.get(key)
        if record is None:
            raise source.bad(f"the storage of {quoted(name)} should be {quoted(key)}, which is not in the file")
        itemsize = 1 if tensor.storage.kind in UNTYPED else tensor.dtype.itemsize
        if record.size // itemsize != tensor.storage.numel:
            claim = f"{number(tensor.storage.numel)} elements of {itemsize} bytes"
            raise source.bad(
                f"the storage of {quoted(name)} claims {claim}, but {quoted(key)} has {record.size:,} bytes"
            )
        return record

    def _read(self, info: TensorInfo) -> np.ndarray:
        tensor, record = self._at[info.name]
        data: bytes | memoryview = b"" if 0 in tensor.shape else self._archive.data(record, crc_optional=True)
        if self._order == ">" and info.dtype.isbuiltin == 2 and info.dtype.itemsize == 2:
            data = np.frombuffer(data, ">u2", len(data) // 2).astype(np.uint16).tobytes()
        return view_of(self._source, info, tensor, data)
