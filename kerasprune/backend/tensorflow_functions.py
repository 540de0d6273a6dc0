"""Functions of TensorFlow in the code of users, spelt with `keras.ops`, which take symbolic tensors, too.

Arguments have TensorFlow's names. What is not listed, or is called with other arguments, fails on symbolic tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

_ALIKE = (
    "abs add ceil cos cosh divide einsum elu equal erf exp expand_dims expm1 floor greater greater_equal leaky_relu "
    "less less_equal log log1p logical_and logical_not logical_or maximum minimum multiply negative not_equal "
    "ones_like relu relu6 reshape roll round rsqrt selu shape sigmoid sign silu sin sinh softmax softplus softsign "
    "sqrt square squeeze stack stop_gradient subtract tan tanh tensordot tile transpose unstack where zeros_like"
)
"""Functions that have the same name and the same order of arguments."""
_RENAMED = {
    "clip_by_value": "clip", "concat": "concatenate", "identity": "copy", "pow": "power", "range": "arange",
    "reduce_all": "all", "reduce_any": "any", "reduce_max": "max", "reduce_mean": "mean", "reduce_min": "min",
    "reduce_prod": "prod", "reduce_std": "std", "reduce_sum": "sum", "reduce_variance": "var", "reverse": "flip",
    "swish": "silu",
}  # fmt: skip
"""The same, of other names."""
_MODULES = ("", "math", "nn", "linalg")


def functions_in_keras() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Returns `(module, name, function)` for functions of TensorFlow; none on other backends.

    Each function is TensorFlow's own, unless it is given a symbolic tensor.

    Example:
        >>> import keras
        >>> spelt = {name: function for _, name, function in functions_in_keras()}
        >>> if keras.backend.backend() == "tensorflow":
        ...     assert spelt["reduce_mean"](keras.KerasTensor((2, 3)), axis=1).shape == (2,)
    """
    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow as tf

    modules = [getattr(tf, name) if name else tf for name in _MODULES]
    found = [(module, name, spelt) for name, spelt in _spelt().items() for module in modules if hasattr(module, name)]
    found.append((tf.image, "resize", _resize))
    return [(module, name, partial(_called, getattr(module, name), spelt)) for module, name, spelt in found]


def _called(original: Callable[..., Any], spelt: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not any(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten((args, kwargs))):
        return original(*args, **kwargs)
    kwargs.pop("name", None)
    return spelt(*args, **kwargs)


def _spelt() -> dict[str, Callable[..., Any]]:
    """Returns the spellings by name; `keras.ops` is looked at when they are called, which may be replaced there."""
    own_names = {name: name for name in _ALIKE.split()} | _RENAMED
    return {
        **{name: partial(_alike, own) for name, own in own_names.items()},
        "cast": lambda x, dtype: ops.cast(x, keras.backend.standardize_dtype(dtype)),
        "cumsum": lambda x, axis=0: ops.cumsum(x, axis),
        "depth_to_space": lambda input, block_size: ops.depth_to_space(input, block_size, "channels_last"),
        "gather": lambda params, indices, axis=0: ops.take(params, indices, axis),
        "gelu": lambda features, approximate=False: ops.gelu(features, approximate),
        "l2_normalize": _normalised,
        "matmul": _product,
        "pad": _padded,
        "space_to_depth": lambda input, block_size: ops.space_to_depth(input, block_size, "channels_last"),
        "split": _split,
    }


def _alike(name: str, *args: Any, **kwargs: Any) -> Any:
    named = {key: kwargs.pop(key) for key in ("axis", "keepdims") if key in kwargs}
    return getattr(ops, name)(*args, *kwargs.values(), **named)


def _normalised(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), epsilon))


def _padded(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Any:
    constant = mode.upper() == "CONSTANT"
    return ops.pad(tensor, np.asarray(paddings).tolist(), mode.lower(), *[constant_values] * constant)


def _product(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    a, b = (ops.swapaxes(x, -1, -2) if turned else x for x, turned in ((a, transpose_a), (b, transpose_b)))
    return ops.matmul(a, b)


def _resize(images: Any, size: Sequence[Any], method: str = "bilinear") -> Any:
    return ops.image.resize(images, tuple(size), interpolation=method, data_format="channels_last")


def _split(value: Any, num_or_size_splits: Any, axis: int = 0) -> Any:
    """TensorFlow is given sizes, Keras the places between them."""
    sizes = num_or_size_splits
    return ops.split(value, sizes if isinstance(sizes, int) else np.cumsum(sizes)[:-1].tolist(), axis)
