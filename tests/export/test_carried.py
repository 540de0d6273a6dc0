"""Files that are written on another backend are those that TensorFlow writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow  # noqa: F401  which writes the files
from keras import layers
from support.both_backends import FORMS, NETWORKS, saved, write
from support.processes import TESTS

import kerasprune as kp
from kerasprune.data.signature import signature_of
from kerasprune.export.carried import carriable
from kerasprune.export.parity import interpreted_function, served_function


class Shared(layers.Layer):
    """A layer of a module that can be imported."""

    def call(self, x):
        return x * 2.0


def through(*body: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *body, layers.Dense(3, name="last")])


def carried(model: keras.Model) -> keras.Model:
    return carriable(model, signature_of(model))


# ---- what can be carried ---- #


def test_plain_models_and_importable_classes_are_carried_as_they_are():
    for model in (through(layers.Dense(4, "relu")), through(Shared())):
        assert carried(model) is model


def test_what_cannot_be_imported_is_written_out():
    class Local(layers.Layer):
        def call(self, x):
            return keras.ops.tanh(x)

    def doubled(x):
        return x * 2.0

    for own in (Local(), layers.Dense(4, doubled), layers.Lambda(lambda x: x - 1.0)):
        model = through(own)
        made, x = carried(model), np.eye(4, dtype="f")
        assert {type(layer).__module__.partition(".")[0] for layer in made.layers} == {"keras"}
        np.testing.assert_allclose(made(x), model(x), rtol=1e-6)


def test_what_can_be_neither_is_refused_before_anything_is_written(monkeypatch, tmp_path):
    pytest.importorskip("jax")  # whose precision is asked for

    class Trained(layers.Layer):
        def call(self, x, training=False):
            return x * 2.0 if training else x

    model = through(Trained(name="mine"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for write_file in (kp.export.saved_model, lambda model, path: kp.export.tflite(model, path.with_suffix(".tflite"))):
        with pytest.raises(kp.PruneError, match=r"'Trained' of the layer 'mine'.*\.py file"):
            write_file(model, tmp_path / "file")
    assert not [*tmp_path.iterdir()]


def test_without_tensorflow_it_is_said_at_once(monkeypatch, tmp_path):
    model = through()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for write_file, name in ((kp.export.saved_model, "model"), (kp.export.tflite, "model.tflite")):
        with pytest.raises(kp.PruneError, match=r'pip install "kerasprune\[tensorflow\]"'):
            write_file(model, tmp_path / name)


# ---- the files ---- #


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns a folder in which a network is written on this backend and on another one."""
    pytest.importorskip("jax")
    folder, here = tmp_path_factory.mktemp("files"), keras.backend.backend()
    other = "jax" if here == "tensorflow" else "tensorflow"

    def written(name: str) -> tuple[Path, Path]:
        write(name, folder)
        call = [sys.executable, "-m", "support.both_backends", str(folder), name]
        subprocess.run(call, cwd=TESTS, env=os.environ | {"KERAS_BACKEND": other}, check=True)
        return folder / here, folder / other

    return written


@pytest.mark.jax
@pytest.mark.thorough
@pytest.mark.experiments  # ready-made networks
@pytest.mark.parametrize("name", NETWORKS)
def test_files_are_those_of_tensorflow(files, name):
    here, other = files(name)
    model, data = saved(name, here.parent)
    signature, batch = signature_of(model), keras.tree.flatten(data)
    for form in FORMS[:-1]:
        mine, its = (place / f"{name}-{form}.tflite" for place in (here, other))
        if mine.read_bytes() != its.read_bytes():
            compare(*(interpreted_function(path, model, signature)(batch) for path in (mine, its)))
    compare(*(served_function(place / f"{name}-saved_model", signature)(batch) for place in (here, other)))


def compare(mine, its):
    for one, another in zip(mine, its, strict=True):
        np.testing.assert_allclose(one, another, rtol=0, atol=1e-6 * np.abs(another).max())


@pytest.mark.jax
@pytest.mark.thorough
def test_own_layers_and_ranges_are_carried(tmp_path, monkeypatch):
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("f")
    aware = kp.quantization_aware(through(layers.Dense(8, "relu")))
    aware.compile("sgd", "mse")
    aware.fit(x, np.ones((64, 3)), verbose=0)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")  # so that a child writes them, on TensorFlow too
    assert kp.export.tflite(through(Shared()), tmp_path / "own.tflite", data=x).error < 1e-6
    report = kp.export.tflite(aware, tmp_path / "aware.tflite", quantize="int8", data=x)
    assert report.error < 1e-3, "the ranges are those of the model"
