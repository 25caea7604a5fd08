"""From a saved model to a graph: the strongest evidence that there is, and a report of what is left open."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from symbreak._table import INDENT, LINE, folded, html_text
from symbreak._visible import quoted
from symbreak.checkpoints._reader import Checkpoint
from symbreak.checkpoints.wiring._build import build
from symbreak.checkpoints.wiring._config import CONFIG, Config, as_config, config_beside
from symbreak.checkpoints.wiring._file import as_wiring
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring
from symbreak.graph import LayerGraph

if TYPE_CHECKING:
    import os

Array = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, eq=False)
class Wired:
    """What is known of how the tensors of a file are connected.

    Parameters
    ----------
    graph
        The network, or None where nothing is known.
    rule
        On what evidence: ``"wiring"`` for a user's file, ``"ONNX graph"``, ``"Keras configuration"`` or ``"GGUF
        architecture"`` for what the file itself says, else the names of the rules; empty where there is none.
    unknown
        Tensors of which something isn't known, with the reason. Most are not in the graph; one that is lacks something,
        such as the number of heads.
    apart
        Spaces that a tensor outside the graph may touch, with the reason. Their units count as told apart by the world
        outside, so that no tie is claimed that such a tensor could break.
    wiring
        The statements behind the graph, which `save_wiring` writes to a file.
    """

    graph: LayerGraph | None
    rule: str
    unknown: Mapping[str, str]
    apart: Mapping[str, str]
    wiring: Wiring

    def _repr_html_(self) -> str:
        return html_text(str(self))

    def __str__(self) -> str:
        lines = [f"wired by: {self.rule or 'nothing, no rule knows these names'}"]
        lines += [str(self.graph)] if self.graph is not None else []
        for title, found in (("not known", self.unknown), ("told apart", self.apart)):
            lines += [f"{title}:"] if found else []
            for name, reason in found.items():
                lines += [INDENT + line for line in folded(f"{quoted(name)}: {reason}", LINE - len(INDENT))]
        return "\n".join(lines)


def wire(
    arrays: "Checkpoint | Mapping[str, Array]",
    *,
    config: "Mapping[str, object] | str | os.PathLike[str] | None" = None,
    wiring: "Wiring | Mapping[str, object] | str | os.PathLike[str] | None" = None,
) -> Wired:
    """Find out how the tensors of a model are connected: from a user, the graph in its file, or names and shapes.

    Parameters
    ----------
    arrays
        An open checkpoint, or arrays by name. Values are views of the file where it stores them plain. An ONNX model
        is wired by its graph, and a Keras model by its configuration, where an open checkpoint brings one: then names
        say nothing.
    config
        What the names don't say, with the keys of Hugging Face's ``config.json``: ``num_attention_heads``,
        ``num_key_value_heads``, ``hidden_act``, ``tie_word_embeddings``. A mapping, or the path of a JSON file. By
        default the ``config.json`` beside the checkpoint, if there is one.
    wiring
        A wiring file, its content as a mapping, or a `Wiring`. Then no rule is asked.

    Returns
    -------
    Wired
        The graph, the evidence, and what is not known. Nothing is guessed: without the number of heads, the units of
        queries, keys and values are told apart, and what no rule knows is left out and named.

    Raises
    ------
    ValueError
        A wiring that is malformed, or doesn't meet the tensors.
    BadCheckpoint
        Values that can't be read, or a `config` that is no JSON object.
    TypeError
        `arrays`, `config` or `wiring` of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> from symbreak.checkpoints import wire
    >>> found = wire({"fc1.weight": np.ones((8, 2)), "fc1.bias": np.zeros(8), "fc2.weight": np.ones((1, 8))})
    >>> print(found)
    wired by: numbered layers
    LayerGraph: 3 spaces, 2 weights, 1 per-unit parameter
      space   units  activation  written by  read by
      fc1         8  unknown     fc1.weight  fc2.weight
      input       2  identity    (input)     fc1.weight
      output      1  identity    fc2.weight  (output)
    """
    shapes, outside = _tensors(arrays)
    names = Names.of(shapes)
    notes: dict[str, str] = {}
    brought = None if wiring is not None else wiring_in(arrays)
    if wiring is not None or brought is not None:
        found = brought or as_wiring(wiring)
        names = Names.plain(shapes) if found.plain else names
    else:
        from symbreak.checkpoints.wiring._families import find_wiring

        settings, fault = (as_config(config), "") if config is not None else _beside(arrays)
        notes |= {CONFIG: fault} if fault else {}
        found = find_wiring(names, settings)
    for name, (reason, _) in outside.items():
        notes.setdefault(name, reason)
    built = build(found, names, arrays.__getitem__, outside)
    doubts = _doubts(found, names)
    rule = (found.rule or "low-rank adapters") if built.graph is not None else ""
    unknown = notes | built.unknown | doubts
    return Wired(built.graph, rule, MappingProxyType(unknown), MappingProxyType(built.apart), built.wiring)


def _tensors(
    arrays: object,
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[str, tuple[int, ...] | None]]]:
    """Give the shapes of the tensors that can be part of a graph, and why the others can't."""
    if isinstance(arrays, Checkpoint):
        shapes = {name: info.shape for name, info in arrays.tensors.items()}
        outside: dict[str, tuple[str, tuple[int, ...] | None]] = {
            item.name: (item.reason, None) for item in arrays.skipped if not item.text
        }
    elif isinstance(arrays, Mapping):
        shapes, outside = {}, {}
        for name, array in arrays.items():
            if not isinstance(name, str) or not isinstance(array, np.ndarray):
                raise TypeError(
                    f"arrays by name are needed, names to numpy.ndarray; {name!r} is a {type(array).__name__}"
                )
            if array.dtype.kind in "SUMm" or array.dtype.names:
                outside[name] = (f"it holds no numbers: its dtype is {array.dtype}", array.shape)
            else:
                shapes[name] = array.shape
    else:
        raise TypeError(
            f"`arrays` is an open checkpoint or a mapping of names to arrays; got {type(arrays).__name__}; open a file "
            f"with open_checkpoint"
        )
    for name in [name for name, shape in shapes.items() if 0 in shape]:
        outside[name] = ("it is empty", shapes.pop(name))
    return shapes, outside


def wiring_in(arrays: object) -> Wiring | None:
    """Wire what the own graph of an open checkpoint says; None where it brings none."""
    if not isinstance(arrays, Checkpoint):
        return None
    shapes = {name: info.shape for name, info in arrays.tensors.items() if 0 not in info.shape}
    if arrays.format == "onnx":
        from symbreak.checkpoints.wiring._onnx import onnx_wiring

        return onnx_wiring(arrays.structure, shapes, arrays.__getitem__)
    if arrays.format == "gguf":
        from symbreak.checkpoints.wiring._gguf import gguf_wiring

        return gguf_wiring(arrays.structure, shapes)
    if arrays.format in ("keras", "keras-h5"):
        from symbreak.checkpoints.wiring._keras import keras_wiring

        return keras_wiring(arrays.structure, shapes)
    return None


def _beside(arrays: object) -> tuple[Config, str]:
    return config_beside(arrays.path) if isinstance(arrays, Checkpoint) else (Config(), "")


def _doubts(wiring: Wiring, names: Names) -> dict[str, str]:
    """Name the tensors of which a rule says that something isn't known."""
    return {names.files[name]: reason for pattern, reason in wiring.unknown.items() for name, _ in names.find(pattern)}
