"""SynFlow: what flows through a weight on all paths from input to output. It needs no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree
from keras.backend import result_type

from kerasprune._keras import structures
from kerasprune.backend.derivatives import gradient
from kerasprune.criteria.base import Criterion, as_array, numbers
from kerasprune.criteria.linearised import Linearised, Swap
from kerasprune.errors import PruneError, raise_faults, whole_number_faults
from kerasprune.graph.built_model import functional
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace

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

        self._gradient = gradient(total, self.pipes.kernels, model.variables)

    def shares(self, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the share of every weight, in [0, 1]; all are zero where nothing comes through.

        Args:
            weights: One array ≥ 0 for each kernel of the graph.
        """
        whole, found = self._gradient(self._inputs, list(self.pipes.assign(weights)))
        whole = float(ops.convert_to_numpy(whole))
        scores = [
            as_array(new, "float64") * as_array(slope, "float64")
            for new, slope in zip(self.pipes.kernels, found, strict=True)
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


@dataclass(frozen=True)
class SynFlow(Criterion):
    """`S(θ) = θ ∂R/∂θ / R`, `R = 1ᵀ (Π_l |θ_l|) 1`: the share of a weight in all that flows through the network.

    For an input of ones, absolute weights, BatchNorm as in evaluation, activations left out. Scores are conserved: what
    enters a unit leaves it, and every cut through the network adds up to 1. A layer is therefore never emptied before
    others where scores are taken anew in many rounds: `kp.prune_at_init(model, "synflow", keep=keep, rounds=100)`.

    A channel is worth what flows through it: the sum over the kernel slices that make it.

    Beside the official code (ganguli-lab/Synaptic-Flow): biases, means and β of BatchNorm are left out; there their
    absolute values are added, which is the same at initialisation and distorts the scores of trained networks. Powers
    of two are divided out layer by layer, and scores are shares of R, so that nothing overflows; there float32 does.
    An LSTM or GRU adds up its gates and looks back one step.

    Args:
        side: Length of the axes of the input that the model leaves free. Defaults to 32.

    Raises:
        PruneError: The side is no whole number of at least 1; in use: the network has attention, or multiplies tensors
            by each other.

    Example:
        >>> import keras, numpy as np
        >>> inputs = keras.Input((1,))
        >>> x = keras.layers.Dense(2, use_bias=False)(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(x))
        >>> model.set_weights([np.array([[1.0, -3.0]]), np.array([[1.0], [1.0]])])
        >>> [share.ravel().tolist() for share in SynFlow().saliency_of(model).values()]
        [[0.25, 0.75], [0.25, 0.75]]

    Reference:
        Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
        arXiv 2006.05467, section 5, Algorithm 1.
    """

    side: int = 32

    def __post_init__(self) -> None:
        raise_faults("SynFlow cannot be made:", whole_number_faults(1, side=self.side))

    def prepared(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> Callable[[], dict[str, np.ndarray]]:
        """Returns `saliency_of` as a function of the weights that the model has at each call."""
        graph = trace(model, unknown="freeze")
        paths, shares = [kernel.variable.path for kernel in graph.kernels], self._shares(graph)
        return lambda: dict(zip(paths, shares(), strict=True))

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        shares = dict(zip((id(kernel.variable) for kernel in graph.kernels), self._shares(graph)(), strict=True))
        return lambda kernel: shares[id(kernel.variable)]

    def _shares(self, graph: ChannelGraph) -> Callable[[], list[np.ndarray]]:
        flow = Flow(graph, self.side)
        flow.check(_absolute(graph))
        return lambda: flow.shares(_absolute(graph))


def _absolute(graph: ChannelGraph) -> list[np.ndarray]:
    return [np.abs(numbers(kernel)) for kernel in graph.kernels]
