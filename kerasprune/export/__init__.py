"""Exported files for use without Keras. TensorFlow's converter and LiteRT are imported when a function is called."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(
    {
        "ExportReport": "kerasprune.export.report:ExportReport",
        "operators": "kerasprune.export.tflite_interpreter:operators",
        "saved_model": "kerasprune.export.saved_model_export:saved_model",
        "tflite": "kerasprune.export.tflite_export:tflite",
    }
)
