"""A detector of digits in drawn scenes, pruned and taught: mAP@.5 of the dense one, and of its slim models.

    python benchmarks/detector.py train          # some 30 minutes
    python benchmarks/detector.py run [SEED …]   # resumable: rows that are there are not run again
    python benchmarks/detector.py table          # writes the table from the rows

An FCOS without centres: the stages of `glyphs-base.keras` at half of 128 × 128 pixels, three levels of a pyramid, heads
that all levels share. Focal loss for classes, 1 − CIoU for boxes. mAP@.5 by pycocotools on 1,000 scenes, each seed on
others. `cut`: right after the cut; `solved`: kernels solved on 500 scenes; `tuned` and `taught`: five epochs with the
labels, and with the dense model as well; shares are of all multiply–adds.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import rows

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "detector"
ROWS, TABLE = (RESULTS / f"detector{end}" for end in (".csv", ".md"))
FIELDS = ("criterion", "share", "seed", "macs", "cut", "solved", "tuned", "taught", *rows.STAMP)
SIDE, CLASSES, WIDTH, BATCH, EPOCHS, TAUGHT = 128, 10, 64, 32, 24, 5
STRIDES, REACH = (4, 8, 16), ((0, 20), (20, 32), (32, 1e9))
"""Of the levels: pixels between points, and how far the farthest side of a box may be from one."""
ENDS = ("stage2_block3_relu2", "stage3_block3_relu2")
SHARES, CRITERIA = (0.5, 0.25), ("l1", "random")


def detector(seed: int = 0) -> Any:
    """Returns the detector: logits of classes, and distances to the four sides of a box, at every point."""
    import keras
    from keras import layers

    import kerasprune as kp

    keras.utils.set_random_seed(seed)
    path = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    base, images = keras.models.load_model(path), keras.Input((SIDE, SIDE, 3), name="images")
    stages = keras.Model(base.inputs[0], [base.get_layer(end).output for end in ENDS])
    levels = list(stages(layers.AveragePooling2D(2, name="half")(images)))
    x = layers.Conv2D(96, 3, 2, "same", use_bias=False, name="stage4_conv")(levels[-1])
    levels.append(layers.ReLU(name="stage4_relu")(layers.BatchNormalization(name="stage4_bn")(x)))
    merged = None
    for place in (2, 1, 0):
        side = layers.Conv2D(WIDTH, 1, name=f"lateral{place}")(levels[place])
        up = None if merged is None else layers.UpSampling2D(2, name=f"up{place}")(merged)
        merged = side if up is None else layers.Add(name=f"merge{place}")([side, up])
        levels[place] = layers.Conv2D(WIDTH, 3, padding="same", activation="relu", name=f"level{place}")(merged)
    prior = keras.initializers.Constant(-np.log(99.0))
    ends = {
        "classes": layers.Conv2D(CLASSES, 3, padding="same", bias_initializer=prior, name="class_head"),
        "boxes": layers.Conv2D(4, 3, padding="same", activation="softplus", name="box_head"),
    }
    outputs = {}
    for name, end in ends.items():
        tower = [layers.Conv2D(WIDTH, 3, padding="same", use_bias=False, name=f"{name}_conv{i}") for i in range(2)]
        norms = [layers.GroupNormalization(8, name=f"{name}_norm{i}") for i in range(2)]
        found = []
        for place, level in enumerate(levels):
            for number, (conv, norm) in enumerate(zip(tower, norms, strict=True)):
                level = layers.ReLU(name=f"{name}_relu{number}_{place}")(norm(conv(level)))
            y = layers.Reshape((-1, end.filters), name=f"{name}_line{place}")(end(level))
            found.append(y if name == "classes" else layers.Rescaling(STRIDES[place], name=f"stride{place}")(y))
        outputs[name] = layers.Concatenate(axis=1, name=name)(found)
    return kp.functional(keras.Model(images, outputs, name="detector"))


def points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the points of all levels, (number, 2), and for each its stride and its reach."""
    found = []
    for stride in STRIDES:
        line = (np.arange(SIDE // stride) + 0.5) * stride
        found.append(np.stack([each.ravel() for each in np.meshgrid(line, line)], axis=-1))
    numbers = [len(each) for each in found]
    return np.concatenate(found), np.repeat(STRIDES, numbers), np.repeat(REACH, numbers, axis=0)


def encoded(boxes: np.ndarray, classes: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the labels of every point, and their weights: of the smallest box whose middle it lies in.

    Args:
        boxes: Left, top, right, bottom, (scenes, 16, 4), padded with −1.
        classes: (scenes, 16).
    """
    place, stride, reach = points()
    sides = np.concatenate([place[:, None] - boxes[:, None, :, :2], boxes[:, None, :, 2:] - place[:, None]], axis=-1)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = (np.abs(place[:, None] - middle[:, None]) <= 1.5 * stride[:, None, None]).all(axis=-1)
    most = sides.max(axis=-1)
    fits = near & (sides.min(axis=-1) > 0) & (classes >= 0)[:, None]
    fits &= (most > reach[:, :1]) & (most <= reach[:, 1:])
    area = np.where(fits, np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)[:, None], np.inf)
    nearest, is_digit = area.argmin(axis=-1), fits.any(axis=-1)
    wanted = np.take_along_axis(classes, nearest, axis=1)
    hot = ((wanted[..., None] == np.arange(CLASSES)) & is_digit[..., None]).astype("float32")
    chosen = np.take_along_axis(sides, nearest[..., None, None], axis=2)[:, :, 0].astype("float32")
    share = (len(place) / np.maximum(is_digit.sum(axis=1, keepdims=True), 1)).astype("float32")
    labels = {"classes": hot, "boxes": np.where(is_digit[..., None], chosen, 1.0).astype("float32")}
    return labels, {"classes": np.broadcast_to(share, is_digit.shape), "boxes": is_digit * share}


def batches(split: str, seed: int = 0, number: int | None = None) -> Any:
    """Returns batches of scenes with the labels and weights of all points."""
    import tensorflow as tf

    import kerasprune as kp

    data = kp.data.scenes(split=split, side=SIDE, labels="boxes", number=number, batch=BATCH, seed=seed, workers=2)
    total = len(points()[0])
    shapes = {"classes": (None, total, CLASSES), "boxes": (None, total, 4)}

    def labelled(x: Any, y: Any) -> Any:
        def encode(boxes: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
            labels, weights = encoded(boxes, classes)
            return [labels["classes"], labels["boxes"], weights["classes"], weights["boxes"].astype("float32")]

        made = tf.numpy_function(encode, [y["boxes"], y["classes"]], [tf.float32] * 4)
        for each, shape in zip(made, (*shapes.values(), (None, total), (None, total)), strict=True):
            each.set_shape(shape)
        return x, {"classes": made[0], "boxes": made[1]}, {"classes": made[2], "boxes": made[3]}

    data = data.map(labelled, num_parallel_calls=2).cache()  # drawing scenes takes as long as a training step
    return (data.shuffle(len(data), seed=seed) if split == "train" else data).prefetch(2)


def losses() -> dict[str, Any]:
    """Returns the loss of each output."""
    import keras
    from keras import ops

    def apart(wanted: Any, found: Any) -> Any:
        signs = ops.convert_to_tensor([-1.0, -1.0, 1.0, 1.0])
        return 1 - keras.utils.bounding_boxes.compute_ciou(wanted * signs, found * signs, "xyxy")

    focal = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True)
    return {"classes": focal, "boxes": apart}


def compiled(model: Any, rate: float, steps: int) -> Any:
    """Returns a model, compiled to train."""
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=rate, warmup_steps=steps // 20)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, global_clipnorm=5.0)
    model.compile(optimizer, losses(), loss_weights={"classes": CLASSES, "boxes": 1.0})
    return model


def decoded(classes: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns boxes, scores and classes of a scene, those of a class that overlap by .6 left out."""
    place = points()[0]
    score = 1 / (1 + np.exp(-classes))
    chosen = np.argsort(-score, axis=None)[:300]
    where, label = np.unravel_index(chosen, score.shape)
    boxes = np.concatenate([place[where] - sides[where, :2], place[where] + sides[where, 2:]], axis=-1)
    area, kept = np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1), []
    for number in range(len(boxes)):
        both = np.minimum(boxes[number, 2:], boxes[kept, 2:]) - np.maximum(boxes[number, :2], boxes[kept, :2])
        shared = np.prod(np.maximum(both, 0), axis=-1)
        shared = shared / np.maximum(area[number] + area[kept] - shared, 1e-9)
        if not ((shared > 0.6) & (label[kept] == label[number])).any():
            kept.append(number)
    return boxes[kept], score[where, label][kept], label[kept]


def mean_precision(model: Any, scenes: Any) -> float:
    """Returns the mean average precision at an overlap of .5, in percent: also `metric=` of `kp.smallest`.

    Args:
        model: The detector.
        scenes: Batches of images with boxes and classes.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": each} for each in range(CLASSES)]}
    found = []
    for images, labels in scenes:
        made = model.predict_on_batch(images)
        for place in range(len(images)):
            scene = len(truth["images"])
            truth["images"].append({"id": scene})
            for box, label in zip(
                np.asarray(labels["boxes"][place]), np.asarray(labels["classes"][place]), strict=True
            ):
                if label >= 0:
                    corner, size = box[:2].tolist(), (box[2:] - box[:2]).tolist()
                    one = {"id": len(truth["annotations"]) + 1, "image_id": scene, "category_id": int(label)}
                    truth["annotations"].append(
                        one | {"bbox": [*corner, *size], "area": size[0] * size[1], "iscrowd": 0}
                    )
            for box, score, label in zip(*decoded(made["classes"][place], made["boxes"][place]), strict=True):
                size = (box[2:] - box[:2]).tolist()
                found.append(
                    {
                        "image_id": scene,
                        "category_id": int(label),
                        "bbox": [*box[:2].tolist(), *size],
                        "score": float(score),
                    }
                )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return round(100 * float(judged.stats[1]), 2)


def judging(seed: int) -> Any:
    """Returns the scenes that judge."""
    import kerasprune as kp

    return kp.data.scenes(split="validation", side=SIDE, labels="boxes", batch=BATCH, seed=seed, workers=2).cache()


def train() -> None:
    """Trains the dense detector; goes on where it was stopped."""
    import keras

    data = batches("train")
    model = compiled(detector(), 2e-3, EPOCHS * len(data))
    RUNS.mkdir(parents=True, exist_ok=True)
    kept = keras.callbacks.BackupAndRestore(str(RUNS / "backup"), delete_checkpoint=False)
    model.fit(data, epochs=EPOCHS, verbose=2, callbacks=[kept])
    print(mean_precision(model, judging(0)), "mAP@.5")
    model.save(RUNS / "dense.keras")


def dense() -> Any:
    """Returns the trained detector."""
    import keras

    return keras.models.load_model(RUNS / "dense.keras", compile=False)


def run(seed: int) -> None:
    """Runs the rows of a seed."""
    import kerasprune as kp

    model, judge, data = dense(), judging(seed), batches("train")
    done = {(row["criterion"], row["share"], row["seed"]) for row in rows.read(ROWS)}
    if ("dense", "1", str(seed)) not in done:
        row = {"criterion": "dense", "share": 1, "seed": seed, "macs": 1, "cut": mean_precision(model, judge)}
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    some = np.concatenate([np.asarray(x) for x, *_ in data.take(-(-500 // BATCH))])[:500]
    for criterion in CRITERIA:
        for share in SHARES:
            if (criterion, str(share), str(seed)) in done:
                continue
            plan = kp.plan(model, criterion, macs=share, round_to=1, seed=seed)
            slim = kp.rebuild(model, plan)
            row: dict[str, Any] = {"criterion": criterion, "share": share, "seed": seed}
            row["macs"] = round(kp.cost(model, plan).macs / kp.cost(model).macs, 3)
            row["cut"] = mean_precision(slim, judge)
            slim = kp.reconstruct(slim, model, plan, some, verbose=0)
            row["solved"], weights = mean_precision(slim, judge), slim.get_weights()
            for name in ("tuned", "taught"):
                slim.set_weights(weights)
                student = compiled(slim, 5e-4, TAUGHT * len(data))
                if name == "taught":
                    student = kp.distil(slim, model, temperature=1.0, weight=0.5, outputs={"classes": "binary_logits"})
                student.fit(data, epochs=TAUGHT, verbose=2)
                row[name] = mean_precision(slim, judge)
            print(row, flush=True)
            rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])


def table() -> None:
    """Writes the table."""
    found, named = rows.read(ROWS), FIELDS[3:8]
    whole = rows.mean_std([float(row["cut"]) for row in found if row["criterion"] == "dense"])
    lines = [
        "# A detector pruned and taught",
        "",
        *(__doc__ or "").split("\n\n")[2].splitlines(),
        "",
        f"Dense: {whole} mAP@.5.",
        "",
        f"| picks | {' | '.join(named)} |",
        "|---|" + "---|" * len(named),
    ]
    for criterion in CRITERIA:
        for share in SHARES:
            mine = [row for row in found if (row["criterion"], row["share"]) == (criterion, str(share))]
            if mine:
                cells = [
                    rows.mean_std([float(row[name]) for row in mine], 2 if name == "macs" else 1) for name in named
                ]
                lines.append(f"| {criterion} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    rows.run_asked({"run": run}, {"train": train, "table": table})
