"""`kp.codec.pack` and `kp.codec.unpack`: a model in a `.kpz` file, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers, own_weights
from kerasprune.checks import kind_faults, seed_faults
from kerasprune.errors import PruneError, raise_faults, short
from kerasprune.export.codec.container import WHAT, read_file, to_bytes
from kerasprune.export.codec.entries import DTYPES, Entry, arrays_of, entry_of
from kerasprune.export.codec.sharing import BITS, bits_of, is_shared, share, sharing_faults
from kerasprune.export.codec.size_table import SizeTable, table_of
from kerasprune.export.destination import new_file
from kerasprune.files import path_of
from kerasprune.files.keras_model import FREE_WEIGHTS, readable, weights_at_most
from kerasprune.graph.built_model import check_built
from kerasprune.graph.graph import check_finite_weights, values
from kerasprune.graph.groups import number_repeated

_ARRAYS = "numpy", "tensor", "keras_tensor"  # as configs write them


def pack(
    model: keras.Model,
    path: Path | str,
    *,
    bits: Mapping[str, int] | int = BITS,
    start: str = "linear",
    seed: int = 0,
    rest: str | None = None,
    overwrite: bool = False,
) -> SizeTable:
    """Writes a model to a `.kpz` file: kernels shared by clusters, then Huffman-coded. The model is left untouched.

    Kernels (arrays of floats with two axes or more, not of one number a channel) of the layers that `bits` names are
    shared (`kp.codec.share`), which changes weights. All else is lossless: the codes of a kernel, and the gaps of
    4 or 8 bits between its nonzero weights, are stored in the shortest form; a kernel with at most 256 distinct values
    is coded without sharing; other arrays, such as biases and statistics, are stored as they are.

    The file holds config and weights, not the optimizer, the compiled loss or the state of random seeds; an initializer
    that holds an array, such as word vectors, becomes zeros, since the weights are there.

    Args:
        model: The model.
        path: The file, `.kpz`.
        bits: Bits of a code, 1 … 8, for the kernels of all layers; or `{key: bits}` by a part of the class (`"conv"`,
            `"dense"`), the name of a layer, or a wildcard for it; the last key that fits counts, and layers that none
            fits are not shared. Defaults to `{"conv": 8, "dense": 5}`.
        start: The first centroids, see `kp.codec.share`. Defaults to `"linear"`.
        seed: Random seed of the start `"random"`. Defaults to 0.
        rest: `"float16"`: stores everything that is neither shared nor coded in half precision. Defaults to `None`:
            in the precision it has.
        overwrite: Whether a file there is replaced. Defaults to `False`.

    Returns:
        The bytes of the file, by array.

    Raises:
        PruneError: A weight is not finite, an argument does not fit, the model cannot be written, or the file exists.

    Example:
        >>> import keras, tempfile, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(300), keras.layers.Dense(10)])
        >>> table = kp.codec.pack(model, tempfile.mkdtemp() + "/model.kpz", bits=4)
        >>> 6 < table.compression < 8
        True

    Reference:
        Han et al., Deep Compression, ICLR 2016, arXiv 1510.00149.
    """
    faults = kind_faults(keras.Model, "Load it first.", model=model) + sharing_faults(bits, start, rest)
    faults += seed_faults(seed=seed)
    raise_faults("Invalid arguments for pack:", faults)
    check_built(model)
    check_finite_weights(model)
    layers, entries = _layers(model), []
    number = bits_of(with_kernels(layers), bits)
    for layer in layers:
        for _, name, array in _stored(layer):
            kernel = is_shared(name, array)
            if kernel and id(layer) in number:
                array = share(array, 1 << number[id(layer)], start=start, seed=seed)
            entries.append(_halved(entry_of(name, array, kernel=kernel), rest))
    paths = number_repeated(entry.path for entry in entries)
    entries = [replace(entry, path=path) for entry, path in zip(entries, paths, strict=True)]
    content = to_bytes(_config(model), entries)
    with new_file(path_of(path), overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
        unpack(temporary)  # a file that does not load is none
    return table_of(entries, len(content))


def unpack(path: Path | str) -> keras.Model:
    """Returns the model of a `.kpz` file, not compiled, with the weights it was packed with after sharing, bit for bit.

    Args:
        path: The file. It is read in Keras's safe mode: no code in it is run.

    Raises:
        PruneError: There is no such file, it is damaged, or Keras cannot build its model, as with a class of yours
            that is not imported.

    Example:
        >>> import keras, tempfile, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, kernel_initializer="ones")])
        >>> path = tempfile.mkdtemp() + "/model.kpz"
        >>> _ = kp.codec.pack(model, path)
        >>> kp.codec.unpack(path).layers[0].kernel.numpy().sum()
        np.float32(8.0)
    """
    config, entries, _ = read_file(path)
    path = Path(path)
    with readable(path, WHAT):
        arrays = list(arrays_of(entries))
        with weights_at_most(sum(entry.size for entry in entries) + FREE_WEIGHTS, path):
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise PruneError(f"Expected {WHAT} of a model. Received: {short(str(path))}, a {type(model).__name__}.")
        _load(model, arrays, path)
    return model


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns all layers; a shared one occurs once."""
    return list({id(layer): layer for layer in inner_layers(model)}.values())


def with_kernels(layers: Iterable[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Returns the layers that have a kernel of their own, rather than layers inside that have one."""
    return [each for each in layers if any(is_shared(v.name, values(v)) for v in own_weights(each))]


def _stored(layer: keras.layers.Layer) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields keys, names and values of a layer's own variables, as in a `.keras` file."""
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    for key, value in store.items():
        name = getattr(value, "name", key)
        array = np.asarray(keras.ops.convert_to_numpy(value))
        if str(array.dtype) not in DTYPES:
            raise PruneError(
                f"Expected weights of one of the types {DTYPES}. Received: {array.dtype} in {layer.name!r}."
            )
        yield key, f"{layer.name}/{name}", array


def _halved(entry: Entry, rest: str | None) -> Entry:
    """Returns an entry without codes in half precision, if that is asked for and it is of floats."""
    if rest is None or entry.codes is not None or entry.dtype not in ("float32", "float64"):
        return entry
    if np.abs(entry.values).max(initial=0) > np.finfo(np.float16).max:
        raise PruneError(f"Expected numbers up to 65,504 for rest='float16'. Received: larger ones in {entry.path!r}.")
    return replace(entry, dtype="float16", values=entry.values.astype(np.float16))


def _config(model: keras.Model) -> dict[str, Any]:
    """Returns the config of a model, without the optimizer and losses it is compiled with."""
    assets = [layer.name for layer in _layers(model) if hasattr(layer, "save_assets")]
    if assets:
        raise PruneError(f"Expected layers without a vocabulary. Received: {assets}, which have one. Use model.save.")
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        config = _without_first_weights(config)
        text = json.dumps(config)
    except PruneError:
        raise
    except (NotImplementedError, TypeError, ValueError) as error:
        raise PruneError(f"Keras cannot write the model: {error}. Expected a model with a config.") from error
    if '"__lambda__"' in text:
        raise PruneError("Expected a model without code of its own. Received: a lambda. Write a layer class instead.")
    return config


def _without_first_weights(config: Any, key: str = "") -> Any:
    """Returns a config whose initializers that hold an array are zeros, like the weights that replace them at once."""
    if key.endswith("_initializer") and any(f'"class_name": "__{kind}__"' in json.dumps(config) for kind in _ARRAYS):
        return keras.saving.serialize_keras_object(keras.initializers.Zeros())
    if isinstance(config, dict):
        return {name: _without_first_weights(value, name) for name, value in config.items()}
    return [_without_first_weights(each) for each in config] if isinstance(config, list) else config


def _load(model: keras.Model, arrays: list[np.ndarray], path: Path) -> None:
    """Assigns all arrays; the layers must store as many, of the same shapes and types."""
    own = [(layer, list(_stored(layer))) for layer in _layers(model)]
    expected = [array for _, stored in own for *_, array in stored]
    if len(expected) != len(arrays) or not all(map(_fits, expected, arrays)):
        raise PruneError(f"Expected {WHAT} with the weights of its model. Received: {short(str(path))}, with others.")
    rest = iter(arrays)
    for layer, stored in own:
        layer.load_own_variables({key: next(rest) for key, *_ in stored})


def _fits(own: np.ndarray, given: np.ndarray) -> bool:
    halved = given.dtype == np.float16 and own.dtype.kind == "f"
    return own.shape == given.shape and (own.dtype == given.dtype or halved)
