"""Models in a file and back, bit for bit; files that are damaged."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from support.commands import run_command
from support.random_models import random_model

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.export.codec.container import read_file, to_bytes
from kerasprune.export.codec.entries import GAPS, arrays_of, dtype_of, entry_of
from kerasprune.export.codec.huffman import encode
from kerasprune.export.codec.kpz_format import KPZ
from kerasprune.export.codec.sharing import share


def same(first, second) -> bool:
    pairs = list(zip(first.weights, second.weights, strict=True))
    arrays = [[np.asarray(keras.ops.convert_to_numpy(each)) for each in pair] for pair in pairs]
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in arrays)


def drawn(seed, number, density, distinct, dtype="float32"):
    draw = np.random.default_rng(seed)
    values = draw.standard_normal(number) if distinct is None else draw.integers(1, distinct + 1, number) / 7
    return np.where(draw.random(number) < density, values, 0).astype(dtype_of(dtype)).reshape(-1, 1)


def round_trip(array, path="a"):
    """Returns an array from the bytes of a file, and its entry."""
    entry = entry_of("layer/kernel", array, kernel=True)
    path.write_bytes(to_bytes({}, [entry]))
    _, (read,), _ = read_file(path)
    assert read.form == entry.form
    return next(arrays_of([read])), entry


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 9),
    number=st.sampled_from([0, 1, 2, 300, 5000]),
    density=st.sampled_from([0, 0.01, 0.1, 0.5, 1]),
    distinct=st.sampled_from([1, 2, 30, 256, None]),
    dtype=st.sampled_from(["float32", "bfloat16", "float64"]),
)
def test_arrays_return_bit_for_bit(tmp_path_factory, seed, number, density, distinct, dtype):
    array = drawn(seed, number, density, distinct, dtype)
    found, entry = round_trip(array, tmp_path_factory.getbasetemp() / "file.kpz")
    assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()
    assert sum(len(stream.payload) for stream in entry.streams) + entry.values.nbytes <= max(array.nbytes, 1)


@pytest.mark.parametrize("form", GAPS)
@pytest.mark.parametrize("places", [[], [0], [15, 31, 47], [14, 29], [255, 600], [1, 2, 3, 999]])
def test_gaps_of_any_length(form, places):
    symbols, ends = GAPS[form].symbols(np.array(places, int))
    found = GAPS[form].places(symbols, 1000)
    assert found[ends if GAPS[form].fillers else slice(None)].tolist() == places
    counts = np.bincount(np.diff(places, prepend=-1) - 1) if places else np.zeros(0, int)
    assert GAPS[form].counts(counts).tolist() == np.bincount(symbols, minlength=GAPS[form].last + 1).tolist()
    if places:
        with pytest.raises(PruneError, match="beyond"):
            GAPS[form].places(symbols, places[-1])


def test_the_shortest_form_is_stored(tmp_path):
    dense, sparse, raw = drawn(0, 9000, 1, 16), drawn(0, 9000, 0.05, 16), drawn(0, 9000, 1, None)
    forms = [round_trip(each, tmp_path / "a.kpz")[1].form for each in (dense, sparse, raw, drawn(0, 9000, 0.1, None))]
    assert forms[0] == "dense" and forms[1] in ("escape4", "escape8") and forms[2] == "raw" and "sparse" in forms[3]


def check_model(model, path, bits):
    table = kp.codec.pack(model, path, bits=bits, overwrite=True)
    assert table.bytes == path.stat().st_size and kp.codec.sizes(path) == table
    found = kp.codec.unpack(path)
    for before, after in zip(model.weights, found.weights, strict=True):
        array = np.asarray(keras.ops.convert_to_numpy(before))
        shared = array.ndim >= 2 and array.dtype.kind == "f" and not before.name.endswith(("bias", "gamma", "beta"))
        expected = share(array, 1 << bits) if shared else array
        assert np.asarray(keras.ops.convert_to_numpy(after)).tobytes() == expected.tobytes(), before.path
    again = path.with_name("again.kpz")
    kp.codec.pack(found, again, bits=bits, overwrite=True)
    assert same(kp.codec.unpack(again), found)
    assert [each.bytes for each in kp.codec.sizes(again).layers] == [each.bytes for each in table.layers]
    return found


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.thorough] if seed > 3 else []) for seed in range(50)]
)
def test_random_models_return(seed, tmp_path):
    model = random_model(seed)
    draw, emptied = np.random.default_rng(seed), []
    for variable in model.trainable_weights:
        if len(variable.shape) > 1 and draw.random() < 0.6:
            keep = draw.choice([0, 0.02, 0.3])
            emptied.append(np.where(draw.random(variable.shape) < keep, keras.ops.convert_to_numpy(variable), 0))
            variable.assign(emptied[-1])
    check_model(model, tmp_path / "model.kpz", int(draw.integers(1, 9)))


def odd_model():
    """Returns a model with a shared layer, an inner model, one weight, equal weights, none and adapted statistics."""
    inputs, shared = keras.Input((6,)), layers.Dense(6, name="shared")
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(1, use_bias=False), layers.Dense(1, use_bias=False)])
    x = layers.Normalization(name="normal")(inputs)
    x = layers.Dropout(0.5)(shared(layers.ReLU()(shared(x))))
    x = layers.Dense(6, kernel_initializer="ones", name="ones")(x)
    x = layers.Dense(6, kernel_initializer="zeros", name="zeros")(x)
    return keras.Model(inputs, [inner(x), layers.Embedding(5, 3)(layers.Discretization([0.0])(inputs))])


def test_odd_layers_return(tmp_path):
    model = odd_model()
    x = np.random.default_rng(0).normal(2, 3, (50, 6)).astype("float32")
    model.get_layer("normal").adapt(x)
    model.compile("adam", ["mse", "mse"])
    found = check_model(model, tmp_path / "model.kpz", 6)
    assert found.get_layer("normal").get_config()["name"] == "normal" and not found.compiled
    for layer in model.layers:
        for variable in layer.weights if layer.name != "normal" else ():
            kernel = len(variable.shape) > 1
            variable.assign(share(keras.ops.convert_to_numpy(variable), 64) if kernel else variable)
    for before, after in zip(model.predict(x, verbose=0), found.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(before, after)


def test_half_precision_is_kept(tmp_path):
    model = keras.Sequential([keras.Input((9,)), layers.Dense(9, dtype="bfloat16"), layers.Dense(9, dtype="float16")])
    kp.codec.pack(model, tmp_path / "a.kpz", bits=8)
    assert same(kp.codec.unpack(tmp_path / "a.kpz"), model)


def test_the_rest_in_half_precision(tmp_path):
    model = keras.Sequential([keras.Input((9,)), layers.Dense(4, bias_initializer="random_normal")])
    smaller = kp.codec.pack(model, tmp_path / "a.kpz", rest="float16")
    assert smaller.bytes < kp.codec.pack(model, tmp_path / "b.kpz").bytes
    bias = keras.ops.convert_to_numpy(model.layers[0].bias)
    found = kp.codec.unpack(tmp_path / "a.kpz")
    np.testing.assert_array_equal(found.layers[0].bias, bias.astype(np.float16).astype(np.float32))
    model.layers[0].bias.assign([1e6, 0, 0, 0])
    with pytest.raises(PruneError, match="65,504"):
        kp.codec.pack(model, tmp_path / "c.kpz", rest="float16")


def test_a_sparse_kernel_without_codes_is_halved_like_a_dense_one(tmp_path):
    model = keras.Sequential([keras.Input((90,)), layers.Dense(90, use_bias=False)])
    kernel = drawn(0, 8100, 0.1, None).reshape(90, 90)
    model.layers[0].kernel.assign(kernel)
    (whole,), (half,) = (
        kp.codec.pack(model, tmp_path / f"{rest}.kpz", bits={}, rest=rest).layers for rest in (None, "float16")
    )
    assert (whole.form, half.form) == ("sparse4", "sparse4")
    assert whole.bytes - half.bytes == 2 * np.count_nonzero(kernel)
    found = kp.codec.unpack(tmp_path / "float16.kpz").layers[0].kernel
    np.testing.assert_array_equal(found, kernel.astype(np.float16).astype(np.float32))


def test_an_export_that_computes_something_else_is_not_written(tmp_path):
    @keras.saving.register_keras_serializable("test")
    class Scaled(layers.Layer):
        scale = 1.0

        def call(self, x):
            return self.scale * x

    model = keras.Sequential([keras.Input((4,)), Scaled()])
    KPZ.write(model, tmp_path / "a.kpz", data=None, size=None, overwrite=False)
    model.layers[0].scale = 2.0  # the config does not say so
    with pytest.raises(PruneError, match="compute the same"):
        KPZ.write(model, tmp_path / "b.kpz", data=None, size=None, overwrite=False)
    assert [file.name for file in tmp_path.iterdir()] == ["a.kpz"]


def test_a_slim_model_of_few_weights_left_is_small(tmp_path):
    model = keras.Sequential([keras.Input((300,)), layers.Dense(300), layers.Dense(10)])
    kernel = model.layers[0].kernel
    kernel.assign(drawn(0, 90_000, 0.08, None).reshape(300, 300))
    table = kp.codec.pack(model, tmp_path / "a.kpz", bits=5)
    assert table.dense_bytes == 4 * model.count_params() and table.compression > 25
    row = table.layers[0]
    assert row.kept < 0.09 * row.weights and row.code_bits <= 5 * row.kept and 16 < row.values <= 32
    assert sum(each.bytes for each in table.layers) < table.bytes


# ---- refusals -----------------------------------------------------------------------------------------------


def small():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="d")])


def test_nothing_is_written_over_and_nothing_half(tmp_path):
    path, model = tmp_path / "a.kpz", small()
    kp.codec.pack(model, path)
    before = path.read_bytes()
    with pytest.raises(PruneError, match="overwrite=True"):
        kp.codec.pack(model, path, bits=2)
    model.layers[0].kernel.assign(np.full((4, 3), np.nan))
    with pytest.raises(PruneError, match="finite.*d/kernel"):
        kp.codec.pack(model, path, overwrite=True)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["a.kpz"]


def test_models_that_would_not_return_are_refused(tmp_path):
    words = layers.StringLookup(vocabulary=["a"])
    for model, match in (
        (keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x)]), "lambda"),
        (keras.Sequential([keras.Input((4,), dtype="string"), words]), "without a vocabulary"),
        (keras.Sequential([layers.Dense(2)]), "not built"),
        ("model", "Load it"),
    ):
        with pytest.raises(PruneError, match=match):
            kp.codec.pack(model, tmp_path / "a.kpz")
    for wrong in ({"start": "none"}, {"rest": "int8"}, {"bits": 9}):
        with pytest.raises(PruneError, match="Invalid"):
            kp.codec.pack(small(), tmp_path / "a.kpz", **wrong)
    sequence = keras.Sequential(
        [keras.Input((3, 2)), layers.Bidirectional(layers.LSTM(2)), layers.BatchNormalization()]
    )
    for key in ("bidirectional", "batch_normalization"):  # nothing would be shared
        with pytest.raises(PruneError, match="kernels of their own: (forward_)?lstm"):
            kp.codec.pack(sequence, tmp_path / "a.kpz", bits={key: 4})
    with pytest.raises(PruneError, match=r"^Expected a model to save"):
        kp.codec.pack(kp.quantization_aware(small()), tmp_path / "a.kpz")
    assert not list(tmp_path.iterdir())


def changed(content, head=lambda text: text, body=lambda text: text):
    """Returns a file with another head or body, whose lengths and checksum are right."""
    import zlib

    end = 12 + int.from_bytes(content[4:8], "little")
    text = head(zlib.decompress(content[12:end]))
    packed = zlib.compress(text)
    whole = content[:4] + len(packed).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    whole += packed + body(content[end:-16])
    return whole + hashlib.blake2b(whole, digest_size=16).digest()


def of_json(change):
    def head(text):
        data = json.loads(text)
        change(data)
        return json.dumps(data).encode()

    return head


def test_files_that_say_what_is_not_so_are_refused(tmp_path):
    path = tmp_path / "a.kpz"
    kp.codec.pack(small(), path)
    good = path.read_bytes()

    def to(place, value):
        return of_json(lambda data: data["entries"][0].__setitem__(place, value))

    def larger(data):
        data["model"]["config"]["layers"][1]["config"]["units"] = 10**8

    cases = {
        b"": "begin", b"PK" + good: "begin", good[:3] + b"\2" + good[4:]: "version 2", good[:-1]: "checksum",
        good[:40] + b"\0" + good[41:]: "checksum", changed(good, body=lambda text: text + b"x"): "more than a model",
        changed(good, body=lambda text: text[:-1]): "shorter than it declares", changed(good, to(2, [4, 4])): "sizes",
        changed(good, to(2, [1 << 30, 1 << 30])): "at most 512 MiB|sizes", changed(good, to(1, "object")): "an entry",
        changed(good, to(3, "none")): "an entry", changed(good, to(5, -1)): "sizes",
        changed(good, to(2, [3, 4])): "others", changed(good, to(2, [12])): "others",
        changed(good, of_json(larger)): "room for", changed(good, of_json(lambda data: data.pop("model"))): "model",
    }  # fmt: skip
    for content, match in cases.items():
        path.write_bytes(content)
        with pytest.raises(PruneError, match=match):
            kp.codec.unpack(path)
    gaps = entry_of("a/kernel", drawn(0, 3000, 0.1, 9), kernel=True)
    fewer = encode(np.zeros(gaps.gaps.count - 1, np.uint16), gaps.values.size)
    path.write_bytes(to_bytes({}, [replace(gaps, codes=fewer)]))
    with pytest.raises(PruneError, match="do not fill"):
        list(arrays_of(read_file(path)[1]))
    path.write_bytes(to_bytes({}, [replace(gaps, gaps=encode(np.zeros(3001, np.uint16), 16))]))
    with pytest.raises(PruneError, match="sizes"):
        read_file(path)
    path.write_bytes(changed(good))
    kp.codec.unpack(path)
    with pytest.raises(PruneError, match="not a file"):
        kp.codec.unpack(tmp_path / "none.kpz")


@pytest.fixture(scope="module")
def mutants():
    """The program that mutates files, as a module."""
    file = Path(__file__).parents[3] / "benchmarks" / "mutated_files.py"
    spec = importlib.util.spec_from_file_location("mutated_files", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.thorough
def test_mutants_are_refused_or_read(mutants):
    assert mutants.run(200, 0, ["packed", "sealed"]) == 0


@pytest.mark.slow
def test_many_mutants_are_refused_or_read(mutants):
    assert mutants.run(10_000, 0, ["packed"]) == 0
    assert mutants.run(2_000, 0, ["sealed"]) == 0


# ---- commands -----------------------------------------------------------------------------------------------


@pytest.mark.experiments
def test_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save("m.keras")

    def invoke(*words):
        result = run_command(words)
        return result.exit_code, result.output

    code, text = invoke("pack", "m.keras", "--out", "m.kpz", "--bits", "dense=2", "--bits", "d=3")
    assert code == 0 and "60 bytes in float32" in text and "d/kernel" in text
    assert invoke("inspect", "m.kpz")[1] == text
    found = json.loads(invoke("inspect", "m.kpz", "--json")[1])
    assert found["bytes"] == Path("m.kpz").stat().st_size and len(found["layers"]) == 2
    assert invoke("unpack", "m.kpz", "--out", "n.keras")[0] == 0
    assert same(keras.saving.load_model("n.keras"), kp.codec.unpack("m.kpz"))
    for words, match in (
        (("pack", "m.keras", "--out", "m.kpz"), "--overwrite"),
        (("pack", "m.keras", "--out", "m.zip"), "end in .kpz"),
        (("pack", "m.keras", "--out", "x.kpz", "--bits", "dense"), "dense"),
        (("unpack", "m.kpz", "--out", "n.keras"), "--overwrite"),
        (("unpack", "m.keras", "--out", "x.keras"), "begin as one"),
        (("unpack", "none.kpz", "--out", "x.keras"), "not a file"),
    ):
        code, text = invoke(*words)
        assert code == 2 and match in text, (words, text)


def test_arrays_of_one_name_are_numbered(tmp_path):
    """In an ensemble of two loaded networks; the model that is unpacked computes the same."""
    inputs, file = keras.Input((6,)), tmp_path / "a.kpz"
    parts = [keras.Sequential([keras.Input((6,)), layers.Dense(4, name="d")], name=name) for name in "ab"]
    model = keras.Model(inputs, layers.Average(name="mean")([part(inputs) for part in parts]))
    table = kp.codec.pack(model, file, bits=8)
    paths = ["d/kernel#1", "d/bias#1", "d/kernel#2", "d/bias#2"]
    assert [each.path for each in table.layers] == [each.path for each in kp.codec.sizes(file).layers] == paths
    x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    again = kp.codec.unpack(file)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_first_weights_are_not_stored_twice(tmp_path):
    """Word vectors that an embedding began with stand in its config, too."""
    vectors = np.random.default_rng(0).normal(size=(200, 16)).astype("float32")
    models = []
    for start in (keras.initializers.Constant(vectors), "zeros"):
        inputs = keras.Input((5,), dtype="int32")
        x = layers.Embedding(200, 16, embeddings_initializer=start, name="words")(inputs)
        models.append(keras.Model(inputs, layers.Dense(2, kernel_initializer="zeros", name="d")(x), name="m"))
    models[1].set_weights(models[0].get_weights())
    files = [tmp_path / "a.kpz", tmp_path / "b.kpz"]
    for model, file in zip(models, files, strict=True):
        kp.codec.pack(model, file, bits={})
        assert same(model, kp.codec.unpack(file))
    sizes = [file.stat().st_size for file in files]
    assert abs(sizes[0] - sizes[1]) < 200
