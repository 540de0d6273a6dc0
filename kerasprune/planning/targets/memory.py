"""`Memory`: a target in bytes of RAM of a microcontroller."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from kerasprune.checks import choice_faults, given_values, is_number, positive_faults, proper_fraction_faults
from kerasprune.defaults import OF_MEMORY
from kerasprune.errors import extras, raise_faults
from kerasprune.planning.targets.base import CostMeter, Target, measured_once
from kerasprune.planning.targets.quantities import BYTES

if TYPE_CHECKING:
    from kerasprune.export.arena.counted_arena import CountedArena
    from kerasprune.graph.channels import Count
    from kerasprune.graph.graph import ChannelGraph
    from kerasprune.graph.plans import Plan
    from kerasprune.planning.budgets.plan_request import Choice, PlanRequest

_INTERFACES, _PRECISIONS = ("float", "int8"), ("float32", "int8", "int16x8")


@dataclass(frozen=True)
class Memory(Target):
    """The largest RAM of the slim model on a microcontroller: at most so many bytes, never one more.

    It is the arena that tflite-micro takes for the exported file, see `kp.export.memory`. Only the groups of channels
    that make it as large as it is become narrower, by the levels of the budget, until others do or it fits; then each
    is widened as far as there is room. All others stay as they are.

    Args:
        bytes: Largest RAM: a number, or a text with a unit, `"64kB"` (of 1000 bytes) or `"64KiB"` (of 1024). One of
            `bytes` and `fraction` is given.
        fraction: Fraction of the dense model's RAM.
        precision: Precision of the file, `"int8"`, `"int16x8"` or `"float32"`: tflite-micro runs no others. Defaults to
            `"int8"`.
        io: Type of its inputs and outputs, `"float"` or with int8 precision `"int8"`, which spares a copy in floats.
            Defaults to `"float"`, as for `kp.export.tflite`.

    Raises:
        PruneError: An argument is out of range.

    Example:
        >>> import keras, kerasprune as kp
        >>> layers = keras.layers
        >>> wide, last = layers.Conv2D(32, 3, name="wide"), layers.Conv2D(8, 3, name="last")
        >>> pool = layers.GlobalAveragePooling2D()
        >>> model = keras.Sequential([keras.Input((16, 16, 3)), wide, layers.Conv2D(8, 3), last, pool, layers.Dense(2)])
        >>> plan = kp.plan(model, target=kp.targets.Memory(fraction=0.6, precision="float32"))
        >>> len(plan.keep["wide"]) < 20, len(plan.keep["last"])
        (True, 8)

    Reference:
        David et al., TensorFlow Lite Micro: Embedded Machine Learning on TinyML Systems, MLSys 2021, §4.4.
    """

    counted: ClassVar[str] = "memory"
    bytes: float | str | None = None
    fraction: float | None = None
    precision: str = OF_MEMORY
    io: str = "float"

    def __post_init__(self) -> None:
        size = BYTES.number(self.bytes)
        object.__setattr__(self, "bytes", int(size) if is_number(size) and size >= 1 else size)
        given = given_values(bytes=self.bytes, fraction=self.fraction)
        faults = choice_faults(_PRECISIONS, precision=self.precision) + choice_faults(_INTERFACES, io=self.io)
        if len(given) != 1:
            faults.append(f"Expected one of bytes and fraction. Received: {', '.join(given) or 'none'}.")
        if "bytes" in given:
            faults += positive_faults(BYTES.expected, bytes=self.bytes)
            if is_number(self.bytes) and 0 < self.bytes < 1:
                faults.append(f"Expected a share of the dense model as fraction=. Received: bytes={self.bytes}.")
        if "fraction" in given:
            faults += proper_fraction_faults(fraction=self.fraction)
        if self.io == "int8" and self.precision != "int8":
            faults.append(f"Expected io='int8' with precision='int8'. Received: precision={self.precision!r}.")
        raise_faults("Invalid arguments for Memory:", faults)

    def file_of(self, graph: ChannelGraph, plan: Plan) -> bytes:
        """Returns the file that is measured: with weights no two of which are equal, as after a training.

        Args:
            graph: The graph of the dense model.
            plan: The plan.
        """
        from kerasprune.export.latency.whole_networks import changed_file_of  # a target is checked without Keras

        return changed_file_of(graph, plan, self.precision, self.io)

    @extras("kp.targets.Memory")
    def prepared(self, graph: ChannelGraph) -> Memory:
        """Returns the target with the arena of the dense model, and of a few slim ones."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return _MeasuredMemory(**given, measured=MemoryMeter(self, graph))

    def meter(self, graph: ChannelGraph) -> CostMeter:
        """Returns the meter for a dense model."""
        return self.prepared(graph).meter(graph)

    def report(self, graph: ChannelGraph, plan: Plan) -> str:
        """Returns a line on the RAM of both models."""
        line = self._compared(graph, plan, partial(measured_ram, self, graph), "bytes of RAM")
        return f"{line}, as {self.precision} TFLite"


@dataclass(frozen=True)
class _MeasuredMemory(Memory):
    """The same, for a model whose arena is known.

    Args:
        measured: The meter of the arena.
    """

    measured: MemoryMeter = field(kw_only=True, repr=False)

    def prepared(self, graph: ChannelGraph) -> Memory:
        return self

    def meter(self, graph: ChannelGraph) -> CostMeter:
        meter = copy(self.measured)
        meter.target = self.fraction or self._share(self.bytes, meter.dense, "bytes")
        return meter


def measured_ram(target: Memory, graph: ChannelGraph, plan: Plan) -> int:
    """Returns the RAM of the file of a plan."""
    from kerasprune.export.arena.memory_report import Arena
    from kerasprune.export.tflite_graph import TfliteFile

    return Arena.of(TfliteFile.of(target.file_of(graph, plan))).ram


class MemoryMeter(CostMeter):
    """The share of the dense model's RAM.

    Args:
        target: The target.
        graph: The graph of the dense model.
    """

    tolerance = float("inf")  # a model that needs less is no miss
    is_local = True

    def __init__(self, target: Memory, graph: ChannelGraph) -> None:
        super().__init__(1.0)
        self._of = target
        self._arenas: dict[int, tuple[ChannelGraph, CountedArena]] = {}
        self._ram = measured_once(partial(measured_ram, target, graph))
        self.dense = float(self._arena(graph).of(len).ram)

    def _arena(self, graph: ChannelGraph) -> CountedArena:
        """Returns the arena of a graph, which may lack blocks."""
        from kerasprune.export.arena.counted_arena import CountedArena

        if id(graph) not in self._arenas:
            counted = CountedArena(graph, lambda plan: self._of.file_of(graph, plan))
            self._arenas[id(graph)] = graph, counted
        return self._arenas[id(graph)][1]

    def shown(self, share: float) -> str:
        """Returns a share with its bytes."""
        return f"{share:.3g} ({share * self.dense:,.0f} bytes)"

    def __call__(self, graph: ChannelGraph, count: Count) -> float:
        return self._arena(graph).of(count).ram / self.dense

    def binding(self, graph: ChannelGraph, count: Count) -> set[str]:
        counted = self._arena(graph)
        return counted.groups_of(counted.of(count).binding)

    def met(self, request: PlanRequest) -> Choice:
        from kerasprune.planning.targets.local_shrinking import (
            shrink_binding_groups,
        )  # a target is checked without Keras

        return shrink_binding_groups(request)

    def remedies(self, graph: ChannelGraph, count: Count) -> list[str]:
        arena = self._arena(graph)
        ram, asked = arena.of(count).ram, self.target * self.dense
        helps = self._of.precision == "int8" and 0 < ram - arena.copied(count) <= asked < ram
        return ["take io='int8', files with integers in and out: a copy in floats is at the peak"] if helps else []

    def exact(self, plan: Plan, share: float) -> float:
        return self._ram(plan) / self.dense

    def corrected(self, plan: Plan) -> float | None:
        over = self._ram(plan) / (self.target * self.dense)
        return None if over <= 1 else self.target / over

    def distance(self, plan: Plan, share: float) -> float:
        """Returns 0 if the model needs no more; otherwise by how much."""
        return max(self._ram(plan) / (self.target * self.dense) - 1, 0.0)

    def missed(self, plan: Plan) -> str | None:
        asked, ram = self.target * self.dense, self._ram(plan)
        return None if ram <= asked else f"The model needs {ram:,} bytes of RAM; asked for are at most {asked:,.0f}."
