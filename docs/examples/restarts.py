"""Two hundred starts at once.

Two tanh units are the fewest that compute exclusive or, and a random start promises no
more than to break the tie. All starts are trained side by side; sorted by loss, they
show how many get there and where the others are stuck.

Part: Getting away

Picture: Losses of 200 starts in order: nine of ten are at zero, the rest at a tenth.
"""

import matplotlib.pyplot as plt
import symbreak as sb
from symbreak import engine

x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
result = sb.restarts(
    [2, 2, 1],
    x,
    y,
    starts=200,
    steps=2000,
    optimizer=engine.SGD(0.3),
    rng=0,
    dtype="float64",
)
print(result)

fig, ax = plt.subplots(layout="constrained")
result.plot(0.01, axes=ax)
ax.set_title("Exclusive or from 200 starts")
plt.show()
