"""Outputs that are several quantities, or class numbers: what `kp.prune` and exports say of them."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp

X = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
SCALES = {2: (1000.0, 1.0), 5: (1.0, 1.0, 200.0, 1.0, 0.01)}
LOSSES = {
    "mean_squared_error": None,
    "mean_absolute_error": None,
    "huber": None,
    "log_cosh": None,
    "mean_squared_logarithmic_error": None,
    "poisson": None,
    "cosine_similarity": None,
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    None: None,
}
CLASSES = {"categorical_crossentropy"}


def _columns(scales: tuple[float, ...], activation: str | None, loss: str | None) -> keras.Model:
    """Returns a model whose largest column is made of channels that stay, and the others of those that go."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = layers.Dense(16, "relu", name="hidden", kernel_initializer="orthogonal")(inputs)
    model = keras.Model(inputs, layers.Dense(len(scales), activation, name="both")(hidden))
    weak, large = np.arange(16) >= 8, np.arange(len(scales)) == np.argmax(scales)
    model.get_layer("hidden").kernel.assign(model.get_layer("hidden").kernel * np.where(weak, 0.3, 1.0))
    kernel = model.get_layer("both").get_weights()[0] * (weak[:, None] != large)
    model.get_layer("both").set_weights([kernel * (1.0 if activation else np.array(scales)), np.zeros(len(scales))])
    if loss:
        model.compile("sgd", loss)
    return model


def _cases() -> list:
    pairs = [(loss, number) for number in SCALES for loss in LOSSES]
    first = {("mean_squared_error", 2), ("categorical_crossentropy", 2)}
    return [pytest.param(*pair, marks=() if pair in first else pytest.mark.thorough) for pair in pairs]


@pytest.mark.parametrize(("loss", "number"), _cases())
def test_the_worst_column_is_named_unless_they_are_classes(loss, number):
    model = _columns(SCALES[number], LOSSES[loss], loss)
    slim, _, report = kp.prune(model, keep=0.5, data=X, reconstruct=False, verbose=0)
    a, b = (each.predict(X, verbose=0) for each in (model, slim))
    wrong, spread = ((b - a) ** 2).sum(0), ((a - a.mean(0)) ** 2).sum(0)
    removed = report.steps[1]
    joint = wrong.sum() / spread.sum()
    if loss in CLASSES:
        assert removed.error == pytest.approx(joint, rel=1e-3) and "both[" not in str(removed)
        return
    errors = wrong / spread
    assert removed.error == pytest.approx(max(joint, np.minimum(errors, 1).mean()), rel=1e-3)
    named = errors.max() > max(1.2 * removed.error, 0.1)
    assert (f"both[{errors.argmax()}]" in str(removed)) is bool(named)
    assert named or LOSSES[loss]  # a sigmoid gives all columns one range


def _detector(classes: int = 3) -> keras.Model:
    """Returns a network of boxes in pixels beside scores in one output."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    boxes = layers.Conv2D(4, 1, activation="sigmoid")(x) * 416.0
    wide = keras.initializers.RandomNormal(stddev=1.0)
    scores = layers.Conv2D(classes, 1, activation="sigmoid", kernel_initializer=wide)(x)
    both = layers.Concatenate()([boxes, scores])
    return keras.Model(inputs, layers.Reshape((4, 4 + classes), name="both")(both))


IMAGES = np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize("classes", [3, pytest.param(80, marks=pytest.mark.thorough)])
def test_columns_that_are_lost_in_integers_are_named(classes, tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.warns(UserWarning, match=r"lost.*output of its own"):
        report = kp.export.tflite(_detector(classes), tmp_path / "a.tflite", quantize="int8", data=IMAGES)
    assert report.error > 0.5 > 0.01 > report.outputs[0].error
    assert (f"both[4:{4 + classes}]" if classes > 20 else "both[") in str(report)


def test_outputs_of_their_own_keep_what_is_small(tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = _detector()
    apart = keras.Model(model.input, next(each for each in model.layers if isinstance(each, layers.Concatenate)).input)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = kp.export.tflite(apart, tmp_path / "a.tflite", quantize="int8", data=IMAGES)
    assert report.error < 0.1 and len(report.outputs) == 2


# ---- class numbers ------------------------------------------------------------------------------------------------


def _served() -> tuple[keras.Model, keras.Model]:
    """Returns a classifier, and the same with its classes as numbers."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    p = layers.Dense(4, "softmax", name="p")(layers.Dense(16, "relu", name="hidden")(inputs))
    numbers = {"best": ops.argmax(p, axis=-1), "two": ops.top_k(p, 2)[1], "likely": p > 0.25}
    return keras.Model(inputs, p), keras.Model(inputs, {"p": p, **numbers})


def test_class_numbers_change_no_error_and_no_best_step():
    found = [kp.prune(each, keep=0.5, data=X, verbose=0).report.steps for each in _served()]
    for one, other in zip(*found, strict=True):
        assert (one.error, one.balanced) == (pytest.approx(other.error), pytest.approx(other.balanced))
    assert "best: same class" in str(found[1][1]) and "likely: same class" in str(found[1][1])


def test_a_model_of_class_numbers_alone_is_judged_by_their_agreement():
    _, served = _served()
    alone = keras.Model(served.input, [served.output["best"], served.output["two"]])
    steps = kp.prune(alone, keep=0.5, data=X, reconstruct=False, verbose=0).report.steps
    assert steps[0].balanced == 1.0 and 0 < steps[1].balanced < 1 and steps[1].error > 0


def test_class_numbers_are_verified():
    _, served = _served()
    plan = kp.plan(served, keep=0.5)
    assert kp.verify(served, kp.rebuild(served, plan), plan, X, reload=False).passed


@pytest.mark.parametrize(
    "quantize", [None, *(pytest.param(q, marks=pytest.mark.thorough) for q in ("float16", "int8"))]
)
def test_class_numbers_are_exported(quantize, tmp_path):
    pytest.importorskip("ai_edge_litert")
    _, served = _served()
    more = {**served.output, "worst": ops.argmin(served.output["p"], axis=-1), "sign": ops.signbit(served.output["p"])}
    report = kp.export.tflite(keras.Model(served.input, more), tmp_path / "a.tflite", quantize=quantize, data=X)
    assert "ARG_MAX" in report.operators and all(each.agreement > 0.8 for each in report.outputs)
    assert report.max_error < 0.1  # of the probabilities


class _Bits(layers.Layer):
    def call(self, x):
        return ops.bitwise_and(ops.argmax(x, axis=-1), ops.ones((1,), "int32"))


def test_a_layer_without_operators_is_named(tmp_path):
    pytest.importorskip("ai_edge_litert")
    _, served = _served()
    model = keras.Model(served.input, _Bits(name="parity_bits")(served.output["p"]))
    with pytest.raises(kp.PruneError, match="BitwiseAnd at .*parity_bits"):
        kp.export.tflite(model, tmp_path / "a.tflite")
