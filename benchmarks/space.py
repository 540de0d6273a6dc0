"""Pruning spaces of ResNet-20 on glyphs: what allocations of one cost lose, and what foretells it.

    python benchmarks/space.py run [N [EPOCHS [ROWS.csv]]]    # 20 allocations of each space, 2 epochs each; hours
    python benchmarks/space.py table [ROWS.csv]               # writes the table and the plots from the rows

Resumable: rows that are there are not run again. From the checkpoint of the package. At 0.25 of the multiply–adds the
spaces STD-0.1, STD-0.05 and STD-0.01, at 0.05 the space STD-0.05, and the uniform allocation at both; n = 100 is
`run 100`. Deviations are those of the built fractions; the first rows were drawn by the fractions asked for, and those
outside their space are left out of its line. Filters are removed by L2 norm at once. Three judges see each slim model
before training, on validation examples: right after removal, with BatchNorm recalibrated, with kernels reconstructed.
Then it is fine-tuned from its state right after removal: SGD, cosine from 0.01. Nothing is chosen by the test examples;
seconds are of the processor. After Section 3.1 of Network Pruning Spaces (arXiv 2304.09453).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from rows import append, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "space.csv"
JUDGES = ("removed", "recalibrated", "reconstructed")
MEASURES = ("macs", "params", "mcb", "std")
FIELDS = (
    *("regime", "space", "number", "epochs", *MEASURES),
    *(name for judge in JUDGES for name in (judge, f"{judge}_seconds")),
    *("validation", "test", "train_seconds", "keep"),
)
SPACES = ((0.25, 0.1), (0.25, 0.05), (0.25, 0.01), (0.05, 0.05))
NUMBER, EPOCHS = 20, 2
SIZE, BATCH, SAMPLES, L2 = 32, 128, 1000, 1e-4
BEST = 10


def main(number: int = NUMBER, epochs: int = EPOCHS, path: Path = ROWS) -> None:
    """Runs the allocations that have no rows yet, those of all spaces in turn."""
    import keras

    import kerasprune as kp
    from kerasprune.recipes.library import FOLDER

    dense = keras.models.load_model(FOLDER / "checkpoints" / "glyphs-base.keras")
    graph = kp.trace(dense, size=SIZE)
    space = kp.papers.spaces.Space(graph)
    looks = {split: kp.data.load("glyphs/small", size=SIZE, batch=500, split=split) for split in ("validation", "test")}
    data = {split: examples.cache() for split, examples in looks.items()}  # drawn once
    calibration = calibration_images()
    if not read(path):
        whole = {split: round(accuracy(dense, examples), 4) for split, examples in data.items()}
        write(path, {"regime": 1.0, "space": "dense", "number": 0, "epochs": 0} | whole)
    for regime, name, index, allocations in cells(graph, number):
        if (f"{regime:g}", name, str(index), str(epochs)) in done(path):
            continue
        keep = allocations.channels[index] / [group.size for group in graph.prunable.values()]
        row = {"regime": f"{regime:g}", "space": name, "number": index, "epochs": epochs}
        row |= {key: round(float(values[0]), 6) for key, values in space.measures(keep[None]).items()}
        row |= judged(graph, allocations.plan(index), calibration, data["validation"])
        slim = kp.rebuild(graph, allocations.plan(index))
        began = time.process_time()
        train(slim, epochs, seed=100 + index)
        row["train_seconds"] = round(time.process_time() - began, 1)
        row |= {split: round(accuracy(slim, examples), 4) for split, examples in data.items()}
        write(path, row | {"keep": ";".join(f"{each:.6f}" for each in keep)})
        keras.backend.clear_session()


def cells(graph, number: int) -> list[tuple]:
    """Returns regime, space, number, allocations of all candidates: the baselines, then of all spaces by turns."""
    import kerasprune as kp

    drawn = {
        (regime, f"STD-{std:g}"): kp.papers.spaces.sample(
            kp.papers.spaces.Space(graph, macs=regime, std=std), n=number, seed=0
        )
        for regime, std in SPACES
    }
    found = [(regime, "uniform", 0, uniform(graph, regime)) for regime in dict.fromkeys(r for r, _ in SPACES)]
    return found + [(*key, index, allocations) for index in range(number) for key, allocations in drawn.items()]


def uniform(graph, macs: float):
    """Returns the allocation that keeps the same of all groups, as nearly as whole channels meet the cost."""
    import kerasprune as kp

    keep = kp.plan(graph, "l2", macs=macs, round_to=1).keep
    return kp.papers.spaces.Allocations(
        graph, [[len(keep[name]) / group.size for name, group in graph.prunable.items()]]
    )


def judged(graph, plan, calibration, validation) -> dict[str, float]:
    """Returns the accuracy that each judge sees, and the processor seconds that it takes."""
    import kerasprune as kp

    ways = {
        "removed": lambda slim: slim,
        "recalibrated": lambda slim: kp.recalibrate(slim, calibration, samples=SAMPLES),
        "reconstructed": lambda slim: kp.reconstruct(slim, graph.model, plan, calibration, samples=SAMPLES),
    }
    found = {}
    for name, ready in ways.items():
        began = time.process_time()
        found[name] = round(accuracy(ready(kp.rebuild(graph, plan)), validation), 4)
        found[f"{name}_seconds"] = round(time.process_time() - began, 1)
    return found


def calibration_images():
    """Returns training images as they are."""
    import numpy as np

    import kerasprune as kp

    batches = kp.data.load("glyphs/small", size=SIZE, batch=BATCH).take(-(-SAMPLES // BATCH))
    return np.concatenate([images for images, _ in batches.as_numpy_iterator()])[:SAMPLES]


def train(model, epochs: int, seed: int) -> None:
    """Fine-tunes with SGD, momentum 0.9, weight decay on everything, and a cosine from 0.01."""
    import keras

    import kerasprune as kp
    from kerasprune.recipes.fit import weight_decay

    keras.utils.set_random_seed(seed)
    data = kp.data.load("glyphs/small", size=SIZE, batch=BATCH, augment="crop", seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(0.01, epochs * len(data))
    with weight_decay(model, L2, "weights"):
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        model.fit(data, epochs=epochs, shuffle=False, verbose=0)


def accuracy(model, data) -> float:
    """Returns the accuracy."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"]


def done(path: Path) -> set[tuple[str, ...]]:
    """Returns which candidates have a row."""
    return {tuple(row[key] for key in ("regime", "space", "number", "epochs")) for row in read(path)}


def write(path: Path, row: dict) -> None:
    """Appends a row."""
    append(path, FIELDS, [row])
    print({key: value for key, value in row.items() if key != "keep"}, flush=True)


def table(path: Path = ROWS) -> None:
    """Writes the table and the plots beside the rows; drops are in points of test accuracy."""
    from kerasprune.papers.pruning_spaces.figures import UNIFORM, SpaceCandidate, regimes_of

    rows = read(path)
    dense = next((row for row in rows if row["space"] == "dense"), None)
    rows = [row for row in rows if row["space"] != "dense"]
    if dense is None or not rows:
        return

    def candidate(row: dict[str, str]) -> SpaceCandidate:
        drop = 100 * (float(dense["test"]) - float(row["test"]))
        measures = (float(row[measure]) for measure in MEASURES)
        keep = tuple(map(float, row["keep"].split(";")))
        return SpaceCandidate(f"macs {row['regime']}", row["space"], *measures, drop, keep)

    candidates = [candidate(row) for row in rows if inside(row)]
    lines = [
        "| MACs kept | space | n | drop: best | median | worst | better than uniform | mCB of all | mCB of the best |"
    ]
    lines += ["|---" * 9 + "|"]
    for regime in regimes_of(candidates):
        here = [one for one in candidates if one.regime == regime]
        base = next((one.drop for one in here if one.space == UNIFORM), float("nan"))
        for name in sorted({one.space for one in here}):
            own = sorted((one for one in here if one.space == name), key=lambda one: one.drop)
            drops = [one.drop for one in own]
            share = statistics.fmean(drop < base for drop in drops)
            cells = [f"{drops[0]:.2f}", f"{statistics.median(drops):.2f}", f"{drops[-1]:.2f}", f"{share:.0%}"]
            cells += [spread([one.mcb for one in own]), spread([one.mcb for one in own[:BEST]])]
            lines.append(f"| {regime.split()[1]} | {name} | {len(own)} | {' | '.join(cells)} |")
    epochs = "/".join(sorted({row["epochs"] for row in rows}))
    lines += [
        "",
        f"Points of test accuracy below the dense network's {100 * float(dense['test']):.2f} %, after {epochs}",
    ]
    lines[-1] += (
        f" epochs of fine-tuning; the best are the {BEST} of their space that lose least. Of the {len(rows)} rows"
    )
    lines[-1] += f" {len(candidates)} lie inside their space by the widths that were built, and are counted here."
    path.with_suffix(".md").write_text("\n".join([*lines, "", *foretold(rows)]) + "\n")
    plots(path, candidates)


def inside(row: dict[str, str]) -> bool:
    """Returns whether the built fractions of a row deviate no more than its space allows."""
    kind, _, std = row["space"].partition("-")
    return kind != "STD" or float(row["std"]) <= float(std)


def foretold(rows: list[dict[str, str]]) -> list[str]:
    """Returns the table of how well each judge, and the nearness of mCB to 1, foretell fine-tuned accuracy."""
    from scipy.stats import spearmanr

    lines = ["| MACs kept | judge before training | n | rank correlation with validation after | time / training's |"]
    lines += ["|---" * 5 + "|"]
    for regime in sorted({row["regime"] for row in rows}, key=float, reverse=True):
        here = [row for row in rows if row["regime"] == regime and row["space"] != "uniform"]
        truth = [float(row["validation"]) for row in here]
        training = statistics.fmean(float(row["train_seconds"]) for row in here)
        for judge in JUDGES:
            found = spearmanr([float(row[judge]) for row in here], truth).statistic
            cost = statistics.fmean(float(row[f"{judge}_seconds"]) for row in here) / training
            lines.append(f"| {regime} | {judge} | {len(here)} | {found:.2f} | {cost:.2f} |")
        for name, of in (
            ("\\|mCB − 1\\|", lambda row: -abs(float(row["mcb"]) - 1)),
            ("std", lambda row: -float(row["std"])),
        ):
            found = spearmanr([of(row) for row in here], truth).statistic
            lines.append(f"| {regime} | small {name} | {len(here)} | {found:.2f} | 0 |")
    return lines


def plots(path: Path, candidates: list) -> None:
    """Writes Figures 2, 3 and 5 of the paper as they come out here."""
    import keras
    import numpy as np

    import kerasprune as kp
    from kerasprune.papers.pruning_spaces import figures as pruning_spaces
    from kerasprune.recipes.library import FOLDER

    graph = kp.trace(keras.models.load_model(FOLDER / "checkpoints" / "glyphs-base.keras"), size=SIZE)
    line = kp.papers.spaces.Space(graph).measures(kp.papers.spaces.uniform(graph, np.linspace(0.02, 1, 400)).keep)
    drawn = {
        "distributions": pruning_spaces.distributions(candidates),
        "winning": pruning_spaces.winning(candidates),
        "budgets": pruning_spaces.budgets(candidates, lambda kept: np.interp(kept, line["macs"], line["mcb"])),
    }
    for name, svg in drawn.items():
        path.with_name(f"{path.stem}_{name}.svg").write_text(svg)


def spread(values: list[float]) -> str:
    """Returns mean ± standard deviation."""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["table"]:
        table(*map(Path, sys.argv[2:3]))
    elif sys.argv[1:2] == ["run"]:
        main(*map(int, sys.argv[2:4]), *map(Path, sys.argv[4:5]))
    else:
        print(__doc__)
