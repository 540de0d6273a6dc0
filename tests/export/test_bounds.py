"""Every format is bounded: by rounding, by the spread of each output, and a model that draws is not written at all."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, losses

from kerasprune.errors import PruneError
from kerasprune.export import tflite
from kerasprune.export.registry import formats

pytest.importorskip("ai_edge_litert")
X = np.random.default_rng(0).normal(50, 20, (60, 8)).astype("float32")
FORMS = [name for name in formats.names() if name != "tflite-int4"]


class Noise(layers.Layer):
    """Adds numbers drawn at every call, in inference too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    def compute_output_shape(self, shape):
        return shape


def network(kind: str) -> keras.Model:
    """A network on inputs around 50, which it standardises itself."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("mixed_float16" if kind == "mixed" else "float32")
    try:
        inputs, scaled = keras.Input((8,)), layers.Normalization()
        scaled.adapt(X)
        x = layers.Dense(64, activation="relu")(scaled(inputs))
        if kind == "random":
            x = Noise()(x)
        heads = {
            "softmax": lambda: layers.Dense(5, activation="softmax", name="kinds")(x),
            "two": lambda: [layers.Dense(4, name="boxes")(x), layers.Dense(5, name="kinds")(x)],
        }
        model = keras.Model(inputs, heads.get(kind, lambda: layers.Dense(5, name="values", dtype="float32")(x))())
    finally:
        keras.config.set_dtype_policy("float32")
    classes = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", {"logits": classes, "two": ["mse", classes], "regression": "mse"}.get(kind))
    return model


KINDS = {  # which outputs are classes
    "softmax": {"kinds": True},
    "logits": {"values": True},
    "regression": {"values": False},
    "two": {"boxes": False, "kinds": True},
    "mixed": {"values": False},
    "random": None,
}


@pytest.mark.matrix
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_every_format_of_every_kind_of_output(form, kind, tmp_path):
    model, known = network(kind), formats.member(form)
    path = tmp_path / f"made{known.suffix}"
    if kind == "random":
        with pytest.raises(PruneError, match="mean"):
            known.write(model, path, data=X, size=None, overwrite=False)
        assert not path.exists()
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = known.write(model, path, data=X, size=None, overwrite=False)
    wanted = [np.asarray(each, "float64") for each in keras.tree.flatten(model(X))]
    made = [np.asarray(each, "float64") for each in known.open(path, model)([X])]
    assert [each.name for each in report.outputs] == [*KINDS[kind]]
    for each, a, b in zip(report.outputs, wanted, made, strict=True):
        error = ((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum()
        assert each.error == pytest.approx(error, rel=0.05, abs=1e-4) and error < 0.1
        same = a.argmax(-1) == b.argmax(-1)
        assert each.agreement == (pytest.approx(same.mean(), abs=0.02) if KINDS[kind][each.name] else None)
    said = [str(each.message) for each in caught if "class" in str(each.message)]
    assert not said or any(KINDS[kind].values())
    assert ("same class" in str(report)) == any(KINDS[kind].values())


INTEGERS = ["dynamic", "int8", "int16x8", "mixed"]


@pytest.mark.matrix
@pytest.mark.parametrize("quantize", INTEGERS)
def test_a_wrong_conversion_is_no_error_of_integers(quantize, tmp_path, monkeypatch):
    """The model is converted with other weights: the file in floats shows it before the one in integers."""
    model, other = network("regression"), network("regression")
    other.layers[-1].kernel.assign(other.layers[-1].kernel * 1.1)
    monkeypatch.setattr("kerasprune.export.conversion.in_float32", lambda model: other)
    with pytest.raises(PruneError, match="max_error"):
        tflite(model, tmp_path / "a.tflite", quantize=quantize, data=X, force=True)
    assert not list(tmp_path.iterdir())


def outlier() -> tuple[keras.Model, np.ndarray]:
    """Two outputs, one a hundred thousand times as large as the other on one channel, which 8 bits cannot hold."""
    inputs = keras.Input((2,))
    joined = layers.Dense(2, use_bias=False, name="joined")
    model = keras.Model(inputs, [joined(inputs)[:, :1], joined(inputs)[:, 1:]])
    joined.set_weights([np.diag([1e4, 1.0])])
    return model, np.random.default_rng(0).normal(size=(60, 2)).astype("float32")


def test_a_small_output_is_not_hidden_by_a_large_one(tmp_path):
    model, data = outlier()
    path = tmp_path / "a.tflite"
    with pytest.raises(PruneError, match="force=True"):
        tflite(model, path, quantize="int8", data=data)
    assert not path.exists()
    with pytest.warns(UserWarning, match="useless"):
        report = tflite(model, path, quantize="int8", data=data, force=True)
    assert path.exists() and report.error >= 1
    assert tflite(model, tmp_path / "b.tflite", quantize="float16", data=data).error < 1e-3  # the remedy
    assert [each.error < 0.1 for each in report.outputs] == [True, False]


def test_an_output_that_is_constant_is_held_against_its_size(tmp_path):
    model = network("regression")
    model.layers[-1].set_weights([np.zeros((64, 5)), np.arange(5)])
    report = tflite(model, tmp_path / "a.tflite", quantize="int8", data=X)
    assert report.error < 1e-3
    assert tflite(network("regression"), tmp_path / "b.tflite", quantize="dynamic", data=X[:1]).error < 0.01


def test_unsigned_bytes_in_and_out(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = network("regression")
    report = tflite(model, tmp_path / "a.tflite", quantize="int8", io="uint8", data=X)
    interpreter = Interpreter(str(report.path))
    interpreter.allocate_tensors()
    (before,), (after,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert before["dtype"] == after["dtype"] == np.uint8
    made = []
    for row in X:
        scale, zero = before["quantization"]
        interpreter.set_tensor(before["index"], np.clip(np.round(row[None] / scale) + zero, 0, 255).astype("uint8"))
        interpreter.invoke()
        scale, zero = after["quantization"]
        made.append((interpreter.get_tensor(after["index"])[0].astype(float) - zero) * scale)
    wanted = np.asarray(model(X))
    assert ((made - wanted) ** 2).sum() < 0.1 * ((wanted - wanted.mean(0)) ** 2).sum()
    for quantize in (None, "dynamic", "int16x8"):
        with pytest.raises(PruneError, match="uint8"):
            tflite(model, tmp_path / "b.tflite", quantize=quantize, io="uint8", data=X)


class Broken(layers.Layer):
    """Fails when it is traced, with a message of several lines."""

    def call(self, x):
        if not hasattr(x, "numpy"):
            raise TypeError("the grid is of another kind\nreturn config")
        return x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize("form", ["tflite", "saved_model", "tflite-int8"])
def test_a_foreign_error_is_quoted_with_its_reason_and_its_layer(form, tmp_path):
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(Broken()(inputs)))
    path = tmp_path / f"a{formats.member(form).suffix}"
    with pytest.raises(PruneError, match=r"Broken.*the grid is of another kind"):
        formats.member(form).write(model, path, data=X[:, :6], size=None, overwrite=False)
