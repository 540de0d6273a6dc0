"""Models that leave sides free and crop, so that they take large inputs only, wherever something is counted or run."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.cli import app
from kerasprune.graph.sizes import GUESSES, shapes_at_size
from kerasprune.graph.trace import size_to_try
from kerasprune.planning.budgets.per_stage import stages
from kerasprune.surgery import graphs
from kerasprune.testing import random_inputs

RANDOM = np.random.default_rng(0)


def of_lengths() -> keras.Model:
    x = inputs = keras.Input((None, 4), name="sound")
    for _ in range(2):
        x = layers.Conv1D(16, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv1D(3, 1)(layers.Cropping1D(50)(x)))


def of_images() -> keras.Model:
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Conv2D(3, 1)(layers.Cropping2D(20)(x)))


def of_volumes() -> keras.Model:
    inputs = keras.Input((None, None, None, 1))
    x = layers.Conv3D(8, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Conv3D(2, 1)(layers.Cropping3D(17)(x)))


def of_two_inputs() -> keras.Model:
    inputs = keras.Input((None, 4)), keras.Input((None, 3))
    pooled = [
        layers.GlobalAveragePooling1D()(layers.Cropping1D(n)(layers.Conv1D(8, 3, padding="same", activation="relu")(x)))
        for n, x in zip((50, 20), inputs, strict=True)
    ]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(pooled)))


SIZES = {of_lengths: (300,), of_images: (60, 72), of_volumes: (40, 44, 48), of_two_inputs: ((300,), (70,))}


def sized(make):
    """Returns the model, a size that it takes, and data of that size."""
    model, sides = make(), SIZES[make]
    if len(model.inputs) == 1:
        return model, sides, RANDOM.normal(size=(4, *sides, model.inputs[0].shape[-1])).astype("float32")
    size = {layer.name: part for layer, part in zip(model.layers[:2], sides, strict=True)}
    pairs = zip(sides, model.inputs, strict=True)
    return model, size, tuple(RANDOM.normal(size=(4, *part, x.shape[-1])).astype("float32") for part, x in pairs)


def multiply_adds(model, data) -> int:
    """Counts by hand: positions of every convolution that the data give, times its kernel."""
    body, total = keras.Model(model.inputs, [layer.output for layer in model.layers if layer.weights]), 0
    outputs = keras.tree.flatten(body(data if len(model.inputs) == 1 else list(data)))
    for layer, output in zip([layer for layer in model.layers if layer.weights], outputs, strict=True):
        total += int(np.prod(layer.kernel.shape)) * int(np.prod(output.shape[1:-1]))
    return total


@pytest.mark.matrix
@pytest.mark.parametrize("make", SIZES)
def test_a_size_or_data_count(make):
    model, size, data = sized(make)
    graph = kp.trace(model, size=size)
    right = multiply_adds(model, data)
    assert kp.cost(model, size=size).macs == kp.cost(graph).macs == right
    plan = kp.plan(graph, macs=0.5, round_to=1)
    slim = kp.rebuild(model, plan)
    of_slim = multiply_adds(slim, data)
    for verdict in (kp.verify(graph, slim, plan, reload=False), kp.verify(model, slim, plan, data, reload=False)):
        assert verdict.passed and verdict.macs == (of_slim, of_slim)
    assert kp.verify(model, slim, plan, reload=False).passed  # at a size that it takes
    for how in ({"size": size}, {"data": data}, {"data": data, "plan": plan}):
        asked = {} if "plan" in how else {"macs": 0.5, "plan": {"round_to": 1}}
        found = kp.prune(model, **how, **asked, verbose=0)
        share = multiply_adds(found.slim, data) / right
        assert found.report.macs == pytest.approx(share, abs=1e-6)
        assert np.isfinite(found.report.verified)


def test_a_given_plan_is_traced_once_at_the_size_of_the_data(monkeypatch):
    model, _, data = sized(of_lengths)
    plan, traced, once = kp.plan(model, keep=0.5), [], graphs.trace
    monkeypatch.setattr(graphs, "trace", lambda given, **how: traced.append(given) or once(given, **how))
    kp.prune(model, plan=plan, data=data, verbose=0)
    assert sum(each is model for each in traced) == 1


@pytest.mark.parametrize("make", SIZES)
def test_parameters_need_no_size(make):
    model = make()
    found = kp.prune(model, params=0.5, plan={"round_to": 1}, verbose=0)
    assert found.slim.count_params() < model.count_params()
    assert any("size" in remark for remark in found.report.remarks)


@pytest.mark.matrix
@pytest.mark.parametrize("make", SIZES)
def test_the_remedy_for_a_missing_size_names_one_that_the_model_takes(make, tmp_path):
    model = make()
    for call in (
        lambda **size: kp.cost(model, **size),
        lambda **size: kp.plan(model, macs=0.5, **size),
        lambda **size: kp.prune(model, macs=0.5, verbose=0, **size),
        lambda **size: kp.export.tflite(model, tmp_path / "a.tflite", overwrite=True, **size),
    ):
        with pytest.raises(kp.PruneError, match="size=") as caught:
            call()
        number = int(str(caught.value).rpartition("size=")[2].partition(",")[0])
        assert call(size=number)


@pytest.mark.matrix
@pytest.mark.parametrize("make", SIZES)
def test_exports_and_criteria_run_at_a_size_that_the_model_takes(make, tmp_path):
    model, size, data = sized(make)
    assert kp.export.saved_model(model, tmp_path / "any").samples
    assert kp.export.saved_model(model, tmp_path / "given", size=size).max_error < 1e-3
    assert kp.export.saved_model(model, tmp_path / "data", data=data).samples == 4
    assert kp.export.tflite(model, tmp_path / "given.tflite", size=size).max_error < 1e-3
    assert kp.plan(kp.trace(model, size=size), "synflow", keep=0.5).keep
    assert kp.prune_at_init(model, "synflow", keep=0.5)
    assert kp.functional(model).count_params() == model.count_params()
    assert stages(kp.trace(model))
    batch = keras.tree.flatten(kp.synthesise(model, 4, method="noise", size=size))
    assert [x.shape for x in batch] == [x.shape for x in keras.tree.flatten(data)]


def test_both_files_are_counted_at_the_size_of_data_that_are_not_square(tmp_path):
    model, _, data = sized(of_images)
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    report = kp.export.beside(slim, model, tmp_path / "slim.tflite", data=data)
    assert report.gain.macs == (multiply_adds(model, data), multiply_adds(slim, data))


def test_a_model_that_takes_no_guess_asks_for_a_size():
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, layers.Conv1D(2, 1)(layers.Cropping1D(max(GUESSES))(layers.Conv1D(8, 1)(inputs))))
    with pytest.raises(kp.PruneError, match="size="):
        random_inputs(model)
    assert kp.prune(model, params=0.5, size=2 * max(GUESSES) + 9, verbose=0).slim


def test_an_open_axis_is_filled_beside_a_given_one():
    image, tokens = keras.Input((None, None, 3), name="image"), keras.Input((None, 4), name="tokens")
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(image), layers.GlobalAveragePooling1D()(tokens)])
    model = keras.Model([image, tokens], layers.Dense(2)(x))
    assert shapes_at_size(model, size_to_try(model, {"image": (24, 40)})) == [(24, 40, 3), (GUESSES[0], 4)]


def test_a_plan_of_a_layer_around_one_layer_counts_as_without_it():
    class Around(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(16, activation="relu")

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            return self.inner(x)

    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2)(Around()(inputs)))
    plan = kp.plan(model, keep=1.0)
    assert kp.cost(model).macs == kp.cost(model, plan).macs == 8 * 16 + 16 * 2


def test_lengths_of_a_file_are_explained(tmp_path):
    import tensorflow as tf

    def batches():
        yield from (RANDOM.normal(size=(2, n, 8)).astype("float32") for n in (11, 17))

    data = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec((None, None, 8)))
    inputs = keras.Input((None, 8), name="sound")
    model = keras.Model(inputs, layers.Dense(5)(inputs))
    with pytest.raises(kp.PruneError, match=r"(?s)one size.*size="):
        kp.export.tflite(model, tmp_path / "a.tflite", data=data)
    assert kp.export.tflite(model, tmp_path / "b.tflite", data=data.map(lambda x: x[:, :11])).samples == 4


@pytest.mark.parametrize(
    ("text", "size"), [("300", 300), ("60x72", [60, 72]), ("image=60x72, tokens=9", {"image": [60, 72], "tokens": 9})]
)
def test_the_command_reads_sizes(text, size):
    from kerasprune.cli.options import size_of

    assert size_of(text) == size


@pytest.mark.parametrize("text", ["a", "32x", "image=32,9", ""])
def test_the_command_refuses_what_is_no_size(text):
    from kerasprune.cli.options import size_of

    with pytest.raises(kp.PruneError, match="--size"):
        size_of(text)


@pytest.mark.thorough
@pytest.mark.parametrize("make", SIZES)
def test_commands_take_sizes(make, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    model, size, _ = sized(make)
    model.save("m.keras")
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.InputLayer)]
    text = "x".join(map(str, size)) if isinstance(size, tuple) else ",".join(
        f"{name}={part[0]}" for name, part in zip(names, SIZES[make], strict=True)
    )  # fmt: skip
    for words in (
        ["prune", "m.keras", "--params", 0.5, "--no-reconstruct", "--out", "a"],
        ["prune", "m.keras", "--macs", 0.5, "--no-reconstruct", "--size", text, "--export", "tflite", "--out", "b"],
        ["inspect", "m.keras", "--size", text],
        ["export", "m.keras", "--format", "saved_model", "--size", text, "--out", "c"],
        ["export", "m.keras", "--format", "tflite", "--size", text, "--out", "c.tflite"],
        ["latency", "m.keras", "--size", text, "--runs", 2],
    ):
        result = CliRunner().invoke(app, [*map(str, words)])
        assert result.exit_code == 0, (words, result.output, result.exception)
