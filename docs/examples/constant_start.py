"""A constant start learns nothing that one unit couldn't.

Eight hidden units learn exclusive or, from eight equal units and from eight different
ones. Everything else is the same. Equal units get equal error signals, so after a
thousand steps they are still eight copies of one unit, and one unit can't solve it.

Part: Tied units

Picture: The loss of the constant start stays near a quarter, that of the random start
falls to zero; beside it, one distinct unit against eight.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
y = np.array([[0.0], [1.0], [1.0], [0.0]])

fig, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2), layout="constrained")
for number, init in enumerate((sb.Constant(0.5), sb.HeNormal())):
    net = engine.mlp([2, 8, 1], init=init, activation="tanh", rng=0)
    history = engine.train(net, x, y, optimizer=engine.SGD(0.1), steps=1000)
    units = np.unique(net.graph.weights["layers.0.weight"], axis=0)
    left.plot(history.losses, label=str(init))
    right.bar(number, len(units), label=str(init))
    print(f"{init}: {len(units)} distinct hidden units, loss {history.losses[-1]:.2g}")

left.set(xlabel="step", ylabel="loss", ylim=(0, 0.6), title="Exclusive or")
left.legend()
right.set(
    xticks=(0, 1),
    xticklabels=("constant", "random"),
    ylabel="distinct hidden units",
    title="After 1,000 steps",
)
plt.show()
