"""Remedies of the search for the smallest allowed model that are followed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import kerasprune as kp
from support.remedies.networks import TWO, X, dense, prune
from support.remedies.places import Case
from support.remedies.recipes import command, files

SETTINGS, SMALLEST, FLOORS, FIGURES, SEARCH_FIGURES = (
    f"steps/{name}.py" for name in ("search_settings", "smallest", "class_floors", "judged_figures", "search_figures")
)


def known() -> keras.Model:
    """Returns the classifier with metrics, after some epochs."""
    model = dense(units=16)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, X.argmax(1) // 2, epochs=60, verbose=0)
    return model


LABELLED = X, X.argmax(1) // 2


def search(model: keras.Model | None = None, data: Any = LABELLED, max_drop: float | None = 0.5, **given: Any) -> Any:
    """Searches, without training."""
    how = {"epochs": 0, "plan": {"round_to": 1}, "trials": 1, "validation": data, "verbose": 0}
    how |= {"verify": False, "reconstruct": False}
    return kp.smallest(model or known(), data, max_drop, **how | given)


def spoiled() -> keras.Model:
    """Returns a model whose loss is 0: a regressor that is right."""
    model = dense("mean_squared_error", activation=None)
    model.layers[-1].set_weights([np.zeros((8, 3)), np.zeros(3)])
    return model


def undirected() -> keras.Model:
    """Returns the classifier with a metric of the user's that does not say whether more is better."""
    model = known()

    def gap(labels: Any, outputs: Any) -> Any:
        return keras.ops.max(outputs, axis=-1)

    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", gap])
    return model


def share_right(model: keras.Model, validation: Any) -> float:
    """Returns the accuracy."""
    x, y = validation
    return float(np.mean(model.predict(x, verbose=0).argmax(1) == y))


def swapped(labels: Any, outputs: Any) -> float:
    """Returns the accuracy, with the arguments in scikit-learn's order."""
    return float(np.mean(outputs.argmax(1) == labels))


def batches() -> Any:
    """Returns the labelled examples as a data set."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(LABELLED).batch(16)


def without_last() -> tuple[np.ndarray, np.ndarray]:
    """Returns examples of two classes."""
    rows = LABELLED[1] < 2
    return X[rows], LABELLED[1][rows]


def allowed(*words: Any) -> Any:
    """Searches on the command line."""
    files(known(), *LABELLED)
    asked = ("--data", "mine.npz", "--max-drop", 0.5, "--trials", 1, "--round-to", 1, "--finetune-epochs", 0)
    return command("prune", "mine.keras", *asked, "--out", "out", "--quiet", *words)


@keras.saving.register_keras_serializable("remedies")
def worst(labels: Any, outputs: Any) -> Any:
    """Returns the loss of the example that is furthest off in its batch."""
    return keras.ops.max((keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), 3) - outputs) ** 2)


ZEROS = X, np.zeros((64, 3), "float32")
IN_ZEROS = {"data": ZEROS, "drop_type": "absolute"}

CASES = [
    Case(SETTINGS, "Leave table out", lambda: search(table="phone.csv"), search, thorough=True),
    Case(
        "steps/prune.py",
        "or leave deliver out",
        lambda: prune(known(), data=X, deliver=share_right),
        lambda: [prune(known(), data=LABELLED, deliver=share_right), prune(known(), data=X)],
    ),
    Case(
        "steps/settings.py",
        "the first metric chooses",
        lambda: prune(known(), data=LABELLED, deliver=keras.metrics.SparseCategoricalAccuracy()),
        lambda: prune(known(), data=LABELLED),
    ),
    Case(SETTINGS, "data=None. Give data=(x, y)", lambda: search(data=None), search, thorough=True),
    Case(
        SMALLEST,
        "Give another folder",
        lambda: [search(folder="one", max_drop=limit) for limit in (0.5, 0.4)],
        lambda: [search(folder=f"at {limit}", max_drop=limit) for limit in (0.5, 0.4)],
        thorough=True,
    ),
    Case(
        SEARCH_FIGURES,
        "Expected labels and a loss",
        lambda: search(data=X),
        lambda: search(data=X, max_drop=None, max_error=0.9),
        thorough=True,
    ),
    Case(
        SEARCH_FIGURES,
        "without labels agreement=",
        lambda: search(dense(None), TWO),
        lambda: search(dense(None), TWO, loss="sparse_categorical_crossentropy"),
        thorough=True,
    ),
    Case(
        SEARCH_FIGURES,
        "and its groups",
        lambda: search(groups=range(3)),
        lambda: search(groups=np.arange(64) // 4),
        thorough=True,
    ),
    Case(
        SEARCH_FIGURES,
        "drop_type='absolute'",
        lambda: search(spoiled(), ZEROS),
        lambda: search(spoiled(), **IN_ZEROS),
        thorough=True,
    ),
    Case(
        FLOORS,
        "or leave it out of floor",
        lambda: search(data=without_last(), floor={2: 0.1}),
        lambda: search(data=without_last(), floor={1: 0.1}),
        thorough=True,
    ),
    Case(
        FLOORS,
        "or train the model further",
        lambda: search(dense(), floor={"0": 1.0, "1": 1.0}),
        lambda: search(floor={"0": 0.1}),
        thorough=True,
    ),
    Case(
        FLOORS,
        "Leave floor out",
        lambda: search(spoiled(), **IN_ZEROS, floor={"0": 0.1}),
        lambda: search(spoiled(), **IN_ZEROS),
        thorough=True,
    ),
    Case(
        FLOORS, 'Write {"3": 0.95}', lambda: search(floor={"cat": 0.1}), lambda: search(floor={"1": 0.1}), thorough=True
    ),
    Case(
        FIGURES,
        "Give another as metric=",
        lambda: search(dense(worst)),
        lambda: search(dense(worst), metric=share_right),
        thorough=True,
    ),
    Case(
        FIGURES,
        "which does not",
        lambda: search(undirected(), metric="gap"),
        lambda: search(undirected(), metric=share_right),
        thorough=True,
    ),
    Case(
        FIGURES,
        "Check it on the dense model",
        lambda: search(metric=swapped),
        lambda: search(metric=share_right),
        thorough=True,
    ),
    Case(
        SETTINGS,
        "Compile the model with it",
        lambda: search(metric=keras.metrics.SparseCategoricalAccuracy()),
        lambda: search(metric="accuracy"),
        thorough=True,
    ),
    Case(
        SEARCH_FIGURES,
        "Leave .shuffle() and random changes out",
        lambda: search(validation=batches().unbatch().shuffle(64).batch(16), groups=np.arange(64) // 4),
        lambda: search(validation=batches(), groups=np.arange(64) // 4),
        thorough=True,
    ),
    Case("cli/prune.py", "or how much is kept", lambda: allowed("--macs", 0.5), allowed, thorough=True),
]
CANNOT_BE_RUN: list[tuple[str, str]] = []
