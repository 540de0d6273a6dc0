"""The recipes of one dimension: the controls as printed in tables 1 and 2, and the stage's own rules.

The literals are those of Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021.
"""

from __future__ import annotations

import re
import shlex

import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune.recipes import loader, runner
from kerasprune.recipes.library import FOLDER
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.stages import finetune, prune
from kerasprune.recipes.stages.context import Run

# The baseline; then accuracy, Frr and Prr of W-only, of D-only, and of R-only.
TABLES = {
    "resnet32-cifar10": (93.18, (92.16, 0.47, 0.47), (92.65, 0.48, 0.28), (90.19, 0.52, 0)),
    "resnet56-cifar10": (93.69, (92.97, 0.50, 0.50), (93.27, 0.52, 0.40), (92.00, 0.51, 0)),
    "densenet40-cifar10": (94.59, (94.26, 0.65, 0.65), (94.02, 0.46, 0.60), (92.88, 0.53, 0)),
    "resnet56-tinyimagenet": (56.55, (52.45, 0.53, 0.54), (55.57, 0.53, 0.25), (54.64, 0.49, 0)),
    "resnet101-tinyimagenet": (64.83, (63.47, 0.75, 0.75), (61.35, 0.77, 0.76), (55.48, 0.75, 0)),
    "densenet100-tinyimagenet": (61.34, (59.56, 0.75, 0.75), (58.44, 0.78, 0.65), (56.97, 0.75, 0)),
    "resnet50-imagenet": (76.15, (74.52, 0.50, 0.50), (73.92, 0.50, 0.56), (71.56, 0.50, 0)),
    "densenet121-imagenet": (75.01, (73.58, 0.51, 0.51), (68.08, 0.37, 0.66), (73.07, 0.51, 0)),
}


@pytest.mark.parametrize("network", TABLES)
def test_the_figures_are_those_of_tables_1_and_2(network):
    base, *printed = TABLES[network]
    name = f"one-dimension-{network}"
    commands = re.findall(r"^#   kerasprune run (.*)", (FOLDER / f"{name}.yaml").read_text(), re.M)
    recipes = [loader.load(name, shlex.split(command)[2::2]) for command in commands]
    assert [each.prune.one_dimension.dimension for each in recipes] == ["width", "depth", "resolution"]
    for recipe, (accuracy, frr, prr) in zip(recipes, printed, strict=True):
        expected = recipe.expected
        assert (expected.dense_accuracy, expected.accuracy) == pytest.approx((base / 100, accuracy / 100))
        assert expected.accuracy_change == pytest.approx((accuracy - base) / 100, abs=1e-9)
        assert (expected.params, expected.macs) == pytest.approx((1 - prr, 1 - frr))
        assert recipe.prune.one_dimension.macs == pytest.approx(1 - frr)
    beside = loader.load(f"three-dimensions-{network}")
    assert (recipe.model, recipe.train, recipe.finetune) == (beside.model, beside.train, beside.finetune)
    assert not recipe.data.antialias and recipe.data == beside.data
    assert recipe.prune.one_dimension.blocks == beside.prune.three_dimensions.blocks


RECIPE = """
name: one-dimension
why: Is it the network of the call?
model: {name: resnet_cifar, depth: 14, width: 0.25, classes: 10, input_shape: [null, null, 3]}
data: {name: digits, size: 16, batch: 64}
train:
  epochs: 1
  optimizer: {name: sgd, learning_rate: 0.01}
prune:
  one_dimension:
    dimension: depth
    macs: 0.7
    blocks: {name: discrimination, classifier: ridge, samples_per_class: 3}
finetune:
  epochs: 1
  optimizer: {name: sgd, learning_rate: 0.01}
"""


def run_of(folder, *settings: str) -> Run:
    return Run(loader.parse(RECIPE, settings), RunFolder(folder), Console(quiet=True))


@pytest.mark.thorough
def test_the_plan_is_that_of_the_call(tmp_path):
    one = run_of(tmp_path)
    finetune.train(one)
    for dimension, change in (("depth", "removed"), ("width", "keep"), ("resolution", "resolution")):
        another = run_of(tmp_path, f"prune.one_dimension.dimension={dimension}")
        prune.prune(another)
        plan, data = kp.Plan.load(tmp_path / "plan.json"), another.examples("train", one.model("dense")).batches()
        blocks = kp.papers.three_dimensional.Discrimination(classifier="ridge", samples_per_class=3)
        judged = another.validation(one.model("dense")).batches()
        expected = kp.papers.one_dimension(
            one.model("dense"), lambda *_, **__: 0.5, dimension, macs=0.7, size=16, epochs=0, data=data,
            blocks=blocks.judged_on(judged),
        )  # fmt: skip
        assert plan == expected.plan and getattr(plan, change)
        share = kp.cost(one.model("dense"), plan).macs / kp.cost(one.model("dense"), size=16).macs
        assert share == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["prune.one_dimension.dimension=channels"], "one of depth, width, resolution"),
        (["data.validation=null"], "data.validation, on which one_dimension measures accuracy"),
        (["prune.one_dimension.dimension=resolution", "finetune.distil={}"], "takes other inputs than the dense one"),
        (["prune.one_dimension.blocks={name: random, sample: 1}"], "no argument"),
        (["prune.one_dimension.dimension=resolution", "model.input_shape=[16, 16, 3]"], "free input side"),
        (["prune.one_dimension.channels=hrank", "prune.one_dimension.dimension=width"], "data"),
        (["model={name: lenet_300_100}", "data.size=28"], "Expected"),
    ],
)
def test_what_would_fail_after_the_training_fails_before(settings, message, tmp_path):
    with pytest.raises(kp.PruneError, match=message):
        runner.rehearse(run_of(tmp_path, *settings))


@pytest.mark.quick
def test_a_shallower_or_narrower_network_may_have_a_teacher(tmp_path):
    assert run_of(tmp_path, "finetune.distil={}").recipe.finetune.distil
