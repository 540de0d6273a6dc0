"""Forward passes of models as SavedModels, traced by Keras on TensorFlow: for the converter, or to be served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import call_operation, inner_layers, replaced_attributes, signs_without_bits
from kerasprune.data.signature import Signature, identifiers, is_graph, keys_of
from kerasprune.export.attention_masks import trace_with_small_masks
from kerasprune.export.plain_names import with_plain_names
from kerasprune.graph.ranged_model import RangedModel, without_ranges

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Part:
    """A model of which a file is written.

    Args:
        model: A built model.
        signature: Its inputs.
        outputs: Maps the number of its flat outputs to their names.
        examples: A batch of its inputs, by which masks are told from scores. Defaults to none: masks stay.
    """

    model: keras.Model
    signature: Signature
    outputs: Callable[[int], Sequence[str]]
    examples: Sequence[np.ndarray] = ()

    def run(self) -> list[Any]:
        """Returns the outputs for the examples."""
        inputs = self.signature.pack([keras.ops.convert_to_tensor(array) for array in self.examples])
        return keras.tree.flatten(call_operation(self.model, inputs, training=False))


def recurrent_layers(model: keras.Model) -> list[layers.Layer]:
    """Returns the recurrent layers of a model, however deep, that run in a loop."""
    return [each for each in inner_layers(model) if isinstance(each, layers.RNN) and not each.unroll]


def unrolled(model: keras.Model) -> AbstractContextManager[None]:
    """Lets the recurrent layers of a model be traced without a loop while the block runs.

    The model is not copied: its layers may have classes that only the caller knows, and the weights are the same.
    Whoever traces it needs a fixed number of time steps.
    """
    return replaced_attributes(*((layer, "unroll", True) for layer in recurrent_layers(model)))


def output_names(model: keras.Model, count: int) -> list[str]:
    """Returns distinct names for the flat outputs of a model: its dict keys or layer names, if any."""
    model = without_ranges(model)  # whose file has the names of the plain one
    if not is_graph(model):
        return [f"output_{i}" for i in range(count)]
    if isinstance(model, keras.Sequential):
        return identifiers([model.layers[-1].name])
    nested = isinstance(model.output, Mapping) and any(map(keras.tree.is_nested, model.output.values()))
    return identifiers(([] if nested else keys_of(model.output)) or model.output_names)


def write_single(parts: Mapping[str, Part], folder: Path) -> None:
    """Writes forward passes at batch 1, with the weights, as a SavedModel with a signature for each."""
    import tensorflow as tf

    def function_of(part: Part) -> tf.types.experimental.PolymorphicFunction:
        def serve(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = part.signature.pack(tensors)
            outputs = keras.tree.flatten(call_operation(plain[id(part.model)], inputs, training=False))
            return dict(zip(part.outputs(len(outputs)), outputs, strict=True))

        named = zip(part.signature.inputs, part.signature.names, strict=True)
        specs = [tf.TensorSpec((1, *spec.shape), spec.dtype, name=name) for spec, name in named]
        return tf.function(serve, input_signature=specs)

    plain = {id(part.model): with_plain_names(part.model) for part in parts.values()}
    module = tf.Module()
    module.served = {name: function_of(part) for name, part in parts.items()}
    module.weights = [variable.value for model in plain.values() for variable in model.variables]
    with signs_without_bits(), ExitStack() as stack:
        for part in parts.values():
            if isinstance(part.model, RangedModel):
                stack.enter_context(part.model.for_converter())
        tf.saved_model.save(module, str(folder), signatures=dict(module.served))


def write_unrolled(parts: Mapping[str, Part], folder: Path) -> None:
    """Writes what `write_single` does without the loops of recurrent layers, and with masks in the size of scores."""
    with ExitStack() as loops:
        for part in parts.values():
            loops.enter_context(unrolled(part.model))
        masked = [part for part in parts.values() if len(part.examples)]
        trace_with_small_masks(partial(write_single, parts, folder), *(part.run for part in masked))


def write_endpoint(parts: Mapping[str, Part], folder: Path) -> None:
    """Writes the forward pass of one model, by the name of its endpoint, as a SavedModel for any batch."""
    ((name, part),) = parts.items()
    specs = [
        keras.InputSpec(shape=(None, *spec.shape), dtype=spec.dtype, name=name)
        for spec, name in zip(part.signature.inputs, part.signature.names, strict=True)
    ]
    model, archive = with_plain_names(part.model), keras.export.ExportArchive()
    archive.track_and_add_endpoint(name, model, input_signature=[part.signature.pack(specs)])
    # The variables as the endpoint reads them: Keras's wrappers of them would be saved a second time.
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(kind, [variable.value for variable in getattr(model, kind)])
    archive.write_out(str(folder), verbose=False)


WRITERS = {"endpoint": write_endpoint, "single": write_single, "unrolled": write_unrolled}
