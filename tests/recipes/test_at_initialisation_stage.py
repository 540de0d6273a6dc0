"""Masks before training in a recipe: those of `kp.prune_at_init`, over the weights that the network begins with."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune.recipes import loader, runner
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages import finetune, prune, rebuild
from kerasprune.recipes.stages.context import Run

RECIPE = """
name: at-initialisation
why: Are these the masks of the call?
model: {name: lenet_300_100, input_shape: [16, 16, 3]}
data: {name: digits, size: 16, batch: 50}
train:
  epochs: 1
  optimizer: {name: sgd, learning_rate: 0.1}
prune:
  at_initialisation: {criterion: snip, keep: 0.1, samples: 40, freeze: [logits]}
finetune:
  epochs: 1
  deliver: last
  optimizer: {name: sgd, learning_rate: 0.1}
"""


def parsed(*settings: str) -> loader.Recipe:
    return loader.parse(RECIPE, settings)


@pytest.mark.thorough
def test_what_is_left_is_trained_from_where_the_network_began(tmp_path):
    one = Run(parsed(), RunFolder(tmp_path), Console(quiet=True))
    for stage in (finetune.train, prune.prune, rebuild.rebuild, finetune.finetune):
        stage(one)
    untrained = kp.models.lenet_300_100(input_shape=(16, 16, 3), seed=0)
    batch = next(iter(kp.data.load("digits", size=16, batch=40, seed=0)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    masks = kp.prune_at_init(untrained, "snip", keep=0.1, data=[batch], loss=loss, freeze=["logits"])
    found = one.folder.arrays("masks.npz")
    assert found.keys() == masks.keys() and all((found[path] == masks[path]).all() for path in masks)
    assert sum(mask.sum() for mask in masks.values()) == round(0.1 * sum(mask.size for mask in masks.values()))
    begun, slim, dense = (one.folder.model(f"{name}.keras") for name in ("rebuilt", "slim", "dense"))
    for old, new, left, trained in zip(untrained.weights, begun.weights, slim.weights, dense.weights, strict=True):
        kept = masks.get(old.path, np.ones(old.shape, bool))
        np.testing.assert_array_equal(new, np.where(kept, old, 0))
        assert not np.asarray(left)[~kept].any()
        assert all((np.asarray(each)[kept] != np.asarray(old)[kept]).any() for each in (left, trained))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["prune.at_initialisation.criterion=hrank"], "scores single weights"),
        (["prune.at_initialisation.freeze=[nix]"], "name layers of the model. Received: 'nix'"),
        (["data={name: x.npy}", "train=null", "finetune=null"], "labels for prune.at_initialisation.criterion: snip"),
        (["data=null", "train=null", "finetune=null"], "Expected data for SNIP"),
        (
            ["data={name: x.npy}", "train=null", "prune.at_initialisation.criterion=synflow"],
            "labels for finetune with at_initialisation, whose slim model is untrained",
        ),
    ],
)
def test_what_would_fail_after_the_training_fails_before(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((50, 16, 16, 3), "float32"))
    with pytest.raises(kp.PruneError, match=message):
        runner.rehearse(Run(parsed(*settings), RunFolder(tmp_path), Console(quiet=True)))


@pytest.mark.quick
def test_the_slim_model_has_no_teacher():
    for settings in ("finetune.distil={}", "reconstruct={}"):
        with pytest.raises(kp.PruneError, match="neither reconstruct nor distil with at_initialisation"):
            parsed(settings)


def test_scores_without_data_need_none(tmp_path):
    settings = ["prune.at_initialisation.criterion=synflow", "data=null", "train=null", "finetune=null"]
    runner.rehearse(Run(parsed(*settings), RunFolder(tmp_path), Console(quiet=True)))
