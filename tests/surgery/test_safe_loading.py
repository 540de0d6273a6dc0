"""The product is the file: what would not load is said before it is saved, and a command loads what it wrote."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command

import kerasprune as kp
from kerasprune.files.keras_model import reading_fault


class Plain(layers.Layer):
    """A class of a user, not registered, that its config gives back."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Without(Plain):
    """One whose constructor asks for more than its config holds."""

    def __init__(self, factor, **kwargs):
        super().__init__(factor, **kwargs)

    def get_config(self):
        return layers.Layer.get_config(self)


def model_with(middle):
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    return keras.Model(inputs, layers.Dense(2)(middle(layers.Dense(8, name="second")(x))))


@pytest.mark.parametrize(
    "middle, word",
    [
        (layers.ReLU(), None),
        (Plain(), None),
        (Without(3.0), "factor"),
        (layers.Lambda(lambda x: 2 * x), "Lambda"),
        (keras.Sequential([keras.Input((8,)), layers.Lambda(lambda x: 2 * x)]), "Lambda"),
    ],
    ids=["built in", "own", "forgets an argument", "lambda", "lambda inside"],
)
def test_prune_says_what_does_not_load(middle, word, tmp_path):
    model = model_with(middle)
    assert (word is None) == (reading_fault(model) == "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            slim = kp.prune(model, keep=0.5, data=np.ones((8, 6)), plan={"unknown": "freeze"}, verbose=0).slim
        except kp.PruneError as error:
            assert word in str(error)  # it cannot be copied either
            return
    told = [str(each.message) for each in caught if "safe mode" in str(each.message)]
    assert all(word in each for each in told)
    slim.save(tmp_path / "slim.keras")
    loads = True
    try:
        keras.saving.load_model(tmp_path / "slim.keras", custom_objects={"Plain": Plain, "Without": Without})
    except Exception:  # noqa: BLE001
        loads = False
    assert loads != bool(told)  # layers that are written out load, whatever the model did


@pytest.mark.experiments
def test_a_command_loads_what_it_wrote(tmp_path, monkeypatch):
    """It does not end with 0 if the file holds other weights than the model."""
    from kerasprune.files import keras_model

    model_with(layers.ReLU()).save(tmp_path / "m.keras")
    load = keras_model.load_model
    others = lambda path: keras.models.clone_model(load(path))  # noqa: E731
    run = ["prune", tmp_path / "m.keras", "--keep", ".5", "--out", tmp_path / "out"]
    with monkeypatch.context() as patched:
        patched.setattr(keras_model, "load_model", others)
        result = run_command(run)
    assert result.exit_code != 0 and ".keras" in result.output and not list(tmp_path.rglob("slim.keras"))
