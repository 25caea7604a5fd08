"""Units that are nearly equal.

Forty units, of which eight were copied from three others with a little noise. The
matrix of relative distances, ordered by class, shows them as dark blocks; with a
tolerance the diagnostic names them.

Part: Tied units

Picture: A matrix of distances between 40 units, with three dark blocks on the diagonal
where units are nearly equal.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

key = sb.Key(0)
weight = sb.HeNormal()((40, 64), rng=key["weight"])
noise = sb.Normal(0.0005)((8, 64), rng=key["noise"])
weight[[3, 11, 17, 25]] = weight[2] + noise[:4]
weight[[8, 30]] = weight[21] + noise[4:6]
weight[[14, 33]] = weight[5] + noise[6:]

report = sb.diagnose(weight, tolerance=0.02)
groups = [group for finding in report.findings for group in finding.groups]
print(groups)

lengths = np.linalg.norm(weight, axis=1)
apart = np.linalg.norm(weight[:, None] - weight, axis=2) / np.maximum(
    lengths[:, None], lengths
)
tied = [unit for group in groups for unit in group]
order = tied + [unit for unit in range(40) if unit not in tied]

fig, axes = plt.subplots(1, 2, layout="constrained")
for ax, units, title in (
    (axes[0], range(40), "As they lie in the weight"),
    (axes[1], order, "Ordered by class"),
):
    shown = ax.imshow(apart[np.ix_(units, units)], cmap="viridis", vmin=0, vmax=1.6)
    ax.set(title=title, xlabel="unit", ylabel="unit", xticks=[], yticks=[])
    ax.grid(visible=False)
fig.colorbar(shown, ax=axes, label="relative distance")
plt.show()
