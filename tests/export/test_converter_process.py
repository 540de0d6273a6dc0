"""The converter may die; Python lives, and says of what."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import layers

from kerasprune.errors import PruneError
from kerasprune.export import conversion, forward_pass, tflite
from kerasprune.export.converter_process import ConverterDeath, ConverterProcess, ConverterRefusal


@pytest.fixture
def process():
    found = ConverterProcess("support.dying_child")
    yield found
    found.stop()


def network(*body: layers.Layer, steps: int = 3) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((steps, 3)), *body, layers.Dense(5)])


def sequences(count: int = 60, steps: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, steps, 3)).astype("float32")


# ---- the child ---- #


@pytest.mark.parametrize(("quantize", "cause"), [("int8", "SIGABRT"), ("int16x8", "lack of memory")])
def test_a_death_is_worded_and_the_next_child_works(process, tmp_path, quantize, cause):
    assert process.convert(tmp_path, None, "float") == b"tflite"
    with pytest.raises(ConverterDeath, match=cause) as death:
        process.convert(tmp_path, quantize, "float")
    assert f"last words on {quantize}" in death.value.log
    assert "None" not in death.value.log  # what it said of the conversion before
    assert process.convert(tmp_path, None, "float") == b"tflite"


def test_one_child_serves_all_and_refuses_without_dying(process, tmp_path):
    process.start()
    first = process._child.pid
    for _ in range(2):
        with pytest.raises(ConverterRefusal, match="no"):
            process.convert(tmp_path, "float16", "float")
    assert process._child.pid == first
    process.stop()
    process.stop()


def test_a_child_that_had_just_gone_is_asked_again(process, tmp_path):
    assert process.convert(tmp_path, "dynamic", "float") == b"tflite"


def test_a_child_that_does_not_start():
    with pytest.raises(ConverterDeath, match="code 1") as death:
        ConverterProcess("kerasprune.export.no_such_module").convert("folder", None, "float")
    assert "no_such_module" in death.value.log


# ---- what the user sees ---- #


def test_a_death_is_a_prune_error_and_leaves_the_old_file(process, tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")  # to compare the conversion in float, which comes first
    monkeypatch.setattr(conversion, "process", process)
    path = tmp_path / "model.tflite"
    path.write_text("mine")
    with pytest.raises(PruneError, match=r"(?s)SIGABRT.*quantize='dynamic'.*\n.*last words on int8") as error:
        tflite(network(layers.Flatten()), path, quantize="int8", data=sequences(), overwrite=True)
    assert "TensorFlow's log" not in str(error.value)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.thorough
def test_recurrent_layers_in_int8(tmp_path, monkeypatch):
    """With their loop they kill the converter; unrolled they convert, and the model keeps its loop."""
    monkeypatch.setattr(sys.modules["kerasprune.export.tflite_export"], "GRAPH_BYTES", 0)
    for layer in (layers.LSTM(4), layers.GRU(4), layers.Bidirectional(layers.LSTM(3))):
        model, data = network(layer), sequences()
        with pytest.warns(UserWarning, match="every time step is in it"):
            report = tflite(model, tmp_path / f"{layer.name}.tflite", quantize="int8", data=data)
        assert report.max_error < 0.1 * np.abs(model.predict(data, verbose=0)).max()
        assert "WHILE" not in report.operators
        assert not any(getattr(each, "unroll", False) for each in model._flatten_layers())
    assert "WHILE" in tflite(model, tmp_path / "loop.tflite", quantize="dynamic").operators


@pytest.mark.thorough
def test_a_loop_that_is_left_kills_the_child_only(tmp_path, monkeypatch):
    monkeypatch.setattr(forward_pass, "unrolled", nullcontext)
    with pytest.raises(PruneError, match=r"SIGSEGV.*quantize='int8'.*'dynamic'"):
        tflite(network(layers.GRU(4)), tmp_path / "model.tflite", quantize="int8", data=sequences())
    assert list(tmp_path.iterdir()) == []
