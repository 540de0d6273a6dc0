"""1×1 convolutions with a stride above 1, such as the shortcuts of residual networks.

oneDNN's gradient of their kernels writes past its buffer if the input has fewer channels than a vector register of the
processor has numbers, the stride divides its side, and the output has some hundred positions (fewer on more threads).
"""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph

CONVOLUTIONS = keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D
WIDTHS_AT_RISK = range(1, 16)
"""Numbers of input channels with which training on oneDNN may crash, or spoil other numbers (TensorFlow 2.21)."""
SIDE_AT_RISK = 46
"""The smallest input side, in pixels, at which a gradient was seen to overrun on two threads."""


def groups_at_risk(graph: ChannelGraph) -> frozenset[str]:
    """Returns the names of the groups that are large inputs of a strided 1×1 convolution, alone or beside others.

    Args:
        graph: The graph.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((56, 56, 3))
        >>> x = keras.layers.Conv2D(16, 3, name="first")(inputs)
        >>> x = keras.layers.Conv2D(24, 1, strides=2, name="second")(x)
        >>> groups_at_risk(kp.trace(keras.Model(inputs, keras.layers.Conv2D(2, 3)(x))))
        frozenset({'first'})
    """
    names, owner = np.array(list(graph.groups)), graph.places[0]
    read = [kernel.ids[-2] for kernel in graph.kernels if is_strided_pointwise(kernel.owner) and _is_large(kernel)]
    numbers = np.unique(np.concatenate([owner[graph.classes[ids]] for ids in read])) if read else np.zeros(0, int)
    return frozenset(names[numbers[numbers >= 0]].tolist())


def _is_large(kernel: Slice) -> bool:
    """Returns whether the input of a strided convolution has, or may have, the size at risk."""
    read = [None if made is None else made * prod(kernel.owner.strides) for made in kernel.positions]
    return any(number is None or number >= SIDE_AT_RISK**2 for number in read)


def layers_at_risk(model: keras.Model) -> list[str]:
    """Returns the names of the strided 1×1 convolutions of a model, also inside others, at a width at risk."""
    found = [layer for layer in inner_layers(model) if is_strided_pointwise(layer)]
    return [layer.name for layer in found if layer.built and layer.kernel.shape[-2] in WIDTHS_AT_RISK]


def is_strided_pointwise(layer: Any) -> bool:
    """Returns whether a layer is a dense convolution of one position with a stride above 1."""
    return (
        isinstance(layer, CONVOLUTIONS)
        and layer.groups == 1
        and set(layer.kernel_size) == {1}
        and max(layer.strides) > 1
    )
