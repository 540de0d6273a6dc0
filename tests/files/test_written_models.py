"""A model that is written is a model that can be read: what cannot is said beforehand, and leaves no file."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from support.commands import run_command
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.files.keras_model import reading_fault, save_and_load
from kerasprune.steps import removal


def _model(more=()):
    dense = keras.layers.Dense
    return keras.Sequential([keras.Input((4,)), dense(8, activation="relu"), *more, dense(2)])


def _unreadable(model=None):
    """Returns a model that computes, and whose file Keras refuses."""
    return _model([keras.layers.Lambda(lambda x: x * 2.0)])


def _removed_unreadably(cut, **options):
    slim, verdict = removal.remove(cut, **options)
    return keras.Model(slim.inputs, keras.layers.Lambda(lambda x: x * 1.0)(slim.outputs[0])), verdict


def test_a_model_comes_back_as_its_file_has_it(tmp_path):
    model, x = _model(), np.ones((2, 4), "float32")
    read = save_and_load(model, tmp_path / "m.keras")
    assert read is not model and np.array_equal(read(x), model(x))
    assert np.array_equal(keras.models.load_model(tmp_path / "m.keras")(x), model(x))
    assert reading_fault(model) == "" and "Lambda" in reading_fault(_unreadable())


def test_a_compiled_model_is_read_whatever_its_loss_is():
    model = _model()
    model.compile("sgd", lambda y, z: z)
    assert reading_fault(model) == ""


def _packed(folder):
    kp.codec.pack(_unreadable(), folder / "m.kpz")


def _saved(folder):
    save_and_load(_unreadable(), folder / "m.keras")


@pytest.mark.parametrize("write", [_packed, _saved])
def test_a_file_that_cannot_be_read_is_not_left(tmp_path, write):
    with pytest.raises(kp.PruneError, match="lambda"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.experiments
def test_the_command_ends_before_training_if_its_model_cannot_be_read(tmp_path, monkeypatch):
    from kerasprune.cli.application import app
    from kerasprune.recipes.stages import rebuild

    _model().save(tmp_path / "m.keras")
    words = ["prune", str(tmp_path / "m.keras"), "--keep", "0.5", "--out"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "readable")])
    assert done.exit_code == 0, done.output
    assert keras.models.load_model(tmp_path / "readable" / "slim.keras").count_params() < _model().count_params()
    monkeypatch.setattr(rebuild, "remove", _removed_unreadably)
    done = CliRunner().invoke(app, [*words, str(tmp_path / "not")])
    assert done.exit_code == 2 and "cannot read" in done.stderr, done.output
    assert not (tmp_path / "not" / "slim.keras").exists()


def test_kp_prune_says_what_saving_will_refuse(monkeypatch, recwarn):
    from kerasprune.steps import prune

    kp.prune(_model(), keep=0.5, verbose=0)
    assert not [one for one in recwarn if "safe mode" in str(one.message)]
    monkeypatch.setattr(prune, "remove", _removed_unreadably)
    with pytest.warns(UserWarning, match=r"safe mode.*[Ll]ambda"):
        kp.prune(_model(), keep=0.5, verbose=0)


# ---- classes of users, and lambdas ---- #


class Plain(layers.Layer):
    """A class of a user, not registered, that its config gives back."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Without(Plain):
    """One whose constructor asks for more than its config holds."""

    def __init__(self, factor, **kwargs):
        super().__init__(factor, **kwargs)

    def get_config(self):
        return layers.Layer.get_config(self)


def model_with(middle):
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    return keras.Model(inputs, layers.Dense(2)(middle(layers.Dense(8, name="second")(x))))


@pytest.mark.parametrize(
    "middle, word",
    [
        (layers.ReLU(), None),
        (Plain(), None),
        (Without(3.0), "factor"),
        (layers.Lambda(lambda x: 2 * x), "Lambda"),
        (keras.Sequential([keras.Input((8,)), layers.Lambda(lambda x: 2 * x)]), "Lambda"),
    ],
    ids=["built in", "own", "forgets an argument", "lambda", "lambda inside"],
)
def test_prune_says_what_does_not_load(middle, word, tmp_path):
    model = model_with(middle)
    assert (word is None) == (reading_fault(model) == "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            slim = kp.prune(model, keep=0.5, data=np.ones((8, 6)), plan={"unknown": "freeze"}, verbose=0).slim
        except kp.PruneError as error:
            assert word in str(error)  # it cannot be copied either
            return
    told = [str(each.message) for each in caught if "safe mode" in str(each.message)]
    assert all(word in each for each in told)
    slim.save(tmp_path / "slim.keras")
    loads = True
    try:
        keras.saving.load_model(tmp_path / "slim.keras", custom_objects={"Plain": Plain, "Without": Without})
    except Exception:  # noqa: BLE001
        loads = False
    assert loads != bool(told)  # layers that are written out load, whatever the model did


@pytest.mark.experiments
def test_a_command_loads_what_it_wrote(tmp_path, monkeypatch):
    """It does not end with 0 if the file holds other weights than the model."""
    from kerasprune.files import keras_model

    model_with(layers.ReLU()).save(tmp_path / "m.keras")
    load = keras_model.load_model
    others = lambda path: keras.models.clone_model(load(path))  # noqa: E731
    run = ["prune", tmp_path / "m.keras", "--keep", ".5", "--out", tmp_path / "out"]
    with monkeypatch.context() as patched:
        patched.setattr(keras_model, "load_model", others)
        result = run_command(run)
    assert result.exit_code != 0 and ".keras" in result.output and not list(tmp_path.rglob("slim.keras"))
