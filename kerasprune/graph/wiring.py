"""The wiring of a model: which call makes each tensor, and which calls read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kerasprune._keras import Functional
from kerasprune.graph.built_model import functional
from kerasprune.graph.walk import all_nodes, is_model, nodes


@dataclass
class Wiring:
    """Who makes and who reads each tensor; a tensor is known by its `id`, whatever stands for it.

    Args:
        makers: `{id(tensor): call}`. A tensor that a later call hands on unchanged is made by the first.
        readers: `{id(tensor): calls}`, in order; `None` reads the outputs of the model.
    """

    makers: dict[int, Any] = field(default_factory=dict)
    readers: dict[int, list[Any]] = field(default_factory=dict)

    def add(self, call: Any, inputs: Iterable[Any], outputs: Iterable[Any] = ()) -> None:
        """Enters one call, or with `None` the outputs of the model as its inputs."""
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
    """Yields a functional model, then the models nested in it, each as often as it is called."""
    yield model
    yield from (functional(node.operation) for node in all_nodes(model) if is_model(node.operation))
