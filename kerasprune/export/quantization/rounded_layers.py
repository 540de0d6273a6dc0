"""Layers that compute with rounded kernels and constants, on the variables of other layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from kerasprune._keras import copied_operation, stored_kernel
from kerasprune.export.quantization.fake_quantize import FollowedRange, Range, Rounding
from kerasprune.export.quantization.rounding import kernel_codes, read, rounded_constant, rounded_kernel


def share_variables(operation: Any, **changes: Any) -> Any:
    """Returns a copy of a layer or operation without its calls, on the same variables.

    Args:
        operation: The layer or operation.
        **changes: Attributes of the copy that differ.
    """
    new = copied_operation(operation)
    vars(new).update(changes)
    return new


def kernel_of(layer: Any) -> tuple[Any, tuple[int, ...]]:
    """Returns the kernel variable of a layer and the axes of its output channels."""
    if isinstance(layer, layers.Dense):
        return stored_kernel(layer), (1,)
    last = len(layer.kernel.shape) - 1
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return layer.kernel, (last - 1, last)
    return layer.kernel, (last - 1,) if isinstance(layer, layers.Conv2DTranspose) else (last,)


def along(kernel: Any, axes: tuple[int, ...]) -> list[int]:
    """Returns the shape in which numbers along some axes of a kernel multiply it."""
    return [n if axis in axes else 1 for axis, n in enumerate(kernel.shape)]


def compute_output(layer: Any, x: Any, kernel: Any, bias: Any) -> Any:
    """Returns the output of a layer with other values of its kernel and of its bias, if it has one."""
    stored, _ = kernel_of(layer)
    pairs = [(each, kernel if each is stored else bias) for each in layer.variables]
    with keras.StatelessScope(state_mapping=pairs):
        return layer.call(x)


class Statistics(Rounding):
    """Scale and offset of a BatchNorm, `z = scale · y + offset`, that stops following batches after some steps.

        scale = γ / sqrt(σ² + ε),  offset = β − μ · scale

    Args:
        norm: The BatchNorm, whose variables are used and whose moving statistics are updated.
        steps: Number of training steps with statistics of the batch; afterwards μ and σ² are the moving ones, held.
        name: Name of the layer that it is part of, so that names of variables are the same whenever it is made.
    """

    def __init__(self, norm: layers.BatchNormalization, steps: int, name: str) -> None:
        super().__init__(f"{name}_statistics", steps=steps, epsilon=norm.epsilon, momentum=norm.momentum)
        self.norm, self.steps = share_variables(norm), steps
        self.seen = self._number("seen", "int32")
        self.built = True  # it is not called

    def moving(self) -> tuple[Any, Any]:
        """Returns scale and offset with the moving statistics."""
        return self._line(*map(read, (self.norm.moving_mean, self.norm.moving_variance)))

    def of_batch(self, y: Any) -> tuple[Any, Any]:
        """Returns scale and offset in training for what the BatchNorm normalises, and updates the moving statistics."""
        norm, early = self.norm, read(self.seen) < self.steps
        axes = [axis for axis in range(len(y.shape)) if axis != norm.axis % len(y.shape)]
        statistics = ops.moments(y, axes=axes, synchronized=norm.synchronized)
        used = []
        for variable, found in zip((norm.moving_mean, norm.moving_variance), statistics, strict=True):
            before = read(variable)
            used.append(ops.where(early, found, before))
            after = before * norm.momentum + ops.stop_gradient(found) * (1.0 - norm.momentum)
            variable.assign(ops.where(early, after, before))
        self.seen.assign(self.seen + 1)
        return self._line(*used)

    def _line(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        scale = ops.rsqrt(variance + self.norm.epsilon)
        if self.norm.scale:
            scale = scale * self.norm.gamma
        offset = -mean * scale
        return scale, offset + self.norm.beta if self.norm.center else offset


class RoundedKernel(Rounding):
    """A convolution or dense layer with a kernel of 8 bits, and the BatchNorm after it, without activation.

    As in the file, BatchNorm is folded into kernel and bias: `y = conv(x, q(scale · W)) + scale · b + offset`. With
    statistics of the batch it is `y = scale · (conv(x, q(W)) + b) + offset`: the same, since `q` has a scale for each
    output channel. In inference it computes with the integers themselves, which float32 holds exactly:

        y = s_y · round((s_x s_w / s_y) · (conv(x / s_x, W / s_w) + round(b / (s_x s_w))))

    Args:
        layer: The layer.
        norm: The BatchNorm, or `None`.
        steps: As in `Statistics`.
        ranges: The ranges of the input and of the output.
        name: Name of the layer.
    """

    def __init__(self, layer: Any, norm: Any, steps: int, ranges: tuple[Range, Range], name: str) -> None:
        super().__init__(name, **layer.get_config(), steps=steps)
        self.supports_masking = layer.supports_masking
        self.layer = share_variables(layer, activation=keras.activations.linear)
        self.statistics = norm and Statistics(norm, steps, name)
        first = getattr(layer, "data_format", None) == "channels_first"
        vars(self).update(in_integers=True, _ranges=ranges, _first=first)  # past Keras's tracking

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the output of the layer and the BatchNorm."""
        variable, axes = kernel_of(self.layer)
        kernel, bias = read(variable), read(self.layer.bias) if self.layer.use_bias else 0.0
        if training and self.statistics and self.statistics.norm.trainable:
            y = self._by_floats(x, kernel, bias)
            scale, offset = self.statistics.of_batch(y)
            return y * self._along(scale) + self._along(offset)
        if self.statistics:
            scale, offset = self.statistics.moving()
            kernel = kernel * ops.reshape(scale, along(kernel, axes))
            bias = bias * scale + offset
        return (self._by_integers if self.in_integers and not training else self._by_floats)(x, kernel, bias)

    def _by_floats(self, x: Any, kernel: Any, bias: Any) -> Any:
        return self._run(x, rounded_kernel(kernel, kernel_of(self.layer)[1]), bias)

    def _by_integers(self, x: Any, kernel: Any, bias: Any) -> Any:
        fed, made = (each.step() for each in self._ranges)
        codes, scale = kernel_codes(kernel, kernel_of(self.layer)[1])
        scale = fed * ops.reshape(scale, [-1])
        total = self._run(ops.round(x / fed), codes, ops.round(bias / scale))
        return made * ops.round(total * self._along(scale / made))

    def _run(self, x: Any, kernel: Any, bias: Any) -> Any:
        y = compute_output(self.layer, x, kernel, bias)
        return y if self.layer.use_bias else y + self._along(bias)

    def _along(self, values: Any) -> Any:
        """Returns one number for each channel in a shape to broadcast against the output."""
        rank = self.layer.input_spec.ndim
        return ops.reshape(values, [-1, *[1] * (rank - 2)]) if self._first else values

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of the output of the layer."""
        return self.layer.compute_output_shape(input_shape)


class RoundedNorm(Rounding):
    """A BatchNorm that does not follow a kernel: a product and a sum with rounded constants.

    Args:
        norm: The BatchNorm.
        steps: As in `Statistics`.
        held: Number of training steps after which the range of the product is held.
        name: Name of the layer.
    """

    def __init__(self, norm: layers.BatchNormalization, steps: int, held: int, name: str) -> None:
        super().__init__(name, steps=steps)
        self.statistics = Statistics(norm, steps, name)
        self.product = FollowedRange(held, name=f"{name}_product")

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the normalised tensor."""
        norm, axis = self.statistics.norm, self.statistics.norm.axis % len(x.shape)
        line = self.statistics.of_batch(x) if training and norm.trainable else self.statistics.moving()
        shape = [-1 if each == axis else 1 for each in range(len(x.shape))]
        scale, offset = (ops.reshape(rounded_constant(each), shape) for each in line)
        return self.product(x * scale, training=training) + offset
