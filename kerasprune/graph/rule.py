"""The table of rules: what each class of layer or operation does to channels.

A rule is `rule(graph, layer, x) -> ids`, from the channel ids of the input to those of the output. It does to the ids
what the layer does to channels, and declares the variables and configs that follow them (`coupling.GraphBuilder`).
Rules for layers with more than one channel axis take and return whole `Ids` (`tensor_rule`).

Each rule names how the *constant* of a removed channel passes through its layer (`kerasprune.surgery.constants`):
`EVALUATED` (default: the layer is run on the constants), `POINTWISE` (it is run on one position), `CARRIED` (they pass
unchanged), `PADDED` (they pass, inside a border of zeros), `BIAS` (the layer makes new channels; a removed one emits
its bias), `NORMALISED` (BatchNorm), `AVERAGED` (they pass a product whose weights sum to one), `SILENT` (nothing
passes), `UNKNOWN` (the output is not constant).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from kerasprune._keras import argument_names, inner_layers, is_of_keras
from kerasprune.checks import choice_faults
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph import constructor_arguments
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids

EVALUATED, POINTWISE, CARRIED, PADDED = "evaluated", "pointwise", "carried", "padded"
BIAS, NORMALISED, AVERAGED, SILENT, UNKNOWN = "bias", "normalised", "averaged", "silent", "unknown"
_CONSTANTS = (EVALUATED, POINTWISE, CARRIED, PADDED, BIAS, NORMALISED, AVERAGED, SILENT, UNKNOWN)

KEEP_ITS_CHANNELS = "keep its channels with kp.trace(model, unknown='freeze'), of a command with --unknown freeze."
"""The remedy for a layer that cannot be traced, as the end of a message."""

BUILT_IN = {
    "activations": "Rescaling Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout Activation "
    "Lambda Softmax LogSoftmax PReLU CustomScaleLayer LayerScale",
    "attention": "MultiHeadAttention GroupedQueryAttention",
    "conv": "Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D Conv1DTranspose "
    "Conv2DTranspose Conv3DTranspose",
    "dense": "Dense",
    "einsum": "EinsumDense",
    "embedding": "Embedding ReversibleEmbedding",
    "gate": "Gate",
    "matmul": "Matmul Einsum DotProductAttention Attention AdditiveAttention Dot",
    "merge": "Add Subtract Average Maximum Minimum Multiply Divide TrueDivide Power Concatenate TFDConcat",
    "norm": "BatchNormalization LayerNormalization RMSNormalization GroupNormalization UnitNormalization Normalization",
    "padding": "ZeroPadding1D ZeroPadding2D ZeroPadding3D Pad",
    "pointwise": "ReLU LeakyReLU ELU GaussianDropout GaussianNoise ActivityRegularization Identity TFDIdentity "
    "Absolute Arctan Clip Copy Cos Exp Expm1 Log Log1p Negative Reciprocal Round Sign Sin Sqrt Square "
    "Tanh Relu Relu6 Sigmoid Softplus Softsign SoftShrink Silu Squareplus LogSigmoid LeakyRelu "
    "HardSigmoid HardSilu Elu Selu Gelu Celu TanhShrink HardTanh HardShrink Threshold Cast "
    "StopGradient StochasticDepth",
    "pooling": "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D "
    "GlobalAveragePooling2D GlobalAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D "
    "AdaptiveMaxPooling3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D "
    "Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D Resizing CenterCrop MaxPool "
    "AveragePool All Amax Amin Any Argmax Argmin CountNonzero Max Mean Median Min Prod Std Sum Var",
    "preprocessing": "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup MaxNumBoundingBoxes "
    "MelSpectrogram Pipeline STFTSpectrogram StringLookup TextVectorization Masking",
    "augmentation": "AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MixUp "
    "RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast "
    "RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale "
    "RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation "
    "RandomSharpness RandomShear RandomTranslation RandomZoom Solarization",
    "probed": "Operation",
    "recurrent": "RNN LSTM GRU SimpleRNN Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "reshape": "Flatten Reshape Permute Transpose Swapaxes ExpandDims Squeeze RepeatVector DepthToSpace SpaceToDepth",
    "slicing": "GetItem Slice Split Stack Unstack Take Roll Flip",
    "wrappers": "TimeDistributed SpectralNormalization",
}
"""The files below `kerasprune/rules/`, one per kind of layer, with the names of the classes it has rules for."""
_FILES = {name: file for file, names in BUILT_IN.items() for name in names.split()}


def classes_of_module(file: str, module: Any) -> tuple[type, ...]:
    """Returns the classes of a module of Keras that a file has rules for, those of this version of Keras."""
    return tuple(getattr(module, name) for name in BUILT_IN[file].split() if hasattr(module, name))


@dataclass(frozen=True)
class Rule:
    """A rule: a function on `Ids`, and how the constants of removed channels pass through the layer."""

    function: Callable[..., Any]
    constant: str = EVALUATED
    ignored: frozenset[str] = frozenset()
    """Arguments of a call that do not matter to channels; any other must be one of the function's own."""
    reads: frozenset[str] | None = None
    """Arguments of the constructor that the function reads; `None`: all of them."""

    def unread(self, operation: Any, arguments: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
        """Returns the names of arguments, of a call and of the constructor, that the rule does not read.

        A rule without `reads` reads all constants.
        """
        own = [name for name in arguments if name not in self.ignored and not self.takes(name)]
        if self.reads is None:
            return [name for name in own if isinstance(arguments[name], Ids)]
        return [*own, *constructor_arguments.unread(operation, self.reads)]

    def takes(self, name: str) -> bool:
        """Returns whether the function takes an argument of a call by this name."""
        return name in self._parameters or any(each.kind is each.VAR_KEYWORD for each in self._parameters.values())

    @cached_property
    def positional(self) -> int | None:
        """How many positional arguments of a call the function takes; `None` if it takes any number."""
        kinds = [each.kind for each in self._parameters.values()][2:]  # after graph and layer
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return None
        return sum(
            kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds
        )

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters


class RuleTable:
    """The rules by class; a file of rules is imported when one of its classes is looked up."""

    def __init__(self) -> None:
        self.rules: dict[type, Rule] = {}

    def add(self, classes: Sequence[type], rule: Rule) -> None:
        """Adds a rule; a later one for the same class, such as a user's, replaces the earlier."""
        for each in classes:
            self.of(each)  # before the new one: importing the file adds its own
        self.rules.update(dict.fromkeys(classes, rule))

    def of(self, cls: type) -> Rule | None:
        """Returns the rule of a class itself, not of its bases."""
        if cls.__name__ in _FILES:
            importlib.import_module(f"kerasprune.rules.{_FILES[cls.__name__]}")
        return self.rules.get(cls)

    def load(self) -> dict[type, Rule]:
        """Returns all rules, those of the package imported."""
        for file in BUILT_IN:
            importlib.import_module(f"kerasprune.rules.{file}")
        return self.rules


table = RuleTable()


def rule(
    *classes: type, constant: str = EVALUATED, reads: Sequence[str] | None = None
) -> Callable[[Callable], Callable]:
    """Registers a rule `function(graph, layer, x) -> ids` for one or more layer classes.

    Args:
        *classes: Layer or operation classes; a later rule for the same class replaces an earlier one.
        constant: How the constant of a removed channel passes through. Defaults to running the layer on it.
        reads: Arguments of the constructor that the function takes into account. A layer with a non-default value of
            another argument, such as one of a subclass, is treated as having no rule. Defaults to all.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        PruneError: What is given is not a class, or `constant` is unknown.

    Example:
        >>> import keras, kerasprune as kp
        >>> class Twice(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> @kp.rule(Twice)
        ... def twice(graph, layer, x):
        ...     return x
    """

    register = tensor_rule(*classes, constant=constant, reads=reads)

    def decorate(function: Callable) -> Callable:
        register(_on_channel_axis(function))
        return function

    return decorate


def tensor_rule(
    *classes: type, constant: str = EVALUATED, ignored: Sequence[str] = (), reads: Sequence[str] | None = None
) -> Callable[[Callable], Callable]:
    """Registers `function(graph, operation, *args, **kwargs)`, which takes and returns whole `Ids`.

    Args:
        *classes: Layer or operation classes; a later rule for the same class replaces an earlier one.
        constant: How the constant of a removed channel passes through. Defaults to running the layer on it.
        ignored: Keyword arguments of a call that do not affect channels, and are not passed to the function. A call
            with any other argument that the function does not take is treated as having no rule. Defaults to none.
        reads: As for `rule`.
    """

    faults = [
        f"Expected a class of layers or operations. Received: {each!r}. Write @kp.rule(MyLayer) above the function."
        for each in classes or (None,)
        if not isinstance(each, type)
    ]
    raise_faults("Invalid arguments for rule:", faults + choice_faults(_CONSTANTS, constant=constant))

    def decorate(function: Callable) -> Callable:
        table.add(classes, Rule(function, constant, frozenset(ignored), None if reads is None else frozenset(reads)))
        return function

    return decorate


_HARMLESS = frozenset({"__init__", "__new__", "get_config", "from_config", "compute_output_shape", "__repr__"})


def find(operation: Any) -> Rule | None:
    """Returns the rule for an operation: that of its class, or of a base class whose computation it inherits.

    A subclass inherits a rule if it overrides only its constructor and config; any other method or property, such as
    `convolution_op` or `kernel`, may change the computation. An operation of `keras.ops` without a rule gets that of
    `keras.Operation`.
    """
    for base in type(operation).__mro__:
        if (found := table.of(base)) is not None:
            return found
        if any(_computes(name, value) for name, value in vars(base).items()):
            break
    return find_general(operation)


def find_or_try(operation: Any) -> Rule | None:
    """Returns the rule that `find` does, or for a layer that is as good as an operation that of operations.

    Such a layer is a function of its inputs alone, whatever their width: nothing in it has weights, draws from a seed
    of its own, reads a mask, or is built by code of the user, which may note the number of channels.
    """
    found, inner = find(operation), inner_layers(operation)
    if found is not None or operation.variables or "mask" in argument_names(operation):
        return found
    bases = [cls for each in inner for cls in type(each).__mro__ if not is_of_keras(cls)]
    return None if any("build" in vars(cls) for cls in bases) else table.of(keras.Operation)


def find_general(operation: Any) -> Rule | None:
    """Returns the rule of operations without one of their own, or with arguments that theirs does not read."""
    return None if isinstance(operation, keras.layers.Layer) else table.of(keras.Operation)


def _computes(name: str, value: Any) -> bool:
    """Returns whether an attribute of a class may change the computation of its instances."""
    described = callable(value) or isinstance(value, property | classmethod | staticmethod)
    return described and name not in _HARMLESS


def classes() -> list[type]:
    """Returns the classes that have a rule, sorted by module and name."""
    return sorted(table.load(), key=lambda each: (each.__module__, each.__name__))


def channel_axis(layer: Any) -> int:
    """Returns the axis that holds a layer's channels."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _on_channel_axis(function: Callable) -> Callable:
    """Returns a rule on whole `Ids` from a rule on the ids of the channel axis."""

    @wraps(function)
    def on_ids(graph: GraphBuilder, layer: Any, x: Ids, *args: Any, **kwargs: Any) -> Ids:
        shape = graph.call.outputs[0]
        before, after = channel_axis(layer) % len(x.shape), channel_axis(layer) % len(shape)
        graph.pin_all(x, f"{layer.name!r} mixes another axis than that of its channels", but=(before,))
        ids = np.asarray(function(graph, layer, graph.on(x, before)))
        if shape[after] is not None and ids.size != shape[after]:
            raise PruneError(
                f"Expected the rule of {type(layer).__name__} to return one id per output channel "
                f"({shape[after]}). Received: {ids.size} ids for {layer.name!r}. Correct the rule."
            )
        return Ids(shape, {after: ids})

    return on_ids


def wraps_several(layer: Any) -> bool:
    """Returns whether a layer is a `TimeDistributed` around several layers: a model, or a composite without a rule."""
    if not isinstance(layer, keras.layers.TimeDistributed) or find(layer) is None:
        return False
    inner = layer.layer
    composite = find(inner) is None and len(inner_layers(inner)) > 1
    return isinstance(inner, keras.Model) or composite or wraps_several(inner)
