"""The smallest allowed model: what is delivered, what is refused before training, and a search that was killed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerasprune.errors import PruneError
from kerasprune.steps.smallest import smallest

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(400, 4)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("int32")
OTHER = GENERATOR.normal(size=(400, 4)).astype("float32")
VALIDATION = OTHER, (OTHER[:, 0] * OTHER[:, 1] > 0).astype("int32")
HOW = {"epochs": 1, "validation": VALIDATION, "verbose": 0, "plan": {"round_to": 1}, "trials": 3}


@pytest.fixture(scope="module")
def classifier():
    """A trained classifier with far more channels than it needs."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(32, "relu", name="wide"), layers.Dense(2, "softmax")])
    model.compile(keras.optimizers.SGD(0.1, 0.9), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=40, verbose=0)
    return model


@pytest.mark.thorough
def test_what_is_delivered_is_the_smallest_of_those_whose_bound_is_allowed(classifier):
    before = [each.copy() for each in classifier.get_weights()]
    slim, plan, report, curve, file = smallest(classifier, (X, Y), 0.03, test=VALIDATION, **HOW)
    assert all(map(np.array_equal, before, classifier.get_weights())) and file is None
    best = curve.points[curve.chosen]
    allowed = [each for each in curve.points if each.bound <= 0.03]
    assert best.share == min(each.share for each in allowed) < 0.6
    dense, own = (each.evaluate(*VALIDATION, verbose=0, return_dict=True)["accuracy"] for each in (classifier, slim))
    assert best.value == pytest.approx(own) and best.drop == pytest.approx(dense - own, abs=1e-6)
    right, now = (each.predict(OTHER, verbose=0).argmax(1) == VALIDATION[1] for each in (classifier, slim))
    assert best.error == pytest.approx((right.astype(float) - now).std(ddof=1) / 20)
    assert slim.get_layer("wide").units == len(plan.keep["wide"])
    assert report.test["accuracy"] == pytest.approx((dense, own))
    assert "delivered" in str(report) and curve.at(macs=best.share) == pytest.approx(best.drop)


@pytest.mark.thorough
def test_a_search_that_was_killed_goes_on_to_the_same_answer(classifier, tmp_path):
    whole = smallest(classifier, (X, Y), 0.03, folder=tmp_path / "whole", **HOW)

    class Killed(keras.callbacks.Callback):
        fits = 0

        def on_train_begin(self, logs=None):
            self.fits += 1
            if self.fits > 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smallest(classifier, (X, Y), 0.03, folder=tmp_path / "cut", callbacks=[Killed()], **HOW)
    assert sorted(each.name for each in (tmp_path / "cut").glob("trial*.json")) == ["trial_1.json", "trial_1.plan.json"]
    again = smallest(classifier, (X, Y), 0.03, folder=tmp_path / "cut", **HOW)
    assert [(a.share, a.value, a.drop) for a in again.curve.points] == [
        (a.share, a.value, a.drop) for a in whole.curve.points
    ]
    assert all(map(np.array_equal, again.slim.get_weights(), whole.slim.get_weights()))
    with pytest.raises(PruneError, match="another search"):
        smallest(classifier, (X, Y), 0.02, folder=tmp_path / "cut", **HOW)


@pytest.mark.thorough
def test_a_training_that_is_far_beyond_ends_after_an_epoch(classifier):
    how = HOW | {"epochs": 3, "trials": 6, "optimizer": keras.optimizers.SGD(1e-6)}
    found = smallest(classifier, (X, Y), 0.2, **how)
    whole = [each for each in found.curve.points if not each.stopped]  # nothing is regained at such a rate
    assert whole[0] is found.curve.points[0] and whole[0].first == pytest.approx(whole[0].drop, abs=0.01)
    stopped = [each for each in found.curve.points if each.stopped]
    assert stopped and all(each.drop > 0.2 and each.note in str(found.report) for each in stopped)


@pytest.mark.thorough
def test_where_nothing_is_allowed_the_dense_model_is_returned(classifier):
    how = HOW | {"trials": 1, "optimizer": keras.optimizers.SGD(1e-6), "reconstruct": False}
    with pytest.warns(UserWarning, match="can hardly tell"):
        found = smallest(classifier, (X, Y), 1e-4, **how)
    assert found.curve.chosen is None and "no smaller model" in str(found.report)
    assert found.slim.count_params() == classifier.count_params()


@pytest.mark.thorough
def test_without_labels_the_agreement_or_the_error_is_bounded(classifier):
    for how in ({"agreement": 0.9}, {"max_error": 0.2}):
        found = smallest(classifier, X, **how, **HOW | {"validation": OTHER})
        best = found.curve.points[found.curve.chosen]
        a, b = (each.predict(OTHER, verbose=0).astype("float64") for each in (classifier, found.slim))
        error = ((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum()
        value = np.mean(a.argmax(1) == b.argmax(1)) if "agreement" in how else error
        assert best.value == pytest.approx(value, rel=1e-4) and best.bound <= (0.1 if "agreement" in how else 0.2)


@pytest.mark.thorough
def test_the_worst_of_several_outputs_decides_and_losses_drop_relatively():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = layers.Dense(24, "relu")(inputs)
    model = keras.Model(inputs, [layers.Dense(1, name="easy")(x), layers.Dense(1, name="hard")(x)])
    model.compile("adam", loss="mse", metrics=[["mae"], ["mae"]])
    targets = [X[:, :1], np.sin(3 * X[:, 1:2])]
    model.fit(X, targets, epochs=60, verbose=0)
    found = smallest(model, (X, targets), 0.3, **HOW | {"validation": (X, targets)})
    assert {each.figure for each in found.curve.points} <= {"easy_mae", "hard_mae"} and found.curve.relative
    alone = smallest(model, (X, targets), 0.3, metric="easy_mae", **HOW | {"validation": (X, targets)})
    assert {each.figure for each in alone.curve.points} == {"easy_mae"}


@pytest.mark.thorough
def test_a_function_of_the_model_is_the_metric(classifier):
    def balanced(model, validation):
        x, y = validation
        chosen = model.predict(x, verbose=0).argmax(1)
        return np.mean([np.mean(chosen[y == each] == each) for each in range(2)])

    found = smallest(classifier, (X, Y), 0.05, metric=balanced, **HOW | {"trials": 2})
    best = found.curve.points[found.curve.chosen]
    assert best.figure == "balanced" and best.value == pytest.approx(balanced(found.slim, VALIDATION))


@pytest.mark.thorough
def test_a_class_below_its_floor_is_refused_in_spite_of_the_metric(classifier):
    right = classifier.predict(OTHER, verbose=0).argmax(1) == VALIDATION[1]
    dense = right[VALIDATION[1] == 1].mean()
    found = smallest(classifier, (X, Y), 0.5, floor={"1": dense - 0.05}, **HOW)
    assert found.curve.chosen is not None and any("class 1" in each.note for each in found.curve.points)
    for each in found.curve.points:
        assert each.allowed == (not each.note)
    made = found.slim.predict(OTHER, verbose=0).argmax(1)[VALIDATION[1] == 1]
    error = made.std(ddof=1) / np.sqrt(len(made))
    assert made.mean() - 0.9945 * error >= dense - 0.05 - 1e-4


@pytest.mark.thorough
@pytest.mark.experiments
@pytest.mark.parametrize(("by", "allowed"), [("bytes", 0.05), ("memory", 0.6)])  # RAM hardly depends on its widths
def test_a_quantized_file_is_judged_and_returned(classifier, by, allowed):
    found = smallest(classifier, (X, Y), allowed, by=by, quantize="int8", **HOW)
    best = found.curve.points[found.curve.chosen]
    assert best.share < 1 and isinstance(found.file, bytes) and len(found.file) > 500


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"max_drop": 0}, "above 0"),
        ({"max_drop": None}, "one of max_drop, agreement, max_error"),
        ({"max_drop": 0.1, "agreement": 0.9}, "max_drop, agreement"),
        ({"max_drop": 0.1, "by": "flops"}, "by"),
        ({"max_drop": 0.1, "macs": 0.5}, "macs"),
        ({"max_drop": 0.1, "data": X, "validation": OTHER}, "labels"),
        ({"max_drop": 0.1, "data": None}, "data"),
        ({"max_drop": 0.1, "batch": 0}, "arguments for smallest:\n  - Expected batch"),
        ({"max_drop": 0.1, "metric": "f1"}, "one of accuracy, loss"),
        ({"max_drop": 0.1, "table": "phone.csv"}, "time"),
        ({"max_drop": 0.1, "confidence": 1.0}, "confidence"),
        ({"max_drop": 0.1, "floor": {"0": 2}}, "floor"),
        ({"max_drop": 0.1, "floor": {"0": 1.0, "1": 1.0}}, "reach every floor"),
        ({"max_drop": 0.1, "plan": {"keep": 0.5}}, "keep"),
    ],
)
def test_what_cannot_be_answered_is_told_before_any_training(classifier, given, wanted):
    with pytest.raises(PruneError, match=wanted):
        smallest(classifier, **{"data": (X, Y), **HOW, **given})


def test_a_dense_model_with_nan_and_one_that_cannot_be_pruned_are_refused(classifier):
    broken = keras.models.clone_model(classifier)
    broken.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    broken.layers[0].kernel.assign(np.full((4, 32), np.nan))
    with pytest.raises(PruneError, match="NaN"):
        smallest(broken, (X, Y), 0.1, **HOW)
    single = keras.Sequential([keras.Input((4,)), layers.Dense(2, "softmax")])
    single.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(PruneError, match="channel"):
        smallest(single, (X, Y), 0.1, **HOW)


@pytest.mark.parametrize("wrong", [{"quantize": "int7"}, {"drop_type": "rel"}, {"metric": keras.metrics.Accuracy()}])
def test_a_word_that_is_none_of_the_choices_is_named(classifier, wrong):
    with pytest.raises(PruneError, match="Invalid arguments for smallest"):
        smallest(classifier, (X, Y), 0.05, validation=VALIDATION, **wrong)


def test_validation_in_another_order_on_every_pass_is_said(classifier):
    tf = pytest.importorskip("tensorflow")
    shuffled = tf.data.Dataset.from_tensor_slices(VALIDATION).shuffle(400).batch(64)
    groups = np.arange(len(OTHER)) // 4
    with pytest.raises(PruneError, match="Leave .shuffle()"):
        smallest(classifier, (X, Y), 0.05, validation=shuffled, groups=groups, verbose=0)
    with pytest.warns(UserWarning, match="not the same on every pass"):
        smallest(classifier, (X, Y), 0.5, validation=shuffled, epochs=0, trials=1, verbose=0)


def test_a_drop_of_one_point_is_not_one(classifier):
    with pytest.raises(PruneError, match=r"give max_drop=0\.015"):
        smallest(classifier, (X, Y), 1.5, validation=VALIDATION, verbose=0)


def test_test_data_are_checked_before_anything_is_trained(classifier):
    for test in (OTHER, (OTHER[:, :2], VALIDATION[1])):
        with pytest.raises(PruneError):
            smallest(classifier, (X, Y), 0.05, validation=VALIDATION, test=test, epochs=1000, verbose=0)


def test_a_function_that_fails_is_said_to_be_one(classifier):
    def swapped(y, prediction):
        return (y == prediction.argmax(-1)).mean()

    with pytest.raises(PruneError, match=r"f\(model, \(x, y\)\)"):
        smallest(classifier, (X, Y), 0.05, validation=VALIDATION, metric=swapped, verbose=0)
