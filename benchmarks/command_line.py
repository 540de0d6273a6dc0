"""What the command line answers without Keras: time of a whole process ÷ `python -c pass`, and seconds above it.

    python benchmarks/command_line.py [--rounds 7]

The commands run in turn, the bare interpreter among them. Writes results/command_line.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

PAGE = Path(__file__).parent / "results" / "command_line.md"
BARE = "python -c pass"
COMMANDS = (
    ["--help"],
    ["--version"],
    ["prune", "--help"],
    ["ls"],
    ["show", "digits-greg1"],
    ["prune", "--wrong"],
    ["prune", "missing.keras", "--keep", "0.5", "--out", "out"],
)


def seconds(arguments: list[str]) -> tuple[float, str]:
    """Returns how long a process takes, and what it writes to standard error."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    return time.perf_counter() - began, done.stderr


def main(rounds: int) -> None:
    """Times all commands in turn and writes the page."""
    times: dict[str, list[float]] = {BARE: []}
    noise: dict[str, int] = {}
    for _ in range(rounds):
        times[BARE].append(seconds(["-c", "pass"])[0])
        for command in COMMANDS:
            name = "kerasprune " + " ".join(command)
            taken, said = seconds(["-m", "kerasprune", *command])
            times.setdefault(name, []).append(taken)
            noise[name] = noise.get(name, 0) + said.count("tensorflow") + said.count("oneDNN")
    bare = statistics.median(times.pop(BARE))
    rows = [
        f"| `{name}` | {statistics.median(each) / bare:.1f} | {statistics.median(each) - bare:.2f} "
        f"[{min(each) - bare:.2f}, {max(each) - bare:.2f}] | {noise[name]} |"
        for name, each in times.items()
    ]
    text = [
        "| command | time ÷ `python -c pass` | seconds above it | lines of TensorFlow |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Medians of {rounds} rounds, in turn [least, most]; `python -c pass` takes {1000 * bare:.0f} ms. "
        f"{date.today().isoformat()}, 2 shared x86 cores.",
        "",
    ]
    PAGE.write_text("\n".join(text), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
