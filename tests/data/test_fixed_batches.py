"""Models whose inputs fix the number of examples, as stateful layers need: everything runs in batches of it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.data.batches import batches, example_batches
from kerasprune.data.examples import Examples
from kerasprune.data.held_out import held_out
from kerasprune.surgery.comparison import outputs_of

X, Y = np.random.default_rng(0).normal(size=(45, 6, 4)).astype("float32"), np.arange(45) % 3


def network(batch: int | None, stateful: bool) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(batch_shape=(batch, 6, 4))
    x = layers.GRU(8, stateful=stateful, return_sequences=True)(inputs)
    x = layers.BatchNormalization()(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GRU(8, stateful=stateful)(x)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


BATCHES = [(8, False), (8, True), (1, True)]


@pytest.mark.parametrize(("batch", "stateful"), BATCHES)
def test_batches_have_the_number_of_the_model(batch, stateful):
    model, whole = network(batch, stateful), 45 - 45 % batch
    for data in (X, (X, Y), [(X[:20], Y[:20]), (X[20:], Y[20:])]):
        for samples in (1, 45):
            found = example_batches(model, data, samples)
            assert {len(one) for (one,) in found} == {batch}
    assert (
        {each.size for each in batches((X, Y), model)} == {each.size for each in batches((X, Y), model, 3)} == {batch}
    )
    examples = Examples((X, Y), fixed=batch)
    assert len(examples.labels) == whole and not any(len(each.labels) % batch for each in held_out(examples))


@pytest.mark.thorough
@pytest.mark.parametrize(("batch", "stateful"), BATCHES)
def test_a_fixed_batch_is_pruned_with_data(batch, stateful):
    model = network(batch, stateful)
    slim, plan, report = kp.prune(model, keep=0.5, data=(X, Y), epochs=1, verbose=0)
    assert slim.input_shape == model.input_shape and report.verified < 1e-5
    assert all(np.isfinite(step.metrics["loss"]) for step in report.steps)
    assert kp.verify(model, kp.rebuild(model, plan), plan, X[:batch], reload=False).passed


def test_a_stateful_model_is_pruned_in_its_batches_without_a_word_of_them():
    found = kp.prune(network(8, True), keep=0.5, data=X, verbose=0)
    assert found.report.verified < 1e-5 and found.report.steps[-1].error < 1


@pytest.mark.matrix
@pytest.mark.parametrize("criterion", ["apoz", "snip", "taylor_fo", "hrank", "block_fisher"])
def test_criteria_with_data_take_a_fixed_batch(criterion):
    model = network(8, stateful=True)
    if criterion == "block_fisher":
        with pytest.raises(kp.PruneError, match="single examples"):
            kp.plan(model, criterion, keep=0.5, data=(X, Y))
        model = network(1, stateful=True)
    assert kp.plan(model, criterion, keep=0.5, data=(X, Y)).keep


@pytest.mark.matrix
@pytest.mark.parametrize(("batch", "stateful"), BATCHES)
def test_without_data_a_fixed_batch_is_only_cut(batch, stateful):
    found = kp.prune(network(batch, stateful), keep=0.5, verbose=0)
    assert [step.name for step in found.report.steps][:2] == ["dense", "removed"] and found.report.verified < 1e-5
    if batch > 1:
        with pytest.raises(kp.PruneError, match="fix"):
            kp.synthesise(network(batch, stateful), 8)


def test_too_few_examples_for_a_batch_are_counted():
    with pytest.raises(kp.PruneError, match=r"at least 8 .*Received: 5"):
        kp.prune(network(8, True), keep=0.5, data=(X[:5], Y[:5]), verbose=0)


@pytest.mark.parametrize("batch", [1, 8])
def test_a_stateful_model_is_exported_when_built_without_its_state(batch, tmp_path):
    model, new = network(batch, True), network(None, False)
    with pytest.raises(kp.PruneError, match=r"keras.Input\(\(6, 4\)\), its layers without stateful=True"):
        kp.export.saved_model(model, tmp_path / "a")
    new.set_weights(model.get_weights())
    assert kp.export.saved_model(new, tmp_path / "a").max_error < 1e-5
    assert np.allclose(outputs_of(new, X[:batch])[0], outputs_of(model, X[:batch])[0], atol=1e-5)


# ---- a number that nobody fixed -----------------------------------------------------------------------------

IMAGES = np.random.default_rng(1).normal(size=(44, 8, 8, 3)).astype("float32")


def noted(batch: int, saved: bool = False, folder=None) -> keras.Model:
    """Returns a Sequential without an input, which notes the number of its first batch."""
    keras.utils.set_random_seed(0)
    hidden = [layers.Conv2D(8, 3, name="conv"), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    model = keras.Sequential([*hidden, layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model(IMAGES[:batch])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.inputs[0].shape[0] == batch
    if saved:
        model.save(folder / "model.keras")
        model = keras.models.load_model(folder / "model.keras")
    return model


def slim_of(model):
    return kp.rebuild(model, kp.plan(model, keep=0.5))


ENTRANCES = {
    "prune": lambda m, folder: kp.prune(m, keep=0.5, data=IMAGES, verbose=0).slim,
    "finetune": lambda m, folder: kp.prune(m, keep=0.5, data=(IMAGES, Y[:44]), epochs=1, verbose=0).slim,
    "draw": lambda m, folder: kp.prune(m, keep=0.5, verbose=0).slim,
    "synthesise": lambda m, folder: (kp.synthesise(m, 5, method="noise"), slim_of(m))[1],
    "reconstruct": lambda m, folder: kp.reconstruct(slim_of(m), m, kp.plan(m, keep=0.5), IMAGES),
    "recalibrate": lambda m, folder: kp.recalibrate(m, IMAGES),
    "taylor": lambda m, folder: kp.rebuild(m, kp.plan(m, "taylor_fo", keep=0.5, data=(IMAGES, Y[:44]))),
    "hrank": lambda m, folder: kp.rebuild(m, kp.plan(m, "hrank", keep=0.5, data=IMAGES)),
    "fold": lambda m, folder: kp.fold(m, kp.plan(m, keep=0.5))[0],
    "gated": lambda m, folder: kp.surgery.gated(m),
    "equalise": lambda m, folder: kp.quantization.equalise(m),
    "biases": lambda m, folder: kp.quantization.correct_biases(m, IMAGES),
    "aware": lambda m, folder: kp.quantization_aware(slim_of(m)) and slim_of(m),
    "distil": lambda m, folder: kp.distil(slim_of(m), m) and slim_of(m),
    "saved_model": lambda m, folder: kp.export.saved_model(m, folder / "saved") and slim_of(m),
    "tflite": lambda m, folder: kp.export.tflite(m, folder / "file.tflite", data=IMAGES) and slim_of(m),
    "int8": lambda m, folder: kp.export.tflite(m, folder / "f.tflite", data=IMAGES, quantize="int8") and slim_of(m),
}
CASES = [(name, batch, saved) for name in ENTRANCES for batch, saved in ((32, False), (32, True), (1, False))]
FIRST = [("finetune", 32, False), ("reconstruct", 32, True)]


@pytest.mark.parametrize(
    ("name", "batch", "saved"),
    [pytest.param(*case, marks=() if case in FIRST else pytest.mark.thorough) for case in CASES],
)
def test_a_number_that_keras_noted_is_not_fixed(name, batch, saved, tmp_path):
    if name in ("saved_model", "tflite", "int8"):
        pytest.importorskip("ai_edge_litert")
    found = ENTRANCES[name](noted(batch, saved, tmp_path), tmp_path)
    assert found.inputs[0].shape[0] is None and np.shape(found(IMAGES[:5]))[0] == 5


def test_a_number_that_was_given_stays_fixed(tmp_path):
    given = keras.Sequential([keras.Input((6, 4), batch_size=8), layers.GRU(8), layers.Dense(3)])
    assert slim_of(given).inputs[0].shape[0] == 8
    remembering = keras.Sequential([layers.GRU(8, stateful=True), layers.Dense(3)])
    remembering(X[:8])
    assert slim_of(remembering).inputs[0].shape[0] == 8
