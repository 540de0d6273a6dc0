"""Processes that are killed inside a save, again and again: what is on disk stays whole, and no litter is left.

python benchmarks/killed_saves.py [NUMBER] [SEED]     # default 100

Each process writes texts, tables, arrays and folders into one folder and is killed at a random moment inside a save:
before a move, after it, or where a file is half written. The next one goes on in the same folder. After each the files
must be readable; after the last one, which is not killed, nothing but them may be left.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kerasprune import files
from kerasprune.files.arrays import read_arrays

SAVES = """
import os, random, signal, sys
from pathlib import Path
import numpy as np
from kerasprune import files
folder, at, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
calls, move = 0, os.replace
def replace(one, two):
    global calls
    calls += 1
    if calls == at and how == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    move(one, two)
    if calls == at and how == "after":
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
for number in range(5):
    files.write_json(folder / "plan.json", {"number": list(range(1000))})
    files.write_rows(folder / "metrics.csv", [{"epoch": n, "loss": n / 7} for n in range(50)])
    with files.replacing(folder / f"state-{number:06d}.npz") as temporary:
        with temporary.open("wb") as file:
            np.savez(file, a=np.arange(10_000))
            if calls + 1 == at and how == "half":
                file.truncate(1000)
                os.kill(os.getpid(), signal.SIGKILL)
    if not (folder / f"model-{number}").exists():
        with files.replacing(folder / f"model-{number}") as temporary:
            temporary.mkdir()
            (temporary / "part").write_text("x" * 1000)
            if calls + 1 == at:
                os.kill(os.getpid(), signal.SIGKILL)
            (temporary / "other").write_text("y")
"""


def main(number: int, seed: int) -> int:
    """Kills so many processes; returns how many faults were found."""
    draw, faults, kills, began = random.Random(seed), 0, 0, time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".notes").write_text("mine")
        while kills < number:
            call, how = draw.randint(1, 18), draw.choice(("before", "after", "half"))
            code = subprocess.run([sys.executable, "-c", SAVES, name, str(call), how], check=False).returncode
            if code not in (0, -signal.SIGKILL):
                faults += 1
            kills += code == -signal.SIGKILL
            faults += whole(folder)
        subprocess.run([sys.executable, "-c", SAVES, name, "0", "never"], check=True)
        left = sorted(path.name for path in folder.iterdir())
        states, models = [f"state-{n:06d}.npz" for n in range(5)], [f"model-{n}" for n in range(5)]
        litter = set(left) ^ {".notes", "plan.json", "metrics.csv", *states, *models}
    seconds = time.time() - began
    print(f"{kills} kills in {seconds:.0f} s: {faults} damaged files, {len(litter)} left or lost {litter or ''}")
    return faults + len(litter)


def whole(folder: Path) -> int:
    """Returns how many of the files in a folder are damaged."""
    damaged = 0
    for path in (path for path in folder.iterdir() if not path.name.startswith(".")):
        try:
            if path.suffix == ".json":
                assert files.read_json(path) == {"number": list(range(1000))}
            elif path.suffix == ".csv":
                assert len(files.read_rows(path)) == 50
            elif path.suffix == ".npz":
                assert len(read_arrays(path)["a"]) == 10_000
            else:
                assert sorted(part.name for part in path.iterdir()) == ["other", "part"]
        except (ValueError, AssertionError) as error:
            print(f"{path.name}: {error}")
            damaged += 1
    return damaged


if __name__ == "__main__":
    sys.exit(main(*map(int, [*sys.argv[1:3], *("100", "0")[len(sys.argv) - 1 :]][:2])) > 0)
