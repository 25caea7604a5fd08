"""ONNX models: the weights of a graph and the graph itself, read without loading either.

The format's own library parses a model into objects, which copies every weight into memory and ends at 2 GiB; it takes
the last of two fields that should be one, and an empty file for an empty model. So the messages are walked here, in the
mapped file, by `_protobuf`: raw values are mapped, a model larger than memory opens at once, and nothing else has to be
installed. The library writes the files of the tests, and reads them for comparison.

The format has no magic number. A file is taken for a model when it begins as one: known fields of the right types, the
version and a graph among them, whose own first field is known.
"""

from collections.abc import Iterator
from typing import final

import numpy as np

from symbreak._visible import quoted
from symbreak.checkpoints._arrays import Buffer, check_bool
from symbreak.checkpoints._onnx_files import SideFiles
from symbreak.checkpoints._onnx_graph import Graphs
from symbreak.checkpoints._onnx_messages import GRAPH, MODEL
from symbreak.checkpoints._onnx_tensors import Values, place
from symbreak.checkpoints._protobuf import Schema, Walker
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint

FIRST = {0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}  # the tags of the fields that a model may begin with
LOOKED_AT = 1000  # fields; a model has a few before its graph
LATEST = 10_000  # version of the format; the library writes 13


def looks_like_onnx(source: Source) -> bool:
    """Whether the file begins as a model does; it may be cut short after that."""
    if source.data[:1] == b"" or source.data[0] not in FIRST:
        return False
    walker, at, version, graph = Walker(source), 0, False, False
    try:
        for _ in range(LOOKED_AT):
            name, begin, at = _known(walker, MODEL, at)
            if name == "ir_version":
                version = 1 <= walker.varint(begin, at, "")[0] <= LATEST
            elif name == "graph":
                graph = at == begin or bool(_known(walker, GRAPH, begin))
            if version and graph:
                return True
    except (BadCheckpoint, LookupError):
        pass
    return False


def _known(walker: Walker, schema: Schema, at: int) -> tuple[str, int, int]:
    """Return (name, begin, end) of a field, which may end beyond the file; LookupError when the schema has no such."""
    number, wire, begin, end = walker.field(at, 1 << 63, "")
    name, kind = schema[number]
    if wire not in kind.wires:
        raise LookupError(name)
    return name, begin, end


@final
class Onnx(Checkpoint):
    """One ONNX model, with the files of values beside it."""

    def __init__(self, source: Source) -> None:
        self._files = SideFiles(source)
        self._values: dict[str, Values] = {}
        try:
            graphs = Graphs(source)
            skipped = graphs.skipped
            for name, tensor in graphs.tensors.items():
                found = place(tensor, name, self._files)
                if isinstance(found, str):
                    skipped.append(Skipped(name, found))
                else:
                    self._values[name] = found
        except BaseException:
            self._files.close()
            raise
        tensors = {name: values.info for name, values in self._values.items()}
        super().__init__(source, "onnx", tensors, tuple(skipped), graphs.metadata, graphs.structure)

    def _read(self, info: TensorInfo) -> np.ndarray:
        return check_bool(self._source, self._values[info.name].read(), quoted(info.name))

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        values = self._values[info.name]
        return None if values.plain else values.stream()

    def _sources(self) -> Iterator[Source]:
        yield self._source
        yield from self._files

    def close(self) -> None:
        """Let go of the model and the files of its values."""
        self._files.close()
        super().close()
