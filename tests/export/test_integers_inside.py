"""What a file with integer activations does inside: parts in float, and parts that no calibration sample reached."""

from __future__ import annotations

import re
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

pytest.importorskip("ai_edge_litert")
FLOAT = re.compile("compute in float, although")
X = np.random.default_rng(0).normal(size=(60, 6, 8)).astype("float32")


def model_of(layer, shape=(6, 8)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(4, name="out")(layer(layers.Dense(16, name="up")(inputs))))


def exported(model, path, **how):
    """Returns the report of an export, and the warnings of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = kp.export.tflite(model, path / "a.tflite", **{"quantize": "int8", "data": X, "overwrite": True} | how)
    return report, [str(each.message) for each in caught if issubclass(each.category, UserWarning)]


def floats_inside(path):
    """Returns the operators that make floats, by LiteRT's own account."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    types = {each["index"]: each["dtype"] for each in runner.get_tensor_details()}
    made = {
        each["op_name"] for each in runner._get_ops_details() if any(types[i] == np.float32 for i in each["outputs"])
    }
    return made - {"DEQUANTIZE"}


LAYERS = {
    "elu": lambda: layers.ELU(name="odd"),
    "relu": lambda: layers.ReLU(name="odd"),
    "layer": lambda: layers.LayerNormalization(name="odd"),
    "rms": lambda: layers.RMSNormalization(name="odd"),
    "group": lambda: layers.GroupNormalization(4, name="odd"),
    "unit": lambda: layers.UnitNormalization(name="odd"),
    "batch": lambda: layers.BatchNormalization(name="odd"),
    "selu": lambda: layers.Activation("selu", name="odd"),
    "gelu": lambda: layers.Activation("gelu", name="odd"),
    "mish": lambda: layers.Activation("mish", name="odd"),
    "softplus": lambda: layers.Activation("softplus", name="odd"),
    "celu": lambda: layers.Activation("celu", name="odd"),
    "lstm": lambda: layers.LSTM(4, return_sequences=True, name="odd"),
    "operation": lambda: lambda x: keras.ops.square(x) - keras.ops.elu(x),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ("elu", "relu") else pytest.mark.thorough) for n in LAYERS]
)
@pytest.mark.filterwarnings("ignore")
def test_what_stays_in_float_is_named(name, tmp_path):
    model = model_of(LAYERS[name]())
    report, told = exported(model, tmp_path, io="int8")
    inside = floats_inside(report.path)
    assert bool(inside) == bool(report.float_layers) == any(map(FLOAT.search, told))
    if inside and name != "operation":
        assert report.float_layers == ("odd",) and "in float: odd" in str(report)
        assert any("odd" in words for words in told if FLOAT.search(words))
    assert name not in ("elu", "layer", "rms", "group") or inside
    listed, told = exported(model, tmp_path)
    assert bool(floats_inside(listed.path)) == bool(listed.float_layers) and not any(map(FLOAT.search, told))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [layers.GRU, layers.LSTM])
def test_a_conversion_to_integers_repeats(kind, tmp_path):
    """TensorFlow's own leaves the split of the first time step in floats once in four times."""
    model = model_of(kind(8))
    found = [exported(model, tmp_path)[0].bytes for _ in range(6)]
    assert len(set(found)) == 1
    assert not floats_inside(tmp_path / "a.tflite")


@pytest.mark.filterwarnings("ignore")
def test_floats_of_other_formats_are_not_listed(tmp_path):
    for quantize in (None, "dynamic"):
        assert exported(model_of(layers.ELU()), tmp_path, quantize=quantize)[0].float_layers == ()


def padded(longest, count=80):
    """Returns sequences of up to some length, padded to 12 steps."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 12, 5)).astype("float32")
    x[np.arange(12)[None] >= random.integers(2, longest + 1, count)[:, None]] = 0
    return x


def recurrent(layer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 5))
    return keras.Model(inputs, layers.Dense(4)(layer(layers.Masking()(inputs))))


def never(layer):
    """Returns a layer that rectifies what is far below zero for small inputs."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layer(3, 3, activation="relu", bias_initializer=keras.initializers.Constant(-30.0), name="dead")(inputs)
    return keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


IMAGES = np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype("float32")
UNREACHED = {
    "convolution": (lambda: never(layers.Conv2D), IMAGES, 40 * IMAGES, "dead"),
    "bidirectional": (lambda: recurrent(layers.Bidirectional(layers.LSTM(4))), padded(9), padded(12), "backward_lstm"),
    "gru": (lambda: recurrent(layers.GRU(4)), padded(9), padded(12), "gru_cell"),
    "backwards": (lambda: recurrent(layers.LSTM(4, go_backwards=True)), padded(9), padded(12), "lstm_cell"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "convolution" else pytest.mark.thorough) for n in UNREACHED]
)
@pytest.mark.filterwarnings("ignore")
def test_calibration_that_does_not_reach_a_part_is_refused(name, tmp_path):
    make, short, long, part = UNREACHED[name]
    with pytest.raises(kp.PruneError, match=f"zeros to .*{part}.*full length.*dynamic"):
        exported(make(), tmp_path, data=short)
    assert not [*tmp_path.iterdir()]
    exported(make(), tmp_path, data=long, force=True)
    exported(make(), tmp_path, data=None, quantize="dynamic")


@pytest.mark.filterwarnings("ignore")
def test_calibration_that_does_not_reach_a_part_that_runs_is_told(tmp_path):
    inputs = keras.Input((6, 8))
    model = keras.Model(inputs, layers.Dense(4)(layers.ReLU(name="below")(inputs)))
    told = exported(model, tmp_path, data=-abs(X))[1]
    assert any("No calibration sample reaches" in words and "below" in words for words in told), told
    assert not any("No calibration sample" in words for words in exported(model, tmp_path)[1])
