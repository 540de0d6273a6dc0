"""`Time`: a target in milliseconds of a device, by its latency table or by measuring candidates on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kerasprune.checks import (
    choice_faults,
    given_values,
    kind_faults,
    positive_faults,
    proper_fraction_faults,
    whole_number_faults,
)
from kerasprune.errors import PruneError, raise_faults, short
from kerasprune.export.latency.machine import DEVICES
from kerasprune.export.latency.table import PRECISIONS, LatencyTable
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.planning.targets.quantities import MILLISECONDS

if TYPE_CHECKING:
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan


_ONLY_FOR = {"litert": ("batch",), "keras": ("table", "precision")}  # the other device


@dataclass(frozen=True)
class Time(Target):
    """The time of one inference on a device, above it or below: predicted by a table, or measured on this device.

    By a table it is met as nearly as whole channels allow. With `device="keras"` candidates are built, compiled and
    measured in turn with the dense model, at most eight or so, until the ratio of both times is within 4 % of the one
    asked for; milliseconds are that ratio times the dense model's.

    Args:
        table: The latency table of the device, from `kp.latency.profile`, or the path of its file. Defaults to `None`:
            this machine is measured, which takes about a minute.
        fraction: Fraction of the dense model's time. One of `fraction` and `ms` is given.
        ms: Milliseconds: a number, or a text with a unit, such as `"12ms"`, `"500us"` or `"0.5s"`.
        precision: Precision of the file, as for `kp.latency.profile`. Defaults to that of the table, or to `"float32"`
            without a table.
        device: `"litert"`, or `"keras"` for the device of Keras's backend, without a table; see `kp.latency.latency`.
            Defaults to `"litert"`.
        batch: Samples in one inference on the device of Keras. Defaults to the batch that the model fixes, else to 1.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import keras, kerasprune as kp
        >>> dense = keras.layers.Dense
        >>> model = keras.Sequential([keras.Input((400,)), dense(400, "relu", name="hidden"), dense(2)])
        >>> table = kp.latency.profile(model, verbose=0)
        >>> plan = kp.plan(model, target=kp.targets.Time(table, fraction=0.6))
        >>> table.predict(model, plan) < 0.8 * table.predict(model)
        True
    """

    counted: ClassVar[str] = "time"
    table: LatencyTable | str | Path | None = None
    fraction: float | None = None
    ms: float | str | None = None
    precision: str | None = None
    device: str = "litert"
    batch: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ms", MILLISECONDS.number(self.ms))
        given = {name: value for name in ("fraction", "ms") if (value := getattr(self, name)) is not None}
        if isinstance(self.table, str | Path):
            object.__setattr__(self, "table", LatencyTable.load(self.table))
        faults = [] if self.precision is None else choice_faults(PRECISIONS, precision=self.precision)
        if self.table is not None:
            faults += kind_faults(LatencyTable, "Measure one with kp.latency.profile(model).", table=self.table)
        if isinstance(self.table, LatencyTable) and self.precision not in (None, self.table.precision):
            faults.append(
                f"Expected a table of precision {self.precision!r}. Received: a table of {self.table.precision!r}. "
                "Measure another with kp.latency.profile(model, precision=…), or leave precision out."
            )
        faults += choice_faults(DEVICES, device=self.device) + whole_number_faults(1, **given_values(batch=self.batch))
        idle = given_values(**{name: getattr(self, name) for name in _ONLY_FOR.get(self.device, ())})
        if idle:
            received = ", ".join(f"{name}={short(value)}" for name, value in idle.items())
            faults.append(
                f"Expected no {' and no '.join(idle)} with device={self.device!r}. Received: {received}. "
                f"Leave it out, or take the other device of {DEVICES}."
            )
        if len(given) != 1:
            faults.append(f"Expected one of fraction and ms. Received: {', '.join(given) or 'none'}.")
        if "fraction" in given:
            faults += proper_fraction_faults(fraction=self.fraction)
        if "ms" in given:
            faults += positive_faults(MILLISECONDS.expected, ms=self.ms)
        raise_faults("Invalid arguments for Time:", faults)

    def prepared(self, graph: ChannelGraph) -> Time:
        """Returns the target with a table, if LiteRT is timed; without one this machine is measured."""
        if self.table is not None or self.device == "keras":
            return self
        from kerasprune.export.latency.profiling import profile  # a target is checked without Keras

        options = {"precision": self.precision or "float32", "size": graph.size}
        return replace(self, table=profile(graph.model, **options))

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the times of both models, predicted or measured."""
        if self.device == "keras":
            from kerasprune.export.latency.timing import compare_latency
            from kerasprune.surgery.rebuild import rebuild

            models = graph.model, rebuild(graph, plan)
            found = compare_latency(models, device=self.device, batch=self.batch, size=graph.size)
            slim, ratio = found.latencies[1].median_ms, found.ratios[1]
            return f"time: {slim:.3g} ms measured, {ratio:.3f} of the dense model's, on {found.where}"
        table = self.prepared(graph).table
        dense, slim = table.predict(graph), table.predict(graph, plan)
        threads = f"{table.threads} thread{'s' * (table.threads > 1)}"
        device = f"{table.precision} TFLite, {threads}, {table.machine}"
        return f"time: {slim:.3g} ms predicted, {slim / dense:.3f} of the dense model's, as {device}"

    def counting_meter(self, graph: ChannelGraph) -> CostMeter:
        if self.device == "keras":
            raise PruneError(
                "Expected a cost that can be counted, for a search over many candidates. Received: a time with "
                "device='keras', which is measured. Take kp.targets.Time of a table, or macs=."
            )
        return super().counting_meter(graph)

    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model."""
        if self.device == "keras":
            from kerasprune.export.latency.device_timer import timer_beside
            from kerasprune.planning.targets.device_time import DeviceMeter

            meter = DeviceMeter(graph, timer_beside(graph.model, self.batch, graph.size))
        else:
            from kerasprune.planning.targets.meters import TimeMeter

            meter = TimeMeter(self.prepared(graph).table, graph)
        meter.target = self.fraction or self._share(self.ms, meter.dense, "ms")
        return meter
