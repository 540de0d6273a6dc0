"""Lottery tickets against their controls: LeNet-300-100 on digits, ResNet-20 on glyphs of 16×16.

    python benchmarks/lottery.py run [digits|glyphs]      # resumable: seeds that are there are not run again
    python benchmarks/lottery.py table                    # writes the table and the plot from the rows

`kp.papers.lottery` with the controls random reinitialisation, random pruning with the same number of weights per layer,
and one-shot. All trainings of a seed are parts of one schedule, a cosine over all epochs, split at the rewind point;
the random reinitialisation gets the whole of it. Early stopping: the step of the schedule with the lowest validation
loss, looked for after every epoch. Test accuracy is taken once per network, at its end.
"""

from __future__ import annotations

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
ROWS = RESULTS / "lottery.csv"
FIELDS = ("setting", "seed", "kind", "keep", "kept", "validation", "test", "early_stop", "early_accuracy", "seconds")
SEEDS = (0, 1, 2)
CONTROLS = ("random_reinit", "random_prune", "one_shot")


@dataclass(frozen=True)
class Setting:
    """A network, its data and its schedule."""

    data: str
    size: int
    batch: int
    augment: str | None
    epochs: int
    rewind_epochs: int
    keep: tuple[float, ...]
    controls_at: tuple[float, ...]

    @property
    def length(self) -> int:
        """Epochs of the one schedule that is split at the rewind point."""
        return self.rewind_epochs + self.epochs

    def model(self):
        """Returns the network at initialisation."""
        import kerasprune as kp

        if self.data == "digits":
            return kp.models.get({"name": "lenet_300_100", "input_shape": (self.size, self.size, 3)})
        return kp.models.resnet_cifar(depth=20, classes=36, input_shape=(self.size, self.size, 3))

    def training(self, seed: int):
        """Returns the training set in an order of its own; without augmentation the images are made once."""
        import kerasprune as kp

        data = kp.data.load(self.data, size=self.size, batch=self.batch, augment=self.augment, seed=seed % 2**16)
        if self.augment:
            return data
        examples = data.unbatch().cache()
        return examples.shuffle(2000, seed=seed).batch(self.batch, drop_remainder=True).apply(known(len(data)))

    def optimizer(self, steps: int):
        """Returns the optimizer for a training of so many steps."""
        import keras

        if self.data == "digits":
            return keras.optimizers.Adam(1.2e-3)
        return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, steps), momentum=0.9)


def known(steps: int):
    """Returns what makes the number of batches of a data set known."""
    import tensorflow as tf

    return tf.data.experimental.assert_cardinality(steps)


SETTINGS = {
    "digits": Setting("digits", 16, 60, None, 30, 0, tuple(0.8**n for n in range(1, 15)), (0.8**7, 0.8**13)),
    "glyphs": Setting("glyphs/small", 16, 128, "crop", 6, 1, (0.5, 0.33, 0.2, 0.1, 0.05), (0.2, 0.05)),
}


def run(name: str, seed: int) -> list[dict]:
    """Runs one seed of a setting and returns its rows."""
    import keras

    import kerasprune as kp

    setting = SETTINGS[name]
    looks = {s: kp.data.load(setting.data, size=setting.size, batch=500, split=s) for s in ("validation", "test")}
    notes: list[dict] = []

    def fit(model, *, resolution, epochs, seed, initial_epoch):
        began = time.time()
        data = setting.training(seed)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(setting.optimizer(setting.length * len(data)), loss, metrics=["accuracy"])
        model.optimizer.iterations.assign(initial_epoch * len(data))
        span = {"initial_epoch": initial_epoch, "epochs": epochs}
        seen = model.fit(data, **span, validation_data=looks["validation"], shuffle=False, verbose=0).history
        best = min(range(epochs - initial_epoch), key=lambda epoch: seen["val_loss"][epoch])
        test = model.evaluate(looks["test"], verbose=0, return_dict=True)["accuracy"]
        notes.append(
            {
                "validation": seen["val_accuracy"][-1],
                "test": test,
                "early_stop": (initial_epoch + best + 1) * len(data),
                "early_accuracy": seen["val_accuracy"][best],
                "seconds": round(time.time() - began),
            }
        )
        print(name, seed, initial_epoch, epochs, notes[-1], flush=True)
        return seen["val_accuracy"][-1]

    keras.utils.set_random_seed(seed)
    tickets = kp.papers.lottery(
        setting.model(),
        fit,
        keep=setting.keep,
        epochs=setting.epochs,
        rewind_epochs=setting.rewind_epochs,
        controls=CONTROLS,
        controls_at=setting.controls_at,
        seed=seed,
    )
    after = notes[1:] if setting.rewind_epochs else notes
    about = [{"setting": name, "seed": seed, "kind": t.kind, "keep": t.keep, "kept": t.kept} for t in tickets]
    return [row | note for row, note in zip(about, after, strict=True)]


def main(names: list[str]) -> None:
    """Runs the seeds that have no rows yet."""
    for seed in SEEDS:
        for name in names:
            if any(row["setting"] == name and int(row["seed"]) == seed for row in read(ROWS)):
                continue
            found = run(name, seed)
            append(ROWS, FIELDS, found)


def table() -> None:
    """Writes results/lottery.md and results/lottery.svg."""
    groups = defaultdict(list)
    for row in read(ROWS):
        groups[row["setting"], float(row["keep"]), row["kind"]].append(row)
    lines = [
        "| setting | weights kept | network | test accuracy % | early-stopping step | n |",
        "|---|---|---|---|---|---|",
    ]
    order = ("dense", "ticket", *CONTROLS)
    for setting, keep, kind in sorted(groups, key=lambda key: (key[0], -key[1], order.index(key[2]))):
        found = groups[setting, keep, kind]
        test = mean_std([100 * float(row["test"]) for row in found])
        stop = mean_std([float(row["early_stop"]) for row in found], 0)
        lines.append(f"| {setting} | {keep:.3g} | {kind.replace('_', ' ')} | {test} | {stop} | {len(found)} |")
    (RESULTS / "lottery.md").write_text("\n".join(lines) + "\n")
    plot(groups, order)


def plot(groups: dict, order: tuple[str, ...]) -> None:
    """Draws test accuracy over the fraction kept."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted({key[0] for key in groups})
    figure, axes = pyplot.subplots(1, len(names), figsize=(5 * len(names), 3.5), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for kind in order:
            keeps = sorted({key[1] for key in groups if key[0] == name and key[2] == kind})
            values = [[100 * float(r["test"]) for r in groups[name, keep, kind]] for keep in keeps]
            spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
            means = [statistics.mean(v) for v in values]
            axis.errorbar(keeps, means, spread, marker="o", label=kind.replace("_", " "), capsize=2)
        axis.set(xscale="log", xlabel="fraction of weights kept", ylabel="test accuracy %", title=name)
        axis.invert_xaxis()
        axis.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(RESULTS / "lottery.svg", metadata={"Date": None})


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table()
    else:
        main(sys.argv[2:] or list(SETTINGS))
