"""Remedies of core: of graphs, rules, registries and devices that are followed."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from support.remedies.networks import (
    SEQUENCES,
    Own,
    Written,
    X,
    built,
    conv,
    cut,
    dense,
    fit,
    inside,
    linear,
    prune,
    through,
    with_cell,
    with_lambda,
    with_own,
    written_out,
)
from support.remedies.places import Case


def _strategy() -> Any:
    """Returns a strategy of one device."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0"])


def _rebuilt_under(strategy: Any, scope: Any) -> None:
    """Rebuilds within a scope a model of a strategy."""
    with strategy.scope():
        model = dense()
    with scope:
        kp.rebuild(model, cut(model))


def _beside(number: int | None) -> keras.Model:
    """Returns a model of rows of six numbers and, beside them, of some more."""
    six, more = keras.Input((5, 6)), keras.Input((5, number))
    x = layers.Concatenate()([layers.Dense(8, "relu", name="first")(six), more])
    x = layers.GlobalAveragePooling1D(data_format="channels_first")(x)
    return keras.Model([six, more], layers.Dense(3)(x))


class Parts(keras.Model):
    """A model that is only a place for its part."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = dense()


class Empty(keras.Model):
    """A model without a call."""


class Called(Empty):
    """The same with its call."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = layers.Dense(8), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(self.hidden(x))


def _parts_pruned() -> None:
    """Prunes the part of a model, and sets the slim one."""
    model = Parts()
    model.encoder = prune(model.encoder).slim


def _sliced() -> keras.Model:
    """Returns a model of which one branch reads two channels."""
    x = layers.Dense(6, name="a")(inputs := keras.Input((6,)))
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([x, x[..., 1:3]])))


def _changed(change: Any) -> keras.Model:
    """Returns the classifier after a change of its first layer."""
    change((model := dense()).get_layer("hidden"))
    return model


def _compiled(model: keras.Model) -> keras.Model:
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _adapted() -> keras.Model:
    """Returns the classifier with an adapter, compiled since."""
    return _compiled(_changed(lambda layer: layer.enable_lora(2)))


def _masks(**given: Any) -> keras.callbacks.Callback:
    return kp.callbacks.GradualMagnitude(kp.schedules.constant(0.5), every=1, **given)


def _one_size() -> keras.Model:
    """Returns a model of free sides that takes one size alone."""
    x = layers.Flatten()(layers.Reshape((7, 11, 3))(inputs := keras.Input((None, None, 3))))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu", name="hidden")(x)))


def _added(name: str) -> None:
    """Adds a criterion of a name, and takes it away if it was added."""
    from kerasprune.criteria.registry import criteria

    before = dict(criteria._added)
    try:
        kp.criteria.add(name)(kp.criteria.L1)
    finally:
        criteria._added = before


CASES = [
    Case(
        "graph/trace.py",
        "Expected layers with a rule",
        lambda: kp.trace(with_own()),
        lambda: kp.trace(with_own(), unknown="freeze"),
    ),
    Case(
        "graph/trace.py",
        "Expected freeze to be names",
        lambda: kp.trace(dense(), freeze=3),
        lambda: kp.trace(dense(), freeze=[dense().layers[1].name, "hid*"]),
    ),
    Case(
        "graph/built_model.py",
        "Read a file with",
        lambda: kp.trace("net.keras"),
        lambda: (dense().save("net.keras"), kp.trace(keras.models.load_model("net.keras"))),
    ),
    Case(
        "graph/built_model.py",
        "Call model.build",
        lambda: kp.trace(keras.Sequential([layers.Dense(3)])),
        lambda: kp.trace(keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(3)])),
    ),
    Case(
        "graph/built_model.py",
        "Write it out with kp.functional",
        lambda: kp.trace(built(Written())),
        lambda: kp.trace(kp.functional(built(Written()))),
    ),
    Case(
        "graph/plans.py",
        "Read a file with",
        lambda: kp.rebuild(dense(), "plan.json"),
        lambda: (cut().save("plan.json"), kp.rebuild(dense(), kp.Plan.load("plan.json"))),
    ),
    Case("graph/plans.py", "Make a new plan", lambda: kp.rebuild(linear(), cut()), lambda: kp.rebuild(dense(), cut())),
    Case(
        "graph/plans.py",
        "Give another path, or remove",
        lambda: (dense().save("a.keras"), cut().save("a.keras")),
        lambda: cut().save("b.json"),
    ),
    Case(
        "rules/wrappers.py",
        "Expected a layer with a rule inside",
        lambda: kp.trace(inside(Own())),
        lambda: kp.trace(inside(Own()), unknown="freeze"),
    ),
    Case(
        "graph/trace.py",
        "Write the model out with kp.functional(model) first, or teach",
        lambda: fit(kp.callbacks.GReg1(keep=0.5, strict=False).compressed(4), with_own()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5, strict=False).compressed(4), written_out()),
    ),
    Case(
        "rules/recurrent.py",
        "Teach a layer of your own",
        lambda: kp.sensitivity(with_cell(), SEQUENCES),
        lambda: kp.sensitivity(kp.trace(with_cell(), unknown="freeze"), SEQUENCES),
        True,
    ),
    Case("graph/rule.py", "Write @kp.rule(MyLayer)", lambda: kp.rule(None), lambda: kp.rule(Own)),
    Case(
        "rules/activations.py",
        "Write it with keras.ops, or",
        lambda: kp.trace(with_lambda()),
        lambda: kp.trace(with_lambda(), unknown="freeze"),
    ),
    Case(
        "backend/devices.py",
        "Call this within strategy.scope()",
        lambda: _rebuilt_under(_strategy(), nullcontext()),
        lambda: _rebuilt_under(one := _strategy(), one.scope()),
    ),
    Case(
        "graph/builder.py",
        "Build the model with that size given",
        lambda: kp.trace(_beside(None)),
        lambda: kp.trace(_beside(4)),
    ),
    Case(
        "graph/built_model.py",
        "Call it on one batch",
        lambda: kp.export.saved_model(Written(), "a", data=X),
        lambda: kp.export.saved_model(built(Written()), "a", data=X),
        True,
    ),
    Case("graph/built_model.py", "Prune its parts", lambda: prune(Parts()), _parts_pruned),
    Case(
        "graph/built_model.py",
        "Write its call()",
        lambda: kp.functional(Empty(), inputs=X),
        lambda: kp.functional(Called(), inputs=X),
    ),
    Case(
        "graph/kept_channels.py",
        "Keep one of those it reads",
        lambda: kp.rebuild(_sliced(), kp.Plan({"a": [0, 4]})),
        lambda: kp.rebuild(_sliced(), kp.Plan({"a": [0, 2, 4]})),
    ),
    Case(
        "graph/sizes.py",
        "Build the model with input_shape=",
        lambda: kp.cost(conv(), size=12),
        lambda: (kp.cost(conv(None), size=12), kp.cost(conv())),
    ),
    Case(
        "graph/sizes.py", "Give ", lambda: kp.cost(conv(None), size=(1, 2, 3)), lambda: kp.cost(conv(None), size=(8, 9))
    ),
    Case(
        "graph/adapters.py",
        "Merge it with kp.functional",
        lambda: fit(_masks(), _adapted()),
        lambda: (fit(_masks(), _compiled(kp.functional(_adapted()))), fit(_masks(freeze=["hidden"]), _adapted())),
    ),
    Case(
        "graph/trace.py",
        "Leave them at their defaults",
        lambda: kp.trace(through(layers.ELU(alpha=np.linspace(1, 2, 8)))),
        lambda: kp.trace(through(layers.ELU())),
    ),
    Case(
        "graph/trace.py",
        "Merge its adapters",
        lambda: kp.trace(_adapted()),
        lambda: kp.trace(kp.functional(_adapted())),
    ),
    Case(
        "graph/trace.py",
        "Prune first, and call",
        lambda: prune(_changed(lambda layer: layer.quantize("int8"))),
        lambda: prune().slim.get_layer("hidden").quantize("int8"),
    ),
    Case(
        "graph/trace.py",
        ". Give ",
        lambda: kp.export.saved_model(_one_size(), "a"),
        lambda: kp.export.saved_model(_one_size(), "a", size=(7, 11)),
        True,
    ),
    Case(
        "graph/trace.py",
        "Give ",
        lambda: kp.plan(conv(None), macs=0.5),
        lambda: kp.plan(conv(None), macs=0.5, size=32),
    ),
    Case("registry.py", "Choose another name", lambda: _added("l1"), lambda: _added("l1_of_mine")),
    Case(
        "registry.py",
        "Give {'name'",
        lambda: kp.schedules.get({"name": "cubic", "end": 3}),
        lambda: kp.schedules.get({"name": "cubic", "end": 3, "keep": 0.5}),
    ),
    Case(
        "rules/wrappers.py",
        "Write it out with kp.functional",
        lambda: kp.trace(inside(keras.Sequential([layers.Dense(8), layers.Dense(8)]))),
        lambda: kp.trace(kp.functional(inside(keras.Sequential([layers.Dense(8), layers.Dense(8)])))),
    ),
]

CANNOT_BE_RUN = [
    ("graph/kept_channels.py", "Make the plan with"),  # weights that devices share, on JAX alone
    ("graph/plans.py", "Update kerasprune"),  # a later release
    ("backend/engine.py", "Set KERAS_BACKEND before"),  # NumPy as a backend
    ("errors.py", "Install it with pip"),  # an environment without a package
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
