"""`Allocations`: the fractions that many candidates keep of every group, as one array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune import criteria
from kerasprune.criteria.base import Criterion, Scores
from kerasprune.errors import PruneError, raise_faults
from kerasprune.files import path_of
from kerasprune.files.writing import write_rows
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.base import highest
from kerasprune.surgery.costs.channel_polynomial import Lines


@dataclass(frozen=True, eq=False)
class Allocations:
    """Many candidates, each given by the fraction kept of every group; `kp.papers.spaces.sample` draws them.

    Args:
        graph: The graph of the model.
        keep: Fractions kept, in (0, 1], shape `(candidates, prunable groups)`. A fraction keeps as many channels as
            `kp.plan(model, keep=fraction)` does.
        criterion: Scores the channels; it must not need data. Defaults to `"l2"`, as in the paper.

    Raises:
        PruneError: The array does not have a column for every prunable group, or a number is out of range.

    Example:
        >>> import keras
        >>> from kerasprune.graph.trace import trace
        >>> dense = keras.layers.Dense
        >>> graph = trace(keras.Sequential([keras.Input((4,)), dense(8, name="first"), dense(2)]))
        >>> allocations = Allocations(graph, [[0.5], [0.25]])
        >>> allocations.groups, allocations.channels.tolist(), len(allocations.plan(1).keep["first"])
        (('first',), [[4], [2]], 2)

    Reference:
        He et al., Network Pruning Spaces, 2023, Section 3, where a recipe is a row of fractions removed, `1 − keep`.
    """

    graph: ChannelGraph
    keep: np.ndarray
    criterion: str | dict | Criterion = "l2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", fractions_of(self.graph, self.keep))

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the prunable groups, one for each column."""
        return tuple(self.graph.prunable)

    @cached_property
    def channels(self) -> np.ndarray:
        """Numbers of channels kept, shape `(candidates, groups)`."""
        return narrow_branches(self.graph, channels_kept(sizes_of(self.graph), self.keep))

    @property
    def std(self) -> np.ndarray:
        """The standard deviation of each candidate's fractions over its groups, as built in whole channels."""
        return (self.channels / sizes_of(self.graph)).std(axis=1)

    def plan(self, number: int) -> Plan:
        """Returns the plan of one candidate, which keeps the channels of highest score.

        Raises:
            PruneError: No candidate has that number.
        """
        if not -len(self) <= number < len(self):
            raise PruneError(f"Expected the number of one of {len(self)} allocations. Received: {number!r}.")
        return Plan.of(self.graph, self._chosen(self.channels[number]))

    def take(self, numbers: Sequence[int] | np.ndarray) -> Allocations:
        """Returns some of the candidates, in the order given."""
        return Allocations(self.graph, self.keep[np.asarray(numbers)], self.criterion)

    def rows(self) -> list[dict[str, float]]:
        """Returns a row for each candidate: the fraction kept of each group."""
        return [dict(zip(self.groups, row, strict=True)) for row in self.keep.tolist()]

    def save(self, path: str | Path) -> Path:
        """Writes these rows as a CSV file, and returns its path."""
        return write_rows(path_of(path), self.rows(), self.groups)

    def __len__(self) -> int:
        return len(self.keep)

    def __repr__(self) -> str:
        return f"<{len(self)} allocations of {len(self.groups)} groups of {self.graph.model.name!r}>"

    @cached_property
    def _chosen(self) -> Highest:
        return Highest(self.graph, self.criterion)


def bisect_intervals(
    low: np.ndarray, high: np.ndarray, times: int, below: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of intervals, halved `times` times around the point up to which `below(middle)` holds."""
    for _ in range(times):
        middle = (low + high) / 2
        under = below(middle)
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return low, high


def sizes_of(graph: ChannelGraph) -> np.ndarray:
    """Returns the number of channels of every prunable group."""
    return np.array([group.size for group in graph.prunable.values()], int)


def channels_kept(sizes: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Returns the numbers of channels that fractions keep, `size − min(⌈(1 − keep)·size⌉, size − 1)`.

    Args:
        sizes: Channels of each group.
        keep: Fractions, groups last.
    """
    return (sizes - np.minimum(np.ceil(np.round((1 - keep) * sizes, 9)), sizes - 1)).astype(int)


def narrow_branches(graph: ChannelGraph, channels: np.ndarray) -> np.ndarray:
    """Returns numbers of channels, reduced so that no padded branch is wider than its trunk.

    Args:
        graph: The graph.
        channels: Numbers of channels, shape `(candidates, groups)`.
    """
    lines = Lines(graph)
    sums = [(lines.row(each.branch)[:-1], lines.row(each.trunk)) for each in graph.padded]
    found = channels.copy()
    for _ in sums:  # a trunk may be a branch elsewhere
        for branch, trunk in sums:
            widest = found @ trunk[:-1] + trunk[-1]
            found = np.where(branch > 0, np.minimum(found, widest[:, None]), found)
    return found


@dataclass(frozen=True, eq=False)
class Highest:
    """Chooses the channels of highest score; the scores are computed at the first choice.

    Args:
        graph: The graph.
        criterion: Scores the channels; one that needs no data.
    """

    graph: ChannelGraph
    criterion: str | dict | Criterion

    def __call__(self, channels: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the legal choice of the `channels[g]` highest scores of each group g."""
        return highest(self.graph, self._scores, dict(zip(self.graph.prunable, channels, strict=True)))

    @cached_property
    def _scores(self) -> Scores:
        return criteria.score(criteria.get(self.criterion), self.graph)


def fractions_of(graph: ChannelGraph, keep: Any) -> np.ndarray:
    """Returns fractions kept as an array of candidates × groups, checked."""
    groups = len(graph.prunable)
    try:
        found = np.array(keep, float)
    except (TypeError, ValueError) as error:
        raise PruneError(f"Expected keep to be an array of candidates × {groups} groups. Received: {error}.") from error
    faults = []
    if found.ndim != 2 or found.shape[1] != groups:
        faults.append(f"Expected keep of shape (candidates, {groups} groups). Received: shape={found.shape}.")
    elif (wrong := found[~((found > 0) & (found <= 1))]).size:
        faults.append(f"Expected keep to be fractions kept in (0, 1]. Received: {wrong[0]} among them.")
    raise_faults("Invalid arguments for Allocations:", faults)
    found.setflags(write=False)
    return found
