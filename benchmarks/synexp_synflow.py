"""Layer densities of SynExp, solved at once, beside those that SynFlow ends with after 100 rounds (PreCrop, Fig. 2).

    python benchmarks/synexp_synflow.py run      # resumable: rows that are there stay
    python benchmarks/synexp_synflow.py table    # the table and the plot from the rows

ResNet-20 and MobileNetV2 for 32×32 images and 10 classes at initialisation, one seed; every kernel is a layer,
depthwise ones too. SynFlow keeps a fraction of the weights of all kernels, in 100 rounds on an exponential schedule;
SynExp gets that fraction as its budget of parameters. The agreement is the rank correlation (Spearman) of the layers'
densities, and the mean absolute difference. The rank without depthwise kernels stands apart: the figure of the paper
shows 36 layers of MobileNetV2, which is how many it has without them.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import date
from pathlib import Path

from rows import append, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "synexp_synflow.csv"
FIELDS = ("model", "keep", "layer", "kind", "weights", "synflow", "synexp", "seconds")
MODELS = {
    "ResNet-20": {"name": "resnet_cifar", "depth": 20, "classes": 10, "input_shape": (32, 32, 3), "seed": 0},
    "MobileNetV2": {"name": "mobilenet_v2", "classes": 10, "input_shape": (32, 32, 3), "stem": "cifar", "seed": 0},
}
KEEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def run() -> None:
    """Runs every network and fraction that has no rows yet."""
    import kerasprune as kp

    for name, arguments in MODELS.items():
        model = kp.models.get(arguments)
        kernels = {kernel.variable.path: kernel for kernel in kp.trace(model).kernels}
        for keep in KEEPS:
            if any((row["model"], float(row["keep"])) == (name, keep) for row in read(ROWS)):
                continue
            began = time.time()
            masks = kp.prune_at_init(model, "synflow", keep=keep, rounds=100)
            found = kp.sparsity.densities_of(masks)
            seconds = round(time.time() - began)
            solved = kp.papers.synexp.layer_densities(model, params=keep)
            append(
                ROWS,
                FIELDS,
                [
                    {"model": name, "keep": keep, "layer": path, "kind": type(kernels[path].owner).__name__}
                    | {"weights": mask.size, "synflow": f"{found[path]:.5f}", "synexp": f"{solved[path]:.5f}"}
                    | {"seconds": seconds}
                    for path, mask in masks.items()
                ],
            )
            print(name, keep, seconds, "s", flush=True)


def agreement(rows: list[dict]) -> tuple[float, float]:
    """Returns the rank correlation of the densities, and their mean absolute difference."""
    import numpy as np
    from scipy.stats import spearmanr

    synflow, synexp = (np.array([float(row[key]) for row in rows]) for key in ("synflow", "synexp"))
    return float(spearmanr(synflow, synexp).statistic), float(np.abs(synflow - synexp).mean())


def table() -> None:
    """Writes the table and the plot."""
    import keras

    rows = read(ROWS)
    lines = [
        "# SynExp's densities compared with SynFlow's",
        "",
        __doc__.partition("\n\n")[2].partition("\n\n")[2].rstrip(),
        "",
    ]
    lines += ["| network | weights kept | rank correlation | mean difference | without depthwise |", "|---" * 5 + "|"]
    for name in MODELS:
        for keep in KEEPS:
            here = [row for row in rows if (row["model"], float(row["keep"])) == (name, keep)]
            if not here:
                continue
            rank, difference = agreement(here)
            others = [row for row in here if row["kind"] != "DepthwiseConv2D"]
            apart = f"{agreement(others)[0]:.3f}" if len(others) < len(here) else "–"
            lines.append(f"| {name} | {keep:.0%} | {rank:.3f} | {difference:.3f} | {apart} |")
    lines += ["", f"Keras {keras.__version__}, two shared x86-64 cores, {date.today()}."]
    (RESULTS / "synexp_synflow.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(rows)


def plot(rows: list[dict]) -> None:
    """Draws the densities layer by layer, paler where less is kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(MODELS), figsize=(10, 3.5), sharey=True)
    for axes, name in zip(panels, MODELS, strict=True):
        for number, keep in enumerate(KEEPS):
            here = [row for row in rows if (row["model"], float(row["keep"])) == (name, keep)]
            for key, colour, line in (("synflow", "tab:red", "--"), ("synexp", "tab:blue", "-")):
                label = {"synflow": "SynFlow, 100 rounds", "synexp": "SynExp"}[key] if number == 0 else None
                densities = [float(row[key]) for row in here]
                axes.plot(densities, line, color=colour, alpha=1 - 0.14 * number, linewidth=1, label=label)
        axes.set(title=name, xlabel="layer")
    panels[0].set(ylabel="density of the layer")
    panels[0].legend()
    figure.savefig(RESULTS / "synexp_synflow.svg", bbox_inches="tight")


if __name__ == "__main__":
    if sys.argv[1:] == ["run"]:
        run()
        table()
    elif sys.argv[1:] == ["table"]:
        table()
    else:
        sys.exit(__doc__)
