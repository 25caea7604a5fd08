"""Coarse types tie units by chance.

A bfloat16 has 8 significant bits. With one input, a thousand units have fewer values to
take than there are units, and many come out equal; a second input is enough to keep
them apart. `coincidence` says beforehand how likely that is.

Part: Numbers

Picture: Share of units that equal another one against the number of inputs, for four
types: near 1 for one input in 8 bits, zero for three.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
inputs = (1, 2, 3, 4)
dtypes = ("float8_e4m3fn", "bfloat16", "float16", "float32")
for offset, dtype in zip((-0.3, -0.1, 0.1, 0.3), dtypes, strict=True):
    shares = []
    for width in inputs:
        weight = sb.HeNormal()((1024, width), rng=sb.Key(0)["w"], dtype=dtype).astype(
            "float32"
        )
        _, back, counts = np.unique(
            weight, axis=0, return_inverse=True, return_counts=True
        )
        shares.append(float((counts[back.ravel()] > 1).mean()))
    ax.bar(np.array(inputs) + offset, shares, 0.19, label=dtype)
ax.set(
    xticks=inputs,
    xlabel="inputs of the weight",
    ylabel="units that equal another",
    title="1,024 units, drawn at random",
)
ax.legend()
plt.show()
