"""From a Keras model to the bytes of a `.tflite` file.

Four decisions, each measured:

- The batch axis is fixed at 1. A free one leaves `SHAPE`, `STRIDED_SLICE` and `PACK` in front of every
  reshape (squeeze-and-excitation gates, Flatten), which no delegate takes and which cut the graph in pieces;
  a device looks at one image at a time anyway.
- The intermediate form is a minimal SavedModel that *tracks the weights*: a concrete function handed over without its
  variables converts without complaint into a file without weights. It takes half the time of `model.export`.
- Calibrated conversions run in a child process, since they may crash the process.
- Recurrent layers are unrolled for it: without their loop they convert.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from kerasprune.data.signature import Signature, is_graph, signature_of
from kerasprune.errors import PruneError, check_installed, in_own_code, reason_of
from kerasprune.export.calibration import write_calibration
from kerasprune.export.carried import write
from kerasprune.export.converter import CALIBRATION_FILE, QUANTIZATIONS, convert_saved_model
from kerasprune.export.converter_process import ConverterDeath, process
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.samples import Samples
from kerasprune.graph.ranged_model import RangedModel
from kerasprune.surgery.compute_dtype import computing_types, copied_in

LAST_LINES = 5
SERVED = "serving_default"  # the one signature of a file
_RANDOM = 2  # samples of random numbers, from which ranges are taken
_NOISE = re.compile(r"WARNING: All log|[IW]\d{4} |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] ")  # of TensorFlow and absl


def to_tflite(
    model: keras.Model,
    signature: Signature,
    quantize: str | None,
    samples: Samples,
    io: str = "float",
    check_float: Callable[[bytes], None] | None = None,
) -> bytes:
    """Returns the bytes of a `.tflite` file with a batch axis of 1.

    Args:
        model: A built model, in any precision.
        signature: Its inputs, without free sides.
        quantize: A key of `QUANTIZATIONS`.
        samples: Calibration samples, unread if the model brings its ranges.
        io: Type of the inputs and outputs of the file. Defaults to `"float"`.
        check_float: Raises if the same conversion without integers is wrong; unused if the model brings its ranges,
            whose conversion is in integers. Defaults to `None`: there is no such conversion.

    Raises:
        ModuleNotFoundError: What converts is not installed, which `extras` explains.
        PruneError: The model cannot be carried to TensorFlow, or the converter fails or crashes.
    """
    check_installed(*QUANTIZATIONS[quantize].needs, "tensorflow")
    calibrates = QUANTIZATIONS[quantize].calibrated and not isinstance(model, RangedModel)
    with tempfile.TemporaryDirectory() as name, explain_converter_errors(model.name, quantize):
        folder = Path(name)
        if calibrates:
            process.start()
        with quiet():
            examples = samples.first() if calibrates else ()
            write("unrolled" if calibrates else "single", {SERVED: (in_float32(model), signature)}, folder, examples)
            # That of "mixed" has floats and the ranges of them.
            if check_float is not None and quantize != "mixed" and not isinstance(model, RangedModel):
                check_float(_converted(folder, None, "float"))
            if not calibrates:
                return _converted(folder, quantize, io)
        write_calibration(samples, signature, folder / CALIBRATION_FILE)
        content = process.convert(folder, quantize, io)
        if check_float is not None and quantize == "mixed":
            check_float(content)
        return content


def parts_to_tflite(parts: Mapping[str, keras.Model], quantize: str | None) -> bytes:
    """Returns the bytes of one `.tflite` file with a signature for each model, calibrated on random numbers.

    Inputs and outputs are integers if activations are, so that nothing but the model is computed.

    Args:
        parts: Functional models with fixed sides, in any precision, by the name of the signature.
        quantize: A key of `QUANTIZATIONS`.

    Raises:
        PruneError: A model does not convert.
    """
    check_installed(*QUANTIZATIONS[quantize].needs, "tensorflow")
    generator, integers = np.random.default_rng(0), QUANTIZATIONS[quantize].integers
    with tempfile.TemporaryDirectory() as name, quiet(), explain_converter_errors(", ".join(parts), quantize):
        folder, models = Path(name), {key: in_float32(model) for key, model in parts.items()}
        signatures = {key: signature_of(model) for key, model in models.items()}
        pairs = {key: (model, signatures[key]) for key, model in models.items()}
        write("unrolled" if integers else "single", pairs, folder)
        if not integers:
            return _converted(folder, quantize, "float")
        samples = {
            f"{key}/{name}": generator.standard_normal((_RANDOM, *spec.shape)).astype(spec.dtype)
            for key, signature in signatures.items()
            for spec, name in zip(signature.inputs, signature.names, strict=True)
        }
        np.savez(folder / CALIBRATION_FILE, **samples)
        return process.convert(folder, quantize, integers[0])


@contextmanager
def explain_converter_errors(name: str, quantize: str | None) -> Iterator[None]:
    """Raises a `PruneError` for any error of the converter while the block runs.

    Args:
        name: Name of the model.
        quantize: A key of `QUANTIZATIONS`.
    """
    try:
        yield
    except (PruneError, ModuleNotFoundError):
        raise
    except ConverterDeath as death:
        raise PruneError(_explain_crash(name, quantize, death)) from death
    except Exception as error:  # the converter raises its own, private family
        raise PruneError(_explain(name, quantize, error)) from error


def _converted(folder: Path, quantize: str | None, io: str) -> bytes:
    """Returns the bytes of a conversion that needs no samples: here, or in a child where Keras has no TensorFlow."""
    here = keras.backend.backend() == "tensorflow"
    return (convert_saved_model if here else process.convert)(folder, quantize, io)


def _explain(name: str, quantize: str | None, error: Exception) -> str:
    """Returns the message for an error: the operations without a TFLite counterpart, or else its reason and place."""
    message = str(error)
    operations = sorted(set(re.findall(r"'(tf\.\w+)' op", message)))
    if operations:
        places = dict(re.findall(r'fused\["(\w+):", "([^"@]+)@', message))  # with the layer in their path
        found = (f"{each} at {places.get(each[3:], 'an unknown place')}" for each in operations)
        cause = f"There is no TFLite operator for {', '.join(found)}"
        remedy = "Replace the layers that use them, or export a SavedModel."
    elif "LookupInterface" in message:
        cause = "There is no TFLite operator for a table in which numbers are looked up, as IntegerLookup does"
        remedy = "Export the part after that layer, keras.Model(layer.output, model.output), or a SavedModel."
    else:
        cause = f"The converter reports: {in_own_code(error) or reason_of(message).removesuffix('.')}"
        remedy = "Export a SavedModel."
        if QUANTIZATIONS[quantize].calibrated:
            remedy = "Try quantize='dynamic' or 'float16', or export a SavedModel."
        if "in user code:" in message:  # it was not traced, nor would it be for a SavedModel
            remedy = "Keep to keras.ops in the call of custom layers, and let them take a single sample."
    return f"The model {name!r} was not converted to TFLite. {cause}. Received: quantize={quantize!r}. {remedy}"


def _explain_crash(name: str, quantize: str | None, death: ConverterDeath) -> str:
    """Returns the message for a crash of the converter."""
    lines = [line for line in death.log.strip().splitlines() if not _NOISE.match(line)]
    last = "".join(f"\n  {line[:300]}" for line in lines[-LAST_LINES:])
    return (
        f"The model {name!r} was not converted to TFLite: TensorFlow's converter crashed in its own process: "
        f"{death.cause}. Received: quantize={quantize!r}. Causes are a loop in the graph, such as "
        f"keras.ops.while_loop, or too little memory. Try quantize='dynamic', which needs no calibration, or 'float16'."
        f"{' Its last lines:' if last else ''}{last}"
    )


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy with the same weights that computes in float32; the model itself if it does already.

    TFLite has no convolution on float16 or float64 tensors, so models of these types do not convert as they are.

    Raises:
        PruneError: The model is subclassed and computes in another precision.
    """
    if isinstance(model, RangedModel) or computing_types(model) <= {"float32"}:
        return model
    if not is_graph(model):
        raise PruneError(
            "Expected a subclassed model in float32, since it cannot be copied into another precision. "
            f"Received: {model.name!r} in {model.dtype_policy.name}. "
            "Build it under the float32 policy and load the weights into it."
        )
    return copied_in(model, "float32")[0]
