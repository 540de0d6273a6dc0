"""Three ways of retraining a slim network, over how long it is retrained, on glyphs.

    python benchmarks/retraining.py run       # ResNet-20 from the checkpoint of the package; hours
    python benchmarks/retraining.py run resnet8       # ResNet-8 at 16×16, its dense network trained anew for each seed
    python benchmarks/retraining.py table     # writes the tables and the plots from the rows

Resumable: rows that are there are not run again. Filters go by L2 norm at one ratio until a fraction of the
multiply–adds is left. Fine-tuning: cosine from 0.01. Learning-rate rewinding: the weights stay, cosine from the initial
0.1 behind 5 epochs of warm-up. From scratch: `kp.surgery.reinitialise`, the schedule of rewinding. All three see as
many epochs. After Figure 1 (right) of Network Pruning Spaces (arXiv 2304.09453). Test accuracy is taken once, at the
end of each.
"""

from __future__ import annotations

import functools
import itertools
import os
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rows import append, mean_std, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
FIELDS = ("seed", "way", "macs", "epochs", "removed", "validation", "test", "seconds")
WAYS = ("fine-tuning", "learning-rate rewinding", "from scratch")
MACS, SEEDS = (0.5, 0.25), (0, 1, 2)
BATCH, WARMUP, L2 = 128, 5, 1e-4


@dataclass(frozen=True)
class Setting:
    """A dense network, its images, and how long the slim ones are retrained."""

    rows: Path
    data: str
    size: int
    augment: str | None
    dense_epochs: int
    epochs: tuple[int, ...]

    def dense(self, seed: int):
        """Returns the dense network: that of the package, or one of the seed."""
        import keras

        import kerasprune as kp
        from kerasprune.recipes.library import FOLDER

        if self is SETTINGS["resnet20"]:
            return keras.models.load_model(FOLDER / "checkpoints" / "glyphs-base.keras")
        keras.utils.set_random_seed(seed)
        model = kp.models.resnet_cifar(depth=8, classes=36, input_shape=(self.size, self.size, 3), seed=seed)
        train(model, self, self.dense_epochs, 0.1, 0, seed)
        return model


SETTINGS = {
    "resnet20": Setting(RESULTS / "retraining.csv", "glyphs/small", 32, "crop", 14, (6, 12)),
    "resnet8": Setting(RESULTS / "retraining_resnet8.csv", "glyphs/small", 16, None, 16, (6, 8, 12, 16)),
}


def main(name: str) -> None:
    """Runs the cells of a setting that have no rows yet."""
    import kerasprune as kp

    setting = SETTINGS[name]
    looks = {s: kp.data.load(setting.data, size=setting.size, batch=500, split=s) for s in ("validation", "test")}
    for epochs, seed in itertools.product(setting.epochs, SEEDS):  # the short ones of all seeds first
        rows = [row for row in read(setting.rows) if int(row["seed"]) == seed]
        done = {(row["way"], float(row["macs"]), int(row["epochs"])) for row in rows}
        cells = [cell for cell in itertools.product(WAYS, MACS) if (*cell, epochs) not in done]
        if not cells:
            continue
        dense = setting.dense(seed)
        whole = {"seed": seed, "way": "dense", "macs": 1.0, "epochs": setting.dense_epochs}
        if ("dense", 1.0, setting.dense_epochs) not in done:
            write(setting, whole | scores(dense, looks))
        for way, macs in cells:
            began = time.time()
            slim = kp.rebuild(dense, kp.plan(dense, "l2", macs=macs, round_to=1, size=setting.size))
            removed = accuracy(slim, looks["validation"])
            if way == "from scratch":
                slim = kp.surgery.reinitialise(slim, seed=seed + 1)
            rate, warmup = (0.01, 0) if way == "fine-tuning" else (0.1, WARMUP)
            train(slim, setting, epochs, rate, warmup, seed + 100)
            row = {"seed": seed, "way": way, "macs": macs, "epochs": epochs, "removed": removed, **scores(slim, looks)}
            write(setting, row | {"seconds": round(time.time() - began)})


def train(model, setting: Setting, epochs: int, rate: float, warmup: int, seed: int) -> None:
    """Trains with SGD, momentum 0.9, weight decay on everything, and a cosine behind a linear warm-up."""
    import keras

    from kerasprune.recipes import learning
    from kerasprune.recipes.fit import weight_decay
    from kerasprune.recipes.optimizers import learning_rate

    keras.utils.set_random_seed(seed)  # the order of the images
    data = training_set(setting, seed)
    steps = len(data)
    spec = learning.Cosine(name="cosine", start=rate, warmup_epochs=warmup)
    optimizer = keras.optimizers.SGD(learning_rate(spec, epochs, steps), momentum=0.9)
    with weight_decay(model, L2, "weights"):
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(data, epochs=epochs, shuffle=False, verbose=0)


def training_set(setting: Setting, seed: int):
    """Returns the training batches, in an order of their own; without augmentation the images are made once."""
    import tensorflow as tf

    import kerasprune as kp

    if setting.augment:
        return kp.data.load(setting.data, size=setting.size, batch=BATCH, augment=setting.augment, seed=seed)
    examples = tf.data.Dataset.from_tensor_slices(training_images(setting))
    return examples.shuffle(len(examples), seed=seed).batch(BATCH, drop_remainder=True)


@functools.cache
def training_images(setting: Setting) -> tuple:
    """Returns the training images and labels as they are."""
    import numpy as np

    import kerasprune as kp

    batches = list(kp.data.load(setting.data, size=setting.size, batch=BATCH).as_numpy_iterator())
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


def write(setting: Setting, row: dict) -> None:
    """Appends a row."""
    append(setting.rows, FIELDS, [row])
    print(row, flush=True)


def table(setting: Setting) -> None:
    """Writes the table and the plot beside the rows of a setting, where there are any."""
    groups = defaultdict(list)
    for row in read(setting.rows):
        groups[row["way"], float(row["macs"]), int(row["epochs"])].append(100 * float(row["test"]))
    if not groups:
        return
    lines = ["| network | MACs kept | " + " | ".join(f"{e} epochs" for e in setting.epochs) + " |"]
    lines += ["|---" * (2 + len(setting.epochs)) + "|"]
    dense = [value for key, values in groups.items() if key[0] == "dense" for value in values]
    for macs, way in itertools.product(MACS, WAYS):
        cells = [mean_std(groups.get((way, macs, epochs), [])) for epochs in setting.epochs]
        lines.append(f"| {way} | {macs} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Test accuracy in %, mean ± std. Dense, {setting.dense_epochs} epochs: {mean_std(dense)} (n = {len(dense)}).",
    ]
    setting.rows.with_suffix(".md").write_text("\n".join(lines) + "\n")
    plot(setting, groups)


def plot(setting: Setting, groups: dict) -> None:
    """Draws test accuracy over epochs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(MACS), figsize=(9, 3.5), sharey=True)
    for axis, macs in zip(axes, MACS, strict=True):
        for way in WAYS:
            values = [groups.get((way, macs, epochs), [float("nan")]) for epochs in setting.epochs]
            spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
            axis.errorbar(
                setting.epochs, [statistics.mean(v) for v in values], spread, marker="o", label=way, capsize=2
            )
        axis.set(xlabel="epochs of retraining", ylabel="test accuracy %", title=f"{macs:g} of the multiply–adds")
        axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(setting.rows.with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        for each in SETTINGS.values():
            table(each)
    else:
        main((*sys.argv[2:], "resnet20")[0])
