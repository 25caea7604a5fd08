"""Saved weights, read safely: one format a file behind one interface, and a writer of safetensors."""

from symbreak.checkpoints._open import find_checkpoints as find_checkpoints
from symbreak.checkpoints._open import open_checkpoint as open_checkpoint
from symbreak.checkpoints._reader import Checkpoint as Checkpoint
from symbreak.checkpoints._reader import Skipped as Skipped
from symbreak.checkpoints._reader import TensorInfo as TensorInfo
from symbreak.checkpoints._write import save_safetensors as save_safetensors
from symbreak.checkpoints.wiring import Wired as Wired
from symbreak.checkpoints.wiring import Wiring as Wiring
from symbreak.checkpoints.wiring import read_wiring as read_wiring
from symbreak.checkpoints.wiring import save_wiring as save_wiring
from symbreak.checkpoints.wiring import wire as wire
