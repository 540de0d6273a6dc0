"""Masks of −1e9 before a softmax, in integers: a file of 8 bits finds what the float model attends to."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import kerasprune as kp
from kerasprune.export import attention_masks

pytest.importorskip("ai_edge_litert")
STEPS, KINDS, VARIANTS, WIDTH = 12, 4, 4, 8
WANTED = KINDS * VARIANTS  # words from here on are what attention is for


def sentences(count, seed):
    """Returns words of one kind, with a single wanted one of another kind among them, padded with zeros."""
    random = np.random.default_rng(seed)
    common = random.integers(KINDS, size=(count, 1))
    words = common * VARIANTS + random.integers(VARIANTS, size=(count, STEPS))
    lengths, rows = random.integers(4, STEPS + 1, count), np.arange(count)
    kinds = (common[:, 0] + random.integers(1, KINDS, count)) % KINDS
    words[rows, random.integers(lengths)] = WANTED + kinds * VARIANTS + random.integers(VARIANTS, size=count)
    return np.where(np.arange(STEPS) < lengths[:, None], words + 1, 0).astype("int32"), kinds


def projected(x):
    return [layers.Dense(WIDTH, name=name)(x) for name in ("query", "key", "value")]


def scores_of(query, key):
    return ops.einsum("btd,bsd->bts", query, key) * WIDTH**-0.5


def added(x, keep, number=-1e9):
    query, key, value = projected(x)
    return ops.einsum("bts,bsd->btd", ops.softmax(scores_of(query, key) + (1.0 - keep) * number), value)


def replaced(x, keep):
    query, key, value = projected(x)
    scores = ops.where(keep > 0.5, scores_of(query, key), -np.inf)
    return ops.einsum("bts,bsd->btd", ops.softmax(scores), value)


def in_softmax(x, keep):
    query, key, value = projected(x)
    return ops.einsum("bts,bsd->btd", layers.Softmax()(scores_of(query, key), mask=keep > 0.5), value)


def several_heads(x, keep):
    return layers.MultiHeadAttention(1, WIDTH, name="heads")(x, x, attention_mask=keep > 0.5)


FORMS = {
    "added": added,
    "least": lambda x, keep: added(x, keep, float(np.finfo("float32").min)),
    "replaced": replaced,
    "softmax": in_softmax,
    "heads": several_heads,
    "heads of masked words": lambda x, keep: layers.MultiHeadAttention(1, WIDTH, name="heads")(x, x),
    "attention": lambda x, keep: layers.Attention()([x + 4.0 * np.eye(WIDTH, dtype="float32")[0], x]),
}


def attentive(form):
    """Returns a network that attends to the wanted word alone, and tells its kind."""
    words = keras.Input((STEPS,), dtype="int32", name="words")
    known = layers.Embedding(2 * WANTED + 1, WIDTH, mask_zero="masked" in form or form == "attention", name="known")
    keep = ops.expand_dims(ops.cast(ops.not_equal(words, 0), "float32"), 1)
    found = FORMS[form](known(words), keep)[:, 0]
    model = keras.Model(words, layers.Dense(KINDS, "softmax", name="kinds")(found))
    table = np.random.default_rng(0).normal(size=(2 * WANTED + 1, WIDTH)) * 0.05
    number = np.arange(2 * WANTED)
    table[1:][number, 1 + number // VARIANTS % KINDS] += 1
    table[[0, *range(1 + WANTED, 1 + 2 * WANTED)], 0] += 3  # padding would be attended to as well
    table[0, 1] += 1
    known.embeddings.assign(table)
    parts = {each.name: each for each in model._flatten_layers()}
    for each in (parts.get(name) for name in ("query", "key", "value", "attention_output")):
        if each is not None:
            each.kernel.assign(np.reshape(np.eye(WIDTH) * (each.name != "query"), each.kernel.shape))
            each.bias.assign(np.reshape(np.eye(WIDTH)[0] * 6 * (each.name == "query"), each.bias.shape))
    parts["kinds"].kernel.assign(np.eye(WIDTH)[:, 1 : 1 + KINDS] * 8)
    return model


def classes_in(path, words):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner()
    (name,) = run.get_input_details()
    return np.concatenate([[*run(**{name: words[i : i + 1]}).values()][0] for i in range(len(words))]).argmax(-1)


@pytest.mark.thorough
@pytest.mark.parametrize("form", FORMS)
def test_a_file_in_integers_attends_as_the_model(form, tmp_path):
    model, (words, kinds) = attentive(form), sentences(300, 1)
    wanted = model.predict(words, verbose=0).argmax(-1)
    assert (wanted == kinds).mean() > 0.97
    report = kp.export.tflite(model, tmp_path / "a.tflite", quantize="int8", data=sentences(200, 0)[0])
    assert (classes_in(report.path, words) == wanted).mean() >= 0.99 and report.error < 0.02


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["added", "replaced", "softmax"])
@pytest.mark.filterwarnings("ignore")
def test_training_with_the_rounding_attends_as_the_model(form, tmp_path):
    model, (words, _) = attentive(form), sentences(300, 1)
    wanted = model.predict(words, verbose=0).argmax(-1)
    aware = kp.quantization_aware(model, delay=2)
    aware.compile(keras.optimizers.SGD(1e-6), "sparse_categorical_crossentropy")
    data, kinds = sentences(200, 0)
    aware.fit(data, kinds, verbose=0)
    assert (aware.predict(words, verbose=0).argmax(-1) == wanted).mean() >= 0.99
    report = kp.export.tflite(aware, tmp_path / "a.tflite", quantize="int8", data=data)
    assert (classes_in(report.path, words) == wanted).mean() >= 0.99


@pytest.mark.thorough
def test_a_mask_that_is_fed_is_told(tmp_path):
    scores, mask = keras.Input((STEPS,), name="scores"), keras.Input((STEPS,), name="mask")
    model = keras.Model(
        [scores, mask], layers.Dense(3, "softmax")(ops.softmax(layers.Add(name="hidden")([scores, mask])))
    )
    keep = np.random.default_rng(0).random((100, STEPS)) < 0.5
    x = np.random.default_rng(1).normal(size=keep.shape).astype("float32") * 3
    for number, told in ((-1e9, True), (-30.0, False)):
        data = {"scores": x, "mask": np.where(keep, 0, number).astype("float32")}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kp.export.tflite(model, tmp_path / "a.tflite", quantize="int8", data=data, overwrite=True, force=True)
        assert any("hidden" in str(each.message) and "apart" in str(each.message) for each in caught) == told


def traced(call, *data):
    """Returns the outputs of a function as it is, and those and the constants of its last trace."""
    import tensorflow as tf

    last = []

    def trace():
        last[:] = [tf.function(call, autograph=False).get_concrete_function(*map(tf.TensorSpec.from_tensor, data))]

    data = [tf.constant(each) for each in data]
    attention_masks.trace_with_small_masks(trace, lambda: [call(*data)])
    softmax = next(each for each in last[0].graph.get_operations()[::-1] if each.type == "Softmax")
    seen, found = [softmax.inputs[0].op], []
    while seen:
        operation = seen.pop()
        seen += [each.op for each in operation.inputs]
        found += [tf.get_static_value(operation.outputs[0])] if operation.type == "Const" else []
    return call(*data).numpy(), last[0](*data).numpy(), max(np.abs(each).max(initial=0) for each in found)


SCORES = np.random.default_rng(0).normal(size=(6, 4, 5)).astype("float32") * 4
KEEP = (np.arange(5) < [[[3]], [[4]], [[5]], [[1]], [[2]], [[5]]]).astype("float32")
CAUSAL = np.triu(np.full((4, 5), -1e9, "float32"), 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda s, keep: ops.softmax(s + (1.0 - keep) * -1e9),
        lambda s, keep: ops.softmax(s - (1.0 - keep) * 1e9),
        lambda s, keep: ops.softmax(s + ops.cast((1 - ops.cast(keep, "int32")) * -10000, "float32")),
        lambda s, keep: ops.softmax(ops.where(keep > 0.5, s, -np.inf)),
        lambda s, keep: ops.softmax(s + CAUSAL),
        lambda s, keep: layers.Softmax()(s, mask=keep > 0.5),
    ],
)
def test_masks_count_for_nothing_whatever_their_size(call):
    before, after, largest = traced(call, SCORES, KEEP)
    np.testing.assert_allclose(after, before, atol=1e-7)
    assert largest < 100


@pytest.mark.parametrize(
    "call",
    [
        lambda s, keep: ops.softmax(s * 1e4 * 1e-3),
        lambda s, keep: ops.softmax(s + keep * 1e-9 * -1e9),
        lambda s, keep: ops.softmax(s + (1.0 - keep) * -30.0),
    ],
)
def test_what_is_no_mask_stays(call):
    before, after, _ = traced(call, SCORES, KEEP)
    np.testing.assert_allclose(after, before, atol=1e-7)
