"""What a layer of a Keras model is, as its configuration says it, with the tensors that the file has of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from symbreak.checkpoints.wiring._factors import Axis, NotUnderstood, Part, Value
from symbreak.checkpoints.wiring._flow import Flow


@final
@dataclass(frozen=True)
class Layer:
    """One layer.

    Parameters
    ----------
    kind
        Its class.
    config
        What its configuration says.
    tensors
        Its tensors in the file, by what they are called within it.
    name
        What it is called, for names of spaces and messages.
    """

    kind: str
    config: Mapping[str, Any]
    tensors: Mapping[str, str]
    name: str

    def say(self, flow: Flow, leaf: str, parts: Sequence[Part], kind: str = "weight", norm: str | None = None) -> None:
        """Say what the axes of a tensor are, where the layer has it."""
        if leaf in self.tensors:
            flow.say(self.tensors[leaf], parts, kind, norm)
        elif kind == "weight":
            raise NotUnderstood(f"the file has no {leaf} of it")

    def number(self, key: str, default: int | None = None) -> int:
        """Give a whole number of the configuration."""
        value = self.config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotUnderstood(f"its {key} is no whole number")
        return value

    def several(self, key: str, count: int, default: int = 1) -> list[int]:
        """Give a whole number for each of several axes."""
        value = self.config.get(key, default)
        found = [value] * count if isinstance(value, int) else list(value)
        if len(found) != count or not all(isinstance(each, int) for each in found):
            raise NotUnderstood(f"its {key} doesn't fit its input")
        return found

    def passed(self, key: str = "activation") -> tuple[str, ...]:
        """Give the functions that its outputs pass through."""
        value = self.config.get(key)
        if value is None or value == "linear":
            return ()
        return (value if isinstance(value, str) and value != "softmax" else "unknown",)

    def after(self, axes: Sequence[Axis], key: str = "activation") -> Value:
        """Give its output."""
        return Value(tuple(axes), self.passed(key))
