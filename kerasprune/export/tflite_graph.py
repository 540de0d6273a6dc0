"""The operators in a `.tflite` file, and those that one would not expect in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.errors import PruneError, extras

_SHOWN = 3  # layers
_CHANGES = ("QUANTIZE", "DEQUANTIZE")
_SCALED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL", "MUL", "ADD", "SUB")
_OF_ZEROS = 1e-8  # the converter gives a tensor of zeros the range ±1e-6
_MOST = 256  # times the scale of the output, in XNNPACK


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
    from ai_edge_litert import schema_py_generated as schema

    content = content_of(path)
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise PruneError(f"Expected a TFLite model. Received: path={str(path)!r}, which is something else.")
    yield from nodes_in(content)


def nodes_in(content: bytes) -> Iterator[FileOperator]:
    """Yields the operators of the bytes of a `.tflite` file, in order."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    builtin = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        outside = {graph.Inputs(i) for i in range(graph.InputsLength())}
        outside |= {graph.Outputs(i) for i in range(graph.OutputsLength())}
        for node in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(node.OpcodeIndex())
            # Operators numbered above 127 are in the new field, the others in both.
            name = builtin[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            changes = False
            if name in _CHANGES:
                read, made = (graph.Tensors(tensor) for tensor in (node.Inputs(0), node.Outputs(0)))
                constant = model.Buffers(read.Buffer()).DataLength() > 0
                floats = {types[each.Type()].startswith("FLOAT") for each in (read, made)}
                changes = len(floats) > 1 and not constant and not outside & {node.Inputs(0), node.Outputs(0)}
            is_custom = name == "CUSTOM"
            made = [graph.Tensors(node.Outputs(i)) for i in range(node.OutputsLength())]
            is_float = name not in _CHANGES and any(types[each.Type()].startswith("FLOAT") for each in made)
            scale = _scale(made[0]) if made and types[made[0].Type()] == "INT8" else 0.0
            product = prod(_scale(graph.Tensors(node.Inputs(i))) for i in range(2)) if name in _SCALED else 0.0
            yield FileOperator(
                code.CustomCode().decode() if is_custom else name, made[0].Name().decode() if made else "", is_custom,
                changes, is_float, 0 < scale < _OF_ZEROS, scale, 0 < scale < _OF_ZEROS and product >= _MOST * scale,
            )  # fmt: skip


def _scale(tensor: Any) -> float:
    """Returns the largest scale of a tensor, 0 without any."""
    found = tensor.Quantization()
    return float(np.max(found.ScaleAsNumpy())) if found is not None and found.ScaleLength() else 0.0


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


def content_of(path: Path | str) -> bytes:
    """Returns the bytes of a file; raises a `PruneError` if there is none."""
    path = Path(path)
    if not path.is_file():
        raise PruneError(f"Expected a .tflite file. Received: path={str(path)!r}, which is not a file.")
    return path.read_bytes()
