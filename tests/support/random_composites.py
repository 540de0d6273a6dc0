"""Layers made of layers, as users write them: parts of random models, which are written out before they are traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers, ops

from support.random_builder import Builder, part
from support.random_parts import CONV, DEPTHWISE

_FUNCTIONS: dict[str, Callable] = {
    "relu": ops.relu,
    "leaky": lambda x: ops.leaky_relu(x, negative_slope=0.3),
    "gelu": lambda x: ops.gelu(x, approximate=False),
    "silu": ops.silu,
    "swish": lambda x: x * ops.sigmoid(1.5 * x),
    "clipped": lambda x: ops.clip(x, -1.0, 2.0),
    "squared": lambda x: ops.square(ops.relu(x)),
}


class Block(layers.Layer):
    """A chain of layers, some of them blocks, and how its end is joined with its beginning."""

    def __init__(self, chain: Sequence[Any], join: str = "none", function: str = "relu", **more: Any) -> None:
        super().__init__(**more)
        self.chain = list(chain)
        self.join, self.function = join, function

    def call(self, x: Any, training: bool | None = None) -> Any:
        y = x
        for each in self.chain:
            y = _FUNCTIONS[self.function](each(y, training=training) if isinstance(each, Block) else each(y))
        if self.join == "add":
            return x + y
        if self.join == "gate":
            return x * ops.sigmoid(y)
        return ops.concatenate([x, y], axis=-1) if self.join == "concat" else y


class Gated(layers.Layer):
    """A gated feed-forward part: two projections, one of them a gate, and one back."""

    def __init__(self, width: int, channels: int, function: str, split: bool, **more: Any) -> None:
        super().__init__(**more)
        self.split, self.function = split, function
        self.wide = layers.Dense(2 * width if split else width, use_bias=False)
        self.gate = None if split else layers.Dense(width)
        self.narrow = layers.Dense(channels)

    def call(self, x: Any) -> Any:
        left, right = ops.split(self.wide(x), 2, axis=-1) if self.split else (self.wide(x), self.gate(x))
        return self.narrow(_FUNCTIONS[self.function](right) * left)


class Fork(layers.Layer):
    """Two inputs, and two outputs in a tuple or a dict."""

    def __init__(self, left: Any, right: Any, named: bool, **more: Any) -> None:
        super().__init__(**more)
        self.left, self.right, self.named = left, right, named

    def call(self, x: Any, y: Any = None) -> Any:
        left, right = self.left(x), self.right(x if y is None else y)
        return {"left": left, "right": left + right} if self.named else (left, left + right)


class Attending(layers.Layer):
    """A transformer block: attention and a feed-forward part, the norm before or behind."""

    def __init__(self, attention: Any, feed: Any, before: bool, causal: bool, **more: Any) -> None:
        super().__init__(**more)
        self.attention, self.feed, self.before, self.causal = attention, feed, before, causal
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]

    def call(self, x: Any, mask: Any = None) -> Any:
        seen = None if mask is None else ops.cast(mask, "bool")[:, None, :]
        y = self.norms[0](x) if self.before else x
        y = x + self.attention(y, y, attention_mask=seen, use_causal_mask=self.causal)
        y = y if self.before else self.norms[0](y)
        z = y + self.feed(self.norms[1](y) if self.before else y)
        return z if self.before else self.norms[1](z)


class Words(layers.Layer):
    """Words and their positions."""

    def __init__(self, table: Any, length: int, **more: Any) -> None:
        super().__init__(**more)
        self.table, self.positions = table, layers.Embedding(length, table.output_dim)

    def call(self, words: Any) -> Any:
        return self.table(words) + self.positions(ops.arange(words.shape[1]))


OWN = (Block, Gated, Fork, Attending, Words)
"""The classes that are written out."""


def _plain(b: Builder, x: Any, channels: int | None = None) -> Any:
    """Returns a layer that keeps all axes but the channels."""
    options = [lambda c: layers.Dense(c, use_bias=b.chance(0.7), activation=b.activation())]
    if len(x.shape) > 2:
        options.append(lambda c: CONV(x)(c, b.pick((1, 3)), padding="same", use_bias=b.chance(0.7)))
    if channels is None:
        options += [lambda c: layers.BatchNormalization(), lambda c: layers.LayerNormalization()]
        options += [lambda c: layers.Dropout(0.3), lambda c: layers.RMSNormalization()]
        if len(x.shape) > 2:
            options.append(lambda c: DEPTHWISE(x)(3, padding="same"))
            options.append(lambda c: layers.TimeDistributed(layers.Dense(c, activation="relu")))
        if len(x.shape) == 3:
            options.append(lambda c: layers.Bidirectional(layers.GRU(c, return_sequences=True), merge_mode="sum"))
        options.append(lambda c: keras.Sequential([layers.Dense(c), layers.BatchNormalization(), layers.ReLU()]))
    return b.pick(options)(channels or b.channels())


def _block(b: Builder, x: Any, depth: int) -> Block:
    join = b.pick(("none", "add", "add", "gate", "concat"))
    chain = [_plain(b, x) for _ in range(b.whole(1, 2))]
    if depth:
        chain.insert(b.whole(0, len(chain)), _block(b, x, depth - 1))
    if join in ("add", "gate"):
        chain.append(_plain(b, x, x.shape[-1]))
    return Block(chain, join, b.pick(sorted(_FUNCTIONS)))


@part("composites")
def block(b: Builder, x: Any) -> Any:
    return _block(b, x, 0)(x)


@part("composites")
def block_in_block(b: Builder, x: Any) -> Any:
    """Two or three deep; what is inside gets whatever width comes before it."""
    inner = Block([_plain(b, x), _plain(b, x)], b.pick(("none", "concat")), b.pick(sorted(_FUNCTIONS)))
    middle = Block([_plain(b, x), inner, _plain(b, x, x.shape[-1])], b.pick(("add", "gate")))
    return Block([middle, _plain(b, x)], b.pick(("none", "concat")))(x)


@part("composites")
def block_called_twice(b: Builder, x: Any) -> Any:
    shared = Block([_plain(b, x), _plain(b, x, x.shape[-1])], b.pick(("none", "add")))
    once = shared(x)
    return b.pick((layers.Add(), layers.Concatenate()))([once, shared(b.wide(x, x.shape[-1]))])


@part("composites")
def gated_feed_forward(b: Builder, x: Any) -> Any:
    y = Gated(b.whole(3, 6), x.shape[-1], b.pick(sorted(_FUNCTIONS)), b.chance(0.5))(x)
    return x + y if b.chance(0.5) else y


@part("composites")
def fork(b: Builder, x: Any) -> Any:
    c, named = b.channels(), b.chance(0.5)
    layer = Fork(_plain(b, x, c), _plain(b, x, c), named)
    made = layer(x, b.wide(x)) if b.chance(0.5) else layer(x)
    left, right = (made["left"], made["right"]) if named else made
    if b.chance(0.2) and not b.depth:
        b.outputs.append(b.logits(left))
    return layers.Concatenate()([left, right]) if b.chance(0.5) else left * right


def _attending(b: Builder, x: Any) -> Attending:
    c = x.shape[-1]
    attention = layers.MultiHeadAttention(b.whole(1, 3), b.whole(2, 4), use_bias=b.chance(0.7))
    dense = [layers.Dense(b.channels(), activation="gelu"), layers.Dense(c)]
    feed = Gated(b.whole(3, 6), c, "silu", b.chance(0.5)) if b.chance(0.5) else keras.Sequential(dense)
    return Attending(attention, feed, b.chance(0.6), b.chance(0.4))


@part("composites", (3,))
def transformer_block(b: Builder, x: Any) -> Any:
    return _attending(b, x)(x)


@part("tokens", (2, 3, 4))
def language_model(b: Builder, x: Any) -> Any:
    """Words, positions, blocks with a mask, and the table of words again, or what they come to, joined with `x`."""
    words = keras.Input((b.whole(3, 5),), dtype="int32")
    kind = b.pick((layers.Embedding, layers.ReversibleEmbedding))
    table = kind(12, b.channels())
    mask = ops.not_equal(words, 0) if b.chance(0.5) else None
    y = Words(table, words.shape[1])(words)
    for _ in range(b.whole(1, 2)):
        y = _attending(b, y)(y, mask=mask)
    if b.depth:
        return x
    b.inputs.append(words)
    if kind is layers.ReversibleEmbedding and b.chance(0.5):
        b.outputs.append(table(layers.LayerNormalization()(y), reverse=True))
    seen = layers.Dense(x.shape[-1])(b.pick((layers.GlobalAveragePooling1D(), lambda z: z[:, -1]))(y))
    return x + layers.Reshape((*[1] * (len(x.shape) - 2), x.shape[-1]))(seen)
