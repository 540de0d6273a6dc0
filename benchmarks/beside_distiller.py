"""`kp.distil` beside `keras.distillation.Distiller`: a pruned network on digits, one question a line.

    python benchmarks/beside_distiller.py             # prints the table of docs/methods/distillation.md
    python benchmarks/beside_distiller.py accuracy    # one line of it

A small residual network for 8×8 digits (scikit-learn, 1,200 for training, 597 for the test), 10 epochs; slim: half of
its multiply–adds. Both are asked for the same loss, 0.1 · L + 0.9 · T² · KL, T = 4; Keras's as `LogitsDistillation(4.0,
loss=keras.losses.KLDivergence())`: by default, which is the name of that loss, it compares the logits themselves (Keras
3.15.1). Every answer is looked up on weights, logs or files after a few steps; only the accuracy is that of a training.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from keras.distillation import Distiller, FeatureDistillation, LogitsDistillation
from sklearn.datasets import load_digits

import kerasprune as kp

SOFT = LogitsDistillation(4.0, loss=keras.losses.KLDivergence())
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES.reshape(-1, 8, 8, 1) / 16).astype("float32")
TRAIN, TEST = (IMAGES[:1200], LABELS[:1200]), (IMAGES[1200:], LABELS[1200:])
BATCH = TRAIN[0][:64], TRAIN[1][:64]


def network(last: str | None = None) -> keras.Model:
    """Returns the dense network, untrained."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name="norm")(x))
    inner = layers.ReLU()(layers.Conv2D(16, 3, padding="same", name="inner")(x))
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same", name="outer")(inner)]))
    x = layers.ReLU()(layers.Conv2D(32, 3, strides=2, name="second")(x))
    return keras.Model(inputs, layers.Dense(10, last, name="classes")(layers.Flatten()(x)))


def trained() -> keras.Model:
    """Returns the teacher."""
    model = network()
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), LOSS)
    model.fit(*TRAIN, epochs=10, batch_size=32, verbose=0)
    return model


TEACHER = trained()
PLAN = kp.plan(TEACHER, macs=0.5)


def slim() -> keras.Model:
    """Returns the pruned student."""
    return kp.rebuild(TEACHER, PLAN)


def ours(student: keras.Model, teacher: keras.Model = TEACHER, weight: float = 0.9, loss=LOSS, **rest) -> keras.Model:
    """Returns the student of `kp.distil`, compiled."""
    taught = kp.distil(student, teacher, temperature=4.0, weight=weight, **rest)
    taught.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    return taught


def theirs(student: keras.Model, teacher: keras.Model = TEACHER, weight: float = 0.9, loss=LOSS, soft=None):
    """Returns Keras's Distiller, compiled, on a copy of the teacher, which it freezes."""
    copy = keras.models.clone_model(teacher)
    copy.set_weights(teacher.get_weights())
    taught = Distiller(copy, student, soft or SOFT, student_loss_weight=1 - weight)
    taught.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    return taught


WAYS = {"kp.distil": ours, "Distiller": theirs}


def of_first_batch(way: Callable) -> str:
    """The loss of the first batch."""
    return f"{way(slim()).train_on_batch(*BATCH, return_dict=True)['loss']:.4f}"


def by_default(way: Callable) -> str:
    """The same with the default of the loss."""
    taught = ours(slim()) if way is ours else theirs(slim(), soft=LogitsDistillation(4.0))
    return f"{taught.train_on_batch(*BATCH, return_dict=True)['loss']:.4f}"


def accuracy(way: Callable) -> str:
    """Test accuracy after 5 epochs, %."""
    keras.utils.set_random_seed(0)
    student = slim()
    way(student).fit(*TRAIN, epochs=5, batch_size=32, verbose=0)
    return f"{100 * np.mean(student.predict(TEST[0], verbose=0).argmax(-1) == TEST[1]):.1f}"


def penalty(way: Callable) -> str:
    """L2 of 1 on the kernels: their norm after 100 steps ÷ that without it."""
    norms = []
    for strength in (1.0, 0.0):
        student = slim()
        for each in student.trainable_variables:
            each.regularizer = keras.regularizers.L2(strength) if each.name == "kernel" else None
        taught = way(student)
        for _ in range(100):
            taught.train_on_batch(*BATCH)
        norms.append(np.linalg.norm(student.get_layer("second").kernel))
    return f"{norms[0] / norms[1]:.2f}"


def growing(way: Callable) -> str:
    """`GReg1` in its `fit`: norm of the removed filters ÷ of those kept."""
    return logged(way, kp.callbacks.GReg1(keep=0.5).compressed(100), "removed_to_kept")


def masks(way: Callable) -> str:
    """`GradualMagnitude` in its `fit`, asked for a half: share of the weights kept."""
    return logged(way, kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep=0.5, end=60), every=20), "kept")


def logged(way: Callable, callback: keras.callbacks.Callback, log: str) -> str:
    """Returns what a callback logs in the last of three epochs, or what it raises."""
    try:
        history = way(slim()).fit(*TRAIN, epochs=3, batch_size=32, verbose=0, callbacks=[callback]).history
    except kp.PruneError as error:
        return f"`PruneError: {str(error).splitlines()[0][:160]}`"
    return f"{history[log][-1]:.3f}"


def weighted(way: Callable) -> str:
    """Sample weights of 0: does a step change the weights?"""
    student = slim()
    before = student.get_layer("second").get_weights()[0]
    way(student).train_on_batch(*BATCH, sample_weight=np.zeros(64))
    return "no" if np.array_equal(before, student.get_layer("second").get_weights()[0]) else "yes, they are ignored"


def unlabelled(way: Callable) -> str:
    """Without labels, and without a loss in `compile`."""
    try:
        way(slim(), weight=1.0, loss=None).fit(BATCH[0], verbose=0)
    except ValueError as error:
        return f"`{type(error).__name__}: {str(error)[:60]}`"
    return "trains"


def probabilities(way: Callable) -> str:
    """Outputs behind a softmax: the loss of the first batch, less that of the same network on logits."""
    dense, student = network("softmax"), keras.models.clone_model(slim())
    dense.set_weights(TEACHER.get_weights())
    student.set_weights(slim().get_weights())
    soft = keras.Model(student.inputs, layers.Softmax(name="classes_soft")(student.output))
    loss = keras.losses.SparseCategoricalCrossentropy()
    found = way(soft, dense, loss=loss).train_on_batch(*BATCH, return_dict=True)["loss"]
    return f"{found - float(way(slim()).train_on_batch(*BATCH, return_dict=True)['loss']):+.3f}"


def features(way: Callable) -> str:
    """Features inside the network, of the pruned width."""
    try:
        taught = (
            ours(slim(), features=0.1, plan=PLAN)
            if way is ours
            else theirs(slim(), soft=[SOFT, FeatureDistillation("mse", "second", "second")])
        )
        taught.train_on_batch(*BATCH)
    except Exception as error:
        return f"`{type(error).__name__}`: shapes differ"
    return "the channels that the plan keeps"


def statistics(way: Callable) -> str:
    """Updates of BatchNorm's statistics in one step, with features that have the shape."""
    student = keras.models.clone_model(TEACHER)
    student.set_weights(TEACHER.get_weights())
    taught = (
        ours(student, features=0.1, plan=kp.plan(TEACHER, keep=1.0))
        if way is ours
        else theirs(student, soft=[SOFT, FeatureDistillation("mse", "second", "second")])
    )
    before = np.asarray(student.get_layer("norm").moving_mean)
    x = np.asarray(student.get_layer("first")(BATCH[0])).mean((0, 1, 2))
    taught.train_on_batch(*BATCH)
    left = (np.asarray(student.get_layer("norm").moving_mean) - x) / (before - x)
    return f"{np.log(np.median(left)) / np.log(0.9):.2f}"


def checkpoint(way: Callable) -> str:
    """What `ModelCheckpoint` writes."""
    path = Path(tempfile.mkdtemp()) / "best.keras"
    taught = way(slim())
    taught.fit(*BATCH, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint(path, monitor="loss")])
    model = keras.models.load_model(path)
    return f"a `{type(model).__name__}` of {model.count_params():,} weights"


def compiled(way: Callable) -> str:
    """Is the trained slim model compiled: can its file be trained on, with its optimizer's state?"""
    student = slim()
    way(student).fit(*BATCH, verbose=0)
    return "yes" if student.compiled else "no"


def judged(way: Callable) -> str:
    """`evaluate`'s loss on the test images, less the cross-entropy of the labels."""
    student = slim()
    found = way(student).evaluate(*TEST, verbose=0, return_dict=True)["loss"]
    return f"{found - float(LOSS(TEST[1], student.predict(TEST[0], verbose=0))):+.3f}"


def frozen(way: Callable) -> str:
    """The teacher's `trainable` afterwards."""
    teacher = keras.models.clone_model(TEACHER)
    if way is ours:
        ours(slim(), teacher)
    else:
        Distiller(teacher, slim(), SOFT)
    return str(teacher.trainable)


def two_outputs(way: Callable) -> str:
    """A second output without a loss of its own in `compile`."""

    def pair(model):
        body = keras.models.clone_model(model)
        body.set_weights(model.get_weights())
        size = layers.Dense(1, name="size", kernel_initializer="ones")(body.get_layer("second").output[:, 0, 0])
        return keras.Model(body.inputs, {"classes": body.output, "size": size})

    soft = LogitsDistillation(4.0, loss={"classes": keras.losses.KLDivergence(), "size": None})
    try:
        taught = way(pair(slim()), pair(TEACHER), loss={"classes": LOSS}, **({"soft": soft} if way is theirs else {}))
        taught.fit(BATCH[0], {"classes": BATCH[1]}, verbose=0)
    except Exception as error:
        return f"`{type(error).__name__}`"
    return "trains"


QUESTIONS = (
    of_first_batch,
    by_default,
    accuracy,
    penalty,
    growing,
    masks,
    weighted,
    unlabelled,
    probabilities,
    two_outputs,
    features,
    statistics,
    checkpoint,
    compiled,
    judged,
    frozen,
)


def main() -> None:
    """Prints the table."""
    print("| Asked | " + " | ".join(WAYS) + " |\n|---|---|---|")
    for question in [each for each in QUESTIONS if each.__name__ in sys.argv[1:]] or QUESTIONS:
        print(
            f"| {(question.__doc__ or '').rstrip('.')} | {' | '.join(question(way) for way in WAYS.values())} |",
            flush=True,
        )
    print(f"\nKeras {keras.__version__} on {keras.backend.backend()}.")


if __name__ == "__main__":
    main()
