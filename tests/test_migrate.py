"""What tensorflow-model-optimization is used for, done here: weights, PolynomialDecay, the size in gzip."""

from __future__ import annotations

import gzip
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasprune as kp


def test_weights_polynomial_decay_and_the_size_in_gzip(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(200), keras.layers.Dense(10)])
    before = kp.export.tflite(model, tmp_path / "dense.tflite")
    schedule = kp.schedules.PolynomialDecay(0.5, 0.8, begin_step=0, end_step=10, frequency=5)
    gradual = kp.callbacks.GradualMagnitude(schedule)
    model.compile("adam", "mse")
    model.fit(np.ones((96, 40)), np.ones((96, 10)), batch_size=8, verbose=0, callbacks=[gradual])
    for layer in model.layers:  # each its own fifth, and nothing to strip
        assert np.count_nonzero(layer.kernel) == layer.kernel.shape[0] * layer.kernel.shape[1] // 5
    after = kp.export.tflite(model, tmp_path / "sparse.tflite")
    assert abs(after.bytes - before.bytes) < 1000 and after.gzip_bytes < 0.4 * before.gzip_bytes
    assert abs(after.gzip_bytes - len(gzip.compress(after.path.read_bytes()))) < 50
    assert f"{after.gzip_bytes / 1e3:.1f} kB in gzip" in str(after)


@pytest.mark.parametrize(
    "name",
    [
        "prune_low_magnitude",
        "UpdatePruningStep",
        "PruningSummaries",
        "strip_pruning",
        "quantize_model",
        "quantize_apply",
    ],
)
def test_names_of_tensorflow_model_optimization_point_to_the_page(name):
    with pytest.raises(AttributeError, match="docs/migrate.md"):
        getattr(kp, name)
    assert f"{name}(" in (Path(__file__).parent.parent / "docs" / "migrate.md").read_text()
