"""`smallest`: the smallest model whose figure drops by no more than is allowed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import ceil, isfinite, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune.data.arrays_or_batches import as_numpy, batch_parts
from kerasprune.data.examples import Examples
from kerasprune.data.signature import signature_of
from kerasprune.errors import PruneError, short, warn
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.files import is_file
from kerasprune.files.keras_model import load_model
from kerasprune.files.reading import read_json
from kerasprune.files.writing import make_folder, replace_when_done, write_json
from kerasprune.graph.built_model import body_of
from kerasprune.graph.plans import Plan
from kerasprune.progress import say
from kerasprune.steps import finetune
from kerasprune.steps.class_floors import ClassFloors, class_numbers
from kerasprune.steps.judge import check_examples
from kerasprune.steps.judged_figures import AGREEMENT, ERROR, Figure, NearnessFigure, OwnFigure, metric_figures, run_of
from kerasprune.steps.keywords import answer_unknown_keywords
from kerasprune.steps.next_share import Trial, drop_to_expect, next_share, smallest_allowed
from kerasprune.steps.paired_drop import Drop, paired_drop, standard_error
from kerasprune.steps.prune import Pruned, Pruning, prune
from kerasprune.steps.redundancy import errors_at_shares, share_at
from kerasprune.steps.report import StepReport
from kerasprune.steps.search_report import CostCurve, SearchReport, Tried
from kerasprune.steps.search_settings import DECIDED, SearchSettings, takes_others_of
from kerasprune.steps.share_plans import SharePlans
from kerasprune.steps.tallies import Run
from kerasprune.surgery.compiled import fresh

_SAME = 0.005  # relative difference of shares that are one
_REDUNDANT = 0.2  # error of the outputs after least squares at which a search begins
_FAR = 3.0  # standard errors beyond what is allowed, at which a training stops after an epoch
_REFUSED = 10.0  # times what is allowed, in place of a drop that is no number
_DIFFER = 4.0  # examples on which two models differ, for one that is lost where as many are as may be
_ENOUGH = 2.0, 4.0  # standard errors in what is allowed: fewer are said; what is recommended


class Smallest(NamedTuple):
    """The result of `smallest`.

    Args:
        slim: The smallest allowed model, compiled if the dense one is; the dense model written out if none is allowed.
        plan: Its plan.
        report: What was tried, which can be printed.
        curve: The figure over the cost.
        file: The content of the `.tflite` file, if one was judged: `Path("slim.tflite").write_bytes(found.file)`.
    """

    slim: keras.Model
    plan: Plan
    report: SearchReport
    curve: CostCurve
    file: bytes | None

    def __repr__(self) -> str:
        return f"<Smallest: {str(self.report).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self.report))


@answer_unknown_keywords
@takes_others_of(prune, DECIDED)
def smallest(
    model: keras.Model,
    data: Any,
    max_drop: float | None = None,
    *,
    by: str = "macs",
    epochs: int = 5,
    validation: Any = None,
    test: Any = None,
    metric: str | Callable[[keras.Model, Any], float] | None = None,
    drop_type: str | None = None,
    agreement: float | None = None,
    max_error: float | None = None,
    groups: Sequence[Any] | None = None,
    floor: Mapping[str | int, float] | None = None,
    plan: Mapping[str, Any] | None = None,
    quantize: str | None = None,
    table: Any = None,
    confidence: float = 0.84,
    trials: int = 6,
    folder: str | Path | None = None,
    seed: int = 0,
    **pruning: Any,
) -> Smallest:
    """Finds the smallest model whose metric drops by no more than is allowed.

    Every trial goes all the way from the dense model, as `kp.prune` does: channels are removed, kernels solved, the
    model fine-tuned with the dense one as its teacher, its best epoch taken, and its file quantized if asked. A model
    is allowed if `d + z·SE ≤ max_drop`: the drop d is measured on the same examples for both models, SE is its standard
    error, and z that of the confidence. The cost is bracketed, and within the bracket the drop is taken to be linear in
    its logarithm. A training stops after its first epoch if three standard errors speak against it, even if it regains
    what earlier trials did.

    Args:
        model: The trained model, which is not changed. With labels it is compiled, or `loss=` given.
        data: Training data, as for `kp.prune`.
        max_drop: The largest drop of the metric, above 0. Without labels `agreement` or `max_error` instead.
        by: What is to be small: `"macs"`, `"params"`, `"time"` of one inference, or `"bytes"` of the `.tflite` file.
            Defaults to `"macs"`.
        epochs: Epochs of fine-tuning in every trial. Defaults to 5.
        validation: Data that neither the trials nor the dense model were trained on; it chooses epochs and models.
            Defaults to a held-out tenth of `data`, on which the dense model is too good, and drops too large.
        test: Data that nothing is chosen by, for the report. Defaults to `None`.
        metric: The name of a compiled metric, or `f(model, (x, y))`, of which more is better; it is called with
            outputs in place of inputs, see `docs`. Defaults to the first compiled metric; of several outputs the first
            of each, and the worst drop decides; to the loss without any.
        drop_type: `"absolute"`, or `"relative"` to the dense model's figure. Defaults to `"absolute"` for metrics
            between 0 and 1 of which more is better, else to `"relative"`.
        agreement: Without labels: the least fraction of examples of the same class as by the dense model.
        max_error: Without labels: the largest error of the outputs, relative to their spread.
        groups: What each validation example belongs to, such as its film: they are not independent then.
        floor: The least accuracy of single classes by number, `{"3": 0.95}`, which also allows models. Defaults to
            none.
        plan: Arguments of `kp.trace` and `kp.plan`, as for `kp.prune`. Defaults to none.
        quantize: Precision of the `.tflite` file that is judged in place of the model, such as `"int8"`. Defaults to
            `None`: the Keras model is judged.
        table: The latency table of a device, for `by="time"`. Defaults to `None`: this machine is measured.
        confidence: One-sided confidence of the bound on the drop. Defaults to 0.84: one standard error.
        trials: Trainings at most. Defaults to 6.
        folder: Where every trial is kept as it ends; a search that was killed continues there. Defaults to `None`.
        seed: Random seed. Defaults to 0.
        **pruning: The other arguments of `kp.prune`: `criterion`, `budget`, `freeze`, `size`, `reconstruct`, `distil`,
            `verify`, `loss`, `optimizer`, `batch`, `callbacks`, `verbose`.

    Returns:
        `(slim, plan, report, curve, file)`.

    Raises:
        PruneError: An argument is out of range, the model cannot be pruned or judged, or `folder` holds another search.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(2)])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile("adam", loss=loss, metrics=["accuracy"])
        >>> x = np.random.default_rng(0).normal(size=(600, 4)).astype("float32")
        >>> y = (x[:, 0] > 0).astype(int)
        >>> history = model.fit(x, y, epochs=5, verbose=0)
        >>> found = kp.smallest(model, (x, y), max_drop=0.05, epochs=2, validation=(x, y), verbose=0)
        >>> found.report.curve.points[found.curve.chosen].macs < 0.6
        True
    """
    return _SizeSearch(SearchSettings(**locals())).result()


class _SizeSearch:
    """A search: what is the same for all trials, and what was tried.

    Args:
        settings: The checked arguments.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.pruning = settings.of_pruning
        begun = Pruning(self.pruning)
        self.dense, self.objective, self.size = begun.dense, begun.objective, begun.size
        self.training, self.judged, self.remarks = begun.given, begun.judged, list(begun.remarks)
        graph = begun.traced()
        graph.check_prunable()
        how = {
            **self.pruning.for_plan,
            "criterion": self.pruning.criterion,
            "budget": self.pruning.budget,
            "data": finetune.to_train_on(self.training, settings.seed).batches(),
            "loss": self.objective.loss,
            "seed": settings.seed,
        }
        self.plans = SharePlans(graph, settings.by, how, settings.table, settings.quantize)
        self._check_order()
        self.figures = self._figures(self.judged)
        self.tested = self._tested()
        self.tallies = [each.tally(run_of(self.dense)) for each in self.figures]
        self.floors = self._floors()
        self.folder = None if settings.folder is None else make_folder(settings.folder)
        self.begun = self._begun()
        self.tried: list[Tried] = []
        self.models: dict[int, tuple[keras.Model, Plan, bytes | None]] = {}

    def result(self) -> Smallest:
        """Runs the trials."""
        settings = self.settings
        if "first" not in self.begun:
            self._check_figures()
            self.begun["first"] = self._first()
            self._write("search.json", self.begun)
        while (share := self._next(self.begun["first"])) is not None:
            if not self._try(share):
                break
        best = smallest_allowed(self._trials, settings.limit)
        chosen = None if best is None else self._trials.index(best)
        slim, plan, file = self._delivered(chosen)
        curve = CostCurve(settings.by, tuple(self.tried), settings.limit, self._relative(0), chosen)
        remarks = (*self.remarks, *self._remarks(chosen))
        report = SearchReport(curve, settings.confidence, remarks, self._on_test(slim, file))
        self._write("report.json", asdict(report))
        return Smallest(slim, plan, report, curve, file)

    # ---- the folder --------------------------------------------------------------------------------------------

    def _begun(self) -> dict[str, Any]:
        """Returns the arguments of the search, with the results of an earlier one in its folder.

        Raises:
            PruneError: The folder holds another search.
        """
        names = ("by", "epochs", "drop_type", "confidence", "quantize", "seed", "limit")  # more trials may follow
        asked = {name: getattr(self.settings, name) for name in names}
        asked |= {f"floor {label}": least for label, least in self.floors.least.items()}
        asked |= {name: repr(value) for name, value in (self.settings.plan or {}).items()}
        given = {name: value for name, value in self.settings.pruning.items() if name != "verbose"}
        asked |= {name: value for name, value in given.items() if isinstance(value, str | float | int)}
        asked |= {"model": self.plans.graph.fingerprint}
        asked |= {f"dense {each.name}": one.value for each, one in zip(self.figures, self.tallies, strict=True)}
        if self.folder is None or not is_file(self.folder / "search.json"):
            return asked
        found = read_json(self.folder / "search.json")
        differing = [name for name, value in asked.items() if found.get(name) != value]
        if differing:
            raise PruneError(
                f"Expected a folder without another search. Received: folder={short(str(self.folder))}, whose search "
                f"differs in {', '.join(differing)}. Give another folder."
            )
        return found

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        if self.folder is not None:
            write_json(self.folder / name, data)

    # ---- figures -----------------------------------------------------------------------------------------------

    def _figures(self, examples: Examples) -> list[Figure]:
        """Returns the figures: metrics or the user's own function, or without labels the outputs alone."""
        settings, given = self.settings, (self.dense, self.objective, examples)
        if settings.max_drop is None:
            return [NearnessFigure(ERROR if settings.agreement is None else AGREEMENT, *given)]
        if not examples.labelled or self.objective.loss is None and not callable(settings.metric):
            received = "inputs alone" if not examples.labelled else f"no loss, {settings.model.name!r} is not compiled"
            raise PruneError(
                f"Expected labels and a loss with max_drop. Received: {received}. Give data=(x, y) and loss=, or "
                "without labels agreement= or max_error= in place of max_drop."
            )
        return (
            [OwnFigure(settings.metric, *given)]
            if callable(settings.metric)
            else metric_figures(*given, settings.metric)
        )

    def _relative(self, place: int) -> bool:
        """Returns whether the drop of a figure is a fraction of the dense model's."""
        if self.settings.max_drop is None:
            return False
        if self.settings.drop_type is not None:
            return self.settings.drop_type == "relative"
        return not (self.figures[place].higher and 0 <= self.tallies[place].value <= 1)

    def _floors(self) -> ClassFloors:
        return ClassFloors(
            class_numbers(self.settings.floor), self.dense, self.objective, self.judged, self.settings.groups
        )

    def _check_order(self) -> None:
        """Warns of data that come in another order on every pass, which cannot be paired; raises with `groups`."""
        if self.judged.arrays:
            return
        one, other = (keras.tree.flatten(batch_parts(next(iter(self.judged.batches())))) for _ in range(2))
        if all(np.array_equal(as_numpy(a), as_numpy(b)) for a, b in zip(one, other, strict=True)):
            return
        remedy = "Leave .shuffle() and random changes out of it."
        if self.settings.groups is not None:
            raise PruneError(
                "Expected validation data in one order, to which groups belong. Received: validation=, whose first "
                f"batch is another on every pass. {remedy}"
            )
        warn(f"validation= is not the same on every pass: drops are not paired, their errors larger. {remedy}")

    def _check_figures(self) -> None:
        """Raises if a figure of the dense model is no number; warns if its examples cannot tell the allowed drop."""
        settings, number = self.settings, len(self.tallies[0])
        self.floors.check(run_of(self.dense))
        if settings.groups is not None and len(settings.groups) != number:
            raise PruneError(
                f"Expected groups with an entry for each of the {number:,} examples that judge. Received: "
                f"{len(settings.groups):,}. Give validation=, and its groups."
            )
        for place, (figure, dense) in enumerate(zip(self.figures, self.tallies, strict=True)):
            if not np.isfinite(dense.value) or self._relative(place) and dense.value == 0:
                raise PruneError(
                    f"Expected a {figure.name} of the dense model that a drop can be measured from. Received: "
                    f"{figure.name}={dense.value}. Check the weights and the scale of the data, or give "
                    "drop_type='absolute'."
                )
            scale, limit = abs(dense.value) if self._relative(place) else 1.0, settings.limit
            if figure.higher and limit >= 1 and settings.max_drop is not None and abs(dense.value) <= 1:
                raise PruneError(
                    f"Expected a drop of {figure.name} below 1. Received: max_drop={limit:g}, at which every model is "
                    f"allowed. For {limit:g} points give max_drop={limit / 100:g}."
                )
            error = standard_error(dense, settings.groups, settings.seed) / scale
            if not self._relative(place) and settings.groups is None:  # four times as many differ as are lost
                error = min(error, sqrt(_DIFFER * limit / len(dense)))
            if error > limit / _ENOUGH[0]:
                number = ceil(len(dense) * (_ENOUGH[1] * error / limit) ** 2)
                warn(
                    f"{len(dense):,} examples can hardly tell a drop of {limit:.3g} in {figure.name}, whose standard "
                    f"error is about {error:.2g}: much of what is allowed is lost to it. Some {number:,} would do."
                )

    def _judged(self, run: Run) -> tuple[int, float, Drop]:
        """Returns the place of the figure that decides, its value and its drop."""
        settings, found = self.settings, []
        for place, (figure, dense) in enumerate(zip(self.figures, self.tallies, strict=True)):
            slim, how = figure.tally(run), {"groups": settings.groups, "seed": settings.seed}
            drop = paired_drop(dense, slim, higher=figure.higher, relative=self._relative(place), **how)
            known = isfinite(drop.value)  # NaN is written to no file
            found.append((place, slim.value, drop) if known else (place, 0.0, Drop(_REFUSED * settings.limit, 0.0)))
        return max(found, key=lambda each: each[2].bound(settings.confidence))

    # ---- trials ------------------------------------------------------------------------------------------------

    @property
    def _trials(self) -> list[Trial]:
        return [Trial(each.share, each.bound, each.stopped) for each in self.tried]

    def _first(self) -> float:
        """Returns the share to begin with: where the outputs can still be solved for, as a first look shows."""
        inputs = finetune.to_train_on(self.training, self.settings.seed).inputs
        uniform = partial(self.plans.at, budget="uniform")  # widths that are measured are so for trials alone
        found = errors_at_shares(self.plans.graph, uniform, inputs, self.settings.seed)
        return share_at(sorted(found, reverse=True), _REDUNDANT)

    def _next(self, first: float) -> float | None:
        settings, least = self.settings, min(self.plans.least, 1.0)
        share = next_share(self._trials, settings.limit, first=first, least=least, most=settings.trials)
        known = any(abs(share - each.share) <= _SAME * share for each in self.tried) if share else True
        return None if known else share

    def _try(self, share: float) -> bool:
        """Makes and judges the model of a share; returns `False` if there is no other plan than those tried."""
        number, began = len(self.tried) + 1, time.perf_counter()
        kept = None if self.folder is None else self.folder / f"trial_{number}.json"
        if kept is not None and is_file(kept):
            self.tried.append(Tried(**read_json(kept)))
            return True
        plan, exact = self.plans.at(share)
        if exact >= 1 or any(abs(exact - each.share) <= _SAME * exact for each in self.tried):
            return False
        (slim, plan, _), stopping = self._pruned(plan)
        note = stopping.note
        file = self._file(slim)
        run = self._run(slim, file)
        place, value, drop = self._judged(run)
        bound, stopped = drop.bound(self.settings.confidence), bool(note)
        missing, said = self.floors.shortfall(run, self.settings.confidence)
        if said:
            bound, note = max(bound, self.settings.limit + missing), "; ".join(filter(None, (note, said)))
        found = Tried(
            share=exact,
            **self.plans.shares(plan),
            figure=self.figures[place].name,
            relative=self._relative(place),
            value=value,
            dense=self.tallies[place].value,
            drop=drop.value,
            error=drop.error,
            bound=bound,
            allowed=bound <= self.settings.limit,
            seconds=round(time.perf_counter() - began, 1),
            note=note,
            stopped=stopped,
            first=stopping.first,
        )
        self.tried.append(found)
        self.models[number - 1] = slim, plan, file
        if kept is not None:
            with replace_when_done(kept.with_suffix(".keras")) as temporary:
                slim.save(temporary)
            plan.save(kept.with_suffix(".plan.json"))
            if file is not None:
                with replace_when_done(kept.with_suffix(".tflite")) as temporary:
                    temporary.write_bytes(file)
            write_json(kept, asdict(found))
        if self.pruning.verbose:
            say(f"trial {number}: {found}")
        return True

    def _pruned(self, plan: Plan) -> tuple[Pruned, _StopIfFar]:
        """Returns the model of a plan, made as `kp.prune` makes it, and what its training was like."""
        figure, settings, dense = self.figures[0], self.settings, self.tallies[0]
        scale = (-1 if figure.higher else 1) * (abs(dense.value) if self._relative(0) else 1.0)
        error = standard_error(dense, settings.groups, settings.seed) / abs(scale)
        whole = [each for each in self.tried if not each.stopped and each.first is not None]
        earlier = [(each.first, each.drop) for each in whole if each.figure == figure.name]
        given = replace(
            self.pruning, plan=plan, data=self.training.data, validation=self.judged.data, criterion="l1",
            budget="uniform", freeze=(), verbose=max(self.pruning.verbose - 1, 0),
            optimizer=fresh(self.pruning.optimizer),
        )  # fmt: skip
        watching: list[keras.callbacks.Callback] = []
        pruning = Pruning(given, after=watching)
        stopping = _StopIfFar(figure.name, dense.value, scale, settings.limit + _FAR * error, earlier, pruning.steps)
        watching.append(stopping)
        return pruning.result(), stopping

    def _file(self, slim: keras.Model) -> bytes | None:
        """Returns the `.tflite` file of a model, if files are judged."""
        if self.settings.quantize is None:
            return None
        from kerasprune.export.tflite_export import tflite

        precision = PRECISIONS[self.settings.quantize]
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "slim.tflite"
            tflite(slim, path, quantize=precision, data=self.training.inputs, size=self.size, force=True)
            return path.read_bytes()

    def _run(self, slim: keras.Model, file: bytes | None) -> Run:
        """Returns the model or, if there is one, its file as a function."""
        if file is None:
            return run_of(slim)
        from kerasprune.export.parity import interpreted_function

        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "slim.tflite"
            path.write_bytes(file)
            return interpreted_function(path, slim, signature_of(slim))

    # ---- result ------------------------------------------------------------------------------------------------

    def _delivered(self, chosen: int | None) -> tuple[keras.Model, Plan, bytes | None]:
        if chosen is None:
            return self.dense, Plan({}, coupling=self.plans.graph.coupling), None
        if chosen not in self.models:
            path = self.folder / f"trial_{chosen + 1}.keras"
            file = None if self.settings.quantize is None else path.with_suffix(".tflite").read_bytes()
            return load_model(path), Plan.load(path.with_suffix(".plan.json")), file
        return self.models[chosen]

    def _remarks(self, chosen: int | None) -> list[str]:
        settings, remarks = self.settings, []
        if settings.validation is None:
            remarks.append("the dense model has seen the examples that judge: drops are overestimated")
        if len(self.tried) > 1:
            remarks.append(f"chosen among {len(self.tried)} on the same examples; only test= is untouched by that")
        if chosen is None:
            more = "give more trials, " if len(self.tried) >= settings.trials else ""
            remarks.append(f"the dense model is returned; {more}allow a larger drop, or train for more epochs")
        return remarks

    def _on_test(self, slim: keras.Model, file: bytes | None) -> dict[str, tuple[float, float]] | None:
        """Returns the figures of both models on data that nothing was chosen by."""
        if not self.tested:
            return None
        runs = run_of(self.dense), self._run(slim, file)
        return {each.name: tuple(each.tally(run).value for run in runs) for each in self.tested}

    def _tested(self) -> list[Figure]:
        """Returns the figures on the data that nothing is chosen by, checked before anything is trained."""
        if self.settings.test is None:
            return []
        examples = Examples(self.settings.test, self.pruning.batch, len(body_of(self.dense).inputs))
        check_examples(self.dense, self.objective, examples)
        return self._figures(examples)


class _StopIfFar(keras.callbacks.Callback):
    """Ends a training that will be far beyond what is allowed, as its first epoch and earlier trainings say.

    Args:
        name: The figure, which is in the logs if it is a metric.
        dense: That of the dense model.
        scale: The difference from it that is a drop of one.
        far: The drop from which it ends.
        earlier: Drops of earlier trainings: the least by their first epoch, and of their best.
        steps: The steps of the pruning so far: at a large rate the first epoch is worse than none.
    """

    def __init__(
        self, name: str, dense: float, scale: float, far: float, earlier: Sequence[tuple[float, float]],
        steps: Sequence[StepReport],
    ) -> None:  # fmt: skip
        super().__init__()
        self._name, self._dense, self._scale, self._far = name, dense, scale, far
        self._earlier, self._steps = earlier, steps
        self.note, self.first = "", None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the training."""
        found = (logs or {}).get(f"val_{self._name}")
        if epoch or found is None:
            return
        measured = [step.metrics[self._name] for step in self._steps[1:] if self._name in step.metrics]
        self.first = float(min((each - self._dense) / self._scale for each in (found, *measured)))
        if drop_to_expect(self.first, self._earlier) > self._far:
            self.note, self.model.stop_training = "stopped after an epoch, far beyond", True
