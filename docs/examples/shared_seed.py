"""Two weights from one seed are one weight.

Someone gives every layer the same integer. The layers have other shapes and scales, so
no two units are equal, and still each value of one is a multiple of a value of the
other. The diagnostic sees the shared stream; keys by name avoid it.

Part: Numbers

Picture: Values of one weight against those of another: all on a line with one seed, a
round cloud with keys.
"""

import matplotlib.pyplot as plt
import symbreak as sb

shapes = {"actor.weight": (32, 48), "critic.weight": (64, 24)}
inits = {"actor.weight": sb.HeNormal(), "critic.weight": sb.Normal(0.02)}
one_seed = {name: inits[name](shape, rng=7) for name, shape in shapes.items()}
by_name = {
    name: inits[name](shape, rng=sb.Key(7)[name]) for name, shape in shapes.items()
}

fig, axes = plt.subplots(1, 2, sharex=True, sharey=True, layout="constrained")
for ax, weights, title in (
    (axes[0], one_seed, "rng=7 for both"),
    (axes[1], by_name, "sb.Key(7)[name]"),
):
    ax.plot(
        weights["actor.weight"].ravel(),
        weights["critic.weight"].ravel(),
        ".",
        markersize=3,
        alpha=0.5,
    )
    codes = [finding.code for finding in sb.diagnose(weights).findings]
    ax.set(
        title=f"{title}: {', '.join(codes) or 'no findings'}",
        xlabel="values of the actor's weight",
    )
axes[0].set_ylabel("values of the critic's weight")
plt.show()
