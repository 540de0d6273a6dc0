"""The size at which a model is counted, tried and exported: what stands in for the free axes of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerasprune._keras import maker
from kerasprune.checks import is_number, whole_number_faults
from kerasprune.errors import Key, PruneError, nearest

if TYPE_CHECKING:
    import keras

Sides = int | Sequence[int]
Size = Sides | Mapping[str, Sides]
"""A number for every free axis, one number for each, or either of them by the name of the input."""
Shape = tuple[int | None, ...]
GUESSES = (32, 16, 64, 96, 128, 224, 384, 512, 1024, 2048, 4096, 8, 4)
"""Numbers for free axes that are tried in turn, where neither the user nor the data says any."""


def shape_at(name: str, shape: Shape, size: Size | None) -> Shape:
    """Returns the shape of an input, without its batch axis, with its free axes set.

    Args:
        name: The name of the input.
        shape: Its shape; `None` is a free axis.
        size: The size; axes for which it has no number stay free.

    Example:
        >>> shape_at("image", (None, None, 3), (32, 48)), shape_at("tokens", (None,), {"image": 32})
        ((32, 48, 3), (None,))
    """
    sides = size.get(name) if isinstance(size, Mapping) else size
    if sides is None:
        return shape
    numbers = iter([sides] * len(shape) if is_number(sides) else sides)
    return tuple(next(numbers, None) if axis is None else axis for axis in shape)


def fill_size(shapes: Mapping[str, Shape], size: Size | None, number: int) -> dict[str, tuple[int, ...]]:
    """Returns a size with the number for every free axis that it leaves open.

    Args:
        shapes: The shapes of the inputs by name, without their batch axes.
        size: The size.
        number: The number.

    Example:
        >>> fill_size({"image": (None, None, 3), "tokens": (None,), "age": (1,)}, {"image": (24, 32)}, 16)
        {'image': (24, 32), 'tokens': (16,)}
    """
    known = {name: shape_at(name, shape, size) for name, shape in shapes.items()}
    return {
        name: tuple(number if n is None else n for axis, n in zip(shape, known[name], strict=True) if axis is None)
        for name, shape in shapes.items()
        if None in shape
    }


def shapes_at_size(model: keras.Model, size: Size | None) -> list[Shape]:
    """Returns the shapes of the inputs of a built model at a size, without their batch axes."""
    return [shape_at(name, shape, size) for name, shape in input_shapes(model).items()]


def write_size(size: Size) -> str:
    """Returns a size as the option `--size` takes it.

    Example:
        >>> write_size(32), write_size((32, 48)), write_size({"image": (32, 48), "tokens": 20})
        ('32', '32x48', 'image=32x48,tokens=20')
    """
    if isinstance(size, Mapping):
        return ",".join(f"{name}={write_size(sides)}" for name, sides in size.items())
    return "x".join(map(str, [size] if isinstance(size, int) else size))


def input_shapes(model: keras.Model) -> dict[str, Shape]:
    """Returns the shapes of the inputs of a functional model, without their batch axes, by the names of their layers.

    A rebuilt model has layers of the same names; the names that Keras gives to tensors change.
    """
    return {maker(tensor).name: tuple(tensor.shape[1:]) for tensor in model.inputs}


def size_faults(shapes: Mapping[str, Shape], size: Size | None, name: str = "size") -> list[PruneError]:
    """Returns the fault of a size that the inputs of a model cannot take.

    Args:
        shapes: The shapes of the inputs by name, without their batch axes.
        size: The size; `None`: none is given.
        name: The argument, or the key of a recipe, that gives it. Defaults to `"size"`.

    Example:
        >>> size_faults({"image": (None, None, 3)}, 32)
        []
    """
    if size is None:
        return []
    key = Key(name)
    by_input = size if isinstance(size, Mapping) else dict.fromkeys(shapes, size)
    if unknown := [each for each in by_input if each not in shapes]:
        inputs = f"{', '.join(map(repr, shapes))}. Received: {unknown[0]!r}.{nearest(str(unknown[0]), shapes)}"
        return [PruneError("Expected ", key, f" to name inputs of the model: {inputs}")]
    if not by_input or not all(map(_is_of_sides, by_input.values())):
        wanted = (
            f"Expected {name} to be a number of pixels above 0, one for each free axis, or a dict of these by input."
        )
        return [PruneError(f"{wanted} Received: {name}={size!r}.")]
    taken = {name: _takes(shape, by_input[name]) for name, shape in shapes.items() if name in by_input}
    images = [taken[name] for name in taken if len(shapes[name]) == 3 or None in shapes[name]]
    if all(taken.values()) if isinstance(size, Mapping) else any(taken.values()) and all(images):
        return []
    received = f"={size!r}, input shapes {list(shapes.values())}. "
    free = {each: (32,) * shape.count(None) for each, shape in shapes.items() if None in shape}
    if free:
        one = next(iter(free.values())) if len(free) == 1 else free
        wanted = "Expected a number for each free axis of the inputs. Received: "
        return [
            PruneError(wanted, key, received, "Give ", key, f"={one}, or one number for all free axes, ", key, "=32.")
        ]
    wanted = "Build the model with input_shape=(None, None, channels), or leave" if images else "Leave"
    expected = "Expected a model with a free input side (None, None, channels), or the size that it was built for. "
    return [PruneError(expected, "Received: ", key, received, wanted, " ", key, " out.")]


def _is_of_sides(sides: Sides) -> bool:
    numbers = sides if isinstance(sides, Sequence) and not isinstance(sides, str) else [sides]
    return bool(numbers) and not any(whole_number_faults(1, size=each) for each in numbers)


def _takes(shape: Shape, sides: Sides) -> bool:
    """Returns whether an input takes these sides: by its free axes, or since they are its own."""
    if None in shape:
        return is_number(sides) or shape.count(None) == len(sides)
    if is_number(sides):
        return shape.count(sides) >= (2 if len(shape) == 3 else 1)
    return any(shape[begin : begin + len(sides)] == tuple(sides) for begin in range(len(shape)))
