"""`check_callback`: the properties of every callback."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune._keras import is_of_keras
from kerasprune.backend.engine import full_precision
from kerasprune.callbacks import PruningCallback, Resume
from kerasprune.errors import PruneError
from kerasprune.testing.toys import require, toy_data, toy_model
from kerasprune.training.saved_state import states

EPOCHS, STEPS, BATCH = 2, 8, 8
Make = Callable[[], keras.callbacks.Callback]


@full_precision()
def check_callback(make: Make, *, seed: int = 0, tolerance: float = 1e-6) -> None:
    """Checks a callback in `fit`, on a small residual network (`toy_model`), 2 epochs of 8 steps.

    The same instance works in two successive fits, the second of which continues the first. Weights are finite; layers,
    shapes, the keys of a saved file, regularizers and constraints are unchanged; the saved model loads with plain
    Keras. Eight steps per execution give the same weights as one (not on torch, where Keras runs one).
    `jit_compile=True` works, as does `False` on JAX, where the other fits are compiled. A fit that is killed and
    resumed ends with the same weights. If a callback of kerasprune attaches penalties or masks to variables and the
    train step leaves them out, it raises or warns.

    Args:
        make: Returns a new callback whose schedule fits into 16 steps and ends at a multiple of 8.
        seed: Seed of weights and data. Defaults to 0.
        tolerance: Largest relative difference between one and eight steps per execution. Defaults to 1e-6.

    Raises:
        AssertionError: One of these checks fails.

    Example:
        >>> import keras
        >>> from kerasprune.testing import check_callback
        >>> check_callback(keras.callbacks.TerminateOnNaN)
    """
    with tempfile.TemporaryDirectory() as folder:
        single = check_fits(make, Path(folder), seed=seed)
        if _WITHIN_EPOCHS and _with_state(make()):
            states(kept := Path(folder) / "killed")[-1].unlink()  # the one before was saved where the epoch began
            _check_resumed(single, make, seed, kept, "epochs")
    if _SEVERAL_STEPS:
        check_same(single, fitted(make, seed, steps_per_execution=STEPS), tolerance, "steps_per_execution 1 and 8")
    _check_left(_form(_compiled(seed)), fitted(make, seed, jit_compile=not _JITTED), f"jit_compile={not _JITTED}")
    if _with_state(make()) and keras.backend.backend() == "tensorflow":
        _check_says_so(make, seed)


@full_precision()
def check_fits(make: Make, folder: Path, *, seed: int = 0) -> list[np.ndarray]:
    """Runs the part of `check_callback` with single steps: two successive fits, and a killed one.

    Args:
        make: Returns a new callback whose schedule fits into 16 steps.
        folder: An empty folder for saved states.
        seed: Seed of weights and data. Defaults to 0.

    Returns:
        The weights at the end of the first fit.

    Raises:
        AssertionError: A check fails.
    """
    callback, model = make(), _compiled(seed)
    with_state, before = _with_state(callback), _form(model)
    killed = _Killed(folder / "states", folder / "killed")
    _fit(model, [_resume(killed.states), callback, killed] if with_state else [callback], seed)
    single = model.get_weights()
    _check_left(before, model, "first")
    _fit(model, [callback], seed)
    _check_left(before, model, "second")
    _check_file(model)
    if with_state:
        _check_resumed(single, make, seed, killed.kept, "steps" if _WITHIN_EPOCHS else "epochs")
    return single


def fitted(make: Make, seed: int = 0, **arguments: Any) -> keras.Model:
    """Returns the network after a fit with a new callback; further arguments are those of `compile`."""
    model = _compiled(seed, **arguments)
    _fit(model, [make()], seed)
    return model


def _with_state(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, PruningCallback) and not isinstance(callback, Resume)


_JITTED = keras.backend.backend() == "jax"  # Keras compiles steps there by default
_SEVERAL_STEPS = keras.backend.backend() != "torch"  # Keras runs several steps per execution
_WITHIN_EPOCHS = keras.backend.backend() == "tensorflow"  # states within an epoch can be saved


def _compiled(seed: int, **arguments: Any) -> keras.Model:
    model = toy_model(seed)
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **({"jit_compile": _JITTED and not arguments.get("run_eagerly", False)} | arguments),
    )
    return model


def _fit(model: keras.Model, callbacks: list[keras.callbacks.Callback], seed: int) -> None:
    images, labels = toy_data(STEPS * BATCH, seed)
    model.fit(images, labels, BATCH, EPOCHS, shuffle=False, verbose=0, callbacks=callbacks)


class _Bare(keras.optimizers.SGD):
    """Gradient descent without constraints or a count of updates."""

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        for variable, gradient in zip(trainable_variables, grads, strict=True):
            variable.assign(variable - 0.02 * gradient)


class WithoutPenalties(keras.Model):
    """A model whose loss lacks the penalties."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        return keras.ops.mean(self.loss(y, y_pred))


def _past_the_optimizer(seed: int) -> keras.Model:
    """Returns the network with a train step without penalties that updates weights without the optimizer."""
    toy = toy_model(seed)
    model = WithoutPenalties(toy.inputs, toy.outputs)
    model.compile(_Bare(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _check_says_so(make: Make, seed: int) -> None:
    callback, model, attached, raised = make(), _past_the_optimizer(seed), [], False

    def look(epoch: int, logs: dict | None) -> None:
        attached.extend(part for kind in ("regularizer", "constraint") for part in callback.session.attached(kind))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            _fit(model, [callback, keras.callbacks.LambdaCallback(on_epoch_begin=look)], seed)
        except PruneError:
            raised = True
    require(
        raised or not attached or any("does not act" in str(each.message) for each in said),
        "Expected a warning or an error if a train step leaves out the parts attached to variables. Received: neither. "
        "Call super().on_epoch_end(epoch, logs) at the end of the callback's on_epoch_end.",
    )


class _Killed(keras.callbacks.Callback):
    """Copies the states that a fit killed in the middle of its second epoch would leave.

    Args:
        states: The folder of `Resume`.
        kept: The folder of the copies.
    """

    def __init__(self, states: Path, kept: Path) -> None:
        super().__init__()
        self.states, self.kept = states, kept

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._last = epoch == EPOCHS - 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._last and batch == STEPS // 2:
            shutil.copytree(self.states, self.kept)

    def on_train_end(self, logs: dict | None = None) -> None:
        if not self.kept.exists():  # the callback has stopped the fit before
            shutil.copytree(self.states, self.kept)


def _resume(folder: Path) -> Resume:
    return Resume(folder, every=STEPS // 2 - 1 if _WITHIN_EPOCHS else None)


def _check_resumed(single: list[np.ndarray], make: Make, seed: int, kept: Path, between: str) -> None:
    """Resumes from the states of a killed fit, whose newest was saved between two steps or epochs."""
    model = _compiled(seed + 1)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.filterwarnings("ignore", message="The fit resumes")
        _fit(model, [_resume(shutil.copytree(kept, Path(folder) / "states")), make()], seed)
    for variable, expected in zip(model.weights, single, strict=True):
        require(
            np.array_equal(keras.ops.convert_to_numpy(variable), expected),
            f"Expected the weights of an uninterrupted fit. Received: others in {variable.path}, saved between "
            f"two {between}. Does state() hold all of the callback's state?",
        )


def _form(model: keras.Model) -> dict[str, list]:
    """Returns the properties of a model that a callback must not change."""
    return {
        "layer names": [(layer.name, type(layer).__name__) for layer in model.layers],
        "shapes": [(variable.path, tuple(variable.shape)) for variable in model.weights],
        "keys of the saved file": _keys(model),
        "regularizers": [_written(variable.regularizer) for variable in model.weights],
        "constraints": [_written(variable.constraint) for variable in model.weights],
        "trainable flags": [variable.trainable for variable in model.weights],
    }


def _check_left(before: dict[str, list], model: keras.Model, fit: str) -> None:
    bad = [v.path for v in model.weights if not np.isfinite(keras.ops.convert_to_numpy(v)).all()]
    require(not bad, f"Expected finite weights after the {fit} fit. Received: NaN or infinity in {bad[:3]}.")
    for what, now in _form(model).items():
        changed = [pair for pair in zip(before[what], now, strict=False) if pair[0] != pair[1]]
        require(
            before[what] == now,
            f"Expected the {what} after the {fit} fit to be those before. Received: (before, now) = {changed[:3]}.",
        )


def _written(thing: object) -> str:
    """Returns the class of a regularizer or constraint, for those of Keras with their arguments."""
    if thing is None:
        return ""
    serialized = is_of_keras(type(thing))
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


def _check_file(model: keras.Model) -> None:
    images, _ = toy_data(4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path, safe_mode=True)
    one, two = (keras.ops.convert_to_numpy(each(images, training=False)) for each in (loaded, model))
    same = np.allclose(one, two, atol=1e-5)
    require(same, "Expected the same outputs of the saved and the trained model. Received: others.")


def check_same(single: list[np.ndarray], many: keras.Model, tolerance: float, ways: str) -> None:
    """Checks that two fits ended with the same weights.

    Args:
        single: The weights of the one.
        many: The model of the other.
        tolerance: Largest relative difference.
        ways: Their difference, in words.
    """
    for variable, one, eight in zip(many.weights, single, many.get_weights(), strict=True):
        error = np.abs(one - eight).max() / max(np.abs(one).max(), 1e-30)
        require(
            error <= tolerance,
            f"Expected the same weights with {ways}. "
            f"Received: a relative difference of {error:.1e} in {variable.path}. Do the work inside the step.",
        )
