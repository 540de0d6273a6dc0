"""Writes a SavedModel, opens it again, and measures it against the Keras model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from kerasprune.data.signature import Signature, signature_of
from kerasprune.errors import PruneError, extras, reason_of
from kerasprune.export.carried import check_writable, write
from kerasprune.export.destination import check_place, new_folder
from kerasprune.export.parity import check_repeatable, compare, keras_function, require_close, served_function
from kerasprune.export.quiet_logs import quiet
from kerasprune.export.report import ExportReport, gzip_size
from kerasprune.export.samples import first_inputs, samples_for
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.ranged_model import RangedModel, without_ranges
from kerasprune.graph.sizes import Size
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.output_kind import last_axes

OTHER_FORMATS = (".tflite", ".keras", ".h5", ".pb")


@extras("kp.export.saved_model")
def saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    data: Any = None,
    overwrite: bool = False,
    size: Size | None = None,
) -> ExportReport:
    """Writes a model's forward pass as a SavedModel folder and returns a report on it.

    The batch axis and free sides remain free, and mixed precision is kept. The folder is written under a temporary
    name, reloaded without any of the model's classes, compared with the Keras model on every sample, and only then
    moved to `path`. Its endpoint is `serve`.

    Args:
        model: A built Keras model with any number of inputs and outputs.
        path: The folder to write. Folders above it must exist.
        data: Inputs to compare on, in any form that `fit` takes and that can be read again: arrays `(samples, …)`, a
            tuple or dict of them for several inputs, a batched `tf.data.Dataset`. Labels are ignored.
            Defaults to `None`: random inputs.
        overwrite: Whether a SavedModel or an empty folder at `path` may be replaced. Defaults to `False`.
        size: Size of random inputs, see `kp.trace`, where the model leaves it free. Defaults to 32, or the first of
            some numbers that the model takes.

    Returns:
        The report: size, largest error, agreement. Its latency is `None`: TensorFlow's threads belong to the
        process, so the time would not be comparable with those of `.tflite` files.

    Raises:
        PruneError: The arguments do not fit, Keras cannot export the model, or the SavedModel does not
            compute the same as the model. Nothing is written then.

    Example:
        >>> import tempfile, keras, numpy as np
        >>> from pathlib import Path
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> report = saved_model(model, Path(tempfile.mkdtemp()) / "dense", data=np.ones((3, 8)))
        >>> report.format, report.inputs, report.error < 1e-6
        ('saved_model', 'data', True)
    """
    path = Path(path)
    if path.suffix in OTHER_FORMATS:
        raise PruneError(
            f"A SavedModel is a folder. Received: path={str(path)!r}, which names a file of another format. "
            f"Write to {str(path.with_suffix(''))!r}."
        )
    check_place(path, overwrite)
    if isinstance(model, RangedModel):
        model.check_exportable("a SavedModel")
    check_finite_weights(model)
    signature = signature_of(model, first_inputs(data))
    check_writable(model, signature)
    samples = samples_for(model, signature, data, size)
    reference = keras_function(model, signature)
    check_repeatable(reference, samples)
    with new_folder(path, "saved_model.pb", overwrite=overwrite) as temporary:
        _write(model, signature, temporary)
        parity = compare(reference, served_function(temporary, signature), samples, last_axes(model))
        require_close(parity, coarsest_type(without_ranges(model)))
        files = [file for file in temporary.rglob("*") if file.is_file()]
        size, packed = sum(file.stat().st_size for file in files), gzip_size(files)
    return ExportReport(
        path=path,
        format="saved_model",
        bytes=size,
        gzip_bytes=packed,
        latency_ms=None,
        inputs=samples.source,
        **parity.measures(),
    )


def _write(model: keras.Model, signature: Signature, folder: Path) -> None:
    try:
        with quiet():
            write("endpoint", {"serve": (model, signature)}, folder)
    except PruneError:
        raise
    except Exception as error:  # whatever tracing the user's own layers may raise
        raise PruneError(
            f"Keras could not export the model {model.name!r}. It reports: {reason_of(str(error))}. "
            "Keep to keras.ops in the call of custom layers, or rebuild the model as a functional one."
        ) from error
