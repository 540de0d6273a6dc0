"""Remedies of the rooms of papers that are followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from rich.console import Console

import kerasprune as kp
from kerasprune.papers import pruning_nets, spaces, three_dimensional
from kerasprune.papers.pruning_spaces.explore import Draw, explore
from support.commands import run_command
from support.remedies.networks import IMAGES, TWO, X, Y, conv, dense, fit, linear
from support.remedies.places import Case

SMALL = {"params": 0.5, "delta": 0.1}
ONE = np.array([1.0, 0.75, 0.5, 0.25])  # along a dimension
ROUND = {"rounds": 1, "epochs_per_round": 1, "channels": "l1", "blocks": "random", "monitor": "loss"}


@keras.saving.register_keras_serializable("remedies")
class OwnStep(keras.Model):
    """A model with a step of its own, which updates with the optimizer."""

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


@keras.saving.register_keras_serializable("remedies")
class PastTheOptimizer(keras.Model):
    """A model whose step changes weights by itself."""

    def train_step(self, data: Any) -> Any:
        found = super().train_step(data)
        for variable in self.trainable_variables:
            variable.assign_add(keras.ops.full_like(variable, 0.1))
        return found


def residual(blocks: int = 2, side: int | None = 8, kind: type[keras.Model] = keras.Model) -> keras.Model:
    """Returns a classifier of images, all of whose blocks can be dropped, compiled."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name="stem")(inputs))
    for number in range(blocks):
        branch = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name=f"branch{number}")(x))
        x = layers.ReLU()(layers.Add(name=f"sum{number}")([x, branch]))
    model = kind(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def layer_normalised() -> keras.Model:
    """Returns a network with statistics over channels."""
    x = layers.LayerNormalization(name="norm")(layers.Dense(8, name="hidden")(inputs := keras.Input((6,))))
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(4, name="late")(x)))


def two_groups(**compiled: Any) -> keras.Model:
    """Returns a network with two groups of channels, compiled if a loss is given."""
    keras.utils.set_random_seed(0)
    x = layers.Dense(16, "relu", name="second")(layers.Dense(16, "relu", name="first")(inputs := keras.Input((6,))))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(x))
    if compiled:
        model.compile(**compiled)
    return model


def space(**given: Any) -> Any:
    """Returns a pruning space of the network with two groups."""
    return spaces.Space(two_groups(), **given)


def rank(**given: Any) -> Any:
    """Ranks two allocations by what is left of the outputs, or another measure."""
    model = two_groups()
    return spaces.rank(model, spaces.sample(spaces.Space(model, **SMALL), n=2), TWO, by="removed", **given)


def saved() -> str:
    """Writes a model and data with and without labels, and returns the path of the model."""
    two_groups(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"]).save("net.keras")
    parts = {"train": slice(0, 32), "val": slice(32, 48), "test": slice(48, 64)}
    np.savez("data.npz", **{f"{n}_{k}": v[p] for k, p in parts.items() for n, v in (("x", X), ("y", Y))})
    np.savez("inputs.npz", x=X)
    return "net.keras"


def explored(**given: Any) -> Any:
    """Explores a space of two allocations."""
    draw = Draw(params=0.5, delta=0.1, n=2)
    return explore(saved(), draw, **{"engine": "serial", "verbose": 0, "folder": "out"} | given)


def command(*words: Any) -> None:
    """Runs a command; its message is raised."""
    found = run_command(words)
    if found.exit_code:
        raise kp.PruneError(found.output)


def shrunk(dimension: str = "width", *, model: keras.Model | None = None, epochs: int = 1, **given: Any) -> Any:
    """Returns a callback that shrinks a network, after its fit."""
    callback = kp.callbacks.ShrinkRounds(dimension, **ROUND | given)
    fit(callback, model or residual(), (IMAGES, Y), epochs=epochs)
    return callback


def alone(dimension: str, model: keras.Model | None = None, **given: Any) -> Any:
    """Shrinks a network along one dimension, without training."""
    return kp.papers.one_dimension(
        model or residual(), lambda slim, **_: 0.5, dimension, **{"channels": "l1", "blocks": "random"} | given
    )


def shrunk_together(blocks: int, **given: Any) -> Any:
    """Shrinks a network along three dimensions; its accuracy is the share of the multiply–adds."""

    def judge(slim: keras.Model, *, resolution: int, **_: Any) -> float:
        return kp.cost(slim, size=resolution).macs / 1e6

    how = {"size": 16, "channels": "l1", "blocks": "random", "epochs_per_round": 0, "epochs": 0}
    return kp.papers.three_dimensions(residual(blocks, None), judge, **how | given)


def discriminated(data: Any, blocks: Any = None) -> Any:
    """Scores the block of a network by its classes, or otherwise."""
    blocks = blocks or {"name": "discrimination", "classifier": "ridge", "samples": 40}
    return three_dimensional.score_blocks(blocks, kp.trace(residual()), data)


def fitted(degree: int, points: int = 10, **given: Any) -> Any:
    """Returns a surface fitted to points along each dimension."""
    d, w, r = (np.concatenate([np.ones(3 * axis), ONE[1:], np.ones(6 - 3 * axis), [1.0]]) for axis in range(3))
    d, w, r = (each[-points:] for each in (d, w, r))
    return three_dimensional.MAP(degree=degree, **given).fit(d, w, r, d + 2 * w + 3 * r)


def crossed(**given: Any) -> Any:
    """Returns the optimum of a fitted surface."""
    return fitted(1).optimum(**given)


RECIPE = """\
name: tiny
why: A test.
smoke: true
model: {name: lenet_5, classes: 10}
data: {name: digits, size: 16, batch: 64}
train: {epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}}
prune: {space: {macs: 0.5, delta: 0.05, n: 2, rounds: []}}
"""


def run_recipe(setting: str) -> None:
    """Runs a recipe of a pruning space."""
    Path("tiny.yaml").write_text(RECIPE)
    kp.recipes.run("tiny.yaml", "run", settings=[setting], console=Console(quiet=True))


CASES = [
    Case(
        "papers/pruning_nets/pruning_net.py",
        "Give keras.Model(model.inputs",
        lambda: pruning_nets.PruningNet(OwnStep(*(net := dense()).inputs, net.outputs), hidden=2),
        lambda: pruning_nets.PruningNet(keras.Model((net := dense()).inputs, net.outputs), hidden=2),
    ),
    Case(
        "papers/pruning_nets/pruning_net.py",
        "Call save_weights(path)",
        lambda: pruning_nets.PruningNet(dense(), hidden=2).save("net.keras"),
        lambda: (
            (net := pruning_nets.PruningNet(dense(), hidden=2)).save_weights("net.weights.h5"),
            net.slim([0]).save("slim.keras"),
        ),
    ),
    Case(
        "papers/pruning_nets/pruning_net.py",
        "treats every channel by itself",
        lambda: pruning_nets.PruningNet(layer_normalised()),
        lambda: pruning_nets.PruningNet(kp.trace(layer_normalised(), freeze=["hidden"])),
    ),
    Case(
        "papers/pruning_spaces/command.py",
        "Leave it out, and plans are only drawn",
        lambda: command("space", saved(), "--params", 0.5, "--out", "out", "--data", "data.npz"),
        lambda: command("space", saved(), "--params", 0.5, "--delta", 0.1, "--n", 2, "--out", "out"),
    ),
    Case(
        "papers/pruning_spaces/distribution.py",
        "Give those of candidates that finished",
        lambda: spaces.edf([0.5, np.nan, 1.0]),
        lambda: spaces.edf([0.5, 1.0]),
    ),
    Case(
        "papers/pruning_spaces/explore.py",
        "Leave data out, and plans are only drawn",
        lambda: explored(data="data.npz"),
        lambda: explored(),
    ),
    Case(
        "papers/pruning_spaces/explore.py",
        "Pass data, or leave that out",
        lambda: explored(ranked_by=["removed"]),
        lambda: explored(ranked_by=["removed"], data="data.npz"),
        True,
    ),
    Case(
        "papers/pruning_spaces/explore.py",
        "Give data with labels",
        lambda: explored(ranked_by=["removed"], data="inputs.npz"),
        lambda: explored(ranked_by=["removed"], data="data.npz"),
        True,
    ),
    Case(
        "papers/pruning_spaces/fitted_power.py",
        "Measure more regimes",
        lambda: spaces.power_law([0.1, 0.5], [3.0, 1.0]),
        lambda: spaces.power_law([0.1, 0.25, 0.5], [3.0, 2.0, 1.0]),
    ),
    Case(
        "papers/pruning_spaces/ranking.py",
        "Compile the model, or leave measure out",
        lambda: rank(measure="accuracy"),
        lambda: rank(),
        True,
    ),
    Case(
        "papers/pruning_spaces/sampling.py",
        "freeze less of the model",
        lambda: spaces.sample(space(params=0.001, delta=0.0001), n=1),
        lambda: spaces.sample(space(params=0.1, delta=0.02), n=1),
    ),
    Case(
        "papers/pruning_spaces/sampling.py",
        "Move one of them, or leave one out",
        lambda: spaces.sample(space(macs=0.3, params=0.9), n=1),
        lambda: spaces.sample(space(macs=0.3, delta=0.05), n=1),
    ),
    Case(
        "papers/pruning_spaces/sampling.py",
        "use kp.papers.spaces.sample, which aims",
        lambda: kp.papers.eagle_eye(conv(), IMAGES, params=0.5, delta=1e-6, n=1),
        lambda: (
            kp.papers.eagle_eye(conv(), IMAGES, params=0.5, delta=0.1, n=1),
            spaces.sample(spaces.Space(conv(), params=0.5, delta=0.1), n=1),
        ),
        True,
    ),
    Case(
        "papers/pruning_spaces/space.py",
        "Leave out one of the three",
        lambda: space(macs=0.3, params=0.3, mcb=(2.0, 3.0)),
        lambda: space(macs=0.3, params=0.3),
    ),
    Case(
        "papers/pruning_spaces/stage.py",
        "Choose judge: removed, or judge: reconstructed",
        lambda: run_recipe("prune.space.judge=recalibrated"),
        lambda: run_recipe("prune.space.judge=removed"),
        True,
    ),
    Case(
        "papers/synexp/build_to_target.py",
        "with one channel in every group",
        lambda: kp.papers.precrop(dense(), params=0.01),
        lambda: kp.papers.precrop(dense(), params=0.5),
    ),
    Case(
        "papers/three_dimensional/accuracy_predictor.py",
        "Measure more, lower rank=",
        lambda: fitted(3, 9),
        lambda: (fitted(1, 9), fitted(3, ridge=1e-6)),
    ),
    Case(
        "papers/three_dimensional/accuracy_predictor.py",
        "Measure others, lower degree=",
        lambda: fitted(4),
        lambda: (fitted(1), fitted(4, ridge=1e-6)),
    ),
    Case(
        "papers/three_dimensional/constraints.py",
        "Choose another, or lower",
        lambda: crossed(cost=0.3, lower=(0.8, 0.8, 1.0)),
        lambda: (crossed(cost=0.6, lower=(0.8, 0.8, 1.0)), crossed(cost=0.3, lower=(0.3, 0.8, 0.8))),
    ),
    Case(
        "papers/three_dimensional/constraints.py",
        "the least that can be built",
        lambda: crossed(cost=0.3, constraint=three_dimensional.Buildable([1, 0.8], 1, 1, [1, 0.8])),
        lambda: crossed(cost=0.8, constraint=three_dimensional.Buildable([1, 0.8], 1, 1, [1, 0.8])),
    ),
    Case(
        "papers/three_dimensional/discrimination.py",
        "Give such labels, or take another criterion",
        lambda: discriminated([(IMAGES, np.linspace(0, 1, 64))]),
        lambda: (discriminated([(IMAGES, Y)]), discriminated([(IMAGES, np.linspace(0, 1, 64))], "random")),
    ),
    Case(
        "papers/three_dimensional/discrimination.py",
        "Give data with more classes",
        lambda: discriminated([(IMAGES, np.zeros(64, int))]),
        lambda: discriminated([(IMAGES, Y)]),
    ),
    Case(
        "papers/three_dimensional/cosine_distance.py",
        "Pass data=",
        lambda: alone("depth", blocks="cosine_distance"),
        lambda: alone("depth", blocks="cosine_distance", data=[(IMAGES, Y)]),
    ),
    Case(
        "papers/three_dimensional/discrimination.py",
        "Pass data=",
        lambda: alone("depth", blocks="discrimination"),
        lambda: alone("depth", blocks="discrimination", data=[(IMAGES, Y)]),
    ),
    Case(
        "papers/three_dimensional/extents.py",
        "Prune its width alone",
        lambda: alone("depth", linear()),
        lambda: (alone("width", linear()), alone("depth")),
    ),
    Case(
        "papers/three_dimensional/extents.py",
        "Build it with free sides",
        lambda: alone("resolution"),
        lambda: (
            (free := residual(side=None)).set_weights(residual().get_weights()),
            alone("resolution", free, size=8),
            alone("width"),
        ),
    ),
    Case(
        "papers/three_dimensional/extents.py",
        "Pass size=",
        lambda: alone("width", residual(side=None)),
        lambda: alone("width", residual(side=None), size=8),
    ),
    Case(
        "papers/three_dimensional/extents.py",
        "of the MACs are kept",
        lambda: alone("depth", macs=0.05),
        lambda: alone("depth", macs=0.5),
    ),
    Case(
        "papers/three_dimensional/shrink_rounds.py",
        "Update by optimizer.apply alone",
        lambda: shrunk(model=residual(kind=PastTheOptimizer)),
        lambda: shrunk(model=residual(kind=OwnStep)),
        True,
    ),
    Case(
        "papers/three_dimensional/shrink_rounds.py",
        "Pass it.",
        lambda: kp.callbacks.ShrinkRounds("resolution", 2, epochs_per_round=1).sizes,
        lambda: kp.callbacks.ShrinkRounds("resolution", 2, epochs_per_round=1, size=32).sizes,
    ),
    Case(
        "papers/three_dimensional/shrink_rounds.py",
        "Change one of the three",
        lambda: shrunk(epochs=2),
        lambda: shrunk(epochs=2, rounds=2),
        True,
    ),
    Case(
        "papers/three_dimensional/shrink_rounds.py",
        "Pass validation_data to fit",
        lambda: shrunk(monitor="val_accuracy"),
        lambda: (
            residual().fit(
                *(IMAGES, Y),
                validation_data=(IMAGES, Y),
                verbose=0,
                callbacks=[kp.callbacks.ShrinkRounds("width", **ROUND | {"monitor": "val_accuracy"})],
            ),
            shrunk(monitor="accuracy"),
        ),
        True,
    ),
    Case(
        "papers/three_dimensional/surface.py",
        "Call fit() first",
        lambda: three_dimensional.MAP().predict(1, 1, 1),
        lambda: fitted(3).predict(1, 1, 1),
    ),
    Case(
        "papers/three_dimensional/workflow.py",
        "The surface cannot be fitted",
        lambda: shrunk_together(3),
        lambda: shrunk_together(3, surface=three_dimensional.MAP(degree=1)),
        True,
    ),
    Case(
        "papers/three_dimensional/workflow.py",
        "at which blocks are left",
        lambda: shrunk_together(4, macs=0.1),
        lambda: shrunk_together(4, macs=0.3),
        True,
    ),
]

CANNOT_BE_RUN: list[tuple[str, str]] = []
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
