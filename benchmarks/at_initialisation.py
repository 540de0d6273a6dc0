"""Masks at initialisation and after training, on the testbed: ResNet-8 on `digits-500`, 20 epochs, up to eight seeds.

    python benchmarks/at_initialisation.py run [--experiment mark|state] [--seeds 0,1] [--keep .05,.1] [--workers 2]
    python benchmarks/at_initialisation.py table

`mark`: Why are we missing the mark? `state`: five baselines of What is the state of neural network pruning?
Rows that are there are not run again; each is appended as soon as it is known, so a run may be killed at any time.
Test accuracy is taken once. The schedule was chosen on validation images.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rows import append, mean_std, read, stamp

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
NAME = "at_initialisation.csv"
KEYS = ("method", "variant", "keep", "seed")
FOUND = ("kept", "detached", "macs", "gradient_norm", "validation", "test", "seconds", "densities")
FIELDS = (*KEYS, *FOUND)
KEEP, SEEDS = (0.05, 0.1, 0.02, 0.2, 0.03, 0.01), tuple(range(8))
MODULES = {"mark": "missing_the_mark", "state": "state_of_pruning"}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def cells(experiments: list[str], keep: list[float], seeds: list[int]) -> list[dict]:
    """Returns the trainings of experiments, seed by seed; the dense ones, which they share, once."""
    from importlib import import_module

    found: dict[tuple, dict] = {}
    for seed in seeds:
        for fraction in keep:
            for name in experiments:
                module = import_module(f"kerasprune.papers.lottery_tickets.{MODULES[name]}")
                for cell in module.cells([fraction], [seed]):
                    found.setdefault(key(cell), {"experiment": name, **cell})
    return list(found.values())


def one(out: str, folder: str, experiment: str, **cell) -> None:
    """Runs a cell and appends its row."""
    from importlib import import_module

    import keras

    from kerasprune.papers.lottery_tickets.testbed import DigitsTestbed

    began = time.process_time()
    keras.utils.clear_session()
    module = import_module(f"kerasprune.papers.lottery_tickets.{MODULES[experiment]}")
    row = cell | module.measured(DigitsTestbed(folder=Path(folder)), **cell)
    append(Path(out), FIELDS, [row | {"seconds": round(time.process_time() - began, 1)}])


def key(row: dict) -> tuple:
    """Returns what tells cells apart."""
    return tuple(str(row[name]) for name in KEYS)


def run(options: argparse.Namespace) -> None:
    """Runs every cell that has no row yet."""
    import kerasprune as kp

    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    out = Path(options.out) / NAME
    done = {key(row) for row in read(out)}
    experiments = [options.experiment] if options.experiment else list(MODULES)
    numbers = [float(each) for each in options.keep.split(",")], [int(each) for each in options.seeds.split(",")]
    left = [cell for cell in cells(experiments, *numbers) if key(cell) not in done]
    append(out, FIELDS, [])
    with tempfile.TemporaryDirectory() as folder:
        population = kp.recipes.Population(
            Path(folder) / "cells.sqlite", workers=options.workers, threads=1, per_process=options.per_process
        )
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(folder) / "jax"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        jobs = [{"out": str(out.absolute()), "folder": folder, **cell} for cell in left]
        population.run("at_initialisation:one", jobs, retries=1)
        if population.failures():
            sys.exit(f"{len(population.failures())} cells failed:\n{population.failures()[0].log}")


def table(out: Path) -> None:
    """Writes the verdicts, the accuracies and the plots of the rows that are there."""
    from kerasprune.papers.lottery_tickets import missing_the_mark, state_of_pruning

    rows = [{**row, "keep": float(row["keep"]), "seed": int(row["seed"])} for row in read(out / NAME)]
    rows = [row | {name: float(row[name]) for name in ("test", "validation", "macs") if row[name]} for row in rows]
    dense = [row["test"] for row in rows if row["method"] == "dense"]
    text = ["# Masks at initialisation and after training", "", __doc__.partition("\n\n")[0], ""]
    text += [f"Test accuracy in %, mean ± standard deviation of {len(dense)} seeds. Dense: {mean_std(dense)}.", ""]
    for title, module, head, names in (
        ("Missing the mark", missing_the_mark, missing_the_mark.VARIANTS, ("random", *missing_the_mark.CRITERIA)),
        ("State of pruning", state_of_pruning, ("fine-tuned",), (*state_of_pruning.BASELINES, state_of_pruning.RANDOM)),
    ):
        of_it = [row for row in rows if row["method"] in names]
        text += [f"## {title}", "", *accuracies(of_it, names, head), *before_training(of_it, names)]
        text += judged(module.verdicts(of_it))
    text += [f"Written by: {', '.join(stamp('keras', 'jax').values())}."]
    (out / "at_initialisation.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    plots(rows, out)


def judged(verdicts: list) -> list[str]:
    """Returns a table of verdicts, with the differences in points and their standard errors: a line a statement."""
    said: dict[tuple[str, str], dict[str, str]] = {}
    for verdict in verdicts:
        what, claim, ours, _, judgement = verdict.cells
        at, _, statement = what.partition(": ")
        said.setdefault((statement, claim), {})[at] = f"{judgement}, {ours.removesuffix(' points')}"
    heads = list(dict.fromkeys(at for cells in said.values() for at in cells))
    lines = [f"| | the paper | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for (statement, claim), cells in said.items():
        lines.append(f"| {statement} | {claim} | " + " | ".join(cells.get(at, "–") for at in heads) + " |")
    return [*lines, ""]


def accuracies(rows: list[dict], names: tuple[str, ...], variants: tuple[str, ...]) -> list[str]:
    """Returns a table of accuracies, a line for each method and variant."""
    keep = sorted({row["keep"] for row in rows}, reverse=True)
    lines = ["| method | | " + " | ".join(f"{each:.0%}" for each in keep) + " |", "|---" * (len(keep) + 2) + "|"]
    for name, variant in itertools.product(names, variants):
        found = [
            [row["test"] for row in rows if (row["method"], row["variant"], row["keep"]) == (name, variant, each)]
            for each in keep
        ]
        lines += [f"| {name} | {variant} | " + " | ".join(map(mean_std, found)) + " |"] if any(found) else []
    return [*lines, ""]


def before_training(rows: list[dict], names: tuple[str, ...]) -> list[str]:
    """Returns a table of the masks as they are at a twentieth: gradient, detached weights, multiply–adds, densities."""
    lines = ["| 5 % kept | norm of the gradient | detached, % of those kept | multiply–adds, % | density by layer, % |"]
    lines += ["|---" * 5 + "|"]
    for name in names:
        found = [row for row in rows if row["method"] == name and row["keep"] == 0.05 and row["densities"]]
        found = [row for row in found if row["variant"] in ("mask", "fine-tuned")]
        if not found:
            continue
        norms = mean_std([float(row["gradient_norm"]) for row in found if row["gradient_norm"]], 2)
        loose = mean_std([100 * int(row["detached"]) / int(row["kept"]) for row in found])
        layers = zip(*(map(float, row["densities"].split()) for row in found), strict=True)
        densities = " ".join(f"{100 * statistics.mean(layer):.2g}" for layer in layers)
        lines.append(f"| {name} | {norms} | {loose} | {mean_std([100 * row['macs'] for row in found])} | {densities} |")
    return [*lines, ""]


def curve(axes, rows: list[dict], of: str, label: str, colour: str) -> None:
    """Draws mean accuracies over the means of a column, with their standard errors."""
    points = []
    for keep in sorted({row["keep"] for row in rows}):
        tests = [row["test"] for row in rows if row["keep"] == keep]
        error = statistics.stdev(tests) / len(tests) ** 0.5 if len(tests) > 1 else 0
        points.append((statistics.mean(row[of] for row in rows if row["keep"] == keep), statistics.mean(tests), error))
    if points:
        axes.errorbar(*zip(*points, strict=True), label=label, color=colour, marker="o", markersize=3, linewidth=1)


def plots(rows: list[dict], out: Path) -> None:
    """Draws what Figures 3 and 4 of the one paper, and Figures 6 and 7 of the other, show."""
    from kerasprune.papers.lottery_tickets import missing_the_mark as mark
    from kerasprune.papers.lottery_tickets import state_of_pruning as state
    from kerasprune.tables import svg

    def cells_of(method: str, variant: str = "mask") -> list[dict]:
        return [row for row in rows if (row["method"], row["variant"]) == (method, variant)]

    def finished(figure, label: str) -> None:
        for axes in figure.axes:
            axes.axhline(statistics.mean(row["test"] for row in cells_of("dense")), color="black", lw=0.7, ls=":")
            axes.set_xscale("log")
            axes.set_xlabel(axes.get_xlabel() or label)
        figure.axes[0].set_ylabel("test accuracy, %")

    def methods(figure) -> None:
        axes = figure.subplots()
        for place, name in enumerate(("random", *mark.CRITERIA)):
            curve(axes, cells_of(name), "keep", name, f"C{place}")
        finished(figure, "fraction of weights kept")
        axes.legend(frameon=False, fontsize=7)

    def ablations(figure) -> None:
        for axes, name in zip(figure.subplots(2, 3, sharex=True, sharey=True).flat, mark.CRITERIA, strict=True):
            for place, variant in enumerate(mark.VARIANTS):
                curve(axes, cells_of(name, variant), "keep", variant, f"C{place}")
            axes.set_title(name, fontsize=8)
        finished(figure, "fraction of weights kept")
        figure.axes[0].legend(frameon=False, fontsize=7)

    def baselines(figure) -> None:
        pairs = (("keep", "fraction of weights kept"), ("macs", "fraction of multiply–adds left"))
        for axes, (column, label) in zip(figure.subplots(1, 2, sharey=True), pairs, strict=True):
            for place, name in enumerate((*state.BASELINES, state.RANDOM)):
                curve(axes, cells_of(name, state.VARIANT), column, name, f"C{place}")
            axes.set_xlabel(label)
        finished(figure, "")
        figure.axes[0].legend(frameon=False, fontsize=7)

    for name, paint, height in (("mark", methods, 3.4), ("ablations", ablations, 4.6), ("state", baselines, 3.4)):
        (out / f"at_initialisation_{name}.svg").write_text(svg(paint, height=height), encoding="utf-8")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--experiment", choices=MODULES, help="both if it is not given")
    parser.add_argument("--keep", default=",".join(map(str, KEEP)), help="fractions of the weights kept")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--per-process", type=int, default=100, help="cells of one process")
    parser.add_argument("--out", default=str(RESULTS), help="folder of the rows")
    options = parser.parse_args()
    if options.command == "run":
        run(options)
    else:
        table(Path(options.out))


if __name__ == "__main__":
    main()
