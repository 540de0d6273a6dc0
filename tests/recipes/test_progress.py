"""Callbacks that only look: norms against plain sums, rows against what Keras logs, a terminal given back."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune.progress import duration
from kerasprune.recipes import loader
from kerasprune.recipes import progress as watching
from kerasprune.recipes.progress import Ahead


def chain() -> keras.Model:
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(3, 3, name="first")(inputs)
    x = keras.layers.Conv2D(4, 3, name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))


def trained(model, callbacks, steps=5, epochs=1):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    generator = np.random.default_rng(0)
    images = generator.normal(size=(2 * steps, 6, 6, 2))
    return model.fit(images, np.zeros(2 * steps), batch_size=2, epochs=epochs, verbose=0, callbacks=callbacks)


def test_filter_norm_is_the_sum_of_absolute_weights_of_the_filter():
    model = chain()
    graph = kp.trace(model)
    kernel = model.get_layer("second").kernel.numpy()
    expected = [np.abs(kernel[..., filter_]).sum() for filter_ in range(4)]
    np.testing.assert_allclose(watching.channel_norms(graph)["second"], expected, rtol=1e-6)


def test_tied_filters_are_summed_over_all_layers_of_the_group():
    inputs = keras.Input((6, 6, 2))
    left = keras.layers.Conv2D(3, 1, name="left")(inputs)
    right = keras.layers.Conv2D(3, 1, name="right")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([left, right]))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    kernels = [model.get_layer(name).kernel.numpy() for name in ("left", "right")]
    expected = sum(np.abs(kernel).sum(axis=(0, 1, 2)) for kernel in kernels)
    np.testing.assert_allclose(watching.channel_norms(kp.trace(model))["left"], expected, rtol=1e-6)


def test_what_is_pushed_is_summed_a_filter_a_reader_or_a_scale():
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(3, 1, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="reader")(x))
    model.get_layer("norm").gamma.assign([1.0, -2.0, 0.5])
    reader = np.abs(model.get_layer("reader").kernel.numpy()).sum(axis=(0, 1, 3))
    for pushed, expected in (("scale", [1, 2, 0.5]), ("channel", reader)):
        np.testing.assert_allclose(watching.channel_norms(kp.trace(model), pushed)["first"], expected, rtol=1e-6)


def test_norms_are_taken_at_the_start_every_few_steps_and_at_the_end():
    model = chain()
    before = watching.channel_norms(kp.trace(model))["first"]
    norms = watching.FilterNorms(kp.trace(model), every=2)
    trained(model, [norms])
    arrays = norms.arrays()
    assert arrays["steps"].tolist() == [0, 2, 4, 5]
    assert arrays["first"].shape == (4, 3)
    np.testing.assert_allclose(arrays["first"][0], before)
    np.testing.assert_allclose(arrays["first"][-1], watching.channel_norms(kp.trace(model))["first"])
    assert not np.allclose(arrays["first"][0], arrays["first"][-1])


def test_metrics_hand_on_what_keras_logs():
    seen = []
    history = trained(chain(), [watching.Metrics(seen.append)], epochs=2)
    rows = seen[-1]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["loss"] for row in rows] == pytest.approx(history.history["loss"])
    assert all(row["learning_rate"] == pytest.approx(0.01) for row in rows)


def test_fit_stops_after_the_steps_asked_for():
    model = chain()
    trained(model, [watching.StopAfter(3)], steps=5, epochs=4)
    assert int(model.optimizer.iterations.numpy()) == 3


def test_progress_is_a_line_per_epoch_in_a_file():
    text = io.StringIO()
    trained(chain(), [watching.Terminal(Console(file=text), "train", 2)], epochs=2)
    assert [line.split(":")[0] for line in text.getvalue().splitlines()] == ["train 1/2", "train 2/2"]


def test_how_long_the_run_still_trains(monkeypatch):
    text, now = io.StringIO(), [0.0]
    monkeypatch.setattr(watching.time, "perf_counter", lambda: now[0])
    terminal = watching.Terminal(Console(file=text, width=200), "train", 4, Ahead(epochs=6, whole=False))
    terminal.on_train_begin()
    for epoch, seconds in ((1, 500.0), (2, 60.0), (3, 60.0)):  # the fit goes on with its second epoch, and compiles
        terminal.on_epoch_begin(epoch)
        now[0] += seconds
        terminal.on_epoch_end(epoch, {"loss": 1.0})
    lines = text.getvalue().splitlines()
    assert lines[0] == f"train 2/4: loss 1; run: at least {duration((2 + 6) * 500)} of training left"
    assert lines[2] == f"train 4/4: loss 1; run: at least {duration((0 + 6) * 60)} of training left"


def test_what_a_run_trains_after_a_stage():
    recipe = loader.load("digits-greg1")
    longer = loader.load("digits-greg1", ["prune.epochs=7"])
    at_once = loader.load("digits-greg1", ["prune={plan: {keep: 0.5}}", "finetune=null"])
    found = [Ahead.of(one, "train") for one in (recipe, longer, at_once)]
    assert found == [Ahead(12, False), Ahead(19, True), Ahead(0, True)]
    assert Ahead.of(loader.load("glyphs-3d"), "prune") == Ahead(3, False)
    assert Ahead(0, True).estimate(0, 1.0) == ""


def test_terminal_is_given_back_after_an_interruption():
    terminal = watching.Terminal(Console(file=io.StringIO(), force_terminal=True), "train", 1)

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(chain(), [terminal, Interrupt()])
    assert terminal._bar.live.is_started
    terminal.close()
    assert not terminal._bar.live.is_started
