"""What ends a tie depends on its kind.

Two middle weights tie the units on either side of them. The circulant one has a
permutation that changes no array (an orbit): nothing that treats all units alike ends
it. The other one has equal sums only (equitable): Adam with L2 decay in the gradient
acts entry by entry, and breaks it at the first step.

Part: Tied units

Picture: The spread of three tied units under Adam with L2: at rounding for the
circulant weight, a tenth and more for the other.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

x = np.random.default_rng(0).normal(size=(64, 2))
y = np.sin(x.sum(axis=1, keepdims=True))
middles = {
    "circulant": np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]]) / 6,
    "equal sums only": np.array([[0.0, 2, 4], [3, 2, 1], [3, 2, 1]]) / 6,
}
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, middle in middles.items():
    layers = [
        (np.full((3, 2), 0.4), "tanh"),
        (middle, "tanh"),
        (np.full((1, 3), 0.4), "identity"),
    ]
    net = engine.Network([engine.Dense(w.copy(), activation=f) for w, f in layers])
    kind = {found.kind for found in sb.diagnose(net.graph).classes}
    spread = []

    def look(step, spread=spread):
        weight = step.network.parameters["layers.0.weight"]
        spread.append(np.ptp(weight, axis=0).max())

    optimizer = engine.Adam(0.01, weight_decay=0.1)
    engine.train(net, x, y, optimizer=optimizer, steps=30, callback=look)
    ax.semilogy(np.maximum(spread, 1e-17), label=f"{name}: {', '.join(sorted(kind))}")
ax.set(
    xlabel="step of Adam with L2",
    ylabel="spread of the first layer's units",
    title="Equitable ties leave, orbits stay",
)
ax.legend()
plt.show()
