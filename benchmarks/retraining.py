"""Three ways of retraining a slim network, over how long it is retrained: ResNet-8 on glyphs of 16×16.

    python benchmarks/retraining.py run       # resumable: rows that are there are not run again
    python benchmarks/retraining.py table     # writes the table and the plot from the rows

One dense network a seed; filters go by L2 norm at one ratio until a fraction of the multiply–adds is left. Fine-tuning:
cosine from 0.01. Learning-rate rewinding: the weights stay, cosine from the initial 0.1 behind 5 epochs of warm-up.
From scratch: `kp.reinitialise`, the schedule of rewinding. All three see as many epochs. After Figure 1 (right) of
Network Pruning Spaces (arXiv 2304.09453). Test accuracy is taken once, at the end of each.
"""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from rows import append, mean_std, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "retraining.csv"
FIELDS = ("seed", "way", "macs", "epochs", "removed", "validation", "test", "seconds")
WAYS = ("fine-tuning", "learning-rate rewinding", "from scratch")
MACS, EPOCHS, SEEDS = (0.5, 0.25), (6, 8, 12, 16), (0, 1)
SIZE, BATCH, DENSE_EPOCHS, WARMUP, L2 = 16, 128, 16, 5, 1e-4


def main() -> None:
    """Runs the cells that have no rows yet."""
    import keras

    import kerasprune as kp

    looks = {s: kp.data.load("glyphs/small", size=SIZE, batch=500, split=s) for s in ("validation", "test")}
    for seed in SEEDS:
        done = {(r["way"], float(r["macs"]), int(r["epochs"])) for r in read(ROWS) if int(r["seed"]) == seed}
        cells = [cell for cell in itertools.product(WAYS, MACS, EPOCHS) if cell not in done]
        if not cells:
            continue
        keras.utils.set_random_seed(seed)
        dense = kp.models.resnet_cifar(depth=8, classes=36, input_shape=(SIZE, SIZE, 3), seed=seed)
        train(dense, DENSE_EPOCHS, 0.1, 0, seed)
        write({"seed": seed, "way": "dense", "macs": 1.0, "epochs": DENSE_EPOCHS, **scores(dense, looks)})
        for way, macs, epochs in cells:
            began = time.time()
            slim = kp.rebuild(dense, kp.plan(dense, "l2", macs=macs))
            removed = accuracy(slim, looks["validation"])
            if way == "from scratch":
                slim = kp.reinitialise(slim, seed=seed + 1)
            rate, warmup = (0.01, 0) if way == "fine-tuning" else (0.1, WARMUP)
            train(slim, epochs, rate, warmup, seed + 100)
            row = {"seed": seed, "way": way, "macs": macs, "epochs": epochs, "removed": removed, **scores(slim, looks)}
            write(row | {"seconds": round(time.time() - began)})


def train(model, epochs: int, rate: float, warmup: int, seed: int) -> None:
    """Trains with SGD, momentum 0.9, weight decay in the loss, and a cosine behind a linear warm-up."""
    import keras

    from kerasprune.recipes import schema
    from kerasprune.recipes.fit import weight_decay
    from kerasprune.recipes.optimizers import learning_rate

    keras.utils.set_random_seed(seed)  # the order of the images
    images, labels = training_images()
    steps = len(images) // BATCH
    spec = schema.Cosine(name="cosine", start=rate, warmup_epochs=warmup)
    optimizer = keras.optimizers.SGD(learning_rate(spec, epochs, steps), momentum=0.9)
    with weight_decay(model, L2):
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(images[: steps * BATCH], labels[: steps * BATCH], BATCH, epochs, shuffle=True, verbose=0)


@functools.cache
def training_images() -> tuple:
    """Returns the training images and labels; they are not augmented."""
    import numpy as np

    import kerasprune as kp

    batches = list(kp.data.load("glyphs/small", size=SIZE, batch=BATCH).as_numpy_iterator())
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def accuracy(model, data) -> float:
    """Returns the accuracy."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"]


def scores(model, looks) -> dict[str, float]:
    """Returns validation and test accuracy."""
    return {split: round(accuracy(model, data), 4) for split, data in looks.items()}


def write(row: dict) -> None:
    """Appends a row."""
    append(ROWS, FIELDS, [row])
    print(row, flush=True)


def table() -> None:
    """Writes results/retraining.md and results/retraining.svg."""
    groups = defaultdict(list)
    for row in read(ROWS):
        groups[row["way"], float(row["macs"]), int(row["epochs"])].append(100 * float(row["test"]))
    lines = ["| network | MACs kept | " + " | ".join(f"{e} epochs" for e in EPOCHS) + " |", "|---" * 6 + "|"]
    dense = [value for key, values in groups.items() if key[0] == "dense" for value in values]
    for macs, way in itertools.product(MACS, WAYS):
        cells = [mean_std(groups.get((way, macs, epochs), [])) for epochs in EPOCHS]
        lines.append(f"| {way} | {macs} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Test accuracy in %, mean ± std. Dense, {DENSE_EPOCHS} epochs: {mean_std(dense)} (n = {len(dense)}).",
    ]
    (RESULTS / "retraining.md").write_text("\n".join(lines) + "\n")
    plot(groups)


def plot(groups: dict) -> None:
    """Draws test accuracy over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(MACS), figsize=(9, 3.5), sharey=True)
    for axis, macs in zip(axes, MACS, strict=True):
        for way in WAYS:
            values = [groups.get((way, macs, epochs), [float("nan")]) for epochs in EPOCHS]
            spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
            axis.errorbar(EPOCHS, [statistics.mean(v) for v in values], spread, marker="o", label=way, capsize=2)
        axis.set(xlabel="epochs of retraining", ylabel="test accuracy %", title=f"{macs:g} of the multiply–adds")
        axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / "retraining.svg", metadata={"Date": None})


if __name__ == "__main__":
    table() if sys.argv[1:2] == ["table"] else main()
