"""The variables that a channel is scored by: those that make it, read it or scale it, or all of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasprune.criteria.aggregation import Aggregation
from kerasprune.criteria.base import Scores
from kerasprune.graph.channels import Slice
from kerasprune.graph.graph import ChannelGraph

Member = tuple[Slice, int, np.ndarray]
"""`(variable, axis, channel)`: `channel[position]` is the channel of the group at a position of the axis, −1 = none."""

Lines = Callable[[Slice, int], np.ndarray]
"""`lines(variable, axis)` returns the score of each position along an axis of a variable."""


class Members:
    """Base class: selects the variables that score the channels of a group, in the order of the graph."""

    def __call__(self, graph: ChannelGraph, name: str) -> list[Member]:
        """Returns the members of a group.

        Args:
            graph: The graph.
            name: Name of the group.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Makers(Members):
    """The kernels that make the channels (the filters): the default of all criteria of weights."""

    def __call__(self, graph: ChannelGraph, name: str) -> list[Member]:
        """Returns the kernels, each along the axis that makes channels."""
        return graph.made_by(name)


@dataclass(frozen=True)
class Readers(Members):
    """The kernels that read the channels. A depthwise kernel, which does both, counts among the makers only."""

    def __call__(self, graph: ChannelGraph, name: str) -> list[Member]:
        """Returns the kernels, each along the axis that reads channels."""
        making = {(id(entry), axis) for entry, axis, _ in graph.made_by(name)}
        return [each for each in graph.read_by(name) if (id(each[0]), each[1]) not in making]


@dataclass(frozen=True)
class Scales(Members):
    """The scales γ that the channels are multiplied by: those of BatchNorm."""

    def __call__(self, graph: ChannelGraph, name: str) -> list[Member]:
        """Returns the scales."""
        return graph.scaled_by(name)


@dataclass(frozen=True)
class Everything(Members):
    """The variables that make the channels, then those that read them, then those that scale them."""

    def __call__(self, graph: ChannelGraph, name: str) -> list[Member]:
        """Returns all of them."""
        return [*Makers()(graph, name), *Readers()(graph, name), *Scales()(graph, name)]


def member_scores(graph: ChannelGraph, members: Members, aggregation: Aggregation, lines: Lines) -> Scores:
    """Returns `score(c) = aggregation over members m of Σ_positions of c line_m`.

    Args:
        graph: The graph.
        members: Which variables count.
        aggregation: How their scores become one.
        lines: Returns the score of each position along an axis of a variable; called once for each.

    Returns:
        `{group name: scores of shape (channels,)}` of the prunable groups; zeros if no member scores them.
    """
    found = {name: members(graph, name) for name in graph.prunable}
    lines_of = {(id(entry), axis): (entry, axis) for each in found.values() for entry, axis, _ in each}
    line = {key: np.asarray(lines(*each), "float64") for key, each in lines_of.items()}
    return {
        name: aggregate_pieces(
            [(line[id(entry), axis], channel) for entry, axis, channel in each], graph.groups[name].size, aggregation
        )
        for name, each in found.items()
    }


def aggregate_pieces(pieces: list[tuple[np.ndarray, np.ndarray]], size: int, aggregation: Aggregation) -> np.ndarray:
    """Returns one score per channel from the scores that several members give their positions.

    Args:
        pieces: For each member the scores of its positions, and the channel at each; −1 = none.
        size: Number of channels.
        aggregation: How the members' scores become one.
    """
    values, present = np.zeros((len(pieces), size)), np.zeros((len(pieces), size), bool)
    for row, (worth, channel) in enumerate(pieces):
        inside = channel >= 0
        np.add.at(values[row], channel[inside], worth[inside])
        present[row, channel[inside]] = True
    return aggregation(values, present)
