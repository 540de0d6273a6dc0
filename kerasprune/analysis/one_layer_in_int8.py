"""`precision_sensitivity`: the output error when one layer at a time computes in int8."""

from __future__ import annotations

import tempfile
from typing import Any

import keras

from kerasprune.checks import whole_number_faults
from kerasprune.errors import extras, raise_faults
from kerasprune.export.mixed_precision import MixedFiles
from kerasprune.export.samples import samples_of
from kerasprune.export.tflite_export import static_signature
from kerasprune.graph.graph import check_finite_weights


@extras("kp.analysis.precision_sensitivity")
def precision_sensitivity(model: keras.Model, data: Any, *, samples: int = 500) -> dict[str, float]:
    """Measures the error of the outputs when one layer alone computes in int8, for each layer of a `.tflite` file.

        E_l = Σ ‖file with l in int8 − float file‖² / Σ ‖float file − mean(float file)‖²

    The inputs, the kernel and the output of that layer have 8 bits, as `kp.export.tflite(…, quantize="int8")` rounds
    them; all others compute in float. The costliest may stay float: `kp.export.tflite(…, quantize="mixed")`.

    Args:
        model: A trained model, which is left untouched.
        data: Inputs as for `kp.export.tflite`; labels are ignored. The first 256 set the ranges.
        samples: Number of examples on which errors are measured. Defaults to 500.

    Returns:
        The errors by the name of the layer, the largest first; 0 = the float model's outputs, 1 = no better than a
        constant. BatchNorm and rectifiers that the file folds into the layer before them are part of it.

    Raises:
        PruneError: An argument is out of range, the backend is not TensorFlow, or the model does not convert.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((8,))
        >>> x = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))
        >>> errors = kp.analysis.precision_sensitivity(model, np.random.default_rng(0).normal(size=(64, 8)))
        >>> sorted(errors)
        ['hidden', 'logits']
    """
    raise_faults("Invalid arguments for precision_sensitivity:", whole_number_faults(1, samples=samples))
    check_finite_weights(model)
    signature = static_signature(model, data, None)
    with tempfile.TemporaryDirectory() as folder:
        return MixedFiles(model, signature, samples_of(signature, data), samples, folder).sensitivities()
