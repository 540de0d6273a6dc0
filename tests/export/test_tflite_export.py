"""`.tflite` files compute what the Keras model computes, and a file that does not is never written."""

from __future__ import annotations

import gzip
import sys
import warnings
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from support.digits import digits

from kerasprune.errors import PruneError
from kerasprune.export import operators, tflite, tflite_export
from kerasprune.export.calibration import CALIBRATION_SAMPLES, complaints

# ---- a small residual network on digits, 16×16 ---- #


def residual_network(side: int | None = 16) -> keras.Model:
    def conv(x, width, stride=1):
        x = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    image = keras.Input((side, side, 1), name="image")
    x = layers.ReLU()(conv(image, 8))
    x = layers.ReLU()(layers.Add()([x, conv(layers.ReLU()(conv(x, 8)), 8)]))
    x = layers.ReLU()(conv(x, 16, 2))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, name="logits", dtype="float32")(x))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(0)
    images, labels = digits()
    model = residual_network()
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[:1000], labels[:1000], epochs=4, batch_size=50, verbose=0)
    return model


FORMATS = (None, "float16", "dynamic", "int8", "int16x8", *(["int4"] if find_spec("litert_quantizer") else []))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return digits()[0][1000:1400]


@pytest.fixture(scope="module")
def reports(trained, images, tmp_path_factory) -> dict:
    """The trained network in every format."""
    folder = tmp_path_factory.mktemp("reports")
    return {
        quantize: tflite(trained, folder / f"{quantize}.tflite", quantize=quantize, data=images) for quantize in FORMATS
    }


@pytest.fixture
def instant(reports, monkeypatch) -> None:
    """The converter returns at once what it returned before."""
    content = reports[None].path.read_bytes()
    monkeypatch.setattr(sys.modules["kerasprune.export.tflite_export"], "to_tflite", lambda *_: content)


def lite_outputs(path, *inputs: np.ndarray) -> list[np.ndarray]:
    """Runs a file on one sample through LiteRT's plain interface: the tests' own way, by tensor order."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


# ---- what is written ---- #


@pytest.mark.whole
def test_float32_is_the_model(reports):
    report = reports[None]
    assert report.max_error < 1e-4
    assert report.agreement == 1.0
    assert (report.inputs, report.samples, report.format) == ("data", 400, "tflite float32")
    assert report.bytes == report.path.stat().st_size
    assert report.latency_ms > 0
    assert {path.name for path in report.path.parent.iterdir()} == {f"{name}.tflite" for name in reports}


@pytest.mark.matrix
@pytest.mark.parametrize("quantize", FORMATS)
@pytest.mark.whole
def test_max_error_and_agreement_against_a_direct_run(trained, images, reports, quantize):
    lite = np.concatenate([lite_outputs(reports[quantize].path, image[None])[0] for image in images])
    expected = trained.predict(images, verbose=0)
    assert reports[quantize].max_error == pytest.approx(np.abs(lite - expected).max(), rel=1e-3, abs=1e-5)
    assert reports[quantize].agreement == (lite.argmax(-1) == expected.argmax(-1)).mean()


def test_float16_rounds_a_little(reports):
    assert 1e-5 < reports["float16"].max_error < 5e-2
    assert reports["float16"].agreement > 0.99


def test_bytes_follow_the_type(tmp_path):
    """60 × 200 weights and a kilobyte or two of graph: 4, 2 and 1 bytes each."""
    model = keras.Sequential([keras.Input((60,)), layers.Dense(200, use_bias=False)])
    data = np.random.default_rng(0).normal(size=(50, 60))
    widths = {None: 4, "float16": 2, "dynamic": 1, "int8": 1, "int4": 0.5}
    for quantize, width in ((each, widths[each]) for each in FORMATS if each in widths):
        report = tflite(model, tmp_path / f"{quantize}.tflite", quantize=quantize, data=data)
        assert width * 12_000 < report.bytes < width * 12_000 + 6_000
        assert report.gzip_bytes == pytest.approx(len(gzip.compress(report.path.read_bytes())), abs=50)


def test_int8_is_integer_inside_and_float_outside(reports):
    from ai_edge_litert.interpreter import Interpreter

    report = reports["int8"]
    assert report.agreement > 0.97
    interpreter = Interpreter(str(report.path))
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert {detail["dtype"] for detail in ends} == {np.float32}
    tensors = [np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()]
    assert set(tensors) == {"float32", "int8", "int32"}
    assert tensors.count("float32") == 2  # the input and the output, nothing between them
    names = operators(report.path)
    assert names[0] == "QUANTIZE" and names[-1] == "DEQUANTIZE"


def test_int16x8_is_closer_than_int8(reports):
    assert reports["int16x8"].agreement > 0.98
    assert reports["int16x8"].max_error < 0.8 * reports["int8"].max_error


@pytest.mark.parametrize("quantize", ["int8", "int16x8"])
def test_integers_in_and_out(trained, images, reports, tmp_path, quantize):
    """Fed as a microcontroller feeds it: with integers, by the scale and the zero point of the file."""
    from ai_edge_litert.interpreter import Interpreter

    kind = {"int8": "int8", "int16x8": "int16"}[quantize]
    report = tflite(trained, tmp_path / "model.tflite", quantize=quantize, io=kind, data=images[:60])
    assert report.format == f"tflite {quantize}, {kind} in and out"
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(report.operators)
    interpreter = Interpreter(str(report.path))
    interpreter.allocate_tensors()
    (before,), (after,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert before["dtype"].__name__ == after["dtype"].__name__ == kind
    scale, zero = before["quantization"]
    interpreter.set_tensor(before["index"], np.clip(np.round(images[:1] / scale) + zero, -(2**15), 2**15).astype(kind))
    interpreter.invoke()
    found = (interpreter.get_tensor(after["index"]).astype(float) - after["quantization"][1]) * after["quantization"][0]
    np.testing.assert_allclose(found, lite_outputs(reports[quantize].path, images[:1])[0], atol=report.max_error * 2)
    assert report.agreement > 0.97


def test_warnings(trained, images, tmp_path, instant):
    """Of few samples, of samples that are all the same, and of a file that chooses otherwise."""
    same, noise = np.ones((60, 6), "float32"), np.random.default_rng(0).normal(size=(49, 6))
    assert [text[:33] for text in complaints({"x": noise})] == ["The ranges of activations come fr"]
    (text,) = complaints({"x": noise.repeat(2, 0), "y": same})
    assert "these inputs is the same: y." in text
    assert complaints({"x": noise.repeat(2, 0)}) == []
    keras.utils.set_random_seed(0)  # of the weights of the copy
    other = keras.models.clone_model(trained)
    with pytest.raises(PruneError, match="max_error"):
        tflite(other, tmp_path / "model.tflite", data=images[:60])
    other.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match=r"same class as the Keras model on \d+\.\d% of 60 data samples only"):
        tflite(other, tmp_path / "model.tflite", quantize="dynamic", data=images[:60], force=True)


def test_calibration_warns_through_the_front_door(tmp_path):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
    with pytest.warns(UserWarning) as caught:
        tflite(model, tmp_path / "model.tflite", quantize="int8", data=np.ones((9, 6)))
    texts = [str(each.message) for each in caught if each.category is UserWarning]
    assert any("from 9 calibration samples" in text for text in texts)
    assert any("the same" in text for text in texts)
    assert {each.filename for each in caught if each.category is UserWarning} == {__file__}


@pytest.mark.whole
def test_no_operator_but_the_networks_own(reports):
    names = operators(reports[None].path)
    assert sorted(names) == ["ADD"] + ["CONV_2D"] * 4 + ["FULLY_CONNECTED", "MEAN"]
    assert reports[None].operators == ("ADD", "CONV_2D", "FULLY_CONNECTED", "MEAN")


def test_operators_sees_gathers(tmp_path):
    image = keras.Input((4, 4, 6))
    model = keras.Model(image, keras.ops.take(image, np.array([0, 3, 4]), axis=-1))
    tflite(model, tmp_path / "gather.tflite")
    assert any("GATHER" in name for name in operators(tmp_path / "gather.tflite"))


def test_random_inputs_are_named(trained, tmp_path, instant):
    report = tflite(trained, tmp_path / "model.tflite")
    assert report.inputs == "random" and report.max_error < 1e-3
    assert "random samples" in str(report) and "\n" not in str(report)
    assert tflite(trained, tmp_path / "again.tflite").max_error == report.max_error


def test_reshapes_stay_free_of_shape_arithmetic(tmp_path):
    """With a free batch axis these reshapes come with SHAPE, STRIDED_SLICE and PACK."""
    image = keras.Input((8, 8, 4))
    gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(image))
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(image * gate)))
    report = tflite(model, tmp_path / "gate.tflite")
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & set(report.operators)


# ---- data in all their spellings ---- #


@pytest.mark.parametrize("labelled", [True, False])
def test_datasets_are_arrays_in_pieces(trained, images, reports, tmp_path, labelled):
    whole = (images, np.zeros(len(images))) if labelled else images
    data = tf.data.Dataset.from_tensor_slices(whole).batch(64)
    report = tflite(trained, tmp_path / "model.tflite", quantize="int8", data=data)
    assert report.path.read_bytes() == reports["int8"].path.read_bytes()
    assert report.max_error == pytest.approx(reports["int8"].max_error, rel=1e-3)
    assert (report.agreement, report.samples) == (reports["int8"].agreement, 400)


def test_labels_beside_arrays_are_not_looked_at(trained, images, reports, tmp_path):
    report = tflite(trained, tmp_path / "model.tflite", quantize="int8", data=(images, np.zeros(len(images))))
    assert report.path.read_bytes() == reports["int8"].path.read_bytes() and report.samples == 400


def test_calibration_sees_its_samples_only_and_parity_sees_all(trained, images, tmp_path):
    """An outlier behind the calibration samples is cut off, and noticed."""
    assert len(images) > CALIBRATION_SAMPLES
    late = np.concatenate([images[:-1], 30 * images[-1:]])
    report = tflite(trained, tmp_path / "late.tflite", quantize="int8", data=late)
    assert report.max_error > 0.3 * np.abs(trained.predict(late, verbose=0)).max()


def multi(mode: str) -> keras.Model:
    left, right = keras.Input((6,), name="b_left"), keras.Input((3,), name="a_right")
    joined = layers.Concatenate()([layers.Dense(4)(left), right])
    outputs = {"z": layers.Dense(5, name="right")(joined), "y": layers.Dense(2, name="left")(joined)}
    inputs = {"tuple": (left, right), "list": [left, right], "dict": {"b_left": left, "a_right": right}}[mode]
    return keras.Model(inputs, outputs if mode == "dict" else list(outputs.values()))


@pytest.mark.parametrize("mode", ["tuple", "list", "dict"])
def test_several_inputs_and_outputs(mode, tmp_path):
    model = multi(mode)
    generator = np.random.default_rng(0)
    data = {"b_left": generator.normal(size=(9, 6)), "a_right": generator.normal(size=(9, 3))}
    report = tflite(model, tmp_path / "by_name.tflite", data=data)
    assert report.max_error < 1e-5 and report.samples == 9
    if mode == "tuple":
        again = tflite(model, tmp_path / "by_order.tflite", data=(data["b_left"], data["a_right"]))
        assert again.max_error == report.max_error


def test_several_inputs_in_int8(tmp_path):
    generator = np.random.default_rng(0)
    data = {"b_left": generator.normal(size=(99, 6)), "a_right": generator.normal(size=(99, 3))}
    report = tflite(multi("dict"), tmp_path / "model.tflite", quantize="int8", data=data)
    assert report.max_error < 0.2


@pytest.mark.thorough
def test_free_sides_from_data_or_size(images, tmp_path):
    model = residual_network(None)
    with pytest.raises(PruneError, match=r"image \(None, None, 1\).*Give size=32"):
        tflite(model, tmp_path / "model.tflite")
    assert tflite(model, tmp_path / "data.tflite", data=images[:5]).max_error < 1e-4
    assert tflite(model, tmp_path / "size.tflite", size=(12, 20)).max_error < 1e-4
    assert lite_outputs(tmp_path / "data.tflite", images[:1])[0].shape == (1, 10)
    assert lite_outputs(tmp_path / "size.tflite", np.zeros((1, 12, 20, 1), "f"))[0].shape == (1, 10)
    with pytest.raises(PruneError, match="size"):
        tflite(model, tmp_path / "three.tflite", size=(12, 20, 1))
    with pytest.raises(PruneError, match="Pad or crop"):
        tflite(model, tmp_path / "both.tflite", size=12, data=images)


@pytest.mark.thorough
def test_mixed_precision(images, tmp_path):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        nested = keras.Sequential([keras.Input((16, 16, 1)), layers.Conv2D(4, 3)])
        body = residual_network()
        image = keras.Input((16, 16, 1))
        model = keras.Model(image, [body(image), nested(image)])
    finally:
        keras.config.set_dtype_policy("float32")
    before = model.get_weights()
    report = tflite(model, tmp_path / "model.tflite", data=images[:20])
    assert 1e-6 < report.max_error < 2e-2  # the model's own float16 rounding
    assert "CAST" not in report.operators
    assert model.layers[1].layers[1].compute_dtype == "float16"
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_subclassed_model_needs_data(tmp_path):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs["left"]) + inputs["right"]

    model, data = Subclassed(), {"left": np.ones((7, 4), "f"), "right": np.ones((7, 3), "f")}
    with pytest.raises(PruneError, match="a built model"):
        tflite(model, tmp_path / "model.tflite", data=data)
    model(data)
    with pytest.raises(PruneError, match="subclassed.*Pass data="):
        tflite(model, tmp_path / "model.tflite")
    assert tflite(model, tmp_path / "model.tflite", data=data).max_error < 1e-5


# ---- nothing wrong is written, nothing right is lost ---- #


@pytest.mark.thorough
def test_lost_weights_are_noticed(trained, images, tmp_path, monkeypatch):
    """The file is converted from a model with other weights: as if the converter had lost them."""
    other = residual_network()
    monkeypatch.setattr("kerasprune.export.conversion.in_float32", lambda model: other)
    for quantize in (None, "float16", "int8"):
        with pytest.raises(PruneError, match="max_error"):
            tflite(trained, tmp_path / "model.tflite", quantize=quantize, data=images)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(trained, tmp_path, instant):
    path = tmp_path / "model.tflite"
    path.write_text("mine")
    with pytest.raises(PruneError, match="overwrite=True"):
        tflite(trained, path)
    assert path.read_text() == "mine"
    report = tflite(trained, path, overwrite=True)
    assert report.bytes == path.stat().st_size > 1000


@pytest.mark.parametrize("function", ["to_tflite", "compare", "_milliseconds"])
def test_a_failure_leaves_the_old_file(trained, tmp_path, monkeypatch, instant, function):
    path = tmp_path / "model.tflite"
    path.write_text("mine")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["kerasprune.export.tflite_export"], function, full)
    with pytest.raises(OSError, match="No space"):
        tflite(trained, path, overwrite=True)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_operations_without_a_counterpart_are_named(tmp_path):
    image = keras.Input((8,))
    model = keras.Model(image, keras.ops.erfinv(image))
    with pytest.raises(PruneError, match=r"tf\.\w+.*SavedModel"):
        tflite(model, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_the_converter_is_silent(tmp_path, capfd):
    model = keras.Sequential([keras.Input((60,)), layers.Dense(4)])
    tflite(model, tmp_path / "model.tflite", quantize="int8", data=np.eye(60))
    tflite(model, tmp_path / "other.tflite", data=np.eye(60))
    assert capfd.readouterr() == ("", "")


# ---- arguments ---- #


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantize": "int8"}, "Pass data="),
        ({"quantize": "int8", "io": "int16", "data": np.ones((4, 16, 16, 1))}, "io='int16', quantize='int8'"),
        ({"io": "int8"}, "Expected io to be 'float'"),
        ({"quantize": "float61"}, "Did you mean 'float16'"),
        ({"path": "model.lite"}, "model.tflite'"),
        ({"path": "absent/model.tflite"}, "Make the folder"),
        ({"size": 32}, "size=32"),
        ({"data": np.ones((4, 8, 8, 1))}, "Resize the data"),
        ({"data": np.ones((16, 16, 1))}, "batch them"),
        ({"data": np.ones((0, 16, 16, 1))}, "empty"),
        ({"data": np.full((4, 16, 16, 1), "a")}, "dtype"),
        (
            {"data": [((np.ones((4, 16, 16, 1)), np.ones((4, 3))), np.ones(4))]},
            "2 arrays. Give one array",
        ),
        ({"data": {"photo": np.ones((4, 16, 16, 1))}}, "image.*photo"),
        ({"data": iter([np.ones((4, 16, 16, 1))])}, "read several times"),
        ({"data": tf.data.Dataset.from_tensors(np.ones((4, 16, 16, 1))).repeat()}, "take"),
        ({"data": tf.data.Dataset.from_tensors(np.ones((16, 16, 1)))}, "batch them"),
    ],
)
def test_faults(tmp_path, arguments, message):
    arguments = {"path": "model.tflite", **arguments}
    path = tmp_path / arguments.pop("path")
    with pytest.raises(PruneError, match=message):
        tflite(residual_network(), path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_models_that_cannot_be_exported(tmp_path):
    for model, message in (
        ("model.keras", "keras.Model"),
        (keras.Sequential([layers.Dense(3)]), "a built model"),
        (keras.Sequential([keras.Input((3,), batch_size=4), layers.Dense(3)]), "batch size"),
    ):
        with pytest.raises(PruneError, match=message):
            tflite(model, tmp_path / "model.tflite")


def test_padded_tokens(tmp_path):
    i = keras.Input((3,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4, mask_zero=True)(i))  # 0 / 0 if all are padding
    model = keras.Model(i, layers.Dense(2)(x))
    assert tflite(model, tmp_path / "random.tflite").inputs == "random"
    tokens = np.random.default_rng(0).integers(1, 9, (60, 3))
    tflite(model, tmp_path / "a.tflite", quantize="int8", data=tokens)
    tokens[-1] = 0
    with pytest.raises(PruneError, match=r"LiteRT stops: .*padding"):
        tflite(model, tmp_path / "b.tflite", quantize="int8", data=tokens)


@pytest.mark.parametrize("units", [100, 200])
def test_a_dynamic_file_with_all_weights_in_float_is_said(units, tmp_path):
    """TFLite quantizes kernels of at least 1,024 numbers: not 10 × 100, but 10 × 200."""
    model = keras.Sequential([keras.Input((10,)), layers.Dense(units)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = tflite(model, tmp_path / "model.tflite", quantize="dynamic")
    told = [str(each.message) for each in caught if "No weight in model.tflite has 8 bits" in str(each.message)]
    assert bool(told) == (report.bytes > 4 * model.count_params()) == (units == 100)


@pytest.mark.parametrize(("integers", "warned"), [(30.0, True), (11.0, False)])
def test_integers_that_are_slower_than_floats_are_said(integers, warned, monkeypatch, tmp_path):
    images = np.random.default_rng(0).normal(size=(64, 6, 6, 2)).astype("float32")
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(4, 3)(inputs)))
    times = {"float.tflite": 10.0}
    milliseconds = lambda *paths: [times.get(path.name, integers) for path in paths]  # noqa: E731
    monkeypatch.setattr(tflite_export, "_milliseconds", milliseconds)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        tflite(model, tmp_path / "a.tflite", quantize="int8", data=images)
    words = "a.tflite takes 30 ms on this machine, 3.0 times as long as in float32: PReLU is slow in integers"
    assert any(words in str(each.message) for each in heard) == warned
