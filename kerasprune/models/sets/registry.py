"""The registry of augmentations."""

from __future__ import annotations

from kerasprune.registry import Registry

augmentations = Registry(
    "augmentation",
    {
        "crop": "kerasprune.models.sets.augmentation:crop",
        "crop_flip": "kerasprune.models.sets.augmentation:crop_flip",
        "inception": "kerasprune.models.sets.augmentation:inception",
    },
)
