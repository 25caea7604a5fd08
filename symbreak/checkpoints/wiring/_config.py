"""What a model's configuration says of its wiring: numbers of heads, and activations, read as data and not believed.

The keys are those of Hugging Face's ``config.json``. A number that the shapes contradict counts for nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import final

from symbreak._visible import quoted, visible
from symbreak.checkpoints._json import parse_object
from symbreak.checkpoints._source import Source
from symbreak.errors import BadCheckpoint

CONFIG = "config.json"
LARGEST = 1 << 20  # bytes; those of real models have some thousands
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
GROUPS = ("num_key_value_heads", "n_head_kv", "num_kv_heads")
NORM_GROUPS = ("num_groups", "norm_num_groups")
LAYER_NORMS = ("cohere", "cohere2")  # models whose layer norms have no shift
ACTIVATION = ("hidden_act", "activation_function", "hidden_activation", "activation", "feed_forward_proj")


@final
class Config:
    """A configuration, empty where there is none.

    Parameters
    ----------
    values
        Plain data.
    origin
        Where it comes from, for messages.

    Examples
    --------
    >>> config = Config({"n_head": 12, "hidden_act": "gelu", "tie_word_embeddings": True})
    >>> config.number(*HEADS), config.number(*GROUPS), config.text(*ACTIVATION), config.flag("tie_word_embeddings")
    (12, None, 'gelu', True)
    """

    def __init__(self, values: Mapping[str, object] | None = None, origin: str = "") -> None:
        self.values = dict(values or {})
        self.origin = origin

    def number(self, *keys: str) -> int | None:
        """Give the first positive integer among keys."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31:
                return value
        return None

    def text(self, *keys: str) -> str | None:
        """Give the first text among keys."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, str) and value and len(value) <= 100:
                return value
        return None

    def flag(self, key: str) -> bool | None:
        """Give a boolean, or None where there is none."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else None

    def part(self, *keys: str) -> "Config":
        """Give the configuration of a part, such as ``text_config``; this one where there is none."""
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, dict):
                return Config(value, self.origin)
        return self

    @property
    def activation(self) -> str:
        """The activation of the hidden layers, ``"unknown"`` where it isn't said."""
        return self.text(*ACTIVATION) or "unknown"

    @property
    def plain_norm(self) -> str | None:
        """Which norm one with a scale alone is, by the key of what it adds before the root; None if that isn't said."""
        if self.text("model_type") in LAYER_NORMS:
            return "layer"
        return "rms" if "rms_norm_eps" in self.values else None

    @property
    def architecture(self) -> str:
        """The model's class by name, such as ``"GPT2LMHeadModel"``; empty where it isn't said."""
        listed = self.values.get("architectures")
        return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], str) else ""


def read_config(path: str | os.PathLike[str], *, follow: bool = True) -> Config:
    """Read a configuration from a JSON file.

    Raises
    ------
    BadCheckpoint
        It is too large, or not a JSON object.
    OSError
        It can't be opened.
    """
    with Source(path, follow=follow) as source:
        if source.size > LARGEST:
            raise source.bad(
                f"has {source.size:,} bytes, more than a configuration has", f"at most {LARGEST:,} are read"
            )
        return Config(parse_object(source, source.data[:], "the configuration"), visible(os.fspath(path)))


def config_beside(path: str) -> tuple[Config, str]:
    """Read the ``config.json`` beside a checkpoint, no symbolic link; say why not where there is one, unreadable."""
    beside = Path(path).parent / CONFIG
    try:
        return read_config(beside, follow=False), ""
    except (FileNotFoundError, NotADirectoryError):
        return Config(), ""
    except BadCheckpoint as error:
        return Config(), f"it can't be used: {error.problem or visible(error)}"
    except OSError as error:
        return Config(), f"it can't be opened: {visible(error.strerror or error)}"


def as_config(config: object) -> Config:
    """Take what a caller gives for a configuration: a mapping, or the path of a JSON file.

    Raises
    ------
    TypeError
        It is neither.
    """
    if isinstance(config, Mapping):
        return Config(config, "config=")
    if isinstance(config, str | os.PathLike):
        return read_config(config)
    raise TypeError(f"`config` is a mapping, or the path of a config.json; got {quoted(type(config).__name__)}")
