"""What recipes and the command line call the formats, and what they ask of the export."""

from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune import PruneError, export
from kerasprune.export.registry import formats


@pytest.mark.parametrize(
    ("name", "quantize", "io", "calibrates"),
    [
        ("tflite", None, "float", False),
        ("tflite-float16", "float16", "float", False),
        ("tflite-dynamic", "dynamic", "float", False),
        ("tflite-int4", "int4", "float", False),
        ("tflite-int8", "int8", "float", True),
        ("tflite-int8-io", "int8", "int8", True),
        ("tflite-mixed", "mixed", "float", True),
        ("tflite-int16x8", "int16x8", "float", True),
    ],
)
def test_a_format_is_a_quantization(name, quantize, io, calibrates, monkeypatch):
    asked = []
    monkeypatch.setattr(export, "tflite", lambda model, path, **options: asked.append(options), raising=False)
    formats.member(name).write(None, Path("a.tflite"), data="data", size=None, overwrite=True)
    assert asked == [{"quantize": quantize, "io": io, "data": "data", "size": None, "overwrite": True}]
    assert (formats.member(name).suffix, formats.member(name).calibrates) == (".tflite", calibrates)


def test_a_packed_file_loses_nothing_and_is_judged_as_other_files_are(tmp_path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dense(3, "softmax")])
    found = kp.export.beside(
        model,
        model,
        tmp_path / "model.kpz",
        format="kpz",
        data=np.random.default_rng(0).random((50, 8)).astype("float32"),
    )
    assert found.slim.max_error == found.error[1] == 0 and found.agreement == found.balanced == (1, 1)
    assert found.slim.latency_ms is None and found.slim.bytes == (tmp_path / "model.kpz").stat().st_size
    with pytest.raises(PruneError, match="ends in .kpz"):
        kp.export.beside(model, model, tmp_path / "model.keras", format="kpz")
