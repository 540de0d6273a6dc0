"""Channels moved from groups of low to groups of high measured worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from math import exp, log
from typing import Any

from kerasprune.checks import interval_faults, is_number, kind_faults, whole_number_faults
from kerasprune.criteria.base import Checked, argument
from kerasprune.graph.graph import ChannelGraph
from kerasprune.planning.budgets.measured import MeasuredBudget, Widths, WidthSpace

_GROWS, _SHRINKS = 1.5, 0.5  # factors of the reach after an accepted and a rejected step
_SHORTEST = 0.05  # reach
_BISECTIONS = 40
_LEAST = 0.02  # smallest worth, relative to the greatest


def _reach_faults(reach: Any) -> list[str]:
    if is_number(reach) and reach >= _SHORTEST:
        return []
    return [f"Expected reach to be {_SHORTEST} or more. Received: reach={reach!r}."]


@dataclass(frozen=True)
class Sensitivity(Checked, MeasuredBudget):
    """Improves uniform widths step by step, by the measured error at constant cost.

    It looks for widths w that lower the measured error E at the same cost C.

    `v_g = (∂E/∂w_g) ÷ (∂C/∂w_g)` is the decrease of the error per unit of cost in group g. In the best plan all v_g
    are equal, so

        w_g ← w_g · clip((v_g/λ)^½, e^−m, e^m)

    with λ such that the cost is constant. E is the error of the logits right after least-squares reconstruction, on
    held-out examples. A step that lowers the measured error is accepted, and the reach m grows; otherwise m shrinks. If
    no step is accepted, single channels are exchanged between two groups. v is measured by finite differences around
    every accepted plan, and averaged geometrically with its previous value. The result is never worse than the uniform
    plan.

    Args:
        samples: Number of examples: half to reconstruct from, half to judge on. Defaults to 600.
        positions: Number of output positions used to solve each layer. Defaults to 4000.
        measurements: Maximum number of plans measured, each by a reconstruction; a round takes slightly more than one
            per group. Defaults to 60.
        step: Fraction by which a group is narrowed to measure it, at least one channel. Defaults to 0.35.
        reach: The initial and maximal m. Defaults to 0.4.
        blocks: Whether whole blocks may be dropped under a target of `macs` or `params`. Each is measured first, with
            uniform widths at the same cost. Defaults to `True`.

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
        Material, 1995, §1.2.1. Its use for channels, with the error after reconstruction, is ours.
    """

    samples: int = argument(600, partial(whole_number_faults, 4))
    positions: int = argument(4000, partial(whole_number_faults, 1))
    measurements: int = argument(60, partial(whole_number_faults, 1))
    step: float = argument(0.35, partial(interval_faults, "(0, 1)", "a fraction"))
    reach: float = argument(0.4, _reach_faults)
    blocks: bool = argument(True, partial(kind_faults, bool, "Write True or False."))

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns the start: the same fraction of every group."""
        return dict.fromkeys(graph.prunable, level)

    def improved(self, start: Widths, space: WidthSpace) -> Widths:
        """Returns widths that measure better than the start, or the start."""
        search = _SensitivitySearch(space, start, self.measurements, self.reach)
        worth: dict[str, float] = {}
        while search.left > len(start):
            now = search.worth(self.step)
            worth = {name: (each * worth.get(name, each)) ** 0.5 for name, each in now.items()}
            if not search.change_all(worth) and not search.exchange(worth):
                break
        return search.widths


class _SensitivitySearch:
    """The best widths so far, and the number of measurements left."""

    def __init__(self, space: WidthSpace, start: Widths, measurements: int, reach: float) -> None:
        self.space, self.left, self.most = space, measurements, reach
        self.widths, self.error, self.reach = start, self._measured(start), reach

    def worth(self, step: float) -> dict[str, float]:
        """Returns the worth of a unit of cost in each group that can change."""
        self.left -= len(self.widths)
        return worth_of(self.widths, self.error, step, self.space)

    def change_all(self, worth: Mapping[str, float]) -> bool:
        """Changes all groups at once, with a shrinking reach until a step is accepted; returns whether one was."""
        while self.left > 0 and self.reach >= _SHORTEST:
            if self._taken(stepped(self.widths, worth, self.reach, self.space)):
                self.reach = min(self.reach * _GROWS, self.most)
                return True
            self.reach *= _SHRINKS
        self.reach = 2 * _SHORTEST
        return False

    def exchange(self, worth: Mapping[str, float]) -> bool:
        """Narrows one group and widens another, the most promising pairs first; returns whether one was accepted."""
        pairs = sorted(permutations(worth, 2), key=lambda pair: worth[pair[0]] / worth[pair[1]])
        found = (exchanged(self.widths, *pair, worth, self.space) for pair in pairs[: 2 * len(worth)])
        return any(self.left > 0 and self._taken(each) for each in found if each is not None)

    def _taken(self, tried: Widths) -> bool:
        """Measures widths, and accepts them if they are better."""
        error = self.error if tried == self.widths else self._measured(tried)
        if error >= self.error:
            return False
        self.widths, self.error = tried, error
        return True

    def _measured(self, widths: Widths) -> float:
        self.left -= 1
        return self.space.error(widths)


def worth_of(widths: Widths, error: float, step: float, space: WidthSpace) -> dict[str, float]:
    """Returns the decrease of the error per unit of cost in each group that can change, by finite differences.

    Args:
        widths: The present widths.
        error: Their error.
        step: Fraction by which a group is narrowed; if it cannot be, it is widened by a rung.
        space: The widths that may be chosen.
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
    """Returns the widths after one step, at the cost of the limit.

    Args:
        widths: The present widths.
        worth: The worth of a unit of cost in each group that may change.
        reach: The largest change of a width, as a logarithm.
        space: The widths that may be chosen.
    """

    def at(price: float) -> Widths:
        clipped = {name: min(max((log(each) - price) / 2, -reach), reach) for name, each in worth.items()}
        return {**widths, **{name: space.nearest(name, widths[name] * exp(each)) for name, each in clipped.items()}}

    if not worth:
        return widths
    logs = [log(each) for each in worth.values()]
    low, high = min(logs) - 2 * reach, max(logs) + 2 * reach  # all groups widest, all narrowest
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        low, high = (low, price) if space.cost(at(price)) <= space.limit else (price, high)
    return _filled(at(high), worth, space)


def exchanged(widths: Widths, giver: str, taker: str, worth: Mapping[str, float], space: WidthSpace) -> Widths | None:
    """Returns widths with a rung more of one group and fewer of another at the same cost; `None` if impossible.

    Args:
        widths: The present widths.
        giver: The group that becomes narrower.
        taker: The group that becomes wider.
        worth: The worth of a unit of cost in each group that may change.
        space: The widths that may be chosen.
    """
    changed = {**widths, taker: space.wider(taker, widths[taker])}
    while space.cost(changed) > space.limit:
        fewer = space.narrower(giver, changed[giver], 0.0)
        if fewer == changed[giver]:
            return None
        changed[giver] = fewer
    return _filled(changed, worth, space)


def _filled(widths: Widths, worth: Mapping[str, float], space: WidthSpace) -> Widths:
    """Returns widths with one rung more of each group while the limit allows it, in the order of worth."""
    for name in sorted(worth, key=worth.get, reverse=True):
        wider = {**widths, name: space.wider(name, widths[name])}
        if space.cost(wider) <= space.limit:
            widths = wider
    return widths
