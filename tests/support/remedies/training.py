"""Remedies of callbacks and of training that are followed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from kerasprune.testing import toys
from kerasprune.training.granularity import Filter
from support.remedies.networks import (
    IMAGES,
    TWO,
    X,
    Y,
    conv,
    cut,
    dense,
    fit,
    frozen,
    generator,
    grown,
    half_frozen,
    optimizer_of,
    ramped,
)
from support.remedies.places import Case

THREE = kp.schedules.cubic(0.5, end=3)


class Assigning(keras.callbacks.Callback):
    """Changes the first kernel past everything that holds it."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        kernel = next(each for each in self.model.weights if each.path.endswith("kernel"))
        kernel.assign(0.9 * kernel + 0.01 * np.arange(kernel.shape[-1]))


class Stopping(keras.callbacks.Callback):
    """Ends the fit after an epoch, or breaks it off in the second one."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = not self.broken

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.broken and int(self.model.optimizer.iterations) == 3:
            raise KeyboardInterrupt


def interrupted(backup: Any) -> None:
    """Fits with a backup, is broken off in the second epoch, and fits again."""
    for more in ([Stopping(broken=True)], []):
        with contextlib.suppress(KeyboardInterrupt):
            fit(None, conv(), (IMAGES, Y), callbacks=[kp.callbacks.Polarization(strict=False), backup(), *more])


def stepping(loop: str = "own step", optimizer: str = "SGD", **given: Any) -> None:
    """Fits the network of the table of loops with a growing penalty."""
    from support import acting_table

    callback = acting_table._greg1(**{"strict": False} | given)
    acting_table.compiled(optimizer, loop).fit(*acting_table.samples(640), 8, 1, verbose=0, callbacks=[callback])


def scaled(trainable: bool = True) -> keras.Model:
    """Returns the classifier of images, its BatchNorm trained or not."""
    model = conv()
    model.get_layer("norm").trainable = trainable
    return optimizer_of(model)


def pulled(strength: float, decoupled: bool) -> None:
    """Fits a model whose loss pulls the scales up, by less than one for each, with a penalty that pushes them down."""
    keras.utils.set_random_seed(0)
    x = layers.BatchNormalization(center=False)(layers.Dense(8, name="hidden")(inputs := keras.Input((6,))))
    last = layers.Dense(1, trainable=False, use_bias=False, kernel_initializer="ones")
    model = keras.Model(inputs, last(layers.ReLU()(x)))
    model.compile(keras.optimizers.SGD(0.5), "mae")
    callback = kp.callbacks.NetworkSlimming(strength, decoupled=decoupled)
    model.fit(X, np.full(64, 1e4), 16, 15, verbose=0, callbacks=[callback])


def pushed(optimizer: Any = None, model: keras.Model | None = None, plan: Any = None, **given: Any) -> None:
    """Fits with a growing penalty of a few steps."""
    model = optimizer_of(model or dense())
    if optimizer:
        model.compile(optimizer, "sparse_categorical_crossentropy")
    given = {"granularity": "channel", "strict": False} | ({} if plan else {"keep": 0.5}) | given
    data = (IMAGES if len(model.inputs[0].shape) == 4 else X), Y
    fit(kp.callbacks.GReg1(plan, **given).compressed(4), model, data)


def looped(model: keras.Model) -> None:
    """Runs a custom loop of no steps."""
    with kp.callbacks.custom_loop(model, [kp.callbacks.Sparsity()], epochs=1, steps=1):
        pass


def seeded(model: keras.Model, **given: Any) -> None:
    """Trains two steps an epoch, as the functions that train again and again ask."""
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=given["epochs"], initial_epoch=given["initial_epoch"], verbose=0)


def distiller() -> keras.Model:
    """Returns the classifier as Keras lets a larger one teach it."""
    found = keras.distillation.Distiller(dense(units=16), dense(), keras.distillation.LogitsDistillation())
    found.compile(keras.optimizers.SGD(0.1, momentum=0.9), keras.losses.SparseCategoricalCrossentropy())
    return found


def of_ours(model: keras.Model) -> keras.Model:
    """Returns its student as `kp.distil` lets its teacher teach it."""
    found = kp.distil(model.student, model.teacher)
    found.compile(keras.optimizers.SGD(0.1, momentum=0.9), keras.losses.SparseCategoricalCrossentropy())
    return found


def continued(epochs: int) -> None:
    """Trains a new model up to an epoch, from where the last one was."""
    callbacks = [kp.callbacks.GReg1(keep=0.5).compressed(4), kp.callbacks.Resume("state")]
    fit(None, optimizer_of(dense()), callbacks=callbacks, epochs=epochs)


def forked(point: str) -> None:
    """Measures the instability of trainings that fork at a point."""
    kp.analysis.instability_from(dense(), seeded, [point], 2, TWO, seeds=[0], points=3)


def taught(slim_loss: Any, data: Any, weight: float = 0.5, metrics: Any = None) -> None:
    """Fits a student."""
    student = kp.distil(kp.rebuild(dense(), cut()), dense(), weight=weight)
    student.compile("sgd", slim_loss, metrics=metrics)
    student.fit(*data, verbose=0)


def again(between: Any) -> None:
    """Fits twice with one callback, on a model whose first layer is trained the second time only."""
    callback, model = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=9), every=1), dense()
    model.get_layer("hidden").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit(callback, model)
    model.get_layer("hidden").trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit(between(callback), model)


def resumed(folder: str, freeze: Any) -> None:
    """Fits, is broken off, and goes on with other layers frozen."""
    for frozen_layers, more in (((), [Stopping(broken=True)]), (freeze, [])):
        masks = kp.callbacks.GradualMagnitude(THREE, every=1, freeze=frozen_layers)
        with contextlib.suppress(KeyboardInterrupt):
            fit(None, dense(), callbacks=[masks, kp.callbacks.Resume(folder), *more])


def best(**given: Any) -> None:
    """Fits with masks and early stopping, which restores weights of a validation that gets worse."""
    stopping = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True, **given)
    masks = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.2, end=6), every=1)
    fit(None, dense(), epochs=6, callbacks=[masks, stopping])


def average(**given: Any) -> None:
    """Fits with masks and an optimizer."""
    fit(None, dense(optimizer=keras.optimizers.SGD(0.1, **given)), callbacks=[kp.callbacks.SoftFilterPruning(0.5)])


def quantized(bits: Any = 4, *more: Any, **given: Any) -> None:
    """Fits with shared weights."""
    model = dense(optimizer=keras.optimizers.SGD(0.01, **given))
    fit(None, model, callbacks=[kp.callbacks.TrainedQuantization(bits), *more])


def features(given: str) -> None:
    """Teaches with features by a plan."""
    model = toys.toy_model()
    plans = {"same": kp.plan(model, keep=0.5), "other": kp.plan(model, keep=0.75)}
    kp.distil(kp.rebuild(model, plans["same"]), model, features=0.5, plan=plans[given])


class StudentsOwn(keras.Model):
    """A model with a step of its own."""

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def residual() -> keras.Model:
    """Returns a classifier with a block that can be dropped."""
    x = layers.Dense(8, "relu", name="hidden")(inputs := keras.Input((6,)))
    x = layers.Add(name="block")([x, layers.Dense(8)(layers.Dense(8, "relu")(x))])
    return keras.Model(inputs, layers.Dense(3)(x))


class Thrown(keras.Model):
    """A train step whose loss has the penalties, but not their gradients."""

    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
            penalty = sum(self.losses, 0.0 * loss)
            loss += tf.stop_gradient(penalty) - penalty
        variables = self.trainable_variables
        self.optimizer.apply([0.0 * g for g in tape.gradient(loss, [v.value for v in variables])], variables)
        return {"loss": loss}


def thrown(decoupled: bool) -> None:
    """Fits with a penalty of which the step of the model throws the gradients away."""
    from support import acting_table

    model = acting_table.network(Thrown)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    law = {"step": 1.0, "ceiling": 1.0, "every": 1, "settle": 40}
    callback = kp.callbacks.GReg1(keep=0.5, granularity="channel", schedule=law, decoupled=decoupled)
    model.fit(*acting_table.samples(80), 8, 4, verbose=0, callbacks=[callback])


def outgrown(ceiling: float) -> None:
    """Fits with a penalty on small weights, which the loss makes grow."""
    keras.utils.set_random_seed(0)
    x = layers.Dense(8, "relu", name="hidden")(inputs := keras.Input((6,)))
    last = layers.Dense(1, trainable=False, use_bias=False, kernel_initializer="ones")
    model = keras.Model(inputs, last(x))
    kernel = model.get_layer("hidden").kernel
    kernel.assign(np.where(np.arange(8) < 4, 0.05, 1.0) * np.ones((6, 8)))
    model.compile(keras.optimizers.Adam(0.01), "mae")
    law = {"step": ceiling, "ceiling": ceiling, "every": 1, "settle": 60}
    callback = kp.callbacks.GReg1(keep=0.5, schedule=law, decoupled=True)
    model.fit(np.abs(X), np.full(64, 1e4), 16, 16, verbose=0, callbacks=[callback])


class OfOneLayer(Filter):
    """A granularity of one's own: channels that one layer makes."""

    def kernels(self, graph: Any, name: str) -> list:
        return [each for each in super().kernels(graph, name) if each[0].owner.name == "hidden"]


def reached(granularity: Any) -> None:
    """Fits a classifier of two hidden layers with a growing penalty."""
    body = layers.Dense(8, "relu", name="hidden"), layers.Dense(8, "relu", name="deeper"), layers.Dense(3)
    model = optimizer_of(keras.Sequential([keras.Input((6,)), *body]))
    fit(kp.callbacks.GReg1(keep=0.5, granularity=granularity, strict=False).compressed(4), model)


def own_step() -> keras.Model:
    """Returns the classifier with a step of its own."""
    model = dense()
    return StudentsOwn(model.inputs, model.outputs)


def masked(*more: Any) -> None:
    """Fits with masks, and other callbacks."""
    fit(None, callbacks=[*more, kp.callbacks.GradualMagnitude(kp.schedules.constant(0.5))])


def lasting(epochs: int, *more: Any) -> None:
    """Fits with a schedule of two epochs."""
    fit(None, epochs=epochs, callbacks=[kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=4), every=1), *more])


def iterated(rounds: int, *more: Any, epochs: int = 2, together: int = 1, **given: Any) -> None:
    """Fits with rounds of pruning."""
    model = dense()
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=together)
    fit(None, model, epochs=epochs, callbacks=[kp.callbacks.IterativeMagnitude(rounds, 0.5), *more], **given)


def written_norms(trained: bool = True) -> None:
    """Writes the norms of a fit."""
    history = kp.callbacks.NormHistory(1)
    if trained:
        fit(history)
    history.save("norms.npz")


def polarized(strength: float, epochs: int) -> None:
    """Fits until a target is met."""
    fit(
        kp.callbacks.Polarization(strength, until={"macs": 0.9}, strict=False, decoupled=True),
        scaled(),
        (IMAGES, Y),
        epochs=epochs,
    )


CASES = [
    Case("callbacks/_growing.py", "Use callback.masks", lambda: grown("weight").plan, lambda: grown("weight").masks),
    Case("callbacks/_growing.py", "Use callback.plan", lambda: grown("filter").masks, lambda: grown("filter").plan),
    Case("training/masks.py", "granularity='filter'", lambda: ramped("weight").plan, lambda: ramped("weight").masks),
    Case(
        "training/callback.py",
        "Call model.fit(",
        lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3)).masks,
        lambda: ramped("weight").masks,
    ),
    Case(
        "training/masks.py",
        "Take 'l1', or choose",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), criterion="taylor_fo")),
        lambda: ramped("weight"),
    ),
    Case(
        "callbacks/gradual_magnitude.py",
        "The schedule ends after",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=500), strict=False)),
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), every=1)),
    ),
    Case(
        "callbacks/soft_filter_pruning.py",
        "Freeze less",
        lambda: fit(kp.callbacks.SoftFilterPruning(0.5, freeze=["*"])),
        lambda: fit(kp.callbacks.SoftFilterPruning(0.5)),
    ),
    Case(
        "callbacks/freeze_kept.py",
        "Raise fraction",
        lambda: fit(kp.callbacks.FreezeKept(0.01)),
        lambda: fit(kp.callbacks.FreezeKept(0.5)),
    ),
    Case(
        "callbacks/_iterative.py",
        "Take fewer rounds",
        lambda: fit(kp.callbacks.IterativeMagnitude(30, 0.1)),
        lambda: fit(kp.callbacks.IterativeMagnitude(1, 0.5)),
    ),
    Case(
        "callbacks/resume.py",
        "Give another folder",
        lambda: (fit(kp.callbacks.Resume("run")), fit(kp.callbacks.Resume("run"), conv(), (IMAGES, Y))),
        lambda: fit(kp.callbacks.Resume("other"), conv(), (IMAGES, Y)),
    ),
    Case(
        "callbacks/sparsity.py",
        "Give another path",
        lambda: (Path("a.csv").write_text("x\n1\n"), fit(kp.callbacks.Sparsity("a.csv"))),
        lambda: fit(kp.callbacks.Sparsity("b.csv")),
    ),
    Case(
        "training/sparsity/mask_checks.py",
        "Set layer.trainable",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3)), frozen()),
        lambda: ramped("weight"),
    ),
    Case(
        "callbacks/group_lasso.py",
        "Raise strength",
        lambda: fit(kp.callbacks.GroupLasso(keep=0.5), optimizer_of(dense())),
        lambda: fit(kp.callbacks.GroupLasso(keep=0.5, strength=1.0), optimizer_of(dense()), epochs=10),
    ),
    Case(
        "callbacks/group_lasso.py",
        "Keep less, or lower",
        lambda: fit(kp.callbacks.GroupLasso(keep=0.9, strength=9.0), optimizer_of(dense()), epochs=10),
        lambda: fit(kp.callbacks.GroupLasso(keep=0.9, strength=1e-3), optimizer_of(dense()), epochs=10),
    ),
    Case(
        "callbacks/group_lasso.py",
        "Freeze less",
        lambda: fit(kp.callbacks.GroupLasso(keep=0.5, freeze=["*"]), optimizer_of(dense())),
        lambda: fit(kp.callbacks.GroupLasso(keep=0.5), optimizer_of(dense())),
    ),
    Case(
        "training/bn_scales.py",
        "Expected a model whose channels are scaled",
        lambda: fit(kp.callbacks.NetworkSlimming()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(20), optimizer_of(dense()), epochs=10),
    ),
    Case(
        "graph/built_model.py",
        "around one. Train",
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(4), distiller()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(4), of_ours(distiller())),
        True,
    ),
    Case(
        "training/diagnosis.py",
        "to continue one that was interrupted",
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(4), optimizer_of(dense()), initial_epoch=1, epochs=3),
        lambda: [continued(epochs) for epochs in (1, 3)],
        True,
    ),
    Case(
        "training/distillation/student.py",
        "Give student.student",
        lambda: kp.distil(kp.distil(dense(), dense()), dense()),
        lambda: kp.distil(kp.distil(dense(), dense()).student, dense()),
    ),
    Case(
        "training/distillation/student.py",
        "Call student.save(path)",
        lambda: kp.distil(dense(), dense()).get_config(),
        lambda: kp.distil(dense(), dense()).save("student.keras"),
    ),
    Case(
        "training/distillation/student.py",
        "Give the dense model that slim",
        lambda: kp.distil(*[dense()] * 2),
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense()),
    ),
    Case(
        "training/masks.py",
        "Use mask.astype(bool)",
        lambda: fit(kp.callbacks.HoldMask({"hidden/kernel": np.ones((6, 8))})),
        lambda: fit(kp.callbacks.HoldMask({"hidden/kernel": np.ones((6, 8)).astype(bool)})),
    ),
    Case(
        "training/distillation/block_features.py",
        "Leave features out",
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense(), features=0.5, plan=cut()),
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense(), plan=cut()),
    ),
    Case(
        "training/mask_updates.py",
        "Give fit steps_per_epoch=, or",
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator()),
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator(), steps_per_epoch=2),
    ),
    Case(
        "callbacks/_bn_penalty.py",
        "Train longer, or raise",
        lambda: polarized(1e-4, 1),
        lambda: polarized(3.0, 20),
        True,
    ),
    Case(
        "callbacks/_bn_penalty.py",
        "Take a larger strength.",
        lambda: pulled(0.08, True),
        lambda: pulled(2.0, True),
        True,
    ),
    Case(
        "callbacks/_bn_penalty.py",
        "Use decoupled=True, SGD",
        lambda: pulled(0.08, False),
        lambda: pulled(0.8, False),
        True,
    ),
    Case(
        "callbacks/_growing.py",
        "Train longer, or shorten",
        lambda: fit(kp.callbacks.GReg1(keep=0.5, granularity="channel"), optimizer_of(dense())),
        lambda: pushed(),
    ),
    Case(
        "callbacks/_growing.py",
        "Expected something to remove",
        lambda: fit(kp.callbacks.GReg1(keep=1.0)),
        lambda: pushed(),
    ),
    Case(
        "callbacks/_iterative.py",
        "Train longer, or take",
        lambda: iterated(3, Stopping(), epochs=4),
        lambda: iterated(1),
    ),
    Case(
        "callbacks/_iterative.py",
        "Compile with steps_per_execution=1",
        lambda: iterated(1, epochs=3, together=2),
        lambda: (iterated(1, epochs=3), iterated(1, epochs=2, together=2)),
    ),
    Case(
        "callbacks/_iterative.py",
        "Give fit steps_per_epoch=.",
        lambda: iterated(1, data=generator()),
        lambda: iterated(1, data=generator(), steps_per_epoch=2),
    ),
    Case(
        "callbacks/freeze_kept.py",
        "let other callbacks leave",
        lambda: fit(None, callbacks=[kp.callbacks.FreezeKept(0.5), Assigning()]),
        lambda: fit(kp.callbacks.FreezeKept(0.5)),
    ),
    Case(
        "callbacks/gradual_magnitude.py",
        ", with … kept. Train longer",
        lambda: lasting(2, Stopping()),
        lambda: lasting(2),
    ),
    Case(
        "callbacks/greg1.py",
        "Drop blocks with",
        lambda: kp.callbacks.GReg1(kp.Plan({"hidden": [0, 1]}, removed=["block"])),
        lambda: (
            kp.rebuild(residual(), kp.Plan({}, removed=["block"])),
            kp.callbacks.GReg1(kp.Plan({"hidden": [0, 1]})),
        ),
    ),
    Case("callbacks/norm_history.py", "Fit first", lambda: written_norms(trained=False), lambda: written_norms()),
    Case("callbacks/resume.py", "Freeze the same layers", lambda: resumed("a", ["hidden"]), lambda: resumed("b", ())),
    Case(
        "callbacks/trained_quantization.py",
        "are no longer shared",
        lambda: quantized(2, Assigning()),
        lambda: quantized(2),
    ),
    Case(
        "callbacks/trained_quantization.py", "clipvalue", lambda: quantized(clipnorm=1), lambda: quantized(clipvalue=1)
    ),
    Case(
        "callbacks/trained_quantization.py",
        "Give a number for all",
        lambda: quantized({"conv": 4}),
        lambda: quantized(4),
    ),
    Case(
        "training/bn_scales.py",
        "Set trainable = True",
        lambda: fit(kp.callbacks.NetworkSlimming(), scaled(False), (IMAGES, Y)),
        lambda: fit(kp.callbacks.NetworkSlimming(), scaled(), (IMAGES, Y)),
    ),
    Case("training/callback.py", "are not zero after an epoch", lambda: masked(Assigning()), lambda: masked()),
    Case(
        "training/callback.py",
        "in place of BackupAndRestore",
        lambda: interrupted(lambda: keras.callbacks.BackupAndRestore("backup")),
        lambda: interrupted(lambda: kp.callbacks.Resume("run")),
        True,
    ),
    Case(
        "training/diagnosis.py",
        "Write loss =",
        lambda: stepping("own step without losses"),
        lambda: stepping("own step"),
    ),
    Case("training/diagnosis.py", "Update with self", lambda: stepping("assign_sub"), lambda: stepping("own step")),
    Case("training/diagnosis.py", "call kp.mask before", lambda: average(use_ema=True), lambda: average()),
    Case(
        "training/diagnosis.py",
        "Use decoupled=True, which applies",
        lambda: pushed(keras.optimizers.Adam()),
        lambda: pushed(keras.optimizers.Adam(), decoupled=True),
    ),
    Case(
        "training/diagnosis.py",
        "All variables that it acts on",
        lambda: pushed(model=half_frozen(), granularity="filter"),
        lambda: pushed(granularity="filter"),
    ),
    Case(
        "training/distillation/block_features.py", "Give that plan", lambda: features("other"), lambda: features("same")
    ),
    Case(
        "training/distillation/student.py",
        "Call the teacher in that step.",
        lambda: kp.distil(own_step(), dense()),
        lambda: own_step(),
    ),
    Case(
        "training/distillation/student.py",
        "Give them, or take weight=1.0",
        lambda: taught(None, (X,)),
        lambda: (taught("sparse_categorical_crossentropy", (X, Y)), taught(None, (X,), 1.0)),
    ),
    Case(
        "training/distillation/student.py",
        "Compile without metrics",
        lambda: taught(None, (X,), 1.0, ["accuracy"]),
        lambda: taught(None, (X,), 1.0),
    ),
    Case(
        "training/granularity.py",
        'Take granularity="channel"',
        lambda: pushed(plan=cut(), granularity="scale"),
        lambda: pushed(plan=cut(), granularity="channel"),
    ),
    Case("training/loop.py", "Call model.compile(optimizer)", lambda: looped(dense(None)), lambda: looped(dense())),
    Case("training/masks.py", "Let it start at the end", lambda: best(), lambda: best(start_from_epoch=4)),
    Case(
        "training/regularizers/growth.py",
        "Use another schedule",
        lambda: kp.callbacks.GReg2(keep=0.5, schedule="linear"),
        lambda: kp.callbacks.GReg2(keep=0.5),
    ),
    Case(
        "training/schedules.py",
        "Read a text with",
        lambda: kp.schedules.Steps(("1ep",), (0.5,)),
        lambda: kp.schedules.Steps((kp.schedules.Moment.read("1ep"),), (0.5,)),
    ),
    Case(
        "training/schedules.py",
        "Give fit steps_per_epoch=, or the schedule",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end="1ep")), data=generator()),
        lambda: (
            fit(
                kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end="1ep"), every=1),
                data=generator(),
                steps_per_epoch=2,
            ),
            fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end="1ep").at(2), every=1)),
        ),
    ),
    Case(
        "training/session.py",
        "to start afresh",
        lambda: again(lambda each: each),
        lambda: again(lambda each: each.reset()),
    ),
    Case(
        "training/shrinkage.py",
        "out of the loss, so the penalty",
        lambda: pushed(model=half_frozen(), granularity="filter"),
        lambda: pushed(granularity="filter"),
    ),
    Case(
        "training/shrinkage.py",
        "The optimizer decays weights",
        lambda: pushed(keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-4)),
        lambda: pushed(model=dense(kernel_regularizer="l2")),
    ),
    Case(
        "training/shrinkage.py",
        "The optimizer clips gradients",
        lambda: pushed(keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0)),
        lambda: (pushed(), pushed(keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0), decoupled=True)),
    ),
    Case(
        "training/shrinkage.py",
        "makes the pushed weights ring",
        lambda: fit(kp.callbacks.GReg1(keep=0.5, schedule={"ceiling": 100.0}, strict=False), optimizer_of(dense())),
        lambda: pushed(),
    ),
    Case(
        "training/shrinkage.py",
        "More steps hardly help",
        lambda: fit(
            kp.callbacks.GReg1(
                keep=0.5, schedule={"step": 1e-3, "ceiling": 1e-2, "every": 1, "settle": 2}, strict=False
            ),
            scaled(),
            (IMAGES, Y),
        ),
        lambda: pushed(model=scaled()),
    ),
    Case(
        "training/shrinkage.py",
        "Use decoupled=True, which sets them to zero",
        lambda: pushed(norm="l1"),
        lambda: (
            pushed(norm="l1", decoupled=True),
            fit(
                kp.callbacks.GReg1(
                    keep=0.5, norm="l1", schedule={"step": 1e-5, "ceiling": 1e-5, "settle": 2}, strict=False
                ),
                optimizer_of(dense()),
            ),
        ),
    ),
    Case(
        "callbacks/greg2.py",
        "Use GReg1 for norm='l1'",
        lambda: kp.callbacks.GReg2(keep=0.5, norm="l1"),
        lambda: (kp.callbacks.GReg1(keep=0.5, norm="l1"), kp.callbacks.GReg2(keep=0.5)),
    ),
    Case("training/trainings.py", "Take another point", lambda: forked("50it"), lambda: forked("1it")),
    Case(
        "training/shrinkage.py",
        "Take a larger learning rate or ceiling.",
        lambda: outgrown(4.0),
        lambda: outgrown(90.0),
        True,
    ),
    Case("training/shrinkage.py", "Use decoupled=True, or SGD.", lambda: thrown(False), lambda: thrown(True), True),
    Case(
        "training/shrinkage.py", "Take another granularity", lambda: reached(OfOneLayer()), lambda: reached("channel")
    ),
    Case(
        "training/sparsity/ranking.py",
        "Check the weights, the data",
        lambda: kp.sparsity.critical_compression({"hidden/kernel": np.full((6, 8), np.nan)}),
        lambda: kp.sparsity.critical_compression({"hidden/kernel": np.ones((6, 8)), "last/kernel": np.ones((8, 3))}),
    ),
]

CANNOT_BE_RUN = [
    ("callbacks/resume.py", "Leave it out: epochs are saved"),
    ("training/loop.py", "Use fit, or TensorFlow"),  # JAX
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
