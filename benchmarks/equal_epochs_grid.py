"""The cells of the comparison at equal epochs: testbeds, what a run is, and the parts that runs come in."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, fields, replace
from pathlib import Path

from rows import read

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PLANS = RESULTS / "peers"
SEEDS = (0, 1, 2, 3, 4)
EPOCHS, DENSE_EPOCHS = 4, 28  # the checkpoint of ResNet-20: 14 epochs of twice as many images
MISSED = 0.08  # a rival's plan that is farther from its target is another question
MEASURED = "sensitivity"
PEER = "torch-pruning/"
GROWN = f"{PEER}greg"  # trained by its own pruner in the first half of the epochs, `peers/torch_pruning_grown.py`
PEERS = tuple(
    f"{PEER}{importance}"
    for importance in ("group-l2", "taylor", "bn-scale", "l1-first", "group-l1", "fpgm", "lamp", "greg")
)


@dataclass(frozen=True)
class DigitsTestbed:
    """A dense network to begin with, and the file of its rows.

    Args:
        title: What the network is called in the tables.
        recipe: The recipe that trains it.
        checkpoint: The file of the trained network, from the root of the repository.
        rows: The file of the rows, in `results`.
        targets: Shares of the multiply–adds.
    """

    title: str
    recipe: str
    checkpoint: str
    rows: str
    targets: tuple[float, ...]

    @property
    def path(self) -> Path:
        """The file of the rows."""
        return RESULTS / self.rows


TESTBEDS = {
    "resnet20": DigitsTestbed(
        title="ResNet-20",
        recipe="glyphs-base",
        checkpoint="kerasprune/recipes/library/checkpoints/glyphs-base.keras",
        rows="equal_epochs.csv",
        targets=(0.093, 0.283, 0.505),
    ),
    "mobilenet": DigitsTestbed(
        title="MobileNetV2 of half the width",
        recipe="glyphs-mobilenet",
        checkpoint="runs/glyphs-mobilenet/dense.keras",
        rows="equal_epochs_mobilenet.csv",
        targets=(0.25, 0.5),
    ),
}


@dataclass(frozen=True)
class Run:
    """One cell of the grid.

    Args:
        picks: A criterion of ours, or `torch-pruning/<importance>`.
        budget: `uniform` or `sensitivity`; for Torch-Pruning `own` and `global`, too.
        coupling: Whether the trunk is cut, `tied`, or not, `free`.
        start: `folded`, `reconstructed`, or `scratch`.
        way: `one-shot`, or `greg1`: half of the epochs are for the growing penalty.
        teacher: `none`, or `dense`.
        epochs: In all.
        target: Share of the multiply–adds that is asked for.
        seed: Of the data order and of what is random.
        testbed: A name of `TESTBEDS`: the dense network, and the file that holds the row.
    """

    picks: str = "l1"
    budget: str = "uniform"
    coupling: str = "tied"
    start: str = "folded"
    way: str = "one-shot"
    teacher: str = "none"
    epochs: int = EPOCHS
    target: float = TESTBEDS["resnet20"].targets[0]
    seed: int = 0
    testbed: str = "resnet20"

    @property
    def plan(self) -> Path:
        """The file of a rival's plan."""
        name = f"{self.picks.replace('/', '_').replace('-', '_', 1)}_{self.budget}_{self.target}"
        return PLANS / (f"{name}_{self.seed}.json" if self.picks == GROWN else f"{name}.json")


NAMES = tuple(field.name for field in fields(Run) if field.name != "testbed")  # every testbed has its own file
ONE_SHOT, BEST = Run(), Run(start="reconstructed", teacher="dense")
HELP = (ONE_SHOT, replace(ONE_SHOT, start="reconstructed"), replace(ONE_SHOT, teacher="dense"), BEST)


def peers() -> list[Run]:
    """Returns the rivals' picks, plainly fine-tuned: as they choose by themselves, then their scores only."""
    ways = [*itertools.product(PEERS, ("own",)), *itertools.product(PEERS, ("uniform", "global"))]
    return [replace(ONE_SHOT, picks=picks, budget=budget) for picks, budget in ways]


def peers_helped() -> list[Run]:
    """Returns the same with our reconstruction and distillation."""
    return [replace(run, start=BEST.start, teacher=BEST.teacher) for run in peers()]


def ours() -> list[Run]:
    """Returns our rows: one-shot with what helps, measured widths, free coupling as the GReg paper, and controls.

    The controls are random picks and training from scratch.
    """
    controls = replace(ONE_SHOT, picks="random"), replace(ONE_SHOT, start="scratch")
    return [*HELP, replace(BEST, budget=MEASURED), replace(ONE_SHOT, coupling="free"), *controls]


def ablation(criteria: tuple[str, ...]) -> list[Run]:
    """Returns one-shot and the best, and both with one factor changed at a time."""
    runs = []
    for base in (ONE_SHOT, BEST):
        other = BEST if base is ONE_SHOT else ONE_SHOT
        runs += [base, replace(base, start=other.start), replace(base, teacher=other.teacher)]
        runs += [replace(base, coupling="free"), replace(base, way="greg1")]
        runs += [replace(base, picks=picks) for picks in criteria]
    scratch = replace(ONE_SHOT, start="scratch")
    return list(dict.fromkeys([*runs, scratch, replace(scratch, epochs=EPOCHS + DENSE_EPOCHS)]))


def lean() -> list[Run]:
    """Returns one-shot and what helps it on a network that is lean already."""
    return [replace(run, testbed="mobilenet") for run in HELP]


def cells(options: argparse.Namespace) -> list[Run]:
    """Returns the cells that are asked for, seed by seed, so that every table is whole as early as can be."""
    picks = tuple(filter(None, options.picks.split(",")))
    parts = {"peers": peers, "peers-helped": peers_helped, "ours": ours, "lean": lean}
    if options.part == "ablation":
        kinds = ablation(picks or ("l2", "random"))
    elif options.part:
        kinds = parts[options.part]()
    else:
        changed = {
            "budget": options.budget,
            "start": options.start,
            "teacher": options.teacher,
            "testbed": options.testbed,
        }
        kinds = [replace(ONE_SHOT, picks=name, **changed) for name in picks]
    if options.part in ("peers", "peers-helped"):
        kinds = [k for k in kinds if k.budget in options.budgets.split(",")]
        kinds = [k for k in kinds if not picks or k.picks.removeprefix(PEER) in picks]
    seeds = [int(text) for text in options.seeds.split(",")]
    targets = [float(text) for text in options.macs.split(",")] if options.macs else TESTBEDS[kinds[0].testbed].targets
    found = [replace(kind, seed=seed, target=target) for seed, target, kind in itertools.product(seeds, targets, kinds)]
    return [run for run in found if not run.picks.startswith(PEER) or usable(run)]


def usable(run: Run) -> bool:
    """Says whether a rival has a plan near the target."""
    if run.picks == GROWN:
        return run.plan.exists()
    name = run.picks.removeprefix(PEER)
    picked = {(r["importance"], r["budget"], float(r["target"])): float(r["macs"]) for r in read(PLANS / "picks.csv")}
    share = picked.get((name, run.budget, run.target))
    return share is not None and abs(share / run.target - 1) <= MISSED


def key(row: dict) -> tuple:
    """Returns what tells cells apart."""
    return tuple(str(row[name]) for name in NAMES)
