"""Finds the `Source` of a data set by its name; imports the module of this data set only."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from kerasprune.errors import Key, PruneError, nearest, short
from kerasprune.files import is_file, is_folder
from kerasprune.files.reading import existing_path

if TYPE_CHECKING:
    from kerasprune.data.sources import Source


NAMED = {
    "digits": "comes with scikit-learn",
    "digits-500": "comes with scikit-learn",
    "glyphs": "is drawn from fonts",
    "glyphs/small": "is drawn from fonts",
    "glyphs/tiny": "is drawn from fonts",
}
"""Data sets that need no download, and where they are from."""
PREFIXED = ("tfds", "generated")
ARRAYS = (".npz", ".npy")
_PACKAGES_OWN = ("kerasprune.models.sets.point_scenes:point_scenes",)  # functions of this package, by their addresses
SYNTHETIC = "synthetic"
"""Examples that are drawn from the model."""
_TABLES = {".csv": ",", ".tsv": "\t"}  # with a line of headings, classes in the last column
_MODULES = {"digits": ("sklearn",), "glyphs": ("matplotlib", "PIL", "tensorflow_datasets")}


def own(name: str) -> str | None:
    """Returns the kind of a user's own data; `None` for a data set of images.

    Returns:
        `"arrays"` or `"function"` for a user's own; `"synthetic"` for examples that are drawn from the model.

    Example:
        >>> own("clips.npz"), own("my_data:load"), own("digits"), own("tfds:cifar10")
        ('arrays', 'function', None, None)
    """
    if name == SYNTHETIC:
        return SYNTHETIC
    if Path(name).suffix in ARRAYS:
        return "arrays"
    prefix, colon, _ = name.partition(":")
    return "function" if colon and prefix not in PREFIXED and not Path(name).is_dir() else None


def needs_trust(name: str) -> bool:
    """Returns whether a name of data imports code that is not of this package.

    Example:
        >>> needs_trust("my_data:load"), needs_trust("kerasprune.models.sets.point_scenes:point_scenes")
        (True, False)
    """
    return own(name) == "function" and name not in _PACKAGES_OWN


def names() -> list[str]:
    """Returns the names of the data sets that need no download; `load` also takes `tfds:` sets and folders.

    Example:
        >>> names()
        ['digits', 'digits-500', 'glyphs', 'glyphs/small', 'glyphs/tiny']
    """
    return sorted(NAMED)


def here(name: str) -> bool:
    """Returns whether a data set is on this machine, or is made on it; nothing of it is imported or read.

    Args:
        name: As for `find`, or the path of a file of arrays.

    Example:
        >>> here("generated:10"), here("tfds:no_such_set")
        (True, False)
    """
    prefix, colon, rest = name.partition(":")
    if name in NAMED:
        return all(map(find_spec, _MODULES[name.partition("/")[0].partition("-")[0]]))
    if colon and prefix == "tfds":
        folder = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets", rest).expanduser()
        return is_folder(folder) and any(folder.glob("**/dataset_info.json"))
    return prefix == "generated" or is_file(name) or is_folder(name)


def find(name: str | Path, data_dir: str | None = None) -> Source:
    """Returns the data set of this name, without fetching its images.

    Args:
        name: One of `names()`, `"tfds:<name>"`, `"generated:<classes>"`, or the path of a folder of images.
        data_dir: As for `load`. Defaults to that of tfds: `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`.

    Raises:
        PruneError: The name is unknown.
    """
    if not isinstance(name, str | os.PathLike):
        raise PruneError(f"Expected the name of a data set or the path of a folder. Received: name={short(name)}.")
    text = os.fspath(name)
    prefix, colon, rest = text.partition(":")
    if text in NAMED and text.startswith("digits"):
        from kerasprune.models.sets.digits import digits

        return digits(text)
    if text in NAMED:
        from kerasprune.models.sets.glyphs import glyphs

        return glyphs(text.partition("/")[2] or "full", data_dir)
    if colon and prefix == "tfds":
        from kerasprune.models.sets.tfds_source import tfds_source

        return tfds_source(rest, data_dir)
    if colon and prefix == "generated":
        from kerasprune.models.sets.generated import noise_source

        if not rest.isdecimal() or int(rest) < 1:
            raise PruneError(f"Expected a number of classes, as in 'generated:10'. Received: name={text!r}.")
        return noise_source(int(rest))
    if is_folder(text) or not isinstance(name, str):
        from kerasprune.data.folder import folder

        return folder(Path(text).expanduser())
    raise _unknown(text)


def check_kind(name: str) -> None:
    """Raises if the name of data is that of a file of another kind than arrays.

    Args:
        name: A name, a path or an address, as `--data` takes it.
    """
    path = Path(name)
    if own(name) is not None or not (is_file(path) or path.suffix.lower() in _TABLES):
        return
    arrays, save = path.with_suffix(".npz").name, "np.savez({!r}, x={}, y={})"
    how = save.format(arrays, "inputs", "classes")
    if path.suffix.lower() in _TABLES:
        read = f"np.loadtxt({str(path)!r}, delimiter={_TABLES[path.suffix.lower()]!r}, skiprows=1)"
        how = f"t = {read}; {save.format(arrays, 't[:, :-1]', 't[:, -1].astype(int)')}"
    raise PruneError(
        "Expected a .npz file of arrays, a folder of images, or the name of a data set. "
        f"Received: {short(name)}. Write its numbers as arrays once, with NumPy: {how}"
    )


def check_name(name: str) -> None:
    """Raises if there are no data of this name on this machine; nothing is imported or read.

    Args:
        name: As for `check_kind`.
    """
    check_kind(name)
    if own(name) == "arrays":
        existing_path(name, "a .npz or .npy file")
    prefix, colon, _ = name.partition(":")
    if own(name) is None and not (name in NAMED or colon and prefix in PREFIXED or is_folder(name)):
        raise _unknown(name)


def _unknown(name: str) -> PruneError:
    return PruneError(
        f"Expected the name of a data set ({', '.join(names())}, 'tfds:<name>', 'generated:<classes>') "
        "or the path of an existing folder. Received: ",
        Key("data.name", "name"),
        f"={short(name)}.{nearest(name, NAMED)}",
    )
