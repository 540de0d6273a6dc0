"""Copies a functional model call by call, with changed layers, constants and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import inner_layers, lay_out_alike, maker, sharing_weights, structures
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.channels import Take
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.walk import Dropped, all_nodes, walk
from kerasprune.surgery.copy_layer import make_layer

Make = Callable[[Any], Any]
Change = Callable[[Any, int, Any], Any]
Value = Callable[[keras.Variable], np.ndarray]


def taken_arguments(graph: ChannelGraph, take: Take) -> Change:
    """Returns an `argument` for `clone` that takes the channels of constants in calls, as `take(ids)` chooses them."""

    def argument(node: Any, index: int, value: Any) -> Any:
        change = graph.arguments.get((id(node), index))
        return value if change is None else change(value, take)

    return argument


def clone(
    model: keras.Model,
    make: Make = make_layer,
    argument: Change = lambda node, index, value: value,
    dropped: Dropped = Dropped(),  # noqa: B008
    value: Value | None = None,
    added: Mapping[int, np.ndarray] = MappingProxyType({}),
    types: Mapping[str, str] = MappingProxyType({}),
) -> tuple[keras.Model, dict[int, Any]]:
    """Copies a model.

    Args:
        model: A functional or Sequential model; it is left untouched.
        make: Returns the new layer or operation for an old one; called once for each. Defaults to a copy.
        argument: `argument(node, index, value)` returns the value of a positional argument of a call. Defaults to the
            same value.
        dropped: Parts that are left out. Defaults to none.
        value: `value(variable)` returns the value of the copy of a variable. Defaults to newly initialised weights;
            only what `Normalization` was adapted to stays.
        added: Biases that the old layers lack, `{id(old layer): bias}`. Defaults to none.
        types: New types of inputs, by the old ones. Defaults to none.

    Returns:
        The copy, a functional model with the same inputs, outputs and name, and `{id(old layer): new layer}`.
    """
    made: dict[int, Any] = {}

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        operation = node.operation
        args = [argument(node, index, given) for index, given in enumerate(args)]
        if id(operation) in made:
            return made[id(operation)](*args, **kwargs)
        new = made[id(operation)] = make(operation)
        if not getattr(operation, "weights", ()):
            return new(*args, **kwargs)
        if value is None:
            called = new(*args, **kwargs)
            keep_adapted(operation, new)
            return called
        with starting_from(operation, new, value, added.get(id(operation))):
            return new(*args, **kwargs)

    def enter(node: Any, *args: Any, **kwargs: Any) -> Any:
        nested = node.operation
        if id(nested) not in made:
            made[id(nested)] = copy(nested, tree.flatten((args, kwargs)))
        return made[id(nested)](*args, **kwargs)

    def copy(old: keras.Model, fed: list[Any]) -> keras.Model:
        body = body_of(old)
        inputs = [input_like(x, y, dtype=types.get(x.dtype)) for x, y in zip(body.inputs, fed, strict=False)]
        outputs = walk(body, inputs, visit, enter, dropped)
        outputs = [_told_apart(y, inputs, old.name) if dropped.bypass else y for y in outputs]
        return model_like(old, inputs, outputs)

    new = copy(model, [of_any_batch(model, x) for x in body_of(model).inputs])
    called = [node.operation for node in all_nodes(model)]
    train_alike([(model, new), *((old, made[id(old)]) for old in called if id(old) in made)])
    return new, made


def copy_model(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional or Sequential model, with the same weights; it is not compiled."""
    return clone(model, value=lambda variable: values(variable).copy())[0]


def model_like(old: keras.Model, inputs: list[Any], outputs: list[Any]) -> keras.Model:
    """Returns a model of flat inputs and outputs with the name and the structures of an old one."""
    return keras.Model(*structured_like(old, inputs, outputs), name=old.name)


def structured_like(old: keras.Model, inputs: list[Any], outputs: list[Any]) -> tuple[Any, Any]:
    """Returns flat inputs and outputs in the nested structures of those of an old model."""
    nested, results = structures(body_of(old))
    return tree.pack_sequence_as(nested, inputs), tree.pack_sequence_as(results, outputs)


def train_alike(pairs: list[tuple[Any, Any]]) -> None:
    """Copies `trainable` from old layers to new ones, outer layers first: these set the flags of inner layers."""
    for old, new in pairs:
        trainable = getattr(old, "trainable", None)  # an operation has none
        if trainable is not None and trainable != getattr(new, "trainable", None):
            new.trainable = trainable


@contextmanager
def starting_from(
    old: keras.layers.Layer, new: keras.layers.Layer, value: Value, bias: np.ndarray | None = None
) -> Iterator[None]:
    """Gives a new layer, which is built in this block, the weights of an old one, and a bias that the old one lacks.

    Variables that the layer creates itself are initialised with their values, which saves drawing random numbers that
    would be overwritten; others, such as those of layers inside it, are assigned.
    """
    weights = old.weights
    names = [variable.name for variable in weights]
    waiting = {v.name: partial(value, v) for v in weights if names.count(v.name) == 1}
    if bias is not None:
        waiting["bias"] = lambda: bias
    add_weight = new.add_weight

    def starting(*args: Any, shape: Any = None, initializer: Any = None, name: str | None = None, **how: Any) -> Any:
        given = waiting[name]() if name in waiting else None
        if given is None or given.shape != tuple(shape or ()):
            return add_weight(*args, shape=shape, initializer=initializer, name=name, **how)
        waiting.pop(name)
        initialised.add(name)

        def start(shape: Any, dtype: Any) -> Any:
            return keras.ops.convert_to_tensor(given, dtype)  # without a type JAX compiles a copy for each shape

        return add_weight(*args, shape=shape, initializer=start, name=name, **how)

    initialised: set[str] = set()
    vars(new)["add_weight"] = starting  # past the layer's tracking
    try:
        yield
    finally:
        del vars(new)["add_weight"]
    inner = list(zip(inner_layers(old), inner_layers(new), strict=False))
    for before, after in inner:
        if before.built and not after.built:  # a layer used as an activation, say
            after.build_from_config(before.get_build_config())
        if getattr(before, "lora_enabled", False) and not after.lora_enabled:  # inside a layer, whose config lacks it
            after.enable_lora(before.lora_rank)
    targets = [variable for variable in new.weights if bias is None or variable is not new.bias]
    values = {id(variable): value(variable) for variable in weights if variable.name not in initialised}
    _check_alike(old, [values[id(v)].shape if id(v) in values else None for v in weights], targets)
    lay_out_alike(weights, targets)
    for variable, target in zip(weights, targets, strict=True):
        if id(variable) in values:
            target.assign(values[id(variable)])
    if bias is not None and "bias" not in initialised:
        new.bias.assign(bias)
    for before, after in inner:
        if isinstance(after, keras.layers.Normalization):
            after.finalize_state()  # it computes with numbers that it derives from its weights
        if getattr(before, "lora_enabled", False):
            after.lora_alpha = before.lora_alpha  # no config holds it
        if isinstance(after, keras.layers.RNN) and after.stateful:
            for state, target in zip(tree.flatten(before.states), tree.flatten(after.states), strict=True):
                target.assign(value(state))


@contextmanager
def taking_weights_of(old: keras.layers.Layer, new: keras.layers.Layer) -> Iterator[None]:
    """Lets a new layer, which is built in this block, take the variables of an old one.

    Those that cannot be shared are assigned their values.
    """
    with sharing_weights(new, old):
        yield
    _check_alike(old, [tuple(variable.shape) for variable in old.weights], new.weights)
    for variable, target in zip(old.weights, new.weights, strict=True):
        if target is not variable:
            target.assign(variable)
    keep_adapted(old, new)


def keep_adapted(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Gives the `Normalization` layers of a new layer, which is built, what those of an old one were adapted to."""
    for before, after in zip(inner_layers(old), inner_layers(new), strict=False):
        if isinstance(before, keras.layers.Normalization) and isinstance(after, keras.layers.Normalization):
            for variable, target in zip(before.weights, after.weights, strict=True):
                target.assign(values(variable))
            after.finalize_state()  # it computes with numbers that it derives from its weights


def _check_alike(old: Any, shapes: list[tuple[int, ...] | None], targets: list[Any]) -> None:
    """Raises if a recreated layer has other weights than the old one."""
    now = [tuple(target.shape) for target in targets]
    if len(now) == len(shapes) and all(shape in (None, other) for shape, other in zip(shapes, now, strict=True)):
        return
    raise PruneError(
        f"Expected a layer that can be recreated from its config. Received: {old.name!r} of class "
        f"{type(old).__name__}, which has {len(shapes)} weights, its copy "
        f"{len(now)}, or of other shapes. It was changed after it was built, e.g. by quantize() inside it: "
        "undo that first, and repeat it on the slim model."
    )


def _told_apart(output: Any, inputs: list[Any], name: str) -> Any:
    """Returns an output that is not an input itself: Keras cannot call a model whose output is its input."""
    if not any(output is x for x in inputs):
        return output
    return keras.layers.Identity(name=f"{name}_identity", dtype=output.dtype)(output)


def of_any_batch(model: keras.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the input of a copy for one of a model: of any number of examples, unless the model fixes it."""
    return tensor if fixed_batch(model) else keras.KerasTensor((None, *tensor.shape[1:]), tensor.dtype)


def input_like(
    tensor: keras.KerasTensor, fed: keras.KerasTensor, name: str | None = None, dtype: str | None = None
) -> keras.KerasTensor:
    """Returns a new input like an old one, by default of its name and type; it has the fixed sizes of what is fed."""
    shape = [new if old is not None else None for old, new in zip(tensor.shape, fed.shape, strict=True)]
    old = maker(tensor)
    how = {"dtype": dtype or tensor.dtype, "sparse": tensor.sparse, "optional": old.optional, "name": name or old.name}
    return keras.Input(batch_shape=shape, **how)
