"""Channels go from groups where they are worth little to groups where they are worth more, as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from math import exp, log

from kerasprune.budgets.measured import MeasuredBudget, Widths, WidthSpace
from kerasprune.errors import is_number, kind_faults, raise_faults, whole_number_faults
from kerasprune.graph.graph import ChannelGraph

_GROWS, _SHRINKS = 1.5, 0.5  # the reach, after a step that was confirmed and after one that was not
_SHORTEST = 0.05  # reach
_BISECTIONS = 40
_LEAST = 0.02  # of the greatest worth: what a group is held to have whose channels seem to do harm


@dataclass(frozen=True)
class Sensitivity(MeasuredBudget):
    """Widths w that lower the measured error E at the cost C of uniform ones, step by step around the present plan.

    `v_g = (∂E/∂w_g) ÷ (∂C/∂w_g)`: what a unit of cost in group g takes off the error. In the best plan all
    are equal, so

        w_g ← w_g · clip((v_g/λ)^½, e^−m, e^m)

    with λ such that the cost stays. E is the error of the logits right after least-squares reconstruction, on examples
    that nothing was solved on. A step is taken where the measured error falls; m, the reach, then grows, and shrinks
    where it does not; where no step leads further, single channels are exchanged between two groups. v is measured by
    finite differences around every plan that is taken, and averaged geometrically with what it was. It starts from the
    uniform plan and never ends with a greater error.

    Args:
        samples: Examples that are looked at: solved on one half, judged on the other. Defaults to 600.
        positions: How many output positions each layer is solved on. Defaults to 4000.
        measurements: How many plans are measured at most, each by a reconstruction. Defaults to 60; a round takes one
            for every group, and some.
        step: By which fraction a group is made narrower to measure it, a channel at the least. Defaults to 0.35.
        reach: m at the start, and at most. Defaults to 0.4.
        blocks: Whether blocks may be dropped whole under a target of `macs` or `params`: one measurement for each,
            before all others, with uniform widths at the same cost. Defaults to `True`.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> layers = [dense(12, "relu", name="first"), dense(12, "relu", name="second"), dense(3)]
        >>> model = keras.Sequential([keras.Input((6,)), *layers])
        >>> images = np.random.default_rng(0).normal(size=(200, 6))
        >>> plan = kp.plan(model, budget="sensitivity", macs=0.5, data=images)
        >>> kp.cost(model, plan).macs <= 0.5 * kp.cost(model).macs
        True

    Reference:
        The step is that of the optimality criteria method: Bendsøe, Optimization of Structural Topology, Shape, and
        Material, 1995, §1.2.1. To ask it of channels, and of the error after reconstruction, is ours.
    """

    samples: int = 600
    positions: int = 4000
    measurements: int = 60
    step: float = 0.35
    reach: float = 0.4
    blocks: bool = True

    def __post_init__(self) -> None:
        faults = whole_number_faults(1, positions=self.positions, measurements=self.measurements)
        faults += whole_number_faults(4, samples=self.samples)
        if not is_number(self.step) or not 0 < self.step < 1:
            faults.append(f"Expected step to be a fraction in (0, 1). Received: step={self.step!r}.")
        if not is_number(self.reach) or self.reach < _SHORTEST:
            faults.append(f"Expected reach to be {_SHORTEST} or more. Received: reach={self.reach!r}.")
        faults += kind_faults(bool, "Write True or False.", blocks=self.blocks)
        raise_faults("The budget sensitivity is not legal:", faults)

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns where it starts: the same fraction of every group."""
        return dict.fromkeys(graph.prunable, level)

    def improved(self, start: Widths, space: WidthSpace) -> Widths:
        """Returns widths that measure better than those it starts from, or these."""
        search = _SensitivitySearch(space, start, self.measurements, self.reach)
        worth: dict[str, float] = {}
        while search.left > len(start):
            now = search.worth(self.step)
            worth = {name: (each * worth.get(name, each)) ** 0.5 for name, each in now.items()}
            if not search.leap(worth) and not search.exchange(worth):
                break
        return search.widths


class _SensitivitySearch:
    """The best widths so far, and what may still be measured."""

    def __init__(self, space: WidthSpace, start: Widths, measurements: int, reach: float) -> None:
        self.space, self.left, self.most = space, measurements, reach
        self.widths, self.error, self.reach = start, self._measured(start), reach

    def worth(self, step: float) -> dict[str, float]:
        """Returns what a unit of cost is worth in each group that can change."""
        self.left -= len(self.widths)
        return worth_of(self.widths, self.error, step, self.space)

    def leap(self, worth: Mapping[str, float]) -> bool:
        """Changes all groups at once, less and less until that is confirmed; returns whether it was."""
        while self.left > 0 and self.reach >= _SHORTEST:
            if self._taken(stepped(self.widths, worth, self.reach, self.space)):
                self.reach = min(self.reach * _GROWS, self.most)
                return True
            self.reach *= _SHRINKS
        self.reach = 2 * _SHORTEST
        return False

    def exchange(self, worth: Mapping[str, float]) -> bool:
        """Makes one group narrower for another, the most promising pairs first; returns whether one was confirmed."""
        pairs = sorted(permutations(worth, 2), key=lambda pair: worth[pair[0]] / worth[pair[1]])
        found = (exchanged(self.widths, *pair, worth, self.space) for pair in pairs[: 2 * len(worth)])
        return any(self.left > 0 and self._taken(each) for each in found if each is not None)

    def _taken(self, tried: Widths) -> bool:
        """Measures widths, and takes them where they are better."""
        error = self.error if tried == self.widths else self._measured(tried)
        if error >= self.error:
            return False
        self.widths, self.error = tried, error
        return True

    def _measured(self, widths: Widths) -> float:
        self.left -= 1
        return self.space.error(widths)


def worth_of(widths: Widths, error: float, step: float, space: WidthSpace) -> dict[str, float]:
    """Returns how much a unit of cost takes off the error in each group that can change, by finite differences.

    Args:
        widths: The present widths.
        error: Their error.
        step: By which fraction a group is made narrower; where it cannot be, it is made wider by a rung.
        space: What may be chosen.
    """
    found, cost = {}, space.cost(widths)
    for name, width in widths.items():
        other = space.narrower(name, width, step)
        changed = {**widths, name: space.wider(name, width) if other == width else other}
        saved = cost - space.cost(changed)
        if saved:
            found[name] = (space.error(changed) - error) / saved
    least = _LEAST * max(found.values(), default=0.0)
    return {name: max(each, least, 1e-30) for name, each in found.items()}


def stepped(widths: Widths, worth: Mapping[str, float], reach: float, space: WidthSpace) -> Widths:
    """Returns the widths that one step leads to, at the cost of the limit.

    Args:
        widths: The present widths.
        worth: What a unit of cost is worth in each group that may change.
        reach: The largest change of a width, as a logarithm.
        space: What may be chosen.
    """

    def at(price: float) -> Widths:
        clipped = {name: min(max((log(each) - price) / 2, -reach), reach) for name, each in worth.items()}
        return {**widths, **{name: space.nearest(name, widths[name] * exp(each)) for name, each in clipped.items()}}

    if not worth:
        return widths
    logs = [log(each) for each in worth.values()]
    low, high = min(logs) - 2 * reach, max(logs) + 2 * reach  # all as wide, all as narrow as may be
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        low, high = (low, price) if space.cost(at(price)) <= space.limit else (price, high)
    return _filled(at(high), worth, space)


def exchanged(widths: Widths, giver: str, taker: str, worth: Mapping[str, float], space: WidthSpace) -> Widths | None:
    """Returns widths with a rung more of one group, and of another as many fewer as that costs; `None` where too few.

    Args:
        widths: The present widths.
        giver: The group that becomes narrower.
        taker: The group that becomes wider.
        worth: What a unit of cost is worth in each group that may change.
        space: What may be chosen.
    """
    changed = {**widths, taker: space.wider(taker, widths[taker])}
    while space.cost(changed) > space.limit:
        fewer = space.narrower(giver, changed[giver], 0.0)
        if fewer == changed[giver]:
            return None
        changed[giver] = fewer
    return _filled(changed, worth, space)


def _filled(widths: Widths, worth: Mapping[str, float], space: WidthSpace) -> Widths:
    """Returns widths with what the limit has room for, a rung for each group, the worthiest first."""
    for name in sorted(worth, key=worth.get, reverse=True):
        wider = {**widths, name: space.wider(name, widths[name])}
        if space.cost(wider) <= space.limit:
            widths = wider
    return widths
