"""A kernel of a slim model that is to be solved, beside that of the dense one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kerasprune.graph.channels import Slice
from kerasprune.reconstruction.as_linear import Linear
from kerasprune.reconstruction.layer_tail import Tail
from kerasprune.reconstruction.program import Step


@dataclass
class Kernel:
    """One kernel to be solved.

    Args:
        calls: The calls of its layer in the slim model, each with what stands behind it; `None` where another kernel
            of the layer does.
        view: The kernel.
        dense: The same kernel of the dense model.
        entry: How that follows the channels.
    """

    calls: Sequence[tuple[Step, Tail | None]]
    view: Linear
    dense: Linear
    entry: Slice

    @property
    def norms(self) -> list[Any]:
        """The BatchNorms whose means can hold the constant; none where one call has none behind it."""
        norms = [tail and tail.norm for _, tail in self.calls]
        return [] if None in norms else list(dict.fromkeys(norms))
