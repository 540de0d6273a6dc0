"""Kernels as matrices: what a layer computes before its activation, as `rows @ matrix` at single output positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers

from kerasprune.backend.engine import full_precision
from kerasprune.graph.graph import values
from kerasprune.graph.walk import changed_weights
from kerasprune.rules.conv import TRANSPOSED
from kerasprune.rules.einsum import letters_of
from kerasprune.surgery.weight_constraints import project


@dataclass(frozen=True)
class Linear:
    """One kernel of a layer as a matrix for each of its groups.

    Args:
        layer: The layer.
        variable: The kernel.
        positions: `positions(shape)` is how many output positions one example of an input of this shape has.
        rows: `rows(x, chosen)` are the numbers that are multiplied with the matrices to give the output at chosen
            positions: from an array of inputs, and positions of shape (examples, number), an array of shape
            (examples · number, groups, rows of a matrix).
        matrix: `matrix(kernel)` are the matrices, (groups, rows, columns): the same numbers in another order.
        outputs: `outputs(y, chosen)` are the numbers of an output at chosen positions, (…, groups, columns).
        bias: The bias that is added; `None` without one.
    """

    layer: Any
    variable: Any
    positions: Callable[[tuple[int, ...]], int]
    rows: Callable[[np.ndarray, np.ndarray], np.ndarray]
    matrix: Callable[[np.ndarray], np.ndarray]
    outputs: Callable[[np.ndarray, np.ndarray], np.ndarray]
    bias: Any = None

    @property
    def activation(self) -> Callable[[Any], Any]:
        """The activation after the last kernel."""
        return self.layer.activation

    @property
    def is_linear(self) -> bool:
        """Whether no activation follows."""
        return self.activation is keras.activations.linear

    @property
    def start(self) -> np.ndarray:
        """The present matrices."""
        return at_least_float32(self.matrix(values(self.variable)))

    def kernel(self, matrices: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Returns the kernel of a shape that has these matrices."""
        kernel = np.empty(shape, matrices.dtype)
        np.put(kernel, self.matrix(np.arange(kernel.size).reshape(shape)), matrices)
        return kernel

    def allowed(self, matrices: np.ndarray) -> np.ndarray:
        """Returns the matrices that the constraint of the kernel makes of these."""
        return self.matrix(project(self.variable, self.kernel(matrices, tuple(self.variable.shape))))

    def made(self, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Returns the output before the activation at chosen positions, as (…, groups, columns)."""
        start = self.start
        made = multiply_by_group(self.rows(x, chosen), start)
        return made if self.bias is None else made + at_least_float32(values(self.bias)).reshape(start.shape[::2])

    def assign(self, matrices: np.ndarray, constant: np.ndarray | None) -> None:
        """Sets the layer's matrices and its bias, of shape (groups, columns); `None` keeps the present bias."""
        self.variable.assign(self.kernel(matrices.astype(self.variable.dtype), tuple(self.variable.shape)))
        if constant is not None:
            self.bias.assign(constant.reshape(tuple(self.bias.shape)).astype(self.bias.dtype))


def chosen_positions(examples: int, there: int, most: int, random: np.random.Generator) -> np.ndarray:
    """Returns positions of every example, (examples, number): all, or as many as `most` at random."""
    number = min(there, most)
    if number == there:
        return np.broadcast_to(np.arange(there), (examples, there))
    return np.argpartition(random.random((examples, there)), number - 1, axis=1)[:, :number]


def at_least_float32(array: np.ndarray) -> np.ndarray:
    """Converts arrays of half precision and of integers to float32; returns others unchanged."""
    return array if array.dtype in ("float32", "float64") else array.astype("float32")


def numbers_of(tensor: Any) -> np.ndarray:
    """Returns the numbers of a tensor, in at least float32."""
    return at_least_float32(keras.ops.convert_to_numpy(tensor))


def multiply_by_group(rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Returns rows (…, groups, rows of a matrix) times the matrices of their groups."""
    return product(rows.transpose(1, 0, 2), matrices).transpose(1, 0, 2)


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns `one @ other`, group by group; a single one as plain matrices, for which NumPy is much quicker."""
    return (one[0] @ other[0])[None] if len(one) == len(other) == 1 else one @ other


def as_linear(layer: Any) -> list[Linear]:
    """Returns the kernels of a layer as matrices, in the order they act; none if that is unknown."""
    find = next((make for kinds, make in _KINDS.items() if type(layer) in kinds), None)
    return [] if find is None or changed_weights(layer) else find(layer)


# ---- dense --------------------------------------------------------------------------------------------------


def _dense(layer: layers.Dense) -> list[Linear]:
    return [
        Linear(
            layer,
            layer.kernel,
            lambda shape: prod(shape[1:-1]),
            lambda x, chosen: _at(x, chosen)[:, None],
            lambda kernel: kernel[None],
            lambda y, chosen: _at(y, chosen)[:, None],
            layer.bias,
        )
    ]


def _at(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns the values at chosen positions of the axes between the first and the last."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    return np.take_along_axis(flat, chosen[:, :, None], axis=1).reshape(-1, x.shape[-1])


# ---- convolutions -------------------------------------------------------------------------------------------


def _convolution(layer: Any) -> list[Linear]:
    """`(…, in of a group, out)`; the outputs of a group stand together."""

    def matrix(kernel: np.ndarray) -> np.ndarray:
        *taps, read, made = kernel.shape
        grouped = kernel.reshape(prod(taps) * read, layer.groups, made // layer.groups)
        return grouped.transpose(1, 0, 2)

    def rows(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        patches = _patches(layer, x, chosen)
        grouped = patches.reshape(*patches.shape[:2], layer.groups, -1)
        return grouped.transpose(0, 2, 1, 3).reshape(len(patches), layer.groups, -1)

    return [_spatial(layer, layer.kernel, rows, matrix, layer.groups, layer.bias)]


def _depthwise(layer: Any) -> list[Linear]:
    return [_lanes(layer, layer.kernel, layer.bias)]


def _lanes(layer: Any, variable: Any, bias: Any) -> Linear:
    """`(…, in, multiplier)`: every channel is a group of its own."""

    def matrix(kernel: np.ndarray) -> np.ndarray:
        return kernel.reshape(-1, *kernel.shape[-2:]).transpose(1, 0, 2)

    def rows(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return _patches(layer, x, chosen).transpose(0, 2, 1)

    return _spatial(layer, variable, rows, matrix, variable.shape[-2], bias)


def _separable(layer: Any) -> list[Linear]:
    """The depthwise half, then the pointwise one on what it makes."""
    first = _lanes(layer, layer.depthwise_kernel, None)

    def rows(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        made = first.made(x, chosen)
        return made.reshape(len(made), 1, -1)

    def matrix(kernel: np.ndarray) -> np.ndarray:
        return kernel.reshape(1, *kernel.shape[-2:])

    return [first, _spatial(layer, layer.pointwise_kernel, rows, matrix, 1, layer.bias)]


def _transposed(layer: Any) -> list[Linear]:
    """`(…, out, in)`."""

    def matrix(kernel: np.ndarray) -> np.ndarray:
        *taps, made, read = kernel.shape
        return kernel.reshape(prod(taps), made, read).transpose(0, 2, 1).reshape(1, -1, made)

    def rows(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        patches = _patches(layer, x, chosen)
        return patches.reshape(len(patches), 1, -1)

    return [_spatial(layer, layer.kernel, rows, matrix, 1, layer.bias)]


def _spatial(layer: Any, variable: Any, rows: Callable, matrix: Callable, groups: int, bias: Any) -> Linear:
    def positions(shape: tuple[int, ...]) -> int:
        return prod(len(table) for table in _tables(layer, _sides(layer, shape)))

    def outputs(y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        taken = _at(_channels_last(layer, y), chosen)
        return taken.reshape(len(taken), groups, -1)

    return Linear(layer, variable, positions, rows, matrix, outputs, bias)


def _patches(layer: Any, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns the values that the taps of a kernel read at chosen positions: (…, taps, channels)."""
    tables = _tables(layer, _sides(layer, x.shape))
    x = _channels_last(layer, x)
    rank = len(tables)
    padded = np.pad(x, [(0, 0), *[(0, 1)] * rank, (0, 0)])  # what a tap outside sees, at −1
    where = np.unravel_index(chosen, [len(table) for table in tables])
    index = [np.arange(len(x)).reshape(-1, 1, *[1] * rank)]
    for axis, (table, place) in enumerate(zip(tables, where, strict=True)):
        index.append(table[place].reshape(*chosen.shape, *[-1 if other == axis else 1 for other in range(rank)]))
    seen = padded[tuple(index)]
    return seen.reshape(chosen.size, -1, x.shape[-1])


def _channels_last(layer: Any, x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1) if layer.data_format == "channels_first" else x


def _sides(layer: Any, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[2:] if layer.data_format == "channels_first" else shape[1:-1])


def _tables(layer: Any, sides: tuple[int, ...]) -> list[np.ndarray]:
    """Returns for each spatial axis which input position each tap sees at each output position; −1 = none."""
    strides, dilations, sizes = (
        np.broadcast_to(each, len(sides)).tolist() for each in (layer.strides, layer.dilation_rate, layer.kernel_size)
    )
    between = getattr(layer, "output_padding", None)
    between = [None] * len(sides) if between is None else np.broadcast_to(between, len(sides)).tolist()
    way = isinstance(layer, TRANSPOSED)
    per_axis = zip(sides, sizes, strides, dilations, between, strict=True)
    return [_seen(way, layer.padding, *each) for each in per_axis]


@cache
@full_precision()
def _seen(
    transposed: bool, padding: str, side: int, size: int, stride: int, dilation: int, between: int | None
) -> np.ndarray:
    """Returns the table of one axis, (output positions, taps): the layer's own operation on the numbers 1, 2, 3…"""
    ramp = np.arange(1, side + 1, dtype="float32").reshape(1, side, 1)
    if padding == "causal":
        ramp, padding = np.pad(ramp, [(0, 0), (dilation * (size - 1), 0), (0, 0)]), "valid"
    taps = np.eye(size, dtype="float32")  # one output channel for each
    how = {"padding": padding, "data_format": "channels_last", "dilation_rate": dilation}
    if transposed:
        seen = keras.ops.conv_transpose(ramp, taps[:, :, None], stride, output_padding=between, **how)
    else:
        seen = keras.ops.conv(ramp, taps[:, None, :], stride, **how)
    return np.rint(keras.ops.convert_to_numpy(seen)[0]).astype(int) - 1


# ---- EinsumDense --------------------------------------------------------------------------------------------


def _einsum(layer: layers.EinsumDense) -> list[Linear]:
    """Letters of the kernel are summed over, made, or lanes; the other letters of the input are positions."""
    source, kernel, target = letters_of(layer, layer.input_spec.ndim)
    lanes = [c for c in kernel if c in source and c in target]
    summed = [c for c in kernel if c in source and c not in target]
    made = [c for c in kernel if c not in source]
    places = [c for c in source[1:] if c not in kernel]
    plain = source[:1] == target[:1] and source[0] not in kernel and all(c in target for c in places)
    biased_everywhere = layer.bias is None or [c for c in target if c in layer.bias_axes] == lanes + made
    if not plain or len(set(source)) < len(source) or not biased_everywhere:
        return []
    order = [kernel.index(c) for c in lanes + summed + made]
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    shape = [prod(sizes[c] for c in letters) for letters in (lanes, summed, made)]

    def laid(x: np.ndarray, letters: list[str], last: list[str], chosen: np.ndarray) -> np.ndarray:
        x = x.transpose([letters.index(c) for c in (letters[0], *places, *last)])
        taken = _at(x.reshape(len(x), prod(x.shape[1 : 1 + len(places)]), -1), chosen)
        return taken.reshape(len(taken), shape[0], -1)

    return [
        Linear(
            layer,
            layer.kernel,
            lambda given: prod(size for size, c in zip(given, source, strict=True) if c in places),
            lambda x, chosen: laid(x, source, lanes + summed, chosen),
            lambda kernel: kernel.transpose(order).reshape(shape),
            lambda y, chosen: laid(y, target, lanes + made, chosen),
            layer.bias,
        )
    ]


_KINDS: dict[tuple[type, ...], Callable[[Any], list[Linear]]] = {
    (layers.Dense,): _dense,
    (layers.Conv1D, layers.Conv2D, layers.Conv3D): _convolution,
    (layers.DepthwiseConv1D, layers.DepthwiseConv2D): _depthwise,
    (layers.SeparableConv1D, layers.SeparableConv2D): _separable,
    TRANSPOSED: _transposed,
    (layers.EinsumDense,): _einsum,
}
