"""Where signals neither die nor grow.

For each spread of the biases there is one scale of the weights at which a deep network
is critical: a small difference between two inputs, and the gradient, keep their size
from layer to layer. `sb.critical` finds it for any activation.

Part: Depth

Picture: The critical weight scale rises with the bias scale for tanh and erf. Beside
it, the correlation of two inputs over 40 layers: it goes to 1 below the critical scale,
to 0 above, and stays near 0.9 at it.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb

biases = np.linspace(0.02, 0.6, 6)
fig, (left, right) = plt.subplots(1, 2, layout="constrained")
for name in ("tanh", "erf"):
    left.plot(
        biases,
        [sb.critical(name, bias_std=bias).weight_std for bias in biases],
        "o-",
        label=name,
    )
left.set(
    xlabel="std of the biases",
    ylabel="critical std of the weights, times √fan-in",
    title="The critical line",
)
left.legend()

scales = sb.critical("tanh", bias_std=0.1)
for factor, name in ((0.8, "0.8 of it"), (1.0, "critical"), (1.6, "1.6 of it")):
    weight = sb.VarianceScaling((factor * scales.weight_std) ** 2, "in", "normal")
    x = sb.Normal()((2, 400), rng=sb.Key(0)["inputs"])
    x[1] = 0.9 * x[0] + np.sqrt(1 - 0.9**2) * x[1]
    shown = []
    for layer in range(40):
        key = sb.Key(0)[f"layers.{layer}"]
        z = x @ weight((400, 400), rng=key["weight"]).T + sb.Normal(scales.bias_std)(
            (400,), rng=key["bias"]
        )
        x = np.tanh(z)
        shown.append(np.corrcoef(x)[0, 1])
    right.plot(shown, label=name)
right.set(
    xlabel="layer",
    ylabel="correlation of two inputs",
    title="tanh, two inputs of correlation 0.9",
)
right.legend()
plt.show()
