"""What commands take for fine-tuning, and its section of a recipe."""

from __future__ import annotations

from typing import Any

from kerasprune.defaults import OTHER_RATE, RATE

RATES = f"Defaults to {RATE} for sgd, to {OTHER_RATE} for others."


def finetuning(epochs: int, optimizer: str, rate: float | None, *, distil: bool = False) -> dict[str, Any] | None:
    """Returns the section, with half a cosine from a rate; `None` without epochs.

    Args:
        epochs: Passes over the examples.
        optimizer: Its name.
        rate: The first learning rate; `None` for that of the optimizer.
        distil: Whether the dense model teaches. Defaults to `False`.
    """
    if not epochs:
        return None
    start = rate if rate is not None else RATE if optimizer == "sgd" else OTHER_RATE
    section = {"name": optimizer, "learning_rate": {"name": "cosine", "start": start}}
    return {"epochs": epochs, "optimizer": section, **({"distil": {}} if distil else {})}
