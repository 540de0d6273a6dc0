"""Networks, data and calls that the cases of remedies share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.arange(64) % 3
IMAGES = np.random.default_rng(1).normal(size=(64, 8, 8, 3)).astype("float32")
TWO = X, Y
TRAIN = {"data": TWO, "epochs": 1}
LOSS = "sparse_categorical_crossentropy"
SEQUENCES = np.random.default_rng(2).normal(size=(32, 5, 6)).astype("float32")


def dense(
    loss: Any = "sparse_categorical_crossentropy", optimizer: Any = "sgd", units: int = 8, **last: Any
) -> keras.Model:
    """Returns a classifier of six numbers, compiled if there is a loss."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="numbers")
    hidden = layers.Dense(units, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="last", **{"activation": "softmax", **last})(hidden))
    if loss:
        model.compile(optimizer, loss)
    return model


def conv(side: int | None = 8, **first: Any) -> keras.Model:
    """Returns a classifier of images with BatchNorm, compiled."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((side, side, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, use_bias=False, name="conv", **first)(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@keras.saving.register_keras_serializable("remedies")
class Own(layers.Layer):
    """A layer without a rule: it mixes channels."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(keras.ops.sort(x, axis=-1), self.kernel)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def with_own(loss: str | None = "sparse_categorical_crossentropy") -> keras.Model:
    """Returns a classifier with a layer that no rule knows."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = Own(name="own")(layers.Dense(8, "relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(layers.Dense(8, "relu", name="second")(x)))
    if loss:
        model.compile("sgd", loss)
    return model


@keras.saving.register_keras_serializable("remedies")
class Written(keras.Model):
    """A subclassed classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = layers.Dense(8, "relu"), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(self.hidden(x))


def built(model: keras.Model) -> keras.Model:
    """Returns a subclassed model after its first batch."""
    model(X[:2])
    return model


def cut(model: keras.Model | None = None, **given: Any) -> kp.Plan:
    """Returns a plan of half the channels."""
    return kp.plan(model or dense(), keep=0.5, **given)


def fit(callback: Any, model: keras.Model | None = None, data: Any = (X, Y), **given: Any) -> keras.Model:
    """Returns a model after two epochs with a callback."""
    model = model or dense()
    data = data if isinstance(data, tuple) else (data,)
    model.fit(*data, **{"verbose": 0, "epochs": 2, "callbacks": [callback]} | given)
    return model


@keras.saving.register_keras_serializable("remedies")
def of_three(_labels: Any, outputs: Any) -> Any:
    """Returns the loss of triplets: anchor, positive, negative in turn."""
    anchors, near, far = outputs[0::3], outputs[1::3], outputs[2::3]
    return keras.ops.mean(keras.ops.relu(keras.ops.sum((anchors - near) ** 2 - (anchors - far) ** 2, axis=-1) + 1.0))


def prune(*args: Any, **given: Any) -> Any:
    """Calls `kp.prune` on the dense classifier, cut only, unless something else is given."""
    return kp.prune(*(args or (dense(),)), **{"keep": 0.5, "verbose": 0} | given)


def batches_of(number: int) -> Any:
    """Returns some batches of eight examples."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).take(number)


def linear() -> keras.Model:
    """Returns a network whose activations are never zero."""
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "sigmoid", name="hidden")(inputs)))


def sparse() -> Any:
    """Returns the inputs as a matrix of SciPy, which the core does not need."""
    from scipy.sparse import csr_matrix

    return csr_matrix(X)


def endless() -> Any:
    """Returns batches without end."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(TWO).batch(8).repeat()


def inside(layer: keras.Layer) -> keras.Model:
    """Returns a model of sequences with a layer inside a `TimeDistributed`."""
    x = layers.Dense(8, "relu")(layers.Dense(8, "relu")(inputs := keras.Input((5, 6))))
    return keras.Model(inputs, layers.Dense(3)(layers.TimeDistributed(layer)(x)))


@keras.saving.register_keras_serializable("remedies")
class Cell(layers.Layer):
    """A cell that is none of Keras's."""

    state_size = output_size = 8

    def call(self, x: Any, states: Any) -> Any:
        new = keras.ops.tanh(x + states[0])
        return new, [new]


def with_cell() -> keras.Model:
    """Returns a model of sequences with a cell of its own."""
    x = layers.RNN(Cell())(layers.Dense(8)(inputs := keras.Input((5, 6))))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu")(x)))


def written_out() -> keras.Model:
    """Returns the model with a layer of its own written out, compiled."""
    return optimizer_of(kp.functional(with_own()))


def optimizer_of(model: keras.Model) -> keras.Model:
    """Returns the model with an optimizer under which penalties act."""
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def frozen() -> keras.Model:
    """Returns the classifier with nothing to train."""
    model = dense()
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def grown(granularity: str) -> Any:
    """Returns a growing penalty after its fit."""
    callback = kp.callbacks.GReg1(keep=0.5, granularity=granularity, strict=False).compressed(4)
    fit(callback)
    return callback


def ramped(granularity: str, model: keras.Model | None = None) -> Any:
    """Returns gradual masks after their fit."""
    callback = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), every=1, granularity=granularity)
    fit(callback, model)
    return callback


def used() -> keras.optimizers.Optimizer:
    """Returns an optimizer with the state of a fit."""
    optimizer = keras.optimizers.Adam()
    fit(keras.callbacks.Callback(), dense(optimizer=optimizer))
    return optimizer


def words() -> keras.Model:
    """Returns a classifier of sequences of ten words."""
    x = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(inputs := keras.Input((5,), dtype="int32")))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu")(x)))


def with_lambda() -> keras.Model:
    """Returns a classifier with a Lambda that mixes channels."""
    x = layers.Lambda(lambda x: keras.ops.sort(x, axis=-1))(layers.Dense(8, "relu")(inputs := keras.Input((6,))))
    return keras.Model(inputs, layers.Dense(3)(x))


def half_frozen() -> keras.Model:
    """Returns the classifier with its first layer frozen."""
    model = dense()
    model.get_layer("hidden").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def generator() -> Any:
    """Yields batches for ever."""
    while True:
        yield X[:8], Y[:8]


def through(*middle: Any, shape: tuple[int | None, ...] = (6,)) -> keras.Model:
    """Returns a classifier with something between its first layer and its second."""
    x = layers.Dense(8, name="first")(inputs := keras.Input(shape))
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Dense(8, "relu", name="hidden")(x)))


def head(x: Any, inputs: Any) -> keras.Model:
    """Returns a compiled classifier that ends in a layer to cut and the last one."""
    x = layers.Dense(3, "softmax", name="last")(layers.Dense(8, "relu", name="hidden")(x))
    model = keras.Model(inputs, x)
    model.compile("sgd", LOSS)
    return model


def with_state(stateful: bool = True) -> keras.Model:
    """Returns a model of batches of eight sequences, or one of its weights for any batches."""
    inputs = keras.Input(batch_shape=(8, 5, 6)) if stateful else keras.Input((5, 6))
    model = head(layers.LSTM(4, stateful=stateful)(inputs), inputs)
    model.set_weights(model.get_weights() if stateful else with_state().get_weights())
    return model
