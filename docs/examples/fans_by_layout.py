"""The same kernel in another order is another layer.

A kernel of 3 x 3 positions, 16 inputs and 32 units, in the orders of PyTorch and Keras.
Read in the right order both get the same standard deviation; read in the wrong one, a
depthwise or a Keras kernel gets that of some other layer.

Part: Starts

Picture: Bars of the standard deviation over the right one: 1 where the layout is said,
up to far from 1 where it is guessed.
"""

import math

import matplotlib.pyplot as plt
import symbreak as sb

init = sb.HeNormal()
cases = [  # what it is, the shape, how it is rightly read, inputs that each unit has
    ("Keras\nConv2D", (3, 3, 16, 32), "hwio", 9 * 16),
    ("Keras\nDense", (512, 10), "io", 512),
    ("PyTorch transposed\n(in, out, 4, 4)", (16, 128, 4, 4), "iohw", 16 * 16),
    (
        "Keras depthwise\n(3, 3, 64, 1)",
        (3, 3, 64, 1),
        sb.Axes("hwio", groups=64, grouped="i"),
        9,
    ),
]
fig, ax = plt.subplots(layout="constrained")
for number, (_, shape, axes, inputs) in enumerate(cases):
    right = math.sqrt(2 / inputs)
    for side, layout in ((-0.2, axes), (0.2, None)):
        std = init(shape, rng=0, axes=layout).std() / right
        label = (
            {-0.2: "layout said", 0.2: "read as PyTorch's"}[side]
            if number == 0
            else None
        )
        ax.bar(
            number + side,
            std,
            0.38,
            color={-0.2: "#0072B2", 0.2: "#D55E00"}[side],
            label=label,
        )
ax.axhline(1, color="#555555", linewidth=0.8)
ax.set(
    xticks=range(len(cases)),
    xticklabels=[name for name, *_ in cases],
    ylabel="std over the right one",
    yscale="log",
)
ax.set_title("He normal, in four layouts")
ax.legend()
plt.show()
