"""A tie is an equilibrium, and often an unstable one.

Tied units, moved apart by a billionth. Training multiplies the difference by a steady
factor a step, which `engine.stability` gives beforehand from the Hessian across the
tie. Rounding is enough to begin with, which is why some constant starts seem to learn
after a long wait.

Part: Getting away

Picture: The spread of tied units grows along a straight line on a logarithmic axis, as
predicted, until it is as large as the weights.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 4))
y = np.sin(2 * x[:, :2])
net = engine.mlp([4, 6, 2], activation="tanh", init=sb.Constant(0.3))
optimizer = engine.SGD(0.3)
engine.train(net, x, y, optimizer=optimizer, steps=3000)
found = engine.stability(net, x, y, optimizer=optimizer)[0]
print(found)

for array in net.parameters.values():
    array += 1e-9 * rng.normal(size=array.shape)
spread = []


def look(step):
    weight = step.network.parameters["layers.0.weight"]
    spread.append(np.ptp(weight, axis=0).max())


history = engine.train(net, x, y, optimizer=optimizer, steps=4000, callback=look)

fig, (left, right) = plt.subplots(1, 2, sharex=True, layout="constrained")
left.semilogy(spread, label="shown")
steps = np.arange(0, 3000)
line = spread[150] * found.growth ** (steps - 150.0)
left.semilogy(
    steps[line < 3], line[line < 3], "--", label=f"predicted: {found.growth:.4f} a step"
)
left.set(xlabel="step", ylabel="spread of the tied units", title="The difference grows")
left.legend()
right.plot(history.losses)
right.set(xlabel="step", ylabel="loss", title="The loss waits for it")
plt.show()
