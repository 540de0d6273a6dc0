"""The numbers of channels that a search over widths chooses from, and the costs of its choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kerasprune.checks import fraction_faults
from kerasprune.errors import PruneError, raise_faults, short
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.kept_channels import fill_slices, legal
from kerasprune.graph.plans import Plan
from kerasprune.planning.budgets.base import highest
from kerasprune.recipes.search.allocations import bisect_intervals, sizes_of
from kerasprune.recipes.search.counting import Counting
from kerasprune.recipes.search.evolution import Limit, delta_faults
from kerasprune.surgery.costs.cost import check_counted, cost

if TYPE_CHECKING:
    from kerasprune.planning.targets.base import Target

FRACTIONS = tuple(round(0.1 + 0.03 * step, 2) for step in range(31))
"""Fractions of the channels that MetaPruning chooses from: 0.10, 0.13, …, 1.00."""
_SPREAD, _BISECTIONS = 0.3, 25
_NEARLY, _LITTLE = 500, 0.05  # draws for a nearly uniform candidate, and their spread


@dataclass(frozen=True)
class Widths:
    """The widths that a model may have, with a gene for each prunable group.

    Args:
        graph: The graph of the model.
        fractions: The fractions of a group's channels to choose from.
        scores: `{group name: one score per channel}`; the highest are kept. Defaults to `None`: the first in `order`.

    Raises:
        PruneError: A fraction is not in (0, 1], none is given, or no channel of the model can be removed.
    """

    graph: ChannelGraph
    fractions: Sequence[float] = FRACTIONS
    scores: Mapping[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        asked = self.fractions
        given = tuple(asked) if np.iterable(asked) else ()
        object.__setattr__(self, "fractions", given)
        faults = [fault for each in given for fault in fraction_faults(fraction=each)]
        if not given:
            faults.append(f"Expected several fractions, e.g. (0.5, 1.0). Received: fractions={short(asked)}.")
        raise_faults("Invalid arguments for Widths:", faults)
        self.graph.check_prunable()

    @cached_property
    def names(self) -> list[str]:
        """The prunable groups, in the order of the graph."""
        return list(self.graph.prunable)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Channels of each of these groups."""
        return sizes_of(self.graph)

    @cached_property
    def _first(self) -> dict[str, np.ndarray]:
        """Per group its first channel, and one of each of its parts."""
        return fill_slices(self.graph, {name: [0] for name in self.names})

    @cached_property
    def order(self) -> dict[str, np.ndarray]:
        """Per group its channels, those kept longest first: 0, 1, 2, …, but one of each of its parts before the rest.

        If a tensor is split, the first channels of a group may all lie in one part, and leave the other empty.
        """
        return {
            name: np.concatenate([first, np.setdiff1d(np.arange(self.graph.prunable[name].size), first)])
            for name, first in self._first.items()
        }

    @cached_property
    def counts(self) -> list[np.ndarray]:
        """Per group the numbers of channels to choose from, ascending, each once."""
        asked = np.asarray(self.fractions, float)
        return [
            np.unique(np.clip(np.rint(asked * size).astype(int), len(self._first[name]), size))
            for name, size in zip(self.names, self.sizes, strict=True)
        ]

    @property
    def choices(self) -> list[int]:
        """The number of choices of each group."""
        return [len(each) for each in self.counts]

    def kept(self, genes: np.ndarray | Sequence) -> np.ndarray:
        """Returns the numbers of channels kept, `(…, groups)`, for genes of the same shape."""
        genes = np.asarray(genes)
        return np.stack([each[genes[..., place]] for place, each in enumerate(self.counts)], axis=-1)

    def checked(self, genes: Sequence[int]) -> Sequence[int]:
        """Returns the genes.

        Raises:
            PruneError: They are not one choice for each group.
        """
        given = np.asarray(genes)
        fits = given.shape == (len(self.names),) and given.dtype.kind in "iu"
        if not fits or ((given < 0) | (given >= self.choices)).any():
            raise PruneError(
                f"Expected an index into each group's numbers of channels: integers ≥ 0 below {self.choices}. "
                f"Received: {short(genes)}."
            )
        return genes

    def plan(self, genes: Sequence[int]) -> Plan:
        """Returns the plan of a candidate."""
        return Plan.of(self.graph, self._chosen(self.kept(genes).tolist()))

    def _chosen(self, kept: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns the channels kept of each group, for their numbers."""
        numbers = dict(zip(self.names, kept, strict=True))
        if self.scores is not None:
            return highest(self.graph, self.scores, numbers)
        return legal(self.graph, {name: np.sort(self.order[name][:number]) for name, number in numbers.items()})

    # ---- costs ----------------------------------------------------------------------------------------------

    def limit(self, macs: float, delta: float) -> Limit:
        """Returns the limit `|MACs / MACs of the dense model − macs| ≤ delta`.

        Raises:
            PruneError: An argument is out of range, multiply–adds are not known, or no widths come near.
        """
        raise_faults("Invalid limit of the widths:", fraction_faults(macs=macs) + delta_faults(delta))
        check_counted(cost(self.graph), "macs=", "a plan by keep= or params=")
        return self._reached(Limit("macs", self.share, macs - delta, macs + delta, "delta="), macs, delta)

    def limit_of(self, target: Target, delta: float) -> Limit:
        """Returns the limit `target − 2 · delta ≤ cost / cost of the dense model ≤ target`.

        Args:
            target: A time or a size.
            delta: Half the width of the window below it.

        Raises:
            PruneError: An argument is out of range, the dense model meets the target, or no widths do.
        """
        raise_faults("Invalid limit of the widths:", delta_faults(delta))
        meter = target.counting_meter(self.graph)
        asked = meter.target

        def measure(genes: np.ndarray) -> np.ndarray:
            return self._counting.metered(meter, self.kept(genes))

        return self._reached(Limit(target.counted, measure, asked - 2 * delta, asked, "delta="), asked, delta)

    def _reached(self, limit: Limit, asked: float, delta: float) -> Limit:
        """Returns a limit; raises a `PruneError` if no widths come near."""
        fewest, most = limit.measure(np.array([[0] * len(self.names), [n - 1 for n in self.choices]]))
        if limit.highest < fewest or limit.lowest > most:
            raise PruneError(
                f"Expected {limit.name} that the widths can reach: {fewest:.4g} to {most:.4g} of the dense model's. "
                f"Received: {limit.name}={asked:.4g}, delta={delta}. Choose one in that range, or in "
                "Python other fractions=."
            )
        return limit

    def share(self, genes: np.ndarray) -> np.ndarray:
        """Returns the fraction of the multiply–adds that each candidate keeps, for an array `(candidates, genes)`."""
        return self._counting.shares(self.kept(genes))[:, 0]

    def draw_near(
        self, limit: Limit, generator: np.random.Generator, number: int, spread: float = _SPREAD
    ) -> np.ndarray:
        """Returns random candidates near a limit of a cost: a level, found by bisection, plus normal noise.

        Args:
            limit: The result of `limit` or `limit_of`.
            generator: The source of the noise.
            number: Number of candidates.
            spread: Largest standard deviation of the noise, a fraction kept. Defaults to 0.3.
        """
        noise = generator.normal(size=(number, len(self.names))) * generator.uniform(0, spread, (number, 1))
        wanted = generator.uniform(limit.lowest, limit.highest, number)
        low, high = bisect_intervals(
            np.full((number, 1), -2.0),
            np.full((number, 1), 3.0),
            _BISECTIONS,
            lambda level: (limit.measure(self._nearest(level + noise)) <= wanted)[:, None],
        )
        return self._nearest(np.where(generator.random((number, 1)) < 0.5, low, high) + noise)

    def nearly_uniform(self, limit: Limit) -> list[list[int]]:
        """Returns the candidate within a limit whose fractions differ least, if one is found."""
        drawn = self.draw_near(limit, np.random.default_rng(0), _NEARLY, _LITTLE)
        drawn = drawn[limit.met(drawn)]
        return drawn[np.argsort((self.kept(drawn) / self.sizes).std(axis=1), kind="stable")[:1]].tolist()

    def _nearest(self, fractions: np.ndarray) -> np.ndarray:
        """Returns the genes whose widths are nearest to fractions of the groups."""
        between = [(each[1:] + each[:-1]) / 2 for each in self.counts]
        return np.stack(list(map(np.searchsorted, between, (fractions * self.sizes).T)), axis=-1)

    @cached_property
    def _counting(self) -> Counting:
        return Counting(self.graph, self._chosen)

    @cached_property
    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """For every id the index of its group in `names`, and its rank in `order`; −1, −1 if it is always kept."""
        owner, rank = np.full((2, self.graph.classes.max(initial=-1) + 1), -1)
        for place, name in enumerate(self.names):
            classes = self.graph.groups[name].classes[self.order[name]]
            owner[classes], rank[classes] = place, np.arange(classes.size)
        return owner[self.graph.classes], rank[self.graph.classes]
