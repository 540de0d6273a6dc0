"""The same class of KerasHub with another config, and with the weights of the dense model that are left."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers, without_draws
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values


def backbone_of(model: keras.Model) -> keras.Model:
    """Returns the backbone of a task, or the backbone itself."""
    return getattr(model, "backbone", None) or model


def with_config(model: keras.Model, config: Mapping[str, Any]) -> keras.Model:
    """Returns a model of the same class whose backbone has another config; its weights are zeros.

    Args:
        model: A task or a backbone.
        config: The config of the backbone.

    Raises:
        PruneError: The class refuses it.
    """
    try:
        with without_draws():
            backbone = type(backbone_of(model)).from_config(dict(config))
            if backbone_of(model) is model:
                return backbone
            given = {**model.get_config(), "backbone": backbone, "preprocessor": model.preprocessor}
            return type(model)(**{name: _read(value) for name, value in given.items()})
    except (TypeError, ValueError) as error:
        raise PruneError(
            f"Expected a config that {type(backbone_of(model)).__name__} can have. Received: {error}"
        ) from error


def _read(value: Any) -> Any:
    """Returns the object of a serialised value of a config, other values as they are."""
    is_serialised = isinstance(value, dict) and {"class_name", "config"} <= value.keys()
    return keras.saving.deserialize_keras_object(value) if is_serialised else value


@dataclass(frozen=True)
class Numbered:
    """The layers of a backbone that are numbered by their names, such as `transformer_layer_0`.

    Args:
        stem: What their names begin with.
        first: The number of the first.
        layers: The layers, in order.
    """

    stem: str
    first: int
    layers: tuple[keras.layers.Layer, ...]

    @classmethod
    def of(cls, backbone: keras.Model) -> Numbered:
        """Returns those of a backbone.

        Raises:
            PruneError: Its layers have no such names.
        """
        count, found = backbone.get_config()["num_layers"], defaultdict(dict)
        for layer in inner_layers(backbone):
            if match := re.fullmatch(r"(.*\D)(\d+)", layer.name):
                found[match[1]][int(match[2])] = layer
        rows = {stem: sorted(each.items()) for stem, each in found.items() if len(each) == count}
        rows = {stem: row for stem, row in rows.items() if row[-1][0] - row[0][0] == count - 1}
        if not rows:
            raise PruneError(
                f"Expected a backbone whose {count} layers are numbered by their names. Received: "
                f"{type(backbone).__name__}. Leave layers= out."
            )
        stem = max(rows, key=lambda each: sum(len(layer.weights) for _, layer in rows[each]))
        return cls(stem, rows[stem][0][0], tuple(layer for _, layer in rows[stem]))

    def renumbered(self, path: str, kept: Sequence[int]) -> str:
        """Returns the path of a weight in the dense model, from that in a model with the layers that are kept."""
        pattern = rf"(?<![^/]){re.escape(self.stem)}(\d+)(?=/)"
        return re.sub(pattern, lambda match: f"{self.stem}{self.first + kept[int(match[1]) - self.first]}", path)


def with_fewer_layers(model: keras.Model, config: Mapping[str, Any], kept: Sequence[int]) -> keras.Model:
    """Returns a model of the same class with some layers of the dense one.

    Args:
        model: The dense model.
        config: The config of the backbone with fewer layers.
        kept: Which layers are kept, counted from 0, in order.
    """
    new, numbered = with_config(model, config), Numbered.of(backbone_of(model))
    dense = {weight.path: weight for weight in model.weights}
    for weight in new.weights:
        path = numbered.renumbered(weight.path, kept)
        if path not in dense:
            raise PruneError(
                f"Expected the weights of every layer in the dense model. Received: {path!r}, which it lacks. Leave "
                "layers= out."
            )
        weight.assign(dense[path].value)
    return new


def copy_cut(slim: keras.Model, dense: keras.Model, cut: Mapping[int, np.ndarray]) -> None:
    """Gives a model of the same class the weights of the dense one, place by place.

    Args:
        slim: The model.
        dense: The dense model.
        cut: `{id of a weight of the dense model: what is left of it}`; others are taken whole.

    Raises:
        PruneError: What is left does not fit.
    """
    for mine, theirs in zip(slim.weights, dense.weights, strict=True):
        value = cut.get(id(theirs))
        value = values(theirs) if value is None else value
        if value.size != int(np.prod(mine.shape)):
            raise PruneError(
                f"Expected {tuple(mine.shape)} numbers for {mine.path!r}. Received: {value.shape} that are left of the "
                "dense model's: its class relates channels in another way than its graph does."
            )
        mine.assign(value.reshape(tuple(mine.shape)).astype(mine.dtype))
