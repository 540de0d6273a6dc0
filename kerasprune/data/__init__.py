"""Data sets as `tf.data` pipelines. Nothing heavy is imported before a name is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasprune.data.augmentation import augmentations
    from kerasprune.data.calibration import representative
    from kerasprune.data.dataset import info, load
    from kerasprune.data.lookup import names
    from kerasprune.data.resized import rounds
    from kerasprune.data.sources import DataInfo

_HOMES = {
    "DataInfo": "sources",
    "augmentations": "augmentation",
    "info": "dataset",
    "load": "dataset",
    "names": "lookup",
    "representative": "calibration",
    "rounds": "resized",
}
__all__ = ["DataInfo", "augmentations", "info", "load", "names", "representative", "rounds"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
