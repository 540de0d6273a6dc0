"""MetaPruning against uniform widths, both trained from scratch, on glyphs (MetaPruning paper, Tables 1 to 3).

    python benchmarks/meta_pruning.py run [--seeds 0,1] [--macs 0.5,0.25]   # resumable: finished rows are not run again
    python benchmarks/meta_pruning.py smoke                                 # all stages in minutes; its rows are shown
    python benchmarks/meta_pruning.py table                                 # writes the table from the rows

ResNet-20 on the 10,000-image set at 16×16, a quarter of the multiply–adds of 32×32. Of each seed one PruningNet is
trained (16 epochs), which serves all budgets; evolution (10 generations of 20) judges candidates on validation images
with BatchNorm statistics taken anew from 1,000 training images; the best widths are trained from scratch (16 epochs),
and so are uniform widths of the same multiply–adds. Other than in the paper the PruningNet begins as the shipped
checkpoint, its channels sorted by L1: from scratch it does not leave chance in so few epochs. A third row for each,
`searched-without-training`: the widths that `kp.recipes.search_plan` finds on the shipped checkpoint by reconstruction,
on the 32×32 that it has learnt, trained from scratch alike. Test accuracy is taken once, at the end.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rows import append, mean_std, read

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "meta_pruning.csv"
FIELDS = ("method", "macs", "seed", "kept", "score", "validation", "test", "widths", "seconds")
METHODS = ("uniform", "meta-pruning", "searched-without-training")
WORK = Path(os.environ.get("META_PRUNING_WORK", "runs/meta_pruning"))
RATE, NET_RATE, L2, BATCH, SIDE, CHECKPOINT_SIDE = 0.1, 0.003, 1e-4, 64, 16, 32


@dataclass(frozen=True)
class Scale:
    """How much is computed."""

    net_epochs: int = 16
    epochs: int = 16
    hidden: int = 32
    population: int = 20
    generations: int = 10
    steps: int | None = None  # of an epoch
    validation: int | None = None  # batches
    delta: float = 0.005

    @property
    def evolution(self):
        """The search."""
        from kerasprune.recipes.search import Evolution

        half = self.population // 2
        return Evolution(self.population, self.population // 4, half, half, self.generations)


SMOKE = Scale(net_epochs=1, epochs=1, hidden=4, population=4, generations=2, steps=2, validation=1, delta=0.05)


def images(split: str, seed: int = 0, scale: Scale = Scale(), side: int = SIDE):  # noqa: B008
    """Returns batches of a split; those of training augmented."""
    import kerasprune as kp

    if split == "train":
        return kp.data.load("glyphs/small", size=side, batch=BATCH, augment="crop", seed=seed)
    found = kp.data.load("glyphs/small", size=side, batch=500, split=split)
    return found if scale.validation is None else found.take(scale.validation)


def accuracy(model, data) -> float:
    """Returns the accuracy in percent, computed eagerly: candidates are of many shapes."""
    import numpy as np

    right = [np.asarray(model(x, training=False)).argmax(axis=1) == np.asarray(y) for x, y in data]
    return 100 * float(np.concatenate(right).mean())


def fit(model, rate: float, epochs: int, seed: int, scale: Scale) -> None:
    """Trains a PruningNet or a slim model."""
    import keras

    keras.utils.set_random_seed(seed)
    train = images("train", seed)
    steps = scale.steps or len(train)
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    for variable in model.trainable_variables:
        if "kernel" in variable.name:
            variable.regularizer = keras.regularizers.L2(L2 / 2)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(train.repeat(), epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)


def architecture():
    """Returns the network of the shipped checkpoint."""
    import keras

    import kerasprune as kp

    path = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    return keras.models.load_model(path, compile=False)


def searched(method: str, macs: float, seed: int, scale: Scale):
    """Returns a plan and the score of the search that found it."""
    import kerasprune as kp

    model = architecture()
    if method == "uniform":
        return kp.plan(model, macs=macs, round_to=1, size=SIDE), ""
    if method == "searched-without-training":
        plain = images("train", side=CHECKPOINT_SIDE).map(lambda x, y: x)
        how = {"evolution": scale.evolution, "delta": scale.delta, "samples": 256, "seed": seed}
        found = kp.recipes.search_plan(model, plain, macs=macs, **how)
        return found.plan, found.score
    validation = list(images("validation", scale=scale))
    found = kp.papers.search_widths(
        pruning_net(model, seed, scale),
        lambda candidate: accuracy(candidate, validation),
        macs=macs,
        data=images("train").map(lambda x, y: x),
        evolution=scale.evolution,
        delta=scale.delta,
        seed=seed,
        verbose=1,
    )
    return found.plan, found.score


def pruning_net(model, seed: int, scale: Scale):
    """Returns the PruningNet of a seed, trained once for all budgets."""
    import kerasprune as kp

    scores = kp.criteria.get("l1").score(kp.trace(model))
    graph = kp.trace(kp.surgery.reorder(model, scores), size=SIDE)
    net = kp.papers.pruning_nets.PruningNet(graph, hidden=scale.hidden, seed=seed)
    weights = WORK / f"seed-{seed}-{scale.net_epochs}.weights.h5"
    if weights.exists():
        net.load_weights(weights)
    else:
        fit(net, NET_RATE, scale.net_epochs, seed, scale)
        weights.parent.mkdir(parents=True, exist_ok=True)
        net.save_weights(weights)
    return net


def one_run(method: str, macs: float, seed: int, scale: Scale) -> dict:
    """Returns the row of one cell: widths found, then trained from scratch."""
    import kerasprune as kp

    began = time.time()
    plan, score = searched(method, macs, seed, scale)
    graph = kp.trace(architecture(), size=SIDE)
    slim = kp.surgery.reinitialise(kp.rebuild(graph, plan), seed=seed)
    fit(slim, RATE, scale.epochs, seed, scale)
    return {
        "method": method,
        "macs": macs,
        "seed": seed,
        "kept": round(kp.cost(graph, plan).macs / kp.cost(graph).macs, 4),
        "score": score,
        "validation": accuracy(slim, images("validation", scale=scale)),
        "test": accuracy(slim, images("test", scale=scale)),
        "widths": " ".join(str(len(kept)) for kept in plan.keep.values()),
        "seconds": round(time.time() - began),
    }


def run(seeds: list[int], budgets: list[float]) -> None:
    """Runs the cells that have no row yet."""
    for seed in seeds:
        for macs in budgets:
            for method in METHODS:
                done = {(row["method"], float(row["macs"]), int(row["seed"])) for row in read(ROWS)}
                if (method, macs, seed) not in done:
                    row = one_run(method, macs, seed, Scale())
                    append(ROWS, FIELDS, [row])
                    print(row, flush=True)
    table()


def table() -> None:
    """Writes the table."""
    found = read(ROWS)
    budgets = sorted({float(row["macs"]) for row in found}, reverse=True)
    lines = [f"| widths | {' | '.join(f'MACs {macs:g}' for macs in budgets)} |", "|---" * (len(budgets) + 1) + "|"]
    for method in METHODS:
        cells = []
        for macs in budgets:
            here = [float(row["test"]) for row in found if row["method"] == method and float(row["macs"]) == macs]
            cells.append(f"{mean_std(here)} (n={len(here)})")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    text = (
        "Test accuracy (%), ResNet-20 on glyphs of 16×16, all trained from scratch for 16 epochs.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    (RESULTS / "meta_pruning.md").write_text(text)


def numbers(name: str, default: str) -> list[str]:
    """Returns the values of an option."""
    arguments = sys.argv[2:]
    return (arguments[arguments.index(name) + 1] if name in arguments else default).split(",")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run([int(each) for each in numbers("--seeds", "0,1")], [float(each) for each in numbers("--macs", "0.5,0.25")])
    elif sys.argv[1:2] == ["smoke"]:
        for each in METHODS:
            print(one_run(each, 0.5, 0, SMOKE), flush=True)
    elif sys.argv[1:2] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
