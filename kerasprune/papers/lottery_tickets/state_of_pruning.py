"""Five baselines of pruning after training, over size and over theoretical speed-up.

Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from kerasprune.papers.lottery_tickets.missing_the_mark import facts
from kerasprune.papers.lottery_tickets.testbed import (
    SMALL,
    DigitsTestbed,
    Rows,
    accuracies,
    by_seed,
    cross_entropy,
    fractions,
    paired_differences,
    scored_examples,
)
from kerasprune.recipes.reproductions.entry import Claim, Row, TrainingEntry
from kerasprune.training.sparsity.at_initialisation import prune_at_init
from kerasprune.training.sparsity.at_random import independent_masks

BASELINES: dict[str, tuple[str, str]] = {
    "global magnitude": ("l1", "global"),
    "layer magnitude": ("l1", "layer"),
    "global gradient": ("gradient_magnitude", "global"),
    "layer gradient": ("gradient_magnitude", "layer"),
}
RANDOM = "random draws"
VARIANT = "fine-tuned"
SPEEDUPS = (6, 12, 24)
"""Theoretical speed-ups at which methods are compared."""


def cells(keep: Sequence[float], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields the trainings, seed by seed; the dense one of each seed first."""
    for seed in seeds:
        yield {"method": "dense", "variant": "mask", "keep": 1.0, "seed": seed}
        for fraction in keep:
            yield from ({"method": m, "variant": VARIANT, "keep": fraction, "seed": seed} for m in (*BASELINES, RANDOM))


def measured(testbed: DigitsTestbed, method: str, variant: str, keep: float, seed: int) -> dict[str, Any]:
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


@TrainingEntry
def state_of_pruning(
    keep: Sequence[float] = (0.2, 0.1, 0.05, 0.02), seeds: Sequence[int] = (0, 1, 2), epochs: int = 20
) -> list[Row]:
    """Five baselines at equal size and speed-up (MLSys 2020, figures 6 and 7); trains 63 networks, in 15 minutes.

    Differences in points of accuracy by seed: three seeds of ResNet-8 on 500 digits, four fractions kept. Six
    fractions: `benchmarks/at_initialisation.py`.

    Reference:
        Blalock et al., What is the State of Neural Network Pruning?, MLSys 2020, figures 6 and 7.
    """
    with TemporaryDirectory() as folder:
        testbed = DigitsTestbed(epochs=epochs, folder=Path(folder))
        trained = (cell for cell in cells(keep, seeds) if cell["method"] != "dense")
        return verdicts([cell | measured(testbed, **cell) for cell in trained])


def verdicts(rows: Rows) -> list[Row]:
    """Returns the statements of the paper, judged at every size and speed-up that three seeds have."""
    found = [
        (f"{keep:.0%}: {what}", claim, paired_differences(*(by_seed(rows, keep, each, VARIANT) for each in pair)))
        for keep in fractions(rows)
        for what, pair, claim in _statements("higher")
    ]
    found += [
        (f"{speedup}× faster: {what}", claim, paired_differences(*(at_speedup(rows, each, speedup) for each in pair)))
        for speedup, (what, pair, claim) in product(SPEEDUPS, _statements("lower")[:2])
    ]
    return [Claim(*statement, SMALL) for statement in found if len(statement[2]) > 2]


def _statements(of_global: str) -> list[tuple[str, tuple[str, str], str]]:
    """Returns pairs of methods, and how the first compares with the second: Figure 6, then ResNet-56 of Figure 7."""
    pairs = {
        ("global magnitude", "layer magnitude"): of_global,
        ("global gradient", "layer gradient"): of_global,
        ("global gradient", "global magnitude"): "lower",
        ("global gradient", "layer magnitude"): "lower",
    }
    return [(" less ".join(pair), pair, claim) for pair, claim in pairs.items()]


def at_speedup(rows: Rows, method: str, speedup: float) -> dict[int, float]:
    """Returns the test accuracy at a theoretical speed-up by seed: on the line over the logarithm of multiply–adds.

    Seeds of which all networks are faster, or all slower, are left out.
    """
    found = {}
    for seed in dict.fromkeys(row["seed"] for row in rows):
        points = sorted(
            (row["macs"], row["test"])
            for row in rows
            if (row["method"], row["variant"], row["seed"]) == (method, VARIANT, seed)
        )
        macs, tests = np.array(points).reshape(-1, 2).T
        if len(macs) and macs[0] <= 1 / speedup <= macs[-1]:
            found[seed] = float(np.interp(-np.log(speedup), np.log(macs), tests))
    return found
