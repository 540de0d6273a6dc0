"""Composite layers and subclassed models written out: the same function, prunable, and loaded without their classes."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from support.tutorial_models import (
    MODELS,
    Branching,
    ScaledBlock,
    TokenAndSlicedPosition,
    built,
    chain,
)

import kerasprune as kp
from kerasprune.surgery.inlining.inline import write_out


def outputs(model, batch):
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(model(batch, training=False))]


def written(model, batch):
    """Returns the model written out, without a word of layers that stay."""
    subclassed = not hasattr(model, "inputs") or type(model).__module__.startswith("support")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return kp.functional(model, inputs=batch if subclassed else None)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in MODELS if name != "encoder"])
def test_tutorial_models_are_written_out_and_pruned(name):
    model, batch = built(name)
    before, calls = model.get_weights(), [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    plain = written(model, batch)
    for one, other in zip(outputs(model, batch), outputs(plain, batch), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert plain.count_params() == model.count_params()
    assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert calls == [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    graph = kp.trace(plain)
    plan = kp.plan(graph, keep=0.5)
    slim = kp.rebuild(plain, plan)
    assert slim.count_params() < 0.7 * model.count_params()
    assert kp.verify(plain, slim, plan, batch, reload=False).passed


@pytest.mark.thorough
def test_a_slim_model_loads_without_the_classes_of_the_user():
    model, batch = built("residual")
    plain = written(model, batch)
    plan = kp.plan(plain, keep=0.5)
    assert kp.verify(plain, kp.rebuild(plain, plan), plan, batch).reload_error < 1e-5


@pytest.mark.thorough
@pytest.mark.parametrize("length", [12, None])
def test_a_table_of_positions_cut_to_the_input_is_as_narrow_as_the_trunk(length, tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((length,), dtype="int32")
    x = TokenAndSlicedPosition(20, 50, 32)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 8)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(32)(layers.Dense(64, activation="relu")(x)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    words = np.random.default_rng(0).integers(0, 50, (4, 12))
    plain = kp.functional(model)
    np.testing.assert_allclose(plain(words), model(words), rtol=1e-4, atol=1e-6)
    trunk = [group for group in kp.trace(plain).prunable.values() if group.size == 32]
    assert len(trunk) == 1 and any("embeddings" in name for name in trunk[0].layers)
    plan = kp.plan(plain, params=0.3)
    slim = kp.rebuild(plain, plan)
    assert slim.count_params() == pytest.approx(0.3 * model.count_params(), rel=0.02)
    assert kp.verify(plain, slim, plan, words, reload=False).passed
    slim.save(tmp_path / "slim.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "slim.keras")(words), slim(words))


def test_names_say_where_a_layer_was():
    model, batch = built("residual")
    names = [layer.name for layer in written(model, batch).layers if layer.weights]
    assert len(names) == len(set(names)) == 15
    prefixes = sorted((f"{block.name}_" for block in model.blocks), key=len, reverse=True)  # block_, block_1_ …
    inside = [next((each for each in prefixes if name.startswith(each)), "") for name in names]
    assert [inside.count(f"{block.name}_") for block in model.blocks] == [4, 5, 4]


def test_a_layer_that_is_random_while_training_stays():
    model, batch = built("encoder")
    with pytest.warns(UserWarning, match="'sampling' acts differently in training mode"):
        plain = kp.functional(model, inputs=batch)
    assert [each.kind for each in kp.trace(plain, unknown="freeze").unknown] == ["Sampling"]
    for one, other in zip(outputs(model, batch), outputs(plain, batch), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def test_what_acts_otherwise_while_training_stays_a_layer():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, x, training=None):
            x = self.dense(x)
            return x + keras.random.normal(keras.ops.shape(x)) if training else x

    with pytest.warns(UserWarning, match="'noisy' acts differently in training mode"):
        plain = kp.functional(chain((5,), layers.Dense(6), Noisy()))
    assert [type(layer).__name__ for layer in plain.layers] == ["InputLayer", "Dense", "Noisy"]


def exact(model, plain, batch):
    """Checks that both compute the same, and that half of the channels can be removed; returns the slim model."""
    for one, other in zip(outputs(model, batch), outputs(plain, batch), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    plan = kp.plan(kp.trace(plain), keep=0.5)
    slim = kp.rebuild(plain, plan)
    assert kp.verify(plain, slim, plan, batch, reload=False).passed
    return slim


def test_weights_of_a_layer_itself_are_looked_up_and_pruned():
    model = chain((16, 16, 3), layers.Conv2D(8, 4, 4), ScaledBlock(8), layers.Flatten(), layers.Dense(3))
    model.layers[2].gamma.assign(np.linspace(0.5, 2, 8))
    batch = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    plain = written(model, batch)
    slim = exact(model, plain, batch)
    assert slim.count_params() < 0.5 * model.count_params()
    tables = [each for each in slim.layers if isinstance(each, layers.Embedding)]
    assert [tuple(table.embeddings.shape) for table in tables] == [(1, 4)]
    assert np.isin(tables[0].embeddings, model.layers[2].gamma).all()


@pytest.mark.thorough
def test_looked_up_weights_are_trained_as_before():
    model = chain((16, 16, 3), layers.Conv2D(8, 4, 4), ScaledBlock(8), layers.Flatten(), layers.Dense(3))
    generator = np.random.default_rng(0)
    batch, targets = generator.normal(size=(8, 16, 16, 3)).astype("float32"), generator.normal(size=(8, 3))
    plain = written(model, batch)
    for each in (model, plain):
        each.compile(keras.optimizers.SGD(0.01), "mse")
        each.fit(batch, targets, epochs=3, batch_size=8, verbose=0)
    np.testing.assert_allclose(outputs(plain, batch)[0], outputs(model, batch)[0], rtol=1e-4, atol=1e-5)


def test_a_sequential_that_was_built_for_a_shape_and_never_called():
    model = keras.Sequential([layers.Conv2D(8, 4, 4), ScaledBlock(8), layers.Flatten(), layers.Dense(3)])
    model.build((None, 16, 16, 3))
    batch = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    exact(model, written(model, batch), batch)


class DropPath(layers.Layer):
    """Stochastic depth, as it is written everywhere."""

    def __init__(self, share):
        super().__init__()
        self.share, self.seed = share, keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        if not training:
            return x
        shape = (keras.ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        return x / (1 - self.share) * keras.ops.floor(1 - self.share + keras.random.uniform(shape, seed=self.seed))


class Doubled(DropPath):
    """Drops, and multiplies by something else."""

    def call(self, x, training=None):
        return 2 * super().call(x, training) if training else x


def test_stochastic_depth_becomes_dropout_of_samples():
    path = DropPath(0.3)
    model = chain((6,), layers.Dense(8), path, layers.Dense(3))
    state = np.asarray(path.seed.state)
    plain = written(model, np.ones((2, 6), "float32"))
    (dropout,) = [each for each in plain.layers if isinstance(each, layers.Dropout)]
    assert (dropout.rate, dropout.noise_shape) == (0.3, (None, 1))
    assert (np.asarray(path.seed.state) == state).all()


def test_what_is_not_quite_dropout_stays():
    with pytest.warns(UserWarning, match="'doubled' acts differently in training mode"):
        plain = kp.functional(chain((6,), layers.Dense(8), Doubled(0.5), layers.Dense(3)))
    assert "Doubled" in [type(each).__name__ for each in plain.layers]


def swish(x):
    return x * keras.ops.sigmoid(1.7 * x)


@pytest.mark.thorough
def test_functions_that_no_other_process_knows_become_operations():
    model = chain((8, 8, 3), layers.Conv2D(6, 3, activation=swish), layers.Flatten(), layers.Dense(4, activation=swish))
    plain = written(model, np.ones((2, 8, 8, 3), "float32"))
    assert [layer.activation for layer in plain.layers if hasattr(layer, "activation")] == [
        keras.activations.linear
    ] * 2
    plan = kp.plan(plain, keep=0.5)
    assert kp.verify(plain, kp.rebuild(plain, plan), plan).reload_error < 1e-5


def test_a_function_behind_a_layer_that_is_called_by_name():
    class ByName(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(8, activation=swish)

        def call(self, x):
            return self.dense(inputs=x)

    batch = np.ones((2, 6), "float32")
    model = chain((6,), ByName(), layers.Dense(3))
    exact(model, written(model, batch), batch)


def test_a_weight_read_outside_its_layer_is_named():
    class Tied(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(10, 4, name="table")

        def call(self, x):
            return keras.ops.matmul(keras.ops.one_hot(x, 10), keras.ops.convert_to_tensor(self.table.embeddings))

    model, words = Tied(), np.ones((2, 5), "int32")
    model.table.build()
    model(words)
    with pytest.warns(UserWarning, match="table/embeddings.*used outside the layer"):
        kp.functional(model, inputs=words)


def test_the_line_that_stands_in_the_way_is_quoted():
    model = Branching()
    batch = np.ones((2, 5), "float32")
    model(batch)
    with pytest.raises(kp.PruneError, match=r"if ops.sum\(x\) > 0:"):
        kp.functional(model, inputs=batch)


def test_the_quoted_line_is_not_one_of_tensorflow():
    class Raw(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4)

        def call(self, x):
            return tf.math.bessel_i0(self.dense(x))

    with pytest.warns(UserWarning, match=r"return tf.math.bessel_i0\(self.dense\(x\)\)"):
        kp.functional(chain((6,), Raw(), layers.Dense(3)))


def test_a_shared_composite_stays_shared():
    shared = keras.Sequential([layers.Dense(6, activation="relu"), layers.Dense(4)])
    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], layers.Dense(2)(shared(left) + shared(right)))
    plain = kp.functional(model)
    assert plain.count_params() == model.count_params()
    assert all(type(layer).__name__ != "Sequential" for layer in plain.layers)


def test_masks_reach_the_layers_behind():
    class Encoder(layers.Layer):
        def __init__(self):
            super().__init__()
            self.words, self.units = layers.Embedding(20, 8, mask_zero=True), layers.LSTM(6)

        def call(self, x):
            return self.units(self.words(x))

    model = chain((7,), Encoder(), layers.Dense(3), dtype="int32")
    batch = np.array([[3, 4, 5, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]], "int32")
    np.testing.assert_allclose(outputs(kp.functional(model), batch)[0], outputs(model, batch)[0], atol=1e-6)


class Words(layers.Layer):
    """Words and where they are; what is padded is masked by the layer's own word."""

    def __init__(self):
        super().__init__()
        self.table, self.positions = layers.Embedding(12, 6), layers.Embedding(5, 6)

    def call(self, words):
        return self.table(words) + self.positions(keras.ops.arange(words.shape[1]))

    def compute_mask(self, words, mask=None):
        return keras.ops.not_equal(words, 0)


class Attend(layers.Layer):
    """Attention, which sees the mask of its inputs."""

    def __init__(self):
        super().__init__()
        self.attention, self.norm = layers.MultiHeadAttention(2, 3), layers.LayerNormalization()
        self.supports_masking = True

    def call(self, x, mask=None):
        y = self.norm(x)
        return x + self.attention(y, y)


def test_a_layer_that_makes_a_mask_stays_where_the_mask_is_used():
    words = keras.Input((5,), dtype="int32")
    model = keras.Model(words, layers.Dense(3)(Attend()(Words()(words))))
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape))
    batch = generator.integers(0, 3, (4, 5))
    with pytest.warns(UserWarning, match="'words' puts a mask on what it returns"):
        plain = kp.functional(model)
    np.testing.assert_allclose(outputs(plain, batch)[0], outputs(model, batch)[0], rtol=1e-4, atol=1e-5)
    model = keras.Model(words, layers.Dense(3)(Words()(words)))
    assert "Words" not in [type(each).__name__ for each in written(model, batch).layers]


def test_flags_and_precision_stay():
    model, batch = built("u-net")
    model.top.trainable = False
    plain = written(model, batch)
    assert [w.trainable for w in plain.weights] == [w.trainable for w in model.weights]


def test_a_model_that_depends_on_more_than_its_arguments_is_refused():
    class Counting(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense, self.calls = layers.Dense(4), 0

        def call(self, x):
            self.calls += 1
            return self.dense(x) * self.calls

    model = chain((5,), Counting())
    with pytest.raises(kp.PruneError, match="differ from call to call: it draws random numbers .* or counts its calls"):
        kp.functional(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "model=None"),
        (lambda: Branching(), "Call it on a batch first"),
        (lambda: keras.Sequential([layers.Dense(3)]), "Call it on a batch first"),
    ],
)
def test_models_that_cannot_be_read(model, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.functional(model() if callable(model) else model)


def test_others_say_that_this_exists():
    model, batch = built("residual")
    with pytest.raises(kp.PruneError, match=r"kp.functional\(model\)"):
        kp.trace(model)
    composite = built("squeeze and excite")[0]
    with pytest.raises(kp.PruneError, match=r"kp.functional\(model\)"):
        kp.trace(composite)


class Mean(layers.Layer):
    """The mean of the channels; it has a rule, and no shape of its own, so Keras tries its code."""

    def call(self, x):
        return keras.ops.mean(keras.ops.square(x), axis=-1, keepdims=True)


class OverMean(layers.Layer):
    """Divides by it, after a dense layer."""

    def __init__(self, **how):
        super().__init__(**how)
        self.dense, self.mean = layers.Dense(6), Mean()

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x) / self.mean(x)

    def compute_output_shape(self, shape):
        return *shape[:-1], 6


def test_what_reads_a_product_with_a_number_is_written_out():
    """Keras takes the product for sparse."""
    kp.rule(Mean)(lambda graph, layer, x: graph.fixed(1, "a mean"))
    inputs = keras.Input((None, 4))
    for scaled in (inputs * 3.0, keras.ops.sqrt(5.0) * inputs):
        model = keras.Model(inputs, layers.Dense(2)(OverMean()(scaled)))
        plain, batch = written(model, None), np.random.default_rng(0).normal(size=(3, 2, 4)).astype("float32")
        assert "OverMean" not in {type(layer).__name__ for layer in plain.layers}
        np.testing.assert_allclose(outputs(plain, batch)[0], outputs(model, batch)[0], atol=1e-5)


class Twice(layers.Layer):
    """A layer that a rule keeps whole, with two layers of one name in it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.one, self.other = layers.Dense(4, name="same"), layers.Dense(4, name="same")

    def build(self, shape):
        self.one.build(shape)
        self.other.build(shape)

    def call(self, x):
        return self.other(self.one(x))


def test_what_is_written_out_may_share_the_weights_by_their_places():
    inputs = keras.Input((4,))
    attended = layers.MultiHeadAttention(2, 3)(inputs[:, None], inputs[:, None])[:, 0]
    kp.rule(Twice)(lambda graph, layer, x: graph.fixed(4, "a test"))
    model = keras.Model(inputs, layers.Dense(2)(Twice()(attended)))
    batch = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    before = outputs(model, batch)[0]
    _, plain = write_out(model, copies=False)
    assert [id(weight) for weight in plain.weights] == [id(weight) for weight in model.weights]
    np.testing.assert_array_equal(outputs(plain, batch)[0], before)


@pytest.mark.parametrize("copies", [True, False])
def test_a_layer_whose_config_does_not_bring_its_weights_back_is_named(copies):
    kp.rule(Twice)(lambda graph, layer, x: graph.fixed(4, "a test"))
    model = keras.Sequential([keras.Input((4,)), Twice(name="twice"), layers.Dense(2)])
    model.layers[0].one.quantize("int8")
    with pytest.raises(kp.PruneError, match="'twice' of class Twice, which has 5 weights, its copy 4"):
        write_out(model, copies=copies)
