"""Units that are tied though no two rows are equal.

Every row and every column of the middle weight has the sum 6. The layers on either side
are constant. So the three units of both layers read the same, are read the same, and
get the same update at every step, although no comparison of rows shows it. The
certificate finds it, and training keeps it.

Part: Tied units

Picture: A 3 by 3 matrix without equal rows; beside it the three units of each hidden
layer over 300 steps, on one line.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb
from symbreak import engine

middle = np.array([[1.0, 2, 3], [3, 1, 2], [2, 3, 1]]) / 6
first, last = np.full((3, 2), 0.4), np.full((1, 3), 0.4)
graph = sb.chain([(first, None), (middle, None), (last, None)], activation="tanh")
for found in sb.diagnose(graph).classes:
    print(found.space, found.units, found.kind)

x = np.random.default_rng(0).normal(size=(64, 2))
net = engine.Network(
    [engine.Dense(w, activation="tanh") for w in (first, middle)] + [engine.Dense(last)]
)
values = []


def look(step):
    values.append(step.network.parameters["layers.0.weight"][:, 0].copy())


y = np.sin(x.sum(axis=1, keepdims=True))
engine.train(net, x, y, optimizer=engine.SGD(0.2), steps=300, callback=look)

fig, (left, right) = plt.subplots(1, 2, width_ratios=(2, 3), layout="constrained")
left.imshow(middle, cmap="Blues", vmin=0, vmax=0.7)
for (row, column), value in np.ndenumerate(middle):
    left.text(
        column,
        row,
        f"{6 * value:.0f}/6",
        ha="center",
        va="center",
        color="white" if value > 0.4 else "black",
    )
left.set(
    title="The middle weight",
    xticks=range(3),
    yticks=range(3),
    xlabel="reads unit",
    ylabel="writes unit",
)
left.grid(visible=False)
for unit, width in enumerate((7, 4, 1.5)):
    right.plot(np.array(values)[:, unit], linewidth=width, label=f"unit {unit}")
right.set(
    title="The units of the first layer stay one",
    xlabel="step",
    ylabel="weight from input 0",
)
right.legend()
plt.show()
