"""Tried on random numbers: whether a function, or an operation without a rule, acts on every channel separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from kerasprune._keras import argument_names
from kerasprune.backend.engine import full_precision
from kerasprune.errors import PruneError
from kerasprune.graph.builder import GraphBuilder
from kerasprune.graph.channels import Ids
from kerasprune.graph.rule import tensor_rule

_POINTWISE = tuple(
    keras.activations.get(name)
    for name in (
        "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
        "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus",
        "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold",
    )
)  # fmt: skip
_MIXING = tuple(keras.activations.get(name) for name in ("softmax", "log_softmax", "sparsemax", "glu"))
DEVIATIONS = (2.0, 20.0, 200.0)
"""Standard deviations of the random numbers, one for each sample: a function may clip what is large."""
_FREE = 3  # side of an axis whose size is not fixed
_SMALL = 5  # side of an axis that carries no channels, in the first try of an operation
_SIDE = 3  # likewise, of a function
_Cuts = dict[int, tuple[int, np.ndarray]]


@tensor_rule(keras.Operation)
def probed(graph: GraphBuilder, operation: Any, *args: Any, **kwargs: Any) -> list[Ids]:
    """`f(x[c]) = f(x)[c]` for any choice of channels, tried on random numbers; `f` has no weights.

    Tensors that are broadcast are cut together, along the same axis counted from the right. Channels that an operation
    mixes are pinned; a layer that mixes them raises, since only its author knows whether it should.
    """
    tensors = [x for x in tree.flatten((args, kwargs)) if isinstance(x, Ids)]
    made: list[dict[int, np.ndarray]] = [{} for _ in graph.call.outputs]
    trial = _trial(graph, operation, args, kwargs, tensors)
    if trial is None and isinstance(operation, keras.layers.Layer):
        raise PruneError(f"{operation.name!r} cannot be tried on random numbers.")
    for x in tensors:
        graph.pin_all(x, f"{operation.name!r} treats them as samples", but=tuple(axis for axis in x.axes if axis))
    for place in sorted({axis - len(x.shape) for x in tensors for axis in x.axes if axis}):
        at = {i: place + len(x.shape) for i, x in enumerate(tensors) if place + len(x.shape) > 0}
        size = max(tensors[i].shape[axis] or 0 for i, axis in at.items() if axis in tensors[i].axes)
        wide = {i: axis for i, axis in at.items() if tensors[i].shape[axis] == size}
        carried = [tensors[i].axes[axis] for i, axis in wide.items() if axis in tensors[i].axes]
        narrow = [tensors[i].axes[axis] for i, axis in at.items() if axis in tensors[i].axes and i not in wide]
        for ids in narrow:
            graph.pin(ids, f"{operation.name!r} combines them with another number of channels")
        channels = trial.channels_along(wide, size) if trial else None
        if channels is None or len(carried) < len(wide):
            why = "mixes them" if channels is None else "combines them with channels that are always kept"
            if channels is None and isinstance(operation, keras.layers.Layer):
                raise PruneError(f"{operation.name!r} {why}.")
            for ids in carried:
                graph.pin(ids, f"{operation.name!r} {why}")
        if channels is not None:
            graph.tie(*carried)
            for output, axis in channels.items():
                made[output][axis] = carried[0]
    return [Ids(shape, axes) for shape, axes in zip(graph.call.outputs, made, strict=True)]


class _Trial:
    """An operation and random numbers to run it on.

    Args:
        operation: The operation, or a layer without weights.
        modes: `(args, kwargs)` with `Ids` in place of tensors, in inference and, for a layer, in training.
        arrays: One random array for each of these.
    """

    def __init__(self, operation: Any, modes: list[Any], arrays: list[np.ndarray]) -> None:
        self._operation, self._modes, self._arrays = operation, modes, arrays
        self._random = np.random.default_rng(1)
        self._whole = self._run({})

    @property
    def is_fair(self) -> bool:
        """Whether the operation is deterministic, and treats every sample separately."""
        first = dict.fromkeys(range(len(self._arrays)), (0, np.arange(1)))
        again = all(map(_same, self._run({}), self._whole))
        return again and all(map(_same, self._run(first), [y[:1] for y in self._whole]))

    def channels_along(self, axes: dict[int, int], size: int) -> dict[int, int] | None:
        """Returns `{output: axis}` of the channels along `axes`, `{input: axis}`; `None` if they are mixed."""
        half = max(1, size // 2)
        choices = [np.sort(self._random.permutation(size)[:half]) for _ in range(2)] + [self._random.permutation(size)]
        found: dict[int, set[int]] = {}
        for chosen in choices:
            try:
                cut = self._run({index: (axis, chosen) for index, axis in axes.items()})
            except Exception:  # noqa: BLE001  it knows the number of channels
                return None
            for index, (part, whole) in enumerate(zip(cut, self._whole, strict=True)):
                fits = {
                    b for b in range(1, whole.ndim) if whole.shape[b] == size and _same(part, whole.take(chosen, b))
                }
                if not fits and not _same(part, whole):
                    return None
                found[index] = found.get(index, fits) & fits
        outputs = len(self._whole) // len(self._modes)
        return {index: min(fits) for index, fits in found.items() if fits and index < outputs}

    @full_precision()
    def _run(self, cuts: _Cuts) -> list[np.ndarray]:
        """Returns the outputs in all modes; losses that a layer adds are dropped."""
        arrays = [x if i not in cuts else x.take(cuts[i][1], cuts[i][0]) for i, x in enumerate(self._arrays)]
        outputs = []
        for mode in self._modes:
            feed = iter(arrays)
            args, kwargs = tree.map_structure(
                lambda x, feed=feed: ops.convert_to_tensor(next(feed)) if isinstance(x, Ids) else x, mode
            )
            with keras.StatelessScope():
                outputs += tree.flatten(self._operation.call(*args, **kwargs))
        return [np.asarray(ops.convert_to_numpy(y)) for y in outputs]


def _trial(graph: GraphBuilder, operation: Any, args: Any, kwargs: Any, tensors: Sequence[Ids]) -> _Trial | None:
    """Returns a trial of an operation, on small tensors if it accepts them, or `None` if none succeeds."""
    dtypes = [x.dtype for x in graph.call.node.input_tensors]
    modes = [(args, kwargs)]
    if isinstance(operation, keras.layers.Layer) and "training" in argument_names(operation):
        modes = [(args, {**kwargs, "training": training}) for training in (False, True)]
    for side in (_SMALL, None):
        arrays = [_random(x, dtype, side, seed) for seed, (x, dtype) in enumerate(zip(tensors, dtypes, strict=False))]
        try:
            trial = _Trial(operation, modes, arrays)
            if trial.is_fair:
                return trial
        except Exception:  # noqa: BLE001, S112  it may know the sizes it was made for
            continue
    return None


def _random(x: Ids, dtype: str, side: int | None, seed: int) -> np.ndarray:
    sizes = [_FREE if n is None else n if a in x.axes or side is None else min(n, side) for a, n in enumerate(x.shape)]
    values = np.random.default_rng(seed).normal(0.0, 1.0, sizes)
    if dtype == "bool":
        return values > 0
    if "int" in dtype:
        return np.abs(DEVIATIONS[0] * values).astype(dtype)
    return _spread(values).astype("float32" if "float" in dtype else dtype)


def _spread(values: np.ndarray) -> np.ndarray:
    """Returns numbers of deviation one with the `DEVIATIONS`, one sample after the other."""
    samples = values.shape[:1] or (1,)
    return values * np.resize(DEVIATIONS, samples).reshape(*samples[: values.ndim], *[1] * (values.ndim - 1))


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
    small = [len(DEVIATIONS), *(_FREE if size is None else min(size, _SIDE) for size in shape[1:])]
    whole = [len(DEVIATIONS), *(_FREE if size is None else size for size in shape[1:])]
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
    x = _spread(generator.normal(0.0, 1.0, shape)).astype("float32")

    def at(*indices: np.ndarray | slice) -> np.ndarray:
        return _value(function, x[np.ix_(*indices)])

    every = [np.arange(size) for size in shape]
    whole = at(*every)
    if whole.shape != x.shape:
        return "changes the shape"
    if not np.isfinite(whole).any():
        return "returns no finite number"
    if not _same(at(*every), whole):
        return "is random"
    size = shape[axis]
    halves = [np.sort(generator.permutation(size)[: max(1, size // 2)]) for _ in range(2)]
    for chosen in (*halves, generator.permutation(size)):
        indices = [chosen if each == axis else line for each, line in enumerate(every)]
        if not _same(at(*indices), whole[np.ix_(*indices)]):
            return "mixes channels"
    single = [line if each == axis else line[line.size // 2 :][:1] for each, line in enumerate(every)]
    return "" if _same(at(*single), whole[np.ix_(*single)]) else "mixes positions"


@full_precision()
def _value(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(x))), "float64")


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Returns whether two results are equal up to rounding."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
