"""The section `one_dimension` of a recipe's pruning stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from kerasprune.papers.three_dimensional.section import BlockCriterion
from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.node import Criterion, Fraction, Named


class OneDimensionSection(AloneSection):
    """Depth, width or resolution alone, the control of `three_dimensions`; the arguments of `kp.papers.one_dimension`.

    Args:
        dimension: `depth`, `width` or `resolution`.
        macs: Fraction of the multiply–adds that is kept, met as nearly as networks can be built.
        channels: Criterion of channels. Defaults to `bn_scale`.
        blocks: Criterion of blocks. Defaults to `discrimination`.
        blocks_judged_on: As for `three_dimensions`. Defaults to `validation`.
    """

    judged: ClassVar[bool] = True

    dimension: Literal["depth", "width", "resolution"]
    macs: Fraction
    channels: Criterion = Named(name="bn_scale")
    blocks: BlockCriterion = Named(name="discrimination")
    blocks_judged_on: Literal["train", "validation"] = "validation"

    @property
    def untaught(self) -> str:
        return "whose slim model takes other inputs than the dense one" if self.dimension == "resolution" else ""
