"""Features for distillation: the outputs of the blocks of a dense and a slim model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import Functional, structures
from kerasprune.errors import PruneError
from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import nodes
from kerasprune.surgery.cut import Cut

_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class BlockFeatures:
    """A slim and a dense model that also return the outputs of their blocks.

    Args:
        student: The slim model, `inputs → (outputs, features)`.
        teacher: The dense model, likewise.
        kept: For each block the channel axis, and the channels of the teacher that are kept.
    """

    student: Functional
    teacher: Functional
    kept: Sequence[tuple[int, np.ndarray]]

    def distance(self, targets: Sequence[Any], found: Sequence[Any]) -> Any:
        """Returns `mean (s − t)² / mean t²` over the channels kept, averaged over the blocks."""
        total = 0.0
        for target, feature, (axis, kept) in zip(targets, found, self.kept, strict=True):
            target = ops.stop_gradient(ops.cast(ops.take(target, kept, axis=axis), "float32"))
            error = ops.mean(ops.square(ops.cast(feature, "float32") - target))
            total = total + error / (_mean_of_batch(ops.square(target)) + _LEAST)
        return total / len(self.kept)


def _mean_of_batch(values: Any) -> Any:
    """Returns the mean of values, on TensorFlow over all replicas, since the error is averaged over them."""
    on_replicas = keras.backend.backend() == "tensorflow"
    return ops.moments(values, axes=list(range(len(values.shape))), synchronized=on_replicas)[0]


def block_features(slim: Functional, teacher: Functional, plan: Plan) -> BlockFeatures:
    """Returns both models with the outputs of the blocks that both have.

    Args:
        slim: The slim model.
        teacher: The dense model.
        plan: The plan of the slim model.

    Raises:
        PruneError: The plan does not fit the teacher or the slim model, or there are no blocks.
    """
    cut = Cut.of(teacher, plan)
    blocks = set(trace(teacher, unknown="freeze").blocks)
    made = [{node.operation.name: node.outputs[0] for node in nodes(model)} for model in (slim, teacher)]
    kept, ends = [], []
    for call in cut.graph.calls:
        name, lines = call.operation.name, list(call.outputs[0].axes.items())
        if name not in blocks or len(lines) != 1 or not all(name in tensors for tensors in made):
            continue
        axis, ids = lines[0]
        kept.append((axis, cut.take(ids)))
        ends.append(name)
        planned, there = len(kept[-1][1]), made[0][name].shape[axis]
        if planned != there:
            raise PruneError(
                f"Expected the plan that slim was rebuilt with. Received: one that keeps {planned} channels at the end "
                f"of {name!r}; slim has {there} there. Give that plan, or leave features out."
            )
    if not kept:
        raise PruneError(
            f"Expected a model with blocks, such as residual ones. Received: {teacher.name!r}, which has "
            "none. Leave features out."
        )
    models = []
    for model, tensors in zip((slim, teacher), made, strict=True):
        inputs, outputs = structures(model)
        models.append(keras.Model(inputs, (outputs, [tensors[name] for name in ends]), name=model.name))
    return BlockFeatures(*models, kept)
