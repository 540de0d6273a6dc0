"""Multiply–adds of layers without a rule: estimated apart, given by the user, and what a target makes of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.steps.removal import remove
from kerasprune.surgery.cut import Cut


class Own(layers.Layer):
    """A 3×3 convolution that kerasprune does not know."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 16), name="kernel")
        self.embedding_table = self.add_weight(shape=(100, 16), name="embeddings")

    def call(self, x):
        return ops.conv(x, self.kernel, padding="same")

    def compute_output_shape(self, shape):
        return (*shape[:-1], 16)


def model(side=8, depth=1):
    inputs = keras.Input((side, side, 3))
    x = layers.Conv2D(32, 3, padding="same", name="first")(inputs)
    for number in range(depth):
        x = layers.Conv2D(64, 3, padding="same", name=f"wide{number}")(x)
    x = layers.Conv2D(8, 1, name="narrow")(x)
    x = Own(name="own")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))


REAL = 3 * 3 * 8 * 16 * 64  # its kernel at 8 × 8 positions; the table is looked up


def test_the_estimate_stands_apart():
    found = kp.cost(model())
    assert found.estimated == REAL
    assert found.macs == sum(layer.macs for layer in found.layers)
    assert {layer.name: layer.estimated for layer in found.layers if layer.estimated} == {"own": REAL}
    assert found.uncounted == REAL / (found.macs + REAL)


def test_what_the_user_gives_is_counted():
    dense, counted = kp.cost(model()), kp.cost(model(), macs_of={"own": REAL})
    assert counted.macs == dense.macs + REAL and counted.estimated == 0


@pytest.mark.parametrize(
    ("macs_of", "message"),
    [({"onw": 5}, "Did you mean 'own'"), ({"first": 5}, "without a rule"), ({"own": -1}, "≥ 0"), ([1], "Mapping")],
)
def test_wrong_numbers_are_refused(macs_of, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.cost(model(), macs_of=macs_of)


def test_report_says_what_is_not_counted():
    whole = model()
    plan = kp.plan(kp.trace(whole, unknown="freeze"), keep=0.5)
    assert f"not counted: some {REAL:,} multiply–adds" in kp.report(whole, plan)
    assert "own (Own)" in kp.report(whole, plan)
    assert "not counted" not in kp.report(whole, plan, macs_of={"own": REAL})


def test_a_target_is_refused_where_too_much_is_not_counted():
    graph = kp.trace(tiny(), unknown="freeze")
    assert kp.cost(graph).uncounted > 0.05
    with pytest.raises(kp.PruneError, match="macs_of="):
        kp.plan(graph, macs=0.7)
    plan = kp.plan(graph, macs=0.7, macs_of={"own": REAL})
    share = kp.cost(graph, plan, macs_of={"own": REAL}).macs / kp.cost(graph, macs_of={"own": REAL}).macs
    assert share == pytest.approx(0.7, abs=0.05)


def tiny():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(32, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(32, 3, padding="same", name="second")(x)
    x = Own(name="own")(layers.Conv2D(8, 1, name="narrow")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))


def test_a_target_warns_where_little_is_not_counted():
    graph = kp.trace(model(depth=2), unknown="freeze")
    assert 0 < kp.cost(graph).uncounted < 0.05
    with pytest.warns(UserWarning, match="not counted"):
        kp.plan(graph, macs=0.7)
    kp.plan(graph, params=0.7)  # parameters are known whatever a layer does


def test_pruning_by_another_target_says_what_its_multiply_adds_leave_out():
    graph = kp.trace(tiny(), unknown="freeze")
    with pytest.warns(UserWarning, match="of the slim one do not include everything: not counted: some"):
        remove(Cut.of(graph, kp.plan(graph, keep=0.5)))


def test_products_with_own_weights_that_are_most_of_a_model_are_named():
    class Product(layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 64), name="kernel")

        def call(self, x):
            return ops.relu(ops.matmul(x, 2 * self.kernel))  # more than a kernel

    inputs = keras.Input((16,))
    graph = kp.trace(kp.functional(keras.Model(inputs, layers.Dense(3)(layers.Dense(4)(Product()(inputs))))))
    with pytest.warns(UserWarning, match="1,024, where 268 are counted"):
        remove(Cut.of(graph, kp.plan(graph, keep=0.5)))


def test_a_slim_model_costs_what_was_predicted():
    whole = model()
    plan = kp.plan(kp.trace(whole, unknown="freeze"), keep=0.5)
    assert kp.cost(kp.rebuild(whole, plan, absorb=False)).estimated == kp.cost(whole, plan).estimated == REAL
    assert np.isfinite(kp.cost(whole, plan).uncounted)
