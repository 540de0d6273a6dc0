"""Remedies of recipes and commands that are followed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

import kerasprune as kp
from support.commands import run_command
from support.digits import pixels, solved_classifier
from support.remedies.networks import IMAGES, TWO, X, Y, conv, dense, of_three, prune
from support.remedies.places import Case

QUIET = Console(quiet=True)
CUT = {"plan": {"keep": 0.5}}
SGD = {"name": "sgd", "learning_rate": 0.01}
TUNED = {"epochs": 1, "optimizer": SGD}
MASKS = {"name": "gradual_magnitude", "schedule": {"name": "cubic", "keep": 0.5, "end": 2}, "every": 1}


def files(model: keras.Model | None = None, x: np.ndarray = X, y: np.ndarray = Y) -> None:
    """Writes `mine.keras`, unless it is there, its examples `mine.npz`, and `inputs.npy` without labels."""
    if not Path("mine.keras").exists():
        (model or dense()).save("mine.keras")
    np.savez("mine.npz", x=x, y=y)
    np.save("inputs.npy", x)


def in_batches(number: int) -> None:
    """Writes a model of a fixed batch of 16, and examples."""
    body, inputs = dense(), keras.Input(batch_shape=(16, 6), name="numbers")
    model = keras.Model(inputs, body.layers[-1](body.layers[1](inputs)))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    files(model, np.resize(X, (number, 6)), np.resize(Y, number))


def in_threes() -> None:
    """Writes a model whose loss is of triplets, and examples by split."""
    files(dense(of_three))
    parts = {"train": slice(48), "val": slice(48, 60), "test": slice(48, 60)}
    np.savez(
        "mine.npz", **{f"{a}_{part}": each[rows] for a, each in (("x", X), ("y", Y)) for part, rows in parts.items()}
    )


def recipe(make: Any = files, **sections: Any) -> str:
    """Writes a recipe of the files, and returns its path."""
    make()
    whole = {"name": "mine", "why": "A test.", "model": {"start": "mine.keras"}, "data": {"name": "mine.npz"}}
    Path("mine.yaml").write_text(json.dumps({**whole, "prune": CUT, **sections}))
    return "mine.yaml"


def run(folder: str = "out", resume: bool = False, **sections: Any) -> Path:
    """Runs a recipe of the files."""
    return kp.recipes.run(recipe(**sections), folder, resume=resume, console=QUIET)


def command(*words: Any) -> Any:
    """Runs a command, and raises what it says if it fails."""
    result = run_command(words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise kp.PruneError(result.output)
    return result


def pruned(*words: Any, out: str = "out") -> Any:
    """Prunes the files on the command line."""
    return command("prune", "mine.keras", "--keep", 0.5, "--out", out, "--quiet", *words)


def compare(
    criteria: Any = ("l1",), macs: Any = (0.5,), model: Any = "mine.keras", folder: str = "out", **given: Any
) -> Path:
    """Compares criteria on the files, without controls."""
    files()
    given = {"seeds": 1, "controls": (), "engine": "serial", "verbose": 0, "folder": folder} | given
    return kp.recipes.compare(model, criteria, macs, "mine.npz", **given)


def other_seed() -> keras.Model:
    """Returns the classifier with other weights."""
    model = dense()
    model.set_weights([2 * each for each in model.get_weights()])
    return model


def without_loss() -> None:
    """Writes the files with a model that was never compiled, and numbers for labels."""
    files(dense(None, units=4), y=X[:, :3])


def population(store: str = "a.sqlite", **given: Any) -> kp.recipes.Population:
    """Returns a population in this process."""
    return kp.recipes.Population(store, **{"engine": "serial", "verbose": 0} | given)


def doubled(x: float) -> float:
    """Evaluates a candidate."""
    return 2 * x


def model_of(units: int) -> Any:
    """Evaluates a candidate, and returns a model."""
    return dense(units=units)


def file_of(units: int) -> str:
    """Evaluates a candidate, and returns the path of a model."""
    dense(units=units).save("best.keras")
    return "best.keras"


def another_database(path: str) -> None:
    """Writes a database of another program."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()


SCRIPT = """
import kerasprune as kp
def doubled(x):
    return 2 * x
{guard}
    kp.recipes.Population("{guard:.2}.sqlite", verbose=0).run(doubled, [{{"x": 1}}])
"""


def script(guard: str) -> None:
    """Runs a script that evaluates a candidate in a process."""
    Path("mine.py").write_text(SCRIPT.format(guard=guard))
    done = subprocess.run([sys.executable, "mine.py"], stderr=subprocess.PIPE, text=True, timeout=120)
    if done.returncode:
        raise kp.PruneError(done.stderr)


def resumed(found: Sequence[str] = ()) -> Path:
    """Resumes the run in `out`, whose list of stages is damaged first if one is given."""
    if found:
        Path("out/stages.json").write_text(json.dumps(dict.fromkeys(found, 3)))
    return kp.recipes.resume("out", console=QUIET)


def with_notes() -> None:
    """Writes the files, and a folder of something else."""
    files()
    Path("notes").mkdir(exist_ok=True)
    Path("notes/mine.txt").write_text("mine")


def of_images() -> None:
    """Writes the files with a model of images that has a BatchNorm."""
    files(conv(), IMAGES)


def raw() -> None:
    """Writes a model of pixels in [0, 1], and pixels up to 255."""
    files(solved_classifier(), *pixels())


def searched(**given: Any) -> Any:
    """Searches widths among a few candidates."""
    few = kp.recipes.search.Evolution(population=3, parents=2, mutations=1, crossovers=1, generations=1)
    return kp.recipes.search_plan(dense(units=16), X, **{"macs": 0.5, "delta": 0.1, "evolution": few} | given)


def evolved(**given: Any) -> Any:
    """Evolves candidates of two genes, of two and three choices."""
    return kp.recipes.search.Evolution(tries=500, **given).run(lambda candidates: [0.0] * len(candidates), [2, 3])


CASES = [
    Case(
        "cli/export.py",
        "Give --calibrate FILE.npy",
        lambda: (files(), command("export", "mine.keras", "--format", "tflite-int8", "--out", "a.tflite")),
        lambda: command(
            *("export", "mine.keras", "--format", "tflite-int8", "--out", "a.tflite", "--calibrate", "inputs.npy")
        ),
        True,
    ),
    Case(
        "cli/inspect.py",
        "or the others",
        lambda: (files(), command("inspect", "mine.keras", "--plot", "a.svg", "--json")),
        lambda: command("inspect", "mine.keras", "--json"),
        True,
    ),
    Case(
        "cli/options.py",
        "Unpack it once",
        lambda: (kp.codec.pack(dense(), "mine.kpz", overwrite=True), command("latency", "mine.kpz")),
        lambda: (command("unpack", "mine.kpz", "--out", "model.keras"), command("latency", "model.keras")),
        True,
    ),
    Case(
        "cli/reproduce.py",
        "Name another, or remove the page",
        lambda: (Path("reproduced.md").write_text(""), command("reproduce", "space-counts", "--out", ".")),
        lambda: (
            command("reproduce", "space-counts", "--out", "other"),
            Path("reproduced.md").unlink(),
            command("reproduce", "space-counts", "--out", "."),
        ),
        True,
    ),
    Case(
        "cli/run.py",
        "Leave one of them out",
        lambda: command("run", recipe(), "--strict", "--seeds", 2),
        lambda: command("run", recipe(), "--strict"),
        True,
    ),
    Case(
        "recipes/checkpoint_check.py",
        "Give --scale",
        lambda: (raw(), pruned("--data", "mine.npz")),
        lambda: (
            pruned("--data", "mine.npz", "--scale", "0..1"),
            pruned("--data", "mine.npz", "--scale", "none", out="o"),
        ),
        True,
    ),
    Case(
        "recipes/checkpoint_check.py",
        "Prune in Python, where",
        lambda: run(make=in_threes, data={"name": "mine.npz", "batch": 48}),
        lambda: prune(dense(of_three), data=TWO, batch=48),
        True,
    ),
    Case("recipes/comparison.py", "Expected a list", lambda: compare("l1"), lambda: compare(["l1"]), True),
    Case(
        "recipes/comparison.py",
        "Leave finetune.callbacks out",
        lambda: compare(finetune={**TUNED, "callbacks": ["norm_history"]}),
        lambda: compare(finetune=TUNED),
        True,
    ),
    Case(
        "recipes/comparison.py",
        "Expected different seeds",
        lambda: compare(seeds=[0, 0]),
        lambda: compare(seeds=[0]),
        True,
    ),
    Case(
        "recipes/comparison.py",
        "Choose another folder",
        lambda: (compare(model=dense()), compare(model=other_seed(), resume=True)),
        lambda: compare(model=other_seed(), folder="other"),
        True,
    ),
    Case(
        "recipes/examples.py",
        "Give more",
        lambda: (in_batches(64), pruned("--data", "mine.npz", "--finetune-epochs", 1)),
        lambda: (in_batches(192), pruned("--data", "mine.npz", "--finetune-epochs", 1, out="other")),
        True,
    ),
    Case(
        "recipes/examples.py",
        "Expected a model with at least",
        lambda: run(make=of_images, data={"name": "digits"}),
        lambda: (
            run("a", make=of_images, data={"name": "generated:3"}),
            solved_classifier().save("ten.keras"),
            run("b", model={"start": "ten.keras"}, data={"name": "digits", "scale": "0..1"}),
        ),
        True,
    ),
    Case(
        "recipes/examples.py",
        "Leave the size out",
        lambda: run(make=of_images, data={"name": "generated:3", "size": 16}),
        lambda: (
            run("a", make=of_images, data={"name": "generated:3"}),
            conv(16).save("larger.keras"),
            run("b", model={"start": "larger.keras"}, data={"name": "generated:3", "size": 16}),
        ),
        True,
    ),
    Case(
        "recipes/examples.py",
        "Give your own data",
        lambda: (files(), pruned("--data", "digits")),
        lambda: pruned("--data", "mine.npz"),
        True,
    ),
    Case(
        "recipes/experiment.py",
        "Choose another, or give",
        lambda: (files(), pruned("--data", "inputs.npy", "--criterion", "taylor_fo")),
        lambda: (
            pruned("--data", "inputs.npy", "--criterion", "l2"),
            pruned("--data", "mine.npz", "--criterion", "taylor_fo", out="other"),
        ),
        True,
    ),
    Case(
        "recipes/experiment.py",
        "Expected a loss for",
        lambda: run(make=without_loss),
        lambda: run(make=without_loss, loss="mean_squared_error"),
        True,
    ),
    Case(
        "recipes/experiment.py",
        ". Add ",
        lambda: run(data={"name": "inputs.npy"}, finetune=TUNED),
        lambda: run(data={"name": "inputs.npy"}, finetune={**TUNED, "distil": {}}),
        True,
    ),
    Case(
        "recipes/experiment.py",
        "Leave it out, or give 1.0",
        lambda: run(data={"name": "inputs.npy"}, finetune={**TUNED, "distil": {"weight": 0.5}}),
        lambda: (
            run(data={"name": "inputs.npy"}, finetune={**TUNED, "distil": {}}),
            run("other", data={"name": "inputs.npy"}, finetune={**TUNED, "distil": {"weight": 1.0}}),
        ),
        True,
    ),
    Case(
        "recipes/grid.py",
        "Expected the key seed outside",
        lambda: kp.recipes.seeds_and_grid(recipe(), grid={"seed": [0, 1]}, engine="serial", verbose=0),
        lambda: kp.recipes.seeds_and_grid(recipe(), seeds=2, engine="serial", verbose=0),
        True,
    ),
    Case(
        "recipes/populations/candidate_store.py",
        "Choose another path",
        lambda: (another_database("other.sqlite"), population("other.sqlite")),
        population,
    ),
    Case(
        "recipes/populations/engine.py",
        "Save larger results",
        lambda: population().run(model_of, [{"units": 4}]),
        lambda: population("b.sqlite").run(file_of, [{"units": 4}]),
    ),
    Case(
        "recipes/populations/local_runner.py",
        "Put the call below",
        lambda: script("if True:"),
        lambda: script("if __name__ == '__main__':"),
        True,
    ),
    Case(
        "recipes/populations/population.py",
        "Give the keyword arguments",
        lambda: population().run(doubled, [3]),
        lambda: population().run(doubled, [{"x": 3}]),
    ),
    Case(
        "recipes/populations/worker_process.py",
        "Put it at the top level",
        lambda: population(engine="local").run("no_such:doubled", [{"x": 3}]),
        lambda: (
            population(engine="local").run("support.remedies.recipes:doubled", [{"x": 3}]),
            population("b.sqlite").run(doubled, [{"x": 3}]),
        ),
        True,
    ),
    Case(
        "recipes/run_folder.py",
        "Expected an empty folder",
        lambda: (run(), run()),
        lambda: (run("other"), run(resume=True)),
        True,
    ),
    Case(
        "recipes/run_folder.py",
        "Start with 'kerasprune run",
        lambda: command("resume", "out"),
        lambda: command("run", recipe(), "--out", "out"),
        True,
    ),
    Case(
        "recipes/run_folder.py",
        "of an earlier run to overwrite",
        lambda: (with_notes(), pruned("--overwrite", out="notes")),
        lambda: pruned("--overwrite", out="other"),
        True,
    ),
    Case(
        "recipes/run_folder.py",
        "or copy them elsewhere",
        lambda: (run(), command("prune", "out/slim.keras", "--keep", 0.5, "--out", "out", "--overwrite")),
        lambda: (
            command("prune", "out/slim.keras", "--keep", 0.5, "--out", "other", "--overwrite"),
            Path("mine.keras").write_bytes(Path("out/slim.keras").read_bytes()),
            pruned("--overwrite"),
        ),
        True,
    ),
    Case(
        "recipes/run_folder.py",
        "Expected the finished stages. ",
        lambda: (run(), resumed(["report"])),
        lambda: (Path("out/stages.json").unlink(), resumed()),
        True,
    ),
    Case(
        "recipes/runner.py",
        "Received: no data",
        lambda: run(data=None, prune={"plan": {"keep": 0.5, "criterion": "taylor_fo"}}),
        lambda: run(prune={"plan": {"keep": 0.5, "criterion": "taylor_fo"}}),
        True,
    ),
    Case(
        "recipes/runner.py",
        "Leave reconstruct out",
        lambda: run(prune={"callback": MASKS, "optimizer": SGD, "epochs": 1}, reconstruct={}),
        lambda: run(prune={"callback": MASKS, "optimizer": SGD, "epochs": 1}),
        True,
    ),
    Case(
        "recipes/search/counting.py",
        "Pass the model, or the graph",
        lambda: kp.papers.spaces.costs(dense(), kp.papers.spaces.Allocations(kp.trace(dense(units=4)), [[0.5]])),
        lambda: kp.papers.spaces.costs(dense(), kp.papers.spaces.Allocations(kp.trace(dense()), [[0.5]])),
    ),
    Case(
        "recipes/search/evolution.py",
        "Pass more choices",
        evolved,
        lambda: evolved(population=4, parents=2, mutations=1, crossovers=1, generations=1),
    ),
    Case(
        "recipes/search/search_plan.py",
        "Use kp.recipes.search.Evolution",
        lambda: searched(evolution={"population": 4}),
        lambda: searched(evolution=kp.recipes.search.Evolution(population=4, parents=2, mutations=1, generations=1)),
        True,
    ),
    Case(
        "recipes/search/widths.py",
        "Choose one in that range",
        lambda: searched(macs=0.01, delta=0.001),
        lambda: (searched(macs=0.2), searched(macs=0.07, delta=0.01, fractions=(1 / 16, 0.5, 1.0))),
        True,
    ),
    Case(
        "recipes/stages/context.py",
        "give the fraction kept as",
        lambda: run(
            make=of_images, prune={**CUT, "callback": {"name": "network_slimming"}, "optimizer": SGD, "epochs": 1}
        ),
        lambda: run(
            make=of_images, prune={"callback": {"name": "network_slimming", "macs": 0.5}, "optimizer": SGD, "epochs": 1}
        ),
        True,
    ),
    Case(
        "recipes/stages/context.py",
        "the fraction kept is an argument",
        lambda: run(prune={**CUT, "callback": MASKS, "optimizer": SGD, "epochs": 1}),
        lambda: run(prune={"callback": MASKS, "optimizer": SGD, "epochs": 1}),
        True,
    ),
    Case(
        "recipes/stages/prune.py",
        "Add prune.epochs",
        lambda: run(make=of_images, prune={"callback": {"name": "network_slimming"}, "optimizer": SGD}),
        lambda: run(make=of_images, prune={"callback": {"name": "network_slimming"}, "optimizer": SGD, "epochs": 1}),
        True,
    ),
    Case(
        "recipes/stages/rebuild.py",
        "Give more data",
        lambda: run(reconstruct={"samples": 8}),
        lambda: run("other", reconstruct={"samples": 40}),
        True,
    ),
    Case(
        "recipes/stages/rebuild.py",
        "Give data, or draw more",
        lambda: run(make=of_images, data={"name": "synthetic", "samples": 10}, reconstruct={}),
        lambda: (
            run("a", make=of_images, data={"name": "synthetic", "samples": 60}, reconstruct={}),
            run("b", make=of_images, reconstruct={}),
        ),
        True,
    ),
    Case(
        "recipes/starter.py",
        "Try 'mine.yaml'",
        lambda: kp.recipes.init("mine.txt"),
        lambda: kp.recipes.init("mine.yaml"),
    ),
    Case(
        "recipes/starter.py",
        "Choose another.",
        lambda: (kp.recipes.init("mine.yaml"), kp.recipes.init("mine.yaml")),
        lambda: kp.recipes.init("other.yaml"),
    ),
]

CANNOT_BE_RUN = [
    ("recipes/schema.py", "Install kerasprune with all of its papers"),  # an environment without them
    ("recipes/populations/ray_runner.py", "Give fewer threads"),  # a cluster
    ("recipes/populations/ray_runner.py", "Install kerasprune on every machine"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
