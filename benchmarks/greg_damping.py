"""What a penalty alone leaves of a weight, schedule by schedule: SGD with momentum as a heavy ball, no training.

    python benchmarks/greg_damping.py      # writes results/greg_damping.csv, .md and .svg; seconds

`v ← βv − ηλ(step)·w, w ← w + v` from w = 1, in float64, as Keras's SGD moves a weight whose loss is `½ λ w²`. The
schedules are the laws of `kp.schedules`.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
MOMENTUM = 0.9


def schedules() -> dict[str, tuple]:
    """Returns `{name: (law, learning rate)}`; a number of steps is that of `compressed`."""
    from kerasprune.training.regularizers.growth import LinearGrowth

    def linear(steps: int, ceiling: float, settle: int) -> LinearGrowth:
        return LinearGrowth(ceiling / (steps - settle), 1, ceiling, settle)

    return {
        "paper, 104,990 steps at 0.001": (LinearGrowth(), 0.001),
        "linear to 1, 468 steps at 0.01": (linear(468, 1.0, 22), 0.01),
        "linear to 1, 468 steps at 0.001": (linear(468, 1.0, 22), 0.001),
        "linear to 56, 624 steps at 0.003": (linear(624, 56.0, 31), 0.003),
        **{f"compressed({steps}), any rate": (steps, 0.01) for steps in (100, 200, 400, 624, 1000)},
    }


def products(law, rate: float):
    """Returns η·λ of every step."""
    import numpy as np

    from kerasprune.training.regularizers.growth import GeometricGrowth

    if isinstance(law, int):
        law = GeometricGrowth(law)
        law = replace(law, ceiling=law.strength / rate)
    return rate * np.asarray(law(np.arange(law.length)), "float64")


def heavy_ball(steps_of_product):
    """Returns the weight after every step."""
    import numpy as np

    weight, speed, seen = 1.0, 0.0, [1.0]
    for product in steps_of_product:
        speed = MOMENTUM * speed - product * weight
        weight += speed
        seen.append(weight)
    return np.array(seen)


def main() -> None:
    """Writes the rows, the table and the plot."""
    import numpy as np

    rows, curves = [], {}
    for name, (law, rate) in schedules().items():
        pushed = products(law, rate)
        weights = curves[name] = heavy_ball(pushed)
        swings = int(np.count_nonzero(np.diff(np.sign(weights[np.abs(weights) > 1e-30]))))
        # The envelope of a ringing weight: the largest of the last half swing.
        angle = np.arccos(min((1 + MOMENTUM - pushed[-1]) / (2 * MOMENTUM**0.5), 1.0))
        left = np.abs(weights[-int(np.pi / angle) - 1 :]).max() if swings else abs(weights[-1])
        naive = pushed.sum() / (1 - MOMENTUM)
        rows.append([name, f"{pushed.max():.3g}", f"{naive:.3g}", f"{-np.log(max(left, 1e-300)):.3g}", swings])
    head = ["schedule", "largest ηλ", "Σ ηλ / (1 − β)", "exponent", "changes of sign"]
    with (RESULTS / "greg_damping.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    lines = [f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows]]
    (RESULTS / "greg_damping.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(curves)


def plot(curves: dict) -> None:
    """Draws what is left of the weight."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for name in ("linear to 1, 468 steps at 0.01", "linear to 56, 624 steps at 0.003", "compressed(624), any rate"):
        axes.plot(curves[name], label=name, linewidth=1)
    axes.axhline(0.0, color="grey", linewidth=0.5)
    axes.set(xlabel="step", ylabel="weight, 1 at first", title="A weight under the penalty alone, momentum 0.9")
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.legend()
    figure.savefig(RESULTS / "greg_damping.svg", bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
