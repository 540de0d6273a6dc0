"""The pruning stage: a plan at once, a callback during training, or a section that decides by itself."""

from __future__ import annotations

import math
from typing import Any

import keras

from kerasprune.defaults import SEED_OF_PRUNING
from kerasprune.errors import PruneError
from kerasprune.graph.plans import Plan
from kerasprune.recipes.fit import fit
from kerasprune.recipes.plan_section import PlanStep
from kerasprune.recipes.progress import Ahead, FilterNorms, StopAfter
from kerasprune.recipes.prune_section import Prune
from kerasprune.recipes.stages.context import Run
from kerasprune.training.callback import compress_schedule, facts

MOMENTS = 60  # measurements of the norms during pruning


def prune(run: Run) -> None:
    """Decides what to remove and prepares the weights: `pruned.keras`, `plan.json` | `masks.npz`, `norms.npz`."""
    keras.utils.set_random_seed(run.recipe.seed + SEED_OF_PRUNING)
    spec = run.recipe.prune
    model = _begun(run, spec)
    plan = None if spec.plan is None else _planned(run, model, spec.plan)
    if spec.callback is not None:
        plan = _fit_with_callback(run, model, spec, plan)
    if spec.alone is not None:
        plan = spec.alone.stage().choose(run, model, spec.alone)
    if plan is not None:
        plan.save(run.folder.file("plan.json"))
        run.keep_plan(plan)
    run.save("pruned", model)


def _planned(run: Run, model: keras.Model, spec: PlanStep) -> Plan:
    """Returns the plan of a section; the time or the size that it meets is written to `target.json`."""
    graph = run.traced(model, spec)
    plan, target = run.plan(graph, spec), run.target(graph, spec)
    if target is not None:
        run.folder.write_json("target.json", {"line": target.report(graph, plan)})
    return plan


def _begun(run: Run, spec: Prune) -> keras.Model:
    """Returns the initial model of the stage, a copy if a callback trains it."""
    if spec.weights == "fresh" or spec.untrained:
        return run.dense_model()
    return run.folder.model("dense.keras") if spec.callback is not None else run.model("dense")


def own_length(callback: Any) -> int:
    """Returns the steps of a callback's own schedule; raises `PruneError` if it has none."""
    length = facts(callback).length
    if length is not None:
        return length
    raise PruneError(
        f"Expected epochs or steps in the prune stage. Received: neither, and {type(callback).__name__} has no "
        "schedule of its own. Add prune.epochs."
    )


def check_length(run: Run, model: keras.Model, callback: Any) -> None:
    """Raises if the callback cannot act in a fit as long as the stage's."""
    spec = run.recipe.prune
    per_epoch = run.examples("train", model, batch=spec.batch).steps()
    facts(callback).check_length(per_epoch, math.ceil(_total(spec, callback, per_epoch) / per_epoch))


def _total(spec: Prune, callback: Any, per_epoch: int) -> int:
    return spec.steps or (spec.epochs or 0) * per_epoch or own_length(callback)


def _fit_with_callback(run: Run, model: keras.Model, spec: Prune, plan: Plan | None) -> Plan | None:
    """Fits with the callback; returns its plan, or saves its masks if it prunes single weights."""
    training = run.examples("train", model, batch=spec.batch)
    per_epoch = training.steps()
    callback = run.callback(spec.callback, plan, model)
    total = _total(spec, callback, per_epoch)
    if run.recipe.smoke:
        callback = compress_schedule(callback, total)
    graph = run.graph(model, plan.coupling if plan else "free")
    norms = FilterNorms(graph, max(1, total // MOMENTS), callback)
    fit(
        run,
        model,
        spec,
        stage="prune",
        epochs=math.ceil(total / per_epoch),
        span=facts(callback).span(per_epoch, total),
        training=training,
        validation=run.validation(model),
        ahead=Ahead.of(run.recipe, "prune"),
        callbacks=[callback, norms, StopAfter(total)],
    )
    run.folder.write_arrays("norms.npz", norms.arrays())
    facts(callback).artifacts(run.folder.path)
    if callback.leaves_masks:
        run.folder.write_arrays("masks.npz", callback.masks)
        return None
    return callback.plan
