"""`kp.prune` under Keras's distribution API on JAX: two devices, which a processor can stand for, end as one does."""

from __future__ import annotations

import json
from functools import cache

import keras
import numpy as np
import pytest
from support.processes import run_python

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")

# 250 examples in batches of 32: neither they, nor the 25 held out, nor the last batch can be shared by two devices.
PRUNED = """
import json, os, warnings
os.environ.update(
    KERAS_BACKEND="jax", XLA_FLAGS="--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
)
import keras, numpy as np
import kerasprune as kp
from kerasprune import criteria
from kerasprune.training.masks import Selection
from kerasprune.data.examples import Examples

warnings.simplefilter("ignore")  # of a small model: that it knows little of the data, that its target is missed
layers, generator = keras.layers, np.random.default_rng(0)
x = generator.normal(size=(250, 6, 6, 2)).astype("float32")
y = (x.mean((1, 2)) @ generator.normal(size=(2, 3))).argmax(1)


def distribution(how):
    devices = keras.distribution.list_devices("cpu")
    assert len(devices) == 2
    if how != "model":
        return keras.distribution.DataParallel(devices=devices) if how == "data" else None
    layout = keras.distribution.LayoutMap(keras.distribution.DeviceMesh((1, 2), ["batch", "model"], devices))
    layout["conv.*kernel"], layout["conv.*bias"] = (None, None, None, "model"), ("model",)
    layout["hidden.*kernel"], layout["hidden/output"] = (None, "model"), (None, "model")
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")


def network():
    inputs = keras.Input((6, 6, 2))
    h = layers.Conv2D(14, 3, name="conv")(inputs)
    h = layers.ReLU()(layers.BatchNormalization(name="bn")(h))
    h = layers.Dense(10, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(h))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(h))
    drawn = np.random.default_rng(1)
    model.set_weights([drawn.uniform(0.2, 1, v.shape) * drawn.choice([-1, 1], v.shape) ** (v.ndim > 1)
                       for v in map(np.asarray, model.get_weights())])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
    return model


def weights(model):
    return [np.asarray(v).ravel().tolist() for v in model.get_weights()]


def axes(model):
    layouts = [getattr(v.value.sharding, "spec", None) for v in model.weights]
    return [None if spec is None else list(spec) for spec in layouts]


def found(how):
    model = network()
    graph = kp.trace(model)
    plan = kp.Plan({"conv": range(0, 12, 2), "hidden": range(6)})
    unlabelled, _, _ = kp.prune(model, macs=0.5, data=x, verbose=0)
    tuned, made, report = kp.prune(model, macs=0.5, data=(x, y), epochs=1, batch=32, verbose=0)
    solved = kp.reconstruct(kp.rebuild(model, plan), model, plan, x[:75])
    some = x[:75], y[:75]
    scores = {name: criteria.score(criteria.get(name), graph, some) for name in ("taylor_fo", "obd", "apoz")}
    result = {
        "batch": Examples(x, 33).batch,
        "axes": {"dense": axes(model), "unlabelled": axes(unlabelled), "tuned": axes(tuned)},
        "keep": {name: len(kept) for name, kept in made.keep.items()},
        "metrics": [list(step.metrics.values()) for step in report.steps],
        "weights": {"unlabelled": weights(unlabelled), "tuned": weights(tuned), "solved": weights(solved)},
        "scores": {name: {group: each.tolist() for group, each in of.items()} for name, of in scores.items()},
        "answers": np.asarray(tuned(x[:3])).tolist(),
        "refused": "",
    }
    try:
        kp.rebuild(model, kp.Plan({"conv": range(5)}))
    except kp.PruneError as error:
        result["refused"] = str(error)
    rounded = kp.plan(model, macs=0.5, round_to=2)
    result["rounded"] = kp.rebuild(model, rounded).get_layer("conv").filters
    return result


out = {}
for how in ("one", "data", "model"):
    keras.distribution.set_distribution(distribution(how))
    out[how] = found(how)
masks = Selection("l1", "filter", "layer").masks(network())
masks.clear()
masks.assign(masks.lowest(masks.numbers(0.36)))
out["grown"] = masks.granularity.numbers(masks.graph, 0.36)
out["masks"] = {unit.name: len(unit.kept_indices()) for unit in masks.units}
out["masked"] = {name: len(kept) for name, kept in masks.plan().keep.items()}
with distribution("model").scope():
    model = network()
keras.distribution.set_distribution(None)
before, slim = axes(model), kp.rebuild(model, kp.plan(model, macs=0.5))
out["afterwards"] = {"dense": before, "slim": axes(slim), "solved": axes(kp.recalibrate(slim, x))}
print(json.dumps(out))
"""


@cache
def results() -> dict:
    return json.loads(run_python(PRUNED).splitlines()[-1])


def close(one, other, tolerance: float = 2e-5) -> None:
    """Compares nests of numbers, relative to the largest of each list."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
    elif not one or not isinstance(one[0], list):
        np.testing.assert_allclose(other, one, rtol=0, atol=tolerance * np.abs(one).max(initial=1e-3))
        return
    for each in one if isinstance(one, dict) else range(len(one)):
        close(one[each], other[each], tolerance)


def test_two_devices_that_share_batches_prune_as_one():
    one, two = results()["one"], results()["data"]
    assert len(one["metrics"]) == len(two["metrics"]) == 4  # dense, removed, reconstructed, fine-tuned
    assert two["keep"] == one["keep"]
    assert (one["batch"], two["batch"]) == (33, 34)
    for what in ("metrics", "weights", "answers"):
        close(one[what], two[what], 1e-4)
    assert one["axes"]["tuned"][0] is None and two["axes"]["tuned"] == two["axes"]["dense"]


@pytest.mark.parametrize("how", ["data", "model"])
def test_sums_over_examples_equal_those_of_one_device(how):
    one, two = results()["one"], results()[how]
    close(one["scores"], two["scores"])
    close(one["weights"]["solved"], two["weights"]["solved"], 1e-4)


def test_a_slim_model_keeps_the_layout_and_widths_that_divide():
    found = results()["model"]
    assert found["axes"]["dense"][0] == [None, None, None, "model"]
    assert found["axes"]["unlabelled"] == found["axes"]["tuned"] == found["axes"]["dense"]
    assert found["keep"]["conv"] % 2 == found["keep"]["hidden"] % 2 == 0 and found["keep"]["conv"] < 14


def test_plans_of_callbacks_have_widths_that_divide():
    assert results()["masks"] == {"conv": 5, "hidden": 3}
    assert results()["grown"] == results()["masked"] == {"conv": 6, "hidden": 4}


def test_a_slim_model_keeps_a_layout_that_held_only_while_the_dense_one_was_built():
    found = results()["afterwards"]
    assert found["dense"][0] == [None, None, None, "model"]
    assert found["slim"] == found["solved"] == found["dense"]


def test_a_plan_of_other_widths_is_refused_with_what_rounds_them():
    for part in ("5", "'conv'", "'model'", "round_to=2"):
        assert part in results()["model"]["refused"]
    assert results()["one"]["refused"] == results()["data"]["refused"] == ""
    assert results()["model"]["rounded"] % 2 == 0
