"""What a model is trained and judged by: a loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kerasprune.data.lookup import own
from kerasprune.errors import Key, PruneError
from kerasprune.files.keras_model import read_config
from kerasprune.recipes import schema
from kerasprune.training.label_smoothing import smoothed

# Losses that may be given by name, of logits or of probabilities as the model's last activation says.
CROSS_ENTROPIES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
}
PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


@dataclass(frozen=True)
class Objective:
    """A loss and metrics, as names and configs of Keras.

    Args:
        loss: Name or config of a loss; or such things by output.
        metrics: Names or configs of metrics; or such lists by output. Defaults to none.
        loss_weights: Weights of the losses of several outputs. Defaults to `None`.
        label_smoothing: ε of the labels, where the loss is a cross-entropy of classes. Defaults to 0.0.
    """

    loss: Any
    metrics: Any = ()
    loss_weights: Any = None
    label_smoothing: float = 0.0

    def compile(self, model: keras.Model, optimizer: Any = "sgd") -> keras.Model:
        """Compiles a model for training and judging, with losses and metrics made anew, and returns it.

        Raises:
            PruneError: Keras does not know the loss or a metric, or its labels cannot be smoothed.
        """
        metrics = self.metrics if isinstance(self.metrics, dict) else list(self.metrics or ())
        try:
            loss, metrics = (keras.saving.deserialize_keras_object(each) for each in (self.loss, metrics))
            keras.tree.map_structure(keras.losses.get, loss)  # Keras itself asks for a name at the first step only
            loss = smoothed(loss, self.label_smoothing) if self.label_smoothing else loss
            model.compile(optimizer, loss=loss, metrics=metrics, loss_weights=self.loss_weights)
        except PruneError:
            raise
        except (ValueError, TypeError) as error:
            raise PruneError(
                f"Expected a loss and metrics that Keras knows. Received: loss={_name(self.loss)} ({_line(error)}). "
                "Give ",
                Key("loss"),
                ", or --import FILE.py --trust where the loss is your own.",
            ) from error
        return model

    def compiled_loss(self) -> Any:
        """Returns the loss as a Keras object, a name, or such things by output."""
        return keras.saving.deserialize_keras_object(self.loss)


def objective(recipe: schema.Recipe, model: keras.Model, targets: Callable[[], Any]) -> Objective:
    """Returns what the models of a recipe are trained and judged by.

    That is the loss that the recipe names; or classification for a data set of images; or what the checkpoint was
    compiled with; or classification, where the targets are the numbers of classes.

    Args:
        recipe: The recipe.
        model: Its dense model.
        targets: Returns the specification of a batch of targets.

    Raises:
        PruneError: None of these.
    """
    if recipe.loss is not None:
        return by_name(recipe.loss, model)
    if recipe.data is None or own(recipe.data.name) is None:
        return classification(model)
    start = recipe.model.path if isinstance(recipe.model, schema.Start) else None
    found = None if start is None else compiled(start)
    if found is not None:
        return found
    if _numbers_of_classes(targets(), model):
        return classification(model)
    raise PruneError(
        f"Expected a loss beside {recipe.data.name!r}, for the model was saved without one. Received: loss=None. "
        "Say it with ",
        Key("loss"),
        ", such as mean_squared_error; or save the model compiled.",
    )


def compiled(path: Path) -> Objective | None:
    """Returns the loss and the metrics that a `.keras` file was compiled with, or `None` where it was not.

    Args:
        path: The file.
    """
    config = read_config(path).get("compile_config") or {}
    if not config.get("loss"):
        return None
    return Objective(config["loss"], config.get("metrics") or (), config.get("loss_weights"))


def by_name(loss: str, model: keras.Model) -> Objective:
    """Returns the objective of a loss by its Keras name; of logits unless the model ends in softmax or sigmoid."""
    if loss not in CROSS_ENTROPIES:
        return Objective(loss)
    made = CROSS_ENTROPIES[loss](from_logits=not ends_in_probabilities(model))
    return Objective(keras.losses.serialize(made), ("accuracy",))


def classification(model: keras.Model) -> Objective:
    """Returns sparse categorical cross-entropy and accuracy."""
    return by_name("sparse_categorical_crossentropy", model)


def ends_in_probabilities(model: keras.Model) -> bool:
    """Says whether the last layer of a model is a softmax or sigmoid, or has one for its activation."""
    last = model.layers[-1]
    return isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) in PROBABILITIES


def _numbers_of_classes(targets: Any, model: keras.Model) -> bool:
    outputs = [tuple(each.shape) for each in model.outputs]
    if isinstance(targets, dict | tuple | list) or not targets.dtype.is_integer or targets.shape.rank != 1:
        return False
    return len(outputs) == 1 and len(outputs[0]) == 2 and outputs[0][1] > 1


def _name(loss: Any) -> Any:
    return loss.get("config", loss) if isinstance(loss, dict) else repr(loss)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
