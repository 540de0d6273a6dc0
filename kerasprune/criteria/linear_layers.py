"""Layers of a linearised network: what takes the place of normalisations, recurrent layers and embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops, tree

from kerasprune.graph.graph import values


class Pipe(layers.Layer):
    """Base of layers that let flow through in float32, whatever is masked."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.supports_masking = True


class Through(Pipe):
    """Hands on what it gets, as numbers that can be differentiated."""

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns `x`."""
        return ops.cast(x, "float32")


class Either(Pipe):
    """Adds tensors up: a way through any of them is a way."""

    def call(self, *tensors: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns the sum; tensors are given one by one, or as one list."""
        return sum(tree.flatten(tensors))

    def compute_mask(self, *tensors: Any, mask: Any = None, **others: Any) -> None:
        """Returns none: every position flows."""


class Rescaled(layers.Layer):
    """Multiplies by a number, which is a variable."""

    def build(self, shape: Any) -> None:
        """Makes the number."""
        self.factor = self.add_weight(shape=(), initializer="ones", trainable=False, name="factor")

    def call(self, x: Any) -> Any:
        """Returns `factor · x`."""
        return self.factor * x


class Scaled(Pipe):
    """Multiplies by constant numbers along some axes.

    Args:
        scale: The numbers, an array with an axis for each of `axes`.
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
    """Returns what a normalisation multiplies by, and the power of two by which that was divided.

    `γ/sqrt(σ² + ε)` for BatchNorm, |γ| for those that take their statistics of what flows.
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
    """A recurrent layer whose gates are added up, and that looks back one step: `y = (a + a Σ|U|) P`, `a = x Σ|W| P`.

    Args:
        old: The LSTM, GRU or SimpleRNN.
    """

    def __init__(self, old: Any) -> None:
        super().__init__(old.name)
        self._units, self._sequences = old.units, old.return_sequences
        self._states = old.return_state * (2 if isinstance(old, layers.LSTM) else 1)
        self._columns = old.cell.kernel.shape[-1]

    def build(self, shape: Any) -> None:
        """Makes both kernels, in the order and shapes of the recurrent layer, and P, the identity."""
        self.kernel = self.add_weight(shape=(shape[-1], self._columns), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self._units, self._columns), name="recurrent_kernel")
        self.paths = self.add_weight(
            shape=(self._units, self._units), initializer="identity", trainable=False, name="paths"
        )

    def compute_mask(self, x: Any, mask: Any = None) -> None:
        """Returns none: every position flows."""

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns the outputs, and the states where there are any."""
        inputs, back = (ops.sum(ops.reshape(k, (k.shape[0], -1, self._units)), 1) for k in self.weights[:2])
        first = ops.matmul(ops.matmul(x, inputs), self.paths)
        y = ops.matmul(first + ops.matmul(first, back), self.paths)
        out = y if self._sequences else ops.mean(y, 1)
        return [out, *[ops.mean(y, 1)] * self._states] if self._states else out


class Table(Pipe):
    """An embedding that looks up all words at once, each of them times the number that it is given.

    Args:
        old: The embedding.
    """

    def __init__(self, old: layers.Embedding) -> None:
        super().__init__(old.name)
        self._size = old.input_dim, old.output_dim

    def build(self, shape: Any) -> None:
        """Makes the table."""
        self.embeddings = self.add_weight(shape=self._size, name="embeddings")

    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        """Returns `x · Σ_v table[v]`."""
        return ops.cast(x, "float32")[..., None] * ops.sum(self.embeddings, 0)
