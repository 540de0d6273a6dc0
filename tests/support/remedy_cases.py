"""The remedies that are followed, by the files whose messages they are; see `test_remedies.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from support.remedies import Case

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.arange(64) % 3
IMAGES = np.random.default_rng(1).normal(size=(64, 8, 8, 3)).astype("float32")


def dense(
    loss: str | None = "sparse_categorical_crossentropy", optimizer: Any = "sgd", units: int = 8, **last: Any
) -> keras.Model:
    """Returns a classifier of six numbers, compiled if there is a loss."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="numbers")
    hidden = layers.Dense(units, "relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="last", **{"activation": "softmax", **last})(hidden))
    if loss:
        model.compile(optimizer, loss)
    return model


def conv(side: int | None = 8, **first: Any) -> keras.Model:
    """Returns a classifier of images with BatchNorm, compiled."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((side, side, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, use_bias=False, name="conv", **first)(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@keras.saving.register_keras_serializable("remedies")
class Own(layers.Layer):
    """A layer without a rule: it mixes channels."""

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]), name="kernel")

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(keras.ops.sort(x, axis=-1), self.kernel)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def with_own(loss: str | None = "sparse_categorical_crossentropy") -> keras.Model:
    """Returns a classifier with a layer that no rule knows."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = Own(name="own")(layers.Dense(8, "relu", name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(layers.Dense(8, "relu", name="second")(x)))
    if loss:
        model.compile("sgd", loss)
    return model


@keras.saving.register_keras_serializable("remedies")
class Written(keras.Model):
    """A subclassed classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = layers.Dense(8, "relu"), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.last(self.hidden(x))


def built(model: keras.Model) -> keras.Model:
    """Returns a subclassed model after its first batch."""
    model(X[:2])
    return model


def cut(model: keras.Model | None = None, **given: Any) -> kp.Plan:
    """Returns a plan of half the channels."""
    return kp.plan(model or dense(), keep=0.5, **given)


def fit(callback: Any, model: keras.Model | None = None, data: Any = (X, Y), **given: Any) -> keras.Model:
    """Returns a model after two epochs with a callback."""
    model = model or dense()
    data = data if isinstance(data, tuple) else (data,)
    model.fit(*data, **{"verbose": 0, "epochs": 2, "callbacks": [callback]} | given)
    return model


def prune(*args: Any, **given: Any) -> Any:
    """Calls `kp.prune` on the dense classifier, cut only, unless something else is given."""
    return kp.prune(*(args or (dense(),)), **{"keep": 0.5, "verbose": 0} | given)


def keyword(name: str, value: Any, words: str, **remedy: Any) -> Case:
    """Returns the case of a keyword that `kp.prune` does not take."""
    remedy = {"reconstruct": False, **remedy}
    return Case("steps/keywords.py", words, lambda: prune(**{name: value}), lambda: prune(**remedy), "epochs" in remedy)


def batches_of(number: int) -> Any:
    """Returns some batches of eight examples."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8).take(number)


TWO = X, Y
TRAIN = {"data": TWO, "epochs": 1}
KEYWORDS = [
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
    keyword("min_keep", 2, "Give …={", plan={"min_keep": 2}),
    keyword("resolution", 8, "Give size=.", size=None),
    keyword("example_inputs", X, "Leave it out: the model knows"),
]

GRAPH = [
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
]

CRITERIA = [
    Case(
        "criteria/base.py",
        "Give batches of (inputs, labels)",
        lambda: cut(criterion="taylor_fo"),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case(
        "criteria/batch_loss.py",
        "Expected a loss to differentiate",
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO),
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Give class numbers",
        lambda: cut(criterion="taylor_fo", data=(X, np.eye(3)[Y])),
        lambda: (
            cut(criterion="taylor_fo", data=(X, np.eye(3)[Y]), loss="categorical_crossentropy"),
            cut(criterion="taylor_fo", data=TWO),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give ",
        lambda: cut(dense("categorical_crossentropy"), criterion="taylor_fo", data=TWO),
        lambda: cut(criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Check the labels, or give",
        lambda: cut(criterion="taylor_fo", data=(X, np.where(Y == 2, 255, Y))),
        lambda: cut(
            criterion="taylor_fo",
            data=(X, np.where(Y == 2, 255, Y)),
            loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=255),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give integers;",
        lambda: cut(criterion="taylor_fo", data=(X, Y * 0.5)),
        lambda: cut(criterion="taylor_fo", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the array alone",
        lambda: prune(data=(X, {"other": Y}), epochs=1),
        lambda: prune(data=TWO, epochs=1),
    ),
    Case(
        "criteria/snip.py",
        "Check that labels vary",
        lambda: cut(dense(None), criterion="snip", data=TWO, loss=lambda y, p: keras.ops.mean(p * 0)),
        lambda: cut(criterion="snip", data=TWO),
    ),
    Case(
        "criteria/apoz.py",
        "Use another criterion, or freeze",
        lambda: cut(linear(), criterion="apoz", data=X),
        lambda: cut(linear(), criterion="l1"),
    ),
    Case(
        "criteria/mean_loss.py",
        "Build the model with classifier_activation",
        lambda: kp.plan(dense(), {"name": "grasp", "temperature": 200.0}, keep=0.5, data=TWO),
        lambda: kp.plan(
            dense(activation=None),
            {"name": "grasp", "temperature": 200.0},
            keep=0.5,
            data=TWO,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
    ),
    Case(
        "criteria/hrank.py",
        "Use criterion='apoz'",
        lambda: cut(criterion="hrank", data=X),
        lambda: cut(criterion="apoz", data=X),
    ),
]


def linear() -> keras.Model:
    """Returns a network whose activations are never zero."""
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "sigmoid", name="hidden")(inputs)))


DATA = [
    Case(
        "data/refusals.py", "Scale them.", lambda: prune(data=(X.astype("float64") * 1e300, Y)), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py", "Give arrays, a tf.data.Dataset", lambda: prune(data=iter([TWO])), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py",
        "numpy.asarray(…)",
        lambda: prune(data=(X.tolist(), Y)),
        lambda: prune(data=(np.asarray(X.tolist()), Y)),
    ),
    Case(
        "data/refusals.py",
        "x.toarray()",
        lambda: prune(data=(sparse(), Y)),
        lambda: prune(data=(sparse().toarray(), Y)),
    ),
    Case(
        "data/examples.py",
        "Convert it with astype",
        lambda: prune(data=(X.astype(object), Y)),
        lambda: prune(data=(X.astype(object).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Convert them.",
        lambda: prune(data=(X.astype(str), Y)),
        lambda: prune(data=(X.astype(str).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Give data=(inputs, labels), or leave it out",
        lambda: prune(data={"numbers": X, "y": Y}),
        lambda: prune(data=({"numbers": X}, Y)),
    ),
    Case(
        "data/batches.py",
        "Give arrays as a tuple",
        lambda: cut(criterion="taylor_fo", data=X),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case("data/examples.py", "Give data=x.", lambda: prune(data=(X, None, np.ones(64))), lambda: prune(data=X)),
    Case("data/examples.py", "Give labels as data=(x, y)", lambda: prune(data=[X, Y]), lambda: prune(data=(X, Y))),
    Case(
        "data/refusals.py", "Leave .repeat() out", lambda: prune(data=endless()), lambda: prune(data=endless().take(3))
    ),
]


def sparse() -> Any:
    """Returns the inputs as a matrix of SciPy, which the core does not need."""
    from scipy.sparse import csr_matrix

    return csr_matrix(X)


def endless() -> Any:
    """Returns batches without end."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(TWO).batch(8).repeat()


CALLBACKS = [
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
        "training/bn_scales.py",
        "Expected a model whose channels are scaled",
        lambda: fit(kp.callbacks.NetworkSlimming()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(20), optimizer_of(dense()), epochs=10),
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
]


def inside(layer: keras.Layer) -> keras.Model:
    """Returns a model of sequences with a layer inside a `TimeDistributed`."""
    x = layers.Dense(8, "relu")(layers.Dense(8, "relu")(inputs := keras.Input((5, 6))))
    return keras.Model(inputs, layers.Dense(3)(layers.TimeDistributed(layer)(x)))


@keras.saving.register_keras_serializable("remedies")
class Cell(layers.Layer):
    """A cell that is none of Keras's."""

    state_size = output_size = 8

    def call(self, x: Any, states: Any) -> Any:
        new = keras.ops.tanh(x + states[0])
        return new, [new]


SEQUENCES = np.random.default_rng(2).normal(size=(32, 5, 6)).astype("float32")


def with_cell() -> keras.Model:
    """Returns a model of sequences with a cell of its own."""
    x = layers.RNN(Cell())(layers.Dense(8)(inputs := keras.Input((5, 6))))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu")(x)))


def written_out() -> keras.Model:
    """Returns the model with a layer of its own written out, compiled."""
    return optimizer_of(kp.functional(with_own()))


def optimizer_of(model: keras.Model) -> keras.Model:
    """Returns the model with an optimizer under which penalties act."""
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def frozen() -> keras.Model:
    """Returns the classifier with nothing to train."""
    model = dense()
    for layer in model.layers:
        layer.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def grown(granularity: str) -> Any:
    """Returns a growing penalty after its fit."""
    callback = kp.callbacks.GReg1(keep=0.5, granularity=granularity, strict=False).compressed(4)
    fit(callback)
    return callback


def ramped(granularity: str, model: keras.Model | None = None) -> Any:
    """Returns gradual masks after their fit."""
    callback = kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), every=1, granularity=granularity)
    fit(callback, model)
    return callback


STEPS = [
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
        "surgery/compiled.py",
        "or leave compile= out",
        lambda: kp.rebuild(dense(None), cut(), compile="same"),
        lambda: kp.rebuild(dense(None), cut()),
    ),
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
        "surgery/inlining/inline.py",
        "Call it on a batch first",
        lambda: kp.functional(Written()),
        lambda: kp.functional(Written(), inputs=X),
    ),
    Case(
        "repair/synthesis/stored_moments.py",
        "Take method='noise'",
        lambda: kp.synthesise(dense(), 8, verbose=0),
        lambda: kp.synthesise(dense(), 8, method="noise", verbose=0),
    ),
]


def used() -> keras.optimizers.Optimizer:
    """Returns an optimizer with the state of a fit."""
    optimizer = keras.optimizers.Adam()
    fit(keras.callbacks.Callback(), dense(optimizer=optimizer))
    return optimizer


EXPORT = [
    Case(
        "export/tflite_export.py",
        "ends in .tflite",
        lambda: kp.export.tflite(dense(), "."),
        lambda: kp.export.tflite(dense(), "model.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Pass data=, a few hundred",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="dynamic"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Leave out what does not apply",
        lambda: kp.export.tflite(dense(), "a.tflite", float_layers=["last"]),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/tflite_export.py",
        "Expected a list of names",
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers="last"),
        lambda: kp.export.tflite(dense(), "a.tflite", quantize="mixed", data=X, float_layers=["last"]),
        True,
    ),
    Case(
        "export/destination.py",
        "Name a file in it",
        lambda: (os.mkdir("a.tflite"), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite/a.tflite"),
        True,
    ),
    Case(
        "export/destination.py",
        "Make the folder first",
        lambda: kp.export.tflite(dense(), "none/a.tflite"),
        lambda: kp.export.tflite(dense(), "a.tflite"),
        True,
    ),
    Case(
        "export/saved_model_export.py",
        "A SavedModel is a folder",
        lambda: kp.export.saved_model(dense(), "a.keras"),
        lambda: kp.export.saved_model(dense(), "a"),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Give aware.plain.",
        lambda: kp.quantization_aware(kp.quantization_aware(dense())),
        lambda: kp.quantization_aware(kp.quantization_aware(dense()).plain),
    ),
    Case(
        "export/quantization/fake_quantize.py",
        "Give aware.plain",
        lambda: keras.models.clone_model(kp.quantization_aware(dense())),
        lambda: keras.models.clone_model(kp.quantization_aware(dense()).plain),
    ),
]

MORE = [
    Case(
        "planning/make_plan.py",
        "channels are kept instead of",
        lambda: kp.plan(dense(), keep=0.2, min_keep=6),
        lambda: kp.plan(dense(), keep=0.2),
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
        "criteria/base.py",
        "Use one of those, or write",
        lambda: kp.prune_at_init(dense(), "hrank", data=TWO),
        lambda: kp.prune_at_init(dense(), "snip", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the unknown ones a number",
        lambda: prune(words(), data=np.full((32, 5), 20)),
        lambda: prune(words(), data=np.full((32, 5), 20) % 10),
    ),
    Case(
        "data/signature.py",
        "Give one array for one input",
        lambda: prune(data={"a": X, "b": X}),
        lambda: prune(data={"numbers": X}),
    ),
    Case(
        "export/destination.py",
        "Choose another path, or pass",
        lambda: (Path("a.tflite").write_text(""), kp.export.tflite(dense(), "a.tflite")),
        lambda: kp.export.tflite(dense(), "a.tflite", overwrite=True),
        True,
    ),
    Case(
        "export/codec/packing.py",
        "Load it first",
        lambda: kp.codec.pack("net.keras", "a.kpz"),
        lambda: kp.codec.pack(dense(), "a.kpz"),
    ),
    Case(
        "surgery/reordering.py",
        "Write {group name: scores}",
        lambda: kp.surgery.reorder(dense(), 3),
        lambda: kp.surgery.reorder(dense(), kp.criteria.L1().score(kp.trace(dense()))),
    ),
    Case(
        "rules/activations.py",
        "Write it with keras.ops, or",
        lambda: kp.trace(with_lambda()),
        lambda: kp.trace(with_lambda(), unknown="freeze"),
    ),
    Case(
        "surgery/costs/cost.py",
        "Write {layer name: number}",
        lambda: kp.plan(dense(), macs=0.5, macs_of=3),
        lambda: kp.plan(kp.trace(with_own(), unknown="freeze"), macs=0.9, macs_of={"own": 64}),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.fit(",
        lambda: kp.export.tflite(kp.quantization_aware(dense()), "a.tflite", quantize="int8"),
        lambda: kp.export.tflite(
            fit(keras.callbacks.Callback(), optimizer_of(kp.quantization_aware(dense()))), "a.tflite", quantize="int8"
        ),
        True,
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.plain.quantize",
        lambda: kp.quantization_aware(dense()).quantize("int8"),
        lambda: kp.quantization_aware(dense()).plain.quantize("int8"),
    ),
    Case(
        "export/quantization/aware.py",
        "Call aware.save(path)",
        lambda: kp.quantization_aware(dense()).get_config(),
        lambda: kp.quantization_aware(dense()).plain.save("a.keras"),
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
        "training/mask_updates.py",
        "Give fit steps_per_epoch=, or",
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator()),
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator(), steps_per_epoch=2),
    ),
]


def words() -> keras.Model:
    """Returns a classifier of sequences of ten words."""
    x = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(inputs := keras.Input((5,), dtype="int32")))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(8, "relu")(x)))


def with_lambda() -> keras.Model:
    """Returns a classifier with a Lambda that mixes channels."""
    x = layers.Lambda(lambda x: keras.ops.sort(x, axis=-1))(layers.Dense(8, "relu")(inputs := keras.Input((6,))))
    return keras.Model(inputs, layers.Dense(3)(x))


def half_frozen() -> keras.Model:
    """Returns the classifier with its first layer frozen."""
    model = dense()
    model.get_layer("hidden").trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def generator() -> Any:
    """Yields batches for ever."""
    while True:
        yield X[:8], Y[:8]


CASES = [*KEYWORDS, *GRAPH, *CRITERIA, *DATA, *CALLBACKS, *STEPS, *EXPORT, *MORE]

CANNOT_BE_RUN = [
    ("backend/derivatives.py", "Set KERAS_BACKEND before"),  # NumPy as a backend
    ("surgery/compute_dtype.py", "Take TensorFlow, or float32"),  # another backend
    ("export/conversion.py", "KERAS_BACKEND=tensorflow"),
    ("callbacks/resume.py", "Leave it out: epochs are saved"),
    ("errors.py", "Install it with pip"),  # an environment without a package
    ("recipes/schema.py", "Install kerasprune with all of its papers"),
    ("files/system_errors.py", "Free some room"),  # a full disk, or one of the system's
    ("files/system_errors.py", "Ask for permission"),
    ("files/writing.py", "Free some room"),
    ("export/latency/profiling.py", "Measure again when the machine is quiet"),
    ("recipes/populations/ray_runner.py", "Give fewer threads"),  # a cluster
    ("recipes/populations/ray_runner.py", "Install kerasprune on every machine"),
    ("export/conversion.py", "crashed in its own process"),  # a crash of the converter
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
