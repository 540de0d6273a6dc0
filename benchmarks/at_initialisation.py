"""Masks at initialisation and after training, on the testbed: ResNet-8 on `digits-500`, 20 epochs, eight seeds.

    python benchmarks/at_initialisation.py run [--experiment mark|state] [--seeds 0,1] [--keep .05,.1] [--workers 2]
    python benchmarks/at_initialisation.py table

`mark`: Why are we missing the mark? `state`: five baselines of What is the state of neural network pruning?
Rows that are there are not run again; each is appended as soon as it is known, so a run may be killed at any time.
Test accuracy is taken once. The schedule was chosen on validation images.
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
                module = import_module(f"kerasprune.papers.lottery.{MODULES[name]}")
                for cell in module.cells([fraction], [seed]):
                    found.setdefault(key(cell), {"experiment": name, **cell})
    return list(found.values())


def one(out: str, folder: str, experiment: str, **cell) -> None:
    """Runs a cell and appends its row."""
    from importlib import import_module

    import keras

    from kerasprune.papers.lottery.testbed import Testbed

    began = time.process_time()
    keras.utils.clear_session()
    module = import_module(f"kerasprune.papers.lottery.{MODULES[experiment]}")
    row = cell | module.measured(Testbed(folder=Path(folder)), **cell)
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
        population = kp.Population(
            Path(folder) / "cells.sqlite", workers=options.workers, threads=1, per_process=options.per_process
        )
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(folder) / "jax"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        jobs = [{"out": str(out.absolute()), "folder": folder, **cell} for cell in left]
        population.run("at_initialisation:one", jobs, retries=1)
        if population.failures():
            sys.exit(f"{len(population.failures())} cells failed:\n{population.failures()[0].log}")


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


if __name__ == "__main__":
    main()
