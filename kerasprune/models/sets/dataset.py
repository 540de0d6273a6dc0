"""`load`: the batches of a named data set for `model.fit`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.checks import choice_faults, fraction_faults
from kerasprune.data.epochs import epochs, rest_of_epoch
from kerasprune.data.scaling import CHANNELS, SCALES, DataInfo, normalise, rescale
from kerasprune.data.sources import Images, Source
from kerasprune.defaults import BATCH
from kerasprune.errors import extras, nearest, raise_faults
from kerasprune.models.sets.augmentation import MIRRORING, Augmentation, resize, resize_and_crop
from kerasprune.models.sets.lookup import find
from kerasprune.models.sets.registry import augmentations


@extras("kp.data.load")
def load(
    name: str | Path,
    *,
    size: int = 32,
    batch: int | None = None,
    split: str = "train",
    augment: str | Augmentation | None = None,
    evaluation_crop: float = 1.0,
    antialias: bool = True,
    seed: int = 0,
    first_epoch: int = 0,
    first_step: int = 0,
    data_dir: str | None = None,
    scale: str = "standardise",
    channels: int = 3,
) -> tf.data.Dataset:
    """Returns a split of a data set as batches of standardised images and labels.

    An image is cropped to its middle square, resized bilinearly (by default with antialiasing if it shrinks), and
    standardised by channel: `(image / 255 - mean) / std` with the constants of `info(name)`, unless `scale` is given.

    The training split is shuffled and augmented afresh in every epoch; both depend on `(seed, epoch)` alone,
    whatever other random seeds are set. All its batches are full; the remainder is dropped. The other splits come in
    stored order, and their last batch may be smaller.

    Args:
        name: One of `names()`, `"tfds:<name>"` for any image classification set of tensorflow-datasets,
            `"generated:<classes>"` for noise, or the path of a folder with `<split>/<class>/*.png|jpg` or
            `<class>/*.png|jpg`.
        size: Height and width in pixels. Defaults to 32.
        batch: Images per batch. Defaults to 128, or to all images of a smaller split.
        split: `"train"`, `"validation"`, `"test"`, or another split of the data set. Defaults to `"train"`.
        augment: `"crop"`, `"crop_flip"`, `"inception"` or a function, see `kerasprune.models.sets.augmentation`; for
            the training split only. Defaults to `None`, which only resizes.
        evaluation_crop: For the other splits: the shorter side is resized to `size / evaluation_crop`, and the middle
            `size` by `size` is cropped. For ImageNet use 0.875: resized to 256, cropped to 224. Defaults to 1.0, the
            whole middle square.
        antialias: Whether shrinking averages over all pixels that a new one covers, as PIL does, rather than using the
            four nearest pixels, as Android's `Bitmap.createScaledBitmap` does. Defaults to `True`.
        seed: Random seed of order and augmentation. Defaults to 0.
        first_epoch: Number of the epoch of the first iteration. Defaults to 0.
        first_step: If not 0, only the rest of `first_epoch` from that step on is returned, to finish an interrupted
            epoch: train on it once, then load again with the next `first_epoch`. Defaults to 0.
        data_dir: Folder of tensorflow-datasets, for `glyphs` and `tfds:` sets. Defaults to `$TFDS_DATA_DIR`, or else
            `~/tensorflow_datasets`.
        scale: How pixels 0 … 255 are scaled: `"standardise"`, `"imagenet"` (with ImageNet's constants), `"0..1"`,
            `"-1..1"`, `"0..255"` or `"none"`. Use the scale that the model was trained with. Defaults to
            `"standardise"`.
        channels: 3, or 1 for grey images. Defaults to 3.

    Returns:
        Batches of (float32 of shape (batch, size, size, channels), int32 of shape (batch,)); `len` gives their number.

    Raises:
        PruneError: An argument is out of range, the data set or split is unknown, or its files are missing or
            corrupt.

    Example:
        >>> images, labels = next(iter(load("digits", size=16, batch=64)))
        >>> images.shape, labels.shape
        (TensorShape([64, 16, 16, 3]), TensorShape([64]))
        >>> len(load("digits", batch=64)), len(load("digits", batch=64, split="test"))
        (18, 5)
    """
    view = View(find(name, data_dir), split, augment, evaluation_crop, antialias)
    batch = view.batch(batch)
    faults = wrong_numbers(size=(size, 1), first_step=(first_step, 0))
    faults += view.faults(batch, seed, first_epoch, first_step)
    faults += choice_faults(SCALES, scale=scale) + choice_faults(CHANNELS, channels=channels)
    facts, images = view.checked(faults)
    frame = view.framing()

    def framed(image: tf.Tensor, seed: tf.Tensor | None = None, epoch: tf.Tensor | None = None) -> tf.Tensor:
        del epoch
        return rescale(tf.ensure_shape(frame(image, size, seed), (size, size, 3)), scale, channels, facts)

    if split != "train":

        def evaluated(_: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image, label = images.decode(record)
            return framed(image), label

        examples = images.in_order().enumerate().map(evaluated, num_parallel_calls=tf.data.AUTOTUNE)
        batches = examples.batch(batch).prefetch(tf.data.AUTOTUNE)
        return batches.apply(tf.data.experimental.assert_cardinality(-(-images.count // batch)))
    if first_step:
        return rest_of_epoch(images, framed, batch=batch, seed=seed, epoch=first_epoch, first_step=first_step)
    called = f"{facts.name} size={size} batch={batch} seed={seed}"
    return epochs(images, framed, batch=batch, seed=seed, first_epoch=first_epoch, name=called)


@dataclass(frozen=True)
class View:
    """The images of a split as a model sees them: augmented for training, cropped for evaluation.

    Args:
        source: The data set.
        split: Name of the split.
        augment: As for `load`, as are the following.
        evaluation_crop: Fraction of an evaluation image.
        antialias: Whether shrinking averages.
    """

    source: Source
    split: str
    augment: str | Augmentation | None
    evaluation_crop: float
    antialias: bool

    def batch(self, given: int | None) -> int:
        """Returns the given number of images per batch; the default is at most the images of the split."""
        found = [count for split, count in self.source.info.examples.items() if split == self.split and count]
        return min([BATCH, *found]) if given is None else given

    def faults(self, batch: int, seed: int, first_epoch: int, first_step: int = 0) -> list[str]:
        """Returns the faults of the arguments of `load` and `load_resized`."""
        return [
            *wrong_numbers(batch=(batch, 1), seed=(seed, 0), first_epoch=(first_epoch, 0)),
            *_wrong_split(self.source.info, self.split, batch, first_step),
            *_wrong_augmentation(self.source.info, self.split, self.augment, self.antialias),
            *_wrong_crop(self.split, self.evaluation_crop),
        ]

    def checked(self, faults: Sequence[str]) -> tuple[DataInfo, Images]:
        """Returns the facts and the images of the split, if there are no faults."""
        raise_faults(f"Invalid arguments for the data set {self.source.info.name!r}:", faults)
        return self.source.info, self.source.images(self.split)

    def framing(self) -> Callable[[tf.Tensor, int | tf.Tensor, tf.Tensor | None], tf.Tensor]:
        """Returns a function of image, size and seed, which returns a standardised image at `size` x `size`."""
        if self.split == "train":  # found here: TensorFlow, which traces the function, warns about imports in it
            augment = _augmentation_of(self.augment, self.antialias)

            def augmented(image: tf.Tensor, size: int | tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
                return augment(standardise(image, self.source.info), size, seed)

            return augmented

        def cropped(image: tf.Tensor, size: int | tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
            del seed
            image = standardise(image, self.source.info)
            return resize_and_crop(image, size, self.evaluation_crop, antialias=self.antialias)

        return cropped


@extras("kp.data.info")
def info(name: str | Path, *, data_dir: str | None = None) -> DataInfo:
    """Returns the classes of a data set, its examples by split, image size, mean and standard deviation.

    Args:
        name: As for `load`.
        data_dir: As for `load`.

    Raises:
        PruneError: The data set is unknown, or its files are missing.

    Example:
        >>> facts = info("glyphs/small")
        >>> len(facts.classes), facts.examples["train"], facts.size
        (36, 10000, (64, 64))
    """
    return find(name, data_dir).info


def standardise(image: tf.Tensor, facts: DataInfo) -> tf.Tensor:
    """Returns `(image / 255 - mean) / std` by channel, as float32."""
    return normalise(image, facts.mean, facts.std)


def _plain(image: tf.Tensor, size: int, seed: tf.Tensor, *, antialias: bool = True) -> tf.Tensor:
    """Only resizes: the default if no augmentation is given."""
    del seed
    return resize(image, size, antialias=antialias)


def _augmentation_of(augment: str | Augmentation | None, antialias: bool = True) -> Augmentation:
    """Returns an augmentation, with antialiasing or without."""
    function = augmentations.member(augment) if isinstance(augment, str) else augment or _plain
    return function if antialias else partial(function, antialias=False)


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def wrong_numbers(**numbers: tuple[Any, int]) -> list[str]:
    """Returns a fault for every `name=(value, least)` whose value is not an integer of at least `least`."""
    return [
        f"Expected an integer of at least {least}. Received: {name}={value!r}."
        for name, (value, least) in numbers.items()
        if not _whole(value) or not least <= value < 2**63
    ]


def _wrong_split(facts: DataInfo, split: str, batch: int, first_step: int) -> list[str]:
    """Returns a fault for an unknown split, a batch larger than it, or a step after its end."""
    if split not in tuple(facts.examples):
        known = ", ".join(facts.examples)
        return [f"Expected one of its splits: {known}. Received: split={split!r}.{nearest(split, facts.examples)}"]
    if split != "train" or not _whole(batch) or batch < 1:
        return []
    steps = facts.examples[split] // batch
    if steps == 0:
        return [f"Expected at most the {facts.examples[split]} images of the split. Received: batch={batch}."]
    if _whole(first_step) and first_step >= steps:
        return [f"Expected a step of the epoch, 0 to {steps - 1}. Received: first_step={first_step}."]
    return []


def _wrong_crop(split: str, evaluation_crop: Any) -> list[str]:
    """Returns a fault for a crop of training images, or a fraction out of range."""
    if evaluation_crop != 1 and split == "train":
        return [
            f"Only the other splits are cropped for evaluation. Received: evaluation_crop={evaluation_crop!r} with "
            "split='train'. Leave it out."
        ]
    return fraction_faults(evaluation_crop=evaluation_crop)


def _wrong_augmentation(facts: DataInfo, split: str, augment: Any, antialias: Any = True) -> list[str]:
    """Returns a fault for an augmentation that does not fit the split or the data set, or for `antialias`."""
    received = f"Received: augment={augment!r}"
    if not isinstance(antialias, bool):
        return [f"Expected antialias to be True or False. Received: antialias={antialias!r}."]
    if augment is None:
        return []
    if isinstance(augment, str) and augment not in augmentations.names():
        known = ", ".join(augmentations)
        return [f"Expected one of {known}, or None. {received}.{nearest(augment, augmentations)}"]
    if not callable(augment) and not isinstance(augment, str):
        return [f"Expected a name, a function or None. {received}."]
    if split != "train":
        return [f"Only the training split is augmented. {received} with split={split!r}. Leave it out."]
    if augment in MIRRORING and not facts.mirror:
        return [f"Its classes change by mirroring. {received}. Use 'crop'."]
    if not antialias and "antialias" not in inspect.signature(_augmentation_of(augment)).parameters:
        return [
            f"Expected an augmentation that can resize without antialiasing. {received} with antialias=False. Give the "
            "function a keyword antialias, or leave antialias out and resize in the function as you like."
        ]
    return []
