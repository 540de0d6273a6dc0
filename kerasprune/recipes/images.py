"""The images of a recipe: its data set by name, or generated ones where a recipe is only tried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerasprune.errors import PruneError
from kerasprune.recipes.schema import Recipe

if TYPE_CHECKING:
    import tensorflow as tf

SMOKE_BATCHES = 2


def images(
    recipe: Recipe, split: str, classes: int, batch: int | None = None, size: int | None = None
) -> tf.data.Dataset:
    """Returns batches of images and labels.

    Args:
        recipe: The recipe; its data section names the set, the image side, the batch and the augmentation.
        split: Name of the split. Only `"train"` is augmented.
        classes: Number of classes of the model.
        batch: Images per batch. Defaults to the data section's.
        size: Image side in pixels. Defaults to the data section's.

    Raises:
        PruneError: There is no such data set or split, or it has more classes than the model.
    """
    from kerasprune import data

    spec = recipe.data
    name = f"generated:{classes}" if recipe.smoke else spec.name
    found = len(data.info(name, data_dir=spec.data_dir).classes)
    if found > classes:
        raise PruneError(
            f"Expected a model with at least {found} outputs for the classes of {name!r}. Received: {classes}. "
            f"Give the model classes: {found}."
        )
    images = data.load(
        name,
        size=size or spec.size,
        batch=batch or spec.batch,
        split=split,
        augment=spec.augment if split == "train" else None,
        evaluation_crop=1.0 if split == "train" else spec.evaluation_crop,
        antialias=spec.antialias,
        seed=recipe.seed,
        data_dir=spec.data_dir,
    )
    return images.take(SMOKE_BATCHES) if recipe.smoke else images
