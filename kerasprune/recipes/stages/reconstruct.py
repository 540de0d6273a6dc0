"""The stage of least squares."""

from __future__ import annotations

from kerasprune.errors import Key, PruneError
from kerasprune.recipes.stages import steps
from kerasprune.recipes.stages.context import Run
from kerasprune.reconstruction.reconstruct import reconstruct as solve
from kerasprune.steps.reconstruct import nearer


def reconstruct(run: Run) -> None:
    """Solves the kernels of the slim model from training examples, without their labels: `reconstructed.keras`.

    If that leads away from the dense outputs on validation examples, the kernels stay as they were.
    """
    spec, slim = run.recipe.reconstruct, run.model("rebuilt")
    with run.console.status("reconstruct"):
        try:
            solved = solve(
                slim, run.model("pruned"), run.plan_of(), run.plain_examples(slim).inputs,
                samples=spec.samples, positions=spec.positions, ridge=spec.ridge, slack=run.slack,
                seed=run.recipe.seed,
            )  # fmt: skip
        except PruneError as error:
            raise PruneError(*error.args, " Or switch ", Key("reconstruct"), " off.") from error
    model, found = nearer(run.validation_judge, slim, solved, run.folder.steps().get("rebuild"))
    if found is not None:
        steps.write(run, "reconstruct", found)
    run.save("reconstructed", model)
