"""Deep Compression of LeNet-300-100 on digits: pruned, shared and trained, packed, and the bytes of the file.

    python benchmarks/deep_compression.py run [--seeds 0 1 2]    # resumable
    python benchmarks/deep_compression.py table

`digits-500` at 28×28, one channel. A dense network (30 epochs of Adam) is pruned by magnitude within 20 of 30 further
epochs, each kernel to the same fraction; then its weights are shared, trained for 10 epochs (SGD, a rate of 1e-4, since
the gradient of a centroid is a sum over hundreds of weights) and packed, the rest in half precision. Of all settings
the smallest file is chosen whose validation accuracy, mean over the seeds, is at most half a point below that of the
dense networks; its test accuracy, that of the unpacked file, is what counts. Rows: results/deep_compression.csv.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import rows

ROWS = Path(__file__).resolve().parent / "results" / "deep_compression.csv"
FIELDS = ("seed", "keep", "bits", "bytes", "compression", "validation", "test", *rows.STAMP)
KEEP, BITS = (1.0, 0.08, 0.05, 0.03, 0.02), (0, 6, 5, 4, 3, 2)
"""Fractions of the weights kept, and bits of a code; 1 and 0: neither pruned nor shared."""
BATCH, ALLOWED = 25, 0.5  # the latter in points of validation accuracy


def accuracies(model) -> dict[str, str]:
    """Returns the accuracy on validation and test images, in per cent."""
    from kerasprune.data.digits import digit_arrays

    found = {}
    for split in ("validation", "test"):
        images, labels = digit_arrays("digits-500", 28)[split]
        found[split] = f"{100 * float((model.predict(images, verbose=0).argmax(-1) == labels).mean()):.2f}"
    return found


def fit(model, optimizer, epochs: int, *callbacks) -> None:
    """Trains a model."""
    import keras

    from kerasprune.data.digits import digit_arrays

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    model.fit(*digit_arrays("digits-500", 28)["train"], BATCH, epochs, verbose=0, callbacks=list(callbacks))


def run(seed: int) -> None:
    """Appends the rows of a seed."""
    import keras

    import kerasprune as kp

    keras.utils.set_random_seed(seed)
    model, found = kp.models.lenet_300_100(seed=seed), []
    fit(model, keras.optimizers.Adam(1e-3), 30)
    dense = model.get_weights()
    for keep in KEEP:
        model.set_weights(dense)
        masks = {}
        if keep < 1:
            pruning = kp.callbacks.GradualMagnitude(kp.schedules.cubic(keep, end="20ep"), every=5, scope="layer")
            fit(model, keras.optimizers.Adam(1e-3), 30, pruning)
            masks = pruning.masks
        start = model.get_weights()
        for bits in BITS:
            model.set_weights(start)
            if bits:
                shared = kp.callbacks.TrainedQuantization(bits)
                fit(model, keras.optimizers.SGD(1e-4), 10, shared, *[kp.callbacks.HoldMask(masks)] * bool(masks))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.kpz"
                table = kp.codec.pack(model, path, bits={}, rest="float16" if bits else None)
                scores = accuracies(kp.codec.unpack(path))
            cell = {"seed": seed, "keep": keep, "bits": bits, "bytes": table.bytes}
            found.append(cell | {"compression": f"{table.compression:.2f}"} | scores | rows.stamp("tensorflow"))
            print(found[-1], flush=True)
    rows.append(ROWS, FIELDS, found)


def table() -> str:
    """Returns compression and test accuracy over what is kept and the bits, and the setting that is chosen."""
    cells: dict[tuple[float, int], list[dict[str, str]]] = {}
    for row in rows.read(ROWS):
        cells.setdefault((float(row["keep"]), int(row["bits"])), []).append(row)
    mean = {
        cell: {name: statistics.mean(float(row[name]) for row in found) for name in ("compression", "validation")}
        for cell, found in cells.items()
    }
    least = mean[1.0, 0]["validation"] - ALLOWED
    chosen = max((cell for cell in cells if mean[cell]["validation"] >= least), key=lambda c: mean[c]["compression"])
    heads = ["weights kept", *(f"{bits} bits" if bits else "not shared" for bits in BITS)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for keep in KEEP:
        line = [f"{100 * keep:g} %"]
        for bits in BITS:
            tested = rows.mean_std([float(row["test"]) for row in cells[keep, bits]])
            line.append(f"{mean[keep, bits]['compression']:.1f}×, {tested}")
        lines.append("| " + " | ".join(line) + " |")
    paired = [float(a["test"]) - float(b["test"]) for a, b in zip(cells[chosen], cells[1.0, 0], strict=True)]
    said = f"{statistics.mean(paired):+.2f} ± {statistics.stdev(paired) / len(paired) ** 0.5:.2f} points on test"
    keep, bits = chosen
    return "\n".join(lines) + (
        f"\n\nChosen on validation: {100 * keep:g} % of the weights, {bits} bits: "
        f"{mean[chosen]['compression']:.1f}×, {said} beside the dense network ({len(paired)} seeds).\n"
    )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    if given.what == "run":
        done = {int(row["seed"]) for row in rows.read(ROWS)}
        for seed in given.seeds:
            if seed not in done:
                run(seed)
    ROWS.with_suffix(".md").write_text(table(), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
