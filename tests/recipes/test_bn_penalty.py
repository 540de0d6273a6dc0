"""The recipes of polarization and slimming: every figure as the authors' repositories and tables have it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune.recipes import learning, schema
from kerasprune.recipes import loader as loading
from kerasprune.recipes import runner as running
from kerasprune.recipes.fit import weight_decay
from kerasprune.recipes.run_folder import RunFolder

# Network, λ, t, weight decay, batch, epochs (sparse, fine-tuning), first epochs of the rates.
POLARIZATION = {
    "polarization-vgg16-cifar10": (
        ("vgg_cifar", {"depth": 16, "classes": 10}),
        (3e-5, 1.5, 5e-4, 64, 200, 200),
        {0: 0.01, 1: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008},
        5e-4,
    ),
    "polarization-resnet56-cifar10": (
        ("resnet_cifar", {"depth": 56, "classes": 10, "shortcut": "identity"}),
        (5e-5, 1.4, 5e-4, 64, 200, 200),
        {0: 0.01, 1: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008},
        {0: 1e-3, 30: 1e-3 * 0.5, 80: 1e-3 * 0.5 * 0.5, 150: 1e-3 * 0.5 * 0.5 * 0.4},
    ),
    "polarization-resnet50-imagenet": (
        ("resnet_imagenet", {"depth": 50, "classes": 1000}),
        (8e-5, 1.2, 1e-4, 512, 120, 128),
        {0: 0.1, 40: 0.01, 80: 0.001},
        learning.Cosine(name="cosine", start=0.05),
    ),
}
# Network, λ, share of the channels that is removed, weights of the slim and the dense network in millions.
SLIMMING = {
    "slimming-vgg19-cifar10": (("vgg_cifar", {"depth": 19, "classes": 10}), 1e-4, 0.7, 2.25 / 20.04),
    "slimming-resnet164-like-cifar10": (
        ("wide_resnet", {"depth": 166, "classes": 10, "widen_factor": 1}),
        1e-5,
        0.4,
        None,
    ),
    "slimming-densenet40-cifar10": (
        ("densenet_cifar", {"depth": 40, "classes": 10, "growth": 12, "stem": 24}),
        1e-5,
        0.4,
        None,
    ),
}
ACCURACIES = {
    "polarization-vgg16-cifar10": None,  # the table is not at hand
    "polarization-resnet56-cifar10": None,
    "polarization-resnet50-imagenet": (76.15, 75.63),
    "polarization-mobilenet_v2-imagenet": (72.0, 71.8),
    "slimming-vgg19-cifar10": (93.77, 93.78),
    "slimming-resnet164-like-cifar10": None,  # another network
    "slimming-densenet40-cifar10": (94.11, 94.32),
    "slimming-resnet50-imagenet": (76.15, 74.88),
}


def assert_rates(optimizer: learning.Sgd, expected):
    assert (optimizer.name, optimizer.momentum, optimizer.nesterov) == ("sgd", 0.9, False)
    rate = optimizer.learning_rate
    if isinstance(expected, dict):
        assert rate.values == pytest.approx(expected)
    else:
        assert (rate.value if isinstance(rate, learning.Constant) else rate) == expected


@pytest.mark.parametrize("name", POLARIZATION)
def test_polarization_recipe_has_the_figures_of_the_repository(name):
    network, (strength, t, decay, batch, epochs, finetuned), sparse, fine = POLARIZATION[name]
    recipe = loading.load(name)
    prune, arguments = recipe.prune, recipe.prune.callback.arguments
    assert (recipe.model.name, recipe.model.arguments) == network
    assert prune.callback.name == "polarization" and prune.plan is None and prune.weights == "fresh"
    assert (arguments["strength"], arguments["t"]) == (strength, t)
    assert (arguments["ceiling"], arguments["threshold"], arguments["initial"]) == (1.0, "valley", 0.5)
    assert (prune.epochs, recipe.finetune.epochs) == (epochs, finetuned)
    assert_rates(prune.optimizer, sparse)
    assert_rates(recipe.train.optimizer, sparse)
    assert_rates(recipe.finetune.optimizer, fine)
    assert recipe.data.batch == batch
    stages = (recipe.train, prune, recipe.finetune)
    assert all((stage.l2, stage.l2_on, stage.batch) == (decay, "weights", None) for stage in stages)


def test_mobilenet_recipe_has_the_figures_of_the_repository():
    recipe = loading.load("polarization-mobilenet_v2-imagenet")
    prune, arguments = recipe.prune, recipe.prune.callback.arguments
    assert (recipe.model.name, recipe.model.arguments) == ("mobilenet_v2", {"classes": 1000})
    assert (arguments["strength"], arguments["t"], arguments["until"]) == (2.5e-5, 1.0, {"macs": 0.7})
    assert prune.epochs == 256 and prune.weights == "fresh"
    assert (prune.optimizer.learning_rate.name, prune.optimizer.learning_rate.start) == ("cosine", 0.4)
    assert prune.optimizer.learning_rate.warmup_epochs > 0
    assert all((s.l2, s.l2_on) == (4e-5, "kernels") for s in (recipe.train, prune, recipe.finetune))
    assert recipe.expected.macs == pytest.approx(1 - 0.28)


@pytest.mark.parametrize("name", SLIMMING)
def test_slimming_recipe_has_the_figures_of_the_repository(name):
    network, strength, removed, params = SLIMMING[name]
    recipe = loading.load(name)
    arguments = recipe.prune.callback.arguments
    assert (recipe.model.name, recipe.model.arguments) == network
    assert recipe.prune.callback.name == "network_slimming" and recipe.prune.weights == "fresh"
    assert (arguments["strength"], arguments["initial"]) == (strength, 0.5)
    assert arguments["keep"] == pytest.approx(1 - removed)
    assert recipe.data.batch == 64
    for stage in (recipe.train, recipe.prune, recipe.finetune):
        assert (stage.epochs, stage.l2, stage.l2_on, stage.batch) == (160, 1e-4, "weights", None)
        assert_rates(stage.optimizer, {0: 0.1, 80: 0.01, 120: 0.001})
    if params is not None:
        assert recipe.expected.params == pytest.approx(params, abs=1e-3)


def test_slimming_on_imagenet_is_polarization_with_the_other_penalty():
    slimming, polarization = (loading.load(f"{name}-resnet50-imagenet") for name in ("slimming", "polarization"))
    for part in ("model", "data", "train", "finetune", "seed"):
        assert getattr(slimming, part) == getattr(polarization, part), part
    mine, other = slimming.prune, polarization.prune
    assert (mine.epochs, mine.optimizer, mine.l2, mine.weights) == (other.epochs, other.optimizer, other.l2, "fresh")
    assert mine.callback.name == "network_slimming"
    assert mine.callback.arguments["macs"] == slimming.expected.macs == pytest.approx(1 - 0.53)
    assert mine.callback.arguments["coupling"] == other.callback.arguments["coupling"]


@pytest.mark.parametrize("name", ACCURACIES)
def test_published_recipes_say_so(name):
    recipe = loading.load(name)
    assert recipe.status == "not run in full"
    assert recipe.paper.title.endswith(("using Polarization Regularizer", "through Network Slimming"))
    if ACCURACIES[name] is None:
        assert recipe.expected == schema.Expected()
        return
    dense, slim = ACCURACIES[name]
    assert recipe.expected.dense_accuracy == pytest.approx(dense / 100)
    assert recipe.expected.accuracy == pytest.approx(slim / 100)
    assert recipe.expected.accuracy_change == pytest.approx((slim - dense) / 100)


def test_resnet50_is_to_lose_54_percent():
    assert loading.load("polarization-resnet50-imagenet").expected.macs == pytest.approx(1 - 0.54)


# ---- what these recipes need of the runner ---------------------------------------------------------------------------

TEXT = """
name: small
why: Do the stages take it?
seed: 3
model: {name: resnet_cifar, depth: 8, classes: 10}
data: {name: digits, size: 8, batch: 32}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}
prune:
  callback: {name: polarization, strength: 0.01, coupling: free, macs: 0.7}
  epochs: 1
  optimizer: {name: sgd, learning_rate: 1.0e-30, momentum: 0.0}
"""


@pytest.mark.thorough
def test_weights_of_the_prune_stage(tmp_path):
    """A fit that moves nothing: but for scales and statistics the weights are those that it began with."""
    found = {}
    for weights in ("trained", "fresh"):
        recipe = loading.parse(TEXT, [f"prune.weights={weights}"])
        folder = RunFolder(running.run(recipe, tmp_path / weights, smoke=True, console=Console(quiet=True)))
        found[weights] = folder.model("slim.keras").get_layer("stem_conv").get_weights()[0]
        dense = folder.model("dense.keras").get_layer("stem_conv").get_weights()[0]
        scales = folder.arrays("scales.npz")
        assert "stage1_block1_bn1.gamma" in scales and scales["stage1_block1_bn1.gamma"].shape[1] == 16
        assert folder.json("summary.json")["slim"]["macs"] == pytest.approx(
            0.7 * folder.json("summary.json")["dense"]["macs"], rel=0.05
        )
    fresh = kp.models.resnet_cifar(8, input_shape=(8, 8, 3), seed=3).get_layer("stem_conv").get_weights()[0]
    np.testing.assert_allclose(found["trained"], dense, atol=1e-6)
    np.testing.assert_allclose(found["fresh"], fresh, atol=1e-6)
    assert not np.allclose(dense, fresh, atol=1e-4)


def test_decay_of_all_weights():
    model = kp.models.resnet_cifar(8, input_shape=(8, 8, 3))
    norm = model.get_layer("stem_bn")
    with weight_decay(model, 0.01, "weights"):
        assert all(isinstance(v.regularizer, keras.regularizers.L2) for v in model.trainable_variables)
        expected = 0.005 * sum(float(keras.ops.sum(v**2)) for v in model.trainable_variables)
        assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert norm.gamma.regularizer is None
    with weight_decay(model, 0.01):
        assert norm.gamma.regularizer is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["prune.epochs=null"], "Polarization has no schedule of its own"),
        (["prune.plan={keep: 0.5}"], "no plan with 'polarization'"),
        (["prune.callback.macs=0.01"], "target that can be reached"),
        (["prune.callback.coupling=loose"], "coupling='loose'"),
        (["model={name: lenet_300_100}"], "scaled by BatchNorm"),
    ],
)
def test_what_does_not_fit_is_said_before_training(settings, message, tmp_path):
    with pytest.raises(kp.PruneError, match=message):
        running.run(loading.parse(TEXT, settings), tmp_path / "out", console=Console(quiet=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["prune.weights=fresh", "prune.plan={keep: 0.5}"], "no plan with weights: fresh"),
        (
            ["prune.weights=fresh", "model={start: checkpoints/glyphs-base.keras}", "train=null"],
            "a model by name with weights: fresh",
        ),
        (["prune.weights=new"], "one of trained, fresh"),
        (["train.l2_on=biases"], "one of kernels, weights"),
    ],
)
def test_faults_of_the_text(settings, message):
    with pytest.raises(kp.PruneError, match=message):
        loading.parse(TEXT, settings)
