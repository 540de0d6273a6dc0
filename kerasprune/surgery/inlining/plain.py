"""A model unchanged if its graph can be read, otherwise written out; the writer is imported only if needed."""

from __future__ import annotations

from typing import Any

import keras

from kerasprune._keras import inner_layers, is_functional
from kerasprune.errors import PruneError, warn
from kerasprune.graph.built_model import check_model
from kerasprune.graph.ranged_model import without_ranges
from kerasprune.graph.rule import find, wraps_several
from kerasprune.graph.walk import all_nodes, is_model
from kerasprune.surgery.adapters import without_adapters


def plain(model: keras.Model, inputs: Any = None) -> keras.Model:
    """Returns the model itself if `kp.trace` can read all of it, otherwise the model that `functional` writes.

    Adapters of LoRA are merged into the kernels of a copy.

    Args:
        model: Any built model. A functional one that cannot be written out is returned as it is, with a warning.
        inputs: A batch, for a subclassed model that was built on unknown inputs. Defaults to `None`.

    Raises:
        PruneError: A subclassed model cannot be written out.
    """
    model = without_ranges(model)
    if is_functional(model):
        model = without_adapters(model)
        if not unread(model):
            return model
        try:
            return _written_out(model, None)
        except PruneError as error:
            names = ", ".join(map(repr, unread(model)))
            warn(f"Read as it is, and kept whole when the model is pruned: {names}. {error}")
            return model
    return _written_out(model, inputs)


def _written_out(model: keras.Model, inputs: Any) -> keras.Model:
    check_model(model)
    from kerasprune.surgery.inlining.inline import built_shape, functional  # the writer, for models that need it

    return functional(model, None if is_model(model) or built_shape(model) else inputs)


def at_unknown(model: keras.Model, asked: str) -> str:
    """Returns the `unknown` to pass to `kp.trace`: `"freeze"` if layers without a rule are left, else `asked`.

    Args:
        model: What `plain` returned.
        asked: What the user asked for.
    """
    return "freeze" if unread(model) else asked


def has_composites(model: keras.Model) -> bool:
    """Returns whether a functional model has layers without a rule that hold other layers."""
    operations = [node.operation for node in all_nodes(model) if not is_model(node.operation)]
    return any(find(each) is None and len(inner_layers(each)) > 1 or wraps_several(each) for each in operations)


def unread(model: keras.Model) -> list[str]:
    """Returns the names of the layers of a functional model that `kp.trace` knows no rule for."""
    operations = [node.operation for node in all_nodes(model) if not is_model(node.operation)]
    return [each.name for each in operations if find(each) is None or wraps_several(each)]
