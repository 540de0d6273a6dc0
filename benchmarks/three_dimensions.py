"""Depth, width and resolution together against each alone, on glyphs (Accelerate CNNs from Three Dimensions, Table 1).

    python benchmarks/three_dimensions.py run [0.5]    # resumable: finished networks and rows are not trained again
    python benchmarks/three_dimensions.py blocks       # dropping blocks by discrimination against at random
    python benchmarks/three_dimensions.py maps         # feature maps of the networks at 0.3 (the paper's Fig. 5)
    python benchmarks/three_dimensions.py table        # writes tables and plots from the rows

Everything starts from the one shipped checkpoint (`glyphs-base`, ResNet-20, 20,000 images). The originals have 64×64
pixels; the dense network reads them at 32×32, which is r = 1. Algorithm 1 collects 12 networks, down to T = 0.3, with
5,000 images of training each; they serve both budgets. Then every policy is fine-tuned alike: the dense network is
pruned at once and trained on 10,000 images, cosine from 0.01. The second seed trains the same networks again on
another order of images; what was chosen, and the points behind it, are those of the first. Validation accuracy is
what the surface is fitted to; test accuracy is taken once, at the end.

`blocks` drops the k blocks of least discrimination, or k random ones, and takes the accuracy right away and after
training on 5,000 images.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rows import append, read

RESULTS = Path(__file__).parent / "results"
ROWS, POINTS, BLOCKS = (RESULTS / f"three_dimensions{name}.csv" for name in ("", "_points", "_blocks"))
FIELDS = ("policy", "budget", "seed", "d", "w", "r", "macs", "params", "validation", "test", "kkt", "seconds")
POINT_FIELDS = ("seed", "d", "w", "r", "macs", "params", "validation")
BLOCK_FIELDS = ("k", "choice", "draw", "removed", "validation", "tuned")
SIDE, BATCH, RATE, L2, LOW = 32, 32, 1e-2, 1e-4, 0.3
STEPS = 156  # of an "epoch" here: 5,000 images
EPOCHS_PER_ROUND, EPOCHS = 1, 2
DISCRIMINATION = {"name": "discrimination", "classifier": "ridge", "samples": 3000}
BUDGETS, SEEDS = (0.5, 0.3), (0, 1)
POLICIES = ("3-D, exact MACs", "3-D, d·w²·r²", "depth only", "width only", "resolution only")
WORK = Path(os.environ.get("THREE_DIMENSIONS_WORK", "runs/three_dimensions"))


def fit(model, *, resolution: int, epochs: int, seed: int) -> float:
    """Trains with SGD, cosine from 0.01, momentum 0.9 and L2 in the loss; returns the validation accuracy."""
    import keras

    import kerasprune as kp

    if epochs:
        train = kp.data.load("glyphs/small", size=resolution, batch=BATCH, augment="crop", seed=seed)
        steps = epochs * STEPS
        kernels = [v for v in model.trainable_variables if v.name == "kernel"]
        for kernel in kernels:
            kernel.regularizer = keras.regularizers.L2(L2 / 2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
        model.compile(keras.optimizers.SGD(schedule, momentum=0.9), loss)
        model.fit(train.take(steps), shuffle=False, verbose=0)  # 312 steps an epoch
        for kernel in kernels:
            kernel.regularizer = None
    return accuracy(model, resolution, "validation")


def accuracy(model, resolution: int, split: str) -> float:
    """Returns the accuracy on a split of the 10,000-image set."""
    import keras

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=resolution, batch=500, split=split)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return float(model.evaluate(data, verbose=0, return_dict=True)["sparse_categorical_accuracy"])


def dense():
    """Returns the dense network."""
    import keras

    import kerasprune as kp

    return keras.models.load_model(Path(kp.__file__).parent / "recipes" / "checkpoints" / "glyphs-base.keras")


def train_data(seed: int):
    """Returns the images that the blocks are judged on."""
    import kerasprune as kp

    return kp.data.load("glyphs/small", size=SIDE, batch=500, seed=seed)


def one_run(policy: str, budget: float, seed: int) -> dict:
    """Runs one cell and returns its row."""
    from kerasprune.papers.three_dimensional.extents import Extent
    from kerasprune.papers.three_dimensional.in_rounds import built_point
    from kerasprune.papers.three_dimensional.one_dimension import one_dimension
    from kerasprune.papers.three_dimensional.workflow import three_dimensions

    began, model, kkt = time.time(), dense(), ""
    common = {"data": train_data(0), "size": SIDE, "epochs": EPOCHS, "folder": WORK, "blocks": DISCRIMINATION}
    if policy.startswith("3-D"):
        constraint = "macs" if "MACs" in policy else "volume"
        result = three_dimensions(
            model, fit, macs=budget, min_macs=LOW, constraint=constraint, epochs_per_round=EPOCHS_PER_ROUND, **common
        )
        write(POINTS, POINT_FIELDS, [point_row(0, point) for point in result.points], ("seed", "d", "w", "r"))
        point, kkt = result.chosen, f"{result.optimum.kkt:.1e}"
    else:
        point = one_dimension(model, fit, policy.split()[0], macs=budget, **common)
    if seed:
        point = built_point(model, point.plan, Extent.of(model, SIDE), fit, EPOCHS, seed)
    row = {"policy": policy, "budget": budget, "test": 100 * accuracy(point.model, point.side, "test"), "kkt": kkt}
    return row | point_row(seed, point) | {"seconds": round(time.time() - began)}


def point_row(seed: int, point) -> dict:
    """Returns a point as a row."""
    facts = {name: getattr(point, name) for name in ("d", "w", "r", "macs", "params")}
    return {"seed": seed, "validation": 100 * point.accuracy} | facts


def run(budgets: tuple[float, ...] = BUDGETS) -> None:
    """Runs every cell that has no row yet, and the test accuracy of the dense network."""
    done = {(row["policy"], row["budget"], row["seed"]) for row in read(ROWS)}
    if ("dense", "1.0", "") not in done:
        import kerasprune as kp

        model = dense()
        cost = kp.cost(model, size=SIDE)
        facts = {"d": 1, "w": 1, "r": 1, "macs": cost.macs, "params": cost.params}
        scores = {split: 100 * accuracy(model, SIDE, split) for split in ("validation", "test")}
        write(ROWS, FIELDS, [{"policy": "dense", "budget": 1.0, "seed": ""} | facts | scores])
    for budget in budgets:
        for seed in SEEDS:
            for policy in POLICIES:
                if (policy, str(budget), str(seed)) not in done:
                    row = one_run(policy, budget, seed)
                    write(ROWS, FIELDS, [row])
                    print(row, flush=True)


def blocks(draws: int = 5) -> None:
    """Drops k blocks by discrimination and at random."""
    import numpy as np

    import kerasprune as kp
    from kerasprune.papers.three_dimensional import least_blocks, score_blocks

    model = dense()
    graph = kp.trace(model)
    data = [(x, y.numpy()) for x, y in kp.data.load("glyphs/small", size=SIDE, batch=500, split="validation")]
    done = {(row["k"], row["choice"], row["draw"]) for row in read(BLOCKS)}
    importance = score_blocks(DISCRIMINATION, graph, train_data(0))
    print(importance, flush=True)
    for k in (2, 4, 1):
        for draw in range(draws + 1):
            choice = "random" if draw else "discrimination"
            if (str(k), choice, str(draw)) in done:
                continue
            scores = score_blocks("random", graph, seed=draw) if draw else importance
            removed = least_blocks(scores, k)
            slim = kp.rebuild(model, kp.Plan({}, removed), absorb=False)
            row = {"k": k, "choice": choice, "draw": draw, "removed": " ".join(removed)}
            row["validation"] = 100 * np.mean(
                [(slim(x, training=False).numpy().argmax(-1) == y).mean() for x, y in data]
            )
            row["tuned"] = 100 * fit(slim, resolution=SIDE, epochs=EPOCHS_PER_ROUND, seed=0)
            write(BLOCKS, BLOCK_FIELDS, [row])
            print(row, flush=True)


def maps(budget: float = 0.3, images: int = 500, shown: int = 6) -> None:
    """Draws the maps of the trained networks of a budget, and writes how well they correlate with the dense one's."""
    import keras
    import numpy as np

    import kerasprune as kp
    from kerasprune.analysis.feature_maps import mean_feature_maps
    from kerasprune.papers.three_dimensional import figures as figures
    from kerasprune.recipes.reports.record import Record

    names = {"3-D": "chosen-macs", "depth": "depth-only", "width": "width-only", "resolution": "resolution-only"}
    models = {
        name: keras.models.load_model(WORK / f"{kept}-{budget}-1" / "model.keras") for name, kept in names.items()
    }
    sides = {name: kp.Plan.load(WORK / f"{kept}-{budget}-1" / "plan.json").resolution for name, kept in names.items()}

    def inputs(side: int | None) -> np.ndarray:
        data = kp.data.load("glyphs/small", size=side or SIDE, batch=images, split="validation")
        return np.asarray(next(iter(data))[0])

    found = {"dense": mean_feature_maps(dense(), inputs(SIDE))}
    found |= {name: mean_feature_maps(model, inputs(sides[name])) for name, model in models.items()}
    lines = ["| network | correlation of its maps with the dense network's, mean ± std of the images |", "|---|---|"]
    for name, here in found.items():
        resized = np.asarray(keras.ops.image.resize(here[..., None], found["dense"].shape[1:3]))[..., 0]
        each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(resized, found["dense"], strict=True)]
        lines.append(f"| {name} | {np.mean(each):.3f} ± {np.std(each):.3f} |")
    (RESULTS / "three_dimensions_maps.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    drawn = {"images": inputs(SIDE)[:shown]} | {name: here[:shown] for name, here in found.items()}
    record = Record(title="glyphs", recipe={}, summary={}, section={"maps": drawn})
    (RESULTS / "three_dimensions_maps.svg").write_text(figures.maps(record), encoding="utf-8")


def table() -> None:
    """Writes the tables and the plots."""
    from kerasprune.papers.three_dimensional import figures as figures
    from kerasprune.recipes.reports.record import Record

    found, points = read(ROWS), read(POINTS)
    dense = next(row for row in found if row["policy"] == "dense")
    lines = [f"Dense: test {float(dense['test']):.2f} %, {int(dense['macs']):,} multiply–adds.", ""]
    lines += ["| budget | policy | d | w | r | MACs kept | test, mean (seeds) |", "|---" * 7 + "|"]
    for budget in BUDGETS:
        for policy in POLICIES:
            here = [row for row in found if row["policy"] == policy and row["budget"] == str(budget)]
            if here:
                where = " | ".join(f"{float(here[0][name]):.2f}" for name in "dwr")
                kept = int(here[0]["macs"]) / int(dense["macs"])
                tests = [float(row["test"]) for row in here]
                each = ", ".join(f"{test:.2f}" for test in tests)
                lines.append(f"| {budget} | {policy} | {where} | {kept:.3f} | {sum(tests) / len(tests):.2f} ({each}) |")
    lines += ["", "The measured networks (validation accuracy, %):", "", "| d | w | r | MACs kept | accuracy |"]
    lines.append("|---" * 5 + "|")
    for row in points:
        where = " | ".join(f"{float(row[name]):.3f}" for name in "dwr")
        lines.append(f"| {where} | {int(row['macs']) / int(dense['macs']):.3f} | {float(row['validation']):.2f} |")
    (RESULTS / "three_dimensions.md").write_text("\n".join([*lines, "", *block_table()]) + "\n", encoding="utf-8")
    drawn = [
        {"policy": r["policy"], "frr": 1 - int(r["macs"]) / int(dense["macs"]), "accuracy": float(r["test"]) / 100}
        for r in found
    ]
    (RESULTS / "three_dimensions.svg").write_text(policies(drawn), encoding="utf-8")
    measured = [{n: float(row[n]) for n in "dwr"} | {"accuracy": float(row["validation"]) / 100} for row in points]
    chosen = next(row for row in found if row["policy"] == POLICIES[0])
    facts = {"macs": 0.5, "surface": {"rank": 1, "degree": 3}, "points": measured}
    facts["optimum"] = [float(chosen[name]) for name in "dwr"]
    record = Record(title="glyphs", recipe={}, summary={}, section={"points": facts})
    for name in ("curves", "sheet", "residuals", "settings"):
        path = RESULTS / f"three_dimensions_{name}.svg"
        path.write_text(getattr(figures, name)(record), encoding="utf-8")


def policies(rows: list[dict]) -> str:
    """Draws accuracy against the fraction of multiply–adds removed, by policy (the paper's Fig. 1)."""
    import numpy as np

    from kerasprune.tables import svg

    def draw(figure) -> None:
        axes = figure.subplots()
        for name in dict.fromkeys(row["policy"] for row in rows if row["policy"] != "dense"):
            budgets: dict[float, list[tuple[float, float]]] = {}
            for row in rows:
                if row["policy"] in ("dense", name):
                    budgets.setdefault(round(row["frr"], 1), []).append((row["frr"], 100 * row["accuracy"]))
            means = np.array([np.mean(pairs, axis=0) for _, pairs in sorted(budgets.items())])
            axes.plot(*means.T, marker="o", label=name)
        axes.set(xlabel="fraction of the multiply–adds removed", ylabel="test accuracy, %")
        axes.legend(fontsize=7, frameon=False)

    return svg(draw, height=3.4)


def block_table() -> list[str]:
    """Returns the tables of dropped blocks."""
    found = read(BLOCKS)
    lines = []
    for column, when in (
        ("validation", "right after k blocks were dropped"),
        ("tuned", "when they were then trained on 5,000 images"),
    ):
        lines += [f"Validation accuracy {when}, %:", ""]
        lines += ["| k | least discrimination | random: mean (each) | better than |", "|---" * 4 + "|"]
        for k in sorted({row["k"] for row in found}):
            here = {choice: [float(r[column]) for r in found if r[column] and (r["k"], r["choice"]) == (k, choice)]
                    for choice in ("discrimination", "random")}  # fmt: skip
            ours, random = here["discrimination"], here["random"]
            if ours and random:
                each = ", ".join(f"{value:.1f}" for value in random)
                beaten = f"{sum(ours[0] > value for value in random)} of {len(random)}"
                lines.append(f"| {k} | {ours[0]:.1f} | {sum(random) / len(random):.1f} ({each}) | {beaten} |")
        lines.append("")
    return lines[:-1]


def write(path: Path, fields: tuple, new: list[dict], key: tuple = ()) -> None:
    """Appends rows to a file; with a key, only those whose key is not there yet."""
    known = {tuple(row[name] for name in key) for row in read(path)} if key else set()
    append(path, fields, [row for row in new if tuple(str(row[name]) for name in key) not in known])


if __name__ == "__main__":
    command, *rest = [*sys.argv[1:], ""]
    if command == "run":
        run(tuple(map(float, filter(None, rest))) or BUDGETS)
    elif command == "blocks":
        blocks()
    elif command == "maps":
        maps()
    elif command == "table":
        table()
    else:
        sys.exit(__doc__)
