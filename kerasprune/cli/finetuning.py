"""What `prune` and `compare` take for fine-tuning, and its section of a recipe."""

from __future__ import annotations

from typing import Any

from kerasprune.errors import PruneError

RATES = {"sgd": 0.01, "adam": 0.001, "adamw": 0.001}  # where fine-tuning starts


def check_optimizer(optimizer: str) -> None:
    """Checks the name of an optimizer.

    Raises:
        PruneError: It is not known.
    """
    if optimizer not in RATES:
        raise PruneError(f"Expected --optimizer to be one of {', '.join(RATES)}. Received: --optimizer {optimizer}.")


def finetuning(epochs: int, optimizer: str, rate: float | None) -> dict[str, Any] | None:
    """Returns the section, with half a cosine from a rate; `None` without epochs."""
    cosine = {"name": "cosine", "start": RATES[optimizer] if rate is None else rate}
    return {"epochs": epochs, "optimizer": {"name": optimizer, "learning_rate": cosine}} if epochs else None
