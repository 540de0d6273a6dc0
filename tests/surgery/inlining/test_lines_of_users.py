"""One line of a user's code does not pin the layer that it stands in."""

from __future__ import annotations

import inspect
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.backend.tensorflow_functions import functions_in_keras
from kerasprune.testing import compare, random_inputs, random_plan, randomise

tf = pytest.importorskip("tensorflow") if keras.backend.backend() == "tensorflow" else None
of_tensorflow = pytest.mark.skipif(tf is None, reason="TensorFlow computes its own tensors only")
X = np.linspace(-2.0, 3.0, 2 * 4 * 6 * 8, dtype="float32").reshape(2, 4, 6, 8)


def block(line, shape):
    """Returns a model with a composite whose code has a line between two layers, and that layer's name."""

    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = layers.Dense(16, activation="relu", name="first")
            self.second, self.table = layers.Dense(5, name="second"), layers.Embedding(shape[0], 16)

        def call(self, x):
            h = self.first(x)
            return self.second(line(self, h) if len(inspect.signature(line).parameters) == 2 else line(h))

    inputs = keras.Input(shape)
    x = layers.Flatten()(Block(name="block")(inputs))
    return randomise(keras.Model(inputs, layers.Dense(3, name="logits")(x)))


def check(model):
    """Writes a model out without a word of what stays, and compares a slim model with the masked one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not written out")
        plain = kp.functional(model)
    graph = kp.trace(plain)
    assert {"block_first", "block_second"} <= {name for group in graph.prunable.values() for name in group.layers}
    plan, inputs = random_plan(graph), random_inputs(model, side=8)
    for scale in (1.0, 30.0):
        batch = keras.tree.map_structure(lambda x, scale=scale: scale * x, inputs)
        assert compare(model, plain, batch).error < 1e-5
        assert compare(kp.mask(plain, plan), kp.rebuild(plain, plan, absorb=False), batch).error < 1e-5


INDICES = {
    "none": lambda self, h: h + self.table(ops.arange(6))[None],
    "newaxis": lambda self, h: h + self.table(ops.arange(6))[np.newaxis, :],
    "last none": lambda h: ops.squeeze(h[..., None], -1),
    "inner none": lambda h: h[:, None],
    "inner none of all": lambda h: h[:, None, :, :],
    "ellipsis": lambda h: h[...],
    "bare slice": lambda self, h: h + self.table(ops.arange(6))[:6][None],
    "whole slice": lambda h: h[:],
    "backwards": lambda h: h[:, ::-1],
    "every second": lambda h: h[:, ::2],
    "from the end": lambda h: h[:, -2:],
    "one step": lambda h: h[:, -1],
    "one of NumPy": lambda h: h[:, np.int64(2)],
    "one row": lambda self, h: h + self.table(ops.arange(6))[0],
    "one row of NumPy": lambda self, h: h + self.table(ops.arange(6))[np.int64(0)],
    "channels": lambda h: h[..., :8],
}


@pytest.mark.matrix
@pytest.mark.parametrize("line", INDICES.values(), ids=INDICES)
def test_indices(line):
    check(block(line, (6, 4)))


LINES = {
    "pad": (lambda h: tf.pad(h, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), (4, 4, 3)),
    "concat": (lambda h: tf.concat([h, tf.nn.relu(h)], axis=-1), (6, 4)),
    "resize": (lambda h: tf.image.resize(h, tf.shape(h)[1:3]), (4, 4, 3)),
    "reduce_mean": (lambda h: tf.reduce_mean(h, axis=1, keepdims=True), (6, 4)),
    "reshape": (lambda h: tf.reshape(h, [-1, 3, 2, 16]), (6, 4)),
    "reshape by shape": (lambda h: tf.reshape(h, (tf.shape(h)[0], 3, 32)), (6, 4)),
    "transpose": (lambda h: tf.transpose(tf.transpose(h, [0, 2, 1]), [0, 2, 1]), (6, 4)),
    "swish": (lambda h: tf.nn.swish(tf.math.multiply(h, 0.5, name="half")), (6, 4)),
    "clip": (lambda h: tf.clip_by_value(h, 0.0, 6.0), (6, 4)),
    "cast": (lambda h: tf.cast(h, tf.float32) / tf.sqrt(tf.cast(h.shape[1], tf.float32)), (6, 4)),
}


@of_tensorflow
@pytest.mark.matrix
@pytest.mark.parametrize("line, shape", LINES.values(), ids=LINES)
def test_functions_of_tensorflow(line, shape):
    check(block(line, shape))


CALLS = {
    "cast": ((X, "int32"), {}), "clip_by_value": ((X, -1.0, 1.0), {}), "concat": (([X, X],), {"axis": 2}),
    "cumsum": ((X,), {}), "depth_to_space": ((X, 2), {}), "divide": ((X, X + 9), {}),
    "einsum": (("abcd,abed->ace", X, X), {}), "erf": ((X,), {}), "expand_dims": ((X, 1), {}),
    "gather": ((X, [1, 0]), {}), "gelu": ((X,), {}), "l2_normalize": ((X, -1), {}), "leaky_relu": ((X,), {}),
    "log": ((X + 9,), {}), "log1p": ((X + 9,), {}), "logical_and": ((X > 0, X < 1), {}),
    "logical_not": ((X > 0,), {}), "logical_or": ((X > 2, X < 1), {}), "matmul": ((X, X), {"transpose_b": True}),
    "pad": ((X, [[0, 0], [1, 2], [0, 1], [0, 0]], "SYMMETRIC"), {}), "pow": ((X, 2.0), {}), "range": ((2, 8, 2), {}),
    "reduce_all": ((X > 0, 1), {}), "reduce_any": ((X > 0, 1), {}), "reshape": ((X, (2, -1)), {}),
    "reverse": ((X, [1]), {}), "roll": ((X, 1, 2), {}), "rsqrt": ((X + 9,), {}), "sqrt": ((X + 9,), {}),
    "space_to_depth": ((X, 2), {}), "split": ((X, [1, 2, 3]), {"axis": 2}), "squeeze": ((X[:1],), {}),
    "stack": (([X, X],), {}), "tensordot": ((X, X[0], ([3], [2])), {}),
    "tile": ((X, [1, 2, 1, 1]), {}), "transpose": ((X, [0, 2, 1, 3]), {}),
    "unstack": ((X,), {"axis": 1}), "where": ((X > 0, X, -X), {}), "resize": ((X, (8, 3)), {}),
    **dict.fromkeys(("add", "subtract", "multiply", "maximum", "minimum"), ((X, X[::-1]), {})),
    **dict.fromkeys(("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"), ((X, X[::-1]), {})),
}  # fmt: skip


@of_tensorflow
@pytest.mark.matrix
@pytest.mark.parametrize("at", range(len(functions_in_keras())))
def test_functions_are_spelt_as_tensorflow_computes_them(at):
    _, name, called = functions_in_keras()[at]
    original, spelt = called.args
    args, kwargs = CALLS.get(name, ((X,), {}))
    expected, made = (keras.tree.flatten(each(*args, **kwargs)) for each in (original, spelt))
    made = [made] if name == "shape" else made
    for a, b in zip(expected, made, strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-5, atol=1e-5)


@of_tensorflow
def test_functions_that_have_no_spelling_are_quoted():
    with pytest.warns(UserWarning, match=r"h \+ tf.math.bessel_i0\(h\)"):
        kp.functional(block(lambda h: h + tf.math.bessel_i0(h), (6, 4)))


class Pair(layers.Layer):
    """Adds a loss in its code."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a, self.b = layers.Dense(16, activation="relu"), layers.Dense(16)

    def call(self, x):
        h = self.a(x)
        self.add_loss(1e-3 * ops.mean(ops.abs(h)))
        return self.b(h)


class Penalty(layers.Layer):
    """Adds a loss, and has no layers in it."""

    def call(self, x):
        self.add_loss(1e-3 * ops.mean(ops.abs(x)))
        return x


class Around(layers.Layer):
    """Has a layer of its own that adds a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.a, self.penalty, self.b = layers.Dense(16, activation="relu"), Penalty(), layers.Dense(16)

    def call(self, x):
        return self.b(self.penalty(self.a(x)))


@pytest.mark.parametrize("kind, word, losses", [(Pair, "without the losses", 0), (Around, "adds a loss", 1)])
def test_losses_do_not_pin(kind, word, losses):
    inputs = keras.Input((12,))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(kind(name="pair")(inputs))))
    with pytest.warns(UserWarning, match=word):
        slim, plan, _ = kp.prune(model, keep=0.5, data=np.ones((32, 12), "float32"), verbose=0)
    slim(np.ones((2, 12)))
    assert len(plan.keep) == 2 and len(slim.losses) == losses
    assert len(model.losses) <= 1  # trying it added none


@keras.saving.register_keras_serializable("tests")
class Last(layers.Layer):
    """Has a Lambda in it, and is registered, so that its file loads in safe mode."""

    def __init__(self, at=-1, **kwargs):
        super().__init__(**kwargs)
        self.at, self.a, self.b = at, layers.Conv1D(16, 3), layers.Conv1D(16, 3)
        self.last = layers.Lambda(lambda t: t[:, self.at, :])
        self.half = layers.Lambda(lambda t, by: t * by, arguments={"by": 0.5})

    def build(self, shape):
        self.a.build(shape)
        self.b.build((*shape[:-1], 16))
        self.built = True

    def call(self, x):
        return self.half(self.last(self.b(self.a(x))))

    def get_config(self):
        return {**super().get_config(), "at": self.at}


def test_a_lambda_in_a_layer_is_written_out_so_that_the_file_loads(tmp_path):
    inputs = keras.Input((12, 4))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(Last(name="last")(inputs))))
    data = np.random.default_rng(0).normal(size=(32, 12, 4)).astype("float32")
    slim, plan, _ = kp.prune(model, keep=0.5, data=data, verbose=0)
    assert len(plan.keep) == 2
    slim.save(tmp_path / "slim.keras")
    loaded = keras.models.load_model(tmp_path / "slim.keras")
    assert compare(slim, loaded, data).error < 1e-6


class Own(keras.Model):
    """Calls a Lambda in its own code."""

    def __init__(self, function):
        super().__init__()
        self.a, self.function, self.b = layers.Dense(8), layers.Lambda(function), layers.Dense(2)

    def call(self, x):
        return self.b(self.function(self.a(x)))


def test_a_lambda_in_the_code_of_a_model_is_written_out():
    model = Own(lambda x: x[:, ::-1] * 2)
    model(np.ones((2, 6, 4), "float32"))
    plain = kp.functional(model)
    assert not any(isinstance(layer, layers.Lambda) for layer in plain.layers) and len(kp.trace(plain).prunable) == 1


@of_tensorflow
def test_a_lambda_that_needs_numbers_is_tried_on_some():
    model = Own(lambda x: tf.math.bessel_i0e(x))
    model(np.ones((2, 6, 4), "float32"))
    with pytest.warns(UserWarning, match="tried on numbers when the model is pruned: 'lambda"):
        plain = kp.functional(model)
    assert len(kp.trace(plain).prunable) == 1
