"""Lists of whole numbers in an ONNX graph, which say to what lengths a value is reshaped or where it is cut.

A graph computes them from the lengths of other values, so they are followed as far as those are known: a length may be
that of a batch, which is known to be the same elsewhere though its number isn't.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from symbreak.checkpoints.wiring._factors import Value, Var, expand, find, length
from symbreak.checkpoints.wiring._onnx_nodes import Node
from symbreak.checkpoints.wiring._values import Const, Known

LONGEST = 4096  # numbers
Array = np.ndarray[Any, np.dtype[Any]]
Numbers = list[int | Var | None]

SUMS: Mapping[str, Callable[[int, int], int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: int(a / b) if b else 0,
    "Mod": lambda a, b: a % b if b else 0,
}


@final
class Lists:
    """The lists that are known.

    Parameters
    ----------
    shapes
        The tensors of the file.
    get
        Gives their values.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], get: Callable[[str], Array]) -> None:
        self.shapes, self.get = shapes, get
        self.known: dict[str, Numbers] = {}
        self.used: set[str] = set()
        self.scalars: set[str] = set()

    def of(self, name: str) -> Numbers | None:
        """Give the numbers of a value, None where they aren't known."""
        if name in self.known:
            return self.known[name]
        shape = self.shapes.get(name)
        if shape is None or len(shape) > 1 or any(size > LONGEST for size in shape):
            return None
        array = self.get(name)
        if array.dtype.name not in ("int64", "int32", "bool"):
            return None
        self.used.add(name)
        self.known[name] = [int(each) for each in array.ravel()]
        return self.known[name]

    def whole(self, name: str) -> list[int] | None:
        """Give the numbers of a value if all of them are known."""
        found = self.of(name)
        numbers = [each for each in found or () if isinstance(each, int)]
        return numbers if found is not None and len(numbers) == len(found) else None

    def is_even(self, const: Const) -> bool:
        """Whether an array of the file holds one number everywhere: zeros, from which a state begins."""
        if not const.single:
            if math.prod(const.shape) > LONGEST:
                return False
            if not self.is_constant(const.tensor):
                return False
        self.used.add(const.tensor)
        return True

    def is_constant(self, tensor: str) -> bool:
        """Whether an array of the file holds one number everywhere: exporters make one array of all zeros."""
        array = self.get(tensor)
        return not (array != array.flat[0]).any()

    def are_places(self, const: Const) -> bool:
        """Whether an array of the file holds whole numbers or flags, which are of positions."""
        found = self.get(const.tensor).dtype.name in ("int64", "int32", "bool")
        self.used |= {const.tensor} if found else set()
        return found

    def is_scalar(self, name: str) -> bool:
        """Whether an array of the file, or a number that a node gives, has no axes."""
        return self.shapes.get(name) == () or name in self.scalars

    def follow(self, node: Node, inputs: Sequence[Known]) -> Numbers | None:
        """Give the numbers that a node makes, None where it makes no list that is known."""
        if node.op == "Shape":
            return self._shape(node, inputs[0])
        if node.op == "Constant":
            given = node.attributes.get("value_ints", node.attributes.get("value_int"))
            self.scalars |= set(node.outputs) if isinstance(given, int) else set()
            return [given] if isinstance(given, int) else list(given) if isinstance(given, list) else None
        if node.op not in ("Gather", "Concat", "Unsqueeze", "Squeeze", "Cast", "Identity", "Slice", "ConstantOfShape",
                           "Where", "Equal", "Reshape", *SUMS):  # fmt: skip
            return None
        if any(isinstance(each, Value) for each in inputs):
            return None
        lists = [self.of(name) for name in node.inputs]
        first = lists[0] if lists else None
        if first is None or any(each is None for each in lists):
            return None
        rows: list[Numbers] = [each for each in lists if each is not None]
        if node.op == "Gather":
            return [first[each] if isinstance(each, int) and -len(first) <= each < len(first) else None
                    for each in rows[1]]  # fmt: skip
        if node.op == "Concat":
            return [each for row in rows for each in row]
        if node.op == "Slice":
            return self._slice(rows)
        if node.op == "ConstantOfShape":
            return self._filled(node, first)
        if node.op in ("Where", "Equal", *SUMS):
            return self._each(node.op, rows)
        return first

    def _shape(self, node: Node, value: Known) -> Numbers | None:
        found: Numbers
        if isinstance(value, Const):
            found = list(value.lengths)
        elif isinstance(value, Value):
            found = [_length(axis) for axis in value.axes]
        elif node.inputs[0] in self.known:
            found = [len(self.known[node.inputs[0]])]
        else:
            return None
        end = node.attributes.get("end")
        return found[node.number("start", 0) : end if isinstance(end, int) else None]

    def _slice(self, rows: list[Numbers]) -> Numbers | None:
        numbers = [[each for each in row if isinstance(each, int)] for row in rows[1:]]
        if any(len(row) != 1 for row in numbers) or len(numbers) < 2:
            return None
        step = numbers[3][0] if len(numbers) > 3 else 1
        return rows[0][numbers[0][0] : numbers[1][0] : step] if step else None

    def _filled(self, node: Node, lengths: Numbers) -> Numbers | None:
        count = lengths[0] if len(lengths) == 1 else None
        given = node.attributes.get("value")
        if not isinstance(count, int) or not 0 < count <= LONGEST:
            return None
        if not isinstance(given, dict):
            return None
        name = str(given.get("tensor"))
        array = self.get(name) if name in self.shapes else None
        if array is None or array.size != 1 or array.dtype.kind not in "iu":
            return None
        self.used.add(name)
        return [int(array.ravel()[0])] * count

    def _each(self, op: str, rows: list[Numbers]) -> Numbers | None:
        count = max(map(len, rows))
        if any(len(row) not in (1, count) for row in rows):
            return None
        found: Numbers = []
        for each in zip(*(row * count if len(row) == 1 else row for row in rows), strict=False):
            if op == "Where":
                found.append(None if not isinstance(each[0], int) else each[1] if each[0] else each[2])
            elif op == "Equal":
                found.append(None if None in each else int(each[0] is each[1] or each[0] == each[1]))
            else:
                a, b = each
                found.append(SUMS[op](a, b) if isinstance(a, int) and isinstance(b, int) else None)
        return found


def _length(axis: tuple[Var, ...]) -> int | Var | None:
    size = length(axis)
    row = [var for var in expand(axis) if var.size != 1]
    return size if size is not None else find(row[0]) if len(row) == 1 else None
