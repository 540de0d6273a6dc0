"""`lottery`: finds and trains lottery tickets over several fits, with controls that explain their accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from kerasprune.checks import choice_faults, is_number, whole_number_faults
from kerasprune.errors import raise_faults
from kerasprune.papers.lottery_tickets.ablations import shuffle_masks
from kerasprune.recipes.populations.store import returned_accuracy
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.training.granularity import Weight
from kerasprune.training.masks import Masks
from kerasprune.training.registry import scopes
from kerasprune.training.schedules import Moment
from kerasprune.training.trainings import Fit, SchedulePlace, Trainings, fit_faults

CONTROLS = ("random_reinit", "random_prune", "one_shot")


@dataclass(frozen=True)
class Ticket:
    """A trained sparse network.

    Args:
        kind: `"dense"`, `"ticket"`, or the name of a control.
        keep: Target fraction of the weights.
        kept: Fraction that was actually kept.
        accuracy: The accuracy that `fit` returned.
        masks: `{variable path: mask of the weights kept}`.
        weights: The weights after training, in the order of `model.get_weights()`.
    """

    kind: str
    keep: float
    kept: float
    accuracy: float
    masks: Mapping[str, np.ndarray]
    weights: Sequence[np.ndarray]


def lottery(
    model: keras.Model,
    fit: Fit,
    *,
    keep: Sequence[float],
    epochs: int,
    rewind_epochs: int = 0,
    controls: Sequence[str] = (),
    controls_at: Sequence[float] | None = None,
    scope: Any = "global",
    freeze: Sequence[str] = (),
    seed: int = 0,
) -> list[Ticket]:
    """Trains, removes the smallest weights and rewinds the others, for every fraction of `keep` in turn.

    Train `W_0 → W_k` (`rewind_epochs`), then for each fraction: train `m⊙W_k → m⊙W_T`, and remove the smallest of the
    remaining weights. All trainings are parts of *one* schedule of T = `rewind_epochs + epochs` epochs, split at k: a
    training from W_k starts at the learning rate of epoch k. A control has as many weights as the corresponding ticket:
    `"random_reinit"` (the ticket's masks, fresh weights, the schedule from 0 to T), `"random_prune"` (W_k, and in each
    kernel the same number of weights, chosen at random), `"one_shot"` (W_k, all weights removed from the dense model at
    once).

    Args:
        model: The model at initialisation; it is left untouched.
        fit: `fit(model, *, resolution, epochs, seed, initial_epoch) -> accuracy`: trains a model in place from
            `initial_epoch` up to `epochs`, as in `model.fit`: (0, k), (k, T) or (0, T). A schedule counts from epoch 0
            and spans T: a `LearningRateScheduler` does so by itself; a schedule of the optimizer needs
            `model.optimizer.iterations.assign(initial_epoch * steps)`. Every training gets another seed, so that the
            order of the data differs; `resolution` is `None`.
        keep: Fractions of the weights kept, descending, e.g. `[0.8**n for n in range(1, 15)]`.
        epochs: Epochs of every training from W_k, T − k.
        rewind_epochs: k, in epochs. Defaults to 0, the original lottery ticket.
        controls: Names of controls to train. Defaults to none.
        controls_at: The fractions at which to train them. Defaults to all of `keep`.
        scope: As for `GradualMagnitude`. Defaults to `"global"`.
        freeze: Names of layers, or wildcards, that are not pruned. Defaults to none.
        seed: Seed of all random draws. Defaults to 0.

    Returns:
        The dense model first, then for every fraction the ticket and its controls.

    Raises:
        PruneError: An argument is out of range, or `fit` does not take `initial_epoch`.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
        >>> def fit(model, *, resolution, epochs, seed, initial_epoch):
        ...     return 0.5  # here: model.fit(…, epochs=epochs, initial_epoch=initial_epoch)
        >>> [(t.kind, t.kept) for t in lottery(model, fit, keep=[0.5, 0.25], epochs=1)]
        [('dense', 1.0), ('ticket', 0.5), ('ticket', 0.25)]

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, Algorithm 2.
    """
    _check(fit, keep, epochs, rewind_epochs, controls, controls_at)
    search = _TicketSearch(model, fit, rewind_epochs + epochs, scopes.get(scope), freeze, np.random.default_rng(seed))
    begun = search.early(rewind_epochs) if rewind_epochs else SchedulePlace(0, 0, model.get_weights())
    dense = ticket = search.trained("dense", 1.0, begun, search.everything())
    tickets = [dense]
    for fraction in keep:
        masks = search.smallest(ticket, fraction)
        ticket = search.trained("ticket", fraction, begun, masks)
        tickets.append(ticket)
        if not np.isclose(keep if controls_at is None else controls_at, fraction, atol=0).any():
            continue
        if "random_reinit" in controls:
            fresh = SchedulePlace(0, 0, reinitialise(model, seed=search.seed()).get_weights())
            tickets.append(search.trained("random_reinit", fraction, fresh, masks))
        if "random_prune" in controls:
            tickets.append(search.trained("random_prune", fraction, begun, shuffle_masks(masks, seed=search.seed())))
        if "one_shot" in controls:
            tickets.append(search.trained("one_shot", fraction, begun, search.smallest(dense, fraction)))
    return tickets


class _TicketSearch:
    """One model that is trained repeatedly from given weights and masks."""

    def __init__(
        self,
        model: keras.Model,
        fit: Fit,
        length: int,
        scope: scopes.Scope,
        freeze: Sequence[str],
        generator: np.random.Generator,
    ) -> None:
        self._trainings = Trainings(model, fit)
        self.model = self._trainings.model
        self._length, self._generator = length, generator
        graph, units = Weight().units(self.model, freeze)
        self._masks = Masks(units, scope=scope, graph=graph)

    def seed(self) -> int:
        """Returns a new seed."""
        return int(self._generator.integers(2**31 - 1))

    def early(self, epochs: int) -> SchedulePlace:
        """Returns the weights after the first epochs of the schedule."""
        return self._trainings.reach(self.model.get_weights(), Moment(epochs), self._length, self.seed())

    def everything(self) -> dict[str, np.ndarray]:
        """Returns masks that keep everything."""
        self._masks.clear()
        return self._masks.arrays()

    def smallest(self, ticket: Ticket, fraction: float) -> dict[str, np.ndarray]:
        """Returns the masks of a trained ticket with its smallest weights removed."""
        self.model.set_weights(ticket.weights)
        self._masks.assign([~ticket.masks[unit.name].ravel() for unit in self._masks.units])
        self._masks.renew(fraction)
        return self._masks.arrays()

    def trained(self, kind: str, fraction: float, start: SchedulePlace, masks: Mapping[str, np.ndarray]) -> Ticket:
        """Trains from weights at an epoch of the schedule, and masks, to its end."""
        accuracy = returned_accuracy(self._trainings.run(start, self._length, self.seed(), masks))
        size = sum(mask.size for mask in masks.values())
        kept = sum(int(mask.sum()) for mask in masks.values()) / size
        return Ticket(kind, fraction, kept, accuracy, masks, self.model.get_weights())


def _check(
    fit: Fit,
    keep: Sequence[float],
    epochs: int,
    rewind_epochs: int,
    controls: Sequence[str],
    controls_at: Sequence[float] | None,
) -> None:
    faults = fit_faults(fit)
    faults += whole_number_faults(1, epochs=epochs) + whole_number_faults(0, rewind_epochs=rewind_epochs)
    fractions = [1.0, *keep]
    if not all(is_number(k) and k > 0 for k in keep) or any(b >= a for a, b in pairwise(fractions)) or not len(keep):
        faults.append(f"Expected descending fractions kept in (0, 1). Received: keep={list(keep)!r}.")
    else:
        absent = [each for each in controls_at or () if not np.isclose(keep, each, atol=0).any()]
        faults += [f"Expected controls_at to be among keep={list(keep)!r}. Received: {each!r}." for each in absent]
    faults += [fault for name in controls for fault in choice_faults(CONTROLS, controls=name)]
    raise_faults("Invalid arguments for lottery:", faults)
