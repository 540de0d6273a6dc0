"""Layers of a linearised network, in place of normalisations, recurrent layers and embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops, tree

from kerasprune.graph.graph import values


class Pipe(layers.Layer):
    """Base of linear layers in float32 that ignore masks."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.supports_masking = True


class Through(Pipe):
    """Returns its input, cast to float32."""

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns `x`."""
        return ops.cast(x, "float32")


class Either(Pipe):
    """Sums its inputs, so that a path through any of them counts."""

    def call(self, *tensors: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns the sum; tensors are given one by one, or as one list."""
        return sum(tree.flatten(tensors))

    def compute_mask(self, *tensors: Any, mask: Any = None, **others: Any) -> None:
        """Returns `None`: no position is masked."""


class Rescaled(layers.Layer):
    """Multiplies by a scalar variable."""

    def build(self, shape: Any) -> None:
        """Creates the variable."""
        self.factor = self.add_weight(shape=(), initializer="ones", trainable=False, name="factor")

    def call(self, x: Any) -> Any:
        """Returns `factor · x`."""
        return self.factor * x


class Scaled(Pipe):
    """Multiplies by constants along some axes.

    Args:
        scale: The constants, an array with an axis for each of `axes`.
        axes: The axes, ascending.
        name: Name of the layer.
    """

    def __init__(self, scale: np.ndarray, axes: tuple[int, ...], name: str) -> None:
        super().__init__(name)
        self._scale, self._axes = scale.astype("float32"), axes

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns `scale · x`."""
        line = [1] * len(x.shape)
        for axis, size in zip(self._axes, self._scale.shape, strict=True):
            line[axis] = size
        return x * ops.convert_to_tensor(self._scale.reshape(line))


def scaled_norm(layer: Any) -> tuple[Scaled, int]:
    """Returns a layer that multiplies by a normalisation's scale over a power of two, and the power.

    The scale is `γ/sqrt(σ² + ε)` for BatchNorm, |γ| for normalisations by the statistics of their input.
    """
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    axes = tuple(sorted(axis % len(layer.input.shape) for axis in axes))
    gamma = layer.scale if isinstance(layer, layers.RMSNormalization) else layer.gamma
    shape = [layer.input.shape[axis] for axis in axes]
    scale = np.ones(shape) if gamma is None else np.abs(values(gamma)).astype("float64").reshape(shape)
    if isinstance(layer, layers.BatchNormalization):
        scale = scale / np.sqrt(values(layer.moving_variance).astype("float64") + layer.epsilon)
    power = round(math.log2(scale.mean())) if scale.mean() > 0 else 0
    return Scaled(np.ldexp(scale, -power), axes, layer.name), power


class Recurrence(Pipe):
    """A recurrent layer with summed gates and one step back: `y = (a + a Σ|U|) P`, `a = x Σ|W| P`.

    Args:
        old: The LSTM, GRU or SimpleRNN.
    """

    def __init__(self, old: Any) -> None:
        super().__init__(old.name)
        self._units, self._sequences = old.units, old.return_sequences
        self._states = old.return_state * (2 if isinstance(old, layers.LSTM) else 1)
        self._columns = old.cell.kernel.shape[-1]

    def build(self, shape: Any) -> None:
        """Creates both kernels, in the order and shapes of the recurrent layer, and P, the identity."""
        self.kernel = self.add_weight(shape=(shape[-1], self._columns), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self._units, self._columns), name="recurrent_kernel")
        self.paths = self.add_weight(
            shape=(self._units, self._units), initializer="identity", trainable=False, name="paths"
        )

    def compute_mask(self, x: Any, mask: Any = None) -> None:
        """Returns `None`: no position is masked."""

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns the outputs, and the states if the layer returns them."""
        inputs, back = (ops.sum(ops.reshape(k, (k.shape[0], -1, self._units)), 1) for k in self.weights[:2])
        first = ops.matmul(ops.matmul(x, inputs), self.paths)
        y = ops.matmul(first + ops.matmul(first, back), self.paths)
        out = y if self._sequences else ops.mean(y, 1)
        return [out, *[ops.mean(y, 1)] * self._states] if self._states else out


class Table(Pipe):
    """An embedding that sums all words, times its input.

    Args:
        old: The embedding.
    """

    def __init__(self, old: layers.Embedding) -> None:
        super().__init__(old.name)
        self._size = old.input_dim, old.output_dim

    def build(self, shape: Any) -> None:
        """Creates the table."""
        self.embeddings = self.add_weight(shape=self._size, name="embeddings")

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns `x · Σ_v table[v]`."""
        return ops.cast(x, "float32")[..., None] * ops.sum(self.embeddings, 0)
