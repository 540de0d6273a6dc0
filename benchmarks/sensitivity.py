"""How much stays where: measured sensitivity beside uniform, one threshold for all, and random recipes.

    python benchmarks/sensitivity.py run [DRAW …]         # resumable: rows that are there are not run again
    python benchmarks/sensitivity.py finetune [DRAW …]    # trains what `run` has found; resumable too
    python benchmarks/sensitivity.py table                # writes the table from the rows

Starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), chooses channels by L1, and reconstructs on
1,000 training images without labels; every draw takes other images. Accuracy is that on validation, right after
reconstruction, without a step of training. `widths only` is `sensitivity` that drops no blocks. `random` is the best
by error of 100 recipes, more than `sensitivity` measures: uniform, and widths around it (a normal deviation of 0.3 in
their logarithms), at the same cost. `precrop` has the widths of `kp.papers.precrop`, which looks at the architecture
only.

`finetune` trains what was found for the four epochs of `equal_epochs.py`, reconstructed first and with the dense model
as teacher; the draw is the seed of the data order. Test accuracy is taken once, at the end.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two threads hinder each other in products as small as these

from rows import append, mean_std, read

RESULTS = Path(__file__).parent / "results"
ROWS, TUNED_ROWS = RESULTS / "sensitivity.csv", RESULTS / "sensitivity_finetuned.csv"
FIELDS = ("macs", "method", "draw", "share", "error", "fresh_error", "accuracy", "seconds", "cpu", "widths", "removed")
TUNED_FIELDS = ("macs", "method", "draw", "validation", "test", "seconds")
METHODS = ("uniform", "sensitivity", "widths only", "random", "global", "precrop")
TARGETS, DRAWS = (0.1, 0.3, 0.5), (0, 1, 2)
SAMPLES, SIZE = 1000, 32
RECIPES, SPREAD = 100, 0.3
EPOCHS = 4
CHECKPOINT = "recipes/library/checkpoints/glyphs-base.keras"


def start():
    """Returns the graph of the dense model, and the validation images."""
    import keras

    import kerasprune as kp

    model = keras.models.load_model(Path(kp.__file__).parent / CHECKPOINT)
    return kp.trace(model, size=SIZE), kp.data.load("glyphs/small", size=SIZE, batch=500, split="validation")


def unlabelled(draw: int):
    """Returns the images of a draw."""
    import numpy as np

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=SIZE, batch=250, split="train", seed=draw)
    return np.concatenate([np.asarray(x) for x, _ in data.take(SAMPLES // 250)])


def run(draws=DRAWS) -> None:
    """Runs every cell that has no row yet."""
    import numpy as np

    from kerasprune.planning.budgets.trials import Trials

    graph, validation = start()
    validation = validation.cache()
    fresh = Trials(graph, np.concatenate([np.asarray(x) for x, _ in validation.take(2)]), samples=1000)
    images = {draw: unlabelled(draw) for draw in draws}
    for methods in (METHODS[:3], METHODS[3:]):
        for macs, draw, method in itertools.product(TARGETS, draws, methods):
            if (str(macs), method, str(draw)) not in there(ROWS):
                row = one_run(graph, method, macs, draw, images[draw], fresh, validation)
                append(ROWS, FIELDS, [{"macs": macs, "method": method, "draw": draw, **row}])
                print(macs, method, draw, row, flush=True)


def there(path: Path) -> dict[tuple[str, ...], dict]:
    """Returns the rows of a file by what tells them apart."""
    return {tuple(row[name] for name in FIELDS[:3]): row for row in read(path)}


def finetune(draws=DRAWS) -> None:
    """Trains every plan that `run` has found and that has no row yet."""
    import kerasprune as kp

    graph, validation = start()
    test = kp.data.load("glyphs/small", size=SIZE, batch=500, split="test")
    for macs, draw, method in itertools.product(TARGETS, draws, METHODS):
        key = str(macs), method, str(draw)
        found = there(ROWS).get(key)
        if found is not None and key not in there(TUNED_ROWS):
            row = dict(zip(FIELDS, key, strict=False)) | one_training(graph, found, draw, validation, test)
            append(TUNED_ROWS, TUNED_FIELDS, [row])
            print(row, flush=True)


def one_training(graph, found: dict, draw: int, validation, test) -> dict:
    """Reconstructs, trains and returns accuracies, and the time that it took."""
    import greg_schedules as protocol
    import keras

    import kerasprune as kp
    from kerasprune.defaults import BEFORE_TRAINING

    began = time.process_time()
    keras.utils.set_random_seed(draw)
    plan = plan_of_widths(graph, map(int, found["widths"].split()), found["removed"].split())
    slim = kp.reconstruct(kp.rebuild(graph, plan), graph.model, plan, unlabelled(draw), slack=BEFORE_TRAINING)
    options = {"size": SIZE, "batch": protocol.BATCH, "augment": "crop", "seed": draw}
    train = kp.data.load("glyphs/small", split="train", **options)
    rate = keras.optimizers.schedules.CosineDecay(protocol.FINETUNE_RATE, EPOCHS * len(train))
    protocol.fit(kp.distil(slim, graph.model), train, rate, EPOCHS, [])
    scores = {name: round(accuracy(slim, data), 3) for name, data in (("validation", validation), ("test", test))}
    return scores | {"seconds": round(time.process_time() - began)}


def plan_of_widths(graph, widths, removed=()):
    """Returns the plan of the channels of the largest L1 norms, as many of each group as are given."""
    import kerasprune as kp
    from kerasprune import criteria
    from kerasprune.planning.budgets.base import top

    scores = criteria.score(criteria.get("l1"), graph)
    keep = {name: top(scores[name], int(width)) for name, width in zip(graph.prunable, widths, strict=True) if width}
    return kp.Plan.of(graph, keep, removed)


def one_run(graph, method: str, macs: float, draw: int, images, fresh, validation) -> dict:
    """Decides, reconstructs and returns errors, accuracy, and the time that the decision took."""
    import kerasprune as kp
    from kerasprune.planning.budgets.trials import Trials

    wall, cpu = time.perf_counter(), time.process_time()
    if method == "random":
        plan = best_of_random(graph, macs, draw, images)
    elif method == "precrop":
        widths = {name: len(kept) for name, kept in kp.papers.precrop(graph, macs=macs).keep.items()}
        plan = plan_of_widths(graph, [widths.get(name, group.size) for name, group in graph.prunable.items()])
    else:
        budget = {"name": "sensitivity", "blocks": False} if method == "widths only" else method
        plan = kp.plan(graph, "l1", budget, macs=macs, data=images, round_to=1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = kp.reconstruct(kp.rebuild(graph, plan), graph.model, plan, images)
    return {
        "share": f"{kp.cost(graph, plan).macs / kp.cost(graph).macs:.4f}",
        "error": f"{Trials(graph, images, samples=600, positions=4000).error(plan):.4f}",
        "fresh_error": f"{fresh.error(plan):.4f}",
        "accuracy": round(accuracy(new, validation), 2),
        "seconds": round(wall, 1),
        "cpu": round(cpu, 1),
        "widths": " ".join(str(len(plan.keep.get(name, ()))) for name in graph.prunable),  # 0 in a dropped block
        "removed": " ".join(plan.removed),
    }


def best_of_random(graph, macs: float, seed: int, images):
    """Returns the plan of the least error of `RECIPES` around uniform that cost no more than it."""
    import numpy as np

    import kerasprune as kp
    from kerasprune.planning.budgets.trials import Trials

    start = kp.plan(graph, "l1", macs=macs, round_to=1)
    middle = np.array([len(start.keep[name]) for name in graph.prunable])
    sizes = np.array([group.size for group in graph.prunable.values()])
    limit = max(macs * kp.cost(graph).macs, kp.cost(graph, start).macs)
    random = np.random.default_rng(seed)

    plans = [start]
    while len(plans) < RECIPES:
        recipe = middle * np.exp(SPREAD * random.normal(size=middle.size))
        low, high = -2.0, 2.0
        for _ in range(20):
            scale = (low + high) / 2
            tried = plan_of_widths(graph, np.clip(np.rint(recipe * np.exp(scale)), 1, sizes))
            low, high = (scale, high) if kp.cost(graph, tried).macs <= limit else (low, scale)
        plans.append(plan_of_widths(graph, np.clip(np.rint(recipe * np.exp(low)), 1, sizes)))
    return min(plans, key=Trials(graph, images, samples=600, positions=4000).error)


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    import numpy as np

    right = [np.asarray(model(x, training=False)).argmax(axis=1) == np.asarray(y) for x, y in data]
    return 100 * float(np.concatenate(right).mean())


def table() -> None:
    """Writes the table."""
    rows, tuned = read(ROWS), read(TUNED_ROWS)
    lines = [
        "| MACs | method | validation, no training | test, four epochs | error, other images | its own error "
        "| blocks dropped | seconds of CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for macs in sorted(TARGETS, reverse=True):
        for method in dict.fromkeys((*METHODS, *(row["method"] for row in rows))):
            mine, trained = (
                [row for row in each if (row["macs"], row["method"]) == (str(macs), method)] for each in (rows, tuned)
            )
            if not mine:
                continue
            columns = [[float(row[name]) for row in mine] for name in ("accuracy", "fresh_error", "error", "cpu")]
            test = [float(row["test"]) for row in trained]
            cells = [
                f"{mean_std(columns[0])} (n={len(mine)})",
                f"{mean_std(test)} (n={len(test)})" if test else "–",
                *(mean_std(each, 3) for each in columns[1:3]),
                ", ".join(str(len(row["removed"].split())) for row in mine),
                mean_std(columns[3], 0),
            ]
            lines.append(f"| {macs} | {method} | {' | '.join(cells)} |")
    (RESULTS / "sensitivity.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    commands = {"run": run, "finetune": finetune}
    if sys.argv[1:2] == ["table"]:
        table()
    elif sys.argv[1:2] and sys.argv[1] in commands:
        commands[sys.argv[1]](tuple(map(int, sys.argv[2:])) or DRAWS)
    else:
        sys.exit(__doc__)
