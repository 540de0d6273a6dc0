"""A check that one public function makes, all make: of finite weights and inputs, and of labels that a loss takes."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp

X = np.random.default_rng(0).random((64, 8, 8, 3)).astype("float32")
Y = np.arange(64) % 4
KEEP = {"first": range(4), "second": range(4)}


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="first")(image)
    x = layers.Conv2D(8, 3, use_bias=False, name="second")(x)
    x = layers.ReLU(name="act")(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(image, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D(name="pool")(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def slim_of(model: keras.Model) -> tuple[keras.Model, kp.Plan]:
    plan = kp.Plan(KEEP, coupling="tied")
    return kp.rebuild(network(), plan), plan


def beside(model: keras.Model, seed: int) -> keras.Model:
    """Returns the network of another seed, with the loss of a model."""
    other = network(seed)
    other.compile("sgd", model.loss, metrics=["accuracy"])
    return other


def rooms(name: str):
    return getattr(kp.analysis, name)


def fitting(model: keras.Model) -> np.ndarray:
    """Returns labels that the loss of a model takes."""
    return Y if "sparse" in model.loss.name else np.eye(4)[Y]


NO_DATA = "takes no data"
NOT_COMPUTED = "computes nothing with weights: NaN stays where it is"
ENTRANCES = {  # what is called with a model, inputs, and an empty folder
    "prune": lambda m, x, d: kp.prune(m, 0.5, x),
    "prune, labels": lambda m, x, d, y=Y: kp.prune(m, 0.5, (x, y)),
    "prune, validation": lambda m, x, d, y=Y: kp.prune(m, 0.5, (X, fitting(m)), validation=(x, y)),
    "plan": lambda m, x, d, y=Y: kp.plan(m, "taylor_fo", keep=0.5, data=(x, y)),
    "plan, sensitivity": lambda m, x, d: kp.plan(m, "apoz", keep=0.5, data=x),
    "prune_at_init": lambda m, x, d, y=Y: kp.prune_at_init(m, "snip", keep=0.5, data=(x, y)),
    "sensitivity": lambda m, x, d, y=Y: kp.sensitivity(m, (x, y)),
    "reconstruct": lambda m, x, d: kp.reconstruct(slim_of(m)[0], m, slim_of(m)[1], x),
    "recalibrate": lambda m, x, d: kp.recalibrate(m, x),
    "distil": lambda m, x, d: kp.distil(network(), m),
    "distil, slim": lambda m, x, d: kp.distil(m, network()),
    "synthesise": lambda m, x, d: kp.synthesise(m, samples=8, steps=2),
    "quantization_aware": lambda m, x, d: kp.quantization_aware(m),
    "equalise": lambda m, x, d: kp.quantization.equalise(m),
    "correct_biases": lambda m, x, d: kp.quantization.correct_biases(m, x),
    "tflite": lambda m, x, d: kp.export.tflite(m, d / "a.tflite", data=x),
    "tflite, int8": lambda m, x, d: kp.export.tflite(m, d / "a.tflite", quantize="int8", data=x),
    "saved_model": lambda m, x, d: kp.export.saved_model(m, d / "a", data=x),
    "beside": lambda m, x, d, y=Y: kp.export.beside(slim_of(m)[0], m, d / "a.tflite", data=(x, y)),
    "pack": lambda m, x, d: kp.codec.pack(m, d / "a.kpz"),
    "dropout_stability": lambda m, x, d, y=Y: rooms("dropout_stability")(m, (x, y)),
    "line": lambda m, x, d, y=Y: rooms("line")(beside(m, 1), m, (x, y), recalibrate=x),
    "plane": lambda m, x, d, y=Y: rooms("plane")(beside(m, 1), m, beside(m, 2), (x, y), recalibrate=x),
    "curve": lambda m, x, d, y=Y: rooms("curve")(beside(m, 1), m, (x, y), recalibrate=x, epochs=0),
    "mean_feature_maps": lambda m, x, d: rooms("mean_feature_maps")(m, x),
    "conservation": lambda m, x, d, y=Y: rooms("conservation")(m, (x, y)),
    "to_minimum": lambda m, x, d, y=Y: rooms("to_minimum")(m, (x, y)),
    "removal_curve": lambda m, x, d, y=Y: rooms("removal_curve")(m, ["l1"], [(x, y)]),
    "precision_sensitivity": lambda m, x, d: rooms("precision_sensitivity")(m, x),
    "search_plan": lambda m, x, d: kp.recipes.search_plan(m, x),
}
WITHOUT_INPUTS = dict.fromkeys(
    ("distil", "distil, slim", "synthesise", "quantization_aware", "equalise", "pack"), NO_DATA
)
LABELLED = [name for name, call in ENTRANCES.items() if call.__defaults__]
LABELS_UNREAD = {"sensitivity": "its error is that of the outputs, with labels or without"}
UNCHECKED = dict.fromkeys(("trace", "cost", "rebuild", "mask", "report", "verify", "fold", "functional"), NOT_COMPUTED)


ABOVE_THE_CORE = (
    *("dropout_stability", "line", "plane", "curve", "mean_feature_maps", "conservation", "to_minimum"),
    *("removal_curve", "precision_sensitivity", "search_plan"),
)


def named(names):
    return [pytest.param(each, marks=[pytest.mark.experiments] * (each in ABOVE_THE_CORE)) for each in names]


def refused(call, *given) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kp.PruneError) as caught:
            call(*given)
    return str(caught.value)


@pytest.mark.parametrize("value", [np.nan, pytest.param(np.inf, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", named(ENTRANCES))
def test_weights_that_are_not_finite_are_refused(name, value, tmp_path):
    model = network()
    kernel = model.get_layer("second").kernel
    kernel.assign(np.where(np.arange(kernel.shape[-1]) == 0, value, np.asarray(kernel)))
    said = refused(ENTRANCES[name], model, X, tmp_path)
    assert "finite" in said and "NaN or infinity" in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", named(each for each in ENTRANCES if each not in WITHOUT_INPUTS))
def test_inputs_that_are_not_finite_are_refused(name, tmp_path):
    wrong = X.copy()
    wrong[3, 0, 0, 0] = np.nan
    said = refused(ENTRANCES[name], network(), wrong, tmp_path)
    assert "NaN or infinity" in said and "'image'" in said, said


LOSSES = {  # a loss with labels that it does not take, and with labels of two forms that it takes
    "sparse": (keras.losses.SparseCategoricalCrossentropy, np.eye(4, dtype=int)[Y], (Y, Y[:, None])),
    "one-hot": (keras.losses.CategoricalCrossentropy, Y[:, None], (np.eye(4)[Y], np.eye(4, dtype=int)[Y])),
}


def compiled(loss: str) -> keras.Model:
    model = network()
    model.compile("sgd", LOSSES[loss][0](from_logits=True), metrics=["accuracy"])
    return model


@pytest.mark.parametrize("loss", [pytest.param("sparse"), pytest.param("one-hot", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", named(each for each in LABELLED if each not in LABELS_UNREAD))
def test_labels_that_a_loss_does_not_take_are_refused(name, loss, tmp_path):
    said = refused(ENTRANCES[name], compiled(loss), X, tmp_path, LOSSES[loss][1])
    assert "labels of shape" in said and "class numbers" in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", named(LABELLED))
def test_labels_that_a_loss_takes_are_taken_in_every_form(name, loss, tmp_path):
    for at, labels in enumerate(LOSSES[loss][2]):
        (tmp_path / str(at)).mkdir()
        ENTRANCES[name](compiled(loss), X, tmp_path / str(at), labels)


@pytest.mark.matrix
@pytest.mark.parametrize("labels", [Y, Y[:, None], np.eye(4)[Y]], ids=["numbers", "column", "one-hot"])
def test_without_a_loss_labels_of_every_form_are_taken(labels, tmp_path):
    compiled = network()
    model = keras.Model(compiled.inputs, compiled.outputs)
    assert kp.prune(model, 0.5, (X, labels), verbose=0).report.steps
    assert kp.sensitivity(model, (X, labels))
    said = refused(lambda: kp.plan(model, "taylor_fo", keep=0.5, data=(X, labels)))
    assert "Expected a loss" in said and "Give loss=" in said, said


def test_what_is_not_checked_leaves_the_weights_as_they_are():
    model = network()
    kernel = model.get_layer("second").kernel
    kernel.assign(np.asarray(kernel) * np.nan)
    assert UNCHECKED and kp.cost(model).params and kp.trace(model).groups
    assert np.isnan(np.asarray(kp.rebuild(model, slim_of(model)[1]).get_layer("second").kernel)).all()
