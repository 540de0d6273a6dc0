"""What the file of a model is, told by its content: a whole model, weights alone, or the work of another program."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from kerasprune.errors import PruneError, first_of, reason_of, short
from kerasprune.files.reading import is_file, is_folder, path_of
from kerasprune.files.system_errors import denials

CONFIG = "config.json"
"""The part of a `.keras` file that holds the layers."""
KERAS, H5 = (".keras",), (".h5", ".hdf5")
"""The ends of names by which Keras reads a whole model: of a zip file, and of an HDF5 file."""

_GRAPH, _HDF5 = "saved_model.pb", b"\x89HDF\r\n\x1a\n"
_PART = re.compile(r"(.+)\.(index|data-\d{5}-of-\d{5})")  # of a checkpoint of TensorFlow
_OTHERS = {
    (0, b"PK"): "a damaged zip file",
    (4, b"TFL3"): "a compiled TensorFlow Lite model, which can be timed, not pruned",
    (0, b"version https://git-lfs"): "a pointer of Git LFS in place of the file, which 'git lfs pull' fetches",
    (0, b"\x1f\x8b"): "compressed by gzip, and may be a model once it is unpacked",
    (0, b"\x80"): "a pickle, of PyTorch or joblib for instance, and pickles are not opened",
    (0, b"{"): "JSON, without weights",
    (0, b"\x08"): "a graph of ONNX or TensorFlow, without layers of Keras",
    (0, b""): "neither a zip nor an HDF5 file",
}
"""`{(where, bytes there): what the file is}`; the first counts."""
_SAVE = "Save the Keras model that it was made from with model.save('model.keras')."


def endings_of_model(path: Path | str) -> tuple[str, ...]:
    """Returns the ends of names by which Keras reads a file of this content: `KERAS` or `H5`.

    Args:
        path: The file, whatever its name.

    Raises:
        PruneError: It holds no whole model; the message says what it is instead, and what can be done.
    """
    path = path_of(path)
    if not is_file(path) or path.name == _GRAPH or _PART.fullmatch(path.name):
        raise _refusal(path, *_of_tensorflow(path))
    with denials(path, "a file that can be read"), path.open("rb") as file:
        head = file.read(64)
    if head.startswith(_HDF5):
        _check_layers(path)
        return H5
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:  # what is no zip, and anything for damaged ones
        what = next(what for (start, first), what in _OTHERS.items() if head[start:].startswith(first))
        raise _refusal(path, what if head else "empty", _SAVE) from error
    if CONFIG not in names:
        torch = any(name.endswith("/data.pkl") for name in names)
        raise _refusal(path, "an archive of PyTorch" if torch else f"a zip of {first_of(names) or 'nothing'}", _SAVE)
    return KERAS


def is_hdf5(path: Path) -> bool:
    """Returns whether a file begins as HDF5 files do."""
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _refusal(path: Path, what: str, remedy: str = "") -> PruneError:
    received = f"Received: {short(str(path))}, which is {what}. {remedy}"
    return PruneError(f"Expected the file of a whole Keras model, .keras or .h5. {received}".rstrip())


def _of_tensorflow(path: Path) -> tuple[str, ...]:
    """Returns a sentence on a path that is no file, or a part of what TensorFlow writes, with a remedy."""
    part = _PART.fullmatch(path.name)
    prefix = path.with_name(part[1]) if part else path
    if part or is_file(f"{prefix}.index"):
        load = f"model.load_weights({str(prefix)!r}), and model.save('model.h5')"
        remedy = f"Build the model with its own code in Keras 2, which is the package tf_keras, {load}."
        return "weights without layers, a checkpoint of TensorFlow", remedy
    folder = path.parent if path.name == _GRAPH else path
    if not is_file(folder / _GRAPH):
        return ("a folder", _SAVE) if is_folder(path) else ("not a file",)
    what = "a SavedModel: a compiled graph, which keras.layers.TFSMLayer runs, without layers that can be pruned"
    if is_file(folder / "keras_metadata.pb"):  # Keras 2 has written its layers beside
        return what, f"Convert it in Keras 2: tf_keras.models.load_model({str(folder)!r}).save('model.h5')."
    return what, _SAVE


def _check_layers(path: Path) -> None:
    """Raises unless an HDF5 file holds a model of layers, as Keras writes one."""
    import h5py

    try:
        with h5py.File(path) as store:
            whole, old, new = "model_config" in store.attrs, "layer_names" in store.attrs, "vars" in store
    except Exception as error:
        raise _refusal(path, f"a damaged HDF5 file ({reason_of(str(error))})", _SAVE) from error
    if whole:
        return
    if not old and not new:
        raise _refusal(path, "an HDF5 file without a model", _SAVE)
    stem, weights = path.name.removesuffix(path.suffix).removesuffix(".weights"), path.name.endswith(".weights.h5")
    renamed = weights or path.suffix not in H5 if old else not weights  # Keras chooses the reader by the name
    name = path.with_name(stem + (".h5" if old else ".weights.h5")) if renamed else path
    rename = f"rename the file to {name.name!r}, " if renamed else ""
    load = (
        f"Build the model with its own code, {rename}model.load_weights({str(name)!r}), and model.save('model.keras')."
    )
    raise _refusal(path, "weights without layers", load)
