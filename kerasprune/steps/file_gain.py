"""The gain of a slim model's file over the dense model's: how much of the saving in MACs becomes a saving in time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras

from kerasprune.export.latency.timing import compare_latency
from kerasprune.export.report import ExportReport
from kerasprune.export.tflite_graph import Unexpected, nodes, unexpected_operators
from kerasprune.steps.numbers import figure, milliseconds, share
from kerasprune.surgery.inlining.plain import plain

if TYPE_CHECKING:
    from kerasprune.export.latency.slim_beside_dense import OperatorTimes

Both = tuple[float, float]
"""Of the dense and of the slim model."""

_CAUSES = {
    "without": "operators without MACs",
    "start": "what an operator takes with one channel",
    "uneven": "channels that fill no whole block of 16",
    "narrow": "fewer channels are slower per MAC, as memory is",
    "cheap": "MACs removed where they take less time than elsewhere",
    "rest": "between operators",
}


@dataclass(frozen=True)
class FileGain:
    """The gain of a slim model's file over the dense model's.

    Args:
        milliseconds: Latencies of both, measured in turn; `None` for a format that LiteRT does not run.
        time_ratio: Time of the slim file ÷ that of the dense one, median over rounds; `None` likewise.
        macs: Multiply–adds of both models; `None` if a model cannot be traced.
        operators: The operators in both files, with their numbers. Empty for such a format.
        unexpected: Operators that the dense file has fewer of, that change between integers and floats inside the
            graph, or that are custom.
        alone: The operators of both, each timed alone. Empty if that was not asked for.
    """

    milliseconds: Both | None
    time_ratio: float | None
    macs: tuple[int, int] | None
    operators: tuple[Mapping[str, int], Mapping[str, int]]
    unexpected: tuple[Unexpected, ...]
    alone: tuple[OperatorTimes, ...] = ()

    @property
    def arrives(self) -> float | None:
        """The gain in time ÷ the gain in multiply–adds, `(t₀ ÷ t) ÷ (m₀ ÷ m)`; 1 if time falls as they do."""
        if self.time_ratio is None or self.macs is None or not all(self.macs):
            return None
        return self.macs[1] / self.macs[0] / self.time_ratio

    @property
    def lost(self) -> dict[str, float]:
        """The milliseconds beyond the share of the slim MACs by cause: see `slim_beside_dense.milliseconds_lost`."""
        if self.milliseconds is None or self.macs is None or not self.macs[0] or not self.alone:
            return {}
        from kerasprune.export.latency.slim_beside_dense import milliseconds_lost  # only where operators were timed

        return milliseconds_lost(self.alone, self.milliseconds, self.macs[1] / self.macs[0])

    def by_kind(self) -> dict[str, Both]:
        """Returns the milliseconds of operators timed one by one, by the class of their layer, the slowest first."""
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for each in self.alone:
            for side, time in enumerate((each.dense_ms, each.slim_ms)):
                sums[each.kind][side] += time
        return {kind: tuple(both) for kind, both in sorted(sums.items(), key=lambda item: -item[1][1])}  # type: ignore[misc]

    def sentences(self) -> list[str]:
        """Returns sentences on unexpected operators, the share of the gain that arrives, and the causes of the rest."""
        lines = []
        if self.milliseconds is None:
            lines.append("Time is not measured: LiteRT does not run this format.")
        else:
            lines.append(f"Not expected in the slim file: {', '.join(map(str, self.unexpected)) or 'nothing'}.")
        if self.macs is not None and self.macs[1] >= self.macs[0]:
            lines.append("The slim model has no fewer multiply–adds than the dense one.")
        elif self.arrives is not None:
            lines.append(f"Of the gain in MACs {figure(self.arrives)} arrives as time: (t₀ ÷ t) ÷ (m₀ ÷ m).")
            lines += self._where()
        return lines

    def _where(self) -> list[str]:
        causes = self.lost
        beyond = sum(causes.values())
        if beyond <= 0:
            return []
        most = sorted((cause for cause in causes if causes[cause] > 0), key=lambda cause: -causes[cause])
        parts = "; ".join(f"{milliseconds(causes[cause])} {_CAUSES[cause]}" for cause in most)
        lines = [f"The slim file takes {milliseconds(beyond)} ms more than its share of the MACs: {parts}."]
        if (less := -sum(time for time in causes.values() if time < 0)) > 0:
            lines.append(f"Other causes save {milliseconds(less)} ms.")
        total = sum(each.slim_ms for each in self.alone)
        started = sum(min(each.one_ms, each.slim_ms) for each in self.alone)
        if total:
            one = f"{share(started / total)} of its operators' time remains with one channel each"
            lines.append(f"{one}: no width saves it.")
        return lines


def in_turn(reports: Sequence[ExportReport]) -> tuple[list[ExportReport], list[float]]:
    """Returns reports with latencies that were measured in turn, and the ratios of each to the first.

    Args:
        reports: Of files that LiteRT runs; those of SavedModels, without latencies, are returned as they are.
    """
    if any(report.latency_ms is None for report in reports):
        return [*reports], []
    found = compare_latency([report.path for report in reports])
    timed = [replace(each, latency_ms=time.median_ms) for each, time in zip(reports, found.latencies, strict=True)]
    return timed, list(found.ratios)


def file_gain(
    slim: keras.Model, reports: Sequence[ExportReport], ratios: Sequence[float], macs: tuple[int, int] | None
) -> FileGain:
    """Returns the gain of a slim model's file over the dense model's.

    Args:
        slim: The slim model.
        reports: The reports on both files, timed in turn, the dense one first.
        ratios: The ratios of `in_turn`; empty for SavedModels.
        macs: Multiply–adds of both models, or `None`.
    """
    if not ratios:
        return FileGain(None, None, macs, ({}, {}), ())
    dense, made = ([*nodes(report.path)] for report in reports)
    counted = tuple(dict(Counter(node.name for node in each)) for each in (dense, made))
    names = {layer.name for layer in plain(slim).layers}
    times = tuple(report.latency_ms for report in reports)
    return FileGain(times, ratios[1], macs, counted, tuple(unexpected_operators(made, dense, names)))
