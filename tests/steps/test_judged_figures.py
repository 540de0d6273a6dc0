"""Figures as sums over examples, against `evaluate` and against metrics of samples."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from kerasprune.data.examples import Examples
from kerasprune.errors import PruneError
from kerasprune.steps.judged_figures import AGREEMENT, ERROR, NearnessFigure, OwnFigure, metric_figures, run_of
from kerasprune.steps.objective import of_model

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(70, 6)).astype("float32")
WEIGHTS = GENERATOR.uniform(0.5, 2, 70).astype("float32")


def classifier(metrics=("accuracy",), **compiling):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=list(metrics), **compiling)
    return model, (X, GENERATOR.integers(0, 3, 70))


def binary(metric):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=[metric])
    return model, (X, GENERATOR.integers(0, 2, (70, 1)).astype("float32"))


def regressor(metric):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile(loss="mse", metrics=[metric])
    return model, (X, GENERATOR.normal(size=(70, 2)).astype("float32"))


def segmenter():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, padding="same", activation="softmax")])
    metric = keras.metrics.MeanIoU(4, sparse_y_pred=False, name="iou")
    model.compile(loss="sparse_categorical_crossentropy", metrics=[metric])
    return model, (GENERATOR.normal(size=(40, 8, 8, 1)), GENERATOR.integers(0, 4, (40, 8, 8)))


def masked():
    inputs = keras.Input((9,), dtype="int32")
    x = layers.LSTM(8, return_sequences=True)(layers.Embedding(20, 4, mask_zero=True)(inputs))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    words = GENERATOR.integers(1, 20, (70, 9)) * (np.arange(9) < GENERATOR.integers(2, 10, (70, 1)))
    return model, (words.astype("int32"), GENERATOR.integers(0, 3, (70, 9)))


def two_headed():
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu")(inputs)
    outputs = {"kind": layers.Dense(3, "softmax", name="kind")(x), "size": layers.Dense(1, name="size")(x)}
    model = keras.Model(inputs, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    model.compile(loss=losses, metrics={"kind": ["accuracy"], "size": ["mae", "mse"]})
    return model, (X, {"kind": GENERATOR.integers(0, 3, 70), "size": GENERATOR.normal(size=(70, 1))})


MODELS = {
    "accuracy": classifier,
    "the loss": lambda: classifier(()),
    "weighted": lambda: classifier((), weighted_metrics=["accuracy"]),
    "of top two": lambda: classifier([keras.metrics.SparseTopKCategoricalAccuracy(2)]),
    "AUC": lambda: binary(keras.metrics.AUC(name="auc")),
    "F1": lambda: binary(keras.metrics.F1Score(average="micro", threshold=0.5)),
    "recall": lambda: binary("recall"),
    "error": lambda: regressor("mae"),
    "root": lambda: regressor(keras.metrics.RootMeanSquaredError()),
    "variance explained": lambda: regressor(keras.metrics.R2Score()),
    "of pixels": segmenter,
    "masked": masked,
    "two outputs": two_headed,
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_sums_give_what_evaluate_gives_and_the_metric_of_a_sample(kind):
    keras.utils.set_random_seed(0)
    model, data = MODELS[kind]()
    data = (*data, WEIGHTS) if kind == "weighted" else data
    found = model.evaluate(*data[:2], sample_weight=(data[2:] or [None])[0], verbose=0, return_dict=True)
    figures = metric_figures(model, of_model(model), Examples(data), None)
    assert len(figures) == (2 if kind == "two outputs" else 1)
    for figure in figures:
        tally = figure.tally(run_of(model))
        assert figure.name in found and tally.value == pytest.approx(found[figure.name], rel=1e-4)
        counts = np.random.default_rng(1).multinomial(len(tally), np.full(len(tally), 1 / len(tally)))
        rows = np.repeat(np.arange(len(tally)), counts)
        sample = keras.tree.map_structure(lambda x, rows=rows: np.asarray(x)[rows], data)
        again = model.evaluate(*sample[:2], sample_weight=(sample[2:] or [None])[0], verbose=0, return_dict=True)
        assert tally.of(counts) == pytest.approx(again[figure.name], rel=1e-3, abs=1e-5)


def test_a_function_is_that_of_the_model_and_of_samples():
    model, data = classifier()

    def worst_class(model, validation):
        x, y = validation
        chosen = model.predict(x, verbose=0).argmax(-1)
        return min(np.mean(chosen[y == each] == each) for each in range(3))

    tally = OwnFigure(worst_class, model, of_model(model), Examples(data)).tally(run_of(model))
    assert tally.value == worst_class(model, data)
    rows = np.arange(70) % 35
    counts = np.bincount(rows, minlength=70)
    assert tally.of(counts) == worst_class(model, (data[0][rows], data[1][rows]))


@pytest.mark.parametrize("name", [AGREEMENT, ERROR])
def test_nearness_without_labels_is_counted_by_example(name):
    model, (x, _) = classifier()
    other, _ = classifier()
    tally = NearnessFigure(name, model, of_model(model), Examples(x)).tally(run_of(other))
    a, b = (each.predict(x, verbose=0).astype("float64") for each in (model, other))
    error = ((a - b) ** 2).sum() / ((a - a.mean(0)) ** 2).sum()
    assert tally.value == pytest.approx(error if name == ERROR else np.mean(a.argmax(1) == b.argmax(1)), rel=1e-5)
    assert len(tally) == 70


def test_a_metric_that_is_not_there_and_one_without_a_direction_are_refused():
    model, data = classifier([keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0], name="first")])
    for name, wanted in (("acuracy", "one of first, loss"), ("first", "more is better")):
        with pytest.raises(PruneError, match=wanted):
            metric_figures(model, of_model(model), Examples(data), name)
    (figure,) = metric_figures(model, of_model(model), Examples(data), None)
    assert figure.name == "loss" and not figure.higher
