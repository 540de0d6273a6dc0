"""The same features of a dense and a slim model: what comes out of their blocks, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import Functional, structures
from kerasprune.errors import PruneError
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import nodes
from kerasprune.plans import Plan
from kerasprune.surgery.applied_plan import cut

_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class BlockFeatures:
    """Two models that also put out what comes out of their blocks.

    Args:
        student: The slim model, `inputs → (outputs, features)`.
        teacher: The dense model, likewise.
        kept: For every block the axis of its channels, and the teacher's channels that the slim model has.
    """

    student: Functional
    teacher: Functional
    kept: Sequence[tuple[int, np.ndarray]]

    def distance(self, targets: Sequence[Any], found: Sequence[Any]) -> Any:
        """Returns `mean (s − t)² / mean t²` over the channels that stay, averaged over the blocks."""
        total = 0.0
        for target, feature, (axis, kept) in zip(targets, found, self.kept, strict=True):
            target = ops.stop_gradient(ops.cast(ops.take(target, kept, axis=axis), "float32"))
            error = ops.mean(ops.square(ops.cast(feature, "float32") - target))
            total = total + error / (_mean_of_batch(ops.square(target)) + _LEAST)
        return total / len(self.kept)


def _mean_of_batch(values: Any) -> Any:
    """Returns the mean of values; that over all replicas of TensorFlow, as the error is averaged over them."""
    on_replicas = keras.backend.backend() == "tensorflow"
    return ops.moments(values, axes=list(range(len(values.shape))), synchronized=on_replicas)[0]


def block_features(slim: Functional, teacher: Functional, plan: Plan) -> BlockFeatures:
    """Returns both models with the ends of those blocks that both have.

    Args:
        slim: The slim model.
        teacher: The dense model.
        plan: The plan that the slim one was rebuilt with.

    Raises:
        PruneError: The plan is not one of the teacher, or there are no blocks.
    """
    applied = cut(trace(teacher, coupling=plan.coupling, unknown="freeze"), plan)
    blocks = set(trace(teacher, unknown="freeze").blocks)
    made = [{node.operation.name: node.outputs[0] for node in nodes(model)} for model in (slim, teacher)]
    kept, ends = [], []
    for call in applied.graph.calls:
        name, lines = call.operation.name, list(call.outputs[0].axes.items())
        if name not in blocks or len(lines) != 1 or not all(name in tensors for tensors in made):
            continue
        axis, ids = lines[0]
        kept.append((axis, applied.take(ids)))
        ends.append(name)
    if not kept:
        raise PruneError(
            f"Expected a model with blocks, such as residual ones. Received: {teacher.name!r}, in which none was "
            "found. Leave features out."
        )
    models = []
    for model, tensors in zip((slim, teacher), made, strict=True):
        inputs, outputs = structures(model)
        models.append(keras.Model(inputs, (outputs, [tensors[name] for name in ends]), name=model.name))
    return BlockFeatures(*models, kept)
