"""Plans by which the graph of a model loses what models of the same class, built from smaller configs, lack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod
from typing import Any

import keras
import numpy as np

from kerasprune.criteria.base import Scores, top
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.hub.configs import nearest_words
from kerasprune.hub.same_class import backbone_of
from kerasprune.surgery.costs.counts import ShareCounter, counter


class ClassPlans:
    """How many channels each group of a graph has in models of the class that it was written out from.

    No table says which group an entry of a config decides: the numbers are read off the shapes of the weights.

    Args:
        graph: The graph.
        sources: `{id of a weight of the graph's model: the weight of the class that it is from}`.
        model: The model that was written out.
    """

    def __init__(self, graph: ChannelGraph, sources: Mapping[int, Any], model: keras.Model) -> None:
        self.graph, self.model, self._sources = graph, model, sources

    def plan(self, slim: keras.Model, scores: Scores) -> Plan:
        """Returns the plan that keeps of every group as many channels as a slim model has, those of highest score.

        Raises:
            PruneError: Channels that the slim model lacks cannot be cut.
        """
        return Plan.of(self.graph, {name: top(scores[name], number) for name, number in self._kept(slim).items()})

    def params(self, slim: keras.Model) -> float:
        """Returns the share of the parameters of a slim model."""
        return slim.count_params() / self.model.count_params()

    def macs(self, slim: keras.Model) -> float:
        """Returns the share of the multiply–adds of a slim model."""
        return self.macs_kept({name: range(number) for name, number in self._kept(slim).items()})

    def macs_kept(self, keep: Mapping[str, Sequence[int]]) -> float:
        """Returns the share of the multiply–adds of what a plan keeps, `{group name: channels}`."""
        return self._shares(self.graph, counter(self.graph.alive(keep)))["macs"]

    @cached_property
    def _shares(self) -> ShareCounter:
        return ShareCounter(self.graph, ["macs"])

    @cached_property
    def _axes(self) -> list[tuple[int, list[tuple[str, int]]]]:
        """Which group an axis of a weight has channels of, and how many; no name where it has none, or several.

        By the place of the weight in the model.
        """
        places = {id(weight): place for place, weight in enumerate(self.model.weights)}
        (owner, _), names, found = self.graph.places, list(self.graph.groups), []
        for entry in self.graph.slices:
            source = self._sources.get(id(entry.variable))
            if source is not None:
                there = [() if ids is None else np.unique(owner[self.graph.classes[ids]]) for ids in entry.ids]
                groups = [names[one[0]] if len(one) == 1 and one[0] >= 0 else "" for one in there]
                sizes = [0 if ids is None else len(ids) for ids in entry.ids]
                found.append((places[id(source)], [*zip(groups, sizes, strict=True)]))
        return found

    def _kept(self, slim: keras.Model) -> dict[str, int]:
        """Returns `{group name: number of channels}` of the groups that are narrower in a slim model."""
        if [len(each.shape) for each in slim.weights] != [len(each.shape) for each in self.model.weights]:
            raise PruneError(
                f"Expected a config with which {type(slim).__name__} has the same layers. Received: one with which it "
                "has others. Give other numbers."
            )
        counts = defaultdict(set)
        for place, axes in self._axes:
            shape = tuple(slim.weights[place].shape)
            if len(shape) != len(axes):  # a table of what was one row
                shape = (shape[0] if len(shape) > 1 else 1, prod(shape[1:] if len(shape) > 1 else shape))
            for size, (name, dense) in zip(shape, axes, strict=True):
                if name:
                    counts[name].add(size * self.graph.groups[name].size // dense)
        self._check(counts, slim)
        return {name: min(found) for name, found in counts.items() if min(found) < self.graph.groups[name].size}

    def _check(self, counts: Mapping[str, set[int]], slim: keras.Model) -> None:
        faults = []
        for name, found in counts.items():
            group = self.graph.groups[name]
            if len(found) > 1:
                faults.append(f"{name!r} would have {' and '.join(map(str, sorted(found)))} channels at once.")
            elif not group.prunable and min(found) < group.size:
                faults.append(f"{name!r} keeps its {group.size} channels: {group.reason}.")
        near = nearest_words(backbone_of(self.model).get_config(), backbone_of(slim).get_config())
        raise_faults(f"{type(slim).__name__} cannot be cut to this config.{near}", faults)
