"""Multiply–adds of the operators of a `.tflite` file, by the sides of their tensors."""

from __future__ import annotations

from math import prod

from kerasprune.export.tflite_graph import FileNode, TfliteFile


def multiply_adds(file: TfliteFile) -> int:
    """Returns the multiply–adds of kernels and of products of batches; those of a loop count once.

    Args:
        file: The file.
    """
    return sum(_of(file, each) for graph in file.operators for each in graph)


def _of(file: TfliteFile, operator: FileNode) -> int:
    shapes = [file.tensors[place].shape if place >= 0 else () for place in operator.inputs]
    made = prod(file.tensors[operator.outputs[0]].shape) if operator.outputs else 0
    if operator.name in ("CONV_2D", "FULLY_CONNECTED"):
        return made * prod(shapes[1][1:])
    if operator.name == "DEPTHWISE_CONV_2D":
        return made * prod(shapes[1][1:3])
    if operator.name == "TRANSPOSE_CONV":  # of the output's shape, the kernel and the input
        return prod(shapes[2]) * prod(shapes[1][:3])
    if operator.name == "BATCH_MATMUL":
        return made * shapes[0][-2 if operator.turned[0] else -1]
    return 0
