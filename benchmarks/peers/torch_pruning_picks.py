"""Which channels Torch-Pruning would keep of the shipped ResNet-20: its picks as plans of ours.

    python benchmarks/peers/torch_pruning_picks.py     # writes ../results/peers/torch_pruning_*.json and picks.csv

The weights are carried to torch (`torch_twin.py`; the logits of both are compared on 256 images first), Torch-Pruning
1.6.1 scores the channels there, and what it keeps becomes a `kerasprune.Plan`. So that `equal_epochs.py` rebuilds and
fine-tunes every rival as it does ours: the same data order, seeds and steps.

Two ways of choosing, each at the ratio whose multiply–adds, counted by `kp.cost`, are nearest to the target:

- `own`: `BasePruner.step()` at one `pruning_ratio`, as its documentation shows; `global`: the same with
  `global_pruning=True`. The trunk of this net, tied through its three stages, is one group of 64 channels there.
- `uniform`: its scores, ranked within the groups that kerasprune knows (the trunk has three, one for each stage), the
  same fraction kept of each, as `kp.plan` does. It compares scores only.

Plans that miss their target by more than a fiftieth (whole channels; a group that would be empty under `global`) are
written with what they have, and left out by `equal_epochs.py`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from rows import append  # noqa: E402

PLANS = HERE.parent / "results" / "peers"
PICKS = PLANS / "picks.csv"
FIELDS = ("importance", "budget", "target", "macs", "params", "seconds")
TARGETS = (0.093, 0.283, 0.505)
IMPORTANCES = ("l1-first", "group-l1", "group-l2", "bn-scale", "taylor", "fpgm", "lamp")
BUDGETS = ("uniform", "own", "global")
IMAGES, SIZE, BATCH = 1024, 32, 32


def dump(path: Path) -> None:
    """Writes the training images that gradients are taken on, the first of the order of seed 0, not augmented."""
    import numpy as np

    import kerasprune as kp

    data = kp.data.load("glyphs/small", size=SIZE, batch=IMAGES, seed=0)
    images, labels = next(iter(data))
    np.savez(path, images=np.asarray(images), labels=np.asarray(labels))


def pick(path: Path) -> None:
    """Makes all plans; runs in the environment of the torch side, with Keras on torch."""
    import time

    import keras
    import numpy as np
    import torch
    import torch_pruning

    import kerasprune as kp

    torch.set_num_threads(1)
    data = np.load(path)
    images, labels = torch.from_numpy(data["images"].transpose(0, 3, 1, 2)), torch.from_numpy(data["labels"]).long()
    model = keras.models.load_model(Path(kp.__file__).parent / "recipes/library/checkpoints/glyphs-base.keras")
    graph = kp.trace(model)
    dense = kp.cost(graph, size=SIZE)
    compare(model, data["images"][:256])
    PLANS.mkdir(parents=True, exist_ok=True)
    PICKS.unlink(missing_ok=True)
    for name, budget, target in itertools.product(IMPORTANCES, BUDGETS, TARGETS):
        began = time.perf_counter()
        share = lambda plan: kp.cost(graph, plan, size=SIZE).macs / dense.macs  # noqa: E731
        twin = twin_of(model)
        if name == "taylor":
            take_gradients(twin, images, labels)
        measure = importance(torch_pruning, name)
        if budget == "uniform":
            plan = uniform(graph, scores(torch_pruning, twin, graph, measure), target)
        else:
            make = maker(torch_pruning, twin, graph, measure, global_pruning=budget == "global")
            plan = nearest(make, target, share)
        seconds = time.perf_counter() - began
        plan.save(PLANS / f"torch_pruning_{name}_{budget}_{target}.json")
        params = kp.cost(graph, plan, size=SIZE).params / dense.params
        cells = (name, budget, target, f"{share(plan):.4f}", f"{params:.4f}", f"{seconds:.2f}")
        append(PICKS, FIELDS, [dict(zip(FIELDS, cells, strict=True))])
        print(cells, flush=True)


def twin_of(model):
    """Returns the torch twin with the weights of a Keras model."""
    import keras
    from torch_twin import ResNet, read

    twin = ResNet(depth=20, classes=36).eval()
    read(twin, {v.path: keras.ops.convert_to_numpy(v) for v in model.variables})
    return twin


def compare(model, images) -> None:
    """Checks that the twin computes what the model does."""
    import keras
    import numpy as np
    import torch

    ours = keras.ops.convert_to_numpy(model(images))
    with torch.no_grad():
        theirs = twin_of(model)(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    error = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    print(f"logits of {len(images)} images: largest difference {error:.1e} of the largest logit", flush=True)
    assert error < 1e-4, error


def importance(torch_pruning, name: str):
    """Returns an importance of Torch-Pruning."""
    made = torch_pruning.importance
    return {
        "l1-first": lambda: made.GroupMagnitudeImportance(p=1, group_reduction="first", normalizer=None),
        "group-l1": lambda: made.GroupMagnitudeImportance(p=1),
        "group-l2": lambda: made.GroupMagnitudeImportance(p=2),
        "bn-scale": made.BNScaleImportance,
        "taylor": made.GroupTaylorImportance,
        "fpgm": made.FPGMImportance,
        "lamp": made.LAMPImportance,
        "random": made.RandomImportance,
    }[name]()


def take_gradients(twin, images, labels) -> None:
    """Leaves in the twin the gradient of its mean loss over all images."""
    import torch

    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        loss = torch.nn.functional.cross_entropy(twin(images[part]), labels[part], reduction="sum")
        (loss / len(images)).backward()


def maker(torch_pruning, twin, graph, importance, *, global_pruning: bool) -> Callable[[float], object]:
    """Returns what makes the plan at a fraction kept; `None` where nothing of a group would be left."""
    import torch

    def plan_at(keep: float):
        torch.manual_seed(0)
        pruner = torch_pruning.pruner.BasePruner(
            twin,
            images_like(),
            importance,
            global_pruning=global_pruning,
            pruning_ratio=1 - keep,
            ignored_layers=[twin.logits],
        )
        gone = [(group[0].dep.target.module, group[0].idxs) for group in pruner.step(interactive=True)]
        return without(graph, twin, gone)

    return plan_at


def scores(torch_pruning, twin, graph, importance) -> dict:
    """Returns its scores of the groups of a graph."""
    found = {}
    dependencies = torch_pruning.DependencyGraph().build_dependency(twin, images_like())
    for group in dependencies.get_all_groups(ignored_layers=[twin.logits]):
        values = importance(group).numpy()
        for name, places, channel in groups_of(graph, twin, group[0].dep.target.module):
            found[name] = values[places[channel.argsort()]]
    assert set(found) == set(graph.prunable), set(graph.prunable) - set(found)
    return found


def images_like():
    """Returns an input to trace with."""
    import torch

    return torch.rand(1, 3, SIZE, SIZE)


def groups_of(graph, twin, layer) -> list[tuple]:
    """Returns `(group, positions, channels)`: which outputs of a layer of the twin are which channels of ours."""
    import numpy as np

    names = {module: name for name, module in twin.named().items()}
    found = []
    for name in graph.prunable:
        for kernel, _, channel in graph.made_by(name):
            if kernel.variable.path == f"{names[layer]}/kernel":
                places = np.flatnonzero(channel >= 0)
                found.append((name, places, channel[places]))
    return found


def uniform(graph, found: dict, target: float):
    """Returns the plan of `kp.plan` for given scores: the same fraction of each group, at the multiply–adds asked."""
    import kerasprune as kp

    class Given(kp.criteria.Criterion):
        """Scores that are there already."""

        def score(self, graph, data=None, loss=None, seed=0):
            return found

    return kp.plan(graph, Given(), "uniform", macs=target, round_to=1, size=SIZE)


def without(graph, twin, gone: list):
    """Returns the plan that drops outputs of layers of the twin; `None` where a group would be empty."""
    import numpy as np

    import kerasprune as kp

    keep = {name: np.ones(group.size, bool) for name, group in graph.prunable.items()}
    for layer, outputs in gone:
        for name, places, channel in groups_of(graph, twin, layer):
            keep[name][channel[np.isin(places, outputs)]] = False
    if not all(mask.any() for mask in keep.values()):
        return None
    return kp.Plan.of(graph, {name: np.flatnonzero(mask).tolist() for name, mask in keep.items()})


def nearest(plan_at: Callable, target: float, share: Callable):
    """Returns the plan whose share of the multiply–adds is nearest to a target, by bisection of the fraction kept."""
    low, high, best, distance = 0.0, 1.0, None, 2.0
    for _ in range(10):
        middle = (low + high) / 2
        plan = plan_at(middle)
        found = 0.0 if plan is None else share(plan)
        if plan is not None and abs(found - target) < distance:
            best, distance = plan, abs(found - target)
        low, high = (middle, high) if found < target else (low, middle)
    return best


def main() -> None:
    """Dumps the images, then has the other environment pick."""
    from torch_venv import prepare

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        dump(path)
        paths = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        subprocess.run([prepare(), "-W", "ignore", __file__, "pick", str(path)], env=environment, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["pick"]:
        pick(Path(sys.argv[2]))
    else:
        main()
