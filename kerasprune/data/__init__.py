"""Data sets as `tf.data` pipelines. Nothing heavy is imported before a name is used."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"load": "load"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Modules and functions share names (`load`), so what is found stays here, ahead of the module.
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
