"""`meta_pruning`: widths found with one network that makes the weights of all widths, then trained from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasprune.checks import fraction_faults, whole_number_faults
from kerasprune.data.batches import example_batches, free_size
from kerasprune.defaults import DELTA, SAMPLES
from kerasprune.errors import raise_faults
from kerasprune.files.made_of import digest
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.papers.pruning_nets.pruning_net import PruningNet, traced_alike
from kerasprune.recipes.populations.store import Store, TrainAndJudge, returned_accuracy
from kerasprune.recipes.search.evolution import Evolution, Genes
from kerasprune.recipes.search.search_plan import pack_inputs
from kerasprune.recipes.search.width_search import RememberedScores, SearchedPlan, best_widths
from kerasprune.recipes.search.widths import FRACTIONS
from kerasprune.repair.reconstruction.recalibrate import recalibrate, trainable_norms
from kerasprune.surgery.compiled import compile_like
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.surgery.graphs import graph_at
from kerasprune.surgery.inlining.plain import plain
from kerasprune.surgery.rebuild import rebuild

WEIGHTS = "net.weights.h5"
Judge = Callable[[keras.Model], float]
"""`judge(model) -> accuracy` on validation examples; higher = better."""


@dataclass(frozen=True)
class MetaPruned:
    """The result of MetaPruning.

    Args:
        model: The slim model, trained from scratch.
        plan: Its widths; the indices of the channels are arbitrary, as the model was trained from scratch.
        accuracy: The accuracy that `fit` returned for it.
        net: The trained PruningNet, for searches at other numbers of multiply–adds: `search_widths`.
        search: All candidates.
    """

    model: keras.Model
    plan: Plan
    accuracy: float
    net: PruningNet
    search: SearchedPlan


def meta_pruning(
    model: keras.Model | ChannelGraph,
    fit: TrainAndJudge,
    *,
    macs: float = 0.5,
    data: Any,
    judge: Judge | None = None,
    net_epochs: int = 16,
    epochs: int = 64,
    delta: float = DELTA,
    hidden: int = 64,
    fractions: Sequence[float] = FRACTIONS,
    evolution: Evolution = Evolution(),  # noqa: B008
    samples: int = SAMPLES,
    size: Size | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> MetaPruned:
    """Searches the widths of a network and trains it from scratch: MetaPruning.

    1. A `kp.papers.pruning_nets.PruningNet`, which generates the weights for any widths, is trained from scratch with
       random widths.
    2. Evolution searches for the best widths within `|MACs / MACs₀ − macs| ≤ delta` (`search_widths`). Each candidate
       is judged with generated weights and recomputed BatchNorm statistics.
    3. The slim model with these widths is trained from scratch.

    Args:
        model: The model, or its graph; it is left untouched, and only its architecture matters.
        fit: `fit(model, *, resolution, epochs, seed) -> accuracy`: compiles and trains a model in place, the PruningNet
            first, the slim model at the end; with `epochs=0` it only measures the accuracy. `resolution` is `None`.
        macs: Fraction of the multiply–adds that is kept. Defaults to 0.5.
        data: Training examples without labels, as for `kp.recalibrate`, for the BatchNorm statistics.
        judge: `judge(model) -> accuracy` of a candidate on validation examples that `fit` does not train on. Candidates
            are compiled if the model is, but run eagerly: their shapes differ, and tracing would take longer. Defaults
            to `None`: `fit` with `epochs=0`.
        net_epochs: Epochs of the PruningNet; the paper uses a quarter of `epochs`. Defaults to 16.
        epochs: Epochs of the slim model; 0 leaves it untrained. Defaults to 64.
        delta: Half the width of the window around `macs`. Defaults to 0.005.
        hidden: Hidden units of the networks that generate the kernels. Defaults to 64.
        fractions: Fractions of a group's channels to choose from. Defaults to 0.10, 0.13, …, 1.00.
        evolution: The length of the search. Defaults to the paper's 20 generations of 50.
        samples: Number of examples that are used. Defaults to 1000.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to that of the data.
        folder: A folder for the PruningNet and the scores, from which a killed run resumes; the final training is
            repeated. One PruningNet serves all values of `macs`. Use another folder for another `judge`. Defaults to
            `None`.
        seed: Seed of all random draws. Defaults to 0.
        verbose: 0 = silent, 1 = progress of the search. Defaults to 0.

    Returns:
        The trained slim model, its widths, and all candidates.

    Raises:
        PruneError: An argument is out of range, the data do not fit, no PruningNet can be built for the model, no
            widths have so many multiply–adds, or the folder was begun with other settings.

    Example:
        >>> import keras, numpy as np, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n) for n in (8, 8, 2))])
        >>> def fit(model, *, resolution, epochs, seed):
        ...     return 0.5  # here: model.compile(…), model.fit(…, epochs=epochs) if epochs, its accuracy
        >>> few = kp.recipes.search.Evolution(population=3, generations=1)
        >>> found = kp.papers.meta_pruning(model, fit, macs=0.5, data=np.ones((8, 4)), delta=0.05, evolution=few)
        >>> round(kp.cost(found.model).macs / kp.cost(model).macs, 1), found.accuracy
        (0.5, 0.5)

    Reference:
        Liu et al., MetaPruning, ICCV 2019, arXiv 1903.10258, §3 and Algorithm 1; settings of the authors' code.
    """
    judge = judge or (lambda candidate: fit(candidate, resolution=None, epochs=0, seed=seed))
    faults = fraction_faults(macs=macs) + whole_number_faults(1, net_epochs=net_epochs)
    faults += whole_number_faults(0, epochs=epochs, seed=seed)
    if not callable(fit):
        faults.append(f"Expected fit(model, *, resolution, epochs, seed) -> accuracy. Received: fit={fit!r}.")
    if not callable(judge):
        faults.append(f"Expected judge(model) -> accuracy. Received: judge={judge!r}.")
    raise_faults("Invalid arguments for meta_pruning:", faults)
    dense = model.model if isinstance(model, ChannelGraph) else model
    batches = example_batches(dense, data, samples)
    fresh = traced_alike(reinitialise(plain(dense), seed=seed), model)
    fresh = graph_at(fresh, None, size or fresh.size or free_size(dense, [each.shape for each in batches[0]]))
    net = PruningNet(fresh, hidden=hidden, fractions=fractions, seed=seed)
    net.widths.limit(macs, delta)  # raises before anything is trained
    _train(net, fit, net_epochs, folder, {"hidden": hidden, "net_epochs": net_epochs, "seed": seed})
    search = search_widths(
        net,
        judge,
        macs=macs,
        data=[pack_inputs(dense, batch) for batch in batches],
        delta=delta,
        evolution=evolution,
        samples=samples,
        compiled_as=dense,
        path=None if folder is None else Path(folder) / "search.sqlite",
        seed=seed,
        verbose=verbose,
    )
    slim = reinitialise(rebuild(net.widths.graph, search.plan), seed=seed)
    if dense.compiled:
        compile_like(slim, dense)
    accuracy = returned_accuracy(fit(slim, resolution=None, epochs=epochs, seed=seed))
    return MetaPruned(slim, search.plan, accuracy, net, search)


def search_widths(
    net: PruningNet,
    judge: Judge,
    *,
    macs: float,
    data: Any,
    delta: float = DELTA,
    evolution: Evolution = Evolution(),  # noqa: B008
    samples: int = SAMPLES,
    compiled_as: keras.Model | None = None,
    path: str | Path | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> SearchedPlan:
    """Searches for the best widths by evolution, judging each with the weights that a trained PruningNet generates.

    Args:
        net: The PruningNet.
        judge: As for `meta_pruning`.
        macs: Fraction of the multiply–adds that is kept.
        data: Examples without labels, for the statistics of BatchNorm, which are recomputed for each candidate.
        delta: Half the width of the window around `macs`. Defaults to 0.005.
        evolution: The length of the search. Defaults to 20 generations of 50.
        samples: Number of examples that are used. Defaults to 1000.
        compiled_as: A compiled model whose loss and metrics the candidates get. Defaults to `None`: not compiled.
        path: An SQLite file for the scores, from which a killed search resumes. Defaults to `None`.
        seed: Seed of all random draws. Defaults to 0.
        verbose: 0 = silent, 1 = progress. Defaults to 0.

    Returns:
        The best widths as a plan, and all candidates.

    Raises:
        PruneError: An argument is out of range, the data do not fit, or no widths have so many multiply–adds.

    Reference:
        Liu et al., MetaPruning, ICCV 2019, arXiv 1903.10258, §3.2.
    """
    widths = net.widths
    limit = widths.limit(macs, delta)
    batches = example_batches(widths.graph.model, data, samples)
    examples = [pack_inputs(net.body, batch) for batch in batches]
    normed = trainable_norms(net.body)

    def score(genes: Genes) -> float:
        slim = net.slim(genes)
        slim = recalibrate(slim, examples, samples=samples) if normed else slim
        if compiled_as is not None and compiled_as.compiled:
            compile_like(slim, compiled_as, run_eagerly=True, jit_compile=False)
        return judge(slim)

    question = {
        "net": digest(values(each) for each in net.trainable_variables),
        "examples": digest(array for batch in batches for array in batch),
        "counts": [each.tolist() for each in widths.counts],
        "seed": seed,
    }
    stored = RememberedScores(score, path, question, evolution.most, verbose)
    return best_widths(widths, limit, stored, evolution, seed)


def _train(
    net: PruningNet, fit: TrainAndJudge, epochs: int, folder: str | Path | None, settings: dict[str, Any]
) -> None:
    """Trains a PruningNet, or loads the weights of one that was trained with the same settings."""
    counts = [each.tolist() for each in net.widths.counts]
    settings |= {"model": net.widths.graph.fingerprint, "counts": counts}
    Store(folder, "meta_pruning", settings).kept(
        "pruning_net",
        lambda: fit(net, resolution=None, epochs=epochs, seed=settings["seed"]),
        lambda path, _: net.save_weights(path / WEIGHTS),
        lambda path: net.load_weights(path / WEIGHTS),
    )
