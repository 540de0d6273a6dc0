"""Names of the outputs of a model, as exported files call them."""

from __future__ import annotations

import keras

from kerasprune.data.signature import identifiers, is_graph, names_in


def output_names(model: keras.Model, count: int) -> list[str]:
    """Returns distinct names for the flat outputs of a model: dict keys or layer names where it has them."""
    if not is_graph(model):
        return [f"output_{i}" for i in range(count)]
    if isinstance(model, keras.Sequential):
        return identifiers([model.layers[-1].name])
    return identifiers(names_in(model.output) or model.output_names)
