"""Torch-Pruning's growing regularisation before it picks: `GrowingRegPruner` in the first half of the epochs.

    python benchmarks/peers/torch_pruning_grown.py [--seeds 0,1,2] [--smoke]     # plans and `.grown/*.npz`, by seed

The twin of the shipped ResNet-20 is trained in torch for two epochs on the batches, in the order and at the rate that
our growing callbacks see there (SGD with momentum 0.9, rate 3e-3, L2 1e-4); each step the pruner adds its penalty to
the gradients, every ten steps the penalty of the less important channels grows. Its own schedule takes 100 epochs of
391 steps at rate 0.01 and ends at 1e-2; the sum of rate · penalty is kept, so it ends here at 209 times that.

It is one training for all budgets: the picks by group L2 norms, at the ratio nearest to each target, become plans, the
weights go back to Keras, and `equal_epochs.py` does the rest: rebuild, then the second half of the epochs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import greg_schedules as protocol  # noqa: E402
import torch_pruning_picks as picks  # noqa: E402

GROWN = HERE / ".grown"
EPOCHS, EVERY = 2, 10
CEILING = 1e-2 * (100 * 391 * 0.01) / (EPOCHS * 312 * protocol.PRUNE_RATE)


def dump(path: Path, seed: int, smoke: bool) -> None:
    """Writes the batches of two epochs, in the order of a seed."""
    import numpy as np

    import kerasprune as kp

    options = {"size": protocol.SIZE, "batch": protocol.BATCH, "augment": "crop", "seed": seed}
    data = kp.data.load("glyphs/small", **options)
    epochs = [batch for _ in range(EPOCHS) for batch in (data.take(4) if smoke else data)]
    images, labels = (np.stack([np.asarray(each) for each in side]) for side in zip(*epochs, strict=True))
    np.savez(path, images=images, labels=labels)


def grow(path: Path, seed: int, smoke: bool) -> None:
    """Trains, picks, and writes plans and weights; runs in the environment of the torch side."""
    import keras
    import numpy as np
    import torch
    import torch_pruning
    from torch_twin import write

    import kerasprune as kp

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    with np.load(path) as data:
        images, labels = torch.from_numpy(data["images"].transpose(0, 1, 4, 2, 3)), torch.from_numpy(data["labels"])
    model = keras.models.load_model(Path(kp.__file__).parent / "recipes/library/checkpoints/glyphs-base.keras")
    twin = picks.twin_of(model)
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    train(torch_pruning, twin, importance, images, labels.long())
    graph = kp.trace(model)
    dense = kp.cost(graph, size=picks.SIZE).macs
    make = picks.maker(torch_pruning, twin, graph, importance, global_pruning=False)
    for target in picks.TARGETS:
        plan = picks.nearest(make, target, lambda p: kp.cost(graph, p, size=picks.SIZE).macs / dense)
        share = kp.cost(graph, plan, size=picks.SIZE).macs / dense
        print(f"seed {seed}, {target}: {share:.4f} of the multiply–adds", flush=True)
        if not smoke:
            plan.save(picks.PLANS / f"torch_pruning_greg_own_{target}_{seed}.json")
    if not smoke:
        GROWN.mkdir(exist_ok=True)
        np.savez(GROWN / f"{seed}.npz", **{name.replace("/", "."): array for name, array in write(twin).items()})


def train(torch_pruning, twin, importance, images, labels) -> None:
    """Trains with the growing penalty."""
    import torch

    steps = len(images)
    pruner = torch_pruning.pruner.GrowingRegPruner(
        twin,
        picks.images_like(),
        importance,
        reg=0.0,
        delta_reg=CEILING / max(steps // EVERY, 1),
        ignored_layers=[twin.logits],
    )
    fixed = {id(parameter) for parameter in twin.fixed()}
    trained = [parameter for parameter in twin.parameters() if id(parameter) not in fixed]
    decayed = [p for p in trained if p.ndim > 1]
    groups = [{"params": decayed, "weight_decay": protocol.L2}, {"params": [p for p in trained if p.ndim == 1]}]
    optimizer = torch.optim.SGD(groups, protocol.PRUNE_RATE, momentum=0.9)
    twin.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(images[step]), labels[step])
        loss.backward()
        pruner.regularize(twin)
        optimizer.step()
        if (step + 1) % EVERY == 0:
            pruner.update_reg()
        if step % 100 == 0:
            print(f"step {step}: loss {float(loss):.3f}", flush=True)
    twin.eval()


def main() -> None:
    """Dumps the batches of each seed, then has the other environment train and pick."""
    from torch_venv import prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    paths = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "batches.npz"
            dump(path, seed, options.smoke)
            more = ["smoke"] if options.smoke else []
            command = [prepare(), "-W", "ignore", __file__, "grow", str(path), str(seed), *more]
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["grow"]:
        grow(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["smoke"])
    else:
        main()
