"""SNIP: LSTM-s at 95 % sparsity compared with the dense one, on digits read row by row."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.datasets import load_digits

from kerasprune.callbacks import HoldMask
from kerasprune.models import get
from kerasprune.recipes.reproductions.entry import Note, PairedRow, Row, TrainingEntry
from kerasprune.training.sparsity.at_initialisation import prune_at_init

KEEP, PAPER = 0.05, -0.31  # table 2: change of the error in points
SEEDS, EPOCHS, BATCH, RATE = 3, 40, 32, 3e-3
TEST, SCORED = 1000, 100
KNOWN = "797 images and 1,000 steps; the paper has 60,000 images. After 3,000 steps one seed is 2.5 points better."

Examples = tuple[np.ndarray, np.ndarray]


@TrainingEntry
def snip_lstm() -> list[Row]:
    """Returns the change of the error, and both errors.

    Reference:
        Lee et al., SNIP: Single-Shot Network Pruning Based on Connection Sensitivity, ICLR 2019, table 2.
    """
    training, test = examples()
    errors = np.array([[error(seed, keep, training, test) for keep in (1.0, KEEP)] for seed in range(SEEDS)])
    printed = dict(zip(("dense", "95 % sparsity"), ("1.88 %", "1.57 %"), strict=True))
    notes = [
        Note(f"Table 2, LSTM-s, error, {what}", figure, f"{mean:.2f} %")
        for (what, figure), mean in zip(printed.items(), errors.mean(0), strict=True)
    ]
    return [PairedRow("Table 2, LSTM-s, change of the error", PAPER, errors[:, 1] - errors[:, 0], KNOWN), *notes]


def examples() -> tuple[Examples, Examples]:
    """Returns images of 16×16 in [0, 1] with their labels, for training and for the test."""
    images, labels = load_digits(return_X_y=True)
    images = np.kron(images.reshape(-1, 8, 8, 1) / 16, np.ones((1, 2, 2, 1))).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[:-TEST], labels[:-TEST]), (images[-TEST:], labels[-TEST:])


def error(seed: int, keep: float, training: Examples, test: Examples, epochs: int = EPOCHS) -> float:
    """Returns the error on the test in per cent after a training, of a fraction of the weights if it is below 1."""
    keras.utils.set_random_seed(seed)
    images, labels = training
    model = get({"name": "lstm_rows", "input_shape": images.shape[1:], "seed": seed})
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(images) // BATCH))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    callbacks = []
    if keep < 1:
        scored = [(images[:SCORED], labels[:SCORED])]
        callbacks = [HoldMask(prune_at_init(model, "snip", keep=keep, data=scored))]
    model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return 100 * (1 - model.evaluate(*test, verbose=0)[1])
