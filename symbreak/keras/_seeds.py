"""Where an initializer of Keras draws from: its seed, the layer that asks, and how often it was asked before.

Keras' own initializers give the same numbers at every call with one seed, and the layers of attention copy theirs, seed
and all: queries, keys and values start equal. The name of the layer that asks is part of the key here, and the number
of the call, so that neither ties anything.
"""

import operator
import random
import re
from collections.abc import Sequence
from typing import Any

import keras

from ..checkpoints._keras_names import snake_case
from ..streams import Key

AUTOMATIC = r"(?:forward_|backward_)?"  # which Bidirectional puts before the name of its layer


class AbstractSeeded(keras.initializers.Initializer):
    """An initializer with a seed.

    Parameters
    ----------
    seed
        None: every call draws a seed from Python's `random`, which ``keras.utils.set_random_seed`` sets. An integer:
        the numbers follow from it, from the names of the layers around the weight as far as they are not automatic, and
        from how often this instance was called before. In a model that is cloned or made from its configuration, whose
        layers have copies of it, names count with their numbers. A ``keras.random.SeedGenerator``: every call takes its
        next state.
    """

    def __init__(self, seed: Any = None) -> None:
        self._calls = 0
        self._copied = False  # from a configuration, whose layers have the names that are written there
        if isinstance(seed, dict):
            seed = keras.saving.deserialize_keras_object(seed)
        if seed is not None and not isinstance(seed, keras.random.SeedGenerator):
            seed = _whole(seed)
        self.seed = seed

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make one from a configuration: of a layer that is saved or cloned, or of attention, which copies its own."""
        made = cls(**config)
        made._copied = not open_scopes()  # attention copies while it is built, under automatic names
        return made

    def next_key(self) -> Key:
        """Give the key of this call, and count it."""
        if self.seed is None:
            return Key(random.getrandbits(128))
        scopes = open_scopes()
        # A layer that was cloned has its name from its configuration, number and all; Bidirectional copies layers that
        # it then names itself.
        whole = self._copied and not any(isinstance(layer, keras.layers.Bidirectional) for _, layer in scopes)
        place = "/".join(name if whole else _plain(name, layer) for name, layer in scopes)
        if isinstance(self.seed, int):
            self._calls += 1
            return Key(self.seed)[place][str(self._calls - 1)]
        state = keras.ops.convert_to_numpy(self.seed.next())
        return Key([int(word) % 2**32 for word in state])[place]

    def get_config(self) -> dict[str, Any]:
        """Give the seed as it was given; the number of calls is no part of it."""
        return {"seed": keras.saving.serialize_keras_object(self.seed)}


def open_scopes() -> list[tuple[str, Any]]:
    """Give the names within which a weight is made, and the layers that they are of, from the outermost."""
    try:
        from keras.src.backend.common import global_state

        stack: Sequence[Any] = global_state.get_global_attribute("name_scope_stack") or ()
        return [(scope.name, scope.caller) for scope in stack]
    except (ImportError, AttributeError):  # it is Keras' own affair how it keeps them
        return []


def asking_layer() -> Any:
    """Give the layer that makes a weight at this moment, None where none does."""
    scopes = open_scopes()
    layer = scopes[-1][1] if scopes else None
    return layer if isinstance(layer, keras.Layer) else None


def _plain(name: str, layer: Any) -> str:
    """Take the number off an automatic name: how many such layers a process made before must not matter."""
    kind = re.escape(snake_case(type(layer).__name__))
    return re.sub(rf"\A({AUTOMATIC}{kind})_\d+\Z", r"\1", name)


def _whole(seed: Any) -> int:
    try:
        if isinstance(seed, bool):
            raise TypeError
        found = operator.index(seed)
    except TypeError:
        raise ValueError(
            f"seed is an integer of 0 or more, None, or a keras.random.SeedGenerator; got {seed!r}"
        ) from None
    if found < 0:
        raise ValueError(f"seed is an integer of 0 or more, None, or a keras.random.SeedGenerator; got {seed!r}")
    return found
