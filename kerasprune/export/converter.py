"""From a SavedModel folder to the bytes of a `.tflite` file: independent of Keras.

This runs in the process of the caller, or in a child of it (`converter_process`), which knows none of the caller's
classes: the SavedModel is the whole message.

Only builtin operators are allowed: a file that needs the Flex delegate does not run in LiteRT.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.export.tflite_graph import TfliteFile, nodes_of

CALIBRATION_FILE = "calibration.npz"
RANGES_FILE, FLOAT_FILE = "ranges.tflite", "in_float.json"
"""A file with the ranges of a model, and the operators that stay float; both are needed for one in mixed precision."""
_TRIES = 5  # of a conversion that chance decides


@dataclass(frozen=True)
class Quantization:
    """How the numbers of a `.tflite` file are stored and computed.

    Args:
        integers: The types that inputs and outputs may have other than float, that of the activations first; none if
            these are floats.
        operators: The set of operators that the file may use, as TensorFlow calls it.
        needs: The modules beside TensorFlow that convert.
    """

    integers: tuple[str, ...] = ()
    operators: str = "TFLITE_BUILTINS"
    needs: tuple[str, ...] = ()

    @property
    def calibrated(self) -> bool:
        """Whether the ranges of activations are computed from samples."""
        return self.operators != Quantization.operators


QUANTIZATIONS = {
    None: Quantization(),
    "float16": Quantization(),
    "dynamic": Quantization(),
    "int4": Quantization(needs=("litert_quantizer",)),
    "int8": Quantization(("int8", "uint8"), "TFLITE_BUILTINS_INT8"),
    "mixed": Quantization(operators="TFLITE_BUILTINS_INT8"),
    "int16x8": Quantization(("int16",), "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"),
}
"""float32; weights in float16; in int8 or int4, computed as a runtime does; activations in int8, or some, or int16."""


def convert_saved_model(folder: Path, quantize: str | None, io: str) -> bytes:
    """Returns the bytes of a `.tflite` file; of `"mixed"` the ranges alone, until they and `FLOAT_FILE` are there.

    Args:
        folder: A SavedModel, all of whose signatures become subgraphs; with the samples, if the quantization is
            calibrated and its ranges are not in the SavedModel. Or ranges, and the operators that stay float.
        quantize: A key of `QUANTIZATIONS`.
        io: `"float"`, or the integers of the quantization, as inputs and outputs of the file.
    """
    if (folder / FLOAT_FILE).exists():
        from tensorflow.lite.python.convert import mlir_quantize

        in_float = json.loads((folder / FLOAT_FILE).read_text())
        return _smallest(partial(mlir_quantize, (folder / RANGES_FILE).read_bytes(), denylisted_nodes=in_float))
    convert = partial(_converted, folder, quantize, io)
    if quantize == "int4":
        return _in_int4(convert())
    return _smallest(convert) if QUANTIZATIONS[quantize].integers else convert()


def _smallest(convert: Callable[[], bytes]) -> bytes:
    """Returns the file of a conversion to integers, the smallest of some if chance left a split in floats.

    TensorFlow's quantizer takes operators in the order of their addresses; where an output of a split is not read, as
    in the first step of a recurrent layer, that decides whether it computes in integers.
    """
    made = convert()
    for _ in range(_TRIES):
        if not any(node.is_float and node.name.startswith("SPLIT") for node in nodes_of(TfliteFile.of(made))):
            break
        made = min(made, convert(), key=len)
    return made


def _converted(folder: Path, quantize: str | None, io: str) -> bytes:
    import tensorflow as tf

    quantization = QUANTIZATIONS[quantize]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    calibrated = (folder / CALIBRATION_FILE).exists()
    # TensorFlow takes the sets of integers alone with samples only; a graph with ranges has integers without that.
    operators = quantization.operators if calibrated else Quantization.operators
    converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, operators)]
    if quantize not in (None, "int4"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if calibrated:
        converter.representative_dataset = lambda: _singles(folder / CALIBRATION_FILE)
        converter._experimental_calibrate_only = quantize == "mixed"
    if io != "float":
        converter.inference_input_type = converter.inference_output_type = getattr(tf, io)
    return converter.convert()


def _in_int4(content: bytes) -> bytes:
    """Returns a float file with kernels in 4 bits, a scale for each output channel; depthwise ones stay float."""
    from litert_quantizer import quantizer, recipe

    made = quantizer.Quantizer(bytearray(content), recipe.dynamic_wi4_afp32()).quantize(enable_progress_report=False)
    return bytes(made.quantized_model)


def _singles(path: Path) -> Iterator[Any]:
    """Yields `{input: sample}`, or `(signature, {input: sample})` if there are several."""
    with np.load(path, allow_pickle=False) as arrays:
        samples: dict[str, dict[str, Any]] = {}
        for name in arrays.files:
            signature, _, inside = name.rpartition("/")
            samples.setdefault(signature, {})[inside] = arrays[name]
    for signature, inputs in samples.items():
        for i in range(len(next(iter(inputs.values())))):
            single = {name: array[i : i + 1] for name, array in inputs.items()}
            yield (signature, single) if signature else single
