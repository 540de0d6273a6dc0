"""Masks of attention in the size of the scores: integers that reach down to −1e9 would have one step for all scores.

A mask puts −1e9 (Keras's own −1e9 or −2e38) in place of scores, or adds it to them, before a softmax. What lies 20
below the largest score has a probability of zero as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune._keras import replaced_attributes

if TYPE_CHECKING:
    import tensorflow as tf

HUGE = 1e4  # of a constant that is a mask
BELOW = 20.0  # exp(−20) = 2e-9
CLOSE = 1e-5  # of the largest output, by which two traces of a graph may differ
_TIMES = 1, 2, 4
_PASSED = (
    "Add AddV2 BiasAdd Sub Mul Neg Select SelectV2 Cast Identity ExpandDims Squeeze Reshape Transpose Tile BroadcastTo "
    "StridedSlice Slice GatherV2 ConcatV2 Pack"
)
"""Operations through which a constant becomes part of the scores."""


def trace_with_small_masks(trace: Callable[[], None], run: Callable[[], Sequence[Any]] | None = None) -> None:
    """Traces a model; if it has masks, so that they are as far below the scores as to count for nothing.

    With unmasked scores in [a, b] a constant beyond ±1e4 becomes ±(max(b, 0) − min(a, 0) + 20), or two or four times
    that if masked scores are larger. Where outputs are others then, because it was no mask, the trace stays as it is.

    Args:
        trace: Traces the model in a TensorFlow graph, once or again.
        run: Returns its outputs for a batch of samples. Defaults to `None`: masks stay as they are.
    """
    with _traced_softmax(None) as found:
        trace()
    numbers = _small_numbers(run) if run is not None and any(found) else None
    if numbers is not None:
        with _traced_softmax(numbers):
            trace()


def _small_numbers(run: Callable[[], Sequence[Any]]) -> list[float] | None:
    """Returns the number that is to stand for a mask, for one softmax after the other, or `None` if none does."""
    import tensorflow as tf

    with _recorded_softmax() as bounds:
        run()
    wanted = tf.function(run)()
    for times in _TIMES:
        numbers = [times * each for each in bounds]
        with _traced_softmax(numbers):
            made = tf.function(run)()
        if all(map(_close, wanted, made)):
            return numbers
    return None


def _close(x: tf.Tensor, y: tf.Tensor) -> bool:
    x, y = (np.asarray(each, "float64") for each in (x, y))
    return bool(np.abs(x - y).max() <= CLOSE * np.abs(x).max())


@contextmanager
def _recorded_softmax() -> Iterator[list[float]]:
    """Yields how far below the scores a mask is to be, for each softmax that is computed while the block runs."""
    import tensorflow as tf

    softmax, bounds = tf.nn.softmax, []

    def recorded(logits: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        scores = np.array([0.0]) if tf.is_symbolic_tensor(logits) else np.asarray(logits)
        scores = scores[scores > -HUGE / 2]
        bounds.append(math.ceil(np.max(scores, initial=0.0) - np.min(scores, initial=0.0) + BELOW))
        return softmax(logits, *args, **kwargs)

    with replaced_attributes((tf.nn, "softmax", recorded)):
        yield bounds


@contextmanager
def _traced_softmax(bounds: Sequence[float] | None) -> Iterator[list[bool]]:
    """Lets masks be traced with smaller numbers while the block runs; yields whether each softmax has masks.

    Args:
        bounds: The numbers, for one softmax after the other. `None`: masks stay as they are.
    """
    import tensorflow as tf

    softmax, numbers, found = tf.nn.softmax, iter(bounds or ()), []

    def traced(logits: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        if not tf.is_symbolic_tensor(logits):
            return softmax(logits, *args, **kwargs)
        small = _with_small_constants(logits, next(numbers, BELOW), {})
        found.append(small is not logits)
        return softmax(small if bounds else logits, *args, **kwargs)

    with replaced_attributes((tf.nn, "softmax", traced)):
        yield found


def _with_small_constants(x: tf.Tensor, bound: float, known: dict[Any, tf.Tensor]) -> tf.Tensor:
    """Returns a tensor computed with ±bound in place of huge constants; itself if there are none."""
    import tensorflow as tf

    if x.ref() in known:
        return known[x.ref()]
    known[x.ref()], operation = x, x.op
    if operation.type == "Const" and x.dtype in (tf.float32, tf.int32, tf.int64):
        value = tf.get_static_value(x)
        if np.abs(value).max(initial=0) >= HUGE:
            small = np.where(np.abs(value) >= HUGE, np.sign(value) * bound, value).astype(value.dtype)
            with x.graph.as_default():
                known[x.ref()] = tf.constant(small)
    elif operation.type in _PASSED.split():
        inputs = [_with_small_constants(each, bound, known) for each in operation.inputs]
        if any(new is not old for new, old in zip(inputs, operation.inputs, strict=True)):
            made = [each.dtype for each in operation.outputs]
            with x.graph.as_default(), x.graph.name_scope(None):  # named for the same layer
                known[x.ref()] = x.graph.create_op(
                    operation.type, inputs, made, name=operation.name, attrs=dict(operation.node_def.attr)
                ).outputs[x.value_index]
    return known[x.ref()]
