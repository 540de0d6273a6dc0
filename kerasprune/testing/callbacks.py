"""`check_callback`: what every callback must leave behind."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune.callbacks import PruningCallback, Resume
from kerasprune.errors import PruneError
from kerasprune.testing.require import require
from kerasprune.testing.toys import toy_data, toy_model
from kerasprune.training.checkpoint import states

EPOCHS, STEPS, BATCH = 2, 8, 8
Make = Callable[[], keras.callbacks.Callback]


def check_callback(make: Make, *, seed: int = 0, tolerance: float = 1e-6) -> None:
    """Checks a callback in `fit`, on a small residual network (`toy_model`), 2 epochs of 8 steps.

    One instance serves two fits in a row, the second of which goes on where the first has ended; weights stay finite;
    layers, shapes and the keys of a saved file are those before; every variable has its regularizer and constraint
    back; the saved model loads with plain Keras; eight steps per execution give the same weights as one (not on torch,
    where Keras runs one); `jit_compile=True` works. A callback of kerasprune that puts something on variables raises,
    or warns, where the train step leaves that out.

    Args:
        make: Returns a new callback whose schedule fits into 16 steps and ends at a multiple of 8.
        seed: Of weights and data. Defaults to 0.
        tolerance: Largest relative difference between one and eight steps per execution. Defaults to 1e-6.

    Raises:
        AssertionError: One of these does not hold.

    Example:
        >>> import keras
        >>> from kerasprune.testing import check_callback
        >>> check_callback(keras.callbacks.TerminateOnNaN)
    """
    callback = make()
    model = _compiled(seed)
    before = _form(model)
    for fit in ("first", "second"):
        _fit(model, callback, seed)
        _check_finite(model, f"after the {fit} fit")
        _check_form(before, model, fit)
        if fit == "first":
            single = model.get_weights()
    _check_file(model)
    if _SEVERAL_STEPS:
        many = _compiled(seed, steps_per_execution=STEPS)
        _fit(many, make(), seed)
        _check_same(single, many, tolerance)
    jitted = _compiled(seed, jit_compile=True)
    _fit(jitted, make(), seed)
    _check_finite(jitted, "with jit_compile=True")
    _check_form(before, jitted, "jitted")
    if isinstance(callback, PruningCallback) and not isinstance(callback, Resume):
        _check_resumed(single, make, seed)
        if keras.backend.backend() == "tensorflow":
            _check_says_so(make, seed)


_SEVERAL_STEPS = keras.backend.backend() != "torch"  # where Keras runs several steps at once
_WITHIN_EPOCHS = keras.backend.backend() == "tensorflow"  # where states within an epoch can be saved


def _compiled(seed: int, steps_per_execution: int = 1, jit_compile: bool = False) -> keras.Model:
    model = toy_model(seed)
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=steps_per_execution,
        jit_compile=jit_compile,
    )
    return model


def _fit(model: keras.Model, callback: keras.callbacks.Callback, seed: int, *others: keras.callbacks.Callback) -> None:
    images, labels = toy_data(STEPS * BATCH, seed)
    model.fit(images, labels, BATCH, EPOCHS, shuffle=False, verbose=0, callbacks=[callback, *others])


class _Watch(keras.callbacks.Callback):
    """Notes whether another callback has put something on variables."""

    def __init__(self, other: PruningCallback) -> None:
        super().__init__()
        self.other, self.attached = other, False

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.attached = any(map(self.other.session.attached, ("regularizer", "constraint")))


class _Bare(keras.optimizers.SGD):
    """Descends, and leaves constraints and its count of updates out."""

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        for variable, gradient in zip(trainable_variables, grads, strict=True):
            variable.assign(variable - 0.02 * gradient)


class WithoutPenalties(keras.Model):
    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        return keras.ops.mean(self.loss(y, y_pred))


def _past_the_optimizer(seed: int) -> keras.Model:
    """Returns the network with a train step that leaves out penalties, and updates weights by itself."""
    toy = toy_model(seed)
    model = WithoutPenalties(toy.inputs, toy.outputs)
    model.compile(_Bare(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _check_says_so(make: Make, seed: int) -> None:
    callback = make()
    watch, model, raised = _Watch(callback), _past_the_optimizer(seed), False
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            _fit(model, callback, seed, watch)
        except PruneError:
            raised = True
    require(
        raised or not watch.attached or any("does not act" in str(each.message) for each in said),
        "Expected a callback that says so where a train step leaves out what it puts on variables. Received: silence. "
        "Call super().on_epoch_end(epoch, logs) at the end of its own on_epoch_end.",
    )


class _Break(keras.callbacks.Callback):
    """Breaks a fit off in the middle of the second epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._last = epoch == EPOCHS - 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._last and batch == STEPS // 2:
            raise KeyboardInterrupt


def _check_resumed(single: list[np.ndarray], make: Make, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        steps, epochs = Path(folder) / "steps", Path(folder) / "epochs"
        _fit_resumed(steps if _WITHIN_EPOCHS else epochs, _compiled(seed), [make(), _Break()], seed)
        if _WITHIN_EPOCHS:
            shutil.copytree(steps, epochs)
            states(epochs)[-1].unlink()  # the one before it was saved where the epoch began
        for path in (steps, epochs) if _WITHIN_EPOCHS else (epochs,):
            model = _compiled(seed + 1)
            _fit_resumed(path, model, [make()], seed)
            for variable, expected in zip(model.weights, single, strict=True):
                require(
                    np.array_equal(keras.ops.convert_to_numpy(variable), expected),
                    f"Expected the weights of an uninterrupted fit. Received: others in {variable.path}, saved between "
                    f"two {path.name}. Is everything that the callback knows in state()?",
                )


def _fit_resumed(folder: Path, model: keras.Model, callbacks: list[keras.callbacks.Callback], seed: int) -> None:
    """Fits, with a state saved every epoch, and every three steps; goes on from the last state of the folder."""
    images, labels = toy_data(STEPS * BATCH, seed)
    with contextlib.suppress(KeyboardInterrupt), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The fit goes on")
        chain = [Resume(folder, STEPS // 2 - 1 if _WITHIN_EPOCHS else None), *callbacks]
        model.fit(images, labels, BATCH, EPOCHS, shuffle=False, verbose=0, callbacks=chain)


def _form(model: keras.Model) -> dict[str, list]:
    """Returns what a callback must not change."""
    return {
        "layer names": [(layer.name, type(layer).__name__) for layer in model.layers],
        "shapes": [(variable.path, tuple(variable.shape)) for variable in model.weights],
        "keys of the saved file": _keys(model),
        "regularizers": [_written(variable.regularizer) for variable in model.weights],
        "constraints": [_written(variable.constraint) for variable in model.weights],
        "trainable flags": [variable.trainable for variable in model.weights],
    }


def _check_form(before: dict[str, list], model: keras.Model, fit: str) -> None:
    for what, now in _form(model).items():
        changed = [pair for pair in zip(before[what], now, strict=False) if pair[0] != pair[1]]
        require(
            before[what] == now,
            f"Expected the {what} after the {fit} fit to be those before. Received: (before, now) = {changed[:3]}.",
        )


def _written(thing: object) -> str:
    """Returns a regularizer or constraint in words; those of Keras say their arguments, others their class."""
    if thing is None:
        return ""
    serialized = type(thing).__module__.startswith("keras.")
    return f"{type(thing).__name__}{keras.saving.serialize_keras_object(thing) if serialized else ''}"


def _keys(model: keras.Model) -> list[str]:
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        keys: list[str] = []
        with h5py.File(path) as file:
            file.visit(lambda key: keys.append(key) if not key.startswith("optimizer") else None)
    return sorted(keys)


def _check_finite(model: keras.Model, when: str) -> None:
    bad = [v.path for v in model.weights if not np.isfinite(keras.ops.convert_to_numpy(v)).all()]
    require(not bad, f"Expected finite weights {when}. Received: NaN or infinity in {bad[:3]}.")


def _check_file(model: keras.Model) -> None:
    images, _ = toy_data(4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path, safe_mode=True)
    one, two = (keras.ops.convert_to_numpy(each(images, training=False)) for each in (loaded, model))
    same = np.allclose(one, two, atol=1e-5)
    require(same, "Expected the saved model to compute what the trained one does. Received: other outputs.")


def _check_same(single: list[np.ndarray], many: keras.Model, tolerance: float) -> None:
    for variable, one, eight in zip(many.weights, single, many.get_weights(), strict=True):
        error = np.abs(one - eight).max() / max(np.abs(one).max(), 1e-30)
        require(
            error <= tolerance,
            "Expected the same weights with steps_per_execution 1 and 8. "
            f"Received: a relative difference of {error:.1e} in {variable.path}. Do the work inside the step.",
        )
