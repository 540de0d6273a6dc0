"""The objective of a training: a loss, metrics, and the other options of `compile`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import keras

from kerasprune._keras import compile_arguments
from kerasprune.errors import Key, PruneError
from kerasprune.graph.built_model import body_of
from kerasprune.surgery.compiled import fresh
from kerasprune.surgery.output_kind import kind_of

# Losses by name; the last activation of the model determines whether of logits or of probabilities.
CROSS_ENTROPIES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
}
OPTIONS = ("loss_weights", "weighted_metrics", "run_eagerly", "jit_compile")
"""Further arguments of `compile` that are read from a file; not `steps_per_execution`, since runs act at every step."""


@dataclass(frozen=True)
class Objective:
    """The arguments of `compile` without the optimizer.

    Args:
        loss: A loss of Keras, its name, or these by output. Defaults to `None`: labels are not used.
        metrics: Metrics, names, or lists of these by output. Defaults to none.
        options: Further arguments of `compile`. Defaults to none.
        label_smoothing: ε, for a cross-entropy of classes. Defaults to 0.0.
    """

    loss: Any = None
    metrics: Any = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    label_smoothing: float = 0.0

    def compile(self, model: keras.Model, optimizer: Any = "sgd") -> keras.Model:
        """Compiles a model, with new metrics, and returns it.

        Raises:
            PruneError: Keras does not know the loss or a metric, or its labels cannot be smoothed.
        """
        given = {**self.options, "metrics": self.metrics or None}
        given |= {name: fresh(given[name]) for name in ("metrics", "weighted_metrics") if given.get(name)}
        try:
            keras.tree.map_structure(keras.losses.get, self.loss)  # Keras itself looks a name up at the first step only
            model.compile(optimizer, loss=self._smoothed(), **given)
        except PruneError:
            raise
        except (ValueError, TypeError) as error:
            raise unknown_objective(self.loss, error) from error
        return model

    def _smoothed(self) -> Any:
        if not self.label_smoothing:
            return self.loss
        from kerasprune.training.distillation.label_smoothing import smooth_labels  # of few recipes

        return smooth_labels(self.loss, self.label_smoothing)


def of_model(model: keras.Model, loss: Any = None, body: keras.Model | None = None) -> Objective:
    """Returns the objective that a model is compiled with.

    Args:
        model: The model; one that is not compiled has no metrics.
        loss: Another loss, or the name of one. Defaults to the compiled one.
        body: The model written out, if it has no graph. Defaults to the model.
    """
    compiled = compile_arguments(model) if model.compiled else {}
    options = {name: value for name, value in compiled.items() if name not in ("optimizer", "loss", "metrics")}
    if loss is None:
        return Objective(compiled.get("loss"), compiled.get("metrics") or (), options)
    return by_name(loss, body or model, compiled.get("metrics") or (), options)


def of_config(config: Mapping[str, Any], model: keras.Model, loss: str | None = None) -> Objective | None:
    """Returns the compiled objective of a `.keras` file; `None` if it is not compiled and no loss is given.

    Args:
        config: The `compile_config` of the file, may be empty.
        model: The model of the file.
        loss: The name of another loss. Defaults to `None`: that of the file.

    Raises:
        PruneError: Keras does not know the loss or a metric, and no other loss is given.
    """
    if loss is None and not config.get("loss"):
        return None
    read = keras.saving.deserialize_keras_object
    try:
        metrics = read(config.get("metrics")) or ()
        options = {name: read(config[name]) for name in OPTIONS if config.get(name) is not None}
        found = Objective(read(config.get("loss")), metrics, options)
    except (ValueError, TypeError) as error:
        if loss is None:
            raise unknown_objective(config["loss"], error) from error
        return by_name(loss, model)
    return found if loss is None else by_name(loss, model, metrics, options)


def classification(model: keras.Model) -> Objective:
    """Returns sparse categorical cross-entropy and accuracy."""
    return by_name("sparse_categorical_crossentropy", model)


def by_name(
    loss: Any, model: keras.Model, metrics: Any = (), options: Mapping[str, Any] = MappingProxyType({})
) -> Objective:
    """Returns the objective of a loss; a loss given by name takes logits unless the model ends in softmax or sigmoid.

    Args:
        loss: The name of a loss, or a loss.
        model: The model.
        metrics: The metrics. Defaults to accuracy for a cross-entropy by name, else to none.
        options: Further arguments of `compile`; `loss_weights` are dropped. Defaults to none.
    """
    options = {name: value for name, value in options.items() if name != "loss_weights"}
    if not isinstance(loss, str) or loss not in CROSS_ENTROPIES:
        return Objective(loss, metrics, options)
    made = CROSS_ENTROPIES[loss](from_logits=not ends_in_probabilities(model))
    return Objective(made, metrics or ("accuracy",), options)


def ends_in_probabilities(model: keras.Model) -> bool:
    """Returns whether an output of a model is a softmax or sigmoid, also at the end of a model inside."""
    return any(kind_of(each, ()) != "values" for each in body_of(model).outputs)


def unknown_objective(loss: Any, error: Exception) -> PruneError:
    """Returns the error for a loss or a metric that Keras does not know."""
    name = loss.get("config", loss) if isinstance(loss, dict) else repr(loss)
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return PruneError(
        f"Expected a loss and metrics that Keras knows. Received: loss={name} ({line}). Give ",
        Key("loss"),
        ", or --import FILE.py --trust if the loss is your own.",
    )
