"""What a saved model may name of this package: the module is imported that registers it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_OF = {"kerasprune>ciou_loss": "kerasprune.models.sets.points"}


def import_named(settings: Any) -> None:
    """Imports what registers the names of this package that occur in saved settings.

    Args:
        settings: The settings of a model or of its compilation, as nested dicts and lists.

    Example:
        >>> import keras
        >>> import_named({"loss": {"distances": "kerasprune>ciou_loss"}})
        >>> keras.saving.get_registered_object("kerasprune>ciou_loss").__name__
        'ciou_loss'
    """
    text = str(settings)
    for name, module in _OF.items():
        if name in text:
            import_module(module)
