"""How long a cell remembers at the start.

The forget gate of an LSTM at bias b forgets half of its memory in about ln 2 (1 + e^b)
steps. A bias of zero forgets at once, a bias of one soon after; `Chrono` spreads the
units evenly up to the longest dependence in the data.

Part: Starts

Picture: Memory in steps of 256 units, sorted: 2 for a bias of zero, 4 for a bias of
one, and a ramp up to 1,000 for Chrono.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

units = 256
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for init in (sb.Zeros(), sb.ForgetBias(1.0), sb.Chrono(longest=1000)):
    bias = init(4 * units, rng=sb.Key(0)["bias"])
    forget = np.split(bias, 4)[1]  # PyTorch's order of the gates: i, f, g, o
    ax.semilogy(np.sort(1 + np.exp(forget)), label=str(init))
ax.set(xlabel="unit, sorted", ylabel="memory, steps", title="Forget gates at the start")
ax.legend(loc="center right")
plt.show()
