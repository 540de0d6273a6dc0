"""The outputs in which a group's channels can be seen, and means of a statistic of their feature maps."""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from math import prod
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops, tree

from kerasprune._keras import call_operation, in_inference, inner_layers, nn
from kerasprune._keras import numpy_operations as knp
from kerasprune.backend.engine import full_precision
from kerasprune.criteria.base import Checked, Criterion, Scores, argument, refuse
from kerasprune.criteria.members_of_channels import aggregate_pieces
from kerasprune.criteria.registry import aggregations
from kerasprune.data.batches import example_batches
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.walk import walk
from kerasprune.repair.reconstruction.program import Program
from kerasprune.surgery.compute_dtype import in_precision

Statistic = Callable[[np.ndarray], np.ndarray]
"""From maps of shape `(examples, channels, …)` to one number for each example and channel."""

_LAYERS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
_OPERATIONS = (
    *(nn.Relu, nn.Relu6, nn.LeakyRelu, nn.Elu, nn.Selu, nn.Celu, nn.Gelu, nn.Silu, nn.HardSilu, nn.Softplus),
    *(nn.Sigmoid, nn.HardSigmoid, nn.HardTanh, nn.Threshold, knp.Tanh),
)
_NUMBERS_AT_ONCE = 2**27  # in all outputs of one pass: half a gigabyte


@dataclass(frozen=True)
class MapCriterion(Checked, Criterion):
    """Base of criteria of feature maps; labels are not used.

    Args:
        samples: Largest number of examples.
        aggregation: How several maps of a channel make one score. Defaults to `"mean"`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"data"})

    samples: int
    aggregation: Any = argument("mean", make=aggregations.get)

    @abstractmethod
    def places(self, graph: ChannelGraph) -> dict[str, list[Place]]:
        """Returns the places at which each group's channels are seen."""

    @abstractmethod
    def statistic(self, maps: np.ndarray) -> np.ndarray:
        """Returns one number for each example and channel of maps of shape `(examples, channels, …)`."""

    @abstractmethod
    def scores(self, means: Scores, generator: np.random.Generator) -> Scores:
        """Returns the scores from the mean statistics of each group's channels."""

    def score(self, graph: ChannelGraph, data: Any = None, loss: Any = None, seed: int = 0) -> Scores:
        """Returns the scores from the statistic's means over all examples.

        Several places of a channel are aggregated, positions of one place averaged.

        Raises:
            PruneError: `data` is missing or does not fit the model, or channels cannot be seen in any output.
        """
        self.check(data)
        seen = self.places(graph)
        batches = example_batches(graph.model, data, self.samples)
        mean = averages(graph, (place for each in seen.values() for place in each), batches, self.statistic)

        def piece(place: Place) -> tuple[np.ndarray, np.ndarray]:
            inside = np.maximum(place.channel, 0)
            times = np.bincount(place.channel[place.channel >= 0], minlength=inside.max(initial=0) + 1)
            return mean[place] / np.maximum(times[inside], 1), place.channel

        means = {
            name: aggregate_pieces([piece(place) for place in each], graph.groups[name].size, self.aggregation)
            for name, each in seen.items()
        }
        return self.scores(means, np.random.default_rng(seed))


@dataclass(frozen=True)
class Place:
    """An output of a call in which channels of a group can be seen.

    Args:
        call: Number of the call, in the order of the walk.
        output: Index of the output.
        axis: The axis of the channels.
        channel: The channel of the group at each position of the axis, −1 = none.
        activated: Whether it is the output of an activation.
    """

    call: int
    output: int
    axis: int
    channel: np.ndarray = field(repr=False, compare=False)
    activated: bool = True


def places(graph: ChannelGraph) -> dict[str, list[Place]]:
    """Returns the outputs in which the channels of every prunable group can be seen.

    For each layer that makes them: the output of the first activation after it (through normalisation, sums,
    concatenation and pooling, up to the next kernel), or of the layer itself if there is no activation. A place
    after several layers (a residual sum) counts once.

    Raises:
        PruneError: The channels of a group are in no layer's output.
    """
    finder = _Finder(graph)
    found = {name: finder.places(name) for name in graph.prunable}
    hidden = [name for name, seen in found.items() if not seen]
    refuse(hidden, "channels that can be seen in the outputs of layers", "groups hidden inside layers:")
    return found


Look = Callable[[int, tuple, list[Any]], None]
"""`look(number, arguments, outputs)`, called after every call, numbered as in `graph.calls`."""


@full_precision()
def run_through(graph: ChannelGraph, batches: Iterable[list[np.ndarray]], look: Look) -> int:
    """Runs batches through a model in inference mode, in full precision; returns the number of examples.

    A model of half precision is run as a copy in float32, since rounding noise has full rank. Batches are split so
    that all outputs fit into memory together.

    Args:
        graph: The graph of the model.
        batches: The inputs.
        look: Called after every call.
    """
    body = body_of(in_precision(graph.model, "float32")[0])
    sizes = (prod(d or 64 for d in each.shape[1:]) for call in graph.calls for each in call.node.outputs)
    step, examples = max(1, _NUMBERS_AT_ONCE // max(sum(sizes), 1)), 0

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        results = call_operation(node.operation, *args, **in_inference(node.operation, kwargs))
        look(next(numbers), args, tree.flatten(results))
        return results

    for batch in batches:
        for start in range(0, len(batch[0]), step):
            numbers = count()
            pairs = zip(batch, body.inputs, strict=True)
            walk(body, [ops.convert_to_tensor(x[start : start + step], dtype=y.dtype) for x, y in pairs], visit)
        examples += len(batch[0])
    return examples


def averages(
    graph: ChannelGraph, seen: Iterable[Place], batches: Iterable[list[np.ndarray]], statistic: Statistic
) -> dict[Place, np.ndarray]:
    """Returns the mean of a statistic over all examples, for each position of the channel axis of every place.

    Raises:
        PruneError: An output is not finite.
    """
    totals: dict[Place, Any] = dict.fromkeys(seen, 0.0)

    def look(number: int, _: tuple, outputs: list[Any]) -> None:
        for place in [place for place in totals if place.call == number]:
            maps = ops.convert_to_numpy(ops.cast(outputs[place.output], "float32"))
            check_maps(maps, f"from {graph.calls[number].operation.name!r}")
            found = statistic(np.moveaxis(maps, place.axis, 1))
            totals[place] = totals[place] + found.sum(axis=0, dtype="float64")

    examples = run_through(graph, batches, look)
    return {place: total / examples for place, total in totals.items()}


def check_maps(maps: np.ndarray, where: str) -> None:
    """Raises a `PruneError` if feature maps are not finite."""
    if not np.isfinite(maps).all():
        raise PruneError(
            f"Expected finite feature maps. Received: NaN or infinity {where}. Check the weights: training may have "
            "diverged."
        )


class _Finder:
    """Follows channels from the layers that make them to the next activation."""

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self.with_kernels = {id(entry.owner) for entry in graph.kernels}
        self._program = Program(graph.model)
        self._number = {step: number for number, step in enumerate(self._program.steps)}
        self.of_layer: dict[int, list[int]] = {}
        for step, number in self._number.items():
            for each in {id(layer) for layer in (step.operation, *inner_layers(step.operation))}:
                self.of_layer.setdefault(each, []).append(number)

    def places(self, name: str) -> list[Place]:
        owners = dict.fromkeys(id(entry.owner) for entry, _, _ in self.graph.made_by(name))
        calls = dict.fromkeys(number for owner in owners for number in self.of_layer.get(owner, ()))
        return list(dict.fromkeys(place for number in calls for place in self._behind(number, name)))

    def _behind(self, start: int, name: str) -> list[Place]:
        """Returns the places after the first activation that follows a call, or those of the call itself."""
        own = self._shown(start, name)
        if not own or _nonlinear(self.graph.calls[start].operation):
            return own
        waiting, done = [start], {start}
        while waiting:
            number = heapq.heappop(waiting)
            operation = self.graph.calls[number].operation
            shown = self._shown(number, name)
            if not shown or number != start and self.with_kernels & set(map(id, [operation, *inner_layers(operation)])):
                continue
            if number != start and _nonlinear(operation):
                return shown
            outputs = self._program.steps[number].outputs
            readers = [step for place in shown for step in self._program.readers.get(outputs[place.output], ())]
            for reader in {self._number[step] for step in readers} - done:
                done.add(reader)
                heapq.heappush(waiting, reader)
        return [replace(place, activated=False) for place in own]

    def _shown(self, number: int, name: str) -> list[Place]:
        """Returns the outputs of a call that contain channels of a group."""
        group, classes = self.graph.groups[name], self.graph.classes
        place_of = np.full(classes.max(initial=-1) + 1, -1)
        place_of[group.classes] = np.arange(group.size)
        found = []
        for output, ids in enumerate(self.graph.calls[number].outputs):
            for axis, line in sorted(ids.axes.items(), reverse=True):
                channel = place_of[classes[line]]
                if (channel >= 0).any():
                    found.append(Place(number, output, axis, channel))
                    break
        return found


def _nonlinear(operation: Any) -> bool:
    """Returns whether a layer or operation is an activation or ends in one."""
    own = getattr(operation, "activation", None)
    if isinstance(operation, keras.layers.Layer) and own is not None:
        return own is not keras.activations.linear
    return isinstance(operation, (*_LAYERS, *_OPERATIONS))
