"""SavedModels compute what the Keras model computes, and one that does not is never written."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from support.digits import digits

from kerasprune.errors import PruneError
from kerasprune.export import saved_model

module = sys.modules["kerasprune.export.saved_model_export"]


def residual_network(side: int | None = 16) -> keras.Model:
    """A residual network whose BatchNorm statistics and scales are not those of a new one."""
    keras.utils.set_random_seed(0)
    image = keras.Input((side, side, 1), name="image")
    stem = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(image)))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(stem))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([stem, x])))
    model = keras.Model(image, layers.Dense(10)(x))
    generator = np.random.default_rng(0)
    model.set_weights([generator.uniform(0.2, 1, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return residual_network()


@pytest.mark.jax
def test_the_folder_is_the_model(network, tmp_path):
    images = digits(150)[0]
    report = saved_model(network, tmp_path / "model", data=images)
    assert report.max_error < 1e-3 and report.error < 1e-6
    assert (report.format, report.inputs, report.samples) == ("saved_model", "data", 150)
    assert report.latency_ms is None and "ms" not in str(report)
    files = [file for file in report.path.rglob("*.*") if file.is_file()]
    assert report.bytes == sum(file.stat().st_size for file in files)
    assert report.gzip_bytes == pytest.approx(sum(len(gzip.compress(file.read_bytes())) for file in files), rel=1e-2)
    loaded = tf.saved_model.load(str(report.path))  # owns the variables
    serve = loaded.serve
    if keras.backend.backend() == "tensorflow":  # another way in than the export's own
        serve = keras.layers.TFSMLayer(report.path, call_endpoint="serve")
    np.testing.assert_allclose(serve(images), network.predict(images, verbose=0), rtol=1e-5)
    assert list(tmp_path.iterdir()) == [report.path]


@pytest.mark.jax
def test_every_weight_is_saved_once(tmp_path):
    model = keras.Sequential([keras.Input((100,)), layers.Dense(300), layers.BatchNormalization(), layers.Dense(9)])
    model.layers[1].trainable = False
    report = saved_model(model, tmp_path / "model")
    (stored,) = report.path.glob("variables/*.data*")
    weights = 4 * model.count_params()
    assert weights <= stored.stat().st_size < 1.2 * weights
    loaded = tf.saved_model.load(str(report.path))
    assert [len(loaded.variables), len(loaded.trainable_variables), len(loaded.non_trainable_variables)] == [8, 4, 4]


@pytest.mark.jax
def test_free_sides_and_batch_stay_free(tmp_path):
    report = saved_model(residual_network(None), tmp_path / "model")
    assert report.inputs == "random" and report.max_error < 1e-3
    loaded = tf.saved_model.load(str(report.path))
    for batch, side in ((1, 8), (3, 20)):
        assert loaded.serve(np.zeros((batch, side, side, 1), "f")).shape == (batch, 10)


@pytest.mark.parametrize("mode", ["tuple", "dict"])
def test_several_inputs_and_outputs(mode, tmp_path):
    left, right = keras.Input((6,), name="b_left"), keras.Input((3,), name="a_right")
    joined = layers.Concatenate()([layers.Dense(4)(left), right])
    outputs = {"z": layers.Dense(5)(joined), "y": layers.Dense(2)(joined)}
    inputs = {"tuple": (left, right), "dict": {"b_left": left, "a_right": right}}[mode]
    model = keras.Model(inputs, outputs if mode == "dict" else list(outputs.values()))
    data = tf.data.Dataset.from_tensors(({"b_left": np.ones((9, 6)), "a_right": np.eye(9, 3)}, np.ones(9)))
    report = saved_model(model, tmp_path / "model", data=data)
    assert report.max_error < 1e-5 and report.samples == 9


def test_mixed_precision_stays_mixed(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = residual_network()
    finally:
        keras.config.set_dtype_policy("float32")
    report = saved_model(model, tmp_path / "model", data=digits(9)[0])
    assert report.max_error < 0.05 * np.abs(model.predict(digits(9)[0], verbose=0).astype("float32")).max()


def test_subclassed_model(tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs["left"]) + inputs["right"]

    model, data = Subclassed(), {"left": np.ones((7, 4), "f"), "right": np.ones((7, 3), "f")}
    model(data)
    with pytest.raises(PruneError, match="Pass data="):
        saved_model(model, tmp_path / "model")
    assert saved_model(model, tmp_path / "model", data=data).max_error < 1e-5


def test_a_model_that_cannot_be_traced(tmp_path):
    class Untraceable(layers.Layer):
        def call(self, inputs):
            return keras.ops.convert_to_tensor(inputs.numpy())

        def compute_output_shape(self, shape):
            return shape

    image = keras.Input((4,))
    with pytest.raises(PruneError, match="keras.ops"):
        saved_model(keras.Model(image, Untraceable()(image)), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_answers_differently_each_time(tmp_path):
    class Noise(layers.Layer):
        def call(self, inputs):
            return inputs + tf.random.normal(tf.shape(inputs))

    image = keras.Input((4,))
    with pytest.raises(PruneError, match="random.*mean"):
        saved_model(keras.Model(image, Noise()(image)), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_weights_are_noticed(network, tmp_path, monkeypatch):
    other = residual_network()
    other.set_weights([0.9 * weight for weight in network.get_weights()])
    write = module._write
    monkeypatch.setattr(module, "_write", lambda model, *rest: write(other, *rest))
    with pytest.raises(PruneError, match="max_error"):
        saved_model(network, tmp_path / "model", data=digits(9)[0])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder(network, tmp_path, capfd):
    path = tmp_path / "model"
    saved_model(network, path)
    before = (path / "saved_model.pb").read_bytes()
    with pytest.raises(PruneError, match="overwrite=True"):
        saved_model(network, path)
    assert (path / "saved_model.pb").read_bytes() == before
    (path / "trace").write_text("old")
    saved_model(network, path, overwrite=True)
    assert not (path / "trace").exists() and list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_a_failure_leaves_the_old_folder(network, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "saved_model.pb").write_text("old")

    def full(archive, folder, **kwargs):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", full)
    with pytest.raises(PruneError, match="No space"):
        saved_model(network, path, overwrite=True)
    assert (path / "saved_model.pb").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_folder_returns_where_the_new_one_does_not_fit(network, tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "saved_model.pb").write_text("old")
    move = os.replace

    def refuse_the_new(source, target):
        if Path(target) == path and not (Path(source) / "saved_model.pb").read_bytes() == b"old":
            raise PermissionError(13, "Permission denied")
        move(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_new)
    with pytest.raises(PruneError, match="Permission denied"):
        saved_model(network, path, overwrite=True)
    assert (path / "saved_model.pb").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_that_are_no_place_for_it(network, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_text("mine")
    (tmp_path / "note").write_text("mine")
    for name, message in (
        ("photos", "Expected an empty folder to replace"),
        ("note", "Expected an empty folder to replace"),
        ("model.tflite", "model'"),
        ("absent/model", "Make the folder"),
    ):
        with pytest.raises(PruneError, match=message):
            saved_model(network, tmp_path / name, overwrite=True)
    assert (tmp_path / "photos" / "one.png").read_text() == (tmp_path / "note").read_text() == "mine"
