"""What a recipe expects, against what a run has reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasprune.reports.tables import ratio

AT_MOST = frozenset({"macs", "params"})
"""Figures that are met where they are smaller; all others are met where they are larger."""
TOLERANCE = 0.005
"""Of the factor of multiply–adds and of the share of weights, which are printed rounded; accuracies have none."""
_ROUNDED = frozenset({"macs", "params", "speedup", "sparsity"})


def reached(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Returns the figures of a run by the names that `expected` has for them; `None` where one was not measured.

    Args:
        summary: What `summary.json` holds.
    """
    dense, slim = summary.get("dense") or {}, summary.get("slim") or {}
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


def missed(expected: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """Returns a line for every expected figure that a run has missed, or not measured.

    Args:
        expected: The recipe's `expected`.
        summary: What `summary.json` holds.

    Example:
        >>> missed({"macs": 0.5}, {"dense": {"macs": 100}, "slim": {"macs": 60}})
        ['macs: expected at most 0.5. Received: 0.6']
    """
    lines = []
    for name, here in reached(summary).items():
        wanted = expected.get(name)
        if wanted is None:
            continue
        slack = TOLERANCE if name in _ROUNDED else 1e-9
        most = name in AT_MOST
        if here is None or (here > wanted + slack if most else here < wanted - slack):
            shown = "not measured" if here is None else f"{here:.4g}"
            lines.append(f"{name}: expected at {'most' if most else 'least'} {wanted:.4g}. Received: {shown}")
    return lines
