"""The examples of a recipe: a data set of images by name, or a user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kerasprune.errors import Key, PruneError
from kerasprune.graph.built_model import fixed_batch
from kerasprune.models.sets.lookup import own
from kerasprune.recipes.schema import Data, Recipe

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from kerasprune.data.splits import SplitExamples

SMOKE_BATCHES, SMOKE_SAMPLES = 2, 20
FEW, MOST = 50, 1000  # examples that calibrate an export


def own_examples(spec: Data | None) -> SplitExamples | None:
    """Reads and returns a user's own examples; `None` for no data, or images by name."""
    if spec is None or own(spec.name) is None:
        return None
    from kerasprune.models.sets.user_function import split_examples

    return split_examples(spec.name)


def examples(
    recipe: Recipe,
    split: str,
    model: keras.Model,
    batch: int | None = None,
    size: int | None = None,
    held: SplitExamples | None = None,
) -> tf.data.Dataset:
    """Returns batches of inputs and targets of a recipe's data; for a smoke run two batches, of noise if of images.

    Args:
        recipe: The recipe; its data section names the set, the image side, the scale, the batch and the augmentation.
        split: Name of the split. Only `"train"` is augmented.
        model: The model, for its image side, channels and classes.
        batch: Examples per batch. Defaults to the data section's.
        size: Image side in pixels. Defaults to the model's own, or if that is free the data section's.
        held: The result of `own_examples`, so that they are read once. Defaults to reading them.

    Raises:
        PruneError: There is no such data set or split, or it does not fit the model.
    """
    spec = recipe.data
    if recipe.smoke and own(spec.name) is None:
        side, _ = image_shape(model, spec.name)
        noise = {"name": f"generated:{model.output_shape[-1]}", "size": side or spec.side}
        spec = spec.model_copy(update=noise)
    data = examples_of(spec, split, model, batch=batch, size=size, seed=recipe.seed, held=held)
    return data.take(SMOKE_BATCHES) if recipe.smoke else data


def examples_of(
    spec: Data,
    split: str,
    model: keras.Model,
    *,
    batch: int | None = None,
    size: int | None = None,
    seed: int = 0,
    held: SplitExamples | None = None,
) -> tf.data.Dataset:
    """Returns batches of inputs and targets of a data section, see `examples`; of the size that the model fixes.

    Raises:
        PruneError: See `examples`; or the split has fewer examples than the model's batch.
    """
    given = {"batch": batch, "size": size, "seed": seed, "held": held}
    fixed = fixed_batch(model)
    found = _examples_of(spec, split, model, **given)
    if not fixed:
        return found
    found = found.unbatch().batch(fixed, drop_remainder=True)
    if next(iter(found.take(1)), None) is None:
        raise PruneError(
            f"Expected at least {fixed} examples in {split!r} of {spec.name}, as many as a batch of the model. "
            "Received: fewer. Give more."
        )
    return found


def calibration_inputs(splits: Callable[[str], tf.data.Dataset], split: str, batch: int = 128) -> tf.data.Dataset:
    """Returns batches of the inputs of a split, 1,000 at most; fewer than 50 are followed by those of the training.

    Args:
        splits: Returns batches of inputs and targets of a split.
        split: Its name.
        batch: Examples per batch. Defaults to 128.
    """
    from kerasprune.data.examples import inputs_only

    found = inputs_only(splits(split)).unbatch()
    if split != "train" and sum(1 for _ in found.take(FEW)) < FEW:
        found = found.concatenate(inputs_only(splits("train")).unbatch())
    return found.take(MOST).batch(batch)


def _examples_of(
    spec: Data,
    split: str,
    model: keras.Model,
    *,
    batch: int | None,
    size: int | None,
    seed: int,
    held: SplitExamples | None,
) -> tf.data.Dataset:
    held = held or own_examples(spec)
    if held is not None:
        return held.batches(split, batch or spec.batch, seed, spec.scale or "none", model.inputs)
    from kerasprune import data

    side, channels = image_shape(model, spec.name)
    classes = model.output_shape[-1]
    found = len(data.info(spec.name, data_dir=spec.data_dir).classes)
    if found > classes:
        raise PruneError(
            f"Expected a model with at least {found} outputs for the classes of {spec.name!r}. Received: {classes}. "
            f"Take other data, or a model of {found} outputs (in a recipe, model.classes)."
        )
    if None not in (side, spec.size) and spec.size != side:
        raise PruneError(
            f"Expected images of the model's side, {side} pixels. Received: ",
            Key("data.size"),
            f"={spec.size}. Leave the size out, or give the model another input_shape.",
        )
    return data.load(
        spec.name,
        size=size or side or spec.side,
        batch=batch or (spec.batch if spec.changed(["batch"]) else None),
        split=split,
        augment=spec.augment if split == "train" else None,
        evaluation_crop=1.0 if split == "train" else spec.evaluation_crop,
        antialias=spec.antialias,
        seed=seed,
        data_dir=spec.data_dir,
        scale=spec.scale or "standardise",
        channels=channels,
    )


def image_shape(model: keras.Model, name: str) -> tuple[int | None, int]:
    """Returns the image side of a model, `None` if it is free, and its number of channels.

    Args:
        model: The model.
        name: Name of the data set of images.

    Raises:
        PruneError: The model takes no square images of one or three channels, or has several inputs or outputs.
    """
    shapes = [tuple(each.shape) for each in model.inputs]
    fits = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == shapes[0][2] and shapes[0][3] in (1, 3)
    if not fits or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise PruneError(
            f"Expected a classifier of square images, of one or three channels, for {name!r}. Received: inputs "
            f"{shapes}, outputs {[tuple(each.shape) for each in model.outputs]}. Give your own data: a .npz file with "
            "x and y, or module:function."
        )
    return shapes[0][1], shapes[0][3]
