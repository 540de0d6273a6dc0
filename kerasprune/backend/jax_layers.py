"""Layers as one program each on JAX, which else compiles one for every operation in them and for every shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
from keras import layers, tree

from kerasprune._keras import in_stateless_scope, replaced_attributes

_BY_CONFIG = (
    *(layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D),
    *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.SeparableConv1D, layers.SeparableConv2D),
    *(layers.Dense, layers.EinsumDense),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization),
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.MaxPooling1D, layers.MaxPooling2D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.ZeroPadding1D, layers.ZeroPadding2D),
    *(layers.Activation, layers.ReLU, layers.UpSampling2D),
)
"""Classes whose config says all that they compute from variables and arguments; an attention reads masks, too."""
_OWN = '"registered_name": "', "__lambda__"  # in the config of a layer with a function or an object of the user's


@contextmanager
def layer_programs() -> Iterator[None]:
    """Runs layers as one program each within the block, in inference; layers of equal configs share one.

    A layer within a program, and one of whose config does not say all that it computes, is called as usual.
    """
    usual = keras.Operation.__call__

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        program = _program_for(self, args, kwargs)
        return usual(self, *args, **kwargs) if program is None else program(usual, self, args, kwargs)

    with replaced_attributes((keras.Operation, "__call__", called)):
        yield


def _program_for(layer: Any, args: Any, kwargs: Any) -> _LayerProgram | None:
    """Returns the program of a call, or `None` if it is made as usual."""
    from jax import Array
    from jax.core import Tracer

    if type(layer) not in _BY_CONFIG or kwargs.get("training") or in_stateless_scope():
        return None
    leaves = tree.flatten((args, kwargs))
    tensors = [each for each in leaves if keras.ops.is_tensor(each)]
    if not tensors or not all(isinstance(each, Array) and not isinstance(each, Tracer) for each in tensors):
        return None
    try:
        config = json.dumps({**layer.get_config(), "name": None}, default=repr, sort_keys=True)
    except Exception:  # noqa: BLE001, a function may be anyone's
        return None
    if any(each in config for each in _OWN):
        return None
    places = tuple(None if keras.ops.is_tensor(each) else repr(each) for each in leaves)
    return make_program(type(layer), config, len(layer.variables), len(args), tuple(kwargs), places)


@cache
def make_program(*key: Any) -> _LayerProgram:
    """Returns the program of a key, made once."""
    return _LayerProgram()


class _LayerProgram:
    """A program of all layers with one config, and of calls with the same arguments beside tensors."""

    def __init__(self) -> None:
        import jax

        self._traced: tuple = ()
        self._program = jax.jit(self._pure)

    def __call__(self, usual: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        """Returns the outputs of a layer; `usual` calls it."""
        self._traced = usual, layer, args, kwargs
        try:
            return self._program([each.value for each in layer.variables], _tensors(args, kwargs))
        finally:
            self._traced = ()  # the program holds no weights

    def _pure(self, values: Sequence[Any], tensors: Sequence[Any]) -> Any:
        usual, layer, args, kwargs = self._traced
        given = iter(tensors)
        args, kwargs = tree.map_structure(lambda x: next(given) if keras.ops.is_tensor(x) else x, (args, kwargs))
        with keras.StatelessScope([*zip(layer.variables, values, strict=True)]):
            return usual(layer, *args, **kwargs)


def _tensors(args: Any, kwargs: Any) -> list[Any]:
    return [each for each in tree.flatten((args, kwargs)) if keras.ops.is_tensor(each)]
