"""Keras's own `model.quantize` after pruning; before it, `tests/surgery/test_hard_models.py` has the refusals."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from support import architectures
from support.random_models import random_model

import kerasprune as kp
from kerasprune.testing.randomness import random_inputs, random_plan, randomise


def causal():
    """A model of words in order: keys and values of earlier ones only, projected by plain dense layers."""
    inputs = keras.Input((8,), dtype="int32")
    x = layers.Embedding(30, 16, name="words")(inputs)
    query, key, value = (layers.Dense(12, name=name)(x) for name in ("query", "key", "value"))
    x = x + layers.Dense(16, name="out")(layers.Attention(dropout=0)([query, value, key], use_causal_mask=True))
    x = x + layers.Dense(16, name="down")(layers.Dense(24, "relu", name="up")(layers.LayerNormalization()(x)))
    return keras.Model(inputs, layers.Dense(30, name="logits")(x))


def drawn(seed):
    return lambda: random_model(seed)


# Of random models those without attention, whose quantized projections Keras writes and does not read back.
MAKERS = {
    "causal": causal,
    "siamese": architectures.siamese,
    "shufflenet": architectures.shufflenet,
    "swin": architectures.swin,
    **{f"random{seed}": drawn(seed) for seed in (0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15)},
}


def outputs(model, x):
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.matrix
@pytest.mark.parametrize(("mode", "most"), [("int8", 0.02), ("int4", 0.2)])
@pytest.mark.matrix
@pytest.mark.parametrize("name", MAKERS)
def test_a_slim_model_is_quantized_saved_and_loaded(name, mode, most, tmp_path):
    model = randomise(MAKERS[name]())
    graph = kp.trace(model, unknown="freeze")
    slim = kp.rebuild(graph, random_plan(graph))
    x = random_inputs(slim, 8)
    plain = outputs(slim, x)
    slim.quantize(mode)
    modes = {getattr(each, "quantization_mode", None) for each in slim._flatten_layers()}
    assert modes == {None, mode}
    found = outputs(slim, x)
    for a, b in zip(plain, found, strict=True):
        assert 0 < np.abs(a - b).max() < most * np.abs(a).max()
    slim.save(tmp_path / "slim.keras")
    for a, b in zip(found, outputs(keras.models.load_model(tmp_path / "slim.keras"), x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(a).max())


@pytest.mark.filterwarnings("ignore")
def test_attention_is_left_out_by_a_filter(tmp_path):
    inputs = keras.Input((4, 8))
    x = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.Dense(8, "relu", name="hidden")(x)))
    slim = kp.rebuild(model, kp.plan(model, keep=0.5))
    slim.quantize("int8", filters="hidden|logits")
    slim.save(tmp_path / "slim.keras")
    x = random_inputs(slim, 8)
    np.testing.assert_allclose(
        outputs(keras.models.load_model(tmp_path / "slim.keras"), x), outputs(slim, x), atol=1e-6
    )


def _of_words(layer):
    inputs = keras.Input((6,), dtype="int32")
    return keras.Model(inputs, layers.Dense(3, name="last")(layer(inputs)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("quantize", [None, "int8", pytest.param("dynamic", marks=pytest.mark.matrix)])
@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_products_of_integers_are_refused_before_an_export(mode, quantize, tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = causal()
    model.quantize(mode, filters="up|down|words")
    with pytest.raises(kp.PruneError, match=f"Received: up in {mode}, down in {mode}.*before quantize"):
        kp.export.tflite(model, tmp_path / "a.tflite", quantize=quantize, data=np.ones((64, 8), "int32"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.matrix
@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_rows_of_integers_and_four_bits_are_exported(mode, tmp_path):
    pytest.importorskip("ai_edge_litert")
    model = randomise(_of_words(layers.Embedding(10, 8, name="words")))
    model.quantize(mode, filters="words" if mode == "int8" else None)
    kp.export.tflite(model, tmp_path / "a.tflite", data=np.arange(60).reshape(10, 6) % 10)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", [lambda model: kp.prune(model, macs=0.5), lambda model: kp.plan(model, keep=0.5)])
def test_a_quantized_model_is_refused_with_the_remedy(act):
    model = causal()
    model.quantize("int8")
    with pytest.raises(kp.PruneError, match=r"'\w+' of class \w+ quantized to int8. Prune first, and call quantize"):
        act(model)
