"""`Time`: a target in milliseconds of a device, by its latency table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kerasprune.errors import kind_faults, positive_faults, proper_fraction_faults, raise_faults
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.latency.operators import Operator, operators
from kerasprune.latency.table import LatencyTable
from kerasprune.targets.base import CostMeter, Target


@dataclass(frozen=True)
class Time(Target):
    """The predicted time of one inference on a device.

    Args:
        table: The latency table of the device, from `kp.latency.profile`.
        fraction: Fraction of the dense model's time. One of `fraction` and `ms` is given.
        ms: Milliseconds.

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
    table: LatencyTable
    fraction: float | None = None
    ms: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in ("fraction", "ms") if (value := getattr(self, name)) is not None}
        faults = kind_faults(LatencyTable, "Measure one with kp.latency.profile(model).", table=self.table)
        if len(given) != 1:
            faults.append(f"Expected one of fraction and ms. Received: {', '.join(given) or 'none'}.")
        if "fraction" in given:
            faults += proper_fraction_faults(fraction=self.fraction)
        if "ms" in given:
            faults += positive_faults(ms=self.ms)
        raise_faults("Invalid arguments for Time:", faults)

    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model."""
        meter = TimeMeter(self.table, graph)
        meter.target = self.fraction or self._share(self.ms, meter.dense, "ms")
        return meter


class TimeMeter(CostMeter):
    """The share of the dense model's predicted time.

    Args:
        table: The latency table.
        graph: The graph of the dense model.
    """

    def __init__(self, table: LatencyTable, graph: ChannelGraph) -> None:
        super().__init__(1.0)
        self._table, self.dense = table, table.predict(graph)
        self._operators: dict[int, tuple[ChannelGraph, list[Operator]]] = {}

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        if id(graph) not in self._operators:
            self._operators[id(graph)] = graph, operators(graph)
        return self._table.of_operators(self._operators[id(graph)][1], count) / self.dense
