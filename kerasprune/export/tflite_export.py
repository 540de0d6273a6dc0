"""Writes a `.tflite` file, opens it again with LiteRT, and measures it against the Keras model."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import inner_layers
from kerasprune.checks import whole_number_faults
from kerasprune.data.signature import Signature, is_graph, signature_of
from kerasprune.errors import PruneError, check_installed, extras, first_of, nearest, raise_faults, warn
from kerasprune.export.attention_masks import HUGE
from kerasprune.export.calibration import CALIBRATION_SAMPLES
from kerasprune.export.carried import check_writable
from kerasprune.export.conversion import to_tflite
from kerasprune.export.converter import QUANTIZATIONS
from kerasprune.export.destination import check_file, new_file
from kerasprune.export.forward_pass import recurrent_layers
from kerasprune.export.mixed_precision import LayerNames, MixedFiles, layer_faults
from kerasprune.export.parity import (
    TOLERANCES,
    Function,
    check_repeatable,
    compare,
    interpreted_function,
    keras_function,
    require_close,
)
from kerasprune.export.report import ExportReport, gzip_size
from kerasprune.export.samples import RANDOM_SAMPLES, Samples, first_inputs, samples_of
from kerasprune.export.tflite_graph import layers_in, nodes
from kerasprune.export.tflite_interpreter import LITERT, fill_inputs, open_interpreter, time_invocation
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.ranged_model import RangedModel, without_ranges
from kerasprune.graph.sizes import Size, input_shapes, shape_at, size_faults
from kerasprune.graph.trace import give_size
from kerasprune.repair.synthesis.scale_of_pixels import warn_of_statistics
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.output_distance import WARNED
from kerasprune.surgery.output_kind import last_axes

WARMUP, RUNS = 5, 30
LONG, SLOWER = 1.0, 1.2  # milliseconds that can be told from noise; times in integers ÷ in float that are warned of
LOW_AGREEMENT = 0.95
GRAPH_BYTES = 50_000  # of a file without its weights, if nothing is unrolled


@extras("kp.export.tflite")
def tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str | None = None,
    data: Any = None,
    overwrite: bool = False,
    size: Size | None = None,
    io: str = "float",
    float_layers: Sequence[str] | None = None,
    max_bytes: int | None = None,
    force: bool = False,
) -> ExportReport:
    """Writes a model as a `.tflite` file and returns a report on it.

    The file takes one sample at a time (a batch axis of 1): every shape in it is fixed, so that delegates can run
    the whole graph. It is written under a temporary name, opened with LiteRT, compared with the Keras model on every
    sample, timed, and only then moved to `path`.

    Models with integer activations (`"int8"`, `"mixed"`, `"int16x8"`) are calibrated in a child process, since some
    graphs crash the converter. Their recurrent layers are unrolled: the file grows with the number of time steps.

    Args:
        model: A built Keras model with any number of inputs and outputs. In mixed precision it is converted
            from a float32 copy, and compared as it is.
        path: Where to write; ends in `.tflite`.
        quantize: `None` for float32; `"float16"` for weights of half the size; `"dynamic"` for weights in 8 bits
            and float activations, which needs no data; `"int4"` likewise with kernels in 4 bits, depthwise ones in
            float, with the extra `[quantize]`; `"int8"` for weights and activations in 8 bits; `"mixed"` for the same
            with some layers in float; `"int16x8"` for weights in 8 and activations in 16, slower and closer to the
            model. Defaults to `None`.
        data: Inputs like those in deployment, in any form that `fit` takes and that can be read again: arrays
            `(samples, …)`, a tuple or dict of them for several inputs, a batched `tf.data.Dataset`. Labels are
            ignored. The first 256 calibrate integer activations, which need them, unless the model is one of
            `kp.quantization_aware`, which brings its ranges; all are compared.
            Defaults to `None`: random inputs.
        overwrite: Whether a file at `path` may be replaced. Defaults to `False`.
        size: Sides in place of the free ones, see `kp.trace`, e.g. `32` or `(32, 48)` for `(None, None, 3)`.
            Defaults to `None`: the sides of `data`.
        io: Type of float inputs and outputs: `"float"`, or for microcontrollers the type of the activations,
            `"int8"` with int8 and `"int16"` with int16x8, or `"uint8"` with int8, as older apps feed it; scale and
            zero point are in the file. Defaults to `"float"`.
        float_layers: With `"mixed"`, names of the layers that compute in float. Defaults to `None`: the fewest, in the
            order of `kp.analysis.precision_sensitivity`, with which the outputs have at most half of the error that
            they have in int8, on the samples that calibrate.
        max_bytes: With `"mixed"` and no `float_layers`: the most bytes of the file, which may leave fewer layers in
            float. Defaults to `None`.
        force: Whether to write a file in integers although an output is no better than a constant. Defaults to `False`.

    Returns:
        The report: size, compressed size, error and agreement by output, latency, operators. A warning is given if the
        balanced agreement of an output of classes is below 95 %, if the error of an output relative to its spread is
        above 0.1, if fewer than 50 samples, or identical ones, were used for calibration, and if a file in integers
        that takes a millisecond or more is slower on this machine than in float32, as PReLU makes it.

    Raises:
        PruneError: The arguments do not fit, the model draws random numbers, an operation has no TFLite counterpart,
            the converter crashes, or the file does not compute the same as the model: by more than rounding if nothing
            was quantized, else with an error above 1 relative to the spread of an output. Nothing is written then.

    Example:
        >>> import tempfile, keras
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> report = tflite(model, Path(tempfile.mkdtemp()) / "dense.tflite")
        >>> report.format, report.inputs, report.operators
        ('tflite float32', 'random', ('FULLY_CONNECTED',))
    """
    path = Path(path)
    _check_arguments(path, quantize, data, io, isinstance(model, RangedModel))
    _check_mixed(model, quantize, float_layers, max_bytes)
    check_file(path, overwrite)
    check_installed(*QUANTIZATIONS[quantize].needs, LITERT, "tensorflow")
    if isinstance(model, RangedModel):
        model.check_exportable(quantize or "float32")
    signature = static_signature(model, data, size)
    check_writable(model, signature)
    check_finite_weights(model)  # a range that is NaN would crash LiteRT
    samples = samples_of(signature, data)
    reference = keras_function(model, signature)
    check_repeatable(reference, samples)
    calibrates = data is not None and QUANTIZATIONS[quantize].calibrated and not isinstance(model, RangedModel)
    if calibrates:
        warn_of_statistics(model, samples.first()[0])
    exact = np.isfinite(TOLERANCES[quantize or "float32"])
    with new_file(path, overwrite=overwrite) as temporary, tempfile.TemporaryDirectory() as folder:
        in_float = Path(folder) / "float.tflite"
        check_float = None if exact else partial(_check_float, model, signature, reference, samples, in_float)
        if quantize == "mixed":
            files = MixedFiles(model, signature, samples, CALIBRATION_SAMPLES, folder, check_float)
            float_layers = files.chosen(max_bytes) if float_layers is None else float_layers
            temporary.write_bytes(files.with_float(float_layers))
        else:
            temporary.write_bytes(to_tflite(model, signature, quantize, samples, io, check_float))
        file = interpreted_function(temporary, model, signature)
        parity = compare(reference, file, samples, last_axes(model))
        require_close(parity, quantize or "float32", coarsest_type(without_ranges(model)), force=force)
        report = ExportReport(
            path=path,
            format=f"tflite {quantize or 'float32'}{'' if io == 'float' else f', {io} in and out'}",
            bytes=temporary.stat().st_size,
            gzip_bytes=gzip_size([temporary]),
            latency_ms=_milliseconds(temporary)[0],
            inputs="calibration" if calibrates else samples.source,
            operators=tuple(sorted({node.name for node in nodes(temporary)})),
            float_layers=tuple(float_layers or _in_float(temporary, model, quantize)),
            **parity.measures(),
        )
        slower = [] if quantize == "int16x8" else _slower(temporary, in_float, report, model)
    for words in (*_complaints(report, model, quantize, io), *slower):
        warn(words)
    return report


def _check_float(
    model: keras.Model, signature: Signature, reference: Function, samples: Samples, path: Path, content: bytes
) -> None:
    """Raises if a conversion without integers, which is written to `path`, does not compute the same as the model."""
    first = replace(samples, batches=partial(iter, [samples.arrays(RANDOM_SAMPLES)]))
    path.write_bytes(content)
    require_close(
        compare(reference, interpreted_function(path, model, signature), first), coarsest_type(without_ranges(model))
    )


def check_takes_numbers(model: keras.Model, signature: Signature) -> None:
    """Raises if a model takes texts, for which TFLite has no operators."""
    texts = [spec.name for spec in signature.inputs if spec.holds_texts]
    if texts:
        raise PruneError(
            "A .tflite file takes numbers: TFLite has no operators that look words up. Received: "
            f"{model.name!r}, which takes texts: {', '.join(texts)}. Export a SavedModel; or export the part after the "
            "layer that makes numbers of texts, keras.Model(layer.output, model.output), and look words up in the app."
        )


def check_float_kernels(model: keras.Model) -> None:
    """Raises if Keras has quantized kernels to types for whose products TFLite has no operators."""
    kernels = [each for each in inner_layers(model) if type(each) is not layers.Embedding]  # whose rows are looked up
    modes = [(each.name, getattr(each, "quantization_mode", None)) for each in kernels]
    quantized = [f"{name} in {mode}" for name, mode in modes if mode in ("int8", "float8")]
    if quantized:
        raise PruneError(
            f"Expected kernels in float, which the export quantizes. Received: {first_of(quantized)}, quantized by "
            "Keras, for whose products TFLite has no operators. Export the model as it was before quantize(), with "
            "quantize='int8'."
        )


def static_signature(model: keras.Model, data: Any, size: Size | None) -> Signature:
    """Returns the inputs of a model with every free side fixed, from `size` or else from the data.

    Args:
        model: A built model.
        data: As in `tflite`, or `None`.
        size: See `tflite`.

    Raises:
        PruneError: A side is free and given by neither, they contradict the model, or it takes texts.
    """
    signature = signature_of(model, first_inputs(data)).in_types({"float64": "float32"})
    check_takes_numbers(model, signature)
    check_float_kernels(model)
    if size is not None:
        shapes = input_shapes(body_of(model)) if is_graph(model) else {x.name: x.shape for x in signature.inputs}
        raise_faults("Invalid arguments for tflite:", size_faults(shapes, size))
        signature = signature.static([shape_at(name, shape, size) for name, shape in shapes.items()])
    if data is not None:
        signature = signature.static([array.shape[1:] for array in samples_of(signature, data).first()])
    free = [f"{spec.name} {spec.shape}" for spec in signature.inputs if None in spec.shape]
    if free:
        raise PruneError(
            f"A .tflite file has fixed sides, but these inputs have free ones: {', '.join(free)}. "
            "Received: no size, and no data of the size in use. ",
            *give_size(model),
        )
    return signature


def _in_float(path: Path, model: keras.Model, quantize: str | None) -> Sequence[str]:
    """Returns the layers, or else the operators, of a file with integer activations that compute in float."""
    found = [node for node in nodes(path) if node.is_float] if QUANTIZATIONS[quantize].calibrated else []
    names = LayerNames.of_model(model).in_file if found else {}
    places = ((node, layers_in(node.tensor, names)) for node in found)
    return dict.fromkeys(names[layers[0]] if layers else node.name for node, layers in places)


def _complaints(report: ExportReport, model: keras.Model, quantize: str | None, io: str) -> list[str]:
    """Returns warnings about a written file."""
    found = []
    if report.float_layers and io != "float":
        found.append(
            f"Parts of {report.path.name} compute in float, although its inputs and outputs are integers: "
            f"{first_of(report.float_layers)}. Received: quantize={quantize!r}, io={io!r}. Replace these layers, by "
            "ReLU or BatchNormalization say, if the device has integers only."
        )
    zeros = [node.place for node in nodes(report.path) if node.is_zero]
    if zeros and QUANTIZATIONS[quantize].calibrated:
        found.append(
            f"No calibration sample reaches {first_of(zeros)} in {report.path.name}: all are zero there, and so will "
            "the file be, whatever is fed. Pass data= that reaches it; if inputs are padded, some of the full length."
        )
    low_ones = [each for each in report.outputs if each.balanced is not None and each.balanced < LOW_AGREEMENT]
    coarse = [node for node in nodes(report.path) if node.step * 256 > HUGE and (low_ones or report.error > WARNED)]
    if coarse:
        found.append(
            f"The integers of {first_of([node.place for node in coarse])} are {coarse[0].step:.2g} apart, so large are "
            f"some numbers there; what is smaller is lost. Received: quantize={quantize!r}. Make a mask that is fed or "
            "is a weight −30 instead of −1e9; give a divisor a larger ε, and scale large inputs down."
        )
    for low in low_ones:
        remedy = " Pass data= like the inputs in deployment: on random inputs its outputs may be nearly tied."
        if report.inputs != "random" or coarse:
            more = QUANTIZATIONS[quantize].calibrated and not coarse
            remedy = " Calibrate on more data, or take another format." if more else ""
        found.append(
            f"{report.path.name} predicts the same class as the Keras model on {low.agreement:.1%} of {report.samples} "
            f"{report.inputs} samples only. {low}. Received: quantize={quantize!r}. Measure its accuracy first.{remedy}"
        )
    if quantize == "dynamic" and not any(each["dtype"] is np.int8 for each in _tensors(report.path)):
        found.append(
            f"No weight in {report.path.name} has 8 bits: TFLite leaves kernels of fewer than 1,024 numbers in float. "
            "Received: quantize='dynamic'. quantize='float16' and 'int8' reach every kernel."
        )
    float_bytes = 4 * model.count_params()
    if QUANTIZATIONS[quantize].calibrated and report.bytes > float_bytes + GRAPH_BYTES and recurrent_layers(model):
        found.append(
            f"The file is larger than the float32 weights, {report.bytes:,} bytes to {float_bytes:,}: its recurrent "
            f"layers are unrolled, every time step is in it. Received: quantize={quantize!r}. quantize='dynamic' keeps "
            "their loop, with weights in 8 bits; or feed fewer time steps."
        )
    return found


def _check_arguments(path: Path, quantize: str | None, data: Any, io: str, ranged: bool) -> None:
    if quantize not in QUANTIZATIONS:
        names = [name for name in QUANTIZATIONS if name]
        raise PruneError(
            f"Expected quantize to be None, {', '.join(map(repr, names[:-1]))} or {names[-1]!r}. "
            f"Received: quantize={quantize!r}.{nearest(str(quantize), names)}"
        )
    if io not in ("float", *QUANTIZATIONS[quantize].integers):
        pairs = [f"{io!r} (with quantize={q!r})" for q, each in QUANTIZATIONS.items() for io in each.integers]
        raise PruneError(
            f"Expected io to be 'float', {' or '.join(pairs)}. Received: io={io!r}, quantize={quantize!r}. "
            "Inputs and outputs are integers only if the activations are of the same size."
        )
    if QUANTIZATIONS[quantize].calibrated and data is None and not ranged:
        raise PruneError(
            f"{quantize} needs inputs to find the range of every activation. Received: quantize={quantize!r}, "
            "data=None. Pass data=, a few hundred inputs like those in deployment; quantize='dynamic' needs none."
        )
    if path.suffix != ".tflite":
        raise PruneError(
            f"Expected a path that ends in .tflite. Received: path={str(path)!r}. "
            f"Write to {str(path.with_suffix('.tflite') if path.name else path / 'model.tflite')!r}."
        )


def _check_mixed(
    model: keras.Model, quantize: str | None, float_layers: Sequence[str] | None, max_bytes: int | None
) -> None:
    given = {"float_layers": float_layers, "max_bytes": max_bytes}
    given = {name: value for name, value in given.items() if value is not None}
    if given and (quantize != "mixed" or len(given) > 1):
        received = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise PruneError(
            "Expected either float_layers or max_bytes, and quantize='mixed' with it. "
            f"Received: {received}, quantize={quantize!r}. Leave out what does not apply."
        )
    if float_layers is None:
        raise_faults("Invalid arguments for kp.export.tflite:", whole_number_faults(1, **given))
        return
    known = [*LayerNames.of_model(model).in_file.values()]
    faults = layer_faults(float_layers, known)
    if isinstance(float_layers, str):
        faults = [f"Expected a list of names. Received: float_layers={float_layers!r}. Write [{float_layers!r}]."]
    raise_faults("Layers that cannot stay in float:", faults)


def _slower(path: Path, in_float: Path, report: ExportReport, model: keras.Model) -> list[str]:
    """Returns a warning if a file with integer activations takes longer on this machine than one in float."""
    if report.latency_ms < LONG or not in_float.exists():
        return []
    integers, floats = _milliseconds(path, in_float)
    if integers < SLOWER * floats:
        return []
    known = ": PReLU is slow in integers" if any(isinstance(each, layers.PReLU) for each in inner_layers(model)) else ""
    return [
        f"{report.path.name} takes {integers:.3g} ms on this machine, {integers / floats:.1f} times as long as in "
        f"float32{known}. It is smaller, and may be fast on the device; docs/phone.md says how that is measured."
    ]


def _tensors(path: Path) -> list[dict[str, Any]]:
    """Returns the tensors of the main graph of a file and of what it calls, as LiteRT describes them."""
    interpreter = open_interpreter(path)
    return [each for n in range(interpreter.num_subgraphs()) for each in interpreter.get_tensor_details(n)]


def _milliseconds(*paths: Path) -> list[float]:
    """Returns the median times of files, run in turn: other work on the machine disturbs all alike."""
    # New ones: a signature runner locks the interpreter it runs.
    interpreters = [open_interpreter(path) for path in paths]
    for each in interpreters:
        fill_inputs(each)
    times = [[time_invocation(each) for each in interpreters] for _ in range(WARMUP + RUNS)]
    return [statistics.median(each) for each in zip(*times[WARMUP:], strict=True)]
