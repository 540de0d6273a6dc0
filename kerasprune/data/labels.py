"""Labels beside inputs, in pipelines of `tf.data`; TensorFlow itself is not imported for that."""

from __future__ import annotations

from typing import Any


def inputs_only(batches: Any) -> Any:
    """Returns the inputs of batches, without their targets."""
    return batches.map(lambda inputs, *_: inputs)


def labelled(batches: Any) -> bool:
    """Returns whether batches hold targets beside inputs."""
    return isinstance(batches.element_spec, tuple) and len(batches.element_spec) > 1
