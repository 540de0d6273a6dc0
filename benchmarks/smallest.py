"""As small as a drop of one point allows: `kp.smallest` on images that are drawn anew for every seed.

    python benchmarks/smallest.py run CASE [SEED …]     # resumable: trials and rows that are there are not run again
    python benchmarks/smallest.py grid [SEED …]         # ten shares, each trained as a trial is
    python benchmarks/smallest.py table                 # writes the table from the rows

Cases `uniform` and `sensitivity` are the widths of the shipped ResNet-20 (`glyphs-base`, 32×32); `int8` asks for the
fewest bytes of its int8 file, `time` for the least time on this processor; `mobilenet` is MobileNetV2 of half the
width, `regressor` a network that tells a tilt, `unet` a narrow U-Net on scenes. 10,000 drawn images judge, 10,000
others test, which nothing is chosen by. Widths are not rounded (`round_to=1`).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import rows

RESULTS = Path(__file__).parent / "results"
ROWS, GRID_ROWS, TABLE = RESULTS / "smallest.csv", RESULTS / "smallest_grid.csv", RESULTS / "smallest.md"
FIELDS = (
    *("case", "seed", "trials", "kept", "macs", "params", "drop", "error", "dense", "slim", "test_drop", "test_error"),
    *("seconds", *rows.STAMP),
)
GRID_FIELDS = ("seed", "macs", "drop", "error", "test_drop", "seconds", *rows.STAMP)
SHARES = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
NUMBER, EPOCHS, BATCH, SIZE = 10_000, 4, 32, 32
SMALLER = 2000  # scenes, and tilted lines
RUNS = Path("runs") / "smallest"


@dataclass(frozen=True)
class Case:
    """What is made smaller, and how.

    Args:
        start: Returns the dense model, compiled.
        data: `data(seed)` returns training, validation and test data.
        how: Other arguments of `kp.smallest`.
    """

    start: Callable[[], Any]
    data: Callable[[int], tuple[Any, Any, Any]]
    how: dict[str, Any] = field(default_factory=dict)


def glyph_images(split: str, seed: int, number: int = NUMBER) -> tuple[Any, Any]:
    """Returns standardised images of single glyphs, drawn anew, and their classes."""
    import numpy as np
    import tensorflow as tf

    import kerasprune as kp
    from kerasprune.models.sets.augmentation import resize_and_crop
    from kerasprune.models.sets.dataset import standardise
    from kerasprune.models.sets.glyph_scene import draw

    images, labels = zip(*(draw(1000 + seed, split, index) for index in range(number)), strict=True)
    facts = kp.data.info("glyphs/small")
    frame = tf.function(
        lambda x: tf.map_fn(lambda image: resize_and_crop(standardise(image, facts), SIZE, 1.0), x, tf.float32)
    )  # noqa: E501
    parts = [frame(tf.stack(images[begin : begin + 500])).numpy() for begin in range(0, number, 500)]
    return np.concatenate(parts), np.asarray(labels, "int32")


def glyphs(seed: int) -> tuple[Any, Any, Any]:
    """Returns the images that the shipped networks were trained on, and drawn ones."""
    import kerasprune as kp

    train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
    return train, glyph_images("validation", seed), glyph_images("test", seed)


def compiled(model: Any, rate: float = 1e-2) -> Any:
    """Returns a classifier, compiled."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


def resnet20() -> Any:
    """Returns the shipped ResNet-20."""
    import keras

    import kerasprune as kp

    return compiled(keras.models.load_model(Path(kp.__file__).parent / "recipes/library/checkpoints/glyphs-base.keras"))


def trained(name: str, make: Callable[[], Any], data: Callable[[int], Any], epochs: int) -> Any:
    """Returns a model that is trained once, and kept in the folder of the runs."""
    import keras

    path = RUNS / f"{name}.keras"
    if not path.exists():
        keras.utils.set_random_seed(0)
        model, train = make(), data(0)[0]
        how = {"batch_size": BATCH} if isinstance(train, tuple) else {}
        model.fit(*(train if isinstance(train, tuple) else (train,)), epochs=epochs, verbose=2, **how)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return keras.models.load_model(path)


def mobilenet() -> Any:
    """Returns MobileNetV2 of half the width, not trained."""
    import keras

    import kerasprune as kp

    model = compiled(kp.models.mobilenet_v2(36, (SIZE, SIZE, 3), width=0.5, seed=0))
    model.optimizer.learning_rate = keras.optimizers.schedules.CosineDecay(0.05, 14 * (NUMBER // BATCH))
    return model


def tilts(seed: int) -> tuple[Any, Any, Any]:
    """Returns images of a line in noise, and the sine and cosine of twice its tilt."""
    import numpy as np

    def drawn(part: int, number: int) -> tuple[Any, Any]:
        random = np.random.default_rng([seed if part else 0, part])
        angle, offset = random.uniform(0, np.pi, (number, 1, 1)), random.uniform(-6, 6, (number, 1, 1))
        y, x = np.mgrid[-12:12, -12:12]
        away = np.abs(np.sin(angle) * x - np.cos(angle) * y - offset)
        images = np.exp(-((away / 1.5) ** 2)) + random.normal(0, 0.5, away.shape)
        wanted = np.concatenate([np.sin(2 * angle[:, 0]), np.cos(2 * angle[:, 0])], 1)
        return images[..., None].astype("float32"), wanted.astype("float32")

    return drawn(0, 4 * SMALLER), drawn(1, NUMBER), drawn(2, NUMBER)


def regressor() -> Any:
    """Returns a convolutional network with two outputs in one, not trained."""
    import keras
    from keras import layers

    x = inputs = keras.Input((24, 24, 1))
    for filters in (32, 64, 64):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mae"])
    return model


def masks(seed: int) -> tuple[Any, Any, Any]:
    """Returns scenes with a class for every pixel."""
    import kerasprune as kp

    found = [kp.data.scenes(split="train", batch=BATCH)]
    for split in ("validation", "test"):
        found.append(kp.data.scenes(split=split, number=SMALLER, seed=1000 + seed).cache())
    return tuple(found)


def segmenter() -> Any:
    """Returns a U-Net, not trained."""
    import keras

    import kerasprune as kp

    model = kp.models.unet(11, (64, 64, 3), width=0.5, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    iou = keras.metrics.MeanIoU(11, sparse_y_true=True, sparse_y_pred=False, name="iou")
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=[iou])
    return model


CASES = {
    "uniform": Case(resnet20, glyphs, {"budget": "uniform"}),
    "sensitivity": Case(resnet20, glyphs, {"budget": "sensitivity"}),
    "int8": Case(resnet20, glyphs, {"by": "bytes", "quantize": "int8"}),
    "time": Case(resnet20, glyphs, {"by": "time"}),
    "mobilenet": Case(partial(trained, "mobilenet", mobilenet, glyphs, 14), glyphs),
    "regressor": Case(partial(trained, "regressor", regressor, tilts, 20), tilts, {"max_drop": 0.05}),
    "unet": Case(partial(trained, "unet", segmenter, masks, 20), masks),
}


def run(name: str, seed: int) -> None:
    """Runs a search, and writes its row."""
    if any((row["case"], row["seed"]) == (name, str(seed)) for row in rows.read(ROWS)):
        return

    import kerasprune as kp

    case, begun = CASES[name], time.perf_counter()
    model = case.start()
    train, validation, test = case.data(seed)
    optimizer = "sgd" if name not in ("regressor", "unet") else None  # its rate falls by half a cosine
    how = {
        "max_drop": 0.01,
        "epochs": EPOCHS,
        "plan": {"round_to": 1},
        "optimizer": optimizer,
        "seed": seed,
        "batch": BATCH,
    }
    how |= {"verbose": 2, "folder": RUNS / f"{name}_{seed}"} | case.how
    found = kp.smallest(model, train, validation=validation, test=test, **how)
    print(found.report, flush=True)
    curve, (dense, slim) = found.curve, next(iter(found.report.test.values()))
    best = None if curve.chosen is None else curve.points[curve.chosen]
    scale = 1.0 if best is None or not best.relative else abs(dense)
    sign = -1 if found.slim.metrics_names and best is not None and best.figure in ("mae", "loss") else 1
    row = {
        "case": name,
        "seed": seed,
        "trials": len(curve.points),
        "kept": 1.0 if best is None else round(best.share, 4),
        **{key: 1.0 if best is None else round(getattr(best, key), 4) for key in ("macs", "params")},
        "drop": 0.0 if best is None else round(best.drop, 5),
        "error": 0.0 if best is None else round(best.error, 5),
        "dense": round(dense, 5),
        "slim": round(slim, 5),
        "test_drop": round(sign * (dense - slim) / scale, 5),
        "test_error": test_error(found, model, test) if name in ("uniform", "sensitivity", "time", "mobilenet") else "",
        "seconds": round(time.perf_counter() - begun),
    }
    rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    print(row, flush=True)


def test_error(found: Any, model: Any, test: Any) -> float:
    """Returns the standard error of the drop of the accuracy on the test images."""
    import numpy as np

    x, y = test
    right = [each.predict(x, batch_size=500, verbose=0).argmax(1) == y for each in (model, found.slim)]
    return round(float(np.std(right[0].astype(int) - right[1].astype(int)) / np.sqrt(len(y))), 5)


def grid(seed: int) -> None:
    """Prunes to ten shares with uniform widths, each trained as a trial is."""
    import numpy as np

    import kerasprune as kp

    done = {(row["seed"], float(row["macs"])) for row in rows.read(GRID_ROWS)}
    if all((str(seed), share) in done for share in SHARES):
        return
    model, (train, validation, test) = resnet20(), glyphs(seed)

    def right(each: Any, data: Any) -> Any:
        return (each.predict(data[0], batch_size=500, verbose=0).argmax(1) == data[1]).astype(int)

    dense = [right(model, data) for data in (validation, test)]
    for share in SHARES:
        if (str(seed), share) in done:
            continue
        begun = time.perf_counter()
        how = {"plan": {"round_to": 1}, "optimizer": "sgd", "batch": BATCH, "seed": seed, "verbose": 2}
        slim = kp.prune(model, share, train, EPOCHS, validation=validation, **how).slim
        lost = [was - right(slim, data) for was, data in zip(dense, (validation, test), strict=True)]
        row = {
            "seed": seed,
            "macs": share,
            "drop": round(float(lost[0].mean()), 5),
            "error": round(float(lost[0].std() / np.sqrt(len(lost[0]))), 5),
            "test_drop": round(float(lost[1].mean()), 5),
            "seconds": round(time.perf_counter() - begun),
        }
        rows.append(GRID_ROWS, GRID_FIELDS, [row | rows.stamp("keras", "tensorflow")])
        print(row, flush=True)


def table() -> None:
    """Writes the table of the rows."""
    import statistics

    lines = [
        "| case | seeds | trainings | kept | multiply–adds kept | test drop | beyond by 2 SE | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = rows.read(ROWS)
    for case in dict.fromkeys(row["case"] for row in found):
        own = [row for row in found if row["case"] == case]

        def column(name: str, scale: float = 1.0, own: Any = own) -> list[float]:
            return [scale * float(row[name]) for row in own]

        limit = CASES[case].how.get("max_drop", 0.01)
        judged = [row for row in own if row["test_error"]]
        far = sum(float(row["test_drop"]) > limit + 2 * float(row["test_error"]) for row in judged) if judged else "–"
        lines.append(
            f"| {case} | {len(own)} | {statistics.median(column('trials')):g} | "
            f"{statistics.median(column('kept')):.3f} | {statistics.median(column('macs')):.3f} | "
            f"{rows.mean_std(column('test_drop', 100), 2)} | {far} | "
            f"{statistics.median(column('seconds', 1 / 60)):.0f} |"
        )
    if points := rows.read(GRID_ROWS):
        lines += ["", "| multiply–adds kept, uniform | validation drop | ± | test drop |", "|---|---|---|---|"]
        for share in SHARES:
            own = [row for row in points if float(row["macs"]) == share]
            if own:
                cells = (
                    rows.mean_std([100 * float(row[key]) for row in own], 2) for key in ("drop", "error", "test_drop")
                )
                lines.append(f"| {share} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "grid", "table"))
    parser.add_argument("rest", nargs="*")
    given = parser.parse_args()
    if given.what == "table":
        table()
    elif given.what == "grid":
        for seed in map(int, given.rest or "0"):
            grid(seed)
    else:
        name, *seeds = given.rest
        for seed in map(int, seeds or "0"):
            run(name, seed)


if __name__ == "__main__":
    main()
