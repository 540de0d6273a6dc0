"""Failures of checks, worded alike."""

from __future__ import annotations

from typing import NoReturn


def require(holds: bool, claim: str) -> None:
    """Raises `AssertionError(claim)` where `holds` is false; unlike `assert`, also under `python -O`."""
    if not holds:
        fail(claim)


def fail(claim: str) -> NoReturn:
    """Raises `AssertionError(claim)`."""
    raise AssertionError(claim)
