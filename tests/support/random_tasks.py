"""Random small tasks for `kp.prune`: a model, its data, and the figure that ranks its outputs, counted by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

BODIES = {"dense": (6,), "cnn": (5, 5, 2), "lstm": (4, 3), "attention": (4, 3)}
KINDS = ("integers", "one_hot", "regression", "two_outputs", "inputs_alone")
LOSSES = {"integers": "sparse_categorical_crossentropy", "one_hot": "categorical_crossentropy"}
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "nadam", "lion", "adagrad")
COUNT, JUDGED = 120, 40
EPOCHS = (2, 4)


@dataclass(frozen=True)
class Task:
    """A model and how `kp.prune` is called with it.

    Args:
        kind: One of `KINDS`.
        model: The dense model.
        data: Inputs, labels and weights of examples, as far as there are any.
        figure: Name of the figure in the rows of the report.
        arguments: Further arguments of `kp.prune`.
    """

    kind: str
    model: keras.Model
    data: tuple[Any, ...]
    figure: str
    arguments: dict[str, Any]

    def check_best(self, place: int, figures: Sequence[float], example: float = 0.0) -> None:
        """Checks that the figure in a place is the best, and better than all before it; none that is not finite is.

        Numbers of right examples are exact, of equals the loss decides, and also if they differ by less than two, where
        the share of one is given. Other figures may differ by rounding.
        """
        right = self.figure == "accuracy"
        worths = np.array([-np.inf if not np.isfinite(each) else each if right else -each for each in figures])
        chosen = worths[place]
        slack = 1.5 * example if right else 1e-5 * abs(chosen) if np.isfinite(chosen) else 0.0
        assert (worths <= chosen + slack).all(), (place, figures)
        assert right or (worths[:place] < chosen + slack).all(), (place, figures)

    def of(self, model: keras.Model, data: tuple[Any, ...]) -> float:
        """Returns the figure of a model on some examples; NaN if its outputs are."""
        outputs, dense = (
            [each.astype("float64") for each in keras.tree.flatten(one.predict_on_batch(data[0]))]
            for one in (model, self.model)
        )
        if any(np.isnan(each).any() for each in outputs):
            return np.nan
        if self.figure == "error":
            wrong = np.concatenate([((a - b) ** 2).sum(0) for a, b in zip(outputs, dense, strict=True)])
            spread = np.concatenate([((b - b.mean(0)) ** 2).sum(0) for b in dense])
            return max(wrong.sum() / spread.sum(), np.minimum(wrong / spread, 1).mean())
        labels = data[1] if self.kind == "two_outputs" else [data[1]]
        if self.figure == "accuracy":
            return float((outputs[0].argmax(-1) == classes(labels[0])).mean())
        if self.figure != "loss":  # the mean absolute error of the first output
            return float(np.abs(outputs[0] - labels[0]).mean())
        if self.kind in LOSSES:
            each = -np.log(np.take_along_axis(outputs[0], classes(labels[0])[:, None], -1)[:, 0])
        else:
            each = sum(((a - y) ** 2).mean(-1) for a, y in zip(outputs, labels, strict=True))
        return float((each * (data[2] if len(data) > 2 else 1)).mean())


def classes(labels: np.ndarray) -> np.ndarray:
    """Returns the numbers of classes, given as such or as one-hot vectors."""
    return labels if labels.ndim == 1 else labels.argmax(-1)


def random_task(seed: int, kind: str = "", body: str = "") -> Task:
    """Returns the task of a seed: all kinds in turn, everything else at random.

    Args:
        seed: The seed.
        kind: One of `KINDS` instead.
        body: One of `BODIES` instead.
    """
    random = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    body = body or str(random.choice(list(BODIES)))
    metric = kind != "inputs_alone" and random.random() < 0.7
    keras.utils.set_random_seed(seed)
    model = _model(body, kind)
    if kind != "inputs_alone" or random.random() < 0.5:
        model.compile(
            str(random.choice(OPTIMIZERS)),
            LOSSES.get(kind, "mse"),
            metrics=_metrics(kind) if metric else None,
            run_eagerly=bool(random.random() < 0.5),
        )
    arguments = {
        "epochs": int(random.integers(*EPOCHS, endpoint=True)),
        "batch": int(random.choice([16, 50])),
        "distil": bool(kind == "inputs_alone" or random.random() < 0.5),
        "reconstruct": bool(random.random() < 0.5),
        "optimizer": random.choice([None, keras.optimizers.SGD(1.0), keras.optimizers.Adam(0.3)]),
    }
    data = examples(random, body, kind, weights=str(random.choice(["none", "none", "examples", "classes"])))
    if random.random() < 0.5:
        arguments["validation"] = keras.tree.map_structure(lambda x: x[:JUDGED], data)
        data = keras.tree.map_structure(lambda x: x[JUDGED:], data)
    figure = "error" if kind == "inputs_alone" else _figure(kind) if metric else "loss"
    return Task(kind, model, data, figure, arguments)


def _model(body: str, kind: str) -> keras.Model:
    inputs = x = keras.Input(BODIES[body])
    if body == "cnn":
        x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(x))
        x = layers.GlobalAveragePooling2D()(x)
    elif body == "lstm":
        x = layers.LSTM(8)(x)
    elif body == "attention":
        x = layers.Dense(8)(x)
        x = layers.GlobalAveragePooling1D()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.Dropout(0.1)(layers.Dense(12, activation="relu")(x))
    if kind == "two_outputs":
        return keras.Model(inputs, [layers.Dense(2, name="first")(x), layers.Dense(1, name="second")(x)])
    return keras.Model(inputs, layers.Dense(3, activation="softmax" if kind in LOSSES else None)(x))


def _metrics(kind: str) -> Any:
    return ["accuracy"] if kind in LOSSES else [["mae"], ["mse"]] if kind == "two_outputs" else ["mae", "mse"]


def _figure(kind: str) -> str:
    return "accuracy" if kind in LOSSES else "first_mae" if kind == "two_outputs" else "mae"


def examples(random: np.random.Generator, body: str, kind: str, weights: str) -> tuple[Any, ...]:
    """Returns inputs, noisy labels of a linear map of them, and weights of the examples, if there are to be any.

    Args:
        random: The random numbers.
        body: One of `BODIES`.
        kind: One of `KINDS`.
        weights: `"none"`, `"examples"`: any; or `"classes"`: the same for all of a class.
    """
    x = random.normal(size=(COUNT, *BODIES[body])).astype("float32")
    flat = x.reshape(COUNT, -1)
    values = flat @ random.normal(size=(flat.shape[1], 3)) + random.normal(size=(COUNT, 3))
    values = (values / values.std()).astype("float32")
    if kind == "inputs_alone":
        return (x,)
    numbers = values.argmax(-1)
    labels = {"integers": numbers, "one_hot": np.eye(3, dtype="float32")[numbers]}.get(kind, values)
    if kind == "two_outputs":
        return x, [values[:, :2], values[:, 2:]]
    if weights == "none":
        return x, labels
    shares = random.uniform(0.2, 3, COUNT) if weights == "examples" else random.uniform(0.2, 3, 3)[numbers]
    return x, labels, shares.astype("float32")
