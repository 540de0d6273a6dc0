"""Double descent over the width of a network of one hidden layer, on digits with noisy labels.

    python benchmarks/double_descent.py run      # resumable: rows that are there are not computed again
    python benchmarks/double_descent.py table    # writes the table and the plot from the rows

500 training images of 8×8, 15 % of their labels drawn from the other classes; the other 1,297 images, with their own
labels, are the test. Adam at 3e-3 falling to 0 as a cosine, batches of 50, no regularisation; 20,000 steps for all
widths, enough for no training error above the threshold: the least width without one in all seeds.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from pathlib import Path

from rows import append, mean_std, read, stamp

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "double_descent.csv"
FIELDS = ("width", "seed", "params", "train_loss", "train_error", "test_loss", "test_error", "seconds")
STAMPED = (*FIELDS, "runtime", "machine", "commit", "date")
WIDTHS = (2, 4, 6, 8, 10, 12, 14, 17, 22, 34, 64, 160, 512)
SEEDS = range(5)
EXAMPLES, NOISE, STEPS, BATCH, RATE = 500, 0.15, 20_000, 50, 3e-3


def examples(seed: int):
    """Returns training images with noisy labels, and test images."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    order = random.permutation(len(images))
    x, y = (images[order] / 16).astype("float32"), labels[order].astype("int32")
    noisy = random.permutation(EXAMPLES)[: round(NOISE * EXAMPLES)]
    y[noisy] = (y[noisy] + random.integers(1, 10, len(noisy))) % 10
    return (x[:EXAMPLES], y[:EXAMPLES]), (x[EXAMPLES:], y[EXAMPLES:])


def run(width: int, seed: int) -> dict:
    """Trains one network and returns its row."""
    import keras
    import tensorflow as tf

    began = time.time()
    keras.utils.set_random_seed(seed)
    training, test = examples(seed)
    layers = [keras.layers.Dense(width, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    rate = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], steps_per_execution=1000)
    batches = tf.data.Dataset.from_tensor_slices(training).cache().shuffle(EXAMPLES, seed=seed).repeat().batch(BATCH)
    model.fit(batches, epochs=1, steps_per_epoch=STEPS, verbose=0)
    row = {"width": width, "seed": seed, "params": model.count_params()}
    for split, (x, y) in (("train", training), ("test", test)):
        found = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)
        row |= {f"{split}_loss": round(found["loss"], 5), f"{split}_error": round(1 - found["accuracy"], 5)}
    return row | {"seconds": round(time.time() - began, 1)}


def main() -> None:
    """Computes the rows that are missing."""
    done = {(int(row["width"]), int(row["seed"])) for row in read(ROWS)}
    for seed in SEEDS:
        for width in WIDTHS:
            if (width, seed) not in done:
                found = run(width, seed)
                append(ROWS, STAMPED, [found | stamp("keras", "tensorflow")])
                print(found, flush=True)


def table() -> None:
    """Writes results/double_descent.md and results/double_descent.svg."""
    groups = defaultdict(list)
    for row in read(ROWS):
        groups[int(row["width"])].append(row)
    columns = ("train_error", "test_error", "test_loss")
    lines = ["| width | training error % | test error % | test loss | n |", "|---|---|---|---|---|"]
    values = {
        width: [[float(row[name]) * (1 if "loss" in name else 100) for row in rows] for name in columns]
        for width, rows in sorted(groups.items())
    }
    for width, found in values.items():
        cells = [mean_std(each, 2) for each in found]
        lines.append(f"| {width} | {' | '.join(cells)} | {len(found[0])} |")
    (RESULTS / "double_descent.md").write_text("\n".join(lines) + "\n")
    plot(values)


def plot(values: dict[int, list[list[float]]]) -> None:
    """Draws errors and the test loss over the width."""
    import statistics

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5))
    for place, name, axis in ((0, "training", axes[0]), (1, "test", axes[0]), (2, "test", axes[1])):
        means = [statistics.mean(found[place]) for found in values.values()]
        spread = [statistics.stdev(found[place]) if len(found[place]) > 1 else 0.0 for found in values.values()]
        axis.errorbar(list(values), means, spread, marker="o", markersize=3, capsize=2, label=name)
    for axis, label in zip(axes, ("error %", "loss"), strict=True):
        axis.set(xscale="log", xlabel="width", ylabel=label)
        axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / "double_descent.svg", metadata={"Date": None})


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table()
    else:
        main()
