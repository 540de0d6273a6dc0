"""Exports a model for use without Keras, and measures what was written.

TensorFlow's converter and LiteRT are imported when a function is called, not with the package.
"""

from kerasprune.export.litert import operators
from kerasprune.export.report import ExportReport
from kerasprune.export.saved_model_export import saved_model
from kerasprune.export.tflite_export import tflite

__all__ = ["ExportReport", "operators", "saved_model", "tflite"]
