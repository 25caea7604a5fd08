"""The tensors in what a pickle describes, each by the path that leads to it.

Paths are joined with dots: `{"model": {"fc1.weight": w}}` gives `model.fc1.weight`, and list items go by their index. A
pickle is a graph, not a tree: it can contain itself, and a few nested shared lists can stand for billions of paths. So
the depth, the steps and the names are counted, and a part in which nothing was found is not walked again.
"""

from collections.abc import Iterator

from symbreak._visible import number, quoted, visible
from symbreak.checkpoints._callables import RESAVE
from symbreak.checkpoints._inert import Global, Opaque, Pairs, Storage, Tensor, Unread
from symbreak.checkpoints._reader import Skipped
from symbreak.checkpoints._source import Source

DEEPEST = 500
# A pickle of n opcodes has about n values and names; shared parts, such as one state dict under two keys, add some.
SPARE, NAMES_PER_OPCODE, VISITS_PER_OPCODE = 10_000, 4, 40
MOST_CHARACTERS = 64 << 20  # of all names together
# What the whole of a file is called, which has no path.
TENSOR, OBJECT = "tensor", "object"
# What torch.save(model) writes in place of a state dict: the attributes by which a torch.nn.Module is known, and what
# to do.
OF_MODULES = frozenset({"_parameters", "_modules"})
STATE_DICT = "save its state_dict() in place of it: torch.save(model.state_dict(), FILE)"

Found = tuple[str, Tensor] | Skipped
Path = tuple["Path", str] | None


def flatten(source: Source, root: object, opcodes: int) -> Iterator[Found]:
    """Yield each tensor with its name, or what can't be read, in the order of the file.

    Parameters
    ----------
    source
        The file, for its name in errors.
    root
        What the pickle describes.
    opcodes
        The length of its program, to which the work must stay in proportion.

    Raises
    ------
    BadCheckpoint
        A dict has one key twice, or the value is out of all proportion.
    """
    walk = _Walk(source, opcodes)
    yield from walk.visit(None, root)
    frames: list[_Frame] = walk.frames
    while frames:
        frame = frames[-1]
        for path, child in frame.children:
            yield from walk.visit(path, child)
            if frames[-1] is not frame:
                break
        else:
            walk.leave()


class _Frame:
    """A container that is being walked, and whether it is a module or lies in one."""

    def __init__(self, value: object, children: Iterator[tuple[Path, object]], found: int, *, module: bool) -> None:
        self.value, self.children, self.found, self.module = value, children, found, module


class _Walk:
    def __init__(self, source: Source, opcodes: int) -> None:
        self.source = source
        self.most_found = SPARE + NAMES_PER_OPCODE * opcodes
        self.most_visits = 4 * SPARE + VISITS_PER_OPCODE * opcodes
        self.frames: list[_Frame] = []
        self.active: set[int] = set()
        self.barren: set[int] = set()  # containers in which nothing was found
        self.visits = self.found = self.characters = 0

    def visit(self, path: Path, value: object) -> Iterator[Found]:
        self.visits += 1
        if self.visits > self.most_visits:
            raise self.source.bad("its pickle refers to its own parts over and over", RESAVE)
        if isinstance(value, Tensor | Unread):
            name = self.name(path)
            yield (name, value) if isinstance(value, Tensor) else Skipped(name, value.reason)
            value = value.attributes
        if isinstance(value, Storage):
            yield Skipped(self.name(path), "a bare storage: it has no shape")
        elif isinstance(value, Pairs | Opaque | list | tuple) and id(value) not in self.barren:
            if id(value) in self.active:
                return  # it contains itself, and what it holds is being named already
            if len(self.frames) == DEEPEST:
                raise self.source.bad(f"its pickle is nested more than {DEEPEST} deep", RESAVE)
            module = _is_module(value)
            within = bool(self.frames) and self.frames[-1].module
            # The tensors of a module are found, so of the modules in it there is nothing more to say.
            if isinstance(value, Opaque) and not value.known and not (module and within):
                what, fix = ("a whole module", STATE_DICT) if module else ("an object", None)
                reason = f"{what} of the class {visible(value.maker)}, which is not rebuilt"
                yield Skipped(self.name(path, OBJECT), reason, fix=fix)
            self.active.add(id(value))
            self.frames.append(_Frame(value, self.children(path, value), self.found, module=module or within))

    def leave(self) -> None:
        frame = self.frames.pop()
        self.active.discard(id(frame.value))
        unknown = isinstance(frame.value, Opaque) and not frame.value.known
        if self.found == frame.found and not unknown:
            self.barren.add(id(frame.value))

    def children(self, path: Path, value: object) -> Iterator[tuple[Path, object]]:
        if isinstance(value, list | tuple):
            yield from (((path, str(i)), item) for i, item in enumerate(value))
        if isinstance(value, Opaque):
            yield from (((path, str(i)), item) for i, item in enumerate(value.args))
            yield from (((path, str(i)), item) for i, item in enumerate(value.items))
        if isinstance(value, Pairs | Opaque):
            yield from self.pairs(path, value.pairs)
            # A class with slots has two dicts for its attributes.
            for state in value.state if isinstance(value.state, tuple) else (value.state,):
                if isinstance(state, Pairs):
                    yield from self.pairs(path, state.pairs)
                else:
                    yield (path, "state"), state

    def pairs(self, path: Path, pairs: list[tuple[object, object]]) -> Iterator[tuple[Path, object]]:
        seen = set()
        for i, (key, value) in enumerate(pairs):
            name = _key(key)
            if name is None:  # a key that is itself made of parts
                name = f"key{i}"
                yield (path, name), key
            elif isinstance(key, str):
                if key in seen:
                    raise self.source.bad(f"its pickle has the key {quoted(key)} twice in one dict")
                seen.add(key)
            yield (path, name), value

    def name(self, path: Path, whole: str = TENSOR) -> str:
        parts = []
        while path is not None:
            path, part = path
            parts.append(part)
        name = ".".join(reversed(parts)) if parts else whole
        self.found += 1
        self.characters += len(name)
        if self.found > self.most_found or self.characters > MOST_CHARACTERS:
            raise self.source.bad("its pickle lists the same tensors under endless names", RESAVE)
        return name


def _is_module(value: object) -> bool:
    """Whether this is a torch.nn.Module, by the attributes that every one has."""
    if not isinstance(value, Opaque) or not isinstance(value.state, Pairs):
        return False
    return {key for key, _ in value.state.pairs if isinstance(key, str)} >= OF_MODULES


def _key(key: object) -> str | None:
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return number(key)
    if key is None or isinstance(key, bool | float | bytes | Global):
        return visible(key)
    return None
