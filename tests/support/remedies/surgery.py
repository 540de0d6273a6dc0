"""Remedies of surgery and of the checks of `kp.testing` that are followed."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from support.remedies.networks import (
    Written,
    X,
    Y,
    built,
    cut,
    dense,
    fit,
    optimizer_of,
    prune,
    through,
    with_own,
)
from support.remedies.places import Case


class OwnStep(keras.Model):
    """A model with a train step, made with one more argument."""

    def __init__(self, inputs: Any, outputs: Any, times: float) -> None:
        super().__init__(inputs, outputs)
        self.times = times

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def _own() -> keras.Model:
    """Returns such a model, compiled."""
    (model := OwnStep((one := dense()).inputs, one.outputs, 1.0)).compile("sgd", "sparse_categorical_crossentropy")
    return model


def _made_of_slim() -> None:
    """Makes a model of the class of the inputs and outputs of a slim one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slim = kp.rebuild(model := _own(), cut(model), compile="same")
    (own := OwnStep(slim.inputs, slim.outputs, 1.0)).compile("sgd", "sparse_categorical_crossentropy")
    own.fit(X, Y, verbose=0)


def _of_unit_norm() -> keras.Model:
    """Returns a model with a kernel whose columns have length 1."""
    x = layers.Dense(8, "relu", name="hidden")(inputs := keras.Input((6,)))
    model = keras.Model(inputs, layers.Dense(3, kernel_constraint="unit_norm", name="held")(x))
    kernel = model.get_layer("held").kernel
    kernel.assign(kernel.constraint(kernel))
    return model


def _strided() -> keras.Model:
    """Returns a model with a strided convolution of one pixel, which XLA does not compile."""
    x = layers.Conv2D(32, 3, padding="same", name="wide")(inputs := keras.Input((8, 8, 3)))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1, strides=2, name="short")(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


def _trained_by_onednn(**given: Any) -> None:
    """Rebuilds that model, as on an x86 processor with TensorFlow wherever the tests run."""
    from kerasprune.backend import devices

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "trains_by_onednn", lambda: True)
        kp.rebuild(model := _strided(), kp.plan(model, keep=0.25, **given), compile="same")


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that does not write down its argument."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate / (1.0 + keras.ops.cast(step, "float32"))


class WrittenDown(Halving):
    """The same that does."""

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate}


def _pruned_at(rate: Any) -> Any:
    return kp.prune(dense(optimizer=keras.optimizers.Adam(rate)), keep=0.5, reconstruct=False, verbose=0)


class Unnoted(layers.Dense):
    """A layer whose config lacks its width."""

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "units"}


class WithWidth(Unnoted):
    """The same with it."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def _frozen_own() -> Any:
    """Returns the graph of a classifier with a layer of its own, which is not counted."""
    return kp.trace(with_own(), unknown="freeze")


def _report(**given: Any) -> None:
    """Shows a report as a warning, since its lines are read as messages are."""
    warnings.warn(kp.report(graph := _frozen_own(), cut(graph), **given), stacklevel=2)


def _joined(*plain: int) -> keras.Model:
    """Returns a model without its plain block, whose channels end in a sum with those of others."""
    x = layers.Conv2D(6, 1, name="stem")(inputs := keras.Input((8, 8, 3)))
    x = layers.ReLU()(layers.Conv2D(6, 3, padding="same", name="plain")(x))
    x = layers.Add()([layers.MaxPooling2D()(x), layers.Conv2D(6, 2, 2, name="beside")(inputs)])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    return kp.rebuild(model, kp.Plan({"stem": [0, 2], "plain": plain}, ["plain"]))


class Coded(Written):
    """A subclassed model whose call does something more."""

    def __init__(self, more: Any) -> None:
        super().__init__()
        self.more = more

    def call(self, x: Any) -> Any:
        return self.last(self.more(self.hidden(x)))


def _code(more: Any) -> keras.Model:
    """Returns a model with something more."""
    return built(Coded(more))


class Noisy(layers.Layer):
    """A layer that adds noise, in training alone or in every call."""

    def __init__(self, always: bool, **given: Any) -> None:
        super().__init__(**given)
        self.always = always

    def call(self, x: Any, training: bool = False) -> Any:
        return x + np.random.normal(size=8).astype("float32") if training or self.always else keras.ops.sort(x)


def _noise(x: Any) -> Any:
    return x + keras.random.normal((8,))


def _in_numpy(x: Any) -> Any:
    return np.tanh(np.asarray(x))


def _shrunk(target: int, epochs: int) -> None:
    """Rebuilds with the plan of a growing penalty."""
    callback = kp.callbacks.GReg1(keep=0.5, strict=False).compressed(target)
    model = fit(callback, optimizer_of(dense()), epochs=epochs)
    kp.rebuild(model, callback.plan)


def _offset() -> keras.Model:
    """Returns a model of the words from 100 on."""
    x = layers.Embedding(8, 4)((inputs := keras.Input((6,), dtype="int32")) - 100)
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(8, "relu", name="hidden")(x)))


def _verify(model: keras.Model, *data: Any) -> None:
    """Compares a model with its slim one."""
    kp.verify(model, kp.rebuild(model, plan := cut(model)), plan, *data, reload=False)


def _scaled(number: float) -> keras.Model:
    """Returns the classifier with one number in all weights of its first layer."""
    model = dense()
    model.get_layer("hidden").set_weights([np.full((6, 8), number), np.full(8, number)])
    return model


def _without(unit: int) -> keras.Model:
    """Returns the classifier with random weights, and zeros for one unit."""
    model = kp.testing.randomise(dense())
    model.get_layer("hidden").set_weights(
        [each * (np.arange(8) != unit) for each in model.get_layer("hidden").get_weights()]
    )
    return model


class _Floorless(kp.budgets.Budget):
    """A budget that knows neither `min_keep` nor `round_to`."""

    def choose(self, graph: Any, scores: Any, level: float, floor: Any) -> Any:
        return {
            name: np.sort(np.argsort(-scores[name], kind="stable")[: self.kept(level, group, floor)])
            for name, group in graph.prunable.items()
        }

    def kept(self, level: float, group: Any, floor: Any) -> int:
        return max(round(level * group.size), 1)


class _Floored(_Floorless):
    """The same that does."""

    def kept(self, level: float, group: Any, floor: Any) -> int:
        return floor.apply(super().kept(level, group, floor), group.size)


class _Silent(kp.callbacks.GReg1):
    """A callback that leaves out the end of its base class's epochs."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        return None


class _Calling(_Silent):
    """The same that calls it."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        kp.callbacks.GReg1.on_epoch_end(self, epoch, logs)


CASES = [
    Case(
        "surgery/compiled.py",
        "or leave compile= out",
        lambda: kp.rebuild(dense(None), cut(), compile="same"),
        lambda: kp.rebuild(dense(None), cut()),
    ),
    Case(
        "surgery/inlining/inline.py",
        "Call it on a batch first",
        lambda: kp.functional(Written()),
        lambda: kp.functional(Written(), inputs=X),
    ),
    Case(
        "surgery/reordering.py",
        "Write {group name: scores}",
        lambda: kp.surgery.reorder(dense(), 3),
        lambda: kp.surgery.reorder(dense(), kp.criteria.L1().score(kp.trace(dense()))),
    ),
    Case(
        "surgery/picture.py",
        "Give the name of a file as to_file=",
        lambda: kp.plot(dense(), "net.svg"),
        lambda: kp.plot(dense(), to_file=Path(tempfile.mkdtemp()) / "net.svg"),
    ),
    Case(
        "surgery/weight_constraints.py",
        "Train the model before it is judged",
        lambda: kp.rebuild(_of_unit_norm(), cut(_of_unit_norm())),
        lambda: kp.prune(_of_unit_norm(), keep=0.5, data=X, verbose=0),
    ),
    Case(
        "surgery/costs/cost.py",
        "Write {layer name: number}",
        lambda: kp.plan(dense(), macs=0.5, macs_of=3),
        lambda: kp.plan(_frozen_own(), macs=0.9, macs_of={"own": 64}),
    ),
    Case(
        "surgery/comparison.py",
        "Use smaller weights or inputs",
        lambda: _verify(_scaled(3e38)),
        lambda: _verify(_scaled(1.0)),
    ),
    Case(
        "surgery/compiled.py",
        "Make one of slim.inputs",
        lambda: kp.rebuild(_own(), cut(_own()), compile="same"),
        _made_of_slim,
    ),
    Case(
        "surgery/compiled.py",
        "Write its get_config()",
        lambda: _pruned_at(Halving(0.1)),
        lambda: _pruned_at(WrittenDown(0.1)),
        True,
    ),
    Case("surgery/compiled.py", "Keep 16 channels", _trained_by_onednn, lambda: _trained_by_onednn(round_to=16)),
    Case(
        "surgery/copy_layer.py",
        "Add it to get_config()",
        lambda: prune(through(Unnoted(8, name="own"))),
        lambda: prune(through(WithWidth(8, name="own"))),
    ),
    Case(
        "surgery/costs/cost.py",
        "Give the right numbers",
        lambda: kp.plan(_frozen_own(), macs=0.9),
        lambda: kp.plan(_frozen_own(), macs=0.9, macs_of={"own": 64}),
    ),
    Case("surgery/costs/report.py", "Give the right numbers", _report, lambda: _report(macs_of={"own": 64})),
    Case("surgery/cut.py", "Keep the same indices", lambda: _joined(0, 1), lambda: _joined(0, 2)),
    Case(
        "surgery/inlining/inline.py",
        "Write that with keras.ops",
        lambda: kp.functional(_code(_in_numpy), inputs=X),
        lambda: kp.functional(_code(keras.ops.tanh), inputs=X),
    ),
    Case(
        "surgery/inlining/inline.py",
        "Let its call() do so only",
        lambda: kp.functional(_code(_noise), inputs=X),
        lambda: kp.functional(_code(layers.GaussianNoise(1.0)), inputs=X),
    ),
    Case(
        "surgery/inlining/plain.py",
        "Read as it is",
        lambda: cut(through(Noisy(True))),
        lambda: cut(through(Noisy(False))),
    ),
    Case("surgery/rebuild.py", "Train longer", lambda: _shrunk(4, 1), lambda: _shrunk(60, 30)),
    Case(
        "surgery/verification.py",
        "Give data to compare on",
        lambda: _verify(_offset()),
        lambda: _verify(_offset(), np.full((2, 6), 103)),
    ),
    Case(
        "testing/budgets.py",
        "Apply floor.apply",
        lambda: kp.testing.check_budget(_Floorless()),
        lambda: kp.testing.check_budget(_Floored()),
        True,
    ),
    Case(
        "testing/callbacks.py",
        "Call super().on_epoch_end",
        lambda: kp.testing.check_callback(lambda: _Silent(keep=0.5, strict=False).compressed(8)),
        lambda: kp.testing.check_callback(lambda: _Calling(keep=0.5, strict=False).compressed(8)),
        True,
    ),
    Case(
        "testing/oracle.py",
        "Give the model other weights",
        lambda: kp.testing.check_rebuild(_scaled(0.0), cut()),
        lambda: kp.testing.check_rebuild(kp.testing.randomise(dense()), cut()),
    ),
    Case(
        "testing/oracle.py",
        "Remove more, or give",
        lambda: kp.testing.check_rebuild(_without(7), kp.Plan({"hidden": range(7)})),
        lambda: (
            kp.testing.check_rebuild(_without(7), kp.Plan({"hidden": range(6)})),
            kp.testing.check_rebuild(kp.testing.randomise(dense()), kp.Plan({"hidden": range(7)})),
        ),
    ),
]

CANNOT_BE_RUN = [
    ("surgery/compute_dtype.py", "Take TensorFlow, or float32"),  # another backend
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
