"""`search_plan`: widths of all groups found by evolution; each candidate is judged in seconds, without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kerasprune import criteria
from kerasprune._keras import structures
from kerasprune.checks import choice_faults, kind_faults, seed_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.data.batches import example_batches, free_size
from kerasprune.defaults import DELTA, SAMPLES
from kerasprune.errors import raise_faults, short
from kerasprune.files.made_of import digest
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.graph.trace import trace
from kerasprune.planning import targets
from kerasprune.planning.budgets.trials import Trials
from kerasprune.recipes.search.evolution import Evolution
from kerasprune.recipes.search.width_search import RememberedScores, SearchedPlan, best_widths
from kerasprune.recipes.search.widths import FRACTIONS, Widths
from kerasprune.repair.reconstruction.feature_error import logit_error
from kerasprune.repair.reconstruction.recalibrate import recalibrate
from kerasprune.surgery.graphs import graph_at
from kerasprune.surgery.rebuild import rebuild

if TYPE_CHECKING:
    from kerasprune.planning.targets.base import Target

SHORT = Evolution(population=20, parents=5, mutations=10, crossovers=10, generations=10)
"""200 candidates: minutes for a small network."""
JUDGES = ("reconstruction", "recalibration")


def search_plan(
    model: keras.Model | ChannelGraph,
    data: Any,
    *,
    macs: float | None = None,
    target: str | dict | type | Target | None = None,
    criterion: str | dict | type | Criterion = "l1",
    judge: str | Callable[[keras.Model], float] = "reconstruction",
    delta: float = DELTA,
    fractions: Sequence[float] = FRACTIONS,
    evolution: Evolution = SHORT,
    samples: int = SAMPLES,
    size: Size | None = None,
    loss: Any = None,
    path: str | Path | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> SearchedPlan:
    """Searches for the best widths at a given cost by evolution, without training any candidate.

    The first candidate is nearly uniform; the others are drawn at all levels of non-uniformity, then mutated and
    crossed within `|MACs / MACs₀ − macs| ≤ delta`, or from 2·delta below a target of time or size up to it. Each
    candidate keeps the highest-scoring channels, is rebuilt, repaired without labels and judged on examples. This
    judgement does not predict accuracy after fine-tuning: fine-tune both the best plan and the uniform one, and
    compare.

    Args:
        model: The trained model, which is left untouched, or its graph.
        data: Examples, as for `kp.reconstruct`; batches of `(inputs, labels)` if the criterion uses data.
        macs: Fraction of the multiply–adds that is kept. Defaults to 0.5 without a target.
        target: Time on a device, or size of the exported file, in place of `macs`, as for `kp.plan`.
        criterion: Scores the channels. Defaults to `"l1"`.
        judge: `"reconstruction"`: the negative error of the logits after least squares on half of the samples, measured
            on the other half; `"recalibration"`: the same after recomputing the BatchNorm statistics; or a function of
            the rebuilt model, which is not compiled, higher = better. Defaults to `"reconstruction"`.
        delta: Half the width of the window around `macs`, or below the target. Defaults to 0.005.
        fractions: Fractions of a group's channels to choose from. Defaults to 0.10, 0.13, …, 1.00.
        evolution: The length of the search. Defaults to 10 generations of 20.
        samples: Number of examples to repair and judge with. Defaults to 1000.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to that of the data.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        path: An SQLite file for the scores, from which a killed search resumes. Use another file after changing your
            own judge. Defaults to `None`: nothing is stored.
        seed: Seed of all random draws. Defaults to 0.
        verbose: 0 = silent, 1 = progress. Defaults to 0.

    Returns:
        The best plan, and all candidates.

    Raises:
        PruneError: An argument is out of range, the data do not fit, or no widths meet the target.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n, "relu") for n in (8, 8, 2))])
        >>> few = kp.recipes.search.Evolution(population=4, parents=2, mutations=2, crossovers=2, generations=2)
        >>> data = np.random.default_rng(0).normal(size=(64, 4))
        >>> found = kp.recipes.search_plan(model, data, macs=0.5, delta=0.1, evolution=few)
        >>> len(found.search.candidates), 0.4 <= found.macs <= 0.6
        (8, True)

    Reference:
        Liu et al., MetaPruning, ICCV 2019, Algorithm 1. Li et al., EagleEye, ECCV 2020, judge by the accuracy after
        recalibration.
    """
    faults = whole_number_faults(4, samples=samples) + seed_faults(seed=seed)
    faults += kind_faults(Evolution, "Use kp.recipes.search.Evolution(…).", evolution=evolution)
    if macs is not None and target is not None:
        faults.append(f"Expected macs or target, not both. Received: macs={macs}, target={short(target)}.")
    faults += [] if callable(judge) else choice_faults(JUDGES, judge=judge)
    raise_faults("Invalid arguments for search_plan:", faults)
    graph = model if isinstance(model, ChannelGraph) else trace(model)
    batches = example_batches(graph.model, data, samples)
    widths = Widths(
        graph_at(graph, None, size or free_size(graph.model, [each.shape for each in batches[0]])), fractions
    )
    widths = replace(widths, scores=criteria.score(criteria.get(criterion), graph, data, loss, seed))
    limit = (
        widths.limit_of(targets.get(target), delta)
        if target is not None
        else widths.limit(0.5 if macs is None else macs, delta)
    )
    score = _plan_score(judge, graph, batches, samples, seed)
    question = {
        "judge": "own" if callable(judge) else judge,
        "weights": digest(values(each) for each in graph.model.weights),
        "scores": digest(widths.scores[name] for name in widths.names),
        "counts": [each.tolist() for each in widths.counts],
        "seed": seed,
    }
    if not callable(judge):
        question["examples"] = digest(array for batch in batches for array in batch)
    stored = RememberedScores(lambda genes: score(widths.plan(genes)), path, question, evolution.most, verbose)
    return best_widths(widths, limit, stored, evolution, seed)


def _plan_score(
    judge: str | Callable[[keras.Model], float], graph: ChannelGraph, batches: Any, samples: int, seed: int
) -> Callable[[Plan], float]:
    """Returns the function that scores a plan."""
    examples = [pack_inputs(graph.model, batch) for batch in batches]
    if judge == "reconstruction":
        trials = Trials(graph, examples, samples=samples, seed=seed)
        return lambda plan: -trials.error(plan)
    if judge != "recalibration":
        return lambda plan: judge(rebuild(graph, plan))

    def recalibrated(plan: Plan) -> float:
        slim = recalibrate(rebuild(graph, plan), examples, samples=samples)
        return -logit_error(slim, graph, plan, examples, samples=samples)

    return recalibrated


def pack_inputs(model: keras.Model, batch: list[Any]) -> Any:
    """Returns the inputs of a batch in the structure that a model takes."""
    packed = keras.tree.pack_sequence_as(structures(body_of(model))[0], batch)
    return list(packed) if isinstance(packed, tuple) else packed  # a tuple would be inputs and labels
