"""Rows of results: a CSV file with a head, and what stands in it as mean ± standard deviation, or as a median."""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

STAMP = ("runtime", "machine", "commit", "date")


def read(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows to a file, which begins with its head."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def write(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows and the head of a file, in place of what is there."""
    path.unlink(missing_ok=True)
    append(path, fields, rows)


def stamp(*packages: str) -> dict[str, str]:
    """Returns where rows come from: packages with their versions, processor, commit (`+` if files differ) and date."""
    from kerasprune.export.latency.machine import processor  # mutation.py has rows before it has a package

    git = ["git", "-C", str(Path(__file__).parent)]
    described = subprocess.run([*git, "describe", "--always", "--dirty=+"], capture_output=True, text=True)
    runtime = ", ".join(f"{package} {version(package)}" for package in packages)
    machine = f"{processor()}, {os.cpu_count()} cores"
    found = (runtime, machine, described.stdout.strip() or "unknown", date.today().isoformat())
    return dict(zip(STAMP, found, strict=True))


def run_asked(
    for_seeds: Mapping[str, Callable[[int], None]],
    once: Mapping[str, Callable[[], None]],
    seeds: Sequence[int] = (0, 1, 2),
) -> None:
    """Runs what the command line names, once, or for each seed after it; for `seeds` if none is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=(*once, *for_seeds))
    parser.add_argument("seeds", type=int, nargs="*", default=seeds)
    asked = parser.parse_args()
    if asked.what in once:
        once[asked.what]()
        return
    for seed in asked.seeds:
        for_seeds[asked.what](seed)


def mean_std(values: Sequence[float], digits: int = 1) -> str:
    """Returns mean ± standard deviation; of one value that value, of none a dash."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "–"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """Returns median [lowest, highest]."""
    return f"{statistics.median(values):.3f} [{min(values):.3f}, {max(values):.3f}]"
