"""Composite layers and subclassed models written out as one plain functional model.

The code of `call` is run once on symbolic tensors; every layer that it calls is made anew, with the same weights, and
called in its place. What is left is a graph of layers of Keras, which `kp.trace` can read and which loads without the
classes of the user.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import tree

from kerasprune._keras import calls_of_layers, replaced_operations
from kerasprune.errors import PruneError, warn
from kerasprune.graph.walk import check_model
from kerasprune.inlining.same_outputs import check_same
from kerasprune.inlining.symbolic_inputs import symbolic_inputs
from kerasprune.inlining.writer import Writer, line_of
from kerasprune.surgery.clone import train_alike


def functional(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Writes a model out as one plain functional model with the same function.

    Nested models, subclassed ones too, and layers that no package but their own knows are replaced by what they call;
    a weight of such a layer is looked up in an `Embedding`, a size that is free is computed from the inputs, stochastic
    depth is a `Dropout`, and a model that `TimeDistributed` applies at every step is applied to all steps at once.
    Layers that act otherwise while training, or whose `call` cannot be run on symbolic tensors (Python control flow on
    values), stay layers; a warning names them and says why.

    Args:
        model: Any built model; it is left untouched.
        inputs: What it takes: a batch, or `keras.Input`s, in the structure of its first argument. Defaults to what a
            functional model was made with, or a subclassed one was built for.

    Returns:
        A functional model with its own weights, not compiled. Its outputs are compared with the model's on random
        inputs before it is returned.

    Raises:
        PruneError: The model is not built, its inputs are not known, its own `call` cannot be written out (the message
            quotes the line), or the outputs differ.

    Example:
        >>> import keras, kerasprune as kp
        >>> class Block(keras.layers.Layer):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.wide, self.narrow = keras.layers.Dense(8), keras.layers.Dense(4)
        ...
        ...     def call(self, x):
        ...         return x + self.narrow(keras.ops.relu(self.wide(x)))
        >>> images = keras.Input((4,))
        >>> model = keras.Model(images, keras.layers.Dense(2, name="logits")(Block()(images)))
        >>> plain = kp.functional(model)
        >>> sorted(kp.trace(plain).prunable)
        ['block_dense']
    """
    check_model(model)
    fed = symbolic_inputs(model, inputs)
    writer = Writer(model, tree.flatten(fed))
    new = _written(writer, fed)
    try:
        check_same(model, new)
    except PruneError:
        if not writer.loses_masks:
            raise
        writer = Writer(model, tree.flatten(fed), keeps_masks=True)  # once more, with the layers that make masks
        new = _written(writer, fed)
        check_same(model, new)
    if writer.kept:
        kept = "; ".join(f"{name!r} {why}" for name, why in writer.kept.items())
        warn(f"Not written out, and whole when the model is pruned: {kept}.")
    if writer.steps_at_once:
        names = ", ".join(map(repr, writer.steps_at_once))
        warn(
            f"Applied to all steps at once, not one by one: {names}. The outputs are the same; while training, batch "
            "normalisation inside takes its statistics over all of them."
        )
    if writer.read_as_numbers:
        names = ", ".join(repr(variable.path) for variable in writer.read_as_numbers)
        warn(
            f"No weights of the functional model: {names}. They are used nowhere, or as numbers outside the layer that "
            "has them, as a tied output may: call the layer there, or keep the model as it is if it is trained on."
        )
    return new


def _written(writer: Writer, fed: Any) -> keras.Model:
    """Returns the functional model that a writer makes of its model."""
    model = writer.model
    with calls_of_layers(writer.visit), replaced_operations(writer.operations(), writer.item):
        try:
            outputs = writer.expand(model, (fed,), {})
        except Exception as error:  # noqa: BLE001  the code is the user's
            raise PruneError(
                f"Expected a model whose call() runs on symbolic tensors. Received: {model.name!r}, which fails "
                f"{line_of(error)}. Write that with keras.ops, or put it into a layer of its own."
            ) from error
    new = keras.Model(fed, outputs, name=model.name)
    train_alike([(model, new), *writer.pairs])
    return new
