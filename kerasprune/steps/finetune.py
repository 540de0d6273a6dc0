"""Training as a step: the one loop that slim models are fine-tuned in, and dense ones trained."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from kerasprune._keras import learning_rate_variable, structures, without_schedule
from kerasprune.data.examples import Examples
from kerasprune.defaults import ADAM_RATE, MOMENTUM, OTHER_RATE, RATE, TEACHER_WEIGHT
from kerasprune.errors import warn
from kerasprune.graph.built_model import functional
from kerasprune.steps.objective import Objective
from kerasprune.surgery.compiled import carry_exclusions, unwrapped


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


def optimizer(given: Any, compiled: keras.Optimizer | None, epochs: int, steps: int) -> keras.Optimizer:
    """Returns the optimizer of a fine-tuning.

    Args:
        given: An optimizer, which is taken as it is; or the name of one, whose rate falls from 0.001 by half
            a cosine, SGD's, with momentum 0.9, from 0.01; `None` for one like that of the dense model.
        compiled: What the dense model is compiled with, if it is.
        epochs: Passes over the examples.
        steps: Batches of one pass.
    """
    if isinstance(given, keras.Optimizer):
        return given
    if given is None:
        return like(compiled, epochs, steps)
    made = keras.optimizers.get(given)
    more = {"momentum": MOMENTUM} if isinstance(made, keras.optimizers.SGD) else {}
    return type(made)(half_cosine(RATE if more else OTHER_RATE, epochs, steps), **more)


def like(compiled: keras.Optimizer | None, epochs: int, steps: int, rate: Any = None) -> keras.Optimizer:
    """Returns a new optimizer of the class and the settings of another, without its memory.

    Its rate falls by half a cosine from a tenth of the other's, from 0.01 for SGD, whose momentum is 0.9 if the other
    has none. Averages of the weights, clipping, accumulation, weight decay and the names that it excludes are
    the other's.

    Args:
        compiled: The other one; `None` for SGD.
        epochs: Passes over the examples.
        steps: Batches of one pass.
        rate: Another rate, or schedule. Defaults to `None`.
    """
    old = unwrapped(keras.optimizers.SGD() if compiled is None else compiled)
    sgd = isinstance(old, keras.optimizers.SGD)
    try:
        found = half_cosine(RATE if sgd else _first_rate(old) / 10, epochs, steps) if rate is None else rate
        with without_schedule(old):
            settings = old.get_config()
        if sgd:
            settings["momentum"] = settings["momentum"] or MOMENTUM
        new = type(old).from_config({**settings, "learning_rate": found})
    except Exception as error:  # noqa: BLE001, of anybody's optimizer
        warn(
            f"{type(old).__name__} cannot be made anew from its config ({error}): Adam fine-tunes, from "
            f"{ADAM_RATE}. Give optimizer=, or the class get_config."
        )
        return keras.optimizers.Adam(half_cosine(ADAM_RATE, epochs, steps) if rate is None else rate)
    carry_exclusions(old, new)
    return new


def half_cosine(rate: float, epochs: int, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a rate that falls to 0 by half a cosine."""
    return keras.optimizers.schedules.CosineDecay(rate, max(1, epochs * steps))


def _first_rate(optimizer: keras.Optimizer) -> float:
    """Returns the rate that an optimizer has, or its schedule's first; the highest of one that begins with 0."""
    rate = learning_rate_variable(optimizer)
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return float(optimizer.learning_rate)
    rates = [float(rate(step)) for step in (0, *(10**n for n in range(7)))]
    return rates[0] or max(rates)


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
