"""Deep Compression: pruned, shared and trained, packed, and the bytes of the file.

    python benchmarks/deep_compression.py run lenet_300_100 [resnet20] [--seeds 0 1 2]    # resumable
    python benchmarks/deep_compression.py parts [--seeds 0 1 2]                               # resumable
    python benchmarks/deep_compression.py table

LeNet-300-100 on `digits-500` at 28×28, one channel: a dense network (30 epochs of Adam) is pruned by magnitude within
20 of 30 further epochs, each kernel to the same fraction; then its weights are shared, trained for 10 epochs (SGD, a
rate of 1e-4, since the gradient of a centroid is a sum over hundreds of weights) and packed, the rest in half
precision. ResNet-20 on `glyphs/small`: the shipped checkpoint, pruned within two of four epochs (SGD with momentum,
0.01), then shared and trained for one epoch (1e-4). Tried before, one seed: a quarter of the weights after two epochs
is 15 times smaller, and three points behind on validation. Accuracy is that of the unpacked file.

Of LeNet's settings the smallest file is chosen whose validation accuracy, mean over the seeds, is at most half a point
below that of the dense networks. Rows: results/deep_compression.csv.

`parts` takes LeNet-300-100 apart, at 8 % of the weights and 6 bits: other files of the same networks (the `.keras` file
without optimizer and the int8 `.tflite` file, both in gzip), bits of codes and gaps next to their entropy (Fig. 5),
hidden layers factorised by SVD and trained as long as the pruned ones (Fig. 6), and the starts of k-means at 2 to 8
bits, before and after training. Rows: results/deep_compression_parts.csv.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import equal_epochs
import greg_schedules as protocol
import keras
import rows
from equal_epochs_grid import BEST, replace

import kerasprune as kp
from kerasprune.data.signature import signature_of
from kerasprune.export.parity import interpreted_function
from kerasprune.export.report import gzip_size
from kerasprune.models.sets.digits import digit_arrays
from kerasprune.papers.deep_compression.figures import factorised, symbol_bits

ROWS = Path(__file__).resolve().parent / "results" / "deep_compression.csv"
PARTS = ROWS.with_stem("deep_compression_parts")
OF_PARTS = ("part", "seed", "setting", "figure", "value", *rows.STAMP)
FIELDS = ("network", "seed", "keep", "bits", "bytes", "compression", "validation", "test", *rows.STAMP)
CELLS = {
    "lenet_300_100": ((1.0, 0.08, 0.05, 0.03, 0.02), (0, 6, 5, 4, 3, 2)),
    "resnet20": ((0.4, 0.3), (0, 4, 3)),
}
"""Fractions of the weights kept, and bits of a code, of every network; 1 and 0: neither pruned nor shared."""
BATCH, ALLOWED = 25, 0.5  # the latter in points of validation accuracy
KEEP, BITS = 0.08, 6
SHARES = (0.5, 0.25, 0.1, 0.05, 0.02)
"""Numbers of the factors of a kernel, as a fraction of its own."""


class Digits:
    """LeNet-300-100 on digits.

    Args:
        seed: Seed of the weights and of the order of the images.
    """

    prune_until, every = "20ep", 5

    def __init__(self, seed: int) -> None:

        keras.utils.set_random_seed(seed)
        self.model = kp.models.lenet_300_100(seed=seed)
        self.prune()

    def accuracy(self, model, split: str) -> float:
        """Returns the accuracy in per cent."""
        images, labels = self.arrays(split)
        return 100 * float((model.predict(images, verbose=0).argmax(-1) == labels).mean())

    def prune(self, *callbacks, model=None) -> None:
        """Trains the network, dense or while it is pruned, or another."""
        self._fit(keras.optimizers.Adam(1e-3), 30, callbacks, model)

    def share(self, *callbacks) -> None:
        """Trains the network while its weights are shared."""
        self._fit(keras.optimizers.SGD(1e-4), 10, callbacks)

    def _fit(self, optimizer, epochs: int, callbacks, model=None) -> None:
        model = model or self.model
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(*self.arrays("train"), BATCH, epochs, verbose=0, callbacks=list(callbacks))

    def arrays(self, split: str) -> tuple:
        """Returns images and labels."""
        return digit_arrays("digits-500", 28)[split]


class Glyphs:
    """ResNet-20 on glyphs, trained.

    Args:
        seed: Seed of the order of the images.
    """

    prune_until, every = "2ep", 20

    def __init__(self, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self._run = replace(BEST, testbed="resnet20", seed=seed)
        self.model = equal_epochs.dense_model(self._run, smoke=False)

    def accuracy(self, model, split: str) -> float:
        """Returns the accuracy in per cent."""
        return protocol.accuracy(model, equal_epochs.images(split, self._run))

    def prune(self, *callbacks) -> None:
        """Trains the network while it is pruned."""
        self._fit(0.01, 4, callbacks)

    def share(self, *callbacks) -> None:
        """Trains the network while its weights are shared; without the L2 term, which would be summed."""
        data = equal_epochs.images("train", self._run, first_epoch=4)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss)
        self.model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=list(callbacks))

    def _fit(self, rate: float, epochs: int, callbacks) -> None:
        data = equal_epochs.images("train", self._run)
        falling = keras.optimizers.schedules.CosineDecay(rate, epochs * len(data))
        protocol.fit(self.model, data, falling, epochs, list(callbacks))


TESTBEDS: dict[str, Callable] = {"lenet_300_100": Digits, "resnet20": Glyphs}


def packed(model, **options) -> tuple:
    """Returns the sizes of a packed model, and the model that the file holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.kpz"
        return kp.codec.pack(model, path, **options), kp.codec.unpack(path)


def run(network: str, seed: int) -> None:
    """Appends the rows of a network and a seed."""
    testbed, found = TESTBEDS[network](seed), []
    model, dense = testbed.model, testbed.model.get_weights()

    def note(keep: float, bits: int) -> None:
        table, unpacked = packed(model, bits={}, rest="float16" if bits else None)
        scores = {split: f"{testbed.accuracy(unpacked, split):.2f}" for split in ("validation", "test")}
        cell = {"network": network, "seed": seed, "keep": keep, "bits": bits, "bytes": table.bytes}
        found.append(cell | {"compression": f"{table.compression:.2f}"} | scores | rows.stamp("tensorflow"))
        print(found[-1], flush=True)

    fractions, all_bits = CELLS[network]
    if 1.0 not in fractions:
        note(1.0, 0)
    for keep in fractions:
        model.set_weights(dense)
        masks = {}
        if keep < 1:
            schedule = kp.schedules.cubic(keep, end=testbed.prune_until)
            pruning = kp.callbacks.GradualMagnitude(schedule, every=testbed.every, scope="layer")
            testbed.prune(pruning)
            masks = pruning.masks
        start = model.get_weights()
        for bits in all_bits:
            model.set_weights(start)
            if bits:
                holding = [kp.callbacks.HoldMask(masks)] if masks else []
                testbed.share(kp.callbacks.TrainedQuantization(bits), *holding)
            note(keep, bits)
    rows.append(ROWS, FIELDS, found)


def parts(seed: int) -> None:
    """Appends the rows of LeNet-300-100 taken apart, of a seed."""
    testbed, found, stamp = Digits(seed), [], rows.stamp("tensorflow", "ai-edge-litert")
    model, dense = testbed.model, testbed.model.get_weights()

    def note(part: str, setting: str, figures: dict[str, float]) -> None:
        about = {"part": part, "seed": seed, "setting": setting} | stamp
        found.extend(about | {"figure": name, "value": f"{value:.6g}"} for name, value in figures.items())
        print(part, setting, figures, flush=True)

    note("files", "dense", files(testbed, None))
    for share in SHARES:
        small = factorised(model, share)
        testbed.prune(model=small)
        size, unpacked = packed(small, bits={})
        compression = 4 * model.count_params() / size.bytes
        note("SVD", f"{100 * share:g} %", {"compression": compression, "test": testbed.accuracy(unpacked, "test")})
    testbed.share(kp.callbacks.TrainedQuantization(BITS))
    note("files", f"{BITS} bits", files(testbed, "float16"))
    model.set_weights(dense)
    schedule = kp.schedules.cubic(KEEP, end=testbed.prune_until)
    pruning = kp.callbacks.GradualMagnitude(schedule, every=testbed.every, scope="layer")
    testbed.prune(pruning)
    pruned = model.get_weights()
    note("files", f"{100 * KEEP:g} %", files(testbed, None))
    for bits in range(2, 9):
        before, after = {}, {}
        for start in ("linear", "density", "random"):
            model.set_weights(pruned)
            _, unpacked = packed(model, bits=bits, start=start, seed=seed)
            before[start] = testbed.accuracy(unpacked, "test")
            sharing = kp.callbacks.TrainedQuantization(bits, start=start, seed=seed)
            testbed.share(sharing, kp.callbacks.HoldMask(pruning.masks))
            after[f"{start}, trained"] = testbed.accuracy(model, "test")
            if (start, bits) == ("linear", BITS):
                note("files", f"{100 * KEEP:g} %, {BITS} bits", files(testbed, "float16"))
                for name, figures in symbol_bits(model).items():
                    note("bits", name, figures)
        note("starts", f"{bits} bits", before | after)
    rows.append(PARTS, OF_PARTS, found)


def files(testbed: Digits, rest: str | None) -> dict[str, float]:
    """Returns the bytes of the files of a network, and the test accuracy of two."""
    model, (images, labels) = testbed.model, testbed.arrays("test")
    table, unpacked = packed(model, bits={}, rest=rest)
    with tempfile.TemporaryDirectory() as folder:
        keras_file, int8 = Path(folder) / "model.keras", Path(folder) / "model.tflite"
        unpacked.save(keras_file)
        written = kp.export.tflite(model, int8, quantize="int8", data=testbed.arrays("train")[0])
        classes = interpreted_function(int8, model, signature_of(model))([images])[0].argmax(-1)
        size = {".kpz": table.bytes, ".keras.gz": gzip_size([keras_file]), "int8 .tflite.gz": written.gzip_bytes}
    return size | {"test": testbed.accuracy(unpacked, "test"), "int8 test": 100 * float((classes == labels).mean())}


def table() -> str:
    """Returns compression and test accuracy over what is kept and the bits, the setting chosen, and the parts."""
    return "\n".join([*map(_of_network, CELLS), *map(_of_part, ("files", "SVD", "bits", "starts"))])


def _of_part(part: str) -> str:
    cells: dict[str, dict[str, list[float]]] = {}
    for row in rows.read(PARTS):
        if row["part"] == part:
            cells.setdefault(row["setting"], {}).setdefault(row["figure"], []).append(float(row["value"]))
    names = list(dict.fromkeys(name for figures in cells.values() for name in figures))
    lines = [[part, *names], ["---"] * (1 + len(names))]
    for setting, figures in cells.items():
        digits = {name: 2 if part == "bits" else 1 - (max(figures.get(name, [0])) > 1000) for name in names}
        lines.append([setting, *(rows.mean_std(figures.get(name, []), digits[name]) for name in names)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _of_network(network: str) -> str:
    cells: dict[tuple[float, int], list[dict[str, str]]] = {}
    for row in rows.read(ROWS):
        if row["network"] == network:
            cells.setdefault((float(row["keep"]), int(row["bits"])), []).append(row)
    if not cells:
        return ""
    dense = cells[1.0, 0]
    all_bits = CELLS[network][1]
    heads = [network, *(f"{bits} bits" if bits else "not shared" for bits in all_bits)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for keep in dict.fromkeys(keep for keep, _ in cells):
        shown = [_shown(cells.get((keep, bits), []), dense) for bits in all_bits]
        lines.append("| " + " | ".join([f"{100 * keep:g} %", *shown]) + " |")
    said = f"Dense: {rows.mean_std([float(row['test']) for row in dense])} % on test, {len(dense)} seeds. "
    text = "\n".join(lines) + f"\n\n{said}In a cell: compression, points on test compared with it ± standard error.\n"
    return text + (_chosen(cells) if network == "lenet_300_100" else "")


def _shown(found: list[dict[str, str]], dense: list[dict[str, str]]) -> str:
    """Returns compression and the paired difference on test of a cell."""
    if not found:
        return "–"
    paired = [float(a["test"]) - float(b["test"]) for a, b in zip(found, dense, strict=True)]
    compression = statistics.mean(float(row["compression"]) for row in found)
    error = statistics.stdev(paired) / len(paired) ** 0.5 if len(paired) > 1 else float("nan")
    return f"{compression:.1f}×, {statistics.mean(paired):+.2f} ± {error:.2f}"


def _chosen(cells: dict[tuple[float, int], list[dict[str, str]]]) -> str:
    def mean(cell: tuple[float, int], name: str) -> float:
        return statistics.mean(float(row[name]) for row in cells[cell])

    least = mean((1.0, 0), "validation") - ALLOWED
    keep, bits = max((c for c in cells if mean(c, "validation") >= least), key=lambda c: mean(c, "compression"))
    return f"\nChosen on validation: {100 * keep:g} % of the weights, {bits} bits.\n"


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "parts", "table"))
    parser.add_argument("networks", nargs="*", default=["lenet_300_100"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    if given.what == "run":
        done = {(row["network"], int(row["seed"])) for row in rows.read(ROWS)}
        for network in given.networks:
            for seed in given.seeds:
                if (network, seed) not in done:
                    run(network, seed)
    if given.what == "parts":
        for seed in {*given.seeds} - {int(row["seed"]) for row in rows.read(PARTS)}:
            parts(seed)
    ROWS.with_suffix(".md").write_text(table(), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
