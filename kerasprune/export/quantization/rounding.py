"""Rounding to the integers of a `.tflite` file and back, with straight-through gradients."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_LEVELS = 255  # 8 bits, without 0
_GREATEST = 127  # of the integers of a kernel
_LEAST = 1e-12  # the narrowest range, so that an empty channel has a scale


def read(variable: keras.Variable) -> Any:
    """Returns the present value of a variable as a tensor, which later assignments do not change."""
    return ops.convert_to_tensor(variable.value)


def round_activations(x: Any, low: Any, high: Any) -> Any:
    """Returns activations rounded to 256 levels that include zero.

        s = (high − low) / 255,  z = round(−low / s),  q = clip(round(x / s) + z, 0, 255),  y = s (q − z)

    The step s has 16 significant bits, so that every y is exact in float32. The gradient is that of
    `clip(x, s (0 − z), s (255 − z))`: 1 inside the range, 0 outside.

    Args:
        x: The activations.
        low: Lower end of the range, a scalar of at most 0.
        high: Upper end of the range, a scalar of at least 0.
    """

    @ops.custom_gradient
    def clipped(x: Any, low: Any, high: Any) -> Any:
        least, greatest, _ = grid(low, high)
        inside = ops.cast(ops.logical_and(x >= least, x <= greatest), x.dtype)

        def gradient(*given: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
            return _upstream(given, upstream) * inside, ops.zeros_like(low), ops.zeros_like(high)

        if keras.backend.backend() != "tensorflow":
            return _on_grid(x, low, high), gradient
        from kerasprune.backend.tensorflow import fake_quantized

        return fake_quantized(x, least, greatest), gradient  # the operation from which the converter reads the range

    return clipped(x, low, high)


def rounded_constant(x: Any) -> Any:
    """Returns a constant rounded to 256 levels over its own range, with zero; the gradient is 1."""
    return _straight_through(x, _on_grid(x, ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)))


def rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """Returns a kernel rounded to the integers from −127 to 127, with a scale for each output channel.

        s_c = max |w_c| / 127,  y_c = s_c · round(w_c / s_c)

    The gradient is 1. Zeros stay zero. A factor for each channel passes through: `rounded_kernel(f · w)` is
    `f · rounded_kernel(w)`. The converter finds the same integers again, since it has the same scales.

    Args:
        kernel: The kernel.
        axes: The axes of its output channels.
    """
    codes, scale = kernel_codes(kernel, axes)
    return _straight_through(kernel, codes * scale)


def kernel_codes(kernel: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Returns the integers of a kernel and the scale of each output channel; arguments as in `rounded_kernel`."""
    others = [axis for axis in range(len(kernel.shape)) if axis not in axes]
    scale = _short(ops.maximum(ops.max(ops.abs(kernel), axis=others, keepdims=True), _LEAST) / _GREATEST)
    return ops.round(kernel / scale), scale


def _short(x: Any) -> Any:
    """Returns numbers rounded to 16 significant bits: their products with 8 bits are exact in float32."""
    long = x * (2.0**8 + 1)
    return long - (long - x)


def _straight_through(x: Any, rounded: Any) -> Any:
    return x + ops.stop_gradient(rounded - x)


def _upstream(given: tuple[Any, ...], upstream: Any) -> Any:
    """Returns the gradient of the output: the one argument, but a keyword on torch."""
    return given[0] if upstream is None else upstream


def _on_grid(x: Any, low: Any, high: Any) -> Any:
    least, greatest, scale = grid(low, high)
    steps = ops.floor((ops.clip(x, least, greatest) - least) / scale + 0.5)
    return steps * scale + least


def grid(low: Any, high: Any) -> tuple[Any, Any, Any]:
    """Returns the lowest and the highest level, and the step between levels; zero is one of them."""
    scale = _short(ops.maximum(high - low, _LEAST) / _LEVELS)
    zero = ops.clip(ops.floor(0.5 - low / scale), 0, _LEVELS)
    return -zero * scale, (_LEVELS - zero) * scale, scale
