"""Double descent of a network of one hidden layer over its width, and over the samples, on digits with noisy labels.

    python benchmarks/double_descent.py run      # resumable: rows that are there are not computed again
    python benchmarks/double_descent.py table    # writes the tables and the plots from the rows

Training images of 8×8, 500 or as many as are said, 15 % of their labels drawn from the other classes; the others of the
1,797 images, with their own labels, are the test. Adam at 3e-3 falling to 0 as a cosine, batches of 50, no
regularisation; 20,000 steps for all, enough for no training error above the threshold: the least width without one in
all seeds.
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
FIELDS = ("width", "examples", "seed", "params", "train_loss", "train_error", "test_loss", "test_error", "seconds")
STAMPED = (*FIELDS, "runtime", "machine", "commit", "date")
COLUMNS = ("train_error", "test_error", "test_loss")
WIDTHS = (2, 4, 6, 8, 10, 12, 14, 17, 22, 34, 64, 160, 512)
SEEDS = range(5)
SAMPLES, NARROW = (50, 100, 200, 300, 400, 500, 600, 800, 1000, 1200), 12
EXAMPLES, NOISE, STEPS, BATCH, RATE = 500, 0.15, 20_000, 50, 3e-3


def examples(seed: int, number: int):
    """Returns training images with noisy labels, and test images."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    order = random.permutation(len(images))
    x, y = (images[order] / 16).astype("float32"), labels[order].astype("int32")
    noisy = random.permutation(number)[: round(NOISE * number)]
    y[noisy] = (y[noisy] + random.integers(1, 10, len(noisy))) % 10
    return (x[:number], y[:number]), (x[number:], y[number:])


def run(width: int, number: int, seed: int) -> dict:
    """Trains one network and returns its row."""
    import keras
    import tensorflow as tf

    began = time.time()
    keras.utils.set_random_seed(seed)
    training, test = examples(seed, number)
    layers = [keras.layers.Dense(width, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    rate = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], steps_per_execution=1000)
    batches = tf.data.Dataset.from_tensor_slices(training).cache().shuffle(number, seed=seed).repeat().batch(BATCH)
    model.fit(batches, epochs=1, steps_per_epoch=STEPS, verbose=0)
    row = {"width": width, "examples": number, "seed": seed, "params": model.count_params()}
    for split, (x, y) in (("train", training), ("test", test)):
        found = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)
        row |= {f"{split}_loss": round(found["loss"], 5), f"{split}_error": round(1 - found["accuracy"], 5)}
    return row | {"seconds": round(time.time() - began, 1)}


def main() -> None:
    """Computes the rows that are missing."""
    done = {tuple(int(row[name]) for name in ("width", "examples", "seed")) for row in read(ROWS)}
    networks = dict.fromkeys([*((width, EXAMPLES) for width in WIDTHS), *((NARROW, number) for number in SAMPLES)])
    for seed in SEEDS:
        for network in networks:
            if (*network, seed) not in done:
                found = run(*network, seed)
                append(ROWS, STAMPED, [found | stamp("keras", "tensorflow")])
                print(found, flush=True)


def table() -> None:
    """Writes results/double_descent.md and results/double_descent.svg."""
    lines, sweeps = [], {}
    for name, others, of in (("width", "examples", EXAMPLES), ("examples", "width", NARROW)):
        values = sweeps[f"{name} ({others} {of})"] = swept(name, others, of)
        lines += ["", f"| {name} | training error % | test error % | test loss | n |", "|---|---|---|---|---|"]
        for value, found in values.items():
            cells = [mean_std(each, 2) for each in found]
            lines.append(f"| {value} | {' | '.join(cells)} | {len(found[0])} |")
    (RESULTS / "double_descent.md").write_text("\n".join(lines[1:]) + "\n")
    plot(sweeps)


def swept(name: str, others: str, of: int) -> dict[int, list[list[float]]]:
    """Returns training error, test error and test loss of all seeds by what is swept."""
    groups = defaultdict(list)
    for row in read(ROWS):
        if int(row[others]) == of:
            groups[int(row[name])].append(row)
    return {
        value: [[float(row[key]) * (1 if "loss" in key else 100) for row in rows] for key in COLUMNS]
        for value, rows in sorted(groups.items())
    }


def plot(sweeps: dict[str, dict[int, list[list[float]]]]) -> None:
    """Draws errors and the test loss over what is swept, a row each."""
    import statistics

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(sweeps), 2, figsize=(9, 3.5 * len(sweeps)))
    for (name, values), axes in zip(sweeps.items(), rows, strict=True):
        for place, split, axis in ((0, "training", axes[0]), (1, "test", axes[0]), (2, "test", axes[1])):
            means = [statistics.mean(found[place]) for found in values.values()]
            spread = [statistics.stdev(found[place]) if len(found[place]) > 1 else 0.0 for found in values.values()]
            axis.errorbar(list(values), means, spread, marker="o", markersize=3, capsize=2, label=split)
        for axis, label in zip(axes, ("error %", "loss"), strict=True):
            axis.set(xscale="log", xlabel=name, ylabel=label)
            axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / "double_descent.svg", metadata={"Date": None})


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table()
    else:
        main()
