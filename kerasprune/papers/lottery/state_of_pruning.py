"""Five baselines of pruning after training, over size and over theoretical speed-up.

Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerasprune.papers.lottery.missing_the_mark import facts
from kerasprune.papers.lottery.testbed import Testbed, accuracies, cross_entropy, scored_examples
from kerasprune.sparsity.at_initialisation import prune_at_init
from kerasprune.sparsity.at_random import independent_masks

BASELINES: dict[str, tuple[str, str]] = {
    "global magnitude": ("l1", "global"),
    "layer magnitude": ("l1", "layer"),
    "global gradient": ("gradient_magnitude", "global"),
    "layer gradient": ("gradient_magnitude", "layer"),
}
RANDOM = "random draws"
VARIANT = "fine-tuned"


def cells(keep: Sequence[float], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields the trainings, seed by seed; the dense one of each seed first."""
    for seed in seeds:
        yield {"method": "dense", "variant": "mask", "keep": 1.0, "seed": seed}
        for fraction in keep:
            yield from ({"method": m, "variant": VARIANT, "keep": fraction, "seed": seed} for m in (*BASELINES, RANDOM))


def measured(testbed: Testbed, method: str, variant: str, keep: float, seed: int) -> dict[str, Any]:
    """Returns the results of pruning the trained network, and of half the epochs more at a tenth of the rate.

    Args:
        testbed: The testbed.
        method: One of `BASELINES`, or `RANDOM`.
        variant: `VARIANT`.
        keep: Fraction of the weights kept.
        seed: Seed of the weights, the images that are scored, and the order of those trained on.
    """
    del variant
    model = testbed.trained(seed)
    masks = chosen(model, method, keep, seed)
    row = facts(model, masks)
    testbed.fit(model, seed, masks, epochs=-(-testbed.epochs // 2), rate=testbed.rate / 10)
    return row | accuracies(model)


def chosen(model: keras.Model, method: str, keep: float, seed: int) -> dict[str, np.ndarray]:
    """Returns the masks of a baseline."""
    if method == RANDOM:
        return independent_masks(model, keep, seed=seed)
    criterion, scope = BASELINES[method]
    data, loss = scored_examples(seed), cross_entropy()
    return prune_at_init(model, criterion, keep=keep, scope=scope, data=data, loss=loss, seed=seed)
