"""What every callback does under every optimizer in every kind of loop, tried out; a page holds it as a table.

A cell is a fit of a small network. What the callback says is caught; whether it acted is measured on the weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import kerasprune as kp
from kerasprune import callbacks

EPOCHS, STEPS, BATCH, WIDTH = 8, 10, 8, 6
KEEP, SMALL = 0.5, 0.2
PUSHED, SCHEDULE = {"keep": KEEP, "granularity": "channel"}, {"ceiling": 16.0, "settle": 48, "every": 4}


@dataclass(frozen=True)
class Row:
    """A callback, and how to see on a model whether it acted."""

    make: Callable[[], Any]
    acted: Callable[[Any, Any], bool]
    epochs: int = EPOCHS


# ---- the callbacks -----------------------------------------------------------------------------------------------


def _mask() -> dict[str, np.ndarray]:
    return {"first/kernel": np.arange(4 * WIDTH).reshape(4, WIDTH) % 2 == 0}


def _sparse(callback: Any, model: Any) -> bool:
    """Half of what the masks are about is zero."""
    kernels = [weight.numpy() for weight in model.weights if weight.path in callback.masks]
    return sum(np.count_nonzero(kernel) for kernel in kernels) <= 0.55 * sum(kernel.size for kernel in kernels)


def _pushed(callback: Any, model: Any) -> bool:
    """What goes is small beside what stays, on the weights as they are."""
    kept = callback.plan.keep["first"]
    norms = np.abs(model.get_layer("last").kernel.numpy()).mean(axis=1)
    gone = np.delete(norms, kept)
    return bool(gone.mean() <= SMALL * norms[list(kept)].mean())


def _scales_fell(callback: Any, model: Any) -> bool:
    """Half of the scales, which began at 0.5, are next to zero."""
    return bool(np.median(np.abs(model.get_layer("norm").gamma.numpy())) < 0.25)


def _shrunk(callback: Any, model: Any) -> bool:
    """The rows of the kernel behind the channels that went are zero."""
    gone = np.delete(np.arange(WIDTH), callback.plan.keep["first"])
    return gone.size > 0 and not model.get_layer("last").kernel.numpy()[gone].any()


def _filters_zero(callback: Any, model: Any) -> bool:
    gone = np.delete(np.arange(WIDTH), callback.plan.keep["first"])
    return gone.size > 0 and not model.get_layer("first").kernel.numpy()[:, gone].any()


def _held(callback: Any, model: Any) -> bool:
    """What is frozen is what it was before the fit."""
    frozen = callback.frozen["first/kernel"]
    return np.array_equal(
        model.get_layer("first").kernel.numpy()[frozen], network().get_layer("first").kernel.numpy()[frozen]
    )


def _shared(callback: Any, model: Any) -> bool:
    """Four values at most, which were trained."""
    kernel, before = (each.get_layer("first").kernel.numpy() for each in (model, network()))
    return np.unique(kernel).size <= 4 and not np.array_equal(kernel, kp.codec.share(before, 4))


def _greg1(**arguments: Any) -> Any:
    return callbacks.GReg1(schedule={"step": 2.0, **SCHEDULE}, **PUSHED, **arguments)


def _greg2(**arguments: Any) -> Any:
    return callbacks.GReg2(
        schedule={"pick_step": 0.4, "pick_at": 0.5, "push_step": 4.0, **SCHEDULE}, **PUSHED, **arguments
    )


def _increg(**arguments: Any) -> Any:
    return callbacks.IncReg(schedule={"step": 4.0, **SCHEDULE}, **PUSHED, **arguments)


def _slimming(**arguments: Any) -> Any:
    return callbacks.NetworkSlimming(strength=1.0, **arguments)


def _polarization(**arguments: Any) -> Any:
    return callbacks.Polarization(strength=1.0, t=1.4, threshold=0.1, **arguments)


ROWS = {
    "GradualMagnitude": Row(
        lambda: callbacks.GradualMagnitude(kp.schedules.cubic(KEEP, end="40it"), every=4, scope="layer"), _sparse
    ),
    "FreezeKept": Row(lambda: callbacks.FreezeKept(KEEP), _held),
    "HoldMask": Row(lambda: callbacks.HoldMask(_mask()), _sparse),
    "IterativeMagnitude": Row(lambda: callbacks.IterativeMagnitude(1, KEEP, scope="layer"), _sparse),
    "LearningRateRewinding": Row(lambda: callbacks.LearningRateRewinding(1, KEEP, scope="layer"), _sparse),
    "SoftFilterPruning": Row(lambda: callbacks.SoftFilterPruning(KEEP), _filters_zero),
    "ShrinkRounds": Row(
        lambda: callbacks.ShrinkRounds("width", rounds=2, epochs_per_round=EPOCHS // 2, monitor="loss"), _shrunk
    ),
    "TrainedQuantization": Row(lambda: callbacks.TrainedQuantization(2), _shared),
    "GReg1": Row(_greg1, _pushed),
    "GReg1, decoupled": Row(lambda: _greg1(decoupled=True), _pushed),
    "GReg2": Row(_greg2, _pushed),
    "GReg2, decoupled": Row(lambda: _greg2(decoupled=True), _pushed),
    "IncReg": Row(_increg, _pushed),
    "IncReg, decoupled": Row(lambda: _increg(decoupled=True), _pushed),
    "GroupLasso": Row(lambda: callbacks.GroupLasso(kp.Plan({"first": [0, 1, 2]}), strength=5.0), _pushed),
    "NetworkSlimming": Row(_slimming, _scales_fell),
    "NetworkSlimming, decoupled": Row(lambda: _slimming(decoupled=True), _scales_fell),
    "Polarization": Row(_polarization, _scales_fell),
    "Polarization, decoupled": Row(lambda: _polarization(decoupled=True), _scales_fell),
}

# ---- the optimizers ----------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda **a: keras.optimizers.SGD(0.02, **a),
    "momentum": lambda **a: keras.optimizers.SGD(0.005, momentum=0.9, **a),
    "Adam": lambda **a: keras.optimizers.Adam(0.01, **a),
    "AdamW": lambda **a: keras.optimizers.AdamW(0.01, **a),
    "Lion": lambda **a: keras.optimizers.Lion(0.01, **a),
}

# ---- the loops ---------------------------------------------------------------------------------------------------


class WithLosses(keras.Model):
    """A train step of one's own, which adds the penalties."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2) + sum(self.losses)
        gradients = tape.gradient(loss, [variable.value for variable in self.trainable_variables])
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class WithoutLosses(keras.Model):
    """A train step of one's own, which forgets the penalties."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, [variable.value for variable in self.trainable_variables])
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class AssignSub(keras.Model):
    """A train step of one's own, which updates the weights without the optimizer."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2) + sum(self.losses)
        gradients = tape.gradient(loss, [variable.value for variable in self.trainable_variables])
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            variable.assign_sub(0.02 * gradient)
        return {"loss": loss}


LOOPS = (
    "fit",
    "own step",
    "own step without losses",
    "assign_sub",
    "accumulation",
    "EMA",
    "mixed precision",
    "MirroredStrategy",
)
OWN = {"own step": WithLosses, "own step without losses": WithoutLosses, "assign_sub": AssignSub}
ARGUMENTS = {"accumulation": {"gradient_accumulation_steps": 2}, "EMA": {"use_ema": True, "ema_momentum": 0.5}}


def network(cls: type = keras.Model) -> keras.Model:
    """Returns 4 → 6, BatchNorm, relu → 2, with names of its own."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((4,))
    x = layers.BatchNormalization(name="norm")(layers.Dense(WIDTH, name="first")(x))
    return cls(inputs, layers.Dense(2, name="last")(layers.ReLU()(x)))


def compiled(optimizer: str, loop: str) -> keras.Model:
    """Returns the network, ready for a kind of loop."""
    policy = "mixed_float16" if loop == "mixed precision" else "float32"
    keras.config.set_dtype_policy(policy)
    try:
        model = network(OWN.get(loop, keras.Model))
    finally:
        keras.config.set_dtype_policy("float32")
    made = OPTIMIZERS[optimizer](**ARGUMENTS.get(loop, {}))
    if loop == "mixed precision":
        made = keras.optimizers.LossScaleOptimizer(made, initial_scale=256.0)
    model.compile(made, "mse", jit_compile=False)
    return model


def samples(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and targets that a few channels can tell apart."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(number, 4)).astype("float32")
    return inputs, np.tanh(inputs[:, :2] - inputs[:, 2:]).astype("float32")


def cell(row: str, optimizer: str, loop: str) -> str:
    """Returns what becomes of a callback: `acts`, `refuses` (a `PruneError`), `warns`, or `silently nothing`."""
    steps = STEPS * (2 if loop == "accumulation" else 1)
    callback = ROWS[row].make()
    if loop == "MirroredStrategy":
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            model = compiled(optimizer, loop)
    else:
        model = compiled(optimizer, loop)
    data = tf.data.Dataset.from_tensor_slices(samples(steps * BATCH)).batch(BATCH, drop_remainder=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", ".* makes the pushed weights ring")  # it acts all the same, which is measured
        try:
            model.fit(data, epochs=ROWS[row].epochs, shuffle=False, verbose=0, callbacks=[callback])
        except kp.PruneError:
            return "refuses"
    if any(issubclass(each.category, UserWarning) for each in said):
        return "warns"
    return "acts" if ROWS[row].acted(callback, model) else "silently nothing"


# ---- the page ----------------------------------------------------------------------------------------------------

WORSE = ("acts", "warns", "refuses", "silently nothing")
PLAIN = "momentum"
"""The optimizer of the table of loops; the loop of the table of optimizers is `fit`."""
CELLS = [
    *((row, optimizer, "fit") for row in ROWS for optimizer in OPTIMIZERS),
    *((row, PLAIN, loop) for loop in LOOPS[1:] for row in ROWS),
]
"""The cells of the two tables."""


def composed(cells: dict[tuple[str, str, str], str], row: str, optimizer: str, loop: str) -> str:
    """Returns what becomes of a callback under an optimizer in a loop: the worse of what either does alone."""
    return max(cells[row, optimizer, "fit"], cells[row, PLAIN, loop], key=WORSE.index)


def table(cells: dict[tuple[str, str, str], str]) -> str:
    """Returns the table of optimizers, in `fit`, and that of loops, under SGD with momentum."""
    by_optimizer = [(name, [(row, name, "fit") for row in ROWS]) for name in OPTIMIZERS]
    by_loop = [(loop, [(row, PLAIN, loop) for row in ROWS]) for loop in LOOPS]
    return "\n\n".join(_one(cells, columns) for columns in (by_optimizer, by_loop))


def _one(cells: dict[tuple[str, str, str], str], columns: list[tuple[str, list[tuple[str, str, str]]]]) -> str:
    heads = [f"| Callback | {' | '.join(name for name, _ in columns)} |", f"|---|{'---|' * len(columns)}"]
    found = [[cells[places[index]] for _, places in columns] for index in range(len(ROWS))]
    return "\n".join([*heads, *(f"| `{row}` | {' | '.join(line)} |" for row, line in zip(ROWS, found, strict=True))])


def read(text: str) -> dict[tuple[str, str, str], str]:
    """Returns the cells of the two tables."""
    cells = {}
    for part in text.strip().split("\n\n"):
        head, _, *lines = ([each.strip() for each in line.strip("| ").split("|")] for line in part.splitlines())
        for row, *outcome in lines:
            for column, found in zip(head[1:], outcome, strict=True):
                where = (column, "fit") if column in OPTIMIZERS else (PLAIN, column)
                cells[row.strip("`"), *where] = found
    return cells
