"""How much of its units does a network need? ε of dropout stability by how the network was trained, on digits.

    python benchmarks/dropout_stability.py run      # resumable: rows that are there are not computed again
    python benchmarks/dropout_stability.py table    # writes the table from the rows

64–32–32–32–10 network with BatchNorm and relu, 1,000 digits of 8×8, 2,000 steps of 100 images by SGD at 0.1, falling to
0 as a cosine, and momentum 0.9. ε is that of Definition 1 on the training loss, by greedy and 20 random choices.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from rows import append, mean_std, read, spread, stamp

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "dropout_stability.csv"
FIELDS = ("network", "seed", "units", "loss", "test_error", "epsilon", "factor", "runtime", "machine", "commit", "date")
WIDTH, DEPTH, EXAMPLES, BATCH, EPOCHS = 32, 3, 1000, 100, 200
HOW = {
    "dense": "as it is",
    "dropout": "dropout of ½ after every hidden layer",
    "GReg-1": "half of the units pushed to zero by a growing penalty, not removed",
    "polarised": "scales of BatchNorm driven to 0 or away from it, none removed",
    "pruned": "half of the units of the dense one removed by magnitude, then trained again",
    "dense, half as wide": "as it is",
}
SEEDS = range(3)


def examples():
    """Returns training and test images."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x, y = (images[order] / 16).astype("float32"), labels[order].astype("int32")
    return (x[:EXAMPLES], y[:EXAMPLES]), (x[EXAMPLES:], y[EXAMPLES:])


def network(width: int, dropout: float = 0.0):
    """Returns a network."""
    import keras

    layers = [keras.Input((64,))]
    for _ in range(DEPTH):
        layers += [keras.layers.Dense(width, use_bias=False), keras.layers.BatchNormalization(), keras.layers.ReLU()]
        layers += [keras.layers.Dropout(dropout)] if dropout else []
    return keras.Sequential([*layers, keras.layers.Dense(10)])


def trained(model, seed: int, callbacks=(), epochs: int = EPOCHS):
    """Returns the model, trained in place."""
    import keras

    (x, y), _ = examples()
    keras.utils.set_random_seed(seed)
    rate = keras.optimizers.schedules.CosineDecay(0.1, epochs * len(x) // BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def made(name: str, seed: int):
    """Returns the trained network of a name."""
    import keras

    import kerasprune as kp

    keras.utils.set_random_seed(seed)
    if name == "dense, half as wide":
        return trained(network(WIDTH // 2), seed)
    model = network(WIDTH, 0.5 if name == "dropout" else 0.0)
    if name == "GReg-1":
        # γ and β are pushed: BatchNorm would undo the shrinking of a kernel.
        growth = kp.schedules.GeometricGrowth(steps=EPOCHS * EXAMPLES // BATCH // 2)
        return trained(model, seed, [kp.callbacks.GReg1(keep=0.5, schedule=growth, granularity="scale")])
    if name == "polarised":
        return trained(model, seed, [kp.callbacks.Polarization(1e-3, t=1.2)])
    model = trained(model, seed)
    if name == "pruned":
        return trained(kp.rebuild(model, kp.plan(model, "l1", keep=0.5)), seed)
    return model


def run(name: str, seed: int) -> dict:
    """Returns the row of a network."""
    import numpy as np

    import kerasprune as kp

    model = made(name, seed)
    training, test = examples()
    found = kp.analysis.dropout_stability(model, [training], seed=seed)
    error = 1 - model.evaluate(*test, batch_size=len(test[0]), verbose=0, return_dict=True)["accuracy"]
    graph = kp.trace(model)
    units = sum(graph.groups[each].size for each in graph.prunable)
    figures = {"loss": found.loss, "test_error": error, "epsilon": found.epsilon, "factor": found.factor}
    rounded = {key: float(np.format_float_positional(value, 5, fractional=False)) for key, value in figures.items()}
    return {"network": name, "seed": seed, "units": units, **rounded}


def main() -> None:
    """Computes the rows that are missing."""
    done = {(row["network"], int(row["seed"])) for row in read(ROWS)}
    for seed in SEEDS:
        for name in HOW:
            if (name, seed) not in done:
                found = run(name, seed)
                append(ROWS, FIELDS, [found | stamp("keras", "tensorflow")])
                print(found, flush=True)


def table() -> None:
    """Writes results/dropout_stability.md."""
    groups = defaultdict(list)
    for row in read(ROWS):
        groups[row["network"]].append(row)
    lines = ["| network | how | training loss | ε, median [lowest, highest] | test error % |", "|---" * 5 + "|"]
    for name, how in HOW.items():
        of = {key: [float(row[key]) for row in groups[name]] for key in ("loss", "epsilon", "test_error")}
        errors = mean_std([100 * each for each in of["test_error"]])
        lines.append(f"| {name} | {how} | {spread(of['loss'])} | {spread(of['epsilon'])} | {errors} |")
    (RESULTS / "dropout_stability.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table()
    else:
        main()
