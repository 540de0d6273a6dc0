"""Which operators of a `.tflite` file compute in integers, and what they demand of the scales of their tensors."""

from __future__ import annotations

from enum import Enum
from typing import Any

from keras import activations, layers

from kerasprune._keras import is_of_keras
from kerasprune.graph.walk import changed_weights


class Kind(Enum):
    """How an operator of the file treats scales."""

    KERNEL = "a kernel of 8 bits, into which BatchNorm is folded"
    NORM = "a BatchNorm: a product and a sum"
    SUM = "a range of its own, after the rectifier behind it"
    FREE = "a range of its own"
    SAME = "the scale of its inputs"
    AVERAGE = "the scale of its inputs, but new values"
    FIXED = "a range that is the same in all files"
    SILU = "a product with a sigmoid, which has a fixed range"
    FLOAT = "computed in float numbers"


_BY_NAME = {
    Kind.KERNEL: "Conv1D Conv2D DepthwiseConv1D DepthwiseConv2D Conv2DTranspose Dense",
    Kind.SUM: "Add Subtract Multiply",
    Kind.FREE: "GlobalAveragePooling1D GlobalAveragePooling2D LeakyReLU",
    Kind.SAME: "MaxPooling1D MaxPooling2D GlobalMaxPooling1D GlobalMaxPooling2D Flatten Reshape Permute Transpose "
    "ZeroPadding1D ZeroPadding2D Cropping1D Cropping2D Concatenate ExpandDims Squeeze GetItem RepeatVector "
    "Dropout SpatialDropout1D SpatialDropout2D GaussianDropout GaussianNoise Identity",
    Kind.AVERAGE: "AveragePooling1D AveragePooling2D",
}
_KINDS = {name: kind for kind, names in _BY_NAME.items() for name in names.split()}
_MASKS = "Add Subtract Multiply Negative Where Cast Reshape ExpandDims Squeeze Transpose BroadcastTo Repeat Tile"
_PAIRS = ("Add", "Subtract", "Multiply")
_FUNCTIONS = {
    activations.linear: Kind.SAME,
    activations.relu: Kind.FREE,
    activations.relu6: Kind.FREE,
    activations.sigmoid: Kind.FIXED,
    activations.tanh: Kind.FIXED,
    activations.softmax: Kind.FIXED,
    activations.silu: Kind.SILU,
    activations.gelu: Kind.FREE,
    activations.hard_silu: Kind.FREE,
    activations.leaky_relu: Kind.FREE,
}
_FUNCTION_OF = {each.__name__.title().replace("_", ""): each for each in _FUNCTIONS}  # by the class of `keras.ops`
RECTIFIERS = (activations.relu, activations.relu6)
"""Activations that an operator of the file takes in, so that the tensor before them has no range."""
SIGMOID = 0.0, 255 / 256
FIXED = {activations.sigmoid: SIGMOID, activations.softmax: SIGMOID, activations.tanh: (-1.0, 127 / 128)}
"""The lowest and the highest value of activations of that kind: scales of 1/256 and 1/128."""


def kind_of(node: Any) -> Kind:
    """Returns the kind of a call: how its operator treats scales; `FLOAT` for a class that is not known."""
    operation = node.operation
    name = type(operation).__name__
    if not is_of_keras(type(operation)):
        return Kind.FLOAT
    function = function_of(node)
    if function is not None:
        return kind_of_function(function)
    if name == "BatchNormalization":
        return Kind.FLOAT if operation.renorm or _has_options(node) else Kind.NORM
    kind = _KINDS.get(name, Kind.FLOAT)
    if kind is Kind.KERNEL and (operation.activity_regularizer or changed_weights(operation)):
        return Kind.FLOAT
    return Kind.FLOAT if name in _PAIRS and len(node.input_tensors) != 2 else kind


def passes_masks(node: Any) -> bool:
    """Returns whether a call, given huge numbers that stand for a mask, returns such."""
    return type(node.operation).__name__ in _MASKS.split()


def kind_of_function(function: Any) -> Kind:
    """Returns the kind of an activation: how its operator treats scales."""
    return _FUNCTIONS.get(function, Kind.FLOAT)


def function_of(node: Any) -> Any:
    """Returns the activation that a call computes, or `None` if it is something else, such as a softmax with a mask."""
    operation = node.operation
    if _has_options(node):
        return None
    if type(operation) is layers.Activation:
        return operation.activation
    if type(operation) is layers.ReLU:
        plain = not operation.negative_slope and not operation.threshold
        return {None: activations.relu, 6.0: activations.relu6}.get(operation.max_value) if plain else None
    found = _FUNCTION_OF.get(type(operation).__name__)
    last = getattr(operation, "axis", -1) == -1
    return found if last else None


def _has_options(node: Any) -> bool:
    """Returns whether a call has a mask, or says whether it is of training."""
    given = node.arguments
    return len(given.args) > 1 or any(given.kwargs.get(name) is not None for name in ("mask", "training"))
