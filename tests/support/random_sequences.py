"""Attention, recurrence and products of two tensors: parts of random models."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from support.random_builder import Builder, part
from support.random_parts import SPACE, each


@part("attention", (3,))
def multi_head_attention(b: Builder, x: Any) -> Any:
    wants = {"value_dim": b.whole(2, 4)} if b.chance(0.4) else {}
    layer = layers.MultiHeadAttention(b.whole(1, 3), b.whole(2, 4), use_bias=b.chance(0.7), **wants)
    y = layer(x, b.pick((lambda z: z, layers.ReLU()))(x))
    return layers.Add()([x, y]) if b.chance(0.6) else y


@part("attention", (3,))
def cross_attention(b: Builder, x: Any) -> Any:
    y = b.wide(x[:, : b.whole(1, x.shape[1])])
    key = {"key": b.wide(y)} if b.chance(0.4) else {}
    return layers.MultiHeadAttention(b.whole(2, 3), b.whole(2, 3), output_shape=b.channels())(x, y, **key)


@part("attention", (3,))
def group_query_attention(b: Builder, x: Any) -> Any:
    groups = b.whole(1, 2)
    y = layers.GroupQueryAttention(b.whole(2, 4), groups * b.whole(1, 2), groups, use_bias=b.chance(0.7))(x, x)
    return layers.Add()([x, y]) if b.chance(0.6) else y


@part("attention", (3,))
def attention_by_hand(b: Builder, x: Any) -> Any:
    """Heads by reshape, transpose, matmul and softmax, with three projections or one."""
    time, heads, size = x.shape[1], b.whole(2, 3), b.whole(2, 4)

    def apart(y: Any) -> Any:
        return ops.transpose(ops.reshape(y, (-1, time, heads, size)), (0, 2, 1, 3))

    if b.chance(0.5):
        q, k, v = (apart(layers.Dense(heads * size, use_bias=b.chance(0.5))(x)) for _ in range(3))
    else:
        q, k, v = map(apart, ops.split(layers.Dense(3 * heads * size)(x), 3, axis=-1))
    weights = ops.softmax(ops.matmul(q, ops.swapaxes(k, -1, -2)) * size**-0.5)
    y = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (-1, time, heads * size))
    return x + layers.Dense(x.shape[-1])(y)


@part("attention", (3,))
def attention_by_einsum(b: Builder, x: Any) -> Any:
    time, heads, size = x.shape[1], b.whole(2, 3), b.whole(2, 3)
    q, k, v = (
        layers.EinsumDense("abc,chd->abhd", (time, heads, size), bias_axes=b.pick((None, "hd")))(x) for _ in range(3)
    )
    weights = ops.softmax(ops.einsum("athd,ashd->ahts", q, k) * size**-0.5)
    y = ops.einsum("ahts,ashd->athd", weights, v)
    return layers.EinsumDense("abhd,hdc->abc", (time, b.channels()), bias_axes="c")(y)


@part("attention", (3,))
def dot_product_attention(b: Builder, x: Any) -> Any:
    heads, size = b.whole(2, 3), b.whole(2, 3)
    q, k, v = (
        layers.Reshape((x.shape[1], heads, size))(layers.Dense(heads * size, use_bias=b.chance(0.5))(x))
        for _ in range(3)
    )
    return layers.Reshape((x.shape[1], heads * size))(ops.dot_product_attention(q, k, v))


@part("attention", (4,))
def attention_over_pixels(b: Builder, x: Any) -> Any:
    shape = x.shape[1:]
    y = layers.Reshape((shape[0] * shape[1], shape[2]))(x)
    y = layers.MultiHeadAttention(2, b.whole(2, 3))(layers.LayerNormalization()(y), y)
    return layers.Add()([x, layers.Reshape(shape)(y)])


@part("products", (3,))
def matmul(b: Builder, x: Any) -> Any:
    weights = ops.softmax(layers.Dense(x.shape[1])(x))
    return ops.matmul(weights, x)


@part("products", (3,), keeps=False)
def einsum(b: Builder, x: Any) -> Any:
    y = b.wide(x, x.shape[-1])
    both = (lambda: ops.einsum("btc,btc->bc", x, y), lambda: 0.1 * ops.einsum("btc,bsc->bts", x, y))
    return b.pick(both)()


@part("products", (3,), keeps=False)
def dot(b: Builder, x: Any) -> Any:
    return layers.Rescaling(0.1)(layers.Dot(axes=2)([x, b.wide(x, x.shape[-1])]))


_CELLS = (layers.LSTM, layers.GRU, layers.SimpleRNN)


def _recurrent(b: Builder, x: Any, cls: type, sequences: bool) -> Any:
    more = {"reset_after": b.chance(0.5)} if cls is layers.GRU else {}
    return cls(b.whole(3, 6), use_bias=b.chance(0.7), return_sequences=sequences, **more)


each(
    "recurrent",
    {cls.__name__.lower(): lambda b, x, cls=cls: _recurrent(b, x, cls, True)(x) for cls in _CELLS},
    (3,),
)


@part("recurrent", (3,), keeps=False)
def recurrent_to_vector(b: Builder, x: Any) -> Any:
    return _recurrent(b, x, b.pick(_CELLS), False)(x)


@part("recurrent", (3,))
def bidirectional(b: Builder, x: Any) -> Any:
    inner = _recurrent(b, x, b.pick(_CELLS), True)
    return layers.Bidirectional(inner, merge_mode=b.pick(("concat", "sum", "mul", "ave")))(x)


@part("recurrent", (3,))
def recurrent_with_a_state(b: Builder, x: Any) -> Any:
    y, state = layers.GRU(b.whole(3, 5), return_sequences=True, return_state=True)(x)
    return layers.GRU(state.shape[-1], return_sequences=True)(y, initial_state=state)


_CELLS_ALONE = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)


@part("recurrent", (3,))
def stacked_cells(b: Builder, x: Any) -> Any:
    cells = [b.pick(_CELLS_ALONE)(b.whole(3, 5), use_bias=b.chance(0.7)) for _ in range(b.whole(1, 3))]
    inner = layers.RNN(cells if len(cells) > 1 or b.chance(0.5) else cells[0], return_sequences=True)
    return layers.Bidirectional(inner)(x) if b.chance(0.3) else inner(x)


@part("recurrent")
def spectral_normalization(b: Builder, x: Any) -> Any:
    inner = layers.Dense(b.channels(), use_bias=b.chance(0.7), activation=b.activation())
    return layers.SpectralNormalization(inner, power_iterations=b.whole(1, 2))(x)


@part("recurrent", (3,))
def looked_up_and_back(b: Builder, x: Any) -> Any:
    """A table of words that is the head of the model too, tied or not."""
    table = layers.ReversibleEmbedding(
        x.shape[-1], b.channels(), tie_weights=b.chance(0.6), logit_soft_cap=b.pick((None, 5.0))
    )
    seen = b.branch(table(ops.cast(ops.argmax(x, axis=-1), "int32")), 1, table.output_dim)
    return table(seen, reverse=True) if b.chance(0.7) else seen


@part("recurrent", SPACE)
def time_distributed(b: Builder, x: Any) -> Any:
    inner = [layers.Dense(b.channels(), activation="relu"), layers.BatchNormalization(), layers.LayerNormalization()]
    inner += [layers.Conv1D(b.channels(), 2, padding="same")] * (len(x.shape) == 4)
    return layers.TimeDistributed(b.pick(inner))(x)


@part("recurrent", (3,))
def embedded(b: Builder, x: Any) -> Any:
    """Every position is looked up by its largest channel."""
    words = ops.cast(ops.argmax(x, axis=-1), "int32")
    return layers.Embedding(x.shape[-1], b.channels())(words)
