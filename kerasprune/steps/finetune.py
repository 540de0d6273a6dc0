"""Training as a step: the one loop that slim models are fine-tuned in, and dense ones trained."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from kerasprune._keras import structures
from kerasprune.data.examples import Examples
from kerasprune.defaults import MOMENTUM, OTHER_RATE, RATE, TEACHER_WEIGHT
from kerasprune.graph.built_model import functional
from kerasprune.steps.objective import Objective


def fit(
    model: keras.Model,
    training: Examples,
    objective: Objective,
    optimizer: keras.Optimizer,
    epochs: int,
    *,
    twin: keras.Model | None = None,
    validation: Examples | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains the weights of a model; the model itself stays as it is, not compiled.

    Args:
        model: The model.
        training: What it is trained on.
        objective: Loss and metrics.
        optimizer: An optimizer that has trained nothing yet.
        epochs: Number of passes over the examples.
        twin: What is compiled and fitted in its place, over the same layers. Defaults to a model of its own, so that
            what is saved later holds neither optimizer nor loss.
        validation: What every epoch is judged on. Defaults to `None`.
        callbacks: Callbacks of `fit`. Defaults to none.
    """
    twin = twin or keras.Model(*structures(functional(model)), name=model.name)
    objective.compile(twin, optimizer)
    beside = {} if validation is None else validation.validation_arguments()
    twin.fit(
        **training.fit_arguments(),
        **beside,
        epochs=epochs,
        shuffle=training.reorders,
        verbose=0,
        callbacks=list(callbacks),
    )


def to_train_on(examples: Examples, seed: int) -> Examples:
    """Returns examples in an order that is a function of the seed and the epoch.

    Arrays become batches of one size, as those of a file of arrays are; the remainder of an epoch is left out. Batches
    keep their order. Without TensorFlow arrays stay as they are, and `fit` shuffles them.

    Args:
        examples: The examples.
        seed: Decides the order.
    """
    if not examples.arrays or find_spec("tensorflow") is None:
        return examples
    from kerasprune.data.arrays import batches_of

    data = examples.data if isinstance(examples.data, tuple) else (examples.data,)
    return Examples(batches_of(data, examples.batch, seed), examples.batch)


def teacher_weight(labelled: bool) -> float:
    """Returns the share of the dense model in the loss of fine-tuning; all of it without labels."""
    return TEACHER_WEIGHT if labelled else 1.0


def optimizer(given: Any, epochs: int, steps: int) -> keras.Optimizer:
    """Returns the optimizer of a fine-tuning.

    Args:
        given: An optimizer, which is taken as it is; or the name of one, whose rate falls from 0.001 by half
            a cosine; `None` for SGD with momentum 0.9, from 0.01.
        epochs: Passes over the examples.
        steps: Batches of one pass.
    """
    if isinstance(given, keras.Optimizer):
        return given
    made = keras.optimizers.get("sgd" if given is None else given)
    more = {"momentum": MOMENTUM} if isinstance(made, keras.optimizers.SGD) else {}
    schedule = keras.optimizers.schedules.CosineDecay(RATE if more else OTHER_RATE, max(1, epochs * steps))
    return type(made)(schedule, **more)


def seed_layers(model: keras.Model, seed: int) -> None:
    """Sets the global seeds, and those of the random layers of a model by their place.

    A layer made anew, or loaded, draws from a seed of its own: so two models of the same weights would be trained with
    other dropout.

    Args:
        model: The model whose layers are seeded.
        seed: The seed.
    """
    keras.utils.set_random_seed(seed)
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name == "seed_generator_state":
            variable.assign(np.array([generator.integers(2**31), 0], "uint32"))
