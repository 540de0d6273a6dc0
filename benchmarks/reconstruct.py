"""Least squares instead of training: a slim model reconstructed from unlabelled images.

    python benchmarks/reconstruct.py run       # resumable: rows that are there are not run again
    python benchmarks/reconstruct.py large     # other architectures, random weights and inputs: errors and seconds
    python benchmarks/reconstruct.py table     # writes the tables from the rows

`run` starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), removes channels by L1, and
reconstructs the slim model on 1,000 training images without labels; every draw takes other images. Accuracy is that on
validation, right after removal, without a step of training.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rows import append, mean_std, read

RESULTS = Path(__file__).parent / "results"
ROWS, LARGE = RESULTS / "reconstruct.csv", RESULTS / "reconstruct_large.csv"
FIELDS = (
    "coupling",
    "target",
    "keep",
    "draw",
    "folded",
    "reconstructed",
    "error_before",
    "error_after",
    "seconds",
    "cpu",
)
LARGE_FIELDS = ("model", "side", "samples", "error_before", "error_after", "outputs_before", "outputs_after")
LARGE_FIELDS += ("seconds", "cpu")
CELLS = [("free", "keep", keep) for keep in (0.1, 0.3, 0.5)] + [("tied", "macs", macs) for macs in (0.1, 0.3, 0.5)]
DRAWS, SAMPLES, SIZE = (0, 1, 2), 1000, 32


def run() -> None:
    """Runs every cell that has no row yet, draw by draw."""
    import keras

    import kerasprune as kp

    checkpoint = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    model = keras.models.load_model(checkpoint)
    found = {tuple(row[name] for name in FIELDS[:4]) for row in read(ROWS)}
    validation = kp.data.load("glyphs/small", size=SIZE, batch=500, split="validation").cache()
    for draw in DRAWS:
        images = _images(draw)
        for coupling, target, keep in CELLS:
            if (coupling, target, str(keep), str(draw)) not in found:
                row = one_run(model, coupling, target, keep, images, validation)
                append(ROWS, FIELDS, [{"coupling": coupling, "target": target, "keep": keep, "draw": draw, **row}])
                print(coupling, target, keep, draw, row, flush=True)


def _images(draw: int):
    """Returns the images of one draw: the next thousand of the training set, as they are."""
    import numpy as np

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=SIZE, batch=250, split="train", seed=draw)
    return np.concatenate([np.asarray(images) for images, _ in data.take(SAMPLES // 250)])


def one_run(model, coupling: str, target: str, keep: float, images, validation) -> dict:
    """Removes, reconstructs and returns accuracies, errors of the last features and the time it took."""
    import kerasprune as kp
    from kerasprune.repair.reconstruction.feature_error import feature_error

    graph = kp.trace(model, coupling=coupling, size=SIZE)
    plan = kp.plan(graph, "l1", **{target: keep}, round_to=1)
    slim = kp.rebuild(model, plan)
    wall, cpu = time.perf_counter(), time.process_time()
    new = kp.reconstruct(slim, model, plan, images)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "folded": round(accuracy(slim, validation), 2),
        "reconstructed": round(accuracy(new, validation), 2),
        "error_before": f"{feature_error(slim, model, plan, images, samples=250):.4g}",
        "error_after": f"{feature_error(new, model, plan, images, samples=250):.4g}",
        "seconds": round(wall, 1),
        "cpu": round(cpu, 1),
    }


def accuracy(model, data) -> float:
    """Returns the accuracy in percent."""
    import numpy as np

    right = [np.asarray(model(x, training=False)).argmax(axis=1) == np.asarray(y) for x, y in data]
    return 100 * float(np.concatenate(right).mean())


def large() -> None:
    """Other architectures at half of the multiply–adds: errors on images that were not used, and seconds."""
    import kerasprune as kp
    from kerasprune.repair.reconstruction.feature_error import feature_error, logit_error

    found = {row["model"] for row in read(LARGE)}
    for name, (make, side, samples) in _architectures().items():
        if name in found:
            continue
        model, images = make(), _scenes(side, samples + 32)
        _with_statistics(model, images[32:160])
        plan = kp.plan(kp.trace(model, size=None if model.input_shape[1] else side), "l1", macs=0.5, round_to=1)
        slim = kp.rebuild(model, plan)
        wall, cpu = time.perf_counter(), time.process_time()
        new = kp.reconstruct(slim, model, plan, images[32:])
        row = {"seconds": round(time.perf_counter() - wall, 1), "cpu": round(time.process_time() - cpu, 1)}
        for when, each in (("before", slim), ("after", new)):
            for what, error in (("error", feature_error), ("outputs", logit_error)):
                row[f"{what}_{when}"] = f"{error(each, model, plan, images[:32]):.4g}"
        append(LARGE, LARGE_FIELDS, [{"model": name, "side": side, "samples": samples, **row}])
        print(name, row, flush=True)


def _architectures() -> dict:
    """Returns what makes each model, its side and the number of images: random weights, outputs without softmax."""
    import keras

    applications = keras.applications
    how = {"weights": None, "classes": 20, "classifier_activation": None}
    return {
        "dense net 3072-512-256-36": (_dense_net, 32, 1000),
        "small ViT, 4 blocks, 64 wide": (_vit, 32, 500),
        "MobileNetV2": (lambda: applications.MobileNetV2((96, 96, 3), **how), 96, 500),
        "EfficientNetB0": (lambda: applications.EfficientNetB0(input_shape=(96, 96, 3), **how), 96, 500),
        "ResNet50": (lambda: applications.ResNet50(input_shape=(224, 224, 3), **how), 224, 64),
    }


def _dense_net():
    import keras

    dense = keras.layers.Dense
    layers = [keras.layers.Flatten(), dense(512, "relu"), dense(256, "relu"), dense(36)]
    return keras.Sequential([keras.Input((32, 32, 3)), *layers])


def _vit():
    """Returns a vision transformer: patches of 4×4, blocks of attention and a multilayer perceptron before the sum."""
    import keras
    from keras import layers

    inputs = keras.Input((32, 32, 3))
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 4, strides=4)(inputs))
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
        y = layers.Dense(256, "gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(64)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(20)(x))


def _scenes(side: int, number: int):
    """Returns pictures of glyphs."""
    import numpy as np

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=side, batch=32, split="validation")
    return np.concatenate([np.asarray(images) for images, _ in data.take(-(-number // 32))])[:number]


def _with_statistics(model, images) -> None:
    """Gives the BatchNorm layers the statistics of images: their own are those of no data at all."""
    import keras

    norms = [each for each in model.layers if isinstance(each, keras.layers.BatchNormalization)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def table() -> None:
    """Writes the tables."""
    rows = read(ROWS)
    lines = [
        "| kept | folded | reconstructed | error of the last features | seconds of CPU |",
        "|---|---|---|---|---|",
    ]
    for coupling, target, keep in reversed(CELLS):
        mine = [row for row in rows if (row["coupling"], row["target"], row["keep"]) == (coupling, target, str(keep))]
        folded, new, cpu = ([float(row[name]) for row in mine] for name in ("folded", "reconstructed", "cpu"))
        errors = [mean_std([float(row[f"error_{when}"]) for row in mine], 3) for when in ("before", "after")]
        what = f"{keep} of the {'channels inside blocks' if target == 'keep' else 'multiply–adds, trunk too'}"
        cells = [what, mean_std(folded[:1]), f"{mean_std(new)} (n={len(new)})", " → ".join(errors), mean_std(cpu)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Half of the multiply–adds, random weights, errors on images that were not used:",
        "",
        "| model | side | images | error of the last features | of the outputs | seconds (CPU) |",
        "|---|---|---|---|---|---|",
    ]
    for row in read(LARGE):
        errors = [f"{row[f'{what}_before']} → {row[f'{what}_after']}" for what in ("error", "outputs")]
        cells = [row["model"], row["side"], row["samples"], *errors, f"{row['seconds']} ({row['cpu']})"]
        lines.append(f"| {' | '.join(cells)} |")
    (RESULTS / "reconstruct.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    tasks = {"run": run, "large": large, "table": table}
    if sys.argv[1:2] and sys.argv[1] in tasks:
        tasks[sys.argv[1]]()
    else:
        sys.exit(__doc__)
