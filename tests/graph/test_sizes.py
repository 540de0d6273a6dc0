"""The size of free axes: a number, one for each axis, or by input; what no input takes is refused."""

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.graph.sizes import shape_at, size_faults

pytestmark = pytest.mark.jax

FREE = {"image": (None, None, 3)}


@pytest.mark.parametrize(
    ("shape", "size", "found"),
    [
        ((None, None, 1), (12, 20), (12, 20, 1)),
        ((None, 8, 1), 12, (12, 8, 1)),
        ((None, None, 3), {"other": 4}, (None, None, 3)),
        ((None,), {"image": (7,)}, (7,)),
        ((4,), 32, (4,)),
        ((None, None, 3), None, (None, None, 3)),
    ],
)
def test_free_axes_take_the_size(shape, size, found):
    assert shape_at("image", shape, size) == found


@pytest.mark.parametrize("size", [0, (12, 0), (12, 20.5), (12, 20, 1), ("12", "20"), True, "32", (), {"image": -1}])
def test_a_size_that_no_input_takes_is_a_fault(size):
    assert len(size_faults(FREE, size)) == 1


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        (FREE, {"image": (32, 48)}),
        ({"image": (32, 48, 3)}, (32, 48)),
        ({"image": (3, 32, 48)}, (32, 48)),
        ({"image": (None, None, 3), "age": (1,)}, 32),
        ({"tokens": (None,), "places": (None,)}, {"tokens": 5, "places": 9}),
    ],
)
def test_a_size_that_fits_is_none(shapes, size):
    assert size_faults(shapes, size) == []


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ({"image": (8, 16, 3)}, 8),
        ({"image": (32, 32, 3)}, 16),
        ({"tokens": (None,), "image": (None, None, 3)}, (32, 48)),
        (FREE, {"picture": 32}),
        ({"image": (None, None, 3), "age": (1,)}, {"image": 32, "age": 4}),
    ],
)
def test_a_size_that_contradicts_an_input_is_a_fault(shapes, size):
    assert len(size_faults(shapes, size)) == 1


def test_costs_are_counted_at_every_form_of_size():
    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    for size in ((8, 12), [8, 12], {"image": (8, 12)}):
        assert kp.cost(model, size=size).macs == 8 * 12 * 4 * 27 + 8
        assert kp.cost(kp.trace(model, size=size)).macs == kp.cost(model, size=size).macs
    plan = kp.plan(model, macs=0.5, round_to=1, size=(8, 12))
    assert kp.cost(model, plan, size=(8, 12)).macs == 8 * 12 * 2 * 27 + 4
    drawn = kp.synthesise(model, 2, method="noise", size=(8, 12), verbose=0)
    assert drawn.shape == (2, 8, 12, 3)


def test_pruning_counts_at_the_sides_of_the_data():
    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.GlobalMaxPooling2D()(x))))
    data = np.random.default_rng(0).normal(size=(16, 6, 10, 3)).astype("float32")
    found = kp.prune(model, macs=0.5, data=data, plan={"round_to": 1}, verbose=0)
    dense, slim = (kp.cost(each, size=(6, 10)).macs for each in (model, found.slim))
    assert found.report.macs == slim / dense


def test_sizes_that_a_layer_leaves_open_follow_from_the_inputs():
    def model(shape):
        x = layers.EinsumDense("abc,cd->abd", shape)(inputs := keras.Input((6, 8)))
        return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Dense(16)(x))))

    open_, known = model((None, 16)), model((6, 16))
    assert open_.layers[1].output.shape[1] is None
    assert kp.cost(open_).macs == kp.cost(known).macs == 6 * (8 * 16 + 16 * 16) + 16 * 2
    assert kp.prune(open_, macs=0.5, verbose=0).report.macs == pytest.approx(0.5, abs=0.05)
