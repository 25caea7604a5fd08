"""How much of a weight a low-rank adapter starts with.

PiSSA puts the largest singular values of a weight into the adapter, OLoRA the first
columns of its QR decomposition, LoRA nothing. The share of the weight's squared norm
that the adapter holds tells them apart.

Part: Files and repairs

Picture: Share of the weight's energy in the adapter against its rank: PiSSA highest,
OLoRA below, LoRA at zero.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

key = sb.Key(0)
left, right = (sb.Orthogonal()((128, 128), rng=key[name]) for name in ("left", "right"))
weight = (
    left * np.float32(0.95) ** np.arange(128)
) @ right  # singular values that fall, as in trained weights

ranks = (1, 2, 4, 8, 16, 32, 64)
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
starts = {
    "PiSSA": lambda rank: sb.adapters.pissa(weight, rank),
    "OLoRA": lambda rank: sb.adapters.olora(weight, rank),
    "LoRA": lambda rank: sb.adapters.lora(weight, rank, rng=key["lora"]),
}
for name, start in starts.items():
    ax.plot(ranks, [start(rank).energy() for rank in ranks], "o-", label=name)
ax.set(
    xscale="log",
    xticks=ranks,
    xticklabels=ranks,
    xlabel="rank",
    ylabel="share of the squared norm",
)
ax.set_title("What is in the adapter, of a weight of 128 x 128")
ax.minorticks_off()
ax.legend()
plt.show()
