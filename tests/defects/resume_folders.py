"""`Resume(folder)` where the folder holds something else: refused, or passed over with a warning, never a raw error."""

import io
import json
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import _cases
import keras
import numpy as np
from _cases import Wrong, case, main
from keras import layers

import kerasprune as kp
from kerasprune.callbacks import GradualMagnitude, Resume
from kerasprune.training.schedules import cubic

_cases.SECONDS = 60
RANDOM = np.random.default_rng(0)
DATA = RANDOM.normal(size=(64, 6)).astype("float32"), RANDOM.integers(0, 3, 64)


def net(units=8, name="hidden", optimizer="sgd", more=()):
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(units, activation="relu", name=name)(inputs)
    for number in more:
        x = layers.Dense(number)(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9) if optimizer == "sgd" else keras.optimizers.get(optimizer)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def gradual():
    return GradualMagnitude(cubic(0.2, end="3ep"), every=2)


class Break(keras.callbacks.Callback):
    """Breaks a fit off."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def fit(folder, model=None, callbacks=None, extra=(), **how):
    model = model or net()
    callbacks = [gradual()] if callbacks is None else callbacks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*DATA, 8, 4, shuffle=False, verbose=0, callbacks=[*callbacks, Resume(folder, **how), *extra])
    return model


TEMPLATE = Path(tempfile.mkdtemp())


def started(folder):
    """Fills a folder with the two states of a fit that was broken off."""
    if not any(TEMPLATE.iterdir()):
        try:
            fit(TEMPLATE, extra=[Break()])
        except KeyboardInterrupt:
            pass
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    return sorted(Path(folder).glob("state-*.npz"))


def add(name, prepare, check=None, **how):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            files = started(folder)
            prepare(Path(folder), files)
            _ = Resume(folder).epoch
            before = net()
            weights = before.get_weights()
            try:
                fit(folder, before, **how)
            except kp.PruneError:
                if not all(map(np.array_equal, weights, before.get_weights())):
                    raise Wrong("refused, but the weights were changed before") from None
                raise
            return "went on or began anew"

    run.__name__ = name
    case(run)


def rewrite(path, change):
    """Writes a state anew, its parts changed by `change(head, names, arrays)`."""
    with np.load(path) as file:
        head, names = json.loads(file["head"].tobytes()), json.loads(file["names"].tobytes())
        arrays = {name: file[f"a{n}"] for n, name in enumerate(names)}
    head, arrays = change(head, arrays) or (head, arrays)
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    names = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    np.savez(path, head=text, names=names, **{f"a{n}": a for n, a in enumerate(arrays.values())})


def both(change):
    def prepare(folder, files):
        for path in files:
            rewrite(path, change)

    return prepare


def every_file(content):
    def prepare(folder, files):
        for path in files:
            path.write_bytes(content(path.read_bytes()) if callable(content) else content)

    return prepare


def zipped(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


add("good", lambda folder, files: None)
for _name, _content in {
    "empty_files": b"",
    "text": b"hello",
    "half": lambda b: b[: len(b) // 2],
    "without_the_end": lambda b: b[:-1],
    "without_the_beginning": lambda b: b[100:],
    "zeros_inside": lambda b: b[:400] + b"\0" * 200 + b[600:],
    "zip_of_nothing": zipped({}),
    "zip_of_text": zipped({"head.npy": b"x", "names.npy": b"y"}),
    "zip_with_password_flag": lambda b: b.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "one_array": npy(np.arange(3)),
    "one_object_array": npy(np.array([{}, 1], object)),
    "npz_of_another_program": npz(weights=np.arange(3)),
    "npz_head_is_a_number": npz(head=np.array(3.0), names=np.arange(3, dtype="uint8")),
    "npz_head_is_text": npz(head=np.frombuffer(b"hello", np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_is_a_list": npz(head=np.frombuffer(b"[1]", np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_is_null": npz(head=np.frombuffer(b"null", np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_is_empty_object": npz(head=np.frombuffer(b"{}", np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_is_not_utf8": npz(head=np.frombuffer(b'"\xff"', np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_is_deep": npz(head=np.frombuffer(b"[" * 100_000, np.uint8), names=np.frombuffer(b"[]", np.uint8)),
    "npz_head_has_only_a_format": npz(
        head=np.frombuffer(b'{"format": 2}', np.uint8), names=np.frombuffer(b"[]", np.uint8)
    ),
    "npz_without_about": npz(
        head=np.frombuffer(b'{"format": 2, "epoch": 1, "step": 0, "stopped": false}', np.uint8),
        names=np.frombuffer(b"[]", np.uint8),
    ),
    "npz_names_is_an_object": npz(
        head=np.frombuffer(b'{"format": 2}', np.uint8), names=np.frombuffer(b'{"a": 1}', np.uint8)
    ),
    "npz_names_is_a_number": npz(head=np.frombuffer(b'{"format": 2}', np.uint8), names=np.frombuffer(b"3", np.uint8)),
    "npz_names_are_lists": npz(
        head=np.frombuffer(b'{"format": 2}', np.uint8), names=np.frombuffer(b"[[1]]", np.uint8), a0=np.arange(3)
    ),
    "npz_names_twice": npz(
        head=np.frombuffer(b'{"format": 2}', np.uint8),
        names=np.frombuffer(b'["a", "a"]', np.uint8),
        a0=np.arange(3),
        a1=np.arange(3),
    ),
    "npz_of_objects": npz(head=np.array([{}], object), names=np.array([1], object)),
}.items():
    add(f"files_{_name}", every_file(_content))


def less(key):
    return both(lambda head, arrays: (head, {k: v for k, v in arrays.items() if not k.startswith(key)}))


def about(**changes):
    def change(head, arrays):
        head["about"].update(changes)

    return both(change)


def without(*keys):
    def change(head, arrays):
        place = head
        for key in keys[:-1]:
            place = place[key]
        place.pop(keys[-1])

    return both(change)


def head(**changes):
    return both(lambda before, arrays: ({**before, **changes}, arrays))


for _name, _prepare in {
    "arrays_of_the_model_missing": less("model/"),
    "one_array_missing": less("model/1"),
    "arrays_of_the_optimizer_missing": less("optimizer/"),
    "arrays_of_the_callback_missing": less("callback/"),
    "start_of_the_callback_missing": less("callback/GradualMagnitude#0/start"),
    "all_arrays_missing": less(""),
    "arrays_of_other_shapes": both(lambda h, a: (h, {k: np.zeros((3, 3)) for k in a})),
    "model_arrays_of_other_shapes": both(
        lambda h, a: (h, {k: np.zeros((3, 3)) if k.startswith("model/") else v for k, v in a.items()})
    ),
    "model_arrays_of_text": both(
        lambda h, a: (h, {k: np.array(["x"]) if k.startswith("model/") else v for k, v in a.items()})
    ),
    "model_arrays_of_nan": both(
        lambda h, a: (h, {k: v * np.nan if k.startswith("model/") else v for k, v in a.items()})
    ),
    "callback_arrays_of_text": both(
        lambda h, a: (h, {k: np.array("x") if k.startswith("callback/") else v for k, v in a.items()})
    ),
    "callback_arrays_of_other_shapes": both(
        lambda h, a: (h, {k: np.zeros((2, 5)) if k.startswith("callback/") else v for k, v in a.items()})
    ),
    "optimizer_arrays_of_other_shapes": both(
        lambda h, a: (h, {k: np.zeros((2, 5)) if k.startswith("optimizer/") else v for k, v in a.items()})
    ),
    "about_is_empty": head(about={}),
    "about_is_null": head(about=None),
    "about_is_a_list": head(about=[]),
    "about_is_text": head(about="x"),
    "epoch_is_text": head(epoch="one"),
    "epoch_is_null": head(epoch=None),
    "epoch_is_negative": head(epoch=-3),
    "epoch_is_fraction": head(epoch=1.5),
    "epoch_is_huge": head(epoch=10**30),
    "epoch_is_list": head(epoch=[1]),
    "step_is_text": head(step="a"),
    "step_is_negative": head(step=-2),
    "step_is_huge": head(step=10**9),
    "step_is_null": head(step=None),
    "stopped_is_text": head(stopped="maybe"),
    "stopped_is_list": head(stopped=[]),
    "format_of_later": head(format=3),
    "format_is_null": head(format=None),
    "epoch_missing": without("epoch"),
    "step_missing": without("step"),
    "stopped_missing": without("stopped"),
    "about_missing": without("about"),
    "positions_missing": without("about", "positions"),
    "layers_missing": without("about", "layers"),
    "variables_missing": without("about", "variables"),
    "optimizer_missing": without("about", "optimizer"),
    "callbacks_missing": without("about", "callbacks"),
    "settings_missing": without("about", "settings"),
    "positions_is_text": about(positions="x"),
    "positions_is_null": about(positions=None),
    "positions_are_texts": about(positions=["a", "b"]),
    "positions_is_number": about(positions=3),
    "positions_is_mapping": about(positions={"a": "b"}),
    "layers_is_null": about(layers=None),
    "layers_is_number": about(layers=3),
    "layers_are_numbers": about(layers=[1, 2, 3]),
    "variables_is_null": about(variables=None),
    "variables_are_numbers": about(variables=[1, 2, 3, 4]),
    "variables_are_short": about(variables=[[], [], [], []]),
    "variables_is_text": about(variables="abcd"),
    "optimizer_is_null": about(optimizer=None),
    "callbacks_is_null": about(callbacks=None),
    "callbacks_is_number": about(callbacks=7),
    "settings_is_null": about(settings=None),
    "settings_is_list": about(settings=[]),
    "settings_of_lists": about(settings={"GradualMagnitude#0": []}),
    "settings_is_text": about(settings="x"),
    "settings_of_null": about(settings={"GradualMagnitude#0": None}),
}.items():
    add(f"state_{_name}", _prepare)


for _name, _make in {
    "more_units": lambda: net(9),
    "more_layers": lambda: net(more=(4,)),
    "another_name": lambda: net(name="other"),
    "another_optimizer": lambda: net(optimizer="adam"),
    "lion": lambda: net(optimizer="lion"),
    "several_steps_per_execution": lambda: _several(),
}.items():
    add(f"model_{_name}", lambda folder, files: None, model=None)
    _cases._CASES.pop()

    def run(make=_make):
        with tempfile.TemporaryDirectory() as folder:
            started(folder)
            fit(folder, make())
        return "went on"

    run.__name__ = f"model_{_name}"
    case(run)


def _several():
    model = net()
    model.compile(model.optimizer, model.loss, steps_per_execution=4)
    return model


for _name, _make in {
    "none": list,
    "two": lambda: [gradual(), gradual()],
    "greg": lambda: [kp.callbacks.GReg1(keep=0.5, schedule={"step": 0.1, "every": 2, "settle": 2})],
    "other_schedule": lambda: [GradualMagnitude(cubic(0.3, end="3ep"), every=2)],
    "other_every": lambda: [GradualMagnitude(cubic(0.2, end="3ep"), every=3)],
    "soft": lambda: [kp.callbacks.SoftFilterPruning(keep=0.5)],
    "iterative": lambda: [kp.callbacks.IterativeMagnitude(rounds=2, keep_per_round=0.5, rewind_to="1ep")],
    "two_resumes": lambda: [gradual(), Resume(tempfile.mkdtemp())],
}.items():

    def run(make=_make):  # noqa: F811
        with tempfile.TemporaryDirectory() as folder:
            started(folder)
            fit(folder, callbacks=make())
        return "went on"

    run.__name__ = f"callbacks_{_name}"
    case(run)


@case
def folder_is_a_file():
    with tempfile.NamedTemporaryFile() as file:
        fit(file.name)


@case
def folder_below_a_file():
    with tempfile.NamedTemporaryFile() as file:
        fit(file.name + "/sub")


@case
def folder_with_null_byte():
    fit("a\0b")


@case
def folder_name_too_long():
    fit("/tmp/" + "x" * 5000)


@case
def folder_is_none():
    fit(None)


@case
def folder_is_a_number():
    fit(3)


@case
def state_is_a_folder():
    with tempfile.TemporaryDirectory() as folder:
        started(folder)
        (Path(folder) / "state-000099.npz").mkdir()
        fit(folder)


@case
def state_is_a_dangling_link():
    with tempfile.TemporaryDirectory() as folder:
        started(folder)
        (Path(folder) / "state-000099.npz").symlink_to("nothing")
        fit(folder)


@case
def state_of_a_huge_number():
    with tempfile.TemporaryDirectory() as folder:
        files = started(folder)
        shutil.copy(files[-1], Path(folder) / f"state-{'9' * 200}.npz")
        fit(folder)


@case
def state_numbered_in_other_digits():
    with tempfile.TemporaryDirectory() as folder:
        files = started(folder)
        shutil.copy(files[-1], Path(folder) / "state-²³.npz")
        fit(folder)


@case
def every_of_the_wrong_type():
    Resume("x", every="a")


@case
def mask_of_a_callback_of_another_pattern():
    with tempfile.TemporaryDirectory() as folder:
        started(folder)
        model = fit(folder, callbacks=[GradualMagnitude(cubic(0.2, end="3ep"), every=2)])
        zeros = np.mean(model.get_layer("hidden").kernel.numpy() == 0)
        if abs(zeros - 0.8) > 0.05:
            raise Wrong(f"{zeros:.2f} of the weights are zero, expected 0.8")


@case
def other_files_in_the_folder_stay():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notes.txt").write_text("mine")
        (Path(folder) / "state-mine.npz").write_text("mine")
        started(folder)
        fit(folder)
        left = sorted(path.name for path in Path(folder).iterdir())
        if not {"notes.txt", "state-mine.npz"} <= set(left):
            raise Wrong(f"files that are not its own are gone: {left}")


if __name__ == "__main__":
    main()
