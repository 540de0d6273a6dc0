"""What a kernel multiplies: the inputs of a layer, unfolded to rows of a matrix, at sampled positions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from keras import layers

from kerasprune.graph.channels import Slice

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)


def is_unfolded(layer: Any) -> bool:
    """Returns whether the outputs of a layer are `rows @ kernel`: a dense layer, or a convolution of one group."""
    return isinstance(layer, layers.Dense) or isinstance(layer, _CONVOLUTIONS) and layer.groups == 1


def columns(kernel: Slice, axis: int, channel: np.ndarray) -> np.ndarray:
    """Returns for every column of the rows the channel that it holds.

    Args:
        kernel: The kernel.
        axis: Its axis that reads the channels.
        channel: For each position of the axis the channel, −1 = none.
    """
    shape = kernel.variable.shape[:-1]
    return np.broadcast_to(channel.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape).ravel()


def rows(layer: Any, inputs: np.ndarray, positions: int, generator: np.random.Generator) -> np.ndarray:
    """Returns rows X of which the layer makes `X @ kernel.reshape(-1, outputs)`, before bias and activation.

    Args:
        layer: A dense layer or a convolution.
        inputs: What went into it, `(examples, …)`.
        positions: How many output positions of each example are taken at the most.
        generator: Chooses them.

    Returns:
        `(examples · positions, columns)`, in the dtype of the inputs.

    Example:
        >>> layer = layers.Conv1D(4, 3)
        >>> rows(layer, np.arange(5.0).reshape(1, 5, 1), 9, np.random.default_rng(0)).tolist()
        [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    """
    if isinstance(layer, layers.Dense):
        sizes, window, strides, dilation = inputs.shape[1:-1], (), (), ()
        padded, outputs = inputs, sizes
    else:
        first = layer.data_format == "channels_first"
        inputs = np.moveaxis(inputs, 1, -1) if first else inputs
        window, strides, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
        padded, outputs = _padded(inputs, layer.padding, window, strides, dilation)
    taken = _taken(len(inputs), prod(outputs), positions, generator)
    where = np.unravel_index(taken, outputs) if outputs else ()
    rank = len(window)
    index = [np.arange(len(inputs)).reshape(-1, 1, *[1] * rank)]
    for a, place in enumerate(where):
        if not rank:
            index.append(place)
            continue
        offsets = np.arange(window[a]) * dilation[a]
        shape = [-1 if b == a else 1 for b in range(rank)]
        index.append(place.reshape(*place.shape, *[1] * rank) * strides[a] + offsets.reshape(1, 1, *shape))
    found = padded[tuple(index)]
    return found.reshape(taken.size, -1)


def _taken(examples: int, total: int, positions: int, generator: np.random.Generator) -> np.ndarray:
    """Returns the positions taken of every example, in order, `(examples, number)`."""
    if positions >= total:
        return np.broadcast_to(np.arange(total), (examples, total))
    drawn = generator.random((examples, total)).argpartition(positions, axis=1)[:, :positions]
    return np.sort(drawn, axis=1)


def _padded(
    inputs: np.ndarray, padding: str, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Returns the inputs with the zeros around them, and the number of output positions along every axis."""
    sizes = inputs.shape[1:-1]
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "valid":
        around = [(0, 0)] * len(sizes)
    elif padding == "causal":
        around = [(r - 1, 0) for r in reach]
    else:
        lack = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, strides, reach, strict=True)]
        around = [(each // 2, each - each // 2) for each in lack]
    outputs = [(n + sum(p) - r) // s + 1 for n, p, r, s in zip(sizes, around, reach, strides, strict=True)]
    return np.pad(inputs, [(0, 0), *around, (0, 0)]), tuple(outputs)
