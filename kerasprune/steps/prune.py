"""`prune`: from a trained model to a slim one in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from kerasprune import defaults
from kerasprune.backend.devices import warn_of_one_device
from kerasprune.criteria.base import Criterion
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out, kept_whole
from kerasprune.data.signature import is_graph
from kerasprune.errors import PruneError, short, warn
from kerasprune.graph.built_model import body_of, fixed_batch
from kerasprune.graph.graph import ChannelGraph, check_finite_weights
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.planning.budgets.base import Budget
from kerasprune.planning.make_plan import plan as make_plan
from kerasprune.planning.targets.base import Target
from kerasprune.steps import finetune
from kerasprune.steps.chance_level import warn_of_chance
from kerasprune.steps.drawn_examples import drawn_examples
from kerasprune.steps.judge import Judge, check_examples
from kerasprune.steps.keywords import answer_unknown_keywords
from kerasprune.steps.objective import Objective, of_model
from kerasprune.steps.pixel_scale import warn_of_scale
from kerasprune.steps.progress import Progress
from kerasprune.steps.removal import remove, warn_if_unreadable
from kerasprune.steps.repair import NO_GAIN, reconstruct_if_nearer
from kerasprune.steps.report import PruningReport, StepReport, hint, useless
from kerasprune.steps.rows_of_loss import in_order_of_loss
from kerasprune.steps.settings import PruneSettings
from kerasprune.steps.tuning import tune
from kerasprune.surgery.compiled import fresh_arguments, safe_options, with_class_of, writable
from kerasprune.surgery.costs.counts import shares_of
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_at, graph_for
from kerasprune.surgery.inlining.plain import at_unknown, plain
from kerasprune.surgery.verification import at_known_size
from kerasprune.surgery.weight_constraints import warn_of_constraints
from kerasprune.tables import shown_as_its_report
from kerasprune.training.distillation.student import distil as taught

if TYPE_CHECKING:
    from kerasprune.steps.judged_figures import Figure

_MORE = f"Give more data; of more than {defaults.SAMPLES:,} examples kp.reconstruct takes samples=."
_DRAW_MORE = "Give data, or draw more with data=kp.synthesise(model, 2000)."


@shown_as_its_report
class Pruned(NamedTuple):
    """The result of `prune`.

    Args:
        slim: The slim model, compiled if the dense one is.
        plan: The plan.
        report: Error and metrics after each step.
    """

    slim: keras.Model
    plan: Plan
    report: PruningReport


@answer_unknown_keywords
def prune(
    model: keras.Model,
    macs: float | None = None,
    data: Any = None,
    epochs: int = 0,
    *,
    params: float | None = None,
    keep: float | None = None,
    target: str | dict | type | Target | Sequence[Any] | None = None,
    criterion: str | dict | type | Criterion = "l1",
    budget: str | dict | type | Budget = "uniform",
    freeze: Sequence[str] = (),
    plan: Plan | Mapping[str, Any] | None = None,
    size: Size | None = None,
    reconstruct: bool | Mapping[str, Any] = True,
    distil: bool | Mapping[str, Any] = True,
    verify: bool = True,
    validation: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    batch: int = defaults.BATCH,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    deliver: str | Callable[[keras.Model, Any], float] = "best",
    seed: int = 0,
    verbose: int | str = "auto",
) -> Pruned:
    """Prunes a trained model: removes channels, reconstructs the outputs and, if asked, fine-tunes with distillation.

    The steps are also available separately: `kp.plan`, `kp.rebuild`, `kp.verify`, `kp.reconstruct`, `kp.distil` and
    `fit`. The command `kerasprune prune` runs the same steps, saves files in between and can be resumed; with the same
    data, target, seed, epochs and batch it ends with the same weights.

    Args:
        model: The trained model, which is not changed. If it is compiled, its loss and metrics are used.
        macs: Fraction of the multiply–adds kept. Defaults to 0.5, if none of `keep`, `params` and `target` is given.
        data: `(x, y)`, `(x, y, sample_weight)` or `x`, as arrays or pandas tables, or batches that can be read
            repeatedly, such as a `tf.data.Dataset`. Arrays of `h5py`, and memory maps, are read batch by batch. Rows
            stay in their order, in whole batches, if the loss depends on it, as of triplets. Labels are optional.
            Defaults to `None`: the kernels are solved on 600 examples drawn from the BatchNorm statistics, if the model
            has any and if this takes no more than about five minutes; `data=kp.synthesise(model, 2000)` draws another
            number.
        epochs: Epochs of fine-tuning. Defaults to 0.
        params: Fraction of the parameters kept, instead of `macs`.
        keep: Fraction of the channels kept, instead of `macs`.
        target: Time on a device, size of the exported file, or RAM of a microcontroller, instead of `macs`; a list of
            them if all are to be met. See `kp.plan`.
        criterion: See `kp.plan`. Defaults to `"l1"`.
        budget: See `kp.plan`. Defaults to `"uniform"`.
        freeze: Names of layers that keep all channels, with wildcards. Defaults to none.
        plan: A plan, in place of all arguments that make one; or a dict of the other arguments of `kp.trace` and
            `kp.plan`: `coupling`, `unknown`, `min_keep`, `round_to`, `macs_of`. Layers without a rule are inlined if
            possible, otherwise kept whole with a warning. Defaults to `None`.
        size: Size of the inputs at which costs are counted, and examples drawn, if the model leaves it free; see
            `kp.trace`. Defaults to that of the data.
        reconstruct: Whether the kernels are solved by least squares; the result is used if its outputs are closer to
            the dense model's. Or a dict of arguments of `kp.reconstruct`. Defaults to `True`.
        distil: Whether the dense model is the teacher during fine-tuning, for 0.9 of the loss, or all of it without
            labels. Or a dict of arguments of `kp.distil`. Defaults to `True`.
        verify: Whether the slim model is compared with the masked dense model after removal; the report says so if it
            is not. Defaults to `True`.
        validation: Data for the report and for validation in `fit`, in the form of `data`. Defaults to a held-out tenth
            of `data` if the best epoch is selected, otherwise to `data`.
        loss: Loss of fine-tuning: a loss, a function or a name; named losses take logits unless the model ends in
            softmax or sigmoid. Defaults to the compiled one.
        optimizer: A Keras optimizer, or a name; the learning rate decays by half a cosine. Defaults to a new optimizer
            with the class and settings of the compiled one, starting at a tenth of its rate (SGD: at 0.01); to SGD with
            momentum 0.9 if the model is not compiled.
        batch: Examples per batch, of arrays, unless the inputs of the model fix it. Defaults to 128.
        callbacks: Callbacks of `fit`, which receive the validation metrics, too. If they are to set the learning rate,
            with `LearningRateScheduler` or `ReduceLROnPlateau`, it does not decay otherwise. Defaults to none.
        deliver: The model that is returned after fine-tuning: the `"best"` of all steps after removal and all epochs,
            by the first compiled metric, of equals and of steps one example apart by the loss, or without labels by the
            error of the outputs (then the reconstructed model, else the earlier); the best by a function `f(model, (x,
            y))`, of which more is better, as for `kp.smallest`; or the `"last"`. Epochs before the end of a callback's
            schedule are not considered. Defaults to `"best"`.
        seed: Random seed of the plan, of the order of the examples and, through `keras.utils.set_random_seed`, of the
            layers during fine-tuning. Defaults to 0.
        verbose: Progress, on standard error, in a notebook below the cell: 0 = none, 1 = a line per step, and how far a
            long one is, 2 = also a line per epoch. Defaults to `"auto"`: 1.

    Returns:
        `(slim, plan, report)`: the slim model, compiled if the dense one is, with a new optimizer (when the model was
        saved, Keras warns on loading that this has no state); the plan; and the report, which can be printed. An error
        after a finished epoch is a warning, and the slim model is the best one by then.

    Raises:
        PruneError: An argument is out of range, two targets are given, or a plan with a target, an argument that a step
            needs is missing, or the slim model does not match its plan.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> inputs = keras.Input((4,))
        >>> x = keras.layers.Dense(16, activation="relu")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        >>> slim, plan, report = kp.prune(model, macs=0.5, data=np.random.default_rng(0).normal(size=(64, 4)))
        >>> [step.name for step in report.steps]
        ['dense', 'removed', 'reconstructed']
    """
    return Pruning(PruneSettings(**locals())).result()


def _inputs(settings: PruneSettings) -> Any:
    """Returns inputs of the data in the nest that a subclassed model takes; `None` for others, or without data."""
    data = settings.data
    if data is None or is_graph(settings.model):
        return None
    return Examples(data, settings.batch, len(data) if isinstance(data, list) else 1).first_inputs


class Pruning:
    """A pruning: its settings, its examples, and the steps and remarks of its report.

    Args:
        settings: The checked arguments of `prune`.
        after: Callbacks of the fine-tuning that see the metrics of the judged examples, `val_…`. Defaults to none.
        metric: What the best step is chosen by, as for `smallest`. Defaults to `None`: what `deliver` says.
    """

    def __init__(
        self,
        settings: PruneSettings,
        after: Sequence[keras.callbacks.Callback] = (),
        metric: str | Callable[[keras.Model, Any], float] | None = None,
    ) -> None:
        self.settings, self.progress, self.after = settings, Progress(settings.verbose), after
        self.metric = settings.deliver if metric is None and callable(settings.deliver) else metric
        self.deliver = settings.deliver if isinstance(settings.deliver, str) else "best"
        self.steps: list[StepReport] = []
        self.remarks: list[str] = []
        self.found: dict[str, Any] = {}
        plan = settings.plan if isinstance(settings.plan, Plan) else None
        self.dense = settings.model if plan and is_graph(settings.model) else plain(settings.model, _inputs(settings))
        self.given, validation = map(self._examples, (settings.data, settings.validation))
        self.size = self._size()
        self.graph = plan and graph_for(self.dense, plan, self.size)
        self.dense = self.graph.model if self.graph else self.dense
        self.objective = of_model(settings.model, settings.loss, self.dense)
        settings.check_training(self.objective, self.given)
        if settings.epochs:
            finetune.check_trainable(self.dense)
        check_finite_weights(self.dense)
        check_examples(self.dense, self.objective, self.given, validation)
        self.given, validation = map(self._in_order, (self.given, validation))
        self.judged = validation or self.given
        warn_of_one_device(settings.model)
        self._set_aside()
        figure = self._figure()
        self.solved_on = self.given
        if self.given is None and settings.reconstruct is not False:
            self._draw()
        self.judge = Judge(self.dense, self.objective, self.judged, figure)
        self.compiled = fresh_arguments(settings.model) if settings.model.compiled else {}
        self.trained = 0  # finished epochs

    def result(self) -> Pruned:
        """Runs all steps."""
        settings, progress = self.settings, self.progress
        with progress.step("measure"):
            told = warn_of_scale(self.judge)
            self.steps.append(self.judge.step("dense", self.dense))
            if not told:
                warn_of_chance(self.judge, self.steps[0].metrics)
        training = None if self.given is None else finetune.to_train_on(self.given, settings.seed)
        with progress.step("plan"):
            cut = self._cut(training)
            macs_of = settings.how.get("macs_of", {})
            kept = shares_of(cut.cost(macs_of), cut.dense_cost(macs_of))
        with progress.step("remove"):
            slim = removed = self._removed(cut)
        if self.solved_on is not None and settings.reconstruct is not False:
            with progress.step("reconstruct"):
                slim = self._solved(slim, cut)
        delivered = self.steps[-1]
        if settings.epochs:
            with self._returning("fine-tuning"), progress.step("fine-tune"):
                delivered = self._tuned(slim, cut)
            slim = removed if delivered is self.steps[1] else slim
        with self._returning("judging it"):
            self.remarks += [*useless(delivered), *hint(settings.fractions.get("keep"), kept, self.steps)]
            warn_of_constraints(slim, self.dense)
        if settings.model.compiled:
            with self._returning("compiling it"):
                slim = with_class_of(slim, settings.model)
                optimizer = writable(self.compiled["optimizer"])
                slim.compile(**safe_options(slim, {**self.compiled, "optimizer": optimizer}))
        remarks = tuple(self.remarks)
        report = PruningReport(tuple(self.steps), **kept, removed=cut.plan.removed, remarks=remarks, **self.found)
        return Pruned(slim, cut.plan, report)

    @contextmanager
    def _returning(self, step: str) -> Iterator[None]:
        """Warns of an error after a finished epoch, and goes on: what was trained is returned."""
        try:
            yield
        except Exception as error:
            if not self.trained:
                raise
            remark = f"{step} failed after {self.trained} epochs of training: {type(error).__name__}: {error}"
            warn(f"The slim model is returned as it was by then; {remark}")
            self.remarks.append(remark)

    # ---- examples ----------------------------------------------------------------------------------------------

    def _examples(self, data: Any) -> Examples | None:
        """Returns data as examples, in whole batches where rows belong together; `None` without data."""
        body = body_of(self.dense)
        batch, fixed = self.settings.batch, fixed_batch(self.dense)
        return None if data is None else kept_whole(Examples(data, batch, len(body.inputs), fixed), body)

    def _in_order(self, examples: Examples | None) -> Examples | None:
        """Returns examples in whole batches where the loss depends on the order of rows, with a remark."""
        if examples is None:
            return None
        found = in_order_of_loss(examples, self.dense, self.objective.loss)
        remark = (
            f"rows stay in order, in batches of {found.batch}, since the loss depends on it; batch= sets another number"
        )
        self.remarks += [remark] if found is not examples and remark not in self.remarks else []
        return found

    def _set_aside(self) -> None:
        """Holds out validation examples, if the best epoch is to be found; remarks on what is measured."""
        settings, given = self.settings, self.given
        if settings.epochs and self.deliver == "best" and settings.validation is None:
            parts = held_out(given, settings.seed)
            if parts is not None:
                (number, unit), (tenth, _) = (each.count() for each in (given, parts[1]))
                part = f"a tenth of the data ({tenth:,} of {number:,} {unit})"
                remark = f"measured on {part}, which no step has seen; give validation= for other data"
            else:
                remark = "measured on the training data, no part of which can be held out; give validation="
                warn(f"The best epoch is {remark}.")
            self.given, self.judged = parts or (given, given)
            self.remarks.append(remark)
        elif given is not None and given is self.judged and (settings.reconstruct is not False or settings.epochs):
            self.remarks.append(
                "measured on the examples that the model was made with; give validation= for other data"
            )

    def _figure(self) -> Figure | None:
        """Returns the figure that chooses, if one is asked for."""
        if self.metric is None:
            return None
        if self.judged is None or not self.judged.labelled:
            raise PruneError(
                f"Expected labels for a function that chooses. Received: deliver={short(self.metric)}, and no labels. "
                "Give data=(x, y), or leave deliver out."
            )
        from kerasprune.steps.judged_figures import metric_figures  # functions of users are rare

        return metric_figures(self.dense, self.objective, self.judged, self.metric)[0]

    def _draw(self) -> None:
        """Draws examples from the model."""
        settings = self.settings
        with self.progress.step("draw examples"):
            self.solved_on, drawn, remark = drawn_examples(
                self.dense, settings.size, settings.batch, settings.seed, settings.verbose
            )
        self.judged = drawn if settings.validation is None else self.judged
        self.remarks += [remark] if remark else []

    # ---- steps -------------------------------------------------------------------------------------------------

    def _cut(self, training: Examples | None) -> Cut:
        """Returns the cut of the given plan, or of a new one."""
        settings, how = self.settings, self.settings.for_plan
        if self.graph is not None:
            return self._counted(Cut.of(graph_at(self.graph, settings.plan, self.size), settings.plan))
        graph = self.traced()
        target = settings.target and settings.target.prepared(graph).after_repair()
        plan = make_plan(
            graph, settings.criterion, settings.budget, **settings.fractions, target=target, loss=self.objective.loss,
            data=None if training is None else training.batches(), seed=settings.seed, **how,
        )  # fmt: skip
        self.found |= {} if target is None else {"target": target.report(graph, plan)}
        return self._counted(Cut.of(graph, plan))

    def traced(self) -> ChannelGraph:
        """Returns the graph of the dense model as the settings ask for it."""
        settings, how = self.settings, self.settings.how
        return trace(
            self.dense,
            coupling=how.get("coupling", "tied"),
            freeze=settings.freeze,
            unknown=at_unknown(self.dense, how.get("unknown", "raise")),
            size=self.size,
        )

    def _size(self) -> Size | None:
        """Returns the size that is given, or that of the data where the model leaves it free."""
        if self.settings.size is not None or self.given is None:
            return self.settings.size
        return self.given.free_size(self.dense)

    def _counted(self, cut: Cut) -> Cut:
        """Returns a cut at a size that is known; remarks on one that nobody gave."""
        counted = at_known_size(cut)
        if counted is not cut and self.size is None and cut.plan.resolution is None:
            self.remarks.append(f"multiply–adds are counted at size={counted.whole.size}; give size= for another")
        return counted

    def _removed(self, cut: Cut) -> keras.Model:
        """Returns the model without the channels that the plan removes."""
        slim, verdict = remove(cut, verified=self.settings.verify, examples=self.given)
        warn_if_unreadable(slim)
        self.found |= {} if verdict is None else {"verified": verdict.error, "reason": verdict.reason}
        self.steps.append(self.judge.step("removed", slim))
        return slim

    def _solved(self, slim: keras.Model, cut: Cut) -> keras.Model:
        """Returns the reconstructed model; the given model if that does not help.

        A fault of examples that were drawn, which nobody asked for, is a remark.
        """
        settings = self.settings
        options = {
            "seed": settings.seed,
            "verbose": settings.verbose,
            "slack": defaults.BEFORE_TRAINING if settings.epochs else 0.0,
        }
        options |= {"remedy": _DRAW_MORE if self.given is None else _MORE, **settings.options("reconstruct")}
        try:
            inputs = finetune.to_train_on(self.solved_on, settings.seed).inputs
            solved = reconstruct_if_nearer(slim, cut, self.judge, inputs, self.steps[-1], **options)
        except PruneError as error:
            if self.given is not None:
                raise
            self.remarks.append(f"only cut. {' '.join(str(error).split())}")
            return slim
        self.remarks += solved.remarks
        if solved.step is None:
            warn(NO_GAIN)
        else:
            self.steps.append(solved.step)
        return solved.model

    def _tuned(self, slim: keras.Model, cut: Cut) -> StepReport:
        """Fine-tunes the model; returns the step whose model is delivered."""
        settings = self.settings
        training = finetune.to_train_on(self.given, settings.seed)
        compiled = settings.model.optimizer if settings.model.compiled else None
        teaching = settings.options("distil")
        callbacks = [each for each in keras.tree.flatten(settings.callbacks) if each is not None]
        # Otherwise the best epoch's own measurement is all that looks at these examples.
        watched = callbacks or self.deliver == "last" and settings.verbose > 1

        lines = self.progress.callbacks("fine-tune", settings.epochs)

        def student() -> keras.Model | None:
            if teaching is None:
                return None
            how = {"weight": finetune.teacher_weight(self.given.labelled), **teaching}
            return taught(slim, self.dense, **how, plan=cut.plan if how.get("features") else None)

        def count(epoch: int, _: Any) -> None:
            self.trained = epoch + 1

        def train(more: Sequence[keras.callbacks.Callback]) -> None:
            counting = keras.callbacks.LambdaCallback(on_epoch_end=count)
            with self._returning("fine-tuning"):
                finetune.fit(
                    slim,
                    training,
                    self.objective if self.given.labelled else Objective(),
                    finetune.optimizer(settings.optimizer, compiled, settings.epochs, training.steps(), callbacks),
                    settings.epochs,
                    twin=student(),
                    validation=self.judged if watched and self.judged is not self.given else None,
                    callbacks=[counting, *callbacks, *more, *self.after, *lines],
                )

        tuned = tune(slim, train, self.judge, self.steps[1:], deliver=self.deliver, seed=settings.seed)
        self.steps.append(tuned.step)
        self.remarks += tuned.remarks
        self.found["delivered"] = tuned.delivered.name
        return tuned.delivered
