"""What the nodes of an ONNX graph are."""

from collections.abc import Mapping
from typing import Any, final

from symbreak.checkpoints.wiring._factors import NotUnderstood


@final
class Node:
    """One node: its operator, and what it was given.

    Parameters
    ----------
    said
        As `Checkpoint.structure` has it.
    place
        Its number in the graph, for its name where it has none.
    """

    def __init__(self, said: Mapping[str, Any], place: int) -> None:
        self.op, self.domain = str(said.get("op_type", "")), str(said.get("domain", ""))
        self.inputs: list[str] = list(said.get("inputs", ()))
        self.outputs: list[str] = list(said.get("outputs", ()))
        self.attributes: Mapping[str, object] = said.get("attributes", {})
        self.shapes: Mapping[str, list[int | str]] = said.get("shapes", {})
        name = str(said.get("name", "")).strip("/").replace("/", ".")
        self.name = name or f"{self.op}_{place}"

    def number(self, key: str, default: int) -> int:
        """Give an attribute that is a whole number."""
        value = self.attributes.get(key, default)
        if not isinstance(value, int):
            raise NotUnderstood(f"its attribute {key} is no whole number")
        return value

    def numbers(self, key: str) -> list[int] | None:
        """Give an attribute that is a list of whole numbers, None where there is none."""
        value = self.attributes.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
            raise NotUnderstood(f"its attribute {key} is no list of whole numbers")
        return value

    def text(self, key: str) -> str:
        """Give an attribute that is a text, empty where there is none."""
        value = self.attributes.get(key, "")
        return value if isinstance(value, str) else ""

    def stem(self, tensor: str) -> str:
        """Give a name for the units that an array writes: that of its layer."""
        for ending in (".weight", ".kernel", "/kernel", "/weight", "/embedding", "/embeddings", "/w"):
            if tensor.endswith(ending) and len(tensor) > len(ending):
                return tensor.removesuffix(ending)
        return self.name.removesuffix(f".{self.op}") or tensor
