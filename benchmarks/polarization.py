"""Polarization against network slimming and no penalty at equal multiply–adds.

    python benchmarks/polarization.py run [glyphs|digits]       # what is there is not run again
    python benchmarks/polarization.py table [glyphs|digits]     # writes the table and the plot from the rows

glyphs: every run starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32) and trains for two epochs on
the 10,000-image set. digits: ResNet-8 from fresh weights, 16×16, 20 epochs.

The scales inside the residual blocks are set to 0.5 first. After training with the penalty (or without) the channels of
the smallest scales are removed until a fraction of the multiply–adds is left (one threshold for the network, at least
one channel of each group), and the rest is fine-tuned. λ is chosen for every method and fraction on the validation
images: the highest accuracy right after removal, mean of the seeds. Test accuracy is taken after fine-tuning.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from greg_schedules import fit
from rows import append, mean_std, read

CASE = sys.argv[2] if len(sys.argv) > 2 else "glyphs"
NAME, SIZE, BATCH, EPOCHS, FINETUNE_EPOCHS, RATE = {
    "glyphs": ("glyphs/small", 32, 32, 2, 1, 0.05),
    "digits": ("digits", 16, 64, 20, 2, 0.1),
}[CASE]
RESULTS = Path(__file__).parent / "results"
ROWS, FINES = RESULTS / f"polarization_{CASE}.csv", RESULTS / f"polarization_finetuned_{CASE}.csv"
COUNTS = RESULTS / f"polarization_histograms_{CASE}.csv"
KEYS = ("method", "strength", "seed", "macs")
FIELDS = (*KEYS, "dense", "removed", "highest", "lowest", "seconds")
FINETUNED = (*KEYS, "validation", "test", "seconds")
FINETUNE_RATE = 0.01
MACS, SEEDS, BINS = (0.7, 0.5), (0, 1, 2), 100
COUNTED = ("method", "strength", "seed", *(f"bin{place}" for place in range(BINS)))
GRID = {"polarization": (1e-2, 2e-2), "slimming": (1e-2, 2e-2), "none": (0.0,)}


def trained(method: str, strength: float, seed: int) -> None:
    """Trains a network with a penalty, unless that was done; notes the accuracy right after removal, and the scales."""
    import keras
    import numpy as np

    import kerasprune as kp
    from kerasprune.training.thresholds import gap

    path = model_path(method, strength, seed)
    if path.exists():
        return
    began = time.time()
    keras.utils.set_random_seed(seed)
    model = network(seed)
    train = data("train", seed)
    callback = penalised(method, strength)
    fit(model, train, keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(train)), EPOCHS, [callback])
    scales = np.concatenate([looks[-1] for looks in callback.scales.values()])
    validation = data("validation")
    dense, found = accuracy(model, validation), []
    for macs in MACS:
        plan = plan_of(model, macs)
        highest, lowest = gap(scales, scales_of_removed(model, plan))
        removed = accuracy(kp.rebuild(model, plan), validation)
        measured = {"dense": dense, "removed": removed, "highest": highest, "lowest": lowest}
        found.append(dict(zip(KEYS, (method, strength, seed, macs), strict=True)) | measured)
    counts = np.histogram(np.minimum(scales, 1.0), BINS, (0, 1))[0]
    append(COUNTS, COUNTED, [dict(zip(COUNTED, (method, strength, seed, *counts.tolist()), strict=True))])
    append(ROWS, FIELDS, [row | {"seconds": round(time.time() - began)} for row in found])
    print(*found, sep="\n", flush=True)
    path.parent.mkdir(exist_ok=True)
    model.save(path)


def finetuned(method: str, strength: float, seed: int, macs: float) -> None:
    """Fine-tunes what is left of a trained network, unless that was done."""
    import keras

    import kerasprune as kp

    key = (method, str(strength), str(seed), str(macs))
    if any(tuple(row[field] for field in KEYS) == key for row in read(FINES)):
        return
    began = time.time()
    model = keras.models.load_model(model_path(method, strength, seed))
    slim = kp.rebuild(model, plan_of(model, macs))
    train = data("train", seed, first_epoch=EPOCHS)
    schedule = keras.optimizers.schedules.CosineDecay(FINETUNE_RATE, FINETUNE_EPOCHS * len(train))
    fit(slim, train, schedule, FINETUNE_EPOCHS, [])
    scores = [accuracy(slim, data(split)) for split in ("validation", "test")]
    found = dict(zip(FINETUNED, (*key, *scores, round(time.time() - began)), strict=True))
    append(FINES, FINETUNED, [found])
    print(found, flush=True)


def accuracy(model, batches) -> float:
    """Returns the accuracy in percent; without a compiled function, which would take longer to make than to use."""
    import numpy as np

    right = [np.argmax(model(x, training=False), axis=-1) == np.asarray(y).ravel() for x, y in batches]
    return 100 * float(np.concatenate(right).mean())


def network(seed: int):
    """Returns the network that training begins with."""
    import keras

    import kerasprune as kp

    if CASE == "digits":
        return kp.models.resnet_cifar(8, input_shape=(SIZE, SIZE, 3), seed=seed)
    checkpoint = Path(kp.__file__).parent / "recipes" / "checkpoints" / "glyphs-base.keras"
    return keras.models.load_model(os.environ.get("GLYPHS_BASE", checkpoint))


def model_path(method: str, strength: float, seed: int) -> Path:
    """Returns where a trained network is kept between training and fine-tuning."""
    return Path(tempfile.gettempdir()) / "kerasprune_polarization" / f"{CASE}-{method}-{strength}-{seed}.keras"


def data(split: str, seed: int = 0, first_epoch: int = 0):
    """Returns the batches of a split."""
    import kerasprune as kp

    if split == "train":
        more = {"augment": "crop", "seed": seed, "first_epoch": first_epoch}
        return kp.data.load(NAME, size=SIZE, batch=BATCH, **more)
    return kp.data.load(NAME, size=SIZE, batch=500, split=split)


def penalised(method: str, strength: float):
    """Returns the callback; without a penalty one whose λ is too small to count, for its history."""
    import kerasprune as kp

    shared = {"coupling": "free", "size": SIZE}
    if method == "polarization":
        return kp.callbacks.Polarization(strength, t=1.2, **shared)
    return kp.callbacks.NetworkSlimming(strength or 1e-12, **shared)


def plan_of(model, macs: float):
    """Returns the plan by the size of the scales."""
    import kerasprune as kp

    return kp.plan(kp.trace(model, coupling="free", size=SIZE), "bn_scale", "threshold", macs=macs, round_to=1)


def scales_of_removed(model, plan) -> float:
    """Returns the largest scale of the removed channels."""
    import numpy as np

    import kerasprune as kp
    from kerasprune.criteria import get

    scores = get("bn_scale").score(kp.trace(model, coupling="free"))
    return max((np.delete(scores[name], kept).max(initial=0.0) for name, kept in plan.keep.items()), default=0.0)


def removed(method: str, strength: float, macs: float) -> list[float]:
    """Returns the accuracies right after removal on the validation images, one for each seed."""
    key = (method, str(strength), str(macs))
    found = [r for r in read(ROWS) if (r["method"], r["strength"], r["macs"]) == key]
    return [float(row["removed"]) for row in found]


def chosen(method: str, macs: float) -> float:
    """Returns λ: the one that is best on the validation images right after removal, on average."""
    return max(GRID[method], key=lambda strength: sum(removed(method, strength, macs)))


def run() -> None:
    """Trains with every λ and seed, then fine-tunes with those chosen."""
    for seed in SEEDS:
        for method, strengths in GRID.items():
            for strength in strengths:
                trained(method, strength, seed)
    for macs in reversed(MACS):
        for seed in SEEDS:
            for method in GRID:
                finetuned(method, chosen(method, macs), seed, macs)


def table() -> None:
    """Writes the table and the plot."""
    head = "|---" * (len(MACS) + 1) + "|"
    lines = ["| | " + " | ".join(f"{macs:.0%} of MACs" for macs in MACS) + " |", head]
    for method, strengths in GRID.items():
        for strength in strengths:
            cells = (spread(removed(method, strength, macs)) for macs in MACS)
            lines.append(f"| right after removal, validation: {method}, λ = {strength:g} | " + " | ".join(cells) + " |")
    for method in GRID:
        cells = []
        for macs in MACS:
            key = (method, str(chosen(method, macs)), str(macs))
            found = [r for r in read(FINES) if (r["method"], r["strength"], r["macs"]) == key]
            cells.append(spread([float(row["test"]) for row in found]))
        lines.append(f"| after fine-tuning, test: {method} | " + " | ".join(cells) + " |")
    lines += ["", "Scales of all channels inside the blocks, seeds together:", ""]
    lines += ["| | < 0.01 | 0.01 to 0.05 | 0.05 to 0.2 | 0.2 to 0.4 | ≥ 0.4 |", "|---" * 6 + "|"]
    for (method, strength), counts in histograms().items():
        shares = [counts[a:b].sum() / counts.sum() for a, b in ((0, 1), (1, 5), (5, 20), (20, 40), (40, BINS))]
        lines.append(f"| {method}, λ = {strength:g} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    (RESULTS / f"polarization_{CASE}.md").write_text("\n".join(lines) + "\n")
    plot()


def spread(values: list[float]) -> str:
    """Returns mean ± standard deviation and the number of seeds."""
    return f"{mean_std(values)} (n={len(values)})" if values else "–"


def histograms() -> dict:
    """Returns the counts for every method and λ, its seeds together."""
    import numpy as np

    sums = {(method, strength): np.zeros(BINS, int) for method in GRID for strength in GRID[method]}
    for row in read(COUNTS):
        key = row["method"], float(row["strength"])
        if key in sums:
            sums[key] += np.asarray([row[name] for name in COUNTED[3:]], int)
    return {key: counts for key, counts in sums.items() if counts.any()}


def plot() -> None:
    """Draws the histograms, one above the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    found = histograms()
    figure, all_axes = plt.subplots(len(found), sharex=True, figsize=(6, 1.6 * len(found)), squeeze=False)
    edges = np.linspace(0, 1, BINS + 1)
    for axes, ((method, strength), counts) in zip(all_axes[:, 0], found.items(), strict=True):
        axes.stairs(counts, edges, fill=True)
        axes.set(yscale="symlog", ylabel="channels", title=f"{method}, λ = {strength:g}", xlim=(0, 1))
    all_axes[-1, 0].set_xlabel("scale")
    figure.tight_layout()
    figure.savefig(RESULTS / f"polarization_{CASE}.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run()
        table()
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
