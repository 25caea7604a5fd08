"""Where the eigenvalues of recurrent weights start.

A recurrent weight meets the signal of t steps ago t times, as its power. Rotations have
all eigenvalues on the unit circle; a linear recurrent unit starts in a ring just
inside; a Glorot weight fills the disk.

Part: Starts

Picture: Four panels of eigenvalues in the complex plane: a filled disk, a circle, a
circle again, and half a ring just inside the circle.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

key, n = sb.Key(0), 128
nu = sb.LruNuLog(inner=0.8, outer=0.99)(n, rng=key["nu_log"])
theta = sb.LruThetaLog(largest=np.pi)(n, rng=key["theta_log"])
found = {
    str(init): np.linalg.eigvals(init((n, n), rng=key["w"], dtype="float64"))
    for init in (sb.GlorotNormal(), sb.SpecialOrthogonal(), sb.Henaff())
}
found["LRU, ring 0.8 to 0.99"] = np.exp(-np.exp(nu) + 1j * np.exp(theta))

fig, axes = plt.subplots(
    1, 4, sharex=True, sharey=True, figsize=(9, 2.7), layout="constrained"
)
circle = np.exp(2j * np.pi * np.linspace(0, 1, 200))
for ax, (name, values) in zip(axes, found.items(), strict=True):
    ax.plot(circle.real, circle.imag, color="#555555", linewidth=0.7)
    ax.plot(values.real, values.imag, ".", markersize=4)
    ax.set(title=name, aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    ax.title.set_fontsize("small")
plt.show()
