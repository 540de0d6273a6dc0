"""The recipes of lottery tickets: the figures of the paper's Table 2, rounds for the sparsities, phases that fit."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from functools import partial

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.callbacks._iterative import Phases
from kerasprune.recipes import learning
from kerasprune.recipes import loader as loading
from kerasprune.recipes.library import FOLDER
from kerasprune.recipes.optimizers import learning_rate
from kerasprune.training.schedules import Moment

# Network, depth, first learning rate, epochs of warm-up, rounds, epochs of a round, rewind point, dense and ticket.
RECIPES = {
    "lottery-resnet20-cifar10": ("resnet_cifar", 20, 0.1, 0, 8, 160, "0it", 91.7, 88.5),
    "lottery-resnet20-cifar10-low": ("resnet_cifar", 20, 0.01, 0, 11, 160, "0it", 88.8, 89.0),
    "lottery-resnet20-cifar10-warmup": ("resnet_cifar", 20, 0.03, 77, 11, 160, "0it", 89.7, 89.6),
    "lottery-vgg16-cifar10": ("vgg_cifar", 16, 0.1, 0, 19, 160, "0it", 93.7, 90.9),
    "lottery-vgg16-cifar10-low": ("vgg_cifar", 16, 0.01, 0, 13, 160, "0it", 91.7, 91.6),
    "lottery-vgg16-cifar10-warmup": ("vgg_cifar", 16, 0.1, 77, 19, 160, "0it", 93.4, 93.2),
    "rewinding-resnet20-cifar10": ("resnet_cifar", 20, 0.1, 0, 8, 158, "2ep", 91.7, None),
    "rewinding-vgg16-cifar10": ("vgg_cifar", 16, 0.1, 0, 19, 158, "2ep", 93.7, None),
}
STEPS = 50_000 // 128


@pytest.mark.parametrize("name", RECIPES)
def test_figures(name):
    network, depth, rate, warmup, rounds, phase, rewind, dense, ticket = RECIPES[name]
    recipe = loading.load(name)
    arguments = recipe.prune.callback.arguments
    assert (recipe.model.name, recipe.model.arguments["depth"]) == (network, depth)
    assert recipe.model.arguments["scales"] == "uniform"  # OpenLTH: γ ~ U(0, 1); the classifier of VGG is not pruned
    assert arguments.get("freeze", []) == (["logits"] if network == "vgg_cifar" else [])
    assert recipe.prune.callback.name == "iterative_magnitude" and recipe.prune.weights == "fresh"
    assert (arguments["rounds"], arguments["keep_per_round"], arguments["rewind_to"]) == (rounds, 0.8, rewind)
    assert recipe.expected.dense_accuracy == pytest.approx(dense / 100)
    assert recipe.expected.accuracy == (None if ticket is None else pytest.approx(ticket / 100))
    assert recipe.expected.sparsity == pytest.approx(1 - 0.8**rounds, abs=1e-4)
    assert (recipe.train.epochs, recipe.data.batch, recipe.train.l2, recipe.prune.l2) == (160, 128, 1e-4, 1e-4)
    for stage in (recipe.train, recipe.prune):
        assert stage.optimizer.learning_rate.values == pytest.approx({0: rate, 80: rate / 10, 120: rate / 100})
        assert stage.optimizer.learning_rate.warmup_epochs == warmup and stage.optimizer.momentum == 0.9
    back = Moment.read(rewind).steps(STEPS)
    assert Phases.of(back, rounds, STEPS, recipe.prune.epochs).length == phase * STEPS


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("rewinding")])
def test_other_steps_of_rewinding_fit(name):
    commands = re.findall(r"^#   kerasprune run .*", (FOLDER / f"{name}.yaml").read_text(), re.M)
    assert len(commands) == 4
    for command in commands:
        prune = loading.load(name, command.split()[5::2]).prune
        back = Moment.read(prune.callback.arguments["rewind_to"]).steps(STEPS)
        assert back + Phases.of(back, prune.callback.arguments["rounds"], STEPS, prune.epochs).length == 160 * STEPS


def test_figure_8_of_the_first_paper_in_its_steps():
    """30,000 steps, a tenth of the rate at 20,000 and 25,000, a warm-up of 20,000; 41.7, 27.1, 21.9, 11.8 % left."""
    recipe, steps = loading.load("lottery-resnet18-cifar10"), -(-50_000 // 128)
    arguments = recipe.prune.callback.arguments
    length = Phases.of(0, arguments["rounds"], steps, recipe.prune.epochs).length
    assert length == recipe.train.epochs * steps == -(-30_000 // steps) * steps  # in whole epochs
    for stage in (recipe.train, recipe.prune):
        rate = learning_rate(stage.optimizer.learning_rate, 1, steps)
        for step, expected in ((1, 0.03 / 20_000), (19_999, 0.03), (20_000, 0.003), (24_999, 0.003), (25_000, 3e-4)):
            assert float(rate(step)) == pytest.approx(expected, rel=1e-4)
    model = kp.models.get({"name": recipe.model.name, "input_shape": (32, 32, 3), **recipe.model.arguments})
    sizes = {layer.name: layer.kernel.shape.num_elements() for layer in model.layers if hasattr(layer, "kernel")}
    whole = sum(size for name, size in sizes.items() if any(map(partial(fnmatch, name), arguments["freeze"])))
    total = sum(sizes.values())
    assert (round(total, -3), whole) == (271_000, 2560 + 640)
    left = [round(100 * (0.8**rounds * (total - whole) + whole) / total, 1) for rounds in (4, 6, 7, 10)]
    assert left == [41.7, 27.1, 21.9, 11.8] and arguments["rounds"] == 6
    assert recipe.expected.sparsity == pytest.approx(1 - 0.8**6, abs=1e-4) and recipe.expected.accuracy == 0.905


def test_figure_3_of_the_first_paper_in_its_steps():
    recipe = loading.load("mnist-lottery")
    arguments = recipe.prune.callback.arguments
    length = Phases.of(0, arguments["rounds"], 60_000 // 60, recipe.prune.epochs).length
    assert length == recipe.train.epochs * 60_000 // 60 == 50_000
    assert 0.8 ** arguments["rounds"] == pytest.approx(0.211, abs=0.002) and arguments["scope"] == "layer"
    for stage in (recipe.train, recipe.prune):
        assert (stage.optimizer.name, stage.optimizer.learning_rate.value) == ("adam", 1.2e-3)


@pytest.mark.parametrize("name", ["digits-lottery", "glyphs-lottery-rewind"])
def test_phases_of_the_small_ones(name):
    recipe = loading.load(name)
    arguments = recipe.prune.callback.arguments
    back = Moment.read(arguments["rewind_to"]).steps(10)
    phases = Phases.of(back, arguments["rounds"], 10, recipe.prune.epochs)
    assert back + phases.length == 10 * recipe.train.epochs  # a ticket is trained as long as the dense network
    assert arguments["keep_per_round"] ** arguments["rounds"] == pytest.approx(0.2, abs=0.01)


def test_warm_up_multiplies_the_other_schedule():
    spec = learning.MultiStep(name="multi_step", values={0: 0.1, 3: 0.01}, warmup_epochs=2)
    rate = learning_rate(spec, 5, 10)
    found = [float(rate(step)) for step in (0, 5, 10, 20, 29, 30)]
    np.testing.assert_allclose(found, [0, 0.025, 0.05, 0.1, 0.1, 0.01], rtol=1e-6)
    copy = type(rate).from_config(rate.get_config())
    assert float(copy(5)) == pytest.approx(0.025)
    assert isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
