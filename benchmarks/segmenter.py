"""A segmenter of digits in drawn scenes, pruned and taught: mean IoU of the dense one, and of its slim models.

    python benchmarks/segmenter.py run [SEED …]    # trains the dense one first; rows that are there are not run again
    python benchmarks/segmenter.py table           # writes the table from the rows

`kp.models.unet` of half the width at 64 × 64 pixels, 20 epochs of 4,000 scenes; the one that `smallest.py run unet`
makes smaller. Mean IoU of 11 classes on 2,000 scenes, each seed on others. `cut`: right after the cut; `solved`:
kernels solved on the training scenes; `taught`: the best of five epochs with the labels and the dense model, which
other 2,000 scenes choose. Shares are of the multiply–adds, picks are those of L1; `round_to=1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rows
import smallest

RESULTS = Path(__file__).parent / "results"
ROWS, TABLE = RESULTS / "segmenter.csv", RESULTS / "segmenter.md"
FIELDS = ("share", "seed", "macs", "cut", "solved", "taught", *rows.STAMP)
SHARES, EPOCHS = (0.5, 0.25), 5


def percent(model: Any, scenes: Any) -> float:
    """Returns the mean IoU in percent."""
    return round(100 * model.evaluate(scenes, verbose=0, return_dict=True)["iou"], 2)


def run(seed: int) -> None:
    """Runs the rows of a seed."""
    import kerasprune as kp

    model, (train, validation, test) = smallest.CASES["unet"].start(), smallest.masks(seed)
    done = {(row["share"], row["seed"]) for row in rows.read(ROWS)}
    if ("1", str(seed)) not in done:
        row = {"share": 1, "seed": seed, "macs": 1, "cut": percent(model, test)}
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])
    for share in SHARES:
        if (str(share), str(seed)) in done:
            continue
        plan = kp.plan(model, "l1", macs=share, round_to=1)
        row = {"share": share, "seed": seed, "macs": round(kp.cost(model, plan).macs / kp.cost(model).macs, 3)}
        how = {"plan": plan, "data": train, "validation": validation, "seed": seed, "verbose": 2}
        for name, more in (("cut", {"reconstruct": False}), ("solved", {}), ("taught", {"epochs": EPOCHS})):
            row[name] = percent(kp.prune(model, **how, **more).slim, test)
        print(row, flush=True)
        rows.append(ROWS, FIELDS, [row | rows.stamp("keras", "tensorflow")])


def table() -> None:
    """Writes the table."""
    found, named = rows.read(ROWS), FIELDS[2:6]
    whole = rows.mean_std([float(row["cut"]) for row in found if row["share"] == "1"])
    lines = ["# A segmenter pruned and taught", "", *(__doc__ or "").split("\n\n")[2].splitlines(), ""]
    lines += [f"Dense: {whole} mean IoU.", "", f"| share | {' | '.join(named)} |", "|---|" + "---|" * len(named)]
    for share in SHARES:
        mine = [row for row in found if row["share"] == str(share)]
        cells = [rows.mean_std([float(row[name]) for row in mine], 2 if name == "macs" else 1) for name in named]
        lines += [f"| {share} | {' | '.join(cells)} |"] if mine else []
    TABLE.write_text("\n".join(lines) + "\n")
    print(TABLE.read_text())


if __name__ == "__main__":
    rows.run_asked({"run": run}, {"table": table})
