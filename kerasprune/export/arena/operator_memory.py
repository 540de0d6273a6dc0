"""What the operators of tflite-micro ask for besides their tensors: for a step, and for good.

The numbers are those of its reference kernels on a 64-bit machine; pointers are half as long on a microcontroller.
"""

from __future__ import annotations

from math import prod

from kerasprune.export.arena.greedy_planner import aligned_size
from kerasprune.export.tflite_graph import NONE, FileNode, Shapes, TfliteFile

# The state of an operator, and the parameters that are read from the file.
_STATE = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), (80, 28)),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), (32, 40)),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), (44, 1)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "MIRROR_PAD"), (20, 4)),
    **dict.fromkeys(("ABS", "RSQRT", "PRELU"), (28, 0)),
    **dict.fromkeys(("LOGISTIC", "TANH"), (16, 0)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "NEG", "TRANSPOSE", "EXP", "LOG", "SIN", "SQUARE", "CAST"), (0, 0)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "CUMSUM"), (0, 2)),
    **dict.fromkeys(("UNPACK", "SPLIT", "SPLIT_V"), (0, 8)),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), (0, 36)),
    **dict.fromkeys(("PAD", "PADV2"), (56, 0)),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), (32, 0)),
    "ADD": (60, 8),
    "ARG_MAX": (0, 4),
    "BATCH_MATMUL": (80, 3),
    "BROADCAST_TO": (0, 0),
    "CONCATENATION": (80, 8),
    "DIV": (28, 4),
    "ELU": (256, 0),
    "FULLY_CONNECTED": (72, 32),
    "GATHER": (20, 8),
    "HARD_SWISH": (20, 0),
    "L2_NORMALIZATION": (4, 4),
    "LEAKY_RELU": (24, 4),
    "LOG_SOFTMAX": (40, 0),
    "MUL": (36, 4),
    "PACK": (0, 8),
    "RELU": (28, 0),
    "RELU6": (8, 0),
    "SOFTMAX": (80, 4),
    "SQRT": (0, 0),
    "SQUARED_DIFFERENCE": (112, 0),
    "STRIDED_SLICE": (84, 24),
    "SUB": (52, 8),
    "TRANSPOSE_CONV": (88, 20),
    "IF": (16, 8),
    "WHILE": (24, 8),
    "LESS": (28, 0),
    "LOGICAL_AND": (0, 0),
    "CALL_ONCE": (16, 4),
}
_UNKNOWN = 40, 8
_LACKING = frozenset({"GELU", "TILE", "SELECT", "SELECT_V2"})
BYTES_OF_TENSOR = 24
"""What stays for each tensor."""
_NODE, _BOUNDARY, _QUANTIZED, _TRANSPOSED, _HANDLE, _FIXED = 64, 80, 32, 48, 8, 488
_NUMBER = 4  # bytes, for each channel of a kernel: of its factor, and of its shift
_AXES = 16  # bytes of a list of axes
_SUM = 4  # bytes of a sum of integers


def is_known(operator: FileNode) -> bool:
    """Returns whether it is known what an operator asks for."""
    return operator.name in _STATE


def is_lacking(operator: FileNode) -> bool:
    """Returns whether tflite-micro has no such operator."""
    return operator.name in _LACKING


def scratch(file: TfliteFile, operator: FileNode, shapes: Shapes = NONE) -> list[int]:
    """Returns the bytes of the buffers that an operator asks for while it runs.

    Args:
        file: The file.
        operator: The operator.
        shapes: Sides of tensors in place of those in the file. Defaults to none.
    """
    made = operator.outputs[0] if operator.outputs else -1
    is_integer = made >= 0 and not file.tensors[made].is_float
    sums = [_SUM * prod(shapes.get(made, file.tensors[made].shape))] if is_integer else []
    if operator.name in ("MEAN", "SUM", "REDUCE_MAX"):
        return [_AXES, _AXES, *(sums if operator.name != "REDUCE_MAX" else [])]
    if operator.name == "MIRROR_PAD":
        return [_AXES, _AXES]
    return sums if operator.name == "TRANSPOSE_CONV" else []


def persistent_bytes(file: TfliteFile, shapes: Shapes = NONE) -> int:
    """Returns the bytes that stay for as long as the model is loaded: the tail of the arena.

    Args:
        file: The file.
        shapes: As for `scratch`.
    """
    operators = [each for graph in file.operators for each in graph]
    ends = [file.tensors[place] for place in (*file.inputs[0], *file.outputs[0])]
    boundary = sum(_BOUNDARY + _QUANTIZED * (not each.is_float) for each in ends)
    variables = sum(file.bytes_of(place) for place, each in enumerate(file.tensors) if each.is_variable)
    fixed = _FIXED + BYTES_OF_TENSOR * len(file.tensors) + _NODE * len(operators) + boundary + variables
    return fixed + sum(_state_of(file, each, shapes) for each in operators)


def _state_of(file: TfliteFile, operator: FileNode, shapes: Shapes) -> int:
    own, parameters = _STATE.get(operator.name, _UNKNOWN)
    state = aligned_size(own) + parameters + _HANDLE * len(scratch(file, operator, shapes))
    if not operator.inputs or not operator.outputs:
        return state
    is_integer = not file.tensors[operator.inputs[0]].is_float
    if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV") or (
        operator.name == "FULLY_CONNECTED" and is_integer
    ):
        made = operator.outputs[0]
        state += 2 * aligned_size(_NUMBER * shapes.get(made, file.tensors[made].shape)[-1])
    if operator.name == "BATCH_MATMUL":
        left, right = operator.turned
        turned = [*operator.inputs[:1] * left, *operator.inputs[1:2] * (not right)]
        state += sum(_TRANSPOSED + file.bytes_of(place, shapes) for place in turned)
    return state
