"""What recipes and the command line call the formats, and what they ask of the export."""

from pathlib import Path

import pytest

from kerasprune import export
from kerasprune.export.formats import FORMATS


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
    FORMATS[name].write(None, Path("a.tflite"), data="data", size=None, overwrite=True)
    assert asked == [{"quantize": quantize, "io": io, "data": "data", "size": None, "overwrite": True}]
    assert (FORMATS[name].suffix, FORMATS[name].calibrates) == (".tflite", calibrates)
