"""Layers that draw random numbers: what is folded and compared is what they do in inference."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.graph.rule import table
from kerasprune.repair.synthesis.stored_moments import StoredMoments
from kerasprune.surgery.absorb import fold
from kerasprune.surgery.cut import Cut
from kerasprune.testing import randomise

OF_KERAS = sorted(
    {
        cls
        for cls in vars(layers).values()
        if inspect.isclass(cls) and "seed" in inspect.signature(cls.__init__).parameters and "training" in
        inspect.signature(cls.call).parameters
    },
    key=lambda cls: cls.__name__,
)  # fmt: skip
ARGUMENTS = {
    "AlphaDropout": {"rate": 0.5}, "Attention": {"dropout": 0.5}, "AdditiveAttention": {"dropout": 0.5},
    "ConvLSTM1D": {"filters": 6, "kernel_size": 2, "dropout": 0.5},
    "ConvLSTM2D": {"filters": 6, "kernel_size": 2, "dropout": 0.5},
    "ConvLSTM3D": {"filters": 6, "kernel_size": 2, "dropout": 0.5},
    "Dropout": {"rate": 0.5}, "GRU": {"units": 6, "dropout": 0.5}, "GRUCell": {"units": 6, "dropout": 0.5},
    "GaussianDropout": {"rate": 0.5}, "GaussianNoise": {"stddev": 1.0},
    "GroupedQueryAttention": {"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.5},
    "GroupQueryAttention": {"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.5},
    "LSTM": {"units": 6, "dropout": 0.5}, "LSTMCell": {"units": 6, "dropout": 0.5},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 4, "dropout": 0.5},
    "RandomBrightness": {"factor": 0.5}, "RandomContrast": {"factor": 0.5}, "RandomCrop": {"height": 8, "width": 8},
    "RandomColorJitter": {"brightness_factor": 0.5}, "RandomColorDegeneration": {"factor": 0.5},
    "RandomGrayscale": {"factor": 0.5}, "RandomHue": {"factor": 0.5}, "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.5}, "RandomSaturation": {"factor": 0.5}, "RandomSharpness": {"factor": 0.5},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomZoom": {"height_factor": 0.5}, "SimpleRNN": {"units": 6, "dropout": 0.5},
    "SimpleRNNCell": {"units": 6, "dropout": 0.5}, "SpatialDropout1D": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5}, "SpatialDropout3D": {"rate": 0.5},
}  # fmt: skip
SHAPES = {
    **dict.fromkeys(("ConvLSTM1D",), (3, 6, 8)), **dict.fromkeys(("ConvLSTM2D", "SpatialDropout3D"), (3, 6, 6, 8)),
    "ConvLSTM3D": (3, 4, 4, 4, 8),
    **dict.fromkeys(("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise"), (8,)),
    **dict.fromkeys(
        ("Attention", "AdditiveAttention", "GRU", "GroupQueryAttention", "GroupedQueryAttention", "LSTM",
         "MultiHeadAttention", "SimpleRNN", "SpatialDropout1D"), (5, 8),
    ),
}  # fmt: skip
PAIRS = {"MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"}
LISTS = {"Attention", "AdditiveAttention"}


def model_with(cls):
    """Returns channels that emit something when they are removed, a layer called with training=True, and readers."""
    name = cls.__name__
    shape = SHAPES.get(name, (8, 8, 3))
    inputs = keras.Input(shape)
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    drawing = cls(**ARGUMENTS.get(name, {}))
    x = layers.Dense(3, name="colours")(x) if name not in SHAPES and name != "SpatialDropout2D" else x
    given = ([x, x],) if name in LISTS else (x, x) if name in PAIRS else (x,)
    x = drawing(*given, training=True)
    x = layers.Dense(6, activation="relu", name="after")(x)
    return randomise(keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten()(x)))), drawing


NOT_HERE = ("Cell", "JaxLayer", "RandomShear")  # parts of layers; code of JAX; Keras cannot read its config


@pytest.mark.matrix
@pytest.mark.parametrize("cls", [cls for cls in OF_KERAS if not cls.__name__.endswith(NOT_HERE)])
def test_two_rebuilds_are_equal_and_equal_to_the_masked_model(cls):
    model, _ = model_with(cls)
    plan = kp.plan(kp.trace(model), keep=0.5)
    data = np.random.default_rng(0).normal(size=(8, *model.input_shape[1:])).astype("float32")
    one, two = kp.rebuild(model, plan), kp.rebuild(model, plan)
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    pairs = [(kp.rebuild(model, plan, absorb=False), kp.mask(model, plan))]
    if not fold(Cut.of(model, plan)).lost:  # recurrent layers and attention read through several kernels
        pairs.append((one, kp.mask(model, plan, silence="weights")))
    for pair in pairs:
        made, masked = (each.predict(data, verbose=0) for each in pair)
        assert np.abs(made - masked).max() < 1e-4 * np.abs(masked).max()


def test_the_table_has_the_layers_that_draw():
    names = {cls.__name__ for cls in OF_KERAS}
    assert {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "LSTM"} <= names
    assert sum(name.startswith("Random") for name in names) >= 10


class Noise(layers.Layer):
    """Draws always, or while training."""

    def __init__(self, always, **kwargs):
        super().__init__(**kwargs)
        self.always, self.seeds = always, keras.random.SeedGenerator(1)

    def call(self, x, training=None):
        return x + keras.random.normal(ops.shape(x), seed=self.seeds) if self.always or training else x

    def get_config(self):
        return {**super().get_config(), "always": self.always}


class OneSeed(layers.Layer):
    """Draws from the seed of the process."""

    def call(self, x):
        return x * keras.random.uniform(ops.shape(x))


UNSEEDED = [OneSeed] if keras.backend.backend() != "jax" else []  # where Keras demands a seed


@pytest.mark.parametrize("make", [lambda: Noise(True), lambda: Noise(False), *UNSEEDED])
def test_what_a_layer_of_the_user_draws_is_not_folded(monkeypatch, make):
    monkeypatch.setattr("kerasprune.graph.rule.table.rules", dict(table.load()))
    layer = make()
    kp.rule(type(layer))(lambda graph, layer, x: x)
    inputs = keras.Input((4,))
    x = layer(layers.Dense(8, bias_initializer="ones", name="first")(inputs), **{"training": True} if
              isinstance(layer, Noise) else {})  # fmt: skip
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))
    states = [np.array(each) for each in model.non_trainable_variables]
    plan = kp.Plan({"first": [0, 3, 5]})
    one, two = (kp.rebuild(model, plan) for _ in range(2))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    always = not isinstance(layer, Noise) or layer.always
    assert fold(Cut.of(model, plan)).lost == (["logits"] if always else [])
    for a, b in zip(states, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_that_draws_in_inference_stays_and_the_rest_is_pruned():
    class Doubting(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.a, self.drop, self.b = layers.Dense(16), layers.Dropout(0.5), layers.Dense(8)

        def call(self, x):
            return self.b(self.drop(self.a(x), training=True))

    inputs = keras.Input((4,))
    x = Doubting(name="doubting")(layers.Dense(12, activation="relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(16, activation="relu", name="after")(x)))
    with pytest.warns(UserWarning, match="kept whole when the model is pruned: 'doubting' calls 'dropout"):
        plain = kp.functional(model)
    assert set(kp.trace(plain, unknown="freeze").prunable) == {"after"}


def test_statistics_of_a_batch_are_those_of_inference():
    inputs = keras.Input((4,))
    x = layers.Dropout(0.5)(layers.Dense(8)(inputs), training=True)
    model = randomise(keras.Model(inputs, layers.Dense(2)(layers.BatchNormalization()(x))))
    moments, batch = StoredMoments(model), [np.random.default_rng(0).normal(size=(16, 4)).astype("float32")]
    for one, two in zip(*(keras.tree.flatten(moments.of(batch)) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_that_draws_is_compared_with_what_is_written():
    """As in a variational autoencoder: the losses of its own call() are left out, those of a layer of its own kept."""

    class Divergence(layers.Layer):
        def call(self, mean, log):
            self.add_loss(-0.5 * ops.mean(1 + log - mean**2 - ops.exp(log)))
            return mean

    class Latent(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, mean, log):
            return mean + ops.exp(0.5 * log) * keras.random.normal(ops.shape(mean), seed=self.seeds)

    class Auto(keras.Model):
        def __init__(self, apart):
            super().__init__()
            self.wide, self.mean, self.log = layers.Dense(16, activation="relu"), layers.Dense(4), layers.Dense(4)
            self.sampling, self.out, self.divergence = Latent(), layers.Dense(12), Divergence() if apart else None

        def call(self, x):
            mean, log = self.mean(self.wide(x)), self.log(self.wide(x))
            if self.divergence:
                mean = self.divergence(mean, log)
            else:
                self.add_loss(-0.5 * ops.mean(1 + log - mean**2 - ops.exp(log)))
            return self.out(self.sampling(mean, log))

    x = np.random.default_rng(0).uniform(size=(32, 12)).astype("float32")
    for apart in (False, True):
        model = Auto(apart)
        model.compile("sgd", "mse")
        model.fit(x, x, verbose=0)
        with pytest.warns(UserWarning, match="latent") as caught:
            slim = kp.prune(model, keep=0.5, data=x, verbose=0).slim
        said = any("without the losses" in str(each.message) for each in caught)
        slim(x)
        assert said is not apart and len(slim.losses) == apart
        assert slim.count_params() < 0.7 * model.count_params()
