"""Do only the densities of layers matter? Masks and narrow networks of the same densities, trained alike (PreCrop).

    python benchmarks/synexp_granularity.py run [--figures 1,3,5,6,7] [--seeds 0,1,2]    # resumable
    python benchmarks/synexp_granularity.py widths                                       # Figure 8: builds, no training
    python benchmarks/synexp_granularity.py table
    python benchmarks/synexp_granularity.py run --smoke       # every kind of run in short, into a file of its own

Figure 1 (ResNet-20) and 6 (VGG-16, here of a quarter of the width): SynFlow's masks and random masks of SynExp's
densities, of single weights, of filters (outputs) and of channels (inputs) drawn layer by layer, and PreCrop with the
same budget of parameters. Figure 7: SNIP's and GraSP's masks, random channels and PreCrop of their densities.
Figure 3: random weights of SynExp's densities within 5 % of the parameters and several budgets of multiply–adds, and
SynFlow, SNIP and GraSP. Figure 5: PreCrop by parameters and by multiply–adds, and SynFlow. Detached weights are left
out of what is counted.

All networks begin untrained and learn glyphs of 16×16 by one schedule, that of `glyph_schedule.py`: SGD 0.05 with
momentum 0.9, a cosine of six epochs on 10,000 images (batch 64) after 100 steps of warm-up; of twelve for VGG-16. Test
accuracy is taken once.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from datetime import date
from pathlib import Path

import glyph_schedule
from rows import append, mean_std, read

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).parent / "results"
ROWS, SMOKE_ROWS = RESULTS / "synexp_granularity.csv", Path(tempfile.gettempdir()) / "synexp_granularity_smoke.csv"
CELL = ("figure", "network", "densities", "form", "params", "macs", "seed")
FIELDS = (*CELL, "params_left", "macs_left", "validation", "test", "seconds")
SLIM_VGG = "VGG-16 of a quarter of the width"
NETWORKS = {
    "ResNet-20": {"name": "resnet_cifar", "depth": 20},
    SLIM_VGG: {"name": "vgg_cifar", "depth": 16, "width": 0.25},
}
EPOCHS = {"ResNet-20": glyph_schedule.EPOCHS, SLIM_VGG: 2 * glyph_schedule.EPOCHS}  # VGG begins to learn after six
KEEPS = (0.1, 0.02, 0.05, 0.2, 0.5)  # in the order of the runs
MACS = (0.3, 0.05, 0.1, 0.2)  # of Figure 3, beside 5 % of the parameters
FORMS = ("weight", "filter", "channel", "precrop")


def grid(figures: list[str], seeds: list[int]) -> list[dict]:
    """All runs: seeds outermost, so that every figure is there once before any is repeated."""
    cells = []
    for figure, network in (("1", "ResNet-20"), ("6", SLIM_VGG)):
        for keep in KEEPS:
            cells.append((figure, network, "synflow", "mask", keep, None))
            cells += [(figure, network, "synexp", form, keep, None) for form in FORMS]
    for criterion, keep in itertools.product(("snip", "grasp"), KEEPS):
        cells += [("7", "ResNet-20", criterion, form, keep, None) for form in ("mask", "channel", "precrop")]
    cells += [("3", "ResNet-20", "synexp", "weight", 0.05, macs) for macs in MACS]
    cells += [("3", "ResNet-20", criterion, "mask", 0.05, None) for criterion in ("synflow", "snip", "grasp")]
    cells += [("5", "ResNet-20", "synexp", "precrop", None, macs) for macs in KEEPS]
    runs = [dict(zip(CELL, (*cell, seed), strict=True)) for seed in seeds for cell in cells]
    return [run for run in runs if run["figure"] in figures]


def one_run(cell: dict) -> dict:
    """Trains one network; returns its row."""
    import keras

    import kerasprune as kp

    began, seed = time.time(), cell["seed"]
    keras.utils.set_random_seed(seed)
    size = glyph_schedule.SIZE
    arguments = {"classes": glyph_schedule.CLASSES, "input_shape": (size, size, 3), "seed": seed}
    dense = kp.models.get({**NETWORKS[cell["network"]], **arguments})
    if cell["form"] == "precrop":
        plan, masks = plan_of(dense, cell), {}
        model, callbacks = kp.surgery.reinitialise(kp.rebuild(dense, plan, absorb=False), seed=seed), []
    else:
        masks = kp.sparsity.attached(dense, masks_of(dense, cell), side=size)
        model, callbacks = dense, [kp.callbacks.HoldMask(masks)]
    whole, left = weights_and_macs(dense, {}), weights_and_macs(model, masks)
    glyph_schedule.fit(model, seed, callbacks, epochs=EPOCHS[cell["network"]])
    row = dict(cell, params_left=f"{left[0] / whole[0]:.5f}", macs_left=f"{left[1] / whole[1]:.5f}")
    for split in ("validation", "test"):
        data = kp.data.load(glyph_schedule.DATA, size=size, batch=500, split=split)
        row[split] = round(glyph_schedule.accuracy(model, data), 2)
    return row | {"seconds": round(time.time() - began)}


def masks_of(model, cell: dict) -> dict:
    """Returns the masks of a cell: a criterion's own, or random ones of the densities."""
    import kerasprune as kp

    if cell["form"] == "mask":
        return scored(model, cell)
    found = densities_of(model, cell)
    return kp.sparsity.random_masks(model, found, granularity=cell["form"], seed=cell["seed"])


def plan_of(model, cell: dict):
    """Returns the plan of PreCrop: for its budgets, or for the densities of a criterion's masks."""
    import kerasprune as kp

    if cell["densities"] == "synexp":
        return kp.papers.precrop(model, params=cell["params"], macs=cell["macs"])
    return kp.papers.synexp.plan_of_densities(model, densities_of(model, cell))


def densities_of(model, cell: dict) -> dict:
    """Returns the density of every kernel."""
    import kerasprune as kp

    if cell["densities"] == "synexp":
        return kp.papers.synexp.layer_densities(model, params=cell["params"], macs=cell["macs"])
    masks = scored(model, cell)  # of a layer that is empty one weight stays
    return {path: max(mask.mean(), 1 / mask.size) for path, mask in masks.items()}


def scored(model, cell: dict) -> dict:
    """Returns the masks of a criterion at initialisation."""
    from kerasprune.papers.lottery_tickets.missing_the_mark import chosen

    data = glyph_schedule.scoring_data(cell["seed"])
    return chosen(model, cell["densities"], "mask", cell["params"], cell["seed"], data)


def weights_and_macs(model, masks: dict) -> tuple[int, int]:
    """Returns the weights of all kernels that are left, and the multiply–adds that they take part in."""
    import numpy as np

    import kerasprune as kp

    kernels = kp.trace(model).kernels
    left = [int(np.sum(masks.get(k.variable.path, np.ones(k.variable.shape, bool)))) for k in kernels]
    return sum(left), sum(number * sum(k.positions) for number, k in zip(left, kernels, strict=True))


def run(figures: list[str], seeds: list[int], path: Path) -> None:
    """Runs every cell that has no row yet."""
    import keras

    for cell in grid(figures, seeds):
        if key(cell) in {key(row) for row in read(path)}:
            continue
        row = one_run(cell)
        append(path, FIELDS, [row])
        print(row, flush=True)
        keras.utils.clear_session()


def key(row: dict) -> tuple:
    """Returns what tells runs apart."""
    return tuple("" if row[field] is None else str(row[field]) for field in CELL)


def smoke() -> None:
    """Trains one small network of every kind for two steps, into a file of its own."""
    glyph_schedule.fit, glyph_schedule.accuracy = _two_steps, lambda model, data: 0.0
    NETWORKS["ResNet-20"] = {"name": "resnet_cifar", "depth": 8}
    kinds: dict[tuple, dict] = {}
    for cell in grid(["1", "3", "5", "7"], [0]):
        if cell["densities"] != "synflow":  # a hundred rounds
            kinds.setdefault((cell["densities"] == "synexp", cell["form"]), cell)
    for cell in kinds.values():
        append(SMOKE_ROWS, FIELDS, [one_run(cell)])
        print(read(SMOKE_ROWS)[-1], flush=True)


def _two_steps(model, seed: int, callbacks: list, epochs: int) -> None:
    """Trains a network for two steps, however many epochs are asked for."""
    import kerasprune as kp

    del epochs
    train = kp.data.load(glyph_schedule.DATA, size=glyph_schedule.SIZE, batch=8, seed=seed)
    model.compile("sgd", glyph_schedule.cross_entropy())
    model.fit(train.take(2), verbose=0, callbacks=callbacks)


def table() -> None:
    """Writes the tables and plots of what is there."""
    import keras

    found = read(ROWS)
    lines = ["# The same densities, masked and narrowed", "", __doc__.partition("\n\n")[2].partition("\n\n")[2], ""]
    for figure in ("1", "6", "7", "3", "5"):
        cells = list(dict.fromkeys(key(row)[1:-1] for row in found if row["figure"] == figure))
        if not cells:
            lines += [f"Figure {figure}: not run.", ""]
            continue
        lines += [f"## Figure {figure}", ""]
        lines += ["| network | densities of | form | asked | weights left | MACs left | test |", "|---" * 7 + "|"]
        for network, densities, form, params, macs in sorted(cells, key=lambda c: (c[:2], c[3:], c[2])):
            rows = [row for row in found if key(row)[:-1] == (figure, network, densities, form, params, macs)]
            asked = " and ".join(f"{name} {each}" for name, each in (("params", params), ("MACs", macs)) if each)
            left = [mean_std([100 * float(row[f"{name}_left"]) for row in rows]) for name in ("params", "macs")]
            test = f"{mean_std([float(row['test']) for row in rows])} (n={len(rows)})"
            lines.append(f"| {network} | {densities} | {form} | {asked} | {left[0]} % | {left[1]} % | {test} |")
        lines.append("")
        plot(figure, found)
    lines.append(f"Keras {keras.__version__}, two shared x86-64 cores, {date.today()}.")
    (RESULTS / "synexp_granularity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def plot(figure: str, found: list[dict]) -> None:
    """Draws test accuracy over what is left."""
    drawing, axes = canvas()
    over = "macs_left" if figure in ("3", "5") else "params_left"
    rows = [row for row in found if row["figure"] == figure]
    rows += [row for row in found if figure == "5" and row["figure"] == "1" and row["form"] in ("mask", "precrop")]
    for kind in dict.fromkeys((row["densities"], row["form"], bool(row["macs"])) for row in rows):
        points = sorted(
            (100 * float(row[over]), float(row["test"]))
            for row in rows
            if (row["densities"], row["form"], bool(row["macs"])) == kind
        )
        label = f"{kind[0]}, {kind[1]}{', by MACs' if kind[2] else ''}"
        axes.plot(*zip(*points, strict=True), "o-", linewidth=1, markersize=4, label=label)
    axes.set(xscale="log", xlabel=f"{over.replace('_', ' ')} (%)", ylabel="test accuracy (%)")
    axes.legend(fontsize=7)
    drawing.savefig(RESULTS / f"synexp_granularity_{figure}.svg", bbox_inches="tight")


def widths() -> None:
    """Draws the widths of EfficientNet-B0 before and after PreConfig, within its own costs and 81.1 % of parameters."""
    import keras

    import kerasprune as kp

    model = kp.models.efficientnet_b0(input_shape=(224, 224, 3))
    new = kp.papers.reconfigure(model, params=0.811, macs=1.0)
    drawing, axes = canvas()
    for label, each in (("baseline", model), ("PreConfig", new)):
        convolutions = [
            layer for layer in each.layers if type(layer) is keras.layers.Conv2D and "_se_" not in layer.name
        ]
        axes.plot([layer.filters for layer in convolutions], "o-", markersize=3, linewidth=1, label=label)
    axes.set(xlabel="convolution, without squeeze-and-excitation", ylabel="output channels", title="EfficientNet-B0")
    axes.legend()
    drawing.savefig(RESULTS / "synexp_widths.svg", bbox_inches="tight")


def canvas():
    """Returns an empty figure and its axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6, 4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table", "widths"))
    parser.add_argument("--figures", default="1,3,5,6,7")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if given.what == "widths":
        widths()
    elif given.smoke:
        smoke()
    else:
        if given.what == "run":
            run(given.figures.split(","), [int(each) for each in given.seeds.split(",")], ROWS)
        table()
