"""A model that takes texts, and looks the words up inside, goes all the way."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.cli import app
from kerasprune.data.batches import example_batches
from kerasprune.testing import compare

WORDS = ["good", "fine", "bad", "poor", "film", "plot", "cast", "ça va"]
TOPICS = ["war", "love", "crime"]


def network() -> keras.Model:
    """Reviews and their topics, as texts, beside a number."""
    keras.utils.set_random_seed(0)
    review, topic = keras.Input((), dtype="string", name="review"), keras.Input((1,), dtype="string", name="topic")
    length = keras.Input((1,), name="length")
    looked_up = layers.TextVectorization(output_sequence_length=8, vocabulary=WORDS, standardize=None)(review)
    x = layers.GlobalAveragePooling1D()(layers.Embedding(16, 12, name="words")(looked_up))
    y = layers.StringLookup(vocabulary=TOPICS, output_mode="one_hot")(topic)
    x = layers.Concatenate()([x, y, length])
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    return keras.Model({"review": review, "topic": topic, "length": length}, layers.Dense(2, name="classes")(x))


def examples(number: int = 120) -> tuple[dict[str, np.ndarray], np.ndarray]:
    generator = np.random.default_rng(0)
    words, topics = generator.integers(0, 7, (number, 5)), generator.integers(0, 3, number)
    inputs = {
        "review": np.array([" ".join(WORDS[word] for word in each) for each in words], object),
        "topic": np.array([TOPICS[each] for each in topics], object)[:, None],
        "length": generator.normal(size=(number, 1)).astype("float32"),
    }
    return inputs, (words < 2).sum(axis=1) > (words == 2).sum(axis=1) + (words == 3).sum(axis=1)


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    model, (x, y) = network(), examples()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss, metrics=["accuracy"])
    tensors = {name: keras.ops.convert_to_tensor(array) for name, array in x.items()}  # Keras takes no (n, 1) of texts
    model.fit(tensors, y.astype("int32"), epochs=10, verbose=0)
    return model


@pytest.mark.thorough
def test_random_texts_are_of_words_that_the_model_knows(trained):
    batch = kp.testing.random_inputs(trained, batch=20)
    words = [word for text in batch["review"] for word in text.replace("ça va", "ça_va").split(" ")]
    assert len(words) == 20 * 8 and set(words) == {word.replace(" ", "_") for word in WORDS}
    assert batch["topic"].shape == (20, 1) and set(batch["topic"].flat) == set(TOPICS)
    assert batch["length"].dtype == np.float32


def test_entries_of_other_tables():
    numbers, letters, hashed = (keras.Input((6,), dtype=d) for d in ("int64", "string", "string"))
    spelt = layers.TextVectorization(split="character", vocabulary=["a", "b"])(letters[:, :1])
    parts = [layers.IntegerLookup(vocabulary=[7, 1000])(numbers), layers.Hashing(5)(hashed)]
    drawn = kp.testing.random_inputs(keras.Model([numbers, letters, hashed], [*parts, spelt]), batch=9)
    assert set(drawn[0].flat) == {7, 1000} and drawn[0].dtype == np.int64
    assert all(len(text) == 8 and set(text) <= {"a", "b"} for text in drawn[1].flat)
    assert len(set(drawn[2].flat)) == 10  # digits, where there is no table


@pytest.mark.parametrize("kind", [object, "U", "S"])
def test_arrays_of_texts_of_every_kind_are_taken(trained, kind):
    x, _ = examples()
    x = x | {"review": np.char.encode(x["review"].astype("U")) if kind == "S" else x["review"].astype(kind)}
    (batch,) = example_batches(trained, x, 100)
    assert [array.dtype for array in batch] == [np.float32, object, object]
    outputs = trained(dict(zip(sorted(x), batch, strict=True)))
    assert np.allclose(outputs, trained(examples()[0])[:100], atol=1e-6)


def test_what_is_no_text_or_no_number_is_refused(trained):
    x, _ = examples()
    with pytest.raises(kp.PruneError, match="'length'. Received: dtype=object(.|\n)*texts for the input 'topic'"):
        example_batches(trained, x | {"topic": np.zeros((120, 1), int), "length": x["topic"]}, 100)
    mixed = x | {"review": np.array([None, *x["review"][1:]], object)}
    with pytest.raises(kp.PruneError, match="Expected texts for the input 'review'. Received: dtype=object"):
        example_batches(trained, mixed, 100)


@pytest.mark.thorough
def test_the_whole_way(trained):
    x, y = examples()
    slim, plan, report = kp.prune(trained, 0.4, (x, y.astype("int32")), epochs=2)
    assert [step.name for step in report.steps] == ["dense", "removed", "reconstructed", "fine-tuned"]
    assert report.steps[2].error < 0.5 * report.steps[1].error and report.steps[3].metrics["accuracy"] > 0.9
    assert compare(kp.mask(trained, plan), kp.rebuild(trained, plan, absorb=False), x).error < 1e-5
    scored = kp.plan(trained, "taylor_fo", macs=0.4, data=(x, y.astype("int32")))
    assert set(scored.keep) == {"hidden", "words"}
    measured = kp.plan(trained, budget={"name": "sensitivity", "measurements": 4}, macs=0.4, data=x)
    assert kp.cost(trained, measured).macs <= kp.cost(trained, plan).macs * 1.05


def adapted() -> keras.Model:
    """A model whose vocabulary is in no config, for it was found in data."""
    keras.utils.set_random_seed(0)
    look_up = layers.TextVectorization(output_sequence_length=8, standardize=None)
    look_up.adapt(["good film", "poor cast and plot"])
    text = keras.Input((), dtype="string")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(16, 12, name="words")(look_up(text)))
    x = layers.BatchNormalization(name="norm")(layers.Dense(24, name="hidden")(x))
    return keras.Model(text, layers.Dense(2)(layers.ReLU()(x)))


COPIES = {
    "functional": kp.functional,
    "gated": kp.surgery.gated,
    "mask": lambda model: kp.mask(model, kp.plan(model, macs=0.5)),
    "rebuild": lambda model: kp.rebuild(model, kp.plan(model, macs=0.5)),
    "reorder": lambda model: kp.surgery.reorder(model, {"hidden": np.arange(24)}),
    "reinitialise": kp.surgery.reinitialise,
    "reconfigure": lambda model: kp.papers.reconfigure(model, params=0.7, macs=0.7),
    "recalibrate": lambda model: kp.recalibrate(model, np.array(["good film", "cast and plot"] * 8, object)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_every_copy_has_the_vocabulary_that_was_found(copy):
    model = adapted()
    words, other = (
        [layer.get_vocabulary() for layer in each.layers if isinstance(layer, layers.TextVectorization)]
        for each in (model, COPIES[copy](model))
    )
    assert words == other and "plot" in words[0]


@pytest.mark.thorough
def test_a_feature_space():
    rows = {"age": np.linspace(-1, 1, 60), "job": np.array(["cook", "poet"] * 30), "size": np.array([3, 5, 9] * 20)}
    kinds = keras.utils.FeatureSpace
    space = kinds(
        {
            "age": kinds.float_normalized(),
            "job": kinds.string_categorical(num_oov_indices=0),
            "size": kinds.integer_categorical(num_oov_indices=0),
        },
        crosses=[kinds.cross(("job", "size"), crossing_dim=8)],
    )
    space.adapt(tf.data.Dataset.from_tensor_slices(rows).batch(10))
    hidden = layers.Dense(16, activation="relu", name="hidden")(space.get_encoded_features())
    model = keras.Model(space.get_inputs(), layers.Dense(1)(hidden))
    model.compile("adam", "mse")
    columns = {name: values[:, None] for name, values in rows.items()}
    data = tf.data.Dataset.from_tensor_slices((columns, np.ones((60, 1)))).batch(10)
    slim, plan, report = kp.prune(model, 0.5, data, epochs=1)
    assert len(plan.keep["hidden"]) == slim.get_layer("hidden").units == 8
    assert kp.verify(model, kp.rebuild(model, plan), plan).passed
    assert report.steps[2].error < report.steps[1].error


@pytest.mark.thorough
def test_it_is_verified_and_loads_alone(trained):
    plan = kp.plan(trained, macs=0.5)
    verdict = kp.verify(trained, kp.rebuild(trained, plan), plan)
    assert verdict.passed and verdict.reload_error < 1e-6


@pytest.mark.thorough
def test_exports(trained, tmp_path):
    report = kp.export.saved_model(trained, tmp_path / "saved", data=examples()[0])
    assert report.agreement == 1 and report.inputs == "data"
    with pytest.raises(kp.PruneError, match="which takes texts: review, topic. Export a SavedModel"):
        kp.export.tflite(trained, tmp_path / "model.tflite", data=examples()[0])
    numbers = keras.Input((1,), dtype="int64")
    table = layers.IntegerLookup(vocabulary=[3, 5], output_mode="one_hot")(numbers)
    with pytest.raises(kp.PruneError, match="a table in which numbers are looked up"):
        kp.export.tflite(keras.Model(numbers, layers.Dense(2)(table)), tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.thorough
def test_the_command_line_takes_an_npz_of_texts(trained, tmp_path):
    model, data, out = tmp_path / "model.keras", tmp_path / "data.npz", tmp_path / "out"
    trained.save(model)
    x, y = examples()
    plain = {name: array.astype("U") if array.dtype == object else array for name, array in x.items()}
    np.savez(data, y=y.astype("int32"), **plain)
    command = ["prune", str(model), "--macs", "0.5", "--data", str(data), "--finetune-epochs", "1", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert keras.models.load_model(out / "slim.keras").count_params() < trained.count_params()
    np.savez(data, y=np.array(["yes", "no"] * 60), **plain)
    done = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "other")])
    assert done.exit_code and "Number the classes from 0" in done.output
    np.savez(data, y=y.astype("int32"), **x)
    done = CliRunner().invoke(app, [*command[:-1], str(tmp_path / "other")])
    assert done.exit_code and "holds objects" in " ".join(done.output.split())
