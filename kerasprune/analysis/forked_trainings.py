"""`instability_from`: the distance between trainings that share their first steps, then differ in the order of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.analysis.between_models import between
from kerasprune.analysis.judged_weights import Weights, WeightsJudge, check_statistics, weights_of
from kerasprune.checks import seed_faults, whole_number_faults
from kerasprune.errors import extras, make_or_note, raise_faults
from kerasprune.files import path_of, read_json, write_json, write_rows
from kerasprune.files.figure import draw_figure
from kerasprune.files.made_of import digest
from kerasprune.graph.graph import weight_paths
from kerasprune.recipes.populations.store import Store
from kerasprune.steps.numbers import moments
from kerasprune.steps.tuning import seed_layers
from kerasprune.tables import Part, Shown, Table
from kerasprune.training.masks import apply_masks, masked_variables
from kerasprune.training.schedules import Moment
from kerasprune.training.trainings import Fit, SchedulePlace, Trainings, fit_faults

_FIGURES = ("instability", "barrier", "error_a", "error_b")
_ROW = "row.json"


@dataclass(frozen=True)
class Instability(Shown):
    """Distances between two trainings that fork at k, for every k; returned by `instability_from`.

    Args:
        rows: One for each k and seed: `k`, `seed`, `instability` and `barrier` of the line between the two trained
            networks, `error_a`, `error_b`, `loss_a` and `loss_b` at its ends.
    """

    rows: tuple[Mapping[str, Any], ...]

    @property
    def ks(self) -> tuple[str, ...]:
        """The points k, in the order given."""
        return tuple(dict.fromkeys(row["k"] for row in self.rows))

    def table(self) -> list[dict[str, Any]]:
        """Returns a row for each k: the mean over the seeds of each figure, and its standard deviation.

        Columns are `k`, `seeds`, and `instability`, `instability_deviation` and so on; a deviation of one seed is
        `None`.
        """
        found = []
        for k in self.ks:
            rows = [row for row in self.rows if row["k"] == k]
            found.append({"k": k, "seeds": len(rows)})
            for name in _FIGURES:
                found[-1] |= moments(name, [row[name] for row in rows])
        return found

    def __str__(self) -> str:
        """Returns the table, mean ± standard deviation."""
        return str(self._shown()[0])

    def _shown(self) -> list[Part]:
        rows = [
            (row["k"], str(row["seeds"]), *(_cell(row[name], row[f"{name}_deviation"]) for name in _FIGURES))
            for row in self.table()
        ]
        return [Table(("k", "seeds", *_FIGURES), rows)]

    def save(self, path: str | Path) -> Path:
        """Writes a CSV file, a row for each k and seed, and returns its path."""
        return write_rows(path_of(path), self.rows)

    @extras("Instability.plot")
    def plot(self, path: str | Path) -> Path:
        """Draws instability and barrier over k into an image file (`.svg`, `.png`, `.pdf`), and returns its path."""

        def draw(figure: Any) -> None:
            table = self.table()
            for axes, name in zip(figure.subplots(1, 2), _FIGURES, strict=False):
                means, spreads = ([row[key] or 0.0 for row in table] for key in (name, f"{name}_deviation"))
                axes.errorbar(self.ks, means, spreads, marker="o", markersize=3, capsize=2)
                axes.set(xlabel="k", ylabel=name)

        return draw_figure(path, (7, 3), draw)


def instability_from(
    model: keras.Model,
    fit: Fit,
    ks: Sequence[str | int | Moment],
    epochs: int,
    data: Any,
    *,
    mask: Mapping[str, np.ndarray] | None = None,
    recalibrate: Any = None,
    points: int = 30,
    loss: Any = None,
    seeds: Sequence[int] = (0, 1, 2),
    folder: str | Path | None = None,
) -> Instability:
    """Measures the point of a training from which its result no longer depends on the order of the data.

    For every k and seed, `W_0 → W_k` is trained, then two copies of `m ⊙ W_k` with two orders of the data to the end:

        m⊙W_k → A,   m⊙W_k → B,   instability = max_α error((1 − α)A + αB) − (error(A) + error(B)) / 2

    Every training is a part of one schedule of T epochs; at k the optimizer begins afresh. A row depends on its own k
    and seed alone.

    Args:
        model: The model at initialisation; it is left untouched. Its weights are those of all seeds.
        fit: As for `kp.papers.lottery`: `fit(model, *, resolution, epochs, seed, initial_epoch)` trains in place from
            `initial_epoch` up to `epochs`. The order of the data is to depend on `seed`; random layers and the seeds of
            Keras, NumPy and Python are set by it before.
        ks: Points k: `"500it"`, `"2ep"`, `"2ep50it"`; a number counts steps. Within an epoch, `fit` must use
            `model.fit`: the steps of this epoch up to k are taken by the copies too, and undone.
        epochs: T, epochs of the whole schedule.
        data: Labelled examples to measure on, as for `line`.
        mask: `{variable path: boolean mask of the weights kept}`: the `.masks` of a ticket of `kp.papers.lottery`, or
            from `kp.prune_at_init`. It is applied at k and held. For channels give `kp.mask(model, plan)` as the model.
            Defaults to none, the dense network.
        recalibrate: Training examples, needed if there is a BatchNorm, as for `line`. Defaults to `None`.
        points: Number of α of each line. Defaults to 30.
        loss: The loss as `compile` takes it. Defaults to the one that `fit` compiles with.
        seeds: Seeds of the order of the data, one repetition for each. Defaults to `(0, 1, 2)`.
        folder: Where finished rows are stored, to resume from with the same `fit` and `data`; more `ks` and `seeds` may
            be asked for later. Defaults to `None`: nowhere.

    Returns:
        The rows: print them for mean ± standard deviation, `.table()`, `.plot(path)`, `.save(path)`.

    Raises:
        PruneError: An argument is out of range, a point is not reached, or the folder was begun with another model,
            mask or schedule.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> def fit(model, *, resolution, epochs, seed, initial_epoch):
        ...     model.compile("sgd", "mse")
        ...     model.fit(x, x[:, :1], epochs=epochs, initial_epoch=initial_epoch, verbose=0)
        >>> found = kp.analysis.instability_from(model, fit, ["0it", "2ep"], 2, [(x, x[:, :1])], seeds=[0], points=3)
        >>> found.ks, found.rows[1]["instability"]  # at the end there is nothing left to differ in
        (('0it', '2ep'), 0.0)

    Reference:
        Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, arXiv 1912.05671,
        Algorithms 1 and 2.
    """
    places = _checked(fit, ks, epochs, points, seeds)
    masks = {} if mask is None else mask
    masked = {id(variable): kept for variable, kept in masked_variables(model, masks)}
    forks = _Forks(model, fit, epochs, masks, points, data, loss, check_statistics(model, recalibrate))
    settings = {
        "model": digest(weights_of(model)),
        "mask": digest(masked.get(id(variable), ()) for variable in model.weights),
        "epochs": epochs,
        "points": points,
    }
    store, rows = Store(folder, "instability", settings), []
    for k in places:
        for seed in dict.fromkeys(seeds):
            found = store.kept(f"{k}-{seed}", lambda k=k, seed=seed: forks.row(k, seed), _save, _load)
            rows.append({"k": str(k), "seed": seed, **found})
    return Instability(tuple(rows))


class _Forks:
    """Trainings of one model that fork at a point.

    Args:
        model: The model at initialisation.
        fit: Trains a model in place.
        epochs: Epochs of the schedule.
        masks: The masks that are applied where trainings fork.
        points: Points of a line.
        data: What is measured on.
        loss: The loss, or `None`.
        statistics: Examples for the statistics of BatchNorm, or `None`.
    """

    def __init__(
        self,
        model: keras.Model,
        fit: Fit,
        epochs: int,
        masks: Mapping[str, np.ndarray],
        points: int,
        data: Any,
        loss: Any,
        statistics: Any,
    ) -> None:
        self._trainings, self._start = Trainings(model, fit), model.get_weights()
        names = zip(weight_paths(model).values(), weight_paths(self._trainings.model).values(), strict=True)
        self._masks = {copy: masks[own] for own, copy in names if own in masks}
        self._epochs, self._points, self._judged = epochs, points, (data, loss, statistics)

    @cached_property
    def _judge(self) -> WeightsJudge:
        """Measures the model, which is compiled by now."""
        return WeightsJudge(self._trainings.model, *self._judged)

    def row(self, k: Moment, seed: int) -> dict[str, float]:
        """Returns the figures of two trainings that fork at a point."""
        before, *after = (int(each) for each in np.random.default_rng(seed).integers(2**31 - 1, size=3))
        seed_layers(self._trainings.model, before)
        place = self._trainings.reach(self._start, k, self._epochs, before)
        a, b = (self._end(place, each) for each in after)
        found = between(self._judge, a, b, self._points)
        ends = {"error_a": 0, "error_b": -1}
        return {
            "instability": found.instability,
            "barrier": found.barrier,
            **{name: float(found.errors[at]) for name, at in ends.items()},
            **{name.replace("error", "loss"): float(found.losses[at]) for name, at in ends.items()},
        }

    def _end(self, place: SchedulePlace, seed: int) -> Weights:
        """Returns the weights at the end of a training from a place."""
        model = self._trainings.model
        seed_layers(model, seed)
        if place.epoch < self._epochs:
            self._trainings.run(place, self._epochs, seed, self._masks)
        else:
            model.set_weights(place.weights)
            apply_masks(model, self._masks)
        return weights_of(model)


def _checked(fit: Any, ks: Any, epochs: Any, points: Any, seeds: Any) -> list[Moment]:
    """Returns the points k, each once."""
    faults = fit_faults(fit) + whole_number_faults(1, epochs=epochs) + whole_number_faults(2, points=points)
    places = [make_or_note(faults, Moment.read, k) for k in ks]
    faults += [fault for seed in seeds for fault in seed_faults(seeds=seed)]
    faults += [
        f"Expected at least one of {name}. Received: none." for name, of in {"ks": ks, "seeds": seeds}.items() if not of
    ]
    if not faults:
        late = [k for k in places if k.epochs + (k.iterations > 0) > epochs]
        faults += [f"Expected points up to the end, epochs={epochs}. Received: k='{k}'." for k in late]
    raise_faults("Invalid arguments for instability_from:", faults)
    return list(dict.fromkeys(places))


def _cell(mean: float, deviation: float | None) -> str:
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} ± {deviation:.4f}"


def _save(folder: Path, row: dict[str, float]) -> None:
    write_json(folder / _ROW, row)


def _load(folder: Path) -> dict[str, float]:
    return read_json(folder / _ROW, "a row of instability_from")
