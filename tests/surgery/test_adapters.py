"""Adapters of LoRA: a model with some is cut as what it computes, and no mask acts on a part of that."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.testing.randomness import random_inputs, randomise_weights

MERGED = r"adapters of LoRA are merged"


def dense():
    inputs = keras.Input((6,))
    x = layers.Dense(16, "relu", name="two")(layers.Dense(12, "relu", name="one")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x)), ("one", "two")


def sequential():
    parts = [layers.Dense(12, "relu", name="one"), layers.Dense(3, name="logits")]
    return keras.Sequential([keras.Input((6,)), *parts]), ("one", "logits")


def rank_in_config():
    inputs = keras.Input((6,))
    x = layers.Dense(12, "relu", lora_rank=2, lora_alpha=6, name="one")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x)), ()


def conv(kind, sides):
    def make():
        inputs = keras.Input((*sides, 3))
        x = layers.Flatten()(kind(8, 2, activation="relu", name="one")(inputs))
        return keras.Model(inputs, layers.Dense(3, name="logits")(x)), ("one",)

    return make


def einsum():
    inputs = keras.Input((4, 5))
    x = layers.EinsumDense("abc,cd->abd", (4, 8), bias_axes="d", name="one")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))), ("one",)


def embedding():
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Flatten()(layers.Embedding(10, 8, name="one")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Dense(8, "relu")(x))), ("one",)


def attention():
    inputs = keras.Input((4, 8))
    x = layers.MultiHeadAttention(2, 4, name="one")(inputs, inputs)
    x = layers.Dense(8, "relu", name="up")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x)), ("query", "value")


def every_step():
    inputs = keras.Input((4, 5))
    x = layers.TimeDistributed(layers.Dense(8, "relu", name="one"))(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))), ("one",)


def nested_and_shared():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu", name="one")], name="inner")
    first, second = keras.Input((6,)), keras.Input((6,))
    x = layers.Concatenate()([inner(first), inner(second)])
    return keras.Model([first, second], layers.Dense(3, name="logits")(x)), ("one",)


class Written(keras.Model):
    """A model whose call is code."""

    def __init__(self):
        super().__init__(name="written")
        self.one, self.last = layers.Dense(12, "relu", name="one"), layers.Dense(3, name="logits")

    def call(self, x):
        return self.last(self.one(x))


def subclassed():
    model = Written()
    model(np.zeros((1, 6), "float32"))
    return model, ("one",)


MODELS = {
    "dense": dense,
    "sequential": sequential,
    "rank in config": rank_in_config,
    "conv1d": conv(layers.Conv1D, (5,)),
    "conv2d": conv(layers.Conv2D, (5, 5)),
    "conv3d": conv(layers.Conv3D, (4, 4, 4)),
    "einsum": einsum,
    "embedding": embedding,
    "attention": attention,
    "every step": every_step,
    "nested": nested_and_shared,
    "subclassed": subclassed,
}


def adapted(name):
    """Returns a model whose adapters have been trained."""
    model, named = MODELS[name]()
    for layer in model._flatten_layers():
        if layer.name in named:
            layer.enable_lora(2, lora_alpha=6)
    model.one.lora_kernel_b.assign(np.ones((2, 12))) if name == "subclassed" else randomise_weights(model)
    return model


def inputs_of(model, count=64):
    return random_inputs(model, count) if hasattr(model, "inputs") else np.random.default_rng(0).normal(size=(count, 6))


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def adapters(model):
    return [w.name for w in model.weights if "lora" in w.name] + [
        each.name for each in model._flatten_layers() if "lora_rank" in (each.get_config() or {})
    ]


def first(*names):
    return [pytest.param(name, marks=() if name in names else pytest.mark.thorough) for name in MODELS]


@pytest.mark.parametrize("name", first("dense", "attention"))
def test_adapters_are_merged_into_kernels(name, tmp_path):
    model = adapted(name)
    x = inputs_of(model)
    before = outputs(model, x)
    with pytest.warns(UserWarning, match=MERGED):
        merged = kp.functional(model)
    assert adapters(model) and not adapters(merged)
    np.testing.assert_allclose(outputs(merged, x), before, atol=1e-5 * np.abs(before).max())
    with pytest.warns(UserWarning, match=MERGED):
        slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    assert not adapters(slim) and slim.count_params() < merged.count_params()
    slim.save(tmp_path / "slim.keras")
    expected = outputs(slim, x)
    again = keras.models.load_model(tmp_path / "slim.keras")
    np.testing.assert_allclose(outputs(again, x), expected, atol=1e-5 * np.abs(expected).max())
    assert any(w.trainable and w.name in ("kernel", "embeddings") for w in slim.weights)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_pruning_leaves_the_adapters_of_the_given_model(name):
    model = adapted(name)
    x, weights = inputs_of(model), [keras.ops.convert_to_numpy(w) for w in model.weights]
    with pytest.warns(UserWarning, match=MERGED):
        slim, plan, report = kp.prune(model, keep=0.5, data=x, verbose=0)
    assert not adapters(slim) and report.verified < 1e-5
    with pytest.warns(UserWarning, match=MERGED):
        assert kp.verify(model, kp.rebuild(model, plan), plan).error < 1e-5
    for variable, value in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


@pytest.mark.filterwarnings(f"ignore:.*{MERGED}")
def test_every_entrance_takes_the_sum():
    model = adapted("dense")
    merged = kp.functional(model)
    for layer in ("one", "two"):
        sums = [keras.ops.convert_to_numpy(each.get_layer(layer).kernel) for each in (model, merged)]
        np.testing.assert_allclose(*sums, atol=1e-6)
    plan = kp.plan(model, keep=0.5)
    assert plan == kp.plan(merged, keep=0.5)
    x = inputs_of(model)
    for act in (kp.rebuild, kp.mask):
        np.testing.assert_allclose(outputs(act(model, plan), x), outputs(act(merged, plan), x), atol=1e-6)
    assert str(kp.cost(model, plan)) == str(kp.cost(merged, plan))
    assert kp.report(model, plan) == kp.report(merged, plan)
    slim = kp.rebuild(model, plan)
    kp.reconstruct(slim, model, plan, x)
    with pytest.raises(kp.PruneError, match="'one' of class Dense with LoRA"):
        kp.trace(model)
    with pytest.raises(kp.PruneError, match="with LoRA"):
        kp.plan(kp.trace(model, unknown="freeze"), keep=0.5)
    model.compile("sgd", "mse")
    kp.plan(model, "taylor_fo", keep=0.5, data=(x, np.zeros((64, 3))))


@pytest.mark.filterwarnings(f"ignore:.*{MERGED}")
def test_half_precision_loses_nothing_by_merging():
    with_half = keras.DTypePolicy("mixed_float16")
    inputs = keras.Input((6,))
    layer = layers.Dense(12, dtype=with_half, name="one")
    model = keras.Model(inputs, layers.Dense(3)(layer(inputs)))
    layer.enable_lora(2)
    randomise_weights(model)
    factors = [keras.ops.convert_to_numpy(each) for each in (layer._kernel, layer.lora_kernel_a, layer.lora_kernel_b)]
    merged = kp.functional(model).get_layer("one")
    np.testing.assert_allclose(merged.kernel, factors[0] + factors[1] @ factors[2], rtol=1e-6, atol=1e-6)


def compiled():
    model = adapted("dense")
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def path(model):
    return model.get_layer("one")._kernel.path


def held(model):
    kernel = model.get_layer("one")._kernel
    return kp.callbacks.HoldMask({kernel.path: np.arange(kernel.shape[0] * 12).reshape(kernel.shape) % 2 == 0})


MASKS = {
    "GradualMagnitude": lambda model: kp.callbacks.GradualMagnitude(kp.schedules.constant(0.3), every=1),
    "IterativeMagnitude": lambda model: kp.callbacks.IterativeMagnitude(1, 0.5),
    "GReg1 of weights": lambda model: kp.callbacks.GReg1(keep=0.5, granularity="weight").compressed(4),
    "GReg1 of a plan": lambda model: kp.callbacks.GReg1(kp.plan(model, keep=0.5)).compressed(4),
    "SoftFilterPruning": lambda model: kp.callbacks.SoftFilterPruning(keep=0.5),
    "HoldMask": held,
    "TrainedQuantization": lambda model: kp.callbacks.TrainedQuantization(bits=4),
}


@pytest.mark.experiments
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [next(iter(MASKS)), *(pytest.param(n, marks=pytest.mark.thorough) for n in [*MASKS][1:])]
)
def test_masks_do_not_act_on_a_part_of_a_kernel(name):
    model = compiled()
    x = inputs_of(model)
    with pytest.raises(kp.PruneError, match="one.* with LoRA.*kp.functional.model.") as told:
        model.fit(x, np.zeros((64, 3)), epochs=2, verbose=0, callbacks=[MASKS[name](model)])
    assert ("freeze" in str(told.value)) == (name not in ("HoldMask", "TrainedQuantization"))
    assert "{" not in str(told.value)
    merged = kp.functional(model)
    merged.compile(keras.optimizers.SGD(0.01), "mse")
    merged.fit(x, np.zeros((64, 3)), epochs=2, verbose=0, callbacks=[MASKS[name](merged)])


@pytest.mark.filterwarnings("ignore")
def test_weights_are_masked_in_the_sum_or_beside_the_adapters():
    model = compiled()
    x, y = inputs_of(model), np.zeros((64, 3))
    merged = kp.functional(model)
    merged.compile(keras.optimizers.SGD(0.01), "mse")
    merged.fit(x, y, verbose=0, callbacks=[MASKS["GradualMagnitude"](merged)])
    assert all(np.mean(np.asarray(merged.get_layer(each).kernel) == 0) > 0.65 for each in ("one", "two"))
    beside = kp.callbacks.GradualMagnitude(kp.schedules.constant(0.3), every=1, freeze=["one", "two"])
    model.fit(x, y, verbose=0, callbacks=[beside])
    assert [*beside.masks] == [model.get_layer("logits").kernel.path]
    with pytest.raises(kp.PruneError, match="with LoRA"):
        kp.prune_at_init(model, "l1", keep=0.5)
