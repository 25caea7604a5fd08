"""Untie a network without changing what it computes.

Three of eight hidden units are copies. `sb.untie` shares out their outgoing weights
unequally: the function stays the same to rounding, and the next step separates the
units.

Part: Files and repairs

Picture: The spread of the copies stays at zero as they are, and grows from the first
step after untie; the loss falls further.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

key = sb.Key(0)
first = sb.GlorotUniform()((8, 3), rng=key["first"], dtype="float64")
second = sb.GlorotUniform()((1, 8), rng=key["second"], dtype="float64")
first[2:5], second[:, 2:5] = first[1], second[:, [1]]
graph = sb.chain([(first, np.zeros(8)), (second, None)])
x = np.random.default_rng(0).normal(size=(64, 3))
y = np.sin(2 * x.sum(axis=1, keepdims=True))


def network(graph):
    arrays = graph.arrays
    hidden = engine.Dense(
        arrays["layers.0.weight"], arrays["layers.0.bias"], activation="tanh"
    )
    return engine.Network([hidden, engine.Dense(arrays["layers.1.weight"])])


free = sb.untie(graph, rng=0)
print(
    "largest change of an output:",
    f"{np.abs(network(free)(x) - network(graph)(x)).max():.1g}",
)

fig, (left, right) = plt.subplots(1, 2, layout="constrained")
for name, start in (("as it was", graph), ("untied", free)):
    net, spread = network(start), []

    def look(step, spread=spread):
        copies = step.network.parameters["layers.0.weight"][1:5]
        spread.append(np.ptp(copies, axis=0).max())

    history = engine.train(
        net, x, y, optimizer=engine.SGD(0.1), steps=1500, callback=look
    )
    left.plot(spread, label=name)
    right.plot(history.losses, label=name)
left.set(xlabel="step", ylabel="spread of the copies", title="The copies separate")
right.set(xlabel="step", ylabel="loss", title="and learn")
left.legend()
plt.show()
