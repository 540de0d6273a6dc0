"""Why do masks at initialisation fall short of those after training? Ablations of ResNet-20 on glyphs of 16×16.

    python benchmarks/missing_the_mark.py run [--keep 0.1] [--seeds 0,1,2]    # resumable: rows that are there stay
    python benchmarks/missing_the_mark.py table                               # tables and plots from the rows

Each network is masked once and trained by one schedule: SGD 0.05 with momentum 0.9, a cosine of six epochs on 10,000
images (batch 64), after 100 steps of warm-up. The masks are those of SNIP, GraSP (temperature 200) and its magnitude
(on 10 images of each class, BatchNorm in training mode, as in the official codes), SynFlow (100 rounds), magnitude at
initialisation, and magnitude after training, whose networks are trained a second time from the trained weights. Each
as it is, shuffled within layers, with weights drawn anew, and with the score inverted. Test accuracy is taken once.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

from rows import append, mean_std, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS, LAYERS = RESULTS / "missing_the_mark.csv", RESULTS / "missing_the_mark_layers.csv"
FIELDS = ("method", "variant", "keep", "seed", "kept", "detached", "gradient_norm", "validation", "test", "seconds")
LAYER_FIELDS = ("method", "keep", "seed", "layer", "portion")
DATA, SIZE, BATCH, EPOCHS, RATE, WARM_UP, CLASSES, PER_CLASS = "glyphs/small", 16, 64, 6, 0.05, 100, 36, 10
CRITERIA = {
    "snip": {"name": "snip", "training": True},
    "grasp": {"name": "grasp", "temperature": 200.0, "training": True},
    "abs_grasp": {"name": "abs_grasp", "temperature": 200.0, "training": True},
    "synflow": "synflow",
    "magnitude at init": "l1",
    "magnitude after training": "l1",
}
VARIANTS = ("mask", "shuffle", "reinit", "invert")
CLAIMS = {
    "snip": "shuffle and reinit harmless, invert harms",
    "grasp": "shuffle, reinit and invert harmless",
    "abs_grasp": "better than grasp",
    "synflow": "shuffle and reinit harmless, invert harms",
    "magnitude at init": "shuffle and reinit harmless, invert harms",
    "magnitude after training": "best of all; shuffle and reinit harm",
}


def grid(keeps: list[float], seeds: list[int]) -> list[dict]:
    """All runs; the masks as they are first."""
    runs = []
    for keep, seed in itertools.product(keeps, seeds):
        cells = [("dense", "mask"), ("random", "mask"), *((m, v) for v in VARIANTS for m in CRITERIA)]
        runs += [{"method": m, "variant": v, "keep": 1.0 if m == "dense" else keep, "seed": seed} for m, v in cells]
    return runs


def one_run(method: str, variant: str, keep: float, seed: int) -> tuple[dict, list[dict]]:
    """Runs one cell of the grid; returns its row, and the portions of its layers."""
    import keras

    import kerasprune as kp

    began = time.time()
    keras.utils.set_random_seed(seed)
    model = kp.models.resnet_cifar(depth=20, classes=CLASSES, input_shape=(SIZE, SIZE, 3), seed=seed)
    data = scoring_data(seed)
    masks, callbacks, report = {}, [], None
    if method != "dense":
        if method == "magnitude after training":
            model.load_weights(trained(model, seed))
        masks = chosen(model, method, variant, keep, seed, data)
        report = kp.sparsity.sparsity_report(model, masks)
        callbacks = [kp.callbacks.HoldMask(masks)]
        if variant == "reinit":
            model = kp.reinitialise(model, seed=1000 + seed)
    norm = gradient_norm(model, masks, data)
    fit(model, seed, callbacks)
    if method == "dense":
        model.save_weights(weights_path(seed))
    row = {"method": method, "variant": variant, "keep": keep, "seed": seed, "gradient_norm": f"{norm:.4g}"}
    row |= {"kept": report.kept, "detached": report.kept - report.attached} if report else {"kept": "", "detached": ""}
    for split in ("validation", "test"):
        row[split] = round(accuracy(model, kp.data.load(DATA, size=SIZE, batch=500, split=split)), 2)
    portions = (
        [{"layer": each.path, "portion": f"{each.kept / each.size:.5f}"} for each in report.layers] if report else []
    )
    head = {"method": method, "keep": keep, "seed": seed}
    return row | {"seconds": round(time.time() - began)}, [head | each for each in portions if variant == "mask"]


def chosen(model, method: str, variant: str, keep: float, seed: int, data: list) -> dict:
    """Returns the masks of a method, shuffled or inverted where that is the variant."""
    import kerasprune as kp

    criterion = kp.criteria.get(CRITERIA.get(method, method))
    if variant == "invert":
        criterion = kp.sparsity.Inverted(criterion)
    rounds = 100 if method == "synflow" else 1
    masks = kp.prune_at_init(model, criterion, keep=keep, rounds=rounds, data=data, loss=cross_entropy(), seed=seed)
    return kp.sparsity.shuffled(masks, seed=seed) if variant == "shuffle" else masks


def weights_path(seed: int) -> Path:
    """Returns where the dense network of a seed is kept between runs."""
    folder = Path(tempfile.gettempdir()) / "missing_the_mark"
    folder.mkdir(exist_ok=True)
    return folder / f"dense_{seed}.weights.h5"


def trained(model, seed: int) -> Path:
    """Returns the file of the trained dense network, which is trained where it is missing."""
    if not weights_path(seed).exists():
        start = model.get_weights()
        fit(model, seed, [])
        model.save_weights(weights_path(seed))
        model.set_weights(start)
    return weights_path(seed)


def scoring_data(seed: int, name: str = DATA, classes: int = CLASSES) -> list:
    """Returns one batch with as many training images of every class."""
    import numpy as np

    import kerasprune as kp

    images, labels = [], []
    for x, y in kp.data.load(name, size=SIZE, batch=500, seed=seed):
        images.append(np.asarray(x))
        labels.append(np.asarray(y))
        found = np.concatenate(labels)
        if min(np.bincount(found, minlength=classes)) >= PER_CLASS:
            break
    at = np.concatenate([np.flatnonzero(found == each)[:PER_CLASS] for each in range(classes)])
    return [(np.concatenate(images)[at], found[at])]


def gradient_norm(model, masks: dict, data: list) -> float:
    """Returns the norm of the gradient by the weights that are left, on the data of the scores."""
    import numpy as np

    import kerasprune as kp
    from kerasprune.criteria.mean_loss import MeanLoss

    kernels = [kernel.variable for kernel in kp.trace(model).kernels]
    dense = [kernel.numpy() for kernel in kernels]
    left = [masks.get(kernel.path, np.ones(kernel.shape, bool)) for kernel in kernels]
    for kernel, weights, mask in zip(kernels, dense, left, strict=True):
        kernel.assign(np.where(mask, weights, 0))
    slopes = MeanLoss(model, kernels, data, cross_entropy(), training=True).gradient()
    for kernel, weights in zip(kernels, dense, strict=True):
        kernel.assign(weights)
    return float(np.sqrt(sum((slope[mask] ** 2).sum() for slope, mask in zip(slopes.values(), left, strict=True))))


def cross_entropy():
    """Returns the loss, on logits."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fit(model, seed: int, callbacks: list, name: str = DATA, batch: int = BATCH, epochs: int = EPOCHS) -> None:
    """Trains a network by the one schedule."""
    import keras

    import kerasprune as kp

    train = kp.data.load(name, size=SIZE, batch=batch, augment="crop", seed=seed)
    steps = epochs * len(train)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - WARM_UP, warmup_target=RATE, warmup_steps=WARM_UP)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), cross_entropy())
    model.fit(train, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    model.compile(loss=cross_entropy(), metrics=["sparse_categorical_accuracy"])
    return 100 * model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"]


def run(keeps: list[float], seeds: list[int]) -> None:
    """Runs every cell that has no row yet."""
    import keras

    for cell in grid(keeps, seeds):
        if key(cell) in {key(row) for row in read(ROWS)}:
            continue
        row, portions = one_run(**cell)
        append(LAYERS, LAYER_FIELDS, portions)
        append(ROWS, FIELDS, [row])
        print(row, flush=True)
        keras.utils.clear_session()


def key(row: dict) -> tuple:
    """Returns what tells runs apart."""
    return tuple(str(row[field]) for field in FIELDS[:4])


def table() -> None:
    """Writes tables and plots of what is there."""
    import keras

    found = read(ROWS)

    def cell(field: str = "test", **wanted) -> str:
        values = [float(r[field]) for r in found if all(r[k] == str(v) for k, v in wanted.items())]
        return f"{mean_std(values)} (n={len(values)})" if values else "–"

    lines = [
        "# Masks at initialisation, and their ablations",
        "",
        __doc__.partition("\n\n")[2].partition("\n\n")[2],
        "",
    ]
    lines += [f"ResNet-20, glyphs 16×16, test accuracy in %. Dense: {cell(method='dense')}.", ""]
    for keep in sorted({float(r["keep"]) for r in found if r["method"] != "dense"}):
        lines += [f"## {keep:.0%} kept. Random: {cell(method='random', keep=keep)}", ""]
        lines += ["| method | " + " | ".join(VARIANTS) + " | the paper says |", "|---" * (len(VARIANTS) + 2) + "|"]
        for method in CRITERIA:
            cells = (cell(method=method, variant=v, keep=keep) for v in VARIANTS)
            lines.append(f"| {method} | " + " | ".join(cells) + f" | {CLAIMS[method]} |")
        lines += ["", "Before training, of the masks as they are:", ""]
        lines += ["| method | norm of the gradient | detached weights |", "|---|---|---|"]
        dense = [float(r["gradient_norm"]) for r in found if r["method"] == "dense"]
        lines.append(f"| dense | {mean_std(dense, 2)} | – |")
        for method in ("random", *CRITERIA):
            rows = [r for r in found if (r["method"], r["variant"], r["keep"]) == (method, "mask", str(keep))]
            cells = [mean_std([float(r[f]) for r in rows], d) for f, d in (("gradient_norm", 2), ("detached", 0))]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        lines.append("")
        plot(found, keep)
    lines.append(f"Keras {keras.__version__}, two shared x86-64 cores, {date.today()}.")
    (RESULTS / "missing_the_mark.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def plot(found: list[dict], keep: float) -> None:
    """Draws the accuracies of the ablations, and the portion of every layer that stays."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
    for place, variant in enumerate(VARIANTS):
        for at, method in enumerate(CRITERIA):
            rows = [r for r in found if (r["method"], r["variant"], r["keep"]) == (method, variant, str(keep))]
            tests = [float(r["test"]) for r in rows]
            left.plot([at + 0.15 * place] * len(tests), tests, "o", color=f"C{place}", label=None if at else variant)
    left.set_xticks(range(len(CRITERIA)), [name.replace(" ", "\n", 1) for name in CRITERIA], fontsize=7)
    left.set(ylabel="test accuracy (%)", title=f"{keep:.0%} of the weights kept")
    left.legend()
    layers = [r for r in read(LAYERS) if r["keep"] == str(keep)]
    names = list(dict.fromkeys(r["layer"] for r in layers))
    for method in CRITERIA:
        means = [
            statistics.mean([float(r["portion"]) for r in layers if (r["method"], r["layer"]) == (method, name)] or [0])
            for name in names
        ]
        right.plot(range(len(names)), means, marker=".", label=method)
    right.set(
        xlabel="kernel, from input to output", ylabel="portion kept", title="portions of the layers", yscale="log"
    )
    right.legend(fontsize=7)
    figure.savefig(RESULTS / f"missing_the_mark_{round(100 * keep)}.svg", bbox_inches="tight")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--keep", default="0.1", help="fractions kept, with commas between: 0.2,0.1,0.05")
    parser.add_argument("--seeds", default="0,1,2")
    given = parser.parse_args()
    if given.what == "run":
        run([float(each) for each in given.keep.split(",")], [int(each) for each in given.seeds.split(",")])
    table()
