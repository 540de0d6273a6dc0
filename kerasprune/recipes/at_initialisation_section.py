"""The section `at_initialisation` of a recipe's pruning stage."""

from __future__ import annotations

from typing import ClassVar, Self

from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.node import Criterion, Fraction, PositiveInt


class AtInitialisation(AloneSection):
    """Masks of single weights before training, see `kp.prune_at_init`; `finetune` trains what they leave.

    Args:
        criterion: Which weights matter: one that scores single weights, as `snip`, `grasp` and `synflow` do.
        keep: Fraction kept of the weights of all kernels.
        rounds: Rounds of scoring; 100 for SynFlow. Defaults to 1.
        samples: Training examples that are scored, as one batch, if the criterion needs some. Defaults to 128.
        freeze: Name of a layer, or a wildcard, that is kept whole and not counted. Defaults to none.
    """

    untrained: ClassVar[bool] = True

    criterion: Criterion
    keep: Fraction
    rounds: PositiveInt = 1
    samples: PositiveInt = 128
    freeze: tuple[str, ...] = ()

    def least(self) -> Self:
        return self.model_copy(update={"rounds": min(self.rounds, 2), "samples": min(self.samples, 8)})
