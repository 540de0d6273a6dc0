"""The whole way in one call: on arrays and batches, with labels and without."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from keras import layers

import kerasprune as kp
from kerasprune.surgery.clone import clone


def trained():
    """A classifier of three classes by the largest of three sums, and examples of it."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    y = x.reshape(-1, 3, 2).sum(-1).argmax(-1)
    inputs = keras.Input((6,))
    hidden = layers.Dense(32, activation="relu", name="hidden")(inputs)
    hidden = layers.Dense(24, activation="relu", name="second")(hidden)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="classes")(hidden))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=6, verbose=0)
    return model, x, y


@pytest.fixture(scope="module")
def start():
    return trained()


@pytest.mark.thorough
def test_what_each_step_gains_is_reported(start):
    model, x, y = start
    before, rate = model.get_weights(), float(model.optimizer.learning_rate)
    slim, plan, report = kp.prune(
        model, 0.3, (x, y), epochs=3, optimizer=keras.optimizers.Adam(0.01), seed=1, validation=(x, y)
    )
    assert [step.name for step in report.steps] == ["dense", "removed", "reconstructed", "fine-tuned"]
    dense, removed, _, tuned = report.steps
    assert dense.error == 0 and removed.metrics["accuracy"] < tuned.metrics["accuracy"]
    assert tuned.metrics["accuracy"] == pytest.approx(np.mean(slim.predict(x, verbose=0).argmax(-1) == y), abs=1e-6)
    assert report.macs == pytest.approx(0.3, abs=0.03) and f"{report.params:.3f}" in str(report)
    assert report.params == slim.count_params() / model.count_params()
    assert len(plan.keep["hidden"]) == slim.get_layer("hidden").units < 32
    assert all(map(np.array_equal, before, model.get_weights())) and float(model.optimizer.learning_rate) == rate
    assert slim.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(tuned.metrics["accuracy"])


@pytest.mark.whole
def test_inputs_alone_are_enough(start):
    model, x, _ = start
    found = kp.prune(model, data=x, epochs=3, keep=0.4, optimizer="adam")
    errors = [step.error for step in found.report.steps]
    assert errors[3] < errors[1] and not found.report.steps[3].metrics
    assert len(found.plan.keep["hidden"]) == 12  # 0.4 of 32, in place of macs
    cut = kp.prune(model, params=0.5)  # no data at all
    assert [step.error for step in cut.report.steps] == [None, None]
    assert cut.report.params == pytest.approx(0.5, abs=0.05)


def test_a_reconstruction_that_harms_is_not_taken(start, monkeypatch):
    model, x, _ = start

    def harmed(slim, *args, **kwargs):
        worse = keras.models.clone_model(slim)
        worse.set_weights([-3 * w for w in slim.get_weights()])
        return worse, []

    monkeypatch.setattr(importlib.import_module("kerasprune.steps.repair"), "reconstruct_cut", harmed)
    with pytest.warns(UserWarning, match="away from those of the dense model"):
        found = kp.prune(model, data=x)
    assert [step.name for step in found.report.steps] == ["dense", "removed"]
    folded = kp.rebuild(model, found.plan).get_weights()
    assert all(map(np.array_equal, folded, found.slim.get_weights()))


class Halves(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    @property
    def num_batches(self):
        return 2

    def __getitem__(self, index):
        part = slice(index * 128, index * 128 + 128)
        return self.x[part], self.y[part]


def test_a_cut_that_loses_nothing_is_not_solved_for(start, recwarn):
    """As after training with masks: what goes is zero already."""
    model, x, _ = start
    model = clone(model)[0]
    for name in ("hidden", "second"):
        layer = model.get_layer(name)
        layer.set_weights([w * (np.arange(w.shape[-1]) % 2) for w in layer.get_weights()])
    found = kp.prune(model, data=x, keep=0.5)
    assert [step.name for step in found.report.steps][1:] == ["removed", "reconstructed"]
    assert not [each for each in recwarn if "Reconstruction" in str(each.message)]
    np.testing.assert_allclose(found.slim.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.thorough
def test_batches_of_any_kind(start):
    import tensorflow as tf

    model, x, y = start
    sets = [tf.data.Dataset.from_tensor_slices((x, y)).batch(64), Halves(x, y)]
    for data in sets:
        slim, _, report = kp.prune(model, data=data, epochs=1, distil=False, reconstruct=False, validation=(x, y))
        assert [step.name for step in report.steps] == ["dense", "removed", "fine-tuned"]
        assert "accuracy" in report.steps[-1].metrics and slim.count_params() < model.count_params()


def test_models_are_compared_on_the_same_examples_though_the_data_shuffle(start):
    model, x, _ = start
    shuffled = tf.data.Dataset.from_tensor_slices((x,)).batch(8).shuffle(32, seed=1)
    found = kp.prune(model, keep=1.0, data=shuffled, reconstruct=False, verify=False)
    assert found.report.steps[1].error < 1e-6


@pytest.mark.parametrize(
    "batches, held", [(False, "25 of 256 examples"), pytest.param(True, "1 of 8 batches", marks=pytest.mark.thorough)]
)
def test_the_size_of_what_is_set_aside_is_said(start, batches, held):
    model, x, y = start
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(32) if batches else (x, y)
    report = kp.prune(model, data=data, epochs=1, reconstruct=False, distil=False, verify=False, verbose=0).report
    assert f"measured on a tenth of the data ({held}), which no step has seen" in str(report)


def test_labels_that_do_not_fit_are_named_before_anything_is_done(start):
    model, x, y = start
    for data in ((x, y + 1), tf.data.Dataset.from_tensor_slices((x, y + 1)).batch(64), Halves(x, y + 1)):
        with pytest.raises(kp.PruneError, match="from 0 to 2 .*labels such as 3. Subtract 1"):
            kp.prune(model, data=data, epochs=1)
        with pytest.raises(kp.PruneError, match="from 0 to 2"):  # what is reported needs them too
            kp.prune(model, data=x, validation=data)
    with pytest.raises(kp.PruneError, match="loss='categorical_crossentropy'"):
        kp.prune(model, data=(x, np.eye(3)[y]))
    assert kp.prune(model, data=(x, y + 1), loss=_spread).report.steps


@pytest.mark.thorough
def test_tables_of_pandas_are_arrays(start):
    model, x, y = start
    table, column = pandas.DataFrame(x), pandas.Series(y)
    alike = [
        kp.prune(model, data=data, criterion="taylor_fo", epochs=1, deliver="last")
        for data in ((x, y), (table, column))
    ]
    steps = [[(step.name, step.error) for step in found.report.steps[:3]] for found in alike]
    assert steps[0] == steps[1] and alike[0].plan.keep == alike[1].plan.keep
    assert len(alike[1].report.steps) == 4 and alike[1].report.steps[3].metrics
    assert kp.prune(model, data=table).report.steps[2].error == kp.prune(model, data=x).report.steps[2].error


def test_the_columns_of_a_table_by_name():
    made = {name: keras.Input((1,), name=name) for name in ("age", "weight")}
    hidden = layers.Dense(16, "relu")(layers.Concatenate()(list(made.values())))
    model = keras.Model(made, layers.Dense(1)(hidden))
    table = pandas.DataFrame({"age": np.arange(40.0), "weight": np.arange(40.0)[::-1]})
    columns = {name: table[[name]] for name in table}
    assert kp.prune(model, data=columns).report.steps[2].error < 0.5


def test_lists_of_numbers_are_refused(start):
    model, x, y = start
    for data in ((x.tolist(), y), (x, y.tolist()), {"a": x.tolist()}):
        with pytest.raises(kp.PruneError, match=r"Expected arrays. Received: lists of Python numbers.*asarray"):
            kp.prune(model, data=data, epochs=1)


def test_an_optimizer_that_keras_does_not_know_is_named_before_anything_is_done(start):
    model, x, y = start
    for optimizer in ("sdg", 0.1):
        with pytest.raises(kp.PruneError, match="an optimizer that Keras knows. Received: optimizer="):
            kp.prune(model, data=(x, y), epochs=1, optimizer=optimizer)
    used = keras.optimizers.Adam()
    used.build(model.trainable_variables)
    with pytest.raises(kp.PruneError, match="Expected an unused optimizer. Received: optimizer, of class Adam"):
        kp.prune(model, data=(x, y), epochs=1, optimizer=used)


def test_what_is_no_callback_is_named_before_anything_is_done(start):
    model, x, y = start
    given = [keras.callbacks.EarlyStopping, print, [keras.callbacks.TerminateOnNaN()]]
    with pytest.raises(kp.PruneError, match=r"(?s)Call the class: EarlyStopping.*built-in function print") as error:
        kp.prune(model, data=(x, y), epochs=1, callbacks=given)
    assert str(error.value).count("Expected Keras callbacks") == 2


@pytest.mark.thorough
def test_a_training_step_of_the_users_own_is_not_taken_and_that_is_said(start, recwarn):
    class Mine(keras.Model):
        def train_step(self, data):
            raise AssertionError

    model, x, y = start
    mine = Mine(model.inputs, model.outputs)
    mine.compile("adam", "sparse_categorical_crossentropy")
    kp.prune(mine, data=(x, y))
    assert not [each for each in recwarn if "train_step" in str(each.message)]
    with pytest.warns(UserWarning, match="Mine.train_step is not used for fine-tuning"):
        assert len(kp.prune(mine, data=(x, y), epochs=1).report.steps) == 4


def _spread(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_pred), axis=-1)


def test_the_side_of_images_is_that_of_the_data():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    images = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype("float32")
    found = kp.prune(model, 0.5, images)
    assert found.report.macs == kp.cost(found.slim, size=12).macs / kp.cost(model, size=12).macs <= 0.51
    with pytest.raises(kp.PruneError, match="size="):
        kp.prune(model, 0.5)


@pytest.mark.thorough
def test_inputs_by_name():
    made = {"left": keras.Input((4,), name="left"), "right": keras.Input((3,), name="right")}
    x = layers.Dense(8, activation="relu", name="both")(layers.Concatenate()(list(made.values())))
    model = keras.Model(made, layers.Dense(1, name="amount")(x))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x = {"left": generator.normal(size=(32, 4)), "right": generator.normal(size=(32, 3))}
    labelled, alone = (kp.prune(model, 0.5, data, epochs=1) for data in ((x, np.ones((32, 1))), x))
    assert "loss" in labelled.report.steps[-1].metrics and not alone.report.steps[-1].metrics
    with pytest.raises(kp.PruneError, match="Concatenate its batches"):
        kp.prune(model, 0.5, [(x, np.ones((32, 1)))])


class Drawn(layers.Layer):
    """`m + exp(v/2)·ε`, drawn whenever it is called: the bottleneck of a variational autoencoder."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, variance = inputs
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seeds)
        self.add_loss(-0.5 * keras.ops.mean(1 + variance - mean**2 - keras.ops.exp(variance)))
        return mean + keras.ops.exp(0.5 * variance) * noise


@pytest.mark.thorough
def test_a_layer_that_cannot_be_written_out_is_kept_whole():
    inputs = keras.Input((12,))
    x = layers.Dense(16, activation="relu", name="encoder")(inputs)
    code = Drawn(name="drawn")([layers.Dense(4, name="mean")(x), layers.Dense(4, name="variance")(x)])
    x = layers.Dense(16, activation="relu", name="decoder")(code)
    model = keras.Model(inputs, layers.Dense(12, name="picture")(x))
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(64, 12)).astype("float32")
    with pytest.warns(UserWarning, match="kept whole.*'drawn'"):
        slim, plan, report = kp.prune(model, 0.5, (x, x), epochs=1)
    assert set(plan.keep) == {"encoder", "decoder"} and slim.get_layer("mean").units == 4
    assert report.macs == pytest.approx(0.5, abs=0.05) and slim.losses


def test_what_is_missing_is_said(start):
    model, x, y = start
    with pytest.raises(kp.PruneError, match="data=None"):
        kp.prune(model, epochs=1)
    with pytest.raises(kp.PruneError, match="distil=False"):
        kp.prune(model, data=x, epochs=1, distil=False)
    with pytest.raises(kp.PruneError, match="model='m.keras'. Read a file with keras.models.load_model"):
        kp.prune("m.keras")
    with pytest.raises(kp.PruneError, match="read several times"):
        kp.prune(model, data=iter([x]))
    endless = tf.data.Dataset.from_tensor_slices((x, y)).batch(32).repeat()
    with pytest.raises(kp.PruneError, match=r"repeats forever. Leave .repeat\(\) out"):
        kp.prune(model, data=endless, epochs=1)
    with pytest.raises(kp.PruneError, match="repeats forever"):
        kp.prune(model, data=(x, y), validation=endless)
    with pytest.raises(kp.PruneError, match="is not compiled"):
        kp.prune(kp.rebuild(model, kp.Plan({})), data=(x, y), epochs=1)
    with pytest.raises(kp.PruneError, match="epochs=-1"):
        kp.prune(model, epochs=-1)


def test_layers_that_cannot_be_solved_are_a_remark_of_the_report(recwarn):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4))
    x = keras.layers.LSTM(8, name="memory")(keras.layers.Dense(8, name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(x))
    data = np.random.default_rng(0).normal(size=(40, 6, 4)).astype("float32")
    report = kp.prune(model, keep=0.5, data=data, verbose=0).report
    assert report.remarks[-1] == "not reconstructed, and left as they are: 'memory' of class LSTM"
    assert str(report).endswith(report.remarks[-1])
    assert not [each for each in recwarn if "reconstructed" in str(each.message)]


def _of_tokens():
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Dense(16, "relu")(keras.layers.Embedding(20, 8)(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x)))


def test_a_free_length_is_that_of_the_data():
    tokens = np.random.default_rng(0).integers(0, 20, (60, 9))
    model = _of_tokens()
    found = kp.prune(model, macs=0.5, data=tokens, verbose=0)
    counted = [kp.cost(each, size=9).macs for each in (found.slim, model)]
    assert found.report.macs == pytest.approx(counted[0] / counted[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": np.arange(60)}, r"data=\(x, y\). Received: an array for epochs"),
        ({"epochs": 1, "validation": 0.2}, "a tenth of the data that is held out. Received: validation=0.2"),
    ],
)
def test_habits_of_fit_are_named(given, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.prune(_of_tokens(), 0.5, np.zeros((60, 9), int), **given)


@pytest.mark.parametrize("callbacks", [None, keras.callbacks.TerminateOnNaN()], ids=["none", "one"])
def test_callbacks_in_the_forms_of_fit(callbacks):
    tokens = np.random.default_rng(0).integers(0, 20, (60, 9))
    report = kp.prune(_of_tokens(), 0.5, tokens, 1, callbacks=callbacks, verify=False, verbose=0).report
    assert report.steps[-1].name == "fine-tuned"


@pytest.mark.parametrize("wrong", [20, -1])
def test_tokens_outside_of_the_table_are_refused(wrong):
    tokens = np.random.default_rng(0).integers(0, 20, (60, 9))
    tokens[50, 3] = wrong
    with pytest.raises(kp.PruneError, match="from 0 to 19 for the input 'tokens'"):
        kp.prune(_of_tokens(), macs=0.5, data=tokens, verbose=0)


def _positions(tokens):
    return keras.layers.Embedding(9, 8)(keras.ops.cumsum(keras.ops.cast(tokens > 0, "int32"), axis=1) - 1)


COMPUTED = {
    "lookup": lambda x: keras.layers.IntegerLookup(vocabulary=list(range(100, 200)))(x),
    "hashing": lambda x: keras.layers.Hashing(20)(x),
    "bins": lambda x: keras.layers.Discretization(bin_boundaries=[120.0, 150.0])(x),
    "remainder": lambda x: x % 20,
}


@pytest.mark.parametrize("kind", [*COMPUTED, "positions"])
def test_what_is_computed_from_inputs_may_be_looked_up_in_a_smaller_table(kind):
    inputs = keras.Input((9,), dtype="int32")
    if kind == "positions":
        x = keras.layers.Embedding(200, 8)(inputs) + _positions(inputs)
    else:
        x = keras.layers.Embedding(102, 8)(COMPUTED[kind](inputs))
    x = keras.layers.Dense(16, "relu")(keras.layers.GlobalAveragePooling1D()(x))
    tokens = np.random.default_rng(0).integers(100, 200, (60, 9))
    slim, _, report = kp.prune(keras.Model(inputs, keras.layers.Dense(3)(x)), macs=0.5, data=tokens, verbose=0)
    assert report.steps[-1].name == "reconstructed" and slim.output_shape == (None, 3)


def test_figures_of_the_examples_that_were_solved_on_are_named_so():
    tokens = np.random.default_rng(0).integers(0, 20, (60, 9))
    remark = "the model was made with"
    assert remark in str(kp.prune(_of_tokens(), macs=0.5, data=tokens[:40], verbose=0).report)
    assert remark not in str(
        kp.prune(_of_tokens(), macs=0.5, data=tokens[:40], validation=tokens[40:], verbose=0).report
    )


def test_a_model_that_takes_no_random_inputs_is_compared_on_the_data():
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(words - 1000))
    model = keras.Model({"words": words}, layers.Dense(2)(layers.Dense(16, activation="relu", name="hidden")(x)))
    data = {"words": np.random.default_rng(0).integers(1000, 1050, (20, 5))}
    slim, plan, report = kp.prune(model, keep=0.5, data=data, reconstruct=False, verbose=0)
    assert report.verified < 1e-5 and len(plan.keep["hidden"]) == 8
    assert slim.predict(data, verbose=0).shape == (20, 2)
    with pytest.raises(kp.PruneError, match="Give data to compare on"):
        kp.prune(model, keep=0.5, reconstruct=False, verbose=0)


def test_examples_that_are_sorted_by_class_are_judged_as_those_in_another_order():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(1200, 8)).astype("float32")
    y = x[:, :4].argmax(1)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(64, "relu"), layers.Dense(4, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=8, verbose=0)
    order = np.argsort(y)
    reports = [
        kp.prune(model, 0.3, (x, y), validation=validation, verbose=0).report
        for validation in ((x, y), (x[order], y[order]))
    ]
    one, other = ({step.name: step for step in report.steps} for report in reports)
    assert [*one] == [*other] and "reconstructed" in one
    assert 1 / 3 < other["reconstructed"].error / one["reconstructed"].error < 3  # of one class alone it is ten times
