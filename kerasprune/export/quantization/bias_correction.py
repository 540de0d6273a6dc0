"""`correct_biases`: biases corrected by the shift of output means that rounded kernels cause."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.checks import kind_faults, whole_number_faults
from kerasprune.data.batches import example_batches
from kerasprune.defaults import SAMPLES
from kerasprune.errors import raise_faults
from kerasprune.export.quantization.operators import Kind, kind_of
from kerasprune.export.quantization.rounded_layers import compute_output, kernel_of, share_variables
from kerasprune.export.quantization.rounding import read, rounded_kernel
from kerasprune.graph.built_model import LOAD
from kerasprune.graph.graph import check_finite_weights, values
from kerasprune.graph.rule import channel_axis
from kerasprune.graph.trace import trace, warn_of_unknown
from kerasprune.repair.reconstruction.recalibrate import run
from kerasprune.surgery.absorb import following_norms
from kerasprune.surgery.clone import clone
from kerasprune.surgery.weight_constraints import obeys


def correct_biases(model: keras.Model, data: Any, *, samples: int = SAMPLES) -> keras.Model:
    """Returns a model whose int8 file preserves the mean outputs that layers have now.

    Rounding a kernel W to q(W) shifts the mean of every output channel, which no later layer undoes. With x the
    inputs of the layer for the examples, averaged over these and over positions,

        b ← b − E[conv(x, q(W) − W)]

    or, of a layer without bias, the mean of the BatchNorm behind it is raised by that much. In float numbers the
    returned model is off by that much: export it to int8, and use `model` for all else.

    Args:
        model: A functional or Sequential model, trained, and equalised by `kp.quantization.equalise` if at all; left
            untouched.
        data: Examples, as for `kp.reconstruct`; labels are ignored.
        samples: Maximum number of examples used. Defaults to 1000.

    Returns:
        A new model, not compiled. Layers that are called several times, or have neither bias nor BatchNorm, are as
        before, and biases that would break their constraint.

    Raises:
        PruneError: The model is not functional, or not built, or the data do not fit.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((2,))
        >>> model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        >>> _ = model.layers[1].kernel.assign([[1.27], [0.014]])  # 127 and 1.4 steps of 0.01
        >>> new = kp.quantization.correct_biases(model, np.ones((8, 2)))
        >>> round(float(new.layers[1].bias[0]), 3)
        0.004

    Reference:
        Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019,
        arXiv 1906.04721, §4.2.
    """
    faults = kind_faults(keras.Model, LOAD, model=model) + whole_number_faults(1, samples=samples)
    raise_faults("Biases cannot be corrected:", faults)
    check_finite_weights(model)
    graph = trace(clone(model, value=values)[0], unknown="freeze")
    warn_of_unknown(graph, "correct_biases")
    norms, times = following_norms(graph), Counter(id(call.operation) for call in graph.calls)
    found = {}
    for call in graph.calls:
        layer = call.operation
        if kind_of(call.node) is not Kind.KERNEL or times[id(layer)] > 1:
            continue
        line = layer.bias if layer.use_bias else norms.get(id(layer)) and norms[id(layer)].moving_mean
        if line is not None:
            found[id(layer)] = line, _change(layer), []

    def visit(layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if id(layer) in found:
            _, change, shifts = found[id(layer)]
            shifts.append(_shift(layer, args[0], change))
        return call(layer, *args, **kwargs)

    batches = example_batches(graph.model, data, samples)
    run(graph.model, batches, visit)
    sizes = [len(batch[0]) for batch in batches]
    for line, _, shifts in found.values():
        shift = np.average(shifts, axis=0, weights=sizes)
        new = values(line) + (shift if line.name == "moving_mean" else -shift)
        if obeys(line, new):
            line.assign(new)
    return graph.model


def _change(layer: Any) -> Any:
    """Returns q(W) − W, rounded as in the file, which is made from weights in float32."""
    variable, axes = kernel_of(layer)
    kernel = ops.cast(read(variable), "float32")
    return ops.cast(rounded_kernel(kernel, axes) - kernel, variable.dtype)


def _shift(layer: Any, x: Any, change: Any) -> np.ndarray:
    """Returns how far a change of the kernel of a layer shifts the mean of each of its output channels."""
    plain = share_variables(layer, activation=keras.activations.linear)
    x = ops.cast(x, read(kernel_of(layer)[0]).dtype)  # in mixed precision the layer itself would
    bias = ops.zeros(layer.bias.shape, layer.bias.dtype) if layer.use_bias else 0.0
    y = compute_output(plain, x, change, bias)
    channels = channel_axis(layer) % len(y.shape)
    others = [axis for axis in range(len(y.shape)) if axis != channels]
    return ops.convert_to_numpy(ops.mean(ops.cast(y, "float32"), axis=others))
