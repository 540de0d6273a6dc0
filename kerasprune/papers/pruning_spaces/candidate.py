"""One candidate of a pruning space: ranked before training, or trained and judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras

from kerasprune.recipes import lookup
from kerasprune.recipes.checkpoint_check import check_chance_level
from kerasprune.recipes.contender import begun, measure_model, ready, train
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.search.allocations import Allocations
from kerasprune.surgery.cut import Cut


def dense(recipe: str, trust: bool, imports: Sequence[str]) -> dict[str, Any]:
    """Judges the dense model.

    Args:
        recipe: Model, data and the criterion of the channels, as YAML text.
        trust: Whether user code (`package.module:Name`) may be imported.
        imports: Code with classes of the model, imported first if it is trusted.

    Returns:
        `measure` (`"accuracy"`, or `"loss"`), and its values on `validation` and `test` examples.
    """
    run, model = begun(recipe, trust, imports)
    check_chance_level(run, model)
    measure, validation = measure_model(run.judge(model), model)
    test = measure_model(run.judge(model, run.recipe.data.test), model)[1]
    return {"measure": measure, "validation": validation, "test": test}


def ranked(
    space: str,
    number: int,
    keep: Sequence[float],
    by: Sequence[str],
    seed: int,
    **experiment: Any,
) -> dict[str, Any]:
    """Judges a slim model before any training, prepared in several ways.

    Args:
        space: The name of the space that the allocation was drawn from.
        number: Its number there.
        keep: The fraction kept of each group.
        by: Ways to prepare it, see `kp.papers.spaces.rank`.
        seed: Seed of the positions of a reconstruction.
        experiment: `recipe`, `trust` and `imports`, as for `dense`.

    Returns:
        For each way its measure on validation examples, and as `<way>_seconds` the time it took.
    """
    del space, number  # names only
    run, model = begun(**experiment)
    judge, cut = run.judge(model), _cut(run, model, keep)
    found: dict[str, Any] = {}
    for way in by:
        began = time.perf_counter()
        slim = ready(run, judge, cut, way, seed, 0.0)
        found[way] = measure_model(judge, slim)[1]
        found[f"{way}_seconds"] = time.perf_counter() - began
    return found


def trained(
    space: str,
    number: int,
    keep: Sequence[float],
    start: str,
    seed: int,
    **experiment: Any,
) -> dict[str, Any]:
    """Fine-tunes and judges a slim model.

    Args:
        space: The name of the space that the allocation was drawn from.
        number: Its number there.
        keep: The fraction kept of each group.
        start: The way it is prepared before training, see `kp.papers.spaces.rank`.
        seed: Seed of the order of the examples and of the positions of a reconstruction.
        experiment: `recipe`, `trust` and `imports`, as for `dense`.

    Returns:
        `validation`, `test`, and `train_seconds`.
    """
    del space, number  # names only
    run, model = begun(**experiment)
    keras.utils.set_random_seed(seed)
    judge, cut = run.judge(model), _cut(run, model, keep)
    slim = ready(run, judge, cut, start, seed, run.slack)
    began = time.perf_counter()
    validation = train(run, slim, judge, cut.plan)
    seconds = time.perf_counter() - began
    test = measure_model(run.judge(model, run.recipe.data.test), slim)[1]
    return {"validation": validation, "test": test, "train_seconds": seconds}


def _cut(run: Experiment, model: keras.Model, keep: Sequence[float]) -> Cut:
    """Returns the cut that keeps these fractions, of the channels that the recipe's criterion scores highest."""
    spec = run.recipe.prune.plan
    criterion = lookup.make("criterion", spec.criterion.name, spec.criterion.arguments)
    graph = run.traced(model, spec)
    return Cut.of(graph, Allocations(graph, [list(keep)], criterion).plan(0))
