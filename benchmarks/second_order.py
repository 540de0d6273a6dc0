"""What do second derivatives know of removing weights? Loss over the weights kept, at a minimum on digits.

    python benchmarks/second_order.py run      # resumable: seeds that are there are not computed again
    python benchmarks/second_order.py table    # writes the table from the rows

64–16–10 network with tanh (1,184 weights in kernels), and LeNet-300-100 (50,200), which is too large for exact second
derivatives; squared error on 1,000 digits of 8×8, by L-BFGS on all of them until the gradient is 1e-3 of the first.
Weights are removed at once and not trained afterwards; OBS changes the others.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from rows import append, read, spread, stamp

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "second_order.csv"
FIELDS = ("network", "seed", "criterion", "keep", "loss", "gradient_norm", "runtime", "machine", "commit", "date")
KEEP = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
SMALL = "64–16–10"
SHOWN = {SMALL: (0.9, 0.7, 0.5, 0.3), "LeNet-300-100": (0.7, 0.5, 0.3, 0.2)}
SEEDS = range(5)
EXACT = {"name": "exact", "most": 5000, "damping": 1e-2}
CRITERIA = {
    "OBS, exact": {"name": "obs", "inverse": EXACT},
    "OBS, Fisher by kernel": "obs",
    "block Fisher": "block_fisher",
    "OBD, exact": {"name": "obd", "curvature": "exact"},
    "OBD, empirical Fisher": "obd",
    "magnitude": "l1",
    "random": "random",
}


def built(name: str, seed: int):
    """Returns a network at initialisation."""
    import keras

    import kerasprune as kp

    keras.utils.set_random_seed(seed)
    if name == "LeNet-300-100":
        return kp.models.lenet_300_100(input_shape=(8, 8, 1), seed=seed)
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(10)])


def run(name: str, seed: int) -> list[dict]:
    """Returns the rows of a network and a seed."""
    import numpy as np
    from sklearn.datasets import load_digits

    import kerasprune as kp

    images, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(images))[:1000]
    model = built(name, seed)
    x = (images[chosen] / 16).astype("float32").reshape(-1, *model.input_shape[1:])
    data = [(x, np.eye(10, dtype="float32")[labels[chosen]])]
    criteria = {key: each for key, each in CRITERIA.items() if name == SMALL or "exact" not in key}
    best = kp.analysis.to_minimum(model, data, steps=20_000, precision="float64", loss="mse")
    found = kp.analysis.removal_curve(best, list(criteria.values()), data, keep=KEEP, loss="mse", seed=seed)
    about = {"network": name, "seed": seed, "gradient_norm": found.gradient_norm} | stamp("keras", "tensorflow")
    rows = [about | {"criterion": "none", "keep": 1.0, "loss": found.loss}]
    for key, losses in zip(criteria, found.losses.values(), strict=True):
        rows += [about | {"criterion": key, "keep": k, "loss": e} for k, e in zip(KEEP, losses, strict=True)]
    return rows


def main() -> None:
    """Computes the seeds that are missing."""
    done = {(row["network"], int(row["seed"])) for row in read(ROWS)}
    for name in SHOWN:
        for seed in SEEDS:
            if (name, seed) not in done:
                append(ROWS, FIELDS, run(name, seed))
                print(name, seed, flush=True)


def table() -> None:
    """Writes results/second_order.md: median [lowest, highest] of the seeds."""
    losses = defaultdict(list)
    for row in read(ROWS):
        losses[row["network"], row["criterion"], float(row["keep"])].append(float(row["loss"]))
    lines = []
    for network, shown in SHOWN.items():
        heads = " | ".join(f"{keep:.0%} kept" for keep in shown)
        lines += ["", f"| {network}: loss | {heads} |", "|---" * (len(shown) + 1) + "|"]
        for name in CRITERIA:
            if (network, name, shown[0]) in losses:
                cells = (spread(losses[network, name, keep]) for keep in shown)
                lines.append(f"| {name} | {' | '.join(cells)} |")
        whole = losses[network, "none", 1.0]
        lines += ["", f"With all weights: {spread(whole)}; {len(whole)} seeds."]
    (RESULTS / "second_order.md").write_text("\n".join(lines[1:]) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table()
    else:
        main()
