"""Composite layers and subclassed models written out as one plain functional model.

The code of `call` is run once on symbolic tensors; every layer that it calls is recreated, with the same weights, and
called in its place. What is left is a graph of layers of Keras, which `kp.trace` can read and which loads without the
classes of the user.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import (
    Functional,
    calls_of_layers,
    inner_functional,
    inner_layers,
    maker,
    replaced_attributes,
    replaced_operations,
    same_draws,
    structures,
)
from kerasprune.backend.tensorflow_functions import functions_in_keras
from kerasprune.errors import PruneError, warn
from kerasprune.graph.built_model import check_model
from kerasprune.graph.graph import check_finite_weights
from kerasprune.graph.groups import free_name
from kerasprune.graph.rule import find_or_try
from kerasprune.graph.trace import size_to_try
from kerasprune.graph.walk import has_free_axes, nodes
from kerasprune.surgery.adapters import merge_adapters
from kerasprune.surgery.clone import input_like, of_any_batch, train_alike
from kerasprune.surgery.comparison import difference, outputs_of
from kerasprune.surgery.compute_dtype import coarsest_type, rounding
from kerasprune.surgery.inlining.writer import Writer, line_of
from kerasprune.surgery.random_inputs import random_inputs


def functional(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Rewrites a model as one plain functional model that computes the same function.

    Nested and subclassed models and custom composite layers are replaced by the layers and operations that they call.
    Their own weights become `Embedding`s, or `Dense` layers where a tensor is multiplied by them. Free sizes are
    computed from the inputs, stochastic depth becomes `Dropout`, adapters of LoRA are merged, and a model inside
    `TimeDistributed` is applied to all steps at once. Layers that act differently in training mode, or whose `call`
    cannot be run on symbolic tensors (Python control flow on values), remain layers; a warning names them and gives the
    reason.

    Args:
        model: Any built model; it is left untouched.
        inputs: A batch, or `keras.Input`s, in the structure of the model's first argument. Defaults to the inputs of a
            functional model, or those that a subclassed model was built with.

    Returns:
        A functional model with its own weights, not compiled. Before it is returned, its outputs are compared with the
        model's on random inputs.

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
    writer, new = write_out(model, inputs)
    tried = {old.name for old, _ in writer.pairs if find_or_try(old)}
    for what, names in (("kept whole", writer.kept.keys() - tried), ("tried on numbers", writer.kept.keys() & tried)):
        kept = "; ".join(f"{name!r} {why}" for name, why in writer.kept.items() if name in names)
        if kept:
            warn(f"Not written out, and {what} when the model is pruned: {kept}.")
    if writer.without_losses:
        names = ", ".join(map(repr, writer.without_losses))
        warn(
            f"Written out without the losses that the call() of {names} adds. To train with them, add each in a layer "
            "of its own, without layers in it, which is kept."
        )
    if writer.steps_at_once:
        names = ", ".join(map(repr, writer.steps_at_once))
        warn(
            f"Applied to all steps at once, not one by one: {names}. The outputs are the same; in training mode, batch "
            "normalisation inside takes its statistics over all of them."
        )
    if writer.read_as_numbers:
        names = ", ".join(repr(variable.path) for variable in writer.read_as_numbers)
        warn(
            f"The functional model lacks the weights {names}. They are unused, or used outside the layer that has "
            "them, as for a tied output: call the layer there, or keep the given model if it is to be trained further."
        )
    return new


def write_out(model: keras.Model, inputs: Any = None, *, copies: bool = True) -> tuple[Writer, keras.Model]:
    """Returns the functional model that `functional` returns, and its writer, which knows where its weights are from.

    Args:
        model: As for `functional`.
        inputs: As for `functional`.
        copies: Whether it has weights of its own, or those of the model. Defaults to `True`.
    """
    check_model(model)
    fed = symbolic_inputs(model, inputs)
    writer, new = _written(model, fed, copies=copies)
    try:
        check_same(model, new)
    except PruneError:
        if not writer.loses_masks:
            check_finite_weights(model)
            raise
        writer, new = _written(model, fed, copies=copies, keeps_masks=True)  # with layers that make masks
        check_same(model, new)
    return writer, new


def _written(model: keras.Model, fed: Any, **how: Any) -> tuple[Writer, keras.Model]:
    """Returns a writer, and the functional model that it builds."""
    writer = Writer(model, tree.flatten(fed), **how)
    of_others = [
        (keras.layers.Layer, "add_loss", writer.loss_adder()),
        (keras.Operation, "symbolic_call", writer.product(keras.Operation.symbolic_call)),
        (keras.ops.image, "resize", writer.resize(keras.ops.image.resize)),
        *functions_in_keras(),
    ]
    with (
        calls_of_layers(writer.visit),
        replaced_operations(writer.operations(), writer.item),
        replaced_attributes(*of_others),
    ):
        try:
            outputs = writer.expand(model, (fed,), {})
        except Exception as error:  # noqa: BLE001  the code is the user's
            raise PruneError(
                f"Expected a model whose call() runs on symbolic tensors. Received: {model.name!r}, which fails "
                f"{line_of(error)}. Write that with keras.ops, or put it into a layer of its own."
            ) from error
    shared = writer.read_in_several_ways(outputs)
    if shared:
        return _written(model, fed, **how | {"shared": shared | set(how.get("shared", ()))})
    new = keras.Model(fed, outputs, name=model.name)
    _number_operations(new, model)
    train_alike([(model, new), *writer.pairs])
    merge_adapters(new)
    return writer, new


def _number_operations(new: keras.Model, model: keras.Model) -> None:
    """Names the operations of a written model by their places in it, so that a plan fits whenever it is written.

    Keras numbers them on within a process. Those of the given model, which it shares, keep their names.
    """
    graphs = [each for each in inner_layers(model) if isinstance(each, Functional)]
    own = {id(node.operation) for each in graphs for node in nodes(each)}
    operations = {id(node.operation): node.operation for node in nodes(new)}
    numbered = [each for key, each in operations.items() if key not in own and not isinstance(each, keras.layers.Layer)]
    names = {each.name for each in operations.values()} - {each.name for each in numbered}
    for each in numbered:
        each.name = free_name(re.sub(r"_\d+$", "", each.name), names, "_")
        names.add(each.name)


def symbolic_inputs(model: keras.Model, given: Any) -> Any:
    """Returns fresh symbolic inputs in the structure that the model takes."""

    def fresh(x: Any, name: str | None = None) -> keras.KerasTensor:
        if isinstance(x, keras.KerasTensor):
            return input_like(x, x, name)
        array = np.asarray(x)
        return keras.Input(array.shape[1:], dtype=str(array.dtype), name=name)

    if isinstance(given, Mapping):
        return {name: fresh(x, name) for name, x in given.items()}
    if given is not None:
        return tree.map_structure(fresh, given)
    if isinstance(model, Functional) or isinstance(model, keras.Sequential) and inner_functional(model) is not None:
        body = model if isinstance(model, Functional) else inner_functional(model)  # also of one with a call of its own
        taken = structures(body)[0]
        return tree.map_structure(lambda x: input_like(x := _as_taken(body, x), of_any_batch(model, x)), taken)
    shape = built_shape(model)
    if shape is None:
        raise PruneError(
            f"Expected a model that was built on known inputs. Received: {model.name!r} of class "
            f"{type(model).__name__}. Call it on a batch first, or give one: kp.functional(model, inputs=batch)."
        )
    return _inputs_of(shape)


def built_shape(model: keras.Model) -> Any:
    """Returns the shapes that a subclassed model was built on, or that its `build` takes by default, in their nest.

    `None` if they are not known.
    """
    given = (model.get_build_config() or {}).get("input_shape") if model.built else None
    defaults = [each.default for each in inspect.signature(type(model).build).parameters.values()]
    found = [each for each in (given, *defaults) if _is_nest_of_shapes(each)]
    return found[0] if model.built and found else None


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(n is None or type(n) is int for n in value)


def _is_nest_of_shapes(value: Any) -> bool:
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return _is_shape(value) or bool(parts) and all(map(_is_nest_of_shapes, parts))


def _inputs_of(shape: Any, name: str | None = None) -> Any:
    """Returns symbolic inputs in the nest of their shapes."""
    if _is_shape(shape):
        return keras.Input((*shape[1:],), name=name)
    if isinstance(shape, Mapping):
        return {key: _inputs_of(each, key) for key, each in shape.items()}
    return [_inputs_of(each) for each in shape]


def _as_taken(body: Functional, x: keras.KerasTensor) -> keras.KerasTensor:
    """Returns an input whose free sizes are fixed if a nested model that reads it fixes them."""
    for node in nodes(body) if None in x.shape[1:] else ():
        nested = node.operation
        if isinstance(nested, Functional) and len(nested.inputs) == 1 and node.input_tensors[0] is x:
            inner = _as_taken(nested, nested.inputs[0]).shape
            shape = [mine if mine is not None else other for mine, other in zip(x.shape, inner, strict=True)]
            return keras.Input(batch_shape=shape, dtype=x.dtype, name=maker(x).name)
    return x


_TOLERANCE = 1e-5
_SIDES = (37, 19, 13, 7, 32, 16, 4, 64, 224)  # of free axes: the first two that the model takes, and one more


def check_same(model: keras.Model, new: keras.Model) -> None:
    """Checks that two models compute the same on random inputs, with several lengths of every free axis.

    Args:
        model: Any model.
        new: The functional model that is to compute the same.

    Raises:
        PruneError: The outputs differ.
    """
    sides = [*_SIDES, size_to_try(new)] if has_free_axes(new) else [None]
    compared = 0
    for side in sides:
        inputs = random_inputs(new, 2, side=side)
        try:
            with same_draws(model):
                expected = outputs_of(model, inputs)
        except Exception:
            if side is sides[-1] and not compared:
                raise
            continue
        with same_draws(new):
            made = outputs_of(new, inputs)
        try:
            _compare(model, new, list(zip(expected, made, strict=True)))
        except PruneError:
            if all(map(np.array_equal, outputs_of(model, inputs), outputs_of(model, inputs))):
                raise
            raise PruneError(
                f"Expected a model that computes the same twice. Received: {model.name!r}, whose outputs differ from "
                "call to call: it draws random numbers when it is used, or counts its calls. Let its call() do so only "
                "during training."
            ) from None
        compared += 1
        if compared == 2:
            return


def _compare(model: keras.Model, new: keras.Model, pairs: list) -> None:
    precision = coarsest_type(new)
    tolerance = _TOLERANCE * (1 if precision == "float32" else 1000)
    for index, (one, other) in enumerate(pairs):
        found = difference(one, other)
        if not found.error <= tolerance:
            raise PruneError(
                f"Expected the model written out to compute the same. Received: output {index} of {model.name!r} has "
                f"{found.size:.6g} as its largest value, and differs by {found.error:.1e} of that; "
                f"{rounding(precision)} explains at most {tolerance:.0e}. "
                "Its call() depends on more than its layers and arguments."
            )
