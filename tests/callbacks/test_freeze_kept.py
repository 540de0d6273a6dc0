"""Frozen filters stand still to the bit, all others move as they would."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from support.convnet import compiled, small, train

import kerasprune as kp
from kerasprune.callbacks import FreezeKept
from kerasprune.testing.toys import toy_data, toy_model

OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.02, momentum=0.9, weight_decay=1e-2),
    "adam with averages": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
    "accumulation": lambda: keras.optimizers.SGD(0.02, momentum=0.9, gradient_accumulation_steps=2),
}
IMAGES, LABELS = toy_data(24)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.thorough
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_best_filters_stand_still_and_the_others_move(optimizer):
    model = toy_model()
    best = {name: np.argsort(-scores)[: int(0.3 * len(scores))] for name, scores in _norms(model).items()}
    before = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables}
    model.compile(OPTIMIZERS[optimizer](), LOSS)
    callback = FreezeKept(0.3)
    history = model.fit(IMAGES, LABELS, 6, epochs=2, verbose=0, callbacks=[callback])
    makers = {"stem_conv": "stem_conv", "outer_conv": "stem_conv", "inner_conv": "inner_conv"}
    makers |= {"wide_conv": "wide_conv", "last_conv": "last_conv"}
    assert set(callback.frozen) == {model.get_layer(name).kernel.path for name in (*makers, "lanes")}
    for layer, group in makers.items():
        kernel = model.get_layer(layer).kernel
        moved = (keras.ops.convert_to_numpy(kernel) != before[kernel.path]).any(axis=(0, 1, 2))
        assert set(np.flatnonzero(~moved)) == set(best[group])
    lanes = model.get_layer("lanes").kernel
    moved = (keras.ops.convert_to_numpy(lanes) != before[lanes.path]).any(axis=(0, 1, 3))
    assert set(np.flatnonzero(~moved)) == set(best["wide_conv"])
    gamma = model.get_layer("inner_norm").gamma
    assert (keras.ops.convert_to_numpy(gamma) != before[gamma.path]).all()
    assert 0.2 < history.history["frozen"][-1] < 0.3


def _norms(model) -> dict[str, np.ndarray]:
    kernel = {name: model.get_layer(name).kernel for name in ("stem_conv", "inner_conv", "outer_conv", "wide_conv")}
    kernel |= {name: model.get_layer(name).kernel for name in ("last_conv", "lanes")}
    norm = {name: np.abs(keras.ops.convert_to_numpy(each)).sum(axis=(0, 1)) for name, each in kernel.items()}
    sums = {name: each.sum(axis=1 if name == "lanes" else 0) for name, each in norm.items()}
    return {
        "stem_conv": sums["stem_conv"] + sums["outer_conv"],
        "inner_conv": sums["inner_conv"],
        "wide_conv": sums["wide_conv"] + sums["lanes"],
        "last_conv": sums["last_conv"],
    }


@pytest.mark.thorough
def test_a_filter_at_rest_does_not_disturb_the_others():
    """One step of plain descent: what is not frozen moves as without the callback."""
    one, two = toy_model(), toy_model()
    for model, callbacks in ((one, []), (two, [FreezeKept(0.3)])):
        model.compile(keras.optimizers.SGD(0.1), LOSS)
        model.fit(IMAGES, LABELS, 24, verbose=0, shuffle=False, callbacks=callbacks)
    frozen = callbacks[0].frozen
    for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
        free = ~frozen.get(b.path, np.zeros(b.shape, bool))
        a, b = map(keras.ops.convert_to_numpy, (a, b))
        np.testing.assert_allclose(a[free], b[free], rtol=1e-5, atol=1e-7)


def test_a_later_fit_holds_the_same_filters_and_biases_stand_too():
    model, callback = compiled(small()), FreezeKept(0.5)
    train(model, [callback], epochs=1)
    frozen = callback.frozen
    held = {v.path: keras.ops.convert_to_numpy(v)[frozen[v.path]] for v in model.variables if v.path in frozen}
    assert any(path.endswith("bias") for path in held)
    train(model, [callback], epochs=1)
    for variable in model.variables:
        if variable.path in frozen:
            np.testing.assert_array_equal(callback.frozen[variable.path], frozen[variable.path])
            now = keras.ops.convert_to_numpy(variable)[frozen[variable.path]]
            np.testing.assert_array_equal(now, held[variable.path])


def test_filters_of_high_rank_are_frozen_in_a_slim_model():
    model = toy_model()
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    ranks = kp.criteria.get("hrank").score(kp.trace(slim), [IMAGES])["inner_conv"]
    slim.compile("sgd", LOSS)
    callback = FreezeKept(0.2, criterion="hrank", data=[IMAGES])
    slim.fit(IMAGES, LABELS, 24, verbose=0, callbacks=[callback])
    line = callback.frozen[slim.get_layer("inner_conv").kernel.path].any(axis=(0, 1, 2))
    assert set(np.flatnonzero(line)) == set(np.argsort(-ranks, kind="stable")[: int(0.2 * len(ranks))])


def test_what_cannot_be_frozen_is_said():
    with pytest.raises(kp.PruneError, match="Received: fraction=1"):
        FreezeKept(1)
    model = toy_model()
    model.compile("sgd", LOSS)
    for arguments, message in (
        ({"fraction": 0.01}, "Expected filters to freeze. Received: fraction=0.01"),
        ({"criterion": "hrank"}, "HRank, which needs data"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            model.fit(IMAGES, LABELS, verbose=0, callbacks=[FreezeKept(**arguments)])

    class Assigning(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kernel = self.model.get_layer("inner_conv").kernel
            kernel.assign(0.9 * kernel)

    with (
        pytest.warns(UserWarning, match="Frozen filters of inner_conv/kernel have moved"),
        pytest.raises(kp.PruneError, match="have moved"),
    ):
        model.fit(IMAGES, LABELS, verbose=0, callbacks=[FreezeKept(0.3), Assigning()])
