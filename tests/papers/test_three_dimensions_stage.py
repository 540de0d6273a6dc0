"""The recipes of three dimensions: the figures as printed in the paper's tables and text, and the stage's own rules.

The literals are those of Wang et al., Accelerate CNNs from Three Dimensions, ICML 2021, tables 1 to 3 and section 4.1.
"""

from __future__ import annotations

import pytest
from rich.console import Console

import kerasprune as kp
from kerasprune import recipes
from kerasprune.papers.three_dimensional import stage as three_dimensions
from kerasprune.papers.three_dimensional.discrimination import SAMPLES
from kerasprune.recipes import loader as loading
from kerasprune.recipes import runner as running
from kerasprune.recipes.experiment import Experiment
from kerasprune.recipes.learning import Cosine, Exponential, MultiStep, RmsProp
from kerasprune.recipes.run_folder import RunFolder

# Baseline, accuracy, Prr, Frr, batch.
CIFAR = {
    "resnet32-cifar10": (93.18, 93.27, 0.38, 0.49, 128),
    "resnet56-cifar10": (93.69, 93.76, 0.40, 0.50, 128),
    "densenet40-cifar10": (94.59, 94.54, 0.66, 0.66, 64),
}
LARGE = {
    "resnet56-tinyimagenet": (56.55, 56.04, 0.34, 0.59, 256),
    "resnet101-tinyimagenet": (64.83, 65.27, 0.51, 0.75, 256),
    "densenet100-tinyimagenet": (61.34, 60.22, 0.73, 0.75, 256),
    "resnet50-imagenet": (76.15, 75.90, 0.53, 0.50, 256),
    "densenet121-imagenet": (75.01, 73.68, 0.48, 0.51, 256),
}
# Parameters and multiply–adds in millions, of 5.3 and 387; accuracy.
EFFICIENT = {"314m": (5.1, 314, 76.8), "198m": (3.6, 198, 75.2), "98m": (3.1, 98, 71.6)}


SUFFIXES = {"macs": "", "volume": "-volume"}  # the cost of networks that can be built, and the paper's Eq. 4
CONSTRAINTS = pytest.mark.parametrize("constraint", SUFFIXES)


@CONSTRAINTS
@pytest.mark.parametrize("name", [*CIFAR, *LARGE])
def test_the_figures_are_those_of_tables_1_and_2(name, constraint):
    base, accuracy, prr, frr, batch = (CIFAR | LARGE)[name]
    recipe = loading.load(f"three-dimensions-{name}{SUFFIXES[constraint]}")
    assert recipe.status == "not run in full" and recipe.paper.arxiv == "2010.04879"
    expected = recipe.expected
    assert (expected.dense_accuracy, expected.accuracy) == pytest.approx((base / 100, accuracy / 100))
    assert expected.accuracy_change == pytest.approx((accuracy - base) / 100)
    assert (expected.params, expected.macs) == pytest.approx((1 - prr, 1 - frr))
    spec = recipe.prune.three_dimensions
    assert spec.macs == pytest.approx(1 - frr)
    assert (spec.rank, spec.degree, spec.rounds, spec.constraint) == (1, 3, 4, constraint)
    assert (spec.channels.name, spec.blocks.name, spec.blocks_judged_on) == ("bn_scale", "discrimination", "validation")
    assert (recipe.data.batch, recipe.data.antialias) == (batch, False)
    assert {recipe.train.l2, spec.training.l2, recipe.finetune.l2} == {1e-4}
    cifar = name in CIFAR
    values = {0: 0.1, 80: 0.01, 120: 0.001} if cifar else {0: 0.1, 30: 0.01, 60: 0.001, 90: 0.0001}
    assert recipe.train.optimizer.learning_rate == MultiStep(name="multi_step", values=values)
    epochs = (recipe.train.epochs, spec.training.epochs, recipe.finetune.epochs)
    assert epochs == ((160, 40, 80) if cifar else (100, 30, 60))


@CONSTRAINTS
@pytest.mark.parametrize("budget", EFFICIENT)
def test_the_figures_are_those_of_table_3(budget, constraint):
    params, macs, accuracy = EFFICIENT[budget]
    recipe = loading.load(f"three-dimensions-efficientnet-b0-imagenet-{budget}{SUFFIXES[constraint]}")
    assert recipe.expected.dense_accuracy == pytest.approx(0.767)
    assert recipe.expected.accuracy == pytest.approx(accuracy / 100)
    assert recipe.expected.params == pytest.approx(params / 5.3, abs=0.005)
    assert recipe.prune.three_dimensions.macs == pytest.approx(macs / 387, abs=0.005)
    assert recipe.model.name == "efficientnet_b0"
    spec = recipe.prune.three_dimensions
    assert (spec.constraint, spec.min_macs, spec.channels.name, recipe.data.antialias) == (
        constraint,
        None,
        "l1",
        False,
    )
    assert spec.degree == ((2, 3, 3) if budget == "314m" else 3)
    # Section 4.1: as TinyNet is trained; these are the values of its authors' code, and the paper's own 300 epochs.
    rate = Exponential(name="exponential", start=0.048, factor=0.97, every=2.4, warmup_epochs=3)
    train = recipe.train
    assert train.optimizer == RmsProp(name="rmsprop", learning_rate=rate, momentum=0.9, epsilon=1e-3)
    assert (train.epochs, train.batch, train.l2, train.l2_on, train.label_smoothing) == (
        300,
        1024,
        1e-5,
        "kernels",
        0.1,
    )


@pytest.mark.parametrize("name", [name for name in recipes.names() if name.startswith("three-dimensions-")])
def test_two_recipes_of_a_row_differ_by_the_constraint_alone_and_blocks_are_judged_by_enough(name):
    recipe = loading.load(name)
    other = loading.load(name.removesuffix("-volume") if name.endswith("-volume") else f"{name}-volume")
    ours, theirs = (each.model_dump(mode="json") | {"name": "", "why": ""} for each in (recipe, other))
    sections = [each["prune"]["three_dimensions"] for each in (ours, theirs)]
    assert {section.pop("constraint") for section in sections} == {"macs", "volume"}
    assert ours == theirs
    per_class = recipe.prune.three_dimensions.blocks.arguments.get("samples_per_class")
    assert (per_class or SAMPLES // recipe.model.arguments["classes"]) >= 50


def recipe_of(**changes) -> dict:
    fit = {"epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.01}}
    return {
        "name": "small",
        "why": "A test.",
        "model": {"name": "resnet_cifar", "depth": 14, "width": 0.25, "classes": 10, "input_shape": [None, None, 3]},
        "data": {"name": "digits", "size": 16, "batch": 64},
        "train": fit,
        "prune": {
            "three_dimensions": {
                "macs": 0.6,
                "rounds": 1,
                "degree": 1,
                "blocks": {"name": "discrimination", "classifier": "ridge", "samples_per_class": 3},
                "training": fit,
            }
        },
        "finetune": fit,
        **changes,
    }


@pytest.mark.parametrize(
    ("degree", "words"),
    [("[2, 3]", "one degree, or three"), ("[2, 0, 3]", "degree.1: Expected a number > 0"), ("0", "a number > 0")],
)
def test_a_degree_that_is_none_is_refused(degree, words):
    with pytest.raises(kp.PruneError, match=words):
        loading.load("three-dimensions-resnet32-cifar10", [f"prune.three_dimensions.degree={degree}"])


@pytest.mark.thorough
def test_a_recipe_goes_through_all_stages(tmp_path):
    recipe = loading.check(recipe_of(), source="test")
    folder = RunFolder(running.run(recipe, tmp_path / "out", smoke=True, console=Console(quiet=True)))
    plan = kp.Plan.load(folder.file("plan.json"))
    points = folder.json("points.json")
    assert len(points["points"]) == 4 and len(points["importance"]) == 4
    d, w, r = points["optimum"]
    assert 6 - len(plan.removed) == round(d * 6)
    assert plan.resolution == round(r * 16)
    maps = folder.arrays("maps.npz")
    assert list(maps) == ["images", "dense", "chosen", "depth only", "width only", "resolution only"]
    assert len({len(each) for each in maps.values()}) == 1
    costs = folder.json("costs.json")
    assert costs["slim"]["macs"] <= 0.6 * costs["dense"]["macs"]
    page = folder.file("report.html").read_text(encoding="utf-8")
    assert "Three dimensions" in page
    assert {path.name for path in folder.file("points").iterdir() if path.is_dir()} >= {"dense-0", "depth-1", "width-1"}


def test_faults_of_a_recipe_are_found_before_it_runs():
    fit = recipe_of()["train"]
    dimensions = {"macs": 0.5, "training": fit}
    for changes, message in (
        ({"prune": {"three_dimensions": dimensions, "plan": {"keep": 0.5}}}, "no other key with three_dimensions"),
        ({"prune": {"three_dimensions": {**dimensions, "macs": 1.5}}}, "number ≤ 1"),
        ({"prune": {"three_dimensions": {**dimensions, "constraint": "seconds"}}}, "macs"),
        ({"prune": {"three_dimensions": {"macs": 0.5}}}, "training"),
        ({"prune": {"three_dimensions": {**dimensions, "blocks_judged_on": "test"}}}, "one of train, validation"),
        ({"prune": {"three_dimensions": {**dimensions, "blocks": {"name": "random", "sample": 1}}}}, "no argument"),
        ({"data": {"name": "digits", "size": 16, "validation": None}}, "data.validation"),
    ):
        with pytest.raises(kp.PruneError, match=message):
            loading.check(recipe_of(**changes), source="test")


def test_what_would_fail_after_training_fails_before(tmp_path):
    fixed = {**recipe_of()["model"], "input_shape": [16, 16, 3]}
    for changes, message in (
        ({"model": fixed}, "free input side"),
        ({"model": {"name": "lenet_300_100"}, "data": {"name": "digits", "size": 28}}, "Expected"),
    ):
        recipe = loading.check(recipe_of(**changes), source="test")
        with pytest.raises(kp.PruneError, match=message):
            running.run(recipe, tmp_path / "out", smoke=True, console=Console(quiet=True))


@pytest.mark.matrix
@CONSTRAINTS
@pytest.mark.parametrize("name", [*CIFAR, *LARGE, *(f"efficientnet-b0-imagenet-{budget}" for budget in EFFICIENT)])
def test_the_points_of_shipped_recipes_determine_their_surfaces(name, constraint):
    recipe = loading.load(f"three-dimensions-{name}{SUFFIXES[constraint]}")
    experiment = Experiment(recipe)
    three_dimensions.rehearse(experiment, experiment.dense_model(), recipe.prune.three_dimensions)


def test_too_few_points_are_found_before_a_recipe_runs():
    few = {"macs": 0.6, "rounds": 2, "training": recipe_of()["train"]}
    recipe = loading.check(recipe_of(prune={"three_dimensions": few}), source="test")
    experiment = Experiment(recipe)
    model = experiment.dense_model()
    with pytest.raises(kp.PruneError, match="Raise rounds="):
        three_dimensions.rehearse(experiment, model, recipe.prune.three_dimensions)


def test_other_stages_than_the_paper_gives_are_not_made_up():
    """What the paper leaves open is ours, and the same everywhere: a cosine from 0.01."""
    for name in [*CIFAR, *LARGE]:
        recipe = loading.load(f"three-dimensions-{name}")
        for fit in (recipe.prune.three_dimensions.training, recipe.finetune):
            assert fit.optimizer.learning_rate == Cosine(name="cosine", start=0.01)
