"""The argument `examples` of a pruning without data; read without Keras, since the command line checks it at once."""

from __future__ import annotations

from typing import Any

from kerasprune.errors import Key, PruneError, short

CHOICES = ("auto", "none")


def examples_faults(examples: Any, data: Any) -> list[PruneError]:
    """Returns a fault if `examples` is neither a choice nor an integer above 0, or given with data.

    Args:
        examples: `"auto"`, `"none"` or the number of examples to draw.
        data: The data; `None` without any.

    Example:
        >>> [str(fault) for fault in examples_faults(0, None)]
        ["Expected examples to be 'auto', 'none' or an integer above 0. Received: examples=0."]
    """
    name, received = Key("examples"), (". Received: ", Key("examples"), f"={short(examples)}.")
    if examples not in CHOICES and not (type(examples) is int and examples > 0):
        return [PruneError("Expected ", name, " to be 'auto', 'none' or an integer above 0", *received)]
    if data is not None and examples != "auto":
        return [PruneError("Expected ", name, " without ", Key("data"), ", in whose place they are drawn", *received)]
    return []
