"""The right gain keeps a signal alive through fifty layers.

Fifty layers of 256 ReLU units. He's scale keeps the second moment of the signal;
LeCun's halves it in every layer, and with PyTorch's rule of thumb for SELU, 3/4, a
network of SELU units loses it too, more slowly.

Part: Depth

Picture: Second moment against depth: level for He with ReLU and for LeCun with SELU;
falling to a fiftieth with gain 3/4, and by 15 decades for LeCun with ReLU.
"""

import matplotlib.pyplot as plt
import numpy as np
import symbreak as sb


def relu(x):
    return np.maximum(x, 0)


def selu(x):
    return 1.0507 * np.where(x > 0, x, 1.67326 * np.expm1(np.minimum(x, 0)))


torchs = sb.VarianceScaling(sb.gain("selu", convention="torch") ** 2, "in", "normal")
cases = {
    "ReLU, He": (relu, sb.HeNormal()),
    "ReLU, LeCun": (relu, sb.LecunNormal()),
    "SELU, LeCun": (selu, sb.LecunNormal()),
    "SELU, gain 3/4": (selu, torchs),
}
start = sb.Normal()((256, 256), rng=sb.Key(0)["inputs"])
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, (activation, init) in cases.items():
    x, moments = start, []
    for layer in range(50):
        z = x @ init((256, 256), rng=sb.Key(0)[f"layers.{layer}"]).T
        moments.append(np.square(z).mean())
        x = activation(z)
    ax.semilogy(moments, label=name)
ax.set(
    xlabel="layer", ylabel="second moment of the signal", title="Depth forgives no gain"
)
ax.legend()
plt.show()
