"""`gated`: gates for the channels that no BatchNorm scales; `without_gates`: the same function without them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import maker
from kerasprune.errors import PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.graph.graph import ChannelGraph, values
from kerasprune.graph.rule import channel_axis
from kerasprune.graph.trace import trace
from kerasprune.graph.walk import Dropped, nodes, walk
from kerasprune.rules.gate import Gate
from kerasprune.surgery.clone import clone, input_like, model_like, of_any_batch, starting_from, train_alike
from kerasprune.surgery.copy_layer import make_layer

_KERNELS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense)
_HOMOGENEOUS = (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)


def gated(model: keras.Model) -> keras.Model:
    """Adds a gate, one trainable scale γ ≥ 0 per channel, after every layer whose channels have no BatchNorm scale.

    All γ start at 1, so the function does not change. `kp.callbacks.Polarization` and `NetworkSlimming` treat gates
    like BatchNorm scales; `kp.rebuild` multiplies them into kernel and bias, so the slim model has none.

    Gates are added after convolutions and dense layers without an activation, or with relu or leaky relu, which commute
    with a scale ≥ 0: `f(γ·x) = γ·f(x)`. A group of channels gets gates after all layers that make it. If that is not
    possible it gets none and is kept whole, which the callbacks report. Nested models are inlined.

    `kp.cost` does not count gates. To load a saved gated model, access `kp.surgery.gated` first, so that Keras knows
    the layer; models from `kp.rebuild` load anywhere.

    Args:
        model: A functional or Sequential model; it is left untouched.

    Returns:
        A functional model with its own weights, not compiled; the same model if there is nothing to gate.

    Raises:
        PruneError: The model has no graph.

    Example:
        >>> import keras, kerasprune as kp
        >>> inputs = keras.Input((8,))
        >>> x = keras.layers.Dense(6, activation="relu", name="hidden")(inputs)
        >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
        >>> [layer.name for layer in kp.surgery.gated(model).layers][2]
        'hidden_gate'

    Reference:
        Zhuang et al., Neuron-level Structured Pruning using Polarization Regularizer, NeurIPS 2020: its gates.
    """
    chosen = _ungated(trace(model, unknown="freeze"))
    if not chosen:
        return model
    made: dict[int, tuple[Any, Any, Gate | None]] = {}

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        old = node.operation
        started: Any = nullcontext()
        if id(old) not in made:
            behind = Gate(name=f"{old.name}_gate", dtype=old.dtype_policy.name) if id(old) in chosen else None
            made[id(old)] = old, make_layer(old), behind
            started = starting_from(old, made[id(old)][1], values) if getattr(old, "weights", ()) else started
        _, new, behind = made[id(old)]
        with started:
            out = new(*args, **kwargs)
        return out if behind is None else behind(out)

    body = body_of(model)
    inputs = [input_like(x, of_any_batch(model, x)) for x in body.inputs]
    outputs = walk(body, inputs, visit)
    train_alike([(old, new) for old, new, _ in made.values()])
    return model_like(model, inputs, outputs)


def without_gates(model: keras.Model) -> keras.Model:
    """Returns a model whose gates are multiplied into the layers before them; a model without gates is unchanged.

    Raises:
        PruneError: A gate does not follow a layer into which it can be multiplied.
    """
    calls = [node for node in nodes(body_of(model)) if isinstance(node.operation, Gate)]
    if not calls:
        return model
    scales = {id(owner): (owner, node.operation) for node in calls for owner in [_owner(node)]}
    changed: dict[int, np.ndarray] = {}
    for owner, gate in scales.values():
        for variable in (owner.kernel, owner.bias):
            if variable is not None:  # the channels lie along the last axis of both
                changed[id(variable)] = ops.convert_to_numpy(variable) * ops.convert_to_numpy(gate.gamma)

    def value(variable: keras.Variable) -> np.ndarray:
        new = changed.get(id(variable))
        return ops.convert_to_numpy(variable) if new is None else new

    bypass = {id(node.outputs[0]): node.input_tensors[0] for node in calls}
    new, _ = clone(model, dropped=Dropped(bypass), value=value)
    return new


def _ungated(graph: ChannelGraph) -> set[int]:
    """Returns the ids of the layers that get a gate: all makers of every group that no BatchNorm scales throughout."""
    chosen: set[int] = set()
    for name, group in graph.prunable.items():
        scaled = np.zeros(group.size, bool)
        for _, _, channel in graph.scaled_by(name):
            scaled[channel[channel >= 0]] = True
        owners = [kernel.owner for kernel, _, _ in graph.made_by(name)]
        if not scaled.all() and owners and all(_takes_gate(owner) and owner.trainable for owner in owners):
            chosen.update(map(id, owners))
    return chosen


def _takes_gate(layer: Any) -> bool:
    """Returns whether a scale after a layer can be multiplied into its weights."""
    return type(layer) in _KERNELS and layer.activation in _HOMOGENEOUS and channel_axis(layer) == -1


def _owner(node: Any) -> Any:
    """Returns the layer into which the gate of a call is multiplied."""
    owner = maker(node.input_tensors[0])
    if not _takes_gate(owner):
        raise PruneError(
            "Expected a gate after a convolution or dense layer, as kp.surgery.gated puts it. Received: "
            f"{node.operation.name!r} after {owner.name!r} of class {type(owner).__name__}."
        )
    return owner
