"""What a fit knows of its callbacks, and when it forgets it."""

from __future__ import annotations

import keras
from support.convnet import compiled, small, train

import kerasprune as kp
from kerasprune.training.fit import Phase, RunningFit


class Watch(keras.callbacks.Callback):
    """Notes the phases of all callbacks, and whether the dense weights are still held, at every epoch."""

    def __init__(self):
        super().__init__()
        self.phases, self.held = [], []

    def on_epoch_begin(self, epoch, logs=None):
        fit = RunningFit.of(self.model)
        self.phases.append([fit.phases[callback] for callback in fit.callbacks])
        self.held.append(fit._snapshot is not None)


def test_a_fit_forgets_the_dense_weights_once_all_have_begun_and_its_callbacks_once_all_have_ended():
    model = compiled(small())
    before = set(vars(model))
    watch = Watch()
    train(model, [kp.callbacks.GradualMagnitude(kp.schedules.constant(0.5)), kp.callbacks.Polarization(), watch])
    assert watch.held == [False, False]
    assert watch.phases == [[Phase.ACTIVE] * len(each) for each in watch.phases] and len(watch.phases[0]) >= 2
    assert not {name for name in set(vars(model)) - before if "kerasprune" in name}
    assert not RunningFit.of(model).callbacks
