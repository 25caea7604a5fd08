"""Parts: what each parameter of a model is for, by its role, its block and its place among the blocks.

Roles are given, or read from the names that usual models have, by one table. A parameter whose role is not known is an
error, never a guess.
"""

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, final

from .._patterns import Patterns
from .._visible import quoted
from ..axes import Axes, AxesLike, Fans, as_shape, fans
from ..dtypes import holds_values, is_float
from ..errors import RuleError
from ..rules import has_shape

LISTED = 8  # names in an error

ROLES: Mapping[str, str] = {
    "embedding": "a table with one row a token",
    "position": "a table with one row a position",
    "input": "the first layer, which reads the data",
    "query": "what makes the queries of an attention",
    "key": "its keys",
    "value": "its values",
    "qkv": "queries, keys and values, fused in three equal parts along the units",
    "attention_in": "queries, keys and values, fused in another way",
    "attention_out": "what an attention writes to the residual stream",
    "mlp_in": "the first layer of an MLP",
    "mlp_gate": "the gate beside it",
    "mlp_out": "what an MLP writes to the residual stream",
    "branch": "a layer of another residual branch, before its last",
    "branch_out": "the last layer of another residual branch",
    "shortcut": "a projection on the residual stream itself",
    "hidden": "a layer of no residual branch",
    "readout": "the last layer, which makes the outputs",
    "norm": "the scale of a norm",
    "bias": "what is added: biases, shifts of norms",
    "multiplier": "a number that multiplies",
    "residual_gain": "what multiplies a residual branch before it is added: one number, or one a channel",
}
VECTORS = ("norm", "bias", "multiplier", "residual_gain")  # the roles of what has one axis or none
OUTS = ("attention_out", "mlp_out", "branch_out")

_END = r"(?:\.(?:weight|kernel))?"
# What ends a name (in lower case, with dots), in order: the first that matches says the role.
NAMES: tuple[tuple[str, str], ...] = (
    ("residual_gain", r"(?:alpha|resweight|residual_gain|skip_gain|layer_scale\w*|ls\d?\.gamma|gamma_\d+)"),
    ("norm", r"(?:\w*norm\w*|ln_?\w*|bn\d*|downsample\.1|shortcut\.1)\.(?:weight|scale|gamma)"),
    ("bias", r"(?:\w*bias\w*|beta|b)"),
    ("multiplier", r"(?:scale|multiplier)"),
    ("position", r"(?:wpe|position_embeddings?|pos_emb(?:ed(?:ding)?)?s?|embed_positions)" + _END),
    ("input", r"(?:patch_embed\.proj|patch_embeddings\.projection|conv_proj|conv_stem|stem\.(?:conv\w*|0))" + _END),
    (
        "embedding",
        r"(?:wte|\w*embed_tokens|embed_in|shared|(?:\w+_)?emb(?:ed(?:ding)?)?s?)"
        r"(?:\.(?:weight|embedding))?",
    ),
    ("qkv", r"(?:c_attn|qkv|qkv_proj|wqkv|in_proj|in_proj_weight)" + _END),
    ("attention_in", r"query_key_value" + _END),
    ("query", r"(?:q_proj|query|wq|q_lin|selfattention\.q|encdecattention\.q)" + _END),
    ("key", r"(?:k_proj|key|wk|k_lin|selfattention\.k|encdecattention\.k)" + _END),
    ("value", r"(?:v_proj|value|wv|v_lin|selfattention\.v|encdecattention\.v)" + _END),
    (
        "attention_out",
        r"(?:\w*attn|\w*attention)\.(?:c_proj|out_proj|o_proj|wo|o|proj|dense|out_lin|output\.dense|to_out\.0)" + _END,
    ),
    ("mlp_gate", r"(?:gate_proj|feed_forward\.w1|wi_0)" + _END),
    (
        "mlp_in",
        r"(?:c_fc|fc1|fc_in|up_proj|feed_forward\.w3|linear1|linear_1|dense_h_to_4h|intermediate\.dense|lin1|wi|wi_1|"
        r"mlp\.0)" + _END,
    ),
    (
        "mlp_out",
        r"(?:mlp\.c_proj|fc2|fc_out|down_proj|feed_forward\.w2|linear2|linear_2|dense_4h_to_h|output\.dense|lin2|"
        r"densereludense\.wo|mlp\.[23])" + _END,
    ),
    ("shortcut", r"(?:downsample|shortcut)(?:\.0)?" + _END),
    ("readout", r"(?:lm_head|head|heads\.head|classifier|embed_out|output_projection|output|score|fc)" + _END),
)  # fmt: skip
_PATTERNS = tuple((role, re.compile(r"(?:(.*)\.)?" + pattern)) for role, pattern in NAMES)
_CONVOLUTION = re.compile(r"(.*\.)?conv(\d+)(?:\.(?:weight|kernel))?")  # of a residual network: the last one writes
_NUMBERED = re.compile(r"\d+|(?:encoder_?|decoder_?|transformer_?)?(?:layers?|blocks?|h)_\d+")  # of a block
# Roles of what stands outside of blocks.
_FIRST = ("input", "readout", "embedding", "position")

RolesLike: TypeAlias = "Mapping[str, str | Role]"


class Role(NamedTuple):
    """A role with what a name may not show.

    Attributes
    ----------
    role
        One of :data:`~symbreak.recipes.ROLES`.
    depth
        Which block of its stack, from 0; None to read it from the name.
    stack
        ``"encoder"``, ``"decoder"``, or ``""`` where there is one only; None to read it from the name.
    """

    role: str
    depth: int | None = None
    stack: str | None = None


@final
@dataclass(frozen=True)
class Part:
    """One parameter of a model, and what it is for.

    Attributes
    ----------
    name, shape
        Of the parameter.
    role
        One of :data:`~symbreak.recipes.ROLES`.
    stack
        ``"encoder"`` or ``"decoder"``, as a word of its name says, or ``""``.
    block
        The name up to its first number, ``"h.3"`` of ``"h.3.mlp.c_fc.weight"``, or up to a word such as ``layers_3``;
        ``""`` outside of blocks.
    depth
        Which block of its stack, from 0, in the order of the parameters; None outside of blocks.
    axes
        Its layout; None for PyTorch's.
    """

    name: str
    shape: tuple[int, ...]
    role: str
    stack: str = ""
    block: str = ""
    depth: int | None = None
    axes: AxesLike = None

    @property
    def fans(self) -> Fans:
        """Fans of the weight."""
        return fans(self.shape, self.axes)

    @property
    def branch(self) -> tuple[str, str, str]:
        """Which residual branch it writes: experts of one block share one, two attentions have one each."""
        inner = self.name[len(self.block) :].rsplit(".", 2)[0] if self.role == "attention_out" else self.role
        return self.stack, self.block, inner


@final
@dataclass(frozen=True)
class Tree:
    """The parts of a model together."""

    parts: tuple[Part, ...]
    others: tuple[Part, ...] = ()  # which rules of somebody's own hit: they count, but the recipe leaves them alone
    notes: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)  # what a recipe makes of it once

    def of(self, *roles: str, stack: str | None = None) -> list[Part]:
        """Give the parts of some roles."""
        return [part for part in self.parts if part.role in roles and stack in (None, part.stack)]

    @cached_property
    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """How many parts of a role each block of a stack has: by stack, block and role."""
        return Counter((part.stack, part.block, part.role) for part in (*self.parts, *self.others))

    @cached_property
    def _writers(self) -> dict[str, list[Part]]:
        found: dict[str, list[Part]] = {}
        for part in (*self.of(*OUTS), *(part for part in self.others if part.role in OUTS)):
            found.setdefault(part.stack, []).append(part)
        return found

    @cached_property
    def _layers(self) -> dict[str, int]:
        return {stack: len({part.block for part in parts}) for stack, parts in self._writers.items()}

    @cached_property
    def _branches(self) -> dict[str, int]:
        return {stack: len({part.branch for part in parts}) for stack, parts in self._writers.items()}

    @cached_property
    def _widths(self) -> dict[str, set[int]]:
        return {stack: {_units(part) for part in parts} for stack, parts in self._writers.items()}

    @property
    def stacks(self) -> tuple[str, ...]:
        """The stacks that have residual branches."""
        return tuple(self._writers)

    def layers(self, stack: str) -> int:
        """Count the blocks of a stack that have residual branches."""
        return self._layers.get(stack, 0)

    def branches(self, stack: str) -> int:
        """Count the residual branches of a stack."""
        return self._branches.get(stack, 0)

    def width(self, stack: str | None = None) -> int:
        """Give the width of the residual stream: the units of what is written to it."""
        widths = set().union(*(found for name, found in self._widths.items() if stack in (None, name)))
        if len(widths) != 1 or 0 in widths:
            many = f"not one: {', '.join(map(str, sorted(widths)))}" if widths else "not there"
            raise RuleError(
                f"the width of the residual stream is that of what writes to it (roles {', '.join(OUTS)}), which is "
                f"{'zero' if widths == {0} else many}"
            )
        return int(next(iter(widths)))


def _units(part: Part) -> int:
    return Axes.of(part.axes, part.shape).units(part.shape)


def read_parts(
    shapes: Mapping[str, Any],
    roles: "RolesLike | None" = None,
    axes: "Mapping[str, AxesLike] | AxesLike" = None,
) -> Tree:
    """Read the role of each parameter, as told and from the usual names.

    Parameters
    ----------
    shapes
        Parameter names to shapes or arrays, as :func:`symbreak.plan` takes them. Arrays of types that no initializer
        makes are passed over.
    roles
        Globs to roles, or to a :class:`Role` with depth and stack; the first that matches wins. They go before the
        table of names. One for weights passes vectors over: ``"fc1.*": "mlp_in"`` leaves ``fc1.bias`` to the table.
    axes
        The layout of the weights, or globs to layouts. Names of GPT-2 whose ``c_attn`` has the shape (d, 3d) are read
        as ``"io"``.

    Returns
    -------
    Tree

    Raises
    ------
    RuleError
        If the role of a parameter is not known; all are listed. If two branches can't be told apart.
    TypeError, ValueError
        For a role that is none, or a shape or a layout that makes no sense.

    Examples
    --------
    >>> from symbreak.recipes import read_parts
    >>> tree = read_parts({"h.0.mlp.c_fc.weight": (256, 64), "h.0.mlp.c_proj.weight": (64, 256)})
    >>> [(part.role, part.depth) for part in tree.parts]
    [('mlp_in', 0), ('mlp_out', 0)]
    """
    return read_tree(shapes, roles, axes, {})


def read_tree(
    shapes: Mapping[str, Any],
    roles: "RolesLike | None",
    axes: "Mapping[str, AxesLike] | AxesLike",
    rules: Mapping[str, Any],
) -> Tree:
    """Read the parts beside rules of somebody's own: what those hit needs no role, and counts where it has one."""
    if not isinstance(shapes, Mapping):
        raise TypeError(f"`shapes` maps parameter names to shapes; got {type(shapes).__name__}")
    told = _read_roles(roles)
    own = Patterns(rules)
    named = {name: _shape(name, given) for name, given in shapes.items() if not _is_fixed(given)}
    found = {name: _told(name, shape, told) or _by_name(name, shape) for name, shape in named.items()}
    last = _last_convolutions(named)
    lost = []
    for name, role in found.items():
        if role is None and name in last:
            found[name] = Role(last[name])
        elif role is None and own.first(name) is None:
            lost.append(name)
    if lost:
        some = ", ".join(map(quoted, lost[:LISTED])) + (", ..." if len(lost) > LISTED else "")
        likely = "hidden" if len(named[lost[0]]) > 1 else "bias"
        raise RuleError(
            f"no role is known for {some} ({len(lost)} of {len(named)} parameters); say what they are for, such as "
            f"roles={{{quoted(lost[0])}: {likely!r}}}, or give them rules; roles are {', '.join(ROLES)}"
        )
    turned = any(
        re.fullmatch(r"(?:.*\.)?c_attn\.weight", name) and 3 * shape[0] == shape[-1] for name, shape in named.items()
    )
    depths: dict[str, dict[str, int]] = {}
    parts: list[Part] = []
    others: list[Part] = []
    for name, role in found.items():
        if role is None:
            continue
        pattern = own.first(name, role.role)
        layout = _axes(name, named[name], axes, turned)
        if pattern is not None:
            layout = getattr(rules[pattern], "axes", None) or layout
        if layout is not None:
            _check_layout(name, named[name], layout)
        part = _part(name, named[name], role, layout, depths)
        (parts if pattern is None else others).append(part)
    _check_blocks(parts)
    return Tree(tuple(parts), tuple(others))


def _check_blocks(parts: Sequence[Part]) -> None:
    """Refuse branches that can't be told apart, for their number counts."""
    seen: dict[tuple[str, str, str], str] = {}
    for part in parts:
        if part.role in OUTS and part.depth is None:
            first = seen.setdefault(part.branch, part.name)
            if first != part.name:
                raise RuleError(
                    f"{first!r} and {part.name!r} write to a residual stream, and their names don't say in which "
                    f"block; say it: roles={{{part.name!r}: Role({part.role!r}, depth=1)}}"
                )


def _part(name: str, shape: tuple[int, ...], role: Role, axes: AxesLike, depths: dict[str, dict[str, int]]) -> Part:
    words = name.replace("/", ".").split(".")
    stack = role.stack
    if stack is None:
        stack = next((word for word in words if word in ("encoder", "decoder")), "")
    number = next((place for place, word in enumerate(words) if _NUMBERED.fullmatch(word.lower())), None)
    block = "" if number is None or role.role in _FIRST else ".".join(words[: number + 1])
    if role.depth is not None:
        block = block or f"{stack}.{role.depth}"
    seen = depths.setdefault(stack, {})
    depth = role.depth
    if depth is None and block:
        depth = seen.setdefault(block, len(seen))
    return Part(name, shape, role.role, stack, block, depth, axes)


def _read_roles(roles: "RolesLike | None") -> list[tuple[str, Role]]:
    if roles is None:
        return []
    if not isinstance(roles, Mapping):
        raise TypeError(f"`roles` maps globs to roles; got {type(roles).__name__}")
    found = []
    for glob, given in roles.items():
        role = given if isinstance(given, Role) else Role(given)
        if not isinstance(glob, str) or not isinstance(role.role, str) or role.role not in ROLES:
            raise ValueError(f"{quoted(glob)} has no role that is known: {given!r}; roles are {', '.join(ROLES)}")
        counts = isinstance(role.depth, int | None) and not isinstance(role.depth, bool) and (role.depth or 0) >= 0
        if not counts or role.stack not in (None, "", "encoder", "decoder"):
            raise ValueError(
                f"{quoted(glob)} has a block of a stack that makes no sense: {role!r}; a depth is 0 or more, a stack "
                f"'encoder', 'decoder' or ''"
            )
        found.append((glob, role))
    return found


def _told(name: str, shape: tuple[int, ...], roles: Sequence[tuple[str, Role]]) -> Role | None:
    fitting = (pair for pair in roles if len(shape) > 1 or pair[1].role in VECTORS)
    return next((role for glob, role in fitting if glob == name or fnmatch.fnmatchcase(name, glob)), None)


def _by_name(name: str, shape: tuple[int, ...]) -> Role | None:
    text = name.replace("/", ".").lower()
    matches = ((role, pattern.fullmatch(text)) for role, pattern in _PATTERNS)
    role, found = next((pair for pair in matches if pair[1]), (None, None))
    if role in _FIRST and found and any(map(_NUMBERED.fullmatch, (found[1] or "").split("."))):
        return None  # a block has none of them
    vector = role in VECTORS
    # A weight is no bias whatever its name, and a vector no weight.
    return None if role is None or vector != (len(shape) < 2 or shape[:-1].count(1) == len(shape) - 1) else Role(role)


def find_role(name: str, shape: Sequence[int]) -> str | None:
    """Give the role that the usual names give a parameter, None where they give none.

    Parameters
    ----------
    name, shape
        Of the parameter.

    Returns
    -------
    str or None
        One of :data:`ROLES`.

    Examples
    --------
    >>> from symbreak.recipes import find_role
    >>> find_role("h.0.mlp.c_fc.weight", (256, 64))
    'mlp_in'
    """
    found = _by_name(name, tuple(shape))
    return None if found is None else found.role


def _last_convolutions(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Tell the convolutions of a residual network: the last of each block writes, the one outside reads the image."""
    last: dict[str, tuple[int, str]] = {}
    roles = {}
    for name, shape in shapes.items():
        found = _CONVOLUTION.fullmatch(name.replace("/", ".").lower())
        if not found or len(shape) < 3:
            continue
        block = found[1] or ""
        if not re.search(r"\d+\.$", block):
            roles[name] = "input"
            continue
        roles[name] = "branch"
        last[block] = max(last.get(block, (-1, "")), (int(found[2]), name))
    return roles | {name: "branch_out" for _, name in last.values()}


def _axes(name: str, shape: tuple[int, ...], axes: "Mapping[str, AxesLike] | AxesLike", turned: bool) -> AxesLike:
    if len(shape) < 2:
        return None
    if not isinstance(axes, Mapping):
        found = axes
    else:
        found = next((each for glob, each in axes.items() if glob == name or fnmatch.fnmatchcase(name, glob)), None)
    if found is None and turned and re.search(r"(?:^|\.)c_(?:attn|proj|fc)\.weight$", name):
        return "io"
    return found


def _check_layout(name: str, shape: tuple[int, ...], axes: AxesLike) -> None:
    try:
        Axes.of(axes, shape)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{quoted(name)}: {error}") from None


def _shape(name: str, given: Any) -> tuple[int, ...]:
    if not isinstance(name, str):
        raise TypeError(f"a parameter's name is a string; got {name!r}")
    try:
        return as_shape(given.shape if has_shape(given) else given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{quoted(name)}: {error}") from None


def _is_fixed(given: Any) -> bool:
    return holds_values(given) and not is_float(given.dtype)
