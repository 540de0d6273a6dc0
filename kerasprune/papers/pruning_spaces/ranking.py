"""`rank`: ranks allocations before any of them is trained; `eagle_eye`: the method that does so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasprune.checks import choice_faults, seed_faults, whole_number_faults
from kerasprune.data.examples import Examples
from kerasprune.defaults import BATCH, DELTA, READY, SAMPLES
from kerasprune.errors import PruneError, raise_faults
from kerasprune.graph.built_model import fixed_batch
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.papers.pruning_spaces.sampling import random_allocations
from kerasprune.papers.pruning_spaces.space import Space
from kerasprune.recipes.search.allocations import Allocations
from kerasprune.repair.reconstruction.recalibrate import recalibrate
from kerasprune.steps.judge import Judge, check_examples
from kerasprune.steps.objective import of_model
from kerasprune.steps.repair import make_candidate
from kerasprune.steps.report import StepReport, accuracy_of
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import prunable_graph
from kerasprune.surgery.rebuild import rebuild

MEASURES = ("accuracy", "loss", "error")


@dataclass(frozen=True, eq=False)
class Ranking:
    """The result of `rank`.

    Args:
        allocations: The allocations.
        scores: One score per allocation; higher = better.
        measure: The kind of score: `"accuracy"`, or minus the `"loss"` or the `"error"` of the outputs.
    """

    allocations: Allocations
    scores: np.ndarray
    measure: str

    @property
    def order(self) -> np.ndarray:
        """The numbers of the allocations, the best first; of equal ones the lower number."""
        return np.argsort(-self.scores, kind="stable")

    @property
    def plan(self) -> Plan:
        """The plan of the best allocation."""
        return self.allocations.plan(int(self.order[0]))


class Chosen(NamedTuple):
    """The result of `eagle_eye`."""

    slim: keras.Model
    plan: Plan
    ranking: Ranking


def rank(
    model: keras.Model | ChannelGraph,
    allocations: Allocations,
    data: Any,
    *,
    by: str = "recalibrated",
    validation: Any = None,
    measure: str | None = None,
    loss: Any = None,
    samples: int = SAMPLES,
    batch: int = BATCH,
    seed: int = 0,
) -> Ranking:
    """Ranks allocations by the performance of their slim models right after removal, before any training.

    Args:
        model: The trained model, which is left untouched, or its graph.
        allocations: The allocations, e.g. of `kp.papers.spaces.sample`.
        data: Examples that slim models are prepared with, as for `kp.reconstruct`; arrays, or batches that can be read
            repeatedly.
        by: How a slim model is prepared: `"removed"`: not at all; `"recalibrated"`: BatchNorm statistics are
            recomputed; `"reconstructed"`: kernels are solved by least squares. Defaults to `"recalibrated"`.
        validation: Examples that slim models are judged on: `(inputs, labels)` in any form that `fit` takes, or inputs
            alone. Defaults to `data`.
        measure: `"accuracy"`: the first compiled metric of that name; `"loss"`; or `"error"`: the distance of the
            outputs from the dense model's, without labels. Defaults to the first of these that is available.
        loss: Loss of a model that is not compiled. Defaults to the compiled one.
        samples: Number of examples that slim models are prepared with. Defaults to 1000.
        batch: Examples per batch, of arrays. Defaults to 128.
        seed: Seed of the positions of a reconstruction. Defaults to 0.

    Returns:
        The scores: `.order`, `.plan`, `.scores`.

    Raises:
        PruneError: An argument is out of range, no allocations are given, or the measure is not available.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((4,)), dense(8, "relu"), dense(8, "relu"), dense(2)])
        >>> allocations = kp.papers.spaces.sample(kp.papers.spaces.Space(model, params=0.5, delta=0.05), n=4)
        >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
        >>> kp.papers.spaces.rank(model, allocations, x, by="reconstructed").scores.shape
        (4,)

    Reference:
        Li et al., EagleEye, ECCV 2020, Section 3.3: adaptive BatchNorm, `by="recalibrated"`.
    """
    faults = choice_faults(READY, by=by) + whole_number_faults(1, samples=samples, batch=batch)
    faults += seed_faults(seed=seed) + ([] if measure is None else choice_faults(MEASURES, measure=measure))
    if not isinstance(allocations, Allocations) or not len(allocations):
        faults.append(f"Expected allocations, e.g. of kp.papers.spaces.sample. Received: allocations={allocations!r}.")
    raise_faults("Invalid arguments for rank:", faults)
    graph = prunable_graph(model)
    inputs, objective = len(graph.model.inputs), of_model(graph.model, loss)
    form = batch, inputs, fixed_batch(graph.model)
    examples = Examples(data, *form)
    judge = Judge(graph.model, objective, examples if validation is None else Examples(validation, *form))
    check_examples(graph.model, objective, judge.examples)
    dense = judge.step("dense", graph.model)
    found = measure or next(name for name in MEASURES if _score(dense, name) is not None)
    if _score(dense, found) is None:
        raise PruneError(
            f"Expected labels in validation, and a model compiled with {found!r}. Received: measure={measure!r}; the "
            f"available ones are: {sorted(dense.metrics) or 'no metrics'}. Compile the model, or leave measure out."
        )
    scores = []
    for plan in map(allocations.plan, range(len(allocations))):
        slim = make_candidate(by, Cut.of(graph, plan), judge, examples.inputs, samples=samples, seed=seed)
        scores.append(_score(judge.step(by, slim), found))
    return Ranking(allocations, np.array(scores), found)


def eagle_eye(
    model: keras.Model | ChannelGraph,
    data: Any,
    *,
    macs: float | None = None,
    params: float | None = None,
    delta: float = DELTA,
    n: int = 100,
    min_keep: float = 0.3,
    criterion: str = "l1",
    validation: Any = None,
    measure: str | None = None,
    loss: Any = None,
    samples: int = SAMPLES,
    batch: int = BATCH,
    size: Size | None = None,
    seed: int = 0,
) -> Chosen:
    """Returns the best of many random allocations of equal cost, ready for fine-tuning: EagleEye.

    Each group keeps a fraction drawn from `[min_keep, 1]`; allocations of another cost are rejected. Every candidate
    is judged with recomputed BatchNorm statistics.

    Args:
        model: The trained model, which is left untouched, or its graph.
        data: Examples for the statistics, and to judge on if `validation` is not given.
        macs: Fraction of the multiply–adds that is kept, `± delta`. Give either `macs` or `params`.
        params: Fraction of the parameters that is kept, `± delta`.
        delta: Half the width of the window. Defaults to 0.005.
        n: Number of allocations that are judged. Defaults to 100; the paper uses 1000.
        min_keep: The smallest fraction that a group may keep. Defaults to 0.3.
        criterion: Scores the channels. Defaults to `"l1"`, as in the paper.
        validation: Examples that slim models are judged on; not the test set. Defaults to `data`.
        measure: See `kp.papers.spaces.rank`.
        loss: Loss of a model that is not compiled. Defaults to the compiled one.
        samples: Number of examples for the statistics. Defaults to 1000.
        batch: Examples per batch, of arrays. Defaults to 128.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the model's own.
        seed: Seed of the allocations. Defaults to 0.

    Returns:
        `(slim, plan, ranking)`: the best slim model, with new statistics, compiled if the dense one is.

    Raises:
        PruneError: An argument is out of range, the model has no BatchNorm, or random allocations miss the window.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((4,)), *layers])
        >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
        >>> slim, plan, ranking = kp.papers.eagle_eye(model, x, params=0.5, delta=0.1, n=3)
        >>> slim.layers[-1].kernel.shape[0] == len(plan.keep["dense"]) if "dense" in plan.keep else True
        True

    Reference:
        Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, ECCV 2020, Sections 3.2, 3.3.
    """
    if macs is None and params is None:
        raise PruneError("Expected macs or params, the fraction of the dense model's that is kept. Received: neither.")
    space = Space(model, macs=macs, params=params, delta=delta, criterion=criterion, size=size)
    allocations = random_allocations(space, n, min_keep=min_keep, seed=seed)
    options = {"validation": validation, "measure": measure, "loss": loss, "samples": samples, "batch": batch}
    ranking = rank(space.graph, allocations, data, by="recalibrated", **options, seed=seed)
    plan, dense = ranking.plan, space.graph.model
    slim = recalibrate(
        rebuild(space.graph, plan), Examples(data, batch, len(space.graph.model.inputs)).inputs, samples=samples
    )
    if dense.compiled:
        compile_like(slim, dense)
    return Chosen(slim, plan, ranking)


def _score(step: StepReport, measure: str) -> float | None:
    """Returns a score, higher = better, or `None` if the model does not have the measure."""
    if measure == "accuracy":
        return accuracy_of(step.metrics)
    lost = step.error if measure == "error" else step.metrics.get("loss")
    return None if lost is None else -lost
