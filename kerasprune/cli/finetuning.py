"""What `prune` and `compare` take for fine-tuning, and its section of a recipe."""

from __future__ import annotations

from typing import Any

SGD, OTHERS = 0.01, 0.001  # where fine-tuning starts
RATES = f"Defaults to {SGD} for sgd, to {OTHERS} for others."


def finetuning(epochs: int, optimizer: str, rate: float | None) -> dict[str, Any] | None:
    """Returns the section, with half a cosine from a rate; `None` without epochs."""
    cosine = {"name": "cosine", "start": rate if rate is not None else SGD if optimizer == "sgd" else OTHERS}
    return {"epochs": epochs, "optimizer": {"name": optimizer, "learning_rate": cosine}} if epochs else None
