"""The packed file as an export format: what is shared and removed already is small, and nothing else is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kerasprune.data.signature import signature_of
from kerasprune.errors import PruneError
from kerasprune.export.codec.packing import pack, unpack
from kerasprune.export.destination import new_file
from kerasprune.export.formats import Format
from kerasprune.export.parity import Function, check_repeatable, compare, keras_function, require_close
from kerasprune.export.report import ExportReport, gzip_size
from kerasprune.export.samples import first_inputs, samples_for
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.graph.sizes import Size
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.output_kind import last_axes


def _write(model: keras.Model, path: Path, *, data: Any, size: Size | None, overwrite: bool) -> ExportReport:
    """Packs a model without sharing, unpacks it, and moves the file to `path` if that computes the same."""
    if path.suffix != KPZ.suffix:
        raise PruneError(f"Expected a path that ends in {KPZ.suffix}. Received: path={str(path)!r}.")
    signature = signature_of(model, first_inputs(data))
    samples = samples_for(model, signature, data, size)
    with new_file(path, overwrite=overwrite) as temporary:
        reference = keras_function(model, signature)
        check_repeatable(reference, samples)
        table = pack(model, temporary, bits={})
        parity = compare(reference, keras_function(unpack(temporary), signature), samples, last_axes(model))
        require_close(parity, coarsest_type(without_ranges(model)))
    return ExportReport(
        path=path,
        format="kpz",
        bytes=table.bytes,
        gzip_bytes=gzip_size([path]),
        latency_ms=None,
        inputs=samples.source,
        **parity.measures(),
    )


def _open(path: Path, model: keras.Model) -> Function:
    return keras_function(unpack(path), signature_of(model))


KPZ = Format(".kpz", _write, _open)
