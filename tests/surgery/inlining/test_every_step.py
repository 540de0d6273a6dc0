"""Models that `TimeDistributed` applies at every step: written out on all steps at once, exact, and prunable."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.surgery.inlining.plain import plain
from kerasprune.testing import randomise


def chain():
    frame = [layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(8, 3), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((9, 9, 3)), *frame], name="frame")


def normalised():
    frame = [layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), layers.Dense(6)]
    return keras.Sequential([keras.Input((9, 9, 3)), *frame], name="frame")


def branched():
    image = keras.Input((9, 9, 3))
    x = layers.Conv2D(8, 3, padding="same")(image)
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.Concatenate()([x + y, ops.relu(x)])
    return keras.Model(image, layers.Flatten()(layers.MaxPooling2D(3)(y)), name="frame")


@keras.saving.register_keras_serializable("every_step")
class Encoder(layers.Layer):
    """A composite without a rule."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.wide, self.narrow = layers.Dense(8, activation="relu"), layers.Dense(5)

    def call(self, x):
        return self.narrow(self.wide(ops.mean(x, axis=(1, 2))))

    def build(self, shape):
        self.wide.build((None, shape[-1]))
        self.narrow.build((None, 8))

    def compute_output_shape(self, shape):
        return (shape[0], 5)


def video(encoder, shape=(4, 9, 9, 3)):
    frames = keras.Input(shape)
    x = layers.TimeDistributed(encoder, name="steps")(frames)
    x = layers.LSTM(6, name="memory")(x) if len(shape) == 4 else layers.Flatten()(x)
    return randomise(keras.Model(frames, layers.Dense(3, name="logits")(x)))


CASES = {
    "chain": lambda: video(chain()),
    "any number of steps": lambda: video(chain(), (None, 9, 9, 3)),
    "branched": lambda: video(branched()),
    "composite": lambda: video(Encoder(name="frame")),
    "steps of steps": lambda: video(layers.TimeDistributed(chain(), name="inner"), (2, 3, 9, 9, 3)),
    "sequential": lambda: randomise(
        keras.Sequential([keras.Input((4, 9, 9, 3)), layers.TimeDistributed(chain()), layers.GRU(5), layers.Dense(2)])
    ),
}


@pytest.mark.matrix
@pytest.mark.parametrize("name", CASES)
def test_a_model_at_every_step_is_written_out_and_pruned(name):
    model = CASES[name]()
    written = plain(model)
    steps = [2 if size is None else size for size in model.inputs[0].shape[1:]]
    x = np.random.default_rng(0).normal(size=(3, *steps)).astype("float32")
    expected, found = (ops.convert_to_numpy(each(x)) for each in (model, written))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert written.count_params() == model.count_params()
    assert not any(isinstance(each, layers.TimeDistributed) for each in written.layers)
    plan = kp.plan(written, keep=0.5)
    slim = kp.rebuild(written, plan)
    assert slim.count_params() < 0.7 * model.count_params()
    assert kp.verify(written, slim, plan, x, reload=False).passed


def test_batch_statistics_over_all_steps_are_told():
    with pytest.warns(UserWarning, match="all steps at once, not one by one: 'steps'.*batch normalisation"):
        written = kp.functional(video(normalised()))
    assert any(name.startswith("steps_frame_conv2d") for name in kp.trace(written).prunable)


def test_one_that_is_given_a_mask_of_its_steps_stays_with_the_reason():
    frames = keras.Input((4, 6))
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(5)])
    x = layers.TimeDistributed(inner, name="steps")(layers.Masking()(frames))
    model = keras.Model(frames, layers.Dense(2)(layers.LSTM(4, name="memory")(x)))
    with pytest.warns(UserWarning, match="'steps'.*given a mask of its steps"):
        written = kp.functional(model)
    assert list(kp.trace(written, unknown="freeze").prunable) == ["memory"]
