"""Linear mode connectivity on the testbed: from which k are the dense network, tickets and random masks stable?

    W_0 → W_k,   IMP from W_k gives m,   then two orders of the data from m ⊙ W_k and the line between the two ends

Dense networks become stable early; tickets match the dense accuracy only if they are stable; random masks are not
(Frankle et al., ICML 2020).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.forked_trainings import instability_from
from kerasprune.papers.lottery_tickets.ablations import shuffle_masks
from kerasprune.papers.lottery_tickets.testbed import SMALL, DigitsTestbed, examples
from kerasprune.papers.lottery_tickets.tickets import lottery
from kerasprune.recipes.reproductions.entry import Claim, Note, Row, TrainingEntry
from kerasprune.training.schedules import Moment
from kerasprune.training.trainings import Fit, Trainings

STABLE = 2.0
"""Points of error: instability up to it is the paper's noise."""


@dataclass(frozen=True)
class LinearModeSetting:
    """The trainings to compare: seeds, points k and fractions kept.

    Args:
        testbed: The network and the schedule.
        ks: Points k, in epochs.
        keep: Fractions of the weights kept by the rounds of IMP.
        measured: The fractions of `keep` that are measured.
        seeds: Repetitions: other weights, other orders of the data.
        points: Number of points on the line between two ends.
    """

    testbed: DigitsTestbed = DigitsTestbed()
    ks: Sequence[int] = (0, 1, 2, 8)
    keep: Sequence[float] = (0.55, 0.3, 0.17, 0.1, 0.055, 0.03)
    measured: Sequence[float] = (0.1, 0.03)
    seeds: Sequence[int] = (0, 1, 2)
    points: int = 21

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Pairs (seed, k), seed by seed."""
        return [(seed, k) for seed in self.seeds for k in self.ks]

    @property
    def networks(self) -> list[tuple[str, float]]:
        """What is measured in every cell, and fractions of the weights kept."""
        return [("dense", 1.0), *((name, keep) for name in ("IMP", "random") for keep in self.measured)]

    def rows(self, seed: int, k: int, done: Container[tuple[str, float]] = ()) -> Iterator[dict[str, Any]]:
        """Yields the rows of a cell, all from one W_k.

        Args:
            seed: The seed.
            k: Epochs before the fork.
            done: Those of `networks` that are left out.
        """
        trainings = Trainings(self.testbed.network(seed), self.fit_from(0))
        model, rest, masks = trainings.model, self.testbed.epochs - k, {}
        model.set_weights(trainings.reach(model.get_weights(), Moment(k), self.testbed.epochs, seed).weights)
        for name, keep in self.networks:
            if (name, keep) in done:
                continue
            if keep < 1 and not masks:
                tickets = lottery(model, self.fit_from(k), keep=self.keep, epochs=rest, seed=seed)
                masks = {ticket.keep: ticket.masks for ticket in tickets}
            mask = shuffle_masks(masks[keep], seed=seed) if name == "random" else masks.get(keep)
            found = instability_from(
                model,
                self.fit_from(k),
                ["0ep"],
                rest,
                [examples("test")],
                mask=mask,
                recalibrate=[examples("train")],
                points=self.points,
                seeds=[seed],
            )
            yield {"network": name, "keep": keep, **found.rows[0], "k": k, "epochs": self.testbed.epochs}

    def fit_from(self, k: int) -> Fit:
        """Returns the function that trains the rest of the schedule from epoch k on, which it counts as 0."""

        def fit(model: keras.Model, *, resolution: Any, epochs: int, seed: int, initial_epoch: int) -> float:
            self.testbed.fit(model, seed, initial_epoch=k + initial_epoch, until=k + epochs)
            return float("nan")  # errors are those of the ends of a line

        return fit


Rows = Iterable[Mapping[str, Any]]
Means = dict[str, tuple[float, float]]


def judged(rows: Rows) -> list[Row]:
    """Returns the verdicts on the paper's statements.

    A ticket *matches* if its mean error is at most that of the dense network from the same k plus one standard
    deviation of the latter.

    Args:
        rows: Those of `LinearModeSetting.rows`, of one setting.
    """
    found = _by_network(rows)
    dense = found["dense", 1.0]
    first, second = sorted(dense)[:2]
    claims: list[Row] = [_stable(("dense", 1.0), k, dense[k], k == second) for k in (first, second)]
    for keep in sorted({keep for _, keep in found} - {1.0}, reverse=True):
        claims += _of_sparse(keep, found["IMP", keep], found["random", keep], dense)
    return claims


def means(rows: Rows) -> Iterator[tuple[tuple[str, float], int, Means, int]]:
    """Yields network, k, mean and standard error of instability and error in points and of the barrier, and seeds.

    Args:
        rows: As for `judged`.
    """
    for network, of in _by_network(rows).items():
        for k, each in sorted(of.items()):
            barrier = _points(each, "barrier") / 100
            values = {"instability": _points(each, "instability"), "barrier": barrier, "error": _errors(each)}
            yield network, k, {name: _mean(figures) for name, figures in values.items()}, len(each)


def _by_network(rows: Rows) -> dict[tuple[str, float], dict[int, list[Mapping[str, Any]]]]:
    found: dict[tuple[str, float], dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        of = found.setdefault((row["network"], float(row["keep"])), {})
        of.setdefault(int(row["k"]), []).append(row)
    return found


def _of_sparse(keep: float, tickets: Mapping, random: Mapping, dense: Mapping) -> list[Row]:
    """Returns the statements on tickets and random masks from the least k from which tickets match."""
    matching = [k for k in sorted(tickets) if _errors(tickets[k]).mean() <= _bound(_errors(dense[k]))]
    k = matching[0] if matching else max(tickets)
    bound = f"dense {_bound(_errors(dense[k])):.2f} % at most"
    begin, judgement = (f"k={k}", "noted") if matching else ("no k", "cannot tell")
    success = Note(f"{_name('IMP', keep)} matches from", bound, begin, judgement=judgement)
    sparse = [("IMP", tickets[k], True), ("random", random[k], False)]
    lines = [_stable((name, keep), k, rows, stable) for name, rows, stable in sparse if matching or not stable]
    more = _points(random[k], "instability") - _points(tickets[k], "instability")
    return [success, *lines, Claim(f"{_name('random', keep, k)} less IMP", "higher", more, SMALL)]


def _stable(network: tuple[str, float], k: int, rows: Rows, stable: bool) -> Claim:
    """Returns the statement that a network is stable, or is not."""
    above = _points(rows, "instability") - STABLE
    return Claim(f"{_name(*network, k)}, above {STABLE:g} points", "lower" if stable else "higher", above, SMALL)


def _name(network: str, keep: float, k: int | None = None) -> str:
    return network + (f" {keep:.0%}" if keep < 1 else "") + ("" if k is None else f", k={k}")


def _points(rows: Rows, name: str) -> np.ndarray:
    """Returns the figures of the seeds, in their order, times 100."""
    return np.array([100 * float(row[name]) for row in sorted(rows, key=lambda row: int(row["seed"]))])


def _errors(rows: Rows) -> np.ndarray:
    return (_points(rows, "error_a") + _points(rows, "error_b")) / 2


def _bound(errors: np.ndarray) -> float:
    return errors.mean() + errors.std(ddof=1) if len(errors) > 1 else errors.mean()


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Returns mean and standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


@TrainingEntry
def linear_mode(setting: LinearModeSetting | None = None) -> list[Row]:
    """Instability over the step at which two trainings fork (ICML 2020, figures 2, 3 and 5); trains for half an hour.

    In points of error, mean ± standard error; `benchmarks/linear_mode.py` does so in several processes, and resumes.

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, figures 2, 3 and 5.
    """
    setting = LinearModeSetting() if setting is None else setting
    rows = [row for cell in setting.cells for row in setting.rows(*cell)]
    notes = [Note(_name(*network, k), "", _text(figures)) for network, k, figures, _ in means(rows)]
    return [*notes, *judged(rows)]


def _text(figures: Means) -> str:
    return ", ".join(f"{name} {mean:.2f} ± {error:.2f}" for name, (mean, error) in figures.items())
