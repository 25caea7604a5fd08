"""Saved weights, read safely: one format a file behind one interface, and a writer of safetensors."""

import typing as _typing

from symbreak._lazy import names_from as _names_from
from symbreak.checkpoints._open import find_checkpoints as find_checkpoints
from symbreak.checkpoints._open import open_checkpoint as open_checkpoint
from symbreak.checkpoints._reader import Checkpoint as Checkpoint
from symbreak.checkpoints._reader import Skipped as Skipped
from symbreak.checkpoints._reader import TensorInfo as TensorInfo
from symbreak.checkpoints._write import save_safetensors as save_safetensors

if _typing.TYPE_CHECKING:
    from symbreak.checkpoints.wiring import Wired as Wired
    from symbreak.checkpoints.wiring import Wiring as Wiring
    from symbreak.checkpoints.wiring import graph_wiring as graph_wiring
    from symbreak.checkpoints.wiring import read_wiring as read_wiring
    from symbreak.checkpoints.wiring import save_wiring as save_wiring
    from symbreak.checkpoints.wiring import wire as wire

# Most readers of files need none of it.
_WIRING = ("Wired", "Wiring", "graph_wiring", "read_wiring", "save_wiring", "wire")

if not _typing.TYPE_CHECKING:  # so that type checkers still see a name that does not exist
    __getattr__ = _names_from(__name__, dict.fromkeys(_WIRING, "wiring"))
