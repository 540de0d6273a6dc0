"""A check that one public function makes, all make: weights and inputs that are not finite are refused alike."""

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


def rooms(name: str):
    return getattr(kp.analysis, name)


NO_DATA = "takes no data"
NOT_COMPUTED = "computes nothing with weights: NaN stays where it is"
ENTRANCES = {  # what is called with a model, inputs, and an empty folder
    "prune": lambda m, x, d: kp.prune(m, 0.5, x),
    "prune, labels": lambda m, x, d: kp.prune(m, 0.5, (x, Y)),
    "prune, validation": lambda m, x, d: kp.prune(m, 0.5, (X, Y), validation=(x, Y)),
    "plan": lambda m, x, d: kp.plan(m, "taylor_fo", keep=0.5, data=(x, Y)),
    "plan, sensitivity": lambda m, x, d: kp.plan(m, "apoz", keep=0.5, data=x),
    "prune_at_init": lambda m, x, d: kp.prune_at_init(m, "snip", keep=0.5, data=(x, Y)),
    "sensitivity": lambda m, x, d: kp.sensitivity(m, (x, Y)),
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
    "beside": lambda m, x, d: kp.export.beside(slim_of(m)[0], m, d / "a.tflite", data=(x, Y)),
    "pack": lambda m, x, d: kp.codec.pack(m, d / "a.kpz"),
    "dropout_stability": lambda m, x, d: rooms("dropout_stability")(m, (x, Y)),
    "line": lambda m, x, d: rooms("line")(network(1), m, (x, Y), recalibrate=x),
    "plane": lambda m, x, d: rooms("plane")(network(1), m, network(2), (x, Y), recalibrate=x),
    "curve": lambda m, x, d: rooms("curve")(network(1), m, (x, Y), recalibrate=x, epochs=0),
    "mean_feature_maps": lambda m, x, d: rooms("mean_feature_maps")(m, x),
    "conservation": lambda m, x, d: rooms("conservation")(m, (x, Y)),
    "to_minimum": lambda m, x, d: rooms("to_minimum")(m, (x, Y)),
    "removal_curve": lambda m, x, d: rooms("removal_curve")(m, ["l1"], [(x, Y)]),
    "precision_sensitivity": lambda m, x, d: rooms("precision_sensitivity")(m, x),
    "search_plan": lambda m, x, d: kp.recipes.search_plan(m, x),
}
WITHOUT_INPUTS = dict.fromkeys(
    ("distil", "distil, slim", "synthesise", "quantization_aware", "equalise", "pack"), NO_DATA
)
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
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


def test_what_is_not_checked_leaves_the_weights_as_they_are():
    model = network()
    kernel = model.get_layer("second").kernel
    kernel.assign(np.asarray(kernel) * np.nan)
    assert UNCHECKED and kp.cost(model).params and kp.trace(model).groups
    assert np.isnan(np.asarray(kp.rebuild(model, slim_of(model)[1]).get_layer("second").kernel)).all()
