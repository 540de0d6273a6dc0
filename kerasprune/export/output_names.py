"""Names of the outputs of a model, as exported files call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kerasprune.data.signature import identifiers, is_graph


def output_names(model: keras.Model, count: int) -> list[str]:
    """Returns distinct names for the flat outputs of a model: dict keys or layer names where it has them."""
    if not is_graph(model):
        return [f"output_{i}" for i in range(count)]
    if isinstance(model, keras.Sequential):
        return identifiers([model.layers[-1].name])
    return identifiers(_keys(model.output) or model.output_names)


def _keys(structure: Any) -> list[str]:
    """Returns the keys of a flat dict in the order in which Keras flattens it; of anything else, nothing."""
    if not isinstance(structure, Mapping):
        return []
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    return [path[0] for path in paths] if all(len(path) == 1 for path in paths) else []
