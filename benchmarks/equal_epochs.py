"""Accuracy at equal multiply–adds and equal epochs on glyphs: our picks, Torch-Pruning's, and what helps them.

    python benchmarks/equal_epochs.py run --part peers [--picks group-l2,taylor] [--budgets own] [--macs 0.093,0.283]
    python benchmarks/equal_epochs.py run --part ablation [--seeds 0,1,2] [--workers 2]
    python benchmarks/equal_epochs.py run --picks l1,taylor_fo [--start reconstructed] [--teacher dense] …
    python benchmarks/equal_epochs.py table        # writes ../results/equal_epochs.md and .svg from the rows

Every run begins with the shipped checkpoint (`glyphs-base`, ResNet-20, 32×32), keeps a share of its multiply–adds and
trains for as many epochs in all, four, on the 10,000 images of `glyphs/small`: batch 32, SGD with momentum 0.9, rate
0.01 falling as half a cosine, the data order a function of (seed, epoch). Test accuracy is taken once, at the end.
Rows that are there are not run again; `--smoke` tries four batches of everything and writes no row.

Parts: `peers`: picks of Torch-Pruning (`peers/torch_pruning_picks.py`), plainly fine-tuned; `peers-helped`: the same
picks with our reconstruction and distillation; `ours`; `ablation`: one factor changed at a time, from one-shot and from
the best. Where one starts from scratch the rate is 0.05 instead.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import greg_schedules as protocol
from rows import append, mean_std, read

RESULTS = Path(__file__).parent / "results"
ROWS, PLANS = RESULTS / "equal_epochs.csv", RESULTS / "peers"
OUTCOMES = ("macs", "params", "removed", "validation", "test", "plan_seconds", "seconds")
TARGETS, SEEDS = (0.093, 0.283, 0.505), (0, 1, 2, 3, 4)
EPOCHS, SCRATCH_RATE, DENSE_EPOCHS = 4, 0.05, 28  # the checkpoint: 14 epochs of twice as many images
IMAGES = 1000  # unlabelled ones, for the reconstruction
MISSED = 0.08  # a rival's plan that is farther from its target is another question
PEER = "torch-pruning/"
GROWN = f"{PEER}greg"  # trained by its own pruner in the first half of the epochs, `peers/torch_pruning_grown.py`
PEERS = tuple(
    f"{PEER}{importance}"
    for importance in ("group-l2", "taylor", "bn-scale", "l1-first", "group-l1", "fpgm", "lamp", "greg")
)


@dataclass(frozen=True)
class Run:
    """One cell of the grid.

    Args:
        picks: A criterion of ours, or `torch-pruning/<importance>`.
        budget: `uniform`; for Torch-Pruning `own` and `global`, too.
        coupling: Whether the trunk is cut, `tied`, or not, `free`.
        start: `folded`, `reconstructed`, or `scratch`.
        way: `one-shot`, or `greg1`: half of the epochs are for the growing penalty.
        teacher: `none`, or `dense`.
        epochs: In all.
        target: Share of the multiply–adds that is asked for.
        seed: Of the data order and of what is random.
    """

    picks: str = "l1"
    budget: str = "uniform"
    coupling: str = "tied"
    start: str = "folded"
    way: str = "one-shot"
    teacher: str = "none"
    epochs: int = EPOCHS
    target: float = TARGETS[0]
    seed: int = 0

    @property
    def plan(self) -> Path:
        """The file of a rival's plan."""
        name = f"{self.picks.replace('/', '_').replace('-', '_', 1)}_{self.budget}_{self.target}"
        return PLANS / (f"{name}_{self.seed}.json" if self.picks == GROWN else f"{name}.json")


NAMES = tuple(field.name for field in fields(Run))
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
    """Returns our rows: one-shot with what helps, free coupling as the GReg paper, random picks, from scratch."""
    controls = replace(ONE_SHOT, picks="random"), replace(ONE_SHOT, start="scratch")
    return [*HELP, replace(ONE_SHOT, coupling="free"), *controls]


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


def one_run(run: Run, *, smoke: bool = False) -> dict:
    """Runs one cell and returns its row."""
    import keras
    import numpy as np

    import kerasprune as kp

    began = time.process_time()
    keras.utils.set_random_seed(run.seed)
    checkpoint = Path(kp.__file__).parent / "recipes" / "library" / "checkpoints" / "glyphs-base.keras"
    model = keras.models.load_model(checkpoint)
    graph = kp.trace(model, coupling=run.coupling)
    planned = time.process_time()
    plan = kp.Plan.load(run.plan) if run.picks.startswith(PEER) else our_plan(graph, run)
    planned = time.process_time() - planned
    dense, kept = kp.cost(graph, resolution=protocol.SIZE), kp.cost(graph, plan, resolution=protocol.SIZE)
    epochs, grown = run.epochs, model
    if run.way == "greg1":
        epochs, (grown, plan) = run.epochs // 2, greg1(model, plan, run, smoke)
    if run.picks == GROWN:
        epochs, grown = run.epochs // 2, with_weights(model, PLANS.parents[1] / "peers" / ".grown" / f"{run.seed}.npz")
    slim = started(grown, model, plan, run, smoke)
    evaluation = {split: limited(images(split, run), smoke) for split in ("validation", "test")}
    removed = protocol.accuracy(slim, evaluation["validation"])
    train = limited(images("train", run, first_epoch=run.epochs - epochs), smoke)
    rate = SCRATCH_RATE if run.start == "scratch" else protocol.FINETUNE_RATE
    student = slim if run.teacher == "none" else kp.distil(slim, model)
    protocol.fit(student, train, keras.optimizers.schedules.CosineDecay(rate, epochs * len(train)), epochs, [])
    scores = {split: protocol.accuracy(slim, data) for split, data in evaluation.items()}
    assert np.isfinite(list(scores.values())).all()
    shares = {"macs": round(kept.macs / dense.macs, 4), "params": round(kept.params / dense.params, 4)}
    times = {"plan_seconds": round(planned, 2), "seconds": round(time.process_time() - began)}
    return asdict(run) | shares | {"removed": removed} | scores | times


def our_plan(graph, run: Run):
    """Returns our plan; a criterion that looks at data sees the first 32 batches of the training images."""
    import keras

    import kerasprune as kp

    kind = type(kp.criteria.get(run.picks))
    data = images("train", run, augment=None).take(32) if kind.needs else None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"macs": run.target, "resolution": protocol.SIZE, "seed": run.seed}
    return kp.plan(graph, run.picks, run.budget, data=data, loss=loss, **options)


def started(grown, model, plan, run: Run, smoke: bool):
    """Returns the slim model as its training begins."""
    import keras

    import kerasprune as kp

    slim = kp.rebuild(grown, plan)
    if run.start == "scratch":
        return keras.models.clone_model(slim)  # weights drawn anew
    if run.start == "reconstructed":
        unlabelled = images("train", run, augment=None, batch=100).map(lambda inputs, _: inputs)
        return kp.reconstruct(slim, model, plan, unlabelled.take(1 if smoke else IMAGES // 100))
    return slim


def greg1(model, plan, run: Run, smoke: bool) -> tuple:
    """Returns a copy of the model after the short schedule of GReg-1 in the first half of the epochs, and its plan."""
    import keras

    import kerasprune as kp

    train = limited(images("train", run), smoke)
    epochs = run.epochs // 2
    callback = kp.callbacks.GReg1(plan).compressed(epochs * len(train))
    grown = keras.models.clone_model(model)
    grown.set_weights(model.get_weights())
    protocol.fit(grown, train, protocol.PRUNE_RATE, epochs, [callback])
    return grown, callback.plan


def with_weights(model, path: Path):
    """Returns a copy of a model with the weights of a file, `layer.variable: array`."""
    import keras
    import numpy as np

    copy = keras.models.clone_model(model)
    with np.load(path) as arrays:
        for variable in copy.variables:
            if variable.path.replace("/", ".") in arrays:
                variable.assign(arrays[variable.path.replace("/", ".")])
    return copy


def images(split: str, run: Run, *, batch: int = protocol.BATCH, augment: str | None = "crop", first_epoch: int = 0):
    """Returns the images of a split: batches of 500 to judge by, of 32 in the order of the seed to train on."""
    import kerasprune as kp

    if split != "train":
        return kp.data.load("glyphs/small", size=protocol.SIZE, batch=500, split=split)
    options = {"augment": augment, "seed": run.seed, "first_epoch": first_epoch}
    return kp.data.load("glyphs/small", size=protocol.SIZE, batch=batch, **options)


def limited(data, smoke: bool):
    """Returns four batches only where all is only tried."""
    return data.take(4) if smoke else data


# ---- which cells, and their rows --------------------------------------------------------------------------------


def cells(options: argparse.Namespace) -> list[Run]:
    """Returns the cells that are asked for, seed by seed, so that every table is whole as early as can be."""
    picks = tuple(filter(None, options.picks.split(",")))
    parts = {"peers": peers, "peers-helped": peers_helped, "ours": ours}
    if options.part == "ablation":
        kinds = ablation(picks or ("l2", "random"))
    elif options.part:
        kinds = parts[options.part]()
    else:
        kinds = [replace(ONE_SHOT, picks=name, start=options.start, teacher=options.teacher) for name in picks]
    seeds, targets = [int(text) for text in options.seeds.split(",")], [float(text) for text in options.macs.split(",")]
    if options.part in ("peers", "peers-helped"):
        kinds = [k for k in kinds if k.budget in options.budgets.split(",")]
        kinds = [k for k in kinds if not picks or k.picks.removeprefix(PEER) in picks]
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


def work(options: argparse.Namespace) -> None:
    """Runs every `workers`-th cell that has no row yet."""
    for run in cells(options)[options.worker :: options.workers]:
        if not options.smoke and key(asdict(run)) in {key(row) for row in read(ROWS)}:
            continue
        row = one_run(replace(run, epochs=2) if options.smoke else run, smoke=options.smoke)
        if not options.smoke:
            append(ROWS, (*NAMES, *OUTCOMES), [row])
        print(row, flush=True)


def run_all(options: argparse.Namespace) -> None:
    """Runs the cells in several one-threaded processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, "work", *sys.argv[2:], "--worker"]
    started = [subprocess.Popen([*command, str(i)], env=environment) for i in range(options.workers)]
    codes = [process.wait() for process in started]
    if any(codes):
        sys.exit("a worker failed; the finished rows are kept")


# ---- what came out ----------------------------------------------------------------------------------------------


def label(row: dict) -> str:
    """Returns what a row is called in the tables."""
    standard = asdict(ONE_SHOT)
    changed = [f"{row[name]}" for name in ("budget", "coupling", "way") if row[name] != standard[name]]
    changed += ["from scratch"] if row["start"] == "scratch" else []
    changed += ["reconstructed"] if row["start"] == "reconstructed" else []
    changed += ["distilled"] if row["teacher"] == "dense" else []
    changed += [f"{row['epochs']} epochs"] if str(row["epochs"]) != str(EPOCHS) else []
    return ", ".join([row["picks"], *changed])


def table() -> None:
    """Writes the tables and the plot."""
    found: dict[str, dict[str, list[dict]]] = {}
    for row in read(ROWS):
        found.setdefault(label(row), {}).setdefault(row["target"], []).append(row)
    lines = ["# Equal multiply–adds, equal epochs: ResNet-20 on glyphs", ""]
    lines += ["Accuracy in per cent, mean ± standard deviation over the seeds; `benchmarks/equal_epochs.py`.", ""]
    for target in TARGETS:
        heads = (
            "picks",
            "MACs",
            "parameters",
            "after removal, validation",
            "validation",
            "test",
            "seeds",
            "CPU seconds",
        )
        lines += [
            f"## {target} of the multiply–adds asked for",
            "",
            f"| {' | '.join(heads)} |",
            "|---" * len(heads) + "|",
        ]
        here = {name: by[str(target)] for name, by in found.items() if str(target) in by}
        for name in sorted(here, key=lambda name: -statistics.mean(column(here[name], "test"))):
            rows = here[name]
            shares = [f"{statistics.mean(column(rows, share)):.3f}" for share in ("macs", "params")]
            scores = [mean_std(column(rows, score)) for score in ("removed", "validation", "test")]
            texts = (name, *shares, *scores, len(rows), f"{statistics.median(column(rows, 'seconds')):.0f}")
            lines.append(f"| {' | '.join(map(str, texts))} |")
        lines.append("")
    (RESULTS / "equal_epochs.md").write_text("\n".join([*lines, *effects(found)]) + "\n")
    plot(found)


def column(rows: list[dict], name: str) -> list[float]:
    """Returns the numbers of a column."""
    return [float(row[name]) for row in rows]


def effects(found: dict) -> list[str]:
    """Returns what each factor changes, in points of test accuracy, seed by seed: mean ± standard error."""
    lines = [
        "## One factor changed at a time",
        "",
        "Points of test accuracy, mean ± standard error of the differences",
        "",
    ]
    heads = ("from", "to", *map(str, TARGETS))
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for base in (label(asdict(ONE_SHOT)), label(asdict(BEST))):
        for name in found:
            texts = [difference(found, base, name, str(target)) for target in TARGETS]
            if name != base and not name.startswith(PEER) and set(texts) != {"–"}:
                lines.append(f"| {' | '.join((base, name, *texts))} |")
    return lines


def difference(found: dict, base: str, name: str, target: str) -> str:
    """Returns the mean difference over the seeds that both have, ± its standard error."""
    before, after = (
        {row["seed"]: float(row["test"]) for row in found.get(one, {}).get(target, [])} for one in (base, name)
    )
    points = [after[seed] - before[seed] for seed in sorted({*before} & {*after})]
    if not points:
        return "–"
    error = f" ± {statistics.stdev(points) / len(points) ** 0.5:.2f}" if len(points) > 1 else ""
    return f"{statistics.mean(points):+.2f}{error} (n={len(points)})"


def plot(found: dict) -> None:
    """Draws test accuracy against the multiply–adds kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for name, by in sorted(found.items()):
        points = sorted((statistics.mean(column(rows, "macs")), column(rows, "test")) for rows in by.values())
        spreads = [statistics.stdev(values) if len(values) > 1 else 0 for _, values in points]
        style = "--" if name.startswith(PEER) else "-"
        means = [statistics.mean(values) for _, values in points]
        axes.errorbar([x for x, _ in points], means, spreads, label=name, marker="o", capsize=3, linestyle=style)
    axes.set(xlabel="multiply–adds kept", ylabel="test accuracy (%)", title="ResNet-20 on glyphs, four epochs in all")
    axes.legend(fontsize=6, loc="lower right")
    figure.savefig(RESULTS / "equal_epochs.svg", bbox_inches="tight")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "work", "table"))
    parser.add_argument("--part", choices=("peers", "peers-helped", "ours", "ablation"))
    parser.add_argument("--picks", default="", help="criteria, for single rows or for the ablation; which peers")
    parser.add_argument("--budgets", default="own,uniform,global", help="which ways of choosing of the peers")
    parser.add_argument("--start", default="folded", choices=("folded", "reconstructed", "scratch"))
    parser.add_argument("--teacher", default="none", choices=("none", "dense"))
    parser.add_argument("--macs", default=",".join(map(str, TARGETS)))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.command != "table" and not (options.part or options.picks):
        parser.error("Say --part or --picks.")
    if options.command == "work":
        work(options)
        return
    if options.command == "run":
        run_all(options)
    if not options.smoke:
        table()


if __name__ == "__main__":
    main()
