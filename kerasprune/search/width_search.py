"""What a search over widths finds, and how it is run, whatever the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.files import path_of
from kerasprune.files.writing import write_rows
from kerasprune.plans import Plan
from kerasprune.search.evolution import Evolution, Evolved, Limit
from kerasprune.search.remembered_scores import RememberedScores
from kerasprune.search.widths import Widths


@dataclass(frozen=True)
class SearchedPlan:
    """What a search over widths has found.

    Args:
        plan: The best plan.
        score: Its score: of the judges with a name, minus the error of the logits.
        macs: Fraction of the multiply–adds that it keeps.
        keep: Per candidate, in the order of `search.candidates`, the fraction kept of each group.
        search: Every candidate, and when it was made and how.
    """

    plan: Plan
    score: float
    macs: float
    keep: Sequence[Mapping[str, float]]
    search: Evolved

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each candidate: score, generation, origin, and the fraction kept of each group."""
        facts = [
            {"score": one.score, "generation": one.generation, "origin": one.origin} for one in self.search.candidates
        ]
        return [{**fact, **keep} for fact, keep in zip(facts, self.keep, strict=True)]

    def save(self, path: str | Path) -> Path:
        """Writes these rows as a CSV file, and returns its path."""
        return write_rows(path_of(path), self.rows())


def best_widths(
    widths: Widths,
    limit: Limit,
    asked: RememberedScores,
    evolution: Evolution,
    seed: int,
    scores: Mapping[str, np.ndarray] | None = None,
) -> SearchedPlan:
    """Returns the best widths within a limit of multiply–adds, from near it and nearly uniform ones on.

    Args:
        widths: What is chosen from.
        limit: What `widths.limit` has returned.
        asked: The judge; it is closed in the end.
        evolution: How long is searched.
        seed: Of everything random.
        scores: Which channels stay. Defaults to `None`: the first.
    """
    try:
        found = evolution.run(
            asked,
            widths.choices,
            limits=[limit],
            draw=lambda generator, number: widths.draw_near(limit, generator, number),
            given=widths.nearly_uniform(limit),
            seed=seed,
        )
    finally:
        asked.close()
    shares = widths.kept([one.genes for one in found.candidates]) / widths.sizes
    keep = [dict(zip(widths.names, row, strict=True)) for row in shares.round(4).tolist()]
    (macs,) = widths.share(np.array([found.best]))
    return SearchedPlan(widths.plan(found.best, scores), found.score, float(macs), keep, found)
