"""The pruning stage of a recipe: a plan, a callback, both, or a section that decides alone."""

from __future__ import annotations

from typing import Literal

from pydantic import create_model, model_validator

from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.learning import Optimizer, Regularised
from kerasprune.recipes.node import Callback, PositiveInt
from kerasprune.recipes.plan_section import PlanStep
from kerasprune.recipes.registry import prune_sections

SECTIONS: dict[str, type[AloneSection]] = {name: prune_sections.member(name) for name in prune_sections}
"""Sections that decide by themselves which channels are kept; papers bring them."""
OF_THE_FIT = ("epochs", "steps", "optimizer", "batch", "l2", "l2_on", "label_smoothing")
"""Keys of the fit with a callback."""


class Decision(Regularised):
    """What may decide together which channels are kept."""

    plan: PlanStep | None = None
    callback: Callback | None = None


_Decisions = create_model(
    "_Decisions", __base__=Decision, **{name: (one | None, None) for name, one in SECTIONS.items()}
)


class Prune(_Decisions):  # type: ignore[valid-type, misc]
    """The pruning stage: a plan, a callback that prepares the model during `fit`, or both; or a section of its own.

    Sections of their own, most of them of published systems, decide by themselves which channels or weights are kept.

    Without `epochs` and `steps` the fit is as long as the callback's schedule. It begins with the weights of the dense
    model, or with `weights: fresh` with its initial ones.
    """

    weights: Literal["trained", "fresh"] = "trained"
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    optimizer: Optimizer | None = None
    batch: PositiveInt | None = None

    @property
    def section(self) -> str | None:
        """The name of the section that decides alone, or `None`."""
        return next((name for name in SECTIONS if getattr(self, name) is not None), None)

    @property
    def alone(self) -> AloneSection | None:
        """The section that decides alone, or `None`."""
        return None if self.section is None else getattr(self, self.section)

    @property
    def untrained(self) -> bool:
        """Whether the slim model begins with random weights."""
        return self.alone is not None and self.alone.untrained

    @property
    def judged(self) -> bool:
        """Whether slim models are judged on validation examples."""
        return self.alone is not None and self.alone.judged

    @model_validator(mode="after")
    def _complete(self) -> Prune:
        sections = [name for name in ("plan", "callback", *SECTIONS) if getattr(self, name) is not None]
        if not sections:
            others = f"; or one of {', '.join(SECTIONS)}" if SECTIONS else ""
            raise ValueError(f"Expected a plan, a callback, or both{others}")
        if self.section and len(sections) > 1:
            beside = ", ".join(name for name in sections if name != self.section)
            raise ValueError(f"Expected no other key with {self.section}, which decides alone. Received: {beside}")
        if self.callback is not None and self.optimizer is None:
            raise ValueError("Expected an optimizer for the callback")
        idle = self.changed(OF_THE_FIT)
        if self.callback is None and idle:
            raise ValueError(
                "Expected a callback with keys of a fit, since without one this stage trains nothing (the slim model "
                f"is trained by finetune). Received: {', '.join(idle)}"
            )
        if self.epochs is not None and self.steps is not None:
            raise ValueError("Expected either epochs or steps")
        if self.weights == "fresh" and (self.callback is None or self.plan is not None):
            raise ValueError("Expected a callback and no plan with weights: fresh, since there is nothing to judge yet")
        return self
