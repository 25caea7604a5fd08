"""Dropout separates units, at once.

Noise that each unit draws for itself treats equal units differently. With dropout on
the hidden layer a constant start has as many different units after one step as it has
units; without it, one for ever.

Part: Getting away

Picture: With dropout 12 distinct units from the first steps on, without it one; beside
it the loss, lower with dropout.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

x = np.random.default_rng(0).normal(size=(128, 3))
y = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:]

fig, (left, right) = plt.subplots(1, 2, layout="constrained")
for rate in (0.0, 0.2):
    layers = {"hidden": engine.Dense(np.full((12, 3), 0.2), np.zeros(12), "tanh")}
    layers |= {"drop": engine.Dropout(rate)} if rate else {}
    net = engine.Network(
        layers | {"out": engine.Dense(np.full((1, 12), 0.2), np.zeros(1))}
    )
    counts, losses = [], []

    def look(step, counts=counts, losses=losses):
        counts.append(len(np.unique(step.network.parameters["hidden.weight"], axis=0)))
        losses.append(float(np.square(step.network(x) - y).mean()))

    engine.train(
        net, x, y, optimizer=engine.SGD(0.05), steps=500, callback=look, rng=sb.Key(0)
    )
    left.step(np.arange(1, 501), counts, label=f"dropout {rate}")
    right.plot(losses, label=f"dropout {rate}")
left.set(
    xscale="log",
    xlabel="step",
    ylabel="distinct hidden units",
    title="How many units there are",
)
right.set(xlabel="step", ylabel="mean squared error in use", title="What they learn")
left.legend()
plt.show()
