"""One walk over a functional model, shared by tracing, counting, folding and rebuilding, and its wiring."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import tree

from kerasprune._keras import Functional, inner_layers, is_functional, nodes_by_depth
from kerasprune.checks import is_named
from kerasprune.graph.built_model import body_of

Visit = Callable[..., Any]
"""`visit(node, *args, **kwargs)`: called for each call of a layer or operation, with symbolic tensors replaced."""


def has_free_axes(model: keras.Model) -> bool:
    """Returns whether an input of a model has an axis of free size, such as a side of an image."""
    return any(None in tensor.shape[1:] for tensor in model.inputs)


def is_model(operation: Any) -> bool:
    """Returns whether a node calls a nested model."""
    return is_functional(operation)


def nodes(model: Functional) -> list[Any]:
    """Returns the calls of a functional model except its inputs, each after those that feed it."""
    by_depth = nodes_by_depth(model)
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def all_nodes(model: keras.Model) -> Iterator[Any]:
    """Yields the calls of a functional or Sequential model; after that of a nested model those inside it."""
    for node in nodes(body_of(model)):
        yield node
        if is_model(node.operation):
            yield from all_nodes(node.operation)


def named_operations(model: keras.Model, patterns: Iterable[str]) -> set[int]:
    """Returns the ids of operations that names or wildcards match, and of all in a layer or model that they match."""
    found: set[int] = set()

    def add(body: Functional, inside: bool) -> None:
        for node in nodes(body):
            operation = node.operation
            named = inside or any(is_named(operation.name, pattern) for pattern in patterns)
            if is_model(operation):
                add(body_of(operation), named)
            elif named:
                found.update(map(id, (operation, *inner_layers(operation))))

    add(body_of(model), False)
    return found


@dataclass(frozen=True)
class Dropped:
    """Tensors that a walk leaves out.

    Args:
        bypass: `{id(tensor): replacement}`; the call that makes the tensor is left out.
        absent: `{id(tensor): value}`: tensors that are not computed, with the value to use.
    """

    bypass: Mapping[int, Any] = field(default_factory=dict)
    absent: Mapping[int, Any] = field(default_factory=dict)


def walk(
    model: Functional,
    inputs: Sequence[Any],
    visit: Visit,
    enter: Visit | None = None,
    dropped: Dropped = Dropped(),  # noqa: B008
) -> list[Any]:
    """Runs any values through the graph of a model.

    Args:
        model: The functional model.
        inputs: One value for each input tensor, in order.
        visit: Called for every call of a layer or operation; returns the values of its outputs.
        enter: Called the same way for nested models. Defaults to walking through them.
        dropped: Tensors left out, with the calls that only feed them. Defaults to none.

    Returns:
        One value for each output tensor.
    """
    values = dict(zip(map(id, model.inputs), inputs, strict=True)) | dict(dropped.absent)
    wanted = _wanted(model, dropped)
    for node in nodes(model):
        if id(node) not in wanted:
            continue
        replaced = [output for output in node.outputs if id(output) in dropped.bypass]
        if replaced:
            values.update({id(output): values[id(dropped.bypass[id(output)])] for output in replaced})
            continue
        args, kwargs = node.arguments.fill_in(values)
        if not is_model(node.operation):
            results = visit(node, *args, **kwargs)
        elif enter is not None:
            results = enter(node, *args, **kwargs)
        else:
            fed = tree.flatten((args, kwargs))[: len(node.input_tensors)]
            results = walk(body_of(node.operation), fed, visit, dropped=dropped)
        if not isinstance(results, list | tuple) or len(results) != len(node.outputs):
            results = tree.flatten(results)
        values.update(zip(map(id, node.outputs), results, strict=True))
    return [values[id(output)] for output in model.outputs]


def _wanted(model: Functional, dropped: Dropped) -> set[int]:
    """Returns the ids of the nodes that the outputs need."""
    tensors = {id(output) for output in model.outputs}
    wanted = set()
    for node in reversed(nodes(model)):
        if not any(id(output) in tensors for output in node.outputs):
            continue
        wanted.add(id(node))
        replaced = [dropped.bypass[id(output)] for output in node.outputs if id(output) in dropped.bypass]
        needed = replaced or [x for x in node.input_tensors if id(x) not in dropped.absent]
        tensors.update(map(id, needed))
    return wanted


@dataclass
class Wiring:
    """The call that makes, and the calls that read, each tensor or the object in its place, known by its `id`.

    Args:
        makers: `{id(tensor): call}`: the first call that returns it.
        readers: `{id(tensor): calls}`, in order; `None` reads the outputs of the model.
    """

    makers: dict[int, Any] = field(default_factory=dict)
    readers: dict[int, list[Any]] = field(default_factory=dict)

    def add(self, call: Any, inputs: Iterable[Any], outputs: Iterable[Any] = ()) -> None:
        """Adds one call, or `None` with the outputs of the model as its inputs."""
        for tensor in inputs:
            self.readers.setdefault(id(tensor), []).append(call)
        for tensor in outputs:
            self.makers.setdefault(id(tensor), call)

    def maker(self, tensor: Any) -> Any | None:
        """Returns the call that makes a tensor; `None` for an input of the model."""
        return self.makers.get(id(tensor))

    def readers_of(self, tensor: Any) -> list[Any]:
        """Returns the calls that read a tensor, `None` among them for an output of the model."""
        return self.readers.get(id(tensor), [])


def wiring(*bodies_of_model: Functional) -> Wiring:
    """Returns the wiring of functional models; a nested model is one call in the model around it."""
    found = Wiring()
    for body in bodies_of_model:
        for node in nodes(body):
            found.add(node, node.input_tensors, node.outputs)
        found.add(None, body.outputs)
    return found


def bodies(model: Functional) -> Iterator[Functional]:
    """Yields a functional model, then the models nested in it, once for every call."""
    yield model
    yield from (body_of(node.operation) for node in all_nodes(model) if is_model(node.operation))


@contextmanager
def pause_collection() -> Iterator[None]:
    """Pauses Python's garbage collector, unless it is paused already.

    Making the thousands of objects of a model sets off collections through everything the process holds, TensorFlow
    included, which find nothing and can take longer than the work itself.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def changed_weights(operation: Any) -> str:
    """Returns how the weights of a layer, inner ones included, were changed after building, or an empty string."""
    for layer in inner_layers(operation):
        if getattr(layer, "quantization_mode", None):
            return f"quantized to {layer.quantization_mode}"
        if getattr(layer, "lora_enabled", False):
            return "with LoRA"
    return ""
