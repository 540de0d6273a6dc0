"""Files as people have them: whole models of Keras 2 are taken, others are named, with what can be done."""

from __future__ import annotations

import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.files.keras_model import load_model, read_compile_config
from kerasprune.files.model_files import endings_of_model
from kerasprune.steps.objective import of_config

ADAM = {"class_name": "Adam", "config": {"lr": 1e-4, "beta_1": 0.8, "decay": 0.0, "epsilon": 1e-8}}
ADAM_2_11 = {"class_name": "Custom>Adam", "config": {"is_legacy_optimizer": False, "jit_compile": True, "beta_1": 0.8}}
COSINE = {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 3}}
PROBABILITIES = {"class_name": "SparseCategoricalCrossentropy", "config": {"reduction": "auto", "name": "s"}}
ACCURACY = {"class_name": "MeanMetricWrapper", "config": {"name": "accuracy", "fn": "sparse_categorical_accuracy"}}


def made():
    layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization()]
    return keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])


def changed(path, **attributes):
    """Writes other attributes into an HDF5 file, as JSON; `None` removes one."""
    with h5py.File(path, "r+") as store:
        for name, value in attributes.items():
            del store.attrs[name]
            if value is not None:
                store.attrs[name] = np.bytes_(json.dumps(value))  # as h5py 2 wrote them
    return path


@pytest.fixture
def whole(tmp_path):
    model = made()
    model.compile("adam", "mse")
    model.save(tmp_path / "old.h5")
    return model, tmp_path / "old.h5"


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.keras", "a.H5", "a"])
def test_a_whole_hdf5_file_is_taken_whatever_its_name(whole, tmp_path, name):
    shutil.copy(whole[1], tmp_path / name)
    loaded = load_model(tmp_path / name)
    assert all(map(np.array_equal, loaded.get_weights(), whole[0].get_weights()))
    assert not loaded.compiled and endings_of_model(tmp_path / name) == (".h5", ".hdf5")


def test_a_keras_file_of_another_name(whole, tmp_path):
    whole[0].save(tmp_path / "a.keras")
    model = load_model((tmp_path / "a.keras").rename(tmp_path / "a.zip"))
    assert all(map(np.array_equal, model.get_weights(), whole[0].get_weights()))


@pytest.mark.parametrize(("optimizer", "rate"), [(ADAM, 1e-4), (ADAM_2_11, 1e-3)])
def test_settings_of_keras_2_are_read_as_those_of_keras_3(whole, optimizer, rate):
    settings = {"loss": PROBABILITIES, "metrics": [[ACCURACY]], "optimizer_config": optimizer, "loss_weights": None}
    found = read_compile_config(changed(whole[1], training_config=settings))
    adam = keras.optimizers.get(found["optimizer"])
    assert (type(adam), float(adam.learning_rate), adam.beta_1) == (keras.optimizers.Adam, pytest.approx(rate), 0.8)
    model = of_config(found, load_model(whole[1])).compile(load_model(whole[1]))
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    measured = model.evaluate(x, y, verbose=0, return_dict=True)
    likely = whole[0].predict(x, verbose=0)
    assert measured["accuracy"] == pytest.approx(np.mean(likely.argmax(1) == y))
    assert measured["loss"] == pytest.approx(-np.mean(np.log(likely[np.arange(6), y])), rel=1e-5)


def test_a_schedule_of_keras_2_is_read(whole):
    optimizer = {"class_name": "SGD", "config": {"learning_rate": COSINE, "nesterov": True}}
    path = changed(whole[1], training_config={"loss": "mse", "optimizer_config": optimizer})
    assert keras.optimizers.get(read_compile_config(path)["optimizer"]).get_config()["learning_rate"]["config"] == {
        **COSINE["config"], "alpha": 0.0, "name": "CosineDecay", "warmup_target": None, "warmup_steps": 0,
    }  # fmt: skip


def test_settings_that_cannot_be_read_stop_no_load(whole):
    mine = {"class_name": "Mine>BinaryCrossentropy", "config": {}}  # not the one of Keras
    optimizer = {"class_name": "TFOptimizer", "config": {}}
    path = changed(whole[1], training_config={"loss": mine, "optimizer_config": optimizer})
    model = load_model(path)
    with pytest.raises(PruneError, match="Expected a loss and metrics that Keras knows"):
        of_config(read_compile_config(path), model)
    assert of_config(read_compile_config(path), model, "binary_crossentropy").loss is not None
    assert of_config(read_compile_config(changed(path, training_config=None)), model) is None


def test_weights_beyond_those_of_a_whole_hdf5_file_are_not_made(whole):
    with h5py.File(whole[1]) as store:
        config = json.loads(store.attrs["model_config"])
    config["config"]["layers"][-1]["config"]["units"] = 10**9
    with pytest.raises(PruneError, match="the weights that its file holds"):
        load_model(changed(whole[1], model_config=config))


def weights(tmp_path, name, *, old):
    """Writes the weights alone of a model to a file of any name, in the layout of Keras 2 or 3."""
    model = made()
    if old:
        model.save(tmp_path / "whole.h5")
        with h5py.File(tmp_path / "whole.h5") as store, h5py.File(tmp_path / "w", "w") as alone:
            group = store["model_weights"]
            alone.attrs.update(group.attrs)
            for part in group:
                group.copy(part, alone)
    else:
        model.save_weights(tmp_path / "w.weights.h5")
        (tmp_path / "w.weights.h5").rename(tmp_path / "w")
    (tmp_path / "w").rename(tmp_path / name)
    return model, tmp_path / name


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["a.weights.h5", "a.h5", "a.hdf5", "a.keras", "a.weights.hdf5"])
def test_weights_alone_are_answered_by_what_loads_them(tmp_path, monkeypatch, name, old):
    monkeypatch.chdir(tmp_path)
    model, path = weights(tmp_path, name, old=old)
    with pytest.raises(PruneError, match="which is weights without layers") as error:
        load_model(path.name)
    text = str(error.value)
    if "rename the file to '" in text:
        path.rename(text.split("rename the file to '")[1].split("'")[0])
    new = made()
    new.load_weights(text.split("model.load_weights('")[1].split("'")[0])
    assert all(map(np.array_equal, new.get_weights(), model.get_weights()))


@pytest.mark.parametrize("fault", ["TFOpLambda", "Lambda", "name", "Own"])
def test_a_whole_hdf5_file_that_keras_3_does_not_read_is_answered_by_what_loads_it(whole, monkeypatch, fault):
    model, path = whole
    with h5py.File(path) as store:
        config = json.loads(store.attrs["model_config"])
    layer = config["config"]["layers"][1]
    if fault == "name":
        layer["config"]["name"] = "block/dense"
    else:
        layer["class_name"] = fault
        layer["config"] |= {"function": ["4wEAAAAA", None, None], "function_type": "lambda"}
    with pytest.raises(PruneError) as error:
        load_model(changed(path, model_config=config))
    text = str(error.value)
    if fault == "Own":
        assert "whose layer 'Own' Keras cannot find. Import it before" in text
        return
    assert keras.__version__ in text and "Build it with its own code" in text
    new = made()
    new.load_weights(text.split("model.load_weights('")[1].split("'")[0])
    assert all(map(np.array_equal, new.get_weights(), model.get_weights()))


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "")


OTHERS = {
    "a.pt": (b"\x80\x02}q\x00.", "pickle"),
    "a.onnx": (b"\x08\x0a\x12\x07pytorch", "ONNX"),
    "a.tflite": (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
    "a.keras": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "b.keras": (b"", "empty"),
    "c.keras": (b"no model", "neither a zip nor an HDF5 file"),
    "a.h5.gz": (b"\x1f\x8b\x08", "gzip"),
    "a.json": (b'{"class_name": "Sequential"}', "without weights"),
    "d.keras": (b"PK\x03\x04 cut off", "damaged zip"),
    "a.h5": (b"\x89HDF\r\n\x1a\n cut off", "damaged"),
    "ckpt.data-00000-of-00001": (b"abc", "checkpoint of TensorFlow"),
}


def test_files_of_others_are_named(tmp_path):
    said = {}
    for name, (content, _) in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    zipped(tmp_path / "a.pth", "archive/data.pkl", "archive/data/0")
    zipped(tmp_path / "a.zip", "old.h5")
    with h5py.File(tmp_path / "data.h5", "w") as store:
        store["x"] = np.ones(3)
    for path in tmp_path.iterdir():
        with pytest.raises(PruneError, match="Expected the file of a whole Keras model") as error:
            load_model(path)
        said[path.name] = str(error.value)
    expected = {name: word for name, (_, word) in OTHERS.items()}
    expected |= {"a.pth": "PyTorch", "a.zip": "a zip of old.h5", "data.h5": "without a model"}
    assert not {name: said[name] for name, word in expected.items() if word not in said[name]}


def test_what_tensorflow_wrote_is_named(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    for path in (tmp_path / "saved", tmp_path / "saved" / "saved_model.pb"):
        with pytest.raises(PruneError, match=r"TFSMLayer runs, without layers that can be pruned. Save"):
            load_model(path)
    (tmp_path / "saved" / "keras_metadata.pb").write_bytes(b"")
    with pytest.raises(PruneError, match=r"Keras 2: tf_keras.models.load_model\('.*saved'\).save\('model.h5'\)"):
        load_model(tmp_path / "saved")
    for name in ("ck.pt.index", "ck.pt.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"")
    for name in ("ck.pt", "ck.pt.index", "ck.pt.data-00000-of-00001"):
        with pytest.raises(PruneError, match=r"checkpoint of TensorFlow.*load_weights\('\S*ck.pt'\)"):
            load_model(tmp_path / name)
    with pytest.raises(PruneError, match="which is not a file"):
        load_model(tmp_path / "none.keras")
    with pytest.raises(PruneError, match="which is a folder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("version", "said"), [("99.0.0", "99.0.0"), ("3.0.5", "Keras cannot read"), ("x", "Keras cannot read")]
)
def test_a_file_of_a_newer_keras_names_both_versions_only_if_it_cannot_be_read(tmp_path, version, said):
    made().save(tmp_path / "a.keras")
    for name, find, put in (("b.keras", b"-", b"-"), ("c.keras", b'"Dense"', b'"Denser"')):
        with zipfile.ZipFile(tmp_path / "a.keras") as before, zipfile.ZipFile(tmp_path / name, "w") as after:
            for part in before.namelist():
                content = before.read(part).replace(keras.__version__.encode(), version.encode())
                after.writestr(part, content.replace(find, put) if part == "config.json" else content)
    assert load_model(tmp_path / "b.keras").count_params()
    with pytest.raises(PruneError) as error:
        load_model(tmp_path / "c.keras")
    assert said in str(error.value) and (keras.__version__ in str(error.value)) == (version == "99.0.0")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_files_that_were_cut_off_or_changed_are_loaded_or_refused(whole, tmp_path, ending):
    whole[0].save(tmp_path / f"a{ending}")
    content, draw = (tmp_path / f"a{ending}").read_bytes(), np.random.default_rng(0)
    refused = 0
    for number in range(20):
        data = bytearray(content[: draw.integers(len(content))] if number % 2 else content)
        if ending == ".keras":  # HDF5 itself may crash
            for place in draw.integers(max(len(data), 1), size=40 * bool(data)):
                data[place] = draw.integers(256)
        (tmp_path / f"b{ending}").write_bytes(bytes(data))
        try:
            load_model(tmp_path / f"b{ending}")
        except PruneError:
            refused += 1
    assert refused >= 10
