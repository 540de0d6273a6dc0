"""Polarization against network slimming and no penalty at equal multiply–adds, on glyphs.

    python benchmarks/polarization.py run       # resumable: rows that are there are not run again
    python benchmarks/polarization.py table     # writes the table and the plot from the rows

Every run starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), sets the scales inside the residual
blocks to 0.5, trains for three epochs on the 10,000-image set with the penalty (or without), removes the channels of
the smallest scales until a fraction of the multiply–adds is left (one threshold for the network, at least one channel
of each group), and fine-tunes for one epoch. λ is chosen on the validation images with seed 0: the highest accuracy
right after removal, averaged over the fractions. Test accuracy is taken once, for every finished model.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from greg_schedules import accuracy, fit

RESULTS = Path(__file__).parent / "results"
ROWS, COUNTS = RESULTS / "polarization.csv", RESULTS / "polarization_histograms.csv"
MEASURES = ("dense", "removed", "validation", "test", "highest", "lowest", "seconds")
FIELDS = ("method", "strength", "seed", "macs", *MEASURES)
EPOCHS, FINETUNE_EPOCHS, RATE, FINETUNE_RATE, BATCH, SIZE = 3, 1, 0.05, 0.01, 32, 32
MACS, FINETUNED, SEEDS, BINS = (0.7, 0.5, 0.3), (0.5, 0.3), (0, 1, 2), 100
GRID = {"polarization": (3e-3, 1e-2), "slimming": (1e-3, 3e-3, 1e-2), "none": (0.0,)}


def one_run(method: str, strength: float, seed: int) -> tuple[list[dict], list[int]]:
    """Trains once, removes and fine-tunes at every fraction; returns the rows and the histogram of the scales."""
    import keras
    import numpy as np

    import kerasprune as kp
    from kerasprune.thresholds import gap

    keras.utils.set_random_seed(seed)
    checkpoint = Path(kp.__file__).parent / "recipes" / "checkpoints" / "glyphs-base.keras"
    model = keras.models.load_model(os.environ.get("GLYPHS_BASE", checkpoint))
    evaluation = {s: kp.data.load("glyphs/small", size=SIZE, batch=500, split=s) for s in ("validation", "test")}
    train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
    began = time.time()
    callback = penalised(method, strength)
    fit(model, train, keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(train)), EPOCHS, [callback])
    scales = np.concatenate([looks[-1] for looks in callback.scales.values()])
    counts = np.histogram(scales, BINS, (0, max(1.0, scales.max())))[0]
    graph = kp.trace(model, coupling="free", resolution=SIZE)
    trained = accuracy(model, evaluation["validation"])
    rows = []
    for macs in MACS:
        plan = kp.plan(graph, "bn_scale", "threshold", macs=macs)
        goes = scales_of_removed(graph, plan)
        highest, lowest = gap(scales, goes)
        slim = kp.rebuild(model, plan)
        row = {"method": method, "strength": strength, "seed": seed, "macs": macs, "dense": trained}
        row |= {"removed": accuracy(slim, evaluation["validation"]), "highest": highest, "lowest": lowest}
        if macs in FINETUNED:
            more = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed, first_epoch=EPOCHS)
            schedule = keras.optimizers.schedules.CosineDecay(FINETUNE_RATE, FINETUNE_EPOCHS * len(more))
            fit(slim, more, schedule, FINETUNE_EPOCHS, [])
            row |= {split: accuracy(slim, data) for split, data in evaluation.items()}
        rows.append(row | {"seconds": round(time.time() - began)})
    return rows, counts.tolist()


def penalised(method: str, strength: float):
    """Returns the callback; without a penalty one whose λ is too small to count, for its bounds and its history."""
    import kerasprune as kp

    shared = {"coupling": "free", "resolution": SIZE}
    if method == "polarization":
        return kp.callbacks.Polarization(strength, t=1.2, **shared)
    return kp.callbacks.NetworkSlimming(strength or 1e-12, **shared)


def scales_of_removed(graph, plan) -> float:
    """Returns the largest scale of the removed channels."""
    import numpy as np

    from kerasprune.criteria import Evidence, get

    scores = get("bn_scale").score(graph, Evidence())
    return max((np.delete(scores[name], kept).max(initial=0.0) for name, kept in plan.keep.items()), default=0.0)


def chosen(method: str) -> float:
    """Returns λ: the one whose models are best on the validation images right after removal, with seed 0."""

    def mean(strength: float) -> float:
        values = [float(r["removed"]) for r in rows() if key(r)[:3] == (method, str(strength), "0")]
        return sum(values) / len(values)

    return max(GRID[method], key=mean)


def key(row: dict) -> tuple:
    """Returns what tells rows apart."""
    return tuple(str(row[field]) for field in FIELDS[:4])


def rows() -> list[dict]:
    """Returns the finished rows."""
    if not ROWS.exists():
        return []
    with ROWS.open(newline="") as file:
        return list(csv.DictReader(file, FIELDS))


def run() -> None:
    """Runs the grid with seed 0, then the other seeds with the λ chosen."""
    for method, strengths in GRID.items():
        for strength in strengths:
            finish(method, strength, 0)
    for seed in SEEDS[1:]:
        for method in GRID:
            finish(method, chosen(method), seed)


def finish(method: str, strength: float, seed: int) -> None:
    """Runs one cell that has no rows yet."""
    if (method, str(strength), str(seed), str(MACS[-1])) in {key(row) for row in rows()}:
        return
    found, counts = one_run(method, strength, seed)
    RESULTS.mkdir(exist_ok=True)
    with COUNTS.open("a", newline="") as file:
        csv.writer(file).writerow([method, strength, seed, *counts])
    with ROWS.open("a", newline="") as file:
        csv.DictWriter(file, FIELDS).writerows(found)
    print(*found, sep="\n", flush=True)


def table() -> None:
    """Writes the table and the plot."""
    import numpy as np

    best = {method: chosen(method) for method in GRID}

    def cell(field: str, method: str, macs: float) -> str:
        wanted = (method, str(best[method]), str(macs))
        values = [float(r[field]) for r in rows() if (key(r)[:2] + key(r)[3:]) == wanted and r[field]]
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        return f"{np.mean(values):.2f} ± {spread:.2f} (n={len(values)})" if values else "–"

    lines = ["| | " + " | ".join(f"{m:.0%} of MACs" for m in MACS) + " |", "|---" * (len(MACS) + 1) + "|"]
    titles = {"removed": "right after removal, validation", "test": "after one epoch of fine-tuning, test"}
    for field, title in titles.items():
        for method in GRID:
            cells = " | ".join(cell(field, method, macs) for macs in MACS)
            lines.append(f"| {title}: {method}, λ = {best[method]:g} | {cells} |")
    lines += ["", "Scales of all channels inside the blocks, seeds together:", ""]
    lines += ["| | < 0.01 | 0.01 to 0.05 | 0.05 to 0.2 | 0.2 to 0.4 | ≥ 0.4 |", "|---" * 6 + "|"]
    for method, counts in histograms(best).items():
        shares = [counts[a:b].sum() / counts.sum() for a, b in ((0, 1), (1, 5), (5, 20), (20, 40), (40, BINS))]
        lines.append(f"| {method} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    lines += ["", "λ, accuracy right after removal on the validation images, seed 0:", ""]
    lines += ["| | λ | " + " | ".join(f"{m:.0%}" for m in MACS) + " |", "|---" * (len(MACS) + 2) + "|"]
    for method, strengths in GRID.items():
        for strength in strengths:
            found = {r["macs"]: float(r["removed"]) for r in rows() if key(r)[:3] == (method, str(strength), "0")}
            lines.append(f"| {method} | {strength:g} | " + " | ".join(f"{found[str(m)]:.2f}" for m in MACS) + " |")
    (RESULTS / "polarization.md").write_text("\n".join(lines) + "\n")
    plot(best)


def histograms(best: dict) -> dict:
    """Returns the counts of every method, its seeds together."""
    import numpy as np

    sums = {method: np.zeros(BINS, int) for method in GRID}
    with COUNTS.open(newline="") as file:
        for method, strength, _, *counts in csv.reader(file):
            if float(strength) == best[method]:
                sums[method] += np.asarray(counts, int)
    return sums


def plot(best: dict) -> None:
    """Draws the histograms, one above the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, all_axes = plt.subplots(len(GRID), sharex=True, figsize=(6, 5))
    edges = np.linspace(0, 1, BINS + 1)
    for axes, (method, counts) in zip(all_axes, histograms(best).items(), strict=True):
        axes.stairs(counts, edges, fill=True)
        axes.set(yscale="symlog", ylabel="channels", title=f"{method}, λ = {best[method]:g}", xlim=(0, 1))
    all_axes[-1].set_xlabel("scale")
    figure.tight_layout()
    figure.savefig(RESULTS / "polarization.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run()
        table()
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
