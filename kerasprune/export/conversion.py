"""From a Keras model to the bytes of a `.tflite` file.

Three decisions, each measured on a ResNet-20:

- The batch axis is fixed at 1. A free one leaves `SHAPE`, `STRIDED_SLICE` and `PACK` in front of every
  reshape (squeeze-and-excitation gates, Flatten), which no delegate takes and which cut the graph in pieces;
  a device looks at one image at a time anyway.
- The way is a minimal SavedModel that *tracks the weights*: a concrete function handed over without its
  variables converts without complaint into a file without weights. It takes half the time of `model.export`.
- Only builtin operators are allowed: a file that needs the Flex delegate does not run in LiteRT.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kerasprune.errors import PruneError
from kerasprune.export.precision import in_float32
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.samples import Samples
from kerasprune.export.signature import Signature, output_names

CALIBRATION_SAMPLES = 256  # enough for stable ranges; more only widens them by outliers

Converter = Any  # tf.lite.TFLiteConverter; TensorFlow is imported where it is used


def float32(converter: Converter, calibration: Callable[[], Iterator[dict]]) -> None:
    """Weights and arithmetic in float32: the converter's own choice."""


def float16(converter: Converter, calibration: Callable[[], Iterator[dict]]) -> None:
    """Weights stored in float16, half the bytes; arithmetic in float32, or as the device prefers."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def int8(converter: Converter, calibration: Callable[[], Iterator[dict]]) -> None:
    """Weights and activations in int8, scaled by the ranges seen on calibration; float inputs and outputs."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = calibration


QUANTIZATIONS = {None: float32, "float16": float16, "int8": int8}


def to_tflite(model: keras.Model, signature: Signature, quantize: str | None, samples: Samples) -> bytes:
    """Returns the bytes of a `.tflite` file with a batch axis of 1.

    Args:
        model: A built model, in any precision.
        signature: Its inputs, without free sides.
        quantize: A key of `QUANTIZATIONS`.
        samples: What int8 is calibrated on.

    Raises:
        PruneError: The backend is not TensorFlow, or the converter fails.
    """
    if keras.backend.backend() != "tensorflow":
        raise PruneError(
            "TFLite files are written under the TensorFlow backend. "
            f"Received: backend={keras.backend.backend()!r}. "
            "Save the model as .keras, and export it in a process with KERAS_BACKEND=tensorflow."
        )

    def calibration() -> Iterator[dict[str, np.ndarray]]:
        for single in samples.singles(CALIBRATION_SAMPLES):
            yield dict(zip(signature.names, single, strict=True))

    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet():
                _save(in_float32(model), signature, folder)
                return _convert(folder, QUANTIZATIONS[quantize], calibration)
        except PruneError:
            raise
        except Exception as error:  # the converter raises its own, private family
            raise PruneError(_explain(model.name, quantize, str(error))) from error


def _save(model: keras.Model, signature: Signature, folder: str) -> None:
    """Writes the forward pass at batch 1, with the weights, as a SavedModel of one signature."""
    import tensorflow as tf

    def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = keras.tree.flatten(model(signature.pack(tensors), training=False))
        return dict(zip(output_names(model, len(outputs)), outputs, strict=True))

    specs = [
        tf.TensorSpec((1, *spec.shape), spec.dtype, name=name)
        for spec, name in zip(signature.inputs, signature.names, strict=True)
    ]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=specs)
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, folder, signatures=module.serve)


def _convert(folder: str, configure: Callable, calibration: Callable) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    configure(converter, calibration)
    return converter.convert()


def _explain(name: str, quantize: str | None, message: str) -> str:
    """Words a converter error: the operations without a TFLite counterpart, or else its last line."""
    operations = sorted(set(re.findall(r"'(tf\.\w+)' op", message)))
    if operations:
        cause = f"There is no TFLite operator for {', '.join(operations)}"
        remedy = "Replace the layers that use them, or export a SavedModel."
    else:
        cause = f"The converter says: {(message.strip().splitlines() or ['nothing'])[-1][:300]}"
        remedy = "Try quantize='float16', or export a SavedModel." if quantize == "int8" else "Export a SavedModel."
    return f"The model {name!r} was not converted to TFLite. {cause}. Received: quantize={quantize!r}. {remedy}"
