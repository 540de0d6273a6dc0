"""Where oneDNN's gradient of a strided 1×1 convolution could end Python, training is compiled by XLA."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.processes import run_python

import kerasprune as kp
from kerasprune._keras import replaced_attributes
from kerasprune.backend import devices
from kerasprune.surgery.compiled import compile_like


@pytest.fixture(autouse=True)
def by_onednn(monkeypatch):
    """As on an x86 processor with TensorFlow, wherever the tests run."""
    monkeypatch.setattr(devices, "trains_by_onednn", lambda: True)


def network(width: int, side: int = 8, last: layers.Layer | None = None) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", name="wide")(inputs)))
    x = layers.Conv2D(24, 1, strides=2, name="short")(x)
    x = layers.GlobalAveragePooling2D()(x if last is None else last(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def compiled(model: keras.Model, **options) -> keras.Model:
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    return model


def rebuilt(model: keras.Model) -> keras.Model:
    return kp.rebuild(model, kp.plan(model, keep=0.5), compile="same")


@pytest.mark.parametrize(("width", "asked"), [(18, True), (32, False)])
def test_a_rebuilt_model_at_risk_is_compiled_by_xla(width, asked):
    slim = rebuilt(compiled(network(width), jit_compile=False))
    assert slim.get_layer("short").kernel.shape[-2] == width // 2
    assert slim.jit_compile is asked


def test_fine_tuning_is_compiled_by_xla_and_the_slim_model_too():
    x, y = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32"), np.arange(32) % 4
    seen = []
    fit = keras.Model.fit

    def noted(self, *arguments, **more):
        seen.append(self.jit_compile)
        return fit(self, *arguments, **more)

    with replaced_attributes((keras.Model, "fit", noted)):
        model, options = compiled(network(18), jit_compile=False), {"distil": False, "verify": False, "verbose": 0}
        slim = kp.prune(model, keep=0.5, data=(x, y), epochs=1, deliver="last", reconstruct=False, **options).slim
    assert seen == [True]
    assert slim.jit_compile


def test_elsewhere_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(devices, "trains_by_onednn", lambda: False)
    assert not rebuilt(compiled(network(18), jit_compile=False)).jit_compile


class Unjitted(layers.Layer):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.supports_jit = False

    def call(self, x):
        return x


@pytest.mark.parametrize("how", ["a layer", "eagerly"])
def test_a_model_that_xla_does_not_compile_keeps_its_options_and_is_named(how):
    slim = network(9, last=Unjitted() if how == "a layer" else None)
    like = compiled(network(9), jit_compile=False, run_eagerly=how == "eagerly")
    with pytest.warns(UserWarning, match="short") as heard:
        compile_like(slim, like)
    assert "round_to=" in str(heard[0].message)
    assert not slim.jit_compile
    assert slim.run_eagerly == like.run_eagerly


@pytest.mark.thorough
def test_fine_tuning_that_ended_python_ends_well():
    """Nine channels before the 1×1 convolution of a shortcut, side 56: a segmentation fault with AVX-512."""
    code = """
import keras, numpy as np, kerasprune as kp
from keras import layers as L
keras.utils.set_random_seed(0)
i = keras.Input((56, 56, 3))
x = L.ReLU()(L.BatchNormalization()(L.Conv2D(18, 3, padding="same")(i)))
y = L.Conv2D(24, 3, 2, padding="same")(x)
x = L.ReLU()(L.Add()([y, L.Conv2D(24, 1, 2, padding="same")(x)]))
m = keras.Model(i, L.Dense(4, "softmax")(L.GlobalAveragePooling2D()(x)))
m.compile("sgd", "sparse_categorical_crossentropy")
x, y = np.random.default_rng(0).normal(size=(128, 56, 56, 3)).astype("float32"), np.arange(128) % 4
kp.prune(m, keep=0.5, data=(x, y), epochs=2, batch=32, verbose=0)
print("ended")
"""
    assert run_python(code).endswith("ended")
