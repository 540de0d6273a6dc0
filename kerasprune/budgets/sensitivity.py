"""Channels go from groups where they are worth little to groups where they are worth more, as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log

from kerasprune.budgets.measured import MeasuredBudget, Widths, WidthSpace
from kerasprune.errors import is_number, raise_faults, whole_number_faults
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
    where it does not. v is measured by finite differences around every plan that is taken, and averaged geometrically
    with what it was. It starts from the uniform plan and never ends with a greater error.

    Args:
        samples: Examples that are looked at: solved on one half, judged on the other. Defaults to 600.
        positions: How many output positions each layer is solved on. Defaults to 4000.
        rounds: How often v is measured; each costs a reconstruction for every group. Defaults to 4.
        step: By which fraction a group is made narrower to measure it, a channel at the least. Defaults to 0.15.
        reach: m at the start, and at most. Defaults to 0.4.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> layers = [dense(12, "relu", name="first"), dense(12, "relu", name="second"), dense(3)]
        >>> model = keras.Sequential([keras.Input((6,)), *layers])
        >>> images = np.random.default_rng(0).normal(size=(200, 6))
        >>> plan = kp.plan(model, budget="sensitivity", macs=0.5, data=images)
        >>> kp.cost(model, plan).macs <= kp.cost(model, kp.plan(model, macs=0.5)).macs
        True

    Reference:
        The step is that of the optimality criteria method: Bendsøe, Optimization of Structural Topology, Shape, and
        Material, 1995, §1.2.1. To ask it of channels, and of the error after reconstruction, is ours.
    """

    samples: int = 600
    positions: int = 4000
    rounds: int = 4
    step: float = 0.15
    reach: float = 0.4

    def __post_init__(self) -> None:
        faults = whole_number_faults(1, positions=self.positions, rounds=self.rounds)
        faults += whole_number_faults(2, samples=self.samples)
        if not is_number(self.step) or not 0 < self.step < 1:
            faults.append(f"Expected step to be a fraction in (0, 1). Received: step={self.step!r}.")
        if not is_number(self.reach) or self.reach < _SHORTEST:
            faults.append(f"Expected reach to be {_SHORTEST} or more. Received: reach={self.reach!r}.")
        raise_faults("The budget sensitivity is not legal:", faults)

    def fractions(self, graph: ChannelGraph, level: float) -> Mapping[str, float]:
        """Returns where it starts: the same fraction of every group."""
        return dict.fromkeys(graph.prunable, level)

    def improved(self, start: Widths, space: WidthSpace) -> Widths:
        """Returns widths that measure better than those it starts from, or these."""
        widths, error, reach = start, space.error(start), self.reach
        worth: dict[str, float] = {}
        for _ in range(self.rounds):
            now = worth_of(widths, error, self.step, space)
            worth = {name: (each * worth.get(name, each)) ** 0.5 for name, each in now.items()}
            while reach >= _SHORTEST:
                tried = stepped(widths, worth, reach, space)
                found = space.error(tried)
                if found < error:
                    widths, error, reach = tried, found, min(reach * _GROWS, self.reach)
                    break
                reach *= _SHRINKS
            else:
                break
        return widths


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


def _filled(widths: Widths, worth: Mapping[str, float], space: WidthSpace) -> Widths:
    """Returns widths with what the limit has room for, a rung for each group, the worthiest first."""
    for name in sorted(worth, key=worth.get, reverse=True):
        wider = {**widths, name: space.wider(name, widths[name])}
        if space.cost(wider) <= space.limit:
            widths = wider
    return widths
