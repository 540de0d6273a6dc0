"""The meters of the targets: the share of a dense model's time, and of its file's bytes, that slim models take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kerasprune.export.latency.operators import Operator, operators
from kerasprune.export.latency.table import LatencyTable
from kerasprune.export.latency.whole_networks import uniform
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.targets.base import CostMeter, measured_once
from kerasprune.surgery.costs.counts import counter, kept_size

_NEAR = 0.98  # of the target: smaller files are too small
_FITTED = (1.0, 0.6, 0.3)  # of the channels: files on which the count is fitted
_AIMED = 0.995  # of the target, at the next trial


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

    def shown(self, share: float) -> str:
        """Returns a share with its milliseconds."""
        return f"{share:.3g} ({share * self.dense:.3g} ms)"

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        if id(graph) not in self._operators:
            self._operators[id(graph)] = graph, operators(graph)
        return self._table.of_operators(self._operators[id(graph)][1], count) / self.dense


class SizeMeter(CostMeter):
    """The share of the bytes of the dense model's `.tflite` file.

    Args:
        bytes: The largest size that is asked for.
        file_of: Returns the file of a plan of the dense model.
        graph: The graph of the dense model.
    """

    def __init__(self, bytes: int, file_of: Callable[[ChannelGraph, Plan], bytes], graph: ChannelGraph) -> None:
        super().__init__(1.0)
        self._asked, self._graph = bytes, graph
        self._size = measured_once(lambda plan: len(file_of(graph, plan)))
        plans = [uniform(graph, share) for share in _FITTED]
        rows = [_features(graph, counter(graph.alive(plan.keep))) for plan in plans]
        sizes = [self._size(plan) for plan in plans]
        self.dense = float(sizes[0])
        self._weights = np.linalg.lstsq(np.array(rows), np.array(sizes), rcond=None)[0]

    def shown(self, share: float) -> str:
        """Returns a share with its bytes."""
        return f"{share:.3g} ({share * self.dense:,.0f} bytes)"

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        return float(_features(graph, count) @ self._weights) / self.dense

    def exact(self, plan: Plan, share: float) -> float:
        return self._size(plan) / self.dense

    def corrected(self, plan: Plan) -> float | None:
        size, asked = self._size(plan), self._asked
        if _NEAR * asked <= size <= asked:
            return None
        counted = self(self._graph, counter(self._graph.alive(plan.keep)))
        return counted * _AIMED * asked / size

    def distance(self, plan: Plan, share: float) -> float:
        """Returns 0 if the file is small enough and nearly full; above the bytes asked for it is further than below."""
        size, asked = self._size(plan), self._asked
        return 0.0 if self.missed(plan) is None else abs(size - asked) / asked + (size > asked)

    def missed(self, plan: Plan) -> str | None:
        size, asked = self._size(plan), self._asked
        if _NEAR * asked <= size <= asked:
            return None
        return (
            f"The file has {size:,} bytes; asked for are {_NEAR:.0%} to 100% of {asked:,}. No choice nearer was found: "
            "single channels of this model are worth more, or min_keep= and round_to= bind."
        )


def _features(graph: ChannelGraph, count: Count) -> np.ndarray:
    """Returns 1, the number of kernel weights, and that of channels made."""
    weights = sum(kept_size(kernel, count) for kernel in graph.kernels)
    made = sum(
        count(kernel.ids[axis]) for kernel in graph.kernels for axis in kernel.makes if kernel.ids[axis] is not None
    )
    return np.array([1.0, weights, made])
