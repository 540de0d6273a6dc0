"""New optimizers and metrics like those of a model: every one of Keras, and own ones with and without a config."""

from __future__ import annotations

import os
import warnings
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.surgery.compiled import first_rate, fresh, fresh_optimizer, writable
from kerasprune.training.rewinding import rewind_optimizer

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = np.tanh(X[:, :2]).astype("float32")


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule without a config, that begins near 0."""

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1
        return self.peak * ops.minimum(step / self.steps, ops.rsqrt(step / self.steps))


class Heavy(keras.optimizers.Optimizer):
    """An optimizer with arguments, slots and no config."""

    def __init__(self, rate, factor) -> None:
        super().__init__(learning_rate=rate)
        self.factor = factor

    def build(self, variables) -> None:
        if not self.built:
            super().build(variables)
            self._speeds = self.add_optimizer_variables(variables, "speed")

    def update_step(self, gradient, variable, learning_rate) -> None:
        speed = self._speeds[self._get_variable_index(variable)]
        self.assign(speed, 0.5 * speed + self.factor * gradient)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * speed)


class Defaulted(keras.optimizers.Adam):
    """One whose config is that of its base: made by it, it would have another factor."""

    def __init__(self, *rate, factor=1.0, **given) -> None:
        super().__init__(*rate, **given)
        self._factor = factor

    def update_step(self, gradient, variable, learning_rate) -> None:
        super().update_step(self._factor * gradient, variable, learning_rate)


def of_keras(module, kind, *aside: str) -> dict[str, type]:
    found = {name: each for name, each in vars(module).items() if isinstance(each, type) and issubclass(each, kind)}
    return {name: each for name, each in found.items() if each.__module__.startswith("keras.") and name not in aside}


OPTIMIZERS = of_keras(keras.optimizers, keras.Optimizer, "Optimizer", "LossScaleOptimizer", "MultiOptimizer")
OPTIMIZERS = OPTIMIZERS | {
    "own": lambda rate: Heavy(rate, 2.0),
    "default": lambda rate: Defaulted(rate, factor=0.2),
    "scaled": lambda rate: keras.optimizers.LossScaleOptimizer(Heavy(rate, 2.0), initial_scale=8.0),
    "clipped": lambda rate: Defaulted(rate, factor=0.2, clipnorm=0.1, weight_decay=0.1, use_ema=True),
    "gathered": lambda rate: Heavy(rate, 2.0),
}
RATES = {"number": 0.01, "schedule": WarmUp(0.05, 3), "function": lambda: 0.01}
CASES = [(name, rate) for name in OPTIMIZERS for rate in RATES]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2, name="out")(layers.Dense(6, activation="relu", name="hidden")(inputs)))


def trained(model: keras.Model, optimizer, **given) -> list[np.ndarray]:
    model.compile(optimizer, "mse", **given)
    model.fit(X, Y, batch_size=32, epochs=2, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        case
        if case in (("own", "schedule"), ("default", "number"))
        else pytest.param(*case, marks=pytest.mark.thorough)
        for case in CASES
    ],
)
def test_a_new_optimizer_trains_as_the_old_one_did(name, rate):
    old = OPTIMIZERS[name](RATES[rate])
    wanted = trained(network(), old)
    new = fresh(old)
    assert type(new) is type(old) and not new.built and int(new.iterations) == 0
    for got, weight in zip(trained(network(), new), wanted, strict=True):
        np.testing.assert_allclose(got, weight, rtol=1e-5, atol=1e-6)
    assert len(new.variables) == len(old.variables)
    assert not {id(each) for each in new.variables} & {id(each) for each in old.variables}


class Ratio(keras.metrics.Metric):
    """A metric with an argument, a metric inside and no config."""

    def __init__(self, top, name="ratio") -> None:
        super().__init__(name=name)
        self.top, self.inside = top, Hits()
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        near = ops.cast(ops.abs(ops.cast(y_true, y_pred.dtype) - y_pred) < self.top, "float32")
        self.inside.update_state(ops.mean(near))
        self.seen.assign_add(1.0)

    def result(self):
        return self.inside.result() / ops.maximum(self.seen, 1.0)


class Hits(keras.metrics.Metric):
    def __init__(self) -> None:
        super().__init__(name="hits")
        self.hits = self.add_weight(name="hits", initializer="zeros")

    def update_state(self, value) -> None:
        self.hits.assign_add(value)

    def result(self):
        return self.hits


class Near(keras.metrics.MeanMetricWrapper):
    """A metric whose config is that of its base, and which by it would have another border."""

    def __init__(self, border=0.5, **given) -> None:
        given.pop("fn", None)
        super().__init__(lambda y, p: ops.cast(ops.abs(y - p) < self._border, "float32"), **{"name": "near", **given})
        self._border = border


class Locked(Ratio):
    """A metric that cannot be copied either."""

    def __init__(self) -> None:
        super().__init__(0.1)
        self.file = open(os.devnull)  # noqa: SIM115


METRICS = of_keras(
    keras.metrics, keras.Metric, "Metric", "Mean", "Sum", "MeanMetricWrapper", "IoU", "MeanIoU", "BinaryIoU",
    "OneHotIoU", "OneHotMeanIoU", "ConcordanceCorrelation", "PearsonCorrelation", "SparseCategoricalCrossentropy",
)  # fmt: skip
NEEDS = {"PrecisionAtRecall": (0.5,), "RecallAtPrecision": (0.5,), "SensitivityAtSpecificity": (0.5,)}
NEEDS |= {"SpecificityAtSensitivity": (0.5,)}
METRICS = {name: partial(each, *NEEDS.get(name, ())) for name, each in METRICS.items()}
METRICS |= {"own": lambda: Ratio(0.3), "default": lambda: Near(0.2), "locked": Locked}
METRICS |= {"wrapped": lambda: keras.metrics.MeanMetricWrapper(lambda y, p: ops.abs(y - p), name="wrapped")}
Z = (np.arange(8)[:, None] % 2).astype("float32"), np.linspace(0.1, 0.9, 8, dtype="float32")[:, None]


@pytest.mark.parametrize("name", METRICS)
def test_a_new_metric_counts_from_nothing(name):
    old = METRICS[name]()
    old.update_state(*Z)
    wanted = ops.convert_to_numpy(old.result())
    new = fresh([{"out": old}])[0]["out"]
    assert type(new) is type(old) and new.name == old.name
    if name == "locked":
        assert new is old  # fit resets it
        return
    new.update_state(*Z)
    np.testing.assert_allclose(ops.convert_to_numpy(new.result()), wanted, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(old.result()), wanted, rtol=1e-6)
    assert not {id(each) for each in new.variables} & {id(each) for each in old.variables}


class Weighted(keras.losses.Loss):
    """A loss with an argument and without a config."""

    def __init__(self, factor) -> None:
        super().__init__(name="weighted")
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * ops.mean(ops.square(ops.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


LOSSES = of_keras(
    keras.losses,
    keras.Loss,
    "Loss",
    "CTC",
    "SparseCategoricalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "Circle",
)
LOSSES = {name: lambda made=each: made() for name, each in LOSSES.items()} | {"own": lambda: Weighted(3.0)}
BOTH = {"own": ("own", "schedule", "own")}
BOTH |= {f"loss {name}": ("Adam", "number", name) for name in LOSSES if name != "own"}


@pytest.mark.parametrize(
    "case", ["own", *(pytest.param(name, marks=pytest.mark.thorough) for name in BOTH if name != "own")]
)
def test_prune_fine_tunes_with_what_the_model_is_compiled_with(case, tmp_path):
    optimizer, rate, loss = BOTH[case]
    model = network()
    trained(model, OPTIMIZERS[optimizer](RATES[rate]), metrics=[Ratio(0.3)])
    model.compile(model.optimizer, LOSSES[loss](), metrics=[Ratio(0.3)])
    data = (X, np.abs(Y) if "loss" in case else Y)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        slim, _, report = kp.prune(model, keep=0.5, data=data, epochs=1, verbose=0, validation=data)
    named = [str(each.message) for each in heard if "no file holds it" in str(each.message)]
    assert len(named) == (case == "own") and "ratio" in str(report)
    assert slim.evaluate(*data, verbose=0, return_dict=True)["ratio"] == pytest.approx(
        report.steps[-1].metrics["ratio"] if report.delivered == "fine-tuned" else slim.evaluate(*data, verbose=0)[1]
    )
    slim.save(tmp_path / "slim.keras")  # a schedule without a config would be refused
    slim.fit(*data, verbose=0)


def test_the_rate_of_a_schedule_is_its_peak_and_only_one_without_a_config_becomes_a_number():
    assert 0.04 < first_rate(keras.optimizers.Adam(WarmUp(0.05, 4000))) <= 0.05
    kept = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10))
    assert writable(kept) is kept
    with pytest.warns(UserWarning, match="WarmUp has no get_config"):
        assert 0.04 < float(writable(keras.optimizers.Adam(WarmUp(0.05, 40))).learning_rate) <= 0.0501


def test_an_optimizer_without_a_config_is_rewound():
    model = network()
    trained(model, Heavy(0.01, 2.0))
    rewind_optimizer(model, 1)
    assert int(model.optimizer.iterations) == 1
    assert not any(ops.convert_to_numpy(each).any() for each in model.optimizer._speeds)
    assert fresh_optimizer(model.optimizer, factor=3.0).factor == 3.0
