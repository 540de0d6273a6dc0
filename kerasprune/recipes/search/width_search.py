"""A search over widths with any judge: stored scores, and the plan that was found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, short
from kerasprune.files import path_of
from kerasprune.files.writing import claim_store, write_rows
from kerasprune.graph.plans import Plan
from kerasprune.recipes.populations.candidate_store import CandidateStore, key_of
from kerasprune.recipes.populations.engine import Outcome
from kerasprune.recipes.populations.meter import Meter
from kerasprune.recipes.search.evolution import Evolution, Evolved, Genes, Limit
from kerasprune.recipes.search.widths import Widths


class RememberedScores:
    """A judge for `Evolution.run` that scores each candidate once, and stores every score at once.

    Args:
        score: Returns the score of a candidate.
        path: An SQLite file, the store of a `kp.recipes.Population`, or `None`: nothing is stored.
        question: All that the scores depend on besides the genes, as plain data; part of the key of each score.
        most: The largest number of candidates, for the progress bar.
        verbose: 0: silent; 1: shows the progress.
    """

    def __init__(
        self,
        score: Callable[[Genes], float],
        path: str | Path | None,
        question: Mapping[str, Any],
        most: int,
        verbose: int = 0,
    ) -> None:
        self._score = score
        self._store = None if path is None else CandidateStore(path)
        self._version = key_of(question)
        self._most, self._verbose = most, verbose
        self._meter: Meter | None = None

    def __call__(self, candidates: Sequence[Genes]) -> list[float | None]:
        """Returns the scores of candidates, read from the file if it has them."""
        keys = [hashlib.sha256(f"{self._version} {list(genes)}".encode()).hexdigest() for genes in candidates]
        known = {} if self._store is None else {key: each.result for key, each in self._store.read(keys).items()}
        if self._meter is None:
            self._meter = Meter(self._most, len(known), self._verbose)
        else:
            self._meter.skip(len(known))
        with claim_store(self._store.path) if self._store else nullcontext():
            return [
                known[key] if key in known else self._scored(key, genes)
                for key, genes in zip(keys, candidates, strict=True)
            ]

    def close(self) -> None:
        """Removes the progress bar."""
        if self._meter is not None:
            self._meter.close()

    def _scored(self, key: str, genes: Genes) -> float | None:
        began = time.perf_counter()
        given = self._score(genes)
        try:
            score = float(given)
        except (TypeError, ValueError) as error:
            raise PruneError(f"Expected a number from judge, higher = better. Received: {short(given)}.") from error
        score = score if np.isfinite(score) else None
        if self._store is not None:
            outcome = Outcome(key, time.perf_counter() - began, score)
            self._store.write("score", self._version, {"genes": list(genes)}, outcome, 1)
        self._meter.advance(failed=score is None, error=None)
        return score


@dataclass(frozen=True)
class SearchedPlan:
    """The result of a search over widths.

    Args:
        plan: The best plan.
        score: Its score; with the built-in judges, the negative error of the logits.
        macs: Fraction of the multiply–adds that it keeps.
        keep: The fraction kept of each group, for each of `search.candidates`.
        search: All candidates, with their generation and origin.
    """

    plan: Plan
    score: float
    macs: float
    keep: Sequence[Mapping[str, float]]
    search: Evolved

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each candidate: score, generation, origin, and the fraction kept of each group."""
        return [
            {"score": each.score, "generation": each.generation, "origin": each.origin, **keep}
            for each, keep in zip(self.search.candidates, self.keep, strict=True)
        ]

    def save(self, path: str | Path) -> Path:
        """Writes these rows as a CSV file, and returns its path."""
        return write_rows(path_of(path), self.rows())


def best_widths(
    widths: Widths,
    limit: Limit,
    judge: RememberedScores,
    evolution: Evolution,
    seed: int,
) -> SearchedPlan:
    """Returns the best widths within a limit of multiply–adds; the first candidate is nearly uniform.

    Args:
        widths: The choices.
        limit: The result of `widths.limit`.
        judge: The judge; it is closed at the end.
        evolution: The length of the search.
        seed: Seed of all random draws.
    """
    try:
        found = evolution.run(
            judge,
            widths.choices,
            limits=[limit],
            draw=lambda generator, number: widths.draw_near(limit, generator, number),
            given=widths.nearly_uniform(limit),
            seed=seed,
        )
    finally:
        judge.close()
    shares = widths.kept([each.genes for each in found.candidates]) / widths.sizes
    keep = [dict(zip(widths.names, row, strict=True)) for row in shares.round(4).tolist()]
    (macs,) = widths.share(np.array([found.best]))
    return SearchedPlan(widths.plan(found.best), found.score, float(macs), keep, found)
