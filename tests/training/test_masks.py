"""Single weights that are gone stay gone, momentum or not, and the model is given back as it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune import PruneError
from kerasprune.training.masks import apply_masks, hold_masks
from kerasprune.training.scope import rank


def dense() -> keras.Model:
    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.Dense(3, name="d")(inputs))


def test_masked_weights_stay_zero_while_the_others_move():
    model = dense()
    kernel = model.get_layer("d").kernel
    mask = np.arange(15).reshape(5, 3) % 2 == 0
    masks = {kernel.path: mask}
    apply_masks(model, masks)
    before = kernel.numpy()
    generator = np.random.default_rng(0)
    with hold_masks(model, masks):
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        model.fit(generator.normal(size=(32, 5)), generator.normal(size=(32, 3)), epochs=3, verbose=0)
    after = kernel.numpy()
    assert (after[~mask] == 0).all()
    assert not np.signbit(after[~mask]).any()  # no negative zeros
    assert (after[mask] != before[mask]).all()
    assert kernel.constraint is None


@pytest.mark.experiments
def test_counts_of_what_is_left():
    from kerasprune.recipes.stages.evaluate import counted

    model = dense()
    kernel, bias = model.get_layer("d").kernel, model.get_layer("d").bias
    kernel.assign(np.ones((5, 3)))
    bias.assign(np.ones(3))
    masks = {kernel.path: np.arange(15).reshape(5, 3) < 6}
    apply_masks(model, masks)
    assert counted(model, masks) == {"nonzero": 6 + 3, "sparsity": 9 / 15}
    assert counted(model, None) == {}


def test_masks_of_another_model_are_refused():
    model = dense()
    path = model.get_layer("d").kernel.path
    with pytest.raises(PruneError) as caught:
        apply_masks(model, {"other/kernel": np.ones(2, bool), path: np.ones((2, 2), bool)})
    assert "no variable is called 'other/kernel'" in str(caught.value)
    assert "a mask of shape (2, 2)" in str(caught.value)


@pytest.mark.parametrize("shape", [(1,), (200,), (30, 4)])
def test_ranks_descend_and_equal_scores_keep_their_order(shape):
    scores = np.random.default_rng(0).integers(0, 20, shape).astype("float32")
    expected = np.argsort(np.argsort(-scores, axis=-1, kind="stable"), axis=-1)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(rank(keras.ops.convert_to_tensor(scores))), expected)
