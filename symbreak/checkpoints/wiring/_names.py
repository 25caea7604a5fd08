"""Names of tensors as the rules know them: without the prefixes and suffixes of what a model was wrapped in.

A wrapper may also put helpers beside a weight: the length of each unit of weight norm, the vectors of spectral norm,
the two factors of a low-rank adapter, the mask of what was pruned. They are kept with the weight that they belong to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, final

from symbreak.checkpoints.wiring._patterns import LONGEST, form, matches, placeholders

PREFIXES = ("_orig_mod.", "module.", "_forward_module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
LEADING = ("model_state_dict.", "state_dict.", "base_model.model.")  # only at the start: what a file was packed in

MASK = "mask"

# The end of a name in the file; that of the weight that it belongs to; what it is of it.
HELPERS = (
    (".parametrizations.{leaf}.original0", ".{leaf}", "length"),
    (".parametrizations.{leaf}.original1", ".{leaf}", ""),
    (".parametrizations.{leaf}.original", ".{leaf}", ""),
    (".parametrizations.{leaf}.0._u", ".{leaf}", "left"),
    (".parametrizations.{leaf}.0._v", ".{leaf}", "right"),
    (".weight_g", ".weight", "length"),
    (".weight_orig", ".weight", ""),
    (".weight_u", ".weight", "left"),
    (".base_layer.weight", ".weight", ""),
    (".base_layer.bias", ".bias", ""),
    (".lora_A.weight", ".weight", "lora_A"),
    (".lora_B.weight", ".weight", "lora_B"),
    (".lora_A.{leaf}.weight", ".weight", "lora_A {leaf}"),
    (".lora_B.{leaf}.weight", ".weight", "lora_B {leaf}"),
    (".lora_magnitude_vector.weight", ".weight", "magnitude"),
    (".lora_magnitude_vector.{leaf}.weight", ".weight", "magnitude {leaf}"),
    (".lora_magnitude_vector.{leaf}", ".weight", "magnitude {leaf}"),
    (".lora_magnitude_vector", ".weight", "magnitude"),
    (".lora_embedding_A.{leaf}", ".weight", "lora_A {leaf}"),
    (".lora_embedding_B.{leaf}", ".weight", "lora_B {leaf}"),
)
PRUNED = (("_orig", "_mask", ""), ("_mask", "_orig", MASK))  # of any parameter, only where both are there


class Helper(NamedTuple):
    """A tensor that belongs to a weight: its name in the file, and what it is of it."""

    name: str
    what: str


@final
@dataclass(frozen=True)
class Names:
    """Tensors by the names that the rules know.

    Parameters
    ----------
    files
        The name in the file of each name.
    shapes
        The shape of each name.
    helpers
        The tensors that belong to a weight, by the weight's name, which need not be there.
    helper_shapes
        Their shapes, by their names in the file.
    twice
        Names in the file that would get a name that another has.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    helpers: Mapping[str, tuple[Helper, ...]] = field(default_factory=dict)
    helper_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    twice: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Names":
        """Take wrappers off the names of a file."""
        files: dict[str, str] = {}
        helpers: dict[str, list[Helper]] = {}
        helper_shapes: dict[str, tuple[int, ...]] = {}
        twice = []
        bare = {name: strip_prefixes(name) for name in shapes}
        known = set(bare.values())
        for name in shapes:
            weight, what = _owner(bare[name], known)
            if what:
                helpers.setdefault(weight, []).append(Helper(name, what))
                helper_shapes[name] = shapes[name]
            elif weight in files:
                twice.append(name)
            else:
                files[weight] = name
        given = {name: shapes[file] for name, file in files.items()}
        return cls(files, given, {key: tuple(found) for key, found in helpers.items()}, helper_shapes, tuple(twice))

    @classmethod
    def plain(cls, shapes: Mapping[str, tuple[int, ...]]) -> "Names":
        """Take the names of a file as they are."""
        return cls({name: name for name in shapes}, shapes)

    def find(self, pattern: str) -> list[tuple[str, dict[str, str]]]:
        """List the names that a pattern matches, in their order, each with its numbers."""
        if "*" in pattern:
            return matches(pattern, self.shapes)
        if pattern in self.shapes and not placeholders(pattern):
            return [(pattern, {})]
        return matches(pattern, self._by_form.get(form(pattern), ()))

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.shapes:
            if len(name) <= LONGEST:
                found.setdefault(form(name), []).append(name)
        return found

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.shapes


def strip_prefixes(name: str) -> str:
    """Take the prefixes of wrappers off a name.

    Examples
    --------
    >>> strip_prefixes("module._orig_mod.layers.0._checkpoint_wrapped_module.fc.weight")
    'layers.0.fc.weight'
    """
    before = None if len(name) <= LONGEST else name  # no model has such names, and they would take long
    while before != name:
        before = name
        for prefix in (*LEADING, *PREFIXES):
            if name.startswith(prefix) and len(name) > len(prefix):
                name = name[len(prefix) :]
        for prefix in PREFIXES:
            name = name.replace("." + prefix, ".")
    return name


def natural(name: str) -> list[tuple[int, int | str]]:
    """Key that sorts names with their numbers as numbers.

    Examples
    --------
    >>> sorted(["layers.10", "layers.9"], key=natural)
    ['layers.9', 'layers.10']
    """
    pieces = re.split(r"([0-9]{1,18})", name)
    return [(0, int(piece)) if piece.isascii() and piece.isdigit() else (1, piece) for piece in pieces]


def _owner(name: str, known: set[str]) -> tuple[str, str]:
    """Give the name of the weight that a tensor is or belongs to, and what it is of it: empty for itself."""
    if name.endswith(".weight_v"):  # of weight norm the weight itself, of spectral norm a vector
        stem = name.removesuffix("_v")
        return (stem, "") if stem + "_g" in known else (stem, "right") if stem + "_orig" in known else (name, "")
    for ending, beside, what in PRUNED:
        stem = name.removesuffix(ending)
        if stem != name and stem and stem + beside in known:
            return stem, what
    for ending, owner, what in HELPERS:
        head, _, tail = ending.partition("{leaf}")
        if not name.endswith(tail) or head not in name:
            continue
        if "{leaf}" not in ending:
            return name.removesuffix(ending) + owner, what
        stem, _, leaf = name.removesuffix(tail).rpartition(head)
        if stem and leaf and "." not in leaf:
            return stem + owner.replace("{leaf}", leaf), what.replace("{leaf}", leaf)
    return name, ""
