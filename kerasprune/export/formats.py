"""The export formats of this room that recipes, the command line and `kp.export.beside` know by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from kerasprune.export.parity import Function


@dataclass(frozen=True)
class Format:
    """One export format.

    Args:
        suffix: End of the file name; empty for a folder.
        write: `(model, path, *, data, size, overwrite) -> ExportReport`.
        open: `(path, model)` to the written file as a function from flat inputs to flat outputs.
        precision: As `kp.latency.profile` calls it, or `None` if LiteRT does not run it.
        calibrates: Whether it needs images to calibrate with.
        needs: The modules that write the file and open it.
    """

    suffix: str
    write: Callable[..., Any]
    open: Callable[[Path, keras.Model], Function]
    precision: str | None = None
    calibrates: bool = False
    needs: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether the modules that it needs are installed; none is imported."""
        return all(map(find_spec, self.needs))


def _saved_model(model: keras.Model, path: Path, **options: Any) -> Any:
    from kerasprune import export

    return export.saved_model(model, path, **options)


def _served(path: Path, model: keras.Model) -> Function:
    from kerasprune.data.signature import signature_of
    from kerasprune.export.parity import served_function

    return served_function(path, signature_of(model))


def _interpreted(path: Path, model: keras.Model) -> Function:
    from kerasprune.data.signature import signature_of
    from kerasprune.export.parity import interpreted_function

    return interpreted_function(path, model, signature_of(model))


def _tflite(quantize: str | None, io: str = "float") -> Callable[..., Any]:
    def write(model: keras.Model, path: Path, **options: Any) -> Any:
        from kerasprune import export

        return export.tflite(model, path, quantize=quantize, io=io, **options)

    return write


_TENSORFLOW, _LITERT = ("tensorflow",), ("ai_edge_litert", "tensorflow")
SAVED_MODEL = Format("", _saved_model, _served, needs=_TENSORFLOW)
TFLITE = Format(".tflite", _tflite(None), _interpreted, "float32", needs=_LITERT)
TFLITE_DYNAMIC = Format(".tflite", _tflite("dynamic"), _interpreted, "dynamic", needs=_LITERT)
TFLITE_FLOAT16 = Format(".tflite", _tflite("float16"), _interpreted, "float16", needs=_LITERT)
TFLITE_INT16X8 = Format(".tflite", _tflite("int16x8"), _interpreted, "int16x8", calibrates=True, needs=_LITERT)
TFLITE_INT4 = Format(".tflite", _tflite("int4"), _interpreted, "int4", needs=("litert_quantizer", *_LITERT))
TFLITE_INT8 = Format(".tflite", _tflite("int8"), _interpreted, "int8", calibrates=True, needs=_LITERT)
TFLITE_INT8_IO = Format(".tflite", _tflite("int8", io="int8"), _interpreted, "int8", calibrates=True, needs=_LITERT)
TFLITE_MIXED = Format(".tflite", _tflite("mixed"), _interpreted, "int8", calibrates=True, needs=_LITERT)
