"""Figures of pruning spaces: distributions, the best candidates, their mean computation budgets, their losses.

Each is a pure function of the candidates of a population. The candidates of the regime `macs 0.25` keep that fraction
of the multiply–adds; `params 0.1` likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasprune.papers.pruning_spaces.fitted_power import PowerLaw, power_law
from kerasprune.recipes.reports.record import Record
from kerasprune.tables import DENSE, SLIM, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST = 40
_BINS = 20
_JUDGED = {"std": "standard deviation of the allocation", "mcb": "mean computation budget: MACs kept ÷ parameters kept"}
_FACTS = ("recipe", "macs", "params", *_JUDGED)
_MEASURES = {
    "std": "standard deviation of the allocation",
    "macs": "multiply–adds kept",
    "params": "parameters kept",
    "mcb": "mean computation budget",
}


@dataclass(frozen=True)
class SpaceCandidate:
    """One slim model of a population.

    Args:
        regime: The constraint: `macs` or `params`, a blank, and the fraction.
        space: The space that it was drawn from, e.g. `"STD-0.1"`; `"uniform"` for the baseline.
        macs: Fraction of the multiply–adds that is kept.
        params: Fraction of the parameters that is kept.
        mcb: Mean computation budget.
        std: Standard deviation of its allocation.
        drop: Its drop of accuracy from the dense model, in points.
        keep: Its allocation: the fraction kept of each group.
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


def best(candidates: Sequence[SpaceCandidate], regime: str, number: int = BEST) -> list[SpaceCandidate]:
    """Returns the candidates of one regime that lose least, of all spaces together, without the baseline.

    Args:
        candidates: The population.
        regime: The regime.
        number: Number of candidates. Defaults to 40, as in the paper.
    """
    here = [each for each in candidates if each.regime == regime and each.space != UNIFORM]
    return sorted(here, key=lambda each: each.drop)[:number]


def regimes_of(candidates: Sequence[SpaceCandidate]) -> list[str]:
    """Returns the regimes, those that keep most first."""

    def place(regime: str) -> tuple[str, float]:
        constraint, _, fraction = regime.partition(" ")
        return constraint, -float(fraction)

    return sorted({each.regime for each in candidates}, key=place)


def limits(candidates: Sequence[SpaceCandidate]) -> PowerLaw | None:
    """Returns the drop of the winners over their mean computation budget as a power law; `None` for under 3 regimes.

    Conjecture 4 claims that such a function exists, without its form.
    """
    winners = [winner for regime in regimes_of(candidates) for winner in best(candidates, regime, 1)]
    if len({each.mcb for each in winners}) < 3:
        return None
    return power_law([each.mcb for each in winners], [each.drop for each in winners])


def optima(candidates: Sequence[SpaceCandidate], number: int = BEST) -> PowerLaw | None:
    """Returns the mean computation budget of the best candidates over the MACs kept; `None` for under 3 regimes.

    Args:
        candidates: The population.
        number: Number of candidates of each regime. Defaults to 40.
    """
    regimes = regimes_of(candidates)
    if len(regimes) < 3:
        return None
    found = [each for regime in regimes for each in best(candidates, regime, number)]
    return power_law([each.macs for each in found], [each.mcb for each in found])


def distributions(candidates: Sequence[SpaceCandidate]) -> str:
    """Draws for each regime the EDFs of the drops, four distributions and the winning allocations, a column for each.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figures 2 and 4.
    """
    regimes = regimes_of(candidates)

    def draw(figure: Figure) -> None:
        grid = figure.subplots(2 + len(_MEASURES), len(regimes), squeeze=False)
        for column, regime in zip(grid.T, regimes, strict=True):
            here = [each for each in candidates if each.regime == regime]
            column[0].set_title(regime)
            _steps(column[0], here)
            for axes, (measure, label) in zip(column[1:-1], _MEASURES.items(), strict=True):
                _histograms(axes, here, measure)
                axes.set_xlabel(label)
            _winners(column[-1], here)

    return svg(draw, height=2 + 1.6 * (1 + len(_MEASURES)))


def winning(candidates: Sequence[SpaceCandidate], number: int = BEST) -> str:
    """Draws the best candidates of every regime: their drop over the fraction kept of the other cost.

    Args:
        candidates: The population.
        number: Number of candidates of each regime. Defaults to 40.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figure 3.
    """
    regimes = regimes_of(candidates)

    def draw(figure: Figure) -> None:
        for axes, regime in zip(figure.subplots(1, len(regimes), squeeze=False)[0], regimes, strict=True):
            other = "macs" if regime.startswith("params") else "params"
            chosen = best(candidates, regime, number)
            for space, here in _by_space(chosen).items():
                kept, drops = [getattr(each, other) for each in here], [each.drop for each in here]
                axes.plot(kept, drops, "o", markersize=3, label=space)
            axes.set(title=regime, xlabel=_MEASURES[other], ylabel="drop of accuracy, points")
            axes.legend(fontsize=6, frameon=False)

    return svg(draw, height=2.8)


def budgets(
    candidates: Sequence[SpaceCandidate], uniform: Callable[[Sequence[float]], Sequence[float]], number: int = BEST
) -> str:
    """Draws the winners' drop over their mean computation budget, and the best candidates' budget over the cost kept.

    Args:
        candidates: The population.
        uniform: Returns the mean computation budgets of uniform allocations with given fractions of the multiply–adds.
        number: Number of best candidates of each regime. Defaults to 40.

    Reference:
        He et al., Network Pruning Spaces, 2023, Figure 5.
    """
    chosen_of = {regime: best(candidates, regime, number) for regime in regimes_of(candidates)}

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for regime, chosen in chosen_of.items():
            left.plot(chosen[0].mcb, chosen[0].drop, "o", markersize=4, label=regime)
            right.plot([1 - each.macs for each in chosen], [each.mcb for each in chosen], "o", markersize=2, color=SLIM)
        law = limits(candidates)
        if law is not None:
            budgets = [chosen[0].mcb for chosen in chosen_of.values()]
            line = np.linspace(min(budgets), max(budgets), 60)
            left.plot(line, law(line), "--", color=DENSE, linewidth=1, label=f"power law, R² {law.explained:.2f}")
        kept = np.linspace(min(each.macs for each in candidates), max(each.macs for each in candidates), 60)
        right.plot(1 - kept, uniform(kept), "--", color="orange", linewidth=1, label="uniform allocations")
        found = optima(candidates, number)
        if found is not None:
            right.plot(1 - kept, found(kept), "--", color="red", linewidth=1, label=f"fitted, R² {found.explained:.2f}")
        left.set(xlabel="mean computation budget of the winner", ylabel="drop of accuracy, points")
        right.set(xlabel="multiply–adds removed", ylabel="mean computation budget")
        for axes in (left, right):
            axes.legend(fontsize=6, frameon=False)

    return svg(draw, height=3.2)


def _by_space(candidates: Sequence[SpaceCandidate]) -> Mapping[str, list[SpaceCandidate]]:
    """Returns the candidates of each space, the baseline apart."""
    spaces = sorted({each.space for each in candidates} - {UNIFORM})
    return {space: [each for each in candidates if each.space == space] for space in spaces}


def _steps(axes: Axes, candidates: Sequence[SpaceCandidate]) -> None:
    """Draws the EDF of each space, and the uniform allocation as a line."""
    for space, here in _by_space(candidates).items():
        drops = np.sort([each.drop for each in here])
        axes.step([drops[0], *drops], np.linspace(0, 1, len(drops) + 1), where="post", linewidth=1, label=space)
    for each in candidates:
        if each.space == UNIFORM:
            axes.axvline(each.drop, color="black", linewidth=0.7, linestyle=":", label=UNIFORM)
    axes.set(xlabel="drop of accuracy, points", ylabel="EDF")
    axes.legend(fontsize=6, frameon=False)


def _histograms(axes: Axes, candidates: Sequence[SpaceCandidate], measure: str) -> None:
    """Draws the distribution of one measure in each space, in the same bins."""
    values = {space: [getattr(each, measure) for each in here] for space, here in _by_space(candidates).items()}
    together = np.concatenate(list(values.values())) if values else np.zeros(1)
    bins = np.linspace(together.min(), max(together.max(), together.min() + 1e-6), _BINS)
    for space, found in values.items():
        axes.hist(found, bins=bins, histtype="step", label=space)


def _winners(axes: Axes, candidates: Sequence[SpaceCandidate]) -> None:
    """Draws the allocation of the candidate of each space that loses least."""
    for space, here in _by_space(candidates).items():
        winner = min(here, key=lambda each: each.drop)
        axes.plot(1 - np.array(winner.keep), marker=".", markersize=3, linewidth=1, label=space)
    axes.set(xlabel="group", ylabel="fraction removed", ylim=(0, 1))


# ---- of one run ------------------------------------------------------------------------------------------------


def space(record: Record) -> str | None:
    """Draws what each candidate of a pruning space was judged with, over its spread and its mean computation budget.

    One row of panels for each time that candidates were judged; the best of each is filled.
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
    """Returns the candidates of a space by what they were judged as, in this order, and nothing for other runs."""
    rows = record.section.get("space", ())
    names = [name for name in (rows[0] if rows else ()) if name not in _FACTS and name not in record.widths]
    found = {name: [row for row in rows if isinstance(row[name], float)] for name in names}
    return {name: each for name, each in found.items() if each}


FIGURES = (
    (
        "Candidates of the pruning space",
        space,
        "What each candidate was judged with, a row of panels for each round; the best of each is blue.",
    ),
)
