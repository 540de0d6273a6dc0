"""Remedies of data, data sets and files that are followed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import kerasprune as kp
from kerasprune.files.keras_model import load_model
from kerasprune.models.sets.lookup import check_name
from support.remedies.networks import (
    IMAGES,
    TWO,
    Written,
    X,
    Y,
    built,
    conv,
    cut,
    dense,
    endless,
    head,
    prune,
    sparse,
    with_state,
)
from support.remedies.places import Case


def _file(**arrays: np.ndarray) -> str:
    """Writes arrays, and returns the path of the file."""
    np.savez("a.npz", **arrays)
    return "a.npz"


def _read(name: str, model: keras.Model | None = None, scale: str = "none", split: str = "train") -> list[Any]:
    """Returns the batches of a user's own examples, as commands read them."""
    from kerasprune.models.sets.user_function import split_examples

    return list(split_examples(name).batches(split, 8, 0, scale, (model or dense()).inputs))


def _image(path: str) -> None:
    """Writes an image."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    keras.utils.save_img(path, IMAGES[0])


def _images(*paths: str) -> None:
    """Writes images, and reads the first batch of their folder."""
    for path in paths:
        _image(path)
    next(iter(kp.data.load("set", split="train", batch=1)))


def _table() -> str:
    """Writes a table of numbers, and returns its path."""
    np.savetxt("mine.csv", np.column_stack([X, Y]), delimiter=",", header="a,b,c,d,e,f,class")
    return "mine.csv"


def _converted() -> None:
    """Runs the code of the message on the table, and reads what it writes."""
    with pytest.raises(kp.PruneError) as refused:
        check_name(_table())
    exec(str(refused.value).rpartition("NumPy: ")[2], {"np": np})
    _read("mine.npz")


def _unlabelled(**given: Any) -> list[Any]:
    """Returns batches of a folder with one image for a model of free sides, as `--calibrate` reads them."""
    from kerasprune.models.sets.unlabelled import read_unlabelled

    _image("set/a.png")
    return list(read_unlabelled(Path("set"), conv(None).inputs, **given))


def _precision(**given: Any) -> float:
    """Returns the mean precision of outputs in place of images, as `kp.smallest` asks for it."""
    pytest.importorskip("pycocotools")
    from kerasprune.models.sets.mean_precision import MeanPrecision
    from kerasprune.models.sets.points import Points

    class Known(keras.Model):
        def predict(self, x: Any, **given: Any) -> Any:
            return x

    labels, weights = Points(16, 32, 3).labels(np.array([[[2, 2, 13, 12]]]), np.array([[1]]))
    return MeanPrecision(**given)(Known(), ([20 * labels["classes"] - 10, labels["distances"]], labels, weights))


def _precision_on(scenes: Any) -> float:
    pytest.importorskip("pycocotools")
    from kerasprune.models.sets.mean_precision import mean_precision

    return mean_precision(kp.models.fcos(10, (32, 32, 3), 8, seed=0), scenes)


def _of_points(height: int, width: int, classes: int) -> dict[str, Any]:
    from kerasprune.models.sets.points import Points

    return {"points": Points(height, width, classes)}


def _function(after: str) -> str:
    """Writes a function of examples, and returns its address."""
    code = "import numpy as np, tensorflow as tf\nX = np.eye(64, 6, dtype='float32')\ndef load():\n    "
    Path("own.py").write_text(f"{code}return tf.data.Dataset.from_tensor_slices((X, np.arange(64) % 3)){after}\n")
    return "own.py:load"


def _fixed() -> keras.Model:
    """Returns a model of batches of eight."""
    return head(inputs := keras.Input(batch_shape=(8, 6)), inputs)


@keras.saving.register_keras_serializable("remedies")
class Nested(layers.Layer):
    """A layer that holds others in lists of lists."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.blocks = [[layers.Dense(3)]]

    def build(self, shape: Any) -> None:
        self.blocks[0][0].build(shape)

    def call(self, x: Any) -> Any:
        return self.blocks[0][0](x)


def _saved(*without: str) -> str:
    """Saves a model with such a layer, less some weights as Keras once did, and returns the path of its file."""
    import h5py

    keras.Model(inputs := keras.Input((6,)), Nested()(inputs)).save("nested.keras")
    with zipfile.ZipFile("nested.keras") as archive:
        archive.extractall("parts")
    with h5py.File("parts/model.weights.h5", "a") as weights:
        for name in without:
            del weights[name]
    with zipfile.ZipFile("nested.keras", "w") as archive:
        for path in Path("parts").iterdir():
            archive.write(path, path.name)
    return "nested.keras"


@keras.saving.register_keras_serializable("remedies")
class Denser(layers.Dense):
    """A layer of one's own."""


def _newer(module: str) -> str:
    """Saves a model as if by a newer Keras, with a layer of a module, and returns the path of its file."""
    keras.Sequential([keras.Input((6,)), Denser(2, name="last")]).save("a.keras")
    with zipfile.ZipFile("a.keras") as before, zipfile.ZipFile("newer.keras", "w") as after:
        for name in before.namelist():
            text = before.read(name).replace(keras.__version__.encode(), b"99.0.0")
            text = text.replace(b'"remedies>Denser"', module.encode()) if name == "config.json" else text
            after.writestr(name, text)
    return "newer.keras"


def _old(layer: str) -> str:
    """Saves a model in HDF5, with a layer of another class in its config, and returns the path of its file."""
    import h5py

    dense().save("a.h5")
    with h5py.File("a.h5", "r+") as store:
        store.attrs["model_config"] = store.attrs["model_config"].replace('"Dense"', f'"{layer}"')
    return "a.h5"


def _with_weights(path: str) -> None:
    """Saves a model whole, once its weights are loaded from a file."""
    model = dense()
    model.load_weights(path)
    model.save("model.keras")
    load_model("model.keras")


def _texts() -> keras.Model:
    """Returns a model of texts."""
    inputs = keras.Input((1,), dtype="string")
    x = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(inputs)
    return head(x, inputs)


def _ragged() -> Any:
    """Returns rows of one number and of two."""
    import tensorflow as tf

    return tf.ragged.constant([[1.0], [1.0, 2.0]] * 32, dtype="float32")


def _resized(image: Any, size: int, seed: Any, antialias: bool = True) -> Any:
    import tensorflow as tf

    return tf.image.resize(image, (size, size), antialias=antialias)


def _cropped(image: Any, size: int, seed: Any) -> Any:
    return _resized(image, size, seed)


def _digits(**given: Any) -> Any:
    """Returns the digits, of which one batch is read."""
    return next(iter(kp.data.load("digits", batch=8, **given)))


def _drawn(store: str, seed: int = 0) -> Any:
    """Returns drawn examples that are saved."""
    return kp.synthesise(dense(), 8, method="noise", seed=seed, store=store, verbose=0)


def _in_little_memory(rows: int) -> None:
    """Reads an array as on a machine that has room for half of the inputs."""
    read, room = np.lib.format.read_array, X.nbytes // 2

    def taken(file: Any, **given: Any) -> np.ndarray:
        if os.path.getsize(file.name) > room:
            raise MemoryError(f"Unable to allocate more than {room} bytes")
        return read(file, **given)

    np.save("a.npy", X[:rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.lib.format, "read_array", taken)
        _read("a.npy")


def _plan_in(encoding: str) -> kp.Plan:
    """Returns a plan read from a file in an encoding."""
    cut().save("plan.json")
    path = Path(f"{encoding}.json")
    path.write_text(Path("plan.json").read_text(encoding="utf-8"), encoding=encoding)
    return kp.Plan.load(path)


CASES = [
    Case(
        "data/refusals.py", "Scale them.", lambda: prune(data=(X.astype("float64") * 1e300, Y)), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py",
        "Give its arrays",
        lambda: prune(data=MappingProxyType({"x": X, "y": Y})),
        lambda: prune(data=TWO),
    ),
    Case(
        "data/refusals.py", "Give arrays, a tf.data.Dataset", lambda: prune(data=iter([TWO])), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py",
        "numpy.asarray(…)",
        lambda: prune(data=(X.tolist(), Y)),
        lambda: prune(data=(np.asarray(X.tolist()), Y)),
    ),
    Case(
        "data/refusals.py",
        "x.toarray()",
        lambda: prune(data=(sparse(), Y)),
        lambda: prune(data=(sparse().toarray(), Y)),
    ),
    Case(
        "data/examples.py",
        "Convert it with astype",
        lambda: prune(data=(X.astype(object), Y)),
        lambda: prune(data=(X.astype(object).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Convert them.",
        lambda: prune(data=(X.astype(str), Y)),
        lambda: prune(data=(X.astype(str).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Give data=(inputs, labels), or leave it out",
        lambda: prune(data={"numbers": X, "y": Y}),
        lambda: prune(data=({"numbers": X}, Y)),
    ),
    Case(
        "data/batches.py",
        "Give arrays as a tuple",
        lambda: cut(criterion="taylor_fo", data=X),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case("data/examples.py", "Give data=x.", lambda: prune(data=(X, None, np.ones(64))), lambda: prune(data=X)),
    Case("data/examples.py", "Give labels as data=(x, y)", lambda: prune(data=[X, Y]), lambda: prune(data=(X, Y))),
    Case(
        "data/refusals.py",
        "Make one array",
        lambda: prune(data=([*X], [*Y])),
        lambda: prune(data=(np.stack([*X]), np.stack([*Y]))),
    ),
    Case(
        "data/refusals.py", "Leave .repeat() out", lambda: prune(data=endless()), lambda: prune(data=endless().take(3))
    ),
    Case(
        "data/signature.py",
        "Give one array for one input",
        lambda: prune(data={"a": X, "b": X}),
        lambda: prune(data={"numbers": X}),
    ),
    Case(
        "data/arrays.py",
        "Write it with np.savez",
        lambda: _read(_file(y=Y)),
        lambda: _read(_file(x=X, y=Y)),
    ),
    Case(
        "data/arrays.py",
        "Write only the arrays that are needed",
        lambda: _read(_file(x_train=X, y_train=Y, x_test=X)),
        lambda: _read(_file(x_train=X, y_train=Y)),
    ),
    Case(
        "data/arrays.py",
        "Leave --scale out",
        lambda: _read(_file(x=X, y=Y), scale="0..1"),
        lambda: _read(_file(x=X, y=Y)),
    ),
    Case(
        "data/batches.py",
        "Give more",
        lambda: cut(_fixed(), criterion="apoz", data=X[:4]),
        lambda: cut(_fixed(), criterion="apoz", data=X[:8]),
    ),
    Case(
        "data/examples.py",
        "Give more",
        lambda: prune(_fixed(), data=(X[:4], Y[:4])),
        lambda: prune(_fixed(), data=TWO),
        True,
    ),
    Case(
        "data/folder.py",
        "Add some, or",
        lambda: _images("set/train/a/1.png", "set/test/b/1.png"),
        lambda: _images("set/train/b/1.png"),
    ),
    Case(
        "data/folder.py",
        "Remove or replace",
        lambda: (_image("set/train/a/1.png"), Path("set/train/a/2.png").write_text("none"), _images()),
        lambda: (os.remove("set/train/a/2.png"), _images()),
    ),
    Case(
        "data/folder.py",
        "Move it into the splits",
        lambda: _images("set/train/a/1.png", "set/b/1.png"),
        lambda: (os.rename("set/b", "set/train/b"), _images()),
    ),
    Case(
        "data/refusals.py",
        "Convert them with astype",
        lambda: prune(data=(X, Y, np.ones(64).astype(str)), epochs=1),
        lambda: prune(data=(X, Y, np.ones(64).astype(str).astype("float32")), epochs=1),
        True,
    ),
    Case(
        "data/refusals.py",
        "Pad them, with",
        lambda: prune(head(inputs := keras.Input((2,)), inputs), data=(_ragged(), Y)),
        lambda: prune(head(inputs := keras.Input((2,)), inputs), data=(_ragged().to_tensor(), Y)),
    ),
    Case(
        "data/signature.py",
        "Pass data= (inputs",
        lambda: kp.export.saved_model(built(Written()), "a"),
        lambda: kp.export.saved_model(built(Written()), "a", data=X),
        True,
    ),
    Case(
        "data/signature.py",
        "Expected texts",
        lambda: prune(_texts(), data=(np.ones((64, 2), "float32"), Y)),
        lambda: prune(_texts(), data=(np.array([["a"], ["b"]] * 32), Y)),
    ),
    Case(
        "data/signature.py",
        "Pad or crop the examples",
        lambda: kp.export.tflite(conv(None), "a.tflite", size=12, data=IMAGES),
        lambda: kp.export.tflite(conv(None), "a.tflite", size=8, data=IMAGES),
        True,
    ),
    Case(
        "data/signature.py",
        "Build the model once more",
        lambda: kp.export.saved_model(with_state(), "a"),
        lambda: kp.export.saved_model(with_state(False), "a"),
        True,
    ),
    Case("data/splits.py", "Name them so", lambda: _read(_file(images=X, labels=Y)), lambda: _read(_file(x=X, y=Y))),
    Case(
        "models/arguments.py",
        "Give the height and the width",
        lambda: kp.models.lenet_5(input_shape=(None, None, 1)),
        lambda: kp.models.lenet_5(input_shape=(28, 28, 1)),
    ),
    Case(
        "models/vision_transformer.py",
        "another patch, or other sides",
        lambda: kp.models.vit(3, (15, 15, 3), blocks=1),
        lambda: [kp.models.vit(3, (16, 16, 3), blocks=1), kp.models.vit(3, (15, 15, 3), blocks=1, patch=3)],
    ),
    Case(
        "models/arguments.py",
        "Pad the images, or give None",
        lambda: kp.models.unet(3, (20, 20, 3)),
        lambda: [kp.models.unet(3, (24, 24, 3)), kp.models.unet(3, (None, 24, 3)), kp.models.unet(3, (20, 20, 3), 2)],
    ),
    Case(
        "models/arguments.py",
        "Pad the images, or give None",
        lambda: kp.models.fcos(3, (40, 32, 3), 8),
        lambda: [kp.models.fcos(3, (48, 32, 3), 8), kp.models.fcos(3, (None, 32, 3), 8)],
    ),
    Case(
        "models/sets/dataset.py",
        "Only the other splits",
        lambda: _digits(evaluation_crop=0.875),
        lambda: _digits(),
    ),
    Case(
        "models/sets/dataset.py",
        "Only the training split",
        lambda: _digits(split="test", augment="crop"),
        lambda: _digits(split="test"),
    ),
    Case(
        "models/sets/dataset.py",
        "Its classes change",
        lambda: _digits(augment="crop_flip"),
        lambda: _digits(augment="crop"),
    ),
    Case(
        "models/sets/dataset.py",
        "Give the function a keyword",
        lambda: _digits(augment=_cropped, antialias=False),
        lambda: (_digits(augment=_resized, antialias=False), _digits(augment=_cropped)),
    ),
    Case(
        "models/sets/lookup.py",
        "as arrays once, with NumPy",
        lambda: check_name(_table()),
        lambda: (_converted(), check_name("mine.npz")),
    ),
    Case(
        "models/sets/mean_precision.py",
        "Give metric=MeanPrecision",
        lambda: _precision(),
        lambda: _precision(**_of_points(16, 32, 3)),
    ),
    Case(
        "models/sets/mean_precision.py",
        "Give kp.data.scenes",
        lambda: _precision_on([]),
        lambda: _precision_on(kp.data.scenes(split="test", side=32, labels="boxes", number=2)),
        True,
    ),
    Case(
        "models/sets/unlabelled.py",
        "are standardised",
        lambda: _unlabelled(size=8),
        lambda: _unlabelled(size=8, scale="0..1"),
    ),
    Case(
        "models/sets/unlabelled.py",
        "Give ",
        lambda: _unlabelled(scale="0..1"),
        lambda: _unlabelled(scale="0..1", size=32),
    ),
    Case(
        "models/sets/user_function.py",
        "Leave .shuffle() out",
        lambda: _read(_function(".shuffle(64)")),
        lambda: (_read(_function("")), _read(_function(".shuffle(64, seed=0, reshuffle_each_iteration=False)"))),
    ),
    Case(
        "models/sets/user_function.py",
        "leave --scale out",
        lambda: _read(_function(""), scale="0..1"),
        lambda: _read(_function(".map(lambda x, y: (x / 255.0, y))")),
    ),
    Case(
        "files/keras_model.py",
        "Save the model again",
        lambda: load_model(_saved("layers/nested/blocks/container")),
        lambda: load_model(_saved()),
    ),
    Case(
        "files/keras_model.py",
        "Update Keras; or give",
        lambda: load_model(_newer('"other>Denser"')),
        lambda: load_model(_newer('"remedies>Denser"')),
    ),
    Case(
        "files/keras_model.py",
        "Build it with its own code",
        lambda: load_model(_old("TFOpLambda")),
        lambda: _with_weights("a.h5"),
    ),
    Case(
        "files/model_files.py",
        "Save the Keras model",
        lambda: (Path("model.txt").write_text("none"), load_model("model.txt")),
        lambda: (dense().save("model.keras"), load_model("model.keras")),
    ),
    Case(
        "files/model_files.py",
        "Build the model with its own code, ",
        lambda: (dense().save_weights("a.weights.h5"), load_model("a.weights.h5")),
        lambda: _with_weights("a.weights.h5"),
    ),
    Case(
        "files/made_of.py",
        "Expected a file that says",
        lambda: (os.mkdir("drawn"), np.savez("drawn/0000.npz", input_0=X), _drawn("drawn")),
        lambda: _drawn("other"),
    ),
    Case(
        "files/made_of.py",
        "Expected the settings",
        lambda: (_drawn("drawn"), _drawn("drawn", 1)),
        lambda: (_drawn("drawn"), _drawn("other", 1)),
    ),
    Case("files/reading.py", "Give '.' for", lambda: _drawn(""), lambda: _drawn(".")),
    Case("files/reading.py", "Save it as UTF-8", lambda: _plan_in("utf-16"), lambda: _plan_in("utf-8")),
    Case(
        "files/system_errors.py",
        "Give a shorter name",
        lambda: cut().save("a" * 300 + ".json"),
        lambda: cut().save("a.json"),
    ),
    Case(
        "files/system_errors.py",
        "Give a smaller one",
        lambda: _in_little_memory(64),
        lambda: _in_little_memory(8),
    ),
    Case(
        "files/system_errors.py",
        "Give another path",
        lambda: (Path("file").write_text(""), cut().save("file/plan.json")),
        lambda: cut().save("plan.json"),
    ),
    Case(
        "files/writing.py",
        "Give another",
        lambda: (Path("file").write_text(""), _drawn("file")),
        lambda: _drawn("folder"),
    ),
]

CANNOT_BE_RUN = [
    ("files/model_files.py", "Convert it in Keras 2"),  # a package of its own
    ("files/model_files.py", "code in Keras 2"),
    ("files/system_errors.py", "Free some room"),  # a full disk, or one of the system's
    ("files/system_errors.py", "Ask for permission"),
    ("files/writing.py", "Free some room"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
