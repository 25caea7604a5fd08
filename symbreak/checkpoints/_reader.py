"""What every format gives back: names with shapes and dtypes first, values when they are asked for.

The interface states its law: opening reads headers only, and every tensor of the file is either in `tensors` or in
`skipped`, with the reason. Nothing is left out in silence.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, final

import numpy as np

from symbreak._visible import quoted, visible
from symbreak.checkpoints._arrays import Buffer, check_bool
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._spool import blocks
from symbreak.errors import BadCheckpoint

PIECE = 1 << 24  # bytes of a block that `pieces` gives
TEXT = "it holds text"  # the reason for not reading what can't be a weight


@final
@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a file says of one tensor.

    Parameters
    ----------
    name
        The tensor's name, exactly as the file has it: escape it before showing it.
    shape
        The length of each axis, all non-negative.
    dtype
        The element type, in the file's own byte order; ``bfloat16`` and 8-bit floats are those of ``ml_dtypes``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


@final
@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is in a file but can't be read.

    Parameters
    ----------
    name
        The name, exactly as the file has it: escape it before showing it.
    reason
        Why, in one printable sentence.
    text
        Whether it is text, such as names of classes: then no weight is missed.
    fix
        What to do, where more can be said than that it is to be saved in another way.
    """

    name: str
    reason: str
    text: bool = False
    fix: str | None = None


class Checkpoint(ABC):
    """An open file of saved weights; ``with open_checkpoint(path) as ckpt`` closes it.

    A subclass reads the headers in its `__init__`, passes what it found on to this one, and writes `_read`; where
    values are packed or converted, `_stream` too.

    Parameters
    ----------
    source
        The open file.
    format
        The format's name, such as ``"safetensors"``.
    tensors
        What can be read, in the file's order.
    skipped
        What can't.
    metadata
        The file's own notes, where the format has any.
    structure
        What the file itself says of how its tensors are connected, as plain dictionaries, lists, texts and numbers:
        the graph of an ONNX model, the configuration of a Keras model, the keys of a GGUF model. Empty where the format
        says nothing. Data, as the file has it: escape its texts before showing them.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from symbreak.checkpoints import open_checkpoint
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.npz"
    >>> np.savez(path, fc1=np.eye(2))
    >>> with open_checkpoint(path) as ckpt:
    ...     print(ckpt.format, list(ckpt), ckpt.tensors["fc1"].shape)
    ...     print(ckpt["fc1"][0])
    npz ['fc1'] (2, 2)
    [1. 0.]
    """

    def __init__(
        self,
        source: Source,
        format: str,  # noqa: A002 - the attribute's name
        tensors: Mapping[str, TensorInfo],
        skipped: tuple[Skipped, ...] = (),
        metadata: Mapping[str, str] = MappingProxyType({}),
        structure: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.path = source.path
        self.format = format
        self.tensors: Mapping[str, TensorInfo] = MappingProxyType(dict(tensors))
        self.skipped = skipped
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata))
        self.structure: Mapping[str, object] = MappingProxyType(dict(structure))
        self._source = source
        self._open = True

    @abstractmethod
    def _read(self, info: TensorInfo) -> np.ndarray:
        """Return the values: `info.shape`, `info.dtype`; a view of the file where it stores them plain."""

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one tensor, read only; mapped from the file where the format stores it plain.

        An array stays valid after the checkpoint is closed.

        Raises
        ------
        KeyError
            The file has no tensor of this name.
        BadCheckpoint
            It has, but the values can't be read.
        """
        info = self._info(name)
        try:
            array = self._read(info)
        except MemoryError:
            raise self._source.bad(
                f"{quoted(name)} does not fit in memory: shape {info.shape}, {info.dtype}", "use a machine with more"
            ) from None
        array.flags.writeable = False
        return array

    def pieces(self, name: str, size: int = PIECE) -> Iterator[np.ndarray]:
        """Yield one tensor as consecutive blocks along its first axis, without holding it whole.

        Parameters
        ----------
        name
            The tensor's name.
        size
            Bytes of a block, about; a block has at least one row.

        Yields
        ------
        numpy.ndarray
            Read only, of the tensor's dtype; joined along axis 0 they are ``ckpt[name]``. A tensor without axes comes
            as one block.

        Raises
        ------
        KeyError, BadCheckpoint
            As for ``ckpt[name]``; a fault further on in the file shows when its block is asked for.

        Examples
        --------
        >>> import numpy as np, tempfile, pathlib
        >>> from symbreak.checkpoints import open_checkpoint
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.npz"
        >>> np.savez_compressed(path, fc1=np.arange(12.0).reshape(6, 2))
        >>> with open_checkpoint(path) as ckpt:
        ...     [block.shape for block in ckpt.pieces("fc1", size=64)]
        [(4, 2), (2, 2)]
        """
        if size < 1:
            raise ValueError(f"a block has a positive number of bytes; got {size!r}")
        info = self._info(name)
        stream = self._stream(info) if info.shape else None
        if stream is not None:
            for block in blocks(self._source, stream, info.dtype, info.shape, size, quoted(name)):
                yield check_bool(self._source, block, quoted(name))
            return
        array = self[name]
        step = max(1, size * len(array) // max(array.nbytes, 1)) if info.shape else 1
        if not info.shape or len(array) <= step:
            yield array
            return
        yield from (array[low : low + step] for low in range(0, len(array), step))

    @property
    def state(self) -> tuple[tuple[str, int, int], ...]:
        """The files behind it as they were opened: path, size in bytes, and time of change in nanoseconds.

        Examples
        --------
        >>> import numpy as np, tempfile, pathlib
        >>> from symbreak.checkpoints import open_checkpoint
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "weights.npy"
        >>> np.save(path, np.zeros((2, 2)))
        >>> with open_checkpoint(path) as ckpt:
        ...     [(pathlib.Path(file).name, size) for file, size, _ in ckpt.state], ckpt.changed()
        ([('weights.npy', 160)], False)
        """
        return tuple(source.state for source in self._sources())

    def changed(self) -> bool:
        """Whether a file behind it was written to, replaced or removed since it was opened."""
        return any(source.changed() for source in self._sources())

    def _sources(self) -> Iterator[Source]:
        """Yield the open files behind it."""
        yield self._source

    def _stream(self, info: TensorInfo) -> Iterator[Buffer] | None:
        """Return the values' bytes in C order, piece by piece, where the file does not store them so; else None."""
        return None

    def _info(self, name: str) -> TensorInfo:
        if not self._open:
            raise ValueError(f"{visible(self.path)} is closed: read its tensors inside the `with` block")
        info = self.tensors.get(name)
        if info is None:
            for item in self.skipped:
                if item.name == name:
                    raise BadCheckpoint(f"{visible(self.path)}: {quoted(name)} can't be read: {item.reason}")
            raise KeyError(f"{visible(self.path)} has no tensor {quoted(name)}")
        return info

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"<{self.format} checkpoint {quoted(self.path)}: {len(self.tensors)} tensors{skipped}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; arrays that were read stay valid. Closing twice is fine."""
        self._open = False
        self._source.close()
