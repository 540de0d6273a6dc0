"""Outputs of a model by name, and their kind by the loss: probabilities or logits, categorical or binary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import activations, layers, losses

from kerasprune._keras import compile_arguments, maker, making_node, structures
from kerasprune.data.signature import flat, is_graph, keys_of
from kerasprune.errors import PruneError, nearest, warn
from kerasprune.graph.built_model import body_of
from kerasprune.graph.groups import number_repeated
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.graph.walk import is_model
from kerasprune.surgery.output_distance import LastAxis


def output_names(model: keras.Model) -> list[str]:
    """Returns the names of a model's outputs, in flat order.

    Args:
        model: A functional or Sequential model. Outputs in a dict are named by their keys, others by their layers; the
            outputs of one layer are numbered, `head#1`, `head#2`.

    Example:
        >>> import keras
        >>> inputs = keras.Input((2,))
        >>> heads = {name: keras.layers.Dense(1, name=f"{name}_head")(inputs) for name in ("weight", "age")}
        >>> output_names(keras.Model(inputs, heads)), output_names(keras.Model(inputs, list(heads.values())))
        (['age', 'weight'], ['weight_head', 'age_head'])
    """
    body = body_of(model)
    return keys_of(structures(body)[1]) or number_repeated(body.output_names)


def by_output(given: Any, names: Sequence[str], what: str = "a loss") -> dict[str, Any]:
    """Returns a value by output from one value for all, a list in their order, or a dict.

    Args:
        given: The value, list or dict. Outputs missing in a dict get `None`.
        names: Names of the outputs.
        what: A noun for the message.

    Raises:
        PruneError: An output is unknown, or the list has another length.

    Example:
        >>> by_output({"heads": {"age": "mse"}}, ["heads/age", "heads/weight"])
        {'heads/age': 'mse', 'heads/weight': None}
    """
    if isinstance(given, Mapping):
        named = flat(given)
        layers_of = {name: name.partition("#")[0] for name in names}  # Keras knows the outputs of one layer by its name
        unknown = [name for name in named if name not in {*names, *layers_of.values()}]
        if unknown:
            raise PruneError(
                f"Expected {what} for each of the outputs {list(names)}. Received: {unknown[0]!r}."
                f"{nearest(unknown[0], names)}"
            )
        return {name: named.get(name, named.get(layer)) for name, layer in layers_of.items()}
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise PruneError(f"Expected {what} for each of the outputs {list(names)}. Received: {len(given)} of them.")
        return dict(zip(names, given, strict=True))
    return dict.fromkeys(names, given)


def pick_by_output(given: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """Returns a value by output as `by_output` does, but ignores unknown outputs in a dict.

    Example:
        >>> pick_by_output({"age": 1, "unused": 2}, ["age", "weight"], "labels")
        {'age': 1, 'weight': None}
    """
    if isinstance(given, Mapping):
        named = flat(given)
        return {name: named.get(name) for name in names}
    return by_output(given, names, what)


_KINDS = {  # the kind of outputs without and with from_logits
    losses.SparseCategoricalCrossentropy: ("softmax", "logits"),
    losses.CategoricalCrossentropy: ("softmax", "logits"),
    losses.CategoricalFocalCrossentropy: ("softmax", "logits"),
    losses.BinaryCrossentropy: ("sigmoid", "binary_logits"),
    losses.BinaryFocalCrossentropy: ("sigmoid", "binary_logits"),
}
_CLASSES = {kind().fn: kind for kind in _KINDS}  # by function
_UNBOUNDED = (layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.BatchNormalization)


def as_object(loss: Any) -> Any:
    """Returns a cross-entropy, given by name or function, as an object; other losses unchanged."""
    loss = losses.get(loss) if isinstance(loss, str) else loss
    return _CLASSES[loss]() if callable(loss) and loss in _CLASSES else loss


def kind_by_loss(loss: Any) -> str | None:
    """Returns `"softmax"`, `"logits"`, `"sigmoid"` or `"binary_logits"` for a cross-entropy, `None` for other losses.

    Args:
        loss: A loss of one output as `compile` takes it.

    Example:
        >>> import keras
        >>> kind_by_loss("binary_crossentropy"), kind_by_loss(keras.losses.BinaryCrossentropy(from_logits=True))
        ('sigmoid', 'binary_logits')
    """
    loss = as_object(loss)
    for kind, names in _KINDS.items():
        if isinstance(loss, kind):
            return names[bool(loss.get_config().get("from_logits"))]
    return None


def kind_of(tensor: keras.KerasTensor, given: Sequence[Any]) -> str:
    """Returns the kind of an output, by the first known of: a cross-entropy of Keras, the last activation, values.

    Args:
        tensor: The symbolic output.
        given: Compiled losses of this output, in order of priority; `None` is skipped.
    """
    return next(filter(None, map(kind_by_loss, given)), None) or _kind_by_activation(tensor)


def compiled_argument(model: keras.Model, key: str, names: Sequence[str]) -> list[Any]:
    """Returns an argument of `compile`, such as `"loss"`, for each output, or `None`."""
    return _of_each((compile_arguments(model) if model.compiled else {}).get(key), names, key)


def _of_each(given: Any, names: Sequence[str], key: str) -> list[Any]:
    if isinstance(given, list | tuple) and len(given) != len(names):
        return [given] * len(names)  # several losses may be for one output
    return list(pick_by_output(given, names, key).values())


def last_axes(model: keras.Model, loss: Any = None) -> dict[str, LastAxis]:
    """Returns for each output by name what its last axis holds: classes are a softmax, or logits by a loss of classes.

    Args:
        model: The model; the outputs of one without a graph have no names before it is called, so there are none.
        loss: The loss of each output, as `compile` takes it. Defaults to the compiled one.

    Example:
        >>> import keras
        >>> inputs = keras.Input((2,))
        >>> boxes, kinds = (keras.layers.Dense(4, name=name)(inputs) for name in ("boxes", "kinds"))
        >>> model = keras.Model(inputs, [keras.layers.Concatenate(name="pair")([boxes, boxes]), kinds])
        >>> last_axes(model, ["mse", keras.losses.SparseCategoricalCrossentropy(from_logits=True)])
        {'pair': LastAxis(classes=False, widths=(4, 4)), 'kinds': LastAxis(classes=True, widths=(4,))}
    """
    if not is_graph(model):
        return {}
    plain = without_ranges(model)
    names, tensors = output_names(plain), body_of(plain).outputs
    given = compiled_argument(model, "loss", names) if loss is None else _of_each(loss, names, "a loss")
    kinds = [kind_of(tensor, [each]) for tensor, each in zip(tensors, given, strict=True)]
    several = [len(tensor.shape) > 1 and tensor.shape[-1] != 1 for tensor in tensors]
    classes = [kind in ("softmax", "logits") and more for kind, more in zip(kinds, several, strict=True)]
    return dict(zip(names, map(LastAxis, classes, map(_widths, tensors)), strict=True))


def _widths(tensor: keras.KerasTensor) -> tuple[int, ...]:
    """Returns the widths of what is concatenated in the last axis of a tensor, also before it is reshaped or scaled."""
    node, last = making_node(tensor), len(tensor.shape) - 1
    if is_model(node.operation) and len(node.operation.outputs) == 1:
        return _widths(body_of(node.operation).outputs[0])
    given = [each for each in node.input_tensors if len(each.shape)]
    if type(node.operation).__name__ == "Concatenate" and node.operation.axis in (-1, last):
        return tuple(width for each in given for width in _widths(each))
    same = given and all(each.shape[-1] == tensor.shape[-1] for each in given)
    return _widths(given[0]) if same and not getattr(node.operation, "weights", ()) else (tensor.shape[-1] or 0,)


def warn_of_logits(model: keras.Model, losses_of: Mapping[str, Any]) -> None:
    """Warns if a loss expects probabilities and the output layer has no activation.

    Args:
        model: The model.
        losses_of: The loss of each output, by its name.
    """
    body = body_of(model)
    for name, tensor in zip(output_names(model), body.outputs, strict=True):
        last = maker(tensor)
        linear = isinstance(last, _UNBOUNDED) and getattr(last, "activation", None) in (None, activations.linear)
        if linear and kind_by_loss(losses_of[name]) in ("softmax", "sigmoid"):
            warn(
                f"Expected probabilities for the loss {_name(losses_of[name])!r}. Received: {last.name!r}, a layer "
                f"without an activation, whose outputs are logits. They are clipped to [0, 1], so hardly anything is "
                f"learnt: take keras.losses.{type(as_object(losses_of[name])).__name__}(from_logits=True)."
            )


def _kind_by_activation(tensor: keras.KerasTensor) -> str:
    node = making_node(tensor)
    operation = node.operation
    if is_model(operation) and len(operation.outputs) == 1:
        return _kind_by_activation(body_of(operation).outputs[0])
    activation = getattr(operation, "activation", None)
    linear = isinstance(operation, layers.Activation) and _is(activation, "linear")
    moved = isinstance(operation, layers.Identity | layers.Flatten | layers.Reshape)
    if linear or moved and node.input_tensors[0].shape[-1] == tensor.shape[-1]:
        return _kind_by_activation(node.input_tensors[0])
    last = getattr(operation, "axis", -1) in (-1, len(tensor.shape) - 1)
    if _is(activation, "softmax") or type(operation).__name__ == "Softmax" and last:
        return "softmax"
    return "sigmoid" if _is(activation, "sigmoid") or type(operation).__name__ == "Sigmoid" else "values"


def _is(activation: Any, name: str) -> bool:
    return activation is keras.activations.get(name)


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else getattr(loss, "__name__", None) or loss.name


def gives_class_numbers(model: keras.Model) -> bool:
    """Returns whether all outputs of a model are integers or booleans, which have no gradients."""
    return not any(keras.backend.is_float_dtype(each.dtype) for each in body_of(model).outputs)
