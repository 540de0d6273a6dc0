"""Models and data of one's own, from the command line: what each kind of user would type."""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import pytest
from keras import layers
from support.digits import pixels, solved_classifier
from typer.testing import CliRunner

import kerasprune.repair.synthesis.synthesise  # noqa: F401 – its module is patched
from kerasprune import PruneError, cli

RUNNER = CliRunner()
RANDOM = np.random.default_rng(0)


def invoke(*arguments):
    return RUNNER.invoke(cli.app, [str(argument) for argument in arguments])


def summary(*arguments) -> dict:
    """Runs a command with --json; returns what it prints."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def tabular(path, **compiled):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(16, activation="relu", name="hidden"), layers.Dense(1)])
    if compiled:
        model.compile("adam", **compiled)
    model.save(path)
    return path


def table(path, rows=60, **more):
    x = RANDOM.normal(size=(rows, 5))
    np.savez(path, x=x, y=x.sum(1, keepdims=True), **more)
    return path


def test_a_csv_is_refused_before_keras_is_asked_and_told_how_to_become_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("a,b,class\n1,2.5,0\n3,4,1\n")
    (tmp_path / "mine.keras").write_text("not looked at")
    (tmp_path / "mine.yaml").write_text("name: m\nwhy: w\nmodel: {start: mine.keras}\ndata: {name: mine.csv}\n")
    given = ("mine.keras", "--data", "mine.csv", "--macs", 0.5, "--out", "out")
    calls = [(name, *given) for name in ("prune", "compare", "search")]
    calls += [("space", *given, "--ranked-by", "removed"), ("validate", "mine.yaml")]
    calls.append(("export", *given[:3], "--format", "tflite-int8", "--out", "out.tflite"))
    for call in calls:
        found = refused(*call)
        assert ".npz file of arrays" in found and "Received: 'mine.csv'" in found, call
    line = found.partition("with NumPy: ")[2]
    exec(line, {"np": np})  # noqa: S102
    with np.load("mine.npz") as arrays:
        assert arrays["x"].tolist() == [[1, 2.5], [3, 4]] and arrays["y"].tolist() == [0, 1]
    (tmp_path / "mine.parquet").write_text("")
    assert "np.savez('mine.npz', x=inputs, y=classes)" in refused(
        "prune", "mine.keras", "--data", "mine.parquet", *given[3:]
    )


def test_data_that_are_not_there_are_told_before_the_model_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.keras").write_text("not looked at")
    rest = ("--macs", 0.5, "--out", "out")
    assert "Did you mean 'digits'" in refused("prune", "mine.keras", "--data", "digit", *rest)
    assert "path='none.npz', which is not a file" in refused("prune", "mine.keras", "--data", "none.npz", *rest)


@pytest.mark.thorough
def test_a_table_of_numbers_is_judged_by_the_compiled_loss(tmp_path):
    model = tabular(tmp_path / "mine.keras", loss="mse", metrics=["mae"])
    data = table(tmp_path / "mine.npz")
    tuned = ("--finetune-epochs", 2, "--optimizer", "adam", "--batch", 16)
    found = summary("prune", model, "--keep", 0.5, "--data", data, *tuned, "--out", tmp_path / "out")
    assert set(found["slim"]["metrics"]) == {"mae"} and found["slim"]["accuracy"] is None
    slim = keras.models.load_model(tmp_path / "out" / "slim.keras")
    assert slim.get_layer("hidden").units == 8
    with np.load(data) as arrays:  # the test part is what the fixed permutation leaves last
        order = np.random.Generator(np.random.PCG64(0)).permutation(60)
        part = np.sort(order[54:])
        x, y = arrays["x"][part], arrays["y"][part]
    assert found["slim"]["metrics"]["mae"] == pytest.approx(np.abs(slim.predict(x, verbose=0) - y).mean(), rel=1e-5)


@pytest.mark.thorough
def test_a_model_without_a_loss_asks_for_one(tmp_path):
    model, data = tabular(tmp_path / "mine.keras"), table(tmp_path / "mine.npz")
    start = ("prune", model, "--keep", 0.5, "--data", data, "--out", tmp_path / "out")
    assert "Give --loss" in refused(*start)
    assert "mean_squared_eror" in refused(*start, "--loss", "mean_squared_eror")
    assert not (tmp_path / "out" / "slim.keras").exists()
    found = summary(*start, "--loss", "mean_squared_error", "--overwrite")
    assert found["slim"]["loss"] > 0


@pytest.mark.thorough
def test_grey_images_of_an_autoencoder(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="inner")(inputs)
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same", name="drawn")(x))
    model.compile("sgd", loss=keras.losses.MeanSquaredError())
    model.save(tmp_path / "mine.keras")
    images = RANDOM.uniform(size=(30, 8, 8)).astype("float32")  # no channel axis
    np.savez(tmp_path / "mine.npz", x=images, y=images[..., None])
    found = summary(
        *("prune", tmp_path / "mine.keras", "--macs", 0.5, "--data", tmp_path / "mine.npz"),
        *("--finetune-epochs", 1, "--batch", 8, "--out", tmp_path / "out"),
    )
    assert found["slim"]["macs"] <= 0.5 * found["dense"]["macs"] and found["slim"]["loss"] > 0


FUNCTION = """
import numpy as np, tensorflow as tf

def masks(split):
    x = np.random.default_rng(len(split)).normal(size=(12, 16, 16, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, (x[..., :1] > 0).astype("int32")))  # single examples

def whole():
    return masks("train").batch(2)

def endless():
    return whole().repeat()

def wrong():
    return 3
"""


@pytest.fixture
def segmenter(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = skip = layers.Conv2D(8, 3, padding="same", activation="relu", name="down")(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="inner")(x)
    x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x))
    model.compile("adam", loss="binary_crossentropy", metrics=[keras.metrics.BinaryIoU(target_class_ids=[1])])
    model.save(tmp_path / "mine.keras")
    (tmp_path / "my_masks.py").write_text(FUNCTION)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "mine.keras"
    sys.modules.pop("my_masks", None)


@pytest.mark.thorough
def test_masks_from_a_function(segmenter, tmp_path):
    start = ("prune", segmenter, "--keep", 0.5, "--finetune-epochs", 1, "--batch", 4, "--out", tmp_path / "out")
    assert "--trust" in refused(*start, "--data", "my_masks:masks")
    found = summary(*start, "--data", "my_masks:masks", "--trust")
    assert 0 <= found["slim"]["metrics"]["binary_io_u"] <= 1
    found = summary(*start, "--data", "my_masks.py:whole", "--trust", "--overwrite")
    assert found["slim"]["loss"] > 0
    for name, message in {
        "endless": "Leave .repeat() out",
        "wrong": "Received: int",
        "absent": "my_masks:absent",
    }.items():
        assert message in refused(*start, "--data", f"my_masks:{name}", "--trust", "--overwrite")


def photos(path, kinds=("cat", "dog"), number=10):
    from PIL import Image

    for kind, name in enumerate(kinds):
        (path / name).mkdir(parents=True)
        for each in range(number):
            pixels = RANDOM.integers(100 * kind, 100 * kind + 60, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{each}.png")
    return path


@pytest.mark.thorough
def test_pixels_at_the_scale_that_the_model_was_trained_on(tmp_path):
    """A net that tells dark from bright by the mean of grey pixels in [0, 1]: 0.5 on any other scale."""
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(4, 1, name="copies")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))
    model.get_layer("copies").set_weights([np.ones((1, 1, 1, 4)), np.zeros(4)])
    model.get_layer("logits").set_weights([np.repeat([[-1.0, 1.0]], 4, 0), np.array([1.2, -1.2])])
    model.save(tmp_path / "mine.keras")
    start = ("prune", tmp_path / "mine.keras", "--keep", 0.5, "--data", photos(tmp_path / "photos"), "--batch", 4)
    result = invoke(*start, "--out", tmp_path / "unsaid")
    assert result.exit_code == 0, result.output
    warned = " ".join(result.stderr.split())
    assert "The model knows little of the data" in warned and "Give --scale 0..1" in warned
    assert "Give --scale 0..1" in (tmp_path / "unsaid" / "warnings.txt").read_text()
    found = summary(*start, "--scale", "0..1", "--out", tmp_path / "said")
    assert found["dense"]["accuracy"] == 1
    assert "--scale" in refused(*start, "--scale", "0..2", "--out", tmp_path / "wrong")


@pytest.mark.thorough
def test_pixels_of_arrays(tmp_path):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    keras.Model(inputs, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x))).save(tmp_path / "m.keras")
    images, labels = RANDOM.integers(0, 256, (40, 6, 6, 3), dtype=np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    found = summary(
        *("prune", tmp_path / "m.keras", "--keep", 0.5, "--data", tmp_path / "a.npz", "--scale", "-1..1"),
        *("--out", tmp_path / "out"),
    )
    slim = keras.models.load_model(tmp_path / "out" / "slim.keras")
    right = slim.predict(images / 127.5 - 1, verbose=0).argmax(1) == labels
    assert found["slim"]["accuracy"] == pytest.approx(right.mean())
    np.savez(tmp_path / "b.npz", x=images / 255.0, y=labels)
    refusal = refused(
        *("prune", tmp_path / "m.keras", "--keep", 0.5, "--data", tmp_path / "b.npz", "--scale", "0..1"),
        *("--out", tmp_path / "other"),
    )
    assert "Leave --scale out" in refusal


@pytest.mark.thorough
def test_pixels_of_arrays_at_another_scale_than_the_model_s_are_refused(tmp_path):
    model, (x, y) = solved_classifier(), pixels()
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    refusal = refused(
        *("prune", tmp_path / "mine.keras", "--keep", 0.5, "--data", tmp_path / "mine.npz", "--out", tmp_path / "out")
    )
    assert "Give --scale 0..1 (in a recipe, data.scale); or --scale none to keep the present one." in refusal


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_pixels_of_other_types_at_another_scale_are_warned_of(dtype, tmp_path):
    model, (x, y) = solved_classifier(), pixels()
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=x.astype(dtype), y=y)
    start = ("prune", tmp_path / "mine.keras", "--keep", 0.5, "--data", tmp_path / "mine.npz", "--no-reconstruct")
    result = invoke(*start, "--out", tmp_path / "out")
    assert result.exit_code == 0 and "with x / 255, which it was likely trained on" in " ".join(result.stderr.split())


@pytest.mark.thorough
def test_pixels_at_another_scale_go_on_when_told_and_comparisons_stop(tmp_path):
    model, (x, y) = solved_classifier(), pixels()
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    given = (tmp_path / "mine.keras", "--data", tmp_path / "mine.npz")
    found = {
        scale: summary("prune", *given, "--keep", 0.5, "--scale", scale, "--out", tmp_path / scale)["dense"]["accuracy"]
        for scale in ("none", "0..1")
    }
    assert found["none"] < 0.6 and found["0..1"] > 0.9
    assert "Give --scale 0..1" in refused("compare", *given, "--seeds", 1, "--out", tmp_path / "table")
    np.savez(tmp_path / "halves.npz", x=x, y=y + 0.5)
    halves = (given[0], "--data", tmp_path / "halves.npz")
    assert "Give integers" in refused("prune", *halves, "--keep", 0.5, "--out", tmp_path / "halves")
    assert "Give integers" in refused("compare", *halves, "--seeds", 1, "--out", tmp_path / "other")


@pytest.mark.thorough
def test_files_that_are_no_examples(tmp_path):
    model = tabular(tmp_path / "mine.keras", loss="mse")
    start = ("prune", model, "--keep", 0.5, "--out", tmp_path / "out", "--data")
    assert "not a file" in refused(*start, tmp_path / "missing.npz")
    (tmp_path / "torn.npz").write_bytes(b"PK nothing")
    assert "torn.npz" in refused(*start, tmp_path / "torn.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}], dtype=object), y=np.zeros(2))
    assert "objects.npz" in refused(*start, tmp_path / "objects.npz")
    np.savez(tmp_path / "uneven.npz", x=np.zeros((5, 5)), y=np.zeros(4))
    assert "as many labels as inputs" in refused(*start, tmp_path / "uneven.npz")
    np.savez(tmp_path / "nan.npz", x=np.full((20, 5), np.nan), y=np.zeros(20))
    assert "NaN or infinity" in refused(*start, tmp_path / "nan.npz")
    np.savez(tmp_path / "wide.npz", x=np.zeros((20, 7)), y=np.zeros(20))
    assert "shape (None, 5)" in refused(*start, tmp_path / "wide.npz")
    np.savez(tmp_path / "classes.npz", x=np.zeros((20, 5)), y=np.zeros(20, int) + 7)
    loss = ("--loss", "sparse_categorical_crossentropy")
    assert "Received: labels such as 7" in refused(*start, tmp_path / "classes.npz", *loss)
    np.savez(tmp_path / "labels.npz", y=np.zeros(20))
    assert "x and y" in refused(*start, tmp_path / "labels.npz")
    assert not (tmp_path / "out" / "slim.keras").exists()


@pytest.mark.thorough
def test_two_outputs_have_their_labels_by_name(tmp_path):
    inputs = keras.Input((5,))
    x = layers.Dense(16, "relu", name="hidden")(inputs)
    outputs = [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="size")(x)]
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"}, metrics={"kind": ["accuracy"]})
    model.save(tmp_path / "mine.keras")
    x, kind, size = RANDOM.normal(size=(60, 5)).astype("float32"), np.arange(60) % 3, np.arange(60.0)
    start = ("prune", tmp_path / "mine.keras", "--keep", 0.5, "--data", tmp_path / "mine.npz")
    np.savez(tmp_path / "mine.npz", x=x, y=kind)
    assert "in a .npz file y_kind=…, y_size=… in place of y" in refused(*start, "--out", tmp_path / "one")
    np.savez(tmp_path / "mine.npz", x=x, y_kind=kind, y_sice=size)
    assert "'sice', which is not an output. Did you mean 'size'?" in refused(*start, "--out", tmp_path / "two")
    np.savez(tmp_path / "mine.npz", x=x, y_kind=kind, y_size=size)
    tuned = ("--finetune-epochs", 1, "--batch", 8, "--out", tmp_path / "three")
    assert summary(*start, *tuned)["slim"]["metrics"]["kind_accuracy"] <= 1


@pytest.mark.thorough
def test_no_validation_is_null_as_the_help_says(tmp_path):
    model, data = tabular(tmp_path / "mine.keras", loss="mse"), table(tmp_path / "mine.npz")
    found = summary("prune", model, "--keep", 0.5, "--data", data, "--validation", "null", "--out", tmp_path / "out")
    assert found["slim"]["loss"] > 0


@pytest.mark.thorough
def test_a_file_with_a_training_part_alone_is_enough(tmp_path):
    model = tabular(tmp_path / "mine.keras", loss="mse")
    x = RANDOM.normal(size=(60, 5))
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=x.sum(1, keepdims=True))
    found = summary("prune", model, "--keep", 0.5, "--data", tmp_path / "mine.npz", "--out", tmp_path / "out")
    assert found["slim"]["loss"] > 0


@pytest.mark.thorough
def test_inputs_without_labels_are_enough(tmp_path, monkeypatch):
    model = tabular(tmp_path / "mine.keras", loss="mse", metrics=["mae"])
    np.save(tmp_path / "inputs.npy", RANDOM.normal(size=(200, 5)).astype("float32"))
    tuned = ("--finetune-epochs", 15, "--optimizer", "adam", "--learning-rate", 0.03, "--batch", 16)
    start = ("prune", model, "--keep", 0.5, "--data", tmp_path / "inputs.npy", *tuned, "--out", tmp_path / "out")
    assert "no labels" in refused(*start, "--no-distil")
    found = summary(*start, "--overwrite")
    errors = {one["step"]: one["output_error"] for one in found["steps"]}
    assert list(errors) == ["dense", "rebuild", "reconstruct", "finetune"] and found["slim"]["loss"] is None
    assert errors["finetune"] < 0.5 * errors["rebuild"]
    result = invoke("report", tmp_path / "out")
    assert result.exit_code == 0 and "after fine-tuning" in (tmp_path / "out" / "report.html").read_text()
    slim, dense = (keras.models.load_model(tmp_path / "out" / f"{name}.keras") for name in ("slim", "dense"))
    x = RANDOM.normal(size=(50, 5)).astype("float32")
    a, b = (np.asarray(each(x)) for each in (slim, dense))
    assert ((a - b) ** 2).sum() / ((b - b.mean(0)) ** 2).sum() < 0.5 * errors["rebuild"]
    (tmp_path / "my_inputs.py").write_text(
        "import tensorflow as tf\ndef unlabelled():\n    return tf.data.Dataset.from_tensor_slices(tf.ones((40, 5)))\n"
    )
    monkeypatch.chdir(tmp_path)
    plain = ("prune", model, "--keep", 0.5, "--data", "my_inputs.py:unlabelled", "--trust", "--no-reconstruct")
    assert len(summary(*plain, "--out", tmp_path / "plain")["steps"]) == 2


def test_a_data_set_of_images_and_a_model_of_something_else(tmp_path):
    model = tabular(tmp_path / "mine.keras", loss="mse")
    assert "a .npz file with x and y" in refused(
        "prune", model, "--keep", 0.5, "--data", "digits", "--out", tmp_path / "out"
    )


def test_exports_are_calibrated_without_labels(tmp_path):
    model = tabular(tmp_path / "mine.keras")
    np.save(tmp_path / "inputs.npy", RANDOM.normal(size=(60, 5)))
    out = tmp_path / "mine.tflite"
    start = ("export", model, "--format", "tflite-int8", "--out", out)
    assert "--calibrate FILE.npy" in refused(*start)
    assert "which is neither" in refused(*start, "--calibrate", tmp_path / "missing.npy")
    result = invoke(*start, "--calibrate", tmp_path / "inputs.npy")
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 500
    result = invoke(*start, "--calibrate", tmp_path / "inputs.npy", "--overwrite", "-q")
    assert result.exit_code == 0 and result.stdout == ""


@pytest.mark.parametrize("option", ["--calibrate", "--data"])
def test_images_of_a_folder_calibrate_at_the_scale_that_is_given_or_said_and_corrupt_ones_are_named(option, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "mine.keras")
    for number in range(20):
        (tmp_path / "images" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(tmp_path / f"images/{number % 2}/{number}.png", RANDOM.uniform(0, 255, (6, 6, 3)))
    start = ("export", tmp_path / "mine.keras", "--format", "kpz", option, tmp_path / "images")
    silent = invoke(*start, "--scale", "none", "--out", tmp_path / "silent.kpz")
    assert silent.exit_code == 0 and "warning" not in silent.stderr
    told = invoke(*start, "--out", tmp_path / "told.kpz")
    assert told.exit_code == 0 and "standardised with the constants of ImageNet" in " ".join(told.stderr.split())
    for image in (tmp_path / "images").glob("1/*.png"):
        image.write_bytes(b"no image")
    assert "cannot identify image file" in refused(*start, "--scale", "none", "--out", tmp_path / "refused.kpz")


@keras.saving.register_keras_serializable("own_data")
class Subclassed(keras.Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.made = layers.Dense(2)

    def call(self, inputs):
        return self.made(inputs)


def test_a_subclassed_model_is_exported_with_data_and_without(tmp_path):
    model = Subclassed()
    model(np.zeros((1, 5), "float32"))
    model.save(tmp_path / "mine.keras")
    start = ("export", tmp_path / "mine.keras", "--format", "kpz")
    for number, data in enumerate(((), ("--data", table(tmp_path / "mine.npz")))):
        result = invoke(*start, *data, "--out", tmp_path / f"{number}.kpz")
        assert result.exit_code == 0, (result.output, result.exception)


@pytest.mark.parametrize(("quiet", "verbose"), [((), 1), (("-q",), 0)])
def test_progress_of_drawing_is_not_shown_if_quiet(quiet, verbose, tmp_path, monkeypatch):
    def drawn(drawing, store, verbose=1):
        raise PruneError(f"verbose is {verbose}")

    monkeypatch.setattr(sys.modules["kerasprune.repair.synthesis.synthesise"], "draw_batches", drawn)
    model = tabular(tmp_path / "mine.keras")
    said = refused("prune", model, "--keep", 0.5, "--examples", 20, *quiet, "--out", tmp_path / "out")
    assert f"verbose is {verbose}" in said


@pytest.mark.thorough
def test_an_earlier_run_is_overwritten_only_when_told_and_nothing_else(tmp_path):
    model = tabular(tmp_path / "mine.keras")
    start = ("prune", model, "--keep", 0.5, "--out", tmp_path / "out")
    assert invoke(*start).exit_code == 0
    assert "holds files" in refused(*start)
    (tmp_path / "out" / "precious.txt").write_text("mine")
    assert "precious.txt" in refused(*start, "--overwrite")
    (tmp_path / "out" / "precious.txt").unlink()
    result = invoke(*start, "--overwrite", "-q")
    assert result.exit_code == 0 and result.stdout == ""
    result = invoke(*start, "--resume")
    assert result.exit_code == 0 and "slim model: " in result.stdout and "next: kerasprune prune" in result.stdout
    again = ("prune", tmp_path / "out" / "slim.keras", "--keep", 0.5, "--out", tmp_path / "out", "--overwrite")
    assert "inputs outside of the folder" in refused(*again) and (tmp_path / "out" / "slim.keras").exists()
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "dense.keras").write_text("mine")
    assert "no recipe.yaml" in refused("prune", model, "--keep", 0.5, "--out", tmp_path / "users", "--overwrite")


def test_a_small_validation_split_is_calibrated_with_the_training_beside_it(tmp_path):
    """A tenth of a hundred examples would be told to give fifty, which were given."""
    model, data = tabular(tmp_path / "mine.keras"), tmp_path / "data.npz"
    table(data, rows=100)
    result = invoke("export", model, "--format", "tflite-int8", "--data", data, "--out", tmp_path / "out.tflite")
    assert result.exit_code == 0 and "calibration samples, and" not in result.stderr, result.output
    assert "on 90 calibration samples" in " ".join(result.stdout.split())
