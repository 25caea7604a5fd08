"""What blocks of many families share: attention with its heads, and what reads a stream at the end."""

from typing import NamedTuple, final

from symbreak.checkpoints.wiring._config import GROUPS, HEADS, NORM_GROUPS, Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import NORM_LEAVES, Wiring, linear, norm_of

NO_HEADS = "the number of heads isn't known, so the units of its queries, keys and values are told apart: give `config`"
ROTARY = "rotary positions"
TOP_K = "routing picks by index"
GROUP_NORM = "a norm without statistics after a convolution may be one of groups, whose number no shape shows"


class Count(NamedTuple):
    """Numbers of heads, and of key and value heads; None with a reason where they aren't known."""

    heads: int | None
    groups: int | None = None
    why: str = NO_HEADS


@final
class Heads:
    """The spaces of an attention, and what the axes of its arrays are.

    Parameters
    ----------
    wiring
        Where they are said.
    at
        What the names of the spaces begin with.
    count
        How many heads.
    apart
        Why the units of a head are told apart, such as rotary positions; empty where they aren't.
    rows
        How many units queries have in all, where a fused array needs it and the heads aren't known.
    """

    def __init__(self, wiring: Wiring, at: str, count: Count, *, apart: str = "", rows: int | None = None) -> None:
        self.known = count.heads is not None
        if count.heads is None:
            self.query: object = f"out {at}.query"
            self.key: object = f"out {at}.key"
            self.value: object = f"out {at}.value"
            self.read: object = f"in {at}.value"
            for part in ("query", "key", "value"):
                wiring.space(f"{at}.{part}", input=True, output=True, units=rows)
            return
        heads = groups = wiring.space(f"{at}.heads", units=count.heads)
        if count.groups is not None and count.groups != count.heads:
            groups = wiring.space(f"{at}.groups", units=count.groups)
            wiring.space(heads, groups=groups)
        if apart:
            wiring.space(f"{at}.query_key", apart=apart)
        self.heads, self.groups = heads, groups
        self.query = [f"head {heads}", f"out {at}.query_key"]
        self.key = [f"head {groups}", f"out {at}.query_key"]
        self.value = [f"head {groups}", f"out {at}.value"]
        self.read = [f"head {heads}", f"in {at}.value"]

    @property
    def fused(self) -> dict[str, object]:
        """The axis of queries, keys and values, one after the other."""
        return {"query": self.query, "key": self.key, "value": self.value}


def first(names: Names, pattern: str) -> tuple[int, ...] | None:
    """Give the shape of the first tensor that a pattern matches."""
    if pattern in names.shapes:
        return names.shapes[pattern]
    found = names.find(pattern)
    return names.shapes[found[0][0]] if found else None


def count_heads(
    config: Config,
    queries: int | None,
    keys: int | None = None,
    *,
    size: int | None = None,
    keyword: tuple[str, ...] = HEADS,
) -> Count:
    """Count heads, from the size of one where an array shows it, else from the configuration, and check it.

    Parameters
    ----------
    config
        The configuration.
    queries, keys
        How many units the queries and the keys of all heads have; None for no such array.
    size
        Units of one head, where the shape of an array shows it.
    keyword
        The keys of the configuration that give the number of heads.
    """
    if queries is None:
        return Count(None)
    keys = queries if keys is None else keys
    if queries < 1 or keys < 1:
        return Count(None)
    size = size or config.number("head_dim", "d_kv")
    heads = queries // size if size else config.number(*keyword)
    if heads is None:
        return Count(None)
    if not heads or queries % heads or keys % (queries // heads) or heads % (keys // (queries // heads) or heads + 1):
        return Count(None, why=f"{heads} heads don't fit {queries} units of queries and {keys} of keys; {NO_HEADS}")
    groups = keys // (queries // heads)
    said = config.number(*GROUPS)
    if said is not None and said != groups and keys != queries:
        return Count(None, why=f"{said} key heads are said, but the shapes have {groups}; {NO_HEADS}")
    return Count(heads, groups)


def attention(
    wiring: Wiring, at: str, modules: tuple[str, str, str, str], count: Count, stream: str, source: str
) -> None:
    """Say queries that read a stream, keys and values that read `source`, and what writes to the stream again.

    Parameters
    ----------
    wiring
        Where they are said.
    at
        What the names of the spaces begin with.
    modules
        The layers of queries, keys, values and outputs.
    count
        How many heads; where that isn't known, it is said of each layer.
    stream, source
        Spaces.
    """
    heads = Heads(wiring, at, count)
    query, key, value, last = modules
    linear(wiring, query, heads.query, f"in {stream}")
    linear(wiring, key, heads.key, f"in {source}")
    linear(wiring, value, heads.value, f"in {source}")
    linear(wiring, last, f"out {stream}", heads.read)
    if not heads.known:
        for module in modules:
            wiring.doubt(f"{module}.weight", count.why)


def norm_behind(wiring: Wiring, names: Names, config: Config, module: str, space: str, axis: object = None) -> None:
    """Say a norm behind a convolution: one of batches, known by its statistics, else perhaps one of groups.

    Those of groups have the names and shapes of those of batches that keep no statistics. Where the configuration says
    the number of groups, units of different groups are told apart; else all of them are.

    Parameters
    ----------
    wiring, names, config
        As elsewhere.
    module
        The layer.
    space
        What it runs over.
    axis
        How its arrays run over it; ``"out space"`` by default.
    """
    leaves = [leaf for leaf in NORM_LEAVES if names.has(f"{module}.{leaf}")]
    of, groups = norm_of(names, module), config.number(*NORM_GROUPS)
    if leaves and of is None and groups and names.shapes[f"{module}.{leaves[0]}"][-1] % groups == 0:
        of = "group"
        wiring.space(space, norm_groups=groups)
    elif leaves and of is None:
        wiring.space(space, apart=GROUP_NORM)
    for leaf in leaves:
        wiring.tensor(f"{module}.{leaf}", [axis or f"out {space}"], NORM_LEAVES[leaf], norm=of)
        if of is None:
            wiring.doubt(f"{module}.{leaf}", GROUP_NORM)


def close(
    wiring: Wiring,
    names: Names,
    config: Config,
    stream: str,
    heads: tuple[str, ...],
    *,
    table: str = "",
    tokens: str = "",
) -> None:
    """Say what reads a stream at the end; without a reader its units are told apart by the world outside.

    Parameters
    ----------
    wiring, names, config
        As elsewhere.
    stream
        The space.
    heads
        Modules of output layers; those that are there read it, each into a space of outputs.
    table, tokens
        The embedding and its space, which is the output layer too where the model is one of language and has no other.
    """
    found = [module for module in heads if names.has(f"{module}.weight")]
    for module in found:
        linear(wiring, module, f"out {module}", f"in {stream}")
        wiring.space(module, output=True)
    if found:
        return
    ties = config.flag("tie_word_embeddings")
    language = any(
        word in config.architecture for word in ("LMHead", "CausalLM", "MaskedLM", "ForConditionalGeneration")
    )
    if table and names.has(table) and language and ties is not False:
        wiring.tensor(table, [f"out {tokens}", f"in {stream}"])
        wiring.space(tokens, output=True)
    else:
        wiring.space(stream, output=True)
