"""What the default `round_to="auto"` changes beside `round_to=1`, at half of the multiply–adds: time and accuracy.

    python benchmarks/round_to.py times [--rounds 5] [--runs 20]   # LiteRT, one thread; wants quiet cores
    python benchmarks/round_to.py run [--seeds 0 1 2] [--networks resnet20 mobilenet]

`times` opens the files of a network, both precisions, in one process and times them in turn; of every round the median,
of the rounds the median of the ratios. `run` trains the slim networks for four epochs on glyphs, reconstructed and
taught by the dense network, as `equal_epochs.py` does; test accuracy is taken once, at the end. The table of
docs/latency.md is written by `python benchmarks/summary.py`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import equal_epochs
import equal_time
import greg_schedules as protocol
import latency
import rows
from equal_epochs_grid import BEST, TESTBEDS, replace

HERE = Path(__file__).parent
TIMES, ACCURACIES = HERE / "results" / "round_to.csv", HERE / "results" / "round_to_accuracy.csv"
OF_TIMES = ("network", "precision", "round_to", "macs", "milliseconds", "ratio", "lowest", "highest", *rows.STAMP)
OF_ACCURACIES = ("network", "round_to", "seed", "macs", "validation", "test", *rows.STAMP)
WAYS = (1, "auto")
HALF = 0.5


def graph_of(network: str, fresh: bool):
    """Returns the graph of a network, counted at the side at which it is timed.

    One that is only timed may have fresh weights: neither the widths of the uniform budget nor the time depend on them.
    """
    import kerasprune as kp

    if network in TESTBEDS:
        model, size = equal_epochs.dense_model(replace(BEST, testbed=network), smoke=fresh), protocol.SIZE
    else:
        model, size = kp.models.get(latency.NETWORKS["ResNet-50"]), None
    return kp.trace(model, size=size if None in model.input_shape[1:] else None)


def plans_of(graph) -> dict:
    """Returns the plans of half of the multiply–adds, and the share that each keeps."""
    import kerasprune as kp

    plans = {way: kp.plan(graph, "l1", macs=HALF, round_to=way) for way in WAYS}
    return {way: (plan, kp.cost(graph, plan).macs / kp.cost(graph).macs) for way, plan in plans.items()}


def time_all(given: argparse.Namespace) -> None:
    """Times the files of every network, and writes the rows in place of those of an earlier run."""
    import keras
    import numpy as np

    import kerasprune as kp

    found = []
    for network in (*TESTBEDS, "resnet50"):
        keras.utils.set_random_seed(0)
        graph = graph_of(network, fresh=True)
        plans = plans_of(graph)
        side = protocol.SIZE if network in TESTBEDS else 224
        data = np.random.default_rng(0).normal(size=(latency.CALIBRATED, side, side, 3)).astype("float32")
        with tempfile.TemporaryDirectory() as folder:
            files = {}
            for way, (plan, _) in plans.items():
                for precision, quantize in latency.PRECISIONS.items():
                    files[precision, way] = path = Path(folder) / f"{way}_{precision}.tflite"
                    kp.export.tflite(kp.rebuild(graph, plan), path, quantize=quantize, data=data)
            times = latency.measured(files, given.rounds, given.runs)
        for (precision, way), each in times.items():
            ratios = [now / one for now, one in zip(each, times[precision, 1], strict=True)]
            shown = (statistics.median(ratios), min(ratios), max(ratios))
            row = {"network": network, "precision": precision, "round_to": way, "macs": f"{plans[way][1]:.4f}"}
            row |= {"milliseconds": f"{statistics.median(each):.4g}"}
            row |= dict(zip(("ratio", "lowest", "highest"), (f"{value:.3f}" for value in shown), strict=True))
            found.append(row | rows.stamp("ai-edge-litert"))
            print(*row.values(), sep="\t", flush=True)
    rows.write(TIMES, OF_TIMES, found)


def train_all(given: argparse.Namespace) -> None:
    """Trains what has no row yet."""
    done = {(row["network"], row["round_to"], int(row["seed"])) for row in rows.read(ACCURACIES)}
    for seed in given.seeds:
        for network in given.networks:
            for way, (plan, share) in plans_of(graph_of(network, fresh=False)).items():
                if (network, str(way), seed) not in done:
                    row = {"network": network, "round_to": way, "seed": seed, "macs": f"{share:.4f}"}
                    row |= equal_time.trained(network, plan, seed) | rows.stamp("tensorflow")
                    rows.append(ACCURACIES, OF_ACCURACIES, [row])
                    print(row, flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("times", "run"))
    parser.add_argument("--networks", nargs="*", default=list(TESTBEDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20, help="timed inferences of every file in a round")
    given = parser.parse_args()
    {"times": time_all, "run": train_all}[given.what](given)


if __name__ == "__main__":
    main()
