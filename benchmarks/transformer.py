"""A trained vision transformer, cut in four ways: right after the cut, reconstructed, and taught by the dense one.

    python benchmarks/transformer.py train            # 30 epochs of kerasprune run glyphs-vit, some 45 minutes
    python benchmarks/transformer.py run [SEED …]     # resumable: rows that are there are not run again
    python benchmarks/transformer.py picks [SEED …]   # the picks of group_l2 beside those of L1, also ResNet-20's
    python benchmarks/transformer.py table            # writes the table from the rows

Shares are of the multiply–adds behind the stem, which is kept. Ways: `width`, the trunk and all that is in the blocks;
`heads`, whole heads and hidden units; `sizes`, sizes of keys and values, and hidden units; `depth`, whole blocks, by
the cosine distance of the block or by the error after reconstruction (`depth, measured`). `round_to=1`, 1,000 images
without labels, four epochs. Accuracy is that on validation images; each seed draws other images, in another order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rows

RESULTS, RUNS = Path(__file__).parent / "results", Path("runs") / "transformer"
ROWS, PICKS, TABLE = (RESULTS / f"transformer{end}" for end in (".csv", "_picks.csv", ".md"))
FIELDS = ("way", "share", "seed", "macs", "cut", "reconstructed", "taught", *rows.STAMP)
PICK_FIELDS = ("network", "criterion", "share", "seed", "reconstructed", "taught", *rows.STAMP)
SHARES, WAYS, SAMPLES, EPOCHS, BATCH = (0.5, 0.3), ("width", "heads", "sizes", "depth", "depth, measured"), 1000, 4, 128
STEM = ("stem*", "stage*")
ENDS = {"width": ("",), "heads": ("/heads", "_dense1"), "sizes": ("_dim", "_dense1")}
"""How the names of the groups end that a way cuts."""


def dense() -> Any:
    """Returns the trained transformer."""
    import keras

    return keras.models.load_model(RUNS / "glyphs-vit" / "dense.keras")


def images(split: str, seed: int = 0, **how: Any) -> Any:
    """Returns batches of glyphs."""
    import kerasprune as kp

    return kp.data.load("glyphs", split, size=32, batch=BATCH, seed=seed, **how)


def behind_stem(model: Any, plan: Any = None) -> int:
    """Returns the multiply–adds behind the stem."""
    from fnmatch import fnmatch

    import kerasprune as kp

    cost = kp.cost(model, plan)
    return cost.macs - sum(each.macs for each in cost.layers if any(fnmatch(each.name, stem) for stem in STEM))


def plan_of(model: Any, way: str, share: float, data: Any, criterion: str = "l1") -> Any:
    """Returns the plan that keeps a share of the multiply–adds behind the stem."""
    import kerasprune as kp

    whole, graph = behind_stem(model), kp.trace(model, freeze=list(STEM))
    if not way.startswith("depth"):
        low, high = 0.0, 1.0
        for _ in range(10):
            level = (low + high) / 2
            kept = kp.plan(graph, criterion, keep=level, round_to=1).keep
            plan = kp.Plan({name: each for name, each in kept.items() if name.endswith(ENDS[way])})
            if behind_stem(model, plan) <= share * whole:
                low, found = level, plan
            else:
                high = level
        return found
    names = [name for name in graph.blocks if name.startswith("block")]
    removed: list[str] = []
    scores = kp.papers.three_dimensional.score_blocks("cosine_distance", graph, data)
    while behind_stem(model, kp.Plan({}, removed=tuple(removed))) > share * whole:
        left = [name for name in names if name not in removed]
        if way == "depth":
            removed.append(min(left, key=scores.get))
        else:
            removed.append(min(left, key=lambda name: _error(model, (*removed, name), data)))
    return kp.Plan({}, removed=tuple(removed))


def _error(model: Any, removed: tuple[str, ...], data: Any) -> float:
    import kerasprune as kp
    from kerasprune.repair.reconstruction.feature_error import logit_error

    plan = kp.Plan({}, removed=removed)
    slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, data[:200], verbose=0)
    return logit_error(slim, model, plan, data[200:400])


def accuracy(model: Any, data: Any) -> float:
    """Returns the accuracy in percent."""
    import numpy as np

    right = [np.asarray(model.predict_on_batch(x)).argmax(axis=1) == np.asarray(y) for x, y in data]
    return round(100 * float(np.concatenate(right).mean()), 2)


def taught(model: Any, plan: Any, seed: int) -> Any:
    """Returns the slim model of a plan after four epochs with the dense one as its teacher."""
    import keras

    import kerasprune as kp

    how = {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "optimizer": "adamw"}
    train = images("train", seed, augment="crop")
    return kp.prune(model, plan=plan, data=train, epochs=EPOCHS, batch=BATCH, seed=seed, verbose=2, **how).slim


def some_images(seed: int) -> Any:
    """Returns a thousand training images."""
    import numpy as np

    batches = images("train", seed).take(-(-SAMPLES // BATCH))
    return np.concatenate([np.asarray(x) for x, _ in batches])[:SAMPLES]


def run(seed: int) -> None:
    """Runs the rows of a seed."""
    import kerasprune as kp

    model, validation = dense(), images("validation").cache()
    done = {(row["way"], row["share"], row["seed"]) for row in rows.read(ROWS)}
    if not done:
        row = {"way": "dense", "share": 1, "seed": 0, "macs": behind_stem(model), "cut": accuracy(model, validation)}
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    data = some_images(seed)
    for way in WAYS:
        for share in SHARES:
            if (way, str(share), str(seed)) in done:
                continue
            plan = plan_of(model, way, share, data)
            slim = kp.rebuild(model, plan)
            macs = round(behind_stem(model, plan) / behind_stem(model), 3)
            row: dict[str, Any] = {"way": way, "share": share, "seed": seed, "macs": macs}
            row["cut"] = accuracy(slim, validation)
            row["reconstructed"] = accuracy(kp.reconstruct(slim, model, plan, data, verbose=0), validation)
            row["taught"] = accuracy(taught(model, plan, seed), validation)
            print(row, flush=True)
            rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])


def picks(seed: int) -> None:
    """Runs the picks of two criteria on the transformer and on ResNet-20, otherwise alike."""
    import keras

    import kerasprune as kp

    path = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    networks = {"ViT": dense, "ResNet-20": lambda: keras.models.load_model(path)}
    done = {tuple(row[name] for name in PICK_FIELDS[:4]) for row in rows.read(PICKS)}
    validation, data = images("validation").cache(), some_images(seed)
    for network, make in networks.items():
        model = make()
        for share in SHARES:
            for criterion in ("l1", "group_l2"):
                if (network, criterion, str(share), str(seed)) in done:
                    continue
                if network == "ViT":
                    plan = plan_of(model, "width", share, data, criterion)
                else:
                    plan = kp.plan(model, criterion, macs=share, round_to=1)
                slim = kp.reconstruct(kp.rebuild(model, plan), model, plan, data, verbose=0)
                row = {"network": network, "criterion": criterion, "share": share, "seed": seed}
                row["reconstructed"] = accuracy(slim, validation)
                row["taught"] = accuracy(taught(model, plan, seed), validation)
                print(row, flush=True)
                rows.append(PICKS, PICK_FIELDS, [row | rows.stamp("keras", "tensorflow")])


def table() -> None:
    """Writes the table."""
    found = rows.read(ROWS)
    lines = [
        "# A vision transformer cut and repaired",
        "",
        *(__doc__ or "").split("\n\n")[2].splitlines(),
        "",
        *(f"Dense: {row['cut']} %." for row in found if row["way"] == "dense"),
        "",
        "| way | MACs | cut | reconstructed | taught |",
        "|---|---|---|---|---|",
    ]
    for way in WAYS:
        for share in SHARES:
            mine = [row for row in found if (row["way"], row["share"]) == (way, str(share))]
            if mine:
                cells = [rows.mean_std([float(row[name]) for row in mine]) for name in FIELDS[4:7]]
                macs = rows.mean_std([float(row["macs"]) for row in mine], 2)
                lines.append(f"| {way} | {macs} | {' | '.join(cells)} |")
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


def train() -> None:
    """Trains the dense network."""
    from kerasprune.cli import app

    app(["run", "glyphs-vit", "--out", str(RUNS / "glyphs-vit")])


if __name__ == "__main__":
    rows.run_asked({"run": run, "picks": picks}, {"train": train, "table": table})
