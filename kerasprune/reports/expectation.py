"""What a recipe promises, beside what came out: met, missed, or not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasprune.reports.ratio import ratio

SLACK = 0.001 + 1e-9  # of a fraction: a tenth of a point, and what differences of floats lose
FACTOR_SLACK = 0.01  # of the speed-up
_FEWER_IS_BETTER = {"macs", "params"}


def judged(recipe: Mapping[str, Any], summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the figures of the recipe's `expected`, each with what came out and whether that meets it.

    A figure is met where it is not worse than expected by more than a tenth of a point; the speed-up by more than 1 %.

    Args:
        recipe: The resolved recipe.
        summary: What `summary.json` holds.

    Returns:
        `{"name", "expected", "here", "met"}` each; `met` is `None` where nothing was measured, and in a smoke run.

    Example:
        >>> recipe = {"expected": {"macs": 0.5, "accuracy": 0.9}}
        >>> summary = {"dense": {"macs": 100}, "slim": {"macs": 48, "accuracy": 0.85}}
        >>> [(one["name"], one["met"]) for one in judged(recipe, summary)]
        [('accuracy', False), ('macs', True)]
    """
    promised = recipe.get("expected") or {}
    smoke = bool(recipe.get("smoke") or summary.get("smoke"))
    return [
        {
            "name": name,
            "expected": promised[name],
            "here": here,
            "met": None if smoke else _met(name, promised[name], here),
        }
        for name, here in _measured(summary).items()
        if isinstance(promised.get(name), int | float)
    ]


def _measured(summary: Mapping[str, Any]) -> dict[str, float | None]:
    dense = summary.get("dense") or {}
    slim = summary.get("slim") or {}
    before, after = dense.get("accuracy"), slim.get("accuracy")
    return {
        "dense_accuracy": before,
        "accuracy": after,
        "accuracy_change": None if before is None or after is None else after - before,
        "macs": ratio(slim.get("macs"), dense.get("macs")),
        "params": ratio(slim.get("params"), dense.get("params")),
        "speedup": ratio(dense.get("macs"), slim.get("macs")),
        "sparsity": slim.get("sparsity"),
    }


def _met(name: str, expected: float, here: float | None) -> bool | None:
    if here is None:
        return None
    if name in _FEWER_IS_BETTER:
        return here <= expected + SLACK
    return here >= (expected * (1 - FACTOR_SLACK) if name == "speedup" else expected - SLACK)
