"""`kp.data.rounds`: a data set whose images become smaller, or larger, after every few epochs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kerasprune.backend.reader import tf
from kerasprune.data.epochs import epochs, passes
from kerasprune.models.sets.augmentation import Augmentation
from kerasprune.models.sets.dataset import View, wrong_numbers
from kerasprune.models.sets.lookup import find


def load_resized(
    name: str | Path,
    *,
    sizes: Sequence[int],
    epochs_per_round: int,
    batch: int | None = None,
    split: str = "train",
    augment: str | Augmentation | None = None,
    evaluation_crop: float = 1.0,
    antialias: bool = True,
    seed: int = 0,
    first_epoch: int = 0,
    data_dir: str | None = None,
) -> tf.data.Dataset:
    """Returns a split of a data set whose image side depends on the epoch: `sizes[epoch // epochs_per_round]`.

    The data set counts its epochs by complete iterations. Use one for training and another, with `split="validation"`,
    for `validation_data`, and each in one `fit` only. Within an epoch all shapes are equal; a step with
    `jit_compile=True` is compiled once per size. The input sides of the model must be free.

    Args:
        name: As for `load`.
        sizes: Height and width in pixels of each round; the last size is also used afterwards.
        epochs_per_round: Number of epochs of each round.
        batch: As for `load`.
        split: `"train"`, `"validation"`, `"test"`, … Defaults to `"train"`.
        augment: For the training split only. Defaults to `None`.
        evaluation_crop: For the other splits only. Defaults to 1.0.
        antialias: As for `load`. Defaults to `True`.
        seed: Random seed of order and augmentation. Defaults to 0.
        first_epoch: Number of the epoch of the first iteration. Defaults to 0.
        data_dir: As for `load`.

    Returns:
        Batches of (float32 of shape (batch, None, None, 3), int32 of shape (batch,)); `len` gives their number.

    Raises:
        PruneError: As for `load`, or `sizes` is empty.

    Example:
        >>> import kerasprune as kp
        >>> train = kp.data.rounds("digits", sizes=[16, 12], epochs_per_round=1, batch=64)
        >>> [next(iter(train))[0].shape[1]] + [images.shape[1] for _ in range(2) for images, _ in train][::18]
        [16, 16, 12]
    """
    view = View(find(name, data_dir), split, augment, evaluation_crop, antialias)
    batch = view.batch(batch)
    sides = list(sizes) if isinstance(sizes, Iterable) else []
    faults = [] if sides else [f"Expected one size per round. Received: sizes={sizes!r}."]
    faults += [fault for side in sides for fault in wrong_numbers(sizes=(side, 1))]
    faults += wrong_numbers(epochs_per_round=(epochs_per_round, 1)) + view.faults(batch, seed, first_epoch)
    facts, images = view.checked(faults)
    framing = view.framing()

    def frame(image: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        side = tf.gather(sides, tf.minimum(epoch // epochs_per_round, len(sides) - 1))
        return tf.ensure_shape(framing(image, side, seed), (None, None, 3))

    called = f"{facts.name} {split} sizes={sides} batch={batch} seed={seed}"
    if split == "train":
        return epochs(images, frame, batch=batch, seed=seed, first_epoch=first_epoch, name=called)
    return passes(images, frame, batch=batch, first_epoch=first_epoch, name=called)
