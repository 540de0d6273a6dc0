"""The export formats that recipes, the command line and `kp.export.beside` know by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasprune.errors import choice_faults, raise_faults

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Format:
    """One export format.

    Args:
        suffix: End of the file name; empty for a folder.
        write: `(model, path, *, data, size, overwrite) -> ExportReport`.
        precision: As `kp.latency.profile` calls it, or `None` of a SavedModel, which LiteRT does not run.
        calibrates: Whether it needs images to calibrate with.
    """

    suffix: str
    write: Callable[..., Any]
    precision: str | None = None
    calibrates: bool = False


def _saved_model(model: keras.Model, path: Path, *, data: Any, size: int | None, overwrite: bool) -> Any:
    from kerasprune import export

    del size  # a SavedModel leaves free sides free
    return export.saved_model(model, path, data=data, overwrite=overwrite)


def _tflite(quantize: str | None, io: str = "float") -> Callable[..., Any]:
    def write(model: keras.Model, path: Path, **options: Any) -> Any:
        from kerasprune import export

        return export.tflite(model, path, quantize=quantize, io=io, **options)

    return write


FORMATS = {
    "saved_model": Format("", _saved_model),
    "tflite": Format(".tflite", _tflite(None), "float32"),
    "tflite-float16": Format(".tflite", _tflite("float16"), "float16"),
    "tflite-dynamic": Format(".tflite", _tflite("dynamic"), "dynamic"),
    "tflite-int4": Format(".tflite", _tflite("int4"), "int4"),
    "tflite-int8": Format(".tflite", _tflite("int8"), "int8", calibrates=True),
    "tflite-int8-io": Format(".tflite", _tflite("int8", io="int8"), "int8", calibrates=True),
    "tflite-mixed": Format(".tflite", _tflite("mixed"), "int8", calibrates=True),
    "tflite-int16x8": Format(".tflite", _tflite("int16x8"), "int16x8", calibrates=True),
}


def find(name: str) -> Format:
    """Returns a format by name."""
    raise_faults("Unknown format of export:", choice_faults([*FORMATS], format=name))
    return FORMATS[name]
