"""Quantization-aware training: a model that computes as its int8 file will, on the variables of a plain one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import keras

from kerasprune._keras import replaced_attributes
from kerasprune.checks import kind_faults, whole_number_faults
from kerasprune.errors import PruneError, first_of, raise_faults, warn
from kerasprune.export.quantization.fake_quantize import FixedRange, FollowedRange
from kerasprune.export.quantization.graph_with_ranges import GraphWithRanges
from kerasprune.export.quantization.rounded_layers import RoundedKernel
from kerasprune.graph.built_model import LOAD, body_of
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.ranged_model import RangedModel
from kerasprune.surgery.clone import structured_like
from kerasprune.surgery.compiled import compile_like, compiled_as
from kerasprune.surgery.compute_dtype import computing_types
from kerasprune.surgery.custom_train_step import check_keras_step

BITS = 8  # the integers of TFLite's operators
_LONGER = 100  # training steps that ranges follow at least


def quantization_aware(slim: keras.Model, *, bits: int = BITS, delay: int = 200) -> keras.Model:
    """Returns a model that computes as the int8 file of `slim` will, and shares its variables.

    Training it trains `slim` to be exact in integers. Wherever the file has integers, values are rounded to them,
    with s a scale and z the integer of zero:

        y = s · (clip(round(x / s) + z, −128, 127) − z)        activations, one range for each tensor
        w_c = s_c · clip(round(w_c / s_c), −127, 127)          kernels, a scale for each output channel

    and gradients pass as through `clip`. In inference it computes with the integers themselves, as LiteRT does; no
    gradients pass there. BatchNorm and a rectifier behind a convolution or dense layer are part of it, as in the file:
    the kernel is rounded after γ/σ, and the range is that of the rectified output. Sums have ranges for their inputs
    and their output; concatenation, pooling, reshaping and padding keep the scale of their inputs; sigmoid, softmax and
    tanh have the fixed ones of TFLite, and are rounded once more where they are concatenated with others.

    In the first `delay` training steps BatchNorm uses statistics of the batch, as always; afterwards the moving ones,
    which are held. Ranges follow the activations for `2 · delay + 100` steps, and are then held. They are
    variables of the returned model; `kp.export.tflite(aware, path, quantize="int8")` writes them into the file, for
    which no examples are needed. `aware.save` writes `slim` alone, a plain float model, compiled as `aware` is.

    Layers that are not known, such as attention, recurrent layers, LayerNormalization and separable convolutions,
    compute in float numbers between rounded tensors, in training and mostly in the file; a warning names them.

    Args:
        slim: A functional or Sequential model in float32, best trained already. If it is compiled, so is the result.
        bits: Bits of the integers: 8, as TFLite's operators have them. Defaults to 8.
        delay: Number of training steps with statistics of the batch; about an epoch. Defaults to 200.

    Returns:
        The model to compile and `fit`, or to give to `kp.distil` as the student; `aware.plain` is `slim`.

    Raises:
        PruneError: An argument is out of range, or the model is not functional, not built, or not in float32.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> slim = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> aware = kp.quantization_aware(slim)
        >>> aware.compile("sgd", "mse")
        >>> _ = aware.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
        >>> aware.trainable_variables[0] is slim.trainable_variables[0]
        True

    Reference:
        Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
        CVPR 2018, arXiv 1712.05877, §3.
    """
    _check(slim, bits, delay)
    graph = GraphWithRanges(body_of(slim), delay, 2 * delay + _LONGER)
    aware = QuantizationAware(slim, *structured_like(slim, *graph.tensors()))
    names = list(dict.fromkeys(graph.in_float))
    if names:
        warn(
            f"Expected layers whose integer operators are known. Received: {slim.name!r} with {first_of(names)}. In "
            "training they compute in float numbers, with weights that are not rounded, between rounded inputs and "
            "outputs; in the file in integers if TensorFlow's converter finds an operator, else in float numbers."
        )
    if slim.compiled:
        compile_like(aware, slim)
    return aware


class QuantizationAware(RangedModel):
    """A model with fake quantization over the variables of another; made by `quantization_aware`."""

    @property
    def ranges(self) -> list[keras.Variable]:
        """The variables that the plain model lacks: ranges, and the numbers of steps that they have followed."""
        plain = {id(variable) for variable in self.plain.variables}
        return [variable for variable in self.variables if id(variable) not in plain]

    def for_converter(self) -> AbstractContextManager[None]:
        """Lets the model be traced in float operations between ranges, not in integers, while the block runs."""
        found = [each for each in self._flatten_layers() if isinstance(each, RoundedKernel | FixedRange)]
        return replaced_attributes(*((each, "in_integers", False) for each in found))

    def check_exportable(self, form: str) -> None:
        """Raises a `PruneError` unless the file asked for has integers of 8 bits, and ranges have followed batches."""
        if form != "int8":
            raise PruneError(
                "Expected quantize='int8' for a model of kp.quantization_aware, whose ranges are of 8 bits. Received: "
                f"{form}. Export model.plain, the float model, in other formats."
            )
        if not all(int(each.seen) for each in self._flatten_layers() if isinstance(each, FollowedRange)):
            raise PruneError(
                "Expected a model whose ranges have followed some batches. Received: one that was not trained yet. "
                "Call aware.fit(…), an epoch or two at a small learning rate, before export."
            )

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Saves the plain model, compiled as this one is; see `keras.Model.save`."""
        compiled_as(self.plain, self).save(filepath, *args, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Exports the plain model; see `keras.Model.export`, and `kp.export.tflite` for the integers."""
        self.plain.export(filepath, *args, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Always raises: Keras would turn the shared kernels into integers."""
        raise PruneError(
            "Expected a plain model for Keras's quantize, which replaces kernels. Received: one of "
            "kp.quantization_aware. Call aware.plain.quantize(…)."
        )

    def get_config(self) -> dict[str, Any]:
        """Always raises: a file would have to hold fake quantization."""
        raise PruneError(
            "Expected a model to save or copy. Received: one made by kp.quantization_aware. Call aware.save(path), or "
            "take aware.plain, the float model, which holds the trained weights; save_weights holds the ranges too."
        )


def _check(slim: keras.Model, bits: int, delay: int) -> None:
    faults = kind_faults(keras.Model, LOAD, slim=slim)
    if bits != BITS:
        faults.append(f"Expected bits to be {BITS}, as TFLite's integer operators have it. Received: bits={bits!r}.")
    raise_faults("Invalid arguments for quantization_aware:", faults + whole_number_faults(0, delay=delay))
    if isinstance(slim, RangedModel):
        raise PruneError("Expected a plain model. Received: one of kp.quantization_aware. Give aware.plain.")
    check_finite_weights(body_of(slim))
    check_keras_step(slim, "Build the same graph as a keras.Model.")
    if others := computing_types(slim) - {"float32"}:
        raise PruneError(
            f"Expected a model in float32, in which the file of integers rounds. Received: {slim.name!r} in "
            f"{' and '.join(sorted(others))}. Build it under the float32 policy and load the weights into it."
        )
