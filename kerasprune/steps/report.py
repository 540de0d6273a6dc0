"""The record of a pruning: a model after every step, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class StepReport:
    """A model after a step, and how good it is.

    Args:
        name: `"dense"`, `"removed"`, `"reconstructed"` or `"fine-tuned"`.
        error: Of its outputs beside the dense model's: 0 = the same, 1 = no better than a constant. `None`
            without data.
        metrics: Loss and metrics, if there are labels and a loss.
    """

    name: str
    error: float | None
    metrics: Mapping[str, float]

    def is_further_than(self, other: StepReport) -> bool:
        """Returns whether its outputs are further from the dense model's than those of another."""
        return None not in (self.error, other.error) and not self.error <= other.error

    def __str__(self) -> str:
        """Returns what was measured in a line; empty if nothing was."""
        found = {**({} if self.error is None else {"error of the outputs": self.error}), **self.metrics}
        measured = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        return f"{self.name}: {measured}" if measured else ""


def accuracy_of(metrics: Mapping[str, float]) -> float | None:
    """Returns the first metric that is an accuracy, or `None`."""
    return next((value for name, value in metrics.items() if "acc" in name), None)


def worth(metrics: Mapping[str, float]) -> float:
    """Returns how good a model is by its labels, higher = better: its accuracy, or else minus its loss; −∞ for NaN."""
    accuracy = accuracy_of(metrics)
    found = -metrics["loss"] if accuracy is None else accuracy
    return float(found) if isfinite(found) else float("-inf")


@dataclass(frozen=True)
class PruningReport:
    """The record of a pruning.

    Args:
        steps: The models on the way.
        macs: Fraction of the multiply–adds kept.
        params: Fraction of the parameters kept.
        removed: Blocks that were dropped whole. Defaults to none.
        verified: The largest relative difference between the slim model and the masked dense model right after
            removal. Defaults to `None`: not verified.
    """

    steps: tuple[StepReport, ...]
    macs: float
    params: float
    removed: tuple[str, ...] = ()
    verified: float | None = None

    def __str__(self) -> str:
        """Returns a line for each step."""
        lines = [f"kept: {self.macs:.3f} of the multiply–adds, {self.params:.3f} of the parameters"]
        lines += [f"dropped whole: {', '.join(self.removed)}"] if self.removed else []
        lines += [] if self.verified is None else [f"verified: {self.verified:.1e} from the masked model"]
        return "\n".join([*lines, *filter(None, map(str, self.steps))])
