"""The pruning stage by an allowed drop: trials in a folder of the run, the chosen one handed to the stages after it."""

from __future__ import annotations

import keras

from kerasprune.graph.plans import Plan
from kerasprune.recipes import lookup
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.optimizers import optimizer
from kerasprune.recipes.plan_section import MaxDrop
from kerasprune.recipes.stages.context import Run
from kerasprune.steps.judged_figures import metric_figures
from kerasprune.steps.smallest import smallest

TRIALS = "trials"
"""The folder of the trials in that of the run."""


def choose(run: Run, model: keras.Model, spec: MaxDrop) -> Plan:
    """Returns the plan of the smallest allowed model, and keeps this model."""
    recipe, training, judged = run.recipe, run.examples("train", model), run.validation(model)
    finetune = recipe.finetune
    found = smallest(
        run.objective(model).compile(model),
        training.data,
        spec.value,
        by=spec.by,
        epochs=finetune.epochs if finetune else 0,
        validation=judged.data,
        metric=spec.metric,
        floor=spec.floor,
        drop_type=spec.drop_type,
        plan={name: getattr(spec, name) for name in ("coupling", "unknown", "min_keep", "round_to")},
        quantize=spec.precision,
        table=spec.table,
        confidence=spec.confidence,
        trials=spec.trials,
        folder=run.folder.file(TRIALS),
        seed=recipe.seed,
        criterion=lookup.make("criterion", spec.criterion.name, spec.criterion.arguments),
        budget=lookup.make("budget", spec.budget.name, spec.budget.arguments),
        freeze=spec.freeze,
        reconstruct=recipe.reconstruct is not None,
        distil=bool(finetune and finetune.distil),
        optimizer=finetune
        and optimizer(finetune.optimizer, finetune.epochs, training.steps(), run.compiled_optimizer()),
        verbose=run.verbose,
    )
    run.save(spec.trained, found.slim)
    return found.plan


def rehearse(run: Experiment, model: keras.Model, spec: MaxDrop) -> None:
    """Raises errors that would come after training."""
    run.check_labels(model)
    run.traced(model, spec).check_prunable()
    metric_figures(model, run.objective(model), run.validation(model), spec.metric)
