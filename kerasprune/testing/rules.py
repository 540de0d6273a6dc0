"""`check_rule`: random pruning of a layer between two others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.trace import trace
from kerasprune.surgery.random_inputs import random_inputs
from kerasprune.surgery.rebuild import rebuild
from kerasprune.testing.oracle import check_rebuild, check_saved
from kerasprune.testing.randomness import random_plan, randomise_weights
from kerasprune.testing.toys import require

Shape = tuple[int, ...]
_CONVS = {2: layers.Conv1D, 3: layers.Conv2D, 4: layers.Conv3D}
_SOURCE_CHANNELS, _HIDDEN, _LOGITS = 3, 7, 5


def check_rule(
    layer: Callable[..., Any],
    input_shapes: Shape | Sequence[Shape],
    *,
    plans: int = 5,
    seed: int = 0,
    tolerance: float = 1e-5,
) -> ChannelGraph:
    """Checks the rule of a layer.

    It builds `conv → layer → conv → dense` (with dense layers around a layer that takes vectors), randomises every
    weight, draws plans and runs `check_rebuild` on each. The slim model must also load from a file in Keras's safe
    mode.

    Args:
        layer: A layer, or a function of tensors; its weights are randomised.
        input_shapes: The layer's input shape without the batch axis, or a list with one shape per input. With a list, a
            layer is called with a list of tensors, a function with one argument per tensor.
        plans: Number of random plans. Defaults to 5.
        seed: Seed of weights, inputs and plans. Defaults to 0.
        tolerance: Largest relative difference. Defaults to 1e-5.

    Returns:
        The graph of the model built around the layer, in which `before`, `before_2`, … make its inputs and `after`,
        `after_2`, … read its outputs.

    Raises:
        AssertionError: The rule is wrong.
        kerasprune.PruneError: The layer has no rule.

    Example:
        >>> import keras
        >>> from kerasprune.testing import check_rule
        >>> check_rule(keras.layers.BatchNormalization(), (4, 4, 6), plans=1).groups["before"].prunable
        True
    """
    shapes = [input_shapes] if isinstance(input_shapes[0], int) else list(input_shapes)
    model = surrounded(layer, shapes)
    randomise_weights(model, seed)  # no copy, which would lose arguments missing from the layer's config
    graph = trace(model)
    require(bool(graph.prunable), "Expected channels that can be dropped around the layer. Received: none.")
    inputs = random_inputs(model, batch=6, seed=seed)
    for index in range(plans):
        plan = random_plan(graph, seed + index)
        check_rebuild(model, plan, inputs=inputs, tolerance=tolerance)
        if index == 0:  # a custom class has to be passed to load the model
            own = {type(layer).__name__: type(layer)} if isinstance(layer, layers.Layer) else {}
            check_saved(rebuild(model, plan, absorb=False), inputs, own)
    return graph


def surrounded(layer: Callable[..., Any], shapes: Sequence[Shape]) -> keras.Model:
    """Returns a model in which layers make the input channels of a layer and read its output channels."""
    first = getattr(layer, "data_format", None) == "channels_first"
    sources = [keras.Input((*(shape[1:] if first else shape[:-1]), _SOURCE_CHANNELS)) for shape in shapes]
    tensors = [
        _made(x, shape, first, _numbered("before", n)) for n, (x, shape) in enumerate(zip(sources, shapes, strict=True))
    ]
    outputs = layer(tensors) if isinstance(layer, layers.Layer) and len(tensors) > 1 else layer(*tensors)
    logits = [_read(y, first, n) for n, y in enumerate(keras.tree.flatten(outputs))]
    return keras.Model(sources, logits)


def _made(source: keras.KerasTensor, shape: Shape, first: bool, name: str) -> keras.KerasTensor:
    channels = shape[0] if first else shape[-1]
    if len(shape) == 1:
        return layers.Dense(channels, name=name)(source)
    x = _CONVS[len(shape)](channels, 1, name=name)(source)
    return layers.Permute((len(shape), *range(1, len(shape))))(x) if first else x


def _read(x: keras.KerasTensor, first: bool, index: int) -> keras.KerasTensor:
    """Returns logits that depend on every position and channel of a tensor."""
    rank = len(x.shape) - 1
    name = _numbered("after", index)
    if rank == 1:
        x = layers.Dense(_HIDDEN, name=name)(x)
    else:
        x = layers.Permute((*range(2, rank + 1), 1))(x) if first else x
        x = layers.Flatten()(_CONVS[rank](_HIDDEN, 1, name=name)(x))
    return layers.Dense(_LOGITS, name=_numbered("logits", index))(x)


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index + 1}" if index else name
