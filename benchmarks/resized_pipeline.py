"""Throughput of `kp.data.rounds`, whose sizes change from round to round, ÷ that of `kp.data.load` at the same size.

    python benchmarks/resized_pipeline.py [--rounds 9]     # writes results/resized_pipeline.md

Glyphs, drawn at 64×64 and resized, with and without augmentation; whole epochs of 10,000, the two data sets in turn, by
the processor's seconds: how many threads tf.data settles for differs from one time to the next. A second plain data set
shows what the machine alone does to a ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import epochs  # noqa: F401 before TensorFlow, whose threads it counts
import keras
from rows import spread

import kerasprune as kp

BATCH, EPOCHS = 125, 2
CASES = {"32 × 32": (32, None), "32 × 32, crop": (32, "crop"), "24 × 24, crop": (24, "crop")}


def images_per_second(make: Callable[[], object]) -> float:
    """Returns the images per processor second of some epochs, the first left out."""
    data = make()
    for _ in data:
        pass
    begun, count = time.process_time(), 0
    for _ in range(EPOCHS):
        for images, _ in data:
            count += len(images)
    return count / (time.process_time() - begun)


def main() -> None:
    """Prints the table and writes it beside the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    lines = [
        "| data | `kp.data.rounds` ÷ `kp.data.load` | plain, once more | plain, images per processor second |",
        "|---|---|---|---|",
    ]
    for title, (size, augment) in CASES.items():
        given = {"batch": BATCH, "augment": augment}
        plain = lambda size=size, given=given: kp.data.load("glyphs/small", size=size, **given)  # noqa: E731
        sized = lambda size=size, given=given: kp.data.rounds(  # noqa: E731
            "glyphs/small", sizes=[size, 16], epochs_per_round=1000, **given
        )
        rates = [[images_per_second(make) for make in (plain, sized, plain)] for _ in range(rounds)]
        cells = [spread([row[place] / row[0] for row in rates]) for place in (1, 2)]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} | {statistics.median(row[0] for row in rates):.0f} |")
    lines += [
        "",
        f"Median [lowest, highest] of {rounds} rounds of {EPOCHS} epochs, one thread; Keras {keras.__version__}.",
    ]
    print("\n".join(lines))
    (Path(__file__).parent / "results" / "resized_pipeline.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
