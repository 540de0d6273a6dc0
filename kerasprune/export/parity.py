"""The distance of an exported model from the Keras model, output by output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from kerasprune._keras import call_operation
from kerasprune.backend.engine import full_precision
from kerasprune.data.batches import FlatInputs
from kerasprune.data.refusals import check_found
from kerasprune.data.signature import Signature, is_graph, no_fixed_batch
from kerasprune.errors import PruneError, reason_of, warn
from kerasprune.export.forward_pass import output_names
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.samples import Samples
from kerasprune.export.tflite_interpreter import open_interpreter, single_runner
from kerasprune.graph.built_model import stateful_layers
from kerasprune.surgery import output_distance
from kerasprune.surgery.compute_dtype import rounding
from kerasprune.surgery.output_distance import LastAxis, OutputDistance

Function = Callable[[FlatInputs], Sequence[np.ndarray]]

# Largest error, relative to the largest entry of the output, that rounding in a type explains. Integers have none:
# their error depends on the model and its calibration, and is judged by the spread of the output.
TOLERANCES = {
    "float32": 1e-3,
    "float16": 0.1,
    "bfloat16": 0.3,
    **dict.fromkeys(("dynamic", "int4", "int8", "mixed", "int16x8"), np.inf),
}
LEAST = 1e-3  # of the largest output: smaller ones are held against that
REPEATED = 1e-3  # of the largest output, by which two calls may differ


@dataclass(frozen=True)
class Parity:
    """The distance of two functions on the same samples.

    Args:
        outputs: That of each output.
    """

    outputs: tuple[OutputDistance, ...]

    @property
    def samples(self) -> int:
        """Number of samples compared."""
        return self.outputs[0].samples if self.outputs else 0

    @property
    def max_error(self) -> float:
        """`max |exported − reference|` over all samples and outputs."""
        return float(np.max([each.max_error for each in self.outputs]))

    @property
    def scale(self) -> float:
        """`max |reference|` over the same."""
        return float(np.max([each.scale for each in self.outputs]))

    def measures(self) -> dict[str, Any]:
        """Returns the fields of an `ExportReport` that it fills."""
        least = output_distance.least_agreement(self.outputs)
        return {
            "max_error": Parity(tuple(output_distance.without_class_numbers(self.outputs))).max_error,
            "error": float(np.max([each.worst[1] for each in self.outputs])),
            "agreement": least and least.agreement,
            "balanced": least and least.balanced,
            "samples": self.samples,
            "outputs": self.outputs,
        }


def compare(
    reference: Function, exported: Function, samples: Samples, axes: Mapping[str, LastAxis] = MappingProxyType({})
) -> Parity:
    """Runs both functions on every sample and returns their distance.

    Args:
        reference: Maps one batch (an array for each input) to one array for each output.
        exported: The same of the exported model.
        samples: The inputs.
        axes: What the outputs hold, as `last_axes` returns it. Defaults to values.

    Returns:
        The distance; `max_error` is NaN if an output is.

    Raises:
        PruneError: The outputs differ in number or shape, or samples are missing.
    """

    def pairs() -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
        for batch in samples.batches():
            pair = list(reference(batch)), list(exported(batch))
            expected, actual = ([array.shape for array in arrays] for arrays in pair)
            if expected != actual:
                raise PruneError(f"Expected outputs of shapes {expected}. Received: {actual} from the exported model.")
            yield pair

    parity = Parity(tuple(output_distance.distances(pairs(), axes)))
    check_found(parity.samples)
    return parity


def check_repeatable(reference: Function, samples: Samples) -> None:
    """Raises if a model gives other outputs when it is called again: a file would hold one frozen draw.

    Args:
        reference: The model, as `keras_function` returns it.
        samples: The inputs, of which the first batch is used.
    """
    first = replace(samples, batches=partial(iter, [samples.first()]))
    try:
        again = compare(reference, reference, first)
    except PruneError:
        raise
    except Exception as error:  # whatever layers raise
        raise PruneError(
            "Expected a model that takes batches of any size. Received: an error, "
            f"{reason_of(str(error)).removesuffix('.')}. Build it so that a whole graph, or whatever belongs "
            "together, is one sample, with an axis of its own."
        ) from error
    if np.isfinite(again.max_error) and again.max_error > REPEATED * again.scale:
        raise PruneError(
            "Expected a model that computes the same when it is called again. "
            f"Received: outputs that differ by {again.max_error:.3g}, the largest being {again.scale:.3g}. A layer "
            "draws random numbers in inference, and a file would hold a single draw for ever. Export the mean, "
            'keras.Model(model.input, model.get_layer("…").output), with the layer before the draw.'
        )


def keras_function(model: keras.Model, signature: Signature) -> Function:
    """Returns a Keras model in inference and in full precision, as a function from flat inputs to flat outputs.

    Raises:
        PruneError: A layer is stateful: it remembers the samples before.
    """
    if is_graph(model) and stateful_layers(model):
        raise no_fixed_batch(model.inputs[0])

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
    from kerasprune.backend import tensorflow
    from kerasprune.backend.reader import tf

    with quiet():
        loaded = tf.saved_model.load(str(folder))

    @tensorflow.full_precision()
    def run(batch: FlatInputs) -> list[np.ndarray]:
        outputs = loaded.serve(signature.pack([tf.convert_to_tensor(array) for array in batch]))
        return [output.numpy() for output in keras.tree.flatten(outputs)]

    return run


def require_close(parity: Parity, *types: str, force: bool = False) -> None:
    """Raises if an export differs from the model by more than rounding; in integers, by more than a constant does.

    Integers are judged by the error relative to the spread of each output, as `OutputDistance` defines it: there is a
    warning above 0.1, also of one of its quantities, and above 1 nothing is written.

    Args:
        parity: The measured distance.
        types: The types that one or the other computes in; the coarsest sets the tolerance.
        force: Whether only to warn if a file in integers is no better than a constant. Defaults to `False`.

    Raises:
        PruneError: The error is larger, or is not finite.
    """
    tolerance = max(TOLERANCES[name] for name in types)
    floor = max(LEAST * parity.scale, float(np.finfo(np.float32).eps))  # if an output is zero or nearly so
    finite = np.isfinite(parity.max_error)

    def beyond(each: OutputDistance) -> bool:
        if each.numbers:
            return each.wrong.sum() > max(1, output_distance.TIES * each.square.sum())
        return each.max_error > tolerance * max(each.scale, floor)

    if finite and np.isinf(tolerance):
        _judge_integers(parity, types[0], force)
    elif not finite or any(map(beyond, parity.outputs)):
        worst = max(parity.outputs, key=lambda each: (beyond(each), each.max_error / max(each.scale, floor)))
        raise PruneError(
            "Expected the exported model to compute the same as the Keras model. "
            f"Received: max_error={worst.max_error:.3g} at {worst.name}, whose largest entry is {worst.scale:.3g}; "
            f"{rounding(*types)} explains at most {tolerance * worst.scale:.3g}, "
            "so nothing was written. Check that the outputs are finite, and that no layer "
            "depends on Python state in inference."
        )


def _judge_integers(parity: Parity, quantize: str, force: bool) -> None:
    """Warns of, or refuses, outputs in integers."""
    far = [each for each in parity.outputs if not each.numbers and each.worst[1] > output_distance.WARNED]
    if not far:
        return
    said = ", ".join(f"{each.name} {each.said}" for each in far)
    worst, alone = max(each.error for each in far), max(each.worst[1] for each in far)
    if worst > 1 and not force:
        raise PruneError(
            "Expected outputs nearer to the model's than a constant, whose error relative to their spread is 1. "
            f"Received: {said} with quantize={quantize!r}, so nothing was written. Give data= like the inputs in "
            "deployment, or take another format, quantize='float16'. kp.export.tflite(…, force=True) writes it all the "
            "same."
        )
    remedy = "measure what it is used for first"
    if alone > output_distance.USELESS:
        remedy = "what has the smaller range in an output is lost. Give it an output of its own, or take another format"
    if worst > output_distance.USELESS:
        remedy = "it is useless as it is. Take another format"
    warn(
        f"The outputs of the .tflite file are far from the model's: error {said} relative to their spread, where 1 is "
        f"no better than a constant. Received: quantize={quantize!r} on {parity.samples} samples; {remedy}."
    )
