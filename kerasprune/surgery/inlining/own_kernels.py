"""A layer's own weights that a tensor is multiplied by: the kernels of dense layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import core, is_input, making_node
from kerasprune._keras import numpy_operations as knp
from kerasprune.graph.trace import trace
from kerasprune.rules.matmul import letters_of

PRODUCTS = (knp.Matmul, knp.Dot, knp.Tensordot, knp.Einsum)
_LAYOUTS = (
    knp.ExpandDims, knp.GetItem, knp.Moveaxis, knp.Ravel, knp.Reshape, knp.Squeeze, knp.Swapaxes, knp.Transpose,
    core.Cast,
)  # fmt: skip
_BY_ELEMENT = (type(None), keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


@dataclass(frozen=True)
class OwnKernel:
    """A product `out = Σ x · w` of a tensor and a weight, as a layer with that kernel computes it.

    Args:
        x: The tensor.
        weight: What stands for the weight while code runs.
        places: Which number of the weight is where in the kernel.
        equation: That of the `EinsumDense`; `None` for a `Dense`.
        shape: Shape of the product.
    """

    x: keras.KerasTensor
    weight: keras.KerasTensor
    places: np.ndarray
    equation: str | None
    shape: tuple[int | None, ...]

    @property
    def key(self) -> tuple:
        """What two products that one layer computes have in common."""
        return id(self.weight), self.equation, self.places.shape, self.places.tobytes(), self.equation and self.shape

    def layer(self, owner: keras.layers.Layer, variable: keras.Variable, name: str) -> keras.layers.Layer | None:
        """Returns the layer, built; `None` if the weight's regularizer depends on the order of its numbers.

        Args:
            owner: The layer that has the weight.
            variable: The weight.
            name: Name of the new layer.
        """
        moved = self.places.shape != variable.shape or (np.diff(self.places.ravel()) != 1).any()
        if moved and not isinstance(variable.regularizer, _BY_ELEMENT):
            return None
        how = {"kernel_regularizer": variable.regularizer, "trainable": variable.trainable, "name": name}
        how["dtype"] = owner.dtype_policy
        if self.equation is None:
            new = keras.layers.Dense(self.places.shape[1], use_bias=False, **how)
        else:
            new = keras.layers.EinsumDense(self.equation, self.shape[1:], **how)
        new.build(self.x.shape)
        new.kernel.assign(np.ravel(ops.convert_to_numpy(variable))[self.places])
        return new


def own_kernel(
    operation: Any, operands: Any, weights: Collection[int], inputs: Sequence[keras.KerasTensor]
) -> OwnKernel | None:
    """Returns a product as a dense layer; `None` if it is none.

    It is one if one operand is a weight, its axes perhaps in another order, and the other a tensor that has a batch,
    and channels on no axis but those of the weight: others would be mixed by a layer.

    Args:
        operation: One of `PRODUCTS`.
        operands: Its operands.
        weights: Which tensors stand for weights, by `id`.
        inputs: The inputs of the model.
    """
    if len(operands) != 2 or not all(isinstance(x, keras.KerasTensor) for x in operands):
        return None
    places = [_places(x, weights) for x in operands]
    named = letters_of(operation, [len(x.shape) for x in operands])
    if named is None or places.count(None) != 1:
        return None
    mine = places.index(None)
    x, (weight, order) = operands[mine], places[1 - mine]
    (source, kernel), target = (named[0][mine], named[0][1 - mine]), named[1]
    sizes = dict(zip(source, x.shape, strict=True))
    repeated = tuple(a for a, c in enumerate(kernel) if order.shape[a] == 1 and sizes.get(c, 1) != 1)
    kernel, order = [c for a, c in enumerate(kernel) if a not in repeated], order.squeeze(repeated)
    summed = [c for c in kernel if c in source and c not in target]
    made = [c for c in kernel if c not in source]
    if not summed or source[:1] != target[:1] or source[0] in kernel or "float" not in x.dtype:
        return None
    once = all(len(set(letters)) == len(letters) for letters in (source, kernel, target))
    whole = set(target) == {*source, *kernel} - set(summed) and not set(summed) & set(target)
    alike = all(sizes.get(c, n) == n for c, n in zip(kernel, order.shape, strict=True))
    others = [a for a, c in enumerate(source) if c not in kernel and (a or x.shape[0] is not None)]
    if not (once and whole and alike) or _carries(inputs, x, others):
        return None
    shape = tuple(operation.compute_output_spec(*operands).shape)
    if summed == source[-1:] and len(made) <= 1 and target == source[:-1] + made:
        order = np.moveaxis(order, kernel.index(summed[0]), 0).reshape(order.shape[kernel.index(summed[0])], -1)
        return OwnKernel(x, weight, order, None, shape)
    name = dict(zip(dict.fromkeys([*source, *kernel]), "abcdefghijklmnopqrstuvwxyz", strict=False))
    one, other, result = ("".join(name[c] for c in letters) for letters in (source, kernel, target))
    return OwnKernel(x, weight, order, f"{one},{other}->{result}", shape)


def _places(tensor: Any, weights: Collection[int]) -> tuple[Any, np.ndarray] | None:
    """Returns the weight that a tensor is, and which of its numbers is where; `None` if it is none."""
    steps: list[Callable[..., Any]] = []
    while id(tensor) not in weights:
        if is_input(tensor):
            return None
        node = making_node(tensor)
        if not isinstance(node.operation, _LAYOUTS) or len(node.input_tensors) != 1:
            return None
        steps.append(partial(_again, node))
        tensor = node.input_tensors[0]
    order = np.arange(prod(tensor.shape)).reshape(tensor.shape)
    for step in reversed(steps):
        order = ops.convert_to_numpy(step(ops.convert_to_tensor(order, "int32")))
    same = np.array_equal(np.sort(order.ravel()), np.arange(prod(tensor.shape)))
    return (tensor, order.astype(int)) if same else None


def _again(node: Any, x: Any) -> Any:
    """Returns the result of a call on one tensor if another is given to it."""
    return node.operation.call(x, *node.arguments.args[1:], **node.arguments.kwargs)


def _carries(inputs: Sequence[keras.KerasTensor], x: keras.KerasTensor, axes: Collection[int]) -> bool:
    """Returns whether a tensor has, or may have, channels on one of these axes."""
    if not axes or is_input(x):
        return False
    try:
        last = trace(keras.Model(inputs, x), unknown="freeze").calls[-1].outputs
    except ValueError:  # not all of it can be read
        return True
    return any(axis in each.axes for each in last for axis in axes)
