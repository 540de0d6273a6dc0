"""Growing regularisation against one-shot removal of the same filters, on glyphs (GReg paper, Tables 1, 7, 9 and 10).

    python benchmarks/greg_schedules.py run [--workers 2]     # resumable: rows that are there are not run again
    python benchmarks/greg_schedules.py table                 # writes the table and the plot from the rows

Every run starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), keeps a fraction of the channels
inside every residual block, and trains for the same number of epochs on the 10,000-image set. One-shot: remove, then
fine-tune for all epochs. Growing: the penalty grows and settles during the first epochs (learning rate constant), then
remove and fine-tune for the rest. One-shot-half: remove, then fine-tune only as long as the grown ones are, as in the
paper. Test accuracy is taken once, at the end.

Two short schedules are compared. The papers' own, squeezed (`greg1`, `greg2`): λ grows linearly on the filters,
105,000 steps at learning rate 1e-3 became 624 at 3e-3, and all λ are multiplied by the ratio of the two times, 56, so
that the sum of learning rate · λ is the same; the ceiling is 56 instead of 1, GReg-2 picks at 0.56 instead of 0.01.
With momentum 0.9 that is 64 times critical damping. And the one that `compressed(steps)` takes (`-geometric`): λ grows
geometrically, on the kernels that read the channels (`-channel`) or on γ and β of the BatchNorms
(`-scale`), at a constant rate of 0.01 or one that falls to zero in a cosine (`-cosine`).
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from rows import append, read

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "greg_schedules.csv"
FIELDS = ("method", "picks", "keep", "every", "seed", "removed", "validation", "test", "ratio", "seconds")
PRUNE_EPOCHS, FINETUNE_EPOCHS = 2, 2
PRUNE_RATE, FINETUNE_RATE, L2, BATCH, SIZE = 3e-3, 1e-2, 1e-4, 32, 32
CEILING = 56.0  # 104,990 · 1e-3 / (624 · 3e-3)
KINDS = (
    ("one-shot", "l1"),
    ("greg1", "l1"),
    ("greg2", "l1"),
    ("one-shot", "random"),
    ("greg1", "random"),
    ("one-shot-half", "l1"),
    ("one-shot", "obd"),
)
GEOMETRIC = (
    ("greg1-channel-geometric", "l1"),
    ("greg1-scale-geometric", "l1"),
    ("greg2-channel-geometric", "l1"),
    ("greg2-scale-geometric", "l1"),
    ("greg1-channel-geometric", "random"),
    ("greg1-channel-geometric", "obd"),
    ("greg1-channel-geometric-cosine", "l1"),
)
GEOMETRIC_RATE = 1e-2
KEEPS, SEEDS, SWEEP = (0.5, 0.3, 0.1), (0, 1, 2), (1, 5, 20)


def grid() -> list[dict]:
    """All runs: (method × picks × keep × seed), then the sweep of K_u at keep 0.1; most telling first."""
    runs = []
    for (method, picks), keep in itertools.product(KINDS, (0.1, 0.3, 0.5)):
        for seed in SEEDS:
            if picks == "l1" or keep == 0.1:  # Tables 7 and 10 are about the strongest pruning
                runs.append({"method": method, "picks": picks, "keep": keep, "every": 10, "seed": seed})
    runs.sort(key=lambda run: (run["picks"] != "l1", run["method"] == "one-shot-half", run["seed"]))
    for seed, every in itertools.product(SEEDS, SWEEP):
        runs.append({"method": "greg1", "picks": "l1", "keep": 0.1, "every": every, "seed": seed})
    return runs + geometric_grid()


def geometric_grid() -> list[dict]:
    """The runs of the short schedule that works, in the same order; K_u is 1 but for its sweep."""
    runs = []
    for methods, keep in itertools.product((GEOMETRIC[:2], GEOMETRIC[2:4]), (0.1, 0.3, 0.5)):
        for seed, (method, picks) in itertools.product(SEEDS, methods):
            runs.append({"method": method, "picks": picks, "keep": keep, "every": 1, "seed": seed})
    method, picks = GEOMETRIC[-1]
    falling = [{"method": method, "picks": picks, "keep": 0.1, "every": 1, "seed": seed} for seed in SEEDS]
    runs = runs[:2] + falling[:1] + runs[2:6] + falling[1:] + runs[6:]
    for seed, (method, picks) in itertools.product(SEEDS, GEOMETRIC[4:6]):
        runs.append({"method": method, "picks": picks, "keep": 0.1, "every": 1, "seed": seed})
    for seed, every in itertools.product(SEEDS, (5, 10, 20)):
        runs.append({"method": method, "picks": "l1", "keep": 0.1, "every": every, "seed": seed})
    return runs


def one_run(method: str, picks: str, keep: float, every: int, seed: int) -> dict:
    """Runs one cell of the grid and returns its row."""
    import keras
    import numpy as np

    import kerasprune as kp

    began = time.time()
    keras.utils.set_random_seed(seed)
    checkpoint = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    model = keras.models.load_model(os.environ.get("GLYPHS_BASE", checkpoint))
    evaluation = {
        split: kp.data.load("glyphs/small", size=SIZE, batch=500, split=split) for split in ("validation", "test")
    }
    graph = kp.trace(model, coupling="free")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plan = kp.plan(graph, picks, keep=keep, data=looked_at(picks, seed), loss=loss, seed=seed)
    ratio, epochs = "", PRUNE_EPOCHS + FINETUNE_EPOCHS if method == "one-shot" else FINETUNE_EPOCHS
    if method.startswith("greg"):
        train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
        callback = growing(method, plan, keep, every, PRUNE_EPOCHS * len(train))
        geometric = "geometric" in method
        fit(model, train, prune_rate(method, PRUNE_EPOCHS * len(train)), PRUNE_EPOCHS, [callback])
        plan = callback.plan
        ratio = f"{callback.removed_to_kept if geometric else separation(graph, plan):.3g}"
    slim = kp.rebuild(model, plan)
    removed = accuracy(slim, evaluation["validation"])
    first = PRUNE_EPOCHS + FINETUNE_EPOCHS - epochs
    train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed, first_epoch=first)
    schedule = keras.optimizers.schedules.CosineDecay(FINETUNE_RATE, epochs * len(train))
    fit(slim, train, schedule, epochs, [])
    row = {"method": method, "picks": picks, "keep": keep, "every": every, "seed": seed, "ratio": ratio}
    scores = {split: accuracy(slim, data) for split, data in evaluation.items()}
    assert np.isfinite(list(scores.values())).all()
    return row | {"removed": removed} | scores | {"seconds": round(time.time() - began)}


def looked_at(picks: str, seed: int):
    """Returns the first 32 batches of the training images for a criterion that looks at data, else `None`."""
    import kerasprune as kp

    if not type(kp.criteria.get(picks)).needs:
        return None
    return kp.data.load("glyphs/small", size=SIZE, batch=BATCH, seed=seed).take(32)


def prune_rate(method: str, steps: int):
    """Returns the learning rate while the penalty grows; with one that falls, λ rises further."""
    import keras

    if method.endswith("cosine"):
        return keras.optimizers.schedules.CosineDecay(GEOMETRIC_RATE, steps)
    return GEOMETRIC_RATE if "geometric" in method else PRUNE_RATE


def growing(method: str, plan, keep: float, every: int, steps: int):
    """Returns the callback, its schedule fitted into a number of steps.

    The papers' squeezed: one step in twenty to settle. GReg-2 picks at a hundredth of the ceiling, after one in eleven
    of its updates, as in the paper.
    """
    import kerasprune as kp

    if "geometric" in method:
        kind, granularity, *_ = method.split("-")
        arguments = {"granularity": granularity}
        arguments |= {"schedule": {"name": "geometric", "steps": steps, "every": every, "stop": False}}
        if kind == "greg1":
            return kp.callbacks.GReg1(plan, **arguments)
        return kp.callbacks.GReg2(keep=keep, weight_decay=L2, **arguments)
    settle = steps // 20
    updates = (steps - settle) // every
    if method == "greg1":
        left = steps - (updates - 1) * every
        linear = kp.schedules.LinearGrowth(CEILING / updates, every, CEILING, left, stop=False)
        return kp.callbacks.GReg1(plan, schedule=linear)
    before = max(updates // 11, 1)
    steps_of_λ = 0.01 * CEILING / before, 0.99 * CEILING / (updates - before)
    slopes = kp.schedules.TwoSlopeGrowth(*steps_of_λ, every, 0.00999 * CEILING, CEILING, settle, stop=False)
    return kp.callbacks.GReg2(keep=keep, schedule=slopes, weight_decay=L2)


def fit(model, data, learning_rate, epochs: int, callbacks: list) -> None:
    """Trains with SGD, momentum 0.9 and the L2 term in the loss, which is taken off again."""
    import keras

    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    for kernel in kernels:
        kernel.regularizer = keras.regularizers.L2(L2 / 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.9), loss, metrics=["accuracy"])
    model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    for kernel in kernels:
        kernel.regularizer = None


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return 100 * model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"]


def separation(graph, plan) -> float:
    """Returns the mean |w| of the removed filters over that of the kept ones, the largest over the groups."""
    import numpy as np

    worst = 0.0
    for name, kept in plan.keep.items():
        kernel, axis, channel = graph.made_by(name)[0]
        norms = np.abs(kernel.variable.numpy()).mean(axis=tuple(a for a in range(4) if a != axis))
        inside = np.isin(channel, kept)
        worst = max(worst, norms[~inside].mean() / norms[inside].mean()) if (~inside).any() else worst
    return worst


def work(part: int, parts: int) -> None:
    """Runs every `parts`-th cell that has no row yet."""
    for run in grid()[part::parts]:
        if key(run) in {key(row) for row in read(ROWS)}:
            continue
        row = one_run(**run)
        append(ROWS, FIELDS, [row])
        print(row, flush=True)


def usual(method: str) -> str:
    """Returns the K_u of the rows that are not of its sweep."""
    return "1" if "geometric" in method else "10"


def key(row: dict) -> tuple:
    """Returns what tells runs apart."""
    return tuple(str(row[field]) for field in FIELDS[:5])


def run(workers: int) -> None:
    """Runs the grid in several one-threaded processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, "work"]
    started = [subprocess.Popen([*command, str(i), str(workers)], env=environment) for i in range(workers)]
    if any(process.wait() for process in started):
        sys.exit("a worker failed; the finished rows are kept")


def table() -> None:
    """Writes the table and the plot."""
    import numpy as np

    found = read(ROWS)

    def cell(field: str = "test", **wanted) -> str:
        values = [float(r[field]) for r in found if all(r[k] == str(v) for k, v in wanted.items()) and r[field]]
        if not values:
            return "–"
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        return f"{np.mean(values):.2f} ± {spread:.2f} (n={len(values)})"

    kinds = KINDS + GEOMETRIC
    lines = ["| keep | " + " | ".join(f"{m}, {p} picks" for m, p in kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for keep in KEEPS:
        cells = (cell(method=m, picks=p, keep=keep, every=usual(m)) for m, p in kinds)
        lines.append(f"| {keep} | " + " | ".join(cells) + " |")
    lines += ["", "Right after removal, before fine-tuning (validation):", "", *lines[:2]]
    for keep in KEEPS:
        cells = (cell("removed", method=m, picks=p, keep=keep, every=usual(m)) for m, p in kinds)
        lines.append(f"| {keep} | " + " | ".join(cells) + " |")
    swept = ("greg1", "greg1-channel-geometric")
    lines += ["", "K_u at keep 0.1 (L1 picks):", "", f"| K_u | {' | '.join(swept)} |", "|---|---|---|"]
    for every in sorted({*SWEEP, 10}):
        cells = (cell(method=method, picks="l1", keep=0.1, every=every) for method in swept)
        lines.append(f"| {every} | {' | '.join(cells)} |")
    (RESULTS / "greg_schedules.md").write_text("\n".join(lines) + "\n")
    plot(found, kinds)


def plot(found: list[dict], kinds: tuple) -> None:
    """Draws test accuracy against the fraction kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(figsize=(6, 4))
    for method, picks in kinds:
        means, spreads = [], []
        for keep in KEEPS:
            chosen = [r for r in found if (r["method"], r["picks"], r["every"]) == (method, picks, usual(method))]
            values = [float(r["test"]) for r in chosen if float(r["keep"]) == keep] or [np.nan]
            means.append(np.mean(values))
            spreads.append(np.std(values, ddof=1) if len(values) > 1 else 0)
        axes.errorbar(KEEPS, means, spreads, label=f"{method}, {picks}", marker="o", capsize=3)
    axes.set(xlabel="fraction of block-inner channels kept", ylabel="test accuracy (%)", title="ResNet-20 on glyphs")
    axes.legend()
    figure.savefig(RESULTS / "greg_schedules.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["run"]:
        run(int(sys.argv[3]) if sys.argv[2:3] == ["--workers"] else 2)
        table()
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
