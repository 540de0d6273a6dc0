"""Figures of pruning spaces: distributions, the best members, their mean computation budgets, what they lose.

Each is a pure function of the members of a population. Where a regime is named `macs 0.25`, its members keep that
fraction of the multiply–adds; `params 0.1` likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.papers.pruning_spaces.fitted_power import PowerLaw, power_law
from kerasprune.reports.colours import DENSE, SLIM
from kerasprune.reports.figures import svg
from kerasprune.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST = 40
_BINS = 20
_JUDGED = {"std": "standard deviation of the recipe", "mcb": "mean computation budget: MACs kept ÷ parameters kept"}
_FACTS = ("recipe", "macs", "params", *_JUDGED)
_MEASURES = {
    "std": "standard deviation of the recipe",
    "macs": "multiply–adds kept",
    "params": "parameters kept",
    "mcb": "mean computation budget",
}


@dataclass(frozen=True)
class Member:
    """One slim model of a population.

    Args:
        regime: What was asked for: `macs` or `params`, a blank, and the fraction.
        space: What it was drawn from, e.g. `"STD-0.1"`; `"uniform"` for the baseline.
        macs: Fraction of the multiply–adds that stay.
        params: Fraction of the parameters that stay.
        mcb: Mean computation budget.
        std: Standard deviation of its recipe.
        drop: What it has lost of the dense model's accuracy, in points.
        keep: Its recipe: the fraction kept of each group.
    """

    regime: str
    space: str
    macs: float
    params: float
    mcb: float
    std: float
    drop: float
    keep: tuple[float, ...]


UNIFORM = "uniform"


def best(members: Sequence[Member], regime: str, number: int = BEST) -> list[Member]:
    """Returns the members of one regime that lose least, of all spaces together, the baseline apart.

    Args:
        members: The population.
        regime: The regime.
        number: How many. Defaults to 40, as in the paper.
    """
    here = [one for one in members if one.regime == regime and one.space != UNIFORM]
    return sorted(here, key=lambda one: one.drop)[:number]


def regimes_of(members: Sequence[Member]) -> list[str]:
    """Returns the regimes, those that keep most first."""

    def place(regime: str) -> tuple[str, float]:
        constraint, _, fraction = regime.partition(" ")
        return constraint, -float(fraction)

    return sorted({one.regime for one in members}, key=place)


def limits(members: Sequence[Member]) -> PowerLaw | None:
    """Returns the drop of the winners over their mean computation budget as a power law; `None` for under 3 regimes.

    Conjecture 4 says that there is such a function, not which.
    """
    winners = [best(members, regime, 1)[0] for regime in regimes_of(members) if best(members, regime, 1)]
    if len({one.mcb for one in winners}) < 3:
        return None
    return power_law([one.mcb for one in winners], [one.drop for one in winners])


def optima(members: Sequence[Member], number: int = BEST) -> PowerLaw | None:
    """Returns the mean computation budget of the best members over the multiply–adds kept; `None` for under 3 regimes.

    Args:
        members: The population.
        number: How many of each regime. Defaults to 40.
    """
    regimes = regimes_of(members)
    if len(regimes) < 3:
        return None
    found = [one for regime in regimes for one in best(members, regime, number)]
    return power_law([one.macs for one in found], [one.mcb for one in found])


def distributions(members: Sequence[Member]) -> str:
    """Draws for each regime the EDFs of the drops, four distributions and the winning recipes, a column for each.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figures 2 and 4.
    """
    regimes = regimes_of(members)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(2 + len(_MEASURES), len(regimes), squeeze=False)
        for column, regime in zip(grid.T, regimes, strict=True):
            here = [one for one in members if one.regime == regime]
            column[0].set_title(regime)
            _steps(column[0], here)
            for axes, (measure, label) in zip(column[1:-1], _MEASURES.items(), strict=True):
                _histograms(axes, here, measure)
                axes.set_xlabel(label)
            _winners(column[-1], here)

    return svg(draw, height=2 + 1.6 * (1 + len(_MEASURES)))


def winning(members: Sequence[Member], number: int = BEST) -> str:
    """Draws the best members of every regime: what they lose over what is left of the other cost.

    Args:
        members: The population.
        number: How many of each regime. Defaults to 40.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figure 3.
    """
    regimes = regimes_of(members)

    def draw(figure: Figure) -> None:
        for axes, regime in zip(figure.subplots(1, len(regimes), squeeze=False)[0], regimes, strict=True):
            other = "macs" if regime.startswith("params") else "params"
            chosen = best(members, regime, number)
            for space in _spaces(chosen):
                points = [(getattr(one, other), one.drop) for one in chosen if one.space == space]
                axes.plot(*zip(*points, strict=True), "o", markersize=3, label=space)
            axes.set(title=regime, xlabel=_MEASURES[other], ylabel="drop of accuracy, points")
            axes.legend(fontsize=6, frameon=False)

    return svg(draw, height=2.8)


def budgets(
    members: Sequence[Member], uniform: Callable[[Sequence[float]], Sequence[float]], number: int = BEST
) -> str:
    """Draws what the winners lose over their mean computation budget, and the best members' over the cost kept.

    Args:
        members: The population.
        uniform: Says of fractions of the multiply–adds which mean computation budget uniform recipes have there.
        number: Best members of each regime. Defaults to 40.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figure 5.
    """
    regimes = regimes_of(members)

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for regime in regimes:
            winner = best(members, regime, 1)[0]
            left.plot(winner.mcb, winner.drop, "o", markersize=4, label=regime)
            chosen = best(members, regime, number)
            right.plot([1 - one.macs for one in chosen], [one.mcb for one in chosen], "o", markersize=2, color=SLIM)
        _curve(left, limits(members), [best(members, regime, 1)[0].mcb for regime in regimes])
        kept = np.linspace(min(one.macs for one in members), max(one.macs for one in members), 60)
        right.plot(1 - kept, uniform(kept), "--", color="orange", linewidth=1, label="uniform recipes")
        found = optima(members, number)
        if found is not None:
            right.plot(1 - kept, found(kept), "--", color="red", linewidth=1, label=f"fitted, R² {found.explained:.2f}")
        left.set(xlabel="mean computation budget of the winner", ylabel="drop of accuracy, points")
        right.set(xlabel="multiply–adds removed", ylabel="mean computation budget")
        for axes in (left, right):
            axes.legend(fontsize=6, frameon=False)

    return svg(draw, height=3.2)


def _spaces(members: Sequence[Member]) -> list[str]:
    return sorted({one.space for one in members if one.space != UNIFORM})


def _by_space(members: Sequence[Member]) -> Mapping[str, list[Member]]:
    return {space: [one for one in members if one.space == space] for space in _spaces(members)}


def _steps(axes: Axes, members: Sequence[Member]) -> None:
    """Draws the EDF of each space, and the uniform recipe as a line."""
    for space, here in _by_space(members).items():
        drops = np.sort([one.drop for one in here])
        axes.step([drops[0], *drops], np.linspace(0, 1, len(drops) + 1), where="post", linewidth=1, label=space)
    for one in members:
        if one.space == UNIFORM:
            axes.axvline(one.drop, color="black", linewidth=0.7, linestyle=":", label=UNIFORM)
    axes.set(xlabel="drop of accuracy, points", ylabel="EDF")
    axes.legend(fontsize=6, frameon=False)


def _histograms(axes: Axes, members: Sequence[Member], measure: str) -> None:
    """Draws the distribution of one measure in each space, in the same bins."""
    values = {space: [getattr(one, measure) for one in here] for space, here in _by_space(members).items()}
    together = np.concatenate(list(values.values())) if values else np.zeros(1)
    bins = np.linspace(together.min(), max(together.max(), together.min() + 1e-6), _BINS)
    for space, found in values.items():
        axes.hist(found, bins=bins, histtype="step", label=space)


def _winners(axes: Axes, members: Sequence[Member]) -> None:
    """Draws the recipe of the member of each space that loses least."""
    for space, here in _by_space(members).items():
        winner = min(here, key=lambda one: one.drop)
        axes.plot(1 - np.array(winner.keep), marker=".", markersize=3, linewidth=1, label=space)
    axes.set(xlabel="group", ylabel="fraction removed", ylim=(0, 1))


def _curve(axes: Axes, law: PowerLaw | None, x: Sequence[float]) -> None:
    if law is not None:
        line = np.linspace(min(x), max(x), 60)
        axes.plot(line, law(line), "--", color=DENSE, linewidth=1, label=f"power law, R² {law.explained:.2f}")


# ---- of one run -----------------------------------------------------------------------------------------------


def space(record: Record) -> str | None:
    """Draws what each recipe of a pruning space was judged with, over its spread and its mean computation budget.

    One row of panels for each time that recipes were judged; the best of each is filled.
    """
    rounds = judged(record)
    if not rounds:
        return None

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(rounds), len(_JUDGED), squeeze=False)
        for row, (name, rows) in zip(panels, rounds.items(), strict=True):
            best = max(rows, key=lambda each: each[name])
            for axes, (measure, label) in zip(row, _JUDGED.items(), strict=True):
                axes.scatter([each[measure] for each in rows], [each[name] for each in rows], s=14, color=DENSE)
                axes.scatter([best[measure]], [best[name]], s=28, color=SLIM)
                axes.set(xlabel=label, ylabel=name)

    return svg(draw, height=2.6 * len(rounds))


def judged(record: Record) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the recipes of a space by what they were judged as, in this order, and nothing for other runs."""
    rows = record.space
    names = [name for name in (rows[0] if rows else ()) if name not in _FACTS and name not in record.widths]
    found = {name: [row for row in rows if isinstance(row[name], float)] for name in names}
    return {name: each for name, each in found.items() if each}


FIGURES = (
    (
        "Recipes of the pruning space",
        space,
        "What each recipe was judged with, a row of panels for each round; the best of each is blue.",
    ),
)
