"""Operations on free (unknown) sizes, which `keras.ops` computes only if sizes are numbers.

While the code of a model runs on symbolic tensors, `ops.shape(x)` has no number for a free axis, and `ops.arange`,
`ops.reshape` and others take none. Here a free size is an integer computed from the inputs, and those operations
are spelt with others that take any size: `arange(n)` as the running sum of `n` ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, count
from math import isqrt
from typing import Any

import keras
from keras import ops, tree

from kerasprune._keras import is_input, making_node, numpy_operations, output_specs
from kerasprune.errors import PruneError

_FIRST = 1009  # sizes that stand for free ones are primes from here on


@dataclass(frozen=True)
class _Axis:
    """A free axis of an input of the model."""

    input: int
    axis: int


class FreeSizes:
    """The free sizes of a model's tensors, as far as they are sizes of its inputs.

    Args:
        inputs: The symbolic inputs of the model.
    """

    def __init__(self, inputs: Sequence[keras.KerasTensor]) -> None:
        self._inputs = list(inputs)
        self._primes: dict[_Axis, int] = {}
        self._shapes: dict[int, tuple[keras.KerasTensor, tuple[int, ...] | None]] = {}
        self._sizes: dict[Any, keras.KerasTensor] = {}
        self._made: dict[int, tuple[keras.KerasTensor, keras.KerasTensor]] = {}  # (size, as many ones)
        primes = (n for n in count(_FIRST, 2) if all(n % divisor for divisor in range(2, isqrt(n) + 1)))
        batch = next(primes)
        for index, x in enumerate(self._inputs):
            for axis, size in enumerate(x.shape):
                if size is None:
                    self._primes[_Axis(index, axis)] = next(primes) if axis else batch

    # ---- which size is which --------------------------------------------------------------------------------

    def shape(self, x: Any) -> tuple[Any, ...]:
        """Returns the shape of a tensor; a free size is a symbolic integer."""
        return tuple(self.size(x, axis) if size is None else size for axis, size in enumerate(x.shape))

    def size(self, x: keras.KerasTensor, axis: int) -> keras.KerasTensor:
        """Returns a free size of a tensor as a symbolic integer."""
        origin = self._origin(x, axis)
        key = origin or (id(x), axis)
        if key not in self._sizes:
            source = (x, axis) if origin is None else (self._inputs[origin.input], origin.axis)
            ones = ones_along(*source)
            size = self._sizes[key] = ops.sum(ones)
            self._made[id(size)] = size, ones
        return self._sizes[key]

    def ones(self, size: Any, dtype: Any = "int32") -> Any:
        """Returns a vector of ones of a possibly symbolic length."""
        if not isinstance(size, keras.KerasTensor):
            return ops.ones((size,), dtype)
        if id(size) not in self._made:
            node = making_node(size)
            factors = [x for x in node.arguments.args if not isinstance(x, keras.KerasTensor)]
            if isinstance(node.operation, numpy_operations.Multiply) and all(type(n) is int for n in factors):
                (known,) = node.input_tensors
                return ops.repeat(self.ones(known, dtype), factors[0])
            raise PruneError("a size that was computed from free ones is free")
        return ops.cast(self._made[id(size)][1], dtype)

    def _origin(self, x: keras.KerasTensor, axis: int) -> _Axis | None:
        shape = self._numbers(x)
        return None if shape is None else next((key for key, n in self._primes.items() if n == shape[axis]), None)

    def _numbers(self, x: keras.KerasTensor) -> tuple[int, ...] | None:
        """Returns the shape of a tensor where free sizes of the inputs are distinct primes."""
        waiting = [x]
        while waiting:
            now = waiting[-1]
            if id(now) in self._shapes:
                waiting.pop()
                continue
            index = next((i for i, each in enumerate(self._inputs) if each is now), None)
            if index is not None or is_input(now):
                shape = tuple(self._primes.get(_Axis(index, a), s) for a, s in enumerate(now.shape))
                self._shapes[id(now)] = now, None if index is None else shape
                continue
            node = making_node(now)
            missing = [each for each in node.input_tensors if id(each) not in self._shapes]
            waiting.extend(missing)
            if not missing:
                self._fill(node)
        return self._shapes[id(x)][1]

    def _fill(self, node: Any) -> None:
        """Enters the shapes of the outputs of a call."""
        fed = [self._shapes[id(x)][1] for x in node.input_tensors]
        made = None if None in fed else self._made_shapes(node)
        for index, output in enumerate(node.output_tensors):
            self._shapes[id(output)] = output, None if made is None else made[index]

    def _made_shapes(self, node: Any) -> list[tuple[int, ...]] | None:
        """Returns the output shapes of a call, and unifies the sizes that it requires to be equal."""
        found = self._try(node)
        if found is not None:
            return found
        there = {n for x in node.input_tensors for n in self._shapes[id(x)][1] if n in self._primes.values()}
        for one, other in combinations(sorted(there), 2):
            before, shapes = dict(self._primes), dict(self._shapes)
            self._primes = {key: one if n == other else n for key, n in before.items()}
            self._shapes = {
                key: (x, shape and tuple(one if n == other else n for n in shape)) for key, (x, shape) in shapes.items()
            }
            found = self._try(node)
            if found is not None:
                return found
            self._primes, self._shapes = before, shapes
        return None

    def _try(self, node: Any) -> list[tuple[int, ...]] | None:
        def sized(x: Any) -> Any:
            return keras.KerasTensor(self._shapes[id(x)][1], x.dtype) if isinstance(x, keras.KerasTensor) else x

        args, kwargs = tree.map_structure(sized, (node.arguments.args, node.arguments.kwargs))
        try:
            return [tuple(y.shape) for y in output_specs(node.operation, args, kwargs)]
        except Exception:  # noqa: BLE001  the operation may be the user's
            return None


def ones_along(x: keras.KerasTensor, *axes: int) -> Any:
    """Returns an array of ones with the sizes of a tensor along these axes; no channel of it matters."""
    others = [other for other in range(len(x.shape)) if other not in axes]
    if not is_input(x):
        return ops.max(ops.ones_like(x, dtype="int32"), axis=others)
    for other in reversed(others):
        x = ops.take(x, 0, axis=other)
    return ops.cast(ops.ones_like(x), "int32")


def operations(sizes: FreeSizes) -> dict[str, Callable[..., Any]]:
    """Returns operations of `keras.ops` by name, spelt so that they take free sizes."""
    return {
        name: partial(function, sizes, getattr(ops, name))
        for name, function in (
            ("shape", _shape), ("arange", _arange), ("reshape", _reshape), ("broadcast_to", _broadcast_to),
            ("zeros", _zeros), ("ones", _ones), ("full", _full), ("slice", _slice), ("tile", _tile),
            ("repeat", _repeat), ("convert_to_tensor", _convert_to_tensor),
        )
    }  # fmt: skip


def _free(*sizes: Any) -> bool:
    return any(isinstance(size, keras.KerasTensor) for size in tree.flatten(sizes))


def _shape(sizes: FreeSizes, original: Callable, x: Any) -> tuple[Any, ...]:
    return sizes.shape(x) if isinstance(x, keras.KerasTensor) else original(x)


def _convert_to_tensor(sizes: FreeSizes, original: Callable, x: Any, dtype: Any = None, **how: Any) -> Any:
    if isinstance(x, keras.KerasTensor):
        return x if dtype is None or x.dtype == dtype else ops.cast(x, dtype)
    return original(x, dtype, **how)


def _arange(
    sizes: FreeSizes, original: Callable, start: Any, stop: Any = None, step: Any = None, dtype: Any = None
) -> Any:
    """`arange(n) = cumsum(1 … 1) − 1`."""
    if not _free(start, stop, step):
        return original(start, stop, *([] if step is None else [step]), dtype=dtype)
    first, end = (0, start) if stop is None else (start, stop)
    if first != 0 or step not in (None, 1):
        raise PruneError("ops.arange of a free size begins elsewhere than at 0, or goes in other steps than 1")
    return ops.cast(ops.subtract(ops.cumsum(sizes.ones(end)), 1), dtype or "int32")


def _reshape(sizes: FreeSizes, original: Callable, x: Any, newshape: Any) -> Any:
    newshape = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    free = [axis for axis, size in enumerate(newshape) if size in (None, -1) or _free(size)]
    if not isinstance(x, keras.KerasTensor) or not _free(newshape) and None not in newshape:
        return original(x, newshape)
    plain = tuple(-1 if axis in free else size for axis, size in enumerate(newshape))
    if len(free) <= 1:
        return original(x, plain)
    batch = newshape[0] is sizes.shape(x)[0] or newshape[0] in (None, -1)
    if free[0] != 0 or len(free) > 2 or not batch:
        raise PruneError("ops.reshape to several free sizes, of which not the first alone is the batch")
    return keras.layers.Reshape(plain[1:])(x)


def _broadcast_to(sizes: FreeSizes, original: Callable, x: Any, shape: Any) -> Any:
    """Multiplies x by ones, as many along a free axis as there should be copies."""
    shape = tuple(shape)
    if not _free(shape):
        return original(x, shape)
    have = [1] * (len(shape) - len(x.shape)) + list(x.shape)
    x = ops.expand_dims(x, tuple(range(len(shape) - len(x.shape)))) if len(shape) > len(x.shape) else x
    fixed = [size if not _free(size) else mine for size, mine in zip(shape, have, strict=True)]
    if any(isinstance(size, int) and mine == 1 < size for size, mine in zip(fixed, have, strict=True)):
        x = ops.tile(x, [size if mine == 1 else 1 for size, mine in zip(fixed, have, strict=True)])
    for axis, (size, mine) in enumerate(zip(shape, have, strict=True)):
        if _free(size) and mine == 1:
            number = str(x.dtype) != "bool"
            ones = sizes.ones(size, x.dtype if number else "bool")
            along = ops.reshape(ones, [-1 if a == axis else 1 for a in range(len(shape))])
            x = ops.multiply(x, along) if number else ops.logical_and(x, along)
    return x


def _zeros(sizes: FreeSizes, original: Callable, shape: Any, dtype: Any = None) -> Any:
    return _filled(sizes, shape, 0, dtype) if _free(shape) else original(shape, dtype)


def _ones(sizes: FreeSizes, original: Callable, shape: Any, dtype: Any = None) -> Any:
    return _filled(sizes, shape, 1, dtype) if _free(shape) else original(shape, dtype)


def _full(sizes: FreeSizes, original: Callable, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return _filled(sizes, shape, fill_value, dtype) if _free(shape) else original(shape, fill_value, dtype)


def _filled(sizes: FreeSizes, shape: Sequence[Any], value: Any, dtype: Any) -> Any:
    known = dtype or (value.dtype if ops.is_tensor(value) else keras.config.floatx())
    return _broadcast_to(sizes, ops.broadcast_to, ops.full((1,) * len(shape), value, known), shape)


def _slice(sizes: FreeSizes, original: Callable, x: Any, start_indices: Any, shape: Any) -> Any:
    """Looks up the positions along a free axis one by one; a whole free axis is left unchanged."""
    if not _free(shape) and not _free(start_indices):
        return original(x, start_indices, shape)
    have = sizes.shape(x) if isinstance(x, keras.KerasTensor) else tuple(x.shape)
    for axis, (start, size) in enumerate(zip(start_indices, shape, strict=True)):
        if size is have[axis] or isinstance(size, int) and size == have[axis]:
            continue
        positions = ops.add(_arange(sizes, ops.arange, size), ops.cast(start, "int32"))
        x = ops.take(x, positions, axis=axis)
    return x


def _tile(sizes: FreeSizes, original: Callable, x: Any, repeats: Any) -> Any:
    if not _free(repeats):
        return original(x, repeats)
    lead = len(repeats) - len(x.shape)
    x = ops.expand_dims(x, tuple(range(lead))) if lead > 0 else x
    repeats = [1] * -lead + list(repeats)
    if any(_free(n) and x.shape[axis] != 1 for axis, n in enumerate(repeats)):
        raise PruneError("ops.tile repeats several positions as often as a free size says")
    x = original(x, [1 if _free(n) else n for n in repeats])
    return _broadcast_to(
        sizes, ops.broadcast_to, x, [n if _free(n) else size for n, size in zip(repeats, x.shape, strict=True)]
    )


def _repeat(sizes: FreeSizes, original: Callable, x: Any, repeats: Any, axis: int | None = None) -> Any:
    if not _free(repeats):
        return original(x, repeats, axis=axis)
    if axis is None:
        raise PruneError("ops.repeat without an axis, as often as a free size says")
    return _tile(sizes, ops.tile, x, [repeats if a == axis % len(x.shape) else 1 for a in range(len(x.shape))])


def resize(
    sizes: FreeSizes,
    original: Callable,
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    **how: Any,
) -> Any:
    """`keras.ops.image.resize`, one side after the other if one is free: `y[i] = x[(i + ½) · side / size − ½]`."""
    if not _free(*size) and not (isinstance(images, keras.KerasTensor) and None in tuple(size)):
        return original(images, size, interpolation, antialias, crop_to_aspect_ratio, pad_to_aspect_ratio, **how)
    if interpolation not in ("nearest", "bilinear") or antialias or crop_to_aspect_ratio or pad_to_aspect_ratio:
        raise PruneError("ops.image.resize to a free size, neither nearest nor bilinear, or with more than that")
    layout = how.get("data_format") or keras.config.image_data_format()
    first = len(images.shape) - (2 if layout == "channels_first" else 3)
    for axis, wanted in enumerate(size, first):
        images = _resampled(sizes, images, axis, wanted, interpolation == "nearest")
    return images


def _resampled(sizes: FreeSizes, x: Any, axis: int, size: Any, nearest: bool) -> Any:
    """Returns a tensor whose side along an axis has another size, by the nearest position or the two nearest."""
    have = sizes.shape(x)[axis]
    if have is size:
        return x
    ratio = ops.divide(ops.cast(have, "float32"), ops.cast(size, "float32"))
    places = ops.multiply(ops.cast(_arange(sizes, ops.arange, size), "float32") + 0.5, ratio) - 0.5 * (not nearest)
    below = ops.floor(places)

    def at(whole: Any) -> Any:
        inside = ops.minimum(ops.maximum(ops.cast(whole, "int32"), 0), ops.subtract(have, 1))
        return ops.take(x, inside, axis=axis)

    if nearest:
        return at(below)
    share = ops.reshape(ops.cast(places - below, x.dtype), [-1 if a == axis else 1 for a in range(len(x.shape))])
    return at(below) * (1 - share) + at(below + 1) * share


def slice_free_sizes(sizes: FreeSizes, x: Any, key: Any) -> tuple[Any, Any] | None:
    """Applies the slices of `key` that end at a free size; returns the result and the rest of the key.

    `None` if no slice has a free size.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    slices = [(place, each) for place, each in enumerate(keys) if isinstance(each, slice)]
    free = [(place, each) for place, each in slices if _free(each.start, each.stop, each.step)]
    if not free:
        return None
    first = next((place for place, each in enumerate(keys) if each is Ellipsis), len(keys))
    for place, each in free:
        if each.step not in (None, 1) or _free(each.start) or each.start or any(k is None for k in keys):
            raise PruneError("a slice begins at a free size, or goes in steps")
        axis = place if place < first else len(x.shape) - len(keys) + place
        keys[place] = slice(None)
        if sizes.shape(x)[axis] is each.stop:
            continue
        if x.shape[axis] is None:
            raise PruneError("a slice of a free axis ends at another free size")
        x = ops.take(x, _arange(sizes, ops.arange, each.stop), axis=axis)
    return x, tuple(keys)


def all_steps_at_once(x: Any, call: Callable[[Any], Any]) -> Any:
    """Returns a layer's outputs for every step of a tensor `(batch, steps, …)`, in one call on `(batch · steps, …)`."""
    made = call(keras.ops.reshape(x, (-1, *keras.ops.shape(x)[2:])))
    if x.shape[1] is not None:
        return tree.map_structure(lambda y: keras.ops.reshape(y, (-1, x.shape[1], *y.shape[1:])), made)
    places = _places(x)
    return tree.map_structure(lambda y: keras.ops.take(y, places, axis=0), made)


def _places(x: Any) -> Any:
    """Returns `b · steps + t`, of shape `(batch, steps)`: where step t of sample b is once time is in the batch.

    No operation of Keras reshapes to two sizes that are free.
    """
    ones = ones_along(x, 0, 1)
    steps = keras.ops.sum(ones, axis=1, keepdims=True)
    samples = keras.ops.subtract(keras.ops.cumsum(ones, axis=0), 1)
    return keras.ops.add(samples * steps, keras.ops.subtract(keras.ops.cumsum(ones, axis=1), 1))
