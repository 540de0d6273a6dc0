"""`smallest`: the smallest model whose figure drops by no more than is allowed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras

from kerasprune.data.signature import signature_of
from kerasprune.errors import PruneError, short
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.files import is_file
from kerasprune.files.keras_model import load_model
from kerasprune.files.reading import read_json
from kerasprune.files.writing import make_folder, replace_when_done, write_json
from kerasprune.graph.plans import Plan
from kerasprune.progress import say
from kerasprune.steps import finetune
from kerasprune.steps.far_training import StopIfFar
from kerasprune.steps.judged_figures import run_of
from kerasprune.steps.keywords import answer_unknown_keywords
from kerasprune.steps.next_share import Trial, next_share, smallest_allowed
from kerasprune.steps.prune import Pruned, Pruning, prune
from kerasprune.steps.redundancy import errors_at_shares, share_at
from kerasprune.steps.search_figures import SearchFigures
from kerasprune.steps.search_report import CostCurve, SearchReport, Tried
from kerasprune.steps.search_settings import DECIDED, SearchSettings, takes_others_of
from kerasprune.steps.share_plans import SharePlans
from kerasprune.steps.tallies import Run
from kerasprune.surgery.compiled import fresh
from kerasprune.tables import shown_as_its_report

_SAME = 0.005  # relative difference of shares that are one
_REDUNDANT = 0.2  # error of the outputs after least squares at which a search begins
_FAR = 3.0  # standard errors beyond what is allowed, at which a training stops after an epoch


@shown_as_its_report
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
        by: What is to be small: `"macs"`, `"params"`, `"time"` of one inference, `"bytes"` of the `.tflite` file, or
            `"memory"` that a microcontroller needs for it. Defaults to `"macs"`.
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
        begun = Pruning(self.pruning, metric=settings.metric)
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
        self.figures = SearchFigures(settings, self.dense, self.objective, self.judged, self.pruning.batch)
        self.folder = None if settings.folder is None else make_folder(settings.folder)
        self.begun = self._begun()
        self.tried: list[Tried] = []
        self.models: dict[int, tuple[keras.Model, Plan, bytes | None]] = {}

    def result(self) -> Smallest:
        """Runs the trials."""
        settings = self.settings
        if "first" not in self.begun:
            self.figures.check()
            self.begun["first"] = self._first()
            self._write("search.json", self.begun)
        while (share := self._next(self.begun["first"])) is not None:
            if not self._try(share):
                break
        best = smallest_allowed(self._trials, settings.limit)
        chosen = None if best is None else self._trials.index(best)
        slim, plan, file = self._delivered(chosen)
        curve = CostCurve(settings.by, tuple(self.tried), settings.limit, self.figures.relative(0), chosen)
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
        asked |= {f"floor {label}": least for label, least in self.figures.floors.least.items()}
        asked |= {name: repr(value) for name, value in (self.settings.plan or {}).items()}
        given = {name: value for name, value in self.settings.pruning.items() if name != "verbose"}
        asked |= {name: value for name, value in given.items() if isinstance(value, str | float | int)}
        asked |= {"model": self.plans.graph.fingerprint}
        asked |= self.figures.of_dense
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

    # ---- trials ------------------------------------------------------------------------------------------------

    @property
    def _trials(self) -> list[Trial]:
        return [Trial(each.share, each.bound, each.stopped) for each in self.tried]

    def _first(self) -> float:
        """Returns the share to begin with: where the outputs can still be solved for, as a first look shows."""
        inputs = finetune.to_train_on(self.training, self.settings.seed).inputs
        uniform = partial(self.plans.at, budget="uniform")  # widths that are measured are so for trials alone
        found = sorted(errors_at_shares(self.plans.graph, uniform, inputs, self.settings.seed), reverse=True)
        return share_at(found, _REDUNDANT) if found else min(self.plans.least, 1.0)

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
            self.plans.follow(Plan.load(kept.with_suffix(".plan.json")))
            return True
        plan, exact = self.plans.at(share)
        if exact >= 1 or any(abs(exact - each.share) <= _SAME * exact for each in self.tried):
            return False
        (slim, plan, _), stopping = self._pruned(plan)
        self.plans.follow(plan)
        note = stopping.note
        file = self._file(slim)
        run = self._run(slim, file)
        judged = self.figures.judge(run)
        bound, stopped = judged.drop.bound(self.settings.confidence), bool(note)
        missing, said = self.figures.floors.shortfall(run, self.settings.confidence)
        if said:
            bound, note = max(bound, self.settings.limit + missing), "; ".join(filter(None, (note, said)))
        found = Tried(
            share=exact,
            **self.plans.shares(plan),
            figure=judged.name,
            relative=judged.relative,
            value=judged.value,
            dense=judged.dense,
            drop=judged.drop.value,
            error=judged.drop.error,
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

    def _pruned(self, plan: Plan) -> tuple[Pruned, StopIfFar]:
        """Returns the model of a plan, made as `kp.prune` makes it, and what its training was like."""
        figure, dense, scale, error = self.figures.first()
        whole = [each for each in self.tried if not each.stopped and each.first is not None]
        earlier = [(each.first, each.drop) for each in whole if each.figure == figure]
        given = replace(
            self.pruning, plan=plan, data=self.training.data, validation=self.judged.data, criterion="l1",
            budget="uniform", freeze=(), verbose=max(self.pruning.verbose - 1, 0),
            optimizer=fresh(self.pruning.optimizer),
        )  # fmt: skip
        watching: list[keras.callbacks.Callback] = []
        pruning = Pruning(given, after=watching, metric=self.settings.metric)
        far = self.settings.limit + _FAR * error
        stopping = StopIfFar(figure, dense, scale, far, earlier, pruning.steps)
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
        tested = self.figures.tested
        runs = (run_of(self.dense), self._run(slim, file)) if tested else ()
        return {each.name: tuple(each.tally(run).value for run in runs) for each in tested} or None
