"""Remedies of analysis, planning, repair and steps that are followed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from support.remedies.networks import (
    IMAGES,
    TRAIN,
    TWO,
    Own,
    X,
    Y,
    batches_of,
    conv,
    cut,
    dense,
    frozen,
    half_frozen,
    of_three,
    prune,
    used,
    words,
)
from support.remedies.places import Case
from support.remedies.training import residual

WIDE = np.random.default_rng(3).normal(size=(400, 60)).astype("float32")
TABLE = kp.latency.LatencyTable({}, {}, "float32", 1, "paper", "none")


class Rateless(keras.optimizers.Adam):
    """An optimizer that does not say its learning rate, as one that holds several."""

    @property
    def learning_rate(self) -> float:
        raise AttributeError("several rates")


def heavy() -> keras.Model:
    """Returns a model whose products take far longer than its start."""
    return keras.Sequential([keras.Input((1000,)), layers.Dense(2000, "relu"), layers.Dense(1000)])


def even(table: kp.latency.LatencyTable) -> kp.latency.LatencyTable:
    """Returns a table whose times are the products of the widths, whatever the machine took."""
    return table.changed(times={key: {one: float(np.prod(one)) for one in times} for key, times in table.times.items()})


def wide() -> keras.Model:
    """Returns a model with more unknowns than a few examples solve."""
    keras.utils.set_random_seed(0)
    body = layers.Dense(60, "relu", name="first"), layers.Dense(50, name="second")
    return keras.Sequential([keras.Input((60,), name="numbers"), *body])


def wide_norm(units: int = 1300) -> keras.Model:
    """Returns a model with BatchNorm that keeps more channels than examples are drawn."""
    keras.utils.set_random_seed(0)
    x = layers.BatchNormalization()(layers.Dense(units)(inputs := keras.Input((20,))))
    model = keras.Model(inputs, layers.Dense(3)(layers.ReLU()(x)))
    return kp.recalibrate(model, np.random.default_rng(0).normal(size=(64, 20)).astype("float32"))


def remarked(model: keras.Model, **given: Any) -> None:
    """Prunes, and warns of every remark of the report."""
    for remark in prune(model, **given).report.remarks:
        warnings.warn(remark, stacklevel=1)


def at_once(seconds: float, **given: Any) -> None:
    """Prunes a model with BatchNorm, as if drawing examples took long."""
    with mock.patch("kerasprune.steps.drawn_examples.AT_ONCE", seconds):
        remarked(calibrated(), **given)


def calibrated(scale: float = 1.0) -> keras.Model:
    """Returns the classifier of images with statistics of its BatchNorm."""
    return kp.recalibrate(conv(), IMAGES * scale)


def texts() -> keras.Model:
    """Returns a model of texts."""
    x = layers.StringLookup(vocabulary=["a", "b", "c"])(inputs := keras.Input((4,), dtype="string"))
    x = layers.Flatten()(layers.Embedding(4, 8)(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(16, "relu")(x)))


def fixed(batch: int | None = 8) -> keras.Model:
    """Returns a model of a fixed batch."""
    inputs = keras.Input(batch_shape=(batch, 6))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu")(inputs)))


def looked_up() -> keras.Model:
    """Returns a model of words with BatchNorm."""
    x = layers.BatchNormalization()(layers.Embedding(10, 4)(inputs := keras.Input((5,), dtype="int32")))
    x = layers.Dense(8, "relu")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    return kp.recalibrate(model, np.random.default_rng(0).integers(10, size=(64, 5)))


def stored(broken: bool) -> None:
    """Draws examples into a folder, one file of which is broken, or is removed and drawn again."""
    draw = {"samples": 8, "steps": 2, "store": "drawn", "verbose": 0}
    if broken:
        kp.synthesise(calibrated(), **draw)
    (path,) = Path("drawn").glob("[0-9]*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    path.unlink()
    if broken:
        np.savez(path, **{name: each * np.nan if each.dtype.kind == "f" else each for name, each in arrays.items()})
    kp.synthesise(calibrated(), **draw)


@keras.saving.register_keras_serializable("remedies")
class Computed(Own):
    """A layer that mixes channels by weights that it computes."""

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, keras.ops.softplus(self.kernel))


def numbered() -> keras.Model:
    """Returns the classifier with class numbers in place of probabilities."""
    model = dense()
    return keras.Model(model.input, keras.ops.argmax(model.output, axis=-1))


def mixing(layer: Any) -> keras.Model:
    """Returns a model that is mostly made of a layer."""
    x = layers.Dense(8, "relu")(inputs := keras.Input((6,)))
    for _ in range(3):
        x = layer()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def compiled(*args: Any, **given: Any) -> keras.Model:
    """Returns the classifier, compiled."""
    model = dense()
    model.compile(*args, **{"loss": "sparse_categorical_crossentropy"} | given)
    return model


def plain_chain(norm: bool = False) -> keras.Model:
    """Returns a chain of dense layers."""
    more = [layers.BatchNormalization()] if norm else []
    return keras.Sequential([keras.Input((6,)), layers.Dense(8), *more, layers.ReLU(), layers.Dense(3)])


def known() -> tuple[np.ndarray, np.ndarray]:
    """Returns examples with the labels that the classifier gives them."""
    return X, dense().predict(X, verbose=0).argmax(1)


def path_between(norm: bool) -> None:
    """Builds the path between two chains."""
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kp.analysis.stable_path(plain_chain(norm), plain_chain(norm), TWO, points=20, draws=1, loss=logits)


def keyword(name: str, value: Any, said: str, **remedy: Any) -> Case:
    """Returns the case of a keyword that `kp.prune` does not take."""
    remedy = {"reconstruct": False, **remedy}
    return Case("steps/keywords.py", said, lambda: prune(**{name: value}), lambda: prune(**remedy), "epochs" in remedy)


def normed(**size: Any) -> keras.Model:
    """Returns a model that normalises numbers."""
    return keras.Sequential([keras.Input(**size), layers.BatchNormalization(name="norm")])


CASES = [
    keyword("x", X, "Give data=x or", data=X, reconstruct=True),
    keyword("y", Y, "Give labels with the inputs", data=TWO, reconstruct=True),
    keyword("batch_size", 8, "Give batch=;", **TRAIN, batch=8),
    keyword("sample_weight", np.ones(64), "Give data=(x, y, sample_weight)", data=(X, Y, np.ones(64)), epochs=1),
    keyword(
        "class_weight",
        {0: 1.0, 1: 2.0, 2: 1.0},
        "Give a weight for each example",
        data=(X, Y, np.array([{0: 1.0, 1: 2.0, 2: 1.0}[label] for label in Y])),
        epochs=1,
    ),
    keyword("validation_data", TWO, "Give validation=(x, y), or", **TRAIN, validation=TWO),
    keyword("validation_split", 0.1, "Leave it out: fine-tuning holds out", **TRAIN),
    keyword("validation_batch_size", 8, "Give batch=, which is also", **TRAIN, batch=8, validation=TWO),
    keyword("validation_steps", 1, "Give fewer batches as validation", **TRAIN, validation=batches_of(1)),
    keyword("validation_freq", 2, "Leave it out: every epoch", **TRAIN, validation=TWO),
    keyword("steps_per_epoch", 2, "Give fewer batches as data", data=batches_of(2), epochs=1),
    keyword("initial_epoch", 1, "Give the number of epochs that are left", **TRAIN),
    keyword("shuffle", False, "Leave it out: arrays are shuffled", **TRAIN, seed=1),
    keyword("learning_rate", 0.1, "Give an optimizer=", **TRAIN, optimizer=keras.optimizers.SGD(0.1)),
    keyword("sparsity", 0.7, "Give the fraction that is kept", keep=0.3),
    keyword("importance", "l2", "Give criterion=.", criterion="l2"),
    keyword("ignored_layers", ["last"], "Give their names as freeze", freeze=["last"]),
    Case(
        "steps/rows_of_loss.py",
        "Give batch= as in fit",
        lambda: prune(data=TWO, loss=of_three, batch=32),
        lambda: prune(data=TWO, loss=of_three, batch=30),
    ),
    keyword("min_keep", 2, "Give …={", plan={"min_keep": 2}),
    keyword("resolution", 8, "Give size=.", size=None),
    keyword("example_inputs", X, "Leave it out: the model knows"),
    Case("steps/settings.py", "Leave one of them out", lambda: prune(plan=cut()), lambda: prune(plan=cut(), keep=None)),
    Case(
        "steps/settings.py",
        "Leave distil=True",
        lambda: prune(data=X, epochs=1, distil=False),
        lambda: prune(data=X, epochs=1),
    ),
    Case(
        "steps/settings.py",
        "Leave its weight out",
        lambda: prune(data=X, epochs=1, distil={"weight": 0.5}),
        lambda: prune(data=X, epochs=1, distil={}),
    ),
    Case(
        "steps/settings.py",
        "Compile it, or give loss",
        lambda: prune(dense(None), data=TWO, epochs=1),
        lambda: prune(dense(None), data=TWO, epochs=1, loss="sparse_categorical_crossentropy"),
        True,
    ),
    Case(
        "steps/settings.py",
        "Give a Keras optimizer",
        lambda: prune(data=TWO, epochs=1, optimizer="none"),
        lambda: prune(data=TWO, epochs=1, optimizer="adam"),
        True,
    ),
    Case(
        "steps/settings.py",
        "Make a new one",
        lambda: prune(data=TWO, epochs=1, optimizer=used()),
        lambda: prune(data=TWO, epochs=1),
    ),
    Case(
        "steps/finetune.py",
        "or do not fine-tune",
        lambda: prune(frozen(), data=TWO, epochs=1),
        lambda: prune(frozen(), data=TWO),
    ),
    Case("planning/make_plan.py", "Give data=images", lambda: cut(budget="sensitivity"), lambda: cut(budget="uniform")),
    Case(
        "steps/folding/fold.py",
        "Give data=kp.synthesise",
        lambda: kp.fold(conv(), 0.5, repair="examples"),
        lambda: kp.fold(conv(), 0.5, repair="examples", data=IMAGES),
    ),
    Case(
        "steps/folding/fold.py",
        "Leave data out",
        lambda: kp.fold(conv(), 0.5, data=IMAGES),
        lambda: kp.fold(conv(), 0.5),
    ),
    Case(
        "repair/synthesis/stored_moments.py",
        "Take method='noise'",
        lambda: kp.synthesise(dense(), 8, verbose=0),
        lambda: kp.synthesise(dense(), 8, method="noise", verbose=0),
    ),
    Case(
        "planning/make_plan.py",
        "channels are kept instead of",
        lambda: kp.plan(dense(), keep=0.2, min_keep=6),
        lambda: kp.plan(dense(), keep=0.2),
    ),
    Case(
        "steps/finetune.py",
        "Set layer.trainable = True for all",
        lambda: prune(half_frozen(), data=TWO, epochs=1),
        lambda: prune(data=TWO, epochs=1),
        True,
    ),
    Case(
        "repair/reconstruction/solving.py",
        "Check the weights, and that",
        lambda: kp.reconstruct(kp.rebuild(dense(), cut()), dense(), cut(), np.full_like(X, 3e38)),
        lambda: kp.reconstruct(kp.rebuild(dense(), cut()), dense(), cut(), X),
    ),
    Case(
        "planning/budgets/trials.py",
        "Give a few hundred",
        lambda: cut(budget="sensitivity", data=X[:2]),
        lambda: cut(budget="sensitivity", data=X),
        True,
    ),
    Case(
        "analysis/full_batch.py",
        "Raise steps=",
        lambda: kp.analysis.to_minimum(dense(), TWO, steps=1),
        lambda: kp.analysis.to_minimum(dense(), TWO, steps=500, until=0.1),
    ),
    Case(
        "analysis/judged_weights.py",
        "Give recalibrate=training",
        lambda: kp.analysis.line(conv(), conv(), (IMAGES, Y), points=2),
        lambda: kp.analysis.line(conv(), conv(), (IMAGES, Y), points=2, recalibrate=IMAGES),
    ),
    Case(
        "analysis/judged_weights.py",
        "Build both with one function",
        lambda: kp.analysis.line(dense(), dense(units=4), TWO, points=2),
        lambda: kp.analysis.line(dense(), dense(), TWO, points=2),
    ),
    Case(
        "analysis/path_of_halves.py",
        "Build both without",
        lambda: path_between(True),
        lambda: path_between(False),
    ),
    Case(
        "planning/budgets/measured.py",
        "No widths measured better",
        lambda: cut(budget={"name": "sensitivity", "samples": 20, "measurements": 1}, data=X),
        lambda: cut(budget="uniform"),
        True,
    ),
    Case(
        "planning/budgets/sensitivity.py",
        "Write True or False.",
        lambda: cut(budget={"name": "sensitivity", "blocks": "no"}, data=X),
        lambda: cut(budget={"name": "sensitivity", "blocks": False}, data=X),
        True,
    ),
    Case(
        "planning/make_plan.py",
        "Give a number, or kp.latency",
        lambda: cut(round_to=[8]),
        lambda: (cut(round_to=2), cut(round_to=even(kp.latency.profile(dense(), verbose=0)))),
        True,
    ),
    Case(
        "planning/make_plan.py",
        "Widths that suit most",
        lambda: kp.plan(dense(units=16), macs=0.7),
        lambda: kp.plan(dense(units=16), macs=0.7, round_to=1),
    ),
    Case(
        "planning/make_plan.py",
        "Ask for another share",
        lambda: kp.plan(dense(units=2), params=0.75),
        lambda: kp.plan(dense(units=2), params=13 / 23),
    ),
    Case(
        "planning/targets/device_time.py",
        "Ask for more",
        lambda: kp.plan(heavy(), target=kp.targets.Time(fraction=0.001, device="keras", batch=32)),
        lambda: kp.plan(heavy(), target=kp.targets.Time(fraction=0.7, device="keras", batch=32)),
        True,
    ),
    Case(
        "planning/targets/time.py",
        "Measure one with",
        lambda: kp.targets.Time(dense(), fraction=0.5),
        lambda: kp.targets.Time(kp.latency.profile(dense(), verbose=0), fraction=0.5),
        True,
    ),
    Case(
        "planning/targets/time.py",
        "Leave it out, or take the other device",
        lambda: kp.targets.Time(fraction=0.5, batch=8),
        lambda: (kp.targets.Time(fraction=0.5), kp.targets.Time(fraction=0.5, device="keras", batch=8)),
    ),
    Case(
        "planning/targets/time.py",
        "Take kp.targets.Time of a table",
        lambda: kp.papers.spaces.Space(dense(), target=kp.targets.Time(fraction=0.5, device="keras")),
        lambda: kp.papers.spaces.Space(dense(), macs=0.5),
    ),
    Case(
        "planning/targets/time.py",
        "Measure another with",
        lambda: kp.targets.Time(TABLE, fraction=0.5, precision="int8"),
        lambda: kp.targets.Time(TABLE, fraction=0.5),
    ),
    Case(
        "repair/reconstruction/reconstruct.py",
        "Give more data, or raise",
        lambda: kp.reconstruct(kp.rebuild(wide(), cut(wide())), wide(), cut(wide()), WIDE[:20]),
        lambda: kp.reconstruct(kp.rebuild(wide(), cut(wide())), wide(), cut(wide()), WIDE),
    ),
    Case(
        "repair/synthesis/arguments.py",
        "Give real examples: ",
        lambda: remarked(texts()),
        lambda: remarked(texts(), data=np.array([list("abca")] * 64, dtype=object)),
    ),
    Case(
        "repair/synthesis/drawing.py",
        "Take method='noise'.",
        lambda: kp.synthesise(looked_up(), 8, verbose=0),
        lambda: kp.synthesise(looked_up(), 8, method="noise", verbose=0),
    ),
    Case(
        "repair/synthesis/drawing.py",
        "which the inputs fix",
        lambda: remarked(fixed()),
        lambda: remarked(fixed(), data=X),
    ),
    Case("repair/synthesis/saved_batches.py", "or remove this file", lambda: stored(True), lambda: stored(False), True),
    Case(
        "repair/synthesis/scale_of_pixels.py",
        "Scale the data like this",
        lambda: prune(calibrated(), data=np.abs(IMAGES) * 255),
        lambda: prune(calibrated(), data=np.abs(IMAGES)),
    ),
    Case(
        "steps/chance_level.py",
        "the order of the classes",
        lambda: prune(compiled(metrics=["accuracy"]), data=(X, (known()[1] + 1) % 3)),
        lambda: prune(compiled(metrics=["accuracy"]), data=known()),
    ),
    Case(
        "steps/chance_level.py",
        "and the labels.",
        lambda: prune(dense("mse", activation=None), data=(X * 1e25, Y[:, None].repeat(3, 1))),
        lambda: prune(dense("mse", activation=None), data=(X, Y[:, None].repeat(3, 1))),
    ),
    Case(
        "steps/drawn_examples.py",
        "the model has",
        lambda: remarked(dense()),
        lambda: remarked(dense(), data=kp.synthesise(dense(), 64, method="noise", verbose=0)),
    ),
    Case(
        "steps/drawn_examples.py",
        "drawing examples takes",
        lambda: at_once(0),
        lambda: at_once(0, data=kp.synthesise(calibrated(), 8, steps=2, verbose=0)),
        True,
    ),
    Case(
        "steps/finetune.py",
        "Give optimizer=",
        lambda: prune(compiled(Rateless(0.1)), data=TWO, epochs=1),
        lambda: prune(compiled(Rateless(0.1)), data=TWO, epochs=1, optimizer="adam"),
        True,
    ),
    Case(
        "steps/folding/fold.py",
        "kp.rebuild first, and fold",
        lambda: kp.fold(residual(), kp.Plan({}, removed=["block"])),
        lambda: kp.fold(kp.rebuild(residual(), kp.Plan({}, removed=["block"])), 0.5),
    ),
    Case(
        "steps/keywords.py",
        "Compile the model with them",
        lambda: prune(metrics=["accuracy"], data=TWO),
        lambda: prune(compiled(metrics=["accuracy"]), data=TWO),
    ),
    keyword("examples", 100, "reconstruct=False, which only cuts"),
    Case(
        "steps/objective.py",
        "Expected a loss and metrics",
        lambda: prune(data=TWO, loss="sparse_crossentropy"),
        lambda: prune(data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "steps/prune.py",
        "Give more data; of more",
        lambda: prune(wide(), data=WIDE[:20]),
        lambda: prune(wide(), data=WIDE),
    ),
    Case(
        "steps/prune.py",
        "or draw more with",
        lambda: prune(wide_norm()),
        lambda: prune(model := wide_norm(), data=kp.synthesise(model, 2000, verbose=0)),
        True,
    ),
    Case(
        "repair/reconstruction/recalibrate.py",
        "Give more examples in a batch",
        lambda: kp.recalibrate(normed(batch_shape=(1, 6)), X),
        lambda: kp.recalibrate(normed(shape=(6,)), X),
    ),
    Case(
        "steps/finetune.py",
        "Prune the model that ends before them",
        lambda: prune(numbered(), data=X, epochs=1),
        lambda: (prune(dense(), data=X, epochs=1), prune(numbered(), data=X)),
    ),
    Case(
        "steps/removal.py",
        "Use keras.layers.Dense in the layer",
        lambda: prune(mixing(Computed), plan={"unknown": "freeze"}),
        lambda: prune(mixing(lambda: layers.Dense(8))),
    ),
    Case(
        "steps/repair.py",
        "Give more examples.",
        lambda: prune(wide(), data=WIDE[:8] + 5, validation=WIDE[200:]),
        lambda: prune(wide(), data=np.concatenate([WIDE[:8] + 5, WIDE[:200]]), validation=WIDE[200:]),
    ),
    Case(
        "steps/side_by_side.py",
        "the slim one was made from",
        lambda: kp.export.beside(kp.rebuild(dense(), cut()), words(), "slim.tflite"),
        lambda: kp.export.beside(kp.rebuild(dense(), cut()), dense(), "slim.tflite"),
        True,
    ),
]

CANNOT_BE_RUN: list[tuple[str, str]] = []
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
