"""The report of a search for the smallest allowed model, and the curve of the figure over the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

from kerasprune.checks import proper_fraction_faults
from kerasprune.errors import raise_faults
from kerasprune.files.figure import Drawn
from kerasprune.tables import Part, Shown, Table


@dataclass(frozen=True)
class Tried:
    """A model that a search has made and judged.

    Args:
        share: Share of the dense model's cost.
        macs: Share of the multiply–adds.
        params: Share of the parameters.
        figure: The figure whose drop decides: of several the one whose bound is nearest to its limit, or beyond it.
        value: The figure of the model.
        dense: That of the dense model.
        drop: By how much it is worse than the dense model's.
        error: The standard error of the drop.
        bound: What the drop is at most, by the confidence.
        allowed: Whether the model may be delivered.
        seconds: What it took.
        note: Why it ended early, or is refused in spite of its bound. Defaults to `""`.
        stopped: Whether its training ended early. Defaults to `False`.
        relative: Whether the drop is a fraction of the dense model's figure. Defaults to `False`.
        first: The least drop of the first figure by the end of the first epoch. Defaults to `None`: not known.
    """

    share: float
    macs: float
    params: float
    figure: str
    value: float
    dense: float
    drop: float
    error: float
    bound: float
    allowed: bool
    seconds: float
    note: str = ""
    stopped: bool = False
    relative: bool = False
    first: float | None = None

    def __str__(self) -> str:
        """Returns the share, the figure and the verdict."""
        verdict = "allowed" if self.allowed else "too much"
        drop = f"{self.drop:+.3g} ± {self.error:.2g}, at most {self.bound:.3g}"
        note = self.note and f", {self.note}"
        return f"{self.share:.3f} kept, {self.figure} {self.value:.4g}, drop {drop}: {verdict}{note}"


@dataclass(frozen=True)
class CostCurve(Drawn):
    """The figure over the cost, at the models that were tried.

    Args:
        cost: What `share` is a share of: `"macs"`, `"params"`, `"time"` or `"bytes"`.
        points: The models.
        limit: The largest drop.
        relative: Whether drops are fractions of the dense model's figure.
        chosen: The place of the delivered model in the points; `None` if none is allowed.
    """

    height: ClassVar[float] = 3.4
    cost: str
    points: Sequence[Tried]
    limit: float
    relative: bool
    chosen: int | None

    def at(self, **share: float) -> float:
        """Returns the drop at a share of the cost, `curve.at(macs=0.3)`, linear in its logarithm between two models.

        The drop of the dense model is 0; below the smallest model it is that of the smallest.

        Raises:
            PruneError: The share is not one of the curve's cost, or not between 0 and 1.

        Example:
            >>> tried = Tried(0.25, 0.25, 0.3, "accuracy", 0.86, 0.9, 0.04, 0.01, 0.05, False, 60.0)
            >>> round(CostCurve("macs", [tried], 0.02, False, None).at(macs=0.5), 3)
            0.02
        """
        wanted = [f"Expected {self.cost}=, the cost of this curve. Received: {', '.join(share) or 'nothing'}."]
        raise_faults(
            "Invalid arguments for at:", wanted if [*share] != [self.cost] else proper_fraction_faults(**share)
        )
        asked = share[self.cost]
        pairs = sorted([(1.0, 0.0), *((each.share, each.drop) for each in self.points)], reverse=True)
        for (high, before), (low, after) in zip(pairs, pairs[1:], strict=False):
            if low <= asked <= high:
                way = log(high / asked) / log(high / low) if high > low else 0.0
                return before + way * (after - before)
        return pairs[-1][1]

    def draw(self, figure: Any) -> None:
        """Draws the curve on an empty figure of matplotlib."""
        axes, scale = figure.subplots(), 100 if self.relative or self.limit < 1 else 1
        points = sorted(self.points, key=lambda each: each.share)
        shares, drops = (
            [*(getattr(each, name) for each in points), last] for name, last in (("share", 1), ("drop", 0))
        )
        errors = [scale * each.error for each in points] + [0]
        axes.errorbar(shares, [scale * each for each in drops], errors, marker="o", capsize=3, label="tried, ± SE")
        axes.axhline(scale * self.limit, linestyle="--", color="gray", label="allowed")
        if self.chosen is not None:
            best = self.points[self.chosen]
            axes.plot([best.share], [scale * best.drop], "o", markersize=12, fillstyle="none", label="delivered")
        unit = "" if scale == 1 else " (% of the dense model's)" if self.relative else " (points)"
        axes.set(xscale="log", xlabel=f"{self.cost} kept", ylabel=f"drop of {', '.join(self.figures)}{unit}")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "235" else "")
        axes.invert_yaxis()
        axes.legend()

    def __str__(self) -> str:
        """Returns a line for each model."""
        return str(self._table())

    def _table(self) -> Table:
        several = len({(each.figure, each.relative) for each in self.points}) > 1
        rows = []
        for place, each in enumerate(self.points):
            verdict = "delivered" if place == self.chosen else "allowed" if each.allowed else "too much"
            of = f", {each.figure}{' (relative)' * each.relative}" if several else ""
            numbers = f"{each.value:.4g}", f"{each.drop:.3g}", f"{each.error:.2g}", f"{each.bound:.3g}"
            rows.append((f"{each.share:.3f}", *numbers, f"{verdict}{of}{each.note and f', {each.note}'}"))
        header = (self.cost, "value", "drop", "± error", "at most", "")
        return Table(header, rows, left=(5,), bars={0: [each.share for each in self.points]})

    def _shown(self) -> list[Part]:
        pictures = self._pictures("The drop over the cost of what was tried.") if self.points else []
        return [self._table(), *pictures]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> CostCurve:
        """Returns a curve from its plain data, as it stands in the `report.json` of a search."""
        return cls(**{**data, "points": tuple(Tried(**each) for each in data["points"])})

    @property
    def figures(self) -> list[str]:
        """The figures that decided."""
        return list(dict.fromkeys(each.figure for each in self.points))


@dataclass(frozen=True)
class SearchReport(Shown):
    """The report of `kp.smallest`.

    Args:
        curve: What was tried.
        confidence: That of the bounds.
        remarks: On what is measured, and how well.
        test: Figures of the dense and of the delivered model on test data by name. Defaults to none.
    """

    curve: CostCurve
    confidence: float
    remarks: tuple[str, ...] = ()
    test: Mapping[str, tuple[float, float]] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SearchReport:
        """Returns a report from its plain data, as it stands in the `report.json` of a search."""
        return cls(**{**data, "curve": CostCurve.of(data["curve"]), "remarks": tuple(data["remarks"])})

    def __str__(self) -> str:
        """Returns the result, a line for each model, and the remarks."""
        return "\n".join([self._result(), str(self.curve), *self._rest()])

    def _shown(self) -> list[Part]:
        return [self._result(), *self.curve._shown(), *self._rest()]  # noqa: SLF001, the part that is drawn

    def _result(self) -> str:
        curve = self.curve
        several = len({(each.figure, each.relative) for each in curve.points}) > 1
        kind = "each row says of what" if several else "of the dense model's" if curve.relative else "absolute"
        judged = "" if several or not curve.points else f" of {curve.points[0].figure}"
        asked = f"a drop{judged} of at most {curve.limit:.3g} ({kind})"
        if curve.chosen is None:
            return f"no smaller model with {asked} was found"
        best = curve.points[curve.chosen]
        return (
            f"kept: {best.share:.3f} of the {curve.cost}, with {asked}: {best.figure} {best.dense:.4g} → "
            f"{best.value:.4g}, {best.drop:+.3g} ± {best.error:.2g}"
        )

    def _rest(self) -> list[str]:
        tested = (self.test or {}).items()
        return [*(f"test: {name} {dense:.4g} → {slim:.4g}" for name, (dense, slim) in tested), *self.remarks]
