"""Layer collapse: how far each criterion compresses a VGG of 20 layers before a layer is empty (SynFlow, Fig. 1 and 3).

    python benchmarks/synflow_collapse.py run      # resumable: rows that are there stay
    python benchmarks/synflow_collapse.py train    # trains what still computes something; resumable
    python benchmarks/synflow_collapse.py table    # the tables and the plot from the rows

19 convolutions with BatchNorm and one dense layer, at initialisation, for glyphs of 16×16. Compressions from 1 to 10^4,
and the largest that can leave every layer a weight, N/L. SynFlow in 100 rounds at whole powers, the others in one
round: SNIP and GraSP (temperature 200) on 10 images of each class with BatchNorm in training mode, magnitude of all
layers together, random. Where the smallest density of a layer is 0, the layer is empty. Where no kept weight lies on a
path from the inputs to the outputs, the network computes nothing: it is not trained, and its accuracy is that of one
class for all, 2.8 %. The others are trained by the schedule of `missing_the_mark.py`: SGD 0.05 with momentum 0.9, a
cosine of six epochs on 10,000 images (batch 64) after 100 steps of warm-up. Test accuracy is taken once.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import missing_the_mark as protocol
from missing_the_mark import cross_entropy, scoring_data
from rows import append, read

from kerasprune.criteria import Criterion

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS, TRAINED = RESULTS / "synflow_collapse.csv", RESULTS / "synflow_collapse_trained.csv"
FIELDS = ("criterion", "exponent", "seed", "kept", "attached", "least", "empty", "seconds")
TRAINED_FIELDS = ("criterion", "exponent", "seed", "attached", "validation", "test", "seconds")
EXPONENTS = ("0.0", "1.0", "2.0", "3.0", "4.0", "max", "0.5", "1.5", "2.5", "3.5")  # in the order of the runs
ORDER = (*sorted(each for each in EXPONENTS if each != "max"), "max")
CRITERIA = {
    "synflow": ("synflow", 100),
    "snip": ({"name": "snip", "training": True}, 1),
    "grasp": ({"name": "grasp", "temperature": 200.0, "training": True}, 1),
    "magnitude": ("l1", 1),
    "random": ("random", 1),
}
STAGES, WIDTHS, CLASSES, SIZE = (3, 4, 4, 4, 4), (16, 32, 64, 128, 128), 36, 16


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

    model, data = vgg20(seed), scoring_data(seed)
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
            yield name, exponent, model, kp.prune_at_init(model, criterion, keep, rounds if keep < 1 else 1)


def there(path: Path) -> set[tuple[str, ...]]:
    """Returns what tells the rows of a file apart."""
    return {tuple(row[field] for field in FIELDS[:3]) for row in read(path)}


def run(seed: int = 0) -> None:
    """Looks at every cell that has no row yet."""
    import kerasprune as kp

    began = time.time()
    for name, exponent, model, masks in masked(there(ROWS), seed):
        report = kp.sparsity.sparsity_report(model, masks)
        row = {"criterion": name, "exponent": exponent, "seed": seed, "kept": report.kept}
        row |= {"attached": report.attached, "least": min(each.kept / each.size for each in report.layers)}
        row |= {"empty": len(report.collapsed), "seconds": round(time.time() - began)}
        append(ROWS, FIELDS, [row])
        print(row, flush=True)
        began = time.time()


def train(seed: int = 0) -> None:
    """Trains every cell that has no row yet, from the same initial weights; whole ones only once."""
    import keras

    import kerasprune as kp

    whole = None
    for name, exponent, model, masks in masked(there(TRAINED), seed):
        began = time.process_time()
        row = {"criterion": name, "exponent": exponent, "seed": seed}
        row |= {"attached": kp.sparsity.sparsity_report(model, masks).attached}
        if row["attached"] == 0:
            scores = dict.fromkeys(("validation", "test"), round(100 / CLASSES, 2))
        elif exponent == "0.0" and whole:
            scores = whole
        else:
            copy = keras.models.clone_model(model)
            copy.set_weights(model.get_weights())
            paths = {old.path: new.path for old, new in zip(model.variables, copy.variables, strict=True)}
            held = kp.callbacks.HoldMask({paths[path]: mask for path, mask in masks.items()})
            protocol.fit(copy, seed, [] if exponent == "0.0" else [held])
            scores = {
                split: round(protocol.accuracy(copy, kp.data.load(protocol.DATA, size=SIZE, batch=500, split=split)), 2)
                for split in ("validation", "test")
            }
            whole = scores if exponent == "0.0" else whole
        append(TRAINED, TRAINED_FIELDS, [row | scores | {"seconds": round(time.process_time() - began)}])
        print(row | scores, flush=True)


def table() -> None:
    """Writes the table and the plot."""
    import keras

    found = {(r["criterion"], r["exponent"]): r for r in read(ROWS)}
    lines = ["# Layer collapse", "", __doc__.partition("\n\n")[2].partition("\n\n")[2].rstrip(), ""]
    lines += ["Smallest density of a layer (layers that are empty):", ""]
    lines += ["| compression | " + " | ".join(CRITERIA) + " |", "|---" * (len(CRITERIA) + 1) + "|"]
    for exponent in ORDER:
        cells = []
        for name in CRITERIA:
            row = found.get((name, exponent))
            cells.append(f"{float(row['least']):.2g} ({row['empty']})" if row else "–")
        label = "N/L" if exponent == "max" else f"10^{float(exponent):g}"
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += ["", "Weights that lie on a path from input to output, of those kept:", "", *lines[6:8]]
    for exponent in ORDER:
        rows = [found.get((name, exponent)) for name in CRITERIA]
        label = "N/L" if exponent == "max" else f"10^{float(exponent):g}"
        cells = [f"{row['attached']} of {row['kept']}" if row else "–" for row in rows]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    trained = {(r["criterion"], r["exponent"]): r for r in read(TRAINED)}
    if trained:
        lines += ["", "Test accuracy in % (– = not trained):", "", *lines[6:8]]
    for exponent in ORDER if trained else ():
        rows = [trained.get((name, exponent)) for name in CRITERIA]
        label = "N/L" if exponent == "max" else f"10^{float(exponent):g}"
        lines.append(f"| {label} | " + " | ".join(f"{float(r['test']):.1f}" if r else "–" for r in rows) + " |")
    lines += ["", f"One seed. Keras {keras.__version__}, two shared x86-64 cores, {date.today()}."]
    (RESULTS / "synflow_collapse.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(found, trained)


def plot(found: dict, trained: dict) -> None:
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
        mine = [(total / float(found[key]["kept"]), float(r["test"])) for key, r in trained.items() if key[0] == name]
        right.semilogx(*zip(*sorted(mine), strict=True), marker="o", label=name) if mine else None
    axes.axhline(1e-7, color="grey", linewidth=0.5)
    axes.set(
        xlabel="compression", ylabel="smallest density of a layer (bottom: a layer is empty)", title="VGG of 20 layers"
    )
    axes.legend()
    right.set(xlabel="compression", ylabel="test accuracy (%)", title="after six epochs")
    figure.savefig(RESULTS / "synflow_collapse.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:] in (["run"], ["train"]):
        {"run": run, "train": train}[sys.argv[1]]()
        table()
    elif sys.argv[1:] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
