"""How much stays where: measured sensitivity beside uniform, one threshold for all, and random recipes.

    python benchmarks/sensitivity.py run       # resumable: rows that are there are not run again
    python benchmarks/sensitivity.py table     # writes the table from the rows

Starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), chooses channels by L1, and reconstructs on
1,000 training images without labels; every draw takes other images. Accuracy is that on validation, right after
reconstruction, without a step of training. `random` is the best by error of as many recipes as `sensitivity` measures:
uniform, and widths around it (a normal deviation of 0.3 in their logarithms), at the same cost.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two threads hinder each other in products as small as these

from rows import append, mean_std, read

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "sensitivity.csv"
FIELDS = ("macs", "method", "draw", "share", "error", "fresh_error", "accuracy", "seconds", "cpu", "widths")
METHODS = ("uniform", "sensitivity", "random", "global")
TARGETS, DRAWS = (0.1, 0.3, 0.5), (0, 1, 2)
CELLS = [(macs, method) for many in (METHODS[:2], METHODS[2:]) for macs in TARGETS for method in many]
SAMPLES, SIZE = 1000, 32
RECIPES, SPREAD = 60, 0.3
CHECKPOINT = "recipes/library/checkpoints/glyphs-base.keras"


def run(draws=DRAWS) -> None:
    """Runs every cell that has no row yet."""
    import keras
    import numpy as np

    import kerasprune as kp
    from kerasprune.surgery.trials import Trials

    model = keras.models.load_model(Path(kp.__file__).parent / CHECKPOINT)
    graph = kp.trace(model, resolution=SIZE)
    validation = kp.data.load("glyphs/small", size=SIZE, batch=500, split="validation").cache()
    fresh = Trials(graph, np.concatenate([np.asarray(x) for x, _ in validation.take(2)]), samples=1000)
    for draw in draws:
        data = kp.data.load("glyphs/small", size=SIZE, batch=250, split="train", seed=draw)
        images = np.concatenate([np.asarray(x) for x, _ in data.take(SAMPLES // 250)])
        for macs, method in CELLS:
            found = {tuple(row[name] for name in FIELDS[:3]) for row in read(ROWS)}
            if (str(macs), method, str(draw)) not in found:
                row = one_run(graph, method, macs, draw, images, fresh, validation)
                append(ROWS, FIELDS, [{"macs": macs, "method": method, "draw": draw, **row}])
                print(macs, method, draw, row, flush=True)


def one_run(graph, method: str, macs: float, draw: int, images, fresh, validation) -> dict:
    """Decides, reconstructs and returns errors, accuracy, and the time that the decision took."""
    import kerasprune as kp
    from kerasprune.surgery.trials import Trials

    wall, cpu = time.perf_counter(), time.process_time()
    if method == "random":
        plan = best_of_random(graph, macs, draw, images)
    else:
        plan = kp.plan(graph, "l1", method, macs=macs, data=images)
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
        "widths": " ".join(str(len(plan.keep[name])) for name in graph.prunable),
    }


def best_of_random(graph, macs: float, seed: int, images):
    """Returns the plan of the least error of `RECIPES` around uniform that cost no more than it."""
    import numpy as np

    import kerasprune as kp
    from kerasprune import criteria
    from kerasprune.budgets.base import top
    from kerasprune.surgery.trials import Trials

    scores = criteria.score(criteria.get("l1"), graph)
    start = kp.plan(graph, "l1", macs=macs)
    middle = np.array([len(start.keep[name]) for name in graph.prunable])
    sizes = np.array([group.size for group in graph.prunable.values()])
    limit = max(macs * kp.cost(graph).macs, kp.cost(graph, start).macs)
    random = np.random.default_rng(seed)

    def plan(widths):
        return kp.Plan.of(graph, {n: top(scores[n], int(w)) for n, w in zip(graph.prunable, widths, strict=True)})

    plans = [start]
    while len(plans) < RECIPES:
        recipe = middle * np.exp(SPREAD * random.normal(size=middle.size))
        low, high = -2.0, 2.0
        for _ in range(20):
            scale = (low + high) / 2
            tried = plan(np.clip(np.rint(recipe * np.exp(scale)), 1, sizes))
            low, high = (scale, high) if kp.cost(graph, tried).macs <= limit else (low, scale)
        plans.append(plan(np.clip(np.rint(recipe * np.exp(low)), 1, sizes)))
    return min(plans, key=Trials(graph, images, samples=600, positions=4000).error)


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    import numpy as np

    right = [np.asarray(model(x, training=False)).argmax(axis=1) == np.asarray(y) for x, y in data]
    return 100 * float(np.concatenate(right).mean())


def table() -> None:
    """Writes the table."""
    rows = read(ROWS)
    lines = [
        "| MACs | method | validation, no training | error, other images | its own error | seconds of CPU |",
        "|---|---|---|---|---|---|",
    ]
    for macs in sorted(TARGETS, reverse=True):
        for method in dict.fromkeys((*METHODS, *(row["method"] for row in rows))):
            mine = [row for row in rows if (row["macs"], row["method"]) == (str(macs), method)]
            if not mine:
                continue
            columns = [[float(row[name]) for row in mine] for name in ("accuracy", "fresh_error", "error", "cpu")]
            cells = [
                f"{mean_std(columns[0])} (n={len(mine)})",
                *(mean_std(each, 3) for each in columns[1:3]),
                mean_std(columns[3], 0),
            ]
            lines.append(f"| {macs} | {method} | {' | '.join(cells)} |")
    (RESULTS / "sensitivity.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(tuple(map(int, sys.argv[2:])) or DRAWS)
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
