"""What growing penalties log of the weights that they push, against NumPy on the weights of that moment."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.greg_reference import compiled, train

import kerasprune as kp

LINEAR = {"step": 0.01, "every": 2, "ceiling": 0.1, "settle": 4}
TWO_SLOPES = {"pick_step": 0.01, "push_step": 0.01, "every": 2, "pick_at": 0.02, "ceiling": 0.1, "settle": 4}
CALLBACKS = {
    "decided": lambda: kp.callbacks.GReg1(keep={"one": 0.5}, schedule=LINEAR),
    "picked on the way": lambda: kp.callbacks.GReg2(keep={"one": 0.5}, schedule=TWO_SLOPES),
    "never decided": lambda: kp.callbacks.IncReg(keep={"one": 0.5}, schedule=LINEAR),
}


class Watch(keras.callbacks.Callback):
    """Keeps the norms of the filters of the first layer at every epoch's end, and before."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.norms = [self._now()]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.norms.append(self._now())

    def _now(self) -> np.ndarray:
        return np.abs(self.model.get_layer("one").get_weights()[0].astype("float64")).sum(0)


@pytest.mark.parametrize("name", CALLBACKS)
def test_the_logged_norms_are_those_of_the_epochs_end(name):
    model, watch = compiled(), Watch()
    history = train(model, [callback := CALLBACKS[name](), watch], epochs=6)
    kept = np.isin(np.arange(6), callback.plan.keep["one"])
    at = {"decided": lambda norms: ~kept, "never decided": lambda norms: _lowest(norms)}
    at["picked on the way"] = lambda norms: ~kept if norms is not watch.norms[1] else _lowest(norms)
    expected = [_ratio(norms, at[name](norms)) for norms in watch.norms[1:]]
    np.testing.assert_allclose(history.history["removed_to_kept"], expected, rtol=1e-5)
    assert len(set(expected)) == len(expected)


def _lowest(norms: np.ndarray) -> np.ndarray:
    return norms < np.sort(norms)[3]


def _ratio(norms: np.ndarray, gone: np.ndarray) -> float:
    return norms[gone].mean() / norms[~gone].mean()
