"""A model that is written is a model that can be read: what cannot is said beforehand, and leaves no file."""

import keras
import numpy as np
import pytest
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
