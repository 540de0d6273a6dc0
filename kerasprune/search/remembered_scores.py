"""Scores of candidates that a search in this process asks for, kept in a file, so that a search can be killed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, short
from kerasprune.populations.candidate_store import CandidateStore, key_of
from kerasprune.populations.claim import claimed
from kerasprune.populations.engine import Outcome
from kerasprune.populations.meter import Meter
from kerasprune.search.evolution import Genes


class RememberedScores:
    """A judge for `Evolution.run` that asks once for each candidate, and writes every answer down at once.

    Args:
        score: Returns the score of a candidate.
        path: An SQLite file, the store of a `kp.Population`; `None`: nothing is kept.
        question: What the scores depend on besides the genes, plain data: other questions have other answers.
        most: The number of candidates that may be asked for, for the bar.
        verbose: 0: silent; 1: shows how far it is.
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
        """Returns the scores of candidates, from the file where they are there."""
        keys = [hashlib.sha256(f"{self._version} {list(genes)}".encode()).hexdigest() for genes in candidates]
        known = {} if self._store is None else {key: one.result for key, one in self._store.read(keys).items()}
        self._meter = self._meter or Meter(self._most, len(known), self._verbose)
        with claimed(self._store.path) if self._store else nullcontext():
            return [
                known[key] if key in known else self._asked(key, genes)
                for key, genes in zip(keys, candidates, strict=True)
            ]

    def close(self) -> None:
        """Gives the terminal back."""
        if self._meter is not None:
            self._meter.close()

    def _asked(self, key: str, genes: Genes) -> float | None:
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
