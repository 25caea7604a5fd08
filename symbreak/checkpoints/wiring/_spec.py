"""A wiring, before it meets arrays: what is said of tensors and of spaces, by a rule or by a user's file.

Names may be patterns (see `_patterns`), so that one statement serves all layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._terms import Axes, parse_axes
from symbreak.graph import KINDS

WEIGHT = "weight"
ALL_KINDS = (WEIGHT, *KINDS)
MIXING = ("layer", "group")  # norms that take the mean of units: what they are over several spaces is left unnamed


@final
@dataclass(frozen=True)
class Statement:
    """What is said of the tensors that a pattern matches.

    Parameters
    ----------
    pattern
        Of their names.
    axes
        What each axis is.
    kind
        ``"weight"``, or the kind of a per-unit parameter.
    over
        Spaces, or placeholders' ranges, over which an array that many units share is repeated: terms that the array
        has no axes for, put before its own. A norm that all heads share has ``head heads`` here.
    norm
        For a scale, shift, mean or variance, the norm that it is of, one of `NORMS`; None where that isn't known.
    multiplies
        For masks of zeros and ones, the pattern of what they multiply; empty for others.
    """

    pattern: str
    axes: Axes
    kind: str = WEIGHT
    over: Axes = ()
    norm: str | None = None
    multiplies: str = ""


@final
@dataclass(frozen=True)
class SpaceSpec:
    """What is said of the spaces that a pattern names.

    Parameters
    ----------
    units
        How many they have; None where the tensors' shapes say it.
    activation
        By name.
    apart
        Why their units are told apart by something that no tensor shows, such as rotary positions; empty where they
        are not.
    input, output
        Whether the world outside sees them.
    groups
        The space whose units each serve several of these, in order: the key and value heads of grouped queries.
    norm_groups
        Into how many groups, in order, a norm takes them; None where none does. Those of different groups are told
        apart.
    """

    units: int | None = None
    activation: str = "identity"
    apart: str = ""
    input: bool = False
    output: bool = False
    groups: str = ""
    norm_groups: int | None = None


@final
@dataclass
class Wiring:
    """Statements in order, what is said of spaces, and names that are known not to belong to units.

    Examples
    --------
    >>> wiring = Wiring("mine")
    >>> wiring.space("hidden", activation="relu")
    'hidden'
    >>> wiring.tensor("fc1.weight", ["out hidden", "in x"])
    >>> len(wiring.statements)
    1
    """

    rule: str = ""
    statements: list[Statement] = field(default_factory=list)
    spaces: dict[str, SpaceSpec] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)  # pattern: why
    unknown: dict[str, str] = field(default_factory=dict)  # pattern of names in the graph of which something is unknown
    plain: bool = False  # whether names are those of the file, with what a wrapper put around them
    strict: bool = False  # whether a statement that matches nothing is an error: in files, where it is a typing error

    def tensor(
        self,
        pattern: str,
        axes: Sequence[object],
        kind: str = WEIGHT,
        *,
        over: Sequence[object] = (),
        norm: str | None = None,
    ) -> None:
        """Say what the axes of tensors are; a second statement for one name is a second use of the array."""
        self.statements.append(Statement(pattern, parse_axes(axes, pattern), kind, parse_axes(over, pattern), norm))

    def space(self, name: str, **facts: object) -> str:
        """Say something of a space; what was said before stays, where it is not said again. Return the name."""
        self.spaces[name] = replace(self.spaces.get(name, SpaceSpec()), **facts)  # type: ignore[arg-type]
        return name

    def ignore(self, pattern: str, reason: str) -> None:
        """Say that tensors belong to no units."""
        self.ignored[pattern] = reason

    def doubt(self, pattern: str, reason: str) -> None:
        """Say what is not known of tensors that are in the graph all the same."""
        self.unknown[pattern] = reason

    def add(self, other: "Wiring") -> None:
        """Take over what another wiring says."""
        rules = [*self.rule.split(", "), other.rule] if self.rule else [other.rule]
        self.rule = ", ".join(dict.fromkeys(rules))
        self.statements += other.statements
        self.spaces |= other.spaces
        self.ignored |= other.ignored
        self.unknown |= other.unknown


def linear(
    wiring: Wiring, module: str, out: object, source: object, *, transposed: bool = False, weight: str = "weight"
) -> None:
    """Say a dense layer: its weight, (out, in) or, transposed, (in, out), and its bias."""
    axes = [source, out] if transposed else [out, source]
    wiring.tensor(f"{module}.{weight}", axes)
    wiring.tensor(f"{module}.bias", [out], "bias")


def norm(wiring: Wiring, module: str, space: str, of: str | None = None) -> None:
    """Say a norm over a space, whatever its parameters are called: scale, shift, and a batch norm's statistics.

    Parameters
    ----------
    wiring, module, space
        Where it is said, the layer, and what it runs over.
    of
        Which norm it is, if that is known; see `norm_of`.
    """
    for leaf, kind in NORM_LEAVES.items():
        wiring.tensor(f"{module}.{leaf}", [f"out {space}"], kind, norm=of)


def norm_of(names: Names, module: str, *, shifted: str | None = None, plain: str | None = None) -> str | None:
    """Say which norm a module is, by what is in the file.

    Parameters
    ----------
    names
        The tensors.
    module
        The layer, or a pattern of several that are alike.
    shifted
        Which it is with a shift, and so no RMS norm, where it has no running statistics.
    plain
        Which it is with a scale alone.

    Returns
    -------
    str or None
        ``"batch"`` with running statistics of both kinds, else as given.
    """

    def has(*leaves: str) -> bool:
        return any(names.find(f"{module}.{leaf}") for leaf in leaves)

    if has("running_mean", "moving_mean", "mean") and has("running_var", "moving_variance", "var"):
        return "batch"
    return shifted if has("bias", "beta") else plain


NORM_LEAVES: Mapping[str, str] = {
    "weight": "scale",
    "bias": "shift",
    "running_mean": "mean",
    "running_var": "variance",
    "gamma": "scale",
    "beta": "shift",
    "moving_mean": "mean",
    "moving_variance": "variance",
    "scale": "scale",
    "mean": "mean",
    "var": "variance",
}
