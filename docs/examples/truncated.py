"""What is left of a normal that is cut.

A normal of standard deviation 0.02, cut at two sigma, has 0.0176 left: PyTorch and many
papers mean it so. With `corrected=True` what is left has the 0.02 that was asked for.

Part: Starts

Picture: Two histograms of truncated normals with vertical edges, the corrected one
wider.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
bins = np.linspace(-0.05, 0.05, 121)
for init, name in (
    (sb.TruncatedNormal(0.02), "cut"),
    (sb.TruncatedNormal(0.02, corrected=True), "cut and corrected"),
):
    values = init((1000, 1000), rng=sb.Key(0)["w"]).ravel()
    ax.hist(
        values,
        bins,
        density=True,
        histtype="stepfilled",
        alpha=0.45,
        label=f"{name}: std {values.std():.4f}",
    )
    expected = init.expected((1000, 1000)).std
    print(f"{init}: expected {expected:.4f}, drawn {values.std():.4f}")
ax.set(
    xlabel="weight",
    ylabel="density",
    title="A million weights, asked for a std of 0.02",
)
ax.legend()
plt.show()
