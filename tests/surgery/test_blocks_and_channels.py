"""Plans that drop blocks and channels at once, under every coupling."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.surgery.cut import Cut
from kerasprune.testing import check_rebuild, randomise


def residual():
    inputs = keras.Input((5, 5, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    for n in range(3):
        y = layers.Conv2D(5, 1, activation="relu", name=f"inner{n}")(x)
        x = layers.Add(name=f"sum{n}")([x, layers.Conv2D(6, 1, name=f"outer{n}")(y)])
    return randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))


@pytest.mark.parametrize(
    "coupling, keep",
    [
        ("tied", {"stem": [0, 2, 5], "inner0": [1], "inner2": [0, 4]}),
        ("free", {"inner0": [1], "inner2": [0, 4]}),
        ("padded", {"stem": [0, 2, 3, 5], "outer0": [0, 2], "outer2": [0, 2, 3], "inner2": [0, 4]}),
    ],
)
def test_blocks_and_channels_go_at_once(coupling, keep):
    model = residual()
    plan = kp.Plan(keep, ["sum1"], coupling=coupling)
    check_rebuild(model, plan)
    cut = Cut.of(model, plan)
    assert cut.graph.coupling == coupling
    widths = {call.operation.name: cut.count(call.outputs[0].axes[3]) for call in cut.graph.calls[:-2]}
    names = {name: len(kept) for name, kept in keep.items()}
    assert widths.keys() >= names.keys() and all(widths[name] == number for name, number in names.items())
    assert "outer1" not in widths


def test_what_is_frozen_stays_frozen_without_a_block():
    model = residual()
    graph = kp.trace(model, freeze=["inner0"])
    with pytest.raises(kp.PruneError, match="'inner0' must be kept whole"):
        kp.rebuild(graph, kp.Plan({"inner0": [1]}, ["sum1"]))
    assert Cut.of(graph, kp.Plan({}, ["sum1"])).graph.freeze == ("inner0",)


def test_what_is_left_of_a_variable_is_a_copy_of_its_rows():
    model = residual()
    cut = Cut.of(model, kp.Plan({"stem": [0, 2, 5], "inner0": [1, 4]}))
    layer = model.get_layer("inner0")
    entries = {id(entry.variable): entry for entry in cut.graph.slices}
    kernel = np.asarray(layer.kernel)
    np.testing.assert_array_equal(
        cut.value(entries[id(layer.kernel)], layer.kernel), kernel[:, :, [0, 2, 5]][..., [1, 4]]
    )
    np.testing.assert_array_equal(cut.value(entries[id(layer.bias)], layer.bias), np.asarray(layer.bias)[[1, 4]])


def test_a_constant_is_as_narrow_as_what_a_dropped_dense_block_leaves():
    inputs = keras.Input((5, 5, 3))
    x = layers.Conv2D(6, 1, name="stem")(inputs)
    grown = layers.Conv2D(4, 1, name="grow")(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Concatenate(name="join")([x, grown])
    x = keras.ops.tanh(x * np.linspace(0.3, 2.0, 10, dtype="float32") - np.linspace(0, 1, 10, dtype="float32"))
    model = randomise(keras.Model(inputs, layers.Dense(3, name="logits")(layers.Flatten()(x))))
    assert kp.trace(model).blocks["join"].kind == "dense"
    check_rebuild(model, kp.Plan({}, ["join"]))
    check_rebuild(model, kp.Plan({"stem": [1, 2, 5]}, ["join"]))
