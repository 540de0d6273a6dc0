"""What is in a `.tflite` file: its tensors and operators, when each is in memory, and what one would not expect."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, extras
from kerasprune.files.reading import path_of

_SHOWN = 3  # layers
_CHANGES = ("QUANTIZE", "DEQUANTIZE")
_SCALED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL", "MUL", "ADD", "SUB")
_OF_ZEROS = 1e-8  # the converter gives a tensor of zeros the range ±1e-6
_MOST = 256  # times the scale of the output, in XNNPACK
_WIDTHS = {"64": 8, "32": 4, "16": 2, "8": 1, "BOOL": 1, "4": 1}  # bytes of a number, by the end of its type's name
_CALLS = {"WHILE": ("CondSubgraphIndex", "BodySubgraphIndex"), "IF": ("ThenSubgraphIndex", "ElseSubgraphIndex")}
_OPTIONS = {"WHILE": "WhileOptions", "IF": "IfOptions", "BATCH_MATMUL": "BatchMatMulOptions"}

Shapes = Mapping[int, Sequence[int]]
"""Sides of tensors, by their places, other than those of the file."""
NONE: Shapes = MappingProxyType({})


@dataclass(frozen=True)
class FileTensor:
    """A tensor of a file.

    Args:
        name: Its name, which tells the layers that it was made of.
        shape: Its sides; unknown ones count as 1.
        type: As in the TFLite schema, such as `"INT8"`.
        scale: Its largest scale, 0 without any.
        is_constant: Whether its numbers are in the file.
        is_variable: Whether it keeps its content between two runs.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    scale: float
    is_constant: bool
    is_variable: bool

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floats."""
        return self.type.startswith("FLOAT")

    @property
    def width(self) -> int:
        """Bytes of a number."""
        return next((width for end, width in _WIDTHS.items() if self.type.endswith(end)), 4)

    @property
    def is_planned(self) -> bool:
        """Whether it is in memory for a part of the run alone."""
        return not self.is_constant and not self.is_variable


@dataclass(frozen=True)
class FileNode:
    """An operator of a file.

    Args:
        name: As in the TFLite schema; a custom operator's own name.
        is_custom: Whether an interpreter needs an addition to run it.
        inputs: Places of the tensors that it reads; −1 for one that was left out.
        outputs: Places of those that it makes.
        subgraphs: Subgraphs that it calls.
        turned: Of a product of batches: whether its sides are transposed.
    """

    name: str
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: tuple[int, ...] = ()
    turned: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Lifetime:
    """When a tensor, or what an operator asks for besides, is in memory.

    Args:
        first: The step in which it is made; operators are numbered from 1 as they run.
        last: The step in which it is read last.
    """

    first: int
    last: int


@dataclass(frozen=True)
class TfliteFile:
    """A file: the tensors of all its subgraphs in a row, and the operators of each.

    Args:
        tensors: The tensors.
        operators: Those of each subgraph, in order.
        inputs: Places of the inputs of each subgraph.
        outputs: Places of its outputs.
    """

    tensors: tuple[FileTensor, ...]
    operators: tuple[tuple[FileNode, ...], ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]

    @classmethod
    def read(cls, path: Path | str) -> TfliteFile:
        """Returns the tensors and operators of a file.

        Raises:
            PruneError: The file is missing or is not a TFLite model.
        """
        from ai_edge_litert import schema_py_generated as schema

        content = content_of(path)
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise PruneError(f"Expected a TFLite model. Received: path={str(path)!r}, which is something else.")
        try:
            return cls.of(content)
        except Exception as error:  # noqa: BLE001, of a damaged file anything is read
            raise PruneError(
                f"Expected a whole TFLite model. Received: path={str(path)!r}, which is damaged ({error}). Export it "
                "again."
            ) from error

    @classmethod
    def of(cls, content: bytes) -> TfliteFile:
        """Returns the tensors and operators in the bytes of a file."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(content, 0)
        names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
        types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
        tensors: list[FileTensor] = []
        operators, inputs, outputs = [], [], []
        for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
            begin = len(tensors)
            for each in map(graph.Tensors, range(graph.TensorsLength())):
                tensors.append(
                    FileTensor(
                        (each.Name() or b"").decode(),
                        tuple(max(each.Shape(axis), 1) for axis in range(each.ShapeLength())),
                        types[each.Type()],
                        _scale(each),
                        model.Buffers(each.Buffer()).DataLength() > 0,
                        each.IsVariable(),
                    )
                )
            found = []
            for node in map(graph.Operators, range(graph.OperatorsLength())):
                code = model.OperatorCodes(node.OpcodeIndex())
                # Operators numbered above 127 are in the new field, the others in both.
                name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
                is_custom = name == "CUSTOM"
                options = _options(schema, node, name)
                found.append(
                    FileNode(
                        code.CustomCode().decode() if is_custom else name,
                        is_custom,
                        tuple(
                            begin + place if place >= 0 else -1
                            for place in map(node.Inputs, range(node.InputsLength()))
                        ),
                        tuple(begin + place for place in map(node.Outputs, range(node.OutputsLength()))),
                        tuple(getattr(options, each)() for each in _CALLS.get(name, ())),
                        (options.AdjX(), options.AdjY()) if name == "BATCH_MATMUL" and options else (False, False),
                    )
                )
            operators.append(tuple(found))
            inputs.append(tuple(begin + place for place in map(graph.Inputs, range(graph.InputsLength()))))
            outputs.append(tuple(begin + place for place in map(graph.Outputs, range(graph.OutputsLength()))))
        return cls(tuple(tensors), tuple(operators), tuple(inputs), tuple(outputs))

    def bytes_of(self, place: int, shapes: Shapes = NONE) -> int:
        """Returns the bytes of a tensor.

        Args:
            place: Its place.
            shapes: `{place: sides}` in place of those in the file. Defaults to none.
        """
        tensor = self.tensors[place]
        return prod(shapes.get(place, tensor.shape)) * tensor.width

    @cached_property
    def run(self) -> tuple[list[FileNode], dict[int, Lifetime], list[Lifetime]]:
        """The operators as they run, the lifetimes of tensors in the arena by place, and those of the operators.

        A loop and a branch hold what they call between their first and their last step.
        """
        order: list[FileNode] = []
        spans: list[Lifetime] = []
        first: dict[int, int] = {}
        last: dict[int, int] = {}

        def note(places: Sequence[int], *, made: bool) -> None:
            for place in places:
                if place >= 0:
                    if made:
                        first[place] = min(first.get(place, len(order)), len(order))
                    last[place] = max(last.get(place, 0), len(order))

        def visit(graph: int) -> None:
            note(self.inputs[graph], made=True)
            for operator in self.operators[graph]:
                order.append(operator)
                spans.append(Lifetime(len(order), len(order)))
                here = len(spans)
                note(operator.outputs, made=True)
                for called in operator.subgraphs:
                    visit(called)
                spans[here - 1] = Lifetime(here, len(order))
                note((*operator.inputs, *operator.outputs), made=False)
            note(self.outputs[graph], made=False)

        visit(0)
        kept = {
            place: Lifetime(first[place], max(last.get(place, 0), first[place]))
            for place in sorted(first)
            if self.tensors[place].is_planned
        }
        return order, kept, spans


def content_of(path: Path | str) -> bytes:
    """Returns the bytes of a file; raises a `PruneError` if there is none."""
    path = path_of(path)
    if not path.is_file():
        raise PruneError(f"Expected a .tflite file. Received: path={str(path)!r}, which is not a file.")
    return path.read_bytes()


def _options(schema: Any, node: Any, name: str) -> Any:
    """Returns the options of the operators that some are read of; `None` of others."""
    kind, table = _OPTIONS.get(name), node.BuiltinOptions()
    if kind is None or table is None:
        return None
    options = getattr(schema, kind)()
    options.Init(table.Bytes, table.Pos)
    return options


def _scale(tensor: Any) -> float:
    found = tensor.Quantization()
    return float(np.max(found.ScaleAsNumpy())) if found is not None and found.ScaleLength() else 0.0


@dataclass(frozen=True)
class FileOperator:
    """An operator in a file.

    Args:
        name: As in the TFLite schema; a custom operator's own name.
        tensor: The name of its first output, which tells the layers that it was made of.
        is_custom: Whether LiteRT needs an addition to run it.
        is_inside: Whether it changes between integers and floats elsewhere than at the inputs, outputs or weights.
        is_float: Whether it computes float numbers, rather than change to them.
        is_zero: Whether no calibration sample gave its output in 8 bits any other value than zero.
        step: The distance between two of the integers of its output, 0 if these are no integers of 8 bits.
        is_unscalable: Whether that keeps LiteRT from running it: XNNPACK takes no products so far above their range.
    """

    name: str
    tensor: str
    is_custom: bool
    is_inside: bool
    is_float: bool
    is_zero: bool
    step: float
    is_unscalable: bool

    @property
    def place(self) -> str:
        """The name of its output, without those of operators that it took in."""
        return self.tensor.partition(";")[0]


def nodes(path: Path | str) -> Iterator[FileOperator]:
    """Yields the operators of a `.tflite` file, in order.

    Args:
        path: The file. All its subgraphs are read.

    Raises:
        PruneError: The file is missing or is not a TFLite model.
    """
    yield from nodes_of(TfliteFile.read(path))


def nodes_of(file: TfliteFile) -> Iterator[FileOperator]:
    """Yields the operators of what is in a `.tflite` file, in order."""
    for graph, inputs, outputs in zip(file.operators, file.inputs, file.outputs, strict=True):
        for node in graph:
            read, made = ([file.tensors[at] for at in places if at >= 0] for places in (node.inputs, node.outputs))
            changes = False
            if node.name in _CHANGES:
                outside = {*inputs, *outputs} & {node.inputs[0], node.outputs[0]}
                changes = read[0].is_float != made[0].is_float and not read[0].is_constant and not outside
            is_float = node.name not in _CHANGES and any(each.is_float for each in made)
            scale = made[0].scale if made and made[0].type == "INT8" else 0.0
            product = prod(each.scale for each in read[:2]) if node.name in _SCALED else 0.0
            yield FileOperator(
                node.name, made[0].name if made else "", node.is_custom, changes, is_float, 0 < scale < _OF_ZEROS,
                scale, 0 < scale < _OF_ZEROS and product >= _MOST * scale,
            )  # fmt: skip


@extras("kp.export.operators")
def operators(path: Path | str) -> list[str]:
    """Returns the operator of every node of a `.tflite` file, in order, e.g. `["CONV_2D", "ADD", …]`.

    Args:
        path: The file. All its subgraphs are read.

    Returns:
        Names as in the TFLite schema; custom operators by their own name.

    Raises:
        PruneError: The file is missing or is not a TFLite model.
    """
    return [node.name for node in nodes(path)]


@dataclass(frozen=True)
class Unexpected:
    """An operator that one would not expect in a slim model's file.

    Args:
        name: As in the TFLite schema, with "(custom)" or "(inside)" if that is why.
        number: How many of them are not expected.
        layers: The layers of all operators of that name, as far as the file tells them.
    """

    name: str
    number: int
    layers: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.layers[:_SHOWN]) + ", …" * (len(self.layers) > _SHOWN)
        return f"{self.number} {self.name}{f' of {shown}' if shown else ''}"


def unexpected_operators(
    slim: Sequence[FileOperator], dense: Sequence[FileOperator], layers: Collection[str]
) -> list[Unexpected]:
    """Returns the operators of a slim model's file that one would not expect.

    The dense model's file has fewer of them, such as a `TRANSPOSE` or a `GATHER`; or they change between integers and
    floats inside the graph, or are custom.

    Args:
        slim: The operators in the slim model's file, see `nodes`.
        dense: Those in the dense model's file.
        layers: Names of the layers of the slim model.
    """
    found = Counter(node.name for node in slim) - Counter(node.name for node in dense)
    places: dict[str, dict[str, None]] = {}
    for node in slim:
        name = node.name
        if node.is_inside or node.is_custom:
            name = f"{node.name} ({'custom' if node.is_custom else 'inside'})"
            found[name] += 1
        places.setdefault(name, {}).update(dict.fromkeys(layers_in(node.tensor, layers)[:1]))
    return [Unexpected(name, number, tuple(places.get(name, ()))) for name, number in found.items()]


def layers_in(tensor: str, layers: Collection[str]) -> list[str]:
    """Returns the layers that a tensor is named for, as in `functional_1/permute_1/transpose`.

    The scope of a layer is numbered once more when a model is traced for export.

    Args:
        tensor: The name.
        layers: Names of the layers of the model.
    """
    pairs = ((re.sub(r"_\d+$", "", part), part) for part in re.split("[/;]", tensor))
    names = (next((name for name in pair if name in layers), None) for pair in pairs)
    return [name for name in names if name]
