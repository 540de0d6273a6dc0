"""Layer collapse: how far each criterion compresses a VGG of 20 layers before a layer is empty (SynFlow, Fig. 1 and 3).

    python benchmarks/synflow_collapse.py run      # resumable: rows that are there stay
    python benchmarks/synflow_collapse.py table    # the tables and the plot from the rows

19 convolutions with BatchNorm and one dense layer, at initialisation, for digits of 16×16. Compressions from 1 to 10^4,
and the largest that can leave every layer a weight, N/L. SynFlow in 100 rounds at whole powers, the others in one
round: SNIP and GraSP (temperature 200) on 10 images of each class with BatchNorm in training mode, magnitude of all
layers together, random. Where the smallest density of a layer is 0, the layer is empty. Where no kept weight lies on a
path from the inputs to the outputs, the network computes nothing: it is not trained, and its accuracy is that of one
class for all, 10 %. The others are trained: SGD 0.05 with momentum 0.9, a cosine of 30 epochs on 1,197 images (batch
32) after 100 steps of warm-up. Test accuracy is taken once. (On glyphs so deep a plain network learns nothing in six
epochs, pruned or not.)
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from glyph_schedule import accuracy, cross_entropy, fit, scoring_data
from rows import append, read

from kerasprune.criteria import Criterion

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "synflow_collapse.csv"
FIELDS = ("criterion", "exponent", "seed", "kept", "attached", "least", "empty", "validation", "test", "seconds")
EXPONENTS = ("0.0", "1.0", "2.0", "3.0", "4.0", "max", "0.5", "1.5", "2.5", "3.5")  # in the order of the runs
ORDER = (*sorted(each for each in EXPONENTS if each != "max"), "max")
CRITERIA = {
    "synflow": ("synflow", 100),
    "snip": ({"name": "snip", "training": True}, 1),
    "grasp": ({"name": "grasp", "temperature": 200.0, "training": True}, 1),
    "magnitude": ("l1", 1),
    "random": ("random", 1),
}
STAGES, WIDTHS, CLASSES, SIZE = (3, 4, 4, 4, 4), (16, 32, 64, 128, 128), 10, 16
TABLES = {
    "Smallest density of a layer (layers that are empty)": lambda row: f"{float(row['least']):.2g} ({row['empty']})",
    "Weights that lie on a path from input to output, of those kept": lambda row: f"{row['attached']} of {row['kept']}",
    "Test accuracy in %": lambda row: f"{float(row['test']):.1f}",
}
DATA, EPOCHS, BATCH = "digits", 30, 32


@dataclass(frozen=True)
class Taken(Criterion):
    """Scores that were taken once, whatever the fraction kept."""

    worth: dict

    def saliency_of(self, model, data=None, loss=None, seed=0) -> dict:
        """Returns the scores."""
        return self.worth


def vgg20(seed: int):
    """Returns a VGG of 19 convolutions and a dense layer, of a quarter of the usual width."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    x = images = keras.Input((SIZE, SIZE, 3), name="images")
    for stage, (number, width) in enumerate(zip(STAGES, WIDTHS, strict=True), 1):
        for place in range(1, number + 1):
            name = f"stage{stage}_conv{place}"
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        if stage < len(STAGES):
            x = layers.MaxPooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(CLASSES, name="logits")(x), name="vgg20")


def masked(done: set[tuple[str, ...]], seed: int):
    """Yields `(criterion, exponent, network, masks)` of every cell that is not done, the network untrained."""
    import kerasprune as kp

    model, data = vgg20(seed), scoring_data(seed, DATA, CLASSES)
    sizes = {k.variable.path: k.variable for k in kp.trace(model).kernels}
    highest = kp.sparsity.maximal_compression(sizes)
    for name, (criterion, rounds) in CRITERIA.items():
        left = [e for e in (EXPONENTS if rounds == 1 else EXPONENTS[:6]) if (name, e, str(seed)) not in done]
        if left and rounds == 1:
            criterion = Taken(kp.criteria.get(criterion).saliency_of(model, data, cross_entropy(), seed))
            critical = kp.sparsity.critical_compression(criterion.worth)
            print(name, "critical compression", critical, "of", highest, flush=True)
        for exponent in left:
            keep = 1 / highest if exponent == "max" else 10 ** -float(exponent)
            yield name, exponent, model, kp.prune_at_init(model, criterion, keep=keep, rounds=rounds if keep < 1 else 1)


def there(path: Path) -> set[tuple[str, ...]]:
    """Returns what tells the rows of a file apart."""
    return {tuple(row[field] for field in FIELDS[:3]) for row in read(path)}


def run(seed: int = 0) -> None:
    """Looks at every cell that has no row yet, and trains it."""
    import kerasprune as kp

    whole, began = None, time.time()
    for name, exponent, model, masks in masked(there(ROWS), seed):
        report = kp.sparsity.sparsity_report(model, masks)
        row = {"criterion": name, "exponent": exponent, "seed": seed, "kept": report.kept}
        row |= {"attached": report.attached, "least": min(each.kept / each.size for each in report.layers)}
        row |= {"empty": len(report.collapsed)}
        if report.attached == 0:
            scores = dict.fromkeys(("validation", "test"), round(100 / CLASSES, 2))
        elif exponent == "0.0" and whole:  # the same network, whatever did not prune it
            scores = whole
        else:
            scores = trained(model, masks, seed)
            whole = scores if exponent == "0.0" else whole
        append(ROWS, FIELDS, [row | scores | {"seconds": round(time.time() - began)}])
        print(row | scores, flush=True)
        began = time.time()


def trained(model, masks: dict, seed: int) -> dict[str, float]:
    """Returns the accuracies of the network, trained under the masks; its weights are as before afterwards."""
    import kerasprune as kp

    start, cut = model.get_weights(), any(not mask.all() for mask in masks.values())
    fit(model, seed, [kp.callbacks.HoldMask(masks)] if cut else [], DATA, BATCH, EPOCHS)
    splits = {split: kp.data.load(DATA, size=SIZE, batch=100, split=split) for split in ("validation", "test")}
    scores = {split: round(accuracy(model, data), 2) for split, data in splits.items()}
    model.set_weights(start)
    return scores


def table() -> None:
    """Writes the table and the plot."""
    import keras

    found = {(r["criterion"], r["exponent"]): r for r in read(ROWS)}
    lines = ["# Layer collapse", "", __doc__.partition("\n\n")[2].partition("\n\n")[2].rstrip(), ""]
    for title, text in TABLES.items():
        lines += [f"{title}:", "", "| compression | " + " | ".join(CRITERIA) + " |"]
        lines += ["|---" * (len(CRITERIA) + 1) + "|"]
        for exponent in ORDER:
            rows = [found.get((name, exponent)) for name in CRITERIA]
            label = "N/L" if exponent == "max" else f"10^{float(exponent):g}"
            lines.append(f"| {label} | " + " | ".join(text(row) if row else "–" for row in rows) + " |")
        lines.append("")
    lines += [f"One seed. Keras {keras.__version__}, two shared x86-64 cores, {date.today()}."]
    (RESULTS / "synflow_collapse.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(found)


def plot(found: dict) -> None:
    """Draws the smallest density of a layer, and the accuracy, against compression."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (axes, right) = plt.subplots(1, 2, figsize=(12, 4))
    for name in CRITERIA:
        rows = [row for (criterion, _), row in found.items() if criterion == name]
        total = max((float(row["kept"]) for row in rows), default=1)
        points = sorted((total / float(row["kept"]), max(float(row["least"]), 1e-7)) for row in rows)
        axes.loglog(*zip(*points, strict=True), marker="o", label=name) if points else None
        scores = sorted((total / float(row["kept"]), float(row["test"])) for row in rows)
        right.semilogx(*zip(*scores, strict=True), marker="o", label=name) if scores else None
    axes.axhline(1e-7, color="grey", linewidth=0.5)
    axes.set(
        xlabel="compression", ylabel="smallest density of a layer (bottom: a layer is empty)", title="VGG of 20 layers"
    )
    axes.legend()
    right.set(xlabel="compression", ylabel="test accuracy (%)", title="after 30 epochs")
    figure.savefig(RESULTS / "synflow_collapse.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        run()
        table()
    elif sys.argv[1:] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
