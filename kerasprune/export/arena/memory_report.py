"""`memory`: the RAM that a microcontroller needs for a `.tflite` file, and where it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from kerasprune.errors import extras
from kerasprune.export.arena.greedy_planner import Buffer, arena_bytes, holding_up, offsets
from kerasprune.export.arena.operator_macs import multiply_adds
from kerasprune.export.arena.operator_memory import is_known, is_lacking, persistent_bytes, scratch
from kerasprune.export.tflite_graph import NONE, Shapes, TfliteFile
from kerasprune.files.figure import Drawn
from kerasprune.tables import Part, Table

_KILO = 1000
_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class Arena(NamedTuple):
    """The arena of a file.

    Args:
        places: The tensors in it, by their places in the file.
        buffers: The stretches of memory of these, then those of what operators ask for while they run.
        begins: Where each begins.
        tail: Bytes that stay.
    """

    places: tuple[int, ...]
    buffers: tuple[Buffer, ...]
    begins: tuple[int, ...]
    tail: int

    @property
    def ram(self) -> int:
        """Bytes of RAM."""
        return self.head + self.tail

    @property
    def head(self) -> int:
        """Bytes for tensors, and for what operators ask for while they run."""
        return arena_bytes(self.buffers, self.begins)

    @property
    def binding(self) -> tuple[int, ...]:
        """Places of the tensors that make the head as large as it is."""
        chain = holding_up(self.buffers, self.begins)
        return tuple(self.places[number] for number in chain if number < len(self.places))

    @classmethod
    def of(cls, file: TfliteFile, shapes: Shapes = NONE) -> Arena:
        """Returns the arena of a file.

        Args:
            file: The file.
            shapes: `{place of a tensor: sides}` in place of those in the file. Defaults to none.
        """
        operators, lifetimes, spans = file.run
        buffers = [Buffer(file.bytes_of(each, shapes), span.first, span.last) for each, span in lifetimes.items()]
        for operator, span in zip(operators, spans, strict=True):
            buffers += [Buffer(size, span.first, span.last) for size in scratch(file, operator, shapes)]
        return cls(tuple(lifetimes), tuple(buffers), tuple(offsets(buffers)), persistent_bytes(file, shapes))


class Peak(NamedTuple):
    """The step of a file's run in which most is in memory, of those that make the arena as large as it is.

    Args:
        step: Its number, from 1.
        live: Bytes in memory in every step, those of the first step first.
        held: Bytes of the tensors in memory at the peak, by their places.
        requested: Bytes that the operator at the peak asks for besides.
        copied: Bytes in memory at the peak that are inputs or outputs in floats beside those in integers.
    """

    step: int
    live: tuple[int, ...]
    held: Mapping[int, int]
    requested: int
    copied: int

    @classmethod
    def of(cls, file: TfliteFile, arena: Arena) -> Peak:
        """Returns the peak of a file.

        Args:
            file: The file.
            arena: Its arena.
        """
        operators, buffers = file.run[0], arena.buffers
        live = [
            sum(each.bytes for each in buffers if each.first <= step <= each.last) for step in range(len(operators) + 1)
        ]
        top = [buffers[number] for number in holding_up(buffers, arena.begins)[:1]]
        step = max((step for each in top for step in range(each.first, each.last + 1)), key=live.__getitem__, default=0)
        bytes_of = [each.bytes if each.first <= step <= each.last else 0 for each in buffers]
        held = {place: size for place, size in zip(arena.places, bytes_of, strict=False) if size}
        is_copied = any(each.name in ("QUANTIZE", "DEQUANTIZE") for each in operators)
        ends = {*file.inputs[0], *file.outputs[0]} if is_copied else ()
        copied = sum(size for place, size in held.items() if place in ends and file.tensors[place].is_float)
        return cls(step, tuple(live[1:]), held, sum(bytes_of[len(arena.places) :]), copied)


@dataclass(frozen=True)
class MemoryReport(Drawn):
    """The RAM that tflite-micro needs to run a file.

    Args:
        head: Bytes of the arena for tensors, as its planner places them, and for what operators ask for.
        tail: Bytes of it that stay: for each tensor, operator and quantized channel, on a 64-bit machine; fewer on a
            microcontroller.
        live: The largest sum of tensors that are in memory at once: no planner needs less.
        flash: Bytes of the file.
        macs: Multiply–adds of an inference.
        peak: The operator at which most is needed, with its place, such as `"CONV_2D (3 of 20)"`.
        tensors: The tensors in memory there, name and bytes, the largest first.
        schedule: For every operator its name and the bytes of the tensors in memory.
        remarks: On operators that tflite-micro lacks, or of which it is not known what they ask for.
    """

    height: ClassVar[float] = 2.6
    head: int
    tail: int
    live: int
    flash: int
    macs: int
    peak: str
    tensors: tuple[tuple[str, int], ...]
    schedule: tuple[tuple[str, int], ...] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def ram(self) -> int:
        """Bytes of RAM: head and tail of the arena."""
        return self.head + self.tail

    def __str__(self) -> str:
        """Returns the sums, and what is in memory at the peak."""
        return "\n".join([*self._sums(), str(self._table), *self.remarks])

    def draw(self, figure: Any) -> None:
        """Draws the bytes in memory over the operators, on an empty figure of matplotlib."""
        axes = figure.subplots()
        sizes = [size / _KILO for _, size in self.schedule]
        axes.bar(range(1, len(sizes) + 1), sizes, width=1.0, color="#3d7fcc", label="tensors in memory")
        axes.axhline(self.head / _KILO, linestyle="--", color="gray", label="arena for them")
        axes.set(xlabel="operator", ylabel="kB")
        axes.legend()

    def _sums(self) -> list[str]:
        return [
            f"RAM: {self.ram:,} bytes, {self.head:,} for tensors and {self.tail:,} that stay",
            f"flash: {self.flash:,} bytes; multiply–adds: {self.macs:,}",
            f"at least {self.live:,} bytes of tensors are in memory at once; the peak is at {self.peak}",
        ]

    @cached_property
    def _table(self) -> Table:
        rows = [(name, f"{size:,}") for name, size in self.tensors]
        most = max((size for _, size in self.tensors), default=1)
        return Table(("tensor at the peak", "bytes"), rows, bars={1: [size / most for _, size in self.tensors]})

    def _shown(self) -> list[Part]:
        parts: list[Part] = [*self._sums(), self._table, *self.remarks]
        return [*parts, *self._pictures("The tensors in memory while each operator runs.")]


@extras("kp.export.memory")
def memory(path: Path | str) -> MemoryReport:
    """Returns the RAM that a microcontroller needs for a `.tflite` file.

    It is the arena of tflite-micro, counted without running it: what its greedy planner gives to the tensors, largest
    first and in multiples of 16 bytes, what operators ask for while they run, and their state. Execution in patches and
    the kernels of CMSIS-NN, which ask for more, are not counted.

    Args:
        path: The file.

    Returns:
        The report, which can be printed; in a notebook with the bytes over the operators.

    Raises:
        PruneError: The file is missing or is not a TFLite model.

    Example:
        >>> import keras, tempfile, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((640,)), keras.layers.Dense(128), keras.layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = kp.export.tflite(model, f"{folder}/model.tflite")
        ...     found = kp.export.memory(report.path)
        >>> found.head, found.peak
        (3072, 'FULLY_CONNECTED (1 of 2)')

    Reference:
        David et al., TensorFlow Lite Micro: Embedded Machine Learning on TinyML Systems, MLSys 2021, §4.4.
    """
    file = TfliteFile.read(path)
    arena, operators = Arena.of(file), file.run[0]
    peak = Peak.of(file, arena)
    tensors = [(file.tensors[place].name.partition(";")[0], size) for place, size in peak.held.items()]
    tensors += [("what the operator asks for", peak.requested)] * bool(peak.requested)
    number = max(peak.step, 1)
    return MemoryReport(
        arena.head,
        arena.tail,
        max(peak.live, default=0),
        Path(path).stat().st_size,
        multiply_adds(file),
        f"{operators[number - 1].name} ({number} of {len(operators)})" if operators else "no operator",
        tuple(sorted(tensors, key=lambda each: -each[1])),
        tuple((each.name, size) for each, size in zip(operators, peak.live, strict=True)),
        tuple(_remarks(file, arena, peak)),
    )


def _remarks(file: TfliteFile, arena: Arena, peak: Peak) -> list[str]:
    operators = file.run[0]
    remarks = []
    if lacking := sorted({each.name for each in operators if is_lacking(each)}):
        remarks.append(f"tflite-micro has no {', '.join(lacking)}: the file does not run there")
    if unknown := sorted({each.name for each in operators if not is_known(each) and not is_lacking(each)}):
        remarks.append(f"what {', '.join(unknown)} ask for is not known, and estimated")
    kernels = [each.inputs[:2] for each in operators if each.name in _KERNELS]
    mixed = (file.tensors[x].is_float and file.tensors[kernel].type != "FLOAT32" for x, kernel in kernels)
    if any(mixed) or any(each.type == "FLOAT16" for each in file.tensors):
        remarks.append("tflite-micro does not run weights of 8 or 16 bits beside floats: export as float32 or int8")
    if any(each.name == "WHILE" for each in operators):
        remarks.append("multiply–adds of a loop are counted once")
    if arena.tail > 2 * arena.head:
        remarks.append(
            f"most of it stays: {len(operators):,} operators and {len(file.tensors):,} tensors, as where recurrent "
            "layers are unrolled"
        )
    if peak.copied:
        remarks.append(f"{peak.copied:,} bytes at the peak are a copy in floats: export with io='int8'")
    return remarks
