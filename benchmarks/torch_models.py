"""Whole models of 350 million parameters, GPT-2's shape: initialized by symbreak and by a loop of torch.nn.init.

Both draw normals of one standard deviation for every weight, in float32, into memory that is there, on two threads.
"""

from collections.abc import Iterator

import symbreak as sb

from ._measure import Row, have

WIDTH, LAYERS, WORDS, POSITIONS = 1024, 24, 50257, 1024
STD = 0.02
RULES = {"@linear": sb.Normal(STD)}  # embeddings are by default


def model():
    """Build the model without spending time on torch's own start."""
    import torch
    from torch import nn

    def block() -> nn.ModuleDict:
        attention = nn.ModuleDict({"c_attn": nn.Linear(WIDTH, 3 * WIDTH), "c_proj": nn.Linear(WIDTH, WIDTH)})
        mlp = nn.ModuleDict({"c_fc": nn.Linear(WIDTH, 4 * WIDTH), "c_proj": nn.Linear(4 * WIDTH, WIDTH)})
        return nn.ModuleDict({"ln_1": nn.LayerNorm(WIDTH), "attn": attention, "ln_2": nn.LayerNorm(WIDTH), "mlp": mlp})

    with torch.device("meta"):
        tables = {"wte": nn.Embedding(WORDS, WIDTH), "wpe": nn.Embedding(POSITIONS, WIDTH)}
        made = nn.ModuleDict(
            tables | {"h": nn.ModuleList([block() for _ in range(LAYERS)]), "ln_f": nn.LayerNorm(WIDTH)}
        )
    return made.to_empty(device="cpu")


def rows() -> Iterator[Row]:
    """Give the comparison, where torch is installed."""
    if not have("torch"):
        return
    import torch
    from torch import nn

    torch.set_num_threads(2)
    made = model()

    def theirs() -> None:
        for module in made.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=STD)
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.zeros_(module.bias)

    def ours() -> None:
        sb.torch.initialize(made, RULES, workers=2)

    yield Row("initialize a 355M torch model", "torch.nn.init, 2 threads", ours, theirs, goal=1.3, rounds=5)
