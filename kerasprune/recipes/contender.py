"""One candidate of a comparison: prunes, fine-tunes and evaluates it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras

from kerasprune.defaults import SAMPLES
from kerasprune.errors import PruneError
from kerasprune.graph.plans import Plan
from kerasprune.recipes import loader
from kerasprune.recipes.checkpoint_check import check_chance_level
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.fit import weight_decay
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.optimizers import optimizer
from kerasprune.steps.best_epoch import Delivery
from kerasprune.steps.finetune import fit
from kerasprune.steps.judge import Judge
from kerasprune.steps.ready import made_ready
from kerasprune.surgery.costs.cost import cost, shares_of
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.surgery.rebuild import rebuild

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
        `measure` (`"accuracy"`, or `"loss"` if the model has none) of the model right after removal (`removed`, on
        validation examples), and after fine-tuning on `validation` and `test` examples; `params` and `macs` as
        fractions of the dense model; `compression` and `speedup`, their inverses; `train_seconds`.
    """
    del method, target, teacher  # names only
    run, model = begun(recipe, trust, imports)
    keras.utils.set_random_seed(seed)
    judge = run.judge(model)
    if start == "dense":
        run.check_labels(model)
        check_chance_level(run, model)
    plan, slim = (None, model) if start == "dense" else _started(run, judge, start, seed)
    measure, removed = measure_model(judge, slim)
    began = time.perf_counter()
    trained = start != "dense" and run.recipe.finetune is not None
    if trained:
        train(run, slim, judge, plan)
    seconds = time.perf_counter() - began
    side = run.free_side(model)
    before, after = (cost(each, size=side) for each in (model, slim))
    return {
        "measure": measure,
        "removed": removed,
        "validation": measure_model(judge, slim)[1] if trained else removed,
        "test": measure_model(run.judge(model, run.recipe.data.test), slim)[1],
        **shares_of(after, before),
        "compression": before.params / after.params,
        "speedup": before.macs / after.macs,
        "train_seconds": seconds,
    }


def _started(run: Experiment, judge: Judge, start: str, seed: int) -> tuple[Plan, keras.Model]:
    """Returns the plan, and the slim model as its training begins."""
    graph = run.traced(judge.dense, run.recipe.prune.plan)
    plan = run.plan(graph, run.recipe.prune.plan)
    slim = rebuild(graph, plan)
    if start == "scratch":
        return plan, reinitialise(slim, seed=seed)
    return plan, ready(run, judge, slim, plan, READY[start], 0, run.slack)


def ready(
    run: Experiment, judge: Judge, slim: keras.Model, plan: Plan, way: str, seed: int, slack: float
) -> keras.Model:
    """Returns a slim model prepared on training examples, in one of the ways of `kp.papers.spaces.rank`."""
    data = run.plain_examples(judge.dense).inputs
    return made_ready(way, judge, slim, plan, data, samples=SAMPLES, seed=seed, slack=slack)


def train(run: Experiment, slim: keras.Model, judge: Judge, plan: Plan | None) -> None:
    """Fine-tunes a model by the section of the recipe, and leaves it with its best or its last weights.

    Args:
        run: The experiment.
        slim: The model.
        judge: A judge of the dense model, which is the teacher if the recipe has `distil`.
        plan: The plan of `slim`; `None` if it is unknown.
    """
    spec, training = run.recipe.finetune, run.examples("train", slim, batch=run.recipe.finetune.batch)
    trained = run.aware(slim)
    delivery = Delivery(spec.deliver, judge, trained)
    started = [judge.step("started", slim)] if delivery.callbacks else []
    made = optimizer(spec.optimizer, spec.epochs, training.steps(), run.compiled_optimizer())
    objective = run.objective(slim, spec.label_smoothing)
    with weight_decay(slim, spec.l2, spec.l2_on):
        twin = run.student(trained, judge.dense, plan)
        fit(trained, training, objective, made, spec.epochs, twin=twin, callbacks=delivery.callbacks)
    if started:
        delivery.result(started)


def measure_model(judge: Judge, model: keras.Model) -> tuple[str, float]:
    """Returns the measure of a model and its value."""
    metrics = judge.metrics(model)
    if not metrics:
        raise PruneError("Expected labels to judge by. Received: examples without labels.")
    measure = "accuracy" if "accuracy" in metrics else "loss"
    return measure, float(metrics[measure])
