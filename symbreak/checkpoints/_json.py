"""JSON from strangers: what the standard leaves open, and Python's parser lets pass, is refused."""

import json
from typing import NoReturn

from symbreak._visible import quoted, visible
from symbreak.checkpoints._source import TRUNCATED, Source

LARGEST = 100_000_000  # bytes; the limit that the safetensors format sets for its header


class _Fault(ValueError):  # noqa: N818 - says what the text has
    """A fault that the parser itself would let pass."""


def parse_object(source: Source, text: bytes, what: str) -> dict[str, object]:
    """Parse a JSON object: UTF-8, no key twice, no NaN or Infinity, no nesting that exhausts the stack.

    Raises
    ------
    BadCheckpoint
        With what was found instead.
    """
    if len(text) > LARGEST:
        raise source.bad(f"{what} has {len(text):,} bytes of JSON", f"at most {LARGEST:,} are read")
    try:
        parsed = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise source.bad(f"{what} is not UTF-8 at byte {error.start:,}") from None
    except RecursionError:
        raise source.bad(f"{what} is nested too deeply") from None
    except _Fault as error:
        raise source.bad(f"{what} {error}") from None
    except json.JSONDecodeError as error:
        raise source.bad(f"{what} is not JSON: {error.msg} at character {error.pos:,}", TRUNCATED) from None
    except ValueError as error:  # an integer of thousands of digits
        raise source.bad(f"{what} is not usable JSON: {visible(error)}") from None
    if not isinstance(parsed, dict):
        raise source.bad(f"{what} is {type_name(parsed)}, not a JSON object")
    return parsed


def type_name(value: object) -> str:
    """How a value from JSON is called in a message."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _Fault(f"has the key {quoted(key)} twice")
        if not _encodable(key):
            raise _Fault(f"has a key with a lone surrogate, {quoted(key)}")
        found[key] = value
    return found


def _encodable(key: str) -> bool:
    return key.isascii() or not any("\ud800" <= char <= "\udfff" for char in key)


def _constant(name: str) -> NoReturn:
    raise _Fault(f"holds {name}, which JSON does not have")
