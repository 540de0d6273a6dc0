"""From a SavedModel folder to the bytes of a `.tflite` file: all that a converter needs, and nothing of Keras.

This runs in the process of the caller, or in a child of it (`converter_process`), which knows none of the caller's
classes: the SavedModel is the whole message.

Only builtin operators are allowed: a file that needs the Flex delegate does not run in LiteRT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION_FILE = "calibration.npz"


@dataclass(frozen=True)
class Quantization:
    """How the numbers of a `.tflite` file are stored and computed.

    Args:
        storage: What tells the converter: `"float32"`, `"float16"` (weights), `"dynamic"` (weights in int8, arithmetic
            chosen at run time), `"int8"` or `"int16x8"` (weights in int8, activations in int8 or int16).
        integers: The type that inputs and outputs may have beside float, where activations are integers.
    """

    storage: str
    integers: str | None = None

    @property
    def calibrated(self) -> bool:
        """Whether the ranges of activations are fixed, from samples."""
        return self.integers is not None


QUANTIZATIONS = {
    None: Quantization("float32"),
    "float16": Quantization("float16"),
    "dynamic": Quantization("dynamic"),
    "int8": Quantization("int8", "int8"),
    "int16x8": Quantization("int16x8", "int16"),
}


def converted(folder: Path, quantize: str | None, io: str) -> bytes:
    """Returns the bytes of a `.tflite` file.

    Args:
        folder: A SavedModel of one signature; beside it, where the quantization is calibrated, the samples.
        quantize: A key of `QUANTIZATIONS`.
        io: `"float"`, or the integers of the quantization, as inputs and outputs of the file.
    """
    import tensorflow as tf

    quantization = QUANTIZATIONS[quantize]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS]
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
    if quantize == "int16x8":
        converter.target_spec.supported_ops = [sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    if quantization.calibrated:
        converter.representative_dataset = lambda: _singles(folder / CALIBRATION_FILE)
    if io != "float":
        converter.inference_input_type = converter.inference_output_type = getattr(tf, io)
    return converter.convert()


def _singles(path: Path) -> Iterator[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        samples = {name: arrays[name] for name in arrays.files}
    count = len(next(iter(samples.values())))
    for i in range(count):
        yield {name: array[i : i + 1] for name, array in samples.items()}
