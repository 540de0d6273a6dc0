"""The recipes of the package: every figure of the paper's ones as printed there, and all of them tried in short.

The literals are those of Wang et al., Neural Pruning via Growing Regularization, ICLR 2021, tables 1 to 6 and 8.
"""

from __future__ import annotations

import itertools
import re
import shlex

import pytest
from rich.console import Console
from support import devices

import kerasprune as kp
from kerasprune import recipes
from kerasprune.papers.synexp.synflow_flops import share_of_free
from kerasprune.recipes import learning
from kerasprune.recipes import loader as loading
from kerasprune.recipes import runner as running
from kerasprune.recipes.library import FOLDER
from kerasprune.recipes.reproductions.greg_tables import RESNET34_SKIPPED
from kerasprune.recipes.run_folder import RunFolder
from kerasprune.recipes.schema import stage_names

# Table 6 (fraction removed from each stage), tables 2 and 3 (base accuracy, pruned accuracy, speed-up).
CIFAR = {
    "greg1-resnet56-cifar10": ("greg1", [0, 0.75, 0.75, 0.32], 93.36, 93.18, 2.55),
    "greg2-resnet56-cifar10": ("greg2", [0, 0.75, 0.75, 0.32], 93.36, 93.36, 2.55),
    "greg1-vgg19-cifar100": ("greg1", [0, 0.70, 0.70, 0.70, 0.70, 0.70], 74.02, 67.55, 8.84),
    "greg2-vgg19-cifar100": ("greg2", [0, 0.70, 0.70, 0.70, 0.70, 0.70], 74.02, 67.75, 8.84),
}
IMAGENET = {
    "greg1-resnet34-imagenet": (34, [0, 0.50, 0.60, 0.40, 0], 73.31, 73.54, 1.32),
    "greg1-resnet50-imagenet-1.49x": (50, [0, 0.30, 0.30, 0.30, 0.14], 76.13, 76.27, 1.49),
    "greg1-resnet50-imagenet-2.31x": (50, [0, 0.60, 0.60, 0.60, 0.21], 76.13, 75.16, 2.31),
    "greg1-resnet50-imagenet-2.56x": (50, [0, 0.74, 0.74, 0.60, 0.21], 76.13, 74.85, 2.56),
    "greg1-resnet50-imagenet-3.06x": (50, [0, 0.68, 0.68, 0.68, 0.50], 76.13, 73.75, 3.06),
    "greg2-resnet34-imagenet": (34, [0, 0.50, 0.60, 0.40, 0], 73.31, 73.61, 1.32),
    "greg2-resnet50-imagenet-1.49x": (50, [0, 0.30, 0.30, 0.30, 0.14], 75.40, 76.13, 1.49),
    "greg2-resnet50-imagenet-2.31x": (50, [0, 0.60, 0.60, 0.60, 0.21], 76.13, 75.36, 2.31),
    "greg2-resnet50-imagenet-2.56x": (50, [0, 0.74, 0.74, 0.60, 0.21], 76.13, 74.93, 2.56),
    "greg2-resnet50-imagenet-3.06x": (50, [0, 0.68, 0.68, 0.68, 0.50], 76.13, 73.90, 3.06),
}
# Table 4: single weights.
UNSTRUCTURED = {"greg1-resnet50-imagenet-unstructured": 75.45, "greg2-resnet50-imagenet-unstructured": 75.27}
PUBLISHED = [*CIFAR, *IMAGENET, *UNSTRUCTURED]
PAPERS_WITH_TORCH_DECAY = (
    *("grasp-", "greg1-", "greg2-", "lottery-", "one-dimension-"),
    *("preconfig-", "precrop-", "rewinding-", "synflow-", "three-dimensions-"),
)
# Of the others, those that take a network and stages that another recipe takes as well.
HEAVY = {
    *(name for name in recipes.names() if name.startswith(("three-dimensions-", "one-dimension-"))),
    *(name for name in recipes.names() if name.startswith(("snip-", "grasp-", "synflow-"))),
    *(name for name in recipes.names() if name.startswith(("preconfig-", "precrop-"))),
    *(name for name in recipes.names() if name.startswith(("metapruning-", "space-"))),
    *IMAGENET,
    *UNSTRUCTURED,
    *CIFAR,
    "glyphs-deep-compression",
    "glyphs-3d",  # test_three_dimensions.py takes a smaller network through the same stages
    "glyphs-greg1",
    "glyphs-greg2",
    "glyphs-lottery-rewind",
    "glyphs-metapruning",  # test_meta_pruning.py takes a smaller network through the same stages
    "glyphs-mobilenet",
    "glyphs-polarization",  # test_bn_penalty.py takes a smaller network through the same stages
    "glyphs-retraining",
    "glyphs-slimming",
    "glyphs-space",  # as does test_space.py
    "lottery-resnet18-cifar10",
    "lottery-resnet20-cifar10",
    "lottery-resnet20-cifar10-low",
    "lottery-resnet20-cifar10-warmup",
    "lottery-vgg16-cifar10",
    "lottery-vgg16-cifar10-low",
    "lottery-vgg16-cifar10-warmup",
    "mnist-lottery",
    "mobilenet-phone-int8",
    "polarization-mobilenet_v2-imagenet",
    "polarization-resnet50-imagenet",
    "polarization-resnet56-cifar10",
    "polarization-vgg16-cifar10",
    "rewinding-resnet20-cifar10",
    "rewinding-vgg16-cifar10",
    "slimming-densenet40-cifar10",
    "slimming-resnet164-like-cifar10",
    "slimming-resnet50-imagenet",
    "slimming-vgg19-cifar10",
}


# Where every format is exported; the others take the last of theirs.
ALL_FORMATS = {"digits-greg1"}
# Those of embedded data, and of a user's own: on JAX, too.
ON_JAX = "digits-", "glyphs-", "mobilenet-phone"
# Where three residual blocks stand for nine: `pytest -m slow` takes the recipe as it is.
SHALLOW = dict.fromkeys(("digits-greg1", "glyphs-base", "glyphs-precrop"), ["model.depth=8"])


def steps(optimizer: learning.Sgd) -> dict[int, float]:
    return optimizer.learning_rate.values


def test_published_recipe_says_where_it_is_from_and_that_it_was_not_run():
    for name in PUBLISHED:
        recipe = loading.load(name)
        assert recipe.status == "not run in full", name
        assert recipe.paper.arxiv == "2012.09243", name
        assert recipe.paper.title == "Neural Pruning via Growing Regularization", name
        assert "(ours)" in recipe.paper.row, name


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_recipe_has_the_figures_of_the_paper(name):
    method, removed, base, pruned, speedup = CIFAR[name]
    recipe = loading.load(name)
    prune, finetune = recipe.prune, recipe.finetune
    assert prune.plan.budget.name == "per_stage"
    assert prune.plan.budget.arguments["keep"] == pytest.approx([1 - r for r in removed])
    assert prune.plan.coupling == "free"
    assert prune.plan.criterion.name == "l1"
    assert prune.callback.name == method
    assert_hyper_parameters(prune, method, every=10, settle=5_000, weight_decay=5e-4)
    assert (prune.epochs, prune.steps) == (None, None)  # as long as the schedule takes
    assert prune.optimizer == learning.Sgd(name="sgd", learning_rate=1e-3, momentum=0.9)
    assert (prune.batch, finetune.batch) == (256, 256)
    assert (prune.l2, finetune.l2, recipe.train.l2) == (5e-4, 5e-4, 5e-4)
    assert finetune.epochs == 120
    assert steps(finetune.optimizer) == {0: 1e-2, 60: 1e-3, 90: 1e-4}
    assert finetune.optimizer.momentum == 0.9
    assert recipe.data.side == 32
    assert_expected(recipe, base, pruned)
    assert recipe.expected.speedup == speedup


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_recipe_has_the_figures_of_the_paper(name):
    depth, removed, base, pruned, speedup = IMAGENET[name]
    recipe = loading.load(name)
    assert recipe.model.arguments == {"depth": depth, "classes": 1000}
    assert recipe.prune.plan.budget.arguments["keep"] == pytest.approx([1 - r for r in removed])
    assert recipe.prune.plan.coupling == "free"
    assert recipe.prune.plan.freeze == (RESNET34_SKIPPED if depth == 34 else ())
    assert recipe.prune.callback.name == name[:5]
    assert_hyper_parameters(recipe.prune, name[:5], every=5, settle=40_000, weight_decay=1e-4)
    assert_imagenet_schedule(recipe)
    assert_expected(recipe, base, pruned)
    assert recipe.expected.speedup == speedup


def test_imagenet_is_evaluated_on_the_middle_224_of_256():
    for name in [n for n in recipes.names() if "-imagenet" in n]:
        facts = loading.load(name).data
        assert (facts.size, facts.evaluation_crop, round(facts.size / facts.evaluation_crop)) == (224, 0.875, 256), name


def test_weight_decay_is_on_everything_that_is_trained():
    """torch's SGD, which the codes of these papers use, decays biases and BatchNorm as well; not that of TinyNet."""
    decayed = [name for name in recipes.names() if name.startswith(PAPERS_WITH_TORCH_DECAY)]
    for name in [name for name in decayed if not name.startswith("three-dimensions-efficientnet")]:
        recipe = loading.load(name)
        dimensions = recipe.prune and recipe.prune.three_dimensions
        before = recipe.prune if recipe.prune and recipe.prune.callback else None
        stages = (recipe.train, dimensions.training if dimensions else before, recipe.finetune)
        assert all((stage.l2 > 0, stage.l2_on) == (True, "weights") for stage in stages if stage is not None), name


# Table 3 (epochs, batch, weight decay, learning rate); tables 1 and 2 (parameters, multiply–adds, accuracies).
EACH_EPOCH = {"every": 1.0, "warmup_epochs": 0.0}
PRECROP_TRAINING = {
    "cifar10": (160, 128, 1e-4, {"name": "linear", "start": 0.1, "end": 0.0}),
    "resnet34": (90, 512, 1e-4, {"name": "multi_step", "values": {0: 0.2, 30: 0.02, 60: 0.002}, "warmup_epochs": 0.0}),
    "mobilenet_v2": (180, 256, 4e-5, {"name": "exponential", "start": 0.025, "factor": 0.98, **EACH_EPOCH}),
    "efficientnet": (150, 256, 4e-5, {"name": "exponential", "start": 0.035, "factor": 0.99, **EACH_EPOCH}),
}
PRECROP = {
    "precrop-resnet34-imagenet": (0.508, 0.75, 73.5, 71.5),
    "precrop-mobilenet_v2-imagenet-0.26g": (0.664, 0.788, 69.6, 68.8),
    "precrop-mobilenet_v2-imagenet-0.21g": (0.527, 0.636, 69.6, 67.2),
    "precrop-efficientnet-b0-imagenet": (0.694, 0.75, 73.0, 72.7),
    "precrop-resnet20-cifar10": (0.1, None, None, None),
    "precrop-mobilenet_v2-cifar10": (0.1, None, None, None),
    "preconfig-resnet34-imagenet": (0.758, 1.0, 73.3, None),
    "preconfig-mobilenet_v2-imagenet": (0.806, 0.97, 69.9, None),
    "preconfig-efficientnet-b0-imagenet": (0.811, 1.0, 73.3, None),
}


@pytest.mark.parametrize("name", PRECROP)
def test_precrop_recipe_has_the_figures_of_the_paper(name):
    params, macs, dense, slim = PRECROP[name]
    recipe = loading.load(name)
    section = recipe.reconfigure or recipe.prune.precrop
    assert (section.params, section.macs) == (params, macs)
    expected = recipe.expected
    assert (expected.dense_accuracy, expected.accuracy) == tuple(
        None if each is None else pytest.approx(each / 100) for each in (dense, slim)
    )
    if recipe.prune:
        assert (expected.params, expected.macs) == (params, macs) and recipe.prune.precrop.coupling == "padded"
    key = next(key for key in PRECROP_TRAINING if key in name)
    epochs, batch, decay, rate = PRECROP_TRAINING[key]
    assert recipe.data.batch == batch and recipe.paper.arxiv == "2203.02549" and recipe.status == "not run in full"
    for stage in (recipe.train, recipe.finetune) if recipe.prune else (recipe.train,):
        assert (stage.epochs, stage.batch, stage.l2, stage.optimizer.momentum) == (epochs, None, decay, 0.9)
        assert stage.optimizer.learning_rate.model_dump() == rate


# Network, fraction kept, examples scored, weight decay, dense and slim accuracy: tables 2 of SNIP and of GraSP,
# section 7 of SynFlow, which has curves, and table 1 of PreCrop, which prints the fraction of all parameters.
AT_INITIALISATION = {
    "snip-vgg-d-cifar10": ("vgg_snip", "snip", 0.05, 128, 5e-4, 100 - 6.76, 100 - 7.09),
    "grasp-resnet32-cifar100": ("resnet_cifar", "grasp", 0.02, 1000, 1e-4, 74.64, 58.43),
    "grasp-vgg19-cifar100": ("vgg_cifar", "grasp", 0.02, 1000, 5e-4, 74.16, 68.90),
    "synflow-vgg16-cifar10": ("vgg_cifar", "synflow", 0.01, 128, 1e-4, None, None),
    "synflow-resnet34-imagenet": ("resnet_imagenet", "synflow", 0.500, 128, 1e-4, 73.5, 72.1),
    "synflow-mobilenet_v2-imagenet": ("mobilenet_v2", "synflow", 0.686, 128, 4e-5, 69.6, 67.6),
    "synflow-efficientnet-b0-imagenet": ("efficientnet_b0", "synflow", 0.703, 128, 4e-5, 73.0, 71.8),
}


@pytest.mark.parametrize("name", AT_INITIALISATION)
def test_masks_at_initialisation_have_the_figures_of_the_papers(name):
    network, criterion, keep, samples, decay, dense, slim = AT_INITIALISATION[name]
    recipe = loading.load(name)
    section, expected = recipe.prune.at_initialisation, recipe.expected
    assert recipe.model.name == network and section.criterion.name == criterion and section.samples == samples
    assert section.rounds == (100 if criterion == "synflow" else 1) and recipe.status == "not run in full"
    assert expected.sparsity == pytest.approx(1 - section.keep)
    if name.endswith("-imagenet"):
        assert section.freeze == ("logits",) and section.keep < keep  # which parameters keep counts: below
        key = next(key for key in PRECROP_TRAINING if key in name)
        epochs, batch, _, rate = PRECROP_TRAINING[key]
        assert (recipe.finetune.epochs, recipe.data.batch) == (epochs, batch)
        assert recipe.finetune.optimizer.learning_rate.model_dump() == rate
    else:
        assert section.keep == keep and not section.freeze and recipe.data.batch == 128
    if criterion == "snip":  # a fifth of the rate every 30,000 of 150,000 steps
        batches = -(-50_000 // 128)
        falls = {round(epoch * batches): rate for epoch, rate in steps(recipe.train.optimizer).items()}
        assert falls == pytest.approx({30_000 * n: 0.1 / 5**n for n in range(5)})
        assert recipe.train.epochs == -(-150_000 // batches)
    if criterion != "synflow":
        temperature = {"temperature": 200.0} if criterion == "grasp" else {}
        assert section.criterion.arguments == {"training": True, **temperature}
    assert (recipe.train.epochs, recipe.train.optimizer) == (recipe.finetune.epochs, recipe.finetune.optimizer)
    assert (recipe.train.l2, recipe.finetune.l2, recipe.finetune.optimizer.momentum) == (decay, decay, 0.9)
    found = expected.dense_accuracy, expected.accuracy
    assert found == tuple(None if each is None else pytest.approx(each / 100) for each in (dense, slim))


@pytest.mark.matrix
@pytest.mark.parametrize("name", [name for name in AT_INITIALISATION if name.endswith("-imagenet")])
def test_with_the_classifier_whole_the_printed_share_of_parameters_is_left(name):
    recipe = loading.load(name)
    model = kp.models.get({"name": recipe.model.name, **recipe.model.arguments})
    keep = share_of_free(kp.trace(model, freeze=["logits"], unknown="freeze"), AT_INITIALISATION[name][2])
    assert keep == pytest.approx(recipe.prune.at_initialisation.keep, abs=6e-4)


# SNIP, table 2: sparsity, errors dense and pruned, of the commands in the head of its recipe.
def test_the_head_of_snip_has_the_rest_of_the_table():
    text = (FOLDER / "snip-vgg-d-cifar10.yaml").read_text()
    commands = [shlex.split(line)[2::2] for line in re.findall(r"^#   kerasprune run (.*--set.*)", text, re.M)]
    rows = [loading.load("snip-vgg-d-cifar10", settings) for settings in commands]
    removed = [round(1 - row.prune.at_initialisation.keep, 3) for row in rows]
    found = [
        (share, each.expected.dense_accuracy, each.expected.accuracy) for share, each in zip(removed, rows, strict=True)
    ]
    printed = [(90, 14.12, 14.99), (90, 13.92, 14.5), (95, 6.82, 7.27), (97, 8.26, 8.0)]
    printed += [(95, 6.21, 6.63), (95, 5.91, 6.43), (95, 6.14, 5.85)]
    assert found == [pytest.approx((s / 100, 1 - d / 100, 1 - p / 100)) for s, d, p in printed]


def cosine(start: float, **more: float) -> learning.Sgd:
    return learning.Sgd(name="sgd", learning_rate={"name": "cosine", "start": start, **more}, momentum=0.9)


# Network Pruning Spaces, section 3.1, figures 2 and 4: c_flops and c_params, each with three spaces.
def test_every_space_of_cifar10_can_be_asked_for():
    for cost, regime, std in itertools.product(("macs", "params"), (0.25, 0.1, 0.05, 0.02), (0.1, 0.05, 0.01)):
        settings = [f"prune.space.std={std}", "prune.space.macs=null", f"prune.space.{cost}={regime}"]
        recipe = loading.load("space-resnet50-cifar10", settings)
        space = recipe.prune.space
        asked = {"macs": space.macs, "params": space.params}
        assert asked == {"macs": None, "params": None, cost: regime} and (space.std, space.mcb) == (std, None)
        assert (space.n, space.delta, space.criterion.name, space.judge) == (100, 0.002, "l2", "removed")
        (tuning,) = space.rounds
        assert (tuning.best, tuning.epochs, tuning.optimizer) == (None, 50, cosine(0.01))
        assert (recipe.finetune.epochs, recipe.finetune.optimizer) == (50, cosine(0.01))
        assert recipe.model.arguments == {"depth": 50, "classes": 10} and recipe.data.name == "tfds:cifar10"
        assert recipe.paper.arxiv == "2304.09453" and recipe.status == "not run in full"


# The same, section 4 and table 1: c_flops and Top-1, that of the network itself being 76.88.
@pytest.mark.parametrize(
    ("name", "macs", "accuracy"),
    [("space-resnet50-imagenet-2g", 0.5, 76.90), ("space-resnet50-imagenet-1g", 0.25, 74.96)],
)
def test_space_of_imagenet_has_the_figures_of_the_paper(name, macs, accuracy):
    recipe = loading.load(name)
    space = recipe.prune.space
    assert (space.macs, space.params, space.delta) == (macs, None, 0.002)
    assert (space.n, space.std, space.mcb, space.criterion.name, space.judge) == (
        300,
        None,
        (0.9, 1.1),
        "l2",
        "removed",
    )
    short, long = space.rounds
    assert (short.best, short.epochs, short.optimizer) == (None, 5, cosine(0.01))
    assert (long.best, long.epochs, long.optimizer) == (5, 100, cosine(0.01))
    assert (recipe.finetune.epochs, recipe.finetune.optimizer) == (100, cosine(0.01))
    assert recipe.model.arguments == {"depth": 50, "classes": 1000}
    assert_expected(recipe, 76.88, accuracy)
    assert recipe.expected.macs == macs
    assert recipe.paper.arxiv == "2304.09453" and recipe.status == "not run in full"


# The table beside the authors' code of MetaPruning: multiply–adds of the slim and the dense network, Top-1.
METAPRUNING = {
    "metapruning-mobilenet_v2-imagenet-303m": (303, 585, 72.7),
    "metapruning-mobilenet_v2-imagenet-140m": (140, 585, 68.2),
    "metapruning-mobilenet_v2-imagenet-43m": (43, 585, 58.3),
    "metapruning-resnet50-imagenet-2g": (2.0, 4.1, 75.4),
    "metapruning-resnet50-imagenet-1g": (1.0, 4.1, 73.4),
}


@pytest.mark.parametrize("name", METAPRUNING)
def test_metapruning_recipe_has_the_figures_of_the_table_and_the_settings_of_the_code(name):
    slim, dense, accuracy = METAPRUNING[name]
    recipe = loading.load(name)
    section, net = recipe.prune.meta_pruning, recipe.prune.meta_pruning.training
    assert section.macs == pytest.approx(slim / dense, abs=1.5e-3)
    assert (recipe.expected.accuracy, recipe.expected.macs) == (pytest.approx(accuracy / 100), section.macs)
    assert recipe.train is None and recipe.paper.arxiv == "1903.10258" and recipe.status == "not run in full"
    search = section.search
    assert (search.population, search.parents, search.mutations, search.crossovers) == (50, 10, 25, 25)
    assert (search.generations, search.mutation) == (20, 0.1)
    finetune, batch = recipe.finetune, recipe.data.batch
    assert (net.optimizer.momentum, finetune.optimizer.momentum, finetune.batch) == (0.9, 0.9, None)
    assert (net.label_smoothing, finetune.label_smoothing) == (0.1, 0.1)
    if "mobilenet" in name:
        assert recipe.model.arguments == {"width": 1.4, "classes": 1000}
        assert (section.hidden, section.freeze) == (64, ("head_conv",))
        assert (net.epochs, net.batch, net.l2) == (64, 512, 0.0)
        assert (finetune.epochs, batch, finetune.l2, finetune.l2_on) == (256, 1024, 4e-5, "kernels")
        rates = [learning.LinearRate(name="linear", start=start) for start in (0.25, 0.5)]
        assert [stage.optimizer.learning_rate for stage in (net, finetune)] == rates
    else:
        assert recipe.model.arguments == {"depth": 50, "classes": 1000}
        assert (section.hidden, section.freeze) == (32, ("stage4_block1_conv3",))
        assert section.delta == pytest.approx(50 / 4089, abs=5e-4)  # 1950 to 2050 M
        assert (net.epochs, net.batch, net.l2, net.l2_on) == (32, 256, 1e-4, "weights")
        assert (finetune.epochs, batch, finetune.l2, finetune.l2_on) == (128, 512, 1e-4, "kernels")
        assert steps(net.optimizer) == {0: 0.1, 8: 0.01, 16: 0.001, 24: 0.0001}  # a tenth at each quarter
        assert steps(finetune.optimizer) == {0: 0.2, 32: 0.02, 64: 0.002, 96: 0.0002}


@pytest.mark.parametrize("name", UNSTRUCTURED)
def test_unstructured_recipe_has_the_figures_of_the_paper(name):
    recipe = loading.load(name)
    arguments = recipe.prune.callback.arguments
    assert recipe.prune.callback.name == name[:5]
    assert recipe.prune.plan is None
    assert arguments["granularity"] == "weight"
    assert arguments["keep"] == pytest.approx(1 - 0.827)
    assert arguments["freeze"] == ["stem_conv"]
    assert_hyper_parameters(recipe.prune, name[:5], every=5, settle=40_000, weight_decay=1e-4)
    assert_imagenet_schedule(recipe)
    assert_expected(recipe, 76.13, UNSTRUCTURED[name])
    assert recipe.expected.sparsity == 0.827


def test_networks_are_those_of_the_paper():
    assert loading.load("greg1-resnet56-cifar10").model.arguments == {
        "depth": 56,
        "classes": 10,
        "shortcut": "identity",
    }
    assert loading.load("greg2-resnet56-cifar10").model == loading.load("greg1-resnet56-cifar10").model
    assert loading.load("greg1-vgg19-cifar100").model.name == "vgg_cifar"
    assert loading.load("greg1-vgg19-cifar100").model.arguments == {"depth": 19, "classes": 100}
    assert loading.load("greg2-vgg19-cifar100").model == loading.load("greg1-vgg19-cifar100").model


def assert_hyper_parameters(prune, method, *, every, settle, weight_decay):
    """Table 8; GReg-2 pushes at 1e-4, as the authors' code does."""
    schedule = prune.callback.arguments["schedule"]
    assert (schedule["every"], schedule["settle"], schedule["ceiling"]) == (every, settle, 1.0)
    assert prune.l2 == weight_decay
    if method == "greg1":
        assert schedule["name"] == "linear" and schedule["step"] == 1e-4
    else:
        assert prune.callback.arguments["weight_decay"] == weight_decay and schedule["name"] == "two_slopes"
        assert (schedule["pick_step"], schedule["push_step"], schedule["pick_at"]) == (1e-5, 1e-4, 0.01)


def assert_imagenet_schedule(recipe):
    """Table 5, column ImageNet."""
    assert recipe.prune.optimizer == learning.Sgd(name="sgd", learning_rate=1e-3, momentum=0.9)
    assert (recipe.prune.batch, recipe.finetune.batch) == (64, 256)
    assert (recipe.prune.l2, recipe.finetune.l2, recipe.train.l2) == (1e-4, 1e-4, 1e-4)
    assert recipe.finetune.epochs == 90
    assert steps(recipe.finetune.optimizer) == {0: 1e-2, 30: 1e-3, 60: 1e-4, 75: 1e-5}
    assert recipe.finetune.optimizer.momentum == 0.9
    assert (recipe.prune.epochs, recipe.prune.steps) == (None, None)
    assert recipe.data.size == 224


def assert_expected(recipe, base, pruned):
    assert recipe.expected.dense_accuracy == pytest.approx(base / 100)
    assert recipe.expected.accuracy == pytest.approx(pruned / 100)
    assert recipe.expected.accuracy_change == pytest.approx((pruned - base) / 100)


def test_every_command_in_the_head_of_a_recipe_can_be_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.keras", "phone.csv"):
        (tmp_path / name).touch()
    for path in FOLDER.glob("*.yaml"):
        for line in re.findall(r"^#   kerasprune run (.*)", path.read_text(), re.M):
            name, *words = shlex.split(line, comments=True)
            assert set(words[::2]) <= {"--set"}, line
            assert loading.load(name, words[1::2]).name == name == path.stem


def _marks(name: str) -> list[pytest.MarkDecorator]:
    heavy = name in {*HEAVY, *SHALLOW}
    return [pytest.mark.slow] * heavy + [pytest.mark.jax] * name.startswith(ON_JAX)


@pytest.mark.thorough  # by default test_runner.py takes one recipe through every stage
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(pytest.param(n, [], marks=_marks(n), id=n) for n in recipes.names()),
        *(pytest.param(n, settings, marks=pytest.mark.jax, id=f"{n}-shallow") for n, settings in SHALLOW.items()),
    ],
)
def test_recipe_goes_through_every_stage(name, settings, tmp_path, monkeypatch):
    devices.on_paper(monkeypatch)
    recipe = loading.load(name, settings)
    if name not in ALL_FORMATS and len(recipe.export) > 1:
        recipe = recipe.model_copy(update={"export": recipe.export[-1:]})
    folder = RunFolder(running.run(recipe, tmp_path / "out", smoke=True, console=Console(quiet=True)))
    assert list(folder.stages()) == stage_names(recipe)
    summary = folder.json("summary.json")
    assert [export["format"] for export in summary["exports"]] == list(recipe.export)
    if recipe.prune is None:
        return
    if recipe.prune.callback and recipe.prune.callback.name in ("polarization", "network_slimming"):
        arguments = recipe.prune.callback.arguments
        if "macs" in arguments:
            assert summary["slim"]["macs"] <= (arguments["macs"] + 0.01) * summary["dense"]["macs"]
        elif "keep" in arguments:
            widths = folder.json("widths.json").values()  # groups without scales of their own are kept whole
            kept = [sum(counts) for counts in zip(*widths, strict=True)]
            assert kept[1] / kept[0] == pytest.approx(arguments["keep"], abs=0.02)
        else:  # two epochs are too short to bring a scale to zero
            assert summary["slim"]["macs"] <= summary["dense"]["macs"]
        assert folder.file("scales.npz").exists()
    elif recipe.prune.three_dimensions:
        section = recipe.prune.three_dimensions
        if section.constraint == "volume":  # what is built may cost more
            d, w, r = folder.json("points.json")["optimum"]
            assert d * w**2 * r**2 == pytest.approx(section.macs)
        else:
            assert summary["slim"]["macs"] <= section.macs * summary["dense"]["macs"]
    elif recipe.prune.space or recipe.prune.meta_pruning:
        section = recipe.prune.space or recipe.prune.meta_pruning
        assert summary["slim"]["macs"] / summary["dense"]["macs"] == pytest.approx(section.macs, abs=section.delta)
    elif recipe.prune.one_dimension:
        shares = [summary["slim"][key] / summary["dense"][key] for key in ("params", "macs")]
        assert shares == pytest.approx([recipe.expected.params, recipe.expected.macs], abs=0.1)
    elif recipe.prune.precrop:
        for key in ("params", "macs"):
            share = getattr(recipe.prune.precrop, key)
            assert share is None or summary["slim"][key] == pytest.approx(share * summary["dense"][key], rel=0.05)
    elif recipe.prune.plan and recipe.prune.plan.target:  # how many MACs that leaves depends on the machine
        share = float(re.search(r"predicted, ([0-9.]+) of the dense", folder.json("target.json")["line"])[1])
        assert share == pytest.approx(recipe.prune.plan.target.arguments["fraction"], abs=0.01)  # or a plan warns
        assert summary["slim"]["macs"] < summary["dense"]["macs"]
    elif recipe.prune.plan is None:
        assert summary["slim"]["sparsity"] == pytest.approx(recipe.expected.sparsity, abs=1e-3)
    elif recipe.expected.speedup:
        # At 64 pixels strided layers weigh a little more than at 224.
        assert summary["dense"]["macs"] / summary["slim"]["macs"] == pytest.approx(recipe.expected.speedup, rel=0.02)
    else:
        assert summary["slim"]["macs"] <= 0.51 * summary["dense"]["macs"]
