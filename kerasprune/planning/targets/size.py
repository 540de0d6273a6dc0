"""`Size`: a target in bytes of the `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from kerasprune.checks import choice_faults, is_number, positive_faults
from kerasprune.errors import extras, raise_faults
from kerasprune.export.latency.table import PRECISIONS
from kerasprune.planning.targets.base import CostMeter, Target
from kerasprune.planning.targets.quantities import BYTES

if TYPE_CHECKING:
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan


@dataclass(frozen=True)
class Size(Target):
    """The largest size of the `.tflite` file of the slim model: at most so many bytes, never one more.

    Counted as `α + β · kernel weights + γ · channels made`, fitted on three files; the plan's own file is then written
    as `kp.export.tflite(slim, path, quantize=precision)` writes it, and measured, and the widths are corrected until
    it has 98 % to 100 % of the bytes, or until no further channel fits. What calibrates an int8 file does not change
    its size, that of `"int16x8"` it may by some hundred bytes; `io="int8"` makes it smaller.

    Weights are those of the dense model: biases that are all zero, as before a training, are stored once. `kp.prune`
    and recipes, which change weights after the plan, count all of them.

    Args:
        bytes: Largest size: a number, or a text with a unit, `"200kB"` (of 1000 bytes) or `"3.5KiB"` (of 1024).
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
        >>> kp.targets.Size("40kB") == kp.targets.Size(40_000)
        True
    """

    counted: ClassVar[str] = "size"
    bytes: float | str
    precision: str = "float32"

    def __post_init__(self) -> None:
        size = BYTES.number(self.bytes)
        size = int(size) if is_number(size) else size
        faults = positive_faults(BYTES.expected, bytes=size) + choice_faults(PRECISIONS, precision=self.precision)
        raise_faults("Invalid arguments for Size:", faults)
        object.__setattr__(self, "bytes", size)

    def after_repair(self) -> Size:
        """Returns the target in bytes of a file in which no two constants are equal."""
        return _SizeOfChanged(**{each.name: getattr(self, each.name) for each in fields(self)})

    def file_of(self, graph: ChannelGraph, plan: Plan) -> bytes:
        """Returns the file that is measured.

        Args:
            graph: The graph of the dense model.
            plan: The plan.
        """
        from kerasprune.export.latency.whole_networks import file_of  # a target is checked without Keras

        return file_of(graph, plan, self.precision)

    @extras("kp.targets.Size")
    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model."""
        from kerasprune.planning.targets.meters import SizeMeter

        meter = SizeMeter(self.bytes, self.file_of, graph)
        meter.target = self._share(self.bytes, meter.dense, "bytes")
        return meter

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the bytes of both files."""
        line = self._compared(graph, plan, lambda each: len(self.file_of(graph, each)), "bytes")
        return f"{line}, as {self.precision} TFLite"


@dataclass(frozen=True)
class _SizeOfChanged(Size):
    """The same, of a model whose weights change once the plan is made."""

    def file_of(self, graph: ChannelGraph, plan: Plan) -> bytes:
        from kerasprune.export.latency.whole_networks import changed_file_of

        return changed_file_of(graph, plan, self.precision)
