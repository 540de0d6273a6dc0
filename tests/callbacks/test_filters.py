"""Soft filter pruning and incremental regularization: against NumPy."""

from __future__ import annotations

import keras
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


@pytest.mark.parametrize("coupling", ["free", "tied"])
def test_soft_filters_are_those_of_every_convolution(coupling):
    model = compiled(residual())
    last: dict[str, np.ndarray] = {}

    class Before(kp.callbacks.PruningCallback):
        def on_epoch_end(self, epoch, logs=None):
            _ = self.model  # on JAX this brings the variables up to date
            last.update({layer.name: layer.kernel.numpy() for layer in convolutions(self.model)})

    callback = SoftFilterPruning(keep=0.75, coupling=coupling)
    train(model, [Before(), callback], epochs=2)
    norms = {name: np.sqrt((kernel**2).sum((0, 1, 2))) for name, kernel in last.items()}
    if coupling == "tied":  # what makes the trunk is ranked together
        norms["stem"] = norms["second"] = np.sqrt(norms["stem"] ** 2 + norms["second"] ** 2)
    for layer in convolutions(model):
        gone = ~(layer.kernel.numpy() != 0).any((0, 1, 2))
        assert set(np.flatnonzero(gone)) == set(np.argsort(norms[layer.name])[:2]), layer.name
    assert set(callback.plan.keep) == ({"first"} if coupling == "free" else {"first", "stem"})
    slim = kp.rebuild(model, callback.plan)
    assert slim.get_layer("second").filters == (8 if coupling == "free" else 6)


def test_soft_filters_leave_what_is_frozen():
    model = compiled(residual())
    train(model, [SoftFilterPruning(keep=0.75, freeze=["stem", "second"])], epochs=1)
    zero = {layer.name: int((~(layer.kernel.numpy() != 0).any((0, 1, 2))).sum()) for layer in convolutions(model)}
    assert zero == {"stem": 0, "first": 2, "second": 0}


def residual() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = trunk = keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = keras.layers.ReLU()(keras.layers.Conv2D(8, 3, padding="same", name="first")(x))
    x = keras.layers.Conv2D(8, 3, padding="same", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add(name="sum")([trunk, x]))
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))


def convolutions(model: keras.Model) -> list:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def test_the_defaults_of_increg_are_the_authors():
    callback = IncReg(keep=0.5)
    growth = callback.growth
    assert (growth.step, growth.every, growth.ceiling) == (2.5e-4, 1, 2.5)
    assert growth.ceiling == pytest.approx(1e4 * growth.step) and callback.length == 9_999 + growth.settle


def test_penalties_follow_the_ranks():
    model = compiled(small())
    callback = IncReg(keep=0.5, schedule={"step": 0.1, "every": 4, "ceiling": 0.25, "settle": 5})
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
