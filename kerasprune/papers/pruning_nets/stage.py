"""The pruning stage of MetaPruning: a PruningNet, the search for widths, and their plan."""

from __future__ import annotations

import keras

from kerasprune.graph.plans import Plan
from kerasprune.papers.pruning_nets.pruning_net import PruningNet
from kerasprune.papers.pruning_nets.section import MetaPruning
from kerasprune.papers.pruning_nets.workflow import meta_pruning
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.fit import fit as train
from kerasprune.recipes.search.evolution import Evolution
from kerasprune.recipes.stages.context import Run

FOLDER, TABLE = "meta_pruning", "candidates.csv"


def choose(run: Run, model: keras.Model, spec: MetaPruning) -> Plan:
    """Returns the plan of the best widths; the PruningNet and all scores are below `meta_pruning/`.

    The table of the candidates is `candidates.csv`. An interrupted run resumes with its epoch, or its candidate.

    Args:
        run: The run.
        model: The dense model, of which only the architecture matters.
        spec: The section of the recipe.
    """
    objective = run.objective(model, spec.training.label_smoothing)
    compiled = keras.Model(model.inputs, model.outputs, name=model.name)
    run.objective(model).compile(compiled)  # candidates are compiled like it

    def fit(net: keras.Model, *, resolution: int | None, epochs: int, seed: int) -> float:
        del resolution, seed  # those of the recipe apply
        if epochs:
            train(
                run,
                net,
                spec.training,
                stage="pruning net",
                epochs=epochs,
                training=run.examples("train", model, batch=spec.training.batch),
                objective=objective,
                place="pruning-net",
                twin=net,
            )
        return 0.0  # the slim model is trained and judged in stages of its own

    found = meta_pruning(
        run.traced(compiled, spec),
        fit,
        macs=spec.macs,
        data=run.plain_examples(model).inputs,
        judge=run.judge(model).worth,
        net_epochs=spec.training.epochs,
        epochs=0,
        delta=spec.delta,
        hidden=spec.hidden,
        evolution=Evolution(**dict(spec.search)),
        samples=spec.samples,
        folder=run.folder.file(FOLDER),
        seed=run.recipe.seed,
        verbose=int(not run.console.quiet),
    )
    found.search.save(run.folder.file(TABLE))
    return found.plan


def rehearse(run: Experiment, model: keras.Model, spec: MetaPruning) -> None:
    """Raises errors that would come after training: layers that no PruningNet can have, widths out of reach."""
    PruningNet(run.traced(keras.Model(model.inputs, model.outputs), spec), hidden=1).widths.limit(spec.macs, spec.delta)
