"""The sizes of AlexNet and VGG-16: against counted fillers, a written file, known networks; entropies and factors."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.export.codec.gaps import Gaps
from kerasprune.papers.deep_compression.figures import factorised, symbol_bits
from kerasprune.papers.deep_compression.imagenet_sizes import NETWORKS, PublishedLayer
from kerasprune.recipes.reproductions import entry as entries


@pytest.mark.parametrize(("kind", "density"), [("dense", 0.04), ("dense", 0.3), ("conv", 0.01)])
def test_fixed_bytes_are_those_of_counted_fillers(kind, density):
    layer = PublishedLayer(kind, 2_000_000, density, 7)
    places = np.flatnonzero(np.random.default_rng(0).random(layer.weights) < density)
    symbols, _ = Gaps(layer.bits, True).symbols(places)
    counted = symbols.size * 2 * layer.bits / 8 + 4 * (2**layer.bits + 7)
    assert layer.fixed_bytes() == pytest.approx(counted, rel=0.01)


def test_coded_bytes_are_those_of_a_file(tmp_path):
    layer = PublishedLayer("dense", 300 * 100, 0.1, 100)
    values = np.sort(np.abs(kernel := np.random.default_rng(0).standard_normal((300, 100), np.float32)).ravel())
    kernel[np.abs(kernel) < values[27_000]] = 0
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(100)])
    model.layers[0].set_weights([kernel, np.zeros(100)])
    table = kp.codec.pack(model, tmp_path / "model.kpz", bits=5)
    assert table.layers[0].kept == 3000 and sum(each.bytes for each in table.layers) == layer.coded_bytes()


def test_the_networks_have_their_parameters():
    found = {name: sum(each.weights + each.biases for each in layers) for name, layers in NETWORKS.items()}
    assert found == {"AlexNet": 60_965_224, "VGG-16": 138_357_544}


@pytest.mark.thorough
def test_the_entry_differs_only_in_what_drawn_weights_cost():
    outcome = entries.reproduce("deep-compression")
    assert outcome.verdict == "agrees, 2 of 12 rows differ as said"
    drawn = [row for row in outcome.rows if not row.agrees]
    assert all("drawn" in row.what and row.paper < row.ours < 1.15 * row.paper for row in drawn)


def chain(*shapes):
    """A network of dense layers with weights that are drawn."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(units, activation="relu") for units in shapes[1:]]
    return keras.Sequential([keras.Input(shapes[:1]), keras.layers.Flatten(), *layers])


def test_huffman_codes_are_within_a_bit_of_the_entropy():
    model = chain(200, 100, 10)
    draw = np.random.default_rng(0)
    weights = [np.where(draw.random(w.shape) < 0.1, draw.integers(1, 20, w.shape) ** 2, 0) for w in model.get_weights()]
    model.set_weights(weights)
    found = symbol_bits(model)
    assert len(found) == 2
    for bits in found.values():
        for kind in ("code", "gap"):
            assert bits[f"{kind}, entropy"] <= bits[f"{kind}, coded"] <= bits[f"{kind}, entropy"] + 1.1
            assert bits[f"{kind}, coded"] <= bits[kind]
    code = weights[0][weights[0] > 0]
    shares = [np.mean(code == value) for value in set(code.tolist())]
    assert next(iter(found.values()))["code, entropy"] == pytest.approx(-sum(p * np.log2(p) for p in shares))


def test_factors_of_full_rank_are_the_network_and_small_ones_have_few_numbers():
    model, x = chain(12, 8, 6, 3), np.random.default_rng(0).standard_normal((5, 12)).astype("float32")
    full = factorised(model, 1.75)  # 8 of 12 · 8 and 6 of 8 · 6
    np.testing.assert_allclose(full.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    small = factorised(model, 0.5)  # ranks 2 and 2
    assert small.count_params() == 2 * (12 + 8) + 8 + 2 * (8 + 6) + 6 + 6 * 3 + 3
