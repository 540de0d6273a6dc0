"""int8 with some layers in float: which ones, how near to the model, and whether they are."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
from keras import layers
from support.digits import digits

import kerasprune as kp
from kerasprune.errors import PruneError
from kerasprune.export import tflite


def hard_network() -> keras.Model:
    """A network with a channel a hundred times as large as its neighbours, which the layer behind it takes back."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((16, 16, 1), name="image")
    for name in ("first", "hard", "reader", "last"):
        x = layers.Conv2D(8, 3, 2 if name == "last" else 1, padding="same", use_bias=False, name=name)(x)
        x = layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
    model = keras.Model(image, layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x)))
    factor = np.where(np.arange(8) == 3, 100.0, 1.0)
    model.get_layer("hard_bn").gamma.assign(factor)
    model.get_layer("reader").kernel.assign(model.get_layer("reader").kernel / factor[:, None])
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return hard_network()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return digits()[0][:64]


@pytest.fixture(scope="module")
def reports(model, images, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("mixed")
    return {name: tflite(model, folder / f"{name}.tflite", quantize=name, data=images) for name in ("int8", "mixed")}


def details(path) -> dict[str, np.dtype]:
    """Returns the type of every tensor of a file, by name."""
    from ai_edge_litert.interpreter import Interpreter

    return {each["name"]: np.dtype(each["dtype"]) for each in Interpreter(str(path)).get_tensor_details()}


def error(path, model, images) -> float:
    """Σ (file − model)² ÷ Σ (model − mean)², tensor by tensor, by LiteRT's plain interface."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter, made = Interpreter(str(path)), []
    interpreter.allocate_tensors()
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        made.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    wanted = model.predict(images, verbose=0)
    return ((made - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()


@pytest.mark.thorough
def test_the_hard_layer_and_its_reader_stay_float(reports, model, images):
    assert set(reports["mixed"].float_layers[:2]) == {"hard", "reader"}
    assert set(reports["mixed"].float_layers[2:]) <= {"logits"}  # the worst column of the outputs decides
    assert "in float: " in str(reports["mixed"])
    whole, mixed = (error(reports[name].path, model, images) for name in ("int8", "mixed"))
    assert mixed < 0.5 * whole
    types = details(reports["mixed"].path)
    found = {layer: {t.name for name, t in types.items() if f"{layer}_relu" in name} for layer in ("hard", "reader")}
    assert all("float32" in each for each in found.values())
    assert {t.name for name, t in types.items() if "first_relu" in name or "last_relu" in name} >= {"int8"}
    assert reports["int8"].bytes < reports["mixed"].bytes


@pytest.mark.thorough
def test_named_layers_stay_float_and_no_others(model, images, tmp_path):
    """A rectifier stands for the convolution that takes it in."""
    report = tflite(model, tmp_path / "a.tflite", quantize="mixed", data=images, float_layers=["last", "first_relu"])
    assert report.float_layers == ("last", "first_relu")
    kernels = [t.name for t in details(report.path).values() if t.name in ("int8", "float32")]
    assert kernels.count("int8") > 4
    assert tflite(model, tmp_path / "b.tflite", quantize="mixed", data=images, float_layers=[]).float_layers == ()


@pytest.mark.experiments
@pytest.mark.whole
def test_one_layer_in_int8_is_what_numpy_computes():
    """A dense layer alone: its input, its kernel by output channel, and its output are rounded."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 6)).astype("float32")
    inputs = keras.Input((6,))
    keras.utils.set_random_seed(0)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.Dense(5, "relu", name="hidden")(inputs)))
    (kernel, _), (last, _) = (layer.get_weights() for layer in model.layers[1:])

    def rounded(values):
        low, high = min(values.min(), 0), max(values.max(), 0)
        step = (high - low) / 255
        zero = np.round(-low / step)
        return (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step

    scale = np.abs(kernel).max(0) / 127
    made = rounded(np.maximum(rounded(x) @ (np.round(kernel / scale) * scale), 0)) @ last
    wanted = np.maximum(x @ kernel, 0) @ last
    expected = ((made - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()
    found = kp.analysis.precision_sensitivity(model, x, samples=200)
    assert sorted(found.values(), reverse=True) == list(found.values())
    assert found["hidden"] == pytest.approx(expected, rel=0.1)


@pytest.mark.experiments
@pytest.mark.parametrize("nest", [list, dict, keras.Model])
def test_layers_that_make_outputs_are_told_apart(nest):
    """By their numbers, by the keys of a dict, and in a nested model."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = layers.Dense(5, "relu", name="hidden")(inputs)
    ends = [layers.Dense(3, name=name)(x) for name in ("end", "end_1")]
    model = keras.Model(inputs, {"a": ends[0], "b": ends[1]} if nest is dict else ends)
    if nest is keras.Model:
        model = keras.Model(inputs, model(inputs))
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    assert set(kp.analysis.precision_sensitivity(model, x, samples=8)) == {"hidden", "end", "end_1"}


@pytest.mark.experiments
@pytest.mark.parametrize("end", [lambda x: x * 80.0, lambda x: x + keras.ops.tanh(x), lambda x: x[:, :2]])
def test_an_operation_that_makes_an_output_goes_with_the_layer_before_it(end):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, end(layers.Dense(3, name="end")(layers.Dense(5, "relu", name="hidden")(inputs))))
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    assert set(kp.analysis.precision_sensitivity(model, x, samples=8)) == {"hidden", "end"}


@pytest.mark.experiments
def test_layers_are_known_by_name_if_the_last_of_them_makes_an_output(tmp_path):
    """The file names the operator of all three by itself, as an output."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    for layer in (layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn"), layers.ReLU(name="relu")):
        x = layer(x)
    model = keras.Model(inputs, [x, layers.Dense(2, "softmax", name="end")(layers.Flatten(name="flat")(x))])
    images = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    report = tflite(model, tmp_path / "a.tflite", quantize="mixed", data=images, float_layers=["conv"])
    assert report.float_layers == ("conv",)
    assert set(kp.analysis.precision_sensitivity(model, images, samples=8)) <= {"conv", "flat", "end"}


@pytest.mark.thorough
def test_max_bytes_ends_the_list(reports, model, images, tmp_path):
    most = reports["mixed"].bytes - 1
    report = tflite(model, tmp_path / "a.tflite", quantize="mixed", data=images, max_bytes=most)
    assert report.bytes <= most
    assert report.float_layers == reports["mixed"].float_layers[:-1]
    with pytest.raises(PruneError, match="max_bytes=100"):
        tflite(model, tmp_path / "b.tflite", quantize="mixed", data=images, max_bytes=100)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"float_layers": ["frist"]}, "Received: float_layers='frist'. Did you mean 'first'?"),
        ({"float_layers": "first"}, r"Write ['first']"),
        ({"float_layers": ["first"], "max_bytes": 9}, "Expected either float_layers or max_bytes"),
        ({"float_layers": ["first"], "quantize": "int8"}, "quantize='mixed' with it"),
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"data": None}, "mixed needs inputs"),
        ({"io": "int8"}, "io='int8', quantize='mixed'"),
    ],
)
def test_refused_before_converting(model, images, tmp_path, monkeypatch, options, words):
    monkeypatch.setattr(sys.modules["kerasprune.export.mixed_precision"], "to_tflite", None)
    with pytest.raises(PruneError) as refused:
        tflite(model, tmp_path / "a.tflite", **({"quantize": "mixed", "data": images} | options))
    assert words in str(refused.value)


def two_networks(second: str) -> keras.Model:
    """An ensemble of two networks, the layers of the second with the names of the first and `second`."""
    keras.utils.set_random_seed(0)
    parts = []
    for name, mark in (("a", ""), ("b", second)):
        own = layers.Dense(5, "relu", name=f"hidden{mark}"), layers.Dense(3, name=f"d{mark}")
        parts.append(keras.Sequential([keras.Input((6,)), *own], name=name))
    inputs = keras.Input((6,))
    return keras.Model(inputs, [layers.Average(name="d")([part(inputs) for part in parts]), parts[1](inputs)])


@pytest.mark.experiments
def test_layers_of_one_name_are_numbered():
    """Those of an ensemble of loaded networks, each with the error that it has under a name of its own."""
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    found, expected = (kp.analysis.precision_sensitivity(two_networks(mark), x, samples=8) for mark in ("", "_b"))
    names = {"hidden": "hidden#1", "hidden_b": "hidden#2"}
    assert {name: found[numbered] for name, numbered in names.items()} == {name: expected[name] for name in names}
    assert len(found) == len(expected)


@pytest.mark.parametrize(("name", "others"), [("hidden#2", ["hidden_b"]), ("hidden", ["hidden", "hidden_b"])])
def test_a_name_stands_for_all_layers_that_have_it(tmp_path, name, others):
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    numbers = []
    for mark, kept in (("", [name]), ("_b", others)):
        report = tflite(two_networks(mark), tmp_path / f"a{mark}.tflite", quantize="mixed", data=x, float_layers=kept)
        assert report.float_layers == tuple(kept)
        numbers.append(sum(kind == np.float32 for kind in details(report.path).values()))
    assert numbers[0] == numbers[1] > 0


@pytest.mark.experiments
def test_layers_inside_composite_ones_may_have_one_name():
    class Pair(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.up, self.down = layers.Dense(7, activation="relu", name="up"), layers.Dense(4, name="down")

        def call(self, x):
            return self.down(self.up(x))

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="end")(Pair(name="two")(Pair(name="one")(inputs))))
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    assert set(kp.analysis.precision_sensitivity(model, x, samples=8)) == {"one", "two", "end"}
