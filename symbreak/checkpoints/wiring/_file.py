"""Wiring files: what a user states of a network that no rule knows, in TOML or JSON."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from symbreak._visible import quoted, visible
from symbreak.checkpoints._json import parse_object
from symbreak.checkpoints._source import Source
from symbreak.checkpoints.wiring._patterns import check_pattern, placeholders
from symbreak.checkpoints.wiring._spec import ALL_KINDS, MIXING, WEIGHT, SpaceSpec, Statement, Wiring
from symbreak.checkpoints.wiring._terms import Axes, format_axes, parse_axes, parts, terms
from symbreak.graph import NORMS, OF_NORMS

if TYPE_CHECKING:
    from symbreak.checkpoints.wiring._wire import Wired

VERSION = 1
LARGEST = 4 << 20  # bytes of a wiring file
RULE = "wiring"
TOP = ("version", "tensors", "spaces", "ignore")
OF_A_TENSOR = ("axes", "kind", "norm", "multiplies", "also", "over")
OF_A_SPACE = {"units": int, "activation": str, "apart": str, "input": bool, "output": bool, "groups": str,
              "norm_groups": int}  # fmt: skip


def read_wiring(path: str | os.PathLike[str]) -> Wiring:
    """Read a wiring file: TOML, or JSON where its name ends in ``.json``.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Wiring
        For `wire`.

    Raises
    ------
    ValueError
        What is malformed in it, with the place.
    OSError
        It can't be opened.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "wiring.toml"
    >>> _ = path.write_text('''
    ... version = 1
    ... [tensors]
    ... "up" = ["out hidden", "in features"]
    ... "down" = ["out classes", "in hidden"]
    ... ''')
    >>> [statement.pattern for statement in read_wiring(path).statements]
    ['up', 'down']
    """
    with Source(path) as source:
        if source.size > LARGEST:
            raise source.bad(f"has {source.size:,} bytes", f"a wiring file has at most {LARGEST:,}")
        text = source.data[:]
        if Path(source.path).suffix.lower() == ".json":
            content: Mapping[str, object] = parse_object(source, text, "the wiring")
        else:
            try:
                content = tomllib.loads(text.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise source.bad(f"is not UTF-8 at byte {error.start:,}", "write the wiring as TOML") from None
            except (tomllib.TOMLDecodeError, ValueError) as error:
                raise source.bad(f"is not TOML: {visible(error)}", "see the reference of wiring files") from None
            except RecursionError:
                raise source.bad("is nested too deeply", "see the reference of wiring files") from None
    try:
        return parse_wiring(content)
    except ValueError as error:
        raise ValueError(f"{visible(os.fspath(path))}: {error}") from None


def as_wiring(wiring: object) -> Wiring:
    """Take what a caller gives for a wiring: a path, the content of a file, or a `Wiring`."""
    if isinstance(wiring, Wiring):
        return wiring
    if isinstance(wiring, Mapping):
        return parse_wiring(wiring)
    if isinstance(wiring, str | os.PathLike):
        return read_wiring(wiring)
    raise TypeError(f"`wiring` is a path, a mapping or a Wiring; got {type(wiring).__name__}")


def parse_wiring(content: Mapping[str, object]) -> Wiring:
    """Read the content of a wiring file.

    Raises
    ------
    ValueError
        What is malformed, with the place.
    """
    _only(content, TOP, "the wiring")
    if content.get("version") != VERSION or isinstance(content.get("version"), bool):
        raise ValueError(f"the wiring needs `version = {VERSION}`; it has {visible(content.get('version'))}")
    wiring = Wiring(RULE, strict=True)
    tensors = _table(content, "tensors")
    if not tensors:
        raise ValueError("the wiring says nothing of any tensor: it needs a table `tensors`")
    for pattern, entry in tensors.items():
        wiring.statements += _statements(pattern, entry)
    for pattern, entry in _table(content, "spaces").items():
        wiring.spaces[pattern] = _space(pattern, entry)
    for pattern, reason in _table(content, "ignore").items():
        check_pattern(pattern, "`ignore`")
        if not isinstance(reason, str) or not reason:
            raise ValueError(f'`ignore`: {quoted(pattern)} needs a reason, as in "a causal mask"')
        wiring.ignored[pattern] = reason
    _check_groups(wiring)
    return wiring


def save_wiring(wired: "Wired | Wiring", path: str | os.PathLike[str]) -> None:
    """Write a wiring to a file from which a user can go on: TOML, or JSON where the name ends in ``.json``.

    Parameters
    ----------
    wired
        What `wire` returned; or its wiring.
    path
        The file, which is replaced.

    Raises
    ------
    TypeError
        For something else than a wiring.
    OSError
        If the file can't be written.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from symbreak.checkpoints import save_wiring, wire
    >>> found = wire({"fc1.weight": np.ones((8, 2)), "fc1.bias": np.zeros(8), "fc2.weight": np.ones((1, 8))})
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "wiring.toml"
    >>> save_wiring(found, path)
    >>> print(path.read_text())
    version = 1
    <BLANKLINE>
    [tensors]
    "fc1.weight" = ["out fc1", "in input"]
    "fc1.bias" = { axes = ["out fc1"], kind = "bias" }
    "fc2.weight" = ["out output", "in fc1"]
    <BLANKLINE>
    [spaces]
    "input" = { input = true }
    "fc1" = { activation = "unknown" }
    "output" = { output = true }
    <BLANKLINE>
    """
    wiring = getattr(wired, "wiring", wired)
    if not isinstance(wiring, Wiring):
        kinds = f"{type(wired).__name__}, {type(path).__name__}"
        raise TypeError(f"save_wiring takes what `wire` returned, then a path; got {kinds}")
    content = wiring_content(wiring)
    if Path(path).suffix.lower() == ".json":
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    else:
        text = f"version = {VERSION}\n"
        for title in ("tensors", "spaces", "ignore"):
            table = content.get(title)
            if isinstance(table, dict) and table:
                rows = (f"{_toml(key)} = {_toml(value)}" for key, value in table.items())
                text += f"\n[{title}]\n" + "\n".join(rows) + "\n"
    Path(path).write_text(text, "utf-8")


def wiring_content(wiring: Wiring) -> dict[str, object]:
    """Give a wiring as the plain data of a wiring file."""
    tensors: dict[str, object] = {}
    grouped: dict[str, list[Statement]] = {}
    for statement in wiring.statements:
        grouped.setdefault(statement.pattern, []).append(statement)
    for pattern, (first, *others) in grouped.items():
        axes = format_axes(first.axes)
        entry: dict[str, object] = {"axes": axes}
        entry |= {"kind": first.kind} if first.kind != WEIGHT else {}
        entry |= {"norm": first.norm} if first.norm else {}
        entry |= {"multiplies": first.multiplies} if first.multiplies else {}
        entry |= {"over": format_axes(first.over)} if first.over else {}
        entry |= {"also": [format_axes(other.axes) for other in others]} if others else {}
        tensors[pattern] = axes if len(entry) == 1 else entry
    spaces: dict[str, object] = {}
    for pattern, spec in wiring.spaces.items():
        plain = SpaceSpec()
        facts = {key: getattr(spec, key) for key in OF_A_SPACE if getattr(spec, key) != getattr(plain, key)}
        if facts:
            spaces[pattern] = facts
    found: dict[str, object] = {"version": VERSION, "tensors": tensors}
    found |= {"spaces": spaces} if spaces else {}
    found |= {"ignore": dict(wiring.ignored)} if wiring.ignored else {}
    return found


def _statements(pattern: str, entry: object) -> list[Statement]:
    where = quoted(pattern)
    check_pattern(pattern, "`tensors`")
    table: Mapping[str, object] = {"axes": entry} if isinstance(entry, list | tuple) else _as_table(entry, where)
    _only(table, OF_A_TENSOR, where)
    if "axes" not in table:
        raise ValueError(f"{where}: needs `axes`, a list with one entry an axis")
    kind = table.get("kind", WEIGHT)
    if kind not in ALL_KINDS:
        raise ValueError(f"{where}: no kind is called {visible(kind)}; it is one of {', '.join(ALL_KINDS)}")
    norm = _norm(table, str(kind), where)
    over = parse_axes(table.get("over", []), where)
    multiplies = _multiplies(table, pattern, where)
    also = table.get("also", [])
    if not isinstance(also, list | tuple):
        raise ValueError(f"{where}: `also` is a list of further uses, each a list of axes, not {visible(also)}")
    found = []
    for use in (table["axes"], *also):
        axes = parse_axes(use, where)
        _check_roles(axes, over, str(kind), where)
        _check_placeholders(pattern, (*axes, *over), where)
        if norm in MIXING and any(part for part in parts(axes)):
            raise ValueError(
                f"{where}: a {norm} norm takes the mean over the units of all parts of an axis that is cut; leave out "
                f"its `norm`"
            )
        found.append(Statement(pattern, axes, str(kind), over, norm, multiplies))
    return found


def _multiplies(table: Mapping[str, object], pattern: str, where: str) -> str:
    """Read what a mask multiplies; empty where it is none."""
    found = table.get("multiplies", "")
    if "multiplies" not in table:
        return ""
    if not isinstance(found, str) or not found:
        raise ValueError(f"{where}: `multiplies` is the name of a tensor, not {found!r:.80}")
    check_pattern(found, where)
    for each in placeholders(found):
        if each not in placeholders(pattern):
            raise ValueError(f"{where}: {quoted(found)} has the placeholder {{{each}}}, which the tensor's name hasn't")
    if "*" in found:
        raise ValueError(f"{where}: {quoted(found)} has a '*'; `multiplies` has only placeholders")
    if table.get("also") or table.get("norm"):
        raise ValueError(f"{where}: a mask has the axes of what it multiplies once, so no `also` and no `norm`")
    return found


def _norm(table: Mapping[str, object], kind: str, where: str) -> str | None:
    """Read which norm a parameter is of; None where that isn't said."""
    norm = table.get("norm")
    if norm is None:
        return None
    if norm not in NORMS:
        raise ValueError(f"{where}: no norm is called {visible(norm)}; it is one of {', '.join(NORMS)}")
    if kind not in OF_NORMS:
        raise ValueError(f"{where}: of kind {kind!r}, it belongs to no norm; those of norms are {', '.join(OF_NORMS)}")
    return str(norm)


def _check_roles(axes: Axes, over: Axes, kind: str, where: str) -> None:
    """Raise unless each part of a weight writes and reads, and a per-unit parameter belongs to one space."""
    for part in parts(axes):
        roles = [term.role for term in (*terms(over), *terms(axes, part))]
        place = f"{where}, part {quoted(part)}" if part else where
        if kind == WEIGHT and not {"out", "in"} <= set(roles):
            lacks = "out" if "out" not in roles else "in"
            raise ValueError(
                f"{place}: a weight needs an 'out' and an 'in' axis, and has no {lacks!r}; what belongs to the units "
                f"of one space needs a `kind`, one of {', '.join(ALL_KINDS[1:])}"
            )
        if kind != WEIGHT and (roles.count("out") != 1 or "in" in roles):
            raise ValueError(f"{place}: of kind {kind!r}, it needs exactly one 'out' axis and no 'in' axis")


def _check_placeholders(pattern: str, axes: Axes, where: str) -> None:
    known = set(placeholders(pattern))
    for term in terms(axes):
        check_pattern(term.space, where)
        for each in placeholders(term.space):
            if each not in known:
                raise ValueError(
                    f"{where}: {quoted(term.space)} has the placeholder {{{each}}}, which the tensor's name hasn't"
                )
        if "*" in term.space:
            raise ValueError(f"{where}: {quoted(term.space)} has a '*'; the name of a space has only placeholders")


def _space(pattern: str, entry: object) -> SpaceSpec:
    where = f"space {quoted(pattern)}"
    check_pattern(pattern, "`spaces`")
    table = _as_table(entry, where)
    _only(table, tuple(OF_A_SPACE), where)
    for key, value in table.items():
        kind = OF_A_SPACE[key]
        if not isinstance(value, kind) or (kind is int and not _is_count(value)):
            wanted = {int: f"a number of {key.removeprefix('norm_')}, 1 or more", str: "a text", bool: "true or false"}[
                kind
            ]
            raise ValueError(f"{where}: `{key}` is {wanted}, not {visible(value)}")
    return SpaceSpec(**table)  # type: ignore[arg-type]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_groups(wiring: Wiring) -> None:
    """Raise where groups go around in a circle."""
    for start in wiring.spaces:
        seen, name = [start], wiring.spaces[start].groups
        while name:
            if name in seen:
                raise ValueError(f"the groups of space {quoted(start)} go in a circle: {' -> '.join([*seen, name])}")
            seen.append(name)
            name = wiring.spaces[name].groups if name in wiring.spaces else ""


def _only(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: nothing is called {quoted(key)} here; known are {', '.join(known)}")


def _table(content: Mapping[str, object], key: str) -> Mapping[str, object]:
    return _as_table(content.get(key, {}), f"`{key}`")


def _as_table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: a table is needed, not {visible(value)}")
    return value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return (
            "{ "
            + ", ".join(
                f"{key if key.isidentifier() and key.isascii() else _toml(key)} = {_toml(item)}"
                for key, item in value.items()
            )
            + " }"
        )
    raise TypeError(type(value).__name__)
