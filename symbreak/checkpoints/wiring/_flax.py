"""Attention of flax.linen, and of Keras where no configuration is beside it: kernels that have an axis of heads.

What the module reads and what reads it have names of their own, so its inputs and outputs are told apart.
"""

from symbreak.checkpoints.wiring._config import Config
from symbreak.checkpoints.wiring._names import Names
from symbreak.checkpoints.wiring._spec import Wiring

ANCHOR = r"(?P<p>.*[./])?query[./]kernel"
PARTS = {"query": "query_key", "key": "query_key", "value": "value"}


def attention(p: str, names: Names, config: Config) -> Wiring:  # noqa: ARG001 - as all families
    """Wire ``query``, ``key``, ``value`` and ``out``, each a kernel of three axes with a bias; else say nothing."""
    wiring = Wiring("Flax attention")
    sign = "/" if names.has(f"{p}query/kernel") else "."
    shapes = {part: names.shapes.get(f"{p}{part}{sign}kernel", ()) for part in PARTS}
    last = next((each for each in ("out", "attention_output") if names.has(f"{p}{each}{sign}kernel")), "")
    written = names.shapes.get(f"{p}{last}{sign}kernel", ())
    if (
        any(len(shape) != 3 for shape in (*shapes.values(), written))
        or len({shape[1] for shape in shapes.values()}) > 1
    ):
        return wiring
    at = p.rstrip("./") or "attention"
    heads = f"{at}{sign}heads"
    for part, units in PARTS.items():
        source = wiring.space(f"{at}{sign}inputs{sign}{part}", input=True, output=True)
        wiring.tensor(f"{p}{part}{sign}kernel", [f"in {source}", f"head {heads}", f"out {at}{sign}{units}"])
        wiring.tensor(f"{p}{part}{sign}bias", [f"head {heads}", f"out {at}{sign}{units}"], "bias")
    for norm, part in (("query_ln", "query_key"), ("key_ln", "query_key")):
        wiring.tensor(f"{p}{norm}{sign}scale", [f"out {at}{sign}{part}"], "scale", over=[f"head {heads}"], norm="layer")
    output = wiring.space(f"{at}{sign}output", input=True, output=True)
    wiring.tensor(f"{p}{last}{sign}kernel", [f"head {heads}", f"in {at}{sign}value", f"out {output}"])
    wiring.tensor(f"{p}{last}{sign}bias", [f"out {output}"], "bias")
    return wiring
