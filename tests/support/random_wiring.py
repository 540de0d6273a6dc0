"""How layers hang together in random models: sums, joins, gates, slices, moved axes, reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops
from keras.src.applications.convnext import LayerScale, StochasticDepth
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from support.random_builder import Builder, part
from support.random_parts import CONV, DEPTHWISE, SPACE, TRANSPOSE, by_rank, each

_SUMS: dict[str, Callable] = {
    "add": lambda x, y: layers.Add()([x, y]),
    "add_operation": lambda x, y: x + y,
    "add_swapped": lambda x, y: layers.Add()([y, x]),
    "subtract": lambda x, y: layers.Subtract()([x, y]),
    "subtract_operation": lambda x, y: x - y,
    "average": lambda x, y: layers.Average()([x, y]),
    "maximum": lambda x, y: layers.Maximum()([x, y]),
    "maximum_operation": ops.maximum,
    "minimum": lambda x, y: layers.Minimum()([x, y]),
    "minimum_operation": ops.minimum,
    "scaled": lambda x, y: CustomScaleLayer(0.6)([x, y]),
}
_PRODUCTS: dict[str, Callable] = {
    "multiply": lambda x, y: layers.Multiply()([x, y]),
    "multiply_operation": lambda x, y: x * y,
    "divide": lambda x, y: ops.divide(x, ops.square(y) + 1.0),
    "true_divide": lambda x, y: x / (ops.square(y) + 1.0),
}


# ---- sums ----------------------------------------------------------------------------------------------------


def _summed(call: Callable) -> Callable[[Builder, Any], Any]:
    """`x + f(x)`: the branch ends as wide as the trunk, or a projection makes the trunk as wide as the branch."""

    def make(b: Builder, x: Any) -> Any:
        if b.chance(0.3):
            channels = b.channels()
            x, y = b.wide(x, channels), b.branch(x, b.whole(1, 2), channels)
        else:
            y = b.branch(x, b.whole(1, 2), x.shape[-1])
        if b.chance(0.3):
            y = layers.BatchNormalization()(y)
        return b.pick((lambda z: z, layers.ReLU()))(call(x, y))

    return make


each("residual", {name: _summed(call) for name, call in _SUMS.items()})
each("residual", {name: _summed(call) for name, call in _PRODUCTS.items()})


@part("residual")
def residual_chain(b: Builder, x: Any) -> Any:
    """A trunk with several branches, as residual networks have it."""
    for _ in range(b.whole(2, 3)):
        y = layers.BatchNormalization()(x) if b.chance(0.5) else x
        y = b.wide(layers.ReLU()(b.wide(y)), x.shape[-1])
        x = layers.Add()([x, y])
    return x


@part("residual", SPACE)
def inverted_residual(b: Builder, x: Any) -> Any:
    y = layers.BatchNormalization()(CONV(x)(2 * x.shape[-1], 1, use_bias=False)(x))
    y = layers.BatchNormalization()(DEPTHWISE(x)(3, padding="same")(ops.relu6(y)))
    y = _gate(b, ops.silu(y)) if b.chance(0.4) else y
    return layers.Add()([x, CONV(x)(x.shape[-1], 1)(y)])


@part("residual", (4,))
def convnext(b: Builder, x: Any) -> Any:
    y = layers.LayerNormalization()(layers.DepthwiseConv2D(3, padding="same")(x))
    y = layers.Dense(x.shape[-1])(layers.Dense(b.channels(), activation="gelu")(y))
    return layers.Add()([x, StochasticDepth(0.1)(LayerScale(0.5, x.shape[-1])(y))])


@part("residual")
def shortcut_padded_with_channels(b: Builder, x: Any) -> Any:
    """The shortcut without weights: zeros around the old channels."""
    before, after = b.whole(0, 2), b.whole(1, 3)
    y = b.branch(x, 1, x.shape[-1] + before + after)
    wider = ops.pad(x, ((0, 0),) * (len(x.shape) - 1) + ((before, after),))
    return layers.Add()([wider, y])


@part("residual")
def three_summed(b: Builder, x: Any) -> Any:
    c = b.channels()
    return b.pick((layers.Add, layers.Average, layers.Maximum))()([b.wide(x, c) for _ in range(3)])


# ---- joins ---------------------------------------------------------------------------------------------------


def _joined(b: Builder, tensors: list[Any], axis: int = -1) -> Any:
    return layers.Concatenate(axis=axis)(tensors) if b.chance(0.6) else ops.concatenate(tensors, axis=axis)


@part("branches")
def dense_layers(b: Builder, x: Any) -> Any:
    for _ in range(b.whole(1, 3)):
        y = b.branch(layers.ReLU()(layers.BatchNormalization()(x)), 0, b.whole(2, 4))
        x = layers.Concatenate()([x, y] if b.chance(0.7) else [y, x])
    return x


@part("branches")
def inception(b: Builder, x: Any) -> Any:
    return _joined(b, [b.branch(x, b.whole(0, 2), b.whole(2, 5)) for _ in range(b.whole(2, 3))])


@part("branches")
def joined_with_itself(b: Builder, x: Any) -> Any:
    return _joined(b, [x, b.pick((lambda y: y, layers.ReLU()))(x)])


@part("branches", SPACE, keeps=False)
def u_net(b: Builder, x: Any) -> Any:
    """Half the side and back, joined with what was there."""
    x = b.even(x)
    pool = by_rank(layers.MaxPooling1D, layers.MaxPooling2D)(x)
    up = by_rank(layers.UpSampling1D, layers.UpSampling2D)(x)
    y = b.branch(pool(2)(x), 1, b.channels())
    y = up(2)(y) if b.chance(0.5) else TRANSPOSE(x)(b.channels(), 2, 2)(y)
    return _joined(b, [x, y])


@part("branches", SPACE, keeps=False)
def joined_along_positions(b: Builder, x: Any) -> Any:
    return _joined(b, [x, b.branch(x, 1, x.shape[-1])], axis=1)


@part("branches", SPACE)
def stacked(b: Builder, x: Any) -> Any:
    """Two tensors on a new axis, which is reduced or merged with the channels."""
    c, new = b.channels(), b.pick((1, len(x.shape) - 1, -1))
    both = ops.stack([b.wide(x, c), b.wide(x, c)], axis=new)
    return b.pick((ops.max, ops.sum))(both, axis=new)


@part("branches", SPACE)
def stacked_and_merged(b: Builder, x: Any) -> Any:
    c, new = b.whole(2, 5), b.pick((len(x.shape) - 1, len(x.shape)))
    both = ops.stack([b.wide(x, c), b.wide(x, c)], axis=new)
    return layers.Reshape((*x.shape[1:-1], 2 * c))(both)


# ---- gates ---------------------------------------------------------------------------------------------------


def _gate(b: Builder, x: Any) -> Any:
    """Squeeze and excite, in its spellings."""
    c, squeezed = x.shape[-1], b.whole(2, 4)
    pool = layers.GlobalAveragePooling1D if len(x.shape) == 3 else layers.GlobalAveragePooling2D
    if b.chance(0.5):
        y = CONV(x)(squeezed, 1, activation="relu")(pool(keepdims=True)(x))
        y = CONV(x)(c, 1, activation="sigmoid")(y)
    else:
        y = layers.Dense(c, activation="sigmoid")(layers.Dense(squeezed, activation="relu")(pool()(x)))
        y = layers.Reshape((*[1] * (len(x.shape) - 2), c))(y)
    return layers.Multiply()([x, y]) if b.chance(0.6) else x * y


part("gates", SPACE, name="squeeze_and_excite")(_gate)


@part("gates")
def gate_of_one_channel(b: Builder, x: Any) -> Any:
    return layers.Multiply()([x, layers.Dense(1, activation="sigmoid")(x)])


@part("gates")
def gated_halves(b: Builder, x: Any) -> Any:
    left, right = ops.split(b.multiple(x, 2), 2, axis=-1)
    return left * ops.sigmoid(right)


# ---- slices --------------------------------------------------------------------------------------------------


@part("slices")
def halves_swapped(b: Builder, x: Any) -> Any:
    at = b.whole(1, x.shape[-1] - 1) if x.shape[-1] > 1 else 1
    return _joined(b, [x[..., at:], b.pick((lambda y: y, b.branch))(x[..., :at])])


@part("slices")
def first_channels(b: Builder, x: Any) -> Any:
    return x[..., : b.whole(1, x.shape[-1])] if b.chance(0.5) else x[..., -b.whole(1, x.shape[-1]) :]


@part("slices")
def split_and_joined(b: Builder, x: Any) -> Any:
    pieces = b.pick((2, 3))
    x = b.multiple(x, pieces)
    parts = ops.split(x, pieces, axis=-1)
    parts[0] = b.branch(parts[0])
    return _joined(b, parts[::-1])


@part("slices")
def split_at(b: Builder, x: Any) -> Any:
    x = x if x.shape[-1] > 2 else b.wide(x)
    left, right = ops.split(x, [b.whole(1, x.shape[-1] - 1)], axis=-1)
    return _joined(b, [b.wide(left), right])


@part("slices", SPACE, keeps=False)
def positions_cut(b: Builder, x: Any) -> Any:
    x = b.roomy(x, 3)
    return b.pick((lambda: x[:, 1:], lambda: x[:, ::2], lambda: ops.take(x, [0, 2], axis=1)))()


@part("slices", SPACE, keeps=False)
def positions_split(b: Builder, x: Any) -> Any:
    x = b.even(x)
    left, right = ops.split(x, 2, axis=1)
    return left + b.branch(right, 1, x.shape[-1])


@part("slices", SPACE, keeps=False)
def positions_unstacked(b: Builder, x: Any) -> Any:
    rows = ops.unstack(x, axis=1)
    return ops.stack([rows[-1], rows[0]], axis=1)


@part("pinning", SPACE, keeps=False)
def channels_picked(b: Builder, x: Any) -> Any:
    picks = (
        lambda: x[..., ::2],
        lambda: ops.take(x, [0, x.shape[-1] - 1], axis=-1),
        lambda: ops.expand_dims(x[..., 0], -1),
        lambda: ops.stack(ops.unstack(x, axis=-1)[:2], axis=-1) if x.shape[-1] > 1 else x,
    )
    return b.pick(picks)()


# ---- moving axes ---------------------------------------------------------------------------------------------


@part("moves", SPACE)
def shuffle(b: Builder, x: Any) -> Any:
    groups = b.pick((2, 3))
    x = b.multiple(x, groups)
    space, c = x.shape[1:-1], x.shape[-1]
    rank = len(x.shape)
    order = (*range(rank - 1), rank, rank - 1)
    if b.chance(0.5):
        x = layers.Permute(order[1:])(layers.Reshape((*space, groups, c // groups))(x))
        return layers.Reshape((*space, c))(x)
    x = ops.transpose(ops.reshape(x, (-1, *space, groups, c // groups)), order)
    return ops.reshape(x, (-1, *space, c))


@part("moves", SPACE)
def channels_moved_and_back(b: Builder, x: Any) -> Any:
    rank = len(x.shape)
    if b.chance(0.4):
        return ops.swapaxes(b.pick((ops.relu, layers.Identity()))(ops.swapaxes(x, 1, -1)), 1, -1)
    away, back = (0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)
    if b.chance(0.5):
        return layers.Permute(back[1:])(layers.Activation("relu")(layers.Permute(away[1:])(x)))
    return ops.transpose(ops.tanh(ops.transpose(x, away)), back)


@part("moves", (4,), keeps=False)
def sides_swapped(b: Builder, x: Any) -> Any:
    return b.pick((lambda: layers.Permute((2, 1, 3))(x), lambda: ops.swapaxes(x, 1, 2)))()


@part("moves", SPACE, keeps=False)
def positions_become_channels(b: Builder, x: Any) -> Any:
    """A layer over positions: channels and positions change places."""
    x = layers.Permute((len(x.shape) - 1, *range(1, len(x.shape) - 1)))(x)
    return layers.Dense(b.channels(), activation="relu")(x)


@part("moves", keeps=False)
def there_and_back(b: Builder, x: Any) -> Any:
    """Another rank, and back."""
    rank = len(x.shape)
    return b.at_rank(b.at_rank(x, b.pick([r for r in (2, 3, 4) if r != rank])), rank)


# ---- reductions ----------------------------------------------------------------------------------------------

_REDUCTIONS = {
    name: getattr(ops, name) for name in ("mean", "max", "min", "amax", "amin", "median", "sum", "std", "var")
} | {
    "prod": lambda x, **how: ops.prod(1.0 + 0.1 * ops.tanh(x), **how),
    "argmax": lambda x, **how: ops.argmax(x, **how),
    "argmin": lambda x, **how: ops.argmin(x, **how),
    "any": lambda x, **how: ops.any(ops.relu(x - 0.5), **how),
    "all": lambda x, **how: ops.all(ops.relu(x + 0.5), **how),
    "count_nonzero": lambda x, axis, keepdims=False: ops.count_nonzero(ops.relu(x), axis=axis),
}


def _reduced(call: Callable) -> Callable[[Builder, Any], Any]:
    """A reduction over positions, whose result is one or joins what it was taken of."""

    def make(b: Builder, x: Any) -> Any:
        y = ops.cast(call(x, axis=1), keras.config.floatx())
        return y if b.chance(0.5) else x * ops.tanh(ops.expand_dims(y, 1))

    return make


def _reduced_over_channels(b: Builder, x: Any) -> Any:
    call = b.pick([call for name, call in _REDUCTIONS.items() if name != "count_nonzero"])
    y = ops.tanh(ops.cast(call(x, axis=-1, keepdims=True), keras.config.floatx()))
    return b.pick((lambda: x * y, lambda: x + y, lambda: _joined(b, [x, y])))()


each("reductions", {f"{name}_over_positions": _reduced(call) for name, call in _REDUCTIONS.items()}, SPACE, False)
part("pinning", name="reduced_over_channels")(_reduced_over_channels)


@part("moves", (2,), keeps=False)
def repeated(b: Builder, x: Any) -> Any:
    return layers.RepeatVector(b.whole(2, 4))(x)
