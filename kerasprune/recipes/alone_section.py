"""What a section of the pruning stage that decides alone says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, Self

from kerasprune.recipes.node import Node
from kerasprune.registry import import_address


class AloneSection(Node):
    """A section that decides by itself which channels, or which weights, are kept: so a published system joins recipes.

    `BRINGS["prune_sections"]` of its folder names it. It says here what a recipe needs to know before anything runs;
    the file beside it that is called `stage` where this one is called `section` does the work.
    """

    untrained: ClassVar[bool] = False
    """Whether the slim model begins with random weights."""
    trained: ClassVar[str] = ""
    """The name of the trained slim model that the section leaves in the run folder; empty if `finetune` trains it."""
    judged: ClassVar[bool] = False
    """Whether slim models are judged on validation examples."""

    @property
    def untaught(self) -> str:
        """Why the slim model can be neither reconstructed nor distilled from the dense one; empty if it can."""
        return "whose slim model is untrained" if self.untrained else ""

    @classmethod
    def stage(cls) -> ModuleType:
        """Returns the module with `choose(run, model, section)`, the plan, and `rehearse`, its checks in advance.

        If `choose` saves masks of single weights, it returns no plan.
        """
        return import_address(f"{cls.__module__.removesuffix('section')}stage")

    @classmethod
    def trainings(cls, section: Mapping[str, Any]) -> list[str]:
        """Returns the epochs of the section's trainings, such as `"30 of a PruningNet"`.

        Args:
            section: The section as plain data, as it stands in the file of a recipe.
        """
        return []

    def faults(self, key: str, *, reconstructs: bool) -> list[str]:
        """Returns the faults of the section beside the other stages.

        Args:
            key: The key of the section, such as `"prune.mine"`.
            reconstructs: Whether the recipe has a stage `reconstruct`.
        """
        return []

    def least(self) -> Self:
        """Returns the section of a smoke run: the least that it may ask for, its trainings of one epoch."""
        return self
