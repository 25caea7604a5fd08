"""Distinct units along the depth of a file.

A decoder of 12 blocks, in which one block's feed-forward layer was loaded from shards
of one seed, and another lost some units to a copy. Counting distinct units a tensor
shows where to look; the findings say what it is.

Part: Files and repairs

Picture: Share of distinct units for each block: 1 everywhere but in block 4, at a
quarter, and block 9, at three quarters.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import recipes
from symbreak.checkpoints import save_safetensors

shapes = {}
for k in range(12):
    shapes |= {
        f"h.{k}.mlp.c_fc.weight": (256, 64),
        f"h.{k}.mlp.c_proj.weight": (64, 256),
    }
weights = recipes.GPT2()(shapes).plan().initialize(rng=0)
weights["h.4.mlp.c_fc.weight"] = np.tile(weights["h.4.mlp.c_fc.weight"][:64], (4, 1))
weights["h.9.mlp.c_fc.weight"][100:165] = weights["h.9.mlp.c_fc.weight"][7]
save_safetensors("model.safetensors", weights)

report = sb.diagnose("model.safetensors")
for finding in report.findings:
    print(finding.code, finding.where)

fig, ax = plt.subplots(layout="constrained")
shares = [
    len(np.unique(weights[f"h.{k}.mlp.c_fc.weight"], axis=0)) / 256 for k in range(12)
]
ax.bar(
    range(12), shares, color=["#D55E00" if share < 1 else "#0072B2" for share in shares]
)
ax.set(
    xticks=range(12),
    xlabel="block",
    ylabel="distinct units, share",
    title="First layer of each block's feed-forward",
)
plt.show()
