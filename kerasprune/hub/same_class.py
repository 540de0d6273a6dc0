"""The same class of KerasHub with another config, and with the weights of the dense model that are left."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers, without_draws
from kerasprune.errors import PruneError
from kerasprune.graph.graph import values
from kerasprune.hub.configs import nearest_words, numbers_of


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
            backbone = type(backbone_of(model)).from_config(deepcopy(dict(config)))
            if backbone_of(model) is model:
                return backbone
            given = {**model.get_config(), "backbone": backbone, "preprocessor": model.preprocessor}
            return type(model)(**{name: _read(value) for name, value in given.items()})
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise PruneError(
            f"Expected a config that {type(backbone_of(model)).__name__} can have. Received: {error}."
            f"{nearest_words(backbone_of(model).get_config(), config)}"
        ) from error


def _read(value: Any) -> Any:
    """Returns the object of a serialised value of a config, other values as they are."""
    is_serialised = isinstance(value, dict) and {"class_name", "config"} <= value.keys()
    return keras.saving.deserialize_keras_object(value) if is_serialised else value


@dataclass(frozen=True)
class Numbered:
    """The layers of a backbone that are numbered by their names, such as `transformer_layer_0`.

    Args:
        rows: `{what their names begin with: the layers, in order}`, as many in each row, those of most weights first.
    """

    rows: Mapping[str, Sequence[keras.layers.Layer]]

    @classmethod
    def of(cls, backbone: keras.Model) -> Numbered:
        """Returns those of a backbone.

        Raises:
            PruneError: Its layers have no such names.
        """
        count = numbers_of(backbone.get_config())["layers"]
        found = {stem: row for stem, row in _rows(backbone).items() if len(row) == count}
        rows, inside = {}, set()
        for stem, row in sorted(found.items(), key=lambda each: -sum(len(layer.weights) for layer in each[1])):
            weights = {id(weight) for layer in row for weight in layer.weights}
            if weights and not weights & inside:
                rows[stem] = row
                inside |= weights
        if not rows:
            raise PruneError(
                f"Expected a backbone whose {count} layers are numbered by their names. Received: "
                f"{type(backbone).__name__}. Leave layers= out."
            )
        return cls(rows)

    def alike(self, backbone: keras.Model) -> Numbered:
        """Returns the rows of a backbone with fewer layers."""
        found = _rows(backbone)
        return Numbered({stem: found[stem] for stem in self.rows})

    @property
    def layers(self) -> Sequence[keras.layers.Layer]:
        """The row of most weights."""
        return next(iter(self.rows.values()))

    @property
    def kinds(self) -> list[tuple]:
        """How each of these layers computes, by the numbers in it: kinds take turns, as windows of attention do."""
        of_every_layer = vars(keras.layers.Layer()).keys()
        return [
            tuple(
                (place, name, value)
                for place, each in enumerate(inner_layers(layer))
                for name, value in sorted(vars(each).items())
                if isinstance(value, bool | int | float) and name not in of_every_layer
            )
            for layer in self.layers
        ]

    def weights(self, model: keras.Model, kept: Sequence[int]) -> list[Any]:
        """Returns the weights of a model with this backbone: first those of the layers that are kept, then all others.

        Args:
            model: The backbone, or a task with it.
            kept: Numbers of layers, in order.
        """
        own = [weight for row in self.rows.values() for place in kept for weight in row[place].weights]
        inside = {id(weight) for row in self.rows.values() for layer in row for weight in layer.weights}
        return own + [weight for weight in model.weights if id(weight) not in inside]


def _rows(backbone: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Returns `{what their names begin with: layers}` of layers with numbers one after another, in order."""
    found = defaultdict(dict)
    for layer in inner_layers(backbone):
        if match := re.fullmatch(r"(.*\D)(\d+)", layer.name):
            found[match[1]][int(match[2])] = layer
    rows = {stem: sorted(each.items()) for stem, each in found.items()}
    return {stem: [layer for _, layer in row] for stem, row in rows.items() if row[-1][0] - row[0][0] == len(row) - 1}


def with_fewer_layers(
    model: keras.Model, config: Mapping[str, Any], worth: np.ndarray, numbered: Numbered
) -> tuple[keras.Model, list[int]]:
    """Returns a model of the same class with some layers of the dense one, and which: those of most worth in all.

    A layer is put only where the class has one that computes alike.

    Args:
        model: The dense model.
        config: The config of the backbone with fewer layers.
        worth: That of every layer of the dense model.
        numbered: Its layers.

    Raises:
        PruneError: The class has other weights for so many layers.
    """
    new = with_config(model, config)
    rest = numbered.alike(backbone_of(new))
    kept = choose_in_order(worth, numbered.kinds, rest.kinds)
    mine, theirs = rest.weights(new, range(len(kept))), numbered.weights(model, kept)
    if [each.shape for each in mine] != [each.shape for each in theirs]:
        raise PruneError(
            f"Expected the same weights in every layer. Received: {type(model).__name__}, whose layers differ. Leave "
            "layers= out."
        )
    for one, other in zip(mine, theirs, strict=True):
        one.assign(other.value)
    return new, kept


def choose_in_order(worth: np.ndarray, kinds: Sequence[Any], places: Sequence[Any]) -> list[int]:
    """Returns, in order, one item for each place, of its kind, so that their worth is largest in all.

    Args:
        worth: That of every item.
        kinds: Their kinds.
        places: The kind that each place takes.

    Raises:
        PruneError: No choice has these kinds in their order.

    Example:
        >>> import numpy as np
        >>> choose_in_order(np.array([1.0, 5.0, 2.0, 9.0]), "abab", "ab")
        [2, 3]
    """
    best = {0: (0.0, ())}  # {number of places filled: (worth in all, items)}
    for item, kind in enumerate(kinds):
        for place in sorted(best, reverse=True):
            total, items = best[place]
            wider = total + float(worth[item]), (*items, item)
            if place < len(places) and places[place] == kind and wider[0] > best.get(place + 1, (-np.inf,))[0]:
                best[place + 1] = wider
    if len(places) not in best:
        raise PruneError(
            f"Expected layers that compute, in their order, as those of a model with {len(places)} do. Received: "
            f"{len(kinds)} layers, of which none {len(places)} do. Give another number of layers."
        )
    return list(best[len(places)][1])


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
