"""Deep Compression: pruned, shared and trained, packed, and the bytes of the file.

    python benchmarks/deep_compression.py run lenet_300_100 [resnet20] [--seeds 0 1 2]    # resumable
    python benchmarks/deep_compression.py table

LeNet-300-100 on `digits-500` at 28×28, one channel: a dense network (30 epochs of Adam) is pruned by magnitude within
20 of 30 further epochs, each kernel to the same fraction; then its weights are shared, trained for 10 epochs (SGD, a
rate of 1e-4, since the gradient of a centroid is a sum over hundreds of weights) and packed, the rest in half
precision. ResNet-20 on `glyphs/small`: the shipped checkpoint, pruned within two of four epochs (SGD with momentum,
0.01), then shared and trained for one epoch (1e-4). Tried before, one seed: a quarter of the weights after two epochs
is 15 times smaller, and three points behind on validation. Accuracy is that of the unpacked file.

Of LeNet's settings the smallest file is chosen whose validation accuracy, mean over the seeds, is at most half a point
below that of the dense networks. Rows: results/deep_compression.csv.
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
import rows
from equal_epochs_grid import BEST, replace

ROWS = Path(__file__).resolve().parent / "results" / "deep_compression.csv"
FIELDS = ("network", "seed", "keep", "bits", "bytes", "compression", "validation", "test", *rows.STAMP)
CELLS = {
    "lenet_300_100": ((1.0, 0.08, 0.05, 0.03, 0.02), (0, 6, 5, 4, 3, 2)),
    "resnet20": ((0.4, 0.3), (0, 4, 3)),
}
"""Fractions of the weights kept, and bits of a code, of every network; 1 and 0: neither pruned nor shared."""
BATCH, ALLOWED = 25, 0.5  # the latter in points of validation accuracy


class Digits:
    """LeNet-300-100 on digits.

    Args:
        seed: Seed of the weights and of the order of the images.
    """

    prune_until, every = "20ep", 5

    def __init__(self, seed: int) -> None:
        import keras

        import kerasprune as kp

        keras.utils.set_random_seed(seed)
        self.model = kp.models.lenet_300_100(seed=seed)
        self.prune()

    def accuracy(self, model, split: str) -> float:
        """Returns the accuracy in per cent."""
        images, labels = self._arrays(split)
        return 100 * float((model.predict(images, verbose=0).argmax(-1) == labels).mean())

    def prune(self, *callbacks) -> None:
        """Trains the network, dense or while it is pruned."""
        import keras

        self._fit(keras.optimizers.Adam(1e-3), 30, callbacks)

    def share(self, *callbacks) -> None:
        """Trains the network while its weights are shared."""
        import keras

        self._fit(keras.optimizers.SGD(1e-4), 10, callbacks)

    def _fit(self, optimizer, epochs: int, callbacks) -> None:
        import keras

        self.model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        self.model.fit(*self._arrays("train"), BATCH, epochs, verbose=0, callbacks=list(callbacks))

    def _arrays(self, split: str) -> tuple:
        from kerasprune.data.digits import digit_arrays

        return digit_arrays("digits-500", 28)[split]


class Glyphs:
    """ResNet-20 on glyphs, trained.

    Args:
        seed: Seed of the order of the images.
    """

    prune_until, every = "2ep", 20

    def __init__(self, seed: int) -> None:
        import keras

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
        import keras

        data = equal_epochs.images("train", self._run, first_epoch=4)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), loss)
        self.model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=list(callbacks))

    def _fit(self, rate: float, epochs: int, callbacks) -> None:
        import keras

        data = equal_epochs.images("train", self._run)
        falling = keras.optimizers.schedules.CosineDecay(rate, epochs * len(data))
        protocol.fit(self.model, data, falling, epochs, list(callbacks))


TESTBEDS: dict[str, Callable] = {"lenet_300_100": Digits, "resnet20": Glyphs}


def run(network: str, seed: int) -> None:
    """Appends the rows of a network and a seed."""
    import kerasprune as kp

    testbed, found = TESTBEDS[network](seed), []
    model, dense = testbed.model, testbed.model.get_weights()

    def note(keep: float, bits: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.kpz"
            table = kp.codec.pack(model, path, bits={}, rest="float16" if bits else None)
            unpacked = kp.codec.unpack(path)
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


def table() -> str:
    """Returns compression and test accuracy over what is kept and the bits, and the setting that is chosen."""
    return "\n".join(_of_network(network) for network in CELLS)


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
    text = "\n".join(lines) + f"\n\n{said}In a cell: compression, points on test beside it ± standard error.\n"
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
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("networks", nargs="*", default=["lenet_300_100"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    if given.what == "run":
        done = {(row["network"], int(row["seed"])) for row in rows.read(ROWS)}
        for network in given.networks:
            for seed in given.seeds:
                if (network, seed) not in done:
                    run(network, seed)
    ROWS.with_suffix(".md").write_text(table(), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
