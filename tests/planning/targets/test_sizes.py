"""The size that was asked for, and that of the file that is exported."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp


def convolutions():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    for width in (24, 48):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, strides=2, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def several_inputs():
    first, second = keras.Input((16,), name="a long name"), keras.Input((8,))
    x = layers.Dense(128, "relu")(first) + layers.Dense(128, "tanh")(second)
    x = layers.Concatenate()([x, layers.Dense(64, "relu")(second)])
    return keras.Model([first, second], {"score": layers.Dense(4)(x), "other": layers.Dense(3)(x)})


def recurrent():
    inputs = keras.Input((4, 6))
    x = layers.Dense(256, "relu")(layers.GRU(32)(inputs))
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(128, "relu")(x)))


def free_sides():
    x = inputs = keras.Input((None, None, 3))
    for width in (24, 32):
        x = layers.Conv2D(width, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def residual():
    return kp.models.resnet_cifar(8, input_shape=(16, 16, 3), classes=4)


def depthwise():
    x = inputs = keras.Input((16, 16, 3))
    for width in (24, 48):
        x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(width, 1)(x)))
        x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, strides=2, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = (convolutions, several_inputs, recurrent, free_sides, residual, depthwise)
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
CHEAP = [(convolutions, "float32", 0)]
EVERY = [(make, precision, draw) for make in NETWORKS for precision in PRECISIONS for draw in (0, 1)]


def exported(slim, path, precision, size):
    """The bytes of the file, calibrated on data where it has integers."""
    shapes = [[side or size for side in each.shape[1:]] for each in slim.inputs]
    data = tuple(np.random.default_rng(1).normal(size=(64, *shape)).astype("float32") for shape in shapes)
    options = {"data": data if len(data) > 1 else data[0]} if "int" in precision else {"size": size}
    quantize = None if precision == "float32" else precision
    return kp.export.tflite(slim, path, quantize=quantize, force=True, **options).bytes


@pytest.mark.parametrize(
    "make, precision, draw",
    [
        pytest.param(
            *each,
            marks=() if each in CHEAP else pytest.mark.thorough,
            id="-".join([each[0].__name__, *map(str, each[1:])]),
        )
        for each in EVERY
    ],
)
def test_a_file_has_at_most_the_bytes_asked_for(make, precision, draw, tmp_path):
    model, size = make(), 16 if make is free_sides else None
    drawn = np.random.default_rng([NETWORKS.index(make), PRECISIONS.index(precision), draw])
    dense = exported(model, tmp_path / "dense.tflite", precision, size)
    target = kp.targets.Size(int(dense * drawn.uniform(0.6, 0.95)), precision)
    graph = kp.trace(model, size=size)
    plan = kp.plan(graph, target=target)
    written = exported(kp.rebuild(model, plan), tmp_path / "slim.tflite", precision, size)
    assert written <= target.bytes
    for name, kept in plan.keep.items() if written < 0.98 * target.bytes else ():
        wider = {**plan.keep, name: range(min(len(kept) + 1, graph.groups[name].size))}
        more = len(target.file_of(graph, kp.Plan.of(graph, wider)))
        assert more > target.bytes or more <= written, name


@pytest.mark.thorough
def test_what_is_trained_after_the_plan_stays_within_the_bytes(tmp_path):
    """Biases that are zero are stored once in the file of the plan, and each by itself in that of the slim model."""
    model = convolutions()
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    slim, plan, _ = kp.prune(model, data=images, target={"name": "size", "bytes": "28kB"}, verbose=0)
    small = kp.export.tflite(kp.rebuild(model, plan), tmp_path / "plan.tflite").bytes
    assert small < kp.export.tflite(slim, tmp_path / "slim.tflite").bytes <= 28_000


@pytest.mark.thorough
def test_the_smallest_size_that_is_told_can_be_asked_for(tmp_path):
    model = convolutions()
    with pytest.raises(kp.PruneError, match=r"bytes\) of the size are kept. Received: .*\(100 bytes\)") as caught:
        kp.plan(model, target=kp.targets.Size(100))
    told = int(str(caught.value).split(" bytes) of the size")[0].rsplit("(")[-1].replace(",", ""))
    plan = kp.plan(model, target=kp.targets.Size(told))
    assert kp.export.tflite(kp.rebuild(model, plan), tmp_path / "slim.tflite").bytes == told
    with pytest.raises(kp.PruneError, match="can be reached"):
        kp.plan(model, target=kp.targets.Size(told - 1))


@pytest.mark.thorough
def test_widths_that_are_measured_stay_within_the_bytes():
    model = convolutions()
    images = np.random.default_rng(0).normal(size=(64, 16, 16, 3)).astype("float32")
    budget = {"name": "sensitivity", "measurements": 6, "positions": 200}
    for asked in (21_000, 26_000, 31_000):
        target = kp.targets.Size(asked)
        plan = kp.plan(model, budget=budget, target=target, data=images)
        assert 0.96 * asked <= len(target.file_of(kp.trace(model), plan)) <= asked  # a channel has 900 bytes


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("200kB", 200_000), ("3.5KiB", 3584), ("2 MB", 2_000_000), ("1.5m", 1_500_000), ("2.3 kb", 2300),
        ("1GiB", 2**30), ("200_000", 200_000), ("1e5", 100_000), (2e5, 200_000), ("70.9B", 70), (".5kB", 500),
    ],
)  # fmt: skip
def test_a_size_is_taken_as_people_write_it(text, number):
    assert kp.targets.Size(text) == kp.targets.Size(number) and type(kp.targets.Size(text).bytes) is int


@pytest.mark.parametrize(
    ("text", "number"), [("12ms", 12), ("0.5s", 500), ("500us", 0.5), ("500 µs", 0.5), ("1e-6", 1e-6), ("3", 3)]
)
def test_a_time_is_taken_as_people_write_it(text, number):
    assert kp.targets.Time(ms=text) == kp.targets.Time(ms=number)


@pytest.mark.parametrize("text", ["2kX", "", "kB", "-3kB", "1,5MB", "0", "0.2B", "12ms", "inf", True, [3], None])
def test_what_is_no_size_is_refused_with_examples(text):
    with pytest.raises(kp.PruneError, match="bytes to be a size, such as 200000, '200kB'"):
        kp.targets.Size(text)


@pytest.mark.parametrize("text", ["2m", "5kB", "-3ms", 0, "nan", "1 2 ms"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(kp.PruneError, match="ms to be a time, such as '12ms'"):
        kp.targets.Time(ms=text)
