"""Tries on random numbers whether a function acts on every channel separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune.backend.precision import full_precision

_POINTWISE = tuple(
    keras.activations.get(name)
    for name in (
        "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
        "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus",
        "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold",
    )
)  # fmt: skip
_MIXING = tuple(keras.activations.get(name) for name in ("softmax", "log_softmax", "sparsemax", "glu"))
_SIDE = 3  # of an axis that carries no channels, in the first try


def fault_of(function: Callable[[Any], Any] | None, shape: Sequence[int | None], axis: int) -> str:
    """Returns why a function cannot be applied to fewer channels, or an empty string.

    `f` acts on every channel separately if `f(x[c]) = f(x)[c]` for any choice of channels and positions, in any
    order. Functions of `keras.activations` are known; all others are tried on random numbers.

    Args:
        function: From a tensor to a tensor of the same shape; `None` is the identity.
        shape: Shape of the tensor, batch first; `None` for a size that is free.
        axis: The axis of the channels.

    Returns:
        A clause that begins with a verb, such as `"mixes channels in 'softmax'"`.

    Example:
        >>> from keras import ops
        >>> fault_of(lambda x: x * ops.sigmoid(x), (None, 8), 1)
        ''
        >>> fault_of(ops.softmax, (None, 8), 1)
        "mixes channels in 'softmax'"
    """
    if function is None or any(function is each for each in _POINTWISE):
        return ""
    called = repr(getattr(function, "__name__", getattr(function, "name", type(function).__name__)))
    if any(function is each for each in _MIXING):
        return f"mixes channels in {called}"
    if isinstance(function, keras.layers.Layer) and (function.weights or not function.built):
        return f"has weights, or states, of its own in {called}"
    small = [2, *(_SIDE if size is None else min(size, _SIDE) for size in shape[1:])]
    whole = [2, *(_SIDE if size is None else size for size in shape[1:])]
    small[axis] = whole[axis]
    error: Exception | None = None
    for sides in (small, whole):  # a function may know the sizes it was made for
        try:
            found = _tried(function, sides, axis % len(sides))
            return f"{found} in {called}" if found else ""
        except Exception as raised:  # noqa: BLE001  the function is the user's
            error = raised
    return f"cannot be tried by itself in {called} ({type(error).__name__})"


def _tried(function: Callable[[Any], Any], shape: Sequence[int], axis: int) -> str:
    """Returns the fault of a function, or an empty string if it acts on every channel separately."""
    generator = np.random.default_rng(0)
    x = generator.normal(0.0, 2.0, shape).astype("float32")

    def at(*indices: np.ndarray | slice) -> np.ndarray:
        return _value(function, x[np.ix_(*indices)])

    every = [np.arange(size) for size in shape]
    whole = at(*every)
    if whole.shape != x.shape:
        return "changes the shape"
    if not np.isfinite(whole).any():
        return "returns no finite number"
    if not same(at(*every), whole):
        return "is random"
    size = shape[axis]
    halves = [np.sort(generator.permutation(size)[: max(1, size // 2)]) for _ in range(2)]
    for chosen in (*halves, generator.permutation(size)):
        indices = [chosen if each == axis else line for each, line in enumerate(every)]
        if not same(at(*indices), whole[np.ix_(*indices)]):
            return "mixes channels"
    single = [line if each == axis else line[line.size // 2 :][:1] for each, line in enumerate(every)]
    return "" if same(at(*single), whole[np.ix_(*single)]) else "mixes positions"


@full_precision()
def _value(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(x))), "float64")


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Returns whether two results are equal up to rounding."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
