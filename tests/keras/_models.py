"""Small models of every kind of layer, and a transformer of somebody's own."""

from typing import Any

import keras
import numpy as np

L = keras.layers


def every_layer() -> Any:
    """One functional model with the layers that have weights."""
    given = keras.Input((8, 8, 3))
    x = L.Conv2D(8, 3, padding="same", groups=1)(given)
    x = L.BatchNormalization()(x)
    x = L.Conv2D(8, 3, padding="same", groups=2)(x)
    x = L.GroupNormalization(4)(x)
    x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = L.SeparableConv2D(4, 2)(x)
    x = L.Conv2DTranspose(4, 2)(x)
    x = L.PReLU()(x)
    x = L.Reshape((-1, 4))(x)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    x = L.GRU(6, return_sequences=True)(x)
    x = L.SimpleRNN(6, return_sequences=True)(x)
    x = L.MultiHeadAttention(2, 3)(x, x)
    x = L.GroupQueryAttention(3, 2, 1)(x, x)
    x = L.LayerNormalization()(x)
    x = L.RMSNormalization()(x)
    x = L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")(x)
    x = L.TimeDistributed(L.Dense(5))(x)
    x = keras.Sequential([L.Dense(5), L.Dense(4, name="mine")])(x)
    return keras.Model(given, x)


class Block(L.Layer):
    """A block of a transformer, as somebody writes it."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.norm1, self.norm2 = L.LayerNormalization(name="norm1"), L.LayerNormalization(name="norm2")
        self.attention = L.MultiHeadAttention(2, width // 2, name="attention")
        self.up, self.down = L.Dense(4 * width, activation="gelu", name="up"), L.Dense(width, name="down")

    def build(self, shape: Any) -> None:
        """Build what it is made of."""
        self.norm1.build(shape)
        self.attention.build(shape, shape)
        self.norm2.build(shape)
        self.up.build(shape)
        self.down.build((*shape[:-1], self.up.units))
        super().build(shape)

    def call(self, x: Any) -> Any:
        """Attend, then transform."""
        y = self.norm1(x)
        x = x + self.attention(y, y)
        return x + self.down(self.up(self.norm2(x)))


class Transformer(keras.Model):
    """A language model with a `call` of its own."""

    def __init__(self, width: int = 8, depth: int = 2, tokens: int = 20) -> None:
        super().__init__()
        self.embed = L.Embedding(tokens, width, name="embed")
        self.blocks = [Block(width, name=f"block_{number}") for number in range(depth)]
        self.norm, self.head = L.LayerNormalization(name="norm"), L.Dense(tokens, name="head")

    def call(self, x: Any) -> Any:
        """Give the logits of tokens."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def transformer(**options: Any) -> Any:
    """Build it."""
    model = Transformer(**options)
    model(np.zeros((2, 5), "int32"))
    return model
