"""Soft filter pruning and incremental regularization: against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from support.convnet import compiled, small, train

import kerasprune as kp
from kerasprune.callbacks import IncReg, SoftFilterPruning


def test_soft_filters_are_the_weakest_and_may_come_back():
    model = compiled(small())
    norms = []

    class Before(kp.callbacks.PruningCallback):
        """Stands before the callback under test: the norms that it will see."""

        def on_epoch_end(self, epoch, logs=None):
            norms.append(np.sqrt((self.model.get_layer("conv").kernel.numpy() ** 2).sum((0, 1, 2))))

    callback = SoftFilterPruning(keep=0.5)
    train(model, [Before(), callback], epochs=3)
    assert callback.plan.keep == {"conv": tuple(sorted(np.argsort(-norms[-1])[:3].tolist()))}
    kernel = model.get_layer("conv").kernel.numpy()
    assert ((kernel != 0).any((0, 1, 2)) == np.isin(np.arange(6), callback.plan.keep["conv"])).all()
    assert all((norm > 0).all() for norm in norms)  # zeroed filters were trained on
    assert kp.rebuild(model, callback.plan).get_layer("conv").filters == 3
    with pytest.raises(kp.PruneError, match="keep=1.5"):
        SoftFilterPruning(1.5)


def test_penalties_follow_the_ranks():
    model = compiled(small())
    callback = IncReg(keep=0.5, penalty_step=0.1, every=4, ceiling=0.25, settle=5)
    norms, penalties = [], []

    class Look(kp.callbacks.PruningCallback):
        def on_train_batch_end(self, batch, logs=None):
            _ = self.model  # on JAX this brings the variables up to date
            penalties.append(callback._penalties["conv"].numpy().copy())
            norms.append(np.abs(self.model.get_layer("conv").kernel.numpy()).sum((0, 1, 2)))

    first = np.abs(model.get_layer("conv").kernel.numpy()).sum((0, 1, 2))
    train(model, [callback, Look()], epochs=1)
    expected = np.zeros(6)
    for step, norm in ((0, first), (4, norms[3])):
        place = np.argsort(np.argsort(norm, kind="stable"), kind="stable")
        change = np.where(place <= 3, 0.1 * (1 - place / 3), -0.1 * (place - 3) / 2)
        expected = np.clip(expected + change, 0, 0.25)
        np.testing.assert_allclose(penalties[step], expected, atol=1e-6)
        np.testing.assert_allclose(penalties[step + 3], expected, atol=1e-6)
    assert callback.plan.keep["conv"] == tuple(sorted(np.argsort(-norms[-1])[:3].tolist()))
