"""Attention through latent spaces, as DeepSeek has it: queries, and keys with values, come from fewer units each.

Each head has units of queries and keys without positions, and others that are rotated; the rotated keys are one set for
all heads. DeepSeek-AI. "DeepSeek-V2". :arxiv:`2405.04434`, section 2.1.
"""

from symbreak.checkpoints.wiring._blocks import NO_HEADS, ROTARY, first
from symbreak.checkpoints.wiring._config import HEADS, Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring, linear, norm, norm_of


def latent_attention(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> None:
    """Say ``kv_a_proj_with_mqa`` and its neighbours."""
    latent, rotated = f"{at}.key_value", f"{at}.rotated_key"
    reads = _query(wiring, at, stream, names, config)
    both, one = first(names, f"{at}.kv_a_proj_with_mqa.weight") or (0, 0), first(names, f"{at}.kv_a_layernorm.weight")
    wiring.space(rotated, apart=ROTARY)
    linear(wiring, f"{at}.kv_a_proj_with_mqa", {"latent": f"out {latent}", "rotated": f"out {rotated}"}, f"in {stream}")
    norm(wiring, f"{at}.kv_a_layernorm", latent, norm_of(names, f"{at}.kv_a_layernorm", plain=config.plain_norm))
    rotated_units = both[0] - (one or (0,))[0]
    queries = first(names, f"{at}.q_b_proj.weight") or first(names, f"{at}.q_proj.weight") or (0, 0)
    values = first(names, f"{at}.o_proj.weight") or (0, 0)
    pairs = first(names, f"{at}.kv_b_proj.weight") or (0, 0)
    count, why = _count(config.number(*HEADS), queries[0], pairs[0], values[1], rotated_units)
    module = f"{at}.q_b_proj" if first(names, f"{at}.q_b_proj.weight") else f"{at}.q_proj"
    if count is None:
        for each, where in (("query", module), ("pairs", f"{at}.kv_b_proj")):
            wiring.space(f"{at}.{each}", input=True, output=True)
            linear(wiring, where, f"out {at}.{each}", reads if each == "query" else f"in {latent}")
        wiring.space(f"{at}.value", input=True, output=True)
        linear(wiring, f"{at}.o_proj", f"out {stream}", f"in {at}.value")
        for where in (module, f"{at}.kv_b_proj", f"{at}.o_proj"):
            wiring.doubt(f"{where}.weight", why)
        return
    heads = wiring.space(f"{at}.heads", units=count)
    plain, turned = (
        f"out {at}.query_key",
        f"out {wiring.space(f'{at}.rotated_query', apart=ROTARY, units=rotated_units)}",
    )
    linear(wiring, module, [f"head {heads}", {"plain": plain, "rotated": turned}], reads)
    linear(wiring, f"{at}.kv_b_proj", [f"head {heads}", {"key": plain, "value": f"out {at}.value"}], f"in {latent}")
    linear(wiring, f"{at}.o_proj", f"out {stream}", [f"head {heads}", f"in {at}.value"])


def _query(wiring: Wiring, at: str, stream: str, names: Names, config: Config) -> str:
    """Say the latent space of queries, if there is one: give what the queries read."""
    if first(names, f"{at}.q_a_proj.weight") is None:
        return f"in {stream}"
    linear(wiring, f"{at}.q_a_proj", f"out {at}.latent_query", f"in {stream}")
    of = norm_of(names, f"{at}.q_a_layernorm", plain=config.plain_norm)
    norm(wiring, f"{at}.q_a_layernorm", f"{at}.latent_query", of)
    return f"in {at}.latent_query"


def _count(heads: int | None, queries: int, pairs: int, values: int, rotated: int) -> tuple[int | None, str]:
    """Give the number of heads; None where it isn't known or the shapes contradict it, and why."""
    if not heads:
        return None, NO_HEADS
    plain = queries // heads - rotated
    fits = rotated > 0 and plain > 0 and pairs // heads == plain + values // heads
    if not fits or queries % heads or pairs % heads or values % heads:
        return None, f"{heads} heads don't fit {queries} units of queries and {values} of values; {NO_HEADS}"
    return heads, ""
