"""The opcodes of pickle protocols 2 to 5 that torch.save emits, interpreted without any machine that can call.

A pickle is a program for a small stack machine [1]. Here each opcode is one row of a table, names stay names, and calls
make descriptions. Every length is compared with what is left of the program first; the program, the stack and the memo
are bounded.

[1] CPython, Lib/pickletools.py.
"""

import struct
from collections.abc import Callable
from mmap import mmap
from typing import final

from symbreak._visible import visible
from symbreak.checkpoints._callables import RESAVE, call, is_dangerous, is_harmless, storage, would_call
from symbreak.checkpoints._inert import Global, Opaque, Pairs, Storage, Unread, kind_of
from symbreak.checkpoints._source import TRUNCATED, Source

MOST_BYTES = 256 << 20  # of program; the tensors are not in it
MOST_STEPS = 10_000_000  # about 400,000 tensors
LONGEST_NAME = 1000  # bytes of a module's or a class's name
LONGEST_INTEGER = 1 << 12  # bytes


@final
class Machine:
    """One run of one program.

    Parameters
    ----------
    source
        The file, for its name in errors.
    program
        The pickle, and nothing else.
    begin
        Where the pickle begins, when other bytes of the file surround it: then the program is the file's bytes, and
        after the run `at` is where the pickle ends.
    describe
        What a persistent id stands for.
    """

    def __init__(
        self,
        source: Source,
        program: bytes | memoryview | mmap,
        begin: int | None = None,
        describe: Callable[[Source, object], Storage | Global] = storage,
    ) -> None:
        if begin is None and len(program) > MOST_BYTES:
            raise self.refuse(source, f"its pickle has {len(program):,} bytes")
        self.source, self.begin, self.alone, self.describe = source, begin or 0, begin is None, describe
        self.program = bytes(program) if isinstance(program, memoryview) else program
        self.at = self.begin
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.named: list[Global] = []  # what is dangerous and was named, but not yet called
        self.storages: set[str] = set()  # the keys of the records that it mentions
        self.steps = 0  # opcodes so far
        self.done = False

    @staticmethod
    def refuse(source: Source, problem: str) -> Exception:
        return source.bad(problem, RESAVE)

    def run(self) -> object:
        """Return what the program describes.

        Raises
        ------
        BadCheckpoint
            It is malformed, uses what torch.save does not, or would call something outside the allowed list.
        """
        while not self.done:
            code = self.take(1)
            handler = OPCODES.get(code)
            if handler is None:
                name = REFUSED.get(code, f"{code[0]:#04x}")
                raise self.bad(f"its pickle has the opcode {name}, which torch.save does not write")
            if (self.steps == 0) != (code == b"\x80"):
                raise self.bad("its pickle does not begin with its protocol, once")
            handler(self)
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise self.refuse(self.source, f"its pickle has more than {MOST_STEPS:,} steps")
        whole = self.at == len(self.program) or not self.alone
        if not whole or len(self.stack) != 1 or self.marks:
            raise self.bad("its pickle does not end with its one value")
        if self.named:
            raise self.refuse(self.source, f"its pickle names {visible(self.named[0])}, which no tensor needs")
        return self.stack[0]

    def bad(self, problem: str, *fix: str) -> Exception:
        return self.source.bad(f"{problem} (at byte {self.at - self.begin:,} of the pickle)", *fix)

    # Reading the program

    def take(self, length: int) -> bytes:
        if length > len(self.program) - self.at:
            raise self.bad(f"its pickle is cut off: {length:,} more bytes are claimed", TRUNCATED)
        self.at += length
        if self.at - self.begin > MOST_BYTES:
            raise self.refuse(self.source, f"its pickle has more than {MOST_BYTES:,} bytes")
        return self.program[self.at - length : self.at]

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def signed(self, data: bytes) -> int:
        if len(data) > LONGEST_INTEGER:
            raise self.bad(f"its pickle has an integer of {len(data):,} bytes")
        return int.from_bytes(data, "little", signed=True)

    def text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.bad("its pickle has a text that is not UTF-8") from None

    def old_text(self, data: bytes) -> str | bytes:
        """Return a text of Python 2, in which bytes were texts too."""
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data

    def line(self) -> str:
        end = self.program.find(b"\n", self.at, self.at + LONGEST_NAME + 1)
        if end < 0:
            raise self.bad("its pickle has a name without an end", TRUNCATED)
        return self.text(self.take(end + 1 - self.at)[:-1])

    # The stack, the marks and the memo

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            raise self.bad("its pickle takes a value that is not there")
        return self.stack.pop()

    def top(self) -> object:
        if not self.stack:
            raise self.bad("its pickle takes a value that is not there")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def marked(self) -> list[object]:
        """Return the values since the last mark, and forget the mark."""
        if not self.marks:
            raise self.bad("its pickle takes a mark that is not there")
        values, self.stack = self.stack, self.marks.pop()
        return values

    def put(self, index: int) -> None:
        """Remember the top. Picklers count from 0 or 1, so an index far past the count is a claim on memory."""
        if index > len(self.memo) + 1:
            raise self.bad(f"its pickle remembers value {index:,} as number {len(self.memo):,}")
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise self.bad(f"its pickle recalls value {index:,}, which it did not remember")
        self.push(self.memo[index])

    # Values

    def tuple_of(self, count: int) -> None:
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def discard(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.marked()

    def extend(self, values: list[object]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Opaque):
            target.items.extend(values)
        else:
            raise self.bad(f"its pickle appends to {kind_of(target)}")

    def append(self) -> None:
        value = self.pop()
        self.extend([value])

    def update(self, values: list[object]) -> None:
        target = self.top()
        if len(values) % 2:
            raise self.bad("its pickle has a key without a value")
        if not isinstance(target, Pairs | Opaque):
            raise self.bad(f"its pickle sets an item of {kind_of(target)}")
        target.pairs.extend(zip(values[::2], values[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.update([key, value])

    # Names and calls

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or max(len(module), len(name)) > LONGEST_NAME:
            raise self.bad("its pickle has a name that is no text")
        found = Global(module, name)
        if is_dangerous(found):
            self.named.append(found)
        self.push(found)

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def called(self) -> tuple[Global, tuple[object, ...]]:
        args, maker = self.pop(), self.pop()
        if not isinstance(maker, Global) or not isinstance(args, tuple):
            raise self.bad(f"its pickle would call {kind_of(maker)}")
        if is_dangerous(maker):
            raise would_call(self.source, maker)
        return maker, args

    def reduce(self) -> None:
        self.push(call(self.source, *self.called()))

    def new_object(self) -> None:
        """Describe an instance, of whatever class: it is never made, its attributes are data, its class is reported."""
        maker, args = self.called()
        self.push(Opaque(maker, args, is_harmless(maker)))

    def new_object_with_options(self) -> None:
        options = self.pop()
        if not isinstance(options, Pairs):
            raise self.bad(f"its pickle makes an object with {kind_of(options)} for its keyword arguments")
        self.new_object()
        self.update([part for pair in options.pairs for part in pair])

    def storage(self) -> None:
        found = self.describe(self.source, self.pop())
        if isinstance(found, Storage):
            self.storages.add(found.key)
        self.push(found)

    def instance(self) -> None:
        maker = Global(self.line(), self.line())
        raise would_call(self.source, maker)

    def marked_instance(self) -> None:
        values = self.marked()
        if values and isinstance(values[0], Global):
            raise would_call(self.source, values[0])
        raise self.bad("its pickle would call what is no name")

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, Unread):
            return  # a pickled array is made in two steps; it is reported as a whole
        if not isinstance(target, Pairs | Opaque):
            raise self.bad(f"its pickle sets attributes of {kind_of(target)}")
        if target.state is not None:
            raise self.bad("its pickle sets an object's attributes twice")
        target.state = state

    # The opcodes that are more than one of the above

    def protocol(self) -> None:
        version = self.unsigned(1)
        if not 2 <= version <= 5:
            raise self.bad(f"its pickle has protocol {version}, and 2 to 5 are read")

    def frame(self) -> None:
        length = self.unsigned(8)
        if length > len(self.program) - self.at:
            raise self.bad(f"its pickle is cut off: a frame of {length:,} bytes is claimed", TRUNCATED)

    def stop(self) -> None:
        self.done = True


# One row an opcode.
OPCODES: dict[bytes, Callable[[Machine], None]] = {
    # The program
    b"\x80": Machine.protocol,
    b"\x95": Machine.frame,
    b".": Machine.stop,
    # Constants
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.unsigned(1)),
    b"M": lambda m: m.push(m.unsigned(2)),
    b"J": lambda m: m.push(m.signed(m.take(4))),
    b"\x8a": lambda m: m.push(m.signed(m.take(m.unsigned(1)))),
    b"\x8b": lambda m: m.push(m.signed(m.take(m.unsigned(4)))),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"\x8c": lambda m: m.push(m.text(m.take(m.unsigned(1)))),
    b"X": lambda m: m.push(m.text(m.take(m.unsigned(4)))),
    b"\x8d": lambda m: m.push(m.text(m.take(m.unsigned(8)))),
    b"U": lambda m: m.push(m.old_text(m.take(m.unsigned(1)))),
    b"T": lambda m: m.push(m.old_text(m.take(m.unsigned(4)))),
    b"C": lambda m: m.push(m.take(m.unsigned(1))),
    b"B": lambda m: m.push(m.take(m.unsigned(4))),
    b"\x8e": lambda m: m.push(m.take(m.unsigned(8))),
    b"\x96": lambda m: m.push(m.take(m.unsigned(8))),
    # Containers
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"t": lambda m: m.push(tuple(m.marked())),
    b"]": lambda m: m.push([]),
    b"a": Machine.append,
    b"e": lambda m: m.extend(m.marked()),
    b"}": lambda m: m.push(Pairs()),
    b"s": Machine.set_item,
    b"u": lambda m: m.update(m.marked()),
    b"\x8f": lambda m: m.push([]),  # a set: its order is the file's
    b"\x90": lambda m: m.extend(m.marked()),
    b"\x91": lambda m: m.push(m.marked()),
    # The stack and the memo
    b"(": Machine.mark,
    b"0": Machine.discard,
    b"1": lambda m: m.marked().clear(),
    b"q": lambda m: m.put(m.unsigned(1)),
    b"r": lambda m: m.put(m.unsigned(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"h": lambda m: m.get(m.unsigned(1)),
    b"j": lambda m: m.get(m.unsigned(4)),
    # Names, calls, storages
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": Machine.stack_global,
    b"R": Machine.reduce,
    b"\x81": Machine.new_object,
    b"\x92": Machine.new_object_with_options,
    b"b": Machine.build,
    b"Q": Machine.storage,
    b"i": Machine.instance,
    b"o": Machine.marked_instance,
}

# What a pickle can hold besides, by name for the error.
REFUSED = {
    b"2": "DUP",
    b"F": "FLOAT",
    b"I": "INT",
    b"L": "LONG",
    b"S": "STRING",
    b"V": "UNICODE",
    b"P": "PERSID",
    b"d": "DICT",
    b"l": "LIST",
    b"g": "GET",
    b"p": "PUT",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"\x97": "NEXT_BUFFER",
    b"\x98": "READONLY_BUFFER",
}
