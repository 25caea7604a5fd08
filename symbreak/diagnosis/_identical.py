"""Arrays that are equal, value for value, and what follows for the layers, experts and heads that they belong to.

Arrays that begin with the same values are compared whole, piece by piece, each with the first of its class; so what is
unequal is never read further than to its first difference, and nothing is compared in pairs.

A block is what names have in common up to a number: ``layers.3``, ``experts.0``, ``conv1``. Blocks of one container
that hold arrays with the same rest of a name, all equal, are identical. One weight at least must look drawn: norms of
ones, biases of zeros and tables of positions are equal in every layer.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from symbreak.findings import Finding
from symbreak.reports import visible

from ._names import Slot, is_copy, is_member, parts, slots, template
from ._others import is_index, is_optimizer_state
from ._sketch import PIECE, Array, Sketch, Source

FIRSTS = 4  # classes of arrays that begin alike; what is beyond is told apart by digests
LISTED = 5  # names in a message before it is cut short

SHARED = frozenset({"class_embed", "bbox_embed"})  # DETR's heads, one for all layers of the decoder or copied to each

Classes = dict[str, str]  # {name: the first name of its class}, for arrays that equal another one


def find_identical(source: Source, sketches: Mapping[str, Sketch]) -> Classes:
    """Find the arrays that equal another one, in shape, dtype and every value; constants too."""
    alike: dict[object, list[str]] = {}
    for name, sketch in sketches.items():
        alike.setdefault((sketch.shape, sketch.dtype, sketch.digest), []).append(name)
    found: Classes = {}
    for names in alike.values():
        for group in _classes(source, names):
            if len(group) > 1:
                found |= dict.fromkeys(group, group[0])
    return found


def _classes(source: Source, names: list[str]) -> list[list[str]]:
    """Part arrays that begin alike into classes of equal ones."""
    classes: list[list[str]] = []
    while names and len(classes) < FIRSTS:
        first, *others = names
        equal = [name for name in others if _equal(source, first, name)]
        classes.append([first, *equal])
        kept = set(equal)
        names = [name for name in others if name not in kept]
    by_digest: dict[bytes, list[str]] = {}
    for name in names:
        digest = _digest(source, [name])
        if digest is not None:
            by_digest.setdefault(digest, []).append(name)
    return [*classes, *by_digest.values()]


def _equal(source: Source, one: str, other: str) -> bool:
    """Whether two arrays of one shape and type are equal, byte for byte of their values in one order."""
    try:
        both = (source.pieces(name, PIECE) for name in (one, other))
        return all(_same(mine, yours) for mine, yours in zip_longest(*both))
    except source.errors:
        return False


def _same(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return False
    return np.array_equal(_bytes(one), _bytes(other))


def _bytes(piece: Array) -> npt.NDArray[np.uint8]:
    """Give the bytes of values in this machine's order."""
    return np.ascontiguousarray(piece, piece.dtype.newbyteorder("=")).reshape(-1).view(np.uint8)


def _digest(source: Source, names: Iterable[str]) -> bytes | None:
    """Digest arrays with their shapes and dtypes; None if one can't be read."""
    digest = hashlib.blake2b()
    for name in names:
        shape, dtype = source.arrays[name]
        digest.update(f"{shape} {dtype.name} ".encode())
        try:
            for piece in source.pieces(name, PIECE):
                digest.update(_bytes(piece).data)
        except source.errors:
            return None
    return digest.digest()


def judge_blocks(source: Source, sketches: Mapping[str, Sketch], classes: Classes) -> tuple[list[Finding], set[str]]:
    """Find identical layers (SB204), heads (SB205) and experts or members (SB206).

    Returns
    -------
    findings
        Their `where` is the container, and their groups are the numbers of the blocks.
    explained
        The arrays of all identical blocks but the first of each class.
    """
    if not any(sketches[name].drawn for name in classes):
        return [], set()
    found: list[tuple[str, list[list[str]], int]] = []
    explained: set[str] = set()
    for container, blocks in _containers(source).items():
        if len(blocks) < 2:
            continue
        groups = _identical_blocks(source, sketches, classes, blocks)
        if groups:
            arrays = len(blocks[groups[0][0]])
            found.append((container, groups, arrays))
            for group in groups:
                explained.update(name for block in group[1:] for name in blocks[block].values())
    return _findings(found), explained


def _containers(source: Source) -> dict[str, dict[str, dict[str, str]]]:
    """Give {container: {block: {rest of the name: name}}}; what Keras leaves unnumbered is the first of its kind."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    plain: dict[str, dict[str, str]] = {}
    for name, (_, dtype) in source.arrays.items():
        if is_index(np.empty(0, dtype)) or is_optimizer_state(name) or is_copy(name):
            continue
        for slot in slots(name):
            found.setdefault(slot.container, {}).setdefault(slot.block, {})[slot.rest] = name
        for slot in _unnumbered(name):
            plain.setdefault(slot.block, {})[slot.rest] = name
    for container, blocks in found.items():
        if container.endswith("_*") and (first := plain.get(container[:-2])):
            found[container] = {container[:-2]: first, **blocks}
    return found


def _unnumbered(name: str) -> Iterator[Slot]:
    """Give the parts of a name that end in a letter, but for the last."""
    clean = "/".join(parts(name))  # of the length of the name, as far as it goes
    for end in range(1, len(clean)):
        if clean[end] == "/" and name[end - 1].isalpha():
            yield Slot("", name[:end], name[end : len(clean)])


def _identical_blocks(
    source: Source, sketches: Mapping[str, Sketch], classes: Classes, blocks: Mapping[str, Mapping[str, str]]
) -> list[list[str]]:
    """Give the classes of identical blocks, each in order."""
    alike: dict[object, list[str]] = {}
    for block, arrays in blocks.items():
        weights = [(rest, name) for rest, name in sorted(arrays.items()) if name in sketches]
        if any(sketches[name].drawn for _, name in weights) and all(name in classes for _, name in weights):
            key = tuple((rest, classes[name]) for rest, name in weights), tuple(sorted(arrays))
            alike.setdefault(key, []).append(block)
    groups = []
    for names in alike.values():
        if len(names) < 2:
            continue
        same: dict[bytes, list[str]] = {}
        for block in names:  # biases, norms, and what else is small
            small = [name for _, name in sorted(blocks[block].items()) if name not in sketches]
            digest = _digest(source, small)
            if digest is not None:
                same.setdefault(digest, []).append(block)
        groups += [group for group in same.values() if len(group) > 1]
    return groups


def _findings(found: list[tuple[str, list[list[str]], int]]) -> list[Finding]:
    """Make a finding of what is found alike in all places that are named alike."""
    places: dict[tuple[str, tuple[tuple[int, ...], ...], int], list[tuple[str, list[list[str]]]]] = {}
    for container, groups, arrays in found:
        numbers = tuple(tuple(map(_number, group)) for group in groups)
        places.setdefault((template(container), numbers, arrays), []).append((container, groups))
    findings = []
    for (_, numbers, arrays), ((container, groups), *others) in places.items():
        code, what, fix = _kind(container)
        listed = "; ".join(", ".join(map(visible, _shorten(group))) for group in groups[:LISTED])
        rest = "; ..." if len(groups) > LISTED else ""
        size = "1 array" if arrays == 1 else f"{arrays} arrays"
        count = sum(map(len, groups))
        form = "are identical" if len(groups) == 1 else f"form {len(groups)} classes of identical ones"
        also = f"; likewise in {len(others)} more {'place' if len(others) == 1 else 'places'}" if others else ""
        text = f"{count} {what} {form}, value for value ({size} each): {listed}{rest}{also}"
        findings.append(Finding.of(code, container, text, numbers, fix))
    return findings


def _number(block: str) -> int:
    """Give the number that a block's name ends in; what Keras leaves unnumbered comes before 1."""
    digits = block[len(block.rstrip("0123456789")) :]
    return int(digits) if digits else 0


def _shorten(group: list[str]) -> list[str]:
    if len(group) <= LISTED:
        return group
    return [*group[: LISTED - 1], "...", group[-1]]


def _kind(container: str) -> tuple[str, str, str | None]:
    """Choose the code by what the blocks are called."""
    if is_member(container):
        return "SB206", "experts, members or copies", None
    heads = container.rstrip("*._/").rpartition(".")[2].lower()
    if heads in SHARED:
        return "SB202", "output heads", "nothing, if the heads are shared on purpose"
    if heads in ("heads", "head", "attn_heads", "attention_heads"):
        return "SB205", "heads", None
    return "SB204", "blocks", None
