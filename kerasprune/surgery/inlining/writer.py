"""Layers recreated and called in the place of the old ones, while the code of a model runs on symbolic tensors."""

from __future__ import annotations

import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
from keras import tree

from kerasprune._keras import (
    inner_layers,
    is_of_keras,
    lacks_mask,
    making_node,
    mask_of,
    own_weights,
)
from kerasprune._keras import numpy_operations as knp
from kerasprune.errors import PruneError, is_own
from kerasprune.graph.groups import free_name
from kerasprune.graph.rule import find, wraps_several
from kerasprune.graph.walk import is_model
from kerasprune.surgery.clone import starting_from, taking_weights_of
from kerasprune.surgery.copy_layer import comes_back, make_layer
from kerasprune.surgery.inlining.free_sizes import FreeSizes, all_steps_at_once, operations, resize, slice_free_sizes
from kerasprune.surgery.inlining.own_kernels import PRODUCTS, own_kernel
from kerasprune.surgery.inlining.stock_dropout import stock_dropout
from kerasprune.surgery.inlining.weight_lookup import looked_up, obstacle, replace_variables


class _LooksAtTrainingError(Exception):
    """Raised if the code of a layer behaves differently in training mode."""


class _StaysError(Exception):
    """Raised by what a graph of operations would not do: its layer is kept. The message is the reason."""


class _Training:
    """Replaces the argument `training`: false, and records whether code reads it rather than passing it on."""

    looked_at = False

    def __bool__(self) -> bool:
        self.looked_at = True
        return False

    def __eq__(self, other: object) -> bool:
        self.looked_at = True
        return other is False

    __hash__ = None


@dataclass
class Writer:
    """Recreates layers and calls them instead of the old ones while the code of a model runs."""

    model: keras.Model
    inputs: list[keras.KerasTensor]
    keeps_masks: bool = False
    shared: Collection[int] = ()
    """Which weights, by `id`, are read in several ways, and so are tables only."""
    copies: bool = True
    """Whether new layers have weights of their own; otherwise they compute with those of the model."""
    loses_masks: bool = False
    kept: dict[str, str] = field(default_factory=dict)
    steps_at_once: dict[str, None] = field(default_factory=dict)
    """Names of layers whose batch statistics are those of all steps in time at once."""
    without_losses: dict[str, None] = field(default_factory=dict)
    """Names of layers, and of the model, that are written out without the losses that their code adds."""
    _made: dict[int, tuple[Any, Any]] = field(default_factory=dict)  # (old, new): keeps ids in use
    _names: set[str] = field(default_factory=set)
    _path: list[str] = field(default_factory=list)
    _leaf: bool = False
    _tensors: dict[int, Any] = field(default_factory=dict)  # of variables
    _tables: dict[int, tuple[Any, Any, Any, Any]] = field(default_factory=dict)  # (tensor, embedding, owner, variable)
    _kernels: dict[tuple, Any] = field(default_factory=dict)  # dense layers, by `OwnKernel.key`

    def __post_init__(self) -> None:
        self._sizes = FreeSizes(self.inputs)

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """`(old, new)` of the layers that were recreated."""
        return list(self._made.values())

    @property
    def sources(self) -> dict[int, Any]:
        """The weight that each weight of the new layers has its numbers of, in the same order, by the `id` of these."""
        found = {}
        for old, new in self.pairs:
            mine, theirs = (getattr(each, "weights", ()) for each in (old, new))
            if len(mine) == len(theirs):
                found |= {id(new): old for old, new in zip(mine, theirs, strict=True)}
        found |= {id(table.embeddings): variable for _, table, _, variable in self._tables.values()}

        def origin(variable: Any) -> Any:
            source = found.get(id(variable), variable)
            return source if source is variable else origin(source)

        return {key: origin(variable) for key, variable in found.items()}

    @property
    def read_as_numbers(self) -> list[Any]:
        """The weights that no new layer has."""
        there = self._tensors.keys() | {id(v) for old, _ in self.pairs for v in getattr(old, "weights", ())}
        return [variable for variable in self.model.trainable_weights if id(variable) not in there]

    def visit(self, layer: Any, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Replaces a call of a layer.

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
        if kwargs.get("training") is True and self._path:
            raise _StaysError(f"calls {layer.name!r} in training mode, which a model would not in inference")
        if not any(isinstance(x, keras.KerasTensor) for x in tree.flatten((args, kwargs))):
            if not _is_weighted(layer):
                return call(layer, *args, **kwargs)
            args, kwargs = tree.map_structure(self._symbolic, (args, kwargs))
        why = self._stays(layer)
        if why is None:
            before = dict(self.kept), dict(self.without_losses)
            try:
                made = self.expand(layer, args, kwargs)
                if is_model(layer) or not args or not lacks_mask(layer, args[0], made):
                    return made
                self.loses_masks = True
                if not self.keeps_masks:
                    return made
                why = "puts a mask on what it returns"
            except _LooksAtTrainingError:
                same = stock_dropout(layer, args, kwargs)
                if same is not None:
                    return self._called(layer, call, args, {}, same)
                why = "acts differently in training mode"
            except _StaysError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001  the code is the user's
                why = f"fails on symbolic tensors {line_of(error)}"
            self.kept, self.without_losses = before  # the layers in it stay with it
        if not why:
            return self._leaf_called(layer, call, args, kwargs)
        self.kept[layer.name] = why
        try:
            return self._called(layer, call, args, kwargs)
        except PruneError as error:
            raise PruneError(
                f"{layer.name!r} cannot be written out: it {why}. Nor can it remain a layer: {error}"
            ) from error

    def expand(self, layer: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Runs the code of a layer; the layers that it calls come to `visit`.

        Raises:
            _LooksAtTrainingError: The layer acts differently in training. The model itself is run as in
                inference.
        """
        names = inspect.signature(layer.call).parameters
        if "mask" in names and kwargs.get("mask") is None:
            mask = _first_mask(args)
            kwargs = kwargs if mask is None else {**kwargs, "mask": mask}
        if wraps_several(layer):
            return self._at_every_step(layer, *args, **kwargs)
        training = _Training()
        if "training" in names and kwargs.get("training") is None:
            kwargs = {**kwargs, "training": training}
        with self._inside(layer), self._weights_of(layer):
            made = layer.call(*args, **kwargs)
        if training.looked_at and layer is self.model:
            self.kept[layer.name] = "acts differently in training mode: written out as it acts in inference mode"
        elif training.looked_at:
            raise _LooksAtTrainingError
        return made

    def loss_adder(self) -> Callable[[keras.layers.Layer, Any], None]:
        """Returns the substitute for `Layer.add_loss` in code that is written out: a graph of operations adds none."""
        original = keras.layers.Layer.add_loss

        def add_loss(layer: keras.layers.Layer, loss: Any) -> None:
            if self._leaf:
                original(layer, loss)
            elif layer is not self.model and len(inner_layers(layer)) == 1:
                raise _StaysError("adds a loss")
            else:
                self.without_losses[layer.name] = None

        return add_loss

    def _at_every_step(self, layer: Any, x: Any, mask: Any = None, training: Any = None) -> Any:
        """Runs the code of what a layer applies at every step."""
        if mask is not None:
            raise PruneError("it is given a mask of its steps")
        with self._inside(layer):
            made = all_steps_at_once(x, layer.layer)
        if any(isinstance(each, keras.layers.BatchNormalization) for each in inner_layers(layer)):
            self.steps_at_once[layer.name] = None
        return made

    def _symbolic(self, x: Any) -> Any:
        """Returns a tensor as one that depends on an input, without changing it.

        A layer that is called on numbers (an embedding of positions) would be run now, and its weights be constants.
        """
        if not keras.ops.is_tensor(x):
            return x
        return keras.ops.add(x, keras.ops.cast(self._nothing, x.dtype))

    @cached_property
    def _nothing(self) -> Any:
        """A zero that depends on an input, computed once and shared."""
        return keras.ops.sum(keras.ops.zeros_like(self.inputs[0]))

    def _stays(self, layer: Any) -> str | None:
        """Returns why a layer is not written out: empty if it has no inner layer; `None` if it is written out."""
        if is_model(layer) or wraps_several(layer) or isinstance(layer, keras.layers.Lambda):
            return None  # a file with the code of a Lambda is not loaded in safe mode
        if not isinstance(layer, keras.layers.Layer) or find(layer) is not None:
            return ""
        if is_of_keras(type(layer)) and (len(inner_layers(layer)) < 2 or own_weights(layer)):
            return ""
        return obstacle(layer)

    # ---- in the place of keras.ops, while code runs ---------------------------------------------------------

    def operations(self) -> dict[str, Callable[..., Any]]:
        """Returns the substitutes for functions of `keras.ops` in the code that is written out."""
        sized = operations(self._sizes)
        originals = {name: getattr(keras.ops, name) for name in ("take", *sized)}

        def outside(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **kwargs: (originals[name] if self._leaf else function)(*args, **kwargs)

        def take(x: Any, indices: Any, axis: int | None = None) -> Any:
            _, table, *_ = self._tables.get(id(x), (None, None))
            looks_up = table is not None and len(x.shape) == 2 and axis == 0 and isinstance(indices, keras.KerasTensor)
            return table(indices) if looks_up else originals["take"](x, indices, axis=axis)

        return {name: outside(name, f) for name, f in {**sized, "take": take}.items()}

    def resize(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the substitute for `keras.ops.image.resize`."""
        sized = partial(resize, self._sizes, original)
        return lambda *args, **kwargs: (original if self._leaf else sized)(*args, **kwargs)

    def item(self, x: keras.KerasTensor, key: Any) -> Any:
        """Returns `x[key]`."""
        rest = None if self._leaf else slice_free_sizes(self._sizes, x, key)
        x, key = rest or (x, key)
        keys = key if isinstance(key, tuple | list) else (key,)  # Keras takes no bare None, slice or number of NumPy
        return keras.ops.get_item(x, tuple(int(each) if isinstance(each, np.integer) else each for each in keys))

    def product(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the substitute for the call of an operation: a product with a weight is a dense layer.

        One with a number is a layer, too: Keras takes the product for sparse, which layers without shapes cannot read.
        """

        def called(operation: Any, *operands: Any, **kwargs: Any) -> Any:
            if isinstance(operation, knp.Multiply) and (scaled := self._scaled(operation, *operands)) is not None:
                return scaled
            if self._leaf or not isinstance(operation, PRODUCTS):
                return original(operation, *operands, **kwargs)
            with self._as_they_are():
                made = self._multiplied(operation, operands)
                return original(operation, *operands, **kwargs) if made is None else made

        return called

    def _scaled(self, operation: Any, x: Any, factor: Any) -> Any:
        """Returns the product of a tensor and a number as the output of a layer; `None` if it is another product."""
        x, factor = (x, factor) if isinstance(x, keras.KerasTensor) else (factor, x)
        if isinstance(factor, keras.KerasTensor) or np.ndim(factor) or "float" not in x.dtype:
            return None
        if operation.compute_output_spec(x, factor).dtype != x.dtype:
            return None
        with self._as_they_are():
            layer = keras.layers.Rescaling(float(factor), dtype=x.dtype, name=self._free("rescaling"))
            return layer(x if mask_of(x) is None else keras.ops.copy(x))

    def _multiplied(self, operation: Any, operands: tuple) -> Any:
        """Returns a product as the output of a dense layer; `None` if it is not the product of a tensor and a weight.

        The layer passes on a mask, the operation does not.
        """
        usable = {key for key, (*_, variable) in self._tables.items() if id(variable) not in self.shared}
        kernel = own_kernel(operation, operands, usable, self.inputs)
        if kernel is None:
            return None
        _, table, owner, variable = self._tables[id(kernel.weight)]
        if kernel.key not in self._kernels:
            self._kernels[kernel.key] = kernel.layer(owner, variable, table.name)
        layer = self._kernels[kernel.key]
        if layer is None:
            return None
        made = layer(kernel.x if mask_of(kernel.x) is None else keras.ops.copy(kernel.x))
        made = made if len(made.shape) == len(kernel.shape) else keras.ops.squeeze(made, -1)
        expected = operation.compute_output_spec(*operands).dtype
        return made if made.dtype == expected else keras.ops.cast(made, expected)

    def read_in_several_ways(self, outputs: Any) -> set[int]:
        """Returns the weights, by `id`, that several layers before these outputs hold, each its own copy."""
        there, waiting = {}, [y for y in tree.flatten(outputs) if isinstance(y, keras.KerasTensor)]
        while waiting:
            node = making_node(waiting.pop())
            if id(node) not in there:
                there[id(node)] = id(node.operation)
                waiting += node.input_tensors
        holders = {id(table): variable for _, table, _, variable in self._tables.values()}
        holders |= {id(layer): self._tables[weight][-1] for (weight, *_), layer in self._kernels.items()}
        found = Counter(id(holders[key]) for key in set(there.values()) if key in holders)
        return {key for key, number in found.items() if number > 1}

    def _tensor(self, layer: keras.layers.Layer, variable: Any) -> Any:
        """Returns the substitute for a layer's own variable: a tensor that a layer outputs, or constants."""
        if "float" not in str(variable.dtype):
            return keras.ops.convert_to_numpy(variable)
        if id(variable) not in self._tensors:
            name = self._free(variable.name)
            with self._as_they_are():
                table, tensor = looked_up(layer, variable, lambda n: self._symbolic(keras.ops.arange(n)), name)
            self._tensors[id(variable)] = tensor
            self._tables[id(tensor)] = tensor, table, layer, variable
        return self._tensors[id(variable)]

    def _called(
        self, layer: Any, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any], other: Any = None
    ) -> Any:
        """Calls a layer's new one, which is made the first time, or `other` in its place."""
        started: Any = nullcontext()
        with self._as_they_are():
            if id(layer) not in self._made:
                source = layer if other is None else other
                new = make_layer(source)
                new.name = self._free(source.name)  # a class of the user may take no name
                self._made[id(layer)] = layer, new
                if _is_weighted(layer) and self.copies:
                    started = starting_from(layer, new, keras.ops.convert_to_numpy)
                elif _is_weighted(layer):
                    started = taking_weights_of(layer, new)
            with started:
                return call(self._made[id(layer)][1], *args, **kwargs)

    def _leaf_called(self, layer: Any, call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Calls a layer; an activation that no other process knows is written out after it."""
        if not _has_foreign_activation(layer) or _first_mask((args, kwargs)) is not None:
            return self._called(layer, call, args, kwargs)
        function = layer.activation
        vars(layer)["activation"] = keras.activations.linear
        try:
            made = self._called(layer, call, args, kwargs)
        finally:
            vars(layer)["activation"] = function
        return function(made)

    @contextmanager
    def _as_they_are(self) -> Iterator[None]:
        """Leaves calls alone in this block."""
        before, self._leaf = self._leaf, True
        try:
            yield
        finally:
            self._leaf = before

    def _weights_of(self, layer: Any) -> Any:
        """Replaces a layer's own weights by tensors while its code runs."""
        if not own_weights(layer):
            return nullcontext()
        return replace_variables(layer, lambda variable: self._tensor(layer, variable))

    def _free(self, name: str) -> str:
        """Returns an unused name that contains the place of a layer."""
        free = free_name("_".join([*self._path, name]), self._names, "_")
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


_ACTIVATED = (
    keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Activation, keras.layers.Conv1D, keras.layers.Conv2D,
    keras.layers.Conv3D, keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D, keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)  # fmt: skip


def _has_foreign_activation(layer: Any) -> bool:
    """Returns whether a layer ends with a function that is not Keras's own, and that runs on symbolic tensors."""
    if type(layer) not in _ACTIVATED or comes_back(layer.activation):
        return False
    try:
        return isinstance(layer.activation(keras.KerasTensor((2, 3))), keras.KerasTensor)
    except Exception:  # noqa: BLE001  the function is the user's
        return False


def _is_weighted(layer: Any) -> bool:
    return bool(getattr(layer, "weights", ()))


def _first_mask(arguments: Any) -> Any:
    """Returns the mask on the first of some arguments, or `None`."""
    return next((mask_of(x) for x in tree.flatten(arguments)), None)


def line_of(error: BaseException) -> str:
    """Returns the line of the user's code at which an error was raised, and the error in a few words."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    what = " ".join(str(error).split())[:160]
    if not frames:
        return f"({type(error).__name__}: {what})"
    last = frames[-1]
    return f"at {last.filename.split('/')[-1]}:{last.lineno}, `{last.line}` ({type(error).__name__}: {what})"
