"""Writes a `.tflite` file, opens it again with LiteRT, and measures it against the Keras model."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kerasprune.errors import PruneError, extras, nearest
from kerasprune.export import tflite_interpreter
from kerasprune.export.conversion import QUANTIZATIONS, to_tflite
from kerasprune.export.destination import new_file
from kerasprune.export.parity import compare, keras_function, require_close
from kerasprune.export.precision import precision
from kerasprune.export.report import ExportReport
from kerasprune.export.samples import first_inputs, samples_of
from kerasprune.export.signature import Signature, output_names, signature_of

WARMUP, RUNS = 5, 30


@extras("kp.export.tflite")
def tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str | None = None,
    data: Any = None,
    overwrite: bool = False,
    size: int | Sequence[int] | None = None,
) -> ExportReport:
    """Writes a model as a `.tflite` file and returns what was measured on it.

    The file takes one sample at a time (a batch axis of 1): every shape in it is fixed, so that delegates
    take the whole graph. It is written beside its place, opened with LiteRT, compared with the Keras model on
    every sample, timed, and only then moved to `path`.

    Args:
        model: A built Keras model with any number of inputs and outputs. In mixed precision it is converted
            from a float32 copy, and compared as it is.
        path: Where to write; ends in `.tflite`.
        quantize: `None` for float32; `"float16"` for weights of half the size; `"int8"` for weights and
            activations in 8 bits, with float inputs and outputs. Defaults to `None`.
        data: Inputs as the model sees them in use: an array `(samples, …)`, a tuple or dict of them for
            several inputs, or a batched `tf.data.Dataset` of inputs or `(inputs, labels)`. The first 256
            calibrate int8, which needs them; all are compared. Defaults to `None`: random inputs.
        overwrite: Whether a file at `path` may be replaced. Defaults to `False`.
        size: Sides in place of the free ones of every input, e.g. `32` or `(32, 48)` for `(None, None, 3)`.
            Defaults to `None`: the sides of `data`.

    Returns:
        The report: size, largest error, agreement, latency, operators.

    Raises:
        PruneError: The arguments do not fit, an operation has no TFLite counterpart, or the file does not
            compute what the model computes. Nothing is written then.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> report = tflite(model, Path(tempfile.mkdtemp()) / "dense.tflite")
        >>> report.format, report.inputs, report.operators
        ('tflite float32', 'random', ('FULLY_CONNECTED',))
    """
    path = Path(path)
    _check_arguments(path, quantize, data)
    signature = static_signature(model, data, size)
    samples = samples_of(signature, data)
    with new_file(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(to_tflite(model, signature, quantize, samples))
        exported = tflite_interpreter.single_runner(
            tflite_interpreter.open_interpreter(temporary), signature.names, partial(output_names, model)
        )
        parity = compare(keras_function(model, signature), exported, samples)
        require_close(parity, quantize or "float32", precision(model))
        return ExportReport(
            path=path,
            format=f"tflite {quantize or 'float32'}",
            bytes=temporary.stat().st_size,
            max_error=parity.max_error,
            agreement=parity.agreement,
            latency_ms=_latency(temporary),
            inputs=samples.source,
            samples=parity.samples,
            operators=tuple(sorted(set(tflite_interpreter.operators(temporary)))),
        )


def static_signature(model: keras.Model, data: Any, size: int | Sequence[int] | None) -> Signature:
    """Returns the inputs of a model with every free side fixed, from `size` or else from the data.

    Args:
        model: A built model.
        data: As in `tflite`, or `None`.
        size: One number for all free sides of an input, or one for each.

    Raises:
        PruneError: A side is free and neither says how long it is, or they contradict the model.
    """
    signature = signature_of(model, first_inputs(data))
    if size is not None:
        signature = signature.static([_sized(spec.name, spec.shape, size) for spec in signature.inputs])
    if data is not None:
        signature = signature.static([array.shape[1:] for array in samples_of(signature, data).first()])
    free = [f"{spec.name} {spec.shape}" for spec in signature.inputs if spec.free]
    if free:
        raise PruneError(
            f"A .tflite file has fixed sides, but these inputs have free ones: {', '.join(free)}. "
            "Received: size=None. Pass size=, e.g. size=32, or data= of the size in use."
        )
    return signature


def _sized(name: str, shape: tuple[int | None, ...], size: int | Sequence[int]) -> tuple[int, ...]:
    """Returns a shape with its free sides set; where none is free, `size` must agree with the fixed ones."""
    free = shape.count(None)
    sides = [size] * free if isinstance(size, int) else list(size)
    if not free and (size in shape if isinstance(size, int) else tuple(sides) == shape[: len(sides)]):
        return shape
    if not free or len(sides) != free or not all(isinstance(side, int) and side > 0 for side in sides):
        raise PruneError(
            f"Expected a size that fits the input {name!r} of shape {shape}. Received: size={size!r}. "
            "Give one positive number for all free sides, or one for each; leave size out where none is free."
        )
    remaining = iter(sides)
    return tuple(next(remaining) if side is None else side for side in shape)


def _check_arguments(path: Path, quantize: str | None, data: Any) -> None:
    if quantize not in QUANTIZATIONS:
        raise PruneError(
            f"Expected quantize to be None, 'float16' or 'int8'. Received: quantize={quantize!r}."
            f"{nearest(str(quantize), [name for name in QUANTIZATIONS if name])}"
        )
    if quantize == "int8" and data is None:
        raise PruneError(
            "int8 needs inputs to find the range of every activation. Received: quantize='int8', data=None. "
            "Pass data=, some hundred inputs as the model sees them in use."
        )
    if path.suffix != ".tflite":
        raise PruneError(
            f"Expected a path that ends in .tflite. Received: path={str(path)!r}. "
            f"Write to {path.with_suffix('.tflite').name!r}."
        )


def _latency(path: Path) -> float:
    interpreter = tflite_interpreter.open_interpreter(
        path
    )  # a new one: a signature runner locks the interpreter it runs
    tflite_interpreter.fill_inputs(interpreter)
    times = [tflite_interpreter.time_invocation(interpreter) for _ in range(WARMUP + RUNS)]
    return statistics.median(times[WARMUP:])
