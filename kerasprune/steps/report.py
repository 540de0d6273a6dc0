"""The report of a pruning: error and metrics of the model after every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from kerasprune.surgery.output_distance import OutputDistance, lack_of_variance, worst_of
from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class StepReport:
    """Error and metrics of a model after a step.

    Args:
        name: `"dense"`, `"removed"`, `"reconstructed"` or `"fine-tuned"`.
        error: Relative error of its outputs with respect to the dense model: 0 = the same, 1 = no better than a
            constant, see `error_of_quantities`. `None` without data.
        metrics: Loss and metrics, if there are labels and a loss.
        epoch: The best epoch of fine-tuning, whose weights these are. Defaults to `None`.
        balanced: Fraction of the examples of the same class as by the dense model, as the mean over its classes; of
            several outputs of classes, of the worst. Defaults to `None`: no output is classes.
        outputs: The distance of each output from the dense model's. Defaults to none.
    """

    name: str
    error: float | None
    metrics: Mapping[str, float]
    epoch: int | None = None
    balanced: float | None = None
    outputs: tuple[OutputDistance, ...] = ()

    def is_further_than(self, other: StepReport) -> bool:
        """Returns whether its error is larger than that of another."""
        return None not in (self.error, other.error) and not self.error <= other.error

    @property
    def unjudged(self) -> str:
        """Why the error says nothing; empty if it does."""
        return lack_of_variance(self.outputs) if self.outputs else ""

    def __str__(self) -> str:
        """Returns the measurements in a line; empty if there are none."""
        said = self.unjudged or self.error is not None and f"{self.error:.4g}{worst_of(self.outputs, self.error)}"
        errors = [f"error of the outputs {said}"] * bool(said)
        measured = ", ".join([*errors, *(f"{name} {value:.4g}" for name, value in self.metrics.items())])
        if not self.metrics and (len(self.outputs) > 1 or any(each.classes or each.numbers for each in self.outputs)):
            measured = "; ".join([measured, *map(str, self.outputs)])
        name = self.name if self.epoch is None else f"{self.name}, epoch {self.epoch}"
        return f"{name}: {measured}" if measured else ""


def accuracy_of(metrics: Mapping[str, float]) -> float | None:
    """Returns the first metric that is an accuracy, or `None`."""
    return next((value for name, value in metrics.items() if "acc" in name), None)


BALANCED = "balanced agreement"
"""The measure of outputs of classes without labels."""

_ONE = 1.5  # examples, between one and two, of which accuracies are multiples
_TIE = 1e-9  # less than one example moves the mean over classes


@dataclass(frozen=True)
class Measure:
    """The figure that compares models.

    Args:
        name: A key of the metrics, of which the loss breaks ties; `"error"`; or `BALANCED`, of which the divergence
            breaks them.
        higher: Whether more is better. Defaults to `False`.
        example: Share of one example in an accuracy, a difference that nothing can be told from. Defaults to 0.
    """

    name: str
    higher: bool = False
    example: float = 0.0

    def of(self, step: StepReport) -> float | None:
        """Returns the figure of a step; `None` if it was not measured, NaN if the loss is NaN."""
        # Outputs of NaN have an accuracy, and choose a class, all the same.
        if isnan(step.metrics.get("loss", 0.0)) or not isfinite(step.error or 0.0):
            return float("nan")
        return {"error": step.error, BALANCED: step.balanced}.get(self.name, step.metrics.get(self.name))

    def worth(self, step: StepReport) -> float:
        """Returns the value of a step, higher = better; −∞ if the figure is missing or not finite."""
        if self.name == BALANCED and step.balanced is None:  # of too few examples
            return Measure("error").worth(step)
        found = self.of(step)
        if found is None or not isfinite(found):
            return float("-inf")
        if self.name == BALANCED:
            tie = min(sum(each.divergence for each in step.outputs), 1.0)
        else:
            loss = step.metrics.get("loss", 0.0)
            tie = loss / (1 + abs(loss))
        return float(found if self.higher else -found) - _TIE * tie

    def best(self, steps: Sequence[StepReport]) -> StepReport:
        """Returns the best step, the earlier of equals; of accuracies at most one example apart that of the least loss.

        Of two models that differ in b and c examples, `|b − c|` has a standard error of `√(b + c)` (McNemar): one
        example is never more than that, whatever the others are.
        """
        best = max(steps, key=self.worth)
        near = [each for each in steps if self.worth(each) >= self.worth(best) - _ONE * self.example]
        return min(near, key=lambda each: each.metrics.get("loss", 0.0)) if self.example else best

    def remarks(self, before: StepReport, after: StepReport) -> list[str]:
        """Returns a remark if a step has made the model worse, by four digits."""
        if self.worth(after) >= self.worth(before) or self.best([after, before]) is after:
            return []
        if self.name == BALANCED and after.balanced is None:
            return Measure("error").remarks(before, after)
        was, now = (f"{self.of(each):.4g}" for each in (before, after))
        if was == now:
            return Measure("error").remarks(before, after) if self.name == BALANCED else []
        name = "error of the outputs" if self.name == "error" else self.name
        return [f"{after.name} is worse than {before.name}: {name} {was} → {now}"]


def useless(step: StepReport) -> list[str]:
    """Returns a remark if outputs are so far from the dense model's that, without labels, nothing speaks for a step."""
    far = () if step.metrics else [each for each in step.outputs if each.useless]
    said = ", ".join(f"{each.name} {each.error:.2g}" for each in far)
    advice = "fine-tune (longer, or at another rate) or keep more"
    return [f"useless as it is, {advice}: error {said}, where 1 is no better than a constant"] * bool(far)


_FREE = 0.005  # error of the outputs before any training, of which more than was asked could go
_STAYS = 0.8  # of multiply–adds and parameters both, where at most so much of the channels was to be kept


def hint(asked: float | None, kept: Mapping[str, float], steps: Sequence[StepReport]) -> list[str]:
    """Returns the advice of a pruning where it is clear; nothing else says that another way would give more.

    Args:
        asked: The fraction of the channels that was to be kept, if one was.
        kept: Shares of `"macs"` and `"params"` that are kept.
        steps: The steps so far.
    """
    least = min(kept["macs"], kept["params"])
    if asked is not None and asked <= _STAYS < least:
        return [
            f"{least:.0%} of the model or more is in layers that keep their channels: quantization gives more, see "
            "kp.advise"
        ]
    solved = [each.error for each in steps if each.name == "reconstructed" and not each.unjudged]
    if least <= _STAYS and any(each is not None and each <= _FREE for each in solved):
        return ["nearly free: the outputs hardly differed before any training; kp.smallest finds how much can go"]
    return []


_NOTICED = 0.01  # relative difference from which two models are not called equal
UNVERIFIED = "not verified: the slim model was not compared with the masked model"


def line_of_verification(error: float, reason: str = "") -> str:
    """Returns a line on the comparison of the slim model with the masked dense model.

    Args:
        error: Their largest relative difference; NaN if the dense model draws at random.
        reason: Why they differ by more than rounding. Defaults to `""`: they do not.

    Example:
        >>> line_of_verification(0.0067, "folding constants at padded borders")
        'verified: equal to the masked model; folding constants at padded borders moves outputs by up to 6.7e-03'
        >>> line_of_verification(0.56, "folding constants at padded borders").partition(":")[0]
        'verified, but not equal to the masked model'
    """
    if isnan(error):
        return "verified: the predicted cost; outputs are random, so they are not compared"
    moved = f"{reason} moves outputs by up to {error:.1e}"
    if reason and error > _NOTICED:
        return f"verified, but not equal to the masked model: {moved}; with kp.rebuild(…, absorb=False) nothing moves"
    return "verified: equal to the masked model" + (f"; {moved}" if reason else "")


@dataclass(frozen=True)
class PruningReport(Shown):
    """The report of `kp.prune`.

    Args:
        steps: The steps in order.
        macs: Fraction of the multiply–adds kept.
        params: Fraction of the parameters kept.
        removed: Blocks that were removed. Defaults to none.
        verified: The largest relative difference between the slim model and the masked dense model right after
            removal; NaN if the dense model's outputs are random. Defaults to `None`: not verified.
        delivered: The name of the step whose model is delivered, after fine-tuning. Defaults to `""`.
        remarks: Further remarks. Defaults to none.
        reason: Why the two models differ by more than rounding, found by `kp.verify`. Defaults to `""`: they do not.
        target: A line on the time or the size that was asked for. Defaults to `""`: none.
    """

    steps: tuple[StepReport, ...]
    macs: float
    params: float
    removed: tuple[str, ...] = ()
    verified: float | None = None
    delivered: str = ""
    remarks: tuple[str, ...] = ()
    reason: str = ""
    target: str = ""

    def __str__(self) -> str:
        """Returns a line for each step; the delivered one is marked."""
        kept = f"kept: {self.macs:.3f} of the multiply–adds, {self.params:.3f} of the parameters"
        steps = (
            f"{step} (delivered)" if step.name == self.delivered else str(step) for step in filter(str, self.steps)
        )
        return "\n".join([kept, *self._of_removal(), *steps, *self.remarks])

    def _shown(self) -> list[Part]:
        kept = ("multiply–adds", self.macs), ("parameters", self.params)
        shares = Table(
            ("", "kept"), [(name, f"{share:.1%}") for name, share in kept], bars={1: [share for _, share in kept]}
        )
        names = list(dict.fromkeys(name for step in self.steps for name in step.metrics))
        rows = [
            (
                f"{step.name if step.epoch is None else f'{step.name}, epoch {step.epoch}'}",
                *("–" if step.metrics.get(name) is None else f"{step.metrics[name]:.4g}" for name in names),
                step.unjudged or ("–" if step.error is None else f"{step.error:.4g}"),
                "delivered" if step.name == self.delivered else "",
            )
            for step in filter(str, self.steps)
        ]
        header = ("", *names, "error of the outputs", "")
        return [shares, Table(header, rows, left=(0, len(header) - 1)), *self._of_removal(), *self.remarks]

    def _of_removal(self) -> list[str]:
        lines = [self.target] if self.target else []
        lines += [f"dropped whole: {', '.join(self.removed)}"] if self.removed else []
        return [*lines, UNVERIFIED if self.verified is None else line_of_verification(self.verified, self.reason)]
