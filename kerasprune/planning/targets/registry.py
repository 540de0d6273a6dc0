"""The registry of targets."""

from __future__ import annotations

from kerasprune.registry import Registry

targets = Registry(
    "target",
    {"size": "kerasprune.planning.targets.size:Size", "time": "kerasprune.planning.targets.time:Time"},
    base="kerasprune.planning.targets.base:Target",
)
