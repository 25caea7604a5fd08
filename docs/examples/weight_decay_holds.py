"""Weight decay can hold a tie together.

Decay pulls all weights towards zero, and with them their differences. Above the size of
the lowest eigenvalue across the tie, a difference shrinks instead of growing: the tied
network has become stable.

Part: Getting away

Picture: The growth per step falls with weight decay and crosses 1 where the decay
equals the lowest eigenvalue's size.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 4))
y = np.sin(2 * x[:, :2])
net = engine.mlp([4, 6, 2], activation="tanh", init=sb.Constant(0.3))
engine.train(net, x, y, optimizer=engine.SGD(0.3), steps=3000)
lowest = -engine.stability(net, x, y, optimizer=engine.SGD(0.3))[0].eigenvalues[0]

decays = np.linspace(0, 2 * lowest, 17)
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for optimizer, name in ((engine.SGD, "SGD"), (engine.Momentum, "momentum 0.9")):
    options = {} if optimizer is engine.SGD else {"momentum": 0.9}
    growth = [
        engine.stability(
            net, x, y, optimizer=optimizer(0.3, weight_decay=decay, **options)
        )[0].growth
        for decay in decays
    ]
    ax.plot(decays, growth, "o-", label=name)
ax.axhline(1, color="#555555", linewidth=0.8)
ax.axvline(
    lowest,
    color="#555555",
    linestyle="--",
    linewidth=0.8,
    label=f"lowest eigenvalue: -{lowest:.4f}",
)
ax.set(
    xlabel="weight decay",
    ylabel="growth of a difference a step",
    title="Above 1 tied units separate",
)
ax.legend()
plt.show()
