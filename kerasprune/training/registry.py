"""The registries of what callbacks are made of: schedules, thresholds, granularities and scopes."""

from __future__ import annotations

from kerasprune.registry import Registry

schedules = Registry(
    "schedule",
    {
        "constant": "kerasprune.training.schedules:constant",
        "cubic": "kerasprune.training.schedules:cubic",
        "linear": "kerasprune.training.schedules:linear",
        "steps": "kerasprune.training.schedules:steps",
    },
)

thresholds = Registry(
    "threshold",
    {
        "fixed": "kerasprune.training.thresholds:Fixed",
        "otsu": "kerasprune.training.thresholds:Otsu",
        "valley": "kerasprune.training.thresholds:Valley",
    },
    base="kerasprune.training.thresholds:Threshold",
)

granularities = Registry(
    "granularity",
    {
        "block": "kerasprune.training.granularity:WeightBlock",
        "channel": "kerasprune.training.granularity:Channel",
        "filter": "kerasprune.training.granularity:Filter",
        "scale": "kerasprune.training.granularity:Scale",
        "weight": "kerasprune.training.granularity:Weight",
    },
    base="kerasprune.training.granularity:Granularity",
)

scopes = Registry(
    "scope",
    {
        "global": "kerasprune.training.scope:Global",
        "layer": "kerasprune.training.scope:Layer",
        "m_by_n": "kerasprune.training.scope:m_by_n",
        "pattern": "kerasprune.training.scope:Pattern",
    },
    base="kerasprune.training.scope:Scope",
)
