"""The section `three_dimensions` of a recipe's pruning stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator

from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.learning import Fit
from kerasprune.recipes.node import Criterion, Fraction, Named, PositiveInt, member_of

BlockCriterion = member_of("block criterion")


class ThreeDimensionsSection(AloneSection):
    """Depth, width and resolution chosen by a fitted model of accuracy; the arguments of `kp.papers.three_dimensions`.

    Args:
        macs: Fraction of the multiply–adds that is kept, or of the volume.
        min_macs: Least fraction of the multiply–adds of the measured networks. Defaults to `macs`.
        constraint: `macs`, those of the networks that can be built, or `volume`, d·w²·r². Defaults to `macs`.
        rounds: Networks that are measured along each dimension. Defaults to 4.
        rank: R of the model of accuracy. Defaults to 1.
        degree: K, or three of them, of depth, width and resolution, e.g. `[2, 3, 3]`. Defaults to 3.
        channels: Criterion of channels. Defaults to `bn_scale`.
        blocks: Criterion of blocks, e.g. `{name: discrimination, samples_per_class: 50}`. Defaults to `discrimination`.
        blocks_judged_on: Images on which the blocks' classifiers, fitted on training images, are evaluated:
            `validation`, or `train`, a held-out part of the training images. Defaults to
            `validation`.
        training: Training of every measured network.
    """

    judged: ClassVar[bool] = True

    macs: Fraction
    min_macs: Fraction | None = None

    constraint: Literal["macs", "volume"] = "macs"
    rounds: PositiveInt = 4
    rank: PositiveInt = 1
    degree: PositiveInt | tuple[PositiveInt, ...] = 3
    channels: Criterion = Named(name="bn_scale")
    blocks: BlockCriterion = Named(name="discrimination")
    blocks_judged_on: Literal["train", "validation"] = "validation"
    training: Fit

    @field_validator("degree")
    @classmethod
    def _one_or_three(cls, degree: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(degree, tuple) and len(degree) != 3:
            raise ValueError("Expected one degree, or three, of depth, width and resolution")
        return degree

    @property
    def untaught(self) -> str:
        return "whose slim model takes other inputs than the dense one"

    @classmethod
    def trainings(cls, section: Mapping[str, Any]) -> list[str]:
        return [f"{section['training']['epochs']} for every measured network"]

    def least(self) -> Self:
        small = {"rounds": 1, "rank": 1, "degree": 1}  # needs four networks
        return self.model_copy(update={**small, "training": self.training.one_epoch()})
