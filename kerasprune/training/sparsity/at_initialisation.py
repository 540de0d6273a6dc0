"""`prune_at_init`: pruning of single weights before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune._keras import compile_arguments
from kerasprune.checks import fraction_faults, whole_number_faults
from kerasprune.criteria.base import Criterion
from kerasprune.data.arrays_or_batches import read_again
from kerasprune.errors import raise_faults
from kerasprune.graph.graph import values, weight_paths
from kerasprune.graph.trace import trace
from kerasprune.surgery.clone import copy_model
from kerasprune.training.registry import scopes
from kerasprune.training.sparsity.mask_checks import check_candidates
from kerasprune.training.sparsity.ranking import highest

Schedule = Callable[[float, float], float]
"""`schedule(keep, progress)`: the fraction kept after a share `progress` in (0, 1] of the rounds."""


def exponential(keep: float, progress: float) -> float:
    """Returns the fraction kept if every round keeps the same fraction of the remaining weights: `keep^(k/n)`.

    Args:
        keep: Fraction kept at the end.
        progress: k/n, the share of the rounds that are done.

    Example:
        >>> [exponential(0.01, k / 4) for k in (2, 4)]
        [0.1, 0.01]

    Reference:
        Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow,
        arXiv 2006.05467, Algorithm 1.
    """
    return keep**progress


def linear(keep: float, progress: float) -> float:
    """Returns the fraction kept if every round removes the same number of weights: `1 − (1 − keep)·k/n`.

    Example:
        >>> [linear(0.2, k / 4) for k in (2, 4)]
        [0.6, 0.2]
    """
    return 1 - (1 - keep) * progress if progress < 1 else keep


def prune_at_init(
    model: keras.Model,
    criterion: str | dict | type | Criterion,
    *,
    keep: float = 0.1,
    rounds: int = 1,
    data: Any = None,
    loss: Any = None,
    schedule: Schedule = exponential,
    scope: Any = "global",
    freeze: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Chooses the weights that a model keeps before it is trained; the model is left untouched.

    In round k of n, the `round(N · schedule(keep, k/n))` highest-scoring of the remaining weights are kept, over all
    kernels together, and the next round scores the network under these masks. If scores are equal, the lower index is
    kept, so the number is exact. With `scope="layer"` each kernel is handled separately, with N the number of its
    weights, and at least one is kept.

    Biases, BatchNorm and frozen kernels are kept whole. To train under the masks, call
    `model.fit(x, y, callbacks=[kp.callbacks.HoldMask(masks)])`. Kept weights that are on no path from input to output
    are counted too: `kp.sparsity.sparsity_report(model, masks)` reports them, `kp.sparsity.attached(model, masks)`
    removes them.

    Args:
        model: A functional or Sequential model; it may also be trained already.
        criterion: A criterion with `saliency_of`: a name such as `"synflow"`, `"snip"`, `"grasp"`, `"l1"` or
            `"random"`, a dict, a class or an instance.
        keep: Fraction kept of the N weights of all kernels. Defaults to 0.1.
        rounds: Number of scoring rounds; 100 for SynFlow. Defaults to 1.
        data: Batches of `(inputs, labels)` for criteria that need data. Defaults to `None`.
        loss: Loss for criteria that use gradients. Defaults to the compiled one.
        schedule: `schedule(keep, progress)`, the fraction kept after a share of the rounds: `kp.sparsity.exponential`,
            `kp.sparsity.linear`, or your own function. Defaults to `exponential`.
        scope: Whether weights are ranked over all kernels, `"global"`, or within each, `"layer"`. Defaults to
            `"global"`.
        freeze: Names of layers, or wildcards, that are kept whole and not counted. Defaults to none.
        seed: Random seed. Defaults to 0.

    Returns:
        `{variable path: boolean array of the kernel's shape, True for kept weights}`.

    Raises:
        PruneError: An argument is out of range, the criterion cannot score single weights or needs data,
            or a score is not finite.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(2)])
        >>> masks = kp.prune_at_init(model, "l1", keep=0.5)
        >>> sum(int(mask.sum()) for mask in masks.values())
        15

    Reference:
        Lee et al., SNIP, arXiv 1810.02340, section 4; Tanaka et al., Pruning neural networks without any data by
        iteratively conserving synaptic flow, arXiv 2006.05467, Algorithm 1.
    """
    _check(keep, rounds, schedule, seed)
    chosen = criteria.get(criterion)
    chosen.check(data)
    kernels = _candidates(model, freeze)
    masks = {path: np.ones(tuple(kernel.shape), bool) for path, kernel in kernels.items()}
    batches = read_again(data)
    competitions = [[[*masks][at] for at in each] for each in scopes.get(scope).competitions([*masks])]
    copy = model if rounds == 1 else _copy(model)
    of_model, of_copy = (trace(each, unknown="freeze").weight_kernels for each in (model, copy))
    paths, names = weight_paths(model), weight_paths(copy)
    copies = {paths[id(old.variable)]: new.variable for old, new in zip(of_model, of_copy, strict=True)}
    called = {path: names[id(variable)] for path, variable in copies.items()}
    saliency = chosen.prepared(copy, data=batches, loss=loss, seed=seed)
    for done in range(1, rounds + 1):
        for path, mask in masks.items() if done > 1 else ():
            copies[path].assign(np.where(mask, values(kernels[path]), 0))
        scores = _of_candidates(saliency(), called, masks)
        fraction = _kept(schedule, keep, done / rounds)
        for paths in competitions:
            masks |= _fewer({path: masks[path] for path in paths}, {path: scores[path] for path in paths}, fraction)
    return masks


def _fewer(masks: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray], keep: float) -> dict[str, np.ndarray]:
    """Returns masks of the highest scores of kernels that compete: a fraction of all their weights, at least one."""
    number = max(round(keep * sum(mask.size for mask in masks.values())), 1)
    return highest(scores, min(number, sum(int(mask.sum()) for mask in masks.values())), masks)


def _check(keep: Any, rounds: Any, schedule: Any, seed: Any) -> None:
    faults = fraction_faults(keep=keep) + whole_number_faults(1, rounds=rounds) + whole_number_faults(0, seed=seed)
    if not callable(schedule):
        faults.append(
            "Expected schedule to be a function of (keep, progress), such as kp.sparsity.exponential. Received: "
            f"schedule={schedule!r}."
        )
    raise_faults("Invalid arguments for prune_at_init:", faults)


def _kept(schedule: Schedule, keep: float, progress: float) -> float:
    fraction = keep if progress == 1 else schedule(keep, progress)
    raise_faults("Invalid values of the schedule:", fraction_faults(**{f"schedule(keep, {progress:.3g})": fraction}))
    return fraction


def _candidates(model: keras.Model, freeze: Sequence[str]) -> dict[str, Any]:
    """Returns the trainable kernels by their paths; warns of frozen ones."""
    graph = trace(model, freeze=freeze, unknown="freeze")
    graph.check_merged()
    free = [kernel.variable for kernel in graph.weight_kernels if id(kernel.owner) not in graph.named]
    kernels = {graph.paths[id(variable)]: variable for variable in free}
    found = {path: variable for path, variable in kernels.items() if variable.trainable}
    frozen = [path for path in kernels if path not in found]
    check_candidates(found, frozen)
    return found


def _copy(model: keras.Model) -> keras.Model:
    """Returns a copy with the same weights and loss, whose weights may be set to zero."""
    copy = copy_model(model)
    arguments = (compile_arguments(model) if model.compiled else None) or {}
    if arguments.get("loss") is not None:
        copy.compile(loss=arguments["loss"], loss_weights=arguments.get("loss_weights"))
    return copy


def _of_candidates(
    scored: Mapping[str, np.ndarray], called: Mapping[str, str], masks: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the scores of the kernels by their paths in the model; checks that there is one for each weight."""
    found = {path: np.asarray(scored.get(called[path], ())) for path in masks}
    raise_faults(
        "Expected one score per weight from the criterion.",
        [
            f"{path!r} has shape {masks[path].shape}. Received: scores of shape {array.shape}."
            for path, array in found.items()
            if array.shape != masks[path].shape
        ],
    )
    return found
