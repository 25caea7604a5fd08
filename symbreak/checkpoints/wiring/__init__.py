"""From the names and shapes of a saved model to a graph: rules for known families, or a user's wiring file."""

from symbreak.checkpoints.wiring._file import read_wiring as read_wiring
from symbreak.checkpoints.wiring._file import save_wiring as save_wiring
from symbreak.checkpoints.wiring._onnx import graph_wiring as graph_wiring
from symbreak.checkpoints.wiring._spec import Wiring as Wiring
from symbreak.checkpoints.wiring._wire import Wired as Wired
from symbreak.checkpoints.wiring._wire import wire as wire
from symbreak.checkpoints.wiring._wire import wiring_in as wiring_in
