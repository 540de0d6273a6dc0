"""Training: the loop that fine-tunes slim models and trains dense ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from typing import Any

import keras

from kerasprune._keras import inner_layers, own_weights, structures
from kerasprune.backend.devices import with_remainders
from kerasprune.backend.tracing import traced_for_each_model
from kerasprune.criteria.data_checks import explain_errors
from kerasprune.data.examples import Examples
from kerasprune.data.stored_rows import ShuffledRows, StoredRows
from kerasprune.defaults import ADAM_RATE, MOMENTUM, OTHER_RATE, RATE, TEACHER_WEIGHT
from kerasprune.errors import PruneError, first_of, warn
from kerasprune.graph.built_model import body_of
from kerasprune.steps.objective import Objective
from kerasprune.surgery.compiled import carry_exclusions, first_rate, fresh_optimizer, inner_optimizer, safe_options
from kerasprune.surgery.output_kind import gives_class_numbers
from kerasprune.training.fit import release_on_failure


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
    """Trains the weights of a model, which is not compiled itself.

    Args:
        model: The model.
        training: Training examples.
        objective: Loss and metrics.
        optimizer: An unused optimizer.
        epochs: Number of epochs.
        twin: A model over the same layers, which is compiled and fitted instead. Defaults to a new one, so that a
            saved model contains neither optimizer nor loss.
        validation: Validation examples. Defaults to `None`.
        callbacks: Callbacks of `fit`. Defaults to none.
    """
    twin = twin or keras.Model(*structures(body_of(model)), name=model.name)
    replace(objective, options=safe_options(twin, objective.options)).compile(twin, optimizer)
    beside = {} if validation is None else validation.validation_arguments()
    with explain_errors(twin, training), traced_for_each_model(), with_remainders(), release_on_failure(twin):
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

    Arrays become batches of one size, as those of a `.npz` file; the remainder of an epoch is dropped. Batches keep
    their order. Without TensorFlow arrays are not changed, and `fit` shuffles them.

    Args:
        examples: The examples.
        seed: Determines the order.
    """
    if isinstance(examples.data, StoredRows):
        return Examples(ShuffledRows(examples.data, seed), examples.batch, fixed=examples.fixed)
    if not examples.arrays or find_spec("tensorflow") is None:
        return examples
    from kerasprune.data.arrays import batches_of

    data = examples.data if isinstance(examples.data, tuple) else (examples.data,)
    return Examples(batches_of(data, examples.batch, seed), examples.batch, fixed=examples.fixed)


def check_trainable(model: keras.Model) -> None:
    """Warns of the frozen weights of a model that is to be fine-tuned.

    Raises:
        PruneError: All are frozen, or no output has gradients.
    """
    if gives_class_numbers(model):
        raise PruneError(
            f"Expected outputs with gradients to train for. Received: those of {model.name!r}, all class numbers. "
            "Prune the model that ends before them, or leave epochs=0."
        )
    layers = [layer for layer in inner_layers(model) if own_weights(layer) and not layer.trainable]
    if not model.trainable_variables and layers:
        raise PruneError(
            f"Expected weights to fine-tune. Received: {model.name!r}, all of whose layers are frozen. Set "
            "layer.trainable = True for layers in model.layers, or do not fine-tune."
        )
    kernels = [v for v in model.weights if len(v.shape) > 1]
    frozen = sum(prod(v.shape) for v in kernels if not v.trainable) / max(sum(prod(v.shape) for v in kernels), 1)
    if layers and frozen:
        warn(
            f"{frozen:.0%} of the weights in kernels are frozen, those of {first_of([x.name for x in layers])}: only "
            "the others are fine-tuned to make up for the channels that go. Set layer.trainable = True for all."
        )


def teacher_weight(labelled: bool) -> float:
    """Returns the share of the teacher in the loss of fine-tuning; 1 without labels."""
    return TEACHER_WEIGHT if labelled else 1.0


def optimizer(
    given: Any,
    compiled: keras.Optimizer | None,
    epochs: int,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.Optimizer:
    """Returns the optimizer of a fine-tuning.

    Args:
        given: An optimizer, which is returned unchanged; a name: the rate falls by half a cosine from 0.001 (SGD: from
            0.01, with momentum 0.9); or `None` for one like that of the dense model.
        compiled: The optimizer of the dense model, or `None`.
        epochs: Number of epochs.
        steps: Batches per epoch.
        callbacks: Callbacks of the fit; if one of them sets the rate, the optimizer's is constant. Defaults to none.
    """
    if isinstance(given, keras.Optimizer):
        return given
    setters = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau
    rates = _constant if any(isinstance(each, setters) for each in callbacks) else half_cosine
    if given is None:
        return like(compiled, epochs, steps, rates=rates)
    made = keras.optimizers.get(given)
    more = {"momentum": MOMENTUM} if isinstance(made, keras.optimizers.SGD) else {}
    return type(made)(rates(RATE if more else OTHER_RATE, epochs, steps), **more)


def half_cosine(rate: float, epochs: int, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a rate that falls to 0 by half a cosine."""
    return keras.optimizers.schedules.CosineDecay(rate, max(1, epochs * steps))


def _constant(rate: float, _epochs: int, _steps: int) -> float:
    return rate


def like(
    compiled: keras.Optimizer | None,
    epochs: int,
    steps: int,
    rate: Any = None,
    rates: Callable[[float, int, int], Any] = half_cosine,
) -> keras.Optimizer:
    """Returns a new optimizer of the class and the settings of another, without its state.

    The rate falls by half a cosine from a tenth of the other's, for SGD from 0.01; the momentum of SGD is 0.9 if the
    other has none. All other settings, including variables excluded from weight decay, are the other's.

    Args:
        compiled: The other optimizer; `None` for SGD.
        epochs: Number of epochs.
        steps: Batches per epoch.
        rate: A rate or schedule instead. Defaults to `None`.
        rates: `(first, epochs, steps) -> rate`: how the rate falls otherwise. Defaults to half a cosine.
    """
    old = inner_optimizer(keras.optimizers.SGD() if compiled is None else compiled)
    sgd = isinstance(old, keras.optimizers.SGD)
    try:
        found = rates(RATE if sgd else first_rate(old) / 10, epochs, steps) if rate is None else rate
        new = fresh_optimizer(old, learning_rate=found, **({"momentum": old.momentum or MOMENTUM} if sgd else {}))
    except Exception as error:  # noqa: BLE001, an optimizer may be anyone's
        warn(f"{type(old).__name__} cannot be made anew ({error}): Adam fine-tunes, from {ADAM_RATE}. Give optimizer=.")
        return keras.optimizers.Adam(rates(ADAM_RATE, epochs, steps) if rate is None else rate)
    carry_exclusions(old, new)
    return new
