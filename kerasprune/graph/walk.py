"""One walk over a functional model, shared by tracing, counting, folding and rebuilding."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import tree

from kerasprune._keras import Functional, nodes_by_depth
from kerasprune.graph.built_model import functional

Visit = Callable[..., Any]
"""`visit(node, *args, **kwargs)`: called for each call of a layer or operation, with symbolic tensors replaced."""


def has_free_axes(model: keras.Model) -> bool:
    """Returns whether an input of a model leaves the size of an axis open: a side of an image, a length."""
    return any(None in tensor.shape[1:] for tensor in model.inputs)


def is_model(operation: Any) -> bool:
    """Returns whether a node calls a nested model."""
    return isinstance(operation, Functional | keras.Sequential)


def nodes(model: Functional) -> list[Any]:
    """Returns the calls of a functional model, inputs apart, each after those that feed it."""
    by_depth = nodes_by_depth(model)
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def all_nodes(model: keras.Model) -> Iterator[Any]:
    """Yields the calls of a functional or Sequential model; behind that of a nested model those in it."""
    for node in nodes(functional(model)):
        yield node
        if is_model(node.operation):
            yield from all_nodes(node.operation)


@dataclass(frozen=True)
class Dropped:
    """What is left out of a walk.

    Args:
        bypass: `{id(tensor): tensor}`: a tensor that another takes the place of; the call that makes it is left out.
        absent: `{id(tensor): value}`: a tensor that is not computed, and the value that stands for it.
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
        dropped: What is left out; calls that only feed it are left out too. Defaults to nothing.

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
            results = walk(functional(node.operation), fed, visit, dropped=dropped)
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


@contextmanager
def uncollected() -> Iterator[None]:
    """Pauses Python's search for dead cycles, unless somebody else has paused it.

    A model is thousands of objects that live on. Making them sets off searches through everything the process holds,
    TensorFlow included, which find nothing and can take longer than the work itself.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
