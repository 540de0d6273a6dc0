"""One candidate of a comparison: prunes, fine-tunes and evaluates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from kerasprune.graph.plans import Plan
from kerasprune.graph.trace import size_to_try
from kerasprune.recipes import loader
from kerasprune.recipes.checkpoint_check import check_chance_level
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.fit import weight_decay
from kerasprune.recipes.learning import Distil
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.optimizers import optimizer
from kerasprune.steps.finetune import fit
from kerasprune.steps.judge import Judge
from kerasprune.steps.repair import make_candidate
from kerasprune.steps.report import StepReport
from kerasprune.steps.tuning import tune
from kerasprune.surgery.costs.cost import cost
from kerasprune.surgery.costs.counts import shares_of
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.surgery.rebuild import rebuild_cut

READY = {"folded": "removed", "reconstructed": "reconstructed"}


def begun(recipe: str, trust: bool, imports: Sequence[str]) -> tuple[Experiment, keras.Model]:
    """Returns the experiment of a recipe and its dense model.

    Args:
        recipe: The recipe, as YAML text.
        trust: Whether user code (`package.module:Name`) may be imported.
        imports: Code with classes of the model, imported first.
    """
    for name in imports:
        import_classes(name, trust=trust)
    experiment = Experiment(loader.parse(recipe, trust=trust))
    return experiment, experiment.dense_model()


def evaluate(
    method: str, target: float, seed: int, start: str, teacher: str, recipe: str, trust: bool, imports: Sequence[str]
) -> dict[str, Any]:
    """Prunes, fine-tunes and evaluates one candidate; it depends on its arguments alone.

    Args:
        method: Its name in the tables.
        target: Fraction of the multiply–adds that was asked for.
        seed: Seed of the order of the examples and of all random choices.
        start: The weights that training begins with: `"folded"`, those that remain, constants folded in;
            `"reconstructed"`, if the outputs are then nearer to the dense ones; `"scratch"`, new random ones; or
            `"dense"`: nothing is pruned or trained.
        teacher: The teacher besides the labels: `"none"`, or the `"dense"` model.
        recipe: Model, data, plan and fine-tuning, as YAML text.
        trust: Whether user code (`package.module:Name`) may be imported.
        imports: Code with classes of the model, imported first.

    Returns:
        `measure` (`"accuracy"`, or `"loss"` if the model has none; without labels the `"error"` of the outputs with
        respect to the dense ones, and the dense model teaches) of the model right after removal (`removed`, on
        validation examples), and after fine-tuning on `validation` and `test` examples; `params` and `macs` as
        fractions of the dense model; `compression` and `speedup`, their inverses; `train_seconds`.
    """
    del method, target, teacher  # names only
    run, model = begun(recipe, trust, imports)
    run = _with_teacher(run, model)
    keras.utils.set_random_seed(seed)
    judge = run.judge(model)
    run.check_labels(model)
    if start == "dense":
        check_chance_level(run, model)
    plan, slim = (None, model) if start == "dense" else _started(run, judge, start, seed)
    measure, removed = measure_model(judge, slim)
    began, validation = time.perf_counter(), removed
    if start != "dense" and run.recipe.finetune is not None:
        validation = train(run, slim, judge, plan)
    seconds = time.perf_counter() - began
    side = size_to_try(model, run.free_side(model))
    before, after = (cost(each, size=side) for each in (model, slim))
    return {
        "measure": measure,
        "removed": removed,
        "validation": validation,
        "test": measure_model(run.judge(model, run.recipe.data.test), slim)[1],
        **shares_of(after, before),
        "compression": before.params / after.params,
        "speedup": before.macs / after.macs,
        "train_seconds": seconds,
    }


def _with_teacher(run: Experiment, model: keras.Model) -> Experiment:
    """Returns the experiment; of examples without labels one whose fine-tuning the dense model teaches."""
    spec = run.recipe.finetune
    if spec is None or spec.distil is not None or run.labelled(model):
        return run
    taught = spec.model_copy(update={"distil": Distil()})
    return replace(run, recipe=run.recipe.model_copy(update={"finetune": taught}))


def _started(run: Experiment, judge: Judge, start: str, seed: int) -> tuple[Plan, keras.Model]:
    """Returns the plan, and the slim model as its training begins."""
    graph = run.traced(judge.dense, run.recipe.prune.plan)
    cut = Cut.of(graph, run.plan(graph, run.recipe.prune.plan))
    if start == "scratch":
        return cut.plan, reinitialise(rebuild_cut(cut), seed=seed)
    return cut.plan, ready(run, judge, cut, READY[start], 0, run.slack)


def ready(run: Experiment, judge: Judge, cut: Cut, way: str, seed: int, slack: float) -> keras.Model:
    """Returns a slim model prepared on training examples, in one of the ways of `kp.papers.spaces.rank`."""
    return make_candidate(way, cut, judge, run.plain_examples(judge.dense).inputs, seed=seed, slack=slack)


def train(run: Experiment, slim: keras.Model, judge: Judge, plan: Plan) -> float:
    """Fine-tunes a model by the section of the recipe, and leaves it with its best or its last weights.

    Returns its measure on validation examples.

    Args:
        run: The experiment.
        slim: The model.
        judge: A judge of the dense model, which is the teacher if the recipe has `distil`.
        plan: The plan of `slim`.
    """
    spec, training = run.recipe.finetune, run.examples("train", slim, batch=run.recipe.finetune.batch)
    trained = run.aware(slim)
    made = optimizer(spec.optimizer, spec.epochs, training.steps(), run.compiled_optimizer())
    objective = run.objective(slim, spec.label_smoothing)

    def fit_with(callbacks: Sequence[keras.callbacks.Callback]) -> None:
        with weight_decay(slim, spec.l2, spec.l2_on):
            twin = run.student(trained, judge.dense, plan)
            fit(trained, training, objective, made, spec.epochs, twin=twin, callbacks=callbacks)

    started = [judge.step("started", slim)] if spec.deliver == "best" else []
    tuned = tune(trained, fit_with, judge, started, deliver=spec.deliver, seed=run.recipe.seed)
    return _measured(tuned.delivered)[1]


def measure_model(judge: Judge, model: keras.Model) -> tuple[str, float]:
    """Returns the measure of a model and its value."""
    metrics = judge.metrics(model)
    return _measured(StepReport("", None, metrics) if metrics else judge.step("", model))


def _measured(step: StepReport) -> tuple[str, float]:
    if not step.metrics:
        return "error", float(step.error)
    measure = "accuracy" if "accuracy" in step.metrics else "loss"
    return measure, float(step.metrics[measure])
