"""The table [tool.symbreak] of a pyproject.toml: what a project always wants of `symbreak check`."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from symbreak.findings import CODES, Finding, Level, select_codes
from symbreak.reports import Report, split_place, tensor_of, visible

FILE = "pyproject.toml"
UNREAD = "SB301"


@final
@dataclass(frozen=True)
class Settings:
    """What a project always wants.

    Parameters
    ----------
    select, ignore
        Codes; empty selects all.
    tensors
        (glob, codes that are ignored for the tensors and spaces of such names).
    levels
        Levels in place of those of the table of codes.
    tolerance, fail_on
        As the options of these names; None where they are not set.
    baseline
        The path of a baseline, or None.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    tensors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)
    tolerance: float | None = None
    fail_on: str | None = None
    baseline: str | None = None

    @property
    def codes(self) -> frozenset[str]:
        """The codes that are looked for."""
        return frozenset(self.select or CODES) - frozenset(self.ignore)

    def apply(self, report: Report) -> Report:
        """Change levels, and leave out what is not selected or is ignored."""
        changed = tuple(self._levelled(finding) for finding in report.findings)
        files = frozenset(report.files)
        codes = self.codes
        kept = replace(report, findings=changed)
        return kept.filtered(lambda finding: finding.code in codes and not self._is_passed_over(finding, files))

    def _levelled(self, finding: Finding) -> Finding:
        """Give a finding its level; one that the certificate of its network made a note stays one."""
        level = self.levels.get(finding.code)
        if level is None or finding.level != CODES[finding.code].level:
            return finding
        return replace(finding, level=level)

    def _is_passed_over(self, finding: Finding, files: frozenset[str]) -> bool:
        if not self.tensors:
            return False
        name = tensor_of(split_place(finding.where, files)[1])
        return any(finding.code in codes and fnmatch.fnmatchcase(name, glob) for glob, codes in self.tensors)


def find_settings(folder: Path) -> Path | None:
    """Find the nearest pyproject.toml with a table [tool.symbreak], from a folder upwards.

    Raises
    ------
    OSError
        One can't be read.
    ValueError
        One that names symbreak is no TOML.
    """
    for parent in (folder, *folder.parents):
        path = parent / FILE
        if path.is_file() and b"symbreak" in (data := path.read_bytes()) and _table(data, path) is not None:
            return path
    return None


def read_settings(path: Path) -> Settings:
    """Read the table [tool.symbreak] of a file.

    Raises
    ------
    OSError
        It can't be read.
    ValueError
        It is no TOML, has no such table, or holds what the table may not; the message names the file and the key.
    """
    table = _table(path.read_bytes(), path)
    if table is None:
        raise ValueError(f"{visible(path)} has no table [tool.symbreak]")
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            import difflib  # for errors only

            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0)[0]
            raise ValueError(f"{visible(path)}: [tool.symbreak] has no key '{visible(key)}'; the nearest is '{near}'")
        name, read = KEYS[key]
        try:
            found[name] = read(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{visible(path)}: [tool.symbreak] {key}: {error}") from None
    if (baseline := found.get("baseline")) is not None:
        found["baseline"] = str(path.parent / baseline)
    return Settings(**found)


def _table(data: bytes, path: Path) -> dict[str, Any] | None:
    import tomllib  # where a project has settings

    try:
        tool = tomllib.loads(data.decode()).get("tool", {})
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{visible(path)} is no TOML file: {visible(error)}") from None
    table = tool.get("symbreak") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ValueError(f"{visible(path)}: [tool.symbreak] is a table; got {visible(repr(table))}")
    return table


def _codes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(
            f"a list of codes, or their beginnings, is needed, such as ['SB101', 'SB2']; got {_shown(value)}"
        )
    return _selected(value)


def _selected(prefixes: Iterable[str]) -> tuple[str, ...]:
    return tuple(code for prefix in prefixes for code in select_codes(visible(prefix)))


def _tensors(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"a table from globs to lists of codes is needed; got {_shown(value)}")
    found = []
    for glob, codes in value.items():
        check_glob(glob)
        try:
            found.append((glob, _codes(codes)))
        except ValueError as error:
            raise ValueError(f"'{visible(glob)}': {error}") from None
    return tuple(found)


def check_glob(glob: str) -> None:
    """Refuse a glob that matches nothing, or not what it looks as if it did.

    Raises
    ------
    ValueError
        It is empty, or a bracket in it is not closed.
    """
    if not glob:
        raise ValueError("a glob is empty; '*' matches every name")
    at = 0
    while (at := glob.find("[", at)) >= 0:
        first = at + 1 + glob[at + 1 : at + 2].count("!")  # a ] that comes first stands for itself
        end = glob.find("]", first + 1)
        if end < 0:
            raise ValueError(f"the [ in the glob '{visible(glob)}' is not closed; [[] stands for the character")
        at = end


def _levels(value: object) -> dict[str, Level]:
    if not isinstance(value, dict):
        raise ValueError(f"a table from codes to levels is needed; got {_shown(value)}")
    names = {str(level): level for level in Level}
    found: dict[str, Level] = {}
    for prefix, name in sorted(value.items(), key=lambda row: len(row[0])):  # a longer beginning says more
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"'{visible(prefix)}' needs one of {', '.join(names)}; got {_shown(name)}")
        codes = select_codes(visible(prefix))
        if UNREAD in codes and names[name] is not Level.ERROR:
            raise ValueError(f"{UNREAD} says that something was not read, and is always an error")
        found |= dict.fromkeys(codes, names[name])
    return found


def _tolerance(value: object) -> float:
    from symbreak.diagnosis import check_tolerance

    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a relative distance from 0 to 0.5 is needed; got {_shown(value)}")
    try:
        check_tolerance(float(value))
    except ValueError:
        raise ValueError(f"a relative distance from 0 to 0.5 is needed; got {_shown(value)}") from None
    return float(value)


def _fail_on(value: object) -> str:
    names = [str(level) for level in Level]
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"one of {', '.join(names)} is needed; got {_shown(value)}")
    return value


def _path(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a path is needed; got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return visible(repr(value))


KEYS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "select": ("select", _codes),
    "ignore": ("ignore", _codes),
    "per-tensor-ignores": ("tensors", _tensors),
    "levels": ("levels", _levels),
    "tolerance": ("tolerance", _tolerance),
    "fail-on": ("fail_on", _fail_on),
    "baseline": ("baseline", _path),
}
