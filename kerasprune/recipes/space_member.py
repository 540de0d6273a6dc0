"""One member of a pruning space: ranked before training, or trained and judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kerasprune.data.labels import inputs_only
from kerasprune.plans import Plan
from kerasprune.recipes import loader, lookup
from kerasprune.recipes.contender import EXAMPLES, judged, train
from kerasprune.recipes.lookup import import_classes
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages.context import Run, dense_model, traced
from kerasprune.recipes.stages.reconstruct import slack_of
from kerasprune.spaces.recipes import Recipes
from kerasprune.surgery.rebuild import rebuild
from kerasprune.workflows.ranking import PREPARATIONS


def dense(recipe: str, trust: bool, imports: Sequence[str]) -> dict[str, Any]:
    """Judges the dense model.

    Args:
        recipe: Model, data and what says which channels stay, as YAML text.
        trust: Whether `package.module:Name` may be imported.
        imports: Code with classes of the model, imported first where it is trusted.

    Returns:
        `measure` (`"accuracy"`, or `"loss"`), and its values on `validation` and `test` examples.
    """
    run, model = _begun(recipe, trust, imports)
    measure, validation = judged(run, model, run.recipe.data.validation)
    return {"measure": measure, "validation": validation, "test": judged(run, model, run.recipe.data.test)[1]}


def ranked(
    space: str,
    number: int,
    keep: Sequence[float],
    by: Sequence[str],
    seed: int,
    recipe: str,
    trust: bool,
    imports: Sequence[str],
) -> dict[str, Any]:
    """Judges a slim model before any training, made ready in several ways.

    Args:
        space: What the recipe was drawn from.
        number: Its number there.
        keep: The fraction kept of each group.
        by: Ways to make it ready, see `kp.rank`.
        seed: Of the positions of a reconstruction.
        recipe: Model, data and what says which channels stay, as YAML text.
        trust: Whether `package.module:Name` may be imported.
        imports: Code with classes of the model.

    Returns:
        For each way its measure on validation examples, and under `<way>_seconds` what it took.
    """
    del space, number  # names only
    run, model = _begun(recipe, trust, imports)
    chosen = _plan(run, model, keep)
    found: dict[str, Any] = {}
    for way in by:
        began = time.perf_counter()
        examples = inputs_only(run.plain_examples(model))
        slim = PREPARATIONS[way](rebuild(model, chosen), model, chosen, examples, EXAMPLES, seed, 0.0)
        found[way] = judged(run, slim, run.recipe.data.validation)[1]
        found[f"{way}_seconds"] = time.perf_counter() - began
    return found


def trained(
    space: str,
    number: int,
    keep: Sequence[float],
    start: str,
    seed: int,
    recipe: str,
    trust: bool,
    imports: Sequence[str],
) -> dict[str, Any]:
    """Fine-tunes and judges a slim model.

    Args:
        space: What the recipe was drawn from.
        number: Its number there.
        keep: The fraction kept of each group.
        start: The way it is made ready before training, see `kp.rank`.
        seed: Of the order of the examples and of the positions of a reconstruction.
        recipe: Model, data and fine-tuning, as YAML text.
        trust: Whether `package.module:Name` may be imported.
        imports: Code with classes of the model.

    Returns:
        `validation`, `test`, and `train_seconds`.
    """
    del space, number  # names only
    run, model = _begun(recipe, trust, imports)
    keras.utils.set_random_seed(seed)
    chosen = _plan(run, model, keep)
    examples = inputs_only(run.plain_examples(model))
    slack = slack_of(run.recipe)
    slim = PREPARATIONS[start](rebuild(model, chosen), model, chosen, examples, EXAMPLES, seed, slack)
    began = time.perf_counter()
    train(run, slim, None)
    seconds = time.perf_counter() - began
    validation, test = (judged(run, slim, getattr(run.recipe.data, split))[1] for split in ("validation", "test"))
    return {"validation": validation, "test": test, "train_seconds": seconds}


def _begun(recipe: str, trust: bool, imports: Sequence[str]) -> tuple[Run, keras.Model]:
    """Returns the run and its dense model."""
    for name in imports:
        import_classes(name, trust=trust)
    checked = loader.parse(recipe, trust=trust)
    return Run(checked, RunFolder(Path()), Console(quiet=True)), dense_model(checked)


def _plan(run: Run, model: keras.Model, keep: Sequence[float]) -> Plan:
    """Returns the plan that keeps these fractions of the channels that the recipe's criterion holds highest."""
    spec = run.recipe.prune.plan
    criterion = lookup.make("criterion", spec.criterion.name, spec.criterion.arguments)
    return Recipes(traced(run.recipe, model, spec), [list(keep)], criterion).plan(0)
