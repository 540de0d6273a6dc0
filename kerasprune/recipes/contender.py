"""One contender of a comparison: pruned, started, fine-tuned and judged as all the others are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kerasprune.costs.cost import cost, shares_of
from kerasprune.errors import PruneError
from kerasprune.recipes import loader
from kerasprune.recipes.examples import inputs_only
from kerasprune.recipes.fit import weight_decay
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.optimizers import optimizer
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages.context import Run, dense_model, free_side, measured
from kerasprune.recipes.stages.prune import choose
from kerasprune.recipes.stages.reconstruct import slack_of
from kerasprune.surgery.rebuild import rebuild
from kerasprune.surgery.reinitialise import reinitialise

STARTS = ("dense", "folded", "reconstructed", "scratch")
TEACHERS = ("none", "dense")
EXAMPLES = 1000  # that a reconstruction sees


def evaluate(
    method: str, target: float, seed: int, start: str, teacher: str, recipe: str, trust: bool, imports: Sequence[str]
) -> dict[str, Any]:
    """Prunes, fine-tunes and judges one contender; all that it depends on is in its arguments.

    Args:
        method: What it is called in the tables.
        target: Fraction of the multiply–adds that was asked for.
        seed: Seed of the order of the examples and of what is random.
        start: The weights that training begins with: `"folded"`, what removal leaves, constants folded in;
            `"reconstructed"`; `"scratch"`, drawn anew; or `"dense"`: nothing is pruned or trained.
        teacher: What is learnt from besides labels: `"none"`, or the `"dense"` model.
        recipe: Model, data, plan and fine-tuning, as YAML text.
        trust: Whether `package.module:Name` may be imported.
        imports: Code with classes of the model, imported first where it is trusted.

    Returns:
        `measure` (`"accuracy"`, or `"loss"` where the model has none) of the model right after removal (`removed`, on
        validation examples), and after fine-tuning on `validation` and `test` examples; `params` and `macs` as
        fractions of the dense model; `compression` and `speedup`, their inverses; `train_seconds`.
    """
    del method, target  # names only
    for name in imports:
        import_classes(name, trust=trust)
    checked = loader.parse(recipe, trust=trust)
    keras.utils.set_random_seed(seed)
    run = Run(checked, RunFolder(Path()), Console(quiet=True))
    model = dense_model(checked)
    slim = model if start == "dense" else _started(run, model, start, seed)
    measure, removed = judged(run, slim, checked.data.validation)
    began = time.perf_counter()
    trained = start != "dense" and checked.finetune is not None
    if trained:
        train(run, slim, model if teacher == "dense" else None)
    seconds = time.perf_counter() - began
    validation = judged(run, slim, checked.data.validation)[1] if trained else removed
    side = free_side(model, checked)
    before, after = (cost(each, resolution=side) for each in (model, slim))
    return {
        "measure": measure,
        "removed": removed,
        "validation": validation,
        "test": judged(run, slim, checked.data.test)[1],
        **shares_of(after, before),
        "compression": before.params / after.params,
        "speedup": before.macs / after.macs,
        "train_seconds": seconds,
    }


def _started(run: Run, model: keras.Model, start: str, seed: int) -> keras.Model:
    """Returns the slim model as its training begins."""
    plan = choose(run, model, run.recipe.prune.plan)
    slim = rebuild(model, plan)
    if start == "scratch":
        return reinitialise(slim, seed)
    if start == "folded":
        return slim
    from kerasprune.surgery.reconstruct import reconstruct

    inputs = inputs_only(run.plain_examples(model))
    return reconstruct(slim, model, plan, inputs, samples=EXAMPLES, slack=slack_of(run.recipe))


def train(run: Run, slim: keras.Model, teacher: keras.Model | None) -> None:
    """Fine-tunes a model as the recipe says; `slim` is left not compiled."""
    spec = run.recipe.finetune
    training = run.examples("train", slim)
    student = keras.Model(slim.inputs, slim.outputs, name=slim.name)
    if teacher is not None:
        from kerasprune.training.distillation import distil

        student = distil(slim, teacher)
    objective = replace(run.objective(slim), label_smoothing=spec.label_smoothing)
    objective.compile(student, optimizer(spec.optimizer, spec.epochs, len(training)))
    with weight_decay(slim, spec.l2, spec.l2_on):
        student.fit(training, epochs=spec.epochs, shuffle=False, verbose=0)


def judged(run: Run, model: keras.Model, split: str) -> tuple[str, float]:
    """Returns the measure and its value on a split.

    Raises:
        PruneError: Its examples have no labels, or others than the loss takes.
    """
    logs = measured(model, run.examples(split, model), run.objective(model))
    if not logs:
        raise PruneError(f"Expected labels to judge by. Received: none in the {split} examples.")
    measure = "accuracy" if "accuracy" in logs else "loss"
    return measure, float(logs[measure])
