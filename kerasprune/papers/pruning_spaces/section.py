"""The section `space` of a recipe's pruning stage."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from kerasprune.defaults import READY
from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.learning import Training
from kerasprune.recipes.node import Criterion, Fraction, Named, PositiveFloat, PositiveInt
from kerasprune.recipes.plan_section import Traced


class Round(Training):
    """A round of `space`: a short training of some candidates, each from the weights that it was first judged with.

    Args:
        best: The number of candidates, the best so far. Defaults to all of the round before.
    """

    best: PositiveInt | None = None


class SpaceSection(AloneSection, Traced):
    """Allocations of one cost from a pruning space, see `kp.papers.spaces.sample`.

    The best on validation data is the plan.

    All are judged right after removal, as in `kp.papers.spaces.rank`; each round then trains and judges some.

    Args:
        macs: Fraction of the multiply–adds that is kept, ± `delta`. Defaults to `None`: any.
        params: Fraction of the parameters that is kept, ± `delta`. Defaults to `None`: any.
        delta: Half the width of these windows. Defaults to 0.002.
        std: Largest standard deviation of an allocation over its groups. Defaults to `None`: any.
        mcb: The window of the mean computation budget, `[least, most]`. Defaults to `None`: any.
        n: Number of allocations sampled. Defaults to 100.
        criterion: Which channels are kept; one that needs no data. Defaults to `l2`.
        judge: How slim models are prepared to be judged and trained: `removed`, not at all; `recalibrated`, new
            statistics of BatchNorm; `reconstructed`, kernels by least squares. Defaults to `recalibrated`.
        samples: Training examples for this preparation. Defaults to 1000.
        rounds: Short trainings, of fewer and fewer candidates. Defaults to none.
    """

    judged: ClassVar[bool] = True

    macs: Fraction | None = None
    params: Fraction | None = None
    delta: Fraction = 0.002
    std: PositiveFloat | None = None
    mcb: tuple[PositiveFloat, ...] | None = None
    n: PositiveInt = 100
    criterion: Criterion = Named(name="l2")
    judge: Literal[READY] = "recalibrated"  # type: ignore[valid-type]
    samples: PositiveInt = 1000
    rounds: tuple[Round, ...] = ()

    @property
    def trained(self) -> list[int]:
        """How many candidates each round trains."""
        asked = (one.best for one in self.rounds)
        return list(accumulate(asked, lambda before, best: best or before, initial=self.n))[1:]

    @model_validator(mode="after")
    def _narrowing(self) -> SpaceSection:
        if self.macs is None and self.params is None:
            raise ValueError("Expected macs, params or both")
        if self.mcb is not None and (len(self.mcb) != 2 or self.mcb[0] >= self.mcb[1]):
            raise ValueError(f"Expected mcb: [least, most]. Received: {list(self.mcb)}")
        numbers = [self.n, *self.trained]
        if numbers != sorted(numbers, reverse=True):
            raise ValueError(f"Expected rounds of fewer and fewer candidates. Received: {numbers[1:]} of n={self.n}")
        return self

    @classmethod
    def trainings(cls, section: Mapping[str, Any]) -> list[str]:
        rounds = section.get("rounds", ())
        return [f"{one['epochs']} for each of {one.get('best', section['n'])} recipes" for one in rounds]

    def faults(self, key: str, *, reconstructs: bool) -> list[str]:
        if not self.rounds or (self.judge == "reconstructed") == reconstructs:
            return []
        return [
            f"Expected reconstruct if {key}.judge is reconstructed, and only then, so that the best candidate is "
            f"trained from the weights that it was judged with. Received: judge: {self.judge}"
        ]

    def least(self) -> Self:
        rounds = tuple(one.one_epoch().model_copy(update={"best": 1}) for one in self.rounds)
        return self.model_copy(update={"n": 2, "rounds": rounds})
