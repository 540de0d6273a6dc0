"""The gate: a scale for every channel without a BatchNorm."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import POINTWISE, tensor_rule


@keras.saving.register_keras_serializable("kerasprune")
class Gate(keras.layers.Layer):
    """Multiplies every channel of the last axis by a trainable scale γ ≥ 0, initially 1.

    `kp.surgery.gated` puts gates into a model, `kp.rebuild` folds them into the layers before them.
    """

    gamma: Any

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the scales, of shape `(channels,)`."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", constraint=keras.constraints.NonNeg(), name="gamma"
        )

    def call(self, inputs: Any) -> Any:
        """Returns `γ · x`."""
        return inputs * self.gamma

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input."""
        return input_shape


@tensor_rule(Gate, constant=POINTWISE, reads=())
def gate(graph: GraphBuilder, layer: Gate, x: Ids) -> Ids:
    """`out[c] = γ_c · x[c]`; slimming and polarization treat its scales as those of BatchNorm."""
    graph.slices(layer, layer.gamma, graph.on(x, -1), role="scale")
    return x
