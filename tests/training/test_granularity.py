"""What is removed as one: runs and rectangles along the axes that a layer sums over, and what is kept whole."""

from __future__ import annotations

from math import prod

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.training.candidates import Part
from kerasprune.training.granularity import Weight, WeightBlock
from kerasprune.training.masks import Selection
from kerasprune.training.scope import Layer, Pattern, m_by_n

# By hand, from what the layers compute: the axes of each kernel that an output is a sum over, and those of the outputs.
AXES = {
    "conv": ((2,), (3,)),
    "transposed": ((3,), (2,)),
    "pointwise_kernel": ((2,), (3,)),
    "query": ((0,), (1, 2)),
    "key": ((0,), (1, 2)),
    "value": ((0,), (1, 2)),
    "attention_output": ((0, 1), (2,)),
    "einsum": ((1,), (0,)),
    "gru_cell": ((0,), (1,)),
    "logits": ((0,), (1,)),
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image, tokens = keras.Input((6, 6, 3), name="image"), keras.Input((5,), dtype="int32", name="tokens")
    x = layers.Conv2D(6, 3, name="conv")(image)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2DTranspose(10, 3, name="transposed")(x)
    x = layers.SeparableConv2D(8, 3, name="separable")(x)
    y = layers.Embedding(11, 12, name="table")(tokens)
    y = layers.MultiHeadAttention(2, 6, name="attention")(y, y)
    y = layers.EinsumDense("btc,dc->btd", output_shape=(None, 9), bias_axes="d", name="einsum")(y)
    y = layers.GRU(7, name="gru")(y)
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), y])
    return keras.Model([image, tokens], layers.Dense(5, name="logits")(joined))


def masks_of(model, granularity="weight", scope="layer", keep=0.5):
    """The masks after one removal, by path."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    held = Selection("l1", granularity, scope).masks(copy)
    held.clear()
    held.renew(keep)
    weights = dict(zip((v.path for v in copy.weights), model.get_weights(), strict=True))
    return held.arrays(), weights


def axes_of(path: str):
    parts = path.split("/")
    return next((AXES[part] for part in reversed(parts) if part in AXES), None)


def lines(array: np.ndarray, inputs: tuple[int, ...]) -> np.ndarray:
    """One row of inputs for each output and place."""
    return np.moveaxis(array, inputs, range(-len(inputs), 0)).reshape(-1, prod(array.shape[a] for a in inputs))


def test_runs_go_along_what_is_summed(model):
    masks, weights = masks_of(model, scope={"name": "pattern", "keep": 2, "of": 4})
    seen = 0
    for path, mask in masks.items():
        if axes_of(path) is None:
            assert mask.all(), path  # a table: nothing is summed
            continue
        seen += 1
        for row, kept in zip(
            lines(np.abs(weights[path]), axes_of(path)[0]), lines(mask, axes_of(path)[0]), strict=True
        ):
            for begin in range(0, len(row), 4):
                run = row[begin : begin + 4]
                expected = np.isin(np.arange(len(run)), np.argsort(-run, kind="stable")[:2])
                np.testing.assert_array_equal(kept[begin : begin + 4], expected, err_msg=path)
    assert seen == 11  # query, key and value, the projection; kernel and recurrent kernel of the GRU


def test_the_mask_of_a_sum_is_seen_by_the_sum(model):
    """Independent of any table: with 1 of 4 kept, an output depends on a quarter of its inputs."""
    masks, weights = masks_of(model, scope={"name": "pattern", "keep": 1, "of": 4}, keep=0.25)
    (path,) = [path for path in masks if path.startswith("transposed")]
    kernel = (weights[path] * masks[path])[1:2, 1:2]  # (1, 1, out, in)
    layer = layers.Conv2DTranspose(10, 1, use_bias=False)
    layer.build((None, 1, 1, 6))
    layer.set_weights([kernel])
    jacobian = np.stack([layer(row.reshape(1, 1, 1, 6)).numpy().ravel() for row in np.eye(6, dtype="float32")])
    assert (np.count_nonzero(jacobian, axis=0) == 2).all()  # of the runs 0–3 and 4–5 one each


def test_rectangles_are_inputs_by_outputs(model):
    masks, _ = masks_of(model, {"name": "block", "rows": 2, "columns": 3})
    for path, mask in masks.items():
        inputs, outputs = axes_of(path) or ((0,), (1,))
        outer = [axis for axis in range(mask.ndim) if axis not in (*inputs, *outputs)]
        flat = mask.transpose([*outer, *inputs, *outputs])
        flat = flat.reshape(-1, prod(mask.shape[a] for a in inputs), prod(mask.shape[a] for a in outputs))
        assert not mask.all() and mask.any()
        for plane in flat:
            for row in range(0, plane.shape[0], 2):
                for column in range(0, plane.shape[1], 3):
                    assert len(np.unique(plane[row : row + 2, column : column + 3])) == 1, path


def test_depthwise_kernels_stay_whole_unless_asked_for(model):
    by_default = masks_of(model)[0]
    assert any("embeddings" in path for path in by_default)
    assert not any("depthwise" in path for path in by_default)
    asked = masks_of(model, {"name": "weight", "depthwise": True})[0]
    assert len(asked) == len(by_default) + 2 and all(not mask.all() for mask in asked.values())
    graph = kp.trace(model)
    with pytest.raises(kp.PruneError, match="'depthwise', whose kernel is kept whole: take depthwise=True"):
        Weight().numbers(graph, {"depthwise": 0.5})


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_blocks_at_the_edge_compete_as_equals(pooling):
    """Against pooling by windows, where the edge counts what is there: tensorflow-model-optimization's AVG and MAX."""
    kernel = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    kernel[:, 4:] *= 1.5  # two columns wide, and heavy
    block = WeightBlock(rows=2, columns=4, pooling=pooling)
    part = Part(keras.Variable(kernel), None, block.entries((5, 6)), pooling)
    reduce = {"mean": np.mean, "max": np.max}[pooling]
    expected = [reduce(np.abs(kernel[r : r + 2, c : c + 4])) for r in range(0, 5, 2) for c in (0, 4)]
    np.testing.assert_allclose(part.scores(6), expected, rtol=1e-6)


def test_m_by_n_counts_zeros():
    """Against its source for a convolution: runs of channels, zeros appended, the largest n − m stay."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 6, 2)).astype("float32")
    rows = np.abs(kernel.transpose(3, 0, 1, 2).reshape(-1, 6))
    padded = np.pad(rows, [(0, 0), (0, 2)]).reshape(-1, 4)
    kept = np.zeros(padded.shape, bool)
    np.put_along_axis(kept, np.argsort(-padded, axis=1, kind="stable")[:, :3], True, axis=1)
    expected = kept.reshape(-1, 8)[:, :6].reshape(2, 3, 3, 6).transpose(1, 2, 3, 0)
    net = keras.Sequential([keras.Input((5, 5, 6)), layers.Conv2D(2, 3)])
    net.layers[0].kernel.assign(kernel)
    (mask,) = masks_of(net, scope={"name": "m_by_n", "m": 1, "n": 4}, keep=0.01)[0].values()
    np.testing.assert_array_equal(mask, expected)
    assert m_by_n(2, 4) == Pattern(2, 4) and m_by_n(0, 2) == Pattern(2, 2)
    with pytest.raises(kp.PruneError, match="m < n"):
        m_by_n(4, 4)


def test_bad_blocks():
    with pytest.raises(kp.PruneError, match="pooling"):
        WeightBlock(pooling="sum")
    assert isinstance(Selection("l1", "block", "layer").scope, Layer)
