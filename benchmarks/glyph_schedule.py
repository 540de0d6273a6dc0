"""A short training on glyphs of 16×16, shared by several experiments: 10,000 images, six epochs.

SGD 0.05 with momentum 0.9, a cosine after 100 steps of warm-up, batch 64. Scores see 10 images of each class.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DATA, SIZE, BATCH, EPOCHS, RATE, WARM_UP, CLASSES, PER_CLASS = "glyphs/small", 16, 64, 6, 0.05, 100, 36, 10


def scoring_data(seed: int, name: str = DATA, classes: int = CLASSES) -> list:
    """Returns one batch with as many training images of every class."""
    import numpy as np

    import kerasprune as kp

    images, labels = [], []
    for x, y in kp.data.load(name, size=SIZE, batch=500, seed=seed):
        images.append(np.asarray(x))
        labels.append(np.asarray(y))
        found = np.concatenate(labels)
        if min(np.bincount(found, minlength=classes)) >= PER_CLASS:
            break
    at = np.concatenate([np.flatnonzero(found == each)[:PER_CLASS] for each in range(classes)])
    return [(np.concatenate(images)[at], found[at])]


def cross_entropy():
    """Returns the loss, on logits."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model, seed: int, callbacks: list, name: str = DATA, batch: int = BATCH, epochs: int = EPOCHS) -> None:
    """Trains a network by the one schedule."""
    import keras

    import kerasprune as kp

    train = kp.data.load(name, size=SIZE, batch=batch, augment="crop", seed=seed)
    steps = epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - WARM_UP, warmup_target=RATE, warmup_steps=WARM_UP)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), cross_entropy())
    model.fit(train, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    model.compile(loss=cross_entropy(), metrics=["sparse_categorical_accuracy"])
    return 100 * model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"]
