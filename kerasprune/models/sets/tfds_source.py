"""Image classification data sets of `tensorflow-datasets`, by name."""

from __future__ import annotations

import tensorflow_datasets as tfds

from kerasprune.data.scaling import DataInfo
from kerasprune.data.sources import Images, Indexed, Source, Streamed, encoded_image, in_memory
from kerasprune.errors import PruneError, nearest

HELD_IN_MEMORY = 2**30  # a split of at most as many bytes, decoded, is kept in memory


def tfds_source(name: str, data_dir: str | None) -> Source:
    """Returns a tfds data set, which is downloaded and prepared if necessary.

    A split whose images have one size and fit into 1 GiB is kept in memory; a larger one is streamed.

    Args:
        name: Its name at tfds, such as `"cifar10"` or `"imagenet2012"`.
        data_dir: Folder of tfds; `None` means `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`.

    Raises:
        PruneError: The name is unknown to tfds, the files are missing and cannot be prepared, or an example is not
            one image and one label.
    """
    builder = _prepared(name, data_dir)
    image, label = _keys(builder)
    shape = builder.info.features[image].shape
    info = DataInfo(
        name=f"tfds:{name}",
        classes=tuple(builder.info.features[label].names),
        examples={split: facts.num_examples for split, facts in builder.info.splits.items()},
        size=None if None in shape[:2] else tuple(shape[:2]),
    )
    return Source(info, lambda split: _images(builder, split, image, label))


def _prepared(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except ValueError as error:
        raise PruneError(
            f"Expected a data set that tensorflow-datasets knows. Received: name={'tfds:' + name!r}."
            f"{nearest(name, tfds.list_builders())}"
        ) from error
    try:
        builder.download_and_prepare()
    except Exception as error:  # e.g. no network, a wrong checksum, a file to download by hand
        raise PruneError(
            f"Expected the files of {builder.name!r} in {builder.data_dir}, and they could not be prepared: {error}\n"
            f"Run `tfds build {builder.name}` on a machine with a network, and copy that folder here. "
            "TFDS_DATA_DIR or data_dir= set the folder."
        ) from error
    return builder


def _keys(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    keys = builder.info.supervised_keys or ()
    features = builder.info.features
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    if len(keys) != 2 or not all(isinstance(features[key], kind) for key, kind in zip(keys, kinds, strict=True)):
        raise PruneError(
            "Expected a data set of one image and one label an example. "
            f"Received: {builder.info.full_name} with supervised_keys={keys!r}."
        )
    return keys


def _images(builder: tfds.core.DatasetBuilder, split: str, image: str, label: str) -> Images:
    count, shape = builder.info.splits[split].num_examples, builder.info.features[image].shape
    if None not in shape and count * shape[0] * shape[1] * shape[2] <= HELD_IN_MEMORY:
        return read_whole(builder, split)
    records = builder.as_dataset(split=split, decoders={image: tfds.decode.SkipDecoding()})
    return Streamed(count, records.map(lambda example: (example[image], example[label])), encoded_image)


def read_whole(builder: tfds.core.DatasetBuilder, split: str) -> Indexed:
    """Returns a split of equally large images, decoded into memory."""
    images, labels = builder.as_dataset(split=split, batch_size=-1, as_supervised=True)
    return in_memory(images.numpy(), labels.numpy())
