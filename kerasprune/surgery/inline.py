"""Composite layers and subclassed models written out as one plain functional model.

The code of `call` is run once on symbolic tensors; every layer that it calls is made anew, with the same weights, and
called in its place. What is left is a graph of layers of Keras, which `kp.trace` can read and which loads without the
classes of the user.
"""

from __future__ import annotations

import inspect
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import Functional, calls_of_layers, inner_layers, maker, own_weights, structures
from kerasprune.errors import PruneError
from kerasprune.graph.rule import find
from kerasprune.graph.walk import is_model
from kerasprune.surgery.clone import starting_from, train_alike
from kerasprune.surgery.copy_layer import make_layer

_TOLERANCE = 1e-5
_SIDE = 32  # of a free axis, in the comparison


def functional(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Writes a model out as one plain functional model with the same function.

    Nested models, subclassed ones too, and layers made of layers are replaced by what they call. Layers that have
    weights of their own beside those of the layers in them, that act otherwise while training, or whose `call` cannot
    be run on symbolic tensors (Python control flow on values), stay layers; a warning names them and says why.

    Args:
        model: Any built model; it is left untouched.
        inputs: What it takes: a batch, or `keras.Input`s, in the structure of its first argument. Defaults to what a
            functional model was made with, or a subclassed one was built for.

    Returns:
        A functional model with its own weights, not compiled. Its outputs are compared with the model's on random
        inputs before it is returned.

    Raises:
        PruneError: The model is not built, its inputs are not known, its own `call` cannot be written out (the message
            quotes the line), or the outputs differ.

    Example:
        >>> import keras, kerasprune as kp
        >>> class Block(keras.layers.Layer):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.wide, self.narrow = keras.layers.Dense(8), keras.layers.Dense(4)
        ...
        ...     def call(self, x):
        ...         return x + self.narrow(keras.ops.relu(self.wide(x)))
        >>> images = keras.Input((4,))
        >>> model = keras.Model(images, keras.layers.Dense(2, name="logits")(Block()(images)))
        >>> plain = kp.functional(model)
        >>> sorted(kp.trace(plain).prunable)
        ['block_dense']
    """
    if not isinstance(model, keras.Model):
        raise PruneError(f"Expected a keras.Model. Received: model={model!r} of {type(model).__name__}.")
    fed = _inputs(model, inputs)
    writer = _Writer(model, tree.flatten(fed)[0])
    with calls_of_layers(writer.visit):
        try:
            outputs = writer.expand(model, (fed,), {})
        except Exception as error:  # noqa: BLE001  the code is the user's
            raise PruneError(
                f"Expected a model whose call() runs on symbolic tensors. Received: {model.name!r}, which fails "
                f"{_line_of(error)}. Write that with keras.ops, or put it into a layer of its own."
            ) from error
    new = keras.Model(fed, outputs, name=model.name)
    train_alike([(model, new), *writer.pairs])
    _check_same(model, new)
    if writer.kept:
        kept = "; ".join(f"{name!r} {why}" for name, why in writer.kept.items())
        warnings.warn(f"Not written out, and whole when the model is pruned: {kept}.", stacklevel=2)
    return new


class _LooksAtTrainingError(Exception):
    """The code of a layer does something else while training."""


class _Training:
    """Stands for the argument `training`: false, and notes whether anybody asks, rather than handing it on."""

    looked_at = False

    def __bool__(self) -> bool:
        self.looked_at = True
        return False

    def __eq__(self, other: object) -> bool:
        self.looked_at = True
        return other is False

    __hash__ = None


@dataclass
class _Writer:
    """Makes layers anew and calls them in the place of the old ones, while the code of a model runs."""

    model: keras.Model
    source: keras.KerasTensor
    kept: dict[str, str] = field(default_factory=dict)
    _made: dict[int, Any] = field(default_factory=dict)
    _olds: list[Any] = field(default_factory=list)  # keeps ids in use
    _names: set[str] = field(default_factory=set)
    _path: list[str] = field(default_factory=list)
    _leaf: bool = False

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """`(old, new)` of the layers that were made anew."""
        return [(old, self._made[id(old)]) for old in self._olds]

    def visit(self, layer: Any, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Stands for a call of a layer.

        Args:
            layer: The layer.
            call: `call(layer, *args, **kwargs)` is the call as Keras would do it.
            args: Positional arguments.
            kwargs: Arguments by name.
        """
        args = tuple(None if isinstance(x, _Training) else x for x in args)
        kwargs = {name: x for name, x in kwargs.items() if not isinstance(x, _Training)}
        if self._leaf:
            return call(layer, *args, **kwargs)
        if not _is_symbolic((args, kwargs)):
            if not getattr(layer, "weights", ()):
                return call(layer, *args, **kwargs)
            args, kwargs = tree.map_structure(self._symbolic, (args, kwargs))
        why = self._stays(layer)
        if why is None:
            try:
                return self.expand(layer, args, kwargs)
            except _LooksAtTrainingError:
                why = "acts otherwise while training"
            except Exception as error:  # noqa: BLE001  the code is the user's
                why = f"fails on symbolic tensors {_line_of(error)}"
        if why:
            self.kept[layer.name] = why
        return self._called(layer, call, args, kwargs)

    def expand(self, layer: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Runs the code of a layer; the layers that it calls come to `visit`.

        Raises:
            _LooksAtTrainingError: The code is another one while training; that of the model itself is run as in use.
        """
        names = inspect.signature(layer.call).parameters
        if "mask" in names and kwargs.get("mask") is None:
            mask = getattr(next(iter(tree.flatten(args)), None), "_keras_mask", None)
            kwargs = kwargs if mask is None else {**kwargs, "mask": mask}
        training = _Training()
        if "training" in names and kwargs.get("training") is None:
            kwargs = {**kwargs, "training": training}
        with self._inside(layer):
            made = layer.call(*args, **kwargs)
        if training.looked_at and layer is self.model:
            self.kept[layer.name] = "acts otherwise while training: written out as it acts in use"
        elif training.looked_at:
            raise _LooksAtTrainingError
        return made

    def _symbolic(self, x: Any) -> Any:
        """Returns a tensor as one that depends on an input, without changing it.

        A layer that is called on numbers (an embedding of positions) would be run now, and its weights be constants.
        """
        if not keras.ops.is_tensor(x):
            return x
        nothing = keras.ops.sum(keras.ops.zeros_like(self.source))
        return keras.ops.add(x, keras.ops.cast(nothing, x.dtype))

    def _stays(self, layer: Any) -> str | None:
        """Returns why a layer is not written out: an empty string where there is nothing in it, `None` where it is."""
        if is_model(layer):
            return None
        if not isinstance(layer, keras.layers.Layer):
            return ""
        if find(layer) is not None or len(inner_layers(layer)) < 2:
            return ""
        if own_weights(layer):
            return "has weights of its own beside those of the layers in it"
        return None

    def _called(self, layer: Any, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        before, self._leaf = self._leaf, True
        try:
            if id(layer) in self._made:
                return call(self._made[id(layer)], *args, **kwargs)
            new = self._made[id(layer)] = self._anew(layer)
            self._olds.append(layer)
            if not getattr(layer, "weights", ()):
                return call(new, *args, **kwargs)
            with starting_from(layer, new, keras.ops.convert_to_numpy):
                return call(new, *args, **kwargs)
        finally:
            self._leaf = before

    def _anew(self, layer: Any) -> Any:
        new = make_layer(layer, {})  # a class of the user may take no name
        new.name = self._name(layer)
        return new

    def _name(self, layer: Any) -> str:
        """Returns a name that says where the layer was, and that no other layer has."""
        name = "_".join([*self._path, layer.name])
        free = next(each for each in (name, *(f"{name}_{n}" for n in range(2, 10**6))) if each not in self._names)
        self._names.add(free)
        return free

    @contextmanager
    def _inside(self, layer: Any) -> Iterator[None]:
        if layer is self.model:
            yield
            return
        self._path.append(layer.name)
        try:
            yield
        finally:
            self._path.pop()


def _is_symbolic(arguments: Any) -> bool:
    return any(isinstance(x, keras.KerasTensor) for x in tree.flatten(arguments))


def _inputs(model: keras.Model, given: Any) -> Any:
    """Returns fresh symbolic inputs in the structure that the model takes."""

    def fresh(x: Any, name: str | None = None) -> keras.KerasTensor:
        if isinstance(x, keras.KerasTensor):
            return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name or maker(x).name)
        array = np.asarray(x)
        return keras.Input(array.shape[1:], dtype=str(array.dtype), name=name)

    if isinstance(given, Mapping):
        return {name: fresh(x, name) for name, x in given.items()}
    if given is not None:
        return tree.map_structure(fresh, given)
    if is_model(model) and model.built:
        return tree.map_structure(fresh, structures(model)[0] if isinstance(model, Functional) else model.input)
    shapes = (model.get_build_config() or {}) if model.built else {}
    shape = shapes.get("input_shape")
    if not shape or not isinstance(shape, list | tuple) or not all(s is None or isinstance(s, int) for s in shape):
        raise PruneError(
            f"Expected a model that was built on known inputs. Received: {model.name!r} of class "
            f"{type(model).__name__}. Call it on a batch first, or give one: kp.functional(model, inputs=batch)."
        )
    return keras.Input((*shape[1:],))


def _check_same(model: keras.Model, new: keras.Model) -> None:
    """Compares both on random inputs."""
    generator = np.random.default_rng(0)

    def draw(x: keras.KerasTensor) -> np.ndarray:
        shape = (2, *(_SIDE if size is None else size for size in x.shape[1:]))
        if "int" in str(x.dtype) or x.dtype == "bool":
            return generator.integers(0, 2, shape).astype(x.dtype)
        return generator.normal(size=shape).astype(x.dtype)

    inputs = tree.map_structure(draw, structures(new)[0])
    pairs = zip(tree.flatten(model(inputs, training=False)), tree.flatten(new(inputs, training=False)), strict=True)
    for index, (one, other) in enumerate(pairs):
        a, b = (keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in (one, other))
        size = max(float(np.abs(a).max(initial=0.0)), 1e-30)
        error = float(np.abs(a - b).max(initial=0.0)) / size if a.shape == b.shape else float("inf")
        if not error <= _TOLERANCE * (1 if "32" in str(one.dtype) else 1000):
            raise PruneError(
                f"Expected the model written out to compute the same. Received: output {index} of {model.name!r} has "
                f"{np.abs(a).max(initial=0.0):.6g} as its largest value, and differs by {error:.1e} of that. "
                "Its call() depends on more than its layers and arguments."
            )


def _line_of(error: BaseException) -> str:
    """Returns the line of the user's code at which an error was raised, and the error in a few words."""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "/keras/" not in f.filename and "kerasprune" not in f.filename
    ]
    what = " ".join(str(error).split())[:160]
    if not frames:
        return f"({type(error).__name__}: {what})"
    last = frames[-1]
    return f"at {last.filename.split('/')[-1]}:{last.lineno}, `{last.line}` ({type(error).__name__}: {what})"
