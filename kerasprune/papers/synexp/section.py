"""The section `precrop` of a recipe's pruning stage."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from kerasprune.defaults import COUPLINGS
from kerasprune.errors import Key, PruneError
from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.node import Fraction
from kerasprune.recipes.plan_section import Traced


class PreCrop(AloneSection, Traced):
    """Widths of an untrained network, see `kp.papers.precrop`: the slim model begins with new random weights.

    Args:
        params: Fraction of the parameters that is kept, met as nearly as whole channels allow. Defaults to `None`: no
            target.
        macs: Fraction of the multiply–adds that is kept, likewise. Defaults to `None`: no target.
        coupling: As for a plan. Defaults to `padded`.
    """

    untrained: ClassVar[bool] = True

    params: Fraction | None = None
    macs: Fraction | None = None
    coupling: Literal[COUPLINGS] = "padded"  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _some_budget(self) -> PreCrop:
        if self.params is None and self.macs is None:
            raise PruneError("Expected ", Key("params"), ", ", Key("macs"), " or both")
        return self
