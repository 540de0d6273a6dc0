"""Saves the state of a fit, and resumes it after a kill."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasprune._keras import set_first_epoch
from kerasprune.checks import count_faults
from kerasprune.data.epoch_counters import positions
from kerasprune.errors import PruneError, raise_faults, warn
from kerasprune.files import make_folder, path_of
from kerasprune.training.callback import PruningCallback
from kerasprune.training.candidates import PRUNED
from kerasprune.training.fit import RunningFit
from kerasprune.training.jax_step import own_variables
from kerasprune.training.optimizer import ensure_built, inner_optimizer
from kerasprune.training.saved_state import SavedState, last_good


class Skipping:
    """Replaces a model's train function until a number of batches has been read.

    Set after Keras has made the train function and before the first step; if the fit is interrupted meanwhile, the next
    one, which reads from another iterator, restores the train function.

    Args:
        model: The model, in `fit` on TensorFlow.
        batches: Number of batches to read, a multiple of `steps_per_execution`.
    """

    def __init__(self, model: keras.Model, batches: int) -> None:
        self._model, self._left, self._iterator = model, batches, None
        self._train = model.train_function
        model.train_function = self

    def end(self) -> None:
        """Restores the train function, if it has not been restored yet."""
        if self._model.train_function is self:
            self._model.train_function = self._train

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Reads the batches of one execution, or trains on them if enough were read."""
        self._iterator = iterator if self._iterator is None else self._iterator
        if self._left <= 0 or iterator is not self._iterator:
            self.end()
            return self._train(iterator)
        for _ in range(self._model.steps_per_execution):
            next(iterator)
        self._left -= self._model.steps_per_execution
        return {}


class Resume(PruningCallback):
    """Saves the whole state of a fit at the beginning of every epoch, and resumes from it when the script is rerun.

    The state consists of the weights, the optimizer, the seeds of layers, the state of kerasprune's other callbacks
    (masks, picks, steps, weights to rewind to), the epoch, and the position in training sets of `kp.data`. It is
    written atomically; the last two files are kept, and an unreadable one is skipped. `Resume` may be anywhere in the
    list of callbacks.

    For long epochs, `every` also saves within them. On resuming, the batches already trained on are read and skipped,
    and the logs of that epoch cover only the remaining ones. `History` holds all epochs, including those before the
    interruption.

    After an interruption, rerun the same script. The result is bit-identical to an uninterrupted run if the order of
    the data is a function of seed and epoch, as for `kp.data`, or the same in every epoch; otherwise a warning is
    given. On a GPU it needs operations in a fixed order (`XLA_FLAGS=--xla_gpu_deterministic_ops=true` on JAX). A
    finished fit is not repeated, which is also a warning. States of other callbacks (such as the patience of
    `EarlyStopping`) are not saved.

    Args:
        folder: A folder for this fit alone.
        every: Steps between two saves within an epoch, on TensorFlow. Defaults to `None`: only between epochs.

    Raises:
        PruneError: `every` is not a positive number. In `fit`: the folder holds the state of another model or other
            callbacks, or is a file; it is then left unchanged.

    Example:
        >>> import keras, tempfile
        >>> import numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> folder = tempfile.mkdtemp()
        >>> data = np.ones((8, 4)), np.ones((8, 2))
        >>> _ = model.fit(*data, epochs=3, shuffle=False, verbose=0, callbacks=[Resume(folder)])
        >>> Resume(folder).epoch  # finished: nothing is left to train
        3
    """

    restores = True
    continues = False

    def __init__(self, folder: str | Path, *, every: int | None = None) -> None:
        super().__init__()
        raise_faults("Invalid arguments for Resume:", count_faults(every=every))
        if every is not None and keras.backend.backend() != "tensorflow":
            raise PruneError(
                f"Expected every=None. Received: every={every} on {keras.backend.backend()}, where saves within an "
                "epoch are not available. Leave it out: epochs are saved."
            )
        self.folder, self.every = path_of(folder), every

    @property
    def epoch(self) -> int:
        """The epoch at which a fit with this folder would begin; 0 if nothing is saved."""
        found, _ = last_good(self.folder)
        return 0 if found is None else found.epoch

    def begin(self) -> None:
        """Restores the saved state, if any."""
        self._next, self._saved_at, self._ahead = 0, 0, None
        self._past: dict[str, Any] | None = None
        if self.every is not None and self.params.get("loop"):
            raise PruneError(
                f"Expected every=None in a loop of your own. Received: every={self.every}. Only model.fit can pass "
                "over batches that were trained on; leave it out: epochs are saved."
            )
        make_folder(self.folder)
        ensure_built(self.model)
        self.session.ends.append(partial(set_first_epoch, self.model, None))  # for the next fit
        self._now = self._about()  # layers and settings do not change in a fit
        self._begins_at, self._reads = positions.epochs(), None
        found, faults = last_good(self.folder)
        for fault in faults:
            warn(f"A saved state could not be read; the one before it is used. {fault}")
        if found is None:
            return
        self._check(found)
        for callback in self._named().values():
            callback.ensure_begun()
        self._check_states(found)
        restored, self._reads = self._put_back(found), found.about["reads"]
        self._begins_at = positions.epochs()
        if not (restored if self._reads is None else restored.intersection(self._reads)):
            self._warn_of_order(found)
        self._next, self._past = found.epoch, found.about["history"]
        if found.stopped or found.epoch >= self.params["epochs"]:
            warn(
                f"The fit of {self.folder} is finished, after {found.epoch} epochs: nothing is trained, its state "
                "is restored. For a new fit give another folder, or empty this one; for a longer one, more epochs."
            )
        if found.step:
            self._ahead = found
            self.session.ends.append(Skipping(self.model, found.step).end)
        # Keras begins with this epoch; where fit is over, with none.
        set_first_epoch(self.model, max(found.epoch, self.params["epochs"]) if found.stopped else found.epoch)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the state, since between two epochs no callback is in the middle of its work."""
        self._next, self._saved_at = epoch, 0
        self._remember()
        if self._ahead is None:
            self._save(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Saves if due; or, once the batches already trained on were skipped, restores the state and resumes.

        The state overwrites changes by the other callbacks in between.
        """
        if self._ahead is None:
            if self.every is not None and batch - self._saved_at >= self.every:
                self._save(self._next, step=batch)
                self._saved_at = batch
        elif batch >= self._ahead.step:
            self._put_back(self._ahead)
            self._saved_at, self._ahead = self._ahead.step, None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records the next epoch, and which sets of `kp.data` this fit reads: those that have advanced."""
        self._next = epoch + 1
        self._reads = [name for name, at in positions.epochs().items() if at != self._begins_at.get(name)]

    def before_end(self) -> None:
        """Saves the state after the last epoch, before any callback detaches."""
        self._remember()
        self._save(self._next, stopped=bool(self.model.stop_training))

    # ---- logs -------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        """Adds the epochs before the kill to `History`, once it has begun."""
        history = self._history
        if history is None or not self._past:
            return
        history.epoch[:0] = self._past["epoch"]
        for name, values in self._past["logs"].items():
            history.history[name] = [*values, *history.history.get(name, [])]
        self._past = None

    @property
    def _history(self) -> keras.callbacks.History | None:
        """Keras's own callback; `None` in a custom loop."""
        found = getattr(self.model, "history", None)
        return found if isinstance(found, keras.callbacks.History) and not self.params.get("loop") else None

    def _logged(self) -> dict[str, Any]:
        history = self._history
        if history is None:
            return {"epoch": [], "logs": {}}
        plain = {
            name: list(map(float, values))
            for name, values in history.history.items()
            if all(isinstance(value, int | float | np.number) for value in values)
        }
        return {"epoch": list(map(int, history.epoch)), "logs": plain}

    # ---- the state ------------------------------------------------------------------------------------------

    def _save(self, epoch: int, *, step: int = 0, stopped: bool = False) -> None:
        arrays = {key: ops.convert_to_numpy(variable) for key, variable in self._keeps().items()}
        for name, callback in self._named().items():
            arrays |= {f"callback/{name}/{key}": np.asarray(value) for key, value in callback.state().items()}
        about = {**self._now, "positions": positions.epochs(), "reads": self._reads, "history": self._logged()}
        SavedState(epoch, step, stopped, arrays, about).save(self.folder)

    def _put_back(self, found: SavedState) -> set[str]:
        """Restores a state; returns the names of the training sets of kp.data that were set to their positions."""
        for key, variable in self._keeps().items():
            variable.assign(found.arrays[key])
        for name, callback in self._named().items():
            prefix = f"callback/{name}/"
            callback.restore({k.removeprefix(prefix): v for k, v in found.arrays.items() if k.startswith(prefix)})
        return positions.put_back(found.about["positions"])

    def _warn_of_order(self, found: SavedState) -> None:
        if (found.epoch or found.step) and found.epoch < self.params["epochs"] and not found.stopped:
            warn(
                f"The fit resumes with epoch {found.epoch}. It ends as the uninterrupted one would only if the "
                "order of the data is the same in every epoch, or a function of its number, as that of kp.data is; "
                "give fit shuffle=False."
            )

    def _about(self) -> dict[str, Any]:
        return {
            "layers": [_described(layer) for layer in self.model.layers],
            "variables": [[v.path, _shape(v)] for v in _variables(self.model)],
            "optimizer": [type(inner_optimizer(self.model.optimizer)).__name__, *map(_shape, _optimizer(self.model))],
            "callbacks": list(self._named()),
            "settings": {name: _settings(callback) for name, callback in self._named().items()},
        }

    def _check(self, found: SavedState) -> None:
        faults = []
        for what, now in self._now.items():
            before = found.about[what]
            if what == "variables" and len(before) == len(now):
                differ = [(a, b) for a, b in zip(before, now, strict=True) if a[1] != b[1]]
                faults += [f"{a[0]!r} was saved with shape {a[1]}. Received: {b[0]!r} {b[1]}." for a, b in differ[:3]]
            elif what == "settings":
                common = [(n, k) for n in before.keys() & now.keys() for k in before[n].keys() & now[n].keys()]
                differ = sorted((n, k) for n, k in common if before[n][k] != now[n][k])
                faults += [f"{n} had {k}={before[n][k]!r}. Received: {k}={now[n][k]!r}." for n, k in differ]
            elif what == "layers" and len(before) == len(now):
                differ = [(a, b) for a, b in zip(before, now, strict=True) if a != b]
                faults += [f"a layer was {a}. Received: {b}." for a, b in differ[:3]]
            elif before != now:
                faults.append(f"{what} was {_short(before)}. Received: {_short(now)}.")
        if found.step and self.params.get("loop"):
            faults.append("it was saved within an epoch of model.fit. Received: a loop of your own.")
        elif found.step % self.model.steps_per_execution:
            faults.append(
                f"it was saved after {found.step} steps of an epoch. Received: "
                f"steps_per_execution={self.model.steps_per_execution}, which does not divide them."
            )
        raise_faults(self._refusal(), faults)

    def _check_states(self, found: SavedState) -> None:
        """Checks, before anything is restored, that the state has the variables of model and callbacks."""
        faults = [_fault(f"the {key.split('/')[0]}", key, each, found) for key, each in self._keeps().items()]
        for name, callback in self._named().items():
            kept = {"start": np.int64(callback.session.start), **callback.session.variables}
            keeps = {f"callback/{name}/{key}": variable for key, variable in kept.items()}
            faults += [_fault(name, key, variable, found) for key, variable in keeps.items()]
            faults.append(_left_whole(name, keeps.keys(), found))
        faults = [fault for fault in faults if fault]
        remedy = (
            "Layers without names may have been numbered differently: name them, or call "
            "keras.utils.clear_session() before the model is built."
        )
        raise_faults(f"{self._refusal()} {remedy}", faults[:5])

    def _refusal(self) -> str:
        return f"{self.folder} holds the state of another fit. Give another folder, or empty this one."

    def _keeps(self) -> dict[str, Any]:
        """Returns `{key in a state: variable}` of the model and the optimizer."""
        both = {"model": _variables(self.model), "optimizer": _optimizer(self.model)}
        return {f"{name}/{index}": each for name, variables in both.items() for index, each in enumerate(variables)}

    def _named(self) -> dict[str, PruningCallback]:
        """Returns `{name in a state: callback}` of the others."""
        named: dict[str, PruningCallback] = {}
        for callback in RunningFit.of(self.model).callbacks:
            kind = type(callback).__name__
            if not callback.restores:
                named[f"{kind}#{sum(name.split('#')[0] == kind for name in named)}"] = callback
        return named


def _fault(who: str, key: str, variable: Any, found: SavedState) -> str:
    """Returns why an array of a state cannot become a variable's value; empty if it can."""
    saved = found.arrays.get(key)
    if saved is not None and list(saved.shape) == _shape(variable) and saved.dtype.kind in "biufcV":
        return ""
    received = "nothing of that name" if saved is None else f"shape {list(saved.shape)} of {saved.dtype}"
    return f"{who} keeps {key.removeprefix(f'callback/{who}/')!r} {_shape(variable)}. Received: {received}."


def _left_whole(who: str, keeps: Collection[str], found: SavedState) -> str:
    """Returns a fault that names the masks of a state that the callback lacks; empty if none."""
    masks = f"callback/{who}/{PRUNED}"
    forgotten = [key.removeprefix(masks) for key in found.arrays if key.startswith(masks) and key not in keeps]
    if not forgotten:
        return ""
    return (
        f"{who} had masks on {_short(forgotten)}. Received: one that keeps these whole. Freeze the same layers; "
        "masks on depthwise kernels need granularity={'name': 'weight', 'depthwise': True}."
    )


def _settings(callback: PruningCallback) -> dict[str, Any]:
    """Returns the plain settings of a callback."""
    aside = {"strict", "goes_on"}  # without effect on the weights
    public = {k: v for k, v in vars(callback).items() if not k.startswith("_") and k not in aside}
    return {key: value for key, value in public.items() if isinstance(value, str | int | float)}


def _described(layer: Any) -> str:
    """Returns a layer's class and its plain settings, without its name, whose number may differ between models."""
    settings = {} if isinstance(layer, keras.Model) else layer.get_config()
    plain = {k: v for k, v in settings.items() if k != "name" and isinstance(v, str | int | float | list | tuple)}
    inside = ", ".join(f"{key}={value}" for key, value in sorted(plain.items()))
    return f"{type(layer).__name__}({inside})"


def _shape(variable: Any) -> list[int]:
    return [int(side) for side in variable.shape]


def _short(things: list[Any]) -> str:
    return f"{', '.join(map(str, things[:4]))}{f' … ({len(things)})' if len(things) > 4 else ''}" or "nothing"


def _variables(model: keras.Model) -> list[Any]:
    """Returns weights, statistics and seeds of a model, without metrics, which are reset at every epoch."""
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    return [variable for variable in own_variables(model.variables) if id(variable) not in metrics]


def _optimizer(model: keras.Model) -> list[Any]:
    inner = inner_optimizer(model.optimizer)
    return list({id(each): each for each in own_variables([*inner.variables, *model.optimizer.variables])}.values())
