"""Reconstruction and distillation, alone and together, on glyphs: what each adds to plain fine-tuning.

    python benchmarks/distillation.py run [--seeds 1] [--macs 0.093]   # resumable: rows that are there are kept
    python benchmarks/distillation.py table                            # writes the table from the rows

Every run starts from the shipped checkpoint (`glyphs-base`, ResNet-20, 32×32): one-shot L1 with coupling "tied" down
to a fraction of the multiply–adds, then four epochs on the 10,000-image set with SGD, momentum 0.9, rate 0.01 falling
by half a cosine, L2 of 1e-4 in the loss. Reconstruction sees 1,000 training images without their labels; the dense
model is the teacher, T = 4, weight 0.9. Test accuracy is taken once, at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rows import append, read

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "distillation.csv"
FIELDS = ("start", "taught", "macs", "seed", "removed", "validation", "test", "seconds")
EPOCHS, RATE, L2, BATCH, SIZE, SAMPLES = 4, 0.01, 1e-4, 32, 32, 1000
STARTS, TAUGHT = ("folded", "reconstructed"), ("plain", "distilled")


def one_run(start: str, taught: str, macs: float, seed: int) -> dict:
    """Runs one cell and returns its row; accuracies in percent."""
    import keras

    import kerasprune as kp
    from kerasprune.defaults import BEFORE_TRAINING

    began = time.time()
    keras.utils.set_random_seed(seed)
    checkpoint = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    model = keras.models.load_model(checkpoint)
    plan = kp.plan(model, "l1", macs=macs, round_to=1, size=SIZE)
    slim = kp.rebuild(model, plan)
    train = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
    if start == "reconstructed":
        images = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, seed=seed)
        slim = kp.reconstruct(slim, model, plan, images, samples=SAMPLES, slack=BEFORE_TRAINING, seed=seed)
    judged = {
        split: kp.data.load("glyphs/small", size=SIZE, batch=500, split=split) for split in ("validation", "test")
    }
    removed = accuracy(slim, judged["validation"])
    student = kp.distil(slim, model) if taught == "distilled" else slim
    kernels = [v for v in slim.trainable_variables if v.name == "kernel"]
    for kernel in kernels:
        kernel.regularizer = keras.regularizers.L2(L2 / 2)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(train))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    student.compile(keras.optimizers.SGD(rate, momentum=0.9), loss)
    student.fit(train, epochs=EPOCHS, shuffle=False, verbose=0)
    scores = {split: accuracy(slim, data) for split, data in judged.items()}
    row = {"start": start, "taught": taught, "macs": macs, "seed": seed, "removed": removed}
    return row | scores | {"seconds": round(time.time() - began)}


def accuracy(model, data) -> float:
    """Returns the accuracy in percent; the model keeps what it was compiled with."""
    import keras

    judge = keras.Model(model.inputs, model.outputs)
    judge.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return 100 * judge.evaluate(data, verbose=0, return_dict=True)["accuracy"]


def run(seeds: int, macs: float) -> None:
    """Runs every cell that has no row yet."""
    for seed in range(seeds):
        for start in STARTS:
            for taught in TAUGHT:
                cell = {"start": start, "taught": taught, "macs": macs, "seed": seed}
                if key(cell) in {key(row) for row in read(ROWS)}:
                    continue
                row = one_run(**cell)
                append(ROWS, FIELDS, [row])
                print(row, flush=True)


def key(row: dict) -> tuple:
    """Returns what tells runs apart."""
    return tuple(str(row[field]) for field in FIELDS[:4])


def table() -> None:
    """Writes the table."""
    import numpy as np

    found = read(ROWS)
    head = "| MACs kept | start | fine-tuning | right after removal (validation) | validation | test | n |"
    lines = [head, "|---" * 7 + "|"]
    for macs in sorted({row["macs"] for row in found}, key=float):
        for start in STARTS:
            for taught in TAUGHT:
                rows = [row for row in found if (row["macs"], row["start"], row["taught"]) == (macs, start, taught)]
                if not rows:
                    continue
                figures = " | ".join(
                    f"{np.mean([float(row[field]) for row in rows]):.1f}" for field in ("removed", "validation", "test")
                )
                lines.append(f"| {macs} | {start} | {taught} | {figures} | {len(rows)} |")
    (RESULTS / "distillation.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=False))
    if sys.argv[1:2] == ["run"]:
        run(int(options.get("--seeds", 1)), float(options.get("--macs", 0.093)))
        table()
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
