"""A model in several files: a JSON index that says which shard holds which tensor, and the shards beside it.

The index is a file of strangers that names other files, so a name must be plain: nothing that could lead out of the
folder, and no symbolic link.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import final

import numpy as np

from symbreak._visible import quoted, visible
from symbreak.checkpoints._flax import Flax, looks_like_flax
from symbreak.checkpoints._json import parse_object
from symbreak.checkpoints._reader import Checkpoint, Skipped, TensorInfo
from symbreak.checkpoints._safetensors import Safetensors, looks_like_safetensors
from symbreak.checkpoints._source import Source
from symbreak.checkpoints._torch_legacy import TorchLegacy, looks_like_torch_legacy
from symbreak.checkpoints._torch_zip import TorchZip
from symbreak.checkpoints._zip import looks_like_zip
from symbreak.errors import BadCheckpoint

KEY = "weight_map"
MOST_SHARDS = 10_000
LONGEST_NAME = 255  # bytes; what a file system gives a name
PLAIN = re.compile(r"[^/\\:\x00\ud800-\udfff]+\Z")
SHARD_FORMATS = (
    (looks_like_safetensors, Safetensors),
    (looks_like_zip, TorchZip),
    (looks_like_torch_legacy, TorchLegacy),
    (looks_like_flax, Flax),
)


def looks_like_index(source: Source) -> bool:
    """Whether the file begins as a JSON object and mentions a weight map near its beginning or end."""
    ends = source.data[:4096] + source.data[-4096:]
    return source.data[:4096].lstrip()[:1] == b"{" and (b'"weight_map"' in ends or _is_named_index(source.path))


def read_shard_names(source: Source) -> dict[str, str]:
    """Return {tensor: shard} from an index; every shard's name is plain.

    Raises
    ------
    BadCheckpoint
        The index is malformed, or names a file that is not beside it.
    """
    index = parse_object(source, source.data[:], "the index")
    shards = index.get(KEY)
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise source.bad(f"the index has no {KEY} of tensor names to file names")
    names = set(shards.values())
    if len(names) > MOST_SHARDS:
        raise source.bad(f"the index names {len(names):,} files", f"at most {MOST_SHARDS:,} are opened")
    for name in sorted(names):
        if not PLAIN.match(name) or name in (".", "..") or len(name.encode()) > LONGEST_NAME:
            raise source.bad(
                f"the index names the file {quoted(name)}", "a shard must be a plain name beside its index"
            )
    return shards


@final
class Sharded(Checkpoint):
    """One model in several files, opened by its index."""

    def __init__(self, source: Source) -> None:
        self._shards: dict[str, Checkpoint] = {}
        self._in: dict[str, str] = {}
        tensors: dict[str, TensorInfo] = {}
        skipped: list[Skipped] = []
        wanted = read_shard_names(source)
        faults: dict[str, str] = {}
        try:
            for shard in dict.fromkeys(wanted.values()):
                self._open_shard(source, shard, faults)
        except BaseException:
            self._close_shards()
            raise
        unread = {shard: {item.name for item in ckpt.skipped} for shard, ckpt in self._shards.items()}
        for name, shard in wanted.items():
            if shard in faults:
                skipped.append(Skipped(name, faults[shard]))
            elif (info := self._shards[shard].tensors.get(name)) is not None:
                tensors[name] = info
                self._in[name] = shard
            elif name not in unread[shard]:
                skipped.append(Skipped(name, f"the index places it in {quoted(shard)}, which does not have it"))
        for shard, ckpt in self._shards.items():
            skipped.extend(ckpt.skipped)
            reason = f"it is in {quoted(shard)}, where the index does not place it"
            skipped.extend(Skipped(name, reason) for name in ckpt.tensors if wanted.get(name) != shard)
        super().__init__(source, self._format(source), tensors, tuple(skipped))

    def _open_shard(self, source: Source, shard: str, faults: dict[str, str]) -> None:
        """Open one shard; a fault is noted for its tensors, and the other shards are still read."""
        path = os.path.join(os.path.dirname(source.path), shard)  # noqa: PTH118, PTH120 - the path stays text
        try:
            opened = Source(path, follow=False)
        except OSError as error:
            faults[shard] = f"its shard {quoted(shard)} can't be opened: {visible(error.strerror)}"
            return
        except BadCheckpoint as error:
            faults[shard] = visible(error, limit=1000)
            return
        for recognises, reader in SHARD_FORMATS:
            if recognises(opened):
                try:
                    self._shards[shard] = reader(opened)
                except BadCheckpoint as error:
                    faults[shard] = visible(error, limit=1000)
                break
        else:
            faults[shard] = f"its shard {quoted(shard)} is no file of safetensors, PyTorch or Flax"
        if shard in faults:
            opened.close()

    def _format(self, source: Source) -> str:
        kinds = [ckpt.format for ckpt in self._shards.values()] or ["torch" if ".bin" in source.path else "safetensors"]
        return f"{kinds[0]}-sharded"

    def _read(self, info: TensorInfo) -> np.ndarray:
        return self._shards[self._in[info.name]][info.name]

    def _sources(self) -> Iterator[Source]:
        yield self._source
        for ckpt in self._shards.values():
            yield from ckpt._sources()

    def _close_shards(self) -> None:
        for ckpt in self._shards.values():
            ckpt.close()

    def close(self) -> None:
        """Let go of the index and all shards."""
        self._close_shards()
        super().close()


def _is_named_index(path: str) -> bool:
    return Path(path).name.endswith(".index.json")
