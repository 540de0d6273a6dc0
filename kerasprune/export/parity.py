"""The distance of an exported model from the Keras model, output by output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from kerasprune._keras import call_operation
from kerasprune.backend.precision import full_precision
from kerasprune.data.batches import FlatInputs
from kerasprune.data.refusals import check_found
from kerasprune.data.signature import Signature
from kerasprune.errors import PruneError
from kerasprune.export.conversion import output_names
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.samples import Samples
from kerasprune.export.tflite_interpreter import open_interpreter, single_runner
from kerasprune.surgery.compute_dtype import rounding

Function = Callable[[FlatInputs], Sequence[np.ndarray]]

# Largest error, relative to the largest output, that rounding in a type explains. Integers have none: their
# error depends on the model and its calibration, and the caller judges it.
TOLERANCES = {
    "float32": 1e-3,
    "float16": 0.1,
    "bfloat16": 0.3,
    **dict.fromkeys(("dynamic", "int4", "int8", "mixed", "int16x8"), np.inf),
}


@dataclass(frozen=True)
class Parity:
    """The distance of two functions on the same samples.

    Args:
        max_error: `max |exported − reference|` over all samples and outputs.
        scale: `max |reference|` over the same.
        agreement: Fraction of the largest entries of the first output that are at the same place, or `None`
            if its last axis has fewer than two entries.
        samples: Number of samples compared.
    """

    max_error: float
    scale: float
    agreement: float | None
    samples: int


def compare(reference: Function, exported: Function, samples: Samples) -> Parity:
    """Runs both functions on every sample and returns their distance.

    Args:
        reference: Maps one batch (an array for each input) to one array for each output.
        exported: The same of the exported model.
        samples: The inputs.

    Returns:
        The distance; `max_error` is NaN if an output is.

    Raises:
        PruneError: The outputs differ in number or shape, or samples are missing.
    """
    errors, scales, hits, choices, count = [0.0], [0.0], 0, 0, 0
    for batch in samples.batches():
        expected = [_double(array) for array in reference(batch)]
        actual = [_double(array) for array in exported(batch)]
        shapes = [[array.shape for array in arrays] for arrays in (expected, actual)]
        if shapes[0] != shapes[1]:
            raise PruneError(f"Expected outputs of shapes {shapes[0]}. Received: {shapes[1]} from the exported model.")
        errors += [np.max(np.abs(a - e), initial=0.0) for e, a in zip(expected, actual, strict=True)]
        scales += [np.max(np.abs(e), initial=0.0) for e in expected]
        same = same_choice(expected[0], actual[0])
        hits, choices, count = hits + same.sum(), choices + same.size, count + len(batch[0])
    check_found(count)
    agreement = float(hits / choices) if choices else None
    return Parity(float(np.max(errors)), float(np.max(scales)), agreement, count)


def keras_function(model: keras.Model, signature: Signature) -> Function:
    """Returns a Keras model in inference and in full precision, as a function from flat inputs to flat outputs."""

    @full_precision()
    def run(batch: FlatInputs) -> list[np.ndarray]:
        outputs = keras.tree.flatten(call_operation(model, signature.pack(batch), training=False))
        return [keras.ops.convert_to_numpy(output) for output in outputs]

    return run


def interpreted_function(path: Path, model: keras.Model, signature: Signature) -> Function:
    """Returns a `.tflite` file with a batch axis of 1 as a function from flat inputs to flat outputs.

    Args:
        path: The file.
        model: The model that was exported, for the names of its outputs.
        signature: Its inputs.
    """
    return single_runner(open_interpreter(path), signature.names, partial(output_names, model))


def served_function(folder: Path, signature: Signature) -> Function:
    """Returns a SavedModel, run by TensorFlow in full precision, as a function from flat inputs to flat outputs.

    Args:
        folder: Its folder.
        signature: The inputs of the model that was exported.
    """
    import tensorflow as tf

    from kerasprune.backend import tensorflow

    with quiet():
        loaded = tf.saved_model.load(str(folder))

    @tensorflow.full_precision()
    def run(batch: FlatInputs) -> list[np.ndarray]:
        outputs = loaded.serve(signature.pack([tf.convert_to_tensor(array) for array in batch]))
        return [output.numpy() for output in keras.tree.flatten(outputs)]

    return run


def require_close(parity: Parity, *types: str) -> None:
    """Raises if an export differs from the model by more than rounding.

    Args:
        parity: The measured distance.
        types: The types that one or the other computes in; the coarsest sets the tolerance.

    Raises:
        PruneError: The error is larger than rounding explains, or is not finite.
    """
    tolerance = max(TOLERANCES[name] for name in types)
    floor = float(np.finfo(np.float32).eps)  # if every output is zero or nearly so
    if np.isfinite(parity.max_error) and parity.max_error <= tolerance * max(parity.scale, floor):
        return
    raise PruneError(
        "Expected the exported model to compute the same as the Keras model. "
        f"Received: max_error={parity.max_error:.3g} with the largest output {parity.scale:.3g}; "
        f"{rounding(*types)} explains at most {tolerance * parity.scale:.3g}, "
        "so nothing was written. Check that the outputs are finite, and that no layer draws random numbers "
        "or depends on Python state in inference."
    )


def _double(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).astype(np.float64)


def same_choice(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Returns for each example whether the largest outputs are at the same place; empty if they are not classes."""
    if expected.ndim < 2 or expected.shape[-1] < 2:
        return np.empty(0, bool)
    return expected.argmax(-1) == actual.argmax(-1)
