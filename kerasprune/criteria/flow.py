"""How much of all that flows through a network goes through each of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops, tree
from keras.backend import result_type

from kerasprune._keras import structures
from kerasprune.backend.derivatives import gradient
from kerasprune.criteria.linearised import Linearised, Swap
from kerasprune.errors import PruneError
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import functional

_LINEAR = 1e-3  # by how much twice the input may put out something else than twice the output, relative


class Flow:
    """Shares of the flow: `S(θ) = θ ∂R/∂θ / R`, `R = Σ outputs` of the linearised network for an input of ones.

    All weights that cut the network in two, or that enter a unit, have together the share of what they let through.

    Args:
        graph: The graph of the model.
        side: Length of the axes of the input that the model leaves free. Defaults to 32.
        swap: Layers that others take the place of, beside the linearised ones. Defaults to none.

    Raises:
        PruneError: The network cannot be linearised.
    """

    def __init__(self, graph: ChannelGraph, side: int = 32, swap: Swap = lambda layer: None) -> None:
        self.pipes = Linearised(graph, swap)
        model, structure = self.pipes.model, structures(functional(graph.model))[0]
        self._inputs = [
            np.ones((1, *[side if size is None else size for size in tensor.shape[1:]]), tensor.dtype)
            for tensor in functional(graph.model).inputs
        ]

        def total(inputs: Any, factors: Any) -> Any:
            outputs = tree.flatten(model(tree.pack_sequence_as(structure, inputs), training=False))
            kind = result_type("float32", *(y.dtype for y in outputs))
            sums = (ops.sum(ops.cast(y, kind)) for y in outputs)
            return sum(ops.cast(factor, kind) * each for factor, each in zip(factors, sums, strict=True))

        self._gradient = gradient(total, [new for _, new in self.pipes.kernels], model.variables)

    def shares(self, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the share of every weight, in [0, 1]; all are zero where nothing comes through.

        Args:
            weights: One array ≥ 0 for each kernel of the graph.
        """
        factors = list(self.pipes.assign(weights))
        whole, found = self._gradient(self._inputs, factors)
        whole = float(ops.convert_to_numpy(whole))
        scores = [
            np.asarray(ops.convert_to_numpy(new), "float64") * np.asarray(ops.convert_to_numpy(slope), "float64")
            for (_, new), slope in zip(self.pipes.kernels, found, strict=True)
        ]
        return [score / whole if whole > 0 else np.zeros(score.shape) for score in scores]

    def check(self, weights: Sequence[np.ndarray]) -> None:
        """Checks that the network is linear: twice the input puts out twice as much.

        Raises:
            PruneError: It is not, so that no flow is conserved.
        """
        factors = list(self.pipes.assign(weights))
        once, twice = (
            float(ops.convert_to_numpy(self._gradient([each * times for each in self._inputs], factors)[0]))
            for times in (1, 2)
        )
        if not np.isfinite(once) or abs(twice - 2 * once) > _LINEAR * abs(once):
            raise PruneError(
                "Expected a network whose layers multiply what flows by weights and add it up. Received: "
                f"{once:.4g} for an input of ones, {twice:.4g} for one of twos: a layer multiplies tensors by each "
                "other, as gates do, or shifts them. Choose another criterion: 'snip', 'grasp' or 'l1'."
            )
