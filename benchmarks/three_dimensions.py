"""Depth, width and resolution together against each alone, on glyphs (Accelerate CNNs from Three Dimensions, Table 1).

    python benchmarks/three_dimensions.py run [0.5]    # resumable: finished networks and rows are not trained again
    python benchmarks/three_dimensions.py blocks       # dropping blocks by discrimination against at random
    python benchmarks/three_dimensions.py table        # writes tables and plots from the rows

Everything starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 20,000 pictures). The originals have 64×64
pixels; the dense network reads them at 32×32, which is r = 1. Algorithm 1 collects 12 networks for each seed, down to
T = 0.3, with 5,000 pictures of training each; they serve both budgets. Then every policy is fine-tuned alike: the dense
network is pruned at once and trained on 10,000 pictures, cosine from 0.01. Validation accuracy is what the surface is
fitted to; test accuracy is taken once, at the end.

`blocks` drops the k blocks of least discrimination, or k random ones, and takes the accuracy right away and after
training on 5,000 pictures.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ROWS, POINTS, BLOCKS = (RESULTS / f"three_dimensions{name}.csv" for name in ("", "_points", "_blocks"))
FIELDS = ("policy", "budget", "seed", "d", "w", "r", "macs", "params", "validation", "test", "kkt", "seconds")
POINT_FIELDS = ("seed", "d", "w", "r", "macs", "params", "validation")
BLOCK_FIELDS = ("k", "choice", "draw", "removed", "before", "after")
SIDE, BATCH, RATE, L2, LOW = 32, 32, 1e-2, 1e-4, 0.3
STEPS = 156  # of an "epoch" here: 5,000 pictures
EPOCHS_PER_ROUND, EPOCHS = 1, 2
DISCRIMINATION = {"name": "discrimination", "classifier": "ridge", "samples": 3000}
BUDGETS, SEEDS = (0.5, 0.3), (0, 1)
POLICIES = ("3-D, exact MACs", "3-D, d·w²·r²", "depth only", "width only", "resolution only")
WORK = Path(os.environ.get("THREE_DIMENSIONS_WORK", "runs/three_dimensions"))


def fit(model, *, resolution: int, epochs: int, seed: int) -> float:
    """Trains with SGD, cosine from 0.01, momentum 0.9 and L2 in the loss; returns the validation accuracy."""
    import keras

    import kerasprune as kp

    if epochs:
        train = kp.data.load("glyphs/small", size=resolution, batch=BATCH, augment="crop", seed=seed)
        steps = epochs * STEPS
        kernels = [v for v in model.trainable_variables if v.name == "kernel"]
        for kernel in kernels:
            kernel.regularizer = keras.regularizers.L2(L2 / 2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
        model.compile(keras.optimizers.SGD(schedule, momentum=0.9), loss)
        model.fit(train.take(steps), shuffle=False, verbose=0)  # 312 steps an epoch
        for kernel in kernels:
            kernel.regularizer = None
    return accuracy(model, resolution, "validation")


def accuracy(model, resolution: int, split: str) -> float:
    """Returns the accuracy on a split of the 10,000-picture set."""
    import keras

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=resolution, batch=500, split=split)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return float(model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"])


def dense():
    """Returns the dense network."""
    import keras

    import kerasprune as kp

    return keras.models.load_model(Path(kp.__file__).parent / "recipes" / "checkpoints" / "glyphs-base.keras")


def train_data(seed: int):
    """Returns the pictures that the blocks are judged on."""
    import kerasprune as kp

    return kp.data.load("glyphs/small", size=SIDE, batch=500, seed=seed)


def one_run(policy: str, budget: float, seed: int) -> dict:
    """Runs one cell and returns its row."""
    from kerasprune.three_dimensions import one_dimension, three_dimensions

    began, model, kkt = time.time(), dense(), ""
    folder = WORK / f"seed-{seed}"
    common = {"data": train_data(seed), "resolution": SIDE, "epochs": EPOCHS, "seed": seed, "folder": folder}
    common["blocks"] = DISCRIMINATION
    if policy.startswith("3-D"):
        constraint = "macs" if "MACs" in policy else "volume"
        result = three_dimensions(
            model, fit, budget, down_to=LOW, constraint=constraint, epochs_per_round=EPOCHS_PER_ROUND, **common
        )
        write(POINTS, POINT_FIELDS, [point_row(seed, point) for point in result.points], ("seed", "d", "w", "r"))
        point, kkt = result.chosen, f"{result.optimum.kkt:.1e}"
    else:
        point = one_dimension(model, fit, policy.split()[0], budget, **common)
    row = {"policy": policy, "budget": budget, "test": 100 * accuracy(point.model, point.side, "test"), "kkt": kkt}
    return row | point_row(seed, point) | {"seconds": round(time.time() - began)}


def point_row(seed: int, point) -> dict:
    """Returns a point as a row."""
    facts = {name: getattr(point, name) for name in ("d", "w", "r", "macs", "params")}
    return {"seed": seed, "validation": 100 * point.accuracy} | facts


def run(budgets: tuple[float, ...] = BUDGETS) -> None:
    """Runs every cell that has no row yet, and the test accuracy of the dense network."""
    done = {(row["policy"], row["budget"], row["seed"]) for row in rows(ROWS, FIELDS)}
    if ("dense", "1.0", "") not in done:
        import kerasprune as kp

        model = dense()
        cost = kp.cost(model, resolution=SIDE)
        facts = {"d": 1, "w": 1, "r": 1, "macs": cost.macs, "params": cost.params}
        scores = {split: 100 * accuracy(model, SIDE, split) for split in ("validation", "test")}
        write(ROWS, FIELDS, [{"policy": "dense", "budget": 1.0, "seed": ""} | facts | scores])
    for budget in budgets:
        for seed in SEEDS:
            for policy in POLICIES:
                if (policy, str(budget), str(seed)) not in done:
                    row = one_run(policy, budget, seed)
                    write(ROWS, FIELDS, [row])
                    print(row, flush=True)


def blocks(draws: int = 5) -> None:
    """Drops k blocks by discrimination and at random, and trains each on 5,000 pictures."""
    import kerasprune as kp
    from kerasprune.criteria import Evidence, least_blocks, score_blocks

    model = dense()
    graph = kp.trace(model)
    done = {(row["k"], row["choice"], row["draw"]) for row in rows(BLOCKS, BLOCK_FIELDS)}
    importance = score_blocks(DISCRIMINATION, graph, Evidence(train_data(0)))
    print(importance, flush=True)
    for k in (1, 2, 4):
        for draw in range(draws + 1):
            choice = "random" if draw else "discrimination"
            if (str(k), choice, str(draw)) in done:
                continue
            scores = score_blocks("random", graph, Evidence(seed=draw)) if draw else importance
            removed = least_blocks(scores, k)
            slim = kp.rebuild(model, kp.Plan({}, removed), absorb=False)
            before = 100 * accuracy(slim, SIDE, "validation")
            after = 100 * fit(slim, resolution=SIDE, epochs=1, seed=0)
            row = {"k": k, "choice": choice, "draw": draw, "removed": " ".join(removed)}
            write(BLOCKS, BLOCK_FIELDS, [row | {"before": before, "after": after}])
            print(row, before, after, flush=True)


def write(path: Path, fields: tuple, new: list[dict], key: tuple = ()) -> None:
    """Appends rows to a file; with a key, only those whose key is not there yet."""
    RESULTS.mkdir(exist_ok=True)
    known = {tuple(str(row[name]) for name in key) for row in rows(path, fields)} if key else set()
    with path.open("a", newline="") as file:
        for row in new:
            if not key or tuple(str(row[name]) for name in key) not in known:
                csv.DictWriter(file, fields).writerow(row)


def rows(path: Path, fields: tuple) -> list[dict]:
    """Returns the rows of a file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file, fields))


if __name__ == "__main__":
    command, *rest = [*sys.argv[1:], ""]
    if command == "run":
        run(tuple(map(float, filter(None, rest))) or BUDGETS)
    elif command == "blocks":
        blocks()
    else:
        sys.exit(__doc__)
