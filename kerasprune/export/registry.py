"""The registry of formats of exported files."""

from __future__ import annotations

from kerasprune.registry import Registry

# Each is a `kerasprune.export.formats.Format`.
formats = Registry(
    "format of export",
    {
        "kpz": "kerasprune.export.codec.kpz_format:KPZ",
        "saved_model": "kerasprune.export.formats:SAVED_MODEL",
        "tflite": "kerasprune.export.formats:TFLITE",
        "tflite-dynamic": "kerasprune.export.formats:TFLITE_DYNAMIC",
        "tflite-float16": "kerasprune.export.formats:TFLITE_FLOAT16",
        "tflite-int16x8": "kerasprune.export.formats:TFLITE_INT16X8",
        "tflite-int4": "kerasprune.export.formats:TFLITE_INT4",
        "tflite-int8": "kerasprune.export.formats:TFLITE_INT8",
        "tflite-int8-io": "kerasprune.export.formats:TFLITE_INT8_IO",
        "tflite-mixed": "kerasprune.export.formats:TFLITE_MIXED",
    },
)
