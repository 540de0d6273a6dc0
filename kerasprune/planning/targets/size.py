"""`Size`: a target in bytes of the `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from kerasprune.checks import choice_faults, whole_number_faults
from kerasprune.errors import extras, raise_faults
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.planning.targets.base import CostMeter, Target

if TYPE_CHECKING:
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan


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
        from kerasprune.planning.targets.meters import SizeMeter  # a target is checked without Keras

        meter = SizeMeter(self.bytes, self.precision, graph)
        meter.target = self._share(self.bytes, meter.dense, "bytes")
        return meter

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the bytes of both files."""
        from kerasprune.export.latency.whole_networks import file_of
        from kerasprune.graph.plans import Plan

        dense, slim = (len(file_of(graph, each, self.precision)) for each in (Plan({}, coupling=graph.coupling), plan))
        return f"size: {slim:,} bytes, {slim / dense:.3f} of the dense model's, as {self.precision} TFLite"
