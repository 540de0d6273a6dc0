"""A detector of digits in drawn scenes, pruned and taught: mAP@.5 of the dense one, and of its slim models and files.

    python benchmarks/detector.py train          # some 40 minutes: the checkpoint that comes with the package
    python benchmarks/detector.py run [SEED …]   # resumable: rows that are there are not run again
    python benchmarks/detector.py files [SEED …] # of the models that `run` has kept
    python benchmarks/detector.py table          # writes the table from the rows

`kp.models.fcos` on the stages of `glyphs-base.keras`, at half of 128 × 128 pixels. Focal loss for classes, 1 − CIoU for
boxes. mAP@.5 by pycocotools on 1,000 scenes, each seed on others. `cut`: right after the cut; `solved`: kernels solved
on 500 scenes; `tuned` and `taught`: five epochs of 2,000 scenes with the labels, and with the dense model as well;
`error`: the standard error of the drop after `taught`, paired over the scenes; shares are of all multiply–adds, widths
are not rounded (`round_to=1`). Files: the dense model and those taught on the picks of L1, int8 calibrated on 256
scenes; milliseconds on one thread.
"""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import rows

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "detector"
CHECKPOINT = "checkpoints/scenes-fcos.keras"
ROWS, FILE_ROWS, TABLE = (RESULTS / f"detector{end}" for end in (".csv", "_files.csv", ".md"))
FIELDS = ("criterion", "share", "seed", "macs", "cut", "solved", "tuned", "taught", "error", *rows.STAMP)
FILE_FIELDS = ("share", "seed", "precision", "mAP", "milliseconds", "kB", *rows.STAMP)
SIDE, CLASSES, WIDTH, BATCH, EPOCHS, TAUGHT, SCENES = 128, 10, 64, 32, 14, 5, 2000
SHARES, CRITERIA = (0.5, 0.25), ("l1", "random")


def detector(seed: int = 0) -> Any:
    """Returns the detector on the stages of a trained network."""
    import kerasprune as kp

    return kp.models.fcos(CLASSES, (SIDE, SIDE, 3), WIDTH, stem="checkpoints/glyphs-base.keras", seed=seed)


def training(seed: int = 0, number: int | None = None) -> Any:
    """Returns batches of scenes with the labels and weights of all points; every seed has other scenes."""
    from kerasprune.models.sets.point_scenes import point_scenes

    data = point_scenes(side=SIDE, batch=BATCH, number=number, seed=seed, workers=2)
    data = data.cache()  # spares encoding the labels again
    return data.shuffle(len(data), seed=seed).prefetch(2)


def compiled(model: Any, rate: float, steps: int) -> Any:
    """Returns a model, compiled to train."""
    import keras

    from kerasprune.models.sets.points import detection_losses

    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=rate, warmup_steps=steps // 20)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-4, global_clipnorm=5.0)
    model.compile(optimizer, detection_losses(), loss_weights={"classes": CLASSES, "distances": 1.0})
    return model


def judged(model: Any, scenes: Any) -> Any:
    """Returns mAP@.5 as a function of the scenes that count."""
    from kerasprune.models.sets.mean_precision import mean_precision

    return mean_precision.tally(model, scenes)


def percent(tally: Any) -> float:
    """Returns a fraction in percent."""
    return round(100 * tally.value, 2)


def judging(seed: int) -> Any:
    """Returns the scenes that judge."""
    import kerasprune as kp

    return kp.data.scenes(split="validation", side=SIDE, labels="boxes", batch=BATCH, seed=seed, workers=2).cache()


def train() -> None:
    """Trains the dense detector; goes on where it was stopped. What it writes is copied to the recipes' checkpoints."""
    import keras

    data = training()
    model = compiled(detector(), 2e-3, EPOCHS * len(data))
    RUNS.mkdir(parents=True, exist_ok=True)
    kept = keras.callbacks.BackupAndRestore(str(RUNS / "backup"), delete_checkpoint=False)
    model.fit(data, epochs=EPOCHS, verbose=2, callbacks=[kept])
    whole = detector()  # compiled as the package does it, without steps of an optimizer
    whole.optimizer.build(whole.trainable_variables)  # or Keras warns when it loads the file
    whole.set_weights([each.astype("float16") for each in model.get_weights()])  # zeros in every number: half the bytes
    print(percent(judged(whole, judging(0))), "mAP@.5")
    plain, small = RUNS / "plain.keras", RUNS / Path(CHECKPOINT).name
    whole.save(plain)
    with zipfile.ZipFile(plain) as stored, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    plain.unlink()


def dense() -> Any:
    """Returns the trained detector that comes with the package."""
    import keras

    import kerasprune.models.sets.points  # noqa: F401 - registers the losses
    from kerasprune.files.shipped import here_or_shipped

    return keras.models.load_model(here_or_shipped(CHECKPOINT))


def images(data: Any, number: int) -> np.ndarray:
    """Returns the first images of batches."""
    return np.concatenate([np.asarray(x) for x, *_ in data.take(-(-number // BATCH))])[:number]


def kept(criterion: str, share: float, seed: int, name: str) -> Path:
    """Returns the file of a slim model."""
    return RUNS / f"{criterion}-{share}-{seed}-{name}.keras"


def run(seed: int) -> None:
    """Runs the rows of a seed, and keeps the trained models."""
    import kerasprune as kp
    from kerasprune.steps.paired_drop import paired_drop

    model, judge, data = dense(), judging(seed), training(seed, SCENES)
    RUNS.mkdir(parents=True, exist_ok=True)
    done = {(row["criterion"], row["share"], row["seed"]) for row in rows.read(ROWS)}
    whole = judged(model, judge)
    if ("dense", "1", str(seed)) not in done:
        row = {"criterion": "dense", "share": 1, "seed": seed, "macs": 1, "cut": percent(whole)}
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    some = images(data, 500)
    for criterion in CRITERIA:
        for share in SHARES:
            if (criterion, str(share), str(seed)) in done:
                continue
            plan = kp.plan(model, criterion, macs=share, round_to=1, seed=seed)
            slim = kp.rebuild(model, plan)
            row: dict[str, Any] = {"criterion": criterion, "share": share, "seed": seed}
            row["macs"] = round(kp.cost(model, plan).macs / kp.cost(model).macs, 3)
            row["cut"] = percent(judged(slim, judge))
            slim = kp.reconstruct(slim, model, plan, some, verbose=0)
            row["solved"], weights = percent(judged(slim, judge)), slim.get_weights()
            for name in ("tuned", "taught"):
                slim.set_weights(weights)
                student = compiled(slim, 5e-4, TAUGHT * len(data))
                if name == "taught":
                    student = kp.distil(slim, model, temperature=1.0, weight=0.5, outputs={"classes": "binary_logits"})
                student.fit(data, epochs=TAUGHT, verbose=2)
                found = judged(slim, judge)
                row[name] = percent(found)
                slim.save(kept(criterion, share, seed, name))
            row["error"] = round(100 * paired_drop(whole, found, higher=True).error, 2)
            print(row, flush=True)
            rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])


class Opened:
    """A `.tflite` file, which predicts as its model does."""

    def __init__(self, path: Path, model: Any) -> None:
        from kerasprune.data.signature import signature_of
        from kerasprune.export.parity import interpreted_function

        self.run, self.structure = interpreted_function(path, model, signature_of(model)), model.output

    def predict(self, images: Any, **given: Any) -> Any:
        """Returns the outputs."""
        import keras

        return keras.tree.pack_sequence_as(self.structure, self.run([np.asarray(images)]))


def files(seed: int) -> None:
    """Runs the rows of the files of a seed."""
    import keras

    import kerasprune as kp

    model, judge, some = dense(), judging(seed), images(training(seed, 256), 256)
    done = {(row["share"], row["seed"]) for row in rows.read(FILE_ROWS)}
    for share in (1, *SHARES):
        path = kept("l1", share, seed, "taught")
        if (str(share), str(seed)) in done or share != 1 and not path.exists():
            continue
        each, found = model if share == 1 else keras.models.load_model(path, compile=False), []
        for precision in (None, "int8"):
            path = RUNS / f"{share}-{seed}-{precision}.tflite"
            report = kp.export.tflite(each, path, quantize=precision, data=some, overwrite=True)
            row = {"share": share, "seed": seed, "precision": precision or "float32"}
            row |= {"mAP": percent(judged(Opened(path, each), judge)), "kB": round(path.stat().st_size / 1000)}
            found.append(row | {"milliseconds": round(report.latency_ms, 2)} | rows.stamp("keras", "ai-edge-litert"))
            print(found[-1], flush=True)
        rows.append(FILE_ROWS, FILE_FIELDS, found)


def table() -> None:
    """Writes the tables: of the models, and of the files."""
    found, of_files = rows.read(ROWS), rows.read(FILE_ROWS)
    named, digits = FIELDS[3:9], {"macs": 2, "error": 2}
    lines = ["| mAP@.5, % | multiply–adds | cut | solved | tuned | taught | error |", "|---|---|---|---|---|---|---|"]
    for criterion, share in (("dense", 1), *itertools.product(CRITERIA, SHARES)):
        mine = [row for row in found if (row["criterion"], row["share"]) == (criterion, str(share))]
        cells = [rows.mean_std([float(row[name]) for row in mine if row[name]], digits.get(name, 1)) for name in named]
        lines += [f"| {criterion} | {' | '.join(cells)} |"] if mine else []
    lines += ["", "| file | mAP@.5, % | ms | kB |", "|---|---|---|---|"]
    for share, precision in itertools.product((1, *SHARES), ("float32", "int8")):
        mine = [row for row in of_files if (row["share"], row["precision"]) == (str(share), precision)]
        cells = [rows.mean_std([float(row[name]) for row in mine], int(name != "kB")) for name in FILE_FIELDS[3:6]]
        lines += [f"| {'dense' if share == 1 else share}, {precision} | {' | '.join(cells)} |"] if mine else []
    lines += ["", *(__doc__ or "").split("\n\n")[2].splitlines()]
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    rows.run_asked({"run": run, "files": files}, {"train": train, "table": table})
