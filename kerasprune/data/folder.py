"""Images in folders named after their classes: `<split>/<class>/*.png`, or `<class>/*.png`, which are split here."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kerasprune.backend.reader import tf
from kerasprune.data.scaling import DataInfo
from kerasprune.data.sources import Indexed, Source, encoded_image
from kerasprune.errors import PruneError, extras, raise_faults

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
# Common names of splits, and their names in kerasprune.
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
# One class's images in a folder without splits: 80 % train, 10 % validation, 10 % test.
PARTS = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
SPLIT_SEED = 0
# Up to this many bytes in all, files are decoded in full as a check; beyond, only their headers are read.
DECODED_IN_FULL = 512 * 2**20

Files = dict[str, dict[str, list[Path]]]  # split -> class -> images


def folder(root: Path) -> Source:
    """Returns the images below a folder; classes are numbered in the alphabetical order of their names.

    Without folders for the splits, each class is split 80 : 10 : 10 by a fixed permutation of its sorted file names, so
    adding a file to one class does not change the split of another.

    Args:
        root: The folder.

    Raises:
        PruneError: There is no such folder, it has no images, some would not be used, or a class has no training
            images. When a split is loaded: a file cannot be read as an image.
    """
    if not root.is_dir():
        raise PruneError(f"Expected a folder of images. Received: {str(root)!r}, which is not a folder.")
    files = _by_split(root)
    classes = sorted({label for by_class in files.values() for label in by_class})
    if not any(paths for by_class in files.values() for paths in by_class.values()):
        raise PruneError(f"Expected PNG or JPEG files in {root}/<class>/ or {root}/<split>/<class>/, and found none.")
    faults = [
        f"{root} has split 'train' without images of {label!r}. Add some, or remove the class everywhere."
        for label in classes
        if "train" in files and not files["train"].get(label)
    ]
    raise_faults("Expected training images of every class.", faults)
    info = DataInfo(
        name=str(root),
        classes=tuple(classes),
        examples={split: sum(map(len, by_class.values())) for split, by_class in files.items()},
        size=None,
    )
    return Source(info, lambda split: _split(files[split], classes))


def _by_split(root: Path) -> Files:
    named = {SPLITS[path.name]: path for path in _folders(root) if path.name in SPLITS}
    if named:
        raise_faults(f"Some images of {root} would not be used:", _left_out(_folders(root), named))
        return {split: {label.name: _images(label) for label in _folders(path)} for split, path in named.items()}
    by_class = {label.name: _images(label) for label in _folders(root)}
    return {
        split: {label: [paths[i] for i in part_of(len(paths), *PARTS[split])] for label, paths in by_class.items()}
        for split in PARTS
    }


def _left_out(folders: list[Path], named: Mapping[str, Path]) -> list[str]:
    """Returns a fault for every folder with images, other than those of the splits, that would not be read."""
    faults = []
    for path in folders:
        taken = named.get(SPLITS.get(path.name))
        if taken not in (None, path):
            faults.append(f"Expected one folder of a split. Received: {path.name!r} and {taken.name!r}. Join them.")
        elif _images(path) and taken is None:
            faults.append(
                f"Expected every class in a split. Received: {path.name!r} with images, next to the split "
                f"{min(each.name for each in named.values())!r}. Move it into the splits, or out of the folder; a "
                "class with the name of a split needs another name."
            )
        elif _images(path):
            faults.append(
                f"Expected a folder for each class in {path.name!r}, which is the name of a split. Received: images. "
                "Sort them by class; if this is the name of a class, rename it."
            )
    return faults


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.suffix.lower() in SUFFIXES)


def part_of(count: int, begin: float, end: float) -> np.ndarray:
    """Returns the sorted entries of a fixed permutation from one fraction of its length to another."""
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(count)
    return np.sort(order[round(begin * count) : round(end * count)])


def _split(by_class: Mapping[str, list[Path]], classes: list[str]) -> Indexed:
    paths = [path for label in classes for path in by_class.get(label, [])]
    labels = [number for number, label in enumerate(classes) for _ in by_class.get(label, [])]
    refuse_corrupt(paths)
    with tf.device("CPU"):
        names = tf.constant([str(path) for path in paths])
    return Indexed(np.asarray(labels), lambda number: encoded_image(tf.io.read_file(tf.gather(names, number))))


def refuse_corrupt(paths: list[Path]) -> None:
    """Raises for files that are not images, since an error during training would not name them."""
    in_full = sum(path.stat().st_size for path in paths) <= DECODED_IN_FULL
    with ThreadPoolExecutor() as workers:
        faults = list(workers.map(lambda path: _fault(path, in_full), paths))
    raise_faults("Expected PNG or JPEG files. Remove or replace:", [fault for fault in faults if fault])


@extras("images in a folder")
def _fault(path: Path, in_full: bool) -> str:
    from PIL import Image  # who reads no folder needs none

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if in_full:
                image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{path}: {error}"
    return ""
