"""How well a latency table predicts: plans of .2 to 1 of the multiply–adds, and ten random ones at a half.

    python benchmarks/latency_table.py [resnet20|mobilenet|resnet50 …] [--precisions float32 int8]

One row for each plan: the milliseconds that `kp.latency.profile` predicts, and those measured, all plans in turn,
twice: the second measurement gives the noise. Wants two quiet cores. The table of docs/latency.md is written from
results/latency_table.csv by `python benchmarks/summary.py`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import rows

ROWS = Path(__file__).parent / "results" / "latency_table.csv"
FIELDS = ("network", "precision", "plan", "macs", "predicted", "measured", "again", "points", "seconds", *rows.STAMP)
NETWORKS = {
    "resnet20": {"name": "resnet_cifar", "depth": 20, "input_shape": (32, 32, 3)},
    "mobilenet": {"name": "mobilenet_v2", "input_shape": (224, 224, 3)},
    "resnet50": {"name": "resnet_imagenet", "depth": 50, "input_shape": (128, 128, 3)},
}
PLANS, RANDOM = 30, 10


def plans(model) -> dict[str, object]:
    """Returns plans by name: uniform widths, their channels at random, and random widths at half of the MACs."""
    import kerasprune as kp

    found = {}
    for number, share in enumerate(np.linspace(0.2, 1.0, PLANS)):
        target = {"macs": float(share)} if share < 1 else {"keep": 1.0}
        found[f"even_{number}"] = kp.plan(model, "random", "global", seed=number, round_to=1, **target)
    graph = kp.trace(model)
    generator = np.random.default_rng(0)
    while len(found) < PLANS + RANDOM:
        widths = {name: generator.uniform(0.3, 1.0) for name in graph.prunable}
        keep = {name: range(max(1, round(widths[name] * g.size))) for name, g in graph.prunable.items()}
        plan = kp.Plan.of(graph, keep)
        if abs(kp.cost(graph, plan).macs / kp.cost(graph).macs - 0.5) < 0.02:
            found[f"random_{len(found) - PLANS}"] = plan
    return found


def run(network: str, precision: str) -> None:
    """Profiles a network, and compares predictions with measurements."""
    import keras

    import kerasprune as kp
    from kerasprune.export.latency.whole_networks import times_of

    keras.utils.set_random_seed(0)
    model = kp.models.get(NETWORKS[network])
    began = time.perf_counter()
    table = kp.latency.profile(model, precision=precision)
    seconds = round(time.perf_counter() - began)
    graph, asked = kp.trace(model), plans(model)
    measured = [times_of(graph, list(asked.values()), precision, 1, rounds=20) for _ in range(2)]
    dense = kp.cost(model).macs
    found = [
        {
            "network": network, "precision": precision, "plan": name,
            "macs": round(kp.cost(model, plan).macs / dense, 4), "predicted": f"{table.predict(graph, plan):.5g}",
            "measured": f"{first:.5g}", "again": f"{second:.5g}", "seconds": seconds,
            "points": sum(map(len, table.times.values())), **rows.stamp("ai-edge-litert"),
        }
        for (name, plan), first, second in zip(asked.items(), *measured, strict=True)
    ]  # fmt: skip
    rows.append(ROWS, FIELDS, found)


def main() -> None:
    """Runs what has no rows yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="+", default=["float32", "int8"])
    given = parser.parse_args()
    done = {(row["network"], row["precision"]) for row in rows.read(ROWS)}
    for network in given.networks:
        for precision in given.precisions:
            if (network, precision) not in done:
                run(network, precision)


if __name__ == "__main__":
    main()
