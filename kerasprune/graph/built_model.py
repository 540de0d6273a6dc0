"""The body of a model, which is its functional graph, or an error with the remedy."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune._keras import Functional, has_chosen_batch, inner_functional, inner_layers, is_functional
from kerasprune.errors import PruneError, short

LOAD = "Read a file with keras.models.load_model(path), an .h5 file of Keras 2 with compile=False, too."


def check_model(model: Any) -> None:
    """Raises a `PruneError` if `model` is not a Keras model."""
    if not isinstance(model, keras.Model):
        raise PruneError(f"Expected a keras.Model. Received: model={short(model)} of {type(model).__name__}. {LOAD}")
    if type(model).call in (keras.Model.call, keras.Layer.call):
        models = (name for name, value in vars(model).items() if isinstance(value, keras.Model))
        parts = [f"model.{name}" for name in models]
        raise PruneError(
            f"Expected a model with a call(). Received: {model.name!r} of {type(model).__name__}, which has none. "
            + (f"Prune its parts, {', '.join(parts)}, and set the slim ones." if parts else "Write its call().")
        )


def check_built(model: keras.Model) -> None:
    """Raises a `PruneError` if a model has no weights yet."""
    if not model.built:
        raise PruneError(
            f"Expected a built model. Received: the {type(model).__name__} {model.name!r}, which is not built and has "
            "no weights yet. Call it on one batch, or model.build(input_shape), first."
        )


def stateful_layers(model: keras.Model) -> list[keras.layers.RNN]:
    """Returns the recurrent layers of a model that begin with the state after the batch before."""
    return [each for each in inner_layers(model) if isinstance(each, keras.layers.RNN) and each.stateful]


def fixed_batch(model: keras.Model) -> int | None:
    """Returns the number of examples that the inputs of a model fix, as stateful layers need; `None` for any number.

    A `Sequential` without an input notes the number in its first batch, which nobody has fixed.
    """
    if not getattr(model, "inputs", None):
        return None
    chosen = not isinstance(model, keras.Sequential) or has_chosen_batch(model.inputs[0]) or stateful_layers(model)
    return model.inputs[0].shape[0] if chosen else None


def body_of(model: Any) -> Functional:
    """Returns the body of a model: the functional graph of its layers.

    Args:
        model: A functional or Sequential model that is built.

    Returns:
        The model, or the functional model inside a Sequential.

    Raises:
        PruneError: The model has no graph of layers: it is subclassed, or not built.
    """
    check_model(model)
    if isinstance(model, keras.Sequential) and is_functional(model):
        inner = inner_functional(model)
        if inner is None:
            raise PruneError(
                f"Expected a built model. Received: the Sequential {model.name!r}, whose input shape is unknown. "
                "Call model.build(input_shape) or give it a keras.Input first."
            )
        return inner
    if is_functional(model):
        return model
    if isinstance(model, keras.distillation.Distiller):
        raise PruneError(
            f"Expected a functional or Sequential model. Received: the Distiller {model.name!r} around one. Train "
            "kp.distil(distiller.student, distiller.teacher), which learns from the teacher and takes callbacks; "
            "everything else takes distiller.student."
        )
    raise PruneError(
        f"Expected a functional or Sequential model, whose layers form a graph. Received: {model.name!r} of the "
        f"subclass {type(model).__name__}, whose call() is code. "
        "Write it out with kp.functional(model) first."
    )
