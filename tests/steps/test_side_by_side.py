"""The files of a slim model beside those of its dense model."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.export.latency.operators import operators

RANDOM = np.random.default_rng(0)
DATA = RANDOM.normal(size=(64, 8, 8, 3)).astype("float32"), RANDOM.integers(0, 3, 64)


def network(width=16, turned=False, classes=3):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
    x = layers.Permute((2, 1, 3), name="turned")(x) if turned else x
    x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.thorough
def test_both_files_are_measured(tmp_path):
    dense = network()
    slim = kp.rebuild(dense, kp.plan(dense, keep=0.5))
    found = kp.export.beside(slim, dense, tmp_path / "slim.tflite", data=DATA)
    kp.export.tflite(dense, tmp_path / "dense.tflite")
    files = [tmp_path / "dense.tflite", tmp_path / "slim.tflite"]
    assert [found.dense.bytes, found.slim.bytes] == [file.stat().st_size for file in files]
    assert [sum(each.values()) for each in found.gain.operators] == [len(kp.export.operators(file)) for file in files]
    assert found.gain.macs == (kp.cost(dense).macs, kp.cost(slim).macs)
    assert found.gain.arrives == pytest.approx(found.gain.macs[1] / found.gain.macs[0] / found.gain.time_ratio)
    assert len(found.gain.alone) == len(operators(kp.trace(dense)))
    assert sum(found.gain.lost.values()) == pytest.approx(
        found.gain.milliseconds[1] - found.gain.macs[1] / found.gain.macs[0] * found.gain.milliseconds[0]
    )
    slim.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    wanted = slim.evaluate(*DATA, verbose=0, return_dict=True)
    assert found.judged == 64 and found.metrics["accuracy"][1] == pytest.approx(wanted["accuracy"], abs=1e-6)
    assert found.metrics["loss"][1] == pytest.approx(wanted["loss"], rel=1e-3)
    assert found.agreement[0] == 1 and found.error[0] < 1e-6 < found.error[1]
    assert "accuracy, 64 examples" in str(found) and "Not expected in the slim file: nothing." in str(found)
    assert sorted(tmp_path.iterdir()) == sorted(files)  # the dense file of the comparison is not kept


def test_operators_of_layers_with_other_names_are_not_timed_beside_each_other(tmp_path):
    dense = network()
    slim = keras.models.clone_model(network(8), clone_function=renamed)
    assert kp.export.beside(slim, dense, tmp_path / "slim.tflite").gain.alone == ()


def renamed(layer):
    return type(layer).from_config(layer.get_config() | {"name": f"my_{layer.name}"})


@pytest.mark.thorough
def test_an_operator_that_only_moves_numbers_is_named(tmp_path):
    dense, slim = network(), network(8, turned=True)
    found = kp.export.beside(slim, dense, tmp_path / "slim.tflite")
    assert [(one.name, one.number, one.layers) for one in found.gain.unexpected] == [("TRANSPOSE", 1, ("turned",))]
    assert "Not expected in the slim file: 1 TRANSPOSE of turned." in str(found)
    assert not found.metrics and found.slim.inputs == found.inputs == "random"
    assert "error of the outputs, 16 random inputs" in str(found)


def test_a_saved_model_has_no_time(tmp_path):
    dense = network()
    found = kp.export.beside(network(8), dense, tmp_path / "slim", format="saved_model")
    assert found.gain.time_ratio is found.gain.arrives is None and found.gain.alone == ()
    assert "Time is not measured" in str(found)


def test_models_that_are_not_a_pair_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(PruneError, match=r"dense model with the outputs of the slim one, \[\(3,\)\]. Received: \[\(4,"):
        kp.export.beside(network(8), network(classes=4), tmp_path / "slim.tflite")
    with pytest.raises(PruneError, match="dense"):
        kp.export.beside(network(8), "dense.keras", tmp_path / "slim.tflite")
    with pytest.raises(PruneError, match="Did you mean 'tflite-int8'"):
        kp.export.beside(network(8), network(), tmp_path / "slim.tflite", format="tflite-int9")
    assert not list(tmp_path.iterdir())


@pytest.mark.experiments
@pytest.mark.thorough
def test_the_command_prints_both(tmp_path):
    dense = network()
    dense.save(tmp_path / "dense.keras")
    kp.rebuild(dense, kp.plan(dense, keep=0.5)).save(tmp_path / "slim.keras")
    np.savez(tmp_path / "mine.npz", x=DATA[0], y=DATA[1])
    arguments = ["export", "slim.keras", "--beside", "dense.keras", "--format", "tflite-int8", "--data", "mine.npz"]
    paths = [str(tmp_path / each) if "." in each else each for each in arguments]
    result = run_command([*paths, "--out", str(tmp_path / "slim.tflite")])
    assert result.exit_code == 0, result.output
    assert "accuracy, 6 examples" in result.stdout and "Not expected in the slim file" in result.stdout
    again = run_command([*paths, "--out", str(tmp_path / "slim.tflite")])
    assert again.exit_code == 2 and "--overwrite" in again.stderr


@pytest.mark.experiments
@pytest.mark.thorough  # two commands
def test_labels_that_are_not_class_numbers_are_judged_as_the_dense_file_was_compiled(tmp_path):
    dense = network()
    slim = kp.rebuild(dense, kp.plan(dense, keep=0.5))
    dense.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    dense.save(tmp_path / "dense.keras")
    slim.save(tmp_path / "slim.keras")
    np.savez(tmp_path / "mine.npz", x=DATA[0], y=np.eye(3, dtype="float32")[DATA[1]])
    arguments = ["export", "slim.keras", "--beside", "dense.keras", "--format", "tflite", "--data", "mine.npz"]
    paths = [str(tmp_path / each) if "." in each else each for each in arguments]
    result = run_command([*paths, "--out", str(tmp_path / "slim.tflite")])
    assert result.exit_code == 0, result.output
    assert "accuracy, 6 examples" in result.stdout and "loss, 6 examples" in result.stdout
    result = run_command([*paths, "--loss", "mse", "--out", str(tmp_path / "other.tflite")])
    assert result.exit_code == 0 and "loss, 6 examples" in result.stdout


@pytest.mark.thorough
def test_others_calibrate_than_those_that_judge(tmp_path):
    dense = network()
    slim = kp.rebuild(dense, kp.plan(dense, keep=0.5))
    made = [tmp_path / name for name in ("given.tflite", "wide.tflite", "alone.tflite")]
    kp.export.beside(slim, dense, made[0], format="tflite-int8", data=DATA)
    found = kp.export.beside(slim, dense, made[1], format="tflite-int8", data=DATA, calibrate=9 * DATA[0])
    kp.export.tflite(slim, made[2], quantize="int8", data=9 * DATA[0])
    assert made[0].read_bytes() != made[1].read_bytes() == made[2].read_bytes()
    assert found.judged == 64 and found.compared == 64 and found.inputs == "data"


def test_labels_are_checked_before_anything_is_written_and_calibration_is_called_that(tmp_path):
    dense = network()
    dense.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    slim = kp.rebuild(dense, kp.plan(dense, keep=0.5))
    with pytest.raises(PruneError, match="labels of shape"):
        kp.export.beside(slim, dense, tmp_path / "a.tflite", data=(DATA[0], np.eye(3)[DATA[1]]))
    assert not list(tmp_path.iterdir())
    report = kp.export.tflite(slim, tmp_path / "b.tflite", quantize="int8", data=DATA)
    assert report.inputs == "calibration" and "64 calibration samples" in str(report)
    assert kp.export.tflite(slim, tmp_path / "c.tflite", data=DATA).inputs == "data"


def test_what_cannot_be_compared_is_refused_before_anything_is_written(tmp_path):
    free = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()])
    texts = keras.Sequential([keras.Input((1,), dtype="string"), layers.TextVectorization(vocabulary=["a", "b"])])
    found = kp.export.beside(free, free, tmp_path / "free", format="saved_model")  # random images of a size of its own
    assert found.compared == 16 and found.inputs == "random"
    with pytest.raises(PruneError, match="size"):
        kp.export.beside(free, free, tmp_path / "free.tflite")
    with pytest.raises(PruneError, match="random string"):
        kp.export.beside(texts, texts, tmp_path / "texts", format="saved_model")
    assert [each.name for each in tmp_path.iterdir()] == ["free"]


@pytest.mark.experiments
@pytest.mark.thorough  # two files of two models, and once more two of one
def test_several_formats_are_written_to_a_folder(tmp_path):
    dense = network()
    dense.save(tmp_path / "dense.keras")
    kp.rebuild(dense, kp.plan(dense, keep=0.5)).save(tmp_path / "slim.keras")
    np.savez(tmp_path / "mine.npz", x=DATA[0], y=DATA[1])
    formats = ["--format", "tflite", "--format", "tflite-int8", "--data", str(tmp_path / "mine.npz")]
    beside = ["export", str(tmp_path / "slim.keras"), "--beside", str(tmp_path / "dense.keras"), *formats]
    out = tmp_path / "files"
    result = run_command([*beside, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Not expected in the slim file") == 2
    written = {each.name: each.read_bytes() for each in out.iterdir()}
    assert sorted(written) == ["slim-tflite-int8.tflite", "slim-tflite.tflite"]
    (out / "slim-tflite.tflite").unlink()
    again = run_command([*beside, "--out", str(out)])  # one of two is there: neither is written
    assert again.exit_code == 2 and "--overwrite" in again.stderr and len(list(out.iterdir())) == 1
    again = run_command(["export", str(tmp_path / "slim.keras"), *formats, "--out", str(out), "--overwrite"])
    assert again.exit_code == 0 and {each.name: each.read_bytes() for each in out.iterdir()} == written
    again = run_command([*beside, "--out", str(tmp_path / "mine.npz")])
    assert again.exit_code == 2 and "Expected a folder for several formats" in again.stderr
