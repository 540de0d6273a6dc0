"""SynFlow: the flow through a weight over all paths from input to output; needs no data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops, tree
from keras.backend import result_type

from kerasprune._keras import call_operation, structures
from kerasprune.backend.derivatives import gradient
from kerasprune.checks import is_number, whole_number_faults
from kerasprune.criteria.base import Checked, Criterion, argument, as_array, numbers
from kerasprune.criteria.linearised import Linearised, Swap
from kerasprune.errors import PruneError, reason_of
from kerasprune.graph.built_model import body_of
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.sizes import Size, shapes_at_size
from kerasprune.graph.trace import size_to_try, trace

_LINEAR = 1e-3  # relative tolerance of f(2x) = 2 f(x)


class Flow:
    """Shares of the flow: `S(θ) = θ ∂R/∂θ / R`, `R = Σ outputs` of the linearised network for an input of ones.

    The shares of the weights that enter a unit sum to the share of the unit; those of a cut through the network to 1.

    Args:
        graph: The graph of the model.
        side: Size of free input axes. Defaults to that of the graph, else to one that the model takes.
        swap: Further replacements of layers. Defaults to none.

    Raises:
        PruneError: The network cannot be linearised.
    """

    def __init__(self, graph: ChannelGraph, side: Size | None = None, swap: Swap = lambda layer: None) -> None:
        self.pipes = Linearised(graph, swap)
        body = body_of(graph.model)
        model, structure = self.pipes.model, structures(body)[0]
        if any(tensor.dtype == "string" for tensor in body.inputs):
            raise _not_linear("inputs of texts")
        shapes = shapes_at_size(body, size_to_try(body, side or graph.size))
        self._inputs = [
            np.ones((tensor.shape[0] or 1, *shape), tensor.dtype)
            for tensor, shape in zip(body.inputs, shapes, strict=True)
        ]

        def total(inputs: Any, factors: Any) -> Any:
            outputs = tree.flatten(call_operation(model, tree.pack_sequence_as(structure, inputs), training=False))
            kind = result_type("float32", *(y.dtype for y in outputs))
            sums = (ops.sum(ops.cast(y, kind)) for y in outputs)
            return sum(ops.cast(factor, kind) * each for factor, each in zip(factors, sums, strict=True))

        self._gradient = gradient(total, self.pipes.kernels, model.variables)

    def shares(self, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the share of every weight, in [0, 1]; all are zero if no path is left.

        Args:
            weights: One array ≥ 0 for each of the graph's `weight_kernels`.
        """
        whole, found = self._gradient(self._inputs, list(self.pipes.assign(weights)))
        whole = float(ops.convert_to_numpy(whole))
        scores = [
            as_array(new, "float64") * as_array(slope, "float64")
            for new, slope in zip(self.pipes.kernels, found, strict=True)
        ]
        return [score / whole if whole > 0 else np.zeros(score.shape) for score in scores]

    def check(self, weights: Sequence[np.ndarray]) -> None:
        """Checks that twice the input gives twice the output.

        Raises:
            PruneError: The network is not linear, so that flow is not conserved.
        """
        factors = list(self.pipes.assign(weights))
        try:
            once, twice = (
                float(ops.convert_to_numpy(self._gradient([each * times for each in self._inputs], factors)[0]))
                for times in (1, 2)
            )
        except Exception as error:  # Keras's own, of layers that take no row by itself
            raise _not_linear(f"ones that it does not take ({reason_of(str(error))})") from error
        if not np.isfinite(once) or abs(twice - 2 * once) > _LINEAR * abs(once):
            raise _not_linear(
                f"an output of {once:.4g} for an input of ones, {twice:.4g} for one of twos: a layer multiplies "
                "tensors by each other, as gates do, or shifts them"
            )


def _not_linear(received: str) -> PruneError:
    return PruneError(
        f"Expected a network of layers that are linear without activations and biases. Received: {received}. Choose "
        "another criterion: 'snip', 'grasp' or 'l1'."
    )


def _side_faults(**values: Any) -> list[str]:
    return whole_number_faults(1, **{name: each for name, each in values.items() if is_number(each)})


@dataclass(frozen=True)
class SynFlow(Checked, Criterion):
    """A weight's share of the flow through the network; needs no data.

    `S(θ) = θ ∂R/∂θ / R`, with `R = 1ᵀ (Π_l |θ_l|) 1`.

    R is the output for an input of ones, with absolute weights, BatchNorm in inference mode and no activations. Scores
    are conserved: those into and out of a unit have equal sums, and those of any cut through the network add up to 1. A
    layer is therefore never emptied before others if scores are recomputed in many rounds:
    `kp.prune_at_init(model, "synflow", keep=keep, rounds=100)`.

    The score of a channel is the sum over the kernel slices that make it.

    Differences from the official code (ganguli-lab/Synaptic-Flow): it adds the absolute values of biases and of the
    means and β of BatchNorm, which makes no difference at initialisation but distorts the scores of trained networks;
    here they are ignored. Its float32 overflows; here powers of two are divided out layer by layer, and scores are
    shares of R. An LSTM or GRU adds up its gates and looks back one step.

    Args:
        side: Size of free input axes, see `size` of `kp.trace`. Defaults to that of the graph, else to 32, or the first
            of some numbers that the model takes.

    Raises:
        PruneError: In `score`: the network has attention, or multiplies tensors by each other.

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

    side: Size | None = argument(None, _side_faults)

    def prepared(
        self, model: keras.Model, data: Any = None, loss: Any = None, seed: int = 0
    ) -> Callable[[], dict[str, np.ndarray]]:
        """Returns a function that computes `saliency_of` from the model's weights at each call."""
        graph = trace(model, unknown="freeze")
        paths, shares = [graph.paths[id(kernel.variable)] for kernel in graph.weight_kernels], self._shares(graph)
        return lambda: dict(zip(paths, shares(), strict=True))

    def _worth(self, graph: ChannelGraph, data: Any, loss: Any, seed: int) -> Callable[[Slice], Any]:
        kernels = [id(kernel.variable) for kernel in graph.weight_kernels]
        shares = dict(zip(kernels, self._shares(graph)(), strict=True))
        return lambda kernel: shares[id(kernel.variable)]

    def _shares(self, graph: ChannelGraph) -> Callable[[], list[np.ndarray]]:
        flow = Flow(graph, self.side)
        flow.check(_absolute(graph))
        return lambda: flow.shares(_absolute(graph))


def _absolute(graph: ChannelGraph) -> list[np.ndarray]:
    return [np.abs(numbers(kernel)) for kernel in graph.weight_kernels]
