"""Diagnosing a torch model of 350 million parameters against summing them, and the monitor against a training step."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._measure import Row, have

PASSES = 4  # that judging needs: along both axes of each weight, alone and in the network (of heads fewer: 4.3)
BATCH, LENGTH, VOCABULARY = 2, 64, 50257


def gpt2() -> Any:
    """Make a model of GPT-2's medium form, of 354 million parameters, in PyTorch's own modules."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            q, k, v = (
                each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.qkv(self.ln_1(x)).chunk(3, -1)
            )
            seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(seen.transpose(1, 2).flatten(2))
            return x + self.out(nn.functional.gelu(self.fc(self.ln_2(x))))

    class Model(nn.Module):
        def __init__(self, width: int = 1024, layers: int = 24, heads: int = 16) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(VOCABULARY, width), nn.Embedding(1024, width)
            self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
            self.ln_f = nn.LayerNorm(width)

        def forward(self, ids: Any) -> Any:
            x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
            for block in self.blocks:
                x = block(x)
            return self.ln_f(x) @ self.wte.weight.T

    torch.manual_seed(0)
    model = Model()
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.ndim > 1:
                each.normal_(0, 0.02)
            elif name.endswith("bias"):
                each.zero_()
    return model


def rows() -> Iterator[Row]:
    """Yield the rows, where torch is installed."""
    if not have("torch"):
        return
    import torch

    import symbreak.torch as sbt

    torch.set_num_threads(2)
    model, ids = gpt2(), torch.zeros(BATCH, LENGTH, dtype=torch.long)
    arrays = [each.detach().numpy() for each in model.parameters()]
    yield Row(
        "torch diagnose, 354 million parameters", f"X.sum() of each weight, {PASSES} times",
        lambda: sbt.diagnose(model, ids, workers=2),
        lambda: [sum(float(np.sum(array)) for array in arrays) for _ in range(PASSES)],
        2.0, at_most=True, rounds=3,
    )  # fmt: skip
    yield from monitor(model, ids)


def monitor(model: Any, ids: Any) -> Iterator[Row]:
    """Yield the row of the monitor: a look every hundred steps, beside a hundred steps."""
    import torch

    import symbreak.torch as sbt

    watching = sbt.Monitor(model)
    optimizer = torch.optim.SGD(model.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        out = model(ids)
        torch.nn.functional.cross_entropy(out.flatten(0, 1), ids.flatten()).backward()
        optimizer.step()

    yield Row(
        "torch monitor, one look in 100 steps", "one training step of 100, 128 tokens each",
        watching.look, step, 1.0, at_most=True, rounds=3,
    )  # fmt: skip
