"""The pruning stage of a pruning space: allocations of one cost are judged, some trained, and the best is the plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import keras

from kerasprune.errors import PruneError
from kerasprune.files import read_rows, write_rows
from kerasprune.graph.plans import Plan
from kerasprune.papers.pruning_spaces.sampling import sample
from kerasprune.papers.pruning_spaces.section import Round, SpaceSection
from kerasprune.papers.pruning_spaces.space import Space
from kerasprune.recipes import lookup
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.fit import fit
from kerasprune.recipes.search.allocations import Allocations
from kerasprune.recipes.stages.context import Run
from kerasprune.repair.reconstruction.recalibrate import trainable_norms
from kerasprune.steps.repair import make_candidate
from kerasprune.surgery.cut import Cut

TABLE = "space.csv"


def choose(run: Run, model: keras.Model, spec: SpaceSection) -> Plan:
    """Returns the plan of the best allocation of a space; the table of all, the best first, is `space.csv`.

    Every accuracy is stored at once, so that an interrupted run resumes with its candidate.

    Args:
        run: The run.
        model: The dense model.
        spec: The section of the recipe.
    """
    allocations = drawn(run, model, spec)
    judge = run.validation_judge

    def ready(number: int) -> keras.Model:
        cut, examples = Cut.of(allocations.graph, allocations.plan(number)), run.plain_examples(model).inputs
        options = {"samples": spec.samples, "seed": run.recipe.seed, "slack": run.slack}
        return make_candidate(spec.judge, cut, judge, examples, **options)

    def trained(number: int, *, name: str, training: Round) -> keras.Model:
        keras.utils.set_random_seed(run.recipe.seed + 1)  # the same for all, in whatever order they are trained
        slim = ready(number)
        fit(
            run,
            slim,
            training,
            stage=f"{name}, recipe {number}",
            epochs=training.epochs,
            training=run.examples("train", slim, batch=training.batch),
            place=f"space-{name.replace(' ', '-')}-{number}",
        )
        return slim

    rounds = [f"round {turn}" for turn, _ in enumerate(spec.rounds, start=1)]
    table = _Table(run, allocations, [spec.judge, *rounds])
    with run.console.status("judge") as status:

        def shown(number: int) -> keras.Model:
            status.update(f"judge candidate {number + 1} of {len(allocations)}")
            return ready(number)

        ranked = table.add(spec.judge, range(len(allocations)), shown)
    for name, training, best in zip(rounds, spec.rounds, spec.trained, strict=True):
        ranked = table.add(name, ranked[:best], partial(trained, name=name, training=training))
    return allocations.plan(ranked[0])


def drawn(run: Experiment, model: keras.Model, spec: SpaceSection) -> Allocations:
    """Returns the allocations of a recipe's space section."""
    windows = {name: getattr(spec, name) for name in ("macs", "params", "delta", "std", "mcb")}
    criterion = lookup.make("criterion", spec.criterion.name, spec.criterion.arguments)
    space = Space(run.traced(model, spec), **windows, criterion=criterion)
    return sample(space, n=spec.n, seed=run.recipe.seed)


def rehearse(run: Experiment, model: keras.Model, spec: SpaceSection) -> None:
    """Raises errors that would come after training: an empty space, a criterion that needs data, no BatchNorm."""
    drawn(run, model, spec).plan(0)
    if spec.judge == "recalibrated" and not trainable_norms(model):
        raise PruneError(
            "Expected a model with trainable BatchNormalization with prune.space.judge=recalibrated. "
            f"Received: {model.name!r}, which has none. Choose judge: removed, or judge: reconstructed."
        )


class _Table:
    """The candidates of a space with all their scores, on disk as soon as they are known.

    Args:
        run: The run.
        allocations: The candidates.
        columns: The names of their scores, in order.
    """

    def __init__(self, run: Run, allocations: Allocations, columns: Sequence[str]) -> None:
        self._run, self._path, self._columns = run, run.folder.file(TABLE), columns
        self._facts = Space(allocations.graph, criterion=allocations.criterion).rows(allocations.keep)
        self._keep = allocations.rows()
        earlier = {int(row["recipe"]): row for row in read_rows(self._path)}
        cells = [earlier.get(number, {}) for number in range(len(allocations))]
        self._scores = [{name: float(each[name]) for name in columns if each.get(name)} for each in cells]

    def add(self, column: str, numbers: Iterable[int], model: Callable[[int], keras.Model]) -> list[int]:
        """Judges the models of some candidates on validation examples, those not judged yet; returns the best first."""
        numbers = list(numbers)
        for number in numbers:
            if column not in self._scores[number]:
                self._scores[number][column] = self._run.worth(model(number))
                self._write()
        ranked = sorted(numbers, key=lambda number: -self._scores[number][column])
        best = f"candidate {ranked[0]}, {self._scores[ranked[0]][column]:.4g}"
        self._run.console.print(f"{column}: best of {len(ranked)} is {best}", highlight=False)
        return ranked

    def _write(self) -> None:
        """Writes the rows of all candidates: those with the latest scores first, then the best first."""

        def rank(number: int) -> list[float]:
            return [-self._scores[number].get(column, -math.inf) for column in reversed(self._columns)]

        empty = dict.fromkeys(self._columns, "")
        rows = [
            {"recipe": number, **self._facts[number], **empty, **self._scores[number], **self._keep[number]}
            for number in sorted(range(len(self._keep)), key=rank)
        ]
        write_rows(self._path, rows)
