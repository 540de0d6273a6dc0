"""Models of others: what their config asks for is held against what their file holds, before anything is built."""

from __future__ import annotations

import json
import math
import random
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.files.keras_model import load_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.LSTM(3, name="lstm")(keras.layers.Reshape((36, 4), name="rows")(x))
    model = keras.Model(inputs, keras.layers.Dense(5, name="dense")(x), name="net")
    path = tmp_path_factory.mktemp("models") / "net.keras"
    model.save(path)
    return path, model


def changed(saved, path, change):
    with zipfile.ZipFile(saved[0]) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            after.writestr(name, change(content) if name == "config.json" else content)
    return path


def test_a_good_model_is_loaded_as_it_was_saved(saved):
    model = load_model(saved[0])
    assert all(map(np.array_equal, model.get_weights(), saved[1].get_weights()))
    add = keras.layers.Layer.add_weight
    assert add.__module__.startswith("keras.")  # Keras is as it was


@keras.saving.register_keras_serializable("kerasprune-tests")
class CompilesItself(keras.Model):
    """As tasks of KerasHub do, whose optimizers therefore have no state when a file is loaded."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)
        self.dense.build((None, 3))
        self.compile("adam", "mse")

    def compile(self, optimizer, loss, **kwargs):
        super().compile(optimizer, loss, **kwargs)

    def call(self, x):
        return self.dense(x)


def test_the_state_of_an_optimizer_is_not_missed(tmp_path, recwarn):
    model = CompilesItself()
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.save(tmp_path / "a.keras")
    load_model(tmp_path / "a.keras")
    assert not [each for each in recwarn if "optimizer" in str(each.message)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"units": 5', '"units": 1000000000'),
        ('"units": 3', '"units": 1000000'),
        ('"filters": 4', '"filters": 1000000000'),
        ('"units": 5', '"units": 99999999999999999999999'),
    ],
)
def test_a_layer_beyond_the_weights_of_the_file(saved, tmp_path, old, new, monkeypatch):
    path = changed(saved, tmp_path / "a.keras", lambda text: text.replace(old.encode(), new.encode()))
    add, sizes = keras.layers.Layer.add_weight, []

    def noted(layer, shape=None, **options):
        sizes.append(math.prod(shape or ()))
        return add(layer, shape, **options)

    monkeypatch.setattr(keras.layers.Layer, "add_weight", noted)
    with pytest.raises(PruneError, match="the weights that its file holds.*asks for a weight of shape"):
        load_model(path)
    assert sum(sizes) < 1000  # nothing large was created
    assert keras.layers.Layer.add_weight is noted


def test_weights_that_the_file_has_no_room_for(saved, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as store:
        store.create_dataset("layers/dense/vars/0", (10**9, 3), "float32", chunks=(1000, 3))  # nothing is written
    with zipfile.ZipFile(saved[0]) as before, zipfile.ZipFile(tmp_path / "a.keras", "w") as after:
        after.writestr("config.json", before.read("config.json"))
        after.writestr("metadata.json", before.read("metadata.json"))
        after.write(tmp_path / "w.h5", "model.weights.h5")
    with pytest.raises(PruneError, match="that the file has room for"):
        load_model(tmp_path / "a.keras")


def test_config_that_is_deep_or_missing(saved, tmp_path):
    path = changed(saved, tmp_path / "a.keras", lambda _: b"[" * 100_000)
    with pytest.raises(PruneError, match="are nested"):
        load_model(path)
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(PruneError, match="which is a zip of x"):
        load_model(tmp_path / "b.keras")


def test_configs_that_were_changed_are_loaded_or_refused(saved, tmp_path):
    draw = random.Random(0)
    text = zipfile.ZipFile(saved[0]).read("config.json").decode()
    outcomes = set()
    for _ in range(24):
        config = json.loads(text)
        layer = draw.choice(config["config"]["layers"])
        key = draw.choice(sorted(layer["config"]))
        layer["config"][key] = draw.choice([None, -1, 0, 2, 10**9, 1e30, "x", [], {}, [[1]], True])
        path = changed(saved, tmp_path / "a.keras", lambda _, config=config: json.dumps(config).encode())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = load_model(path)
            outcomes.add("loaded")
            assert model.count_params() <= saved[1].count_params()
        except PruneError:
            outcomes.add("refused")
    assert outcomes == {"loaded", "refused"}
