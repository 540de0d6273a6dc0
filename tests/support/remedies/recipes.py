"""Remedies of recipes and commands that are followed."""

from __future__ import annotations

from support.remedies.places import Case

CASES: list[Case] = []

CANNOT_BE_RUN = [
    ("recipes/schema.py", "Install kerasprune with all of its papers"),  # an environment without them
    ("recipes/populations/ray_runner.py", "Give fewer threads"),  # a cluster
    ("recipes/populations/ray_runner.py", "Install kerasprune on every machine"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
