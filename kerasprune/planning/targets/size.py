"""`Size`: a target in bytes of the `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.errors import extras, raise_faults
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.export.latency.whole_networks import file_of, uniform
from kerasprune.graph.channels import Count
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.plans import Plan
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.surgery.costs.counts import counter, kept_size

_NEAR = 0.98  # of the target: smaller files are too small
_FITTED = (1.0, 0.6, 0.3)  # of the channels: files on which the count is fitted
_AIMED = 0.995  # of the target, at the next trial


@dataclass(frozen=True)
class Size(Target):
    """The largest size of the `.tflite` file of the slim model, in bytes.

    Counted as `α + β · kernel weights + γ · channels made`, fitted on three files; the plan's own file is then written
    and measured, and the target is corrected until it is met.

    Args:
        bytes: Largest size.
        precision: Precision of the file, as for `kp.latency.profile`. Defaults to `"float32"`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((64,))
        >>> x = keras.layers.Dense(256, activation="relu", name="first")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(10)(x))
        >>> plan = kp.plan(model, target=kp.targets.Size(40_000))
        >>> 100 < len(plan.keep["first"]) < 160
        True
    """

    counted: ClassVar[str] = "size"
    bytes: int
    precision: str = "float32"

    def __post_init__(self) -> None:
        faults = [*whole_number_faults(1, bytes=self.bytes), *choice_faults(PRECISIONS, precision=self.precision)]
        raise_faults("Invalid arguments for Size:", faults)

    @extras("kp.targets.Size")
    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model."""
        meter = _SizeMeter(self, graph)
        meter.target = self._share(self.bytes, meter.dense, "bytes")
        return meter

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the bytes of both files."""
        dense, slim = (len(file_of(graph, each, self.precision)) for each in (Plan({}, coupling=graph.coupling), plan))
        return f"size: {slim:,} bytes, {slim / dense:.3f} of the dense model's, as {self.precision} TFLite"


class _SizeMeter(CostMeter):
    def __init__(self, asked: Size, graph: ChannelGraph) -> None:
        super().__init__(1.0)
        self._asked, self._graph = asked, graph
        rows, sizes = [], []
        for plan in (uniform(graph, share) for share in _FITTED):
            rows.append(_features(graph, counter(graph.alive(plan.keep))))
            sizes.append(len(file_of(graph, plan, asked.precision)))
        self.dense = float(sizes[0])
        self._weights = np.linalg.lstsq(np.array(rows), np.array(sizes), rcond=None)[0]
        self._sizes: dict[tuple, int] = {}

    def shown(self, share: float) -> str:
        """Returns a share with its bytes."""
        return f"{share:.3g} ({share * self.dense:,.0f} bytes)"

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        return float(_features(graph, count) @ self._weights) / self.dense

    def corrected(self, plan: Plan) -> float | None:
        size, asked = self._size(plan), self._asked.bytes
        if _NEAR * asked <= size <= asked:
            return None
        counted = self(self._graph, counter(self._graph.alive(plan.keep)))
        return counted * _AIMED * asked / size

    def distance(self, plan: Plan, share: float) -> float:
        """Returns 0 if the file is small enough and nearly full; above the bytes asked for it is further than below."""
        size, asked = self._size(plan), self._asked.bytes
        return 0.0 if self.missed(plan) is None else abs(size - asked) / asked + (size > asked)

    def missed(self, plan: Plan) -> str | None:
        size, asked = self._size(plan), self._asked.bytes
        if _NEAR * asked <= size <= asked:
            return None
        return (
            f"The file has {size:,} bytes; asked for are {_NEAR:.0%} to 100% of {asked:,}. No choice nearer was found: "
            "single channels of this model are worth more, or min_keep= and round_to= bind."
        )

    def _size(self, plan: Plan) -> int:
        widths = (*((name, len(kept)) for name, kept in plan.keep.items()), *plan.removed)
        if widths not in self._sizes:
            self._sizes[widths] = len(file_of(self._graph, plan, self._asked.precision))
        return self._sizes[widths]


def _features(graph: ChannelGraph, count: Count) -> np.ndarray:
    """Returns 1, the number of kernel weights, and that of channels made."""
    weights = sum(kept_size(kernel, count) for kernel in graph.kernels)
    made = sum(
        count(kernel.ids[axis]) for kernel in graph.kernels for axis in kernel.makes if kernel.ids[axis] is not None
    )
    return np.array([1.0, weights, made])
