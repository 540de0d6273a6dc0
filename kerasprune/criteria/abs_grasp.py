"""The magnitude of GraSP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kerasprune.criteria.grasp import GraSP


@dataclass(frozen=True)
class AbsGraSP(GraSP):
    """`s = |θ ⊙ (H g)|`: what the norm of the gradient feels least goes first. Arguments as for `GraSP`.

    Reference:
        Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, arXiv 2009.08576,
        section 5 and appendix.
    """

    def reduced(self, total: Any) -> Any:
        """Returns the magnitude."""
        return abs(total)
