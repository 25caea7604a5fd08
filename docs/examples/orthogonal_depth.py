"""Orthogonal weights keep every direction, normal ones only the average.

The singular values of a product of linear layers say how much each direction of the
input is stretched. With normal weights of the right scale a few directions take all,
the more so the deeper; orthogonal weights leave all at 1.

Part: Depth

Picture: Singular values of products of 1, 4, 16 and 64 normal weights fall ever more
steeply; those of orthogonal ones are 1.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb


def product(init, depth, size=100):
    found = np.eye(size)
    for layer in range(depth):
        found = (
            init((size, size), rng=sb.Key(0)[f"layers.{layer}"], dtype="float64")
            @ found
        )
    return np.linalg.svd(found, compute_uv=False)


fig, axes = plt.subplots(1, 2, sharey=True, layout="constrained")
for ax, init in zip(axes, (sb.LecunNormal(), sb.Orthogonal()), strict=True):
    for depth in (1, 4, 16, 64):
        ax.semilogy(product(init, depth), label=f"{depth} layers")
    ax.set(title=repr(init), xlabel="direction", ylim=(1e-12, 1e2))
axes[0].set_ylabel("singular value of the product")
axes[0].legend()
plt.show()
