"""What fails after a finished epoch, in whichever step, is a warning: the trained slim model is returned."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune._keras import replaced_attributes
from kerasprune.steps import prune as steps_of_prune
from kerasprune.steps.judge import Judge
from kerasprune.steps.tuning import BestEpoch, Delivery

X = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
Y = np.abs(X).argmax(1) % 3


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    outputs = layers.Dense(3, activation="softmax")(layers.Dense(16, activation="relu")(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Failing(keras.callbacks.Callback):
    """Fails in a hook once an epoch is finished."""

    def __init__(self, hook: str) -> None:
        super().__init__()
        setattr(self, hook, self._fail)
        self._epochs = 0

    def _fail(self, *_, **__) -> None:
        if self._epochs:
            raise RuntimeError("no more")

    def on_epoch_begin(self, epoch, logs=None) -> None:
        self._epochs = epoch


class LateBatches(keras.utils.PyDataset):
    """A data set of which a batch cannot be read in the second epoch."""

    read = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int):
        self.read += 1
        if self.read > 40:
            raise OSError("the disk is gone")
        return X[index * 24 : index * 24 + 24], Y[index * 24 : index * 24 + 24]


PLAIN = {"data": (X, Y), "epochs": 3, "verbose": 0, "verify": False, "reconstruct": False, "distil": False}


def pruned(**given):
    with pytest.warns(UserWarning, match="is returned as it was") as heard:
        slim, _, report = kp.prune(network(), keep=0.5, **{**PLAIN, **given})
    assert "failed after" in str(report)
    kernel = slim.layers[1].kernel
    assert kernel.shape[-1] == 8 and kernel.regularizer is None and kernel.constraint is None
    assert np.isfinite(slim.predict(X, verbose=0)).all()
    return slim, report, [str(each.message) for each in heard]


def raising(*_, **__):
    raise RuntimeError("no more")


HOOKS = ["on_train_batch_end", "on_train_batch_begin", "on_epoch_end", "on_test_end", "on_train_end"]


@pytest.mark.parametrize("hook", [HOOKS[0], *(pytest.param(each, marks=pytest.mark.thorough) for each in HOOKS[1:])])
def test_a_callback_that_fails_in_the_second_epoch(hook):
    slim, report, _ = pruned(callbacks=[Failing(hook)])
    assert slim.compiled and report.steps[-1].name == "fine-tuned"
    slim.fit(X, Y, verbose=0)


@pytest.mark.matrix
def test_a_masking_callback_leaves_nothing_behind():
    masks = kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep=0.3, end="2ep"), every=1)
    slim, _, _ = pruned(callbacks=[masks, Failing("on_epoch_end")])
    assert np.mean(keras.ops.convert_to_numpy(slim.layers[1].kernel) == 0) > 0.3


@pytest.mark.matrix
def test_data_that_cannot_be_read_any_more():
    assert pruned(data=LateBatches(), validation=(X, Y), epochs=40)[0].compiled


LATER = {
    "compile": (keras.Model, "compile"),
    "the best weights": (BestEpoch, "put_back"),
    "the choice": (Delivery, "result"),
    "the judge": (Judge, "step"),
    "a remark": (steps_of_prune, "useless"),
    "the class": (steps_of_prune, "with_class_of"),
    "the options": (steps_of_prune, "safe_options"),
    "the optimizer": (steps_of_prune, "writable"),
}


class Arming(keras.callbacks.Callback):
    """Makes a function fail from the end of the training on."""

    def __init__(self, monkeypatch, owner, name) -> None:
        super().__init__()
        self._act = lambda: monkeypatch.setattr(owner, name, raising)

    def on_train_end(self, logs=None) -> None:
        self._act()


@pytest.mark.parametrize(
    "step", [each if not n else pytest.param(each, marks=pytest.mark.thorough) for n, each in enumerate(LATER)]
)
def test_a_later_step_that_fails(step, monkeypatch):
    before = network().get_weights()
    with monkeypatch.context() as patch:
        slim, _, _ = pruned(callbacks=[Arming(patch, *LATER[step])])
    assert len(slim.get_weights()) == len(before)


def test_what_fails_before_an_epoch_is_finished_is_an_error():
    with replaced_attributes((steps_of_prune, "make_plan", raising)), pytest.raises(RuntimeError, match="no more"):
        kp.prune(network(), keep=0.5, data=(X, Y), epochs=1, verbose=0)
    failing = Failing("on_train_batch_end")
    failing.on_epoch_begin = lambda *_, **__: None
    failing._epochs = 1
    with pytest.raises(RuntimeError, match="no more"):
        kp.prune(network(), keep=0.5, **PLAIN, callbacks=[failing])
