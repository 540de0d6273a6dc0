"""From which k are a dense network, tickets and random masks stable to the order of the data? ResNet-8 on `digits-500`.

    python benchmarks/linear_mode.py run [--workers 1] [--out FOLDER]   # the grid of `reproduce linear-mode`
    python benchmarks/linear_mode.py table                              # writes the tables and the plot from the rows

Rows that are there are not run again; each is appended as soon as it is known, so a run may be killed at any time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rows import append, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
NAME = "linear_mode.csv"
KEYS = ("network", "keep", "seed", "k", "epochs")
FOUND = ("instability", "barrier", "error_a", "error_b", "loss_a", "loss_b", "seconds")
FIELDS = (*KEYS, *FOUND)
ONE_PROCESSOR = {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"}


def cell(row: dict) -> tuple[int, int]:
    """Returns seed and k of a row."""
    return int(row["seed"]), int(row["k"])


def one(out: str, seed: int, k: int) -> int:
    """Appends the rows of a seed and a k that are missing; returns their number."""
    from kerasprune.papers.lottery_tickets.linear_mode import LinearModeSetting

    done = {(row["network"], float(row["keep"])) for row in read(Path(out)) if cell(row) == (seed, k)}
    began, added = time.process_time(), 0
    for row in LinearModeSetting().rows(seed, k, done):
        took, began = time.process_time() - began, time.process_time()
        append(Path(out), FIELDS, [row | {"seconds": round(took, 1)}])
        added += 1
    return added


def run(options: argparse.Namespace) -> None:
    """Runs every cell that lacks rows."""
    for name, value in ONE_PROCESSOR.items():
        os.environ.setdefault(name, value)
    import kerasprune as kp
    from kerasprune.papers.lottery_tickets.linear_mode import LinearModeSetting

    out = Path(options.out) / NAME
    out.parent.mkdir(parents=True, exist_ok=True)
    append(out, FIELDS, [])
    setting, rows = LinearModeSetting(), [cell(row) for row in read(out)]
    left = [each for each in setting.cells if rows.count(each) < len(setting.networks)]
    jobs = [{"out": str(out.absolute()), "seed": seed, "k": k} for seed, k in left]
    with tempfile.TemporaryDirectory() as folder:
        population = kp.recipes.Population(Path(folder) / "cells.sqlite", workers=options.workers, threads=1)
        population.run("linear_mode:one", jobs, retries=1)
        if population.failures():
            sys.exit(f"{len(population.failures())} cells failed:\n{population.failures()[0].log}")


def table() -> None:
    """Writes results/linear_mode.md and results/linear_mode.svg: mean ± standard error, and the verdicts."""
    from kerasprune.papers.lottery_tickets.linear_mode import judged, means

    rows = read(RESULTS / NAME)
    found: dict = {}
    for network, k, figures, _ in means(rows):
        cells = (" ± ".join(f"{each:.2f}" for each in pair) for pair in figures.values())
        found.setdefault(network, {})[k] = "; ".join(cells)
    ks = list(next(iter(found.values())))
    lines = [f"| instability; barrier; error | {' | '.join(f'k={k}' for k in ks)} |", "|---" * (1 + len(ks)) + "|"]
    lines += [f"| {name} {keep:.0%} | {' | '.join(of[k] for k in ks)} |" for (name, keep), of in found.items()]
    lines += ["", "| what | paper | ours | | |", "|---" * 5 + "|"]
    lines += [f"| {' | '.join(row.cells)} |" for row in judged(rows)]
    (RESULTS / "linear_mode.md").write_text("\n".join(lines) + "\n")
    plot(rows)


def plot(rows: list[dict]) -> None:
    """Draws instability, barrier and error over k."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from kerasprune.papers.lottery_tickets.linear_mode import STABLE, means

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.5))
    found: dict = {}
    for network, k, figures, _ in means(rows):
        found.setdefault(network, []).append((k, figures))
    for (network, keep), points in found.items():
        for axis, name in zip(axes, points[0][1], strict=True):
            values, errors = zip(*(figures[name] for _, figures in points), strict=True)
            axis.errorbar(
                [str(k) for k, _ in points],
                values,
                errors,
                marker="o",
                markersize=3,
                capsize=2,
                label=f"{network} {keep:.0%}",
            )
            axis.set(xlabel=f"k, epochs of {rows[0]['epochs']}", ylabel=name)
    axes[0].axhline(STABLE, color="grey", linewidth=0.8, linestyle="--")
    axes[2].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "linear_mode.svg", metadata={"Date": None})


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", default=str(RESULTS), help="folder of the rows")
    options = parser.parse_args()
    run(options) if options.command == "run" else table()


if __name__ == "__main__":
    main()
