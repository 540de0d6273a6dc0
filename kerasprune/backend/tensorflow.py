"""Derivatives, full precision and forward passes on TensorFlow: compiled functions, with tapes inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

_NONE = tf.UnconnectedGradients.ZERO


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a pure function as one program for each shape of its arguments."""
    return tf.function(function, autograph=False, reduce_retracing=True)


def compiled_over(function: Callable[..., Any], variables: Sequence[Any]) -> Callable[..., Any]:
    """Returns `(*arguments) → function(values of the variables, *arguments)` as one program, which reads the values.

    Handed over one by one, a hundred values take longer than most programs of this package.
    """
    return compiled(lambda *arguments: function([tf.convert_to_tensor(each.value) for each in variables], *arguments))


def gradient(function: Callable[..., Any]) -> Callable[..., tuple[Any, list[Any]]]:
    """Returns `(values, rest, *arguments) → (value, gradients with respect to the values)`, compiled."""

    def differentiated(values: list[Any], rest: list[Any], *arguments: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            result = function(values, rest, *arguments)
        return result, _dense(tape.gradient(result, values, unconnected_gradients=_NONE))

    return tf.function(differentiated, autograph=False, reduce_retracing=True)


def hessian_vector_product(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Returns `(values, rest, vectors, *arguments) → Hessian times the vectors`, compiled."""

    def product(values: list[Any], rest: list[Any], vectors: list[Any], *arguments: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(values)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(values)
                result = function(values, rest, *arguments)
            gradients = _dense(inner.gradient(result, values, unconnected_gradients=_NONE))
            along = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(gradients, vectors, strict=True)])
        return _dense(outer.gradient(along, values, unconnected_gradients=_NONE))

    return tf.function(product, autograph=False, reduce_retracing=True)


def _dense(gradients: list[Any]) -> list[Any]:
    """Returns gradients as dense tensors: those of an embedding are sparse rows."""
    return [tf.convert_to_tensor(each) for each in gradients]


def fake_quantized(x: Any, low: Any, high: Any) -> Any:
    """Returns values rounded to 256 levels by the operation from which TFLite's converter reads ranges.

    Args:
        x: The values.
        low: Lower end of the range, a scalar.
        high: Upper end of the range, a scalar.
    """
    return tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=8)


@contextmanager
def full_precision() -> Iterator[None]:
    """Computes products of float32 in float32 within the block, in what is not compiled before."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def forward(model: Any, inputs: Any, jit: bool) -> tuple[Callable[[], Any], int | None]:
    """Returns a compiled forward pass and its memory, see `backend.forward`."""
    function = tf.function(lambda inputs: model(inputs, training=False), jit_compile=jit or None, autograph=False)

    def run() -> Any:
        outputs = function(inputs)
        tf.test.experimental.sync_devices()  # a GPU computes on while Python goes on
        return outputs

    run()
    kind, _ = device_in_use()
    if kind == "cpu":  # which has no statistics
        return run, None
    tf.config.experimental.reset_memory_stats(f"{kind}:0")
    before = tf.config.experimental.get_memory_info(f"{kind}:0")["current"]
    run()
    return run, tf.config.experimental.get_memory_info(f"{kind}:0")["peak"] - before


def device_in_use() -> tuple[str, str]:
    """Returns kind and name of the device."""
    kind = tf.DeviceSpec.from_string(tf.zeros(()).device).device_type
    details = [tf.config.experimental.get_device_details(each) for each in tf.config.list_physical_devices(kind)[:1]]
    return kind.lower(), "".join(each.get("device_name", "") for each in details)
