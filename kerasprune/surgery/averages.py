"""Weighted means: attention's weights sum to one, so what is the same at all positions passes unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune._keras import core, nn
from kerasprune.rules.matmul import letters_of

_KEEPING = (layers.Dropout, layers.Identity, core.Cast)  # in inference


def axis_of_sum_one(operation: Any, rank: int, before: int | None) -> int | None:
    """Returns the axis along which the output of an operation sums to one, or `None`.

    Args:
        operation: A layer or operation with one output.
        rank: Number of axes of the output.
        before: That axis of its input, or `None`.
    """
    if isinstance(operation, _KEEPING):
        return before
    if isinstance(operation, layers.Activation) and operation.activation is keras.activations.softmax:
        return rank - 1
    axis = operation.axis if type(operation) in (layers.Softmax, nn.Softmax) else None
    return axis % rank if isinstance(axis, int) else None


def weighted_mean(operation: Any, constants: Sequence[np.ndarray], ones: Sequence[int | None]) -> np.ndarray | None:
    """Returns the constants that a product emits if one operand sums to one along the axis that is summed over, those
    of the other; `None` for another product.

    Args:
        operation: A matrix product, an `einsum`, or `ops.dot_product_attention`.
        constants: Constants of the operands, with size one along axes where all positions hold the same.
        ones: Axes along which the operands sum to one.
    """
    if isinstance(operation, nn.DotProductAttention):
        return constants[2]  # (batch, time, heads, size) of the value
    named = letters_of(operation, [each.ndim for each in constants]) if len(constants) == 2 else None
    if named is None or len(named[0]) != 2:
        return None
    letters, target = named
    for weights, other in ((0, 1), (1, 0)):
        summed = {*letters[0], *letters[1]} - {*target}
        if ones[weights] is None or summed != {letters[weights][ones[weights]]}:
            continue
        at = [place for place, letter in enumerate(letters[other]) if letter in summed]
        rest = [letter for letter in letters[other] if letter in target]
        if len(at) == 1 and constants[other].shape[at[0]] == 1 and len({*rest}) == len(rest):
            values = constants[other].squeeze(at[0]).transpose([rest.index(each) for each in target if each in rest])
            return np.expand_dims(values, [place for place, each in enumerate(target) if each not in rest])
    return None
