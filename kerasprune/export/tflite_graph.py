"""The operators in a `.tflite` file, and those that one would not expect in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasprune.errors import PruneError, extras

_SHOWN = 3  # layers


@dataclass(frozen=True)
class FileOperator:
    """An operator in a file.

    Args:
        name: As in the TFLite schema; a custom operator's own name.
        tensor: The name of its first output, which tells the layers that it was made of.
        is_custom: Whether LiteRT needs an addition to run it.
        is_inside: Whether it changes between integers and floats elsewhere than at the inputs, outputs or weights.
    """

    name: str
    tensor: str
    is_custom: bool
    is_inside: bool


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
            if name in ("QUANTIZE", "DEQUANTIZE"):
                read, made = (graph.Tensors(tensor) for tensor in (node.Inputs(0), node.Outputs(0)))
                constant = model.Buffers(read.Buffer()).DataLength() > 0
                floats = {types[each.Type()].startswith("FLOAT") for each in (read, made)}
                changes = len(floats) > 1 and not constant and not outside & {node.Inputs(0), node.Outputs(0)}
            is_custom = name == "CUSTOM"
            tensor = graph.Tensors(node.Outputs(0)).Name().decode() if node.OutputsLength() else ""
            yield FileOperator(code.CustomCode().decode() if is_custom else name, tensor, is_custom, changes)


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
