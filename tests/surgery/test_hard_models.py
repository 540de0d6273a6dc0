"""Models that are not float32 layers in a graph: other precisions, quantized weights, functions, loops, nothing left.

Each works, or says in one line what to do instead.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.testing import check_saved, compare, random_inputs, random_plan, randomise


def mixture(dtype):
    """Convolutions, a residual sum, attention and a dense head, all of one precision."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="first", dtype=dtype)(inputs)
    x = layers.ReLU(dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    x = layers.Add(dtype=dtype)([x, layers.Conv2D(8, 1, name="second", dtype=dtype)(x)])
    x = layers.LayerNormalization(dtype=dtype)(layers.Reshape((16, 8), dtype=dtype)(x))
    x = layers.MultiHeadAttention(2, 4, name="attention", dtype=dtype)(x, x)
    return keras.Model(inputs, layers.Dense(3, dtype=dtype)(layers.GlobalAveragePooling1D(dtype=dtype)(x)))


@pytest.mark.matrix
@pytest.mark.parametrize(
    "dtype, tolerance",
    [("float16", 4e-3), ("bfloat16", 3e-2), ("mixed_float16", 4e-3), ("mixed_bfloat16", 3e-2), ("float64", 1e-6)],
)
def test_other_precisions(dtype, tolerance):
    model = randomise(mixture(dtype))
    graph, inputs = kp.trace(model), random_inputs(model)
    plan = random_plan(graph)
    slim = kp.rebuild(model, plan, absorb=False)
    assert compare(kp.mask(model, plan), slim, inputs).error <= tolerance
    assert compare(kp.mask(model, plan, silence="weights"), kp.rebuild(model, plan), inputs).error <= tolerance
    assert {layer.name: layer.dtype_policy.name for layer in slim.layers} == {
        layer.name: layer.dtype_policy.name for layer in model.layers
    }
    assert [w.dtype for w in slim.weights] == [w.dtype for w in model.weights]
    predicted, built = kp.cost(model, plan), kp.cost(slim)
    assert (predicted.params, predicted.macs, predicted.bytes) == (built.params, built.macs, built.bytes)
    check_saved(slim, inputs)
    assert kp.cost(model, kp.plan(model, macs=0.5)).macs == pytest.approx(kp.cost(model).macs / 2, rel=0.1)


# ---- quantized -----------------------------------------------------------------------------------------------------


def two_dense_and_more():
    inputs = keras.Input((8,))
    x = layers.Reshape((4, 4))(layers.Dense(16, name="wide")(inputs))
    x = layers.Conv1D(6, 2, name="inner")(layers.Conv1D(5, 1, name="before")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x)))


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_weights_are_refused_or_stay(mode):
    model = randomise(two_dense_and_more())
    model.quantize(mode)
    cure = f"'wide' of class Dense quantized to {mode}. Prune first, and call quantize.. on the slim model"
    with pytest.raises(kp.PruneError, match=cure):
        kp.trace(model)
    with pytest.raises(kp.PruneError, match=cure):
        kp.plan(model, keep=0.5)
    graph = kp.trace(model, unknown="freeze")
    assert list(graph.prunable) == ["before"]  # the others touch a quantized layer
    plan, inputs = random_plan(graph), random_inputs(model)
    slim = kp.rebuild(model, plan, absorb=False)
    assert compare(kp.mask(model, plan), slim, inputs).error < 1e-5
    assert slim.get_layer("wide").quantization_mode == mode


def test_a_slim_model_can_be_quantized():
    model = randomise(two_dense_and_more())
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    before = np.asarray(slim(random_inputs(slim)))
    slim.quantize("int8", filters=["wide", "logits"])
    assert np.abs(np.asarray(slim(random_inputs(slim))) - before).max() < 0.05 * np.abs(before).max()


# ---- functions and loops -------------------------------------------------------------------------------------------


def test_a_function_is_refused_or_its_channels_stay():
    inputs = keras.Input((6,))
    x = layers.Dense(5, name="seen")(layers.Dense(8, name="hidden", activation="relu")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.Lambda(lambda y: ops.flip(y, -1), name="turn")(x)))
    with pytest.raises(kp.PruneError, match="'turn' of class Lambda.*Write it with keras.ops, or as a layer class"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert list(graph.prunable) == ["hidden"]
    plan = random_plan(graph)
    assert compare(kp.mask(model, plan), kp.rebuild(model, plan, absorb=False), random_inputs(model)).error < 1e-5


class Loop(keras.Model):
    """A model that calls one layer again and again."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.turn = layers.Dense(4)

    def call(self, x):
        """Three turns."""
        for _ in range(3):
            x = self.turn(x)
        return x


class Cell(layers.Layer):
    """A recurrent cell of one's own."""

    state_size = 4

    def build(self, shape):
        """One kernel for input and state."""
        self.kernel = self.add_weight(shape=(shape[-1] + 4, 4), name="kernel")

    def call(self, x, states):
        """`tanh([x; h] kernel)`."""
        state = ops.tanh(ops.matmul(ops.concatenate([x, states[0]], -1), self.kernel))
        return state, [state]


class Encoder(layers.Layer):
    """A transformer block as one layer, as model libraries write it."""

    def build(self, shape):
        """Attention and a dense branch."""
        self.attention, self.wide = layers.MultiHeadAttention(2, 4), layers.Dense(16, "gelu")
        self.narrow = layers.Dense(shape[-1])
        self.attention.build(shape, shape)
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 16))

    def call(self, x):
        """`x + attention(x)`, then `x + f(x)`."""
        x = x + self.attention(x, x)
        return x + self.narrow(self.wide(x))


def after(make, shape=(5, 3)):
    inputs = keras.Input(shape)
    x = layers.Dense(4, name="embedded")(layers.Dense(7, name="hidden")(inputs))
    return keras.Model(inputs, layers.Dense(2)(make(x)))


@pytest.mark.parametrize(
    "make, kind",
    [
        (lambda x: layers.RNN(Cell(), name="part")(x), "RNN"),
        (lambda x: Loop(name="part")(x), "Loop"),
        (lambda x: Encoder(name="part")(x), "Encoder"),
    ],
    ids=["cell", "loop", "encoder"],
)
def test_code_is_refused_with_its_cures_or_its_channels_stay(make, kind):
    model = after(make)
    with pytest.raises(kp.PruneError, match=f"'part' of class {kind}.*@kp.rule.{kind}.*unknown='freeze'"):
        kp.trace(model)
    graph = kp.trace(model, unknown="freeze")
    assert list(graph.prunable) == ["hidden"] and not graph.groups["embedded"].prunable
    assert "'part'" in graph.groups["embedded"].reason


def test_a_model_that_is_code_is_refused():
    model = Loop()
    model(np.zeros((1, 4)))
    with pytest.raises(kp.PruneError, match=r"Write it out with kp.functional\(model\) first"):
        kp.trace(model)


def test_a_backbone_in_a_model_is_followed():
    """A functional backbone as a layer of a classifier, as model libraries build them: heads and widths are found."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(20, 8, name="embedding")(tokens)
    for n in range(2):
        y = layers.LayerNormalization(name=f"norm{n}")(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name=f"attention{n}")(y, y)])
        x = layers.Add()([x, layers.Dense(8, name=f"narrow{n}")(layers.Dense(16, "gelu", name=f"wide{n}")(x))])
    backbone = keras.Model(tokens, layers.LayerNormalization(name="last")(x), name="backbone")
    inputs = keras.Input((6,), dtype="int32")
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(backbone(inputs)))))
    graph = kp.trace(model)
    assert {"embedding", "wide0", "attention1/heads", "attention1/key_dim"} <= set(graph.prunable)
    plan = random_plan(graph)
    slim = kp.rebuild(model, plan, absorb=False)
    assert compare(kp.mask(model, plan), slim, random_inputs(model)).error < 1e-5
    assert slim.get_layer("backbone").output.shape[-1] == len(plan.keep["embedding"])


# ---- nothing left, or nothing to do --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask, words",
    [
        (
            lambda model: kp.Plan({"first": []}),
            "group 'first' to keep at least one channel.*drop the block with removed=",
        ),
        (lambda model: kp.plan(model, keep=0), "a fraction kept in .0, 1.. Received: keep=0"),
        (lambda model: kp.plan(model, macs=0.0), "a fraction kept in .0, 1.. Received: macs=0.0"),
        (lambda model: kp.plan(model, macs=1e-9), "at least 0.* of the macs are kept.*Ask for more"),
        (lambda model: kp.plan(model, keep=0.5, min_keep=0), "Received: min_keep=0"),
        (lambda model: kp.plan(kp.trace(model, freeze="*"), keep=0.5), "all of whose channels are pinned.*freeze less"),
    ],
    ids=["empty-group", "no-channels", "no-macs", "too-few-macs", "no-floor", "all-frozen"],
)
def test_nothing_may_be_left_of_nothing(ask, words):
    with pytest.raises(kp.PruneError, match=words):
        ask(mixture("float32"))


def test_frozen_attention_keeps_its_heads():
    graph = kp.trace(mixture("float32"), freeze=("attention",))
    inside = [group for name, group in graph.groups.items() if name.startswith("attention/")]
    assert len(inside) == 3 and not any(group.prunable for group in inside)


def test_weights_that_are_not_trained_are_cut_all_the_same():
    model = randomise(mixture("float32"))
    model.trainable = False
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    assert not slim.trainable and not slim.trainable_weights and slim.count_params() < model.count_params()
