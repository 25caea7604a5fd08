"""The incoming weights of tied units, side by side.

Each column is a hidden unit, each row an input. From a constant start the columns stay
equal whatever is learned; from a random one they become different. This is the picture
to look at when a network learns, but too little.

Part: Tied units

Picture: Two heat maps of 16 units by 12 inputs. On the left all columns are the same,
on the right all differ.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

rng = np.random.default_rng(0)
x = rng.normal(size=(256, 12))
y = np.stack([np.sin(2 * x[:, 0] * x[:, 1]), np.tanh(x[:, 2] - x[:, 3])], axis=1)

fig, axes = plt.subplots(1, 2, sharey=True, layout="constrained")
for ax, init in zip(axes, (sb.Constant(0.1), sb.GlorotUniform()), strict=True):
    net = engine.mlp([12, 16, 2], init=init, activation="tanh", rng=0)
    history = engine.train(net, x, y, optimizer=engine.Adam(0.01), steps=500)
    weight = net.graph.weights["layers.0.weight"]
    shown = ax.imshow(weight.T, vmin=-1.5, vmax=1.5, aspect="auto")
    ax.set(title=f"{init}, loss {history.losses[-1]:.2f}", xlabel="hidden unit")
    ax.grid(visible=False)
axes[0].set_ylabel("input")
fig.colorbar(shown, ax=axes, label="incoming weight")
plt.show()
