"""A detector of digits in drawn scenes, pruned and taught: mAP@.5 of the dense one, and of its slim models.

    python benchmarks/detector.py train          # some 40 minutes: the checkpoint that comes with the package
    python benchmarks/detector.py run [SEED …]   # resumable: rows that are there are not run again
    python benchmarks/detector.py table          # writes the table from the rows

`kp.models.fcos` on the stages of `glyphs-base.keras`, at half of 128 × 128 pixels. Focal loss for classes, 1 − CIoU for
boxes. mAP@.5 by pycocotools on 1,000 scenes, each seed on others. `cut`: right after the cut; `solved`: kernels solved
on 500 scenes; `tuned` and `taught`: five epochs with the labels, and with the dense model as well; shares are of all
multiply–adds.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import rows

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "detector"
CHECKPOINT = "checkpoints/scenes-fcos.keras"
ROWS, TABLE = (RESULTS / f"detector{end}" for end in (".csv", ".md"))
FIELDS = ("criterion", "share", "seed", "macs", "cut", "solved", "tuned", "taught", *rows.STAMP)
SIDE, CLASSES, WIDTH, BATCH, EPOCHS, TAUGHT = 128, 10, 64, 32, 14, 5
SHARES, CRITERIA = (0.5, 0.25), ("l1", "random")


def detector(seed: int = 0) -> Any:
    """Returns the detector on the stages of a trained network."""
    import kerasprune as kp

    return kp.models.fcos(CLASSES, (SIDE, SIDE, 3), WIDTH, stem="checkpoints/glyphs-base.keras", seed=seed)


def training() -> Any:
    """Returns batches of scenes with the labels and weights of all points."""
    from kerasprune.models.sets.point_scenes import point_scenes

    data = point_scenes(side=SIDE, batch=BATCH, workers=2).cache()  # spares encoding the labels of all points again
    return data.shuffle(len(data), seed=0).prefetch(2)


def compiled(model: Any, rate: float, steps: int) -> Any:
    """Returns a model, compiled to train."""
    import keras

    from kerasprune.models.sets.points import detection_losses

    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=rate, warmup_steps=steps // 20)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, global_clipnorm=5.0)
    model.compile(optimizer, detection_losses(), loss_weights={"classes": CLASSES, "distances": 1.0})
    return model


def percent(model: Any, scenes: Any) -> float:
    """Returns mAP@.5 in percent."""
    from kerasprune.models.sets.mean_precision import mean_precision

    return round(100 * mean_precision(model, scenes), 2)


def judging(seed: int) -> Any:
    """Returns the scenes that judge."""
    import kerasprune as kp

    return kp.data.scenes(split="validation", side=SIDE, labels="boxes", batch=BATCH, seed=seed, workers=2).cache()


def train() -> None:
    """Trains the dense detector; goes on where it was stopped."""
    import keras

    data = training()
    model = compiled(detector(), 2e-3, EPOCHS * len(data))
    RUNS.mkdir(parents=True, exist_ok=True)
    kept = keras.callbacks.BackupAndRestore(str(RUNS / "backup"), delete_checkpoint=False)
    model.fit(data, epochs=EPOCHS, verbose=2, callbacks=[kept])
    whole = detector()  # compiled as the package does it, without steps of an optimizer
    whole.set_weights([each.astype("float16") for each in model.get_weights()])  # zeros in every number: half the bytes
    print(percent(whole, judging(0)), "mAP@.5")
    whole.save(RUNS / "dense.keras")
    with zipfile.ZipFile(RUNS / "dense.keras") as plain, zipfile.ZipFile(RUNS / "small.keras", "w", 8) as small:
        for name in plain.namelist():
            small.writestr(name, plain.read(name))


def dense() -> Any:
    """Returns the trained detector that comes with the package."""
    from kerasprune.models.stem import load_stem

    return load_stem(CHECKPOINT, {})


def run(seed: int) -> None:
    """Runs the rows of a seed."""
    import kerasprune as kp

    model, judge, data = dense(), judging(seed), training()
    done = {(row["criterion"], row["share"], row["seed"]) for row in rows.read(ROWS)}
    if ("dense", "1", str(seed)) not in done:
        row = {"criterion": "dense", "share": 1, "seed": seed, "macs": 1, "cut": percent(model, judge)}
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
            row["cut"] = percent(slim, judge)
            slim = kp.reconstruct(slim, model, plan, some, verbose=0)
            row["solved"], weights = percent(slim, judge), slim.get_weights()
            for name in ("tuned", "taught"):
                slim.set_weights(weights)
                student = compiled(slim, 5e-4, TAUGHT * len(data))
                if name == "taught":
                    student = kp.distil(slim, model, temperature=1.0, weight=0.5, outputs={"classes": "binary_logits"})
                student.fit(data, epochs=TAUGHT, verbose=2)
                row[name] = percent(slim, judge)
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
