"""Why do masks at initialisation fall short of those after training? Masks as they are, and their ablations.

Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR 2021, Figures 3 and 4,
Appendix H.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from kerasprune import criteria
from kerasprune.models.sets.digits import Examples
from kerasprune.papers.lottery_tickets.ablations import Inverted, shuffle_masks
from kerasprune.papers.lottery_tickets.testbed import (
    SMALL,
    DigitsTestbed,
    Masks,
    Rows,
    accuracies,
    by_seed,
    cross_entropy,
    fractions,
    gradient_norm,
    macs_left,
    paired_differences,
    scored_examples,
)
from kerasprune.recipes.reproductions.entry import Claim, Row, TrainingEntry
from kerasprune.surgery.fresh_weights import reinitialise
from kerasprune.training.sparsity.at_initialisation import prune_at_init
from kerasprune.training.sparsity.report import sparsity_report

AFTER = "magnitude after training"
CRITERIA: dict[str, Any] = {
    "snip": {"name": "snip", "training": True},
    "grasp": {"name": "grasp", "temperature": 200.0, "training": True},
    "abs_grasp": {"name": "abs_grasp", "temperature": 200.0, "training": True},
    "synflow": "synflow",
    "magnitude at init": "l1",
    AFTER: "l1",
}
VARIANTS = ("mask", "shuffled", "reinitialised", "inverted")
HARMLESS, HARMFUL = "no lower", "lower"
ABLATIONS = {
    **dict.fromkeys(("snip", "synflow", "magnitude at init"), (HARMLESS, HARMLESS, HARMFUL)),
    "grasp": (HARMLESS, HARMLESS, HARMLESS),
    AFTER: (HARMFUL, HARMFUL),
}
"""What the paper says that shuffling, other weights and inversion do (section 5; Appendix F for pruning afterwards)."""


def cells(keep: Sequence[float], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yields the trainings, seed by seed; the dense one of each seed first."""
    for seed in seeds:
        yield {"method": "dense", "variant": "mask", "keep": 1.0, "seed": seed}
        for fraction in keep:
            names = [("random", "mask"), *((method, variant) for method in CRITERIA for variant in VARIANTS)]
            yield from ({"method": m, "variant": v, "keep": fraction, "seed": seed} for m, v in names)


def measured(testbed: DigitsTestbed, method: str, variant: str, keep: float, seed: int) -> dict[str, Any]:
    """Returns the results of one training.

    Args:
        testbed: The testbed.
        method: One of `CRITERIA`, `"random"` or `"dense"`.
        variant: One of `VARIANTS`.
        keep: Fraction of the weights kept.
        seed: Seed of the weights, the images that are scored, and the order of those trained on.
    """
    if method == "dense":
        return accuracies(testbed.trained(seed))
    model = testbed.trained(seed) if method == AFTER else testbed.network(seed)
    data = scored_examples(seed)
    masks = chosen(model, method, variant, keep, seed, data)
    row = facts(model, masks)
    if variant == "mask":
        row["gradient_norm"] = round(gradient_norm(model, masks, data), 4)
    if variant == "reinitialised":
        model = reinitialise(model, seed=1000 + seed)
    testbed.fit(model, seed, masks)
    return row | accuracies(model)


def chosen(
    model: keras.Model, method: str, variant: str, keep: float, seed: int, data: list[Examples]
) -> dict[str, np.ndarray]:
    """Returns the masks of a method, shuffled or inverted in these variants."""
    criterion = criteria.get(CRITERIA.get(method, method))
    if variant == "inverted":
        criterion = Inverted(criterion)
    rounds = 100 if method == "synflow" else 1
    masks = prune_at_init(model, criterion, keep=keep, rounds=rounds, data=data, loss=cross_entropy(), seed=seed)
    return shuffle_masks(masks, seed=seed) if variant == "shuffled" else masks


def facts(model: keras.Model, masks: Masks) -> dict[str, Any]:
    """Returns weights kept, how many of them are detached, the fraction of multiply–adds, and the layers' densities."""
    report = sparsity_report(model, masks)
    densities = " ".join(f"{layer.kept / layer.size:.4g}" for layer in report.layers)
    detached, macs = report.kept - report.attached, round(macs_left(model, masks), 5)
    return {"kept": report.kept, "detached": detached, "macs": macs, "densities": densities}


@TrainingEntry
def missing_the_mark(keep: Sequence[float] = (0.05,), seeds: Sequence[int] = (0, 1, 2), epochs: int = 20) -> list[Row]:
    """Masks shuffled, re-initialised and inverted (ICLR 2021, figures 3 and 4); trains 78 networks, in 20 minutes.

    Differences in points of accuracy by seed: three seeds of ResNet-8 on 500 digits, a twentieth of the weights kept.
    Six fractions: `benchmarks/at_initialisation.py`.

    Reference:
        Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR 2021, figures 3
        and 4, Appendix H.
    """
    with TemporaryDirectory() as folder:
        testbed = DigitsTestbed(epochs=epochs, folder=Path(folder))
        return verdicts([cell | measured(testbed, **cell) for cell in cells(keep, seeds)])


def verdicts(rows: Rows) -> list[Row]:
    """Returns the statements of the paper, judged at every fraction that three seeds have."""
    found = (statement for keep in fractions(rows) for statement in _statements(rows, keep))
    return [Claim(*statement, SMALL) for statement in found if len(statement[2]) > 2]


def _statements(rows: Rows, keep: float) -> Iterator[tuple[str, str, list[float]]]:
    """Yields differences, what the paper says of them, and ours by seed."""
    found = {method: by_seed(rows, keep, method) for method in ("random", *CRITERIA)}
    early = [method for method in CRITERIA if method not in (AFTER, "abs_grasp")]
    pairs = [*((method, "random") for method in early), *((AFTER, method) for method in early), ("abs_grasp", "grasp")]
    for one, other in pairs:
        yield f"{keep:.0%}: {one} less {other}", "higher", paired_differences(found[one], found[other])
    for method, claims in ABLATIONS.items():
        for variant, claim in zip(VARIANTS[1:], claims, strict=False):
            changed = by_seed(rows, keep, method, variant)
            yield f"{keep:.0%}: {method}, {variant} less as it is", claim, paired_differences(changed, found[method])
