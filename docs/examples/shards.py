"""Shards drawn apart are the whole, bit for bit.

A weight is cut into nine pieces of odd sizes. Each is drawn alone, as a rank of a
cluster would, from the key of the weight's name and its position. Laid together they
are the weight that one machine draws.

Part: Numbers

Picture: A heat map cut into nine pieces with gaps, and the same without gaps.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

init, key, shape = sb.HeNormal(), sb.Key(0)["encoder.0.weight"], (60, 90)
rows, columns = (0, 13, 40, 60), (0, 31, 52, 90)
pieces = {
    (i, j): init.region(
        shape, np.s_[rows[i] : rows[i + 1], columns[j] : columns[j + 1]], rng=key
    )
    for i in range(3)
    for j in range(3)
}
joined = np.block([[pieces[i, j] for j in range(3)] for i in range(3)])
whole = init(shape, rng=key)
print("equal, bit for bit:", bool((joined == whole).all()))

fig, axes = plt.subplots(1, 2, layout="constrained")
gap, limit = 4, float(np.abs(whole).max())
for (i, j), piece in pieces.items():
    left, top = columns[j] + gap * j, rows[i] + gap * i
    box = (left, left + piece.shape[1], top + piece.shape[0], top)
    axes[0].imshow(piece, extent=box, vmin=-limit, vmax=limit)
axes[0].set(
    xlim=(0, 90 + 2 * gap),
    ylim=(60 + 2 * gap, 0),
    title="Nine regions, each drawn alone",
)
axes[1].imshow(whole, vmin=-limit, vmax=limit)
axes[1].set(title="The weight, drawn at once")
for ax in axes:
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
plt.show()
