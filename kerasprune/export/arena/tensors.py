"""The tensors and operators of a `.tflite` file, and when each tensor is in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any

from kerasprune.errors import PruneError

_WIDTHS = {"64": 8, "32": 4, "16": 2, "8": 1, "BOOL": 1, "4": 1}  # bytes of a number, by the end of its type's name
_CALLS = {"WHILE": ("CondSubgraphIndex", "BodySubgraphIndex"), "IF": ("ThenSubgraphIndex", "ElseSubgraphIndex")}
_OPTIONS = {"WHILE": "WhileOptions", "IF": "IfOptions", "BATCH_MATMUL": "BatchMatMulOptions"}


Shapes = Mapping[int, Sequence[int]]
"""Sides of tensors, by their places, other than those of the file."""
NONE: Shapes = MappingProxyType({})


@dataclass(frozen=True)
class ArenaTensor:
    """A tensor of a file.

    Args:
        name: Its name, which tells the layers that it was made of.
        shape: Its sides; unknown ones count as 1.
        width: Bytes of a number.
        is_stored: Whether it lies in the file, not in the arena.
        is_variable: Whether it keeps its content between two runs.
        is_float: Whether its numbers are floats.
    """

    name: str
    shape: tuple[int, ...]
    width: int
    is_stored: bool
    is_variable: bool
    is_float: bool


@dataclass(frozen=True)
class ArenaOperator:
    """An operator of a file.

    Args:
        name: As in the TFLite schema.
        inputs: Places of the tensors that it reads; −1 for one that was left out.
        outputs: Places of those that it makes.
        subgraphs: Subgraphs that it calls.
        turned: Of a product of batches: whether its sides are transposed.
    """

    name: str
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
class ArenaFile:
    """A file: the tensors of all its subgraphs in a row, and the operators of each.

    Args:
        tensors: The tensors.
        operators: Those of each subgraph, in order.
        inputs: Places of the inputs of each subgraph.
        outputs: Places of its outputs.
    """

    tensors: tuple[ArenaTensor, ...]
    operators: tuple[tuple[ArenaOperator, ...], ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, content: bytes) -> ArenaFile:
        """Returns the tensors and operators in the bytes of a `.tflite` file.

        Raises:
            PruneError: They are of something else.
        """
        from ai_edge_litert import schema_py_generated as schema

        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise PruneError("Expected the bytes of a TFLite model. Received: something else.")
        model = schema.Model.GetRootAs(content, 0)
        names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
        types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
        tensors: list[ArenaTensor] = []
        operators, inputs, outputs = [], [], []
        for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
            begin = len(tensors)
            for each in map(graph.Tensors, range(graph.TensorsLength())):
                kind = types[each.Type()]
                tensors.append(
                    ArenaTensor(
                        (each.Name() or b"").decode(),
                        tuple(max(each.Shape(axis), 1) for axis in range(each.ShapeLength())),
                        next((width for end, width in _WIDTHS.items() if kind.endswith(end)), 4),
                        model.Buffers(each.Buffer()).DataLength() > 0 or each.IsVariable(),
                        each.IsVariable(),
                        kind.startswith("FLOAT"),
                    )
                )
            found = []
            for node in map(graph.Operators, range(graph.OperatorsLength())):
                code = model.OperatorCodes(node.OpcodeIndex())
                name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
                if name == "CUSTOM":
                    name = code.CustomCode().decode()
                options = _options(schema, node, name)
                found.append(
                    ArenaOperator(
                        name,
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
    def run(self) -> tuple[list[ArenaOperator], dict[int, Lifetime], list[Lifetime]]:
        """The operators as they run, the lifetimes of tensors in the arena by place, and those of the operators.

        A loop and a branch hold what they call between their first and their last step.
        """
        order: list[ArenaOperator] = []
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
            if not self.tensors[place].is_stored
        }
        return order, kept, spans


def _options(schema: Any, node: Any, name: str) -> Any:
    """Returns the options of the operators that some are read of; `None` of others."""
    kind, table = _OPTIONS.get(name), node.BuiltinOptions()
    if kind is None or table is None:
        return None
    options = getattr(schema, kind)()
    options.Init(table.Bytes, table.Pos)
    return options
