"""Models that others wrote: a `.keras` file is checked before Keras builds anything of it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import Any

from kerasprune.errors import PruneError, reason_of, short
from kerasprune.files.arrays import check_size
from kerasprune.files.model_files import CONFIG, H5, endings_of_model, is_hdf5
from kerasprune.files.old_settings import read_attribute, read_compiled
from kerasprune.files.reading import MOST_BYTES, parse_json, path_of
from kerasprune.files.system_errors import denied_error
from kerasprune.files.writing import replace_when_done

ABSENT = re.compile(r"(?:Could not locate|Unknown) (class|function|layer):? '([^']+)'")
OF_TENSORFLOW = "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod"
"""Layers of Keras 2 for functions of TensorFlow that were called on its tensors."""
FREE_WEIGHTS = 1_000_000
"""Weights that a model may have beyond those of its file: of layers that save theirs in fewer numbers."""
_WEIGHTS = "model.weights.h5"


def load_model(path: Path | str) -> Any:
    """Loads a `.keras` file, or a whole `.h5` file, in safe mode, if it holds the weights of its config.

    Args:
        path: The file. Its content says what it is, not its name.

    Returns:
        The model, not compiled.

    Raises:
        PruneError: There is no such file; it holds no whole model; its config asks for more weights than it holds; or
            Keras cannot read it.
    """
    import keras

    path, endings = path_of(path), endings_of_model(path)
    with (
        readable(path),
        weights_at_most(_stored(path, endings) + FREE_WEIGHTS, path),
        _none_left_random(path),
        _ending_in(endings, path) as named,
    ):
        return keras.saving.load_model(named, compile=False, safe_mode=True)


@contextmanager
def _ending_in(endings: tuple[str, ...], path: Path) -> Iterator[Path]:
    """Yields a path of a file that ends as Keras wants it: a copy of the file, if its own does not."""
    with tempfile.TemporaryDirectory() as folder:
        yield path if path.name.endswith(endings) else shutil.copyfile(path, f"{folder}/model{endings[0]}")


def save_and_load(model: Any, path: Path | str) -> Any:
    """Returns a model as its file has it: written in one step, once it was read again.

    Args:
        model: The model.
        path: The `.keras` file.

    Returns:
        The model that `load_model` makes of the file.

    Raises:
        PruneError: Keras writes a file of it that it does not read in safe mode, or with other weights; none is left.
    """
    import numpy as np

    with replace_when_done(path_of(path)) as temporary:
        model.save(temporary)
        loaded = load_model(temporary)
        if not all(map(np.array_equal, model.get_weights(), loaded.get_weights())):
            raise PruneError(
                f"Expected a file with the weights of the model. Received: {short(str(path))}, which loads with "
                "others. A class in the model does not save its weights as it loads them."
            )
    return loaded


def reading_fault(model: Any) -> str:
    """Returns why Keras would refuse, in safe mode, to build the model that is written in a file of this one.

    Args:
        model: A model, of which no file is written and no weight is read. Its own classes count as known.

    Returns:
        The reason, or `""` if it would not.
    """
    import keras

    from kerasprune._keras import inner_layers, is_of_keras, without_draws

    kinds = {type(layer) for layer in inner_layers(model)}
    own = {kind.__name__: kind for kind in kinds if not is_of_keras(kind)}
    try:
        with warnings.catch_warnings(), keras.saving.custom_object_scope(own), without_draws():
            warnings.simplefilter("ignore")  # of what is compiled, and not read
            config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
            config.pop("compile_config", None)
            keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # noqa: BLE001  whatever layers raise
        return f"{type(error).__name__}: {reason_of(str(error))}"
    return ""


@contextmanager
def readable(path: Path, what: str = "a .keras file") -> Iterator[None]:
    """Raises whatever Keras and readers of damaged parts raise within the block as a `PruneError`.

    Args:
        path: The file that is read.
        what: The expected kind of file, for the message. Defaults to `"a .keras file"`.
    """
    import keras

    try:
        yield
    except Exception as error:
        cause = _cause(error)
        if cause is not None:
            raise cause from error
        if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno is not None:
            raise denied_error(error, path, f"{what} that can be read") from error
        newer = _newer_version(path)
        if newer:
            raise PruneError(
                f"Expected a file of Keras {newer[1]}, which is installed, or older. Received: {short(str(path))}, "
                f"saved by Keras {newer[0]} ({reason_of(str(error))}). Update Keras; or give --import FILE.py --trust "
                "for classes of your own."
            ) from error
        absent = ABSENT.search(str(error))
        if absent and absent[2] not in OF_TENSORFLOW:
            raise PruneError(
                f"Expected the code of every {absent[1]} in the model. Received: {short(str(path))}, whose {absent[1]} "
                f"{absent[2]!r} Keras cannot find. Import it before, or give --import FILE.py --trust."
            ) from error
        if is_hdf5(path):
            raise PruneError(
                f"Expected a model that Keras {keras.__version__} reads. Received: {short(str(path))} "
                f"({reason_of(str(error))}). Build it with its own code, with keras.ops in place of lambda layers and "
                f"functions of TensorFlow, then model.load_weights({str(path)!r}), and model.save('model.keras')."
            ) from error
        raise PruneError(
            f"Keras cannot read the model. Received: {short(str(path))} ({reason_of(str(error))}). Expected {what} "
            "that is whole, without lambda layers; for classes of your own give --import FILE.py --trust."
        ) from error


@contextmanager
def weights_at_most(most: int, path: Path) -> Iterator[None]:
    """Limits the number of weights that layers create within the block; one more raises before it is created.

    Args:
        most: Numbers in all weights together.
        path: The file they are read from, for the message.
    """
    from keras.layers import Layer

    add, made = Layer.add_weight, 0

    def counted(layer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal made
        made += _size(shape)
        if made > most:
            raise PruneError(
                f"Expected a model of the weights that its file holds. Received: {short(str(path))}, whose layer "
                f"{short(layer.name)} asks for a weight of shape {short(shape)}: {made:,} numbers, but the file has "
                f"room for {most:,}. Do not use the file, unless you know who made it."
            )
        return add(layer, shape, *args, **kwargs)

    Layer.add_weight = counted
    try:
        yield
    finally:
        Layer.add_weight = add


@contextmanager
def _none_left_random(path: Path) -> Iterator[None]:
    """Raises if Keras only warns of weights that the file lacks, which would be random."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for one in caught:
        if "freshly-initialized" in str(one.message):
            raise PruneError(
                f"Expected a file with all weights of its model. Received: {short(str(path))}, which lacks some: "
                f"{short(str(one.message))}. Save the model again."
            )
        if "loading for optimizer" in str(one.message):  # of a model that compiles itself; its state is not needed
            continue
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _size(shape: Any) -> int:
    sides = (shape,) if isinstance(shape, int) else tuple(shape or ())
    return prod(int(side) for side in sides if side is not None)


def _cause(error: BaseException | None) -> PruneError | None:
    """Returns the `PruneError` behind one of Keras, which wraps errors of building."""
    while error is not None and not isinstance(error, PruneError):
        error = error.__cause__ or error.__context__
    return error


def read_config(path: Path) -> dict[str, Any]:
    """Returns the config of the model in a `.keras` file, which is not built.

    Raises:
        PruneError: The config is too large, too deep or no JSON.
    """
    with zipfile.ZipFile(path) as archive:
        config = archive.getinfo(CONFIG)
        if config.file_size > MOST_BYTES:
            raise PruneError(f"Expected a config of at most {MOST_BYTES:,} bytes. Received: {config.file_size:,}.")
        return parse_json(archive.read(config).decode(), short(str(path)), "a model's config")


def read_compile_config(path: Path) -> dict[str, Any]:
    """Returns how the model of a file is compiled, which is not built; empty if it is not."""
    return read_compiled(path) if endings_of_model(path) == H5 else read_config(path).get("compile_config") or {}


def _newer_version(path: Path) -> tuple[str, str] | None:
    """Returns the version of Keras that saved a file, and the one installed, if that is older; else `None`."""
    import keras

    with suppress(Exception), zipfile.ZipFile(path) as archive:  # other files, and damaged ones, name none
        versions = json.loads(archive.read("metadata.json"))["keras_version"], keras.__version__
        saved, installed = ([int(number) for number in re.findall(r"\d+", version)[:3]] for version in versions)
        return versions if saved > installed else None
    return None


def _stored(path: Path, endings: tuple[str, ...]) -> int:
    """Returns the number of weights in a file, after checking its size, its config and its arrays."""
    if endings == H5:
        read_attribute(path, "model_config")
        return _numbers(path, path.stat().st_size, path)
    with zipfile.ZipFile(path) as archive:
        check_size(archive, path)
        read_config(path)
        if _WEIGHTS not in archive.namelist():
            return sum(info.file_size for info in archive.infolist())
        with archive.open(_WEIGHTS) as file:
            return _numbers(file, archive.getinfo(_WEIGHTS).file_size, path)


def _numbers(file: Any, size: int, path: Path) -> int:
    """Returns how many numbers the arrays of an HDF5 file hold, after checking that they fit into the file."""
    import h5py

    found = {"numbers": 0, "bytes": 0}

    def look(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset):
            if part.external or part.is_virtual:
                raise PruneError(f"Expected weights in the file itself. Received: {short(name)} of {short(str(path))}.")
            found["numbers"] += part.size or 0
            found["bytes"] += part.nbytes or 0

    with h5py.File(file, "r") as store:
        store.visititems(look)
    if found["bytes"] > size:
        raise PruneError(
            f"Expected weights that the file has room for. Received: {short(str(path))}, whose arrays declare "
            f"{found['bytes']:,} bytes in {size:,}."
        )
    return found["numbers"]
