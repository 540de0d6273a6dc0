"""Files that are written on another backend are those that TensorFlow writes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

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

BACKEND = keras.backend.backend()


class Shared(layers.Layer):
    """A layer of a module that can be imported."""

    def call(self, x):
        return x * 2.0


def squared(x):
    return x * x


def in_numpy(x):
    return keras.ops.convert_to_tensor(np.tanh(keras.ops.convert_to_numpy(x)))


class Needy(layers.Layer):
    """A layer whose config lacks what its constructor takes."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def get_config(self):
        return super().get_config()

    def call(self, x):
        return x * self.factor


def through(*body: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *body, layers.Dense(3, name="last")])


def carried(model: keras.Model) -> keras.Model:
    return carriable(model, signature_of(model))


# ---- what can be carried ---- #


def test_plain_models_and_importable_classes_and_functions_are_carried_as_they_are():
    for layer in (layers.Dense(4, "relu"), Shared(), layers.Dense(4, squared), layers.Dense(4, keras.ops.sin)):
        assert carried(model := through(layer)) is model


class Local(layers.Layer):
    """The layer of a script, say."""

    def call(self, x):
        return keras.ops.tanh(x)


def in_script(own: Any) -> Any:
    own.__module__ = "__main__"
    return own


def gelu(x):
    return x * 2.0  # under the name of one of Keras's


@pytest.mark.parametrize(
    "own",
    [
        lambda: type("Local", (Local,), {})(),  # whose name in the module is another class's
        lambda: in_script(type("Script", (Local,), {}))(),
        lambda: layers.Dense(4, lambda x: x * 2.0),
        lambda: layers.Dense(4, in_script(FunctionType(gelu.__code__, globals(), "doubled"))),
        lambda: layers.Dense(4, gelu),
        lambda: layers.Dense(4, keras.ops.gelu),  # approximately, unlike the activation that a config names so
        lambda: layers.Dense(4, partial(keras.ops.leaky_relu, negative_slope=0.3)),
        lambda: layers.Lambda(lambda x: x - 1.0),
    ],
)
def test_what_cannot_be_imported_is_written_out(own):
    model = through(own())
    made, x = carried(model), np.eye(4, dtype="f")
    assert made is not model
    read = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made), safe_mode=True)
    read.set_weights(made.get_weights())
    np.testing.assert_allclose(read(x), model(x), rtol=1e-6, atol=1e-7)


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
    pytest.importorskip("ai_edge_litert")
    model = through()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for write_file, name in ((kp.export.saved_model, "model"), (kp.export.tflite, "model.tflite")):
        with pytest.raises(kp.PruneError, match=r'pip install "kerasprune\[tensorflow\]"'):
            write_file(model, tmp_path / name)


# ---- the files ---- #


@pytest.fixture(scope="module", params=["jax", "torch"] if BACKEND == "tensorflow" else ["tensorflow"])
def files(request, tmp_path_factory):
    """Returns a folder in which a network is written on this backend and on another one."""
    folder, here, other = tmp_path_factory.mktemp("files"), BACKEND, request.param
    if find_spec(other) is None:
        pytest.skip(f"{other} is not installed")

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


@pytest.mark.thorough
def test_what_tensorflow_cannot_read_or_run_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for own, reason in ((Needy(2.0), "unexpected keyword argument 'name'"), (layers.Dense(4, in_numpy), "symbolic")):
        with pytest.raises(kp.PruneError, match=rf"from that process: .*{reason}"):
            kp.export.tflite(through(own), tmp_path / "file.tflite")
    assert not [*tmp_path.iterdir()]


SCRIPT = """
import keras, numpy as np, kerasprune as kp
from my_layers import Far, far

class Mine(keras.layers.Layer):
    def call(self, x):
        return keras.ops.tanh(x)

def act(x):
    return x * 2.0

x = np.random.default_rng(0).normal(size=(64, 4)).astype("f")
last, own = keras.layers.Dense(4, far, name="a b"), keras.layers.Dense(4, act)
for name, body in {"far": [Far(), last], "main": [Mine(), own]}.items():
    model = keras.Sequential([keras.Input((4,)), *body])
    for quantize in (None, "int8"):
        report = kp.export.tflite(model, f"{name}-{quantize}.tflite", quantize=quantize, data=x)
        assert report.error < (1e-3 if quantize else 1e-9), report
    assert kp.export.saved_model(model, name, data=x).error < 1e-9
"""
MODULE = """
import keras

class Far(keras.layers.Layer):
    def call(self, x):
        return x + 1.0

def far(x):
    return keras.ops.sigmoid(x)
"""


@pytest.mark.jax
@pytest.mark.thorough
def test_layers_and_functions_of_a_script_and_of_a_module_are_exported(tmp_path):
    pytest.importorskip("jax")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "my_layers.py").write_text(MODULE)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=os.environ | {"KERAS_BACKEND": "jax"}, check=True)


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
