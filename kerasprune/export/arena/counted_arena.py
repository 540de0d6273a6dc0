"""The arena of any plan of a model, counted from the files of a few: which sides of tensors follow which channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from kerasprune.errors import PruneError
from kerasprune.export.arena.memory_report import Arena, Peak
from kerasprune.export.arena.operator_memory import BYTES_OF_TENSOR
from kerasprune.export.latency.whole_networks import narrow_groups
from kerasprune.export.tflite_graph import TfliteFile, layers_in
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.surgery.costs.counts import counter

_DRAWN = 3  # files of random widths, besides that of the dense model
_LEAST, _MOST = 0.3, 0.95  # shares of a group that are drawn


class _Side(NamedTuple):
    """A side of a tensor that follows channels: `factor · Π count(line) + rest`."""

    tensor: int
    axis: int
    lines: tuple[np.ndarray, ...]
    factor: float
    rest: int


@dataclass
class CountedArena:
    """The arena of the slim models of a graph.

    The dense model's file and three of random widths are converted. A side that differs between them is that of the
    channel ids whose numbers differ alike: those of the layers that its name tells, or else of any.

    Args:
        graph: The graph of the dense model.
        file_of: Returns the file of a plan.

    Raises:
        PruneError: The files of other widths have other operators, or a side follows no channels.
    """

    graph: ChannelGraph
    file_of: Callable[[Plan], bytes]

    def __post_init__(self) -> None:
        random = np.random.default_rng(0)
        plans = [
            Plan({}, coupling=self.graph.coupling),
            *(narrow_groups(self.graph, lambda _: random.uniform(_LEAST, _MOST)) for _ in range(_DRAWN)),
        ]
        files = [TfliteFile.of(self.file_of(plan)) for plan in plans]
        self.file, names = files[0], [[each.name for each in file.run[0]] for file in files]
        if any(each != names[0] for each in names):
            raise PruneError(
                "Expected a model whose files have the same operators at any width. Received: others at other widths. "
                "Take kp.targets.Size, or macs=, and look at kp.export.memory of the file."
            )
        counts = [counter(self.graph.alive(plan.keep)) for plan in plans]
        # Equal constants, such as biases of zeros, are one tensor: at other widths there may be more of them.
        self._more = max(len(file.tensors) for file in files) - len(self.file.tensors)
        self._sides = list(self._found(files, counts))
        self._known: dict[tuple[int, ...], Arena] = {}

    def _found(self, files: Sequence[TfliteFile], counts: Sequence[Count]) -> Iterator[_Side]:
        """Yields the sides that differ, with what they follow."""
        every, by_layer = self._lines()
        known = {}
        for line in every.values():
            known.setdefault(tuple(count(line) for count in counts), (line,))
        pairs: dict[tuple[int, ...], tuple[np.ndarray, ...]] = {}
        for one, other in combinations_with_replacement(list(known), 2):
            product = tuple(a * b for a, b in zip(one, other, strict=True))
            pairs.setdefault(product, known[one] + known[other])
        for places in zip(*map(_made, files), strict=True):
            place, tensors = places[0], [file.tensors[each] for file, each in zip(files, places, strict=True)]
            if not tensors[0].is_planned:
                continue
            for axis, sizes in enumerate(zip(*(each.shape for each in tensors), strict=True)):
                if len(set(sizes)) == 1:
                    continue
                named = layers_in(self.file.tensors[place].name, by_layer)
                own = {tuple(count(line) for count in counts): (line,) for name in named for line in by_layer[name]}
                found = next(filter(None, (_followed(sizes, each) for each in (own, known, pairs))), None)
                if found is None:
                    raise PruneError(
                        "Expected a file whose sides follow the channels of layers. Received: "
                        f"{self.file.tensors[place].name!r}, of {sizes[0]} and {sizes[1]}. Take kp.targets.Size, or "
                        "macs=, and look at kp.export.memory of the file."
                    )
                yield _Side(place, axis, *found)

    def _lines(self) -> tuple[dict[bytes, np.ndarray], dict[str, list[np.ndarray]]]:
        """Returns the rows of channel ids in the graph, and those that each layer makes."""
        every: dict[bytes, np.ndarray] = {}
        by_layer: dict[str, list[np.ndarray]] = {}
        for call in self.graph.calls:
            for ids in (*call.outputs, *call.inputs):
                every |= {line.tobytes(): line for line in ids.axes.values()}
            made = [line for ids in call.outputs for line in ids.axes.values()]
            by_layer.setdefault(call.operation.name, []).extend(made)
        for entry in self.graph.slices:
            every |= {line.tobytes(): line for line in entry.ids if line is not None}
        return every, by_layer

    def of(self, count: Count) -> Arena:
        """Returns the arena of a choice of widths.

        Args:
            count: Number of channels kept of an array of ids.
        """
        numbers = (float(np.prod([count(line) for line in side.lines])) for side in self._sides)
        sizes = tuple(
            max(round(side.factor * number + side.rest), 1) for side, number in zip(self._sides, numbers, strict=True)
        )
        if sizes not in self._known:
            shapes: dict[int, list[int]] = {}
            for side, size in zip(self._sides, sizes, strict=True):
                shapes.setdefault(side.tensor, list(self.file.tensors[side.tensor].shape))[side.axis] = size
            arena = Arena.of(self.file, shapes)
            self._known[sizes] = arena._replace(tail=arena.tail + BYTES_OF_TENSOR * self._more)
        return self._known[sizes]

    def copied(self, count: Count) -> int:
        """Returns the bytes of copies in floats at the peak.

        Args:
            count: As for `of`.
        """
        return Peak.of(self.file, self.of(count)).copied

    def groups_of(self, tensors: Sequence[int]) -> set[str]:
        """Returns the prunable groups that some tensors have channels of."""
        names, owner = list(self.graph.groups), self.graph.places[0]
        lines = [line for side in self._sides if side.tensor in set(tensors) for line in side.lines]
        numbers = {int(each) for line in lines for each in np.unique(owner[self.graph.classes[line]]) if each >= 0}
        return {names[number] for number in numbers if names[number] in self.graph.prunable}


def _made(file: TfliteFile) -> list[int]:
    """Returns the places of inputs and of what operators make; equal constants are stored once, so places differ."""
    made = [place for each in file.run[0] for place in each.outputs]
    return list(dict.fromkeys([*(place for given in file.inputs for place in given), *made]))


def _followed(
    sizes: Sequence[int], known: dict[tuple[int, ...], tuple[np.ndarray, ...]]
) -> tuple[tuple[np.ndarray, ...], float, int] | None:
    """Returns the rows of ids whose numbers differ as sizes do, the factor, and what is added."""
    if tuple(sizes) in known:
        return known[tuple(sizes)], 1.0, 0
    for numbers, lines in known.items():
        if len(set(numbers)) > 1 and all(a * numbers[0] == sizes[0] * b for a, b in zip(sizes, numbers, strict=True)):
            return lines, sizes[0] / numbers[0], 0
    for numbers, lines in known.items():
        if len(set(numbers)) > 1 and len({a - b for a, b in zip(sizes, numbers, strict=True)}) == 1:
            return lines, 1.0, sizes[0] - numbers[0]
    return None
