"""The export formats of this room that recipes, the command line and `kp.export.beside` know by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Format:
    """One export format.

    Args:
        suffix: End of the file name; empty for a folder.
        write: `(model, path, *, data, size, overwrite) -> ExportReport`.
        precision: As `kp.latency.profile` calls it, or `None` if LiteRT does not run it.
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


SAVED_MODEL = Format("", _saved_model)
TFLITE = Format(".tflite", _tflite(None), "float32")
TFLITE_DYNAMIC = Format(".tflite", _tflite("dynamic"), "dynamic")
TFLITE_FLOAT16 = Format(".tflite", _tflite("float16"), "float16")
TFLITE_INT16X8 = Format(".tflite", _tflite("int16x8"), "int16x8", calibrates=True)
TFLITE_INT4 = Format(".tflite", _tflite("int4"), "int4")
TFLITE_INT8 = Format(".tflite", _tflite("int8"), "int8", calibrates=True)
TFLITE_INT8_IO = Format(".tflite", _tflite("int8", io="int8"), "int8", calibrates=True)
TFLITE_MIXED = Format(".tflite", _tflite("mixed"), "int8", calibrates=True)
