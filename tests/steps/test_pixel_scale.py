"""Pixels at another scale than the model was trained on are noticed, and only they."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from support.digits import pixels, solved_classifier

import kerasprune as kp
from kerasprune.data.examples import Examples
from kerasprune.steps.judge import Judge
from kerasprune.steps.objective import of_model
from kerasprune.steps.pixel_scale import better_scale, is_sure, warn_of_scale


@pytest.mark.thorough
def test_prune_warns_of_pixels_at_another_scale():
    model, (x, y) = solved_classifier(), pixels()
    right = [np.mean(model.predict_on_batch(each).argmax(1) == y) for each in (x.astype("float32"), x / 255.0)]
    assert right[0] < 0.6 and right[1] > 0.9
    with pytest.warns(UserWarning, match=rf"for {right[1]:.0%} with x / 255, which it was likely trained on"):
        kp.prune(model, keep=0.5, data=(x, y), batch=1800, reconstruct=False, verify=False)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_pixels_with_labels_are_judged_whatever_their_type(dtype):
    """Class 1 is brighter than 0.5 in the mean."""
    x = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 1))
    y = (x.mean((1, 2, 3)) > 127.5).astype(int)
    inputs = keras.Input((4, 4, 1))
    mean = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, mean)
    model.set_weights([np.array([[0.0, 100.0]]), np.array([50.0, 0.0])])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    with pytest.warns(UserWarning, match="with x / 255, which it was likely trained on"):
        assert warn_of_scale(Judge(model, of_model(model), Examples((x.astype(dtype), y), batch=200)))


@pytest.mark.thorough
def test_others_are_taken_as_they_are():
    model, (x, y) = solved_classifier(), pixels()
    for data in ((x / 255.0, y), (x, (y + 5) % 10), x / 255.0, (x[:4], y[:4])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_scale(Judge(model, of_model(model), Examples(data, batch=1800)))


def test_where_there_are_no_pixels_none_is_better():
    assert better_scale(0.2, (), float) is None and better_scale(0.95, ["0..1"], float) is None


@pytest.mark.parametrize(("number", "sure"), [(26, False), (27, True)])
def test_three_standard_errors_of_the_difference(number, sure):
    """0.8 and 0.4: the variance is 2 · 0.6 · 0.4 / n, so 0.16 ≥ 9 · 0.48 / n from n = 27 on."""
    assert is_sure(0.8, 0.4, number) == sure


def _pruned(model, pixels, path):
    kp.prune(model, keep=0.5, data=pixels, reconstruct=False, verbose=0)


def _calibrated(model, pixels, path):
    kp.export.tflite(model, path / "a.tflite", quantize="int8", data=pixels, force=True)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("use", [_pruned, _calibrated])
def test_pixels_without_labels_are_judged_by_the_statistics_of_the_model(use, dtype, own, recwarn, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3))
    inputs = x = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(x) if own else x
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(x)))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    model = kp.recalibrate(model, (pixels if own else pixels / 255).astype("float32"))
    use(model, pixels.astype(dtype), tmp_path)
    found = [str(each.message) for each in recwarn if "BatchNorm layers" in str(each.message)]
    assert len(found) == (0 if own else 1) and all("x / 255" in text for text in found)


@pytest.mark.parametrize(("first", "most", "said"), [([], 255, 1), ([keras.layers.Rescaling(0.1)], 255, 0), ([], 1, 0)])
def test_raw_pixels_without_labels_and_statistics_are_said_to_be_taken_as_they_are(first, most, said, recwarn):
    body = keras.layers.Conv2D(8, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((8, 8, 3)), *first, *body])
    pixels = np.random.default_rng(0).integers(0, most + 1, (40, 8, 8, 3)).astype("uint8")
    _pruned(model, pixels, None)
    assert len([each for each in recwarn if "taken as they are" in str(each.message)]) == said


def test_two_scales_that_the_statistics_suit_alike_are_both_named(recwarn):
    """Half-way between the means of the pixels at both."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3)).astype("uint8")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.BatchNormalization()])
    for units in (8, 3):
        model.add(keras.layers.Conv2D(units, 3))
    model.layers[0].set_weights([np.ones(3), np.zeros(3), np.full(3, 0.25), np.full(3, 0.2)])
    _pruned(model, pixels, None)
    assert len([each for each in recwarn if "x / 255 or x / 127.5 - 1" in str(each.message)]) == 1
