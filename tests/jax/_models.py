"""Small models of JAX's libraries that the tests share: what people build, in little."""

import jax
import jax.numpy as jnp
from flax import linen, nnx


class LinenBlock(linen.Module):
    heads: int = 2

    @linen.compact
    def __call__(self, x):
        mask = linen.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + linen.MultiHeadDotProductAttention(self.heads)(linen.LayerNorm()(x), mask=mask)
        h = linen.gelu(linen.Dense(4 * x.shape[-1])(linen.RMSNorm()(x)))
        return x + linen.Dense(x.shape[-1])(h)


class LinenTransformer(linen.Module):
    """Tokens and positions, blocks, and the logits of every token, with the table of tokens read again."""

    width: int = 16
    layers: int = 2

    @linen.compact
    def __call__(self, ids):
        table = linen.Embed(20, self.width)
        x = table(ids) + linen.Embed(8, self.width)(jnp.arange(ids.shape[1]))
        for _ in range(self.layers):
            x = LinenBlock()(x)
        return table.attend(linen.LayerNorm()(x))


class NnxBlock(nnx.Module):
    def __init__(self, width, rngs):
        self.before = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs)
        self.between = nnx.RMSNorm(width, rngs=rngs)
        self.gate = nnx.Linear(width, 4 * width, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.before(x))
        h = self.between(x)
        return x + self.drop(self.down(nnx.silu(self.gate(h)) * self.up(h)))


class NnxTransformer(nnx.Module):
    def __init__(self, rngs, width=16, layers=2):
        self.tokens = nnx.Embed(20, width, rngs=rngs)
        self.places = nnx.Embed(8, width, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(width, rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(self, ids):
        x = self.tokens(ids) + self.places(jnp.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.tokens.attend(self.norm(x))


class Convolutions(linen.Module):
    @linen.compact
    def __call__(self, x):
        for _ in range(2):
            x = linen.Conv(8, (3, 3))(x)
            x = linen.relu(linen.BatchNorm(use_running_average=True)(x))
            x = linen.max_pool(x, (2, 2), (2, 2))
        x = linen.GroupNorm(2)(linen.Conv(8, (3, 3), feature_group_count=8)(x))
        x = linen.ConvTranspose(8, (2, 2), strides=(2, 2))(x)
        return linen.Dense(3)(x.mean((1, 2)))


class Recurrent(linen.Module):
    cell: type = linen.OptimizedLSTMCell

    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(linen.RNN(self.cell(8))(x))


class _Layer(linen.Module):
    @linen.compact
    def __call__(self, x, _=None):
        return x + linen.Dense(8)(linen.gelu(linen.Dense(16)(linen.LayerNorm()(x)))), None


class Scanned(linen.Module):
    """Layers whose parameters are stacked, as large models have them."""

    @linen.compact
    def __call__(self, x):
        many = linen.scan(linen.remat(_Layer), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = many()(linen.Dense(8)(x))
        return linen.Dense(2)(x)


IDS = jnp.zeros((2, 8), int)
LINEN = {
    "transformer": (LinenTransformer(), IDS),
    "convolutions": (Convolutions(), jnp.zeros((2, 8, 8, 3))),
    "lstm": (Recurrent(), jnp.zeros((2, 5, 3))),
    "gru": (Recurrent(linen.GRUCell), jnp.zeros((2, 5, 3))),
    "simple": (Recurrent(linen.SimpleCell), jnp.zeros((2, 5, 3))),
    "scanned": (Scanned(), jnp.zeros((2, 4))),
}


def variables(model, x):
    return jax.eval_shape(model.init, jax.random.key(0), x)
