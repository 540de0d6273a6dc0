"""A linear copy of a network: absolute weights, without activations, biases and means.

Its output for an input of ones is the sum over all paths of the product of the weights on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import numpy as np
from keras import layers, tree

from kerasprune._keras import nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.criteria.linear_layers import Recurrence, Rescaled, Table, Through, scaled_norm
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import is_model, pause_collection, walk
from kerasprune.surgery.clone import clone
from kerasprune.surgery.copy_layer import make_layer

_KERNEL_LAYERS = (
    layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Conv1DTranspose,
    layers.Conv2DTranspose, layers.Conv3DTranspose, layers.DepthwiseConv1D, layers.DepthwiseConv2D,
    layers.SeparableConv1D, layers.SeparableConv2D,
)  # fmt: skip
_BENDING = (
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax, layers.Dropout,
    layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout,
    layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization, layers.Rescaling,
    layers.Normalization, layers.UnitNormalization, layers.Masking, knp.Tanh,
) + tuple(
    getattr(nn, name)
    for name in (
        "Relu", "Relu6", "Sigmoid", "Softplus", "Softsign", "SoftShrink", "Silu", "Squareplus", "LogSigmoid",
        "LeakyRelu", "HardSigmoid", "HardSilu", "Elu", "Selu", "Gelu", "Celu", "TanhShrink", "HardTanh",
        "HardShrink", "Threshold", "Softmax", "LogSoftmax",
    )
)  # fmt: skip
_COMPARING = (
    layers.MultiHeadAttention, layers.GroupQueryAttention, layers.Attention, layers.AdditiveAttention,
    layers.ReversibleEmbedding,
)  # fmt: skip
_NORMS = (
    layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization, layers.GroupNormalization,
)  # fmt: skip
_RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)

Swap = Callable[[Any], Any]
"""Returns the replacement of a layer, or `None` to keep it."""


@dataclass(frozen=True)
class _Power:
    """The power of two by which a tensor of the copy has been divided."""

    value: int


class Linearised:
    """A copy of a model that sums the flow along all paths.

    Kernels are set by `assign`; biases, means and β are zero; a BatchNorm scales by γ/sqrt(σ² + ε), other
    normalisations by |γ|; activations, softmax and dropout are the identity. An LSTM or GRU adds up its gates and
    looks back one step: `y = a + a Σ|U|` with `a = x Σ|W|`. An embedding sums all words.

    Sums over paths exceed the range of floating point, so every layer's output is divided by a power of two, tensors
    that meet are brought to the same one, and only shares of the whole are meaningful.

    Args:
        graph: The graph of the model, which is left untouched.
        swap: Further replacements of layers. Defaults to none.

    Raises:
        PruneError: The model has attention, or a call whose tensors are keyword arguments.
    """

    @pause_collection()
    def __init__(self, graph: ChannelGraph, swap: Swap = lambda layer: None) -> None:
        self._body, self._swap = body_of(graph.model), swap
        self._fixed: dict[int, int] = {}  # powers of normalisations
        self._scales: dict[tuple[int, int], Rescaled] = {}
        _refuse(graph)
        self.model, made = clone(graph.model, self._make, self._meet)
        self.kernels: list[Any] = []
        self.recurrences: dict[int, Recurrence] = {}
        self._makers: list[tuple[int, int]] = []  # of each kernel the layer, and the size of its output
        called = {
            id(variable): (call.operation, index)
            for call in graph.calls
            for index, variable in enumerate(getattr(call.operation, "weights", ()))
        }
        for number, entry in enumerate(graph.weight_kernels):
            layer, index = called[id(entry.variable)]
            new = made[id(layer)]
            self.kernels.append(new.weights[index])
            self._makers.append((id(layer), math.prod(entry.variable.shape[axis] for axis in entry.makes)))
            if isinstance(new, Recurrence) and new.weights[index] is new.recurrent_kernel:
                self.recurrences[number] = new

    def assign(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Assigns the kernels.

        Args:
            weights: One array ≥ 0 for each of `kernels`.

        Returns:
            The factor of each output of the copy, so that they can be added.
        """
        gains = dict(self._fixed)
        for new, (layer, outputs), weight in zip(self.kernels, self._makers, weights, strict=True):
            mean = float(np.sum(weight, dtype="float64")) / outputs
            power = round(math.log2(mean)) if mean > 0 else 0
            gains[layer] = gains.get(layer, 0) + power
            new.assign(np.ldexp(np.asarray(weight, "float64"), -power).astype(new.dtype))
        return self._settle(gains)

    def _settle(self, gains: Mapping[int, int]) -> np.ndarray:
        """Sets the factors of tensors that meet; returns those of the outputs."""
        factors: dict[tuple[int, int], int] = {}

        def visit(node: Any, *args: Any, **kwargs: Any) -> list[_Power]:
            met = [x.value for x in tree.flatten(args) if isinstance(x, _Power)]  # the others are masks
            highest = max(met, default=0)
            for index, power in enumerate(met):
                if factors.setdefault((id(node), index), power - highest) != power - highest:
                    raise PruneError(
                        "Expected a nested model whose calls are all at one depth. Received: "
                        f"{node.operation.name!r}, in a model called at different depths. Choose another criterion."
                    )
            return [_Power(highest + gains.get(id(node.operation), 0))] * len(node.outputs)

        out = [power.value for power in walk(self._body, [_Power(0)] * len(self._body.inputs), visit)]
        for key, scale in self._scales.items():
            scale.factor.assign(_two_to(factors[key]))
        return np.asarray([_two_to(power - max(out)) for power in out], "float32")

    def _make(self, layer: Any) -> Any:
        swapped = self._swap(layer)
        if swapped is not None:
            return swapped
        if isinstance(layer, _BENDING):
            return Through(layer.name)
        if isinstance(layer, _NORMS):
            new, self._fixed[id(layer)] = scaled_norm(layer)
            return new
        if isinstance(layer, _RECURRENT):
            return Recurrence(layer)
        if isinstance(layer, layers.Embedding):
            return Table(layer)
        coarse = isinstance(layer, keras.layers.Layer) and layer.dtype_policy.compute_dtype in ("float16", "bfloat16")
        new = make_layer(layer, {("dtype",): "float32"} if coarse else {})
        inner = new.layer if isinstance(new, layers.TimeDistributed) else new
        if isinstance(inner, _KERNEL_LAYERS):
            inner.activation = keras.activations.linear
            inner.bias_initializer = keras.initializers.Zeros()
        return new

    def _meet(self, node: Any, index: int, value: Any) -> Any:
        """Appends a factor to every tensor that meets another."""
        if len(node.input_tensors) < 2 or is_model(node.operation):
            return value
        numbers = count(sum(_tensors_in(each) for each in node.arguments.args[:index]))

        def scaled(each: Any) -> Any:
            if not isinstance(each, keras.KerasTensor):
                return each
            scale = self._scales[id(node), next(numbers)] = Rescaled()
            return scale(each)

        return tree.map_structure(scaled, value)


def _refuse(graph: ChannelGraph) -> None:
    for call in graph.calls:
        if isinstance(call.operation, _COMPARING):
            raise PruneError(
                "Expected a network in which only weights multiply activations. Received: "
                f"{call.operation.name!r} of class {type(call.operation).__name__}, which multiplies activations "
                "with each other. Choose another criterion: 'snip', 'grasp' or 'l1'."
            )
        given = call.node.arguments
        by_name = sum(_tensors_in(each) for name, each in given.kwargs.items() if name != "mask")
        if by_name or isinstance(call.operation, _RECURRENT) and sum(map(_tensors_in, given.args)) > 1:
            raise PruneError(
                f"Expected tensors as positional arguments, and no states. Received: {call.operation.name!r} of class "
                f"{type(call.operation).__name__}, which is called otherwise. Write layer(x, y), or choose another "
                "criterion: 'snip', 'grasp' or 'l1'."
            )


def _tensors_in(value: Any) -> int:
    return sum(isinstance(each, keras.KerasTensor) for each in tree.flatten(value))


def _two_to(power: int) -> float:
    return math.ldexp(1.0, max(power, -126))
