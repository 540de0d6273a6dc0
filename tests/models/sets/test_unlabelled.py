"""Inputs without labels that calibrate an export."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerasprune.models.sets.unlabelled import read_unlabelled

X = np.arange(12, dtype="float32").reshape(6, 2)
Y = np.arange(6)


@pytest.mark.parametrize(
    "found",
    [
        {"x": X},
        {"x": X, "y": Y},
        {"x_train": X, "y_train": Y, "x_test": X + 100, "y_test": Y},
        {"x_val": X + 100, "x_train": X},
        {"x": X, "y_val": Y, "y_kind": Y},  # outputs of these names
    ],
    ids=lambda found: " ".join(found),
)
def test_the_training_inputs_of_a_file_are_taken(found, tmp_path):
    np.savez(tmp_path / "x.npz", **found)
    batches = read_unlabelled(tmp_path / "x.npz", [keras.Input((2,), name="numbers")])
    assert np.array_equal(np.concatenate([np.asarray(batch) for batch in batches]), X)
