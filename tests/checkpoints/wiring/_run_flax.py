"""Run flax's attention: renumber its units as its wiring says, on all axes and on all but one."""

import numpy as np

from symbreak.checkpoints import wire
from tests.checkpoints.wiring._permute import axes_over, closed, moved, places

SHAPES = {
    "query/kernel": (6, 3, 4),
    "query/bias": (3, 4),
    "key/kernel": (5, 3, 4),
    "key/bias": (3, 4),
    "value/kernel": (5, 3, 4),
    "value/bias": (3, 4),
    "query_ln/scale": (4,),
    "key_ln/scale": (4,),
    "out/kernel": (3, 4, 7),
    "out/bias": (7,),
}
SAME = 1e-5  # of the largest output


def main():
    import jax
    from flax import linen

    module = linen.MultiHeadDotProductAttention(num_heads=3, qkv_features=12, out_features=7, normalize_qk=True)
    x, y = (np.sin(np.arange(np.prod(shape)).reshape(shape)) for shape in ((2, 4, 6), (2, 5, 5)))
    tree = module.init(jax.random.key(0), x, y)["params"]
    shapes = {f"{part}/{leaf}": tree[part][leaf].shape for part in tree for leaf in tree[part]}
    assert shapes == SHAPES
    at, total = places(shapes)
    values = np.random.default_rng(0).normal(size=total)

    def run(values):
        new = {part: {leaf: values[at[f"{part}/{leaf}"]] for leaf in tree[part]} for part in tree}
        return np.asarray(module.apply({"params": new}, x, y))

    graph = wire(at).graph
    before = run(values)
    scale = np.abs(before).max()
    for space in closed(graph):
        assert np.abs(run(values[moved(graph, space, total)]) - before).max() < SAME * scale
        for name, number in axes_over(graph, space):
            after = run(values[moved(graph, space, total, without=(name, number))])
            assert np.abs(after - before).max() > SAME * scale or name in ("key/bias",), (space, name, number)


if __name__ == "__main__":
    main()
