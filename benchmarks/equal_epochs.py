"""Accuracy at equal multiply–adds and equal epochs on glyphs: our picks, Torch-Pruning's, and what helps them.

    python benchmarks/equal_epochs.py run --part peers [--picks group-l2,taylor] [--budgets own] [--macs 0.093,0.283]
    python benchmarks/equal_epochs.py run --part ablation [--seeds 0,1,2] [--workers 2]
    python benchmarks/equal_epochs.py run --part lean [--seeds 0,1]
    python benchmarks/equal_epochs.py run --picks l1,taylor_fo [--budget sensitivity] [--start reconstructed] …
    python benchmarks/equal_epochs.py table        # writes ../results/equal_epochs.md and the plots from the rows

Every run begins with a dense checkpoint, keeps a share of its multiply–adds and trains for as many epochs in all, four,
on the 10,000 images of `glyphs/small`: batch 32, SGD with momentum 0.9, rate 0.01 falling as half a cosine, the data
order a function of (seed, epoch). Test accuracy is taken once, at the end. Rows that are there are not run again;
`--smoke` tries four batches of everything and writes no row.

Testbeds: ResNet-20 (`glyphs-base`, shipped), and MobileNetV2 of half the width, lean already, trained first by
`kerasprune run glyphs-mobilenet --out runs/glyphs-mobilenet` in the root of the repository.

Parts: `peers`: picks of Torch-Pruning (`peers/torch_pruning_picks.py`), plainly fine-tuned; `peers-helped`: the same
picks with our reconstruction and distillation; `ours`; `ablation`: one factor changed at a time, from one-shot and from
the best; `lean`: one-shot and what helps it, on MobileNetV2. Where one starts from scratch the rate is 0.05 instead.
`equal_epochs_grid.py` says which runs there are, `equal_epochs_tables.py` what came out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import greg_schedules as protocol
from equal_epochs_grid import GROWN, HERE, MEASURED, NAMES, PEER, SEEDS, TESTBEDS, Run, cells, key
from equal_epochs_tables import write
from rows import append, read

OUTCOMES = ("macs", "params", "removed", "validation", "test", "plan_seconds", "seconds")
SCRATCH_RATE = 0.05
IMAGES = 1000  # unlabelled ones, for the reconstruction


def one_run(run: Run, *, smoke: bool = False) -> dict:
    """Runs one cell and returns its row."""
    import keras
    import numpy as np

    import kerasprune as kp

    began = time.process_time()
    keras.utils.set_random_seed(run.seed)
    model = dense_model(run, smoke)
    graph = kp.trace(model, coupling=run.coupling)
    planned = time.process_time()
    plan = kp.Plan.load(run.plan) if run.picks.startswith(PEER) else our_plan(graph, run)
    planned = time.process_time() - planned
    dense, kept = kp.cost(graph, size=protocol.SIZE), kp.cost(graph, plan, size=protocol.SIZE)
    epochs, grown = run.epochs, model
    if run.way == "greg1":
        epochs, (grown, plan) = run.epochs // 2, greg1(model, plan, run, smoke)
    if run.picks == GROWN:
        epochs, grown = run.epochs // 2, with_weights(model, HERE / "peers" / ".grown" / f"{run.seed}.npz")
    slim = started(grown, plan, run, smoke)
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
    return {name: getattr(run, name) for name in NAMES} | shares | {"removed": removed} | scores | times


def dense_model(run: Run, smoke: bool):
    """Returns the trained network of the testbed; one that is only tried may have fresh weights."""
    import keras

    import kerasprune as kp

    testbed = TESTBEDS[run.testbed]
    path = HERE.parent / testbed.checkpoint
    if path.exists():
        return keras.models.load_model(path)
    if not smoke:
        sys.exit(f"Train the network first: kerasprune run {testbed.recipe} --out {path.parent}")
    recipe = kp.recipes.load(testbed.recipe)
    shape = (protocol.SIZE, protocol.SIZE, 3)
    return kp.models.get({"name": recipe.model.name, **recipe.model.arguments, "input_shape": shape})


def our_plan(graph, run: Run):
    """Returns our plan; a criterion that looks at data sees the first 32 batches of the training images.

    A budget that measures sees the images that the reconstruction sees, and may cost what the uniform one costs.
    """
    import keras

    import kerasprune as kp

    data = protocol.looked_at(run.picks, run.seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"size": protocol.SIZE, "seed": run.seed, "loss": loss, "round_to": 1}
    if run.budget != MEASURED:
        return kp.plan(graph, run.picks, run.budget, macs=run.target, data=data, **options)
    uniform = kp.plan(graph, run.picks, macs=run.target, data=data, **options)
    share = kp.cost(graph, uniform, size=protocol.SIZE).macs / kp.cost(graph, size=protocol.SIZE).macs
    return kp.plan(graph, run.picks, run.budget, macs=share, data=unlabelled_images(run).take(IMAGES // 100), **options)


def unlabelled_images(run: Run):
    """Returns training images without labels, a hundred at a time."""
    return images("train", run, augment=None, batch=100).map(lambda inputs, _: inputs)


def started(grown, plan, run: Run, smoke: bool):
    """Returns the slim model as its training begins."""
    import keras

    import kerasprune as kp
    from kerasprune.defaults import BEFORE_TRAINING

    slim = kp.rebuild(grown, plan)
    if run.start == "scratch":
        return keras.models.clone_model(slim)  # weights drawn anew
    if run.start == "reconstructed":
        examples = unlabelled_images(run).take(1 if smoke else IMAGES // 100)
        return kp.reconstruct(slim, grown, plan, examples, slack=BEFORE_TRAINING)
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


def work(options: argparse.Namespace) -> None:
    """Runs every `workers`-th cell that has no row yet."""
    for run in cells(options)[options.worker :: options.workers]:
        rows = TESTBEDS[run.testbed].path
        if not options.smoke and key(asdict(run)) in {key(row) for row in read(rows)}:
            continue
        row = one_run(replace(run, epochs=2) if options.smoke else run, smoke=options.smoke)
        if not options.smoke:
            append(rows, (*NAMES, *OUTCOMES), [row])
        print(row, flush=True)


def run_all(options: argparse.Namespace) -> None:
    """Runs the cells in several one-threaded processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, "work", *sys.argv[2:], "--worker"]
    started = [subprocess.Popen([*command, str(i)], env=environment) for i in range(options.workers)]
    codes = [process.wait() for process in started]
    if any(codes):
        sys.exit("a worker failed; the finished rows are kept")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "work", "table"))
    parser.add_argument("--part", choices=("peers", "peers-helped", "ours", "ablation", "lean"))
    parser.add_argument("--picks", default="", help="criteria, for single rows or for the ablation; which peers")
    parser.add_argument("--budgets", default="own,uniform,global", help="which ways of choosing of the peers")
    parser.add_argument("--budget", default="uniform", choices=("uniform", MEASURED), help="of single rows")
    parser.add_argument("--start", default="folded", choices=("folded", "reconstructed", "scratch"))
    parser.add_argument("--teacher", default="none", choices=("none", "dense"))
    parser.add_argument("--testbed", default="resnet20", choices=TESTBEDS, help="of single rows")
    parser.add_argument("--macs", default="", help="shares of the multiply–adds, if not those of the testbed")
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
        write()


if __name__ == "__main__":
    main()
