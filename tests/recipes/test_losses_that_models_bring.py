"""A model by name may bring its loss, a checkpoint one of the package; functions of the package need no trust."""

from __future__ import annotations

import sys
from functools import partial

import keras
import pytest

import kerasprune as kp
from kerasprune import PruneError
from kerasprune.cli.export import check_data, load_compiled
from kerasprune.models.sets import point_scenes
from kerasprune.recipes import loader
from kerasprune.recipes.experiment import Experiment

ADDRESS = "kerasprune.models.sets.point_scenes:point_scenes"
OTHERS = (
    "foreign:load",
    "kerasprune.py:load",
    "kerasprune./../foreign.py:load",
    "kerasprune.files.temporary_files:remove",
)


@pytest.mark.parametrize("name", OTHERS)
def test_functions_of_others_need_trust(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "foreign.py", tmp_path / "kerasprune.py"):
        path.write_text("raise SystemExit('this was imported')")
    with pytest.raises(PruneError, match="import your own code"):
        loader.load("scenes-detector", [f"data.name={name}"])
    with pytest.raises(PruneError, match="import your own code"):
        check_data(name, trust=False)


def test_a_function_of_the_package_needs_none():
    assert loader.load("scenes-detector").data.name == ADDRESS
    check_data(ADDRESS, trust=False)


@pytest.mark.thorough
def test_the_loss_is_that_of_the_model_by_name_or_of_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(point_scenes, "point_scenes", partial(point_scenes.point_scenes, number=8))
    recipe = loader.load("scenes-base")
    run = Experiment(recipe)
    model = run.dense_model()
    assert run.compiled_optimizer() is None  # a recipe says how a model by name is trained
    objective = run.objective(model)
    assert sorted(objective.loss) == ["classes", "distances"] and objective.options["loss_weights"]["classes"] == 10
    assert Experiment(loader.load("scenes-base", ["loss=mse"])).objective(model).loss != objective.loss

    kp.models.fcos(10, (128, 128, 3), width=8, seed=0).save(tmp_path / "dense.keras")
    known = keras.saving.get_custom_objects()
    monkeypatch.delitem(known, "kerasprune>ciou_loss")
    monkeypatch.delitem(sys.modules, "kerasprune.models.sets.points")
    assert load_compiled(tmp_path / "dense.keras", None).compiled
    monkeypatch.delitem(known, "kerasprune>ciou_loss")
    monkeypatch.delitem(sys.modules, "kerasprune.models.sets.points")
    settings = [f"model={{start: {tmp_path / 'dense.keras'}}}", "train=null"]
    assert sorted(Experiment(loader.load("scenes-base", settings)).objective(model).loss) == [
        "classes",
        "distances",
    ]
