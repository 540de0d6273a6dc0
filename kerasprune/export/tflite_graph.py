"""The operators in a `.tflite` file, and those that one would not expect in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from kerasprune.errors import extras
from kerasprune.export.tflite_file import TfliteFile

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
